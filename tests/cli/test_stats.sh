#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# stats, top and events of a running VM whose guest works its disk hard.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! kvm_works; then
	skip "statistics" "/dev/kvm cannot be used"
	finish
fi
guest=$build/tests/guest/blk_storm.guest
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[console]
	connect = null
	[rng]
	[blk vda]
	path = disk.img
	registered_buffers = yes
CONF
start_vm --set serial.connect=null

# json FILTER: what jq makes of the VM's statistics
json() { "$bulkhead" stats "$vm" --json | jq -r "$1"; }
vda='.processes[] | select(.device == "vda")'
core='.processes[] | select(.device == "core")'

tries=0
until [ "$(json "$vda | .queues[0].requests")" -gt 100 ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 100 ] || break
	sleep 0.05
done

# Of 64 MiB; or the user may not lock as much.
# shellcheck disable=SC2317	# within calls it
registered_or_limited() {
	[ "$(json "$vda | .registered_bytes")" = 67108864 ] ||
		grep -q 'not all of guest RAM is registered.*ulimit -Hl' "$scratch/err"
}
within 10 registered_or_limited
report "guest RAM is registered, or the limit is named"

# --- stats ---------------------------------------------------------------------

"$bulkhead" stats "$vm" >"$scratch/out" && grep -q '^vda \[blk\]: rebirths 0' "$scratch/out" &&
	grep -Eq '^ +write +[0-9]+ +mean ' "$scratch/out" &&
	grep -Eq 'vcpu0 +exits light [1-9][0-9]*, heavy [1-9]' "$scratch/out"
report "stats as text"
json "$vda | .queues[0] | .errors == 0 and .kicks > 0 and .interrupts > 0 and
	.bytes_read > 0 and .bytes_written > 0 and .in_flight <= 32" | grep -qx true
report "the disk's queue is counted"
# Each request is of one kind; those of the last batch may not be in yet.
json "$vda | .queues[0] | ([.latency[].requests] | add) as \$n |
	(.requests - \$n) <= 128 and (.requests >= \$n)" | grep -qx true
report "the kinds of requests add up"
json "$vda | .queues[0].latency[] | ([.buckets[][1]] | add // 0) as \$n |
	(\$n - .requests | fabs) <= 128 and .p50_ns <= .p99_ns" | grep -vqx true
[ $? -eq 1 ]
report "the buckets add up, percentiles are in order"
json "$core | .vcpus | length == 1 and .[0].exits_light > 0 and
	.[0].exits_heavy == ([.[0].heavy[]] | add) and
	.[0].kvm.exits >= .[0].exits_heavy and .[0].accesses.pci > 0" | grep -qx true
report "exits: light ones by KVM, heavy ones by who answered"
# Two pages, and an access may be on its way from one to the other.
# shellcheck disable=SC2317	# within calls it
same_accesses() {
	json "($core | .vcpus[0].accesses.serial) as \$n |
		.processes[] | select(.device == \"serial\") |
		.register_reads + .register_writes == \$n" | grep -qx true
}
within 5 same_accesses
report "the core and the serial port count the same accesses"
"$bulkhead" stats "$vm" --openmetrics >"$scratch/out" &&
	[ "$(tail -n 1 "$scratch/out")" = "# EOF" ] &&
	! grep -Evq '^(# (TYPE|HELP|EOF)|bulkhead_[a-z_]+(\{[^}]*\})? [0-9.]+$)' "$scratch/out" &&
	grep -q "^bulkhead_requests_total{vm=\"$vm\",device=\"vda\",queue=\"0\"} [1-9]" "$scratch/out" &&
	grep -q '^bulkhead_latency_seconds_bucket{.*le="+Inf"} [1-9]' "$scratch/out"
report "stats --openmetrics"
timeout 20 "$bulkhead" stats "$vm" --json --watch | head -n 2 >"$scratch/out"
[ "$(jq -s 'length >= 2 and .[0].uptime_ms < .[1].uptime_ms' "$scratch/out")" = true ]
report "stats --watch: an object a line, again and again"

# --- top -----------------------------------------------------------------------

# On a busy machine half a second may pass without a request.
for ((tries = 0; tries < 5; tries++)); do
	"$bulkhead" top "$vm" --once --interval 1 --sort i >"$scratch/out"
	sed -n 4p "$scratch/out" | grep -q "^$vm/vda " && break
done
[ "$(wc -l <"$scratch/out")" -eq 9 ] && [ "$(wc -L <"$scratch/out")" -le 80 ] &&
	sed -n 4p "$scratch/out" | grep -q "^$vm/vda "
report "top --once: six processes in 80 columns, the busy disk first"
sed -n 4p "$scratch/out" | awk '{ exit !($2 > 0 && $5 != "0" && $7 != "-" && $9 != "0") }' &&
	grep -Eq 'memory [0-9.]+[KM] without guest RAM' "$scratch/out"
report "top: rates, latency and memory are there"
"$bulkhead" top 2>"$scratch/err" >"$scratch/out" </dev/null
[ $? -eq 1 ] && says "not a terminal; 'bulkhead top --once'"
report "top without a terminal says what to do"
# A terminal of script(1): what it gets, and what its settings are afterwards.
# The shell in it is named, as not every one outlives a Ctrl-C of its child.
has() { grep -aq "$1" "$scratch/typescript" 2>/dev/null; }
await() {
	for ((tries = 0; tries < 100; tries++)); do
		has "$1" && return
		sleep 0.05
	done
}
type_keys() {
	await "$vm/vda"
	printf c
	await 'by CPU'
	printf '%b' "$1"
	await 'status'
}
screen() {
	rm -f "$scratch/typescript"
	type_keys "$1" |
		SHELL=/bin/bash timeout 20 script -fqec "stty -g; TERM=xterm $bulkhead top $vm --interval 0.3; echo status \$?; stty -g" \
			"$scratch/typescript" >"$scratch/out" 2>/dev/null
	has 'by CPU' && has "$vm/vda" &&
		has $'\033\[?1049h' && has $'\033\[?1049l' &&
		[ "$(grep -aoE '^[0-9a-f]+(:[0-9a-f]+)+' "$scratch/out" | sort -u | wc -l)" -eq 1 ]
}
screen q && grep -aq 'status 0' "$scratch/out"
report "top: keys sort, q ends it, the terminal is as before"
screen '\003' && grep -aq 'status 130' "$scratch/out"
report "top: Ctrl-C ends it, the terminal is as before"

# --- walk ----------------------------------------------------------------------

"$bulkhead" walk "$vm" vda --count 20 >"$scratch/out" && [ "$(wc -L <"$scratch/out")" -le 80 ] &&
	[ "$(grep -cE "^[1-6] .* \|[ ?=>]{28}\| " "$scratch/out")" -eq 6 ] &&
	grep -Eq "^2 .* 20/20 " "$scratch/out" && grep -Eq "^4 host I/O is done +20/20 +[0-9]" "$scratch/out"
report "walk: six steps as a picture, and their averages"
"$bulkhead" walk "$vm" vda --count 5 --json >"$scratch/out" &&
	[ "$(jq -s "length == 5 and all(.done_ns > 0 and .used_ns > 0)" "$scratch/out")" = true ]
report "walk --json"
"$bulkhead" walk "$vm" serial 2>"$scratch/err"
[ $? -eq 1 ] && says "only requests of a disk of ours can be followed"
report "walk: a serial port has no such steps"

# --- a death, and events -----------------------------------------------------------

before=$(json "$vda | .queues[0].requests")
old=$(process blk)
"$bulkhead" events "$vm" --follow >"$scratch/events" 2>"$scratch/events.err" &
follower=$!
kill -KILL "$old"
tries=0
until [ "$(json "$vda | .state")" = running ] && [ "$(json "$vda | .pid")" -ne "$old" ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 200 ] || break
	sleep 0.02
done
json "$vda | .rebirths == 1 and .queues[0].requests >= $before" | grep -qx true
report "statistics go on across a rebirth"
for event in starting born ready running died goes-on; do
	"$bulkhead" events "$vm" | jq -se "any(.event == \"$event\")" >/dev/null
	report "events: $event"
done
"$bulkhead" events "$vm" | jq -s -e "(map(.number) == [range(length)]) and
	(map(select(.event == \"died\"))[0] | .process == \"vda\" and .pid == $old and
		.text == \"killed by SIGKILL\")" >/dev/null
report "events are numbered, and say who and why"
"$bulkhead" kill "$vm" >/dev/null
wait "$follower" && [ "$(jq -s '.[-1].event' "$scratch/events")" = '"over"' ] &&
	[ "$(jq -s '.[-1].status' "$scratch/events")" = 7 ] &&
	jq -se 'any(.event == "goes-on")' "$scratch/events" >/dev/null
report "events --follow: live, until the VM is over"
ended 7 && nothing_left
report "the VM is unharmed, and gone"
for command in stats top events "walk vda"; do
	read -r word rest <<<"$command"
	"$bulkhead" "$word" "$vm" ${rest:+"$rest"} 2>"$scratch/err" >"$scratch/out" </dev/null
	[ $? -eq 1 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] && [ ! -s "$scratch/out" ]
	report "$command of a VM that does not run is one line"
done
finish
