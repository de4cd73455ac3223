#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# VMs that run: how each ends, what is reported, that nothing is left; ps,
# stop, kill; signals at every moment; where a serial port may end.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! kvm_works; then
	skip "running VMs" "no usable /dev/kvm"
	finish
fi
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[blk vda]
	path = disk.img
	[rng]
CONF

# ends NAME STATUS PATTERN ARG...: the VM runs and ends so, leaving nothing
ends() {
	local name=$1 expected=$2 pattern=$3
	shift 3
	run_vm "$@"
	[ $? -eq "$expected" ] && says "$pattern" && nothing_left
	report "$name"
}

ends "power-off" 0 'the guest powered off' --set vm.cmdline=off
grep -q '^done' "$scratch/out"
report "its serial output came out on standard output"
ends "reset, on_reboot = stop" 0 'stopping \(on_reboot = stop\)' \
	--set vm.cmdline=reset
ends "triple fault is a reset" 0 'the guest asked for a reset' \
	--set vm.cmdline=triple
ends "panic, on_panic = report" 0 'the guest panicked' --set vm.cmdline=pvpanic
grep -q 'still here' "$scratch/out"
report "the guest went on after its panic"
ends "panic, on_panic = stop" 3 'the guest panicked.*stopping the VM' \
	--set vm.cmdline=pvpanic --set vm.on_panic=stop
ends "a vCPU that cannot go on" 4 "the guest's processor stopped: vcpu0" \
	--set vm.cmdline=unknown

# --- reboot: another life, with the same name and socket ---
start_vm --set vm.cmdline=reset --set vm.on_reboot=restart
lives() { grep -c ': running' "$scratch/err"; }
# shellcheck disable=SC2317	# within calls it
lived() { [ "$(lives)" -ge "$1" ]; }
began=$SECONDS
within 10 lived 2
report "on_reboot = restart: the guest runs again"
sleep 2.5
[ "$(lives)" -le $((2 + SECONDS - began)) ]
report "a guest that resets at once is slowed down"
"$bulkhead" ps --json "$vm" | jq -e '[.[0].processes[].births] | min == 1 and max >= 2' >/dev/null
report "every other process was born again"
"$bulkhead" kill "$vm" >/dev/null
ended 7 && nothing_left
report "and killed between two lives or in one"

# --- ps, and what it shows ---
start_vm
"$bulkhead" ps --jail "$vm" >"$scratch/ps"
for role in supervisor core serial blk rng; do
	grep -qE " $role +running +[1-9][0-9]* " "$scratch/ps"
	report "ps lists $role"
	process "$role" >/dev/null
	report "pgrep -f finds $role"
done
grep -q "$scratch/disk.img" "$scratch/ps"
report "ps names the image"
[ "$(grep -c 'CapEff 0, CapBnd 0, NoNewPrivs 1, Seccomp 2, own namespaces 7/7' "$scratch/ps")" -eq 4 ]
report "ps --jail: all but the supervisor are in one"
"$bulkhead" ps --json | jq -e ".[] | select(.name == \"$vm\") |
	.state == \"running\" and (.processes | length) == 5 and
	([.processes[] | .rss_kib > 0 and .pid > 0] | all)" >/dev/null
report "ps --json"
if [ "$(id -u)" -eq 0 ]; then
	[ "$("$bulkhead" ps --json "$vm" | jq '[.[0].processes[].uid] | unique | length')" -eq 5 ]
	report "every process has a uid of its own"
else
	skip "every process has a uid of its own" "needs root"
fi
for pid in $(pgrep -f "^bulkhead: $vm"); do
	name=$(cat "/proc/$pid/comm")
	[ ${#name} -le 15 ] && [[ $name =~ bulkhead|core|serial|vda|rng ]]
	report "comm of $pid is $name"
done
pss=$(awk '/^Pss:/ { print $2 }' "/proc/$supervisor/smaps_rollup")
[ "$pss" -le 2048 ]
report "the supervisor's own memory is $pss KiB, at most 2048"
"$bulkhead" kill "$vm" | grep -q "$vm: over, status 7"
report "kill waits and tells the status"
ended 7 && nothing_left
report "kill leaves nothing"

# --- stop ---
start_vm --set vm.cmdline=button --set vm.stop_timeout=20s
until grep -q armed "$scratch/out"; do sleep 0.02; done
"$bulkhead" stop "$vm" | grep -q "$vm: over, status 0"
report "stop presses the power button"
ended 0 && says 'power button pressed' && nothing_left
report "and the guest powers off"
start_vm --set vm.stop_timeout=20s
"$bulkhead" stop "$vm" --timeout 1 >/dev/null
ended 7 && says 'did not power off in time' && nothing_left
report "stop --timeout kills a guest that does not hear"

# --- deaths ---
# dies ROLE SIGNAL STATUS PATTERN
dies() {
	start_vm --set vm.on_crash=stop
	kill "-$2" "$(process "$1")"
	ended "$3" && says "$4" && nothing_left
	report "$1 dies of SIG$2"
}
dies blk KILL 5 'vda \[blk\]: killed by SIGKILL, .* s after its birth; stopping'
dies serial KILL 5 'serial \[serial\]: killed by SIGKILL'
dies rng KILL 5 'rng \[rng\]: killed by SIGKILL'
dies core KILL 6 'core \[core\]: killed by SIGKILL'
[ "$(grep -c stopping "$scratch/err")" -eq 1 ]
report "one death is reported, not those that follow"
start_vm --set vm.on_crash=stop
kill -STOP "$(process rng)"
kill -KILL "$(process blk)"
ended 5 && says 'rng: process [0-9]+ did not finish in time; killed' && nothing_left
report "a process that hangs does not hold up the end"

# --- signals to the supervisor, from its first moment to a running guest ---
bad=0 moments=0
for signal in INT TERM HUP; do
	for moment in 0 0.002 0.004 0.006 0.008 0.010 0.013 0.016 0.02 0.03 0.05; do
		env --default-signal=INT "$bulkhead" run "$scratch/vm.conf" \
			>"$scratch/out" 2>"$scratch/err" </dev/null &
		supervisor=$!
		# Until exec it is a shell, which takes signals its own way.
		until [ "$(cat "/proc/$supervisor/comm")" = bulkhead ]; do :; done
		sleep "$moment"
		kill "-$signal" "$supervisor"
		wait "$supervisor"
		result=$?
		moments=$((moments + 1))
		case $result in
		7 | 129 | 130 | 143) ;;
		*) bad=$((bad + 1)); echo "# $signal after $moment: status $result" ;;
		esac
		nothing_left || bad=$((bad + 1))
	done
done
[ "$bad" -eq 0 ]
report "$moments signals at different moments: all end, nothing is left"
start_vm --set vm.stop_timeout=20s
kill -INT "$supervisor"
says_in_time 'power button pressed'
kill -INT "$supervisor"
ended 7 && says 'Interrupt: killing' && nothing_left
report "a second signal kills"

# --- as many devices as there may be, and one that is not ours ---
cat "$scratch/vm.conf" >"$scratch/many.conf"
for disk in $(seq 28); do
	truncate -s 1M "$scratch/d$disk.img"
	printf '[blk d%d]\npath = d%d.img\n' "$disk" "$disk" >>"$scratch/many.conf"
done
timeout -k 5 60 "$bulkhead" run "$scratch/many.conf" --set vm.cmdline=off \
	>"$scratch/out" 2>"$scratch/err" </dev/null &&
	says 'devices 31;' && nothing_left
report "31 devices"
"$build/bulkhead-blk" --socket-path="$scratch/v.sock" \
	--blk-file="$scratch/d1.img" >"$scratch/blk" 2>&1 &
backend=$!
within 10 sockets "$scratch/v.sock" 1
start_vm --set "blk d1.socket=$scratch/v.sock" --set 'blk d1.on_crash=stop'
"$bulkhead" ps "$vm" | grep -q "blk  *foreign  *0 .*$scratch/v.sock"
report "socket = : a back-end that somebody else runs"
kill "$backend"
ended 5 && says "the back-end at $scratch/v.sock failed" && nothing_left
report "and its end is the VM's"

# --- without root: the same walls, one uid ---
as_nobody() {
	env BULKHEAD_RUNTIME_DIR="$scratch/nobody/run" setpriv --reuid 65534 \
		--regid 65534 --clear-groups "$@"
}
# A /dev/kvm open to all, for this one: the host's own stays as it is.
if [ "$(id -u)" -eq 0 ] && as_nobody test -x "$bulkhead" &&
	mknod -m 666 "$scratch/kvm" c 10 232 &&
	as_nobody sh -c ": <$scratch/kvm" 2>/dev/null; then
	mkdir "$scratch/nobody"
	cp "$scratch/vm.conf" "$scratch/kernel" "$scratch/disk.img" "$scratch/nobody"
	chown -R 65534 "$scratch/nobody"
	export -f as_nobody
	export scratch bulkhead
	: >"$scratch/err"
	# shellcheck disable=SC2016  # the inner shell expands it
	unshare -m bash -c 'mount --bind "$scratch/kvm" /dev/kvm &&
		as_nobody "$bulkhead" run "$scratch/nobody/vm.conf"' \
		>"$scratch/out" 2>"$scratch/err" </dev/null &
	supervisor=$!
	within 10 said ': running'
	{
		as_nobody "$bulkhead" ps --jail "$vm" >"$scratch/ps" &&
			[ "$(grep -c 'CapEff 0, CapBnd 0, NoNewPrivs 1, Seccomp 2, own namespaces 7/7' "$scratch/ps")" -eq 4 ]
	} || explain
	report "rootless: every process but the supervisor is in its jail"
	as_nobody "$bulkhead" stop "$vm" >/dev/null
	ended 7 && nothing_left && [ -z "$(ls -A "$scratch/nobody/run")" ]
	report "rootless: stopped, and nothing is left"
else
	skip "rootless" "needs root to give it up, and to make a device node"
fi

# --- the terminal ---
if command -v script >/dev/null; then
	cat >"$scratch/in-terminal" <<-SH
		: >$scratch/err
		stty -g >$scratch/before
		$bulkhead run $scratch/vm.conf </dev/tty 2>$scratch/err &
		until grep -q ': running' $scratch/err; do sleep 0.02; done
		stty -g >$scratch/during
		kill -\$1 \$!
		wait \$!
		stty -g >$scratch/after
	SH
	for signal in TERM HUP INT; do
		timeout -k 5 20 script -qec "bash $scratch/in-terminal $signal" \
			/dev/null >"$scratch/out" </dev/null
		cmp -s "$scratch/before" "$scratch/after" &&
			! cmp -s "$scratch/before" "$scratch/during" && nothing_left
		report "the terminal is raw meanwhile, and restored after SIG$signal"
	done
	: >"$scratch/err"
	(within 10 said ': running'; printf '\001x'; sleep 2) | timeout -k 5 20 script -qec \
		"$bulkhead run $scratch/vm.conf 2>&1 | tee $scratch/err" /dev/null >"$scratch/out"
	grep -q 'Ctrl-A x: killing' "$scratch/out" && nothing_left
	report "Ctrl-A x ends the VM"
else
	skip "the terminal is restored" "script is not installed"
fi

# --- other ends of a serial port ---
run_vm --set vm.cmdline=off --set "serial.connect=file:$scratch/serial.log" &&
	grep -q '^done' "$scratch/serial.log" && [ ! -s "$scratch/out" ]
report "connect = file:"
truncate -s 1048575 "$scratch/full.log"
run_vm --set vm.cmdline=off --set "serial.connect=file:$scratch/full.log" --set serial.max_size=1M
[ $? -eq 0 ] && [ "$(stat -c %s "$scratch/full.log")" -eq 1048576 ]
report "a file of max_size gets no more, and the guest runs to its end"
run_vm --set vm.cmdline=off --set "serial.connect=file:$scratch/serial.log" &&
	[ "$(grep -c '^done' "$scratch/serial.log")" -eq 2 ]
report "which is appended to"
run_vm --set vm.cmdline=off --set serial.connect=null && [ ! -s "$scratch/out" ]
report "connect = null"
start_vm --set vm.cmdline=button --set serial.connect=pty
pty=$("$bulkhead" ps --json "$vm" |
	jq -r '.[0].processes[] | select(.role == "serial") | .resource')
[ -c "$pty" ]
report "connect = pty: ps shows $pty"
timeout 5 head -n 1 <"$pty" >"$scratch/pty" &
reader=$!
# shellcheck disable=SC2317	# within calls it
reads_pty() { [ "$(readlink "/proc/$reader/fd/0")" = "$pty" ]; }
within 10 reads_pty
sleep 0.5
"$bulkhead" stop "$vm" --timeout 5 >/dev/null
wait "$reader"
grep -q '=' "$scratch/pty"
report "what the guest says comes out of it"
wait "$supervisor"
nothing_left && [ ! -e "$pty" ]
report "and it is gone with the VM"
start_vm --set vm.cmdline=button --set vm.stop_timeout=20s \
	--set "serial.connect=socket:$scratch/serial.sock"
"$talk" "$scratch/serial.sock" 3000 </dev/null >"$scratch/first" &
first=$!
within 10 sockets "$scratch/serial.sock" 2
sleep 0.3
"$bulkhead" stop "$vm" >/dev/null
wait "$first"
grep -q pressed "$scratch/first"
report "connect = socket: a peer hears the guest"
ended 0 && [ ! -e "$scratch/serial.sock" ] && nothing_left
report "and the socket is gone with the VM"
finish
