#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bulkhead fault and [fault]: rules go in, are listed, go out; a wrong one is
# one line with the column, and nothing is installed.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

make_files
truncate -s 1M "$scratch/second.img"
cat >>"$scratch/vm.conf" <<-CONF
	[blk vda]
	path = disk.img
	[blk vdb]
	path = second.img
CONF

# --- [fault] in a configuration -------------------------------------------------
with_faults() {
	cp "$scratch/vm.conf" "$scratch/faults.conf"
	printf '[fault]\n%s\n' "$1" >>"$scratch/faults.conf"
	"$bulkhead" check "$scratch/faults.conf" >"$scratch/out" 2>"$scratch/err"
}

with_faults $'seed = 7\ncore = clock-jump=-500 count=1\nvda = eio op=read sector=0-99 count=3\nvda = delay=5\nserial = drop' &&
	grep -qx 'fault: seed 7' "$scratch/out" &&
	grep -qx 'fault: vda eio op=read sector=0-99 count=3' "$scratch/out" &&
	grep -qx 'fault: core clock-jump=-500 count=1' "$scratch/out" &&
	grep -qx 'fault: vda delay=5' "$scratch/out" &&
	grep -qx 'fault: serial drop' "$scratch/out"
report "check prints what [fault] amounts to"

# refuses NAME ENTRY PATTERN: exit status 2, and the one line matches
refuses() {
	with_faults "$2"
	[ $? -eq 2 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] && says "$3"
	report "$1"
}
refuses "[fault] with a wrong key" 'vda = eio secter=4' \
	'faults.conf:[0-9]+: vda = eio secter=4: column 5: unknown key .secter.; there are op, sector'
refuses "[fault] with an action of another device" 'serial = eio' \
	'column 1: serial has no action .eio.; it has crash'
refuses "[fault] with an action that the core has not" 'core = eio' \
	'core = eio: column 1: core has no action .eio.; it has vcpu-pause, clock-jump'
refuses "[fault] for a device that is not there" 'vdz = eio' \
	'no device .vdz.; its keys are seed, core and'
refuses "[fault] with a wrong seed" 'seed = often' 'expected a whole number'
refuses "[fault] with two seeds" $'seed = 1\nseed = 2' 'given twice'
refuses "[fault] with more rules than there is room for" \
	"$(yes 'vda = eio' | head -n 33)" 'more than 32 rules for vda'
refuses "[fault] for a foreign back-end" $'vdc = eio\n[blk vdc]\nsocket = x' \
	"foreign back-end, which takes no faults"
with_faults 'vda = eio' && "$bulkhead" check "$scratch/faults.conf" \
	--set 'fault.vdb=lose op=flush' >"$scratch/out" &&
	[ "$(grep -c '^fault: vd' "$scratch/out")" -eq 2 ]
report "--set adds to [fault]"

# --- command lines ----------------------------------------------------------------
usage() {
	local name=$1
	shift
	"$bulkhead" fault "$@" >"$scratch/out" 2>"$scratch/err"
	[ $? -eq 2 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ]
	report "$name"
}
usage "fault without a VM"
usage "fault without a rule" "$vm"
usage "a seed that is none" "$vm" --seed x
usage "a rule and a script" "$vm" --script x vda eio
usage "a rule of two lines" "$vm" $'vda eio\nvda hold'
"$bulkhead" fault "$vm" --list 2>"$scratch/err"
[ $? -eq 1 ] && says "no VM named '$vm' is running"
report "fault of a VM that does not run"

if ! kvm_works; then
	skip "faults of a running VM" "no usable /dev/kvm"
	finish
fi

# --- a running VM -------------------------------------------------------------------
start_vm --set 'fault.vdb=hold op=flush' --set vm.cmdline=halt
report "start with a rule"
rules() {
	"$bulkhead" fault "$vm" --list --json | jq -r '.[] | "\(.id) \(.device) \(.rule) \(.fired)"'
}
[ "$(rules)" = "1 vdb hold op=flush 0" ]
report "the rule of [fault] is listed"

"$bulkhead" fault "$vm" vda eio op=read sector=0-99 count=3 &&
	"$bulkhead" fault "$vm" serial garble probability=0.5 &&
	[ "$(rules | sort)" = "$(printf '%s\n' '1 vdb hold op=flush 0' \
		'2 vda eio op=read sector=0-99 count=3 0' \
		'3 serial garble probability=0.5 0')" ]
report "rules are added and listed"
"$bulkhead" fault "$vm" --list >"$scratch/list" &&
	grep -q '^ID .*RULE$' "$scratch/list" &&
	[ "$(wc -l <"$scratch/list")" -eq 4 ]
report "--list is a table"

before=$(rules)
# wrong NAME PATTERN ARG...: refused in one line, and the rules are as before
wrong() {
	local name=$1 pattern=$2
	shift 2
	"$bulkhead" fault "$vm" "$@" >"$scratch/out" 2>"$scratch/err2"
	[ $? -eq 1 ] && [ "$(wc -l <"$scratch/err2")" -eq 1 ] &&
		grep -qE -- "$pattern" "$scratch/err2" &&
		[ "$(rules)" = "$before" ]
	report "$name"
}
wrong "a wrong key is told with its column" \
	"column 9: unknown key 'secter'; there are op, sector" vda eio secter=4
wrong "a wrong device" \
	"column 1: no device 'vdx'; there are core, serial, vda, vdb" vdx eio
wrong "no action" "column 4: an action is missing" vda
wrong "an action of another device" "column 8: serial has no action 'eio'" \
	serial eio
wrong "an action of the core for a device" \
	"column 5: blk has no action 'clock-jump'" vda clock-jump=5
wrong "a wrong value" "column 17: '5s' is no whole number from 1 to" core vcpu-pause=5s
wrong "a value where none belongs" "column 8: eio takes no value" vda eio=5
wrong "a value that is missing" "column 10: delay needs a value" vda delay
wrong "a wrong point" "column 11: no point 'now'" vda crash=now
wrong "an operation that it has not" \
	"column 22: 'read' is no operation for vcpu-pause; there is exit" core vcpu-pause=5 op=read
wrong "a key twice" "column 17: count is given twice" vda eio count=1 count=2
wrong "a wrong range" "column 16: the range ends" vda eio sector=9-4
wrong "sectors of a port" "column 13: serial has no sectors" serial drop sector=1
wrong "a wrong probability" "column 21: '2' is no probability" vda eio probability=2
wrong "a wrong rule leaves seed and rules alone" "column 5: blk has no action" \
	--clear --seed 3 vda oops
printf '# two\nvda eio\n\n  vdb lose oop=write\n' >"$scratch/script"
wrong "a wrong line of a script" "line 4, column 12: unknown key 'oop'" \
	--script "$scratch/script"
wrong "a script that is not there" "No such file" --script "$scratch/none"
yes 'vda eio' | head -n 32 >"$scratch/script"
wrong "more rules than there is room for" \
	"line 32, column 1: vda has 32 rules" --script "$scratch/script"
echo '{"version": 1, "command": "fault", "rule": 7}' |
	"$talk" "$BULKHEAD_RUNTIME_DIR/$vm.sock" 200 >"$scratch/out" &&
	grep -q 'must be text' "$scratch/out" && [ "$(rules)" = "$before" ]
report "a request with a wrong field"

printf '# a script\nvda eio\n\n  vdb\tlose  op=write \r\n' >"$scratch/script"
"$bulkhead" fault "$vm" --clear --seed 5 --script "$scratch/script" --list >"$scratch/list" &&
	[ "$(rules)" = "$(printf '%s\n' '4 vda eio 0' '5 vdb lose op=write 0')" ]
report "a script takes the place of what was there"
"$bulkhead" fault "$vm" --clear && [ -z "$(rules)" ]
report "--clear"
# The guest sleeps within KVM; it comes out for the rule, and never else.
"$bulkhead" fault "$vm" core clock-jump=60000 count=1 &&
	says_in_time 'core.*: fault 6 fired: clock-jump exit' &&
	says_in_time "the guest's clocks have jumped by 60000 ms" &&
	[ "$(rules)" = "6 core clock-jump=60000 count=1 1" ]
report "a rule for the core reaches a guest that sleeps"
"$bulkhead" kill "$vm" >/dev/null && ended 7 && nothing_left
report "the VM ends, nothing is left"
finish
