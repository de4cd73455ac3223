#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Neighbours on the host: another uid gets nothing of a VM and cannot command
# it; and from the jail of one VM's process the processes of another VM of the
# same uid are not even there (test_neighbour_rootless.sh: an ordinary user's).
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
probe=$build/tests/jail/neighbour
stranger=64991	# nobody's, in no /etc/passwd

if ! kvm_works; then
	skip "neighbours of a VM" "no usable /dev/kvm"
	finish
fi
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[rng]
	[blk vda]
	path = disk.img
CONF
sed -i 's/^connect = terminal/connect = null/' "$scratch/vm.conf"
roles="supervisor core serial rng blk"
start_vm
report "a VM with five processes"
socket=$BULKHEAD_RUNTIME_DIR/$vm.sock

# as_stranger COMMAND...: by an fd, as the build may lie where only root can go
as_stranger() {
	setpriv --reuid="$stranger" --regid="$stranger" --clear-groups "$@"
}

if [ "$(id -u)" -eq 0 ]; then
	mkdir "$scratch/bin"
	cp "$probe" "$talk" "$bulkhead" "$scratch/bin/"
	chmod 755 "$scratch/bin" "$scratch/bin/"*
	for role in $roles; do
		pid=$(process "$role")
		got=$(as_stranger "$scratch/bin/neighbour" "$pid" 2>&1) &&
			[ -z "$got" ]
		report "$role: another uid can neither read, trace, signal nor steer it"
		[ -z "$got" ] || echo "# worked: $got"
	done
	got=$("$probe" "$(process blk)")
	[[ $got == *mem* && $got == *ptrace* && $got == *kill* ]]
	report "(root can, so the attempts are real)"

	request='{"version":1,"command":"kill"}'
	! as_stranger "$scratch/bin/talk" "$socket" 300 <<<"$request" \
		>"$scratch/reply" 2>&1
	report "another uid cannot connect to the control socket"
	# Also where somebody has opened the folder and the socket to all.
	chmod 755 "$BULKHEAD_RUNTIME_DIR"
	chmod 666 "$socket"
	as_stranger "$scratch/bin/talk" "$socket" 300 <<<"$request" \
		>"$scratch/reply" 2>&1
	grep -q 'belongs to another user' "$scratch/reply" &&
		kill -0 "$supervisor"
	report "and is not heard where it can"
	chmod 700 "$BULKHEAD_RUNTIME_DIR"
else
	skip "another uid" "only root can become somebody else"
fi

# A second VM of the same uid.
truncate -s 1M "$scratch/second.img"
sed "s/^name = .*/name = $vm-second/; s/disk\.img/second.img/" \
	"$scratch/vm.conf" >"$scratch/second.conf"
first=$supervisor
"$bulkhead" run "$scratch/second.conf" >/dev/null 2>"$scratch/err.second" </dev/null &
second=$!
for ((i = 0; i < 500; i++)); do
	! grep -qs ': running:' "$scratch/err.second" || break
	sleep 0.02
done
grep -q ': running:' "$scratch/err.second"
report "a second VM of uid $UID"

# other ROLE: pid of the second VM's process
other() {
	pgrep -f "^bulkhead: $vm-second.* \[$1\]"
}
# one ROLE: pid of the first's
one() {
	pgrep -f "^bulkhead: ${vm}[/ ].*\[$1\]"
}

for from in core blk rng serial; do
	worked=""
	for to in $roles; do
		got=$("$probe" --inside "$(one "$from")" "$(other "$to")" 2>&1) ||
			worked+=" $to: $got"
		# Of the first VM too: each process has a jail of its own.
		[ "$from" = "$to" ] || got=$("$probe" --inside \
			"$(one "$from")" "$(one "$to")" 2>&1) ||
			worked+=" own $to: $got"
	done
	[ -z "$worked" ]
	report "from the jail of $from: no process of either VM can be reached"
	[ -z "$worked" ] || echo "# worked:$worked"
done
"$bulkhead" kill "$vm" >/dev/null 2>&1
"$bulkhead" kill "$vm-second" >/dev/null 2>&1
wait "$first" "$second"
nothing_left
report "nothing is left"
finish
