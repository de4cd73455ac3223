#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every command of docs/bulkhead-inspect.7, in its order and in one shell,
# against a running VM of the description that the page gives: what is printed
# is what the page says.  Until its section SIGNALS but for the one call that
# is meant to, nothing that the page does may end a process.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
page=$source/docs/bulkhead-inspect.7
vm=inspect${$}x

# --- the page ----------------------------------------------------------------

# Its literal blocks as text, an empty line after each; section titles as
# "# TITLE".
blocks() {
	awk '/^\.Bd -literal/ { inside = 1; next }
		/^\.Ed/ { inside = 0; print ""; next }
		/^\.Sh / { print "# " substr($0, 5); next }
		inside { gsub(/\\e/, "\\"); gsub(/\\&/, ""); print }' "$page" |
		sed "s/debian/$vm/g"
}

# line_matches LINE PATTERN: "..." is any text, blanks are as many as there are
line_matches() {
	local line pattern=$2
	line=$(tr -s ' \t' '  ' <<<"$1")
	line=${line# } line=${line% }
	pattern=${pattern//\\/\\\\}
	pattern=${pattern//\*/\\*}
	pattern=${pattern//\?/\\?}
	pattern=${pattern//\[/\\[}
	pattern=${pattern//.../*}
	# shellcheck disable=SC2053  # a pattern it is
	[[ $line == $pattern ]]
}

# matches FILE: what was printed is expected[]; "..." alone is any lines
matches() {
	local got wanted at=0 any=0
	mapfile -t got <"$1"
	for wanted in "${expected[@]}"; do
		[ "$wanted" = ... ] && any=1 && continue
		until line_matches "${got[at]-}" "$wanted"; do
			at=$((at + 1))
			[ "$any" -eq 1 ] && [ "$at" -lt ${#got[@]} ] || return
		done
		[ "$at" -lt ${#got[@]} ] || return
		at=$((at + 1)) any=0
	done
	[ "$any" -eq 1 ] || [ "$at" -eq ${#got[@]} ]
}

# missing COMMAND: the tool that it needs and that cannot be used here
missing() {
	local tool
	for tool in lsof gdb gcore perf strace pmap pgrep top; do
		[[ $1 =~ (^|[^a-z_])$tool\  ]] || continue
		command -v $tool >/dev/null || { echo "$tool is not installed" && return; }
	done
	[[ $1 == *strace\ * || $1 == *gdb\ * || $1 == *gcore\ * ]] &&
		! strace -o /dev/null true 2>/dev/null &&
		echo "no process can be traced here"
	[[ $1 == *perf\ * ]] &&
		! perf stat -e cpu-clock -o /dev/null true 2>/dev/null &&
		echo "perf cannot count here"
}

# try COMMAND: run it in this shell, in the scratch folder
try() {
	local why
	why=$(missing "$1")
	if [ -n "$why" ]; then
		skip "$section: ${1//$'\n'/ }" "$why"
		return
	fi
	eval "$1" >"$scratch/printed" 2>&1
	# Who sleeps when there is nothing to do may have had something to do.
	if [[ $1 == *wchan* ]] && ! matches "$scratch/printed"; then
		sleep 1
		eval "$1" >"$scratch/printed" 2>&1
	fi
	matches "$scratch/printed" || {
		sed 's/^/# printed: /' "$scratch/printed"
		printf '# page:    %s\n' "${expected[@]}"
		false
	}
	report "$section: ${1//$'\n'/ }"
}

# --- the VM ------------------------------------------------------------------

if ! kvm_works; then
	skip "bulkhead-inspect(7)" "no usable /dev/kvm"
	finish
fi
cd "$scratch" || exit 1
truncate -s 1M disk.img
cp "$build/tests/guest/virtio_blk.guest" vmlinuz
blocks | sed -n '/^\[vm\]/,/^\[blk/p' >vm.conf
echo "path = disk.img" >>vm.conf
grep -q "^name = $vm" vm.conf && start_vm
report "the VM of the page runs"
disown "$supervisor"	# its end is no news
ln -s err log

# What takes moments here takes seconds on a machine that is busy.  The second in
# which everything ends is one.
sleep() {
	case $1 in
	0.*) command sleep 2 ;;
	7) command sleep 10 ;;
	*) command sleep "$@" ;;
	esac
}

section='' command='' expected=()
while IFS= read -r line; do
	case $line in
	'# '* | '$ '* | '')
		[ -z "$command" ] || try "$command"
		command='' expected=()
		;;&
	'# '*)
		section=${line#\# }
		if [ "$section" = SIGNALS ]; then
			[ "$(grep -c 'goes on' log)" -eq 1 ] &&
				[ "$(pgrep -c -f "^bulkhead: $vm")" -eq 5 ]
			report "nothing before SIGNALS has ended a process but the forbidden call"
		fi
		;;
	'$ '*) command=${line#\$ } ;;
	'> '*) command+=$'\n'${line#> } ;;
	*) [ -z "$command" ] || expected+=("$line") ;;
	esac
done < <(blocks)
[ "$(ls "$BULKHEAD_RUNTIME_DIR")" = "$vm.lock
$vm.sock" ]
report "SIGNALS: two files in the runtime folder are left"
finish
