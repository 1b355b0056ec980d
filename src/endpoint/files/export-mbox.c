/* SPDX-License-Identifier: Apache-2.0 */
/* mboxrd (https://www.loc.gov/preservation/digital/formats/fdd/fdd000385.shtml): each line of ">*From " gets one '>' more. */
#include "export-private.h"
#include <string.h>
#include <time.h>

typedef struct {
	Output output;
	/* of the message */
	GString *start; /* a line's beginning as long as it may still become ">*From " */
	gboolean undecided, cr; /* cr: the last octet was CR and is not written yet */
} Mbox;

static gboolean
mbox_begin (Export *x, GError **error)
{
	Mbox *b = x->own = g_new0 (Mbox, 1);
	b->start = g_string_new (NULL);
	return make_directory (x->path, error);
}

static gboolean
make_parents (Export *x, const char *name, GError **error)
{
	for (const char *slash = strchr (name, '/'); slash; slash = strchr (slash + 1, '/')) {
		g_autofree char *level = g_strndup (name, (gsize) (slash - name)), *path = g_build_filename (x->path, level, NULL);
		if (!make_directory (path, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
mbox_folder (Export *x, const Folder *f, GError **error)
{
	Mbox *b = x->own;
	g_autofree char *file = g_strconcat (x->path, "/", export_name (x, f), ".mbox", NULL);
	return make_parents (x, export_name (x, f), error) && output_open (&b->output, file, error);
}

/* ---- Lines ---- */

static gboolean
could_be_from (const char *start, gsize size)
{
	static const char from[] = "From ";
	while (size && *start == '>') {
		start++;
		size--;
	}
	return size < sizeof from - 1 && memcmp (start, from, size) == 0;
}

static gboolean
is_from (const GString *start)
{
	const char *c = start->str;
	while (*c == '>')
		c++;
	return strncmp (c, "From ", 5) == 0;
}

/* It is decided what the line is: what was held back goes out. */
static gboolean
decide (Mbox *b, GError **error)
{
	gboolean ok = (!is_from (b->start) || output_text (&b->output, ">", error)) && output_write (&b->output, b->start->str, b->start->len, error);
	g_string_truncate (b->start, 0);
	b->undecided = FALSE;
	return ok;
}

static gboolean
put_octets (Mbox *b, const char *octets, gsize size, GError **error)
{
	gsize i = 0;
	for (; b->undecided && i < size; i++) {
		g_string_append_c (b->start, octets[i]);
		if (!could_be_from (b->start->str, b->start->len) && !decide (b, error))
			return FALSE;
	}
	return i == size || output_write (&b->output, octets + i, size - i, error);
}

/* Octets without line ends. */
static gboolean
put_text (Mbox *b, const char *octets, gsize size, GError **error)
{
	gboolean cr = b->cr && size;
	b->cr &= !cr;
	if (cr && !put_octets (b, "\r", 1, error)) /* a CR alone stays */
		return FALSE;
	if (size && octets[size - 1] == '\r') {
		b->cr = TRUE;
		size--;
	}
	return put_octets (b, octets, size, error);
}

static gboolean
end_line (Mbox *b, GError **error)
{
	b->cr = FALSE;
	if ((b->undecided && !decide (b, error)) || !output_text (&b->output, "\n", error))
		return FALSE;
	b->undecided = TRUE;
	return TRUE;
}

static gboolean
put (gpointer mbox, const void *octets, gsize size, GError **error)
{
	Mbox *b = mbox;
	const char *at = octets, *end = at + size;
	while (at < end) {
		const char *newline = memchr (at, '\n', (gsize) (end - at));
		if (!put_text (b, at, (gsize) ((newline ? newline : end) - at), error) || (newline && !end_line (b, error)))
			return FALSE;
		at = newline ? newline + 1 : end;
	}
	return TRUE;
}

/* What the message's last octets held back, a line end if it lacks one, and the empty line. */
static gboolean
finish (Mbox *b, GError **error)
{
	gboolean cr = b->cr;
	b->cr = FALSE;
	if (cr && !put_octets (b, "\r", 1, error))
		return FALSE;
	gboolean whole = b->undecided && b->start->len == 0;
	return (whole || end_line (b, error)) && output_text (&b->output, "\n", error);
}

static gboolean
mbox_message (Export *x, const Folder *f, const Placement *p, const Message *m, GError **error)
{
	Mbox *b = x->own;
	char line[80];
	time_t t = (time_t) m->received;
	struct tm tm;
	if (!gmtime_r (&t, &tm) || strftime (line, sizeof line, "From MAILER-DAEMON %a %b %e %H:%M:%S %Y\n", &tm) == 0)
		g_strlcpy (line, "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n", sizeof line);
	b->undecided = TRUE;
	b->cr = FALSE;
	g_string_truncate (b->start, 0);
	return output_text (&b->output, line, error) && export_stream (x, m, put, b, error) && finish (b, error);
}

static gboolean
mbox_folder_end (Export *x, const Folder *f, GError **error)
{
	Mbox *b = x->own;
	return output_close (&b->output, NULL, error);
}

static gboolean
mbox_end (Export *x, GError **error)
{
	return TRUE;
}

static void
mbox_done (Export *x)
{
	Mbox *b = x->own;
	if (!b)
		return;
	output_abandon (&b->output);
	g_string_free (b->start, TRUE);
	g_free (b);
}

const Format format_mbox = {mbox_begin, mbox_folder, mbox_message, mbox_folder_end, mbox_end, mbox_done};
