/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/call_printer.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define LINE_FORMAT "%-15s %-15s %-15s %-16s %12s "

void ml_call_printer_init(struct ml_call_printer *printer)
{
	*printer = (struct ml_call_printer){
		.real_offset_ns = ml_clock_ns(CLOCK_REALTIME) - ml_monotonic_ns(),
	};
	ml_strbuf_printf(&printer->text, LINE_FORMAT "%s\n", "TIME", "PID(TID)", "COMM", "FUNCTION",
			 "SIZE", "ADDRESS");
}

void ml_call_printer_deinit(struct ml_call_printer *printer)
{
	ml_strbuf_free(&printer->text);
}

static bool has_size(enum ml_role role)
{
	return role != ML_ROLE_FREE;
}

static void count_call(struct ml_call_printer *printer, const struct ml_traced_call *call)
{
	bool frees =
		call->role == ML_ROLE_FREE || call->role == ML_ROLE_MUNMAP || call->old_address;
	bool allocates = call->role != ML_ROLE_FREE && call->role != ML_ROLE_MUNMAP;

	printer->frees += frees;
	printer->allocs += allocates;
	printer->alloc_bytes += allocates ? call->size : 0;
}

void ml_call_printer_add(void *context, const struct ml_traced_call *call)
{
	struct ml_call_printer *printer = context;
	ML_STRBUF_CLEANUP struct ml_strbuf comm = {0};
	uint64_t real_ns = call->time_ns + printer->real_offset_ns;
	time_t seconds = (time_t)(real_ns / ML_NS_PER_SECOND);
	char clock[16], when[24], ids[32], size[24] = "-";
	struct tm local;

	localtime_r(&seconds, &local);
	strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	snprintf(when, sizeof(when), "%s.%06u", clock,
		 (unsigned int)(real_ns % ML_NS_PER_SECOND / 1000));
	snprintf(ids, sizeof(ids), "%d(%d)", (int)call->pid, (int)call->tid);
	if (has_size(call->role))
		snprintf(size, sizeof(size), "%" PRIu64, call->size);
	ml_strbuf_escaped(&comm, call->comm ? call->comm : "?");

	ml_strbuf_printf(&printer->text, LINE_FORMAT "0x%" PRIx64, when, ids, ml_strbuf_text(&comm),
			 call->function, size, call->address);
	if (call->old_address)
		ml_strbuf_printf(&printer->text, " (was 0x%" PRIx64 ")", call->old_address);
	ml_strbuf_putc(&printer->text, '\n');
	count_call(printer, call);
}

struct ml_error *ml_call_printer_flush(struct ml_call_printer *printer, struct ml_output *output)
{
	if (!printer->text.length)
		return NULL;
	struct ml_error *error = ml_output_write(output, printer->text.text, printer->text.length);

	ml_strbuf_clear(&printer->text);
	return error;
}
