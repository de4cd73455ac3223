# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the parts of `make bench` share.  Sourced, with $build set.
# A measurement is a line of numbers; a series is a file of such lines.

build=${build:?}
work=$build/perf
export BULKHEAD_BUILD=$build
mkdir -p "$work"

# What is measured runs ahead of others where that is allowed.
ahead=(nice -n -10)
"${ahead[@]}" true 2>/dev/null || ahead=(nice -n 0)

# column N FILE: all its numbers, smallest first
column() { awk -v n="$1" '{ print $n }' "$2" | sort -g; }

# median N FILE
median() {
	column "$1" "$2" |
		awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# spread N FILE: "median (min..max)"
spread() {
	column "$1" "$2" | awk '{ v[NR] = $1 }
		END { printf "%s (%s..%s)", v[int((NR + 1) / 2)], v[1], v[NR] }'
}

# ratios N FILE: of column N to N + 2, pair by pair: "median low high", of which
# the latter two hold that of all pairs to come with 95 % (by ranks: nothing is
# assumed of the machine's noise)
ratios() {
	awk -v n="$1" '$(n + 2) > 0 { printf "%.3f\n", $n / $(n + 2) }' "$2" | sort -g |
		awk '{ v[NR] = $1 }
			function at(i) { return v[i < 1 ? 1 : i > NR ? NR : int(i)] }
			END { half = 0.98 * sqrt(NR)
				print at((NR + 1) / 2), at(NR / 2 - half),
					at(NR / 2 + half + 1) }'
}

# ratio A B: A / B, two decimals
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }'; }

# verdict VALUE MOST: is it within the target?
verdict() {
	awk -v v="$1" -v m="$2" 'BEGIN { print v + 0 <= m + 0 ? "met" : "MISSED" }'
}

# skip PART REASON: loudly
skip() { echo "SKIPPED: $1: $2"; }

# round_has_time N SECONDS: the first round always, others if the part has not
# yet taken that long
round_has_time() { [ "$1" -eq 0 ] || [ "$SECONDS" -lt "$2" ]; }

# wait_for SECONDS COMMAND...: until it succeeds; it is tried each $look_every
# seconds
look_every=0.05
wait_for() {
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep "$look_every"
	done
}

# process_tree PID: it and all its descendants
process_tree() {
	local child

	echo "$1"
	# Of its first thread: nobody here forks in another.
	for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		process_tree "$child"
	done
}

# end_process PID: told to end, then killed
end_process() {
	local tries=0

	kill "$1" 2>/dev/null || return 0
	while kill -0 "$1" 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -ne 500 ] || kill -9 "$1"
		sleep 0.02
	done
	wait "$1" 2>/dev/null || true
}

# pss_kib PID...: proportional set size of all but guest RAM, which is the one
# mapping of a memfd of that name; of several processes together.
pss_kib() {
	local files=("${@/#//proc/}")

	awk '/^[0-9a-f]+-[0-9a-f]+ / { ram = /memfd:(bulkhead-ram|memory-backend-memfd)/ }
		/^Pss:/ && !ram { sum += $2 }
		END { print sum + 0 }' "${files[@]/%//smaps}"
}

# bare_metal_config MEMORY: what the parts that need no kernel run
bare_metal_config() {
	truncate -s 64M "$work/disk.img" "$work/qemu.img"
	cp "$build/tests/perf/first_byte.guest" "$work/guest"
	cat >"$work/vm.conf" <<-CONF
		[vm]
		name = bench$$
		memory = $1
		kernel = guest
		cmdline = none
		stop_timeout = 0s
		[serial]
		connect = terminal
		[console]
		connect = null
		[rng]
		[blk vda]
		path = disk.img
	CONF
}

# qemu_flags MACHINE CPU DISK MIB: a QEMU with the same four devices, in qemu.
# The image is its own, and not locked: a QEMU's io_uring lets go of the lock
# only some time after its end, and the next run would find it.
# Guest RAM is what QEMU takes by default; with qemu_ram_memfd after it, a
# mapping that pss_kib knows (and that starts slower).
qemu_flags() {
	local bus=pci

	[[ $1 != microvm* ]] || bus=device
	# shellcheck disable=SC2034,SC2054	# for the caller; QEMU's commas
	qemu=(qemu-system-x86_64 -M "$1" -accel kvm -cpu "$2" -smp 1
		-nodefaults -no-user-config -display none -serial stdio
		-m "$4"
		-drive "if=none,id=d,file=$3,format=raw,cache=none,aio=io_uring,file.locking=off"
		-device "virtio-blk-$bus,drive=d"
		-chardev null,id=n -device "virtio-serial-$bus"
		-device virtconsole,chardev=n -device "virtio-rng-$bus")
}

# qemu_ram_memfd MIB
qemu_ram_memfd() {
	qemu+=(-machine memory-backend=ram
		-object "memory-backend-memfd,id=ram,size=$1M")
}

# memory_table PID: the processes of Bulkhead's VM, each against its target
memory_table() {
	local child kib most sum=0

	for child in $(process_tree "$1"); do
		kib=$(pss_kib "$child")
		sum=$((sum + kib))
		case $(tr '\0' ' ' <"/proc/$child/cmdline") in
		*'[supervisor]'*) most=2048 ;;
		*'[core]'*) most=3072 ;;
		*) most=1024 ;;
		esac
		printf '  %-36s %7d  at most %4d: %s\n' \
			"$(tr '\0' ' ' <"/proc/$child/cmdline" | sed 's/ *$//')" \
			"$kib" "$most" "$(verdict "$kib" "$most")"
	done
	printf '  %-36s %7d\n' "bulkhead, all of them" "$sum"
}
