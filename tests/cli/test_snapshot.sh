#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bulkhead device NAME snapshot: under a guest that writes all the time and reads
# back what it wrote, with kills in the middle.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! qemu-img --version >/dev/null 2>&1; then
	skip "snapshots of a running disk" "no qemu-img; install qemu-utils"
	finish
fi
if ! kvm_works; then
	skip "snapshots of a running disk" "/dev/kvm cannot be used"
	finish
fi
# shellcheck source=tests/cli/storm_lib.sh
. "$(dirname "$0")/storm_lib.sh"

# snapshot STATUS DISK FILE: and what it prints, in answer
snapshot() {
	local want=$1 status
	shift
	"$bulkhead" device "$vm" snapshot "$@" >"$scratch/answer" 2>&1
	status=$?
	[ $status -eq "$want" ] && [ "$(wc -l <"$scratch/answer")" -eq 1 ] && return
	sed "s/^/# status $status: /" "$scratch/answer"
	return 1
}
# whole FILE: lost clusters at most, also while it is locked for reading
whole() {
	"$bulkhead" disk check "$1" >"$scratch/judge" 2>&1
	grep -q 'clusters of data' "$scratch/judge" &&
		! grep -q 'make no sense\|not counted so' "$scratch/judge" && return
	sed 's/^/# /' "$scratch/judge"
	return 1
}

start_storm
report "a guest storms"
cd "$scratch" || exit 1

# What a process says that was taken over: its disk of 1 MiB (an aligned word of
# its statistics page) has 1 TiB, which its guest could then fill.
name="a process that says that its disk is larger than its image"
if [ "$(id -u)" -eq 0 ]; then
	page=/proc/$(process blk)/fd/5
	at=$(grep -obUaP '\x00\x00\x10\x00\x00\x00\x00\x00' "$page" |
		awk -F: '$1 % 8 == 0 { print $1; exit }')
	printf '\0\0\0\0\0\1\0\0' | dd of="$page" bs=1 seek="${at:-none}" conv=notrunc status=none
	snapshot 1 vda larger && answer_says "does not say how large it is" && [ ! -e larger ]
	report "$name"
	kill -9 "$(process blk)" && goes_on
	report "the next one says the truth"
else
	skip "$name" "only root may write to what another uid's process maps"
fi
snapshot 0 vda one && answer_says "^$vm/vda: the disk is $scratch/one now\$" &&
	is_on "$scratch/one" && goes_on &&
	says "write to the configuration: path = $scratch/one, format = qcow2, backing = $scratch/disk.img:raw\$" &&
	"$bulkhead" events "$vm" | grep '"snapshot"' | grep -q "$scratch/one"
report "a snapshot of a raw disk"
sha256sum disk.img >sums
kill -9 "$(process blk)" && goes_on && is_on "$scratch/one"
report "its process is killed: it stays with the new image"
snapshot 0 vda two && is_on "$scratch/two" && goes_on &&
	"$bulkhead" disk info --chain "$scratch/two" 2>answer
[ $? -eq 1 ] && answer_says "in use by process"
report "a snapshot of a snapshot"
sha256sum one >>sums
whole one && "$bulkhead" disk info one | grep -q "^backing file, .*: $scratch/disk.img, format raw" &&
	[ "$(grep -c . sums)" -eq 2 ]
report "what is behind it is whole"

# --- kills in the middle --------------------------------------------------------------
last=two bad=0 before=0 after=0
for delay in 0 0.005 0.01 0.02 0.05; do
	"$bulkhead" device "$vm" snapshot vda "next$delay" >answer 2>&1 &
	client=$!
	sleep "$delay"
	kill -9 "$(process blk)" 2>/dev/null
	if wait "$client"; then
		after=$((after + 1))
		sha256sum "$last" >>sums
		last=next$delay
	elif [ -e "next$delay" ]; then
		echo "# next$delay is left behind"
		bad=1
	else
		before=$((before + 1))
	fi
	goes_on && is_on "$scratch/$last" || bad=1
done
echo "# killed on the way: $before stayed, $after changed over"
[ $bad -eq 0 ]
report "killed on the way, it is before or after"

# A process that does not finish is killed at its deadline: the disk stays.
old=$(process blk)
kill -STOP "$old"
snapshot 1 vda never && answer_says 'none taken: its process died on the way; the disk stays at' &&
	[ ! -e never ] && goes_on && is_on "$scratch/$last" &&
	"$bulkhead" events "$vm" | grep -q '"no-snapshot"'
report "a process that hangs: none is taken"

# --- refused -----------------------------------------------------------------------------
snapshot 1 vda one && answer_says 'one: exists already' && whole one
report "a file that exists is left alone"
snapshot 1 vda none/x && answer_says 'No such file'
report "a folder that is not there"
snapshot 1 rng x && answer_says 'rng is no disk'
report "no disk"
snapshot 2 vda
report "no file"
"$bulkhead" device "$vm" resize vda 2M >answer 2>&1
[ $? -eq 1 ] && answer_says 'not with format = qcow2'
report "it is not resized any more"
calm && nothing_left
report "the guest saw nothing of it"

# --- afterwards -----------------------------------------------------------------------------
sha256sum --quiet -c sums && qemu-img check -q -f qcow2 "$last"
report "what was behind it is as it was"
"$bulkhead" disk info --chain "$scratch/$last" >chain
set -- --set "blk vda.path=$scratch/$last"
while IFS= read -r line; do
	set -- "$@" --set "blk vda.${line/ = /=}"
done <chain
start_storm "$@" && calm
report "and the next run goes on with it"
truncate -s 1M other.img
start_storm --set "blk vda.path=$scratch/other.img" --set "blk vda.record=$scratch/record" &&
	snapshot 1 vda x && answer_says 'not with a record' && [ ! -e x ] && calm && nothing_left
report "a disk with a record"
finish
