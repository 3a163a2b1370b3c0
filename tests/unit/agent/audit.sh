#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What the agent's image must be, by its disassembly: audit.sh agent.elf
set -eu
elf=$1
limit=40960
number=0

check() { # NAME, then what must be empty
	number=$((number + 1))
	if [ -z "$2" ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		echo "$2" | head -5 | sed 's/^/# /'
	fi
}

# Behind the header's 116 bytes and before the constants.
start=$(nm "$elf" | sed -n 's/^\([0-9a-f]*\) . image_header$/\1/p')
end=$(nm "$elf" | sed -n 's/^\([0-9a-f]*\) . ml_agent_code_end$/\1/p')
code=$(objdump -d --no-show-raw-insn --start-address=$((0x$start + 116)) --stop-address="0x$end" "$elf" | grep -P '^\s+[0-9a-f]+:\t')
size=$(readelf -SW "$elf" | sed -n 's/.* \.image *PROGBITS *[0-9a-f]* [0-9a-f]* \([0-9a-f]*\) .*/\1/p')
bytes=$((0x$size))

echo "1..7"
echo "# image of $bytes bytes"
check "no relocations" "$(readelf -rW "$elf" | grep R_X86_64 || true)"
check "nothing imported" "$(nm -u "$elf")"
check "no library needed" "$(readelf -dW "$elf" 2>/dev/null | grep NEEDED || true)"
check "no vector or floating-point register" \
	"$(echo "$code" | grep -E '%(xmm|ymm|zmm|mm|st|k)[0-9(]|\sf(ld|st|add|mul)|v(zero|mov)|fxsave|xsave' || true)"
check "no thread-local storage but the thread pointer" \
	"$(echo "$code" | grep -E '%(fs|gs):' | grep -v '%fs:0x0' || true)"
check "no instruction newer than x86-64" \
	"$(echo "$code" | grep -wE '(andn|bzhi|pdep|pext|shlx|shrx|sarx|rorx|mulx|tzcnt|lzcnt|popcnt|movbe|rdtscp|rdrand)[lq]?' || true)"
check "at most $limit bytes" "$([ "$bytes" -le "$limit" ] || echo "$bytes bytes")"
