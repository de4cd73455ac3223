#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/cli/test_limits.sh where cgroup2 has its controllers: in the lab.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${BULKHEAD_BUILD:-$(realpath "$here/../../build")}
export BUILD=$build

if ! "$here/prepare"; then
	echo "1..1"
	echo "not ok 1 - the lab was prepared"
	exit 1
fi
exec "$here/again" -q -c 1 -m 2048 -s 32 -t 240 -- env "BULKHEAD_BUILD=$build" \
	bash "$here/../cli/test_limits.sh"
