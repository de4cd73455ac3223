#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Holds the lab to what README.md promises. Speaks TAP; takes a minute or two.
# shellcheck disable=SC2016	# the machine's shells expand them, not ours
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$here/common.sh"
lab=$here/lab
count=0
failed=0

ok()
{
	count=$((count + 1))
	echo "ok $count - $1"
}

not_ok()
{
	count=$((count + 1))
	failed=1
	echo "not ok $count - $1"
}

# check NAME COMMAND...: the test passes if the command does.
check()
{
	local name=$1

	shift
	if "$@" > "$work/check.log" 2>&1; then
		ok "$name"
	else
		not_ok "$name"
		sed 's/^/# /' "$work/check.log"
	fi
}

# same NAME EXPECTED GOT
same()
{
	check "$1" diff <(echo "$2") <(echo "$3")
}

# The lines that the probe inside the machine has written under a name.
probed()
{
	sed -n "s/^$1: //p" "$work/out/probe"
}

test_command()
{
	local status

	truncate -s 1M "$work/disk"
	head -c 3000000 /dev/urandom > "$work/random"
	mkdir "$work/a folder"
	( cd "$work/a folder" && "$lab" -q -t 120 -d "$work/disk" -s 32 \
		-o "$work/out" -- bash "$here/lab-probe" "two  words" \
		"$work/random" ) > "$work/stdout" 2> "$work/stderr"
	status=$?
	same "the command's exit status comes back" 7 "$status"
	check "its output comes back unchanged" \
		cmp "$work/stdout" "$work/random"
	check "-q: nothing else is printed" cmp "$work/stderr" /dev/null
	same "arguments keep their spaces" "two  words" "$(probed argument)"
	same "the current folder is the same" "$work/a folder" "$(probed cwd)"
	same "BULKHEAD_LAB tells the lab" 1 "$(probed lab)"
	same "the command is root" 0 "$(probed uid)"
	same "/dev/kvm makes a virtual machine" yes "$(probed kvm)"
	same "nested paging is on" Y "$(probed npt)"
	same "cgroup2 limits a process" 7 "$(probed pids.max)"
	check "cgroup2 has the cpu, io, memory and pids controllers" \
		grep -q 'cpu io memory.* pids' <<< "$(probed controllers)"
	same "the loopback is up" yes "$(probed loopback)"
	same "modprobe finds the kernel's modules" yes "$(probed modprobe)"
	same "/lab/scratch takes direct I/O" yes "$(probed scratch)"
	same "writes stay in the machine" yes "$(probed overlay)"
	check "the host's files are untouched" test ! -e "$work/overlay"
	same "a disk keeps what was written" "kept on the disk" \
		"$(head -n 1 "$work/disk" | tr -d '\0')"
}

test_deadline()
{
	local status

	"$lab" -t 60 -o "$work/late" -- sh -c \
		'echo early; echo early > /lab/out/file; sleep 120' \
		> "$work/stdout" 2> "$work/stderr"
	status=$?
	same "the deadline gives 124" 124 "$status"
	same "output from before the deadline is there" early \
		"$(cat "$work/stdout")"
	same "a file from before the deadline is there" early \
		"$(cat "$work/late/file")"
	check "the deadline is reported" \
		grep -q 'deadline of 60 s' "$work/stderr"
}

# Process 1's sign of life is stopped, as it would be by a kernel that spins.
test_standstill()
{
	local status

	LAB_STILL=15 "$lab" -t 100 -- sh -c \
		'kill -STOP "$(cat /lab/alive)"; sleep 100' \
		> /dev/null 2> "$work/stderr"
	status=$?
	same "a machine that stands still gives 125" 125 "$status"
	check "that it stood still is reported" \
		grep -q 'stood still for 15 s' "$work/stderr"
}

test_death()
{
	local status

	"$lab" -t 60 -- sh -c 'echo o > /proc/sysrq-trigger; sleep 60' \
		> /dev/null 2> "$work/stderr"
	status=$?
	same "a machine that dies gives 125" 125 "$status"
	check "its end is reported" \
		grep -q 'ended before the command did' "$work/stderr"
}

# refused NAME PATTERN OPTION...: no machine, 125, and one line that says why.
refused()
{
	local name=$1 pattern=$2 status

	shift 2
	"$lab" "$@" > "$work/stdout" 2> "$work/stderr"
	status=$?
	same "$name gives 125" 125 "$status"
	check "$name is one line" test "$(cat "$work/stdout" "$work/stderr" |
		wc -l)" = 1
	check "$name says why" grep -q -e "$pattern" "$work/stderr"
}

test_signal()
{
	local pid status

	"$lab" -q -t 60 -- sleep 60 &
	pid=$!
	sleep 3
	kill -TERM "$pid"
	wait "$pid"
	status=$?
	same "SIGTERM ends the lab" 143 "$status"
}

test_closed_pipe()
{
	"$lab" -q -t 60 -- yes | head -n 1 > "$work/stdout"
	same "the lab ends when its reader does" "141 0" \
		"${PIPESTATUS[0]} ${PIPESTATUS[1]}"
}

test_user()
{
	local user=(setpriv --reuid 65534 --regid 65534 --clear-groups)

	[ "$(id -u)" = 0 ] || user=()
	if ! ${user[@]+"${user[@]}"} test -r "$LAB_CACHE/generic/initrd.img" \
		-a -x "$lab"; then
		ok "an ordinary user # SKIP cannot read $LAB_CACHE"
		return
	fi
	mkdir -m 1777 "$work/tmp"
	same "an ordinary user is root inside" 0 "$(cd / &&
		TMPDIR=$work/tmp ${user[@]+"${user[@]}"} \
		"$lab" -q -t 60 -- id -u 2>&1)"
}

# The cloud kernel with its initrd and a job, as a guest of the machine's KVM.
test_guest()
{
	local args="console=ttyS0 quiet panic=-1"

	echo 'test -c /dev/hwrng; exit $(($? + 42))' > "$work/job"
	check "mkinitrd adds a job to the guest's initrd" \
		"$here/mkinitrd" "$work/job" "$work/initrd"
	"$lab" -q -t 120 -- qemu-system-x86_64 -accel kvm -M q35 -m 256 \
		-nodefaults -display none -no-reboot -device virtio-rng-pci \
		-kernel "$LAB_CACHE/cloud/vmlinuz" -initrd "$work/initrd" \
		-append "$args" -serial stdio > "$work/stdout"
	check "a guest boots the cloud kernel on KVM" \
		grep -q 'BULKHEAD-GUEST-INIT [0-9.]*' "$work/stdout"
	check "the guest runs its job, with its drivers loaded" \
		grep -q 'BULKHEAD-GUEST-EXIT 42' "$work/stdout"
}

test_nothing_left()
{
	same "no temporary file is left" "" "$(find "$TMPDIR" -name '*lab.*')"
	same "no machine is left" "" "$(pgrep -f "mount_tag.*$TMPDIR")"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$work"
mkdir "$work/temporary"
export TMPDIR=$work/temporary

"$here/prepare" generic cloud || die "cannot prepare the lab"
test_command
test_deadline
test_death
test_standstill
refused "a missing disk" "disk.*/nowhere" -d /nowhere -- true
refused "no command" "no command" -m 512
refused "a wrong number" "-m wants a number" -m 4G -- true
test_signal
test_closed_pipe
test_user
test_guest
test_nothing_left
echo "1..$count"
exit "$failed"
