#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cgroups: a leaf for each process, from before its birth; its successors in
# the same one; nothing left, also after a supervisor that was killed.  Limits:
# test_limits.sh.
# shellcheck source=tests/cli/cgroup_lib.sh
. "$(dirname "$0")/cgroup_lib.sh"

refused "a weight that is none" 2 'cpu_weight = 0: expected' --set core.cpu_weight=0
refused "a share without %" 2 'cpu_max = 2: expected' --set core.cpu_max=2
refused "a size without a unit" 2 'memory_max = 64: expected' --set 'blk vda.memory_max=64'
refused "a rate that is none" 2 'io_max = rbps=1Mwiops: expected' --set 'blk vda.io_max=rbps=1Mwiops'
refused "a cgroup that is no path" 2 'cgroup = here: expected' --set vm.cgroup=here
refused "the rng does no I/O" 2 "unknown key 'io_max' in \[rng\]" --set rng.io_max=riops=1

needs_cgroup2 "leaves"

start_vm && [ "$(leaf core) $(leaf serial) $(leaf rng) $(leaf blk)" = "core serial rng vda" ]
report "each process is in the leaf of its name"
[ "$(find "$own/bulkhead-$vm" -mindepth 1 -type d -printf '%f\n' | sort | tr '\n' ' ')" = "core rng serial vda " ]
report "there are no others"
if [ -z "$(command -v systemd-cgls)" ]; then
	skip "systemd-cgls shows devices by name" "systemd is not installed"
else
	systemd-cgls --no-pager --full "$own/bulkhead-$vm" >"$scratch/cgls" 2>&1
	if ! grep -q "bulkhead: $vm/vda \[blk\]" "$scratch/cgls"; then
		sed "s/^/# /" "$scratch/cgls"
	fi
	grep -q "─vda" "$scratch/cgls"
	report "systemd-cgls shows devices by name"
fi
before=$(process blk)
kill -9 "$before"
for ((i = 0; i < 200; i++)); do
	after=$(process blk)
	[ -n "$after" ] && [ "$after" != "$before" ] && break
	sleep 0.02
done
[ "$after" != "$before" ] && [ "$(leaf blk)" = vda ]
report "a reborn device is in the leaf of its predecessor"
truncate -s 1M "$scratch/other.img"
run_vm --set "vm.name=${vm}b" --set "vm.cgroup=$own/bulkhead-$vm" \
	--set "blk vda.path=$scratch/other.img"
[ $? -eq 1 ] && grep -q "bulkhead-$vm is in use by another VM" "$scratch/err" &&
	[ "$(leaf blk)" = vda ]
report "another VM cannot have the folder of one that runs"
"$bulkhead" kill "$vm"
ended 7
gone
report "after the VM its folder is gone"

start_vm
kill -9 "$supervisor"
wait "$supervisor" 2>/dev/null
for ((i = 0; i < 100; i++)); do
	pgrep -f "^bulkhead: $vm" >/dev/null || break
	sleep 0.02
done
[ -d "$own/bulkhead-$vm/vda" ]
report "a supervisor that is killed leaves its leaves"
start_vm && [ "$(leaf blk)" = vda ] && "$bulkhead" kill "$vm"
ended 7
gone
report "the next takes them over, and removes them"
# As in the moment after that kill: what was there takes its time to die.
mkdir -p "$own/bulkhead-$vm/vda"
sleep 1 &
echo $! >"$own/bulkhead-$vm/vda/cgroup.procs"
start_vm && [ "$(leaf blk)" = vda ] && "$bulkhead" kill "$vm"
ended 7
gone
report "and waits for what is still dying there"

mkdir "$unit/vm"
start_vm --set "vm.cgroup=$unit/vm" && [ "$(grep -c . "$unit/vm/vda/cgroup.procs")" -eq 1 ] &&
	"$bulkhead" kill "$vm"
ended 7 && [ -d "$unit/vm" ] && [ ! -d "$unit/vm/vda" ] && rmdir "$unit/vm"
report "a folder of the user's choice is used and left as it was"
refused "a folder elsewhere" 1 'none of cgroup2' --set "vm.cgroup=$scratch/vm"

finish
