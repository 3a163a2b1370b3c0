#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# fixture_archive.sh SCRIPT ARCHIVE: what SCRIPT builds into a folder, as a tar archive.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
sh "$1" "$folder" >&2
tar -c -f "$2" -C "$folder" .
