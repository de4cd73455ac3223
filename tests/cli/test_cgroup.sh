#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cgroups: a leaf for each process, from before its birth; its successors in
# the same one; nothing left, also after a supervisor that was killed; limits,
# where cgroup2 has controllers; without them it is skipped, aloud.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
vm=cgrouped$$
guest=$build/tests/guest/virtio_blk.guest
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[rng]
	[blk vda]
	path = disk.img
CONF
sed -i "s/^connect = terminal/connect = null/
	s/^cmdline = .*/cmdline = loop\ncgroup = auto/" "$scratch/vm.conf"
tree=$(awk '$(NF-2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
own=$tree$(sed -n 's/^0:://p' /proc/self/cgroup)
own=${own%/}
unit=$own/unit-$vm	# what a service manager would have made for it

# shellcheck disable=SC2317	# called by the trap
undo() {
	kill -9 "$supervisor" 2>/dev/null
	sleep 0.2
	find "$unit" "$own/bulkhead-$vm" -depth -type d -exec rmdir {} \; 2>/dev/null
	clean_up
}
supervisor=none
trap undo EXIT

# refused NAME STATUS PATTERN ARG...: bulkhead run fails so, in one line
refused() {
	local name=$1 wanted=$2 pattern=$3 status
	shift 3
	run_vm "$@"
	status=$?
	[ "$status" -eq "$wanted" ] && says "$pattern" &&
		[ "$(wc -l <"$scratch/err")" -eq 1 ] && [ ! -e "$own/bulkhead-$vm" ]
	report "$name: $(tail -n 1 "$scratch/err")"
}

refused "a weight that is none" 2 'cpu_weight = 0: expected' --set core.cpu_weight=0
refused "a share without %" 2 'cpu_max = 2: expected' --set core.cpu_max=2
refused "a size without a unit" 2 'memory_max = 64: expected' --set 'blk vda.memory_max=64'
refused "a rate that is none" 2 'io_max = rbps=1Mwiops: expected' --set 'blk vda.io_max=rbps=1Mwiops'
refused "a cgroup that is no path" 2 'cgroup = here: expected' --set vm.cgroup=here
refused "the rng does no I/O" 2 "unknown key 'io_max' in \[rng\]" --set rng.io_max=riops=1

if ! kvm_works; then
	skip "leaves" "no usable /dev/kvm"
	finish
fi
if [ -z "$tree" ] || ! mkdir "$unit" 2>/dev/null; then
	skip "leaves" "no cgroup2 in which this user may make folders"
	finish
fi

# leaf ROLE: the name of its process's leaf, if that is in the VM's folder
leaf() {
	sed -n "s|^0::.*/bulkhead-$vm/||p" "/proc/$(process "$1")/cgroup"
}

# gone: the VM's folder is, and no leaf of it lives on
gone() {
	local i
	for ((i = 0; i < 100; i++)); do
		[ -z "$(find "$own" -name "bulkhead-$vm")" ] && return
		sleep 0.02
	done
	find "$own" -path "*bulkhead-$vm*" -type d | sed 's/^/# left: /'
	return 1
}

start_vm && [ "$(leaf core) $(leaf serial) $(leaf rng) $(leaf blk)" = "core serial rng vda" ]
report "each process is in the leaf of its name"
[ "$(find "$own/bulkhead-$vm" -mindepth 1 -type d -printf '%f\n' | sort | tr '\n' ' ')" = "core rng serial vda " ]
report "there are no others"
if [ -z "$(command -v systemd-cgls)" ]; then
	skip "systemd-cgls shows devices by name" "systemd is not installed"
else
	systemd-cgls --no-pager --full "$own/bulkhead-$vm" >"$scratch/cgls" 2>&1
	if ! grep -q "bulkhead: $vm/vda \[blk\]" "$scratch/cgls"; then
		sed "s/^/# /" "$scratch/cgls"
	fi
	grep -q "─vda" "$scratch/cgls"
	report "systemd-cgls shows devices by name"
fi
before=$(process blk)
kill -9 "$before"
for ((i = 0; i < 200; i++)); do
	after=$(process blk)
	[ -n "$after" ] && [ "$after" != "$before" ] && break
	sleep 0.02
done
[ "$after" != "$before" ] && [ "$(leaf blk)" = vda ]
report "a reborn device is in the leaf of its predecessor"
truncate -s 1M "$scratch/other.img"
run_vm --set "vm.name=${vm}b" --set "vm.cgroup=$own/bulkhead-$vm" \
	--set "blk vda.path=$scratch/other.img"
[ $? -eq 1 ] && grep -q "bulkhead-$vm is in use by another VM" "$scratch/err" &&
	[ "$(leaf blk)" = vda ]
report "another VM cannot have the folder of one that runs"
"$bulkhead" kill "$vm"
ended 7
gone
report "after the VM its folder is gone"

start_vm
kill -9 "$supervisor"
wait "$supervisor" 2>/dev/null
for ((i = 0; i < 100; i++)); do
	pgrep -f "^bulkhead: $vm" >/dev/null || break
	sleep 0.02
done
[ -d "$own/bulkhead-$vm/vda" ]
report "a supervisor that is killed leaves its leaves"
start_vm && [ "$(leaf blk)" = vda ] && "$bulkhead" kill "$vm"
ended 7
gone
report "the next takes them over, and removes them"

mkdir "$unit/vm"
start_vm --set "vm.cgroup=$unit/vm" && [ "$(grep -c . "$unit/vm/vda/cgroup.procs")" -eq 1 ] &&
	"$bulkhead" kill "$vm"
ended 7 && [ -d "$unit/vm" ] && [ ! -d "$unit/vm/vda" ] && rmdir "$unit/vm"
report "a folder of the user's choice is used and left as it was"
refused "a folder elsewhere" 1 'none of cgroup2' --set "vm.cgroup=$scratch/vm"

# --- limits ------------------------------------------------------------------

for name in memory cpu io; do
	grep -qw "$name" "$own/cgroup.controllers" || lacking=$name
done
if [ -n "${lacking:-}" ]; then
	for key in core.cpu_weight=50 core.memory_max=1G 'blk vda.io_weight=50'; do
		case $key in
		*cpu*) name=cpu ;; *memory*) name=memory ;; *) name=io ;;
		esac
		refused "no controller" 1 "has no '$name' controller; Delegate=yes" --set "$key"
	done
	skip "limits are in force" "no $lacking controller in $own"
	finish
fi

# As a service: a cgroup of its own, in which the supervisor is alone.
start_unit() {
	local tries=0
	: >"$scratch/err"
	bash -c 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"' bash "$unit" \
		"$bulkhead" run "$scratch/vm.conf" "$@" >"$scratch/out" \
		2>"$scratch/err" </dev/null &
	supervisor=$!
	until grep -q ': running' "$scratch/err"; do
		tries=$((tries + 1))
		if [ "$tries" -gt 1500 ] || ! kill -0 "$supervisor" 2>/dev/null; then
			sed 's/^/# /' "$scratch/err"
			return 1
		fi
		sleep 0.02
	done
}

start_unit --set core.cpu_max=20% --set core.memory_max=512M --set rng.cpu_weight=50 \
	--set 'blk vda.memory_max=64M'
at=$unit/bulkhead-$vm
[ "$(cat "$at/core/cpu.max" "$at/core/memory.max" "$at/rng/cpu.weight" "$at/vda/memory.max" | tr '\n' ' ')" = \
	"20000 100000 536870912 50 67108864 " ]
report "limits are what the sections say"
[ "$(cat "$at/vda/cpu.max" "$at/rng/memory.max" | tr '\n' ' ')" = "max 100000 max " ]
report "what has no limit has none"
[ "$(sed -n 's|^0::.*/||p' "/proc/$(process supervisor)/cgroup")" = supervisor ]
report "the supervisor made room: it is in a leaf too"
used() { sed -n 's/^usage_usec //p' "$at/core/cpu.stat"; }
now() { cut -d. -f1 <<<"${EPOCHREALTIME/./}."; }
used=$(used) now=$(now)
sleep 3
share=$((($(used) - used) * 100 / ($(now) - now)))
[ "$share" -ge 5 ] && [ "$share" -le 30 ]
report "cpu_max = 20% of a core that never sleeps: it has $share %"
"$bulkhead" kill "$vm"
ended 7
gone && rmdir "$unit"
report "after the VM the unit is empty, and can be removed"

if [ -d /lab/scratch ]; then
	truncate -s 1M /lab/scratch/limited.img
	start_vm --set 'blk vda.path=/lab/scratch/limited.img' \
		--set 'blk vda.io_max=riops=40 wbps=1M' --set 'blk vda.io_weight=200'
	at=$own/bulkhead-$vm
	grep -Eq '^[0-9]+:[0-9]+ rbps=max wbps=1048576 riops=40 wiops=max$' "$at/vda/io.max"
	report "io_max is for the disk that the image lies on: $(cat "$at/vda/io.max")"
	reads() { sed -nE 's/.* rios=([0-9]+).*/\1/p' "$at/vda/io.stat" | head -n 1; }
	sleep 1
	before=$(reads)
	sleep 3
	rate=$((($(reads) - before) / 3))
	[ "$rate" -ge 10 ] && [ "$rate" -le 60 ]
	report "riops=40 of a guest that reads for ever: $rate a second"
	"$bulkhead" kill "$vm"
	ended 7
	rm -f /lab/scratch/limited.img
else
	skip "io_max" "no disk of a block device to try it on"
fi
finish
