#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# clang-format over the C sources, also those that git does not know yet: "check" (default) names
# what is off, "fix" rewrites it.
set -eu
cd "$(dirname "$0")/.."
files=$(find src tests bench examples -name '*.[ch]' ! -path src/bpf/vmlinux.h)
case ${1:-check} in
fix) echo "$files" | xargs clang-format -i ;;
*) echo "$files" | xargs clang-format --dry-run --Werror ;;
esac
