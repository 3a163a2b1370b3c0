/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/replay_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct ml_error *open_recording(const char *path, struct ml_recording **out)
{
	bool is_input = !strcmp(path, "-");
	int fd = is_input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
			  : open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return ml_error_errno(errno, "cannot open %s", path);
	return ml_recording_open(fd, is_input ? "standard input" : path, ML_RECORD_BUDGET, out);
}

struct ml_error *ml_replay_file(const char *path, const struct ml_replay *replay,
				struct ml_recording **recording, struct ml_report *report)
{
	struct ml_recording *opened;
	struct ml_error *error = open_recording(path, &opened);

	if (error)
		return error;
	error = ml_replay_report(opened, replay, report);
	if (error)
		ml_recording_close(opened);
	else
		*recording = opened;
	return error;
}

struct ml_error *ml_replay_file_last_mark(const char *path, uint64_t *number)
{
	struct ml_recording *recording;
	struct ml_error *error = open_recording(path, &recording);
	bool is_there = true;

	if (error)
		return error;
	*number = 0;
	while (!error && is_there) {
		error = ml_recording_next(recording, &is_there);
		if (!error && is_there && ml_recording_moment(recording)->mark)
			*number = ml_recording_moment(recording)->mark;
	}
	ml_recording_close(recording);
	return error;
}
