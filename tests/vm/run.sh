#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs memleak on other kernels than the machine's: Debian's, in a virtual machine that QEMU
# emulates (no KVM needed). See README.md.
#
#   run.sh MEMLEAK [VERSION...]    VERSION is the beginning of a kernel's version; default: 6.1 6.12
#
# Environment: VM_CHECKS, words that guest.sh understands; VM_LIMIT_S for one kernel.
#
# Downloads, images and logs are kept in build/vm. Output is TAP; exit status 0 only if all passed.
set -eu
memleak=$(readlink -f "$1")
shift
limit_s=${VM_LIMIT_S:-3600}
# shellcheck source=machine.sh
. "$(dirname "$0")/machine.sh"

# The early file system: busybox, and the driver of the disk where it is not built in.
make_early() {
	local early=$logs/early modules=$logs/lib/modules/$release module file
	rm -rf "$early"
	mkdir -p "$early/bin" "$early/dev" "$early/root" "$early/modules"
	cp "$(command -v busybox)" "$early/bin/busybox"
	install -m 755 "$here/early_init.sh" "$early/init"
	for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci \
		virtio_blk; do
		file=$(find "$modules" -name "$module.ko*")
		case $file in
		'') continue ;;
		*.xz) xz -dc "$file" >"$early/modules/$module.ko" ;;
		*) cp "$file" "$early/modules/$module.ko" ;;
		esac
		echo "$module" >>"$early/modules/order"
	done
	pack "$early" "$logs/early.cpio"
}

# The packages that hold what runs inside, with all they depend on.
guest_packages() {
	apt-cache depends --recurse --installed --important bash dash coreutils util-linux mount grep sed \
		procps findutils binutils python3 python3-pytest bpftool libbpf1 libelf1 libdw1 libzydis4.0 libzstd1 \
		libiberty-dev libstdc++6 musl libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0 |
		grep -E '^[a-z0-9]' | cut -d: -f1 | sort -u
}

# The root file system: the machine's own programs and libraries, memleak, the tests, the targets.
make_root() {
	local stage=$work/root
	say "making the root file system"
	rm -rf "$stage" "$work/root.img"
	mkdir -p "$stage"
	for folder in bin sbin lib lib64; do
		mkdir -p "$stage/usr/$folder"
		ln -s "usr/$folder" "$stage/$folder"
	done
	guest_packages | while read -r package; do
		dpkg -L "$package" 2>/dev/null || true
	done | grep -vE '^/(\.|usr/share/(doc|man|locale|info|i18n|lintian)(/.*)?)$' | sort -u |
		while read -r file; do
			if [ ! -d "$file" ] || [ -L "$file" ]; then echo "$file"; fi
		done >"$work/root.files"
	tar -C / -c --no-recursion --ignore-failed-read -T "$work/root.files" 2>/dev/null |
		tar -C "$stage" -x -P --keep-directory-symlink
	mkdir -p "$stage"/{proc,sys,dev,tmp,run,etc,root,var/tmp,memleak/build}
	ln -sf dash "$stage/usr/bin/sh" # diverted, so no package lists it
	cp /etc/passwd /etc/group "$stage/etc/"
	cp -r /etc/ld.so.* "$stage/etc/"
	cp -a /etc/alternatives "$stage/etc/"
	cp -r "$root/tests" "$root/examples" "$root/scripts" "$stage/memleak/"
	cp "$memleak" "$stage/memleak/build/memleak"
	mkdir "$stage/memleak/programs"
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$here/build_programs.py" "$stage/memleak/programs"
	mke2fs -q -t ext4 -d "$stage" "$work/root.img" 2G
	rm -rf "$stage"
}

run_kernel() {
	kernel "$1" || return
	make_early
	echo "starting Linux $release"
	boot "$logs/early.cpio" "ml_checks=${VM_CHECKS:-all}" -smp 2 -m 4096 \
		-drive "file=$work/root.img,format=raw,if=virtio,snapshot=on" | tee "$logs/results.log"
}

echo "TAP version 13"
make_root
# shellcheck disable=SC2086 # one word a version
run_all run_kernel ${*:-6.1 6.12}
