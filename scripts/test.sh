#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Every test there is. The last line is "N passed, N failed, N skipped"; exit status 0 only if none
# failed.
#
# It never hangs: every step has a session of its own, a log file for its output and a time limit,
# and is polled, never waited for. A process that cannot even be killed (state D) is left behind
# and counts as a failure.
set -u
cd "$(dirname "$0")/.." || exit 1

deadline_s=$((17 * 60))
work=build-test
logs=$work/logs
results=$work/results # one line a test: passed|failed|skipped NAME
rm -rf "$logs" "$results"
mkdir -p "$logs"
: >"$results"
step_name=
aside_name= # the one check that runs beside the others
exec </dev/null

# Started processes outside their step's session: lines "PID START_TIME", written by the tests.
export MEMLEAK_TEST_PIDS=$PWD/$work/pids
: >"$MEMLEAK_TEST_PIDS"

kill_leftovers() {
	local pid start now
	while read -r pid start; do
		now=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f20) || continue
		[ -n "$now" ] && [ "$now" = "$start" ] && kill -KILL "$pid" 2>/dev/null
	done <"$MEMLEAK_TEST_PIDS"
	: >"$MEMLEAK_TEST_PIDS"
}

# kill_session NAME: all that start() started by that name and that stayed in its session.
kill_session() {
	local leader
	leader=$(cat "$work/${1//[ \/]/_}.rc.pid" 2>/dev/null) || return
	kill -KILL -- "-$leader" 2>/dev/null
}

kill_step() {
	kill_session "$step_name"
	kill_leftovers
}

summary() {
	local passed failed skipped
	passed=$(grep -c '^passed ' "$results")
	failed=$(grep -c '^failed ' "$results")
	skipped=$(grep -c '^skipped ' "$results")
	if [ "$failed" -gt 0 ]; then
		echo "failed:"
		sed -n 's/^failed /  /p' "$results"
		echo "logs: $logs"
	fi
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

abandon() {
	kill_step
	[ -z "$aside_name" ] || kill_session "$aside_name"
	echo "failed $1" >>"$results"
	echo "$1"
	summary
	exit 1
}
trap 'abandon "interrupted during: $step_name"' INT TERM HUP

# start NAME COMMAND...: runs COMMAND in a session of its own, with files named after NAME for its
# output and, at its end, its status.
start() {
	local log=$logs/${1//[ \/]/_}.log rc=$work/${1//[ \/]/_}.rc
	shift
	rm -f "$rc" "$rc.pid"
	(
		setsid "$@" &
		echo $! >"$rc.pid"
		wait $!
		echo $? >"$rc.new"
		mv "$rc.new" "$rc"
	) </dev/null >"$log" 2>&1 &
	disown
}

# await NAME LIMIT_S BEGIN: polls what start() started at $SECONDS = BEGIN until it has ended; says how
# it went and returns its status (124: too long).
await() {
	local name=$1 limit_s=$2 begin=$3 log=$logs/${1//[ \/]/_}.log rc=$work/${1//[ \/]/_}.rc status
	while [ ! -e "$rc" ]; do
		sleep 0.2
		if [ $SECONDS -ge $deadline_s ]; then
			tail -n 20 "$log"
			abandon "the whole run took over $((deadline_s / 60)) minutes, in: $name"
		fi
		# timeout's own KILL came 5 s after the limit: what is still there cannot be ended.
		[ $((SECONDS - begin)) -lt $((limit_s + 15)) ] || break
	done
	status=$(cat "$rc" 2>/dev/null || echo 124)
	[ "$status" -eq 137 ] && status=124
	echo "$name: $(step_outcome "$status" "$limit_s") ($((SECONDS - begin)) s)"
	return "$status"
}

# step NAME LIMIT_S COMMAND...: returns the command's status, 124 when it took too long.
step() {
	local name=$1 limit_s=$2 begin=$SECONDS status
	shift 2
	step_name=$name
	start "$name" timeout -k 5 "$limit_s" "$@"
	await "$name" "$limit_s" "$begin"
	status=$?
	kill_step
	return "$status"
}

step_outcome() {
	case $1 in
	0) echo "done" ;;
	124) echo "stopped after its limit of $2 s" ;;
	*) echo "status $1" ;;
	esac
}

# judge NAME STATUS: a step that is one test.
judge() {
	if [ "$2" -eq 0 ]; then
		echo "passed $1" >>"$results"
		return 0
	fi
	echo "failed $1" >>"$results"
	tail -n 40 "$logs/${1//[ \/]/_}.log"
	return 1
}

# check NAME LIMIT_S COMMAND...: does a step that is one test.
check() {
	step "$@"
	judge "$1" $?
}

# aside NAME LIMIT_S COMMAND...: such a step that runs beside what follows, until aside_ends.
aside() {
	aside_name=$1 aside_limit_s=$2 aside_begin=$SECONDS
	shift 2
	start "$aside_name" timeout -k 5 "$aside_limit_s" "$@"
}

aside_ends() {
	local name=$aside_name status
	await "$name" "$aside_limit_s" "$aside_begin"
	status=$?
	kill_session "$name"
	aside_name=
	judge "$name" $status
}

# build DIRECTORY COMPILER OPTION...: configures once and builds.
build() {
	local directory=$1 compiler=$2
	shift 2
	[ -e "$directory/build.ninja" ] || CC=$compiler meson setup "$directory" "$@" || return
	ninja -C "$directory"
}
export -f build

unit_tests() {
	local directory=build-asan before
	export ASAN_OPTIONS=halt_on_error=1
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	before=$(wc -l <"$results")
	rm -f "$directory/meson-logs/testlog.json"
	step "unit tests" 180 meson test -C "$directory" --no-rebuild --print-errorlogs
	/usr/bin/python3 scripts/unit_results.py "$directory/meson-logs/testlog.json" >>"$results"
	tail -n +"$((before + 1))" "$results" | grep -q '^failed ' &&
		grep -E '^not ok|runtime error|ERROR: |SUMMARY' "$logs/unit_tests.log" | head -n 40
}

# A shared machine can stop for seconds in the middle of a test. A few that failed get one second
# try, alone; which ones is said. What fails again has failed.
second_try() {
	local -a names
	local name
	mapfile -t names < <(sed -n 's/^failed \(tests\/integration\/\)/\1/p' "$results")
	[ ${#names[@]} -gt 0 ] && [ ${#names[@]} -le 5 ] || return
	grep -v '^failed tests/integration/' "$results" >"$results.kept"
	mv "$results.kept" "$results"
	echo "second try:" "${names[@]}"
	step "integration tests, second try" 180 /usr/bin/python3 -m pytest -q \
		-p no:cacheprovider --tb=short "${names[@]}" ||
		tail -n 60 "$logs/integration_tests,_second_try.log"
	for name in "${names[@]}"; do
		grep -qxF -e "passed $name" -e "failed $name" -e "skipped $name" "$results" ||
			echo "failed $name (no result in the second try)" >>"$results"
	done
}

integration_tests() {
	local status before unfinished
	export MEMLEAK=${MEMLEAK:-$PWD/build/memleak}
	export MEMLEAK_TEST_RESULTS=$PWD/$results
	before=$(wc -l <"$results")
	step "integration tests" 660 /usr/bin/python3 -m pytest -q -p no:cacheprovider \
		--tb=short tests/integration
	status=$?
	# 5: nothing collected. Failures proper are already in the results, one line each.
	if [ $status -gt 1 ]; then
		unfinished=$(tail -n 1 "$MEMLEAK_TEST_RESULTS.running" 2>/dev/null)
		echo "failed integration tests did not finish (status $status) ${unfinished:-}" >>"$results"
	fi
	tail -n +"$((before + 1))" "$results" | grep -q '^failed ' || return
	tail -n 150 "$logs/integration_tests.log"
	[ $status -gt 1 ] || second_try
}

# The cheap ones first: they fail within seconds.
check "format" 60 scripts/check.sh format
check "layers" 30 scripts/check.sh layers
check "documentation" 30 scripts/check.sh docs
check "make" 300 make all
check "build with gcc, warnings are errors" 300 \
	bash -c 'build build-gcc gcc -Dwerror=true'
check "build with clang, warnings are errors, sanitizers" 400 \
	bash -c 'build build-asan clang -Dwerror=true -Dunit_tests=true \
		-Db_sanitize=address,undefined -Db_lundef=false' &&
	unit_tests
[ -x build/memleak ] && aside "BPF programs on older kernels" 400 tests/vm/loads.sh build/memleak
check "fuzzing" 240 scripts/fuzz.sh check
[ -n "$aside_name" ] && aside_ends
[ -x build/memleak ] && integration_tests
step_name=summary
summary
