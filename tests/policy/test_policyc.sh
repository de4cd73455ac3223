#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# policyc from outside: each file of bad/ is refused with the one line that
# its first line expects, good.policy compiles, and the shipped policies stay
# within their limits.  Usage: BULKHEAD_BUILD=DIR tests/policy/test_policyc.sh
set -u
cd "$(dirname "$0")" || exit 1
policyc=$(realpath "${BULKHEAD_BUILD:-../../build}/policyc")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
number=0 status=0

# report NAME: the result of the command before it
report() {
	local result=$?
	number=$((number + 1))
	if [ "$result" -eq 0 ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		status=1
	fi
}

# Exit status 1, the expected line and no other, and no output file.
is_refused() {
	local file=$1 pattern exit_status line
	pattern=$(sed -n '1s/^# expect: //p' "$file")
	"$policyc" --name bad --output "$scratch/bad.c" "$file" \
		>"$scratch/out" 2>"$scratch/err"
	exit_status=$?
	line=$(cat "$scratch/err")
	# "*" at the end of an expectation stands for the rest of the line.
	if [ "${pattern%\*}" != "$pattern" ]; then
		line=${line:0:${#pattern}-1}\*
	fi
	[ "$exit_status" -eq 1 ] && [ "$line" = "$pattern" ] &&
		[ "$(wc -l <"$scratch/err")" -eq 1 ] &&
		[ ! -s "$scratch/out" ] && [ ! -e "$scratch/bad.c" ] && return
	echo "# exit status $exit_status, wanted: $pattern"
	sed 's/^/# /' "$scratch/err"
	return 1
}

usage_is_refused() {
	"$policyc" "$@" >"$scratch/out" 2>"$scratch/err"
	[ $? -eq 2 ] && [ ! -s "$scratch/out" ] &&
		[ "$(wc -l <"$scratch/err")" -eq 1 ]
}

# within NAME LIMIT: compiles with both defaults, and is no longer than that
within() {
	local policy=../../policy/$1.policy count
	count=$("$policyc" --count "$policy") || return
	echo "# $1: $count system calls, at most $2"
	"$policyc" --name "$1" --output "$scratch/$1.c" "$policy" &&
		"$policyc" --name "$1" --default kill \
			--output "$scratch/$1.c" "$policy" &&
		[ "$count" -le "$2" ]
}

cd bad || exit 1
for file in *.policy; do
	case $file in
	ok_*) continue ;;
	esac
	is_refused "$file"
	report "bad/$file"
done
cd ..

"$policyc" --list good.policy | diff good.list - | sed 's/^/# /'
[ "${PIPESTATUS[1]}" -eq 0 ]
report "good.policy is listed with its include resolved"
[ "$("$policyc" --count good.policy)" = "$(wc -l <good.list)" ]
report "good.policy is counted"

"$policyc" --name good --output "$scratch/good.c" good.policy &&
	grep -q '^const struct policy policy_good = {' "$scratch/good.c" &&
	grep -q '^	.traps = 1,' "$scratch/good.c" &&
	"$policyc" --name good --default kill --output "$scratch/good.c" \
		good.policy && grep -q '^	.traps = 0,' "$scratch/good.c"
report "the default action is report, and kill on request"

"$policyc" --syscall-names --output "$scratch/names.c" &&
	grep -q '^	\[0\] = "read",' "$scratch/names.c" &&
	grep -q '^	\[231\] = "exit_group",' "$scratch/names.c"
report "the table of names has the names"

printf 'close: allow  # reason: x\n' >"$scratch/mixed.policy"
"$policyc" --name x --output /dev/full "$scratch/mixed.policy" \
	2>"$scratch/err"
[ $? -eq 1 ] && [ "$(cat "$scratch/err")" = "/dev/full:1: write error" ]
report "a full disk is an error"

"$policyc" --count "$scratch/none.policy" >/dev/null 2>"$scratch/err"
[ $? -eq 1 ] && grep -q 'none.policy:1: cannot read: No such' "$scratch/err"
report "a missing policy is an error"

usage_is_refused
report "no argument is wrong usage"
usage_is_refused --name x good.policy
report "no --output is wrong usage"
usage_is_refused --output "$scratch/x.c" good.policy
report "no --name is wrong usage"
usage_is_refused --name x --output "$scratch/x.c" good.policy good.policy
report "two policies are wrong usage"
usage_is_refused --name x --output "$scratch/x.c" --default log good.policy
report "a third default action is wrong usage"
usage_is_refused --syscall-names --output "$scratch/x.c" good.policy
report "--syscall-names takes no policy"
usage_is_refused --frobnicate
report "an unknown option is wrong usage"

"$policyc" --help | grep -q '^usage: policyc' && "$policyc" --version |
	grep -q '^policyc [0-9]'
report "--help and --version"

within serial 20
report "serial.policy compiles, at most 20 calls"
within console 20
report "console.policy compiles, at most 20 calls"
within rng 20
report "rng.policy compiles, at most 20 calls"
within disk 20
report "disk.policy compiles, at most 20 calls"
within blk 25
report "blk.policy compiles, at most 25 calls"
within core 30
report "core.policy compiles, at most 30 calls"

echo "1..$number"
exit $status
