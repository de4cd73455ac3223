#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Command lines: help and version everywhere, one line for a wrong one.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

"$bulkhead" --help >"$scratch/out" && grep -q 'doctor' "$scratch/out"
report "--help lists the commands"
"$bulkhead" --version | grep -qx 'bulkhead [0-9.]*'
report "--version"
for command in run ps stats top events walk stop kill device disk fault replay check doctor; do
	"$bulkhead" "$command" --help | grep -q "^Usage: bulkhead $command"
	report "$command --help"
	"$bulkhead" "$command" --version | grep -qx 'bulkhead [0-9.]*'
	report "$command --version"
	grep -q "^\.Cm $command" "$source/docs/bulkhead.1"
	report "$command is in the man page"
	"$bulkhead" "$command" --colour >"$scratch/out" 2>"$scratch/err"
	[ $? -eq 2 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] && says -- --colour
	report "$command --colour is refused"
done

# refused NAME ARG...: exit status 2 and one line
refused() {
	local name=$1
	shift
	"$bulkhead" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
	[ $? -eq 2 ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] &&
		[ ! -s "$scratch/out" ]
	report "$name"
}

refused "no command"
refused "an unknown command" fly
refused "run without a configuration" run
refused "run with two" run a b
refused "check without a configuration" check
refused "--set without a value" run a --set
refused "stop without a name" stop
refused "kill without a name" kill
refused "stop with a deadline that is none" stop x --timeout soon
refused "ps with two names" ps a b
refused "stats without a name" stats
refused "stats in two forms" stats x --json --openmetrics
refused "top with two names" top a b
refused "top with an interval that is none" top --interval soon
refused "top with an interval too long" top --interval 5
refused "top sorted by what it has not" top --sort z
refused "events without a name" events
refused "walk without a disk" walk x
refused "walk of none" walk x vda --count 0
refused "doctor with an unknown check" doctor weather

"$bulkhead" ps >"$scratch/out" && [ "$(wc -l <"$scratch/out")" -eq 1 ]
report "ps without VMs is a head line"
[ "$("$bulkhead" ps --json)" = "[]" ]
report "ps --json without VMs is an empty array"
for command in ps stats events stop kill; do
	"$bulkhead" "$command" nobody 2>"$scratch/err"
	[ $? -eq 1 ] && says "no VM named 'nobody' is running"
	report "$command of a VM that does not run"
done
"$bulkhead" stop ../x 2>"$scratch/err"
[ $? -eq 1 ] && says "no VM named"
report "a name that is a path is no VM"

"$bulkhead" doctor >"$scratch/out"
result=$?
[ "$(grep -cE '^(OK  |WARN|FAIL)  ' "$scratch/out")" -eq 19 ]
report "doctor has a line for every check"
if grep -q '^FAIL' "$scratch/out"; then [ "$result" -eq 1 ]; else [ "$result" -eq 0 ]; fi
report "doctor's exit status says whether VMs can run"
! grep -E '^(WARN|FAIL)' "$scratch/out" | grep -qv '; '
report "doctor says what to do about what it finds"
[ "$("$bulkhead" doctor --json | jq length)" -eq 19 ]
report "doctor --json"
finish
