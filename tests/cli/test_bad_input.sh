#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What can be wrong before a guest runs: one clear line, an exit status, and
# nothing started or left behind.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

make_files

# refused NAME STATUS PATTERN ARG...: bulkhead run ends with one line
refused() {
	local name=$1 expected=$2 pattern=$3 result
	shift 3
	run_vm "$@"
	result=$?
	{
		[ "$result" -eq "$expected" ] && says "$pattern" &&
			[ "$(wc -l <"$scratch/err")" -eq 1 ] && nothing_left
	} || explain
	report "$name"
}

# --- configuration: exit status 2 ---
add() { printf '%s\n' "$@" >>"$scratch/vm.conf"; }
refused "an unknown key" 2 'unknown key .colour. in \[vm\]' --set vm.colour=red
refused "an unknown section" 2 'unknown section \[usb\]' --set usb.port=1
refused "a wrong unit" 2 'memory = 64K: the unit must be M' --set vm.memory=64K
add "[blk vda]" "path = disk.img" "[blk vda]" "path = disk.img"
refused "a duplicate device" 2 \
	'vm.conf:12: \[blk vda\] is given twice; first at .*vm.conf:10'
make_files
add "[blk vda]"
refused "a disk without a path" 2 'vm.conf:10: \[blk vda\] needs .path'
make_files
rm "$scratch/vm.conf"
refused "no configuration" 2 'vm.conf: cannot read the configuration: No such'
make_files

# --- resources: exit status 1 ---
refused "a missing image" 1 'path = .*/none.img: cannot open it: No such' \
	--set "blk vda.path=$scratch/none.img"
: >"$scratch/empty.img"
refused "an empty image" 1 'path = .*/empty.img: the image is empty' \
	--set "blk vda.path=$scratch/empty.img"
refused "a folder as an image" 1 'a folder; a disk image is needed' \
	--set "blk vda.path=$scratch"
mkfifo "$scratch/fifo"
refused "a fifo as an image" 1 'neither a file nor a block device' \
	--set "blk vda.path=$scratch/fifo"
refused "a missing kernel" 1 'kernel = .*/none: cannot open it: No such' \
	--set "vm.kernel=$scratch/none"
refused "a fifo as a kernel" 1 'kernel = .*/fifo: not a regular file' \
	--set "vm.kernel=$scratch/fifo"
refused "an empty kernel" 1 'kernel = .*: the file is empty' \
	--set "vm.kernel=$scratch/empty.img"
truncate -s 65M "$scratch/large"
refused "a kernel larger than RAM" 1 '65M do not fit into memory = 64M' \
	--set "vm.kernel=$scratch/large"
refused "an initrd larger than RAM" 1 'initrd = .*65M do not fit' \
	--set "vm.initrd=$scratch/large"
refused "more memory than the host has" 1 'is more than the [0-9]+M this host' \
	--set vm.memory=1000000G
free=/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages
if [ "$(cat "$free" 2>/dev/null || echo 0)" -lt 32 ]; then
	refused "huge pages that the host has not set aside" 1 'free 2M pages' \
		--set vm.huge_pages=yes
else
	skip "huge pages that the host has not set aside" "it has"
fi
refused "a vhost-user back-end that is not there" 1 \
	'cannot connect: .*start the vhost-user back-end first' \
	--set "blk vda.socket=$scratch/none.sock"
refused "a serial file in no folder" 1 'connect of \[serial\] to .*No such' \
	--set "serial.connect=file:$scratch/none/log"
refused "something in the way of a socket" 1 'no socket is in the way' \
	--set "serial.connect=socket:$scratch/disk.img"

# as_nobody COMMAND...: without root's rights
as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$@"
}

if [ "$(id -u)" -ne 0 ]; then
	for name in "an unreadable image" "no /dev/kvm" "no right to /dev/kvm" \
		"a user namespace denied" "a namespace denied" \
		"a runtime folder of somebody else"; do
		skip "$name" "needs root"
	done
else
	# refused_in NAME PATTERN COMMAND...: as refused, in a changed world
	refused_in() {
		local name=$1 pattern=$2 result
		shift 2
		timeout -k 5 20 "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
		result=$?
		{
			[ "$result" -eq 1 ] && says "$pattern" &&
				[ "$(wc -l <"$scratch/err")" -eq 1 ]
		} || explain
		report "$name"
	}
	run="$bulkhead run $scratch/vm.conf"
	mkdir -m 700 "$scratch/run-nobody"
	chown 65534 "$scratch/run-nobody"
	chmod 600 "$scratch/disk.img"
	refused_in "an unreadable image" 'no right to open it for writing' \
		env BULKHEAD_RUNTIME_DIR="$scratch/run-nobody" \
		setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$bulkhead" run "$scratch/vm.conf" --set "blk vda.path=$scratch/disk.img"
	refused_in "no /dev/kvm" '/dev/kvm: no KVM here; turn virtualisation on' \
		unshare -m sh -c "mount -t tmpfs none /dev && exec $run"
	: >"$scratch/no-kvm"
	chmod 600 "$scratch/no-kvm"
	refused_in "no right to /dev/kvm" '/dev/kvm: no right to use it; add' \
		unshare -m sh -c "mount --bind $scratch/no-kvm /dev/kvm &&
			exec env BULKHEAD_RUNTIME_DIR=$scratch/run-nobody \
			setpriv --reuid 65534 --regid 65534 --clear-groups $run"
	chown 65534 "$scratch"
	refused_in "a runtime folder of somebody else" 'only you can write to' \
		env BULKHEAD_RUNTIME_DIR="$scratch" "$bulkhead" run "$scratch/vm.conf"
	chown 0 "$scratch"
	if as_nobody unshare -Ur true 2>/dev/null && kvm_works; then
		refused_in "a user namespace denied" 'user.max_user_namespaces' \
			unshare -Ur sh -c \
			"echo 0 >/proc/sys/user/max_user_namespaces && exec $run"
		refused_in "a namespace denied" 'max_\*_namespaces' \
			unshare -Ur sh -c \
			"echo 0 >/proc/sys/user/max_net_namespaces && exec $run"
	else
		skip "a user namespace denied" "no user namespaces or no /dev/kvm"
		skip "a namespace denied" "no user namespaces or no /dev/kvm"
	fi
	nothing_left
	report "and nothing is left of any of them"
fi

if ! kvm_works; then
	for name in "a truncated kernel" "a kernel that is none" "a locked image" \
		"an image shared by two readers" "a name already running" \
		"a stale runtime folder" "a stale socket of a serial port" \
		"a socket that somebody listens on"; do
		skip "$name" "no usable /dev/kvm"
	done
	finish
fi

# --- found by the core: exit status 1, its reason in the supervisor's line ---
head -c 1000 "$guest" >"$scratch/cut"
run_vm --set "vm.kernel=$scratch/cut"
[ $? -eq 1 ] && says 'core \[core\]: exited with status 1.*kernel' && nothing_left
report "a truncated kernel"
seq 1000 >"$scratch/text"
run_vm --set "vm.kernel=$scratch/text"
[ $? -eq 1 ] && says 'core \[core\]: exited with status 1.*kernel' && nothing_left
report "a kernel that is none"

# --- beside a VM that runs ---
start_vm --set "blk vda.path=$scratch/disk.img"
timeout -k 5 20 "$bulkhead" run "$scratch/vm.conf" --set "vm.name=${vm}b" \
	--set "blk vda.path=$scratch/disk.img" >"$scratch/out" 2>"$scratch/err2" </dev/null
result=$?
{
	[ "$result" -eq 1 ] && [ "$(wc -l <"$scratch/err2")" -eq 1 ] &&
		grep -qE "in use by process [0-9]+ \(bulkhead: $vm" "$scratch/err2"
} || explain
report "a locked image"
timeout -k 5 20 "$bulkhead" run "$scratch/vm.conf" >"$scratch/out" 2>"$scratch/err2" </dev/null
[ $? -eq 1 ] && [ "$(wc -l <"$scratch/err2")" -eq 1 ] &&
	grep -q "a VM named '$vm' is running (pid $supervisor)" "$scratch/err2"
report "a name already running"
kill -TERM "$supervisor"
ended 7
report "which runs on until it is stopped"

start_vm --set "blk vda.path=$scratch/disk.img" --set "blk vda.read_only=yes"
timeout -k 5 20 "$bulkhead" run "$scratch/vm.conf" --set "vm.name=${vm}b" \
	--set "blk vda.path=$scratch/disk.img" --set "blk vda.read_only=yes" \
	--set vm.cmdline=off >"$scratch/out" 2>"$scratch/err2" </dev/null
report "an image shared by two readers"
kill -TERM "$supervisor"
ended 7

# --- what a supervisor that was killed left behind ---
start_vm --set "serial.connect=socket:$scratch/serial.sock"
kill -KILL "$supervisor"
wait "$supervisor" 2>/dev/null
[ -S "$BULKHEAD_RUNTIME_DIR/$vm.sock" ] && [ -S "$scratch/serial.sock" ]
report "a killed supervisor leaves its sockets"
within 10 no_process
report "but no process"
run_vm --set vm.cmdline=off && ! says 'stale|warning' >/dev/null && nothing_left
report "a stale runtime folder"
run_vm --set vm.cmdline=off --set "serial.connect=socket:$scratch/serial.sock" &&
	[ ! -e "$scratch/serial.sock" ] && nothing_left
report "a stale socket of a serial port"
start_vm --set "serial.connect=socket:$scratch/serial.sock"
timeout -k 5 20 "$bulkhead" run "$scratch/vm.conf" --set "vm.name=${vm}b" \
	--set "serial.connect=socket:$scratch/serial.sock" \
	>"$scratch/out" 2>"$scratch/err2" </dev/null
[ $? -eq 1 ] && grep -q 'another process listens there' "$scratch/err2" &&
	[ -S "$scratch/serial.sock" ]
report "a socket that somebody listens on"
kill -TERM "$supervisor"
ended 7 && nothing_left
report "and nothing is left of all these"
finish
