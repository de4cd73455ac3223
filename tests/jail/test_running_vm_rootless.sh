#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_running_vm.sh once more as an ordinary user who may use /dev/kvm: in a
# mount namespace of its own, so that the host's device node stays as it is.
# Started by a user, test_running_vm.sh itself is rootless already.
set -u
build=$(realpath "${BULKHEAD_BUILD:-$(dirname "$0")/../../build}")
tests=$(cd "$(dirname "$0")/.." && pwd)
user=64998	# nobody's, in no /etc/passwd

skip() {
	echo "ok 1 - a rootless VM # SKIP $1"
	echo "1..1"
	exit 0
}
[ "$(id -u)" -eq 0 ] || skip "this is no root; test_running_vm.sh ran rootless"
[ -c /dev/kvm ] || skip "no /dev/kvm"

# The build and the tests may lie where only root can go.
copy=$(mktemp -d /tmp/bulkhead-rootless-XXXXXX)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/build/tests/guest" "$copy/build/tests/cli" "$copy/tests" "$copy/dev"
cp "$build"/bulkhead "$build"/bulkhead-* "$copy/build/"
cp "$build/tests/guest/"*.guest "$copy/build/tests/guest/"
cp -r "$tests/cli" "$tests/jail" "$copy/tests/"
chmod -R a+rX "$copy"

# shellcheck disable=SC2016  # the inner shell expands its arguments
unshare --mount --propagation private bash -c '
	mount -t tmpfs -o mode=755 none "$1/dev" &&
		mknod -m 666 "$1/dev/kvm" c 10 232 &&
		mount --bind "$1/dev/kvm" /dev/kvm || exit 99
	cd "$1" && export BULKHEAD_BUILD="$1/build" &&
		exec setpriv --reuid="$2" --regid="$2" --clear-groups \
			"$1/tests/jail/test_running_vm.sh"' bash "$copy" "$user"
status=$?
[ "$status" -ne 99 ] || skip "a mount namespace with a device node is refused"
exit "$status"
