/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a header as it stands. Names are compared without case; a blank before the colon is forgiven (RFC 5322 section 4.5). */
#include "mail-private.h"
#include <string.h>

#define LOOK_MAX 4096u /* octets within which the kind of line ends must show */
#define NAME_MAX_OCTETS 80u

Slice
mail_trim (Slice s)
{
	while (s.size && mail_is_blank (*s.data)) {
		s.data++;
		s.size--;
	}
	while (s.size && mail_is_blank (s.data[s.size - 1]))
		s.size--;
	return s;
}

void
mail_header_unfold (GString *out, Slice value)
{
	gsize start = out->len;
	const char *at = value.data, *end = slice_end (value);
	while (at < end) {
		while (at < end && mail_is_blank (*at))
			at++;
		const char *word = at;
		while (at < end && !mail_is_blank (*at))
			at++;
		if (at == word)
			break;
		if (out->len > start)
			g_string_append_c (out, ' ');
		g_string_append_len (out, word, at - word);
	}
}

gsize
mail_field_name (const char *line, gsize size, gsize *colon_out)
{
	gsize n = 0, at;
	while (n < size && line[n] > ' ' && line[n] < 127 && line[n] != ':')
		n++;
	at = n;
	while (at < size && (line[at] == ' ' || line[at] == '\t'))
		at++;
	if (n == 0 || at == size || line[at] != ':')
		return 0;
	*colon_out = at;
	return n;
}

/* What the line after a CR that stands alone says about it. More octets never change an answer, so that pieces don't matter. */
static LineEnds
judge_after_cr (const char *line, gsize size)
{
	if (size && *line == '\r')
		return size == 1 ? LINES_UNKNOWN : line[1] == '\n' ? LINES_LF : LINES_CR;
	for (gsize i = 0; i < size && i < NAME_MAX_OCTETS; i++)
		if (line[i] == ':')
			return i ? LINES_CR : LINES_LF;
		else if (line[i] <= ' ' || line[i] >= 127)
			return LINES_LF;
	return size < NAME_MAX_OCTETS ? LINES_UNKNOWN : LINES_LF;
}

LineEnds
mail_line_ends (const char *octets, gsize size)
{
	const char *at = octets, *end = octets + MIN (size, (gsize) LOOK_MAX);
	LineEnds unsure = size < LOOK_MAX ? LINES_UNKNOWN : LINES_LF;
	for (;;) {
		while (at < end && *at != '\r' && *at != '\n')
			at++;
		if (at == end || at + 1 == end)
			return at < end && *at == '\n' ? LINES_LF : unsure;
		if (*at == '\n' || at[1] == '\n')
			return LINES_LF;
		at++;
		if (*at == ' ' || *at == '\t')
			continue; /* a folded field: the next line end tells */
		LineEnds told = judge_after_cr (at, (gsize) (end - at));
		return told == LINES_UNKNOWN ? unsure : told;
	}
}

/* The first octet after the line at @at. */
static const char *
next_line (const FieldReader *r, const char *at)
{
	if (r->ends != LINES_CR) {
		const char *lf = memchr (at, '\n', (gsize) (r->end - at));
		return lf ? lf + 1 : r->end;
	}
	while (at < r->end && *at != '\r' && *at != '\n')
		at++;
	if (at == r->end)
		return at;
	return *at == '\r' && at + 1 < r->end && at[1] == '\n' ? at + 2 : at + 1;
}

void
field_reader_init (FieldReader *r, Slice header)
{
	*r = (FieldReader){header.data, slice_end (header), header.data ? mail_line_ends (header.data, header.size) : LINES_LF};
}

static gboolean
is_end_of_header (const FieldReader *r)
{
	return r->at >= r->end || *r->at == '\n' || *r->at == '\r';
}

gboolean
field_reader_next (FieldReader *r, Slice *name_out, Slice *value_out)
{
	while (!is_end_of_header (r)) {
		const char *start = r->at, *end = r->at;
		gsize colon;
		do
			end = next_line (r, end);
		while (end < r->end && (*end == ' ' || *end == '\t'));
		r->at = end;
		gsize name = mail_field_name (start, (gsize) (end - start), &colon);
		if (!name)
			continue;
		while (end > start + colon + 1 && (end[-1] == '\n' || end[-1] == '\r'))
			end--;
		*name_out = slice_of (start, name);
		*value_out = slice_of (start + colon + 1, (gsize) (end - start) - colon - 1);
		return TRUE;
	}
	return FALSE;
}

gboolean
mail_header_find_all (Slice header, gboolean wire, const char *const *names, Slice *values_out, gsize n)
{
	FieldReader r;
	Slice found, value;
	memset (values_out, 0, n * sizeof *values_out);
	field_reader_init (&r, header);
	gboolean cr = r.ends == LINES_CR;
	if (wire)
		r.ends = LINES_LF;
	while (field_reader_next (&r, &found, &value))
		for (gsize i = 0; i < n; i++)
			if (!values_out[i].data && g_ascii_tolower (*found.data) == *names[i] && slice_equals_ascii_case (found, names[i]))
				values_out[i] = value;
	return cr;
}

Slice
mail_header_find (Slice header, const char *name)
{
	FieldReader r;
	Slice found, value;
	field_reader_init (&r, header);
	while (field_reader_next (&r, &found, &value))
		if (slice_equals_ascii_case (found, name))
			return value;
	return (Slice){0};
}
