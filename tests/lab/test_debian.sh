#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A full Debian 12 (systemd, ext4 root on /dev/vda, its own kernel and initrd)
# with 2 and with 1 vCPU: login, fio --verify, the processes' jails, strace on
# all of them, power off from inside and by the power button, e2fsck.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${BULKHEAD_BUILD:-$(realpath "$here/../../build")}
export BUILD=$build
image=$build/lab/debian.img

"$here/mkdebian" "$image" || {
	echo "1..1"
	echo "not ok 1 - the Debian image was built"
	exit 1
}
disk=$build/lab/debian-test.img
trap 'rm -f "$disk"' EXIT
cp --sparse=always "$image" "$disk"

"$here/lab" -q -m 3072 -t 1000 -d "$disk" -- \
	"$here/debian-in-lab" "$build" "$image"
status=$?

# The plan counts these two; debian-in-lab prints the rest of it.
if [ "$status" -eq 0 ]; then
	echo "ok - the lab ran all of it"
else
	echo "not ok - the lab ran all of it (status $status)"
fi
if e2fsck -fn "$disk" >"$build/lab/e2fsck.log" 2>&1; then
	echo "ok - e2fsck finds nothing to mend after both runs"
else
	cat "$build/lab/e2fsck.log"
	echo "not ok - e2fsck finds nothing to mend after both runs"
fi
echo "1..26"
