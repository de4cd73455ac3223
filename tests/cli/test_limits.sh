#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Limits of the processes of a VM are in force, where cgroup2 has controllers;
# without them each is refused, and the rest is skipped aloud.  In the lab, where
# there are some, this runs too (tests/lab/test_limits.sh).
# shellcheck source=tests/cli/cgroup_lib.sh
. "$(dirname "$0")/cgroup_lib.sh"
needs_cgroup2 "limits"
# It never sleeps, and writes and reads its disk as fast as that goes.
cp "$build/tests/guest/blk_storm.guest" "$scratch/kernel"

for name in memory cpu io; do
	grep -qw "$name" "$own/cgroup.controllers" || lacking=$name
done
if [ -n "${lacking:-}" ]; then
	for key in core.cpu_weight=50 core.memory_max=1G 'blk vda.io_weight=50'; do
		case $key in
		*cpu*) name=cpu ;; *memory*) name=memory ;; *) name=io ;;
		esac
		refused "no controller" 1 "has no '$name' controller; Delegate=yes" --set "$key"
	done
	skip "limits are in force" "no $lacking controller in $own"
	finish
fi

# As a service: a cgroup of its own, in which the supervisor is alone.
start_unit() {
	local tries=0
	: >"$scratch/err"
	bash -c 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"' bash "$unit" \
		"$bulkhead" run "$scratch/vm.conf" "$@" >"$scratch/out" \
		2>"$scratch/err" </dev/null &
	supervisor=$!
	until grep -q ': running' "$scratch/err"; do
		tries=$((tries + 1))
		if [ "$tries" -gt 1500 ] || ! kill -0 "$supervisor" 2>/dev/null; then
			sed 's/^/# /' "$scratch/err"
			return 1
		fi
		sleep 0.02
	done
}

start_unit --set core.cpu_max=20% --set core.memory_max=512M --set rng.cpu_weight=50 \
	--set 'blk vda.memory_max=64M'
at=$unit/bulkhead-$vm
[ "$(cat "$at/core/cpu.max" "$at/core/memory.max" "$at/rng/cpu.weight" "$at/vda/memory.max" | tr '\n' ' ')" = \
	"20000 100000 536870912 50 67108864 " ]
report "limits are what the sections say"
[ "$(cat "$at/vda/cpu.max" "$at/rng/memory.max" | tr '\n' ' ')" = "max 100000 max " ]
report "what has no limit has none"
[ "$(sed -n 's|^0::.*/||p' "/proc/$(process supervisor)/cgroup")" = supervisor ]
report "the supervisor made room: it is in a leaf too"
used() { sed -n 's/^usage_usec //p' "$at/core/cpu.stat"; }
now() { cut -d. -f1 <<<"${EPOCHREALTIME/./}."; }
used=$(used) now=$(now)
sleep 3
share=$((($(used) - used) * 100 / ($(now) - now)))
[ "$share" -ge 5 ] && [ "$share" -le 30 ]
report "cpu_max = 20% of a core that never sleeps: it has $share %"
"$bulkhead" kill "$vm"
ended 7
gone
report "after the VM its folder is gone"

# 32 MiB of initrd go into guest RAM, which is whose process filled it.
head -c 32M /dev/zero >"$scratch/initrd"
start_unit --set "vm.initrd=$scratch/initrd" --set core.memory_max=256M && "$bulkhead" kill "$vm"
ended 7
report "memory_max = 256M: a core that needs 32 MiB runs"
! start_unit --set "vm.initrd=$scratch/initrd" --set core.memory_max=8M >/dev/null &&
	says "core.*killed by SIGKILL"
report "memory_max = 8M: it is killed, and the VM says so"
wait "$supervisor"
gone && rmdir "$unit"
report "after the VM the unit is empty, and can be removed"

if [ -d /lab/scratch ]; then
	# Real blocks: a hole is not read from anywhere.
	dd if=/dev/urandom of=/lab/scratch/limited.img bs=1M count=1 conv=fsync status=none
	start_vm --set 'blk vda.path=/lab/scratch/limited.img' \
		--set 'blk vda.io_max=riops=40 wbps=1M' --set 'blk vda.io_weight=200'
	at=$own/bulkhead-$vm
	limit=$(cat "$at/vda/io.max")
	grep -Eqx '[0-9]+:[0-9]+ rbps=max wbps=1048576 riops=40 wiops=max' <<<"$limit"
	report "io_max is for the disk that the image lies on: $limit"
	reads() { sed -nE 's/.* rios=([0-9]+).*/\1/p' "$at/vda/io.stat" | head -n 1; }
	sleep 1
	before=$(reads) now=$(now)
	sleep 3
	after=$(reads)
	rate=$(((${after:-0} - ${before:-0}) * 1000000 / ($(now) - now)))
	[ "$rate" -ge 10 ] && [ "$rate" -le 48 ]
	report "riops=40 of a guest that wants thousands: $rate a second"
	"$bulkhead" kill "$vm"
	ended 7
	rm -f /lab/scratch/limited.img
else
	skip "io_max" "no disk of a block device to try it on"
fi
finish
