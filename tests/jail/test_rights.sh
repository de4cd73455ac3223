#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/RIGHTS.md is what the policies say, and what the policies say is in
# force in every thread of a running VM: its filters are read back from the
# kernel.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"

"$source/tests/jail/rights" "$build" >"$scratch/RIGHTS.md"
name="docs/RIGHTS.md is what the policies say"
if cmp -s "$source/docs/RIGHTS.md" "$scratch/RIGHTS.md"; then
	true
	report "$name"
else
	skip "$name" "a policy has changed since: make rights"
fi

if ! kvm_works; then
	skip "filters of a running VM" "no usable /dev/kvm"
	finish
fi
if [ "$(id -u)" -ne 0 ]; then
	skip "filters of a running VM" "only root gets them back from the kernel"
	finish
fi
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[console]
	connect = null
	[rng]
	[blk vda]
	path = disk.img
CONF
sed -i 's/^connect = terminal/connect = null/' "$scratch/vm.conf"
start_vm
report "a VM with six processes"
for role in core blk console rng serial; do
	said=$("$build/tests/jail/show_filter" "$(process "$role")" "$role")
	case $? in
	0) report "$role: the filter in each of its threads is the compiled policy, and the only one" ;;
	2) skip "$role: its filter" "${said:-no answer}" ;;
	*) false; report "$role: $said" ;;
	esac
done
for role in core blk console rng serial; do
	said=$("$build/tests/jail/show_jail" "$(process "$role")")
	report "$role:${said#*:}"
done
"$bulkhead" kill "$vm" >/dev/null 2>&1
wait "$supervisor"
nothing_left
report "nothing is left"
finish
