/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "mail.h"

/* "section type/subtype" of each part, of leaves with "[content]lines", joined by "|". */
static char *
describe (const MailStructure *m, const char *octets)
{
	GString *out = g_string_new (NULL);
	for (guint i = 0; i < mail_structure_count (m); i++) {
		const MailPart *p = mail_structure_part (m, i);
		g_autofree char *section = mail_part_section (m, i);
		g_string_append_printf (out, "%s%s %s/%s", i ? "|" : "", *section ? section : "0", p->type, p->subtype);
		if (!p->n_children)
			g_string_append_printf (out, " [%.*s]%d", (int) (p->end - p->body), octets + p->body, (int) p->lines);
	}
	return g_string_free (out, FALSE);
}

static MailStructure *
scan_in_pieces (const char *octets, gsize size, gsize piece)
{
	MailScanner *s = mail_scanner_new ();
	for (gsize at = 0; at < size; at += piece)
		mail_scanner_feed (s, octets + at, MIN (piece, size - at));
	return mail_scanner_end (s);
}

static void
assert_same (const MailStructure *a, const MailStructure *b)
{
	g_autoptr (GBytes) x = mail_structure_serialise (a), y = mail_structure_serialise (b);
	assert_true (g_bytes_equal (x, y));
}

static const struct {
	const char *octets, *parts;
} rows[] = {
	{"", "0 text/plain []0"},
	{"Subject: x\n", "0 text/plain []0"},
	{"Subject: x", "0 text/plain []0"},
	{"Subject: x\n\n", "0 text/plain []0"},
	{"Subject: x\n\nhello\n", "0 text/plain [hello\n]1"},
	{"Subject: x\r\n\r\nhello\r\nyou", "0 text/plain [hello\r\nyou]1"},
	{"\nhello", "0 text/plain [hello]0"},
	{"hello you\nand me\n", "0 text/plain [hello you\nand me\n]2"},
	{"Subject: x\nhello you\n\nand me", "0 text/plain [hello you\n\nand me]2"},
	{"Subject: x\nbroken\nTo: y\n\nhello", "0 text/plain [hello]0"},
	{"Content-Type: text\n\nx", "0 text/plain [x]0"},
	{"Content-Type: IMAGE/Png\n\nx", "0 image/png [x]0"},
	{"Content-Type: multipart/mixed\n\nx", "0 text/plain [x]0"},
	{"Content-Type: multipart/mixed; boundary=b\n\nx", "0 text/plain [x]0"},
	{"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n", "0 multipart/mixed|1 text/plain [x]0"},
	{"Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\nx\n--b\nContent-Type: text/html\n\ny\n\n--b--\npost",
	 "0 multipart/mixed|1 text/plain [x]0|2 text/html [y\n]1"},
	{"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n", "0 multipart/mixed|1 text/plain [x\n]1"},
	{"Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\nx\n--b--", "0 multipart/mixed|1 text/plain []0|2 text/plain [x]0"},
	{"Content-Type: multipart/mixed; boundary=b\n--b\n\nx\n--b--", "0 multipart/mixed|1 text/plain [x]0"},
	{"Content-Type: multipart/mixed; boundary=b\n\n--b\nno header\n\nx\n--b--", "0 multipart/mixed|1 text/plain [no header\n\nx]2"},
	/* the last boundary is missing, the outer one ends both */
	{"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--a\n\ny\n--a--\n",
	 "0 multipart/mixed|1 multipart/mixed|1.1 text/plain [x]0|2 text/plain [y]0"},
	/* one boundary is the beginning of another, inside and outside */
	{"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=ab\n\n--ab\n\nx\n--ab--\n--a\n\ny\n--a--\n",
	 "0 multipart/mixed|1 multipart/mixed|1.1 text/plain [x]0|2 text/plain [y]0"},
	{"Content-Type: multipart/mixed; boundary=ab\n\n--ab\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a--\n--ab\n\ny\n--ab--\n",
	 "0 multipart/mixed|1 multipart/mixed|1.1 text/plain [x]0|2 text/plain [y]0"},
	/* the same boundary inside and outside */
	{"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a--\n--a\n\ny\n--a--\n",
	 "0 multipart/mixed|1 multipart/mixed|1.1 text/plain [x]0|2 text/plain [y]0"},
	{"Content-Type: multipart/mixed; boundary*=us-ascii''%62%63\n\n--bc\n\nx\n--bc--\n", "0 multipart/mixed|1 text/plain [x]0"},
	{"Content-Type: multipart/mixed; boundary*0=b; boundary*1=c\n\n--bc\n\nx\n--bc--\n", "0 multipart/mixed|1 text/plain [x]0"},
	{"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\nhi\n--b--\n",
	 "0 multipart/digest|1 message/rfc822|1.1 text/plain [hi]0"},
	{"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: x\nContent-Type: multipart/mixed; boundary=c\n"
	 "\n--c\n\nhi\n--c\n\nyou\n--b\n\nend",
	 "0 multipart/mixed|1 message/rfc822|1 multipart/mixed|1.1 text/plain [hi]0|1.2 text/plain [you]0|2 text/plain [end]0"},
	{"Content-Type: message/rfc822\n\nContent-Type: text/html\n\nhi", "0 message/rfc822|1.1 text/html [hi]0"},
	{"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nAAAA", "0 message/rfc822 [AAAA]0"},
	/* CR alone ends lines */
	{"Subject: x\rContent-Type: multipart/mixed; boundary=b\r\r--b\r\rx\ry\r--b--\r", "0 multipart/mixed|1 text/plain [x\ry]1"},
	{"Subject: x\r y\rContent-Type: multipart/mixed; boundary=b\r\r--b\r\rx\ny\r\n--b--\r", "0 multipart/mixed|1 text/plain [x\ny]1"},
	/* ... but not where lines end with LF */
	{"Subject: x\ry\nContent-Type: text/html\n\nx\ry", "0 text/html [x\ry]0"},
	{"Subject: x\r\r\nContent-Type: text/html\r\r\n\r\r\nx\r\r\n", "0 text/html [x\r\r\n]1"},
};

static void
broken_messages_have_a_structure (void **state)
{
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		gsize size = strlen (rows[i].octets);
		g_autoptr (MailStructure) whole = mail_scan (rows[i].octets, size);
		g_autofree char *parts = describe (whole, rows[i].octets);
		if (strcmp (parts, rows[i].parts) != 0)
			print_message ("row %d: %s\n", (int) i, rows[i].octets);
		assert_string_equal (parts, rows[i].parts);
		for (gsize piece = 1; piece < 20; piece++) {
			g_autoptr (MailStructure) pieces = scan_in_pieces (rows[i].octets, size, piece);
			assert_same (whole, pieces);
		}
	}
}

static void
a_structure_survives_being_kept (void **state)
{
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autoptr (MailStructure) m = mail_scan (rows[i].octets, strlen (rows[i].octets));
		g_autoptr (GBytes) kept = mail_structure_serialise (m);
		g_autoptr (MailStructure) again = mail_structure_unserialise (kept);
		assert_non_null (again);
		assert_same (m, again);
		g_autofree char *a = describe (m, rows[i].octets), *b = describe (again, rows[i].octets);
		assert_string_equal (a, b);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (broken_messages_have_a_structure),
		cmocka_unit_test (a_structure_survives_being_kept),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
