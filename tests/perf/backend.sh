# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A vhost-user-blk back-end under the driver of bench_blk, for parts of `make
# bench`.  Sourced after common.sh, with $image, $socket, $run_ms and an empty
# $backend set; the caller ends $backend and removes $work/blk.*.

work=${work:?} image=${image:?} socket=${socket:?} run_ms=${run_ms:?}

# All sides alike: back-end (and fio) on processor 0, driver on 1, ahead of
# others where that is allowed.
ahead=(nice -n -10)
"${ahead[@]}" true 2>/dev/null || ahead=(nice -n 0)
on_0=("${ahead[@]}" taskset -c 0)

# start_bulkhead CACHE [PROGRAM]
start_bulkhead() {
	"${on_0[@]}" "${2:-$build/bulkhead-blk}" --socket-path="$socket" \
		--blk-file="$image" --cache="$1" ${format:+--format="$format"} \
		${BLK_POLL_US:+--poll-us="$BLK_POLL_US"} \
		${read_only:+--read-only} 2>>"$work/blk.err" &
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

