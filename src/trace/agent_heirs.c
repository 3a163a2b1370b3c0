/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/agent_heirs.h"

#include "inject/injection.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

/* Cheap enough to be asked of every process there is. */
static bool is_heir(const struct ml_process *process, const uint64_t *images, size_t count)
{
	struct ml_agent_image_header image;

	for (size_t i = 0; i < count; i++)
		if (ml_process_read(process, images[i] + ML_AGENT_IMAGE_CODE, &image,
				    sizeof(image)) &&
		    image.magic == ML_AGENT_MAGIC)
			return true;
	return false;
}

static bool clean(const struct ml_process *process)
{
	struct ml_injection_left left;
	ML_ERROR_CLEANUP struct ml_error *error = ml_injection_find(process, &left);

	if (!error && left.kind == ML_INJECTION_INHERITED)
		error = ml_injection_remove_left(process, &left);
	return !error;
}

size_t ml_agent_heirs_clean(const uint64_t *images, size_t count)
{
	DIR *proc = count ? opendir("/proc") : NULL;
	size_t left = 0;

	if (!proc)
		return 0;
	for (struct dirent *entry; (entry = readdir(proc));) {
		pid_t pid = (pid_t)atoi(entry->d_name);
		struct ml_process *process = NULL;

		/* Those that cannot be opened have not been forked by one that could. */
		if (pid > 0 && pid != getpid())
			ml_error_free(ml_process_open(pid, &process));
		if (process && is_heir(process, images, count))
			left += !clean(process);
		ml_process_close(process);
	}
	closedir(proc);
	return left;
}
