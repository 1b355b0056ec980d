/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX.1-2001 pax interchange format (pax(1)): ustar headers, each preceded by an extended header with what ustar can't say. Flags are
 * there as the extended attribute user.outpost.flags, in the manner of star, which tar(1) and bsdtar know. */
#include "export-private.h"
#include "imap-text.h"
#include <string.h>

#define BLOCK 512u
#define RECORD (20 * BLOCK)
#define OCTAL_MAX ((gint64) 1 << 33) /* eleven octal digits */

typedef struct {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2], user[32], group[32],
	     major[8], minor[8], prefix[155], rest[12];
} Header;
G_STATIC_ASSERT (sizeof (Header) == BLOCK);

static void
set_octal (char *field, gsize size, gint64 value)
{
	g_snprintf (field, (gulong) size, "%0*" G_GINT64_MODIFIER "o", (int) size - 1, value >= 0 && value < OCTAL_MAX ? value : 0);
}

static gboolean
put_header (Output *o, const char *name, char type, guint mode, guint64 size, gint64 mtime, GError **error)
{
	Header h;
	guint sum = 0;
	memset (&h, 0, sizeof h);
	memcpy (h.name, name, MIN (strlen (name), sizeof h.name)); /* a longer one stands in the extended header */
	set_octal (h.mode, sizeof h.mode, mode);
	set_octal (h.uid, sizeof h.uid, 0);
	set_octal (h.gid, sizeof h.gid, 0);
	set_octal (h.size, sizeof h.size, (gint64) size);
	set_octal (h.mtime, sizeof h.mtime, mtime);
	h.type = type;
	memcpy (h.magic, "ustar", 6);
	memcpy (h.version, "00", 2);
	memset (h.checksum, ' ', sizeof h.checksum);
	for (gsize i = 0; i < sizeof h; i++)
		sum += ((const guint8 *) &h)[i];
	g_snprintf (h.checksum, 7, "%06o", sum);
	return output_write (o, &h, sizeof h, error);
}

static gboolean
pad (Output *o, guint unit, GError **error)
{
	static const char zeros[RECORD];
	gsize over = (gsize) (o->octets % unit);
	return over == 0 || output_write (o, zeros, unit - over, error);
}

/* "LENGTH KEY=VALUE\n", where the length counts its own digits. */
static void
add_record (GString *records, const char *key, const char *value)
{
	gsize rest = strlen (key) + strlen (value) + 3, length = rest + 1;
	char digits[24];
	while (length != rest + (gsize) g_snprintf (digits, sizeof digits, "%zu", length))
		length = rest + strlen (digits);
	g_string_append_printf (records, "%s %s=%s\n", digits, key, value);
}

static gboolean
is_ascii (const char *text)
{
	while (*text && (guint8) *text < 0x80)
		text++;
	return !*text;
}

static gboolean
put_entry (Output *o, const char *name, char type, guint mode, guint64 size, gint64 mtime, const char *flags, GError **error)
{
	g_autoptr (GString) records = g_string_new (NULL);
	char number[24];
	if (strlen (name) > 100 || !is_ascii (name))
		add_record (records, "path", name);
	g_snprintf (number, sizeof number, "%" G_GINT64_FORMAT, mtime);
	if (mtime < 0 || mtime >= OCTAL_MAX)
		add_record (records, "mtime", number);
	g_snprintf (number, sizeof number, "%" G_GUINT64_FORMAT, size);
	if (size >= (guint64) OCTAL_MAX)
		add_record (records, "size", number);
	if (flags && *flags)
		add_record (records, "SCHILY.xattr.user.outpost.flags", flags);
	if (records->len && !(put_header (o, "././@PaxHeader", 'x', 0600, records->len, 0, error) &&
	                      output_write (o, records->str, records->len, error) && pad (o, BLOCK, error)))
		return FALSE;
	return put_header (o, name, type, mode, size, mtime, error);
}

static gboolean
tar_begin (Export *x, GError **error)
{
	Output *o = x->own = g_new0 (Output, 1);
	return output_open (o, x->path, error);
}

static gboolean
tar_folder (Export *x, const Folder *f, GError **error)
{
	g_autofree char *name = g_strconcat (export_name (x, f), "/", NULL);
	return put_entry (x->own, name, '5', 0700, 0, 0, NULL, error);
}

static gboolean
tar_message (Export *x, const Folder *f, const Placement *p, const Message *m, GError **error)
{
	Output *o = x->own;
	g_autofree char *name = g_strdup_printf ("%s/%u.eml", export_name (x, f), p->uid);
	g_autoptr (GString) flags = g_string_new (NULL);
	text_add_flags (flags, p->flags, p->keywords);
	return put_entry (o, name, '0', 0600, m->size, m->received, flags->str, error) && export_stream (x, m, output_sink, o, error) &&
	       pad (o, BLOCK, error);
}

static gboolean
tar_folder_end (Export *x, const Folder *f, GError **error)
{
	return TRUE;
}

static gboolean
tar_end (Export *x, GError **error)
{
	static const char zeros[2 * BLOCK];
	return output_write (x->own, zeros, sizeof zeros, error) && pad (x->own, RECORD, error) && output_close (x->own, NULL, error);
}

static void
tar_done (Export *x)
{
	if (x->own)
		output_abandon (x->own);
	g_free (x->own);
}

const Format format_tar = {tar_begin, tar_folder, tar_message, tar_folder_end, tar_end, tar_done};
