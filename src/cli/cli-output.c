/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs print. */
#include "cli.h"
#include "store-binding.h"
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

void
cli_print_json (json_t *value)
{
	json_dumpf (value, stdout, JSON_COMPACT);
	putchar ('\n');
	json_decref (value);
}

void
cli_json_item (JsonArray *a, json_t *item)
{
	fputs (a->any ? ",\n " : "[", stdout);
	a->any = TRUE;
	json_dumpf (item, stdout, JSON_COMPACT);
	json_decref (item);
}

void
cli_json_end (JsonArray *a)
{
	puts (a->any ? "]" : "[]");
}

gboolean
cli_json_apart (const Cli *cli, const char *path, GError **error)
{
	return !cli->json || strcmp (path, "-") != 0 ||
	       error_fail (error, ERROR_USAGE, "standard output can't take both the mail and JSON: name a file, if the verb takes one, or leave --json away");
}

json_t *
cli_json_text (const char *text)
{
	json_t *value = text ? json_string (text) : json_null ();
	return value ? value : json_null ();
}

/* What turns the direction of all text behind it. */
static gboolean
is_turning (gunichar c)
{
	return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* C0 and C1 controls can drive a terminal (ESC, CSI, a lone CR), and controls of direction make one name look like another; they come in as text
 * from strangers. */
void
cli_print_text (FILE *to, const char *text)
{
	for (const char *at = text; *at;) {
		gunichar c = g_utf8_get_char_validated (at, -1);
		if (c == (gunichar) -1 || c == (gunichar) -2) {
			fputs ("\xef\xbf\xbd", to);
			at++;
			continue;
		}
		const char *next = g_utf8_next_char (at);
		if (g_unichar_iscntrl (c) && c != '\n' && c != '\t')
			fputs ("\xef\xbf\xbd", to);
		else if (!is_turning (c))
			fwrite (at, 1, (gsize) (next - at), to);
		at = next;
	}
}

void
cli_print (const char *format, ...)
{
	va_list args;
	va_start (args, format);
	g_autofree char *text = g_strdup_vprintf (format, args);
	va_end (args);
	cli_print_text (stdout, text);
	putchar ('\n');
}

void
cli_note (const Cli *cli, const char *format, ...)
{
	if (cli->quiet)
		return;
	va_list args;
	va_start (args, format);
	g_autofree char *text = g_strdup_vprintf (format, args);
	va_end (args);
	cli_print_text (stderr, text);
	fputc ('\n', stderr);
}

static guint
columns_of (gunichar c)
{
	return g_unichar_iszerowidth (c) ? 0 : g_unichar_iswide (c) ? 2 : 1;
}

static guint
text_columns (const char *text)
{
	guint n = 0;
	for (; *text; text = g_utf8_next_char (text))
		n += columns_of (g_utf8_get_char (text));
	return n;
}

char *
cli_fit (const char *text, guint columns)
{
	GString *out = g_string_new (NULL);
	guint used = 0;
	gboolean cut = text_columns (text) > columns;
	for (; *text; text = g_utf8_next_char (text)) {
		gunichar c = g_utf8_get_char (text);
		if (used + columns_of (c) > columns - cut)
			break;
		g_string_append_unichar (out, g_unichar_iscntrl (c) ? ' ' : c);
		used += columns_of (c);
	}
	if (cut) {
		g_string_append (out, "…");
		used++;
	}
	for (; used < columns; used++)
		g_string_append_c (out, ' ');
	return g_string_free (out, FALSE);
}

guint
cli_columns (void)
{
	struct winsize size;
	return isatty (STDOUT_FILENO) && ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

char *
cli_size (guint64 octets)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double n = (double) octets;
	guint unit = 0;
	while (n >= 999.5 && unit + 1 < G_N_ELEMENTS (units)) {
		n /= 1000;
		unit++;
	}
	return g_strdup_printf (unit == 0 || n >= 99.95 ? "%.0f %s" : "%.1f %s", n, units[unit]);
}

char *
cli_count (guint64 n)
{
	GString *text = g_string_new (NULL);
	g_string_printf (text, "%" G_GUINT64_FORMAT, n);
	for (gssize at = (gssize) text->len - 3; at > 0; at -= 3)
		g_string_insert_c (text, at, ',');
	return g_string_free (text, FALSE);
}

char *
cli_time (gint64 time)
{
	g_autoptr (GDateTime) t = g_date_time_new_from_unix_local (time);
	return t ? g_date_time_format (t, "%Y-%m-%d %H:%M") : g_strdup ("-");
}

char *
cli_iso_time (gint64 time)
{
	g_autoptr (GDateTime) t = g_date_time_new_from_unix_utc (time);
	return t ? g_date_time_format (t, "%Y-%m-%dT%H:%M:%SZ") : NULL;
}

json_t *
cli_json_flags (guint flags)
{
	static const char *const names[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};
	json_t *array = json_array ();
	for (guint i = 0; i < G_N_ELEMENTS (names); i++)
		if (flags & (1u << i))
			json_array_append_new (array, json_string (names[i]));
	return array;
}

json_t *
cli_json_keywords (const char *keywords)
{
	json_t *array = json_array ();
	g_auto (GStrv) words = g_strsplit (keywords ? keywords : "", " ", -1);
	for (guint i = 0; words[i]; i++)
		if (*words[i])
			json_array_append_new (array, cli_json_text (words[i]));
	return array;
}

json_t *
cli_json_listing (Cli *cli, const Listing *l)
{
	const Placement *p = &l->placement;
	const Message *m = &l->message;
	PlacementBinding b = {0};
	gboolean bound = FALSE;
	char id[ID_TEXT_SIZE];
	id128_text (&m->object_id, id);
	if (!store_binding_of (cli->store, p->id, &b, &bound, NULL))
		bound = FALSE;
	g_autofree char *date = m->has_sent ? cli_iso_time (m->sent) : NULL;
	json_t *o = json_pack ("{s:I, s:o, s:I, s:s, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:b, s:I}", "id", (json_int_t) p->id, "uid",
	                       bound && b.remote_uid ? json_integer (b.remote_uid) : json_null (), "localUid", (json_int_t) p->uid, "emailId", id, "flags",
	                       cli_json_flags (p->flags), "keywords", cli_json_keywords (p->keywords), "received", (json_int_t) m->received,
	                       "size", (json_int_t) m->size, "date", cli_json_text (date), "from", cli_json_text (m->sender), "to",
	                       cli_json_text (m->recipients), "subject", cli_json_text (m->subject), "messageId",
	                       cli_json_text (m->message_id), "attachment", m->attachment, "thread", (json_int_t) m->thread);
	placement_binding_done (&b);
	return o;
}

void
cli_print_listing (const Listing *l, const char *folder)
{
	const Placement *p = &l->placement;
	const Message *m = &l->message;
	guint width = cli_columns ();
	g_autofree char *when = cli_time (m->received);
	g_autofree char *from = cli_fit (m->sender ? m->sender : "", 24);
	g_autofree char *where = folder ? cli_fit (folder, 16) : g_strdup ("");
	guint used = 8 + 1 + 5 + 1 + 16 + 1 + 24 + 1 + (folder ? 17 : 0);
	g_autofree char *subject = width > used + 20 ? cli_fit (m->subject ? m->subject : "", width - used) : g_strdup (m->subject);
	cli_print ("%8" G_GINT64_FORMAT " %c%c%c%c%c %s %s%s%s %s", p->id, p->flags & FLAG_SEEN ? ' ' : 'N', p->flags & FLAG_FLAGGED ? '*' : ' ',
	           p->flags & FLAG_ANSWERED ? 'A' : ' ', p->flags & FLAG_DRAFT ? 'D' : ' ', m->attachment ? '@' : ' ', when,
	           folder ? where : "", folder ? " " : "", from, subject ? subject : "");
}
