#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The control socket: what a wrong client gets, and that the VM does not mind.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! kvm_works; then
	skip "the control socket of a running VM" "no usable /dev/kvm"
	finish
fi
make_files
start_vm
socket=$BULKHEAD_RUNTIME_DIR/$vm.sock

# answered NAME REQUEST JQ: the first reply line passes the filter
answered() {
	printf '%s\n' "$2" | "$talk" "$socket" 300 >"$scratch/reply"
	head -n 1 "$scratch/reply" | jq -e "$3" >/dev/null ||
		{ sed 's/^/# /' "$scratch/reply"; false; }
	report "$1"
}

[ "$(stat -c %a "$socket")" = 600 ]
report "the socket is its owner's alone"
answered "status" '{"version":1,"command":"status"}' \
	'.ok and .version == 1 and .state == "running" and (.processes | length) == 3'
answered "unknown fields are ignored" \
	'{"version":1,"command":"status","x":[1,{"y":null}]}' .ok
refusal='.ok == false and .version == 1 and (.error | length) > 0'
answered "no JSON" 'status' "$refusal"
answered "half of a JSON object" '{"version":1,' "$refusal"
answered "an array" '[1]' "$refusal"
answered "a number" '17' "$refusal"
answered "an empty line" '' "$refusal"
answered "an empty object" '{}' "$refusal"
answered "no version" '{"command":"status"}' "$refusal"
answered "another version" '{"version":2,"command":"status"}' "$refusal"
answered "a version that is text" '{"version":"1","command":"status"}' "$refusal"
answered "no command" '{"version":1}' "$refusal"
answered "a command that is a number" '{"version":1,"command":1}' "$refusal"
answered "an unknown command" '{"version":1,"command":"reboot"}' "$refusal"
answered "the same key twice" \
	'{"version":1,"command":"status","command":"kill"}' "$refusal"
answered "a deadline that is text" \
	'{"version":1,"command":"stop","timeout_ms":"1"}' "$refusal"
answered "a negative deadline" \
	'{"version":1,"command":"stop","timeout_ms":-1}' "$refusal"
answered "a huge deadline" \
	'{"version":1,"command":"stop","timeout_ms":99999999999999999999}' "$refusal"
answered "bytes that are no UTF-8" \
	"$(printf '{"version":1,"command":"\377\376"}')" "$refusal"
answered "an error that quotes half a character" \
	"$(printf '{"version":1,"command":"\\\356\215\232"}')" "$refusal"
answered "deep nesting" \
	"$(head -c 30000 /dev/zero | tr '\0' '[')" "$refusal"

printf '{"version":1,"command":"status"}\n{"version":1}\n{"version":1,"command":"status"}\n' |
	"$talk" "$socket" 300 | jq -s -e 'map(.ok) == [true, false, true]' >/dev/null
report "several requests of one client, in order"
head -c 70000 /dev/zero | tr '\0' 'a' | "$talk" "$socket" 1000 >"$scratch/reply"
jq -e "$refusal" "$scratch/reply" >/dev/null
report "a line that is too long is refused"
head -c 20000 /dev/urandom | "$talk" "$socket" 300 >"$scratch/reply"
jq -s -e 'all(.ok == false)' "$scratch/reply" >/dev/null
report "noise is refused"
: | "$talk" "$socket" 100
report "a client that says nothing and goes"

# Mute clients fill the places, and lose them at their deadline.
for _ in 1 2 3 4 5 6 7 8; do
	(sleep 20 | "$talk" "$socket" 100) >/dev/null 2>&1 &
	echo $! >>"$scratch/mute"
done
within 10 sockets "$socket" 9
answered "the ninth client is told to come back" \
	'{"version":1,"command":"status"}' '.ok == false and (.error | test("too many"))'
sleep 6
answered "mute clients lose their place" '{"version":1,"command":"status"}' .ok

if [ "$(id -u)" -eq 0 ]; then
	chmod 711 "$BULKHEAD_RUNTIME_DIR"
	chmod 666 "$socket"
	echo '{"version":1,"command":"kill"}' |
		setpriv --reuid 65534 --regid 65534 --clear-groups \
			"$talk" "$socket" 300 >"$scratch/reply"
	jq -e '.ok == false and (.error | test("another user"))' "$scratch/reply" >/dev/null
	report "another user is refused, whatever the socket's mode"
else
	skip "another user is refused" "needs root"
fi

kill -0 "$supervisor" && "$bulkhead" ps "$vm" | grep -q running
report "the VM has not minded any of it"
printf '{"version":1,"command":"wait"}\n' | "$talk" "$socket" 5000 >"$scratch/waits" &
waiter=$!
within 10 [ -s "$scratch/waits" ]
answered "kill" '{"version":1,"command":"kill"}' .ok
wait "$waiter"
tail -n 1 "$scratch/waits" | jq -e '.ok and .event == "over" and .status == 7' >/dev/null
report "who waits is told the end"
ended 7 && nothing_left
report "and nothing is left"
finish
