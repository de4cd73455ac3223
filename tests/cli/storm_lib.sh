# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A guest that writes to its disk vda all the time, and reads back what it wrote,
# until it is told to end; for tests that source lib.sh first and then this.
# shellcheck disable=SC2154  # lib.sh sets them
# shellcheck disable=SC2034  # make_files takes it
guest=$build/tests/guest/blk_storm.guest
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[rng]
	[blk vda]
	path = disk.img
CONF
mkfifo "$scratch/in"
exec 9<>"$scratch/in"

# start_storm ARG...: as start_vm, with a line to the guest's COM1
start_storm() {
	local tries=0
	: >"$scratch/out"
	: >"$scratch/err"
	"$bulkhead" run "$scratch/vm.conf" --set vm.cmdline=off "$@" <"$scratch/in" >"$scratch/out" 2>"$scratch/err" 9>&- &
	supervisor=$!
	until grep -q '^storm' "$scratch/out" && grep -q ': running' "$scratch/err"; do
		tries=$((tries + 1))
		if [ "$tries" -gt 500 ] || ! kill -0 "$supervisor" 2>/dev/null; then
			explain
			return 1
		fi
		sleep 0.02
	done
}
# calm: the guest ends its storm; it has seen no error
calm() {
	echo >&9
	ended 0 && grep -q '^done=' "$scratch/out" && grep -qx 'bad=0' "$scratch/out" &&
		grep -qx 'strange=0' "$scratch/out" && grep -qx 'lost=0' "$scratch/out" && return
	sed 's/^/# /' "$scratch/out"
	return 1
}
answer_says() {
	grep -Eq -- "$1" "$scratch/answer" && return
	sed 's/^/# /' "$scratch/answer"
	return 1
}
# is_on FILE: that is what the disk has
is_on() {
	local tries=0
	until "$bulkhead" ps "$vm" | grep -Eq "/vda +blk +running .* $1\$"; do
		tries=$((tries + 1))
		[ "$tries" -lt 250 ] || return 1
		sleep 0.02
	done
}
requests() {
	"$bulkhead" stats "$vm" --json | jq '.processes[] | select(.device == "vda") | .queues[0].requests'
}
# goes_on: the guest gets answers
goes_on() {
	local tries=0 before
	before=$(requests)
	until [ "$(requests)" -gt $((before + 100)) ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 200 ] || return 1
		sleep 0.05
	done
}
