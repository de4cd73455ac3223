#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where the runtime folder is for whom, hang-ups that somebody wants ignored,
# and a log that says more when asked to.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# looks_in FOLDER COMMAND...: so does `bulkhead stop`, started by COMMAND
looks_in() {
	local folder=$1 result
	shift
	strace -o "$scratch/strace" -e trace=connect,openat "$@" \
		stop "$vm" >"$scratch/out" 2>"$scratch/err"
	result=$?
	[ "$result" -eq 1 ] && grep -q "\"$folder/$vm\.[a-z]*\"" "$scratch/strace" &&
		return
	grep "$vm" "$scratch/strace" | sed 's/^/# /'
	return 1
}

if strace -o /dev/null true 2>/dev/null; then
	looks_in "$BULKHEAD_RUNTIME_DIR" "$bulkhead"
	report "BULKHEAD_RUNTIME_DIR is where VMs are looked for"
	cp "$bulkhead" "$scratch/bulkhead"
	user=(setpriv --reuid=64996 --regid=64996 --clear-groups)
	[ "$(id -u)" -eq 0 ] || user=(env)
	looks_in /xdg/bulkhead "${user[@]}" env -u BULKHEAD_RUNTIME_DIR \
		XDG_RUNTIME_DIR=/xdg "$scratch/bulkhead"
	report "an ordinary user's are in XDG_RUNTIME_DIR"
	looks_in "/tmp/bulkhead-$("${user[@]}" id -u)" "${user[@]}" \
		env -u BULKHEAD_RUNTIME_DIR -u XDG_RUNTIME_DIR "$scratch/bulkhead"
	report "or below /tmp, where that is not set"
	if [ "$(id -u)" -eq 0 ]; then
		looks_in /run/bulkhead env -u BULKHEAD_RUNTIME_DIR XDG_RUNTIME_DIR=/xdg "$bulkhead"
		report "root's are in /run/bulkhead"
	else
		skip "root's are in /run/bulkhead" "this is not root"
	fi
else
	skip "where VMs are looked for" "strace cannot trace here"
fi

if ! kvm_works; then
	skip "hang-ups, the log" "no usable /dev/kvm"
	finish
fi
make_files
run_vm --set vm.cmdline=off
lines=$(wc -l <"$scratch/err")
run_vm --set vm.cmdline=off --verbose
[ "$(wc -l <"$scratch/err")" -gt "$lines" ]
report "--verbose logs more"
# Not what the one before said.
: >"$scratch/err"
(
	trap '' HUP
	exec "$bulkhead" run "$scratch/vm.conf" --set serial.connect=null \
		>"$scratch/out" 2>"$scratch/err" </dev/null
) &
supervisor=$!
for ((i = 0; i < 500; i++)); do
	grep -q ': running' "$scratch/err" && break
	sleep 0.02
done
kill -HUP "$supervisor"
sleep 0.3
kill -0 "$supervisor" && ! grep -q 'power button\|killing' "$scratch/err"
report "under nohup a hang-up is nothing"
kill -TERM "$supervisor"
ended 7
report "SIGTERM still ends it"
finish
