#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks of a running VM: throttled, held after an error and resumed.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

make_files
truncate -s 1M "$scratch/second.img"
cat >>"$scratch/vm.conf" <<-CONF
	[rng]
	[blk vda]
	path = disk.img
	[blk vdb]
	path = second.img
CONF

# --- configuration ------------------------------------------------------------
# refuses NAME PATTERN SET...: exit status 2 and one line
refuses() {
	local name=$1 pattern=$2 set=()
	shift 2
	for key in "$@"; do
		set+=(--set "$key")
	done
	"$bulkhead" check "$scratch/vm.conf" "${set[@]}" >"$scratch/out" 2>"$scratch/err"
	[ $? -eq 2 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] && says "$pattern"
	report "$name"
}
refuses "throttle with a wrong key" "throttle = iosp=5: iosp=5: there are iops, iops_read" \
	"blk vda.throttle=iosp=5"
refuses "throttle with a burst below its rate" "iops_burst is less than iops" \
	"blk vda.throttle=iops=50 iops_burst=5"
refuses "a group whose members differ" \
	"\[blk vda\] and \[blk vdb\] are throttle_group = g, but their throttle differs" \
	"blk vda.throttle_group=g" "blk vdb.throttle_group=g" \
	"blk vda.throttle=iops=50" "blk vdb.throttle=iops=60"
refuses "a wrong on_error" "on_error = stop: expected report or hold" "blk vda.on_error=stop"
refuses "a group without a name" "a group has a name of" "blk vda.throttle_group="

# --- a running VM -------------------------------------------------------------
if ! kvm_works; then
	skip "disks of a running VM" "/dev/kvm cannot be used"
	finish
fi

# disk VERB WORD...: bulkhead device
disk() {
	local verb=$1
	shift
	"$bulkhead" device "$vm" "$verb" "$@" >"$scratch/disk" 2>&1
}
disk_says() {
	grep -Eq -- "$1" "$scratch/disk" && return
	echo "# expected '$1':"
	sed 's/^/# /' "$scratch/disk"
	return 1
}
# throttle_is DISK TEXT
throttle_is() {
	disk throttle "$1" && disk_says "^$vm/$1: throttle: $2\$"
}

# process_of DISK: its pid; flag_of DISK OCTAL: has its process it open so?
# direct_of DISK: with O_DIRECT; traceless DISK: with O_NOATIME
process_of() {
	pgrep -f "^bulkhead: $vm/$1 \\[blk\\]"
}
flag_of() {
	echo $((8#$(sed -n "s/^flags:\\s*//p" "/proc/$(process_of "$1")/fdinfo/7") & 8#$2))
}
direct_of() { flag_of "$1" 40000; }
traceless() { [ "$(flag_of "$1" 1000000)" -gt 0 ]; }
# runs DISK: its process serves, within 5 s
runs() {
	local tries=0
	until "$bulkhead" ps "$vm" | grep -Eq "/$1 +blk +running "; do
		tries=$((tries + 1))
		[ "$tries" -lt 250 ] || return 1
		sleep 0.02
	done
}
# runs_again DISK PID: it has another process than PID, which is not waited for
runs_again() {
	local tries=0 pid
	until pid=$(process_of "$1") && [ "$pid" != "$2" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 250 ] || return 1
		sleep 0.02
	done
}

start_vm --set "blk vda.throttle=iops=500 iops_burst=900" \
	--set "blk vda.throttle_group=slow" --set "blk vdb.throttle_group=slow"
throttle_is vda 'iops=500 iops_burst=900 burst_length=1; group slow' &&
	throttle_is vdb 'iops=500 iops_burst=900 burst_length=1; group slow' &&
	disk_says 'requests delayed: 0, by 0.000 s in all; waiting: 0'
report "limits of the configuration, for all of a group"
traceless vda
report "reading an image leaves no trace in its inode"
disk throttle vdb iops=700 bytes_read=20M &&
	throttle_is vda 'iops=700 iops_burst=900 bytes_read=20971520 burst_length=1; group slow' &&
	says 'vdb: throttle is now: iops=700 .*, for group slow'
report "changed for one, changed for all"
disk throttle vda off && throttle_is vdb 'off; group slow'
report "taken away"
disk throttle vda iops=10 iops=fast
[ $? -eq 1 ] && disk_says 'iops=fast: expected requests a second' && throttle_is vda 'off; group slow'
report "a wrong limit changes nothing"
disk resume vda
[ $? -eq 1 ] && disk_says "vda is not held"
report "a disk that is not held cannot be resumed"
disk throttle rng iops=5
[ $? -eq 1 ] && disk_says 'rng is no disk'
report "rng is no disk"
disk throttle vdz
[ $? -eq 1 ] && disk_says 'there is no such device'
report "a disk that is not there"
disk throttle
[ $? -eq 2 ]
report "no disk"
echo '{"version": 1, "command": "throttle", "device": "vda", "set": 5}' |
	"$talk" "$BULKHEAD_RUNTIME_DIR/$vm.sock" 300 >"$scratch/disk" 2>&1
disk_says 'set must be text'
report "a wrong field"
disk throttle vda iops=100 && disk restart vda && throttle_is vda 'iops=100; group slow'
report "limits outlive the process"
# --- resize, move -------------------------------------------------------------
old=$(process_of vda)
disk resize vda 3M && [ "$(stat -c %s "$scratch/disk.img")" -eq 3145728 ] && runs_again vda "$old" && runs vda
report "a disk grows while the VM runs"
for size in 2M 3M 3145729 1X ""; do
	! disk resize vda "$size" && [ "$(wc -l <"$scratch/disk")" -eq 1 ]
	report "a size that will not do: '$size'"
done
dd if=/dev/urandom of="$scratch/disk.img" bs=1M seek=1 count=2 conv=notrunc status=none
(cd "$scratch" && disk move vda new.img --format raw) && disk_says "$vm/vda: moved to $scratch/new.img" &&
	says "vda: moved from .*disk.img to $scratch/new.img; write to the configuration: path = $scratch/new.img, format = raw\$" &&
	cmp "$scratch/disk.img" "$scratch/new.img"
report "a disk is moved to a new file"
runs vda && "$bulkhead" ps "$vm" | grep -Eq "/vda .* $scratch/new.img\$" &&
	[ "$(direct_of vda)" = "$(direct_of vdb)" ]
report "and that is what its process has now, with O_DIRECT as the old one"
disk move vda "$scratch/new.img"
[ $? -eq 1 ] && disk_says "new.img: exists already; a disk is moved to a new file" &&
	cmp "$scratch/disk.img" "$scratch/new.img"
report "a file that exists is left alone"
disk move vda "$scratch/none/new.img"
[ $? -eq 1 ] && disk_says "No such file or directory"
report "a folder that is not there"
disk move vda "$scratch/x" --format vmdk
[ $? -eq 1 ] && disk_says "vda: the formats are raw and qcow2" && [ ! -e "$scratch/x" ]
report "a format that is not there"
disk cancel vda
[ $? -eq 1 ] && disk_says "vda is not being moved"
report "nothing to cancel"
# A disk so large that its copy is under way for a while.
disk resize vdb 256G && runs vdb
report "a large disk"
is_moving() {
	local tries=0
	until "$bulkhead" ps "$vm" | grep -Eq "/vdb +blk +moving "; do
		tries=$((tries + 1))
		[ "$tries" -lt 250 ] || return 1
		sleep 0.02
	done
}
"$bulkhead" device "$vm" move vdb "$scratch/big.img" >"$scratch/move" 2>&1 &
mover=$!
is_moving && disk resize vdb 512G
[ $? -eq 1 ] && disk_says "vdb: not while it is being moved"
report "one thing at a time"
old=$(process_of vdb)
kill -KILL "$old" && runs_again vdb "$old" && is_moving
report "its process is killed, and the next one copies anew"
disk cancel vdb && disk_says "vdb: cancelled; the disk stays at .*second.img"
report "it is cancelled"
wait "$mover"
[ $? -eq 1 ] && grep -q "vdb: cancelled" "$scratch/move" && [ ! -e "$scratch/big.img" ]
report "who looked on is told, and the copy is gone"
runs vdb && "$bulkhead" ps "$vm" | grep -Eq "/vdb .* .*second.img$"
report "the disk is where it was"
"$bulkhead" device "$vm" move vdb "$scratch/big.img" >"$scratch/move" 2>&1 &
mover=$!
is_moving
report "moving again, as the VM ends"
"$bulkhead" kill "$vm" >/dev/null
ended 7 && nothing_left
report "nothing is left"
wait "$mover"
[ ! -e "$scratch/big.img" ] && says "vdb: move ended with the guest; the disk stays at .*second.img"
report "and no half copy"

# --- a guest without room: it reads, writes, flushes, reads, powers off ---------
# It waits for a second or two only; what is held for longer: wire/test_hold.c.
cp "$build/tests/guest/virtio_blk.guest" "$scratch/kernel"
# held: the log has told that vda is held
held() {
	local tries=0
	until grep -q "the disk is held until" "$scratch/err"; do
		tries=$((tries + 1))
		[ "$tries" -lt 250 ] || return 1
		sleep 0.02
	done
}
start_vm --set vm.cmdline=off --set "blk vda.on_error=hold" \
	--set "blk vda.queues=1" --set "fault.vda=enospc op=write"
held && says 'vda: a write at byte 4096 failed: No space left on device; the disk is held' &&
	"$bulkhead" ps "$vm" | grep -Eq "vda +blk +held " &&
	"$bulkhead" events "$vm" | grep "\"held\"" | grep -q "write at byte 4096: No space left"
report "a disk without room is held"
"$bulkhead" fault "$vm" --clear >/dev/null && disk resume vda && disk_says "$vm/vda: resumed" &&
	ended 0 && grep -q "^write=0" "$scratch/out" && grep -q "^again=0" "$scratch/out"
report "with room it goes on, and the guest saw no error"
nothing_left
report "nothing is left of it"
finish
