#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The jail tests once more, as an ordinary user: user-namespace mapping only.
# Started by root; started by a user, the tests themselves are that already.
set -u
build=${BULKHEAD_BUILD:-build}
user=64999	# nobody's, in no /etc/passwd

if [ "$(id -u)" -ne 0 ]; then
	echo "ok 1 - rootless # SKIP this is no root; the other tests ran rootless"
	echo "1..1"
	exit 0
fi

# The build may lie where only root can go.
copy=$(mktemp -d /tmp/bulkhead-rootless-XXXXXX)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/tests/jail"
for name in probe test_birth test_stages test_break_out; do
	cp "$build/tests/jail/$name" "$copy/tests/jail/"
done
chmod -R a+rX "$copy"

for name in test_birth test_stages test_break_out; do
	if ! (cd / && BULKHEAD_BUILD=$copy setpriv --reuid="$user" \
		--regid="$user" --clear-groups "$copy/tests/jail/$name"); then
		echo "not ok 0 - $name as user $user: exit status not 0"
	fi
done >"$copy/tap" 2>&1

# One stream: results numbered anew, one plan.
awk '/^ok / { sub(/^ok [0-9]*/, "ok " ++n) }
	/^not ok / { sub(/^not ok [0-9]*/, "not ok " ++n) }
	!/^1\.\.[0-9]+$/ { print }
	END { print "1.." n }' "$copy/tap"
! grep -q '^not ok' "$copy/tap"
