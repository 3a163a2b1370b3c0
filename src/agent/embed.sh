#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The agent's image as the contents of a C array. Refuses one that would need a loader.
# embed.sh OBJCOPY READELF IMAGE.elf
set -eu
[ -z "$("$2" -rW "$3" | grep R_X86_64)" ] || { echo "$3 has relocations" >&2; exit 1; }
binary=$(mktemp)
trap 'rm -f "$binary"' EXIT
"$1" -O binary -j .image "$3" "$binary"
od -An -v -tx1 "$binary" | sed 's/ \(..\)/0x\1,/g'
