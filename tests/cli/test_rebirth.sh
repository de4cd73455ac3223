#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Devices that die under a running VM: reborn, exchanged, given up.
. "$(dirname "$0")/lib.sh"

if ! kvm_works; then
	skip "rebirth" "/dev/kvm cannot be used"
	finish
fi
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[console]
	[rng]
	[blk vda]
	path = disk.img
CONF

# comes_again ROLE PID: another process than PID has the role, and serves
comes_again() {
	local tries=0 pid
	while [ "$tries" -lt 250 ]; do
		pid=$(process "$1")
		if [ -n "$pid" ] && [ "$pid" != "$2" ] &&
			"$bulkhead" ps "$vm" | grep -Eq " $1 +running +$pid "; then
			return
		fi
		tries=$((tries + 1))
		sleep 0.02
	done
	echo "# $1: process '$pid' after $2"
	"$bulkhead" ps "$vm" | sed 's/^/# /'
	return 1
}

start_vm --set vm.heartbeat=1s
for role in blk serial console rng; do
	old=$(process "$role")
	kill -KILL "$old"
	comes_again "$role" "$old" && says "\[$role\]: killed by SIGKILL, .* requests in flight: 0" &&
		says "\[$role\]: process [0-9]+ goes on"
	report "$role: killed and reborn"
	old=$(process "$role")
	kill -STOP "$old"
	comes_again "$role" "$old" && says "\[$role\]: process $old does not answer its heartbeat"
	report "$role: stopped, found and reborn"
	old=$(process "$role")
	device=$role
	[ "$role" = blk ] && device=vda
	"$bulkhead" device "$vm" restart "$device" >"$scratch/device" &&
		grep -qE "$device is process [0-9]+ now" "$scratch/device" &&
		[ "$(process "$role")" != "$old" ]
	report "$role: exchanged"
done
"$bulkhead" ps "$vm" --jail | grep -q "/vda " &&
	! "$bulkhead" ps "$vm" --jail | grep -q NOT
report "the reborn are in jails"
"$bulkhead" device "$vm" restart vdz 2>"$scratch/device"
[ $? -eq 1 ] && grep -q "no device 'vdz'" "$scratch/device"
report "a device that is not there cannot be exchanged"
"$bulkhead" device "$vm" restrat vda 2>"$scratch/device"
[ $? -eq 2 ]
report "a word that is not known is a wrong command line"
kill -KILL "$(process core)"
ended 6 && nothing_left
report "the core is not reborn"

start_vm --set vm.max_restarts=1
old=$(process rng)
kill -KILL "$old"
comes_again rng "$old"
report "the first death that max_restarts allows"
kill -KILL "$(process rng)"
says_in_time 'rng \[rng\]: died 2 times within 60 s; given up' &&
	"$bulkhead" ps "$vm" | grep -Eq ' rng +failed '
report "the second: given up, and the VM runs on"
"$bulkhead" device "$vm" restart rng >/dev/null && comes_again rng "$old"
report "a device that was given up comes back by command"
"$bulkhead" kill "$vm" >/dev/null
ended 7 && nothing_left
report "and all end together"

start_vm --set 'rng.on_crash=stop'
old=$(process blk)
kill -KILL "$old"
comes_again blk "$old"
report "on_crash in a section is for that device"
kill -KILL "$(process rng)"
ended 5 && says 'rng \[rng\]: killed by SIGKILL, .*; stopping the VM' && nothing_left
report "on_crash = stop"

# --- on_crash = pause ---
# looks_like VM DEVICE STATE: ps has the VM so, and the device, within five seconds
looks_like() {
	local tries=0
	until "$bulkhead" ps --json "$vm" | jq -e --arg vm "$1" --arg dev "$2" \
		--arg state "$3" '.[0].state == $vm and
		any(.[0].processes[]; .device == $dev and .state == $state)' >/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 250 ] || { "$bulkhead" ps "$vm" | sed 's/^/# /'; return 1; }
		sleep 0.02
	done
}

start_vm --set vm.on_crash=pause --set console.on_crash=restart
old=$(process rng)
kill -KILL "$old"
looks_like paused rng dead && says 'rng \[rng\]: killed by SIGKILL' &&
	says "rng \[rng\]: the VM is paused .*bulkhead device $vm resume rng"
report "on_crash = pause: a device dies, and the VM is paused"
old=$(process console)
kill -KILL "$old"
comes_again console "$old" && looks_like paused rng dead
report "another one, with on_crash = restart, comes again meanwhile"
kill -KILL "$(process blk)"
looks_like paused vda dead &&
	"$bulkhead" device "$vm" resume vda >"$scratch/device" &&
	looks_like paused vda running
report "a second one that died: one of both is back, the VM waits for the other"
"$bulkhead" device "$vm" restart rng >"$scratch/device" &&
	grep -qE "rng is process [0-9]+ now" "$scratch/device" &&
	looks_like running rng running && says ': the VM goes on'
report "restart brings the other, and the VM goes on"
"$bulkhead" events "$vm" | jq -r '.event + " " + (.process // "")' >"$scratch/events"
[ "$(grep -cx 'paused rng' "$scratch/events") $(grep -cx 'paused vda' "$scratch/events") $(grep -cx 'unpaused ' "$scratch/events")" = "1 1 1" ]
report "events say so"
"$bulkhead" device "$vm" resume rng 2>"$scratch/device"
[ $? -eq 1 ]
report "a device that serves is not resumed"
kill -KILL "$(process serial)"
looks_like paused serial dead && "$bulkhead" device "$vm" restart console >/dev/null &&
	looks_like paused serial dead
report "the exchange of another device does not let it go on"
"$bulkhead" stop "$vm" --timeout 1 >/dev/null
ended 7 && says 'serial \[serial\]: process [0-9]+ goes on' && nothing_left
report "stop lets it go on first, so that the guest can power off"
start_vm --set rng.on_crash=pause
kill -KILL "$(process rng)"
looks_like paused rng dead && "$bulkhead" kill "$vm" >/dev/null
ended 7 && nothing_left
report "kill ends a paused VM"

# --- spares ---
# spare_of ROLE: its process, once it is READY, or status 1
spare_of() {
	local tries=0 pid
	while [ "$tries" -lt 250 ]; do
		pid=$(process "$1 spare")
		if [ -n "$pid" ] && [ "$pid" != "${2:-}" ] &&
			"$bulkhead" ps "$vm" | grep -Eq " $1 +spare +$pid "; then
			echo "$pid"
			return
		fi
		tries=$((tries + 1))
		sleep 0.02
	done
	echo "# $1: no spare" >&2
	return 1
}

start_vm --set vm.spare=yes --set vm.heartbeat=1s
spare_of blk >/dev/null && spare_of serial >/dev/null &&
	spare_of console >/dev/null && spare_of rng >/dev/null
report "each device has a spare, soon after the guest's start"
! "$bulkhead" ps "$vm" --jail | grep -q NOT &&
	[ "$("$bulkhead" ps --json "$vm" | jq '[.[].processes[] | select(.uid != 0) | .uid] | (unique | length) as $n | $n == length or $n == 1')" = true ]
report "in a jail, with a uid of its own if the VM's processes have that"
[ "$("$bulkhead" stats "$vm" | grep -c '^vda \[blk\]')" -eq 1 ] &&
	! "$bulkhead" stats "$vm" | grep -q null
report "statistics are the device's, and there once"
for role in blk serial console rng; do
	heir=$(spare_of "$role")
	old=$(process "$role")
	kill -KILL "$old"
	comes_again "$role" "$old" && [ "$(process "$role")" = "$heir" ]
	report "$role: killed, its spare takes over"
	next=$(spare_of "$role" "$heir")
	kill -KILL "$next"
	says_in_time "\[$role\]: its spare: killed by SIGKILL"
	report "$role: a spare that dies is reported, and the guest runs on"
done
old=$(process blk)
heir=$(spare_of blk)
"$bulkhead" device "$vm" restart vda >/dev/null && comes_again blk "$old" &&
	[ "$(process blk)" != "$heir" ] && within 10 [ ! -d "/proc/$heir" ]
report "an exchange wants the program as it is now: the spare goes too"
heir=$(spare_of blk)
old=$(process blk)
kill -STOP "$heir"
kill -KILL "$old"
comes_again blk "$old" && says "process $heir does not answer its heartbeat|its spare"
comes_again blk "$heir"
report "a spare that hangs is found out when it is needed"
"$bulkhead" kill "$vm" >/dev/null
ended 7 && nothing_left
report "spares end with the VM"

# --- a back-end of somebody else ---
backend() {
	rm -f "$scratch/v.sock"
	"$build/bulkhead-blk" --socket-path="$scratch/v.sock" \
		--blk-file="$scratch/other.img" >"$scratch/blk" 2>&1 &
	backend=$!
	within 10 sockets "$scratch/v.sock" 1
}
# end_backend: also of its socket, and of its lock on the image
end_backend() {
	kill "$backend"
	wait "$backend"
}
truncate -s 1M "$scratch/other.img"
printf '[blk other]\nsocket = %s\n' "$scratch/v.sock" >>"$scratch/vm.conf"
backend && start_vm
kill -KILL "$backend"
says_in_time 'v.sock failed: .*; nothing is lost with it'
backend
says_in_time 'other \[blk\]: connection 1 goes on'
report "a foreign back-end that had nothing in flight is connected to again"
"$bulkhead" kill "$vm" >/dev/null
ended 7 && nothing_left
report "and that is all there was"
end_backend
backend && start_vm --set 'blk other.on_crash=pause'
kill -KILL "$backend"
says_in_time 'other \[blk\]: the VM is paused' &&
	"$bulkhead" ps "$vm" | grep -Eq "/core +core +paused "
report "on_crash = pause holds for a foreign back-end, too"
backend
"$bulkhead" device "$vm" resume other >/dev/null &&
	says_in_time 'other \[blk\]: connection 1 goes on' && says ': the VM goes on'
report "it is connected to again by command, and the VM goes on"
"$bulkhead" kill "$vm" >/dev/null
ended 7
end_backend

sed -i '/^\[blk other\]/,$d' "$scratch/vm.conf"
run_vm --set vm.heartbeat=1ms
[ $? -eq 2 ] && says 'heartbeat = 1ms: expected 0s for none, or 300ms at least'
report "a heartbeat that nobody can keep is refused"
finish
