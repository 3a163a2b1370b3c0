#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The Debian packages memleak needs, by purpose, and their installation.
#
#   packages.sh install [PURPOSE...]          install what is missing (root)
#   packages.sh install-if-root [PURPOSE...]  the same, but only name what is missing when not root
#   packages.sh check [PURPOSE...]            exit 1 and name what is missing
#
# PURPOSE is build, demo, test, vm (with test), bench or stacks (bench/stacks.py); none means the
# first three.
set -eu

build="gcc make meson ninja-build pkg-config clang llvm bpftool libbpf-dev libelf-dev libdw-dev
libiberty-dev libzstd-dev liblzma-dev zlib1g-dev libzydis-dev libncurses-dev python3"
demo="gcc libc6-dev util-linux iproute2"
test="g++ clang-format libcmocka-dev python3-pytest musl-tools binutils
libjemalloc2 libjemalloc-dev libtcmalloc-minimal4 libgoogle-perftools-dev libmimalloc2.0 libmimalloc-dev libtbbmalloc2
redis-server redis-tools nginx-light netcat-openbsd python3-pyte libclang-rt-14-dev lld gdb strace xz-utils dwz openjdk-17-jdk-headless bpftrace heaptrack
qemu-system-x86 busybox-static cpio"
bench="gcc g++ python3 bpftrace heaptrack valgrind liblsan0 libjemalloc2 libgoogle-perftools4 libsqlite3-0
redis-server redis-tools"
stacks="gdb g++ clang lld mold musl-tools libssl-dev libboost-context-dev rustc golang-go luajit pypy3
nodejs redis-server redis-tools nginx-light postgresql"
vm="e2fsprogs bpftool procps findutils dash"

action=${1:-install}
[ $# -gt 0 ] && shift
purposes=${*:-build demo test}

missing() {
	for purpose in $purposes; do
		eval "echo \$$purpose"
	done | tr ' ' '\n' | sort -u | while read -r package; do
		[ -n "$package" ] || continue
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
			echo "$package"
	done
}

need=$(missing | tr '\n' ' ')
[ -n "${need% }" ] || exit 0

case $action in
install-if-root) [ "$(id -u)" -eq 0 ] && action=install || action=check ;;
esac

if [ "$action" = check ]; then
	echo "memleak needs these Debian packages: $need" >&2
	echo "install them with: sudo make deps" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "installing packages needs root; run: sudo make deps" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# Services must not start on the machine of somebody who only runs tests.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
	made_policy=yes
fi
trap '[ -z "$made_policy" ] || rm -f "$policy"' EXIT
echo "installing: $need" >&2
apt-get update -qq
# shellcheck disable=SC2086 # one word a package
apt-get install -y -qq --no-install-recommends $need >/dev/null
