/* SPDX-License-Identifier: Apache-2.0 */
/* Folder names, dates, flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <time.h>
#include "imap-text.h"
#include "imap-utf7.h"

static Slice
slice (const char *text)
{
	return (Slice) {text, strlen (text)};
}

static void
names_are_encoded_in_the_one_right_form (void **state)
{
	static const struct {
		const char *text, *wire;
	} rows[] = {
		{"", ""},
		{"INBOX", "INBOX"},
		{"&", "&-"},
		{"&&", "&-&-"},
		{"R&D", "R&-D"},
		{"a-b", "a-b"},
		{"~peter/mail/\345\217\260\345\214\227/\346\227\245\346\234\254\350\252\236", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"}, /* RFC 3501 */
		{"\303\251", "&AOk-"},
		{"\303\251\303\251", "&AOkA6Q-"},
		{"\303\251\303\251\303\251", "&AOkA6QDp-"},
		{"\303\251-", "&AOk--"},
		{"\303\251&\303\251", "&AOk-&-&AOk-"},
		{"&\303\251", "&-&AOk-"},
		{"Entw\303\274rfe", "Entw&APw-rfe"},
		{"\342\202\254 5", "&IKw- 5"},
		{"\360\237\230\200", "&2D3eAA-"},
		{"\360\237\230\200\303\251", "&2D3eAADp-"},
		{"a\360\237\230\200b", "a&2D3eAA-b"},
		{"\364\217\277\277", "&2,,f,w-"}, /* U+10FFFF */
		{"\357\277\277", "&,,8-"},
		{"\357\277\275", "&,,0-"},
		{"~ ", "~ "},
		{"\302\200", "&AIA-"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *wire = utf7_encode (slice (rows[i].text));
		assert_string_equal (wire, rows[i].wire);
		for (int strict = 0; strict < 2; strict++) {
			g_autofree char *text = utf7_decode (slice (rows[i].wire), strict);
			assert_string_equal (text, rows[i].text);
		}
	}
	/* what no name should hold is encoded, but not decoded */
	g_autofree char *control = utf7_encode (slice ("a\tb\177"));
	assert_string_equal (control, "a&AAk-b&AH8-");
	g_autofree char *invalid = utf7_encode ((Slice) {"a\377b\0c", 5});
	assert_string_equal (invalid, "a&,,0-b&,,0-c");
}

static void
other_forms_are_read_only_by_the_tolerant_decoder (void **state)
{
	static const struct {
		const char *wire, *text;
	} rows[] = {
		{"&AOk-&AOk-", "\303\251\303\251"},
		{"\303\251", "\303\251"},
		{"\303\251 &AOk-&-", "\303\251 \303\251&"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *text = utf7_decode (slice (rows[i].wire), FALSE);
		assert_string_equal (text, rows[i].text);
		assert_null (utf7_decode (slice (rows[i].wire), TRUE));
	}
}

static void
hostile_names_are_taken_as_they_are (void **state)
{
	static const char *const rows[] = {
		"&",          /* cut off */
		"a&",
		"R&D",
		"R&D-x",      /* 6 bits */
		"&AOk",
		"&AOkA",
		"&AO-",       /* half a unit */
		"&AOkA-",     /* 6 bits too many, though 0 */
		"&AOkAA-",
		"&AOl-",      /* a bit left */
		"&AOkA6R-",
		"&AGE-",      /* printable: a */
		"&AC8-",      /* printable: / hidden */
		"&ACY-",      /* printable: & */
		"a&AC4ALg-b", /* printable: .. */
		"&AAA-",      /* NUL */
		"&AAo-",      /* LF */
		"&AH8-",
		"&2D0-",      /* lone surrogates */
		"&3gA-",
		"&2D3YPQ-",
		"&3gDYPQ-",
		"&2D0AYQ-",
		"&AOk=-",
		"&AO/-",
		"&A Ok-",
		"&AOk&AOk-",
		"&\303\251-",
		"+AOk-&",
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		assert_null (utf7_decode (slice (rows[i]), TRUE));
		assert_null (utf7_decode (slice (rows[i]), FALSE));
		g_autofree char *leaf = leaf_decode (rows[i]);
		assert_string_equal (leaf, rows[i]);
	}
}

static void
what_is_no_text_at_all_becomes_replacement_characters (void **state)
{
	static const struct {
		const char *wire, *leaf;
	} rows[] = {
		{"a\377b", "a\357\277\275b"},
		{"\300\257", "\357\277\275\357\277\275"}, /* overlong / */
		{"\355\240\275", "\357\277\275\357\277\275\357\277\275"},
		{"a\nb\tc\001", "a\357\277\275b\357\277\275c\357\277\275"},
		{"&AOk-\377", "&AOk-\357\277\275"},
		{"&AOk-\n", "&AOk-\357\277\275"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *leaf = leaf_decode (rows[i].wire);
		assert_string_equal (leaf, rows[i].leaf);
	}
	assert_null (utf7_decode ((Slice) {"a\0b", 3}, FALSE));
	assert_null (utf7_decode ((Slice) {"&AOk\0-", 6}, FALSE));
}

static gunichar
random_character (GRand *random)
{
	static const gint32 ends[] = {0x7f, 0x800, 0x10000, 0x110000};
	for (;;) {
		gunichar c = (gunichar) g_rand_int_range (random, ' ', ends[g_rand_int_range (random, 0, 4)]);
		if (g_unichar_validate (c) && (c != 0x7f))
			return g_rand_int_range (random, 0, 8) ? c : '&';
	}
}

static void
random_names_survive (void **state)
{
	g_autoptr (GRand) random = g_rand_new_with_seed (3);
	for (guint round = 0; round < 20000; round++) {
		g_autoptr (GString) text = g_string_new (NULL);
		for (gint n = g_rand_int_range (random, 0, 12); n > 0; n--)
			g_string_append_unichar (text, random_character (random));
		g_autofree char *wire = utf7_encode (slice (text->str)), *back = utf7_decode (slice (wire), TRUE);
		assert_non_null (back);
		assert_string_equal (back, text->str);
		for (const char *c = wire; *c; c++)
			assert_true (*c >= ' ' && *c < 0x7f);
	}
}

static void
dates_are_read_and_written (void **state)
{
	static const struct {
		const char *text;
		gint64 time;
		int zone;
		const char *written; /* NULL: the same */
	} rows[] = {
		{"17-Jul-1996 02:44:25 -0700", 837596665, -420, NULL},
		{" 7-Feb-1994 22:43:04 -0800", 760689784, -480, NULL},
		{"7-Feb-1994 22:43:04 -0800", 760689784, -480, " 7-Feb-1994 22:43:04 -0800"},
		{"07-feb-1994 22:43:04 -0800", 760689784, -480, " 7-Feb-1994 22:43:04 -0800"},
		{" 1-Jan-1970 00:00:00 +0000", 0, 0, NULL},
		{"31-Dec-1969 23:59:59 +0000", -1, 0, NULL},
		{" 1-Jan-1970 05:45:00 +0545", 0, 345, NULL},
		{"29-Feb-2000 12:00:00 +0000", 951825600, 0, NULL},
		{"31-Dec-9999 23:59:59 +0000", 253402300799, 0, NULL},
		{" 1-Jan-0001 00:00:00 +0000", -62135596800, 0, NULL},
		{"31-Dec-1998 23:59:60 +0000", 915148800, 0, " 1-Jan-1999 00:00:00 +0000"},
		{"19-Jan-2038 03:14:08 +0000", 2147483648, 0, NULL},
		{" 1-Mar-1900 00:00:00 +9959", -2204251140, 5999, NULL},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		gint64 time;
		int zone;
		g_autoptr (GString) text = g_string_new (NULL);
		assert_true (date_parse (slice (rows[i].text), &time, &zone));
		assert_int_equal (time, rows[i].time);
		assert_int_equal (zone, rows[i].zone);
		text_add_date (text, time, zone);
		g_autofree char *want = g_strdup_printf ("\"%s\"", rows[i].written ? rows[i].written : rows[i].text);
		assert_string_equal (text->str, want);
	}
}

static void
what_is_no_date_is_refused (void **state)
{
	static const char *const rows[] = {
		"", " ", "17", "17-Jul-1996", "17-Jul-1996 02:44:25", "17-Jul-1996 02:44:25 ", "17-Jul-1996 02:44:25 0700",
		"17-Jul-1996 02:44:25 -07000", "17-Jul-1996 02:44:25 -070", "17-Jul-1996 02:44:25 -0760", "32-Jul-1996 02:44:25 -0700",
		"0-Jul-1996 02:44:25 -0700", "00-Jul-1996 02:44:25 -0700", "31-Jun-1996 02:44:25 -0700", "29-Feb-1900 02:44:25 -0700",
		"17-Jux-1996 02:44:25 -0700", "17-anF-1996 02:44:25 -0700", "17-Jul-96 02:44:25 -0700", "17-Jul-1996 24:44:25 -0700",
		"17-Jul-1996 02:60:25 -0700", "17-Jul-1996 02:44:61 -0700", "17-Jul-1996 2:44:25 -0700", "17 Jul 1996 02:44:25 -0700",
		"-1-Jul-1996 02:44:25 -0700", " 17-Jul-1996 02:44:25 -0700", "17-Jul-1996 02:44:25 -0700 ", "17-Jul-1996 02:44:25 GMT",
		"1996-07-17 02:44:25 -0700", "117-Jul-1996 02:44:25 -0700",
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		gint64 time = 5;
		int zone = 6;
		assert_false (date_parse (slice (rows[i]), &time, &zone));
		assert_true (time == 5 && zone == 6);
	}
}

static void
days_are_read_and_written (void **state)
{
	static const char *const bad[] = {"", "1-Feb", "1-Feb-1994 ", "30-Feb-1994", "1-Feb-94", "1-2-1994"};
	gint64 day;
	assert_true (date_parse_day (slice ("1-Feb-1994"), &day) && day == 8797);
	assert_true (date_parse_day (slice ("01-FEB-1994"), &day) && day == 8797);
	for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
		assert_false (date_parse_day (slice (bad[i]), &day));
	g_autoptr (GString) text = g_string_new (NULL);
	text_add_day (text, 8797);
	text_add_day (text, G_MAXINT64);
	text_add_day (text, G_MININT64);
	assert_string_equal (text->str, "1-Feb-199431-Dec-99991-Jan-0001");
}

/* Against the C library, over the years that it and we have. */
static void
random_dates_agree_with_the_library (void **state)
{
	g_autoptr (GRand) random = g_rand_new_with_seed (4);
	for (guint round = 0; round < 20000; round++) {
		gint64 time = (gint64) (g_rand_double_range (random, -62e9, 253e9)), got;
		int zone = g_rand_int_range (random, -780, 841), got_zone;
		time_t local = (time_t) (time + zone * 60);
		struct tm tm;
		char day[20];
		g_autoptr (GString) text = g_string_new (NULL);
		text_add_date (text, time, zone);
		assert_non_null (gmtime_r (&local, &tm));
		strftime (day, sizeof day, "%H:%M:%S", &tm);
		assert_non_null (strstr (text->str, day));
		assert_true (date_parse ((Slice) {text->str + 1, text->len - 2}, &got, &got_zone));
		assert_true (got == time && got_zone == zone);
		assert_int_equal (atoi (text->str + 1), tm.tm_mday);
		assert_int_equal (atoi (text->str + 8), tm.tm_year + 1900);
	}
}

static void
times_without_a_form_become_the_nearest (void **state)
{
	g_autoptr (GString) text = g_string_new (NULL);
	text_add_date (text, G_MAXINT64, 60);
	text_add_date (text, G_MININT64, -60);
	text_add_date (text, 0, G_MAXINT);
	assert_string_equal (text->str, "\"31-Dec-9999 23:59:59 +0100\"\" 1-Jan-0001 00:00:00 -0100\"\" 5-Jan-1970 03:59:00 +9959\"");
}

static void
flags_have_bits_and_names (void **state)
{
	g_autoptr (GString) text = g_string_new (NULL);
	assert_int_equal (flag_bit (slice ("\\seen")), 1);
	assert_int_equal (flag_bit (slice ("\\DRAFT")), 16);
	assert_int_equal (flag_bit (slice ("Seen")), 0);
	assert_int_equal (flag_bit (slice ("\\Recent")), 0);
	assert_int_equal (flag_bit (slice ("")), 0);
	text_add_flags (text, 31, "$a b");
	assert_string_equal (text->str, "\\Seen \\Answered \\Flagged \\Deleted \\Draft $a b");
	g_string_truncate (text, 0);
	text_add_flags (text, 0, "b");
	text_add_flags (text, 0, NULL);
	assert_string_equal (text->str, "b");
}

static void
names_cannot_break_out_of_their_quotes (void **state)
{
	g_autoptr (GString) text = g_string_new (NULL);
	text_add_name (text, "a\"b\\c\r\no5 DELETE INBOX");
	assert_string_equal (text->str, "\"a\\\"b\\\\c??o5 DELETE INBOX\"");
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (names_are_encoded_in_the_one_right_form),
		cmocka_unit_test (other_forms_are_read_only_by_the_tolerant_decoder),
		cmocka_unit_test (hostile_names_are_taken_as_they_are),
		cmocka_unit_test (what_is_no_text_at_all_becomes_replacement_characters),
		cmocka_unit_test (random_names_survive),
		cmocka_unit_test (dates_are_read_and_written),
		cmocka_unit_test (what_is_no_date_is_refused),
		cmocka_unit_test (days_are_read_and_written),
		cmocka_unit_test (random_dates_agree_with_the_library),
		cmocka_unit_test (times_without_a_form_become_the_nearest),
		cmocka_unit_test (flags_have_bits_and_names),
		cmocka_unit_test (names_cannot_break_out_of_their_quotes),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
