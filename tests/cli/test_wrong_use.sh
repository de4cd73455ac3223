#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A VM with every kind of device: each control request in wrong forms, and each
# command in wrong use, is an error of one line, and the VM does not mind.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! kvm_works; then
	skip "wrong use of a running VM" "no usable /dev/kvm"
	finish
fi
guest=$build/tests/guest/blk_storm.guest
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[console]
	connect = null
	[rng]
	[blk vda]
	path = disk.img
CONF
start_vm --set serial.connect=null
socket=$BULKHEAD_RUNTIME_DIR/$vm.sock

# What must not change: processes, rules, limits; and the disk must go on.
processes() { "$bulkhead" ps "$vm" --json | jq -c '.[0].processes | map([.device, .pid, .births])'; }
requests() { "$bulkhead" stats "$vm" --json | jq '.processes[] | select(.device == "vda") | .queues[0].requests'; }
settings() {
	"$bulkhead" fault "$vm" --list
	"$bulkhead" device "$vm" throttle vda | grep -v delayed
}
before=$(processes)
[ "$(jq length <<<"$before")" -eq 6 ]
report "a VM with six processes"
settings >"$scratch/settings"
goes_on() {
	local from tries
	from=$(requests)
	for ((tries = 0; tries < 100; tries++)); do
		[ "$(requests)" -le "$from" ] || return 0
		sleep 0.05
	done
	return 1
}
# unharmed BY: by what
unharmed() {
	goes_on
	report "the VM is unharmed by $1: its disk goes on"
	[ "$(processes)" = "$before" ] || { echo "# was $before"; echo "# is $(processes)"; false; }
	report "the VM is unharmed by $1: its processes are the same"
	settings | cmp - "$scratch/settings"
	report "the VM is unharmed by $1: so are its rules and limits"
}

# --- control requests ------------------------------------------------------------
# Of each verb that the supervisor knows, beginnings and ends that are wrong.

mapfile -t verbs < <(sed -nE 's/^\t\{ "([a-z-]+)", (command|control)_.*/\1/p' \
	"$source/cli/control_commands.c")
[ "${#verbs[@]}" -ge 13 ]
report "${#verbs[@]} verbs"
for verb in "${verbs[@]}"; do
	cat <<-END
		{"command":"$verb"}
		{"version":2,"command":"$verb"}
		{"version":"1","command":"$verb"}
		{"version":1,"command":["$verb"]}
		{"version":1,"command":"$verb "}
		{"version":1,"command":"$verb","command":"$verb"}
		{"version":1,"command":"$verb"
		{"version":1,"command":"$verb"}}
		[{"version":1,"command":"$verb"}]
		{"version":1,"command":"$verb","device":"vda\\u0000"}
	END
done >"$scratch/requests"

# wrong VERB FIELDS...: requests of that verb with those fields
wrong() {
	local verb=$1 fields
	shift
	for fields in "$@"; do
		echo "{\"version\":1,\"command\":\"$verb\"${fields:+,$fields}}"
	done
}
long=$(head -c 60000 /dev/zero | tr '\0' x)
{
	wrong status '"refresh_stats":1' '"refresh_stats":"true"' '"refresh_stats":null' \
		'"refresh_stats":[true]'
	wrong stop '"timeout_ms":"1"' '"timeout_ms":-1' '"timeout_ms":1.5' \
		'"timeout_ms":86400001' '"timeout_ms":null' '"timeout_ms":99999999999999999999'
	wrong stats-page '' '"process":1' '"process":""' '"process":"vdb"' \
		'"process":"../core"' '"process":null' '"process":["core"]' "\"process\":\"$long\""
	wrong events '"from":-1' '"from":"0"' '"from":1.5' '"from":null' '"follow":1' \
		'"follow":"yes"' '"from":0,"follow":null' '"from":99999999999999999999'
	wrong walk '' '"count":1' '"device":"vda"' '"device":1,"count":1' \
		'"device":"serial","count":1' '"device":"rng","count":1' \
		'"device":"core","count":1' '"device":"vda","count":-1' \
		'"device":"vda","count":100001' '"device":"vda","count":"1"' \
		'"device":"vda","count":1.5' '"device":"vda","count":null' \
		"\"device\":\"$long\",\"count\":1"
	for verb in restart-device resume-device resize move throttle; do
		wrong "$verb" '' '"device":1' '"device":""' '"device":null' '"device":"vdb"' \
			'"device":"core"' '"device":["vda"]' "\"device\":\"$long\""
	done
	for verb in resume-device resize move throttle; do
		wrong "$verb" '"device":"serial"' '"device":"rng","bytes":1,"path":"/x","set":"iops=1"'
	done
	wrong resume-device '"device":"vda"'
	wrong resize '"device":"vda"' '"device":"vda","bytes":0' '"device":"vda","bytes":-1' \
		'"device":"vda","bytes":"2M"' '"device":"vda","bytes":1.5' \
		'"device":"vda","bytes":1048576' '"device":"vda","bytes":512' \
		'"device":"vda","bytes":2097153' '"device":"vda","bytes":9223372036854775807'
	wrong move '"device":"vda","path":1' '"device":"vda","path":""' \
		'"device":"vda","path":"new.img"' '"device":"vda","path":"/nowhere/new.img"' \
		"\"device\":\"vda\",\"path\":\"$scratch/disk.img\"" \
		'"device":"vda","cancel":"yes"' '"device":"vda","cancel":1' \
		"\"device\":\"vda\",\"path\":\"/$long\""
	wrong throttle '"device":"vda","set":1' '"device":"vda","set":null' \
		'"device":"vda","set":"iops"' \
		'"device":"vda","set":"iosp=1"' '"device":"vda","set":"iops=-1"' \
		"\"device\":\"vda\",\"set\":\"$long\""
	wrong fault '"clear":1' '"seed":-1' '"seed":"1"' '"seed":1.5' '"rule":1' \
		'"script":1' '"rule":"vda eio","script":"vda eio"' '"rule":""' \
		'"rule":"vda"' '"rule":"vdb eio"' '"rule":"vda explode"' \
		'"rule":"vda eio op=jump"' '"rule":"vda eio","clear":"yes"' \
		'"script":"vda eio\nvda"' "\"rule\":\"vda $long\""
} >>"$scratch/requests"

# A connection for each hundred: a client is to read its answers, too.
split -l 100 "$scratch/requests" "$scratch/part."
: >"$scratch/replies"
for part in "$scratch"/part.*; do
	"$talk" "$socket" 3000 <"$part" >>"$scratch/replies"
done
nr=$(wc -l <"$scratch/requests")
[ "$(wc -l <"$scratch/replies")" -eq "$nr" ]
report "each of $nr wrong requests gets one line"
# The numbers of those that are something else.
jq -s -r 'to_entries[] | select(.value | (.ok == false and .version == 1 and
	(.error | length > 0 and (test("\n") | not))) | not) | .key + 1' \
	"$scratch/replies" >"$scratch/taken" 2>"$scratch/complained"
parsed=$?
while read -r line; do
	sed -n "${line}s/^/# /p" "$scratch/requests" "$scratch/replies" | cut -c1-200
done <"$scratch/taken"
[ "$parsed" -eq 0 ] && [ ! -s "$scratch/taken" ]
report "and that line is an error"
unharmed "requests"

# --- commands ---------------------------------------------------------------------

# refused STATUS ARG...: bulkhead ends with it, says why in one line, no more
refused() {
	local wanted=$1 got words
	shift
	timeout 30 "$bulkhead" "$@" >"$scratch/said" 2>"$scratch/complained" </dev/null
	got=$?
	words="bulkhead $*"
	if [ "$got" -ne "$wanted" ] || [ "$(wc -l <"$scratch/complained")" -ne 1 ] ||
		[ -s "$scratch/said" ]; then
		echo "# status $got"
		head -n 5 "$scratch/said" "$scratch/complained" | sed "s/^/# /"
		false
	fi
	report "${words:0:100}: status $wanted"
}

refused 1 run "$scratch/vm.conf"
refused 2 run "$scratch/vm.conf" --set vm.memory=lots
refused 2 check "$scratch/vm.conf" --set vm.memory=lots
refused 1 ps "$vm-x"
refused 2 ps "$vm" "$vm"
refused 2 stats "$vm" "$vm"
refused 2 stats "$vm" --json --openmetrics
refused 1 top "$vm"
refused 2 top "$vm" --interval 0
refused 2 events "$vm" "$vm"
refused 2 walk "$vm"
refused 2 walk "$vm" vda --count many
refused 1 walk "$vm" serial
refused 1 walk "$vm" vdb
refused 2 stop "$vm" "$vm"
refused 2 stop "$vm" --timeout soon
refused 2 stop "$vm" --timeout
refused 2 kill "$vm" "$vm"
refused 2 kill "$vm" --timeout 1
refused 2 device "$vm"
refused 2 device "$vm" explode vda
refused 2 device "$vm" restart
refused 2 device "$vm" restart vda vda
refused 1 device "$vm" restart vdb
refused 1 device "$vm" restart core
refused 2 device "$vm" resume vda vda
refused 1 device "$vm" resume vda
refused 1 device "$vm" resume rng
refused 2 device "$vm" resize vda
refused 2 device "$vm" resize vda large
refused 1 device "$vm" resize vda 512K
refused 2 device "$vm" move vda
refused 2 device "$vm" move vda new.qcow2 qcow2
refused 1 device "$vm" move vda "$scratch/disk.img"
refused 1 device "$vm" move vda /nowhere/new.img
refused 1 device "$vm" cancel serial
refused 1 device "$vm" throttle vda iosp=1
refused 1 device "$vm" throttle serial iops=1
refused 2 fault "$vm"
refused 1 fault "$vm" vdb eio
refused 1 fault "$vm" vda explode
refused 2 fault "$vm" --seed soon vda eio
refused 1 fault "$vm" --script /nowhere/script
refused 2 disk
refused 2 disk explode x
refused 2 disk create "$scratch/new.qcow2"
refused 2 disk create "$scratch/new.qcow2" large
refused 1 disk create "$scratch/disk.img" 1M
refused 1 disk info /nowhere/image
refused 1 disk check "$scratch/disk.img"
refused 1 disk resize "$scratch/disk.img" 2M
refused 2 replay
refused 2 replay "$scratch/disk.img"
refused 1 replay "$scratch/disk.img" --list
refused 2 doctor weather
[ ! -e "$scratch/new.qcow2" ] && [ ! -e "$scratch/new.img" ]
report "nothing was made by the way"
unharmed "commands"

"$bulkhead" kill "$vm" >/dev/null 2>&1
ended 7 && nothing_left
report "nothing is left"
finish
