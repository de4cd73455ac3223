#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks under a Linux guest with fio: page cache, throttling, counting, resize, a move
# under fio --verify with a kill in the middle, an image that runs out of room, a
# disk in two processes.
# The guest has Debian's kernel and programs, but no systemd: it is up in
# seconds.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${BULKHEAD_BUILD:-$(realpath "$here/../../build")}
export BUILD=$build
cache=${LAB_CACHE:-$build/lab}
image=$cache/debian.img

mkdir -p "$cache"
work=$(mktemp -d -p "$cache" storage.XXXXXX)
trap 'rm -rf "$work"' EXIT
if ! "$here/mkdebian" "$image" || ! "$here/prepare" cloud ||
	! "$here/mkinitrd" "$here/storage-guest" "$work/initrd"; then
	echo "1..1"
	echo "not ok 1 - the guest was built"
	exit 1
fi

cp --sparse=always "$image" "$work/disk"

# The lab's own kernel may die under emulation (125, or 124 if it stands
# still): such a run is shown, and done again, once.
for try in 1 2; do
	"$here/lab" -q -c 1 -m 2048 -s 320 -t 400 -d "$work/disk" -- \
		"$here/storage-in-lab" "$build" "$cache/cloud/vmlinuz" \
		"$work/initrd" >"$work/tap" 2>&1
	status=$?
	case $status.$try in 125.1 | 124.1) ;; *) break ;; esac
	echo "# the lab's machine died in run $try, which said:"
	tail -n 40 "$work/tap" | cut -c1-160 | sed 's/^/#   /'
done
cat "$work/tap"
if [ "$status" -eq 0 ]; then
	echo "ok - the lab ran all of it"
else
	echo "not ok - the lab ran all of it (status $status)"
fi
echo "1..24"
