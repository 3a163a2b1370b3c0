/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/note.h"

#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void ml_note_callback(void *context, const char *text)
{
	ML_STRBUF_CLEANUP struct ml_strbuf line = {0};

	ml_strbuf_puts(&line, "memleak: ");
	ml_strbuf_escaped(&line, text);
	ml_strbuf_putc(&line, '\n');
	fputs(line.text, stderr);
}

void ml_note(const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	int length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0)
		return;
	ml_note_callback(NULL, text);
	free(text);
}
