# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Parts of the scripts beside it: Debian's kernels and a machine that QEMU emulates (no KVM needed).
# They set $limit_s, how long one kernel may take.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# Downloads, images and logs are kept here.
work=${VM_WORK:-$root/build/vm}
mkdir -p "$work"

say() {
	echo "# $*"
}

# The newest cloud kernel whose version begins with $1: its package's name. The cloud flavour has
# the configuration of the usual one but for drivers.
newest_package() {
	apt-cache pkgnames "linux-image-$1." | grep -E -- '-cloud-amd64$' | sort -V | tail -n 1
}

# kernel_package VERSION: the same; a machine that never read its package lists reads them now.
kernel_package() {
	local package
	package=$(newest_package "$1")
	if [ -z "$package" ]; then
		apt-get update -qq >&2 || true
		package=$(newest_package "$1")
	fi
	echo "$package"
}

# fetch PACKAGE: downloads and unpacks it once, into $work/PACKAGE.
fetch() {
	local log=$work/$1/download.log
	[ ! -e "$work/$1/unpacked" ] || return 0
	say "downloading $1"
	mkdir -p "$work/$1"
	(cd "$work/$1" && { apt-get download -qq "$1" || { apt-get update -qq && apt-get download -qq "$1"; }; }) \
		>"$log" 2>&1 && dpkg -x "$work/$1/"*.deb "$work/$1" 2>>"$log" && touch "$work/$1/unpacked" && return
	tail -n 5 "$log"
	echo "not ok - the package $1 could be downloaded and unpacked"
	return 1
}

# kernel VERSION: fetches it; sets $package, $release and $logs. What stands in the way is printed.
kernel() {
	package=$(kernel_package "$1")
	if [ -z "$package" ]; then
		echo "not ok - the package lists have a kernel $1 (apt-cache pkgnames linux-image-$1.)"
		return 1
	fi
	logs=$work/$package
	release=${package#linux-image-}
	fetch "$package"
}

# pack FOLDER FILE: an early file system.
pack() {
	(cd "$1" && find . | cpio -o -H newc --quiet) >"$2"
}

# boot EARLY WORDS OPTION...: starts the $package's kernel with the early file system EARLY, WORDS for
# its command line and OPTIONs for QEMU. What it says on its second serial port is printed.
#
# One emulator thread for all processors: README.md says why. In the foreground, that is in the
# caller's process group: who ends that ends the machine.
boot() {
	local early=$1 words=$2
	shift 2
	timeout --foreground -k 10 "$limit_s" qemu-system-x86_64 -machine q35 -accel tcg,thread=single \
		-cpu max,la57=off -nodefaults -display none -no-reboot \
		-kernel "$logs/boot/vmlinuz-$release" -initrd "$early" "$@" \
		-append "no_timer_check console=ttyS0 panic=-1 loglevel=5 $words" \
		-serial "file:$logs/console.log" -serial stdio </dev/null | stdbuf -oL tr -d '\r'
}

# take_lines VERSION: stdin's results with numbers; the plan comes last. Counts $number and $failed,
# sets $finished once the machine has come to its end.
failed=0
number=0
take_lines() {
	local line
	while IFS= read -r line; do
		case $line in
		"ok - "* | "not ok - "*)
			number=$((number + 1))
			[ "${line%% *}" = ok ] || failed=$((failed + 1))
			echo "${line%% - *} $number - linux $1: ${line#* - }"
			;;
		finished) finished=yes ;;
		*) echo "# $line" ;;
		esac
	done
}

# run_all COMMAND VERSION...: COMMAND VERSION for each, as TAP. Status 0 only if all passed.
run_all() {
	local command=$1 version
	shift
	for version in "$@"; do
		finished=
		take_lines "$version" < <("$command" "$version")
		[ -n "$finished" ] || take_lines "$version" <<<"not ok - ran to its end (see console.log)"
	done
	echo "1..$number"
	[ "$failed" -eq 0 ]
}
