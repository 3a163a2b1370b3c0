#!/bin/sh
# clang-format over the C sources: "check" (default) names what is off, "fix" rewrites it.
set -eu
cd "$(dirname "$0")/.."
files=$(git ls-files '*.c' '*.h' | grep -v '^src/bpf/vmlinux.h$')
case ${1:-check} in
fix) echo "$files" | xargs clang-format -i ;;
*) echo "$files" | xargs clang-format --dry-run --Werror ;;
esac
