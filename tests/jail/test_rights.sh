#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/RIGHTS.md is what the policies say, and what the policies say is in
# force in every thread of a running VM and of its spares, in the children of
# `bulkhead disk` and in devices that were started by hand: their filters are
# read back from the kernel.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"

"$source/tests/jail/rights" "$build" >"$scratch/RIGHTS.md"
name="docs/RIGHTS.md is what the policies say"
if cmp -s "$source/docs/RIGHTS.md" "$scratch/RIGHTS.md"; then
	true
	report "$name"
else
	skip "$name" "a policy has changed since: make rights"
fi

if [ "$(id -u)" -ne 0 ]; then
	skip "filters of running processes" "only root gets them back from the kernel"
	finish
fi

# --- processes that live for a moment --------------------------------------------
# at_exit POLICY COMMAND...: what it says goes to seen, the command's words too
at_exit() {
	"$build/tests/jail/at_exit" "$@" >"$scratch/seen" 2>&1 </dev/null
}
# judge NAME FDS: the status before it, and each process has exactly these
judge() {
	local status=$?
	if [ "$status" -eq 2 ]; then
		skip "$1" "$(grep -m 1 thread "$scratch/seen")"
		return
	fi
	if [ "$status" -eq 0 ]; then
		sed -nE 's/.*Seccomp 2, .* fds ([-0-9,]+), .*/\1/p' "$scratch/seen" >"$scratch/fds"
		if [ ! -s "$scratch/fds" ] || grep -qvxE "$2" "$scratch/fds"; then
			status=1
		fi
	fi
	[ "$status" -eq 0 ] || sed 's/^/# /' "$scratch/seen"
	[ "$status" -eq 0 ]
	report "$1"
}
# Standard error; image, pipe to the parent; one more image.
two_files="2-4" three_files="2-5"
image=$scratch/image.qcow2
"$bulkhead" disk create "$image" 1G >/dev/null
at_exit disk "$bulkhead" disk info "$image"
judge "disk info: its child has the filter, no capability and three fds" "$two_files"
at_exit disk "$bulkhead" disk check "$image" --repair
judge "disk check: the same" "$two_files"
at_exit disk "$bulkhead" disk resize "$image" 2G
judge "disk resize: the same" "$two_files"
at_exit disk "$bulkhead" disk snapshot "$image" "$scratch/overlay.qcow2"
judge "disk snapshot: the same" "$two_files"
at_exit disk "$bulkhead" disk commit "$scratch/overlay.qcow2" --backing "$image:qcow2"
judge "disk commit: each of its children, one of which has both files" "$two_files|$three_files"

# by_hand ROLE FDS OPTION...: a front-end connects, and hangs up
by_hand() {
	local role=$1 fds=$2 socket=$scratch/$1.sock tracer tries
	shift 2
	at_exit "$role" "$build/bulkhead-$role" --socket-path="$socket" "$@" &
	tracer=$!
	for ((tries = 0; tries < 200; tries++)); do
		[ ! -S "$socket" ] || break
		sleep 0.02
	done
	"$talk" "$socket" 200 </dev/null
	for ((tries = 0; tries < 200; tries++)); do
		! grep -q 'Seccomp 2' "$scratch/seen" || break
		sleep 0.02
	done
	pkill -TERM -P "$(pgrep -P "$tracer")"
	wait "$tracer"
	judge "bulkhead-$role by hand: the filter, no capability, few fds" "$fds"
}
truncate -s 1M "$scratch/by_hand.img"
# The in-flight region, standard error, the link, resources, loop and ring.
by_hand blk 0,2,4,7,9-11 --blk-file="$scratch/by_hand.img"
by_hand rng 0,2,4,9,11
by_hand console 0,2,4,8-9,11 --file="$scratch/by_hand.log"

# --- a running VM -----------------------------------------------------------------
if ! kvm_works; then
	skip "filters of a running VM" "no usable /dev/kvm"
	finish
fi
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[console]
	connect = null
	[rng]
	[blk vda]
	path = disk.img
CONF
sed -i 's/^connect = terminal/connect = null/' "$scratch/vm.conf"
start_vm --set vm.spare=yes
report "a VM with six processes"
roles="core blk console rng serial"
# One spare is born after the other.
for role in blk console rng serial; do
	for ((tries = 0; tries < 500; tries++)); do
		spare=$(process "$role spare") &&
			grep -qs '^Seccomp:.2' "/proc/$spare/status" && break
		sleep 0.02
	done
	roles+=" $role,spare"
done
for role in $roles; do
	said=$("$build/tests/jail/show_filter" "$(process "${role/,/ }")" "${role%,*}")
	case $? in
	0) report "$role: the filter in each of its threads is the compiled policy, and the only one" ;;
	2) skip "$role: its filter" "${said:-no answer}" ;;
	*) false; report "$role: $said" ;;
	esac
done
for role in $roles; do
	said=$("$build/tests/jail/show_jail" "$(process "${role/,/ }")")
	report "$role:${said#*:}"
done
"$bulkhead" kill "$vm" >/dev/null 2>&1
wait "$supervisor"
nothing_left
report "nothing is left"
finish
