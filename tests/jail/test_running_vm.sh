#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A VM that runs and reads its disk for ever, seen from the host: every process
# is what it says it is and in its jail, by /proc alone; tracing each of them
# harms nobody; a busy disk costs the core no system call; the death of the
# supervisor or of a device leaves nothing.  Root's VM when started by root;
# test_running_vm_rootless.sh starts it as an ordinary user.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
vm=jailed${$}x
guest=$build/tests/guest/virtio_blk.guest
namespaces="user pid mnt net ipc uts cgroup"

if ! kvm_works; then
	skip "the processes of a running VM" "no usable /dev/kvm"
	finish
fi
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[console]
	connect = null
	[rng]
	[blk longest-name-15]
	path = disk.img
CONF
sed -i "s|^connect = terminal|connect = file:$scratch/serial.log|
	s/^cmdline = .*/cmdline = loop/" "$scratch/vm.conf"

# start: the VM of the tests; its pids by role in pid[]
declare -A pid
roles="supervisor core serial console rng blk"
start() {
	local role
	: >"$scratch/serial.log"
	start_vm --set vm.on_crash=stop || return
	for role in $roles; do
		pid[$role]=$(process "$role") || return
	done
	for ((i = 0; i < 500; i++)); do
		grep -q '^reading' "$scratch/serial.log" && return
		sleep 0.02
	done
	return 1
}

# gone_within HUNDREDTHS: no process of the VM lives
gone_within() {
	local i alive role
	for ((i = 0; i <= $1; i++)); do
		alive=0
		for role in $roles; do
			grep -qs '^State:.[^ZX]' "/proc/${pid[$role]}/status" &&
				alive=1
		done
		[ "$alive" -eq 0 ] && return
		sleep 0.01
	done
	pgrep -af "^bulkhead: $vm" | sed 's/^/# alive: /'
	return 1
}

# --- what /proc says ---------------------------------------------------------

# status PID FIELD
status_of() {
	sed -n "s/^$2:[[:space:]]*\([^[:space:]]*\).*/\1/p" "/proc/$1/status"
}

# own_namespaces PID: how many are not this script's
own_namespaces() {
	local name number=0
	for name in $namespaces; do
		[ "$(readlink "/proc/$1/ns/$name")" = \
			"$(readlink "/proc/self/ns/$name")" ] ||
			number=$((number + 1))
	done
	echo "$number"
}

# fds PID: "2:pipe 3:socket ...", in order of their numbers
fds() {
	local fd
	for fd in $(find "/proc/$1/fd" -mindepth 1 -printf '%f\n' | sort -n); do
		readlink "/proc/$1/fd/$fd" | sed "s/^/$fd:/; s/:\[[0-9]*\]\$//
			s/anon_inode://; s/[][]//g; s|/memfd:bulkhead-||
			s/ (deleted)//; s|$scratch/||"
	done | tr '\n' ' ' | sed 's/ $//'
}

# shared PID: what is mapped shared, by name; private PID: KiB of the rest
shared() {
	awk '$2 ~ /s$/ { print $6 }' "/proc/$1/maps" | sort -u |
		sed 's/anon_inode://; s/[][]//g; s|/memfd:bulkhead-||' |
		tr '\n' ' ' | sed 's/ $//'
}

private() {
	awk '$1 ~ /^[0-9a-f]+-/ { counts = $2 ~ /p$/ }
		$1 == "Size:" && counts { sum += $2 }
		END { print sum }' "/proc/$1/smaps"
}

# Every mapping of a file but the shared ones is of this program.
foreign_files() {
	awk -v exe="$(readlink "/proc/$1/exe")" '$2 !~ /s$/ && $6 ~ /^\// &&
		$6 != exe { print $6 }' "/proc/$1/maps"
}

write_exec() {
	awk '$2 ~ /^.wx/' "/proc/$1/maps"
}

# How the relocated constants of a program are mapped: r--p, if RELRO is done.
relocations() {
	local base from memory
	base=0x$(awk -v exe="$(readlink "/proc/$1/exe")" '$6 == exe { split($1, at, "-"); print at[1]; exit }' "/proc/$1/maps")
	read -r from memory < <(readelf -lW "/proc/$1/exe" | awk '$1 == "GNU_RELRO" { print $3, $6 }')
	# Its last whole page ends where it does; the first may have begun before.
	printf -v from '%012x' $(((base + from + memory - 1) & ~4095))
	awk -v at="$from" '{ split($1, range, "-") }
		range[1] <= at && at < range[2] { print $2 }' "/proc/$1/maps"
}

# Both by way of /proc, as the process sees them.
root_is_empty() {
	[ -z "$(ls -A "/proc/$1/root/")" ] &&
		[ "$(readlink "/proc/$1/cwd")" = / ] &&
		[ "$(wc -l <"/proc/$1/mountinfo")" -eq 1 ] &&
		awk '{ exit !($6 ~ /^ro,/) }' "/proc/$1/mountinfo"
}

# jail_line PID: the line about it
jail_line() {
	local root="not empty"
	root_is_empty "$1" && root=empty
	echo "uid $(status_of "$1" Uid), CapEff $(status_of "$1" CapEff)," \
		"CapBnd $(status_of "$1" CapBnd)," \
		"NoNewPrivs $(status_of "$1" NoNewPrivs)," \
		"Seccomp $(status_of "$1" Seccomp)," \
		"own namespaces $(own_namespaces "$1")/7, root $root," \
		"fds $(fds "$1"), maps $(private "$1") KiB of its own," \
		"shares $(shared "$1")"
}

jailed="CapEff 0000000000000000, CapBnd 0000000000000000, NoNewPrivs 1, Seccomp 2, own namespaces 7/7, root empty"

# same NAME VALUE WANTED
same() {
	[ "$2" = "$3" ]
	report "$1"
	[ "$2" = "$3" ] || printf '# is:     %s\n# wanted: %s\n' "$2" "$3"
}

# jail ROLE COMM NAME FDS SHARED
jail() {
	local p=${pid[$1]} line
	line=$(jail_line "$p")
	[[ $line =~ ^uid\ [0-9]+,\ "$jailed,"\  ]]
	report "$1: $line"
	[ "$(status_of "$p" CapPrm)$(status_of "$p" CapInh)$(status_of "$p" CapAmb)" = \
		"$(printf '%048d' 0)" ] &&
		! cat "/proc/$p/task/"*/status | grep -E '^(Cap[A-Za-z]*:.*[1-9a-f]|NoNewPrivs:.0|Seccomp:.[01])' &&
		[ -z "$(write_exec "$p")$(foreign_files "$p")" ]
	report "$1: no thread of it holds more; no memory is writable and executable, no file mapped but its program"
	same "$1: its relocated constants are read-only" "$(relocations "$p")" r--p
	same "$1: those fds and no other" "$(fds "$p")" "$4"
	same "$1: that shared memory and no other" "$(shared "$p")" "$5"
	same "$1: its name in ps and top, $2" "$(cat "/proc/$p/comm")" "$2"
	same "$1: its command line, $3" "$(tr '\0' ' ' <"/proc/$p/cmdline" | sed 's/ *$//')" "$3"
}

# Numbers below 96 are those of ipc/inherit.h; what comes by a message takes
# the lowest that is free: a UART's interrupt and the bell of its successors,
# regions in flight, a queue's
# kick and call.  The core's from 96 on: doorbells, interrupts and channels.
serial_fds="0:eventfd 2:pipe 3:socket 4:socket 5:stats 8:serial.log 9:eventpoll"
virtio_fds="0:inflight 2:pipe 3:socket 4:socket 5:stats 9:eventpoll 11:socket"
blk_fds="0:inflight 1:eventfd 2:pipe 3:socket 4:socket 5:stats 6:eventfd 7:disk.img 8:eventfd 9:eventpoll 10:io_uring 11:socket"
core_fds="0:eventfd 1:eventfd 2:pipe 3:socket 4:socket 5:socket 6:ram 8:inflight 9:eventpoll 10:kvm-vm 11:socket 12:inflight 13:socket 14:inflight 64:kvm-vcpu:0 96:kvm-vcpu-stats:0 128:eventfd 129:eventfd 130:eventfd 131:eventfd 132:eventfd 133:eventfd 134:socket 135:socket 136:eventfd 137:eventfd 138:eventfd 139:eventfd 140:eventfd 141:eventfd 142:socket 143:socket 144:eventfd 145:eventfd 146:eventfd 147:eventfd 150:socket 151:socket 152:eventfd 153:eventfd 154:eventfd 155:eventfd 158:socket 159:socket"

start
report "a VM with six processes runs and reads its disk"
line=$(jail_line "${pid[supervisor]}")
[ "$(status_of "${pid[supervisor]}" Threads)" = 1 ] &&
	[ "$(shared "${pid[supervisor]}")" = faults ]
report "supervisor: $line, so no guest RAM"
jail core bulkhead-core "bulkhead: $vm [core]" "$core_fds" "faults ram stats kvm-vcpu:0"
jail serial serial "bulkhead: $vm/serial [serial]" "$serial_fds" "faults stats"
jail console console "bulkhead: $vm/console [console]" "$virtio_fds" "faults stats"
jail rng rng "bulkhead: $vm/rng [rng]" "$virtio_fds" "faults stats"
jail blk blk-longest-nam "bulkhead: $vm/longest-name-15 [blk]" "$blk_fds" \
	"faults inflight ram stats throttle io_uring"

if [ "$(id -u)" -eq 0 ]; then
	[ "$(for role in $roles; do status_of "${pid[$role]}" Uid; done | sort -u | wc -l)" -eq 6 ]
	report "six processes have six uids"
else
	[ "$(for role in $roles; do status_of "${pid[$role]}" Uid; done | sort -u)" = "$(id -u)" ]
	report "six processes have the uid of their user, $UID"
fi
# Root's supervisor makes one empty network for its children; a user's cannot.
networks=6
[ "$(id -u)" -ne 0 ] || networks=2
[ "$(for role in $roles; do
	for name in $namespaces; do readlink "/proc/${pid[$role]}/ns/$name"; done
done | sort -u | wc -l)" -eq $((36 + networks)) ]
report "no two processes share a namespace, but for a network without anything: $networks"

# A memfd that can be executed has the mode 0777.
kernel_has_noexec() {
	"$bulkhead" doctor memfd >/dev/null
}
if kernel_has_noexec; then
	! for role in $roles; do
		find -L "/proc/${pid[$role]}/fd/" -maxdepth 1 -type f -perm /111 -size +0 2>/dev/null |
			while read -r fd; do readlink "$fd"; done
	done | grep memfd:
	report "no memfd of any process can be executed"
else
	skip "no memfd of any process can be executed" "a kernel before 6.3"
fi
sed '/^\[blk/,$d' "$scratch/vm.conf" >"$scratch/sched.conf"
if ! strace -o /dev/null true 2>/dev/null; then
	skip "the core asks for core scheduling" "strace cannot trace here"
else
	timeout -k 5 30 strace -f -e trace=prctl -o "$scratch/sched.strace" \
		"$bulkhead" run "$scratch/sched.conf" \
		--set "vm.name=${vm}s" --set vm.cmdline=move >/dev/null 2>&1
	grep -q 'prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0' "$scratch/sched.strace"
	report "the core asks for core scheduling"
fi

# --- names -------------------------------------------------------------------

[ "$(pgrep -f "^bulkhead: $vm" | wc -l)" -eq 6 ] &&
	[ "$(pgrep -f "^bulkhead: $vm/longest-name-15 \[blk\]$")" = "${pid[blk]}" ]
report "pgrep -f finds the VM, and one device of it"
[ "$(ps -o comm= -p "${pid[rng]}")" = rng ] &&
	top -b -n 1 -w 200 -p "${pid[blk]}" | grep -q blk-longest-nam
report "ps and top have the device's name"
top -b -H -n 1 -w 200 -p "${pid[core]}" | grep -q vcpu0
report "top -H has the vCPU's"

# --- tracing -----------------------------------------------------------------

# trace ROLE SECONDS [OPTION...]: what it calls goes to ROLE.strace; false if
# it could not be traced
trace() {
	local role=$1 seconds=$2 tracer attached
	shift 2
	timeout -s INT -k 5 30 strace -f "$@" -p "${pid[$role]}" \
		-o "$scratch/$role.strace" 2>"$scratch/$role.attached" &
	tracer=$!
	within 10 grep -q attached "$scratch/$role.attached" &&
		sleep "$seconds"
	attached=$?
	kill -INT "$tracer" 2>/dev/null
	wait "$tracer"
	return "$attached"
}

# calls ROLE CONDITION: how many calls, of a name for which the condition holds
calls() {
	awk "\$1 ~ /^[0-9.]+\$/ && \$NF != \"total\" && \$NF $2 {
		sum += \$4 } END { print sum + 0 }" "$scratch/$1.strace"
}

# traced ROLE SECONDS: several at a time, none of which must come to harm
traced() {
	local role jobs=() failed=0
	for role in $1; do
		trace "$role" "$2" -c &
		jobs+=($!)
	done
	for role in "${jobs[@]}"; do
		wait "$role" || failed=1
	done
	for role in $roles; do
		[ "$(process "$role")" = "${pid[$role]}" ] || failed=1
	done
	! grep -E 'stopping|killed|ended' "$scratch/err" && [ "$failed" -eq 0 ]
}

can_trace() {
	strace -o /dev/null true 2>/dev/null
}

if can_trace; then
	traced "$roles" 1
	report "strace -p on all six processes for a second: all live"
	busy=10
	[ "$(id -u)" -eq 0 ] || busy=2
	traced "core blk" "$busy"
	others=$(calls core '!= "ioctl"') runs=$(calls core '== "ioctl"')
	requests=$(calls blk '== "io_uring_enter"')
	# Each thread was interrupted once, when strace came.
	[ "$requests" -gt 100 ] && [ "$others" -le 4 ] && [ "$runs" -le 4 ]
	report "$requests requests of the guest in $busy s: KVM_RUN $runs times, other calls of the core $others"
else
	skip "strace -p on all six processes" "strace cannot trace here"
	skip "a busy disk costs the core no call" "strace cannot trace here"
fi

# --- deaths ------------------------------------------------------------------

# Thrice, as a machine may stand still for that second.
ends_in_a_second() {
	local try result
	for try in 1 2 3; do
		[ "$try" -eq 1 ] || start
		kill -9 "${pid[supervisor]}"
		gone_within 100
		result=$?
		gone_within 1000
		wait "${pid[supervisor]}" 2>/dev/null
		[ "$result" -ne 0 ] || return 0
	done
	return 1
}
ends_in_a_second
report "kill -9 of the supervisor: nothing lives a second later"
start
report "and its name and runtime folder are free for the next"

kill -9 "${pid[console]}"
ended 5 && says 'console \[console\]: killed by SIGKILL, .*; stopping' &&
	[ "$(grep -c 'stopping\|killed' "$scratch/err")" -eq 1 ] && nothing_left
report "kill -9 of a device: one line says which, status 5, nothing is left"

# Wherever it would wait, the rng now makes a call that its policy has not.
if can_trace; then
	start
	trace rng 5 -e inject=epoll_pwait:syscall=getpid:retval=0 &
	ended 5 && says 'rng \[rng\]: killed by seccomp: system call getpid .*; stopping' && nothing_left
	report "a call outside of the policy: the report names device and call"
	wait
else
	skip "a call outside of the policy" "strace cannot trace here"
fi
finish
