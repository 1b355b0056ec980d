/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "mail.h"

#define LIMIT (1u << 20)

static GBytes *
read_octets (gpointer data, guint64 offset, gsize size, GError **error)
{
	gsize total = g_bytes_get_size (data), at = (gsize) MIN (offset, (guint64) total);
	return g_bytes_new_from_bytes (data, at, MIN (size, total - at));
}

static GBytes *
read_nothing (gpointer data, guint64 offset, gsize size, GError **error)
{
	error_fail (error, ERROR_IO, "no");
	return NULL;
}

/* At most 3 octets at a time. */
static GBytes *
read_little (gpointer data, guint64 offset, gsize size, GError **error)
{
	return read_octets (data, offset, MIN (size, 3), error);
}

static void
transfer_encodings_are_undone (void **state)
{
	static const struct {
		const char *encoding, *body, *want;
	} rows[] = {
		{"7bit", "a=20b\n", "a=20b\n"},
		{"x-unknown", "a=20b\n", "a=20b\n"},
		{"base64", "SGVsbG8=", "Hello"},
		{"BASE64", "SGVs\r\nbG8\r\n", "Hello"},
		{"base64", "S GV!s-bG8==", "Hello"},
		{"base64", "SGVs\n!bG8=", "Hello"},
		{"base64", "SGVsbG8=\n\nmore text", "Hello"}, /* a list's footer */
		{"base64", "SGVsbG8h\n___________\nA list http://x.y/\n", "Hello!"},
		{"base64", "SGVsbG8=\nSGVsbG8=\nabcde\nSGVs", "HelloHello"},
		{"base64", "VklSVVM=VklSVVNBQkM=", "VIRUSVIRUSABC"}, /* padding within, at which a library stopped */
		{"base64", "VklSVVM=\n=\nVklSVVNBQkM=", "VIRUSVIRUSABC"},
		{"base64", "S", ""},
		{"base64", "SGVsbG8", "Hello"},
		{"base64", "", ""},
		{"quoted-printable", "a=20b=\nc=3D", "a bc="},
		{"Quoted-Printable", "a=20b=\r\nc", "a bc"},
		{"quoted-printable", "a= \t\nb", "ab"},
		{"quoted-printable", "a =20 \n b \t \nc", "a  \n b\nc"},
		{"quoted-printable", "a = b", "a = b"},
		{"quoted-printable", "x=zz=4", "x=zz=4"},
		{"quoted-printable", "x==41=4==41", "x=A=4=A"},
		{"quoted-printable", "x=e4=E4", "x\xe4\xe4"},
		{"quoted-printable", "x=", "x"},
		{"quoted-printable", "x=\r", "x"},
		{"quoted-printable", "x  ", "x"},
		{"quoted-printable (really)", "x=41", "xA"},
		{"x-uuencode", "junk\nbegin 644 a.txt\n#0V%T\n`\nend\njunk\n", "Cat"},
		{"x-uuencode", "begin 644 a.txt\r\n#0V%T\r\n`\r\nend\r\n", "Cat"},
		{"uuencode", "begin 644 a.txt\n#0V%T\nbroken line\n#0V%T", "CatCat"},
		{"x-uue", "nothing", ""},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *octets = g_strdup_printf ("Content-Transfer-Encoding: %s\n\n%s", rows[i].encoding, rows[i].body);
		g_autoptr (GBytes) message = g_bytes_new (octets, strlen (octets));
		g_autoptr (MailStructure) m = mail_scan (octets, strlen (octets));
		static const MailReader readers[] = {read_octets, read_little};
		for (gsize r = 0; r < G_N_ELEMENTS (readers); r++) {
			g_autoptr (GBytes) got = mail_part_decode (mail_structure_part (m, 0), readers[r], message, LIMIT, NULL);
			gsize size;
			const char *data = g_bytes_get_data (got, &size);
			if (size != strlen (rows[i].want) || memcmp (data ? data : "", rows[i].want, size) != 0)
				fail_msg ("row %d: \"%s\" gives \"%.*s\"", (int) i, rows[i].body, (int) size, data ? data : "");
		}
	}
}

static char *
text_of (const char *octets)
{
	g_autoptr (GBytes) message = g_bytes_new_static (octets, strlen (octets));
	g_autoptr (MailStructure) m = mail_scan (octets, strlen (octets));
	return mail_text (m, read_octets, message, LIMIT, NULL);
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\n\n"
#define ALTERNATIVE "Content-Type: multipart/alternative; boundary=b\n\n"

static void
a_person_reads_the_text_of_a_message (void **state)
{
	static const struct {
		const char *octets, *want;
	} rows[] = {
		{"\nhello\r\nyou\r\n", "hello\nyou\n"},
		{"Content-Type: text/plain; charset=iso-8859-1\n\n\xfc", "ü"},
		{"Content-Type: text/plain; charset=us-ascii\n\n\xc3\xbc", "ü"},
		{"Content-Type: text/plain; charset=utf-8\n\nGr\xfc\xdf" "e", "Grüße"},
		{"Content-Type: text/plain; charset=x-unknown\n\n\xfc", "ü"},
		{"\n\xef\xbb\xbfhello", "hello"},
		{"Content-Type: text/plain; charset=\"utf-7\"\n\nHi +AOQ-!", "Hi ä!"},
		{"Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B$3$s\x1b(B!", "こん!"},
		{"Content-Type: text/plain; charset=iso-2022-jp\n\n\x82\xb1\x82\xf1", "こん"},
		{"Content-Type: text/plain; charset=big5\n\n\xa4\xa4\xa4\xe5", "中文"},
		{"Content-Type: text/plain; charset=gb2312\n\n\xd6\xd0", "中"},
		{"Content-Type: text/plain; charset=gb2312\n\n\xe4\xb8\xad\xe5\x9b\xbd\xe4\xba\xba", "中国人"},
		{"Content-Type: text/plain; charset=utf-16\nContent-Transfer-Encoding: base64\n\naABpAA==", "hi"},
		{"Content-Type: text/plain; charset=utf-16\nContent-Transfer-Encoding: base64\n\nAGgAaQ==", "hi"},
		{"Content-Type: text/plain; charset=utf-16\nContent-Transfer-Encoding: base64\n\n/v8AaABp", "hi"},
		{"Content-Type: text/plain; format=flowed\n\na \nb\n\n> c \n> d\n>> e\n-- \nsig\n f\n", "a b\n\n> c d\n>> e\n-- \nsig\nf\n"},
		{"Content-Type: text/plain; format=flowed; delsp=yes\n\na \nb\n", "ab\n"},
		{"Content-Type: text/html\n\n<p>a<p>b", "a\n\nb"},
		{"Content-Type: text/html\n\n<meta charset=\"koi8-r\"><p>\xf0", "П"},
		{"Content-Type: text/html; charset=us-ascii\n\n<meta content='text/html; charset=koi8-r'><p>\xf0", "П"},
		{"Content-Type: text/enriched\n\n<bold>a</bold> << b", "a < b"},
		{"\nsee\nbegin 644 cat.txt\n#0V%T\n`\nend\nthere\n", "see\n[cat.txt]\nthere\n"},
		{"\nsee\nbegin 644 cat.txt\n#0V%T\nM¥,JF`%4```\"J`````\"0``%4D``\"J)```_R0```!)``!520``JDD``/])````\n`\nend\nthere\n",
		 "see\n[cat.txt]\nthere\n"},
		{"Content-Disposition: attachment; filename=a.txt\n\nalone", "alone"},
		{"\nbegin 644 reading\nthis page\n", "begin 644 reading\nthis page\n"},
		{"Content-Type: image/png\n\nabc", ""},
		{ALTERNATIVE "--b\n\nplain\n--b\nContent-Type: text/html\n\n<b>html</b>\n--b--", "plain"},
		{ALTERNATIVE "--b\nContent-Type: text/html\n\n<b>html</b>\n--b\n\nplain\n--b--", "plain"},
		{ALTERNATIVE "--b\n\n \n--b\nContent-Type: text/html\n\n<b>html</b>\n--b--", "html"},
		{ALTERNATIVE "--b\nContent-Type: text/html\n\n<b>html</b>\n--b--", "html"},
		{MIXED "--b\n\na\n\n--b\n\nb\n--b--", "a\n\nb"},
		{MIXED "--b\n\na\n--b\nContent-Disposition: attachment\n\nb\n--b--", "a"},
		{MIXED "--b\n\na\n--b\nContent-Type: message/rfc822\n\nFrom: x\nSubject: =?utf-8?Q?=C3=96?=\n\nb\n--b--",
		 "a\n\nFrom: x\nSubject: Ö\n\nb"},
		{MIXED "--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKaGVsbG8=\n--b--", "Subject: x\n\nhello"},
		/* called multipart, without parts: its octets are the text */
		{"Content-Type: multipart/mixed\n\nhello", "hello"},
		{ALTERNATIVE "hello", "hello"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *text = text_of (rows[i].octets);
		if (strcmp (text, rows[i].want) != 0)
			fail_msg ("%s\ngives \"%s\", not \"%s\"", rows[i].octets, text, rows[i].want);
	}
}

static void
a_search_sees_what_only_one_alternative_says (void **state)
{
	static const struct {
		const char *octets, *want, *names;
	} rows[] = {
		{ALTERNATIVE "--b\n\nthe cat sat on the mat\n--b\nContent-Type: text/html\n\n<b>The cat</b> sat on the mat\n--b--",
		 "the cat sat on the mat", ""},
		{ALTERNATIVE "--b\n\nthe cat sat on the mat\n--b\nContent-Type: text/html\n\n<h1>Body removed</h1><b>The cat</b> sat; removed\n--b--",
		 "the cat sat on the mat\n\nBody removed", ""},
		{ALTERNATIVE "--b\n\nno HTML, no mail\n--b\nContent-Type: text/html\n\n<b>The cat</b> sat on the mat\n--b--",
		 "no HTML, no mail\n\nThe cat sat on the mat", ""},
		{MIXED "--b\n\na\n--b\nContent-Disposition: attachment; filename=b.txt\n\nb\n--b\nContent-Type: image/png; name=\"c d.png\"\n\nx\n--b--",
		 "a\n\nb", "b.txt\nc d.png"},
		{"Content-Type: application/ms-tnef\n\nx", "", "winmail.dat"},
		{"\nbegin 644 cat.txt\n#0V%T\n`\nend\n", "[cat.txt]\n", "cat.txt"},
		{"Content-Type: multipart/report; boundary=b\n\n--b\n\nfailed\n--b\nContent-Type: message/delivery-status\n\nStatus: 5.1.1\n--b--",
		 "failed\n\nStatus: 5.1.1", ""},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autoptr (GBytes) message = g_bytes_new_static (rows[i].octets, strlen (rows[i].octets));
		g_autoptr (MailStructure) m = mail_scan (rows[i].octets, strlen (rows[i].octets));
		g_autofree char *names = NULL, *text = mail_search_text (m, read_octets, message, LIMIT, &names, NULL);
		assert_string_equal (text, rows[i].want);
		assert_string_equal (names, rows[i].names);
	}
}

static void
html_is_readable_as_text (void **state)
{
	static const struct {
		const char *html, *want;
	} rows[] = {
		{"", ""},
		{"plain", "plain"},
		{" a \n b<br>c<BR/>d", "a b\nc\nd"},
		{"<p>a</p><p>b</p>", "a\n\nb"},
		{"<div>a</div><div><div>b</div></div>c", "a\nb\nc"},
		{"a<br><br><br><br>b", "a\n\nb"},
		{"<h1>T</h1>x<hr>y", "T\n\nx\n----\ny"},
		{"<ul><li>a<li>b</ul>c", "* a\n* b\nc"},
		{"<table><tr><td>a</td><td>b</td></tr><tr><td></td><td>c</td></tr></table>d", "a\tb\nc\nd"},
		{"<pre>a  b\n c</pre>d  e", "a  b\n c\nd e"},
		{"x<blockquote>a<br>b<blockquote>c</blockquote></blockquote>y", "x\n> a\n> b\n> > c\ny"},
		{"<b>b</b>o<i>ld</i> <a href='http://x/?a>b'>link</a>", "bold link"},
		{"<img src=x alt=\"a &amp; b\"> c", "a & b c"},
		{"<style>p { x > y }</style>a<script>if (a < b) \"</p>\"</script >b<title>t</title>", "ab"},
		{"<style>never closed", ""},
		{"<!-- a > b -->c<!-->d<!-- e", "cd"},
		{"<!DOCTYPE html><?php x ?>a", "a"},
		{"a<!-- b>c", "ac"},
		{"&lt;&gt;&amp;&quot;&apos;&euro;&uuml;", "<>&\"'€ü"},
		{"&#228;&#xE4;&#x80;&#0;&#x110000;&#xd800;", "ää€\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"&nosuch; & &; &# &#x; &amp", "&nosuch; & &; &# &#x; &"},
		{"a&nbsp;b&shy;c&zwnj;d", "a bcd"},
		{"1 < 2 <3", "1 < 2 <3"},
		{"<", ""},
		{"<a", ""},
		{"a</", "a"},
		{"a<b c='", "a"},
		{"<p", ""},
		{"<verylongtagnameindeed>a</verylongtagnameindeed>", "a"},
		{"</div></div></pre></blockquote>a", "a"},
		{"\xfc", "ü"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *text = mail_html_to_text (rows[i].html, strlen (rows[i].html), LIMIT);
		if (strcmp (text, rows[i].want) != 0)
			fail_msg ("%s\ngives \"%s\", not \"%s\"", rows[i].html, text, rows[i].want);
	}
}

/* Each unit repeated to 4 MB: quadratic work would take minutes. */
static void
hostile_html_takes_linear_time (void **state)
{
	static const char *const units[] = {"<div>", "<", "<!--", "<!-- x>", "<style>", "</style", "<a b='", "<a b=\">", "&", "&#", "&lt", "<table><tr><td>",
	                                    "<blockquote>", "<b><i></b></i>", "<p ", "<a href", "]]>", "<script></", "<pre>\n", "<li>", "<a a=a a",
	                                    "<img alt='&&&&'>", "<br>", "\xff", "<!", "<?", "</"};
	for (gsize i = 0; i < G_N_ELEMENTS (units); i++) {
		g_autoptr (GString) html = g_string_new (NULL);
		while (html->len < 4 << 20)
			g_string_append (html, units[i]);
		gint64 start = g_get_monotonic_time ();
		g_autofree char *text = mail_html_to_text (html->str, html->len, 4 << 20);
		gint64 took = g_get_monotonic_time () - start;
		assert_true (strlen (text) <= 4 << 20 && g_utf8_validate (text, -1, NULL));
		if (took > 10 * G_USEC_PER_SEC)
			fail_msg ("%s: %d ms", units[i], (int) (took / 1000));
	}
}

static void
texts_are_cut_at_their_limit (void **state)
{
	g_autoptr (GString) octets = g_string_new ("Content-Type: text/plain; charset=utf-8\n\n");
	for (int i = 0; i < 10000; i++)
		g_string_append (octets, "äöü\n");
	g_autoptr (GBytes) message = g_bytes_new (octets->str, octets->len);
	g_autoptr (MailStructure) m = mail_scan (octets->str, octets->len);
	for (gsize max = 0; max < 50; max++) {
		g_autofree char *text = mail_text (m, read_octets, message, max, NULL);
		assert_true (strlen (text) <= max && g_utf8_validate (text, -1, NULL));
		g_autofree char *part = mail_part_text (mail_structure_part (m, 0), read_octets, message, max, NULL);
		assert_true (strlen (part) <= max && g_utf8_validate (part, -1, NULL));
		g_autoptr (GBytes) decoded = mail_part_decode (mail_structure_part (m, 0), read_octets, message, max, NULL);
		assert_int_equal (g_bytes_get_size (decoded), max);
	}
}

static void
only_a_failing_reader_is_an_error (void **state)
{
	static const char octets[] = MIXED "--b\n\na\n--b--";
	g_autoptr (MailStructure) m = mail_scan (octets, strlen (octets));
	GError *error = NULL;
	assert_null (mail_text (m, read_nothing, NULL, LIMIT, &error));
	assert_true (error_is (error, ERROR_IO));
	g_clear_error (&error);
	assert_null (mail_part_decode (mail_structure_part (m, 1), read_nothing, NULL, LIMIT, &error));
	g_clear_error (&error);
	assert_null (mail_part_text (mail_structure_part (m, 1), read_nothing, NULL, LIMIT, &error));
	g_clear_error (&error);
	char *names = (char *) 1;
	assert_null (mail_search_text (m, read_nothing, NULL, LIMIT, &names, &error));
	assert_ptr_equal (names, (char *) 1);
	g_clear_error (&error);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (transfer_encodings_are_undone),
		cmocka_unit_test (a_person_reads_the_text_of_a_message),
		cmocka_unit_test (a_search_sees_what_only_one_alternative_says),
		cmocka_unit_test (html_is_readable_as_text),
		cmocka_unit_test (hostile_html_takes_linear_time),
		cmocka_unit_test (texts_are_cut_at_their_limit),
		cmocka_unit_test (only_a_failing_reader_is_an_error),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
