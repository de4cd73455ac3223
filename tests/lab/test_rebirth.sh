#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Device processes die under a Debian guest that works on them: fio with
# --verify, the serial port, the console, the entropy source.  The guest must
# not see an error, nor e2fsck.
# KILLS=200 STOPS=20 tests/lab/test_rebirth.sh   for the long run
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${BULKHEAD_BUILD:-$(realpath "$here/../../build")}
export BUILD=$build
cache=${LAB_CACHE:-$build/lab}
image=$cache/debian.img

"$here/mkdebian" "$image" || {
	echo "1..1"
	echo "not ok 1 - the Debian image was built"
	exit 1
}
disk=$(mktemp -p "$cache" rebirth.XXXXXX)
trap 'rm -f "$disk" "$disk.log"' EXIT
cp --sparse=always "$image" "$disk"

"$here/lab" -q -m 3072 -t 650 -d "$disk" -- \
	"$here/rebirth-in-lab" "$build" "$image" "${KILLS:-20}" "${STOPS:-2}"
status=$?

# The plan counts these two; rebirth-in-lab prints the rest of it.
if [ "$status" -eq 0 ]; then
	echo "ok - the lab ran all of it"
else
	echo "not ok - the lab ran all of it (status $status)"
fi
if e2fsck -fn "$disk" >"$disk.log" 2>&1; then
	echo "ok - e2fsck finds nothing to mend"
else
	cat "$disk.log"
	echo "not ok - e2fsck finds nothing to mend"
fi
echo "1..13"
