/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/record_file.h"

#include "cli/note.h"

struct ml_error *ml_record_file_open(const char *path, struct ml_record_file *out)
{
	ML_STRBUF_CLEANUP struct ml_strbuf bytes = {0};
	struct ml_record_file file = {0};
	struct ml_error *error = ml_output_open(path, &file.output);

	if (error)
		return error;
	file.recorder = ml_recorder_create(&bytes);
	error = ml_output_write(&file.output, bytes.text, bytes.length);
	if (error)
		ml_record_file_deinit(&file);
	else
		*out = file;
	return error;
}

static void stop(struct ml_record_file *file, struct ml_error *error)
{
	ml_note("the recording ends here: %s", ml_error_message(error));
	file->problem = error;
	ml_recorder_destroy(file->recorder);
	file->recorder = NULL;
}

void ml_record_file_add(struct ml_record_file *file, const struct ml_recorded_moment *moment)
{
	ML_STRBUF_CLEANUP struct ml_strbuf bytes = {0};

	if (!file->recorder)
		return;
	ml_recorder_add(file->recorder, moment, &bytes);
	struct ml_error *error = ml_output_write(&file->output, bytes.text, bytes.length);

	if (error)
		stop(file, error);
}

struct ml_error *ml_record_file_end(struct ml_record_file *file)
{
	ML_STRBUF_CLEANUP struct ml_strbuf bytes = {0};
	struct ml_error *error = file->problem;

	file->problem = NULL;
	if (!file->recorder)
		return error;
	ml_recorder_end(file->recorder, &bytes);
	error = ml_output_write(&file->output, bytes.text, bytes.length);
	return error ? error : ml_output_close(&file->output);
}

void ml_record_file_deinit(struct ml_record_file *file)
{
	ml_recorder_destroy(file->recorder);
	file->recorder = NULL;
	ml_error_free(file->problem);
	file->problem = NULL;
	if (file->output.name)
		ml_error_free(ml_output_close(&file->output));
}
