# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the tests of cgroups share: where in cgroup2 they are, the VM that they
# start, and that nothing of it is left there.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
vm=cgrouped${$}x
# shellcheck disable=SC2034	# make_files takes it
guest=$build/tests/guest/virtio_blk.guest
make_files
cat >>"$scratch/vm.conf" <<-CONF
	[rng]
	[blk vda]
	path = disk.img
CONF
sed -i "s/^connect = terminal/connect = null/
	s/^cmdline = .*/cmdline = loop\ncgroup = auto/" "$scratch/vm.conf"
tree=$(awk '$(NF-2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
own=$tree$(sed -n 's/^0:://p' /proc/self/cgroup)
own=${own%/}
unit=$own/unit-$vm	# what a service manager would have made for it
supervisor=none

# shellcheck disable=SC2317	# called by the trap
undo() {
	kill -9 "$supervisor" 2>/dev/null
	sleep 0.2
	find "$unit" "$own/bulkhead-$vm" -depth -type d -exec rmdir {} \; 2>/dev/null
	clean_up
}
trap undo EXIT

# refused NAME STATUS PATTERN ARG...: bulkhead run fails so, in one line
refused() {
	local name=$1 wanted=$2 pattern=$3 status said
	shift 3
	run_vm "$@"
	status=$?
	said=$(tail -n 1 "$scratch/err")
	[ "$status" -eq "$wanted" ] && says "$pattern" &&
		[ "$(wc -l <"$scratch/err")" -eq 1 ] && [ ! -e "$own/bulkhead-$vm" ]
	report "$name: $said"
}

# needs_cgroup2 WHAT: or all of it is skipped
needs_cgroup2() {
	if ! kvm_works; then
		skip "$1" "no usable /dev/kvm"
		finish
	fi
	if [ -z "$tree" ] || ! mkdir "$unit" 2>/dev/null; then
		skip "$1" "no cgroup2 in which this user may make folders"
		finish
	fi
}

# leaf ROLE: the name of its process's leaf, if that is in the VM's folder
leaf() {
	sed -n "s|^0::.*/bulkhead-$vm/||p" "/proc/$(process "$1")/cgroup"
}

# gone: the VM's folder is, and no leaf of it lives on
gone() {
	local i
	for ((i = 0; i < 100; i++)); do
		[ -z "$(find "$own" -name "bulkhead-$vm")" ] && return
		sleep 0.02
	done
	find "$own" -path "*bulkhead-$vm*" -type d | sed 's/^/# left: /'
	return 1
}
