#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bulkhead disk commit, beside qemu-img commit of a twin.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

if ! qemu-img --version >/dev/null 2>&1; then
	skip "bulkhead disk commit" "no qemu-img; install qemu-utils"
	finish
fi
# Much is synced; in memory that takes no time.
work=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d -p "$scratch")
trap 'rm -rf "$work"; clean_up' EXIT
cd "$work" || exit 1

# commit STATUS ARGUMENT...: output in out, err
commit() {
	local want=$1 status
	shift
	"$bulkhead" disk commit "$@" >out 2>err
	status=$?
	[ $status -eq "$want" ] && { [ $status -eq 0 ] || [ "$(wc -l <err)" -eq 1 ]; } && return
	echo "# commit $*: status $status, not $want"
	sed 's/^/# /' out err
	return 1
}
says_why() {
	grep -Eq -- "$1" err && return
	sed 's/^/# /' err
	return 1
}

# writes SEED: qemu-io commands that write all kinds of things to 6 MiB
writes() {
	local n at size
	RANDOM=$1
	for ((n = 0; n < 40; n++)); do
		size=$(((RANDOM % 400 + 1) * 512))
		at=$(((RANDOM * 8 % 11000) * 512))
		case $((RANDOM % 6)) in
		0) echo "write -z $at $size" ;;
		*) echo "write -P $((RANDOM % 255 + 1)) $at $size" ;;
		esac
	done
}
# chain FOLDER BASE_FORMAT BASE_OPTIONS OPTIONS: base (and what is behind it), and overlay
chain() {
	rm -rf "$1" && mkdir "$1" && cd "$1" &&
		truncate -s 6M deep &&
		qemu-io -f raw -c 'write -P 99 1M 3M' deep >/dev/null &&
		if [ "$2" = raw ]; then
			cp deep base
		else
			qemu-img create -q -f qcow2 -o "$3" -b deep -F raw base 6M
		fi &&
		writes 1 | qemu-io -f "$2" base >/dev/null &&
		qemu-img create -q -f qcow2 -o "$4" -b base -F "$2" overlay "${5:-6M}" &&
		writes 2 | qemu-io -f qcow2 overlay >/dev/null
	local status=$?
	cd ..
	return $status
}
behind() {
	[ "$1" = raw ] && echo a/base:raw || echo a/base:qcow2,a/deep:raw
}

# FORMAT:BASE_OPTIONS:OPTIONS
for kind in "raw::compat=1.1" "raw::compat=0.10,cluster_size=4k" \
	"qcow2:compat=1.1:compat=1.1" "qcow2:compat=1.1,cluster_size=512:compat=1.1" \
	"qcow2:compat=0.10,cluster_size=4k:compat=1.1,cluster_size=512" \
	"qcow2:cluster_size=2M:compat=0.10,cluster_size=4k"; do
	IFS=: read -r format base_options options <<<"$kind"
	chain a "$format" "$base_options" "$options" && chain b "$format" "$base_options" "$options" &&
		qemu-img convert -f qcow2 -O raw a/overlay before &&
		qemu-img commit -q -f qcow2 b/overlay &&
		commit 0 a/overlay --backing "$(behind "$format")" &&
		grep -Eq '^a/overlay: [0-9]+ bytes of data, [0-9]+ of zeroes committed into .*/a/base$' out
	report "committed: $kind"
	qemu-img compare -q -f "$format" -F "$format" a/base b/base &&
		qemu-img compare -q -f qcow2 -F raw a/overlay before &&
		qemu-img check -q -f qcow2 a/overlay &&
		{ [ "$format" = raw ] || qemu-img check -q -f qcow2 a/base; }
	report "as qemu-img does it: $kind"
	[ "$(qemu-img map -f qcow2 --output=json a/overlay | grep -c '"depth": 0, .*"data": true')" -eq 0 ] &&
		[ "$(stat -c %s a/overlay)" -le "$((16 << 20))" ] &&
		[ "$(du -k a/overlay | cut -f 1)" -le "$(($(du -k b/overlay | cut -f 1) + 256))" ] &&
		qemu-io -f qcow2 -c 'write -P 3 0 3M' -c 'read -P 3 0 3M' a/overlay >/dev/null &&
		qemu-img check -q -f qcow2 a/overlay
	report "and what is on top is empty, and of use: $kind"
done

chain a qcow2 compat=1.1 compat=1.1 9M &&
	qemu-img convert -f qcow2 -O raw a/overlay before &&
	commit 0 a/overlay --backing a/base:qcow2,a/deep:raw &&
	qemu-img compare -q -f qcow2 -F raw a/base before && qemu-img check -q -f qcow2 a/base
report "what is behind it grows with it"
chain a raw "" compat=1.1 9M && qemu-img convert -f qcow2 -O raw a/overlay before &&
	commit 0 a/overlay --backing a/base:raw && cmp a/base before
report "a raw one, too"
qemu-img create -q -f qcow2 -b a/base -F raw packed 9M &&
	qemu-io -f qcow2 -c 'write -P 1 0 8M' packed >/dev/null &&
	qemu-img convert -c -f qcow2 -O qcow2 -o compression_type=zstd packed a/packed &&
	qemu-img rebase -u -f qcow2 -b base -F raw a/packed &&
	qemu-img convert -f qcow2 -O raw a/packed before &&
	commit 0 a/packed --backing a/base:raw && cmp a/base before
report "compressed clusters"

# --- refused ---------------------------------------------------------------------
chain a raw "" compat=1.1
sha256sum a/* >sums
commit 2 a/overlay && says_why 'with --backing what is to be written to'
report "an image's word for what is behind it is not taken"
commit 2 a/overlay --backing a/base && says_why 'expected FILE:FORMAT'
report "a backing file without a format"
commit 1 a/overlay --backing a/none:raw && says_why 'none: cannot open it'
report "a backing file that is not there"
commit 1 a/overlay --backing a/overlay:qcow2 && says_why 'in use by process'
report "an image into itself"
qemu-img create -q -f qcow2 lonely 1M
commit 1 lonely --backing a/base:raw && says_why 'no backing file'
report "an image with nothing behind it"
commit 2 a/overlay --backing a/base:raw,lonely:qcow2 && says_why 'nothing behind it'
report "something behind a raw image"
commit 1 a/overlay --backing a/base:qcow2 && says_why 'is no qcow2 image'
report "a format that it has not"
qemu-img create -q -f qcow2 -b a/base -F raw kept && qemu-img snapshot -c s kept
commit 1 kept --backing a/base:raw && says_why 'internal snapshots'
report "an image with internal snapshots"
"$build/bulkhead-blk" --socket-path="$work/s" --blk-file=a/overlay --format=qcow2 \
	--backing-raw=a/base --cache=writeback 2>/dev/null &
blk=$!
for ((i = 0; i < 500; i++)); do [ -S s ] && break; sleep 0.02; done
commit 1 a/overlay --backing a/base:raw && says_why "in use by process $blk"
report "an image in use is refused"
kill "$blk"
wait "$blk"
sha256sum --quiet -c sums
report "nothing of that has changed a file"

# --- hostile -----------------------------------------------------------------------
# Each byte of the header and of the tables becomes something else, in turn.
qemu-img create -q -f qcow2 -o cluster_size=512 -b a/base -F raw small 64K &&
	qemu-io -f qcow2 -c 'write -P 5 0 40k' small >/dev/null
size=$(stat -c %s small)
ok=0
RANDOM=7
for ((n = 0; n < 40; n++)); do
	cp small broken
	at=$((n < 20 ? RANDOM % 104 : RANDOM % (size < 8192 ? size : 8192)))
	printf '%b' "\\x$(printf %02x $((RANDOM % 256)))" | dd of=broken bs=1 seek=$at conv=notrunc status=none
	truncate -s 64K target
	timeout 60 "$bulkhead" disk commit broken --backing target:raw >out 2>err
	status=$?
	if [ $status -gt 1 ] || [ "$(wc -l <err)" -gt 1 ] || grep -q signal err; then
		echo "# byte $at: status $status"
		sed 's/^/# /' err
		ok=1
	fi
done
[ $ok -eq 0 ]
report "40 broken images: committed, or one line"

# --- cut -----------------------------------------------------------------------------
# Killed anywhere on the way, the overlay reads as before; once more, it is done.
chain a qcow2 compat=1.1,cluster_size=4k compat=1.1,cluster_size=4k &&
	qemu-img convert -f qcow2 -O raw a/overlay before
ok=0
for delay in 0.01 0.03 0.06 0.1 0.2; do
	timeout -s KILL "$delay" "$bulkhead" disk commit a/overlay \
		--backing a/base:qcow2,a/deep:raw >/dev/null 2>&1
	# Its child dies with it, and lets go of the locks.
	for ((i = 0; i < 250; i++)); do
		qemu-img compare -q -f qcow2 -F raw a/overlay before 2>err && break
		grep -q lock err || break
		sleep 0.02
	done
	[ "$i" -lt 250 ] && qemu-img compare -q -f qcow2 -F raw a/overlay before || ok=1
	# 3: clusters are lost, nothing else.
	for image in a/overlay a/base; do
		qemu-img check -q -f qcow2 $image >judge 2>&1
		case $? in 0 | 3) ;; *) sed 's/^/# /' judge; ok=1 ;; esac
	done
done
[ $ok -eq 0 ]
report "killed on the way, it reads as before"
commit 0 a/overlay --backing a/base:qcow2,a/deep:raw &&
	qemu-img compare -q -f qcow2 -F raw a/base before &&
	qemu-img check -q -f qcow2 a/base && qemu-img check -q -f qcow2 a/overlay
report "and once more, it is done"
finish
