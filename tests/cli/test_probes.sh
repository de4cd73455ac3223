#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The USDT probes in the programs are those that bulkhead(1), PROBES, lists.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

listed=$(sed -n '/^\.Sh PROBES/,/^\.Ed/p' "$source/docs/bulkhead.1" | grep '^bulkhead')
[ "$(wc -l <<<"$listed")" -eq 6 ]
report "the manual lists six programs"
while read -r program names; do
	found=$(readelf -n "$build/$program" 2>/dev/null | grep -A 1 'Provider: bulkhead' |
		sed -n 's/^ *Name: //p' | sort -u | tr '\n' ' ')
	[ "${found% }" = "$names" ] || {
		echo "# found: $found"
		false
	}
	report "$program: $names"
done <<<"$listed"
finish
