/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "search-private.h"

#define NOW 1716984000 /* Wednesday 2024-05-29 12:00:00 UTC */

/* ---- A query in one line ---- */

static void
dump_limit (GString *out, NodeType type, gint64 x)
{
	if (x == G_MININT64 || x == G_MAXINT64)
		return;
	if (type == NODE_SIZE) {
		g_string_append_printf (out, "%" G_GINT64_FORMAT, x);
		return;
	}
	g_autoptr (GDateTime) t = g_date_time_new_from_unix_utc (x);
	gboolean day = x % 86400 == 0;
	g_autofree char *text = g_date_time_format (t, day ? "%Y%m%d" : "%Y%m%dT%H%M%S");
	g_string_append (out, text);
}

static void
dump_range (GString *out, const char *name, const Node *n)
{
	g_string_append_printf (out, "%s=", name);
	dump_limit (out, n->type, n->lo);
	g_string_append (out, "..");
	dump_limit (out, n->type, n->hi);
}

static void
dump (GString *out, const Node *n)
{
	static const char *const marks[] = {[NODE_AND] = "(&", [NODE_OR] = "(|", [NODE_NOT] = "!"};
	switch (n->type) {
	case NODE_AND:
	case NODE_OR:
	case NODE_NOT:
		g_string_append (out, marks[n->type]);
		for (guint i = 0; i < n->children->len; i++) {
			g_string_append (out, n->type == NODE_NOT ? "" : " ");
			dump (out, n->children->pdata[i]);
		}
		g_string_append (out, n->type == NODE_NOT ? "" : ")");
		break;
	case NODE_ALL:
		g_string_append (out, "all");
		break;
	case NODE_SET:
		if (n->match)
			g_string_append_printf (out, "[%s]", n->match);
		else if (n->text)
			g_string_append_printf (out, "id=%s", n->text);
		else
			g_string_append_printf (out, "thread=%d", (int) n->placement);
		break;
	case NODE_FOLDER:
		g_string_append_printf (out, "in=%s%s", n->text, n->optional ? "?" : "");
		break;
	case NODE_FLAGS:
		g_string_append_printf (out, "flags=%u/%u", n->mask, n->value);
		break;
	case NODE_KEYWORD:
		g_string_append_printf (out, "tag=%s", n->text);
		break;
	case NODE_RECEIVED:
		dump_range (out, "time", n);
		break;
	case NODE_SIZE:
		dump_range (out, "size", n);
		break;
	case NODE_ATTACHMENT:
		g_string_append (out, "attachment");
		break;
	default:
		fail ();
	}
}

typedef struct {
	const char *query, *tree;
} Row;

static void
check_rows (const Row *rows, gsize n)
{
	for (gsize i = 0; i < n; i++) {
		g_autoptr (GError) error = NULL;
		g_autoptr (SearchQuery) q = search_query_parse (rows[i].query, NOW, &error);
		if (!q)
			fail_msg ("%s: %s", rows[i].query, error->message);
		g_autoptr (GString) out = g_string_new (NULL);
		dump (out, q->root);
		if (strcmp (out->str, rows[i].tree) != 0)
			fail_msg ("%s\n is     %s\n not    %s", rows[i].query, out->str, rows[i].tree);
	}
}

static void
test_words_and_phrases (void **state)
{
	static const Row rows[] = {
		{"budget", "[\" budget \"]"},
		{"budget report", "[(\" budget \" AND \" report \")]"},
		{"  Budget\tREPORT ", "[(\" budget \" AND \" report \")]"},
		{"\"annual report\"", "[\" annual report \"]"},
		{"“annual report” x", "[(\" annual report \" AND \" x \")]"},
		{"budg*", "[\" budg\" *]"},
		{"\"annual rep*\"", "[\" annual rep\" *]"},
		{"ada@example.org", "[\" ada example org \"]"},
		{"https://example.org/a?b=c", "[\" https example org a b c \"]"},
		{"会议", "[\" 会议 \"]"},
		{"会", "[\" 会\" *]"},
		{"预算会议", "[\" 预算 算会 会议 \"]"},
		{"预算abc", "[\" 预算 算 abc \"]"},
		{"会*", "[\" 会\" *]"},
		{"*", "all"},
		{"* a", "(& all [\" a \"])"},
		/* forgiven */
		{"\"annual report", "[\" annual report \"]"},
		{"say \"annual rep*", "[(\" say \" AND \" annual rep\" *)]"},
		{"a - b", "[(\" a \" AND \" b \")]"},
		{"a -", "[\" a \"]"},
		{"- a", "[\" a \"]"},
		{"a & b !", "[(\" a \" AND \" b \")]"},
		{"OR", "[\" or \"]"},
		{"a OR", "[(\" a \" AND \" or \")]"},
		{"OR a", "[(\" or \" AND \" a \")]"},
		{"AND", "[\" and \"]"},
		{"a AND", "[(\" a \" AND \" and \")]"},
		{"NOT", "[\" not \"]"},
		{"to be or not to be", "[(\" to \" AND \" be \" AND \" or \" AND \" not \" AND \" to \" AND \" be \")]"},
		{"a ) b } :)", "[(\" a \" AND \" b \")]"},
		{"+budget", "[\" budget \"]"},
		{"foo:bar", "[\" foo bar \"]"},
		{"10:30", "[\" 10 30 \"]"},
		{"re:budget", "[\" re budget \"]"},
		{"foo:\"bar baz\"", "[(\" foo \" AND \" bar baz \")]"},
		{"5\"disk\"", "[(\" 5 \" AND \" disk \")]"},
		{"f(x)", "[(\" f \" AND \" x \")]"},
		{"a () b", "[(\" a \" AND \" b \")]"},
		/* never more than words to FTS5 */
		{"a NEAR(b) ^c", "[(\" a \" AND \" near \" AND \" b \" AND \" c \")]"},
		{"{body} ' ; DROP", "[(\" body \" AND \" drop \")]"},
	};
	check_rows (rows, G_N_ELEMENTS (rows));
}

static void
test_operators (void **state)
{
	static const Row rows[] = {
		{"a OR b", "[(\" a \" OR \" b \")]"},
		{"a | b", "[(\" a \" OR \" b \")]"},
		{"a b OR c d", "[((\" a \" AND \" b \") OR (\" c \" AND \" d \"))]"},
		{"a (b OR c)", "[(\" a \" AND (\" b \" OR \" c \"))]"},
		{"a {b c}", "[(\" a \" AND (\" b \" OR \" c \"))]"},
		{"{a OR b | c}", "[(\" a \" OR \" b \" OR \" c \")]"},
		{"a AND b", "[(\" a \" AND \" b \")]"},
		{"a or b", "[(\" a \" AND \" or \" AND \" b \")]"},
		{"a -b", "[((\" a \") NOT (\" b \"))]"},
		{"-b a -c", "[((\" a \") NOT (\" b \" OR \" c \"))]"},
		{"a NOT b", "[((\" a \") NOT (\" b \"))]"},
		{"a -\"b c\"", "[((\" a \") NOT (\" b c \"))]"},
		{"a -(b c)", "[((\" a \") NOT ((\" b \" AND \" c \")))]"},
		{"-a", "![\" a \"]"},
		{"--a", "!![\" a \"]"},
		{"-a -b", "(& ![\" a \"] ![\" b \"])"},
		{"-a OR b", "(| ![\" a \"] [\" b \"])"},
		{"a OR b -c OR d", "[(\" a \" OR ((\" b \") NOT (\" c \")) OR \" d \")]"},
		{"a is:unread b", "(& [(\" a \" AND \" b \")] flags=1/0)"},
		{"a OR is:unread OR b", "(| [(\" a \" OR \" b \")] flags=1/0)"},
		{"(a OR is:read) b", "(& (| [\" a \"] flags=1/1) [\" b \"])"},
		{"a OR OR b", "[(\" a \" OR (\" or \" AND \" b \"))]"},
		{"((a))", "[\" a \"]"},
		{"(a) (b)", "[(\" a \" AND \" b \")]"},
		{"-(a OR -b)", "!(| [\" a \"] ![\" b \"])"},
	};
	check_rows (rows, G_N_ELEMENTS (rows));
}

static void
test_fields (void **state)
{
	static const Row rows[] = {
		{"from:ada", "[{ sender } : \" ada \"]"},
		{"From: ada", "[{ sender } : \" ada \"]"},
		{"to:ada@example.org", "[{ recipients } : \" ada example org \"]"},
		{"subject:\"annual report\"", "[{ subject } : \" annual report \"]"},
		{"subject:(a b)", "[({ subject } : \" a \" AND { subject } : \" b \")]"},
		{"subject:(a OR from:b) c", "[(({ subject } : \" a \" OR { sender } : \" b \") AND \" c \")]"},
		{"from:{a b}", "[({ sender } : \" a \" OR { sender } : \" b \")]"},
		{"-from:bob a", "[((\" a \") NOT ({ sender } : \" bob \"))]"},
		{"body:x filename:pdf", "[({ body } : \" x \" AND { attachment } : \" pdf \")]"},
		{"filename:*.pdf", "[{ attachment } : \" pdf \"]"},
		{"subject:*", "all"},
		{"in:inbox", "in=inbox"},
		{"in:\"Sent Items\"", "in=Sent Items"},
		{"in:anywhere a", "(& all [\" a \"])"},
		{"is:unread", "flags=1/0"},
		{"is:READ", "flags=1/1"},
		{"is:starred", "flags=4/4"},
		{"is:answered", "flags=2/2"},
		{"is:draft", "flags=16/16"},
		{"is:forwarded", "tag=$Forwarded"},
		{"tag:receipts", "tag=receipts"},
		{"tag:unread", "flags=1/0"},
		{"tag:inbox", "(| tag=inbox in=inbox?)"},
		{"label:Work", "(| tag=Work in=Work?)"},
		{"has:attachment", "attachment"},
		{"thread:17", "thread=17"},
		{"id:<a@b>", "id=a@b"},
		{"rfc822msgid:a@b", "id=a@b"},
		{"id:\"a b@c\"", "id=a b@c"},
		{"larger:10k", "size=10241.."},
		{"smaller:1.5M", "size=0..1572864"},
		{"size:100", "size=100.."},
		{"size:1k..2KiB", "size=1024..2049"},
		{"larger:2GB", "size=2147483649.."},
	};
	check_rows (rows, G_N_ELEMENTS (rows));
}

static void
test_dates (void **state)
{
	static const Row rows[] = {
		{"after:2024", "time=20240101.."},
		{"after:2024-05", "time=20240501.."},
		{"after:2024-05-03", "time=20240503.."},
		{"after:2024/5/3", "time=20240503.."},
		{"after:20240503", "time=20240503.."},
		{"after:3.5.2024", "time=20240503.."},
		{"before:2024-05-03", "time=..20240503"},
		{"date:2024", "time=20240101..20250101"},
		{"on:2024-02-29", "time=20240229..20240301"},
		{"date:2023..2024", "time=20230101..20250101"},
		{"date:2024-05..", "time=20240501.."},
		{"date:..2024-05", "time=..20240601"},
		{"after:today", "time=20240529.."},
		{"date:yesterday", "time=20240528..20240529"},
		{"date:monday", "time=20240527..20240528"},
		{"date:wed", "time=20240529..20240530"},
		{"date:thursday", "time=20240523..20240524"},
		{"date:this-week", "time=20240527..20240603"},
		{"date:\"last week\"", "time=20240520..20240527"},
		{"date:last_month", "time=20240401..20240501"},
		{"date:thisyear", "time=20240101..20250101"},
		{"after:7d", "time=20240522T120000.."},
		{"before:7d", "time=..20240522T120000"},
		{"older_than:7d", "time=..20240522T120000"},
		{"newer_than:2w", "time=20240515T120000.."},
		{"newer_than:3m", "time=20240229T120000.."},
		{"newer_than:1y", "time=20230529T120000.."},
		{"newer_than:12h", "time=20240529.."},
		{"older_than:\"3 months\"", "time=..20240229T120000"},
		{"older_than:100000y", "time=.."},
		{"after:1716984000", "time=20240529T120000.."},
		{"date:@1716984000..", "time=20240529T120000.."},
	};
	check_rows (rows, G_N_ELEMENTS (rows));
}

static void
test_errors_name_the_place_and_what_is_wanted (void **state)
{
	static const struct {
		const char *query, *says;
	} rows[] = {
		{"", "nothing to search for"},
		{"  ", "nothing to search for"},
		{"-", "nothing to search for"},
		{"!!! ...", "nothing to search for"},
		{"( )", "nothing to search for"},
		{"über (b OR c", "character 6: this '(' needs its ')'"},
		{"a {b", "character 3: this '{' needs its '}'"},
		{"(a {b)", "character 4: this '{' needs its '}'"},
		{"from:", "character 1: 'from:' wants a word"},
		{"a (from: )", "character 4: 'from:' wants a word"},
		{"from:!!", "'from:' wants a word"},
		{"from: subject:x", "character 1: 'from:' wants a word"},
		{"in:", "'in:' wants a value"},
		{"in:\"\"", "'in:' wants a value"},
		{"is:purple", "character 4: is: knows unread"},
		{"has:cheese", "has: knows attachment"},
		{"form:bob", "character 1: there is no 'form:', but 'from:'"},
		{"fom:bob", "'from:'"},
		{"frrom:bob", "'from:'"},
		{"subejct:x", "'subject:'"},
		{"subkect:x", "'subject:'"},
		{"befor:2024", "'before:'"},
		{"after:20x4", "character 7: a date is wanted"},
		{"after:2024-13", "a date is wanted"},
		{"after:2024-00-10", "a date is wanted"},
		{"after:2024-02-30", "a date is wanted"},
		{"after:05/31/2024", "a date is wanted"},
		{"after:20240099", "a date is wanted"},
		{"date:..", "two with .. between"},
		{"date:2024..x", "two with .. between"},
		{"older_than:week", "older_than: wants an age"},
		{"larger:big", "larger: wants a size"},
		{"larger:10q", "larger: wants a size"},
		{"larger:1e300", "larger: wants a size"},
		{"smaller:nan", "smaller: wants a size"},
		{"thread:x", "thread: wants the number"},
		{"thread:-1", "thread: wants the number"},
		{"thread:99999999999999999999x", "thread: wants the number"},
		{"\xff", "not valid UTF-8"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autoptr (GError) error = NULL;
		g_autoptr (SearchQuery) q = search_query_parse (rows[i].query, NOW, &error);
		if (q)
			fail_msg ("%s: no error", rows[i].query);
		assert_true (error_is (error, ERROR_USAGE));
		if (!strstr (error->message, rows[i].says))
			fail_msg ("%s: %s", rows[i].query, error->message);
	}
}

static char *
repeated (const char *piece, guint n, const char *end)
{
	GString *out = g_string_new (NULL);
	while (n--)
		g_string_append (out, piece);
	g_string_append (out, end);
	return g_string_free (out, FALSE);
}

static void
test_limits_are_told (void **state)
{
	static const struct {
		const char *piece;
		guint n;
		const char *end, *says; /* says NULL: within the limits */
	} rows[] = {
		{"a ", SEARCH_TERMS_MAX, "", NULL},
		{"a ", SEARCH_TERMS_MAX + 1, "", "at most 200"},
		{"is:read ", SEARCH_TERMS_MAX + 1, "", "at most 200"},
		{"(", SEARCH_DEPTH_MAX + 1, "a", "nested more than 30"},
		{"-", SEARCH_DEPTH_MAX + 1, "a", "nested more than 30"},
		{"-", SEARCH_DEPTH_MAX, "a", NULL},
		{"(", 4000, "", "nested more than 30"},
		{"a", SEARCH_QUERY_MAX, "", NULL},
		{"a", SEARCH_QUERY_MAX + 1, "", "longer than 4096"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *text = repeated (rows[i].piece, rows[i].n, rows[i].end);
		g_autoptr (GError) error = NULL;
		g_autoptr (SearchQuery) q = search_query_parse (text, NOW, &error);
		if (!rows[i].says)
			assert_non_null (q);
		else if (q || !error_is (error, ERROR_USAGE) || !strstr (error->message, rows[i].says))
			fail_msg ("%s: %s", text, error ? error->message : "no error");
	}
}

/* (a (b OR (a (b OR ... )))) as deep as allowed: FTS5's parser must take it. */
static void
test_the_deepest_query_suits_fts5 (void **state)
{
	g_autoptr (GString) text = g_string_new (NULL);
	for (int i = 0; i < SEARCH_DEPTH_MAX; i++)
		g_string_append (text, i % 2 ? "x OR -from:\"b c\" (" : "a subject:d (");
	g_string_append (text, "z");
	for (int i = 0; i < SEARCH_DEPTH_MAX; i++)
		g_string_append (text, ")");
	g_autoptr (SearchQuery) q = search_query_parse (text->str, NOW, NULL);
	assert_non_null (q);
	g_autoptr (GPtrArray) open = g_ptr_array_new ();
	sqlite3 *db;
	sqlite3_stmt *st;
	assert_int_equal (sqlite3_open (":memory:", &db), SQLITE_OK);
	assert_int_equal (sqlite3_exec (db, "CREATE VIRTUAL TABLE fts USING fts5 (body, subject, sender, recipients, attachment, content='', tokenize='ascii')",
	                                NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal (sqlite3_prepare_v2 (db, "SELECT rowid FROM fts WHERE fts MATCH ?1", -1, &st, NULL), SQLITE_OK);
	guint sets = 0;
	for (g_ptr_array_add (open, q->root); open->len;) {
		const Node *n = g_ptr_array_steal_index_fast (open, 0);
		for (guint i = 0; n->type != NODE_SET && n->children && i < n->children->len; i++)
			g_ptr_array_add (open, n->children->pdata[i]);
		if (n->type != NODE_SET)
			continue;
		sets++;
		sqlite3_bind_text (st, 1, n->match, -1, SQLITE_STATIC);
		assert_int_equal (sqlite3_step (st), SQLITE_DONE);
		sqlite3_reset (st);
	}
	assert_true (sets >= 3);
	sqlite3_finalize (st);
	sqlite3_close (db);
}

int
main (void)
{
	g_setenv ("TZ", "UTC", TRUE);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (test_words_and_phrases), cmocka_unit_test (test_operators), cmocka_unit_test (test_fields),
		cmocka_unit_test (test_dates), cmocka_unit_test (test_errors_name_the_place_and_what_is_wanted),
		cmocka_unit_test (test_limits_are_told), cmocka_unit_test (test_the_deepest_query_suits_fts5),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
