#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bulkhead disk: images made, looked at, checked, put right and grown, with
# qemu-img as the judge.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! qemu-img --version >/dev/null 2>&1; then
	skip "bulkhead disk" "no qemu-img; install qemu-utils"
	finish
fi
cd "$scratch" || exit 1

# disk STATUS ARGUMENT...: output in $scratch/out, $scratch/err
disk() {
	local want=$1
	shift
	"$bulkhead" disk "$@" >out 2>err
	local status=$?
	[ $status -eq "$want" ] && return
	echo "# disk $*: status $status, not $want"
	sed 's/^/# /' out err
	return 1
}
# virtual_size IMAGE: as QEMU has it
virtual_size() {
	qemu-img info -f qcow2 "$1" | sed -n 's/^virtual size:.*(\([0-9]*\) bytes)/\1/p'
}
one_line() {
	[ "$(wc -l <err)" -eq 1 ] && grep -Eq -- "$1" err && return
	sed 's/^/# /' err
	return 1
}

for size in 512 1M 100G; do
	for cluster in 512 4K 64K 2M; do
		[ "$size$cluster" = 100G512 ] && continue
		rm -f image
		disk 0 create image "$size" --cluster-size "$cluster" &&
			qemu-img check -q -f qcow2 image &&
			[ "$(virtual_size image)" -eq "$(numfmt --from=iec "$size")" ]
		report "create $size, clusters of $cluster"
	done
done
rm -f image
disk 1 create image 100G --cluster-size 512
one_line 'needs larger clusters' && [ ! -e image ]
report "a disk too large for its clusters"
disk 0 create image 1M && disk 1 create image 1M && one_line 'exists already'
report "an image that exists is left alone"
for wrong in 1000 0 9x -- 99999999999999999999; do
	disk 2 create new "$wrong" && one_line .
	report "size $wrong"
done

qemu-io -f qcow2 -c 'write -P 7 0 200k' image >/dev/null
disk 0 info image && grep -q '^disk: 1048576 bytes' out && grep -q '^marked: clean' out
report "info"
disk 0 check image && grep -q '4 clusters of data' out && grep -q clean out
report "check of a clean image"
# A cluster that is counted and lost; one in use that is not counted.
printf '\0\1' | dd of=image bs=1 seek=$((0x20000 + 2 * 20)) conv=notrunc status=none
disk 1 check image && grep -q '1 clusters are lost' out
report "check finds a lost cluster"
printf '\0\0' | dd of=image bs=1 seek=$((0x20000 + 2 * 5)) conv=notrunc status=none
disk 1 check image && grep -q '1 clusters are in use and not counted' out
report "check finds one that is not counted"
disk 0 check --repair image && grep -q repaired out &&
	qemu-img check -q -f qcow2 image && disk 0 check image && grep -q clean out
report "check --repair"
printf '\0\0\0\0\0\0\0\0' | dd of=image bs=1 seek=$((0x10000)) conv=notrunc status=none
disk 1 check image && disk 0 check --repair image &&
	qemu-img check -q -f qcow2 image &&
	qemu-io -f qcow2 -c 'read -P 7 0 200k' image >/dev/null
report "check --repair makes refcounts anew"

disk 0 snapshot image overlay && qemu-img check -q -f qcow2 overlay &&
	qemu-io -f qcow2 -c 'read -P 7 0 200k' overlay >/dev/null
report "snapshot: an empty image with the old one behind it"
truncate -s 1M base.raw
disk 0 create low 1M --backing base.raw:raw &&
	disk 0 create high 1M --backing low:qcow2 &&
	disk 0 info --chain high && grep -qx 'backing = low:qcow2, base.raw:raw' out
report "info --chain prints the line for [blk]"
disk 0 create loop 1M --backing loop:qcow2 && disk 1 info --chain loop && one_line 'a loop'
report "a chain that bites its tail"

for size in 2M 3G 200G; do
	disk 0 resize image "$size" && qemu-img check -q -f qcow2 image &&
		[ "$(virtual_size image)" -eq "$(numfmt --from=iec "$size")" ] &&
		qemu-io -f qcow2 -c 'read -P 7 0 200k' -c 'write -P 8 1M 64k' image >/dev/null
	report "resize to $size"
done
disk 1 resize image 1M && one_line 'only made larger'
report "resize to less"
qemu-img create -q -f qcow2 -o cluster_size=512 small 64K
disk 0 resize small 20M && qemu-img check -q -f qcow2 small
report "resize of an image that needs a longer L1 table and more refcounts"

for broken in /dev/null /dev/zero "$scratch" missing; do
	disk 1 info "$broken" && one_line .
	report "info $broken"
done
head -c 1M /dev/urandom >noise
disk 1 check noise && one_line 'is no qcow2 image'
report "no image"
qemu-img create -q -f qcow2 held 1M
"$build/bulkhead-blk" --socket-path="$scratch/s" --blk-file=held --format=qcow2 2>/dev/null &
blk=$!
within 10 sockets "$scratch/s" 1
disk 1 check --repair held && one_line "in use by process $blk"
report "an image in use is refused"
kill "$blk"
wait "$blk"
finish
