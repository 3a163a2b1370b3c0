#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Process 1 of the virtual machine: says on the second serial port what works here, one line a
# check ("ok - NAME" or "not ok - NAME"; other lines explain), and ends the machine.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
ln -sf /proc/self/fd /dev/fd
exec </dev/null >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw 2>/dev/null

checks=$(sed -n 's/.*ml_checks=\([^ ]*\).*/\1/p' /proc/cmdline)
programs=/memleak/programs
export MEMLEAK=/memleak/build/memleak
export MEMLEAK_TEST_PROGRAMS=$programs
# QEMU interprets: limits on time are this many times those of a real machine.
export MEMLEAK_TEST_SLOWNESS=10
cd /memleak || exit 1

wanted() {
	[ "$checks" = all ] || [[ ,$checks, == *,$1,* ]]
}

# check NAME COMMAND...: what it prints is shown when it fails.
check() {
	local name=$1
	shift
	if timeout -k 5 300 "$@" >/tmp/check.log 2>&1; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		tail -n 40 /tmp/check.log
	fi
}

# json CONDITION: whether the last report on stdin fulfils a Python expression.
json() {
	/usr/bin/python3 -c '
import json, sys
report = json.loads([line for line in sys.stdin if line.startswith("{")][-1])
def site(function):
    sites = [s for s in report["sites"]
             if any((f["symbol"] or "").startswith(function) for f in s["frames"])]
    return sum(s["bytes"] for s in sites), sum(s["count"] for s in sites)
if not eval(sys.argv[1]):
    sys.exit(json.dumps(report)[:3000])
' "$1"
}

command_is_traced() {
	"$MEMLEAK" --json -o 0 "$@" -c $programs/once >/tmp/out || return
	json 'site("leak") == (900, 9) and report["totals"]["frees"] == 1' </tmp/out
}

process_is_traced() {
	$programs/ticker </dev/null >/dev/null &
	"$MEMLEAK" -o 0 -p $! 3 2 | tee /tmp/out
	kill $!
	grep -q leak_now_and_then /tmp/out
}

# Has the kernel allocate for somebody: it keeps opening files.
open_files() {
	while :; do
		cat /proc/self/stat >/dev/null
	done
}

# kernel_is_traced OPTION...: it sees allocations, and nearly all callers have names.
kernel_is_traced() {
	open_files &
	local opener=$!
	"$MEMLEAK" --json -o 0 "$@" 2 2 >/tmp/out
	local status=$?
	kill $opener
	[ $status -eq 0 ] &&
		json 'report["totals"]["allocs"] > 500 and report["totals"]["frees"] > 500' </tmp/out &&
		json 'len(report["sites"]) > 10' </tmp/out &&
		json 'sum(bool(s["frames"] and s["frames"][0]["symbol"]) for s in report["sites"]) \
			>= 0.9 * len(report["sites"])' </tmp/out
}

kernel_text() {
	open_files &
	local opener=$!
	"$MEMLEAK" -o 0 2 2 | tee /tmp/out
	kill $opener
	grep -q 'allocations from stack' /tmp/out
}

# What a user reads who may not use ptrace, each scope in turn; from 3 there is no way back.
ptrace_is_explained() {
	local user="setpriv --reuid=65534 --regid=65534 --clear-groups" scope
	for scope in 1 2 3; do
		echo $scope >/proc/sys/kernel/yama/ptrace_scope || return
		# In the background it is no child of memleak's.
		$user $programs/ticker </dev/null >/dev/null &
		$user "$MEMLEAK" -p $! 1 1 2>&1 | tee /tmp/out
		[ ${PIPESTATUS[0]} -eq 3 ] && grep -q "ptrace_scope is $scope" /tmp/out || return
		$user "$MEMLEAK" doctor | tee /tmp/out
		grep -q "ptrace_scope is $scope" /tmp/out || return
		if [ $scope = 1 ]; then
			$user "$MEMLEAK" --json -o 0 -- $programs/once >/tmp/out || return
			json 'site("leak") == (900, 9)' </tmp/out || return
		fi
		kill $!
	done
}

# pytest_run ARGUMENT...: some of the integration tests, a line each.
pytest_run() {
	export MEMLEAK_TEST_RESULTS=/tmp/results
	rm -f /tmp/results
	: >/tmp/results
	timeout -k 5 3000 /usr/bin/python3 -m pytest -q -p no:cacheprovider --tb=short "$@" \
		>/tmp/pytest.log 2>&1
	local status=$?
	sed -e 's/^passed /ok - /; s/^failed /not ok - /; s/^skipped \(.*\)/ok - \1 # SKIP/' /tmp/results
	[ $status -eq 0 ] || tail -n 150 /tmp/pytest.log
	[ $status -le 1 ] || echo "not ok - $1 did not finish (status $status)"
}

kernel_is_well() {
	! dmesg | grep -E 'Oops|BUG:|WARNING:|Call Trace|general protection'
}

uname -a
wanted doctor && check "doctor" "$MEMLEAK" doctor
export -f ptrace_is_explained command_is_traced process_is_traced kernel_is_traced kernel_text open_files json kernel_is_well
export programs
if wanted basics; then
	check "a command, every byte" bash -c command_is_traced
	check "a process, text" bash -c process_is_traced
fi
if wanted kernel; then
	check "the kernel, --json" bash -c kernel_is_traced
	check "the kernel with per-CPU memory" bash -c 'kernel_is_traced -P'
	check "the kernel, text" bash -c kernel_text
fi
tests=tests/integration
wanted accounting && pytest_run $tests/test_accounting.py
wanted allocators && pytest_run $tests/test_allocators.py
wanted lifecycle && pytest_run $tests/test_lifecycle.py
# One test builds programs; there is no compiler here. For two the emulator is too slow: a loader waits
# no longer than 250 ms (src/bpf/loader.bpf.h).
wanted stacks && pytest_run $tests/test_stacks.py -k "not inlined_frames and not loaded_later and \
	not followed_from_the_start"
wanted follow && pytest_run $tests/test_follow.py
# One test builds a program.
wanted gate && pytest_run $tests/test_leak_gate.py
wanted gate && pytest_run $tests/test_agent_leak_gate.py -k "not cannot_start"
wanted agent && pytest_run $tests/test_agent_kernels.py
wanted agent && pytest_run $tests/test_agent.py -k "without_ebpf or nothing_is_left_behind or \
	doctor_repairs or forked_children or filtered_target or plain_user or writable_and_executable"
wanted ptrace && check "why ptrace is refused" bash -c ptrace_is_explained
check "the kernel did not complain" bash -c kernel_is_well
echo finished
sync
echo o >/proc/sysrq-trigger
sleep 60
