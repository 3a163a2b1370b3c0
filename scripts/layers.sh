#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Checks that no folder under src/ includes a header of a layer that stands above it.
set -eu
cd "$(dirname "$0")/.."

allowed() {
	case $1 in
	shared) echo shared ;;
	base) echo base shared ;;
	target) echo target base shared ;;
	elf) echo elf base shared ;;
	unwind) echo unwind elf base shared ;;
	symbols) echo symbols elf target base shared ;;
	allocators) echo allocators elf target base shared ;;
	agent) echo agent shared ;;
	inject) echo inject target base shared ;;
	model) echo model base shared ;;
	bpf) echo bpf shared ;;
	trace) echo trace bpf inject allocators symbols unwind elf target model base shared ;;
	report) echo report model symbols allocators elf target base shared ;;
	live) echo live report model base shared ;;
	record) echo record report model elf base shared ;;
	heap) echo heap target base shared ;;
	cli) echo cli heap live record report trace inject model allocators symbols unwind elf target base shared ;;
	esac
}

status=0
for folder in src/*/; do
	layer=$(basename "$folder")
	may=$(allowed "$layer")
	[ -n "$may" ] || { echo "src/$layer is not in scripts/layers.sh" >&2; exit 1; }
	pattern=$(echo "$may" | tr ' ' '|')
	bad=$(grep -nE '^#include "[a-z]+/' "$folder"*.[ch] "$folder"*/*.[ch] 2>/dev/null |
		grep -vE "#include \"($pattern)/" || true)
	if [ -n "$bad" ]; then
		echo "src/$layer may include only: $may" >&2
		echo "$bad" >&2
		status=1
	fi
done
exit $status
