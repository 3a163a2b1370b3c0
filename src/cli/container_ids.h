/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Ids of the containers that have a given name, by the files the runtimes keep: cgroups carry the
 * id only.
 *
 * Looked at: Docker (config.v2.json), Podman and CRI-O (containers.json of containers/storage),
 * both also without root, below /home; containerd with Kubernetes or nerdctl (the annotations in
 * the bundle's config.json).
 */
#ifndef ML_CLI_CONTAINER_IDS_H
#define ML_CLI_CONTAINER_IDS_H

#include "base/array.h"

/** Ids, each a copy. */
struct ml_container_ids {
	ML_ARRAY(char *) list;
};

/**
 * Fills @p out with the ids of containers called @p name; a Kubernetes name means every container
 * of the pod or all containers of that name. @p root is put before every path ("" on a real
 * machine).
 */
void ml_container_ids_find(const char *root, const char *name, struct ml_container_ids *out);

/** The same out of the text of one containers.json of containers/storage. */
void ml_container_ids_in_list(const char *text, const char *name, struct ml_container_ids *out);

void ml_container_ids_deinit(struct ml_container_ids *ids);

#endif
