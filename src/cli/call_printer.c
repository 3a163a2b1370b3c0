/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/call_printer.h"

#include "base/clock.h"

/* Widths of the columns; the size is put to the right of its own. A line is put together by hand:
 * a target makes millions of calls in a second. */
#define PLAIN_COLUMN    15
#define FUNCTION_COLUMN 16
#define SIZE_COLUMN     12
#define LINE_FORMAT     "%-15s %-15s %-15s %-16s %12s "

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

/* Enough for 64 bits. */
struct digits {
	char text[24];
	const char *first;
};

static size_t digits_of(uint64_t number, unsigned int base, struct digits *out)
{
	char *at = out->text + sizeof(out->text);

	*--at = '\0';
	do
		*--at = "0123456789abcdef"[number % base];
	while (number /= base);
	out->first = at;
	return (size_t)(out->text + sizeof(out->text) - 1 - at);
}

static void add_number(struct ml_strbuf *text, uint64_t number, unsigned int base)
{
	struct digits digits;
	size_t length = digits_of(number, base, &digits);

	ml_strbuf_add(text, digits.first, length);
}

static void add_spaces(struct ml_strbuf *text, size_t count)
{
	static const char spaces[] = "                ";

	ml_strbuf_add(text, spaces, count < sizeof(spaces) ? count : sizeof(spaces) - 1);
}

/* Ends a column of @width that began when the text was @start long. */
static void end_column(struct ml_strbuf *text, size_t start, size_t width)
{
	size_t used = text->length - start;

	add_spaces(text, (used < width ? width - used : 0) + 1);
}

static void add_time(struct ml_call_printer *printer, uint64_t time_ns)
{
	uint64_t real_ns = time_ns + printer->real_offset_ns;
	time_t second = (time_t)(real_ns / ML_NS_PER_SECOND);
	size_t start = printer->text.length;
	struct digits micros;
	struct tm local;

	if (second != printer->second || !*printer->clock) {
		printer->second = second;
		localtime_r(&second, &local);
		strftime(printer->clock, sizeof(printer->clock), "%H:%M:%S.", &local);
	}
	ml_strbuf_puts(&printer->text, printer->clock);
	/* With a leading 1, so that there are six digits behind it. */
	digits_of(1000000 + real_ns % ML_NS_PER_SECOND / 1000, 10, &micros);
	ml_strbuf_puts(&printer->text, micros.first + 1);
	end_column(&printer->text, start, PLAIN_COLUMN);
}

static void add_size(struct ml_strbuf *text, const struct ml_traced_call *call)
{
	struct digits digits = {.first = "-"};
	size_t length = has_size(call->role) ? digits_of(call->size, 10, &digits) : 1;

	add_spaces(text, length < SIZE_COLUMN ? SIZE_COLUMN - length : 0);
	ml_strbuf_add(text, digits.first, length);
	ml_strbuf_putc(text, ' ');
}

void ml_call_printer_add(void *context, const struct ml_traced_call *call)
{
	struct ml_call_printer *printer = context;
	struct ml_strbuf *text = &printer->text;
	size_t start;

	add_time(printer, call->time_ns);
	start = text->length;
	add_number(text, (uint64_t)call->pid, 10);
	ml_strbuf_putc(text, '(');
	add_number(text, (uint64_t)call->tid, 10);
	ml_strbuf_putc(text, ')');
	end_column(text, start, PLAIN_COLUMN);
	start = text->length;
	ml_strbuf_escaped(text, call->comm ? call->comm : "?");
	end_column(text, start, PLAIN_COLUMN);
	start = text->length;
	ml_strbuf_puts(text, call->function);
	end_column(text, start, FUNCTION_COLUMN);
	add_size(text, call);
	ml_strbuf_puts(text, "0x");
	add_number(text, call->address, 16);
	if (call->old_address) {
		ml_strbuf_puts(text, " (was 0x");
		add_number(text, call->old_address, 16);
		ml_strbuf_putc(text, ')');
	}
	ml_strbuf_putc(text, '\n');
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
