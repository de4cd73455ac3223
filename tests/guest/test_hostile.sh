#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that attacks every register, BAR, table and ring (hostile.c), in a
# whole VM: no process of it dies, its disk still answers a driver that keeps
# the rules, and a neighbour VM's disk is no slower than beside a VM whose
# vCPUs merely spin.
#
#	HOSTILE_SECONDS=N	for so long (make check-hostile); else a short form
#	HOSTILE_SEED=HEX	begin with that seed
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
guests=$build/tests/guest
seconds=${HOSTILE_SECONDS:-0}
rounds=$((seconds ? 2 : 1))
seed=$((16#${HOSTILE_SEED:-1}))
[ "$seconds" -eq 0 ] || [ -n "${HOSTILE_SEED:-}" ] || seed=$((RANDOM << 15 | RANDOM))
# Times.  Two vCPUs that spin are two processes to the host's scheduler; those of
# this guest, its core and its five devices are eight, which a neighbour with two
# of its own shares two processors with: (8 + 2) / (2 + 2) is what is fair.
most_slowdown=4

if ! kvm_works; then
	skip "a hostile guest" "no usable /dev/kvm"
	finish
fi

: >"$scratch/neighbour.log"
truncate -s 8M "$scratch"/{disk,read_only,neighbour}.img
cat >"$scratch/vm.conf" <<-CONF
	[vm]
	name = $vm
	kernel = $guests/hostile.guest
	memory = 64M
	cpus = 2
	on_reboot = stop
	stop_timeout = 0s
	[serial]
	connect = file:serial.log
	[console]
	connect = null
	[rng]
	packed = yes
	[blk vda]
	path = disk.img
	discard = yes
	packed = yes
	[blk ro]
	path = read_only.img
	read_only = yes
CONF
cat >"$scratch/neighbour.conf" <<-CONF
	[vm]
	name = $vm-neighbour
	kernel = $guests/latency.guest
	memory = 64M
	stop_timeout = 0s
	[serial]
	connect = file:neighbour.log
	[blk vda]
	path = neighbour.img
CONF

# batches: how many the neighbour has printed; wait_batches N: until it has
batches() {
	grep -ac ' most=.' "$scratch/neighbour.log"
}

wait_batches() {
	local i
	for ((i = 0; i < 300; i++)); do
		[ "$(batches)" -lt "$1" ] || return 0
		sleep 0.1
	done
	return 1
}

# note_batches FROM FILE: the means of the batches since then, in kilo-cycles
note_batches() {
	grep -a ' most=.' "$scratch/neighbour.log" |
		sed -n "$1,\$s/.*mean=\([0-9a-f]*\).*/\1/p" |
		while read -r hex; do echo "$((16#$hex))"; done >>"$scratch/$2"
}

# median FILE
median() {
	sort -n "$scratch/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] + 0 }'
}

nobody_died() {
	! grep -aE 'killed by|exit status|given up|another process|stopping the VM|KVM could not' "$scratch/err"
}

# answers: the guest has come to its end, and its disk answered
answers() {
	grep -aq 'answers=1' "$scratch/serial.log" &&
		grep -aq '^end' "$scratch/serial.log"
}

# attack SEED
attack() {
	: >"$scratch/serial.log"
	timeout -k 5 100 "$bulkhead" run "$scratch/vm.conf" \
		--set "vm.cmdline=$(printf %x "$1") $rounds" \
		>/dev/null 2>"$scratch/err" </dev/null &&
		nobody_died && answers && return
	grep -v warning "$scratch/err" | tail -n 10 | sed 's/^/# /'
	tail -c 200 "$scratch/serial.log" | tr -cd '[:print:]\n' | sed 's/^/# /'
	return 1
}

"$bulkhead" run "$scratch/neighbour.conf" >/dev/null 2>"$scratch/err.neighbour" </dev/null &
neighbour=$!
wait_batches 1
report "a neighbour VM reads its disk"

# Beside a VM that only spins.
spin() {
	local from
	start_vm --set "vm.cmdline=1 0 spin"
	from=$(($(batches) + 1))
	wait_batches $((from + 3))
	note_batches "$from" spin
	"$bulkhead" kill "$vm" >/dev/null 2>&1
	ended 7
}

# In turns, as what else the host does comes and goes.
end=$((SECONDS + seconds))
runs=0 failed=""
while [ "$runs" -lt 2 ] || [ "$SECONDS" -lt "$end" ]; do
	spin
	from=$(($(batches) + 1))
	attack "$((seed + runs))" || failed+=" $(printf %x $((seed + runs)))"
	note_batches "$from" hostile
	runs=$((runs + 1))
done
printf -v seeds '%x to %x' "$seed" $((seed + runs - 1))
[ -z "$failed" ]
report "$runs runs of $rounds rounds, seeds $seeds: nobody dies, the disk answers"
[ -z "$failed" ] || echo "# seeds that failed:$failed"

spin=$(median spin)
hostile=$(median hostile)
[ "$spin" -gt 0 ] && [ "$hostile" -gt 0 ] &&
	[ "$hostile" -le $((spin * most_slowdown)) ]
report "the neighbour's read: $hostile kilo-cycles beside it, $spin beside one that spins"

# Interrupts of any kind to itself may end this guest, by its own will.
start_vm --set "vm.cmdline=$(printf %x "$seed") 0 die"
sleep 2
"$bulkhead" kill "$vm" >/dev/null 2>&1
wait "$supervisor"
nobody_died
report "messages with NMI, INIT and SMI to itself: no process dies"

kill -0 "$neighbour" 2>/dev/null && wait_batches $(($(batches) + 1)) &&
	! grep -E 'killed by|needs a reset' "$scratch/err.neighbour"
report "the neighbour runs on"
"$bulkhead" kill "$vm-neighbour" >/dev/null 2>&1
wait "$neighbour"
nothing_left
report "nothing is left"
finish
