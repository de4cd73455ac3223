#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# record = FILE and bulkhead replay, from a guest's writes to images of a cut.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# usage NAME ARG...: exit status 2 and one line
usage() {
	local name=$1
	shift
	"$bulkhead" replay "$@" >"$scratch/out" 2>"$scratch/err"
	[ $? -eq 2 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ]
	report "$name"
}
usage "replay without a record" --list
usage "replay that is not told what to do" record
usage "replay that is told two things" record --list --every-flush
usage "replay without --out" record --at 1
usage "a flush that is no number" record --at x --out y
usage "sectors of no size that disks have" record --random 1 --sector 1000 --out y
usage "too many cuts" record --random 1000000 --out y
"$bulkhead" replay "$scratch/none" --list 2>"$scratch/err"
[ $? -eq 1 ] && says 'none: cannot read it: No such file'
report "a record that is not there"
echo hello >"$scratch/text"
"$bulkhead" replay "$scratch/text" --list 2>"$scratch/err"
[ $? -eq 1 ] && says 'not a record of a disk'
report "a file that is no record"

if ! kvm_works; then
	skip "the record of a guest" "no usable /dev/kvm"
	finish
fi
make_files
cp "$build/tests/guest/virtio_blk.guest" "$scratch/kernel"
printf '[blk vda]\npath = disk.img\nrecord = disk.record\n' >>"$scratch/vm.conf"
head -c 1M /dev/urandom >"$scratch/disk.img"
cp "$scratch/disk.img" "$scratch/before.img"
run_vm --set vm.cmdline=off && says 'powered off'
report "a guest runs with a record"
"$bulkhead" replay "$scratch/disk.record" --list >"$scratch/out" &&
	grep -qx 'disk 1048576 bytes, 3 entries, 2 flushes' "$scratch/out" &&
	grep -qx 'flush 1 after 1 writes' "$scratch/out"
report "--list: this driver takes no FLUSH, so its write is one, too"
"$bulkhead" replay "$scratch/disk.record" --at 0 --out "$scratch/cut.img" \
	--base "$scratch/before.img" >"$scratch/out" &&
	cmp -s "$scratch/cut.img" "$scratch/before.img" &&
	grep -q 'flush 0 of 2; of what came after: 0 whole, 0 torn, 1 lost' "$scratch/out"
report "--at 0 is the disk as it was"
"$bulkhead" replay "$scratch/disk.record" --at 2 --out "$scratch/cut.img" \
	--base "$scratch/before.img" >/dev/null &&
	cmp -s "$scratch/cut.img" "$scratch/disk.img" &&
	! cmp -s "$scratch/disk.img" "$scratch/before.img"
report "--at the last flush is the disk as it is"
# The only write is of one sector: it is there, or it is not, by the seed.
for seed in 1 2 3 4 5 6 7 8; do
	"$bulkhead" replay "$scratch/disk.record" --at 0 --seed "$seed" \
		--out "$scratch/cut.img" --base "$scratch/before.img"
done >"$scratch/out" &&
	grep -q 'flush 0 of 2; of what came after: 1 whole' "$scratch/out" &&
	grep -q 'flush 0 of 2; of what came after: 0 whole, 0 torn, 1 lost' "$scratch/out"
report "--at with --seed has some of what came later"
"$bulkhead" replay "$scratch/disk.record" --every-flush --out "$scratch/cut.img" \
	--base "$scratch/before.img" >/dev/null &&
	cmp -s "$scratch/cut.img.1" "$scratch/disk.img" && [ ! -e "$scratch/cut.img.3" ]
report "--every-flush"
"$bulkhead" replay "$scratch/disk.record" --random 5 --seed 3 --out "$scratch/a" >"$scratch/out" &&
	"$bulkhead" replay "$scratch/disk.record" --random 5 --seed 3 --out "$scratch/b" >/dev/null &&
	[ "$(wc -l <"$scratch/out")" -eq 5 ] &&
	for n in 1 2 3 4 5; do cmp "$scratch/a.$n" "$scratch/b.$n" || break; done
report "--random makes the same images of the same seed"
"$bulkhead" replay "$scratch/disk.record" --at 3 --out "$scratch/cut.img" 2>"$scratch/err"
[ $? -eq 1 ] && says 'there is no flush 3, the last one is 2'
report "a flush that is not there"
run_vm --set vm.cmdline=off
[ $? -eq 1 ] && says 'vm.conf:[0-9]+: record = .*: exists already; .*move the old one away' &&
	nothing_left
report "a record is not overwritten"
run_vm --set vm.cmdline=off --set "blk vda.record=/dev/null"
[ $? -eq 1 ] && says 'record = /dev/null: not a regular file'
report "a record must be a file"
finish
