#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk in several processes: named, shown, throttled, killed, grown.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

make_files
cat >>"$scratch/vm.conf" <<-CONF
	[blk vda]
	path = disk.img
	cache = writeback
	processes = 3
	[rng]
	[fault]
	vda.2 = delay=5 op=read
CONF

"$bulkhead" check "$scratch/vm.conf" --set vm.cpus=4 >"$scratch/out" 2>"$scratch/err" &&
	grep -qx 'blk vda: processes 3' "$scratch/out" && [ "$(grep -c '^blk ' "$scratch/out")" -eq 2 ]
report "check shows one disk"
! "$bulkhead" check "$scratch/vm.conf" --set vm.cpus=2 >"$scratch/out" 2>"$scratch/err" &&
	[ "$(wc -l <"$scratch/err")" -eq 1 ] && says 'has processes = 3 for 2 queues; raise'
report "no more processes than queues"

if ! kvm_works; then
	skip "a disk in several processes" "/dev/kvm cannot be used"
	finish
fi

device() { "$bulkhead" device "$vm" "$@" >"$scratch/device" 2>&1; }
device_says() {
	grep -Eq -- "$1" "$scratch/device" && return
	sed 's/^/# /' "$scratch/device"
	return 1
}
process_of() { pgrep -f "^bulkhead: $vm/$1 \\[blk\\]"; }
# runs_again PROCESS PID: another one serves in its place
runs_again() {
	local pid
	pid=$(process_of "$1") && [ "$pid" != "$2" ] &&
		"$bulkhead" ps "$vm" | grep -Eq "/$1 +blk +running +$pid "
}
# limit_of PROCESS: no process lets its image grow
limit_of() { sed -n 's/^Max file size *\([0-9]*\) .*/\1/p' "/proc/$(process_of "$1")/limits"; }
# who_had KIND: the processes that had such an event, in order
who_had() {
	"$bulkhead" events "$vm" | jq -r "select(.event == \"$1\") | .process" | tr '\n' ' '
}

start_vm --set vm.cpus=4
report "it starts"
"$bulkhead" ps "$vm" >"$scratch/ps"
[ "$(awk '$2 == "blk" && $3 == "running" { print $1 }' "$scratch/ps" | tr '\n' ' ')" = "$vm/vda $vm/vda.1 $vm/vda.2 " ] &&
	[ "$(awk '$2 == "blk" { print $5 }' "$scratch/ps" | sort -u | wc -l)" -eq "$(id -u | sed 's/^0$/3/;t;s/.*/1/')" ]
report "ps has its processes, each with a user of its own"
says 'running: vCPUs 4, .* devices 3;'
report "they are one device of the guest"
"$bulkhead" ps "$vm" --jail --json | jq -e '[.[].processes[] | select(.role == "blk") | .jailed] == [true, true, true]' >"$scratch/out"
report "each is jailed"
"$bulkhead" stats "$vm" --json | jq -r '.processes[] | select(.role == "blk") | .device' | tr '\n' ' ' | grep -qx 'vda vda.1 vda.2 '
report "each has statistics"
"$bulkhead" fault "$vm" --list >"$scratch/out" 2>&1 && grep -q 'vda.2 .*delay' "$scratch/out"
report "a fault is one process's"

device throttle vda iops=321 && device throttle vda.2 && device_says "throttle: iops=321"
report "a throttle is the disk's"
[ "$(find "/proc/$supervisor/fd" -lname '*bulkhead-throttle*' -printf '%p\n' | xargs -n 1 stat -Lc %i | sort -u | wc -l)" -eq 1 ]
report "and one bucket for all"

old=$(process_of vda.1)
first=$(process_of vda)
kill -KILL "$old" && within 10 runs_again vda.1 "$old" && [ "$(process_of vda)" = "$first" ] &&
	says 'vda.1 \[blk\]: killed by SIGKILL'
report "one is killed, and comes again"
device restart vda.2 && device_says 'vda.2 is process [0-9]+ now'
report "one is exchanged"

for verb in "move vda $scratch/new.img" "snapshot vda $scratch/new.qcow2"; do
	# shellcheck disable=SC2086
	! device $verb && device_says 'vda: not with several processes' && [ ! -e "$scratch/new.img" ]
	report "not done to it: ${verb%% *}"
done
! device resize vda.1 2M && device_says 'vda.1 is a process of vda: name the disk'
report "it is the disk that is resized"
old=$(process_of vda)
device resize vda 2M && within 10 runs_again vda "$old" &&
	[ "$(stat -c %s "$scratch/disk.img")" -eq 2097152 ] &&
	[ "$(limit_of vda)$(limit_of vda.1)$(limit_of vda.2)" = 209715220971522097152 ]
report "it grows, and each process knows"
# The guest hears of it from the first, when the others know already.
who_had goes-on | grep -Eq '(vda.1 vda.2|vda.2 vda.1) vda $'
report "the first one last"
! device resume vda && device_says 'vda is not held'
report "none is held"

"$bulkhead" kill "$vm" && ended 7 && nothing_left
report "nothing is left"

# The program is exchanged just now: a copy of the build that can lack one.
mkdir "$scratch/bin" && cp "$build"/bulkhead* "$scratch/bin"
bulkhead=$scratch/bin/bulkhead
start_vm --set vm.cpus=4
mv "$scratch/bin/bulkhead-blk" "$scratch/bin/away"
! device resize vda 3M && device_says 'cannot open the program bulkhead-blk'
report "a resize that fails, fails whole"
mv "$scratch/bin/away" "$scratch/bin/bulkhead-blk"
old=$(process_of vda.1)
kill -KILL "$old" && within 10 runs_again vda.1 "$old" &&
	[ "$(limit_of vda)$(limit_of vda.1)$(limit_of vda.2)" = 209715220971522097152 ] &&
	[ "$(who_had goes-on)" = "vda.1 " ]
report "its processes agree on the size, and the guest hears of none"
old=$(process_of vda)
device resize vda 3M && within 10 runs_again vda "$old" &&
	[ "$(limit_of vda)$(limit_of vda.1)$(limit_of vda.2)" = 314572831457283145728 ]
report "and it is done again"
"$bulkhead" kill "$vm" && ended 7 && nothing_left
report "nothing is left again"
finish
