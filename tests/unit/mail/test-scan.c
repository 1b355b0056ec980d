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
	/* the boundary where the header should have ended, after lines that are no fields */
	{"Content-Type: multipart/mixed; boundary=b\nThis is a message\n--b\n\nx\n--b--", "0 multipart/mixed|1 text/plain [x]0"},
	/* a part that begins behind the last octet is none */
	{"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n", "0 multipart/mixed|1 text/plain [x]0"},
	/* blanks behind a boundary and in it, text behind it */
	{"Content-Type: multipart/mixed; boundary=\"b c \"\n\n--b c  \n\nx\n--b c--  \nend", "0 multipart/mixed|1 text/plain [x]0"},
	{"Content-Type: multipart/mixed; boundary=b\n\n--b junk\n\nx\n--b--junk\n--b\n\ny", "0 multipart/mixed|1 text/plain [x]0"},
	{"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--\n-- b\n-b\n--a\nx\n--b--", "0 multipart/mixed|1 text/plain [--\n-- b\n-b\n--a\nx]4"},
	/* parameters as they should not be */
	{"Content-Type: multipart/mixed boundary=b\n\n--b\n\nx\n--b--", "0 multipart/mixed|1 text/plain [x]0"},
	{"Content-Type: multipart/mixed;\n boundary=----=_x.1 (c)\n\n------=_x.1\n\nx\n------=_x.1--", "0 multipart/mixed|1 text/plain [x]0"},
	{"Content-Type: multipart / mixed ; (c) boundary = b\n\n--b\n\nx\n--b--", "0 multipart/mixed|1 text/plain [x]0"},
	{"Content-Type: multipart/mixed; boundary=\"b\n\n--b\n\nx\n--b--", "0 multipart/mixed|1 text/plain [x]0"},
	{"Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\nx\n----", "0 text/plain [--\n\nx\n----]3"},
	{"Content-Type: BINARY; name=x\n\nx", "0 application/octet-stream [x]0"},
	{"Content-Type: text plain\n\nx", "0 text/plain [x]0"},
	{"Content-Type: text/plain/x\n\nx", "0 text/plain [x]0"},
	{"Content-Type: text/html\nContent-Type: text/plain\n\nx", "0 text/html [x]0"},
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

static void
nul_octets_are_content (void **state)
{
	static const char octets[] = "Subject: a\0b\nContent-Type: multipart/mixed; boundary=\"b\"\0\n\n--b\n\nx\0y\n--b--";
	g_autoptr (MailStructure) m = mail_scan (octets, sizeof octets - 1);
	assert_int_equal (mail_structure_count (m), 2);
	const MailPart *p = mail_structure_part (m, 1);
	assert_int_equal (p->end - p->body, 3);
	assert_memory_equal (octets + p->body, "x\0y", 3);
}

static void
line_ends_do_not_change_the_parts (void **state)
{
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		if (strchr (rows[i].octets, '\r'))
			continue;
		g_autoptr (GString) crlf = g_string_new (rows[i].octets);
		g_string_replace (crlf, "\n", "\r\n", 0);
		g_autoptr (MailStructure) a = mail_scan (rows[i].octets, strlen (rows[i].octets)), b = mail_scan (crlf->str, crlf->len);
		assert_int_equal (mail_structure_count (a), mail_structure_count (b));
		for (guint n = 0; n < mail_structure_count (a); n++) {
			const MailPart *x = mail_structure_part (a, n), *y = mail_structure_part (b, n);
			assert_string_equal (x->subtype, y->subtype);
			assert_int_equal (x->lines, y->lines);
			assert_int_equal (x->end - x->body, y->end - y->body - y->lines);
		}
	}
}

/* Multiparts within each other: @depth of them, then a text. */
static GString *
nested (guint depth)
{
	GString *octets = g_string_new (NULL);
	for (guint i = 0; i < depth; i++)
		g_string_append_printf (octets, "Content-Type: multipart/mixed; boundary=b%ux\n\n--b%ux\n", i, i);
	g_string_append (octets, "\nx\n");
	return octets;
}

static void
what_is_over_a_limit_stays_content (void **state)
{
	g_autoptr (GString) deep = nested (100000), flat = g_string_new ("Content-Type: multipart/mixed; boundary=b\n\n");
	g_autoptr (MailStructure) m = mail_scan (deep->str, deep->len);
	assert_int_equal (mail_structure_count (m), MAIL_DEPTH_MAX + 1);
	const MailPart *last = mail_structure_part (m, MAIL_DEPTH_MAX);
	assert_int_equal (last->depth, MAIL_DEPTH_MAX);
	assert_int_equal (last->n_children, 0);
	assert_string_equal (last->subtype, "plain");
	assert_int_equal (last->end, deep->len);
	for (guint i = 0; i < 20000; i++)
		g_string_append (flat, "--b\n\nx\n");
	g_autoptr (MailStructure) many = mail_scan (flat->str, flat->len);
	assert_int_equal (mail_structure_count (many), MAIL_PARTS_MAX);
	assert_int_equal (mail_structure_part (many, 0)->end, flat->len);
	g_autoptr (GBytes) kept = mail_structure_serialise (many);
	g_autoptr (MailStructure) again = mail_structure_unserialise (kept);
	assert_same (many, again);
}

static void
endless_headers_and_lines_are_bounded (void **state)
{
	static const char *const units[] = {"X: y\n", "x", "Content-Type: multipart/mixed; boundary=b\n", " a=b;", "\n", "--", "--b\n", "--\n", "-", "\r",
	                                    "\r\n", " ", "\"", "(", "Content-Type: message/rfc822\n\n", "Content-Disposition: a; filename*1*=",
	                                    "Content-Type: multipart/digest; boundary=b\n\n--b\n\n"};
	for (gsize i = 0; i < G_N_ELEMENTS (units); i++) {
		g_autoptr (GString) octets = g_string_new ("Content-Type: multipart/mixed; boundary=b; x=");
		while (octets->len < 8 << 20)
			g_string_append (octets, units[i]);
		gint64 start = g_get_monotonic_time ();
		g_autoptr (MailStructure) m = mail_scan (octets->str, octets->len);
		if (g_get_monotonic_time () - start > 10 * G_USEC_PER_SEC)
			fail_msg ("%s takes too long", units[i]);
		assert_int_equal (mail_structure_part (m, 0)->end, octets->len);
		g_autoptr (GBytes) kept = mail_structure_serialise (m);
		assert_true (g_bytes_get_size (kept) < 4 << 20);
	}
}

static void
sections_name_parts_as_imap_does (void **state)
{
	/* RFC 9051 section 6.4.5's example, without its fourth part */
	static const char octets[] = "Content-Type: multipart/mixed; boundary=a\n\n--a\n\n1\n--a\nContent-Type: application/x\n\n2\n--a\n"
	                             "Content-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n3.1\n--b\n"
	                             "Content-Type: application/x\n\n3.2\n--b--\n--a--\n";
	static const struct {
		const char *section, *content;
	} sections[] = {{"1", "1"}, {"2", "2"}, {"3.1", "3.1"}, {"3.2", "3.2"}};
	static const char *const none[] = {"0", "4", "3.3", "1.1", "3.1.1", "x", "1.", ".1", "1..1", "1x", "99999999999999999999"};
	g_autoptr (MailStructure) m = mail_scan (octets, strlen (octets));
	for (gsize i = 0; i < G_N_ELEMENTS (sections); i++) {
		const MailPart *p = mail_structure_find (m, sections[i].section);
		assert_non_null (p);
		assert_int_equal (p->end - p->body, strlen (sections[i].content));
		assert_memory_equal (octets + p->body, sections[i].content, strlen (sections[i].content));
		g_autofree char *section = mail_part_section (m, (guint) (p - mail_structure_part (m, 0)));
		assert_string_equal (section, sections[i].section);
	}
	assert_true (mail_structure_find (m, "3")->is_message);
	assert_ptr_equal (mail_structure_find (m, ""), mail_structure_part (m, 0));
	for (gsize i = 0; i < G_N_ELEMENTS (none); i++)
		assert_null (mail_structure_find (m, none[i]));
}

static void
attachments_are_what_people_call_so (void **state)
{
#define PARTS(type) "Content-Type: multipart/" type "; boundary=b\n\n--b\n\nx\n--b\n"
	static const struct {
		const char *octets;
		gboolean has;
	} cases[] = {
		{"\nx", FALSE},
		{"Content-Type: application/pdf\n\nx", TRUE},
		{"Content-Type: text/plain; name=x.txt\n\nx", FALSE},
		{"Content-Disposition: attachment\n\nx", TRUE},
		{"Content-Type: application/pkcs7-mime; name=smime.p7m\n\nx", FALSE},
		{PARTS ("mixed") "\ny", FALSE},
		{PARTS ("mixed") "Content-Type: text/plain; name=y.txt\n\ny", TRUE},
		{PARTS ("mixed") "Content-Type: image/png\n\ny", TRUE},
		{PARTS ("mixed") "Content-Type: image/png\nContent-Disposition: inline; filename=y.png\n\ny", TRUE},
		{PARTS ("mixed") "Content-Disposition: ATTACHMENT\n\ny", TRUE},
		{PARTS ("mixed") "Content-Type: message/rfc822\n\n\ny", TRUE},
		{PARTS ("mixed") "Content-Type: text/html\n\ny", FALSE},
		{PARTS ("related") "Content-Type: image/png\nContent-ID: <y>\n\ny", FALSE},
		{PARTS ("related") "Content-Type: image/png; name=y.png\n\ny", FALSE},
		{PARTS ("related") "Content-Type: application/pdf\n\ny", TRUE},
		{PARTS ("signed") "Content-Type: application/pgp-signature; name=signature.asc\n\ny", FALSE},
		{PARTS ("report") "Content-Type: message/delivery-status\n\ny", FALSE},
		{PARTS ("report") "Content-Type: message/rfc822\n\n" PARTS ("mixed") "Content-Type: image/png\n\ny", FALSE},
		{PARTS ("alternative") "Content-Type: text/calendar; name=y.ics\n\ny", FALSE},
		{PARTS ("encrypted") "Content-Type: application/octet-stream; name=y.asc\n\ny", FALSE},
		{PARTS ("mixed") "Content-Type: application/ms-tnef\n\ny", TRUE},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autoptr (MailStructure) m = mail_scan (cases[i].octets, strlen (cases[i].octets));
		if (mail_structure_has_attachment (m) != cases[i].has)
			fail_msg ("%s", cases[i].octets);
	}
}

static void
names_of_files_are_decoded (void **state)
{
	static const struct {
		const char *fields, *filename;
	} cases[] = {
		{"Content-Disposition: attachment; filename=a.txt", "a.txt"},
		{"Content-Disposition: attachment; filename=\"a b.txt\"", "a b.txt"},
		{"Content-Disposition: attachment; filename=a b (1).txt", "a b (1).txt"},
		{"Content-Disposition: attachment; filename=\"a;\\\"b\"", "a;\"b"},
		{"Content-Disposition: attachment; filename*=utf-8''%C3%BC.txt", "ü.txt"},
		{"Content-Disposition: attachment; filename*=iso-8859-1'de'%FC.txt", "ü.txt"},
		{"Content-Disposition: attachment; filename*0*=utf-8''%C3; filename*1*=%BC; filename*2=.txt", "ü.txt"},
		{"Content-Disposition: attachment; filename*1=b; filename*0=a", "ab"},
		{"Content-Disposition: attachment; filename=x; filename*=utf-8''%C3%BC", "ü"},
		{"Content-Disposition: attachment; filename=\"=?utf-8?Q?=C3=BC?=.txt\"", "ü.txt"},
		{"Content-Disposition: attachment; filename==?utf-8?B?w7w=?=", "ü"},
		{"Content-Disposition: attachment; filename=\xfc.txt", "ü.txt"},
		{"Content-Type: image/png; name=a.png", "a.png"},
		{"Content-Type: image/png; name=a.png\nContent-Disposition: inline; filename=b.png", "b.png"},
		{"Content-Disposition: attachment; filename=\"\"", NULL},
		{"Content-Disposition: attachment", NULL},
		{"Content-Disposition: attachment; filename=../../a", "../../a"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autofree char *octets = g_strconcat (cases[i].fields, "\n\nx", NULL);
		g_autoptr (MailStructure) m = mail_scan (octets, strlen (octets));
		if (g_strcmp0 (mail_structure_part (m, 0)->filename, cases[i].filename) != 0)
			fail_msg ("%s: %s", cases[i].fields, mail_structure_part (m, 0)->filename);
	}
}

static void
parameters_are_kept_but_for_the_boundary (void **state)
{
	static const char octets[] = "Content-Type: multipart/signed; Boundary=b; micalg=pgp-sha256; X*0=a; X*1=b; protocol=\"application/pgp-signature\"\n\n"
	                             "--b\nContent-Type: text/plain; format=flowed; charset=\"UTF-8\"; x=y\nContent-ID: <i@d>\n\nx\n--b\n"
	                             "Content-Type: image/png; name=a.png\nContent-Disposition: X-Other; filename=a.png\n\ny";
	static const char *const want[][10] = {{"micalg", "pgp-sha256", "x", "ab", "protocol", "application/pgp-signature", NULL},
	                                       {"format", "flowed", "charset", "UTF-8", "x", "y", NULL},
	                                       {"name", "a.png", NULL}};
	g_autoptr (MailStructure) scanned = mail_scan (octets, strlen (octets));
	g_autoptr (GBytes) kept = mail_structure_serialise (scanned);
	g_autoptr (MailStructure) again = mail_structure_unserialise (kept);
	MailStructure *both[] = {scanned, again};
	for (gsize b = 0; b < 2; b++) {
		for (guint i = 0; i < 3; i++)
			assert_true (g_strv_equal ((const char *const *) mail_structure_part (both[b], i)->parameters, want[i]));
		assert_string_equal (mail_structure_part (both[b], 1)->charset, "UTF-8");
		assert_string_equal (mail_structure_part (both[b], 1)->content_id, "i@d");
		assert_string_equal (mail_structure_part (both[b], 2)->disposition, "x-other");
		assert_null (mail_structure_part (both[b], 0)->charset);
	}
}

static void
most_messages_take_about_ten_octets (void **state)
{
	static const char octets[] = "Subject: x\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nhello\n";
	g_autoptr (MailStructure) m = mail_scan (octets, strlen (octets));
	g_autoptr (GBytes) kept = mail_structure_serialise (m);
	assert_true (g_bytes_get_size (kept) <= 10);
}

/* Whatever octets are read back: a good structure or none. */
static void
damaged_structures_are_refused_or_sound (void **state)
{
	g_autoptr (GRand) rand = g_rand_new_with_seed (1);
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autoptr (MailStructure) m = mail_scan (rows[i].octets, strlen (rows[i].octets));
		g_autoptr (GBytes) kept = mail_structure_serialise (m);
		gsize size;
		const guint8 *data = g_bytes_get_data (kept, &size);
		for (int round = 0; round < 2000; round++) {
			g_autofree guint8 *copy = g_memdup2 (data, size);
			gsize cut = round % 4 ? size : (gsize) g_rand_int_range (rand, 0, (gint32) size);
			copy[g_rand_int_range (rand, 0, (gint32) size)] = (guint8) g_rand_int (rand);
			copy[g_rand_int_range (rand, 0, (gint32) size)] ^= (guint8) (1u << g_rand_int_range (rand, 0, 8));
			g_autoptr (GBytes) damaged = g_bytes_new (copy, cut);
			g_autoptr (MailStructure) got = mail_structure_unserialise (damaged);
			for (guint n = 0; got && n < mail_structure_count (got); n++) {
				const MailPart *p = mail_structure_part (got, n), *around = mail_structure_part (got, p->parent);
				assert_true (p->header <= p->body && p->body <= p->end && p->type && p->subtype && p->encoding);
				assert_true (n == 0 || (p->end <= around->end && p->header >= around->body));
				g_autofree char *section = mail_part_section (got, n);
				assert_non_null (section);
			}
		}
	}
	g_autoptr (GBytes) empty = g_bytes_new (NULL, 0), newer = g_bytes_new ("\x7f\x01", 2);
	assert_null (mail_structure_unserialise (empty));
	assert_null (mail_structure_unserialise (newer));
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (broken_messages_have_a_structure),
		cmocka_unit_test (a_structure_survives_being_kept),
		cmocka_unit_test (nul_octets_are_content),
		cmocka_unit_test (line_ends_do_not_change_the_parts),
		cmocka_unit_test (what_is_over_a_limit_stays_content),
		cmocka_unit_test (endless_headers_and_lines_are_bounded),
		cmocka_unit_test (sections_name_parts_as_imap_does),
		cmocka_unit_test (attachments_are_what_people_call_so),
		cmocka_unit_test (names_of_files_are_decoded),
		cmocka_unit_test (parameters_are_kept_but_for_the_boundary),
		cmocka_unit_test (most_messages_take_about_ten_octets),
		cmocka_unit_test (damaged_structures_are_refused_or_sound),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
