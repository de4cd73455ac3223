#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What Bulkhead counts is what others count: a guest its own requests, and the
# kernel's tracepoints, by perf(1), the exits of its vCPU.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! kvm_works; then
	skip "figures" "/dev/kvm cannot be used"
	finish
fi
guest=$build/tests/guest/blk_storm.guest
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[rng]
	[blk vda]
	path = disk.img
CONF
vda='.processes[] | select(.device == "vda")'
json() { "$bulkhead" stats "$vm" --json | jq -r "$1"; }

# With perf around all of its processes, where that may look.
exits=(kvm:kvm_userspace_exit kvm:kvm_exit)
watch=(perf stat -x ' ' -o "$scratch/perf" -e "$(IFS=,; echo "${exits[*]}")" --)
"${watch[@]}" true 2>/dev/null || watch=()

mkfifo "$scratch/keys"
exec 3<>"$scratch/keys"
${watch[@]+"${watch[@]}"} "$bulkhead" run "$scratch/vm.conf" --set vm.cmdline=halt \
	<"$scratch/keys" >"$scratch/serial" 2>"$scratch/err" &
supervisor=$!

works() { [ "$(json "$vda | .queues[0].requests" 2>/dev/null)" -gt 5000 ]; } 2>/dev/null
# Its last word is the status of its disk; the device has one before, too.
has_ended() {
	sed '1,/^lost=/d' "$scratch/serial" | grep -aq '^status=' &&
		[ -z "$(tail -c 1 "$scratch/serial")" ]
}
# guest_says NAME: a number that the guest has printed
guest_says() { echo $((16#$(tr -d '\r' <"$scratch/serial" | sed -n "s/^$1=//p"))); }
# wait_until CONDITION: for 30 s at most
wait_until() {
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		case $1 in
		works) works && return ;;
		ended) has_ended && return ;;
		esac
		sleep 0.05
	done
	return 1
}

wait_until works
report "a guest does some thousand requests"
echo x >&3
wait_until ended
report "it ends, and says how many there were"

counted=$(json "$vda | .queues[0].requests")
own=$(guest_says "done")
[ "$own" -gt 5000 ] && [ "$(guest_says lost)" -eq 0 ] && [ "$counted" -eq "$own" ]
report "requests: $counted counted, $own by the guest"
json "$vda | .queues[0] | .requests == ([.latency[].requests] | add) and .in_flight == 0 and
	.errors == 0" | grep -qx true
report "each of them is of one kind, and none is in flight"
json "$vda | .queues[0] | .bytes_read == 512 * .latency.read.requests and
	.bytes_written == 512 * .latency.write.requests" | grep -qx true
report "bytes are those of so many requests of a sector"

json '.processes[] | select(.device == "core") | .vcpus[0] |
	"\(.exits_heavy) \(.kvm.exits)"' >"$scratch/counted"
read -r heavy all <"$scratch/counted"
"$bulkhead" kill "$vm" >/dev/null
wait "$supervisor"

# agrees NAME COUNTED EVENT: 1 % of what perf has for it, or the last two, with
# which the VM was killed
agrees() {
	local seen
	seen=$(awk -v event="$3" '$2 == event || $3 == event { print $1 + 0 }' "$scratch/perf" 2>/dev/null)
	if [ "${seen:-0}" -eq 0 ]; then
		skip "$1" "$3 is not counted by perf, or not traced by this KVM"
		return
	fi
	awk -v a="$2" -v b="$seen" 'BEGIN {
		exit !(a > 100 && b - a <= 2 + a / 100 && a - b <= b / 100) }'
	report "$1: $2 counted, $seen by perf"
}
agrees "exits to user space" "$heavy" "${exits[0]}"
agrees "exits in all" "$all" "${exits[1]}"
nothing_left
report "nothing is left"
finish
