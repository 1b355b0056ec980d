/* SPDX-License-Identifier: Apache-2.0 */
/* Reads messages from standard input, each as its size in decimal, a line end and its octets. usage: mail-tool check|structure|imap|text
 *   check      tries on each what must hold of every message; the first failure ends with 1
 *   structure  a line a part: message, section, type, header, body, end, lines, encoding, charset, filename
 *   imap       a line a message: ENVELOPE, tab, BODYSTRUCTURE (literals as their size and octets, line ends escaped)
 *   text       a line a message: octets of text and of text for searching, then both as JSON strings */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mail.h"
#include "mail-imap.h"

static GBytes *
read_octets (gpointer data, guint64 offset, gsize size, GError **error)
{
	gsize total = g_bytes_get_size (data), at = (gsize) MIN (offset, (guint64) total);
	return g_bytes_new_from_bytes (data, at, MIN (size, total - at));
}

#define MUST(condition)                                                                                                                       \
	do                                                                                                                                    \
		if (!(condition)) {                                                                                                           \
			fprintf (stderr, "message %u: does not hold: %s\n", number, #condition);                                              \
			exit (1);                                                                                                             \
		}                                                                                                                             \
	while (0)

static MailStructure *
scan_in_pieces (GRand *rand, const char *octets, gsize size, gsize longest)
{
	MailScanner *s = mail_scanner_new ();
	for (gsize at = 0; at < size;) {
		gsize piece = longest == 1 ? 1 : (gsize) g_rand_int_range (rand, 1, (gint32) longest);
		piece = MIN (piece, size - at);
		mail_scanner_feed (s, octets + at, piece);
		at += piece;
	}
	return mail_scanner_end (s);
}

static void
check_places (const MailStructure *m, gsize size, guint number)
{
	for (guint i = 0; i < mail_structure_count (m); i++) {
		const MailPart *p = mail_structure_part (m, i), *around = mail_structure_part (m, p->parent);
		g_autofree char *section = mail_part_section (m, i);
		MUST (p->header <= p->body && p->body <= p->end && p->end <= size);
		MUST (i == 0 || (p->header >= around->body && p->end <= around->end && p->parent < i));
		MUST (p->lines <= p->end - p->body);
		MUST (p->depth <= MAIL_DEPTH_MAX && p->type && p->subtype && p->encoding);
		MUST (!p->is_message || p->n_children == 1);
		MUST (p->is_multipart == (p->n_children > 0 && !p->is_message));
		/* A message within that has parts is found as the part it lies in. */
		MUST (mail_structure_find (m, section) == p || (p->is_multipart && around->is_message));
		if (i && p->number > 1)
			MUST (p->header >= mail_structure_part (m, i - 1)->end);
	}
	MUST (mail_structure_part (m, 0)->end == size && mail_structure_part (m, 0)->header == 0);
}

static void
check_kept (const MailStructure *m, guint number)
{
	g_autoptr (GBytes) kept = mail_structure_serialise (m);
	g_autoptr (MailStructure) again = mail_structure_unserialise (kept);
	MUST (again != NULL);
	g_autoptr (GBytes) twice = mail_structure_serialise (again);
	MUST (g_bytes_equal (kept, twice));
	for (guint i = 0; i < mail_structure_count (m); i++) {
		const MailPart *a = mail_structure_part (m, i), *b = mail_structure_part (again, i);
		MUST (a->parent == b->parent && a->depth == b->depth && a->number == b->number && a->n_children == b->n_children);
		MUST (a->header == b->header && a->body == b->body && a->end == b->end && a->lines == b->lines);
		MUST (g_strcmp0 (a->filename, b->filename) == 0 && g_strcmp0 (a->charset, b->charset) == 0);
		MUST (strcmp (a->type, b->type) == 0 && strcmp (a->subtype, b->subtype) == 0);
	}
}

static void
check_texts (const MailStructure *m, GBytes *message, guint number)
{
	g_autofree char *names = NULL, *text = mail_text (m, read_octets, message, 1 << 20, NULL);
	g_autofree char *search = mail_search_text (m, read_octets, message, 1 << 20, &names, NULL);
	MUST (g_utf8_validate (text, -1, NULL) && g_utf8_validate (search, -1, NULL) && g_utf8_validate (names, -1, NULL));
	MUST (strlen (text) <= 1 << 20 && strlen (search) <= 1 << 20);
}

static void
check (GBytes *message, guint number)
{
	gsize size;
	const char *octets = g_bytes_get_data (message, &size);
	g_autoptr (GRand) rand = g_rand_new_with_seed (number);
	g_autoptr (MailStructure) m = mail_scan (octets, size);
	g_autoptr (GBytes) kept = mail_structure_serialise (m);
	static const gsize longest[] = {1, 10, 300, 70000};
	for (gsize i = 0; i < G_N_ELEMENTS (longest); i++) {
		g_autoptr (MailStructure) pieces = scan_in_pieces (rand, octets, size, longest[i]);
		g_autoptr (GBytes) same = mail_structure_serialise (pieces);
		MUST (g_bytes_equal (kept, same));
	}
	check_places (m, size, number);
	check_kept (m, number);
	check_texts (m, message, number);
}

static void
print_structure (GBytes *message, guint number)
{
	gsize size;
	const char *octets = g_bytes_get_data (message, &size);
	g_autoptr (MailStructure) m = mail_scan (octets, size);
	for (guint i = 0; i < mail_structure_count (m); i++) {
		const MailPart *p = mail_structure_part (m, i);
		g_autofree char *section = mail_part_section (m, i);
		printf ("%u\t%s\t%u\t%u\t%s/%s\t%" G_GUINT64_FORMAT "\t%" G_GUINT64_FORMAT "\t%" G_GUINT64_FORMAT "\t%" G_GUINT64_FORMAT
		        "\t%s\t%s\t%s\n",
		        number, section, p->depth, p->n_children, p->type, p->subtype, p->header, p->body, p->end, p->lines, p->encoding,
		        p->charset ? p->charset : "", p->filename ? p->filename : "");
	}
}

static void
print_escaped (const char *text, gsize size)
{
	for (gsize i = 0; i < size; i++)
		if (text[i] == '\n')
			fputs ("\\n", stdout);
		else if (text[i] == '\r')
			fputs ("\\r", stdout);
		else if (text[i] == '\\')
			fputs ("\\\\", stdout);
		else
			putchar (text[i]);
}

static void
print_imap (GBytes *message, guint number)
{
	gsize size;
	const char *octets = g_bytes_get_data (message, &size);
	g_autoptr (MailStructure) m = mail_scan (octets, size);
	g_autoptr (GString) out = g_string_new (NULL);
	mail_imap_envelope (out, (Slice){octets, (gsize) mail_structure_part (m, 0)->body});
	g_string_append_c (out, ' ');
	mail_imap_body (out, m, TRUE, read_octets, message, NULL);
	print_escaped (out->str, out->len);
	putchar ('\n');
}

static void
print_text (GBytes *message, guint number)
{
	gsize size;
	const char *octets = g_bytes_get_data (message, &size);
	g_autoptr (MailStructure) m = mail_scan (octets, size);
	g_autofree char *names = NULL, *text = mail_text (m, read_octets, message, 1 << 20, NULL);
	g_autofree char *search = mail_search_text (m, read_octets, message, 1 << 20, &names, NULL);
	print_escaped (text, strlen (text));
	putchar ('\t');
	print_escaped (search, strlen (search));
	putchar ('\t');
	print_escaped (names, strlen (names));
	putchar ('\n');
}

static GBytes *
next_message (void)
{
	gsize size;
	if (scanf ("%zu", &size) != 1 || getchar () != '\n')
		return NULL;
	char *octets = g_malloc (size + 1);
	if (fread (octets, 1, size, stdin) != size)
		exit (2);
	return g_bytes_new_take (octets, size);
}

int
main (int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run) (GBytes *message, guint number);
	} verbs[] = {{"check", check}, {"structure", print_structure}, {"imap", print_imap}, {"text", print_text}};
	for (gsize i = 0; argc == 2 && i < G_N_ELEMENTS (verbs); i++) {
		if (strcmp (argv[1], verbs[i].name) != 0)
			continue;
		GBytes *message;
		for (guint number = 0; (message = next_message ()); number++) {
			verbs[i].run (message, number);
			g_bytes_unref (message);
		}
		return 0;
	}
	fprintf (stderr, "usage: mail-tool check|structure|imap|text\n");
	return 2;
}
