#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bulkhead@.service: systemd understands it, and what it takes away a VM does
# not need: every system call of a whole run is one that the unit allows, and
# a VM runs with the rights that are left.  No systemd runs here: these are
# its own tools, and the same rights by other means.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
vm=service${$}x
unit=$source/systemd/bulkhead@.service

# --- the file ----------------------------------------------------------------

sed "s|/usr/local/bin/bulkhead|$bulkhead|" "$unit" >"$scratch/bulkhead@.service"
if command -v systemd-analyze >/dev/null; then
	said=$(systemd-analyze verify --man=no "$scratch/bulkhead@.service" 2>&1)
	[ -z "$said" ]
	report "systemd-analyze verify has nothing to say"
	systemd-analyze security --offline=yes --threshold=26 \
		"$scratch/bulkhead@.service" >"$scratch/security" 2>&1
	report "systemd-analyze security: an exposure of at most 2.6"
else
	skip "systemd understands the unit" "systemd is not installed"
fi
options=$(sed -n 's/^ExecStart=[^ ]* run [^ ]* //p' "$unit")
for option in ${options//%i/$vm}; do
	[ "$option" = --set ] || sets+=(--set "$option")
done
make_files
"$bulkhead" check "$scratch/vm.conf" "${sets[@]}" >"$scratch/out" 2>&1 &&
	grep -q "name $vm" "$scratch/out" && grep -q 'cgroup auto' "$scratch/out"
report "its command line is one that bulkhead takes"

# --- what it allows -----------------------------------------------------------

if ! kvm_works; then
	skip "a VM as a service" "no usable /dev/kvm"
	finish
fi
cp "$build/tests/guest/virtio_blk.guest" "$scratch/kernel"
cat >>"$scratch/vm.conf" <<-CONF
	[console]
	connect = pty
	[rng]
	[blk vda]
	path = disk.img
CONF
sed -i 's/^cmdline = .*/cmdline = move/; s/^connect = terminal/connect = null/' "$scratch/vm.conf"

# expand NAME...: the system calls that systemd's sets stand for
expand() {
	local name
	for name in "$@"; do
		case $name in
		@*) # shellcheck disable=SC2046  # words they are
			expand $(systemd-analyze syscall-filter "$name" | sed '1d; s/#.*//') ;;
		*) echo "$name" ;;
		esac
	done
}

if ! command -v systemd-analyze >/dev/null; then
	skip "the unit allows every system call of a VM" "systemd is not installed"
elif ! strace -o /dev/null true 2>/dev/null; then
	skip "the unit allows every system call of a VM" "strace cannot trace here"
else
	NOTIFY_SOCKET=@bulkhead-$vm timeout -k 5 60 strace -f -qq \
		-o "$scratch/strace" "$bulkhead" run "$scratch/vm.conf" \
		>"$scratch/out" 2>"$scratch/err" </dev/null
	# shellcheck disable=SC2046
	comm -23 \
		<(expand $(sed -n 's/^SystemCallFilter=\([^~]\)/\1/p' "$unit") | sort -u) \
		<(expand $(sed -n 's/^SystemCallFilter=~//p' "$unit") | sort -u) \
		>"$scratch/allowed"
	sed -n 's/^[0-9]* *\([a-z_0-9]*\)(.*/\1/p' "$scratch/strace" | sort -u >"$scratch/used"
	forbidden=$(comm -13 "$scratch/allowed" "$scratch/used" | tr '\n' ' ')
	nr=$(wc -l <"$scratch/used")
	[ "$nr" -gt 60 ] && [ -z "$forbidden" ]
	report "the unit allows each of the $nr system calls of a VM${forbidden:+, but not $forbidden}"
	grep -q "sendto.*READY=1.*@\"bulkhead-$vm\"" "$scratch/strace"
	report "the service manager is told when the guest runs"
fi

# --- what it leaves -----------------------------------------------------------

if [ "$(id -u)" -ne 0 ]; then
	skip "a VM with the rights that the unit leaves" "this is not root"
	finish
fi
cp "$build"/bulkhead "$build"/bulkhead-* "$scratch/"
mkdir "$scratch/dev" "$scratch/state"
mv "$scratch/disk.img" "$scratch/kernel" "$scratch/vm.conf" "$scratch/state/"
chown -R 64997:64997 "$scratch/state"
chmod -R go+rX "$scratch"
# ProtectSystem=strict, DeviceAllow=/dev/kvm, PrivateNetwork, User=,
# CapabilityBoundingSet=, NoNewPrivileges=; the state folder stays writable.
# shellcheck disable=SC2016
timeout -k 5 60 unshare --mount --net --propagation private bash -c '
	mount -t tmpfs -o mode=755 none "$1/dev" &&
		mknod -m 666 "$1/dev/kvm" c 10 232 &&
		mount --bind "$1/dev/kvm" /dev/kvm &&
		mount --bind "$1/state" "$1/state" &&
		mount -o remount,bind,ro / || exit 99
	cd "$1/state" && BULKHEAD_RUNTIME_DIR=$1/state/run exec setpriv \
		--reuid=64997 --regid=64997 --clear-groups --no-new-privs \
		--bounding-set=-all --inh-caps=-all \
		"$1/bulkhead" run vm.conf' bash "$scratch" \
	>"$scratch/out" 2>"$scratch/err" </dev/null
result=$?
if [ "$result" -eq 99 ]; then
	skip "a VM with the rights that the unit leaves" "mounts are refused here"
else
	[ "$result" -eq 0 ] && says 'the guest powered off'
	report "a VM with the rights that the unit leaves"
fi
finish
