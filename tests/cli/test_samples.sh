#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The sample configurations are right, and samples and manual know every key.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

for sample in "$source"/configs/*.conf; do
	"$bulkhead" check "$sample" >"$scratch/out" 2>"$scratch/err" &&
		grep -q ': ok$' "$scratch/out" && [ ! -s "$scratch/err" ]
	report "check ${sample##*/}"
done

# keys_of SECTION: as the program lists them when it meets an unknown one
keys_of() {
	printf '[vm]\nkernel = k\n[%s]\nnonsense = 1\n' "$1" >"$scratch/x.conf"
	[ "$1" = vm ] && printf '[vm]\nnonsense = 1\n' >"$scratch/x.conf"
	"$bulkhead" check "$scratch/x.conf" 2>&1 |
		sed -n 's/.*known keys: //p' | tr -d ,
}

for section in vm core serial console rng "blk vda"; do
	keys=$(keys_of "$section")
	[ -n "$keys" ]
	report "[$section] lists its keys"
	for key in $keys; do
		[ "$key" = none ] && continue
		grep -qh "^$key = " "$source/configs/"{full,limits}.conf
		report "full.conf or limits.conf has $key"
		grep -qE "^\.It Li $key =" \
			"$source/docs/bulkhead.conf.5"
		report "bulkhead.conf.5 has $key"
	done
done

for page in bulkhead.1 bulkhead.conf.5 bulkhead-inspect.7; do
	if command -v groff >/dev/null; then
		[ -z "$(groff -mdoc -Tascii -ww -z "$source/docs/$page" 2>&1)" ]
		report "$page is well-formed"
	else
		skip "$page is well-formed" "groff is not installed"
	fi
done

# Each sample as it stands, with a guest of ours in the place of a Debian.
if ! kvm_works; then
	skip "run the samples" "no usable /dev/kvm"
	finish
fi
make_files
for sample in debian minimal; do
	cp "$source/configs/$sample.conf" "$scratch/"
	cp "$guest" "$scratch/vmlinuz"
	echo initrd >"$scratch/initrd.img"
	truncate -s 1M "$scratch/debian.img" "$scratch/overlay.qcow2" \
		"$scratch/debian.qcow2" "$scratch/base.img"
	timeout -k 5 20 "$bulkhead" run "$scratch/$sample.conf" \
		--set "vm.name=$vm" --set vm.cmdline=off \
		>"$scratch/out" 2>"$scratch/err" </dev/null &&
		grep -q "done" "$scratch/out" && says "the guest powered off" &&
		nothing_left
	report "run $sample.conf"
done
cp "$source/configs/full.conf" "$scratch/"
timeout -k 5 20 "$bulkhead" run "$scratch/full.conf" --set "vm.name=$vm" \
	>"$scratch/out" 2>"$scratch/err" </dev/null
[ $? -eq 1 ] && says "full.conf:[0-9]+: socket = .*: cannot connect: .*start the vhost-user back-end first" &&
	nothing_left
report "run full.conf, whose vhost-user back-end is missing"
sed '/^\[blk vdb\]/,$d' "$source/configs/full.conf" >"$scratch/full.conf"
timeout -k 5 20 "$bulkhead" run "$scratch/full.conf" \
	--set "vm.name=$vm" --set vm.cmdline=off \
	>"$scratch/out" 2>"$scratch/err" </dev/null &&
	grep -q "done" "$scratch/out" && nothing_left
report "run full.conf without that disk"
finish
