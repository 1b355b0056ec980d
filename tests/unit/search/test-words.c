/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "search-bits.h"
#include "search-words.h"

static void
test_text_becomes_words (void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{"", ""},
		{" !? ", ""},
		{"Budget Report, 2024-05", "budget report 2024 05 "},
		{"<Ada.Berg@Example.ORG>", "ada berg example org "},
		{"don't foo_bar x2y", "don t foo bar x2y "},
		/* case and accents, composed and not */
		{"Über ÜBER u\xcc\x88" "ber Cafe\xcc\x81", "uber uber uber cafe "},
		{"Straße STRASSE", "strasse strasse "},
		{"Łódź Ørsted Æther œuvre İstanbul ISPARTA ısparta", "lodz orsted aether oeuvre istanbul isparta isparta "},
		{"Việt Nam", "viet nam "},
		{"Ёлка ёлка мой мои мои\xcc\x86 Україна", "елка елка мой мои мой украіна "},
		{"Προϋπολογισμός ΟΔΟΣ", "προυπολογισμοσ οδοσ "},
		{"שָׁלוֹם שלום", "שלום שלום "},
		{"مُحَمَّد محمد أحمد کتاب كتاب ٢٠٢٤ مـــرحبا", "محمد محمد احمد كتاب كتاب 2024 مرحبا "},
		{"बजट की रिपोर्ट", "बजट की रिपोर्ट "},
		/* compatibility forms */
		{"ＡＢＣ１２ ﬁle x² №5 ½ Foo™ word¹", "abc12 file x no5 foo word "},
		{"soft\xc2\xadhyphen zero\xe2\x80\x8bwidth", "softhyphen zerowidth "},
		/* pairs */
		{"会", "会 "},
		{"会议", "会议 议 "},
		{"预算会议", "预算 算会 会议 议 "},
		{"COVID19疫苗abc", "covid19 疫苗 苗 abc "},
		{"予算。会議", "予算 算 会議 議 "},
		{"サーバー", "サー ーバ バー ー "},
		{"ｻｰﾊﾞｰ", "サー ーバ バー ー "},
		{"サーハ\xe3\x82\x99ー", "サー ーバ バー ー "},
		{"㍿", "株式 式会 会社 社 "},
		{"㋀", "1 月 "},
		{"㈱東京", "株東 東京 京 "},
		{"회의 안건", "회의 의 안건 건 "},
		{"\xe1\x84\x92\xe1\x85\xac\xe1\x84\x8b\xe1\x85\xb4", "회의 의 "},
		{"ประชุม", "ปร ระ ะช ชุ ุม ม "},
		{"\xf0\xa0\x80\x80\xf0\xa0\x80\x81", "\xf0\xa0\x80\x80\xf0\xa0\x80\x81 \xf0\xa0\x80\x81 "},
		/* a line's end inside a run; Korean has blanks, so there it parts */
		{"会\n议", "会议 议 "},
		{"会\n\n议", "会 议 "},
		{"会 议", "会 议 "},
		{"会\nabc", "会 abc "},
		{"회\n의", "회 의 "},
		/* not UTF-8 */
		{"ab\xff" "cd\xc3", "ab cd "},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autoptr (GString) out = g_string_new (NULL);
		words_append (out, rows[i].text);
		assert_string_equal (out->str, rows[i].words);
	}
}

static void
test_long_words_are_cut_at_a_character (void **state)
{
	g_autofree char *hex = g_strnfill (100, 'a');
	g_autoptr (GString) out = g_string_new (NULL), cyrillic = g_string_new ("a");
	words_append (out, hex);
	assert_int_equal (out->len, WORD_MAX + 1);
	for (int i = 0; i < 100; i++)
		g_string_append (cyrillic, "ж");
	g_string_truncate (out, 0);
	words_append (out, cyrillic->str);
	assert_int_equal (out->len, WORD_MAX - 1 + 1);
	assert_true (g_utf8_validate (out->str, -1, NULL));
}

typedef struct {
	const char *text;
	GString *seen;
} Places;

static void
note_place (gpointer data, const char *word, gsize size, WordKind kind, gsize start, gsize end)
{
	Places *p = data;
	g_string_append_printf (p->seen, "[%.*s]", (int) (end - start), p->text + start);
}

static void
test_words_know_where_they_came_from (void **state)
{
	Places p = {"Üb, e\xcc\x81t ｶﾞ㍿x", g_string_new (NULL)};
	words_each (p.text, strlen (p.text), note_place, &p);
	assert_string_equal (p.seen->str, "[Üb][e\xcc\x81t][ｶﾞ㍿][㍿][㍿][㍿][㍿][x]");
	g_string_free (p.seen, TRUE);
}

/* Whatever the octets: words without blanks, and valid. */
static void
check_word (gpointer data, const char *word, gsize size, WordKind kind, gsize start, gsize end)
{
	assert_true (size > 0 && size <= WORD_MAX && start < end && end <= *(gsize *) data);
	assert_true (g_utf8_validate (word, (gssize) size, NULL));
	for (gsize i = 0; i < size; i++)
		assert_true ((guchar) word[i] >= 0x80 || g_ascii_islower (word[i]) || g_ascii_isdigit (word[i]));
}

static void
test_every_character_gives_proper_words (void **state)
{
	for (gunichar c = 1; c < 0x110000; c++) {
		char text[16];
		if (c >= 0xd800 && c < 0xe000)
			continue;
		gsize size = (gsize) g_unichar_to_utf8 (c, text);
		words_each (text, size, check_word, &size);
	}
}

/* Folding what is folded changes nothing: else a search for what was found would not find it. */
static void
test_folding_is_idempotent (void **state)
{
	for (gunichar c = 1; c < 0x30000; c++) {
		char text[8];
		if (c >= 0xd800 && c < 0xe000)
			continue;
		text[g_unichar_to_utf8 (c, text)] = '\0';
		g_autoptr (GString) once = g_string_new (NULL), twice = g_string_new (NULL);
		words_append (once, text);
		if (strchr (once->str, ' ') != strrchr (once->str, ' '))
			continue; /* pairs of a square form */
		words_append (twice, once->str);
		assert_string_equal (once->str, twice->str);
	}
}

static void
test_names_are_compared_without_case_and_accents (void **state)
{
	static const struct {
		const char *a, *b;
		gboolean equal;
	} rows[] = {
		{"Entwürfe", "ENTWURFE", TRUE}, {"Müller & Söhne", "muller & sohne", TRUE}, {"a.b", "a b", FALSE}, {"ПРОЕКТЫ", "проекты", TRUE},
		{"\xff", "\xff", TRUE}, {"仕事", "仕事", TRUE},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *a = words_fold_name (rows[i].a), *b = words_fold_name (rows[i].b);
		assert_int_equal (strcmp (a, b) == 0, rows[i].equal);
	}
}

static void
test_bits_are_a_set (void **state)
{
	static const gint64 ids[] = {70000, 1, 63, 64, 65535, 65536, 1, G_GINT64_CONSTANT (1) << 40, 5000000};
	static const gint64 sorted[] = {1, 63, 64, 65535, 65536, 70000, 5000000, G_GINT64_CONSTANT (1) << 40};
	g_autoptr (Bits) b = bits_new (), other = bits_new ();
	gint64 id = 0;
	assert_false (bits_next (b, &id));
	assert_false (bits_has (NULL, 1));
	for (gsize i = 0; i < G_N_ELEMENTS (ids); i++)
		bits_add (i % 2 ? b : other, ids[i]);
	bits_add_all (b, other);
	assert_int_equal (bits_count (b), G_N_ELEMENTS (sorted));
	for (gsize i = 0; i < G_N_ELEMENTS (sorted); i++) {
		assert_true (bits_next (b, &id));
		assert_int_equal (id, sorted[i]);
		assert_true (bits_has (b, id));
		assert_false (bits_has (b, id + 2));
	}
	assert_false (bits_next (b, &id));
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (test_text_becomes_words), cmocka_unit_test (test_long_words_are_cut_at_a_character),
		cmocka_unit_test (test_words_know_where_they_came_from), cmocka_unit_test (test_every_character_gives_proper_words),
		cmocka_unit_test (test_folding_is_idempotent), cmocka_unit_test (test_names_are_compared_without_case_and_accents),
		cmocka_unit_test (test_bits_are_a_set),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
