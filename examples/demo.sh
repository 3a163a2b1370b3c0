#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Shows memleak on the leaky example, which runs in a container of its own.
#
#   demo.sh MEMLEAK        (root; ends by itself within half a minute)
#
# Exit status 0 when memleak named the leaking function with file and line, 1 when it did not,
# 3 when the demonstration could not be set up.
set -eu

fail() {
	status=$1
	shift
	echo "demo: $*" >&2
	exit "$status"
}

memleak=$(realpath "${1:?usage: demo.sh MEMLEAK}")
[ -x "$memleak" ] || fail 3 "$memleak is missing; run: make"
[ "$(id -u)" -eq 0 ] || fail 3 "tracing and making a container need root; run: sudo make demo"
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/demo.XXXXXX")
container=
cleanup() {
	trap - EXIT INT TERM HUP
	if [ -n "$container" ]; then
		kill -TERM "$container" 2>/dev/null || true
		wait "$container" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

echo "# 1. The example: a thread that loses 8192 bytes a second in fibonacci()."
echo "\$ gcc -g -O0 -pthread -o app app.c"
(cd "$here" && gcc -g -O0 -pthread -o "$work/app" app.c) || fail 3 "app.c could not be compiled"

echo
echo "# 2. It runs as /app in a container: own mount and pid namespace, own root, own libc."
echo "\$ run_in_container.sh ./app &"
"$here/run_in_container.sh" "$work/app" >"$work/app.out" 2>"$work/app.err" </dev/null &
container=$!
pid=
tries=0
while [ -z "$pid" ]; do
	tries=$((tries + 1))
	if [ $tries -gt 100 ] || ! kill -0 "$container" 2>/dev/null; then
		fail 3 "the container did not start: $(cat "$work/app.err")"
	fi
	sleep 0.1
	pid=$(sed -n 's/^host pid //p' "$work/app.out")
done
[ ! -e /app ] && echo "host pid $pid; on the host there is no /app"

echo
echo "# 3. memleak, from the host: four reports, one every three seconds."
echo "\$ memleak -p $pid 3 4"
status=0
# A tool that hangs must not hang the demonstration.
: >"$work/report"
: >"$work/report.err"
timeout -k 5 40 "$memleak" -p "$pid" 3 4 >"$work/report" 2>"$work/report.err" </dev/null &
tracer=$!
tail -q -n +1 -f --pid="$tracer" "$work/report" "$work/report.err" 2>/dev/null &
tail_pid=$!
wait "$tracer" || status=$?
sleep 1
kill "$tail_pid" 2>/dev/null || true
[ $status -eq 0 ] || fail 1 "memleak ended with status $status: $(cat "$work/report.err")"

echo
frame=$(grep -E '^[[:space:]]+fibonacci\+0x[0-9a-f]+ app\.c:[0-9]+ \[app\]' "$work/report" |
	tail -n 1 | tr -d '\t') || true
[ -n "$frame" ] || fail 1 "memleak did not name fibonacci with its line in app.c"
line=$(echo "$frame" | sed 's/.*app\.c:\([0-9]*\).*/\1/')
sed -n "${line}p" "$here/app.c" | grep -q calloc ||
	fail 1 "memleak named app.c:$line, which is not where the block is allocated"
kill -0 "$pid" 2>/dev/null || fail 1 "the example did not survive being traced"
echo "# 4. Found: the lost blocks come from app.c:$line, in fibonacci():"
sed -n "${line}p" "$here/app.c"
echo "#    The example went on all the while; its last number: $(tail -n 1 "$work/app.out")."
echo "#    app_fixed.c is the same program with the free() that was missing."
