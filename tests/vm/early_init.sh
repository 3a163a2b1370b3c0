#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
# The first program of the virtual machine: finds the disk and goes on from there.
bb=/bin/busybox
$bb mount -t devtmpfs none /dev
while read -r module; do
	$bb insmod "/modules/$module.ko"
done </modules/order
$bb mount -t ext4 /dev/vda /root || $bb poweroff -f
exec $bb switch_root /root /bin/bash /memleak/tests/vm/guest.sh
