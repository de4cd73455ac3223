#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bulkhead device NAME move, from each format to each, under a guest that writes
# all the time and reads back what it wrote; cancelled, killed, without room.
# What is in both files to the last byte is wire/test_move_formats.c's to say.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! qemu-img --version >/dev/null 2>&1; then
	skip "a running disk is moved" "no qemu-img; install qemu-utils"
	finish
fi
if ! kvm_works; then
	skip "a running disk is moved" "/dev/kvm cannot be used"
	finish
fi
# shellcheck source=tests/cli/storm_lib.sh
. "$(dirname "$0")/storm_lib.sh"
cd "$scratch" || exit 1
STORM_BYTES=131072	# what the guest writes to; all behind it stays
truncate -s 24M disk.img
dd if=/dev/urandom of=disk.img bs=1M seek=2 count=9 conv=notrunc status=none
dd if=/dev/urandom of=disk.img bs=1M seek=20 count=2 conv=notrunc status=none
cp --sparse=always disk.img before.img
truncate -s 64G large.img
cat >>vm.conf <<-CONF
	[blk vdb]
	path = large.img
CONF

# move STATUS WORD...: and what it prints, one line, in answer
move() {
	local want=$1 status
	shift
	"$bulkhead" device "$vm" move "$@" >answer 2>&1
	status=$?
	[ $status -eq "$want" ] && [ "$(wc -l <answer)" -eq 1 ] && return
	sed "s/^/# status $status: /" answer
	return 1
}
# holds FILE FORMAT: the image is sound, and has what the guest never wrote to
holds() {
	[ "$2" = raw ] || qemu-img check -q -U -f "$2" "$1" || return
	qemu-img convert -U -f "$2" -O raw "$1" judged &&
		cmp -i "$STORM_BYTES" before.img judged
}
# files_of DISK: how many of ours its process was born with, beside the image
files_of() {
	local fd nr=0
	for fd in "/proc/$(pgrep -f "^bulkhead: $vm/$1 \\[blk\\]")"/fd/*; do
		case $(readlink "$fd") in "$scratch"/*) nr=$((nr + 1)) ;; esac
	done
	echo $((nr - 1))
}
# moves OLD FORMAT NEW FORMAT OPTION...: it does, and OLD is whole; its process has
# $others files beside the new one
moves() {
	local old=$1 from=$2 new=$3 to=$4
	shift 4
	move 0 vda "$new" "$@" && answer_says "^$vm/vda: moved to $scratch/$new\$" &&
		is_on "$scratch/$new" && goes_on && holds "$old" "$from" &&
		says "vda: moved from .*$old to .*; write to the configuration: path = $scratch/$new, format = $to(, and no backing)?\$" &&
		[ "$(files_of vda)" -eq "${others:-0}" ]
}

start_storm
report "a guest storms"
moves disk.img raw one.qcow2 qcow2 --format qcow2
report "raw to qcow2"
kill -9 "$(pgrep -f "^bulkhead: $vm/vda \\[blk\\]")" && goes_on && is_on "$scratch/one.qcow2"
report "its process is killed: it stays with the new image, of the new format"
moves one.qcow2 qcow2 two.qcow2 qcow2
report "qcow2 to what it is, unless a format is said"
moves two.qcow2 qcow2 three.img raw --format=raw
report "qcow2 to raw"
moves three.img raw four.img raw
report "raw to raw"
moves four.img raw five.qcow2 qcow2 --format qcow2
report "raw to qcow2 again"
for top in six seven; do
	"$bulkhead" device "$vm" snapshot vda "$top.qcow2" >/dev/null && goes_on
	report "a snapshot of it"
done
[ "$(files_of vda)" -eq 2 ] && moves seven.qcow2 qcow2 eight.qcow2 qcow2 &&
	says "moved from .*seven.qcow2 to .*, and no backing\$" &&
	! qemu-img info -U eight.qcow2 | grep -q backing
report "a chain to one flat image: what was behind is let go of"
"$bulkhead" device "$vm" snapshot vda nine.qcow2 >/dev/null && goes_on &&
	moves nine.qcow2 qcow2 ten.img raw --format raw
report "a chain to raw"

# --- refused ---------------------------------------------------------------------
move 1 vda ten.img && answer_says "ten.img: exists already; a disk is moved to a new file" &&
	move 1 vda eight.qcow2 --format qcow2 && answer_says "exists already" && holds eight.qcow2 qcow2
report "to itself, or to a file that exists"
move 1 vda none/x --format qcow2 && answer_says "No such file"
report "to a folder that is not there"
move 1 vda x --format vmdk && answer_says "the formats are raw and qcow2" && [ ! -e x ]
report "to another format"
"$bulkhead" device "$vm" resize vda 64M --format raw 2>answer
[ $? -eq 2 ]
report "a format of what has none"
echo '{"version": 1, "command": "move", "device": "vda", "format": "raw"}' |
	"$talk" "$BULKHEAD_RUNTIME_DIR/$vm.sock" 300 >answer 2>&1
answer_says "format must be text, and of a path"
report "a format without a path"

# --- killed, cancelled --------------------------------------------------------------
bad=0 last=ten.img from=raw
# insist_on_move NAME: on a busy machine the kill may come before the command,
# which is then refused for as long as the disk has no process.
insist_on_move() {
	local tries

	for ((tries = 0; tries < 100; tries++)); do
		"$bulkhead" device "$vm" move vda "$1" --format qcow2 >answer 2>&1 && return
		grep -q 'not between two processes' answer || return 1
		sleep 0.05
	done
	return 1
}
for delay in 0 0.02 0.05 0.1 0.2; do
	insist_on_move "at$delay" &
	client=$!
	sleep "$delay"
	kill -9 "$(pgrep -f "^bulkhead: $vm/vda \\[blk\\]")" 2>/dev/null
	if ! wait "$client" || ! is_on "$scratch/at$delay" || ! goes_on || ! holds "$last" "$from"; then
		sed 's/^/# /' answer
		bad=1
	fi
	last=at$delay from=qcow2
done
[ $bad -eq 0 ]
report "its process is killed on the way: it is moved all the same"
# vdb_is STATE; a move of it is on its way for a while
vdb_is() {
	local tries=0
	until "$bulkhead" ps "$vm" | grep -Eq "/vdb +blk +$1 "; do
		tries=$((tries + 1))
		[ "$tries" -lt 250 ] || return 1
		sleep 0.02
	done
}
bad=0
for delay in 0 0.1 0.5; do
	for format in raw qcow2; do
		"$bulkhead" device "$vm" move vdb "large.$format" --format $format >answer 2>&1 &
		client=$!
		vdb_is moving || bad=1
		sleep "$delay"
		"$bulkhead" device "$vm" cancel vdb >cancelled 2>&1 || bad=1
		wait "$client" && bad=1
		answer_says "vdb: cancelled; the disk stays at .*large.img" || bad=1
		[ ! -e "large.$format" ] && vdb_is running || bad=1
	done
done
[ $bad -eq 0 ] && goes_on
report "cancelled, nothing is left of it"

# --- without room ---------------------------------------------------------------------
if [ "$(id -u)" -eq 0 ] && mkdir small && mount -t tmpfs -o size=3M none small 2>/dev/null; then
	trap 'umount -l "$scratch/small" 2>/dev/null; clean_up' EXIT
	for format in raw qcow2; do
		move 1 vda small/x --format $format &&
			answer_says "vda: to .*small/x failed: No space left on device; the disk stays at" &&
			[ ! -e small/x ] && is_on "$scratch/$last" && goes_on
		report "a file system without room for $format: the disk stays where it is"
	done
	umount small
else
	skip "a file system without room" "no right to mount a tmpfs"
fi

# --- the end ----------------------------------------------------------------------------
"$bulkhead" device "$vm" move vdb large.copy --format qcow2 >answer 2>&1 &
client=$!
vdb_is moving
report "moving, as the supervisor is killed"
kill -9 "$supervisor"
wait "$supervisor" "$client" 2>/dev/null
nothing_left_of_processes() {
	local tries=0
	while pgrep -f "^bulkhead: $vm" >/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 250 ] || return 1
		sleep 0.02
	done
}
nothing_left_of_processes && "$bulkhead" disk check --repair "$last" >/dev/null && holds "$last" qcow2
report "the old image is whole"
cmp -s -n 1048576 large.img /dev/zero && [ "$(stat -c %s large.img)" -eq 68719476736 ] && rm -f large.copy
report "and so is the one that was being moved"
truncate -s 1M large.img
start_storm --set "blk vda.path=$scratch/$last" --set "blk vda.format=qcow2"
report "the next run goes on with it"
calm && nothing_left
report "the guest saw nothing of it"

# --- with a record, with limits and faults ------------------------------------------------
cp --sparse=always before.img recorded.img
start_storm --set "blk vda.path=$scratch/recorded.img" --set "blk vda.record=$scratch/record" \
	--set "blk vda.throttle=iops=400" --set "fault.vda=delay=1 op=write"
report "a disk with a record, a limit and a fault"
move 1 vda x --format qcow2 && answer_says "vda: not with a record, which is of the file" && [ ! -e x ]
report "the record keeps it in its format"
others=1 moves recorded.img raw moved.img raw
report "raw to raw it is moved"
"$bulkhead" device "$vm" throttle vda >answer && answer_says "throttle: iops=400" &&
	"$bulkhead" fault "$vm" --list >answer && answer_says "vda .* delay=1 op=write"
report "limit and fault go with it"
before=$("$bulkhead" replay record --list | wc -l)
goes_on && [ "$("$bulkhead" replay record --list | wc -l)" -gt "$before" ] && calm
report "and the record goes on"
nr=$("$bulkhead" replay record --list | grep -c '^flush')
"$bulkhead" replay record --at "$nr" --base before.img --out cut.img >/dev/null &&
	cmp -i "$STORM_BYTES" moved.img cut.img && holds moved.img raw
report "what a power cut would have left is as the new file"
finish
