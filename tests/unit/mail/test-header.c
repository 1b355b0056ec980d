/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "mail.h"

static Slice
slice (const char *text)
{
	return (Slice){text, strlen (text)};
}

static void
words_are_decoded_for_people (void **state)
{
	static const struct {
		const char *value, *want;
	} rows[] = {
		{"", ""},
		{" plain  text\r\n\tfolded ", "plain text folded"},
		{"=?UTF-8?Q?Hell=C3=B6?=", "Hellö"},
		{"=?utf-8?b?SGVsbMO2?=", "Hellö"},
		/* neighbours with padding: all of them count (a library lost all but the first) */
		{"=?UTF-8?B?SGVsbG8=?= =?UTF-8?B?IHdvcmxk?=", "Hello world"},
		{"=?UTF-8?B?SGVsbG8=?=\r\n =?UTF-8?B?IHdvcmxk?=\r\n =?UTF-8?B?IQ==?=", "Hello world!"},
		/* padding within a word */
		{"=?UTF-8?B?VklSVVM=VklSVVNBQkM=?=", "VIRUSVIRUSABC"},
		/* a character cut in two, also across encodings */
		{"=?UTF-8?B?SGVsbMM=?= =?UTF-8?B?tg==?=", "Hellö"},
		{"=?UTF-8?Q?Hell=C3?= =?UTF-8?B?tg==?=", "Hellö"},
		/* different charsets side by side */
		{"=?ISO-8859-1?Q?=F6?= =?KOI8-R?B?8NLJ18XU?=", "öПривет"},
		{"a =?ISO-8859-1?Q?b?= c", "a b c"},
		{"a=?ISO-8859-1?Q?b?=c", "abc"},
		{"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?= =?x?y?z?=", "ab =?x?y?z?="},
		/* RFC 2231 language, blanks and question marks that should not be there */
		{"=?us-ascii*en?Q?Hi?=", "Hi"},
		{"=?utf-8?Q?Who are you?\?=", "Who are you?"},
		{"=?utf-8?Q?=3D=3F=5F?=", "=?_"},
		{"=?utf-8?Q?a=4?=", "a=4"},
		{"=?utf-8?Q?unfinished", "=?utf-8?Q?unfinished"},
		{"=?utf-8?X?a?=", "=?utf-8?X?a?="},
		{"=?=?utf-8?Q?a?=", "=?a"},
		{"=??Q?a?=", "=??Q?a?="},
		{"=?utf-8?Q?\?=", ""},
		/* raw octets: UTF-8, else windows-1252 */
		{"Gr\xc3\xbc\xc3\x9f" "e", "Grüße"},
		{"Gr\xfc\xdf" "e \x80", "Grüße €"},
		{"caf\xe9", "café"}, /* what could begin a character of UTF-8, at the end */
		{"\xe9", "é"},
		{"na\xefve caf\xe9", "naïve café"},
		{"caf\xe9 =?utf-8?Q?=C3=A9?= \xf0", "café é ð"},
		{"=?iso-8859-1?Q?caf=E9?=", "café"},
		{"=?utf-8?Q?caf=E9?=", "café"},
		{"\x1b$B$3$s$K$A$O\x1b(B", "こんにちは"},
		/* labels that lie, are unknown or say too little */
		{"=?us-ascii?Q?=C3=B6?=", "ö"},
		{"=?iso-8859-1?Q?=C3=B6?=", "ö"},
		{"=?utf-8?Q?=F6?=", "ö"},
		{"=?x-unknown?Q?=F6?=", "ö"},
		{"=?unknown-8bit?Q?=C3=B6?=", "ö"},
		{"=?iso-8859-1?Q?=80?=", "€"},
		{"=?gb2312?B?1tC5+g==?=", "中国"},
		{"=?big5?B?pKSk5Q==?=", "中文"},
		{"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"},
		{"=?iso-2022-jp?B?GyRCLSEbKEI=?=", "①"}, /* NEC's row 13 */
		{"=?shift_jis?B?k/qWew==?=", "日本"},
		{"=?euc-kr?B?x9GxuQ==?=", "한국"},
		{"=?utf-7?Q?+AOQ-?=", "ä"},
		{"=?../../etc/x?Q?a?=", "a"},
		/* control characters */
		{"a\x01z", "a\xef\xbf\xbdz"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *text = mail_header_decode (slice (rows[i].value), 1000);
		assert_string_equal (text, rows[i].want);
	}
}

static void
decoded_words_are_cut_at_a_character (void **state)
{
	for (gsize max = 0; max < 12; max++) {
		g_autofree char *text = mail_header_decode (slice ("=?UTF-8?B?w7bDtsO2w7bDtg==?="), max);
		assert_true (strlen (text) <= max && strlen (text) >= max / 2 * 2 - (max > 10 ? 2 : 0));
		assert_true (g_utf8_validate (text, -1, NULL));
	}
}

static void
dates_are_read_as_people_write_them (void **state)
{
	static const struct {
		const char *value;
		gint64 time;
		int zone;
	} rows[] = {
		{"Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, 120},
		{" Tue,  1 Jul 2003 10:52:37 +0200 (CEST)", 1057049557, 120},
		{"1 Jul 2003 10:52 +0200", 1057049520, 120},
		{"Tue 1 Jul 2003 10:52:37 +0200", 1057049557, 120},
		{"Tue, 01-Jul-2003 08:52:37 GMT", 1057049557, 0},
		{"Tue, 01-Jul-03 08:52:37 GMT", 1057049557, 0},
		{"Tue Jul  1 08:52:37 2003", 1057049557, 0},
		{"Tue Jul  1 10:52:37 2003 +0200", 1057049557, 120},
		{"Tue Jul  1 10:52:37 CEST 2003", 1057049557, 120},
		{"Tuesday, July 1, 2003 10:52:37 +0200", 1057049557, 120},
		{"2003-07-01T10:52:37+02:00", 1057049557, 120},
		{"2003-07-01 08:52:37Z", 1057049557, 0},
		{"2003-07-01T08:52:37.123Z", 1057049557, 0},
		{"Tue, 1 Jul 2003 10:52:37 +02:00", 1057049557, 120},
		{"Tue, 1 Jul 2003 10:52:37 GMT+0200", 1057049557, 120},
		{"Tue, 1 Jul 2003 10:52:37 GMT+2", 1057049557, 120},
		{"Tue, 1 Jul 2003 10:52:37 +200", 1057049557, 120},
		{"Tue, 1 Jul 2003 04:52:37 EDT", 1057049557, -240},
		{"Tue, 1 Jul 2003 04:52:37 -0400", 1057049557, -240},
		{"Tue, 1 Jul 2003 08:52:37 -0000", 1057049557, 0},
		{"Tue, 1 Jul 2003 08:52:37 XYZ", 1057049557, 0},
		{"Tue, 1 Jul 2003 08:52:37", 1057049557, 0},
		{"Tue, 1 Jul 103 08:52:37", 1057049557, 0},
		{"Tue, 1 Jul 03 08:52:37 UT", 1057049557, 0},
		{"Tue, 1 Jul 2003 10.52.37 +0200", 1057049557, 120},
		{"Tue, 1 Jul 2003 8:52:37 AM +0000", 1057049557, 0},
		{"Tue, 1 Jul 2003 12:00:00 AM", 1057017600, 0},
		{"7/1/2003 8:52:37 AM", 1057049557, 0},
		{"1.7.2003 08:52:37", 1057049557, 0},
		{"13/7/2003 00:00", 1058054400, 0},
		{"Di, 1 Juli 2003 10:52:37 +0200", 1057049557, 120},
		{"Do, 1 Mai 2003 00:00:00 +0000", 1051747200, 0},
		{"Fri, 31 Dec 1999 24:00:00 +0000", 946684800, 0},
		{"Fri, 31 Dec 1999 23:59:60 +0000", 946684799, 0},
		{"Thu, 01 Jan 1970 00:00:00 +0000", 0, 0},
		{"Wed, 31 Dec 1969 23:59:59 +0000", -1, 0},
		{"Tue, 1 Jul 2003 10:52:37 +9999", 1057056757, 0},
		{"Tue, 01 Jul 2003 08:52:37 -1900", 1057049557, 0},
		{"Tue, 001 Jul 2003 08:52:37 +-0000", 1057049557, 0},
		{"Tue, 1 Jul 2003 17:52:37 JST", 1057049557, 540},
		{"2003/07/01 Tue 03:52:37 CDT", 1057049557, -300},
		{"Mon, 29 Feb 2016 00:00:00 +0000", 1456704000, 0},
		{"Wed, 11 Feb 98 11:51 CST", 887219460, -360},
		{"Sat, 1 Jan 0001 00:00:00 +0000", -62135596800, 0},
		{"Fri, 31 Dec 9999 23:59:59 +0000", 253402300799, 0},
		{"Thu, 13 Feb 1969 23:32 -0330 (Newfoundland Time)", -27723480, -210},
		{"21 Nov 97 09(comment):   55  :  06 -0600", 880127706, -360},
	};
	static const char *const none[] = {"", "yesterday", "Tue, 31 Feb 2003 10:00:00", "1 Foo 2003 10:00", "10:00:00", "Tue, 0 Jul 2003 1:00",
	                                   "13.13.2003", "2003"};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		gint64 time = 7;
		int zone = 7;
		if (!mail_date_parse (slice (rows[i].value), &time, &zone) || time != rows[i].time || zone != rows[i].zone)
			fail_msg ("%s: %" G_GINT64_FORMAT " %d", rows[i].value, time, zone);
	}
	for (gsize i = 0; i < G_N_ELEMENTS (none); i++) {
		gint64 time = 7;
		assert_false (mail_date_parse (slice (none[i]), &time, NULL));
		assert_int_equal (time, 7);
	}
}

static void
ids_are_found_in_any_text (void **state)
{
	static const struct {
		const char *value, *ids;
	} rows[] = {
		{"<a@b>", "a@b"},
		{"<a@b> <c@d>\r\n\t<e@f>", "a@b c@d e@f"},
		{"<a@b><c@d>", "a@b c@d"},
		{"Your message of \"Tue\" <a@b> (x <y)", "a@b"},
		{"< a@b >", "a@b"},
		{"<<a@b>>", "a@b"},
		{"<>", ""},
		{"a@b", ""},
		{"<a@b", ""},
		{"> <a@b>", "a@b"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		Slice rest = slice (rows[i].value), id;
		g_autoptr (GString) all = g_string_new (NULL);
		while (mail_next_id (&rest, &id))
			g_string_append_printf (all, "%s%.*s", all->len ? " " : "", (int) id.size, id.data);
		assert_string_equal (all->str, rows[i].ids);
	}
}

static void
a_base_subject_has_no_marks_of_replies (void **state)
{
	static const struct {
		const char *subject, *base;
	} rows[] = {
		{"hello", "hello"},
		{"Re: hello", "hello"},
		{"RE: Fwd: re : hello", "hello"},
		{"Re[2]: hello", "hello"},
		{"Re^3: hello", "hello"},
		{"AW: WG: hallo", "hallo"},
		{"SV: VS: hej", "hej"},
		{"R\xc3\xa9" "f: x", "x"},
		{"\xe5\x9b\x9e\xe5\xa4\x8d\xef\xbc\x9a x", "x"},
		{"[list] hello", "hello"},
		{"[list] Re: [list] hello", "hello"},
		{"Re: [list] Re: hello", "hello"},
		{"[list]", "[list]"},
		{"Re: [list]", "[list]"},
		{"[Fwd: hello]", "hello"},
		{"[Fwd: Re: hello] (fwd)", "hello"},
		{"hello (fwd) (Fwd) ", "hello"},
		{"Re:", ""},
		{"", ""},
		{"  a   b\tc ", "a b c"},
		{"Regarding: x", "Regarding: x"},
		{"Re hello", "Re hello"},
		{"[[nested] x", "[[nested] x"},
		{"(fwd)", ""},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *base = mail_base_subject (rows[i].subject, NULL);
		assert_string_equal (base, rows[i].base);
	}
}

static char *
describe_addresses (const char *value)
{
	g_autoptr (GArray) all = mail_addresses_parse (slice (value));
	GString *out = g_string_new (NULL);
	for (guint i = 0; i < all->len; i++) {
		const MailAddress *a = &g_array_index (all, MailAddress, i);
		if (i)
			g_string_append_c (out, '|');
		if (a->mailbox)
			g_string_append_printf (out, "%s<%s@%s>", a->name ? a->name : "", a->mailbox, a->host);
		else
			g_string_append_printf (out, "%s%s", a->name ? a->name : "", a->name ? ":" : ";");
	}
	return g_string_free (out, FALSE);
}

static void
addresses_are_read_as_people_write_them (void **state)
{
	static const struct {
		const char *value, *want;
	} rows[] = {
		{"", ""},
		{"a@b", "<a@b>"},
		{"<a@b>", "<a@b>"},
		{"Ann Bee <a@b>", "Ann Bee<a@b>"},
		{"\"Bee, Ann\" <a@b>, c@d", "Bee, Ann<a@b>|<c@d>"},
		{"\"a \\\"b\\\" c\" <a@b>", "a \"b\" c<a@b>"},
		{"a@b (Ann Bee)", "Ann Bee<a@b>"},
		{"a@b (Ann (the) Bee)", "Ann (the) Bee<a@b>"},
		{"=?utf-8?Q?=C3=96?= <a@b>", "Ö<a@b>"},
		{"\"=?utf-8?Q?=C3=96?=\" <a@b>", "Ö<a@b>"},
		{"J. R. Bee <a@b>", "J. R. Bee<a@b>"},
		{"a.b.c@d.e", "<a.b.c@d.e>"},
		{"\"a b\"@c", "<a b@c>"},
		{"a @ b", "<a@b>"},
		{"<@x,@y:a@b>", "<a@b>"},
		{"friends: a@b, Ann <c@d>;, e@f", "friends:|<a@b>|Ann<c@d>|;|<e@f>"},
		{"undisclosed-recipients:;", "undisclosed-recipients:|;"},
		{"friends: a@b", "friends:|<a@b>|;"},
		{"a@b; c@d", "<a@b>|<c@d>"},
		{"a@b,, ,c@d", "<a@b>|<c@d>"},
		{"a@b <c@d>", "a@b<c@d>"},
		{"postmaster", "<postmaster@>"},
		{"Ann Bee", "Ann Bee<@>"},
		{"Ann <>", "Ann<@>"},
		{"a@b@c", "<a@b@c>"},
		{"Ann <a@b> Bee <c@d>", "Ann<a@b>|<c@d>"},
		{"<a@b", "<a@b>"},
		{"\"Ann <a@b>", "Ann <a@b><@>"},
		{"a@[127.0.0.1]", "<a@[127.0.0.1]>"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *got = describe_addresses (rows[i].value);
		if (strcmp (got, rows[i].want) != 0)
			print_message ("%s\n", rows[i].value);
		assert_string_equal (got, rows[i].want);
	}
}

/* A library overflowed its stack on the first. */
static void
nested_and_endless_addresses_do_no_harm (void **state)
{
	static const char *const units[] = {"a:", "(", "<", "\"", "a,", "@", "<@", "a:;", "(\\", "a <b> ", "a@b "};
	for (gsize i = 0; i < G_N_ELEMENTS (units); i++) {
		g_autoptr (GString) value = g_string_new (NULL);
		while (value->len < 500000)
			g_string_append (value, units[i]);
		g_autoptr (GArray) all = mail_addresses_parse ((Slice){value->str, value->len});
		assert_true (all->len <= 1000);
	}
}

static void
fields_are_found_in_a_header_as_it_stands (void **state)
{
	static const struct {
		const char *header, *name, *want;
	} rows[] = {
		{"Subject: x\nTo: y\n", "to", " y"},
		{"Subject: x\r\nTO : y\r\n z\r\n\r\nTo: body", "to", " y\r\n z"},
		{"To: a\nTo: b\n", "to", " a"},
		{"Subject: x\n\nTo: y\n", "to", NULL},
		{"Subject: x\rTo: y\r\rTo: z", "to", " y"},
		{"From someone Tue\nTo: y\n", "to", " y"},
		{"no field\nTo: y\n", "to", " y"},
		{"To:\n", "to", ""},
		{"To:", "to", ""},
		{"To", "to", NULL},
		{"", "to", NULL},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		Slice found = mail_header_find (slice (rows[i].header), rows[i].name);
		assert_int_equal (found.data != NULL, rows[i].want != NULL);
		if (rows[i].want)
			assert_true (slice_equals (found, rows[i].want));
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (words_are_decoded_for_people),
		cmocka_unit_test (decoded_words_are_cut_at_a_character),
		cmocka_unit_test (dates_are_read_as_people_write_them),
		cmocka_unit_test (ids_are_found_in_any_text),
		cmocka_unit_test (a_base_subject_has_no_marks_of_replies),
		cmocka_unit_test (addresses_are_read_as_people_write_them),
		cmocka_unit_test (nested_and_endless_addresses_do_no_harm),
		cmocka_unit_test (fields_are_found_in_a_header_as_it_stands),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
