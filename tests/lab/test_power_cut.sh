#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The example of docs/POWER-CUT.md with fewer rounds and fewer cuts.
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../../examples/power-cut/run" \
	"${BULKHEAD_BUILD:-$here/../../build}" 40 40
