#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the compiler and the linker were asked to harden is in the programs as
# they were built.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BULKHEAD_BUILD:-build}
programs="bulkhead bulkhead-core bulkhead-blk bulkhead-console bulkhead-rng bulkhead-serial"
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

for name in $programs; do
	program=$build/$name
	headers=$(readelf -hlWd "$program")
	symbols=$(nm "$program")
	grep -q 'Type: *DYN (Position-Independent' <<<"$headers" &&
		! grep -q INTERP <<<"$headers"
	report "$name: position-independent, without a dynamic loader"
	grep -q GNU_RELRO <<<"$headers" && grep -q BIND_NOW <<<"$headers" &&
		! grep -q TEXTREL <<<"$headers"
	report "$name: relocations are read-only before main()"
	grep -q 'GNU_STACK .* RW  ' <<<"$headers" &&
		! grep -E '(LOAD|GNU_STACK) .* (RWE|WE)' <<<"$headers"
	report "$name: no stack and no segment is writable and executable"
	grep -q ' __stack_chk_fail$' <<<"$symbols" &&
		grep -qE ' __(snprintf|vsnprintf|memcpy|read|recv)_chk$' <<<"$symbols"
	report "$name: stack protector, checked library calls"
done

# What the confined programs have in place of glibc's checks: ipc/fortify.h.
for call in memcpy memmove memset read pread snprintf vsnprintf; do
	"$build/tests/jail/overflow" "$call" 16 <"$0"
	report "$call() of as much as there is room for is made"
	said=$("$build/tests/jail/overflow" "$call" 17 2>&1 <"$0")
	[ "$?" -eq 132 ] && [[ $said == *" of 17 bytes into 16"* ]]
	report "$call() of one byte more ends the process with SIGILL, and a line"
done
size=$(size -A "$build/bulkhead-rng" | awk '$1 == ".text" { print $2 }')
[ "${size:-999999}" -lt 150000 ]
report "the code of the smallest jail is less than 150 kB: $size bytes"

# objects WITHOUT: how many of ours the command does not find it in
objects=$(find "$build"/{cli,jail,ipc,musl,policy} -name '*.o')
bare=$(for object in $objects; do
	readelf -n "$object" | grep -q 'IBT, SHSTK' || echo "$object"
done)
[ -n "$objects" ] && [ -z "$bare" ]
report "every object of ours is marked for IBT and shadow stacks"
[ -z "$bare" ] || echo "# not: $bare"
name="so are the programs"
number=$((number + 1))
if readelf -n "$build/bulkhead-core" | grep -q 'IBT, SHSTK'; then
	echo "ok $number - $name"
else
	echo "ok $number - $name # SKIP this system's static C library is not, so they cannot be"
fi
unguarded=$(for object in $objects; do
	# A function with an array on its stack is guarded; some file has none.
	nm -u "$object" | grep -q __stack_chk_fail || echo "$object"
done | wc -l)
[ "$unguarded" -lt "$(($(wc -w <<<"$objects") / 2))" ]
report "most objects have guarded functions"
echo "1..$number"
exit "$status"
