/* SPDX-License-Identifier: Apache-2.0 */
/* Random queries over random messages: what is found, and in which order, is compared with a plain evaluation of the same query over
 * what the messages were made of, with the index complete, absent and behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <string.h>
#include "search-private.h"

#define SMALL 400u  /* all of it may be beyond the index */
#define LARGE 6000u /* enough that frequent words are walked from the newest on */
#define N_FOLDERS 4
#define EPOCH 1704067200 /* 2024-01-01 */

static const char *const words[] = {"alpha", "beta", "gamma", "delta", "Straße", "совещание", "会议", "议会", "rare", "x1", "7", "alphabet"};
static const char *const folders[N_FOLDERS] = {"INBOX", "Archive", "Archive/Old", "Lists"};
static const char *const keywords[] = {NULL, "red", "green red"};

typedef struct {
	gint64 message, placement, received;
	guint folder, flags, keyword, size;
	char *subject, *body; /* " word word " in lower case as indexed */
} Mail;

typedef struct {
	char *path;
	Store *s;
	GRand *rand;
	GArray *mails; /* Mail, one a placement */
	gint64 folder_ids[N_FOLDERS];
} World;

static void
must (gboolean ok, GError *error)
{
	if (!ok)
		fail_msg ("%s", error ? error->message : "failed");
}

static guint
pick (World *w, guint n)
{
	return (guint) g_rand_int_range (w->rand, 0, (gint32) n);
}

/* ---- Messages ---- */

/* Frequent words come first. */
static const char *
any_word (World *w)
{
	return words[MIN (pick (w, G_N_ELEMENTS (words)), pick (w, G_N_ELEMENTS (words)))];
}

static char *
some_words (World *w, guint n)
{
	GString *out = g_string_new (NULL);
	while (n--)
		g_string_append_printf (out, "%s%s", out->len ? " " : "", any_word (w));
	return g_string_free (out, FALSE);
}

static char *
indexed (const char *text)
{
	GString *out = g_string_new (" ");
	words_append (out, text);
	return g_string_free (out, FALSE);
}

static void
place (World *w, Mail m, gint64 message)
{
	GError *e = NULL;
	m.folder = pick (w, N_FOLDERS);
	m.flags = pick (w, 8);
	m.keyword = pick (w, G_N_ELEMENTS (keywords));
	must (store_place (w->s, w->folder_ids[m.folder], message, m.flags, keywords[m.keyword], FALSE, 0, &m.placement, &e), e);
	m.message = message;
	m.subject = g_strdup (m.subject);
	m.body = g_strdup (m.body);
	g_array_append_val (w->mails, m);
}

static void
add_mail (World *w, guint n)
{
	GError *e = NULL;
	gint64 message;
	g_autofree char *subject = some_words (w, pick (w, 4)), *body = some_words (w, 1 + pick (w, 8));
	g_autofree char *text = g_strdup_printf ("Subject: %s\r\nMessage-ID: <%u@test>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n", subject, n, body);
	g_autofree char *subject_words = indexed (subject), *body_words = indexed (body);
	Mail m = {.received = EPOCH + 3600 * (gint64) pick (w, 2000), .size = (guint) strlen (text), .subject = subject_words, .body = body_words};
	g_autoptr (GBytes) octets = g_bytes_new (text, strlen (text));
	g_autoptr (Prepared) p = prepare_bytes (octets, m.received, 0);
	must (store_add_message (w->s, p, 0, &message, &e), e);
	for (guint copies = pick (w, 10) ? 1 : pick (w, 3); copies; copies--)
		place (w, m, message);
}

static void
mail_done (gpointer mail)
{
	g_free (((Mail *) mail)->subject);
	g_free (((Mail *) mail)->body);
}

/* The index is brought up to date after @index_after messages. */
static World
make_world (const char *dir, guint seed, guint n, guint index_after)
{
	GError *e = NULL;
	World w = {.path = g_strdup_printf ("%s/%u-%u.store", dir, n, index_after), .rand = g_rand_new_with_seed (seed)};
	w.mails = g_array_new (FALSE, FALSE, sizeof (Mail));
	g_array_set_clear_func (w.mails, mail_done);
	w.s = store_open (w.path, STORE_CREATE, &e);
	must (w.s && store_begin (w.s, &e), e);
	for (guint i = 0; i < N_FOLDERS; i++)
		must (store_folder_create_path (w.s, folders[i], &w.folder_ids[i], &e), e);
	for (guint i = 0; i < n; i++) {
		add_mail (&w, i);
		if (i + 1 == index_after)
			must (store_commit (w.s, &e) && search_index (w.s, NULL, NULL, NULL, NULL, &e) && store_begin (w.s, &e), e);
	}
	must (store_commit (w.s, &e), e);
	return w;
}

static void
world_done (World *w)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	store_close (w->s);
	for (gsize i = 0; i < G_N_ELEMENTS (suffixes); i++) {
		g_autofree char *file = g_strconcat (w->path, suffixes[i], NULL);
		g_unlink (file);
	}
	g_free (w->path);
	g_rand_free (w->rand);
	g_array_unref (w->mails);
}

/* ---- Queries: made as a tree, written out, and evaluated ---- */

typedef enum { AND, OR, NOT, WORD, SUBJECT, PHRASE, PREFIX, FLAG, KEYWORD, FOLDER, SINCE, BEFORE, LARGER, N_KINDS } Kind;

typedef struct Query {
	Kind kind;
	struct Query *a, *b;
	guint n, m;
} Query;

static Query *
any_query (World *w, guint depth)
{
	Query *q = g_new0 (Query, 1);
	q->kind = depth ? (pick (w, 3) ? pick (w, 2) : NOT) : WORD + pick (w, N_KINDS - WORD);
	if (depth && pick (w, 4) == 0)
		q->kind = WORD + pick (w, N_KINDS - WORD);
	if (q->kind <= NOT)
		q->a = any_query (w, depth - 1);
	if (q->kind <= OR)
		q->b = any_query (w, depth - 1);
	q->n = pick (w, q->kind == FLAG ? 3 : q->kind == FOLDER ? N_FOLDERS : q->kind == SINCE || q->kind == BEFORE ? 80 : q->kind == LARGER ? 200
	                                                                                                          : G_N_ELEMENTS (words));
	q->m = pick (w, G_N_ELEMENTS (words));
	return q;
}

static void
query_free (Query *q)
{
	if (!q)
		return;
	query_free (q->a);
	query_free (q->b);
	g_free (q);
}

static char *
prefix_of (guint n)
{
	return g_utf8_substring (words[n], 0, MIN (g_utf8_strlen (words[n], -1), 2));
}

static char *
day (guint n)
{
	g_autoptr (GDateTime) t = g_date_time_new_from_unix_utc (EPOCH + 86400 * (gint64) n);
	return g_date_time_format (t, "%Y-%m-%d");
}

static void
write_query (GString *out, const Query *q)
{
	static const char *const flags[] = {"is:read", "is:answered", "is:flagged"};
	g_autofree char *text = q->kind == PREFIX ? prefix_of (q->n) : q->kind == SINCE || q->kind == BEFORE ? day (q->n) : NULL;
	switch (q->kind) {
	case AND:
	case OR:
		g_string_append_c (out, '(');
		write_query (out, q->a);
		g_string_append (out, q->kind == AND ? " " : " OR ");
		write_query (out, q->b);
		g_string_append_c (out, ')');
		break;
	case NOT:
		g_string_append_c (out, '-');
		write_query (out, q->a);
		break;
	case PHRASE:
		g_string_append_printf (out, "\"%s %s\"", words[q->n], words[q->m]);
		break;
	case PREFIX:
		g_string_append_printf (out, "%s*", text);
		break;
	case FLAG:
		g_string_append (out, flags[q->n]);
		break;
	case FOLDER:
		g_string_append_printf (out, "in:%s", folders[q->n]);
		break;
	case LARGER:
		g_string_append_printf (out, "larger:%u", q->n);
		break;
	case WORD:
	case SUBJECT:
		g_string_append_printf (out, "%s%s", q->kind == WORD ? "" : "subject:", words[q->n]);
		break;
	case KEYWORD:
		g_string_append_printf (out, "tag:%s", q->n % 2 ? "red" : "green");
		break;
	default:
		g_string_append_printf (out, "%s:%s", q->kind == SINCE ? "after" : "before", text);
	}
}

/* Pairs make any word of Chinese a part of words: 议会 is in 会议会议. */
static gboolean
has (const char *text, const char *first, const char *second, gboolean prefix)
{
	g_autofree char *a = indexed (first), *b = second ? indexed (second) : NULL;
	g_autoptr (GString) wanted = g_string_new (a);
	if (b)
		g_string_append (wanted, b + 1);
	const char *last = second ? second : first;
	if (g_utf8_get_char (last) > 0x3000) { /* the last character of the last pair says nothing */
		g_string_truncate (wanted, wanted->len - 1);
		const char *blank = strrchr (wanted->str, ' ');
		g_string_truncate (wanted, (gsize) (blank - wanted->str) + 1);
	} else if (prefix)
		g_string_truncate (wanted, wanted->len - 1);
	return strstr (text, wanted->str) != NULL;
}

static gboolean
matches (const Query *q, const Mail *m)
{
	g_autofree char *prefix = q->kind == PREFIX ? prefix_of (q->n) : NULL;
	switch (q->kind) {
	case AND:
		return matches (q->a, m) && matches (q->b, m);
	case OR:
		return matches (q->a, m) || matches (q->b, m);
	case NOT:
		return !matches (q->a, m);
	case WORD:
		return has (m->subject, words[q->n], NULL, FALSE) || has (m->body, words[q->n], NULL, FALSE);
	case SUBJECT:
		return has (m->subject, words[q->n], NULL, FALSE);
	case PHRASE:
		return has (m->subject, words[q->n], words[q->m], FALSE) || has (m->body, words[q->n], words[q->m], FALSE);
	case PREFIX:
		return has (m->subject, prefix, NULL, TRUE) || has (m->body, prefix, NULL, TRUE);
	case FLAG:
		return (m->flags >> q->n & 1) != 0;
	case KEYWORD:
		return m->keyword == 2 || (m->keyword == 1 && q->n % 2);
	case FOLDER:
		return m->folder == q->n || (q->n == 1 && m->folder == 2);
	case SINCE:
		return m->received >= EPOCH + 86400 * (gint64) q->n;
	case BEFORE:
		return m->received < EPOCH + 86400 * (gint64) q->n;
	default:
		return m->size > q->n;
	}
}

/* ---- Comparison ---- */

static int
newest_first (gconstpointer a, gconstpointer b)
{
	const Mail *x = *(Mail *const *) a, *y = *(Mail *const *) b;
	if (x->received != y->received)
		return x->received > y->received ? -1 : 1;
	if (x->message != y->message)
		return x->message > y->message ? -1 : 1;
	return x->placement > y->placement ? -1 : x->placement < y->placement;
}

static gboolean
note_placement (gpointer data, const Listing *l)
{
	g_array_append_val ((GArray *) data, l->placement.id);
	return TRUE;
}

static guint
check_query (World *w, const Query *query, guint limit)
{
	g_autoptr (GString) text = g_string_new (NULL);
	g_autoptr (GPtrArray) wanted = g_ptr_array_new ();
	g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (gint64));
	GError *e = NULL;
	write_query (text, query);
	for (guint i = 0; i < w->mails->len; i++)
		if (matches (query, &g_array_index (w->mails, Mail, i)))
			g_ptr_array_add (wanted, &g_array_index (w->mails, Mail, i));
	g_ptr_array_sort (wanted, newest_first);
	if (limit)
		g_ptr_array_set_size (wanted, (gint) MIN (wanted->len, limit));
	g_autoptr (SearchQuery) q = search_query_parse (text->str, EPOCH, &e);
	must (q && search_run (w->s, q, limit, NULL, note_placement, found, &e), e);
	if (found->len != wanted->len)
		fail_msg ("%s limit %u finds %u of %u", text->str, limit, found->len, wanted->len);
	for (guint i = 0; i < wanted->len; i++)
		if (g_array_index (found, gint64, i) != ((Mail *) wanted->pdata[i])->placement)
			fail_msg ("%s limit %u has another message at %u", text->str, limit, i);
	return wanted->len;
}

static void
check_world (const char *dir, guint n, guint index_after, guint queries)
{
	static const guint limits[] = {0, 1, 7, 50};
	guint some = 0;
	World w = make_world (dir, 7, n, index_after);
	for (guint i = 0; i < queries; i++) {
		Query *query = any_query (&w, i % 4);
		some += check_query (&w, query, limits[i % G_N_ELEMENTS (limits)]) > 0;
		check_query (&w, query, limits[(i / 4) % G_N_ELEMENTS (limits)]);
		query_free (query);
	}
	assert_true (some > queries / 4); /* else nothing was compared */
	world_done (&w);
}

static void
test_every_state_of_the_index_gives_the_same (void **state)
{
	check_world (*state, SMALL, SMALL, 400);
	check_world (*state, SMALL, SMALL / 2, 200);
	check_world (*state, SMALL, 0, 100);
}

static void
test_many_messages_give_the_same (void **state)
{
	check_world (*state, LARGE, LARGE, 200);
}

static Bits *
newest_messages (World *w, guint n)
{
	g_autoptr (GPtrArray) all = g_ptr_array_new ();
	Bits *out = bits_new ();
	for (guint i = 0; i < w->mails->len; i++)
		g_ptr_array_add (all, &g_array_index (w->mails, Mail, i));
	g_ptr_array_sort (all, newest_first);
	for (guint i = 0; i < all->len && bits_count (out) < n; i++)
		bits_add (out, ((Mail *) all->pdata[i])->message);
	return out;
}

/* Beyond the tail that is read whole, only what the header says for certain is found, whatever is asked. */
static void
test_a_long_tail_is_searched_by_header (void **state)
{
	World w = make_world (*state, 7, SEARCH_TAIL_MAX + 200, 0);
	g_autoptr (Bits) whole = newest_messages (&w, SEARCH_TAIL_MAX - 100); /* some have no placement */
	guint some = 0;
	for (guint i = 0; i < 60; i++) {
		Query *query = any_query (&w, i % 4);
		g_autoptr (GString) text = g_string_new (NULL);
		g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (gint64));
		GError *e = NULL;
		write_query (text, query);
		g_autoptr (SearchQuery) q = search_query_parse (text->str, EPOCH, &e);
		must (q && search_run (w.s, q, 0, NULL, note_placement, found, &e), e);
		g_autoptr (Bits) ids = bits_new ();
		for (guint k = 0; k < found->len; k++)
			bits_add (ids, g_array_index (found, gint64, k));
		for (guint k = 0; k < w.mails->len; k++) {
			const Mail *m = &g_array_index (w.mails, Mail, k);
			gboolean is_found = bits_has (ids, m->placement), fits = matches (query, m);
			if (is_found && !fits)
				fail_msg ("%s finds what does not match", text->str);
			if (!is_found && fits && (bits_has (whole, m->message) || query->kind == SUBJECT))
				fail_msg ("%s does not find message %d", text->str, (int) m->message);
			some += is_found && !bits_has (whole, m->message);
		}
		query_free (query);
	}
	assert_true (some > 0);
	world_done (&w);
}

int
main (void)
{
	g_setenv ("TZ", "UTC", TRUE);
	g_autofree char *dir = g_dir_make_tmp ("test-model-XXXXXX", NULL);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate (test_every_state_of_the_index_gives_the_same, dir),
		cmocka_unit_test_prestate (test_many_messages_give_the_same, dir),
		cmocka_unit_test_prestate (test_a_long_tail_is_searched_by_header, dir),
	};
	int failed = cmocka_run_group_tests (tests, NULL, NULL);
	g_rmdir (dir);
	return failed;
}
