# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Vhost-user-blk back-ends, ours and QEMU's, under the driver of bench_blk, and
# fio on the bare file, for parts of `make bench`.  Sourced after common.sh, with
# $image, $socket, $run_ms and an empty $backend set, and $format if it is not
# raw; the caller ends $backend and removes $work/blk.*.

work=${work:?} image=${image:?} socket=${socket:?} run_ms=${run_ms:?}

# All sides alike: back-end (and fio) on processor 0, driver on 1.
on_0=("${ahead[@]}" taskset -c 0)

# start_bulkhead CACHE [PROGRAM]
start_bulkhead() {
	"${on_0[@]}" "${2:-$build/bulkhead-blk}" --socket-path="$socket" \
		--blk-file="$image" --cache="$1" ${format:+--format="$format"} \
		${BLK_POLL_US:+--poll-us="$BLK_POLL_US"} \
		${BLK_REGISTERED:+--registered-buffers} \
		${read_only:+--read-only} 2>>"$work/blk.err" &
	backend=$!
}

# Of a mode, what QEMU calls cache.direct.
direct() { [ "$1" = none ] && echo on || echo off; }

# qemu_disk CACHE: options of QEMU and its tools for a node "disk", in disk
qemu_disk() {
	local file="driver=file,filename=$image,cache.direct=$(direct "$1"),aio=io_uring,locking=off"

	if [ "${format:-raw}" = raw ]; then
		disk=(--blockdev "$file,node-name=disk")
	else
		disk=(--blockdev "$file,node-name=file"
			--blockdev "driver=$format,file=file,node-name=disk")
	fi
}

# start_qemu CACHE
start_qemu() {
	local disk

	qemu_disk "$1"
	"${on_0[@]}" qemu-storage-daemon "${disk[@]}" \
		--export "type=vhost-user-blk,id=e,node-name=disk,addr.type=unix,addr.path=$socket,writable=on" \
		2>>"$work/blk.err" &
	backend=$!
}

backend_is_up_or_dead() { [ -S "$socket" ] || ! kill -0 "$backend" 2>/dev/null; }

# start SIDE CACHE: the lock of the one before it may take a moment to go
start() {
	local tries

	for tries in 1 2 3 4 5 6 7 8 9 10; do
		rm -f "$socket"
		"start_$1" "$2"
		wait_for 10 backend_is_up_or_dead || break
		kill -0 "$backend" 2>/dev/null && return
		wait "$backend" || true
		sleep "0.$tries"
	done
	sed 's/^/	/' "$work/blk.err" >&2
	return 1
}

# drive SIDE CACHE OPERATION DEPTH [calls]: one line of numbers
drive() {
	local side=$1 cache=$2

	shift 2
	start "$side" "$cache"
	timeout 60 "${ahead[@]}" "$build/tests/perf/bench_blk" "$socket" \
		"$backend" "$1" "$2" "$run_ms" ${3:+"$3"}
	end_process "$backend"
	backend=
}

# limit CACHE OPERATION DEPTH: fio's line, IOPS P50 P99 P99.9.  Its terse
# output has a read's from field 8 on and a write's from 49 on.  Percentiles are
# of its total latency, the call that hands a request over included, as it is in
# ours: what fio shows unless asked begins after that call.
limit() {
	local size=4k pattern=rand$2 at=8

	case $2 in
	seq*) size=128k pattern=${2#seq} ;;
	esac
	[[ $2 != *write ]] || at=49
	timeout 60 "${on_0[@]}" fio --name=limit --filename="$image" \
		--rw="$pattern" --bs="$size" --iodepth="$3" --ioengine=io_uring \
		--direct="$([ "$1" = none ] && echo 1 || echo 0)" \
		--registerfiles --norandommap --time_based --invalidate=0 \
		--ramp_time=200ms --runtime="${run_ms}ms" \
		--percentile_list=50:99:99.9 --clat_percentiles=0 \
		--lat_percentiles=1 --minimal 2>>"$work/blk.err" |
		awk -F';' -v at="$at" '{
			for (i = 0; i < 3; i++) {
				split($(at + 10 + i), p, "=")
				value[i] = p[2]
			}
			print $at, value[0], value[1], value[2] }'
}

# make_images: 1 GiB in $work/blk.raw and $work/blk.qcow2, written in full, so
# that no write allocates
make_images() {
	dd if=/dev/urandom of="$work/blk.raw" bs=1M count=1024 conv=fsync \
		status=none
	# Written from end to end, like the raw one: what qemu-img writes lies
	# in thousands of extents of the host, whose cost is no format's.
	qemu-img convert -q -f raw -O qcow2 -S 0 "$work/blk.raw" \
		"$work/blk.converted"
	dd if="$work/blk.converted" of="$work/blk.qcow2" bs=1M conv=fsync \
		status=none
	rm "$work/blk.converted"
}
