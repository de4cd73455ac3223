#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A VM with a qcow2 disk: its chain in the configuration, the device in its real
# jail, killed and born again.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! qemu-img --version >/dev/null 2>&1; then
	skip "a VM with a qcow2 disk" "no qemu-img; install qemu-utils"
	finish
fi
make_files
truncate -s 1M "$scratch/base.raw"
(cd "$scratch" && qemu-img create -q -f qcow2 -b base.raw -F raw mid &&
	qemu-img create -q -f qcow2 -b mid -F qcow2 overlay &&
	qemu-img create -q -f qcow2 lonely 1M)
cat >>"$scratch/vm.conf" <<-CONF
	[blk vda]
	path = overlay
	format = qcow2
	backing = mid:qcow2, base.raw:raw
CONF

# refuses NAME PATTERN SET...
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
"$bulkhead" check "$scratch/vm.conf" | grep -q "blk vda: backing $scratch/base.raw:raw"
report "check prints the chain"
refuses "an unknown format" "expected raw or qcow2" "blk vda.format=vmdk"
refuses "a backing file without a format" "expected FILE:FORMAT" "blk vda.backing=mid"
refuses "a raw image with something behind it" "'backing', which is for" "blk vda.format=raw"

if ! kvm_works; then
	skip "a running VM" "/dev/kvm cannot be used"
	finish
fi
! run_vm --set "blk vda.path=$scratch/lonely" &&
	says "it has no backing file, and 'backing' names one"
report "a chain that is not the image's: the device says so"
run_vm --set "blk vda.backing=$scratch/missing:raw"
[ $? -eq 1 ] && says 'missing: cannot open it'
report "a backing file that is missing"
# io_uring lets go of an image, and of its lock, some time after its process.
is_whole() {
	for ((i = 0; i < 50; i++)); do
		qemu-img check -q -f qcow2 "$scratch/overlay" 2>"$scratch/judge" &&
			return
		grep -q 'Failed to lock' "$scratch/judge" || break
		sleep 0.1
	done
	sed 's/^/# /' "$scratch/judge"
	return 1
}
# Its driver writes, flushes, reads back and compares.
run_vm --set "vm.kernel=$build/tests/guest/virtio_blk.guest" &&
	grep -q '^same=1' "$scratch/out" && ! grep -q '^same=0' "$scratch/out" &&
	grep -q '^done' "$scratch/out" && nothing_left &&
	is_whole &&
	! qemu-img compare -q -f qcow2 -F qcow2 "$scratch/overlay" "$scratch/mid"
report "a guest writes to it and reads back"
# The same with a record: replayed as a whole, it is the image.
cp "$scratch/overlay" "$scratch/before" &&
	run_vm --set "vm.kernel=$build/tests/guest/virtio_blk.guest" --set "blk vda.record=$scratch/record" &&
	"$bulkhead" replay "$scratch/record" --every-flush --base "$scratch/before" --out "$scratch/cut" >"$scratch/cuts" &&
	last=$(sed -n '$s/:.*//p' "$scratch/cuts") && is_whole &&
	qemu-img compare -q -f qcow2 -F qcow2 "$scratch/overlay" "$last"
report "its record is the image"
# shellcheck disable=SC2317	# within calls it
born_again() {
	local now
	now=$(process blk) && [ "$now" != "$old" ]
}
start_vm &&
	"$bulkhead" device "$vm" restart vda >/dev/null 2>&1 &&
	old=$(process blk) && kill -9 "$old" && within 10 born_again
report "started, restarted, killed and born again"
"$bulkhead" disk check --repair "$scratch/mid" >"$scratch/disk" 2>&1
[ $? -eq 1 ] && grep -q 'in use by process' "$scratch/disk"
report "what is behind the disk cannot be changed meanwhile"
"$bulkhead" kill "$vm" >/dev/null
ended 7 && nothing_left
report "nothing is left"
is_whole
report "the image is whole"
finish
