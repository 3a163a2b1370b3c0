#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
# Process 1 of loads.sh's machine: says on the second serial port what works here, one line a check,
# and ends the machine.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
stty -F /dev/ttyS1 raw
exec </dev/null >/dev/ttyS1 2>&1

# check NAME COMMAND...: what memleak said is shown when it fails; the verifier's words come last.
check() {
	local name=$1
	shift
	if timeout -k 5 90 "$@" >/tmp/out 2>/tmp/err && judge; then
		echo "ok - $name"
		return
	fi
	tail -n 8 /tmp/out
	tail -n 15 /tmp/err
	echo "not ok - $name"
}

judge() {
	grep -A 2 '900 bytes in 9 allocations from stack' /tmp/out | tr -d '\n' |
		grep -q '	leak+0x[^	]*once.c:[^	]*		main+0x'
}
check "a command" /memleak -v --backend bpf -o 0 -- /once

judge() {
	grep -q '	leak_now_and_then+0x' /tmp/out
}
/ticker >/dev/null &
check "a process" /memleak -v --backend bpf -o 0 -p $! 2 1
kill $!

judge() {
	grep -q 'allocations from stack' /tmp/out
}
while :; do cat /proc/self/stat >/dev/null; done &
check "the kernel" /memleak -v -o 0 2 1
check "the kernel, per-CPU" /memleak -v -o 0 -P 2 1
kill $!

judge() {
	[ "$(grep -c '^backend [a-z]*: usable$' /tmp/out)" -eq 3 ]
}
check "the doctor's word" /memleak doctor

judge() {
	! grep -E 'Oops|BUG:|WARNING:|Call Trace|general protection' /tmp/out
}
check "the kernel did not complain" dmesg
echo finished
poweroff -f
