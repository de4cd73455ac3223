# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the lab's host-side scripts share; each sources it with $here set to
# this folder. Owns the place of the cache and the wording of errors.

# An ordinary user's PATH lacks the system folders, which hold mke2fs, depmod.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# shellcheck disable=SC2034	# used by the scripts that source this file
umask 022

here=${here:?}
program=${0##*/}
BUILD=${BUILD:-$(cd "$here/../.." && pwd)/build}
LAB_CACHE=$(realpath -m "${LAB_CACHE:-$BUILD/lab}")

# Status of die(); the lab itself uses 125 to tell its own failure from the
# command's.
die_status=1

say()
{
	echo "$program: $*" >&2
}

die()
{
	say "$*"
	exit "$die_status"
}

# need TOOL PACKAGE
need()
{
	command -v "$1" > /dev/null ||
		die "$1 is missing: install the Debian package $2"
}

# The initrds hold no libraries, so only a static busybox will do.
find_busybox()
{
	local path

	path=$(command -v busybox) ||
		die "busybox is missing: install the package busybox-static"
	! grep -q -a -m 1 /lib64/ld-linux "$path" ||
		die "$path is not static: install the package busybox-static"
	echo "$path"
}

# Writes folder $1 to stdout as an initrd. Everything in it belongs to root.
pack_cpio()
{
	( cd "$1" && find . | LC_ALL=C sort |
		cpio --quiet -o -H newc -R 0:0 --reproducible )
}
