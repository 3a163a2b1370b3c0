#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What can be checked in seconds and without building: format, layers, documentation. `make test` begins
# with these, and after `make hook` so does each commit.
#
#   check.sh [NAME]   all, or one of: format, layers, docs
set -u
cd "$(dirname "$0")/.." || exit 1

check() {
	case $1 in
	format) scripts/format.sh check ;;
	layers) scripts/layers.sh ;;
	docs) /usr/bin/python3 scripts/docs.py ;;
	*) echo "there is no check $1" >&2; return 2 ;;
	esac
}

status=0
# shellcheck disable=SC2048 # names without blanks
for name in ${*:-format layers docs}; do
	check "$name" || { status=1; echo "$name: not as it should be" >&2; }
done
exit $status
