/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <string.h>
#include "mailbox.h"
#include "search-private.h"

#define NOW 1716984000 /* Wednesday 2024-05-29 12:00:00 UTC */
#define N_MAILS 20u

static char *dir;

static void
must (gboolean ok, GError *error)
{
	if (!ok)
		fail_msg ("%s", error ? error->message : "failed");
}

/* A store of its own for each test; closed and removed at its end. */
typedef struct {
	char *path;
	Store *s;
} Box;

static Box
box (guint index_after)
{
	static guint n;
	Box b = {g_strdup_printf ("%s/%u.store", dir, n++), NULL};
	b.s = mailbox_make (b.path, index_after);
	return b;
}

static void
box_done (Box *b)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	store_close (b->s);
	for (gsize i = 0; i < G_N_ELEMENTS (suffixes); i++) {
		g_autofree char *file = g_strconcat (b->path, suffixes[i], NULL);
		g_unlink (file);
	}
	g_free (b->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Box, box_done)

static gboolean
note_name (gpointer data, const Listing *l)
{
	GString *out = data;
	const char *at = l->message.message_id ? strchr (l->message.message_id, '@') : NULL;
	g_string_append_printf (out, "%s%.*s", out->len ? " " : "", at ? (int) (at - l->message.message_id) : 1, at ? l->message.message_id : "?");
	return TRUE;
}

/* Names of what is found, in order; the error's text if it fails. */
static char *
names_of (Store *s, const char *query, guint limit)
{
	g_autoptr (GError) error = NULL;
	g_autoptr (SearchQuery) q = search_query_parse (query, NOW, &error);
	GString *out = g_string_new (NULL);
	if (!q || !search_run (s, q, limit, NULL, note_name, out, &error))
		g_string_printf (out, "error: %s", error->message);
	return g_string_free (out, FALSE);
}

static const struct {
	const char *query, *names;
} rows[] = {
	/* words, anywhere */
	{"budget", "reply budget"},
	{"BUDGET report", "reply budget"},
	{"\"annual report\"", "reply budget"},
	{"\"report annual\"", ""},
	{"\"report is annual\"", "reply"},
	{"quart*", "reply budget"},
	{"quart", ""},
	{"\"the thi*\"", "reply budget"},
	{"isn't", "reply"},
	{"don't", "reply"},
	{"4711", "budget"},
	{"4711-A", "budget"},
	{"\"4711 A\"", "budget"},
	{"1,234.56", "budget"},
	{"1234", ""},
	{"10:30", "budget"},
	{"nosuchword", ""},
	/* addresses */
	{"ada@example.org", "draft reply budget forward files html thai korean japanese chinese arabic hebrew greek russian german radio big"},
	{"from:ada", "draft budget forward files"},
	{"from:ada@example.org -subject:budget", "draft forward files"},
	{"from:example.net", "reply"},
	{"to:bob", "budget files"},
	{"to:dan", "reply"},
	{"cc:elsewhere.test", "reply"},
	{"to:eve", "draft"},
	{"to:amis", "french"},
	{"list:amis.lists.example.fr", "french"},
	{"from:\"Ada Berg\"", "budget"},
	{"from:(bob OR chloe)", "reply french"},
	{"from:{bob chloe}", "reply french"},
	/* columns */
	{"subject:budget", "reply budget"},
	{"subject:report", ""},
	{"body:annual", "reply budget"},
	{"body:quarter", ""},
	{"subject:(budget -re)", "budget"},
	/* languages */
	{"müller", "german"},
	{"MULLER", "german"},
	{"jörg", "german"},
	{"strasse", "german"},
	{"Übersicht", "files german"},
	{"subject:\"Grüße aus München\"", "german"},
	{"ete decide", "french"},
	{"d'attendre", "french"},
	{"hotel", "french"},
	{"oeuvre", "french"},
	{"совещание", "russian"},
	{"пожалуйста", "russian"},
	{"отчет", "russian"},
	{"ДМИТРИЙ", "russian"},
	{"συναντηση", "greek"},
	{"προυπολογισμο*", "greek"},
	{"οδός", "greek"},
	{"הפגישה", "hebrew"},
	{"subject:פגישה", "hebrew"},
	{"שלום", "hebrew"},
	{"محمد", "arabic"},
	{"احمد", ""},
	{"واحمد", "arabic"},
	{"الاجتماع 25", "arabic"},
	{"预算", "chinese"},
	{"予算", "japanese"},
	{"会议", "chinese"},
	{"会议室", "chinese"},
	{"季度的预算", "chinese"},
	{"会", "japanese chinese"},
	{"会室", ""},
	{"\"会议 室\"", ""},
	{"疫苗", "chinese"},
	{"covid疫苗", "chinese"},
	{"subject:预算会议", "chinese"},
	{"東京", "japanese"},
	{"サーバ", "japanese"},
	{"ｻｰﾊﾞ", "japanese"},
	{"京", "japanese"},
	{"佐藤花子", "japanese"},
	{"from:花", "japanese"},
	{"회의", "korean"},
	{"예산", "korean"},
	{"회의에서", "korean"},
	{"ประชุม", "thai"},
	{"งบประมาณ", "thai"},
	/* parts */
	{"parcel", "html"},
	{"shipped", "html"},
	{"cafe", "html raw"},
	{"\"cafe creme\"", "html"},
	{"invisible", ""},
	{"scripted", ""},
	{"treasure", "files"},
	{"filename:pdf", "files"},
	{"filename:\"Übersicht 2024.pdf\"", "files"},
	{"filename:notes*", "files"},
	{"has:attachment", "forward files"},
	{"-has:attachment in:sent", ""},
	{"lighthouse", "forward"},
	{"edna", "forward"},
	{"lamp", "forward"},
	{"firstword", "big"},
	{"lastword", ""},
	{"binary", "raw"},
	/* folders */
	{"in:archive", "german french big"},
	{"in:Archive/2023", "french"},
	{"in:2023", "french"},
	{"in:archive/", "german french big"},
	{"in:sent", "forward files"},
	{"in:drafts", "draft"},
	{"in:entwurfe", "draft"},
	{"in:\"Ham Radio\"", "radio"},
	{"in:projects", "radio"},
	{"in:inbox -is:read", "budget chinese russian"},
	{"in:anywhere budget", "reply budget"},
	{"-in:inbox", "draft forward files german french radio big"},
	{"in:nowhere", "error: there is no folder"},
	{"label:nowhere", ""},
	{"label:archive", "german french big"},
	/* states */
	{"is:unread", "budget chinese russian"},
	{"is:flagged", "french"},
	{"is:starred", "french"},
	{"in:starred", "french"},
	{"is:answered", "reply"},
	{"is:draft", "draft"},
	{"is:deleted", "empty"},
	{"is:forwarded", "files"},
	{"tag:receipts", "reply german"},
	{"tag:RECEIPTS tag:$work", "german"},
	{"tag:receipt", ""},
	{"tag:unread", "budget chinese russian"},
	{"tag:sent", "forward files"},
	{"-tag:receipts subject:budget", "budget"},
	/* dates and sizes */
	{"after:2024-05-02", "draft reply"},
	{"before:2022", "raw empty"},
	{"date:2024-04", "forward files html"},
	{"date:2023", "german french"},
	{"date:2022..2023", "german french radio big"},
	{"on:2024-03-14", "chinese"},
	{"newer_than:27d", "draft reply"},
	{"older_than:2y -is:deleted", "big raw"},
	{"larger:1M", "big"},
	{"smaller:100", "empty"},
	{"size:1M..9M", "big"},
	/* names of messages */
	{"thread:1", "reply budget"},
	{"thread:2", "reply budget"},
	{"thread:999", ""},
	{"thread:1 is:answered", "reply"},
	{"id:<german@test>", "german"},
	{"id:german", ""},
	/* combinations */
	{"budget OR lighthouse", "reply budget forward"},
	{"budget -re", "budget"},
	{"budget NOT from:bob", "budget"},
	{"budget is:unread", "budget"},
	{"meeting -in:inbox", "radio"},
	{"(budget OR dipole) (is:unread OR in:projects)", "budget radio"},
	{"-(budget OR in:inbox OR in:archive)", "draft forward files radio"},
	{"is:unread OR dipole OR larger:1M", "budget chinese russian radio big"},
	{"-the -is:unread in:inbox -ada", "raw empty"},
	{"--budget", "reply budget"},
	{"* is:flagged", "french"},
	{"to:ada from:{wei min} date:2024-03", "korean chinese"},
};

static void
check_table (guint index_after)
{
	g_auto (Box) b = box (index_after);
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *found = names_of (b.s, rows[i].query, 0);
		gboolean good = g_str_has_prefix (rows[i].names, "error:") ? g_str_has_prefix (found, rows[i].names) : strcmp (found, rows[i].names) == 0;
		if (!good)
			fail_msg ("%u of %u indexed: %s\n finds    %s\n not      %s", index_after, N_MAILS, rows[i].query, found, rows[i].names);
	}
}

static void
test_queries_find_what_they_say (void **state)
{
	check_table (N_MAILS);
}

static void
test_what_is_not_indexed_is_found_all_the_same (void **state)
{
	check_table (0);
	check_table (N_MAILS / 2);
}

static gboolean
note_place (gpointer found, const Listing *l)
{
	g_hash_table_add (found, g_strdup_printf ("%" G_GINT64_FORMAT ":%u", l->placement.folder, l->placement.uid));
	return TRUE;
}

/* What search_uids gives of each folder is what search_run gives of all. */
static void
test_a_folders_uids_are_those_that_are_found (void **state)
{
	for (guint index_after = 0; index_after <= N_MAILS; index_after += N_MAILS / 2) {
		g_auto (Box) b = box (index_after);
		g_autoptr (GPtrArray) folders = store_folders (b.s, NULL);
		/* without index each folder's messages are read anew for each query: a part of them will do */
		for (gsize i = 0; i < G_N_ELEMENTS (rows); i += index_after < N_MAILS ? 9 : 1) {
			g_autoptr (SearchQuery) q = search_query_parse (rows[i].query, NOW, NULL);
			g_autoptr (GHashTable) found = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
			GError *error = NULL;
			guint n = 0;
			if (!q || !search_run (b.s, q, 0, NULL, note_place, found, NULL))
				continue;
			for (guint k = 0; k < folders->len; k++) {
				const Folder *f = folders->pdata[k];
				g_auto (UidSet) uids = {0};
				UidIter it = {0};
				guint32 uid;
				must (search_uids (b.s, q, f->id, NULL, &uids, &error), error);
				while (uid_set_next (&uids, &it, &uid)) {
					g_autofree char *key = g_strdup_printf ("%" G_GINT64_FORMAT ":%u", f->id, uid);
					if (!g_hash_table_contains (found, key))
						fail_msg ("%s: %s is found in %s only", rows[i].query, key, f->path);
					n++;
				}
			}
			if (n != g_hash_table_size (found))
				fail_msg ("%s: %u of %u are found in their folders", rows[i].query, n, g_hash_table_size (found));
		}
	}
}

static void
test_words_of_a_program_are_found_as_they_stand (void **state)
{
	g_auto (Box) b = box (N_MAILS);
	static const struct {
		const char *text, *names;
		gboolean anywhere;
	} cases[] = {{"annual rep", "reply budget", FALSE}, {"is:unread", "", FALSE}, {"report annual", "", TRUE}, {"?!", NULL, TRUE}};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autoptr (SearchQuery) q = search_query_of_words (cases[i].text, cases[i].anywhere);
		g_autoptr (GString) found = g_string_new (NULL);
		assert_true ((q == NULL) == (cases[i].names == NULL));
		GError *error = NULL;
		if (!q)
			continue;
		must (search_run (b.s, q, 0, NULL, note_name, found, &error), error);
		assert_string_equal (found->str, cases[i].names);
	}
}

static char *
first_names (const char *names, guint n)
{
	const char *end = names;
	for (guint i = 0; i < n && *end; i++)
		end += strcspn (end + (i > 0), " ") + (i > 0);
	return g_strndup (names, (gsize) (end - names));
}

static void
test_a_limit_gives_the_newest (void **state)
{
	g_auto (Box) b = box (N_MAILS);
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
		for (guint limit = 1; limit < 4 && !g_str_has_prefix (rows[i].names, "error:"); limit++) {
			g_autofree char *wanted = first_names (rows[i].names, limit), *found = names_of (b.s, rows[i].query, limit);
			assert_string_equal (found, wanted);
		}
}

static gboolean
stop_at_once (gpointer data, const Listing *l)
{
	++*(guint *) data;
	return FALSE;
}

static void
test_the_caller_may_stop_or_cancel (void **state)
{
	g_auto (Box) b = box (N_MAILS / 2);
	guint n = 0;
	g_autoptr (GError) error = NULL;
	g_autoptr (SearchQuery) q = search_query_parse ("ada", NOW, NULL);
	g_autoptr (Cancel) cancel = cancel_new ();
	assert_true (search_run (b.s, q, 0, NULL, stop_at_once, &n, NULL));
	assert_int_equal (n, 1);
	cancel_trigger (cancel);
	assert_false (search_run (b.s, q, 0, cancel, stop_at_once, &n, &error));
	assert_true (error_is (error, ERROR_CANCELLED));
	g_clear_error (&error);
	assert_false (search_index (b.s, cancel, NULL, NULL, NULL, &error));
	assert_true (error_is (error, ERROR_CANCELLED));
	assert_int_equal (n, 1);
}

static gint64
placement_of (Store *s, gint64 message)
{
	g_autoptr (GPtrArray) list = store_placements_of (s, message, NULL);
	return ((Placement *) list->pdata[0])->id;
}

static void
test_placements_are_found_each_and_gone_ones_not (void **state)
{
	g_auto (Box) b = box (N_MAILS);
	GError *e = NULL;
	g_autoptr (Folder) archive = store_folder_by_path (b.s, "Archive", NULL);
	must (store_begin (b.s, &e) && store_place (b.s, archive->id, 1, FLAG_SEEN, NULL, FALSE, 0, NULL, &e) && store_commit (b.s, &e), e);
	g_autofree char *both = names_of (b.s, "subject:budget", 0), *one = names_of (b.s, "subject:budget in:archive", 0),
	                *read = names_of (b.s, "subject:budget is:read", 0), *not = names_of (b.s, "budget in:archive is:unread", 0);
	assert_string_equal (both, "reply budget budget");
	assert_string_equal (one, "budget");
	assert_string_equal (read, "reply budget");
	assert_string_equal (not, "");
	must (store_begin (b.s, &e) && store_remove (b.s, placement_of (b.s, 1), "here", &e) &&
	      store_remove (b.s, placement_of (b.s, 2), "here", &e) && store_commit (b.s, &e), e);
	g_autofree char *left = names_of (b.s, "subject:budget", 0), *thread = names_of (b.s, "id:reply@test OR id:budget@test", 0);
	assert_string_equal (left, "budget");
	assert_string_equal (thread, "budget");
}

static void
test_swept_messages_are_not_found (void **state)
{
	g_auto (Box) b = box (N_MAILS);
	GError *e = NULL;
	guint64 swept;
	must (store_begin (b.s, &e) && store_remove (b.s, placement_of (b.s, 1), "here", &e) && store_sweep (b.s, G_MAXINT64, &swept, &e) &&
	      store_commit (b.s, &e), e);
	assert_int_equal (swept, 1);
	g_autofree char *found = names_of (b.s, "subject:budget", 0);
	assert_string_equal (found, "reply");
}

static guint
matches (Store *s, const char *match)
{
	return (guint) db_number (store_db (s), "SELECT COUNT (*) FROM fts WHERE fts MATCH ?1", 0, "s", match);
}

static void
add_and_index (Store *s, guint n, guint from)
{
	GError *e = NULL;
	g_autoptr (Folder) inbox = store_folder_by_path (s, "INBOX", NULL);
	must (store_begin (s, &e), e);
	for (guint i = from; i < from + n; i++) {
		g_autofree char *text = g_strdup_printf ("Subject: mass %u\r\n\r\nmany\r\n", i);
		g_autoptr (GBytes) octets = g_bytes_new (text, strlen (text));
		g_autoptr (Prepared) p = prepare_bytes (octets, i, 0);
		gint64 message;
		must (store_add_message (s, p, 0, &message, &e) && store_place (s, inbox->id, message, 0, NULL, FALSE, 0, NULL, &e), e);
	}
	must (store_commit (s, &e) && search_index (s, NULL, NULL, NULL, NULL, &e), e);
}

static void
test_an_index_of_gone_messages_is_built_anew (void **state)
{
	g_auto (Box) b = box (N_MAILS);
	GError *e = NULL;
	guint64 swept, indexed;
	add_and_index (b.s, 1200, 1);
	assert_int_equal (matches (b.s, "many"), 1200);
	must (store_begin (b.s, &e), e);
	for (gint64 id = N_MAILS + 1; id <= N_MAILS + 1200; id++)
		must (store_remove (b.s, placement_of (b.s, id), "here", &e), e);
	must (store_sweep (b.s, G_MAXINT64, &swept, &e) && store_commit (b.s, &e), e);
	assert_int_equal (swept, 1200);
	must (search_index (b.s, NULL, NULL, NULL, &indexed, &e), e);
	assert_int_equal (matches (b.s, "many"), 1200); /* no reason to touch it */
	add_and_index (b.s, 1, 2000);
	assert_int_equal (matches (b.s, "many"), 1);
	assert_int_equal (matches (b.s, "budget"), 2);
	g_autofree char *found = names_of (b.s, "budget OR many", 0);
	assert_string_equal (found, "reply budget ?");
}

/* ---- More than are looked up one by one ---- */

#define MANY 3500u

static void
add_many (Store *s)
{
	GError *e = NULL;
	g_autoptr (Folder) inbox = store_folder_by_path (s, "INBOX", NULL);
	g_autoptr (Folder) archive = store_folder_by_path (s, "Archive", NULL);
	must (store_begin (s, &e), e);
	for (guint i = 0; i < MANY; i++) {
		g_autofree char *text = g_strdup_printf ("Subject: mass %u\r\n\r\nmany\r\n", i);
		g_autoptr (GBytes) octets = g_bytes_new (text, strlen (text));
		g_autoptr (Prepared) p = prepare_bytes (octets, i % 1000, 0);
		guint flags = (i % 70 == 3 ? FLAG_FLAGGED : 0) | (i % 5 ? FLAG_SEEN : 0);
		gint64 message;
		must (store_add_message (s, p, 0, &message, &e) && store_place (s, inbox->id, message, flags, NULL, FALSE, 0, NULL, &e), e);
		if (i % 90 == 7)
			must (store_place (s, archive->id, message, FLAG_FLAGGED, i % 4 ? NULL : "rare", FALSE, 0, NULL, &e), e);
	}
	must (store_commit (s, &e), e);
}

static gboolean
note_placement (gpointer data, const Listing *l)
{
	g_string_append_printf (data, "%" G_GINT64_FORMAT " ", l->placement.id);
	return TRUE;
}

static void
assert_same_as_sql (Store *s, const char *query, const char *condition, guint limit)
{
	GError *e = NULL;
	g_autoptr (SearchQuery) q = search_query_parse (query, NOW, &e);
	g_autoptr (GString) found = g_string_new (NULL);
	g_autoptr (GString) expected = g_string_new (NULL);
	must (q && search_run (s, q, limit, NULL, note_placement, found, &e), e);
	g_autofree char *sql = g_strdup_printf ("SELECT p.id FROM placement p JOIN message m ON m.id = p.message JOIN folder f ON f.id = p.folder"
	                                        " WHERE %s ORDER BY m.received DESC, m.id DESC, p.id DESC LIMIT %d", condition, limit ? (int) limit : -1);
	sqlite3_stmt *st;
	assert_int_equal (sqlite3_prepare_v2 (db_handle (store_db (s)), sql, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step (st) == SQLITE_ROW)
		g_string_append_printf (expected, "%" G_GINT64_FORMAT " ", (gint64) sqlite3_column_int64 (st, 0));
	sqlite3_finalize (st);
	assert_string_equal (found->str, expected->str);
}

static void
test_rare_and_common_conditions_among_many (void **state)
{
	static const struct {
		const char *query, *condition;
	} cases[] = {
		{"is:flagged", "p.flags & 4"}, /* rare */
		{"-is:flagged", "NOT p.flags & 4"}, /* most of all */
		{"is:unread", "NOT p.flags & 1"},
		{"is:unread is:flagged", "p.flags & 5 = 4"},
		{"is:read is:unread", "0"},
		{"in:Archive", "f.name IN ('Archive', '2023')"}, /* small */
		{"in:inbox", "f.name = 'INBOX'"},
		{"in:inbox is:flagged", "f.name = 'INBOX' AND p.flags & 4"},
		{"many in:archive is:flagged", "m.subject LIKE 'mass%' AND f.name IN ('Archive', '2023') AND p.flags & 4"},
		{"many (in:archive OR is:unread)", "m.subject LIKE 'mass%' AND (f.name IN ('Archive', '2023') OR NOT p.flags & 1)"},
		{"many -in:inbox -tag:rare", "m.subject LIKE 'mass%' AND f.name != 'INBOX' AND p.keywords IS NULL"},
		{"tag:rare before:2000", "p.keywords = 'rare' AND m.received < 946684800"},
		{"many", "m.subject LIKE 'mass%'"},
	};
	static const guint limits[] = {0, 1, 30};
	g_auto (Box) b = box (0);
	GError *e = NULL;
	add_many (b.s);
	must (search_index (b.s, NULL, NULL, NULL, NULL, &e), e);
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
		for (gsize k = 0; k < G_N_ELEMENTS (limits); k++)
			assert_same_as_sql (b.s, cases[i].query, cases[i].condition, limits[k]);
}

static void
test_short_beginnings_are_words_of_the_index (void **state)
{
	static const char *const beginnings[] = {"b", "an", "m", "\320\261", "\320\277\321\200", "\327\251", "q", "2", "zz"};
	g_auto (Box) b = box (N_MAILS);
	guint found = 0;
	for (gsize i = 0; i < G_N_ELEMENTS (beginnings); i++) {
		g_autofree char *text = g_strconcat (" ", beginnings[i], NULL), *word = short_word (text);
		assert_non_null (word);
		for (guint column = 0; column < 2; column++) {
			const char *where = column ? "subject" : "- attachment"; /* all but it: no name of one begins so */
			g_autofree char *prefix = g_strdup_printf ("%s : \"%s\" *", where, beginnings[i]);
			g_autofree char *exact = g_strdup_printf ("%s : \"%s\"", where, word);
			assert_int_equal (matches (b.s, exact), matches (b.s, prefix));
			found += matches (b.s, exact);
		}
	}
	assert_true (found > 10);
	assert_null (short_word (" bud"));
	assert_null (short_word (" a b"));
	assert_null (short_word (" \344\274\232")); /* one character of a script without blanks begins few words */
}

static void
test_a_search_sees_its_transaction (void **state)
{
	g_auto (Box) b = box (N_MAILS);
	GError *e = NULL;
	must (store_begin (b.s, &e) && store_set_flags (b.s, placement_of (b.s, 1), FLAG_SEEN, "fresh", &e), e);
	g_autofree char *inside = names_of (b.s, "tag:fresh", 0);
	assert_string_equal (inside, "budget");
	store_rollback (b.s);
	must (store_read_begin (b.s, &e), e);
	g_autofree char *after = names_of (b.s, "tag:fresh", 0);
	assert_string_equal (after, "");
	store_read_end (b.s);
}

/* ---- Indexing ---- */

typedef struct {
	Store *other;
	guint64 done, total;
	guint calls;
	gboolean forget;
	guint64 forgotten; /* how many were done when the index was emptied */
} Progress;

static void
note_progress (gpointer data, guint64 done, guint64 total)
{
	Progress *p = data;
	assert_true (done >= p->done && done <= total);
	p->done = done;
	p->total = total;
	p->calls++;
	if (p->other) { /* nobody holds the store between two batches */
		GError *e = NULL;
		must (store_begin (p->other, &e) && store_set_setting (p->other, "written", "between", &e) && store_commit (p->other, &e), e);
		if (p->forget && p->calls == 1) {
			must (search_forget (p->other, &e), e);
			p->forgotten = done;
		}
	}
}

static void
test_indexing_tells_how_far_it_is (void **state)
{
	g_auto (Box) b = box (5);
	GError *e = NULL;
	guint64 pending, indexed;
	Progress p = {0};
	must (search_pending (b.s, &pending, &e), e);
	assert_int_equal (pending, N_MAILS - 5);
	must (search_index (b.s, NULL, note_progress, &p, &indexed, &e), e);
	assert_int_equal (indexed, N_MAILS - 5);
	assert_true (p.calls > 0 && p.done == indexed && p.total == indexed);
	must (search_pending (b.s, &pending, &e) && search_index (b.s, NULL, NULL, NULL, &indexed, &e), e);
	assert_int_equal (pending, 0);
	assert_int_equal (indexed, 0);
	assert_int_equal (store_indexed_message (b.s), N_MAILS);
}

static void
test_the_index_can_be_forgotten_while_it_is_built (void **state)
{
	g_auto (Box) b = box (0);
	g_autoptr (Store) other = store_open (b.path, 0, NULL);
	GError *e = NULL;
	guint64 indexed, pending;
	Progress p = {.other = other, .forget = TRUE};
	must (search_index (b.s, NULL, note_progress, &p, &indexed, &e) && search_pending (b.s, &pending, &e), e);
	assert_int_equal (pending, 0);
	assert_true (p.forgotten > 0); /* on a busy machine the first batch ends early */
	assert_int_equal (indexed, p.forgotten + N_MAILS);
	g_autofree char *found = names_of (b.s, "budget", 0);
	assert_string_equal (found, "reply budget");
}

/* Another process indexes at the same time: no row twice, which FTS5's own check would tell by wrong counts. */
static gpointer
index_in_thread (gpointer path)
{
	g_autoptr (Store) s = store_open (path, 0, NULL);
	GError *e = NULL;
	guint64 indexed;
	must (search_index (s, NULL, NULL, NULL, &indexed, &e), e);
	return GUINT_TO_POINTER ((guint) indexed);
}

static void
test_two_may_index_at_once (void **state)
{
	g_auto (Box) b = box (0);
	GError *e = NULL;
	GThread *t[2];
	guint sum = 0;
	for (guint i = 0; i < G_N_ELEMENTS (t); i++)
		t[i] = g_thread_new ("index", index_in_thread, b.path);
	for (guint i = 0; i < G_N_ELEMENTS (t); i++)
		sum += GPOINTER_TO_UINT (g_thread_join (t[i]));
	assert_int_equal (sum, N_MAILS);
	assert_int_equal (matches (b.s, "budget"), 2);
	must (db_run (store_db (b.s), "INSERT INTO fts (fts) VALUES ('integrity-check')", &e, ""), e);
}

static void
test_a_damaged_message_does_not_stop_the_index (void **state)
{
	g_auto (Box) b = box (0);
	GError *e = NULL;
	must (store_begin (b.s, &e) && db_run (store_db (b.s), "UPDATE content SET data = x'00112233' WHERE id = (SELECT content FROM message WHERE"
	                                                       " message_id = 'budget@test')", &e, "") && store_commit (b.s, &e), e);
	for (int i = 0; i < 2; i++) {
		g_autofree char *by_header = names_of (b.s, "subject:quarter", 0), *by_text = names_of (b.s, "thursday", 0);
		assert_string_equal (by_header, "reply budget");
		assert_string_equal (by_text, "");
		must (search_index (b.s, NULL, NULL, NULL, NULL, &e), e);
	}
}

/* ---- Snippets ---- */

static void
test_snippets_show_what_was_found (void **state)
{
	static const struct {
		const char *name, *query, *snippet;
	} cases[] = {
		{"budget", "annual", "Dear Bob, please find the [annual] report attached. The meeting is on Thursday at 10:30. Order 4711-A, EUR 1,234.56."},
		{"budget", "\"annual report\" meeting -x", "Dear Bob, please find the [annual report] attached. The [meeting] is on Thursday at 10:30. Order 4711-A, EUR 1,234.56."},
		{"budget", "thurs* is:unread", "Bob, please find the annual report attached. The meeting is on [Thursday] at 10:30. Order 4711-A, EUR 1,234.56."},
		{"budget", "1,234.56", "attached. The meeting is on Thursday at 10:30. Order 4711-A, EUR [1,234.56]."},
		{"budget", "subject:budget", NULL},
		{"budget", "-meeting annual", "Dear Bob, please find the [annual] report attached. The meeting is on Thursday at 10:30. Order 4711-A, EUR 1,234.56."},
		{"budget", "is:unread", NULL},
		{"french", "ete", "L'[été] dernier, nous avons décidé d'attendre à côté de l'hôtel. Œuvre inachevée."},
		{"german", "strasse", "Die [Straße] zur Übersicht ist gesperrt. Schöne Grüße!"},
		{"hebrew", "שלום", "הפגישה על התקציב נדחית. [שָׁלוֹם] לכולם"},
		{"japanese", "サーバー", "東京の[サーバー]は明日停止します。ご確認ください。"},
		{"japanese", "京", "東[京]のサーバーは明日停止します。ご確認ください。"},
		{"japanese", "日停", "東京のサーバーは明[日停]止します。ご確認ください。"},
		{"budget", "thurs*", "Bob, please find the annual report attached. The meeting is on [Thursday] at 10:30. Order 4711-A, EUR 1,234.56."},
		{"html", "parcel", "Your [parcel] has shipped! Café crème"},
	};
	g_auto (Box) b = box (0);
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		g_autoptr (SearchQuery) q = search_query_parse (cases[i].query, NOW, NULL);
		g_autofree char *id = g_strconcat (cases[i].name, "@test", NULL);
		gint64 message = db_number (store_db (b.s), "SELECT id FROM message WHERE message_id = ?1", 0, "s", id);
		GError *e = NULL;
		g_autofree char *snippet = search_snippet (b.s, q, message, &e);
		must (!e, e);
		for (char *at = snippet; at && *at; at++)
			*at = *at == '\1' ? '[' : *at == '\2' ? ']' : *at;
		if (g_strcmp0 (snippet, cases[i].snippet) != 0)
			fail_msg ("%s in %s\n is  %s\n not %s", cases[i].query, cases[i].name, snippet, cases[i].snippet);
	}
}

static void
test_a_snippet_of_much_text_is_short (void **state)
{
	g_auto (Box) b = box (0);
	gint64 message = db_number (store_db (b.s), "SELECT id FROM message WHERE message_id = 'big@test'", 0, "");
	g_autoptr (SearchQuery) q = search_query_parse ("long OR log OR filler", NOW, NULL);
	g_autofree char *snippet = search_snippet (b.s, q, message, NULL);
	assert_non_null (snippet);
	assert_true (strlen (snippet) < 300);
	assert_true (g_utf8_validate (snippet, -1, NULL));
	GError *e = NULL;
	assert_null (search_snippet (b.s, q, 999, &e));
	assert_true (error_is (e, ERROR_NOT_FOUND));
	g_error_free (e);
}

int
main (void)
{
	g_setenv ("TZ", "UTC", TRUE);
	dir = g_dir_make_tmp ("test-search-XXXXXX", NULL);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (test_queries_find_what_they_say), cmocka_unit_test (test_what_is_not_indexed_is_found_all_the_same),
		cmocka_unit_test (test_a_folders_uids_are_those_that_are_found), cmocka_unit_test (test_words_of_a_program_are_found_as_they_stand),
		cmocka_unit_test (test_a_limit_gives_the_newest), cmocka_unit_test (test_the_caller_may_stop_or_cancel),
		cmocka_unit_test (test_placements_are_found_each_and_gone_ones_not), cmocka_unit_test (test_swept_messages_are_not_found),
		cmocka_unit_test (test_an_index_of_gone_messages_is_built_anew),
		cmocka_unit_test (test_rare_and_common_conditions_among_many), cmocka_unit_test (test_short_beginnings_are_words_of_the_index),
		cmocka_unit_test (test_a_search_sees_its_transaction), cmocka_unit_test (test_indexing_tells_how_far_it_is),
		cmocka_unit_test (test_the_index_can_be_forgotten_while_it_is_built), cmocka_unit_test (test_two_may_index_at_once),
		cmocka_unit_test (test_a_damaged_message_does_not_stop_the_index), cmocka_unit_test (test_snippets_show_what_was_found),
		cmocka_unit_test (test_a_snippet_of_much_text_is_short),
	};
	int failed = cmocka_run_group_tests (tests, NULL, NULL);
	g_rmdir (dir);
	g_free (dir);
	return failed;
}
