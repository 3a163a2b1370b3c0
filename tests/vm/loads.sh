#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Whether the BPF programs load on older kernels than the machine's, and count right there: a part of
# `make test`. The machine has no disk and no Python, so that it takes seconds and not minutes.
#
#   loads.sh MEMLEAK [VERSION...]    VERSION is the beginning of a kernel's version; default: 6.1 6.12
#
# Downloads some 30 MB for each version, once, into build/vm. Output is TAP; exit status 0 only if
# all passed.
set -eu
memleak=$(readlink -f "$1")
shift
limit_s=${VM_LIMIT_S:-180}
# shellcheck source=machine.sh
. "$(dirname "$0")/machine.sh"

# The libraries PROGRAM... are linked with, and what loads them.
libraries() {
	ldd "$@" | grep -oE '/[^ ]+' | grep -v ':$' | sort -u
}

# The file system, in memory: busybox, memleak, two programs that leak, and their libraries.
make_early() {
	local early=$work/loads file
	rm -rf "$early"
	mkdir -p "$early/bin" "$early/proc" "$early/sys" "$early/dev" "$early/tmp" "$early/run"
	cp "$(command -v busybox)" "$early/bin/busybox"
	install -m 755 "$here/loads_init.sh" "$early/init"
	cp "$memleak" "$early/memleak"
	gcc -g -O2 -fomit-frame-pointer -o "$early/once" "$here/once.c"
	gcc -g -O2 -fomit-frame-pointer -o "$early/ticker" "$root/tests/targets/ticker.c"
	libraries "$early/memleak" "$early/once" "$early/ticker" | while read -r file; do
		mkdir -p "$early${file%/*}"
		cp -L "$file" "$early$file"
	done
	pack "$early" "$work/loads.cpio"
	rm -rf "$early"
}

run_kernel() {
	kernel "$1" || return
	echo "starting Linux $release"
	boot "$work/loads.cpio" "" -smp 1 -m 2048 | tee "$logs/loads.log"
}

echo "TAP version 13"
make_early
# shellcheck disable=SC2086 # one word a version
run_all run_kernel ${*:-6.1 6.12}
