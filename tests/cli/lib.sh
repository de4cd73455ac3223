# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the tests of the command share: a runtime folder and a scratch folder
# of their own, TAP, a VM to start and to wait for.
# shellcheck disable=SC2034  # each test uses some of these names
set -u
build=$(realpath "${BULKHEAD_BUILD:-$(dirname "$0")/../../build}")
source=$(cd "$(dirname "$0")/../.." && pwd)
bulkhead=$build/bulkhead
guest=$build/tests/guest/exits.guest
talk=$build/tests/cli/talk
scratch=$(mktemp -d)
chmod 755 "$scratch"
export BULKHEAD_RUNTIME_DIR=$scratch/run
vm=cli${$}x	# a name that no other VM's begins with
number=0 status=0

clean_up() {
	local pid
	for pid in $(pgrep -f "^bulkhead: $vm" 2>/dev/null); do
		kill -9 "$pid" 2>/dev/null
	done
	rm -rf "$scratch"
}
trap clean_up EXIT

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

# skip NAME REASON
skip() {
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

# All tests are done.
finish() {
	echo "1..$number"
	exit "$status"
}

# In the scratch folder: what every test starts from.
make_files() {
	truncate -s 1M "$scratch/disk.img"
	cp "$guest" "$scratch/kernel"
	cat >"$scratch/vm.conf" <<-CONF
		[vm]
		name = $vm
		kernel = kernel
		memory = 64M
		cmdline = halt
		stop_timeout = 0s
		on_reboot = stop
		[serial]
		connect = terminal
	CONF
}

# no_process: of the VM
no_process() {
	! pgrep -f "^bulkhead: $vm" >/dev/null
}

# nothing_left: no process of the VM, no file of it
nothing_left() {
	within 10 no_process || {
		echo "# left behind: $(pgrep -af "^bulkhead: $vm")"
		return 1
	}
	[ ! -d "$BULKHEAD_RUNTIME_DIR" ] || [ -z "$(ls -A "$BULKHEAD_RUNTIME_DIR")" ] || {
		echo "# left behind: $(ls -A "$BULKHEAD_RUNTIME_DIR")"
		return 1
	}
}

# run_vm ARG...: bulkhead run, to its end; output in out, err, exit status $?
run_vm() {
	timeout -k 5 20 "$bulkhead" run "$scratch/vm.conf" "$@" \
		>"$scratch/out" 2>"$scratch/err" </dev/null
}

# shellcheck disable=SC2120  # arguments are optional
# start_vm ARG...: bulkhead run in the background, until the guest runs
start_vm() {
	local tries=0
	: >"$scratch/err"
	"$bulkhead" run "$scratch/vm.conf" "$@" \
		>"$scratch/out" 2>"$scratch/err" </dev/null &
	supervisor=$!
	until grep -q ': running' "$scratch/err"; do
		tries=$((tries + 1))
		if [ "$tries" -gt 500 ] || ! kill -0 "$supervisor" 2>/dev/null; then
			sed 's/^/# /' "$scratch/err"
			return 1
		fi
		sleep 0.02
	done
}

# ended STATUS: the VM that start_vm started ends with it, within 30 s
ended() {
	local guard result
	# Sleeps without a child: there is a pipe that nobody writes to.
	[ -p "$scratch/silence" ] || mkfifo "$scratch/silence"
	{ read -rt 30 || kill -9 "$supervisor"; } <>"$scratch/silence" >/dev/null 2>&1 &
	guard=$!
	wait "$supervisor"
	result=$?
	# Not SIGTERM: a child of bash that gets it at once still has our trap.
	kill -KILL "$guard"
	wait "$guard" 2>/dev/null
	[ "$result" -eq "$1" ] && return
	echo "# exit status $result, not $1"
	sed 's/^/# /' "$scratch/err"
	return 1
}

# says PATTERN: the VM's log has it
says() {
	grep -qE -- "$1" "$scratch/err" && return
	echo "# no '$1' in:"
	sed 's/^/# /' "$scratch/err"
	return 1
}

# said PATTERN: the same, as a question
said() {
	grep -qE -- "$1" "$scratch/err"
}

# within SECONDS COMMAND...: it succeeds before they are over
within() {
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.02
	done
}

# says_in_time PATTERN: the log has it, within ten seconds
says_in_time() {
	within 10 said "$1" || says "$1"
}

# sockets PATH NUMBER: at least so many, the listening one included
sockets() {
	[ "$(grep -c " $1\$" /proc/net/unix)" -ge "$2" ]
}

# explain: why the test fails; false
explain() {
	sed 's/^/# /' "$scratch"/err*
	false
}

# process ROLE: pid of the VM's process of that role
process() {
	pgrep -f "^bulkhead: $vm.* \[$1\]"
}

kvm_works() {
	[ -r /dev/kvm ] && [ -w /dev/kvm ] && "$bulkhead" doctor kvm >/dev/null
}
