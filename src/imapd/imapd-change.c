/* SPDX-License-Identifier: Apache-2.0 */
/* What changes messages of the selected folder: STORE, EXPUNGE, COPY, MOVE, CLOSE. Each command is one transaction, and what it does are
 * the same offline changes that the program's verbs make. */
#include "imapd-private.h"
#include "imap-text.h"
#include <string.h>

#define KEYWORD_MAX 100
#define KEYWORDS_MAX 200

/* ---- Rows ---- */

static gboolean
collect_row (gpointer rows, const Listing *l)
{
	Placement copy = l->placement;
	copy.keywords = g_strdup (l->placement.keywords);
	g_array_append_val ((GArray *) rows, copy);
	return TRUE;
}

/* The placements of @uids, by UID. */
static GArray *
rows_of (ImapdSession *s, Store *store, const UidSet *uids, GError **error)
{
	g_autoptr (GArray) rows = g_array_new (FALSE, FALSE, sizeof (Placement));
	g_array_set_clear_func (rows, (GDestroyNotify) placement_done);
	return list_uids (store, s->view->folder, uids, LISTING_PLACEMENT, collect_row, rows, error) ? g_steal_pointer (&rows) : NULL;
}

static gboolean
may_write (ImapdSession *s)
{
	return !s->read_only || session_no (s, "NOPERM", "the folder was opened for reading only");
}

/* ---- Flags ---- */

static gboolean
flag_take (ImapdSession *s, const ImapNode *n, guint *flags, GPtrArray *words)
{
	Slice word = node_text (n);
	guint bit = flag_bit (word);
	*flags |= bit;
	if (bit || node_is_word (n, "\\Recent"))
		return TRUE;
	if (!node_is (n, WORD_ATOM) || word.size > KEYWORD_MAX)
		return session_bad (s, "this can't be a flag");
	if (words->len == KEYWORDS_MAX)
		return session_no (s, "LIMIT", "a message can have %d keywords at most", KEYWORDS_MAX);
	g_ptr_array_add (words, slice_dup (word));
	return TRUE;
}

gboolean
flags_parse (ImapdSession *s, const ImapNode *n, guint *flags_out, char **keywords_out)
{
	g_autoptr (GPtrArray) words = g_ptr_array_new_with_free_func (g_free);
	gboolean list = n && n->kind == NODE_LIST;
	*flags_out = 0;
	for (const ImapNode *word = list ? node_first (n) : n; word; word = node_next (word))
		if (!flag_take (s, word, flags_out, words))
			return FALSE;
	*keywords_out = keywords_canonical ((const char *const *) words->pdata, words->len);
	return TRUE;
}

typedef enum { FLAGS_SET, FLAGS_ADD, FLAGS_REMOVE } FlagsHow;

typedef struct {
	FlagsHow how;
	gboolean silent, unchanged;
	guint64 since; /* UNCHANGEDSINCE */
	guint flags;
	char *keywords;
} StoreArgs;

static void
store_args_clear (StoreArgs *a)
{
	g_free (a->keywords);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (StoreArgs, store_args_clear)

static gboolean
take_store_args (ImapdSession *s, StoreArgs *a)
{
	static const struct {
		const char *word;
		FlagsHow how;
		gboolean silent;
	} items[] = {{"FLAGS", FLAGS_SET, FALSE}, {"+FLAGS", FLAGS_ADD, FALSE}, {"-FLAGS", FLAGS_REMOVE, FALSE},
	             {"FLAGS.SILENT", FLAGS_SET, TRUE}, {"+FLAGS.SILENT", FLAGS_ADD, TRUE}, {"-FLAGS.SILENT", FLAGS_REMOVE, TRUE}};
	const ImapNode *n = node_next (imap_command_arg (s->command, 0));
	if (n && n->kind == NODE_LIST) {
		if (!node_is_word (node_first (n), "UNCHANGEDSINCE") || !slice_to_number (node_text (node_at (n, 1)), &a->since) || node_at (n, 2))
			return session_bad (s, "an unknown modifier of STORE");
		a->unchanged = TRUE;
		session_use_condstore (s);
		n = node_next (n);
	}
	guint i = 0;
	while (i < G_N_ELEMENTS (items) && !node_is_word (n, items[i].word))
		i++;
	if (i == G_N_ELEMENTS (items) || !node_next (n))
		return session_bad (s, "FLAGS, +FLAGS or -FLAGS and flags are expected");
	a->how = items[i].how;
	a->silent = items[i].silent;
	return flags_parse (s, node_next (n), &a->flags, &a->keywords);
}

/* @old with @words, or without them. */
static char *
keywords_changed (const char *old, const char *words, FlagsHow how)
{
	if (how == FLAGS_SET)
		return g_strdup (words);
	g_auto (GStrv) had = g_strsplit (old ? old : "", " ", -1), change = g_strsplit (words ? words : "", " ", -1);
	g_autoptr (GPtrArray) all = g_ptr_array_new ();
	for (char **w = had; *w; w++)
		if (**w && (how == FLAGS_ADD || !g_strv_contains ((const char *const *) change, *w)))
			g_ptr_array_add (all, *w);
	for (char **w = change; how == FLAGS_ADD && *w; w++)
		if (**w)
			g_ptr_array_add (all, *w);
	return keywords_canonical ((const char *const *) all->pdata, all->len);
}

static guint
count_words (const char *keywords)
{
	guint n = keywords != NULL;
	for (; keywords && *keywords; keywords++)
		n += *keywords == ' ';
	return n;
}

static gboolean
store_one (Store *store, const StoreArgs *a, Placement *p, GError **error)
{
	guint flags = a->how == FLAGS_SET ? a->flags : a->how == FLAGS_ADD ? p->flags | a->flags : p->flags & ~a->flags;
	g_autofree char *keywords = keywords_changed (p->keywords, a->keywords, a->how);
	if (count_words (keywords) > KEYWORDS_MAX)
		return error_fail (error, ERROR_TOO_BIG, "a message can have %d keywords at most", KEYWORDS_MAX);
	guint64 before = store_modseq (store);
	if (!store_set_flags (store, p->id, flags, keywords, error))
		return FALSE;
	p->flags = flags;
	g_free (p->keywords);
	p->keywords = g_steal_pointer (&keywords);
	if (store_modseq (store) != before)
		p->modseq = store_modseq (store);
	return TRUE;
}

/* Those that changed since are left out of @rows and named in @modified. */
static gboolean
store_all (Store *store, const StoreArgs *a, GArray *rows, UidSet *modified, GError **error)
{
	guint kept = 0;
	for (guint i = 0; i < rows->len; i++) {
		Placement *p = &g_array_index (rows, Placement, i);
		if (a->unchanged && p->modseq > a->since) {
			uid_set_add (modified, p->uid);
			continue;
		}
		if (!store_one (store, a, p, error))
			return FALSE;
		Placement swap = g_array_index (rows, Placement, kept);
		g_array_index (rows, Placement, kept++) = *p;
		*p = swap;
	}
	g_array_set_size (rows, kept);
	return TRUE;
}

/* UIDs, or (without UID) the sequence numbers that stand for them. */
static void
format_numbers (const ImapdSession *s, const UidSet *uids, GString *text)
{
	g_auto (UidSet) numbers = {0};
	if (imap_command_is_uid (s->command)) {
		uid_set_format (uids, text);
		return;
	}
	view_numbers_of (s->view, uids, &numbers);
	uid_set_format (&numbers, text);
}

static void
write_stored (ImapdSession *s, const StoreArgs *a, const Placement *p)
{
	if (!a->silent) {
		session_write_flags (s, p, s->condstore);
		return;
	}
	/* RFC 7162 section 3.1.3: a client that uses numbers is told the new one all the same. */
	if (!s->condstore)
		return;
	if (!session_open_fetch (s, p->uid))
		return;
	if (!s->uidonly) {
		imap_write_word (&s->out, "UID");
		imap_write_number (&s->out, p->uid);
	}
	imap_write_modseq (&s->out, p->modseq);
	imap_write_close (&s->out);
	imap_write_end (&s->out);
	session_flush (s, FALSE);
}

void
run_store (ImapdSession *s)
{
	g_auto (StoreArgs) a = {0};
	g_auto (UidSet) uids = {0}, modified = {0};
	GError *error = NULL;
	if (!session_uids (s, imap_command_arg (s->command, 0), imap_command_is_uid (s->command), &uids) || !take_store_args (s, &a) || !may_write (s))
		return;
	Store *store = session_store (s);
	if (!store || !session_begin (s, store))
		return;
	g_autoptr (GArray) rows = rows_of (s, store, &uids, &error);
	if (!session_commit (s, store, rows && store_all (store, &a, rows, &modified, &error), &error))
		return;
	for (guint i = 0; i < rows->len; i++)
		write_stored (s, &a, &g_array_index (rows, Placement, i));
	if (!uid_set_is_empty (&modified)) {
		g_string_assign (s->code, "MODIFIED ");
		format_numbers (s, &modified, s->code);
		g_string_assign (s->text, "some were changed since");
	}
	else if (rows->len < uid_set_count (&uids) && !imap_command_is_uid (s->command))
		session_no (s, "EXPUNGEISSUED", "some of the messages are gone");
}

/* ---- Removing ---- */

static gboolean
remove_rows (Store *store, const GArray *rows, GError **error)
{
	for (guint i = 0; i < rows->len; i++) {
		const Placement *p = &g_array_index (rows, Placement, i);
		if ((p->flags & FLAG_DELETED) && !store_remove (store, p->id, "here", error))
			return FALSE;
	}
	return TRUE;
}

/* Those of @uids that have \Deleted. */
static gboolean
expunge (ImapdSession *s, const UidSet *uids)
{
	GError *error = NULL;
	Store *store = session_store (s);
	if (!store || !session_begin (s, store))
		return FALSE;
	g_autoptr (GArray) rows = rows_of (s, store, uids, &error);
	return session_commit (s, store, rows && remove_rows (store, rows, &error), &error);
}

void
run_expunge (ImapdSession *s)
{
	g_auto (UidSet) uids = {0};
	gboolean uid = imap_command_is_uid (s->command);
	if (uid && !session_uids (s, imap_command_arg (s->command, 0), TRUE, &uids))
		return;
	if (may_write (s) && expunge (s, uid ? &uids : &s->view->uids) && s->qresync)
		g_string_printf (s->code, "HIGHESTMODSEQ %" G_GUINT64_FORMAT, MAX (s->own_to, s->view->modseq)); /* RFC 7162 section 3.2.7 */
}

void
run_close (ImapdSession *s)
{
	if (s->read_only || expunge (s, &s->view->uids))
		session_unselect (s);
}

/* ---- Copying and moving ---- */

typedef struct {
	ImapSet from, to;
} Copied;

static void
copied_clear (Copied *c)
{
	imap_set_clear (&c->from);
	imap_set_clear (&c->to);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Copied, copied_clear)

static gboolean
copy_rows (Store *store, gint64 folder, const GArray *rows, gboolean move, Copied *copied, GError **error)
{
	for (guint i = 0; i < rows->len; i++) {
		const Placement *p = &g_array_index (rows, Placement, i);
		gint64 id;
		if (!(move ? store_move (store, p->id, folder, &id, error)
		           : store_place (store, folder, p->message, p->flags, p->keywords, TRUE, p->id, &id, error)))
			return FALSE;
		g_autoptr (Placement) new = store_placement (store, id, error);
		if (!new)
			return FALSE;
		imap_set_append (&copied->from, p->uid);
		imap_set_append (&copied->to, new->uid);
	}
	return TRUE;
}

static gboolean
may_hold_messages (ImapdSession *s, const Folder *f)
{
	return !f->local_only || session_no (s, "CANNOT", "folder '%s' is kept here only and holds outpost's own reports", f->path);
}

static void
copy_or_move (ImapdSession *s, gboolean move)
{
	g_auto (UidSet) uids = {0};
	g_auto (Copied) copied = {0};
	GError *error = NULL;
	const ImapNode *name = imap_command_arg (s->command, 1);
	if (!session_uids (s, imap_command_arg (s->command, 0), imap_command_is_uid (s->command), &uids) || (move && !may_write (s)))
		return;
	if (!node_is_astring (name)) {
		session_bad (s, "a folder's name is expected");
		return;
	}
	Store *store = session_store (s);
	g_autoptr (Folder) f = store ? session_selectable (s, store, name, "TRYCREATE") : NULL;
	Quota q;
	if (!f || !may_hold_messages (s, f) || (move && f->id == s->view->folder) || !quota_begin (s, store, &q) || !session_begin (s, store))
		return; /* moved to where they are, they stay */
	g_autoptr (GArray) rows = rows_of (s, store, &uids, &error);
	if (!session_commit (s, store, rows && copy_rows (store, f->id, rows, move, &copied, &error) && quota_check (store, &q, &error), &error) || copied.to.n_ranges == 0)
		return;
	if (move) { /* RFC 6851 section 4.3: before the messages vanish */
		imap_write_copyuid (&s->out, NULL, f->uidvalidity, &copied.from, &copied.to, "moved");
		return;
	}
	g_string_printf (s->code, "COPYUID %u ", f->uidvalidity);
	imap_set_format (&copied.from, s->code);
	g_string_append_c (s->code, ' ');
	imap_set_format (&copied.to, s->code);
}

void
run_copy (ImapdSession *s)
{
	copy_or_move (s, FALSE);
}

void
run_move (ImapdSession *s)
{
	copy_or_move (s, TRUE);
}
