/* SPDX-License-Identifier: Apache-2.0 */
/* NOTIFY (RFC 5465): what changes in other folders is told while no command is open. A session keeps the tree of folders that it told of last;
 * trees are immutable and shared, as views are, and what is told is the difference to the newest. */
#include "imapd-private.h"
#include <string.h>

#define GROUPS_MAX 50
#define NAMES_MAX 1000

enum { EVENT_NEW = 1, EVENT_EXPUNGE = 2, EVENT_FLAGS = 4, EVENT_NAME = 8, EVENT_SUBSCRIPTION = 16 };
#define EVENTS_OF_MESSAGES (EVENT_NEW | EVENT_EXPUNGE | EVENT_FLAGS)
#define EVENT_WORDS "MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange"

typedef enum { GROUP_SELECTED, GROUP_SELECTED_DELAYED, GROUP_INBOXES, GROUP_PERSONAL, GROUP_SUBSCRIBED, GROUP_SUBTREE, GROUP_MAILBOXES } GroupKind;
static const char *const group_words[] = {"SELECTED", "SELECTED-DELAYED", "INBOXES", "PERSONAL", "SUBSCRIBED", "SUBTREE", "MAILBOXES"};

typedef struct {
	GroupKind kind;
	char **names; /* of SUBTREE and MAILBOXES */
	guint events;
} Group;

struct Notify {
	GArray *groups; /* of Group; the first that a folder belongs to counts */
	Tree *told;
	gint64 left; /* the folder that was selected; 0: none, or it was looked at behind that */
	guint64 left_modseq;
};

static void
group_done (Group *g)
{
	g_strfreev (g->names);
}

void
notify_free (Notify *n)
{
	if (!n)
		return;
	g_array_unref (n->groups);
	tree_unref (n->told);
	g_free (n);
}

/* ---- The command ---- */

static gboolean
take_event (ImapdSession *s, const ImapNode *word, Group *g)
{
	static const struct {
		const char *word;
		guint event;
	} events[] = {{"MESSAGENEW", EVENT_NEW}, {"MESSAGEEXPUNGE", EVENT_EXPUNGE}, {"FLAGCHANGE", EVENT_FLAGS}, {"MAILBOXNAME", EVENT_NAME},
	              {"SUBSCRIPTIONCHANGE", EVENT_SUBSCRIPTION}};
	for (guint i = 0; i < G_N_ELEMENTS (events); i++)
		if (node_is_word (word, events[i].word)) {
			g->events |= events[i].event;
			return TRUE;
		}
	if (word->kind == NODE_LIST) /* what of new messages is to be fetched at once */
		return session_no (s, "CANNOT", "new messages are told of, not sent");
	return session_no (s, "BADEVENT (" EVENT_WORDS ")", "there is no such event");
}

static gboolean
take_events (ImapdSession *s, const ImapNode *n, Group *g)
{
	guint together = 0;
	if (node_is_word (n, "NONE"))
		return TRUE;
	if (!n || n->kind != NODE_LIST || node_count (n) == 0)
		return session_bad (s, "a list of events is expected");
	for (const ImapNode *word = node_first (n); word; word = node_next (word))
		if (!take_event (s, word, g))
			return FALSE;
	/* RFC 5465 section 5: numbers need both, flags need them, too */
	together = g->events & EVENTS_OF_MESSAGES;
	return together == 0 || (together & (EVENT_NEW | EVENT_EXPUNGE)) == (EVENT_NEW | EVENT_EXPUNGE) ||
	       session_bad (s, "MessageNew, MessageExpunge and FlagChange want the first two together");
}

static gboolean
take_names (ImapdSession *s, const ImapNode *n, Group *g)
{
	g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
	const ImapNode *one = n && n->kind == NODE_LIST ? node_first (n) : n;
	for (; one && names->len < NAMES_MAX; one = n->kind == NODE_LIST ? node_next (one) : NULL) {
		char *name = node_is_astring (one) ? session_name (s, one) : NULL;
		if (!name)
			return session_bad (s, "a folder's name is expected");
		g_ptr_array_add (names, name);
	}
	if (one || names->len == 0)
		return session_bad (s, "1 to %d folders' names are expected", NAMES_MAX);
	g_ptr_array_add (names, NULL);
	g->names = (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
	return TRUE;
}

static gboolean
take_group (ImapdSession *s, const ImapNode *list, Group *g)
{
	const ImapNode *n = node_first (list);
	guint i = 0;
	while (i < G_N_ELEMENTS (group_words) && !node_is_word (n, group_words[i]))
		i++;
	if (list->kind != NODE_LIST || i == G_N_ELEMENTS (group_words))
		return session_bad (s, "a group of folders and its events are expected");
	g->kind = (GroupKind) i;
	n = node_next (n);
	if (g->kind >= GROUP_SUBTREE) {
		if (!take_names (s, n, g))
			return FALSE;
		n = node_next (n);
	}
	return take_events (s, n, g) && (!node_next (n) || session_bad (s, "too much in a group"));
}

static Notify *
take_set (ImapdSession *s, const ImapNode *n)
{
	Notify *notify = g_new0 (Notify, 1);
	notify->groups = g_array_new (FALSE, FALSE, sizeof (Group));
	g_array_set_clear_func (notify->groups, (GDestroyNotify) group_done);
	gboolean ok = n != NULL || session_bad (s, "a group of folders and its events are expected");
	for (; ok && n; n = node_next (n)) {
		Group g = {0};
		ok = notify->groups->len < GROUPS_MAX ? take_group (s, n, &g) : session_no (s, "NOTIFICATIONOVERFLOW", "too many groups");
		g_array_append_val (notify->groups, g);
	}
	if (ok)
		return notify;
	notify_free (notify);
	return NULL;
}

/* ---- What a folder's events are ---- */

static gboolean
is_below (const char *path, const char *above)
{
	gsize n = strlen (above);
	return strcmp (path, above) == 0 || (strncmp (path, above, n) == 0 && path[n] == '/');
}

static gboolean
belongs (const Group *g, const Folder *f)
{
	gboolean found = FALSE;
	switch (g->kind) {
	case GROUP_SELECTED:
	case GROUP_SELECTED_DELAYED:
		return FALSE;
	case GROUP_INBOXES:
		return g_ascii_strcasecmp (f->path, "INBOX") == 0 || g_strcmp0 (f->role, "inbox") == 0;
	case GROUP_PERSONAL:
		return TRUE;
	case GROUP_SUBSCRIBED:
		return f->subscribed;
	case GROUP_SUBTREE:
	case GROUP_MAILBOXES:
		for (char **name = g->names; *name && !found; name++)
			found = g->kind == GROUP_SUBTREE ? is_below (f->path, *name) : strcmp (f->path, *name) == 0;
		return found;
	}
	g_assert_not_reached ();
}

static guint
events_of (const Notify *n, const Folder *f)
{
	for (guint i = 0; i < n->groups->len; i++) {
		const Group *g = &g_array_index (n->groups, Group, i);
		if (belongs (g, f))
			return g->events;
	}
	return 0;
}

gboolean
notify_selected (const Notify *n, gboolean *expunge_out)
{
	for (guint i = 0; n && i < n->groups->len; i++) {
		const Group *g = &g_array_index (n->groups, Group, i);
		*expunge_out = g->kind == GROUP_SELECTED;
		if (g->kind <= GROUP_SELECTED_DELAYED && g->events & EVENTS_OF_MESSAGES)
			return TRUE;
	}
	return FALSE;
}

/* ---- Telling ---- */

static const char *
shown_name (const Folder *f)
{
	return g_ascii_strcasecmp (f->path, "INBOX") == 0 ? "INBOX" : f->path;
}

static void
tell_status (ImapdSession *s, const Folder *f)
{
	const ImapStatusItem items[] = {{.item = "MESSAGES", .number = f->total}, {.item = "UIDNEXT", .number = f->uidnext},
	                                {.item = "UIDVALIDITY", .number = f->uidvalidity}, {.item = "UNSEEN", .number = f->unread},
	                                {.item = "HIGHESTMODSEQ", .number = f->changed_modseq}};
	if (f->selectable && !(s->view && s->view->folder == f->id))
		imap_write_status_items (&s->out, shown_name (f), items, s->condstore ? 5 : 4);
}

static void
tell_name (ImapdSession *s, const Folder *f, const char *old_name, gboolean gone)
{
	const char *attributes[4];
	guint n = 0;
	if (gone)
		attributes[n++] = "\\NonExistent";
	else if (!f->selectable)
		attributes[n++] = "\\Noselect";
	if (f->subscribed && !gone)
		attributes[n++] = "\\Subscribed";
	attributes[n] = NULL;
	const ImapListed listed = {.attributes = attributes, .delimiter = '/', .name = shown_name (f), .old_name = old_name};
	imap_write_listed (&s->out, "LIST", &listed);
}

static void
tell_folder (ImapdSession *s, const Folder *old, const Folder *f)
{
	guint events = events_of (s->notify, f);
	if (events & EVENT_NAME && (!old || strcmp (old->path, f->path) != 0))
		tell_name (s, f, old ? old->path : NULL, FALSE);
	else if (events & EVENT_SUBSCRIPTION && old && old->subscribed != f->subscribed)
		tell_name (s, f, NULL, FALSE);
	gboolean numbers = old && (old->total != f->total || old->uidnext != f->uidnext);
	gboolean flags = old && !numbers && old->changed_modseq != f->changed_modseq && f->modseq != f->changed_modseq;
	if ((numbers && events & EVENT_NEW) || (flags && events & EVENT_FLAGS))
		tell_status (s, f);
}

static GHashTable *
by_id (const Tree *t)
{
	GHashTable *table = g_hash_table_new (g_int64_hash, g_int64_equal);
	for (guint i = 0; i < t->folders->len; i++) {
		Folder *f = t->folders->pdata[i];
		g_hash_table_insert (table, &f->id, f);
	}
	return table;
}

void
notify_left (Notify *n, const View *v)
{
	n->left = v->folder;
	n->left_modseq = v->modseq;
}

gboolean
notify_has_left (const Notify *n)
{
	return n->left != 0;
}

/* While a folder is selected, its changes go by what is told of that, and only where a command allows it. */
static void
tell_left (ImapdSession *s, GHashTable *before, GHashTable *now)
{
	Notify *n = s->notify;
	const Folder *old = g_hash_table_lookup (before, &n->left), *f = g_hash_table_lookup (now, &n->left);
	gboolean passed_over = old && old->changed_modseq > n->left_modseq && f && f->changed_modseq == old->changed_modseq;
	n->left = 0;
	if (passed_over && events_of (n, f) & EVENTS_OF_MESSAGES)
		tell_status (s, f);
}

void
notify_tell (ImapdSession *s, Store *store)
{
	g_autoptr (Tree) newest = mailbox_tree (s->mailbox, store, NULL);
	Tree *told = s->notify->told;
	if (!newest || (newest->modseq == told->modseq && !s->notify->left))
		return;
	g_autoptr (GHashTable) before = by_id (told), now = by_id (newest);
	if (s->notify->left)
		tell_left (s, before, now);
	for (guint i = 0; i < told->folders->len; i++) {
		const Folder *f = told->folders->pdata[i];
		if (!g_hash_table_contains (now, &f->id) && events_of (s->notify, f) & EVENT_NAME)
			tell_name (s, f, NULL, TRUE);
	}
	for (guint i = 0; i < newest->folders->len; i++) {
		const Folder *f = newest->folders->pdata[i];
		tell_folder (s, g_hash_table_lookup (before, &f->id), f);
		session_flush (s, FALSE);
	}
	tree_unref (told);
	s->notify->told = g_steal_pointer (&newest);
}

void
run_notify (ImapdSession *s)
{
	const ImapNode *n = imap_command_arg (s->command, 0);
	GError *error = NULL;
	if (node_is_word (n, "NONE") && !node_next (n)) {
		g_clear_pointer (&s->notify, notify_free);
		return;
	}
	if (!node_is_word (n, "SET")) {
		session_bad (s, "NOTIFY wants NONE, or SET and groups");
		return;
	}
	n = node_next (n);
	gboolean status = node_is_word (n, "STATUS");
	Store *store = session_store (s);
	Notify *notify = store ? take_set (s, status ? node_next (n) : n) : NULL;
	if (!notify)
		return;
	notify->told = mailbox_tree (s->mailbox, store, &error);
	if (!notify->told) {
		notify_free (notify);
		session_fail (s, error);
		return;
	}
	notify_free (s->notify);
	s->notify = notify;
	for (guint i = 0; status && i < notify->told->folders->len; i++)
		if (events_of (notify, notify->told->folders->pdata[i]) & EVENTS_OF_MESSAGES)
			tell_status (s, notify->told->folders->pdata[i]);
}
