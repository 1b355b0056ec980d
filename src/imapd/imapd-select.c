/* SPDX-License-Identifier: Apache-2.0 */
/* The selected folder: SELECT and its end, and what is told of changes that others made (RFC 9051 section 7.5, RFC 7162). */
#include "imapd-private.h"
#include <string.h>

/* ---- Flags ---- */

static void
write_flag_list (ImapdSession *s, gboolean star)
{
	imap_write_open (&s->out);
	static const char *const system[] = {"\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"};
	for (guint i = 0; i < G_N_ELEMENTS (system); i++)
		imap_write_word (&s->out, system[i]);
	for (char **word = s->view->keywords; *word; word++)
		if (slice_words ((Slice){*word, strlen (*word)}) & WORD_FLAG)
			imap_write_word (&s->out, *word);
	if (star)
		imap_write_word (&s->out, "\\*");
	imap_write_close (&s->out);
}

static void
write_flags (ImapdSession *s)
{
	imap_write_untagged (&s->out, "FLAGS");
	write_flag_list (s, FALSE);
	imap_write_end (&s->out);
	imap_write_status_begin (&s->out, NULL, "OK", "PERMANENTFLAGS");
	if (s->read_only) {
		imap_write_open (&s->out);
		imap_write_close (&s->out);
	} else
		write_flag_list (s, TRUE);
	imap_write_status_end (&s->out, "these are kept");
}

/* ---- Changes of others ---- */

gboolean
session_open_fetch (ImapdSession *s, guint32 uid)
{
	guint32 number = view_number (s->view, uid);
	if (!number)
		return FALSE;
	imap_write_numbered (&s->out, s->uidonly ? uid : number, s->uidonly ? "UIDFETCH" : "FETCH");
	imap_write_open (&s->out);
	return TRUE;
}

void
session_write_flags (ImapdSession *s, const Placement *p, gboolean modseq)
{
	if (!session_open_fetch (s, p->uid))
		return;
	if (!s->uidonly) {
		imap_write_word (&s->out, "UID");
		imap_write_number (&s->out, p->uid);
	}
	imap_write_word (&s->out, "FLAGS");
	imap_write_flags (&s->out, p->flags, p->keywords);
	if (modseq)
		imap_write_modseq (&s->out, p->modseq);
	imap_write_close (&s->out);
	imap_write_end (&s->out);
	session_flush (s, FALSE);
}

static void
write_number (ImapdSession *s, guint32 number, const char *what)
{
	imap_write_numbered (&s->out, number, what);
	imap_write_end (&s->out);
}

/* Highest first, so that the numbers of the others need no thought. */
static void
write_expunged (ImapdSession *s, const UidSet *removed)
{
	if (s->qresync || s->uidonly) {
		imap_write_vanished (&s->out, FALSE, removed);
		return;
	}
	for (guint i = removed->n_ranges; i-- > 0;)
		for (guint32 uid = removed->ranges[i].hi;; uid--) {
			write_number (s, view_number (s->view, uid), "EXPUNGE");
			if (uid == removed->ranges[i].lo)
				break;
			session_flush (s, FALSE);
		}
}

typedef struct {
	const ImapdSession *s;
	GArray *placements;
} Collected;

static gboolean
collect_change (gpointer data, const Placement *p)
{
	Collected *c = data;
	gboolean own = p->modseq >= c->s->own_from && p->modseq <= c->s->own_to;
	if (own || !view_number (c->s->view, p->uid))
		return TRUE;
	Placement copy = *p;
	copy.keywords = g_strdup (p->keywords);
	g_array_append_val (c->placements, copy);
	return TRUE;
}

static GArray *
placements_new (void)
{
	GArray *list = g_array_new (FALSE, FALSE, sizeof (Placement));
	g_array_set_clear_func (list, (GDestroyNotify) placement_done);
	return list;
}

static gboolean
same_keywords (const View *a, const View *b)
{
	return g_strv_equal ((const char *const *) a->keywords, (const char *const *) b->keywords);
}

/* What the client is to see now: @newest, with what was removed as long as that can't be told. */
static View *
next_view (const ImapdSession *s, View *newest, const UidSet *removed, gboolean expunge)
{
	if (expunge || uid_set_is_empty (removed))
		return view_ref (newest);
	g_auto (UidSet) both = {0};
	uid_set_copy (&both, &newest->uids);
	uid_set_add_set (&both, removed);
	return view_with (newest, &both);
}

static void
tell (ImapdSession *s, View *newest, const GArray *changed, gboolean expunge)
{
	g_auto (UidSet) removed = {0};
	uid_set_copy (&removed, &s->view->uids);
	uid_set_remove_set (&removed, &newest->uids);
	gboolean new_words = !same_keywords (s->view, newest);
	g_autoptr (View) next = next_view (s, newest, &removed, expunge);
	if (expunge && !uid_set_is_empty (&removed))
		write_expunged (s, &removed);
	guint32 left = s->view->count - (expunge ? (guint32) uid_set_count (&removed) : 0);
	view_unref (s->view);
	s->view = g_steal_pointer (&next);
	if (s->view->count != left)
		write_number (s, s->view->count, "EXISTS");
	if (new_words)
		write_flags (s);
	for (guint i = 0; i < changed->len; i++)
		session_write_flags (s, &g_array_index (changed, Placement, i), s->condstore);
}

void
session_announce (ImapdSession *s, Store *store, gboolean expunge)
{
	g_autoptr (GArray) changed = placements_new ();
	g_autoptr (GError) error = NULL;
	Collected c = {s, changed};
	if (!store_read_begin (store, &error))
		return;
	g_autoptr (View) newest = mailbox_view (s->mailbox, store, s->view->folder, &error);
	gboolean ok = newest && (newest->modseq <= s->view->modseq ||
	                         store_each_placement (store, s->view->folder, s->view->modseq, collect_change, &c, &error));
	store_read_end (store);
	if (ok && (newest->modseq > s->view->modseq || (expunge && newest->count != s->view->count)))
		tell (s, newest, changed, expunge);
	else if (error_is (error, ERROR_NOT_FOUND))
		imapd_session_bye (s, "the selected folder was deleted");
}

/* ---- SELECT ---- */

typedef struct {
	gboolean qresync;
	guint32 uidvalidity;
	guint64 modseq;
	UidSet known;
} Resync;

static void
resync_clear (Resync *r)
{
	uid_set_clear (&r->known);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Resync, resync_clear)

/* (uidvalidity modseq [known-uids [(numbers uids)]]), RFC 7162 section 3.2.5. The pairs only save octets and are not looked at. */
static gboolean
take_resync (ImapdSession *s, const ImapNode *list, Resync *r)
{
	guint64 validity, modseq;
	const ImapNode *known = node_at (list, 2);
	if (!s->qresync)
		return session_bad (s, "ENABLE QRESYNC comes first");
	if (!list || list->kind != NODE_LIST || node_count (list) > 4 || !slice_to_number (node_text (node_at (list, 0)), &validity) ||
	    !slice_to_number (node_text (node_at (list, 1)), &modseq) || validity > G_MAXUINT32 || modseq > G_MAXINT64 ||
	    (known && known->kind != NODE_LIST && !uid_set_take_text (&r->known, node_text (known), 100000)))
		return session_bad (s, "QRESYNC wants a UIDVALIDITY and a number of the change sequence");
	if (s->uidonly && node_at (list, 3))
		return session_wants_uids (s);
	r->qresync = TRUE;
	r->uidvalidity = (guint32) validity;
	r->modseq = modseq;
	return TRUE;
}

static gboolean
take_select_options (ImapdSession *s, const ImapNode *list, Resync *r)
{
	if (list && list->kind != NODE_LIST)
		return session_bad (s, "a list of options is all that may follow the name");
	for (const ImapNode *n = node_first (list); n; n = node_next (n)) {
		if (node_is_word (n, "CONDSTORE"))
			s->condstore = TRUE;
		else if (node_is_word (n, "QRESYNC")) {
			if (!take_resync (s, node_next (n), r))
				return FALSE;
			n = node_next (n);
		} else
			return session_bad (s, "an unknown option of SELECT");
	}
	return TRUE;
}

static void
write_selected (ImapdSession *s, const Folder *f)
{
	char id[ID_TEXT_SIZE];
	write_number (s, s->view->count, "EXISTS");
	if (!s->rev2)
		write_number (s, 0, "RECENT");
	write_flags (s);
	imap_write_status_begin (&s->out, NULL, "OK", "UIDVALIDITY");
	imap_write_number (&s->out, s->view->uidvalidity);
	imap_write_status_end (&s->out, "UIDs stay valid");
	imap_write_status_begin (&s->out, NULL, "OK", "UIDNEXT");
	imap_write_number (&s->out, s->view->uidnext);
	imap_write_status_end (&s->out, "the next UID");
	imap_write_status_begin (&s->out, NULL, "OK", "HIGHESTMODSEQ");
	imap_write_number (&s->out, s->view->modseq);
	imap_write_status_end (&s->out, "changes are numbered");
	id128_text (&f->object_id, id);
	g_string_append_printf (s->out.text, "* OK [MAILBOXID (%s)] the folder's id\r\n", id);
	/* RFC 9051 section 6.3.2: which name it is. */
	static const char *const none[] = {NULL};
	const ImapListed listed = {.attributes = none, .delimiter = '/', .name = g_ascii_strcasecmp (f->path, "INBOX") == 0 ? "INBOX" : f->path};
	if (s->out.utf8)
		imap_write_listed (&s->out, "LIST", &listed);
}

/* What the client missed while it was away. */
static gboolean
write_missed (ImapdSession *s, const Resync *r, UidSet *vanished, const GArray *changed)
{
	if (!uid_set_is_empty (&r->known)) {
		g_auto (UidSet) unknown = {0};
		uid_set_copy (&unknown, vanished);
		uid_set_remove_set (&unknown, &r->known);
		uid_set_remove_set (vanished, &unknown);
	}
	if (!uid_set_is_empty (vanished))
		imap_write_vanished (&s->out, TRUE, vanished);
	for (guint i = 0; i < changed->len; i++) {
		const Placement *p = &g_array_index (changed, Placement, i);
		if (uid_set_is_empty (&r->known) || uid_set_contains (&r->known, p->uid))
			session_write_flags (s, p, TRUE);
	}
	return TRUE;
}

static gboolean
collect_all (gpointer list, const Placement *p)
{
	Placement copy = *p;
	copy.keywords = g_strdup (p->keywords);
	g_array_append_val ((GArray *) list, copy);
	return TRUE;
}

static void
select_folder (ImapdSession *s, gboolean read_only)
{
	g_auto (Resync) r = {0};
	g_auto (UidSet) vanished = {0};
	g_autoptr (GArray) changed = placements_new ();
	const ImapNode *name = imap_command_arg (s->command, 0);
	GError *error = NULL;
	if (!node_is_astring (name)) {
		session_bad (s, "a folder's name is expected");
		return;
	}
	if (!take_select_options (s, node_next (name), &r))
		return;
	if (s->state == STATE_SELECTED) { /* also if what follows fails */
		session_unselect (s);
		imap_write_status (&s->out, NULL, "OK", "CLOSED", "the folder selected before is closed");
	}
	Store *store = session_store (s);
	if (!store)
		return;
	if (!store_read_begin (store, &error)) {
		session_fail (s, error);
		return;
	}
	g_autoptr (Folder) f = session_selectable (s, store, name, "NONEXISTENT");
	g_autoptr (View) v = f ? mailbox_view (s->mailbox, store, f->id, &error) : NULL;
	gboolean ok = v && (!r.qresync || r.uidvalidity != v->uidvalidity ||
	                    (store_removed_uids (store, f->id, r.modseq, &vanished, &error) &&
	                     store_each_placement (store, f->id, r.modseq, collect_all, changed, &error)));
	store_read_end (store);
	if (!ok) {
		if (error)
			session_fail (s, error);
		return;
	}
	s->read_only = read_only || f->local_only;
	session_set_view (s, g_steal_pointer (&v));
	session_set_folder (s, f->path);
	write_selected (s, f);
	write_missed (s, &r, &vanished, changed);
	g_string_assign (s->code, s->read_only ? "READ-ONLY" : "READ-WRITE");
}

void
run_select (ImapdSession *s)
{
	select_folder (s, FALSE);
}

void
run_examine (ImapdSession *s)
{
	select_folder (s, TRUE);
}

void
run_unselect (ImapdSession *s)
{
	session_unselect (s);
}
