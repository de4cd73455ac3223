#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A back-end that violates vhost-user in every message and in its own time
# (hostile_device.c), connected to a real VM by `socket =`: the core runs on,
# keeps neither memory nor fds of it, and the guest's other disk does not wait.
#
#	HOSTILE_CONNECTIONS=N	default 18, half of them wrong answers
#	HOSTILE_SEED=HEX
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
guests=$build/tests/guest
connections=${HOSTILE_CONNECTIONS:-18}
seed=${HOSTILE_SEED:-1}
most_ms=6000	# VHOST_FRONT_TIMEOUT_MS, and a loaded machine
most_growth_kib=2048
khz=$(awk '/^cpu MHz/ { printf "%d", $4 * 1000; exit }' /proc/cpuinfo)

if ! kvm_works; then
	skip "a hostile device" "no usable /dev/kvm"
	finish
fi
truncate -s 1M "$scratch/disk.img"
cat >"$scratch/vm.conf" <<-CONF
	[vm]
	name = $vm
	kernel = $guests/latency.guest
	memory = 32M
	cmdline = other
	stop_timeout = 0s
	max_restarts = 100000
	[serial]
	connect = file:serial.log
	[blk vda]
	path = disk.img
	[blk bad]
	socket = bad.sock
CONF

# Nobody who was started stays.
# shellcheck disable=SC2317  # by the trap
end_device() {
	kill "$device" 2>/dev/null
	wait "$device" 2>/dev/null
}
trap 'end_device; clean_up' EXIT

"$guests/hostile_device" "$scratch/bad.sock" "$connections" "$seed" \
	>"$scratch/attacks" &
device=$!
for ((i = 0; i < 100; i++)); do
	[ ! -S "$scratch/bad.sock" ] || break
	sleep 0.05
done
start_vm
report "a VM with a disk of its own and a back-end of somebody else's"
core=$(process core)

kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$core/status"; }
nr_fds() { find "/proc/$core/fd" -mindepth 1 | wc -l; }
sleep 1
kib_before=$(kib) fds_before=$(nr_fds)
limit=$((SECONDS + 60 + connections * 7))
until grep -q '^end' "$scratch/attacks" || [ "$SECONDS" -gt "$limit" ]; do
	sleep 0.2
done
grep -q '^end' "$scratch/attacks"
report "$connections hostile connections, seed $seed"
sed 's/^/# /' "$scratch/attacks"
[ "$(grep -c '^attack:' "$scratch/attacks")" -gt \
	"$(grep -c 'not started' "$scratch/attacks")" ]
report "most of them got as far as a running device"

# An in-flight region of the back-end's may be held; what else there was of it
# is closed by a thread that nobody waits for.
for ((i = 0; i < 100; i++)); do
	kib_after=$(kib) fds_after=$(nr_fds)
	[ "$fds_after" -gt $((fds_before + 2)) ] || break
	sleep 0.05
done
[ "$((kib_after - kib_before))" -le "$most_growth_kib" ]
report "the core's memory: $kib_before KiB before, $kib_after KiB after"
[ "$fds_after" -le $((fds_before + 2)) ]
report "the core's fds: $fds_before before, $fds_after after"
[ "$(process core)" = "$core" ] &&
	! grep -E 'killed by|stopping|exit status' "$scratch/err"
report "no process of the VM has died"

# worst NAME: the largest of these values that the guest printed, in ms
worst() {
	grep -aoE "$1=[0-9a-f]+" "$scratch/serial.log" | sed 's/.*=//' |
		while read -r hex; do echo "$((16#$hex))"; done | sort -n |
		tail -n 1 | awk -v khz="$khz" '{ printf "%d\n", $1 * 1024 / khz }'
}
read_ms=$(worst most) poke_ms=$(worst poke)
[ -n "$read_ms" ] && [ "$read_ms" -lt "$most_ms" ]
report "the other disk's slowest read: $read_ms ms"
[ -n "$poke_ms" ] && [ "$poke_ms" -gt 0 ] && [ "$poke_ms" -lt $((2 * most_ms)) ]
report "the longest that setting up the bad one took its vCPU: $poke_ms ms"

before=$(grep -ac ' most=' "$scratch/serial.log")
sleep 2
[ "$(grep -ac ' most=' "$scratch/serial.log")" -gt "$before" ]
report "the guest runs on"
"$bulkhead" kill "$vm" >/dev/null 2>&1
wait "$supervisor"
nothing_left
report "nothing is left"
finish
