#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs a program as /app in a container made by hand: own mount and pid namespace, own root with
# its own copies of the libraries. Nothing of it can be seen from the host's file system.
#
#   run_in_container.sh PROGRAM [ARG...]        (root)
#
# Prints "host pid N" once the program runs; its own output follows. Ends with the program, or ends
# it on INT and TERM, and leaves nothing behind.
set -eu

if [ "${1:-}" = --inside ]; then
	# First process of the new namespaces: build the root on a tmpfs that only they see.
	root=$2 program=$3
	shift 3
	mount -t tmpfs -o mode=755 tmpfs "$root"
	mkdir "$root/proc" "$root/dev" "$root/old"
	cp "$program" "$root/app"
	chmod 755 "$root/app"
	# A static program has none: then ldd fails and the list is empty.
	{ ldd "$program" 2>/dev/null || true; } | grep -oE '/[^ ]+' | while read -r library; do
		mkdir -p "$root$(dirname "$library")"
		cp -L "$library" "$root$library"
	done
	mount -t proc proc "$root/proc"
	touch "$root/dev/null"
	mount --bind /dev/null "$root/dev/null"
	# realpath, as absolute symbolic links below /old would lead into the new root.
	umount_path=$(realpath "$(command -v umount)")
	loader=$(realpath "$(ldd "$umount_path" | grep -oE '/[^ ]*/ld-[^ ]+')")
	libraries=$(ldd "$umount_path" | grep -oE '=> /[^ ]+' | cut -c4- |
		while read -r library; do printf '/old%s:' "$(dirname "$(realpath "$library")")"; done)
	cd "$root"
	pivot_root . old
	cd /
	# The new root has no umount: the old one's, run by the old one's loader.
	"/old$loader" --library-path "$libraries" "/old$umount_path" -l /old
	exec /app "$@"
fi

[ $# -ge 1 ] || { echo "usage: run_in_container.sh PROGRAM [ARG...]" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "run_in_container.sh: making namespaces needs root" >&2; exit 3; }
[ -x "$1" ] || { echo "run_in_container.sh: $1 is not a program" >&2; exit 2; }

here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath "$1")
shift
root=$(mktemp -d "${TMPDIR:-/tmp}/container.XXXXXX")
namespace_pid=
app_pid=
cleanup() {
	trap - EXIT INT TERM HUP
	[ -z "$app_pid" ] || kill -KILL "$app_pid" 2>/dev/null || true
	[ -z "$namespace_pid" ] || kill -KILL "$namespace_pid" 2>/dev/null || true
	rmdir "$root" 2>/dev/null || true
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --kill-child: should unshare be killed, the container goes with it.
unshare --mount --pid --fork --kill-child -- \
	/bin/sh "$here/run_in_container.sh" --inside "$root" "$program" "$@" &
namespace_pid=$!

tries=0
while [ "$(readlink "/proc/${app_pid:-none}/exe" 2>/dev/null)" != /app ]; do
	tries=$((tries + 1))
	if [ $tries -gt 100 ] || ! kill -0 "$namespace_pid" 2>/dev/null; then
		echo "run_in_container.sh: the container did not start" >&2
		exit 3
	fi
	sleep 0.1
	app_pid=$(tr -d ' ' <"/proc/$namespace_pid/task/$namespace_pid/children") || true
done
echo "host pid $app_pid"
status=0
wait "$namespace_pid" || status=$?
namespace_pid=
app_pid=
exit $status
