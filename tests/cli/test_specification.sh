#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The documents against the tree: every test that SPECIFICATION.md names is
# there and will be run; each command and option is in bulkhead(1) and in
# --help, or in neither; the manual pages and links are sound.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$source" || exit 1
manual=docs/bulkhead.1

# --- SPECIFICATION.md ----------------------------------------------------------

# The lines of its tables, without their heads.
rows=$(awk '/^\|/ { if ($0 ~ /^\| *---/) { held = ""; next }
		if (held) print held
		held = $0
		next }
	{ if (held) print held; held = "" }' docs/SPECIFICATION.md |
	sed 's/^| *//; s/ *|$//')
nr=$(wc -l <<<"$rows")
[ "$nr" -gt 50 ]
report "SPECIFICATION.md has $nr promises"
unheld=$(awk -F ' [|] ' 'NF != 2 || $2 !~ /tests\/|make |policy\//' <<<"$rows")
[ -z "$unheld" ] || ! echo "# $unheld"
report "each of them names what holds it"

# named: the tests, benchmarks and sources that it names
named() {
	grep -oE '(tests|policy)/[A-Za-z0-9_/.-]+' <<<"$rows" | sed 's/\.$//' | sort -u
}
lost=''
for file in $(named); do
	[ -e "$file" ] || lost+=" $file"
done
nr=$(named | wc -l)
[ -z "$lost" ]
report "$nr files are named, and are there${lost:+, but not$lost}"

# A test of C is run if it is built; one of the shell if it can be executed.
idle=''
for file in $(named | grep -E '/test_[^/]*$'); do
	layer=$(dirname "$file")
	case $file in
	*.c) grep -q "test,${file%.c}," "$layer/tests.mk" || idle+=" $file" ;;
	*.sh) [ -x "$file" ] || idle+=" $file" ;;
	esac
done
[ -z "$idle" ]
report "each test of them is built or executable${idle:+, but not$idle}"
lost=''
while read -r target; do
	grep -q "^$target:" Makefile tests/*.mk tests/*/tests.mk || lost+=" $target"
done < <(sed -nE "s,.*\`make ([a-z-]+)\`.*,\\1,p" docs/SPECIFICATION.md README.md | sort -u)
[ -z "$lost" ]
report "every 'make TARGET' is one${lost:+, but not$lost}"

# A substitution there is run before report() looks at the result, and is it.
lost=$(grep -rnE --include='*.sh' 'report .*\$\([^(]' tests | grep -v 'grep -rnE')
[ -z "$lost" ] || ! sed 's/^/# /' <<<"$lost"
report "no test of the shell loses its result to its name"

# --- commands and options --------------------------------------------------------

commands=$("$bulkhead" --help | sed -n 's/^  \([a-z]*\)  *[A-Z].*/\1/p' | sort)
in_manual=$(sed -n 's/^\.It Cm \([a-z]*\).*/\1/p' "$manual" | sort -u)
[ -n "$commands" ] && [ "$commands" = "$in_manual" ]
report "bulkhead(1) has the commands of --help: ${commands//$'\n'/ }"

# manual_options COMMAND: of its synopsis and its description
manual_options() {
	awk -v command="$1" '
		/^\.S[hs] / { mine = first = 0; synopsis = /SYNOPSIS/ }
		synopsis && /^\.Nm/ { first = 1; mine = 0; next }
		first && /^\.Cm/ { mine = $2 == command; first = 0 }
		/^\.It Cm/ { mine = $3 == command }
		mine' "$manual" | grep -oE '(Fl|,) -[a-z][a-z-]*' |
		sed -E 's/^(Fl|,) -/--/' | sort -u
}

for command in $commands; do
	help=$("$bulkhead" "$command" --help | grep -oE '(^|[ [(])--[a-z][a-z-]*' |
		sed 's/^[^-]*//' | sort -u)
	drift=$(comm -3 <(echo "$help") <(manual_options "$command") | tr '\n\t' '  ')
	[ -z "${drift// /}" ]
	report "$command: bulkhead(1) has the options of --help${drift:+, but for $drift}"
done

# --- manual pages ---------------------------------------------------------------

for page in docs/*.[1-9]; do
	if command -v mandoc >/dev/null; then
		said=$(mandoc -T lint -W warning "$page" 2>&1 | grep -v 'outdated mandoc.db')
		[ -z "$said" ]
		report "mandoc finds nothing in $page${said:+: $said}"
	else
		skip "mandoc finds nothing in $page" "mandoc is not installed"
	fi
	section=${page##*.} name=$(basename "$page" ".${page##*.}")
	lost=''
	[ "$page" = "$manual" ] || grep -qE "^\.Xr $name $section" "$manual" ||
		lost=" bulkhead(1) does not refer to it"
	grep -q "docs/$name.$section" Makefile || lost+=" it is not installed"
	[ -z "$lost" ]
	report "$page is referred to and installed${lost:+:$lost}"
done

# --- links ----------------------------------------------------------------------

lost=''
for page in README.md docs/*.md ./*/README.md tests/*/README.md; do
	while read -r link; do
		[ -e "$(dirname "$page")/$link" ] || lost+=" $page:$link"
	done < <(grep -oE '\]\([^)#: ]+' "$page" | sed 's/^](//')
done
[ -z "$lost" ]
report "links between documents lead somewhere${lost:+, but not$lost}"
finish
