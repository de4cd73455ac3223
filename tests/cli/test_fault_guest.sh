#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest with a driver of its own meets faults: it sees each, the log says
# which, and the same seed gives the same log.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! kvm_works; then
	skip "a guest meets faults" "no usable /dev/kvm"
	finish
fi
make_files
# It reads sector 0, writes sector 8, flushes, reads sector 8 back: a status each.
cp "$build/tests/guest/virtio_blk.guest" "$scratch/kernel"
printf '[blk vda]\npath = disk.img\nqueues = 1\n' >>"$scratch/vm.conf"

# meets RULE...: the guest runs to its end; what it said is in answers
meets() {
	local rules=()
	for rule in "$@"; do rules+=(--set "fault.$rule"); done
	truncate -s 0 "$scratch/disk.img"
	truncate -s 1M "$scratch/disk.img"
	run_vm --set vm.cmdline=off "${rules[@]}" || return 1
	answers=$(grep -E '^(read|write|flush|again|same|beyond)=' "$scratch/out" |
		tr -d '\r' | tr '\n' ' ')
	nothing_left
}
# answers_are TEXT
answers_are() {
	[ "$answers" = "$1 beyond=1 " ] && return
	echo "# $answers"
	explain
}

meets 'vda=eio op=discard' && answers_are "read=0 write=0 flush=0 again=0 same=1" &&
	! says 'fired' >/dev/null
report "a rule that nothing matches does nothing"
meets 'vda=eio op=write' && answers_are "read=0 write=1 flush=0 again=0 same=0" &&
	says 'vda.*: fault 1 fired: eio write sector 8\+1'
report "eio"
meets 'vda=eio op=flush' && answers_are "read=0 write=0 flush=1 again=0 same=1" &&
	says 'fault 1 fired: eio flush$'
report "eio of a flush"
meets 'vda=lose op=write' && answers_are "read=0 write=0 flush=0 again=0 same=0"
report "lose"
meets 'vda=corrupt=1 op=read sector=8' &&
	answers_are "read=0 write=0 flush=0 again=0 same=0"
report "corrupt"
meets 'vda=misdirect=16' && answers_are "read=0 write=0 flush=0 again=0 same=0" &&
	[ "$(cmp -l -n 512 -i 12288:0 "$scratch/disk.img" /dev/zero 2>/dev/null | wc -l)" -gt 0 ]
report "misdirect"
meets 'vda=delay=30' && answers_are "read=0 write=0 flush=0 again=0 same=1" &&
	[ "$(grep -c 'fired: delay' "$scratch/err")" -eq 4 ]
report "delay"
meets 'vda=spurious-interrupt' && answers_are "read=0 write=0 flush=0 again=0 same=1"
report "spurious-interrupt"
meets 'serial=drop op=write' && [ ! -s "$scratch/out" ] && says 'the guest powered off'
report "drop takes all that the guest says"

# The rules of one seed, twice: the same lines, process ids aside.
fired() {
	meets "seed=$1" 'vda=spurious-interrupt probability=0.5' \
		'serial=garble probability=0.05' || return 1
	sed -n 's/.*\(\(vda\|serial\)\[\)[0-9]*/\1/p' "$scratch/err" |
		grep fired | sort
}
fired 11 >"$scratch/one" && fired 11 >"$scratch/two" &&
	[ -s "$scratch/one" ] && cmp -s "$scratch/one" "$scratch/two"
report "the same seed gives the same event log"

# The core's own: a guest that looks at its clocks.
cp "$build/tests/guest/exits.guest" "$scratch/clocks"
run_vm --set "vm.kernel=$scratch/clocks" --set vm.cmdline=clock \
	--set 'fault.core=clock-jump=256000 count=1' &&
	grep -qE '^on=10[0-5]' "$scratch/out" &&
	says 'core.*: fault 1 fired: clock-jump exit'
report "clock-jump"
run_vm --set "vm.kernel=$scratch/clocks" --set vm.cmdline=pause \
	--set 'fault.core=vcpu-pause=256 count=1' &&
	grep -qE '^ms=[1-9a-f][0-9a-f]{2,3}\s*$' "$scratch/out" &&
	says 'core.*: fault 1 fired: vcpu-pause exit'
report "vcpu-pause"

run_vm --set vm.cmdline=off --set vm.on_crash=stop \
	--set 'fault.vda=crash=submit op=write'
[ $? -eq 5 ] && says 'fault 1 fired: crash write sector 8\+1' && says 'vda \[blk\]: .*SIGILL'
report "crash is reported with the process and the signal"
run_vm --set vm.cmdline=off --set 'fault.vda=crash=submit op=write count=1'
[ $? -eq 0 ] && says 'fault 1 fired: crash write sector 8\+1' &&
	says 'vda \[blk\]: process [0-9]+ goes on'
report "a crash that is counted happens once: the next process goes on"
nothing_left
report "nothing is left"
finish
