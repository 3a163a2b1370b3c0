/* SPDX-License-Identifier: BSD-2-Clause */
/** Which container a control group belongs to. */
#ifndef ML_TARGET_CONTAINER_H
#define ML_TARGET_CONTAINER_H

/**
 * The innermost container named by the text of a /proc/PID/cgroup file: the first 12 digits of a
 * Docker, Podman, containerd, CRI-O or Kubernetes container's id; the name of an LXC or
 * systemd-nspawn one. The caller's to free; NULL when it names none.
 */
char *ml_container_name(const char *cgroups);

#endif
