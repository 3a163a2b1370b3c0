/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

size_t ml_utf8_length(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		length = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		length = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		length = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return length;
}

static bool is_control(const unsigned char *p)
{
	return *p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}

void ml_utf8_clean(struct ml_strbuf *buf, const char *text)
{
	for (;;) {
		size_t plain = ml_utf8_plain(text);

		ml_strbuf_add(buf, text, plain);
		text += plain;
		if (!*text)
			return;

		const unsigned char *p = (const unsigned char *)text;
		size_t length = ml_utf8_length(text);

		if (!length || (length == 3 && !memcmp(text, "\xef\xbf", 2) && p[2] >= 0xbe))
			ml_strbuf_puts(buf, "\xef\xbf\xbd");
		else if (is_control(p))
			ml_strbuf_printf(buf, "\\x%02x", length == 1 ? *p : p[1]);
		else
			ml_strbuf_add(buf, text, length);
		text += length ? length : 1;
	}
}
