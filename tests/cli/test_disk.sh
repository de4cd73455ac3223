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

start_vm --set "blk vda.throttle=iops=500 iops_burst=900" \
	--set "blk vda.throttle_group=slow" --set "blk vdb.throttle_group=slow"
throttle_is vda 'iops=500 iops_burst=900 burst_length=1; group slow' &&
	throttle_is vdb 'iops=500 iops_burst=900 burst_length=1; group slow' &&
	disk_says 'requests delayed: 0, by 0.000 s in all; waiting: 0'
report "limits of the configuration, for all of a group"
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
"$bulkhead" kill "$vm" >/dev/null
ended 7 && nothing_left
report "nothing is left"

# --- a guest without room: it reads, writes, flushes, reads, powers off ---------
cp "$build/tests/guest/virtio_blk.guest" "$scratch/kernel"
# held NR: the log has told so often that vda is held
held() {
	local tries=0
	until [ "$(grep -c "the disk is held until" "$scratch/err")" -eq "$1" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 250 ] || return 1
		sleep 0.02
	done
}
start_vm --set vm.cmdline=off --set "blk vda.on_error=hold" \
	--set "blk vda.queues=1" --set "fault.vda=enospc op=write"
held 1 && says 'vda: a write at byte 4096 failed: No space left on device; the disk is held' &&
	"$bulkhead" ps "$vm" | grep -Eq "vda +blk +held "
report "a disk without room is held"
disk resume vda && held 2
report "resumed without room it is held again"
disk restart vda && held 3
report "its next process finds no room either"
"$bulkhead" fault "$vm" --clear >/dev/null && disk resume vda && disk_says "$vm/vda: resumed" &&
	ended 0 && grep -q "^write=0" "$scratch/out" && grep -q "^again=0" "$scratch/out"
report "with room it goes on, and the guest saw no error"
nothing_left
report "nothing is left of it"
finish
