#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Fuzzes everything that reads what a target wrote, with libFuzzer.
#
#   fuzz.sh [SECONDS [NAME...]]  each harness, or those named, for SECONDS (60); what it learns
#                                stays in build-fuzz/corpus for the next time
#   fuzz.sh check                the kept findings and 2 s of fuzzing each, for the test suite
#
# Exit status 1 when something was found; the input is then below build-fuzz/artifacts. Once what
# it found is mended, keep it in tests/fuzz/findings/NAME.
set -u
cd "$(dirname "$0")/.." || exit 1

build=build-fuzz
all=$(cd tests/fuzz && ls fuzz_*.c | sed 's/^fuzz_\(.*\)\.c$/\1/')
# Bounds of every single input, sanitizers included: 10 s and 1 GiB.
limits="-timeout=10 -rss_limit_mb=1024"
export ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

build_harnesses() {
	[ -e $build/build.ninja ] ||
		CC=clang meson setup $build --buildtype=debugoptimized -Dfuzzers=true \
			-Db_sanitize=address,undefined -Db_lundef=false >/dev/null || return
	# shellcheck disable=SC2046 # one target a harness
	ninja -C $build $(for name in $all; do echo "tests/fuzz/fuzz_$name"; done) >$build/log ||
		{ tail -n 30 $build/log; return 1; }
	rm -rf $build/seeds
	tests/fuzz/seeds.sh $build/seeds
}

# fuzz NAME SECONDS CORPUS: prints one line; status 1 when something was found.
fuzz() {
	local name=$1 seconds=$2 corpus=$3 log=$build/$1.log inputs status executions
	inputs="$corpus $build/seeds/$name"
	[ -d "tests/fuzz/findings/$name" ] && inputs="$inputs tests/fuzz/findings/$name"
	mkdir -p "$corpus" $build/artifacts
	# shellcheck disable=SC2086 # folders of ours, without blanks
	$build/tests/fuzz/fuzz_$name $limits -max_total_time=$seconds -print_final_stats=1 \
		-artifact_prefix=$build/artifacts/$name- $inputs >"$log" 2>&1 </dev/null
	status=$?
	executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
	if [ $status -eq 0 ]; then
		echo "$name: ${executions:-0} executions, nothing found"
		return 0
	fi
	echo "$name: found after ${executions:-some} executions (status $status, $log):"
	grep -E '^(SUMMARY|==.*ERROR|.*runtime error|Test unit written|artifact_prefix|.*broken:)' \
		"$log" | head -n 6 | sed 's/^/  /'
	return 1
}

seconds=60
corpus=$build/corpus
case ${1:-} in
check)
	seconds=2
	corpus=$build/fresh
	rm -rf $corpus
	shift
	;;
'') ;;
*)
	seconds=$1
	shift
	;;
esac

build_harnesses || exit
found=0
for name in ${*:-$all}; do
	fuzz "$name" "$seconds" "$corpus/$name" || found=1
done
exit $found
