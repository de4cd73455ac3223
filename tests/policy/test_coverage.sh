#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every alternative of every policy is used by some process of the suite, and
# every call that strace saw is one that the policy allows: the wire tests of
# the devices, the bare-metal guests and a VM of `bulkhead run`, each under
# strace, judged by tests/policy/coverage.c.  What cannot be used here has its
# reason in unused.list.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$(realpath "${BULKHEAD_BUILD:-build}")
export BULKHEAD_BUILD=$build
scratch=$(mktemp -d)
export BULKHEAD_RUNTIME_DIR=$scratch/run
vm=coverage${$}x

clean_up() {
	local pid
	for pid in $(pgrep -f "^bulkhead: $vm"); do
		kill -9 "$pid" 2>/dev/null
	done
	rm -rf "$scratch"
}
trap clean_up EXIT

if ! strace -o /dev/null true 2>/dev/null; then
	echo "ok 1 - policies are used # SKIP strace cannot trace here"
	echo "1..1"
	exit 0
fi
if ! "$build/bulkhead" doctor kvm >/dev/null; then
	echo "ok 1 - policies are used # SKIP no usable /dev/kvm, so no core"
	echo "1..1"
	exit 0
fi

# watch NAME COMMAND...: its log is NAME.log, what it says NAME.out.  Ends of
# processes are in the log (not -qq): a pid may be given again.
watch() {
	local name=$1
	shift
	timeout -k 5 180 strace -f -q -e raw='!prctl,seccomp' \
		-o "$scratch/$name.log" "$@" >"$scratch/$name.out" 2>&1 ||
		echo "# $* ends with status $? under strace"
}

# Without the floods (test cases "... load"), which take minutes when traced.
for test in wire/test_blk wire/test_blk_queues wire/test_blk_settle wire/test_blk_fixed \
	wire/test_blk_qcow2 wire/test_console wire/test_rng wire/test_serial \
	wire/test_vhost_back guest/test_exits guest/test_faults \
	guest/test_smp guest/test_virtio_blk; do
	name=${test#*/test_}
	CK_RUN_CASE=$name watch "$name" "$build/tests/$test" &
	# Two at a time: each is waiting for the other side mostly.
	[ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
done
wait

# A whole VM: with an initrd, and a driver that starts its disk twice.
truncate -s 1M "$scratch/disk.img" "$scratch/initrd"
cat >"$scratch/vm.conf" <<CONF
[vm]
name = $vm
kernel = $build/tests/guest/virtio_blk.guest
initrd = $scratch/initrd
memory = 64M
cmdline = misbehave
[serial]
connect = null
[console]
connect = null
[rng]
[blk vda]
path = $scratch/disk.img
CONF

# Its vCPUs wait for the guest to be loaded while the policy is in force.
# Stopped and continued there, as by a shell or a debugger, they wait again.
# The child of `bulkhead disk`: all that it can do to an image.
if qemu-img --version >/dev/null 2>&1; then
	"$build/bulkhead" disk create "$scratch/image" 1G
	watch disk-check "$build/bulkhead" disk check "$scratch/image"
	watch disk-resize "$build/bulkhead" disk resize "$scratch/image" 2T
fi

watch vm -e inject=pread64:delay_enter=800ms:when=1 \
	"$build/bulkhead" run "$scratch/vm.conf" &
watcher=$!
for ((i = 0; i < 1000; i++)); do
	core=$(pgrep -f "^bulkhead: $vm \[core\]") &&
		grep -qs '^Seccomp:.2' "/proc/$core/task/"*/status &&
		break
	sleep 0.01
done
sleep 0.2
# More than once: on a busy machine a thread may not see a stop that short.
for ((i = 0; i < 5; i++)); do
	kill -STOP "$core" || break
	sleep 0.1
	kill -CONT "$core" || break
	sleep 0.05
done
wait "$watcher"

"$build/tests/policy/coverage" tests/policy/unused.list \
	policy/{blk,console,core,disk,rng,serial}.policy "$scratch"/*.log
