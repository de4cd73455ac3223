#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# QEMU as a foreign front-end: a Debian under plain QEMU TCG has its root disk
# from bulkhead-blk (vhost-user-blk-pci), logs in and runs fio --verify on it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${BULKHEAD_BUILD:-$(realpath "$here/../../build")}
export BUILD=$build
image=$build/lab/debian.img
# shellcheck source-path=SCRIPTDIR source=guest-lib
. "$here/guest-lib"

echo "1..5"
"$here/mkdebian" "$image" || {
	echo "Bail out! no Debian image"
	exit 1
}
vm_dir=$(mktemp -d)
disk=$build/lab/debian-qemu-test.img
vm_output=$vm_dir/output vm_log=$vm_dir/log vm_seen=0
backend=
cleanup() {
	[ -z "$backend" ] || kill "$backend" 2>/dev/null
	rm -f "$disk"
	vm_cleanup
}
trap cleanup EXIT
cp --sparse=always "$image" "$disk"

"$build/bulkhead-blk" --socket-path="$vm_dir/blk.sock" --blk-file="$disk" \
	--num-queues=2 2>"$vm_dir/blk.log" &
backend=$!
for _ in $(seq 50); do
	[ -S "$vm_dir/blk.sock" ] && break
	sleep 0.1
done

mkfifo "$vm_dir/input"
exec {vm_input}<>"$vm_dir/input"
timeout 400 qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max -smp 2 \
	-m 1024 -nodefaults -no-user-config -display none -no-reboot \
	-kernel "$image.vmlinuz" -initrd "$image.initrd" \
	-append "root=/dev/vda console=ttyS0 quiet mitigations=off panic=-1" \
	-object memory-backend-memfd,id=ram,size=1024M,share=on \
	-numa node,memdev=ram -serial stdio \
	-chardev "socket,id=blk,path=$vm_dir/blk.sock" \
	-device vhost-user-blk-pci,chardev=blk,num-queues=2 \
	<&"$vm_input" >"$vm_output" 2>"$vm_log" &
vm_pid=$!

fio_verify="fio --name=v --filename=/root/fio.dat --size=32M --rw=randwrite"
fio_verify+=" --eta=never --bs=4k --ioengine=libaio --iodepth=32 --direct=1"
fio_verify+=" --numjobs=1 --verify=crc32c --verify_fatal=1 --output=/root/log"
image_is_clean() { e2fsck -fn "$disk" >"$vm_dir/fsck" 2>&1; }
ends() { vm_type poweroff; vm_wait_end 120; }

check "a Debian under QEMU boots from bulkhead-blk" vm_log_in 200
check "fio --verify finds every block as it was written" \
	vm_shell 150 "$fio_verify"
check "the guest's kernel saw no I/O error" \
	vm_shell 20 "! dmesg | grep -i 'i/o error'"
check "QEMU ends with status 0" ends
check "e2fsck is content" image_is_clean
