/* SPDX-License-Identifier: Apache-2.0 */
/* All folders with their state: in one flight with LIST-EXTENDED and LIST-STATUS (RFC 5258, 5819), in two on a bare server. */
#include "imap-private.h"
#include <string.h>

#define FOLDERS_LIMIT 100000
#define NAME_LIMIT 2000
#define UNFIT_LIMIT 20
#define STATUS_IN_FLIGHT 100

typedef struct {
	ImapEndpoint *e;
	GPtrArray *folders;    /* RemoteFolder */
	GPtrArray *unfit;      /* those that can only be told of */
	GHashTable *by_name;   /* wire name -> RemoteFolder, borrowed */
	GQueue asked;          /* those whose STATUS is to be answered, borrowed */
	gboolean lsub;         /* LIST does not tell subscriptions */
	gboolean refused;      /* the server said BAD to what its capabilities promised */
	gboolean too_many;
} Listing;

static void
listing_init (Listing *l, ImapEndpoint *e)
{
	*l = (Listing) {e, g_ptr_array_new_with_free_func ((GDestroyNotify) remote_folder_free),
	                g_ptr_array_new_with_free_func ((GDestroyNotify) remote_folder_free), g_hash_table_new (g_str_hash, g_str_equal)};
}

static void
listing_clear (Listing *l)
{
	g_clear_pointer (&l->by_name, g_hash_table_unref);
	g_clear_pointer (&l->folders, g_ptr_array_unref);
	g_clear_pointer (&l->unfit, g_ptr_array_unref);
	g_queue_clear (&l->asked);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Listing, listing_clear)

/* INBOX in any case is one folder (RFC 9051 5.1). */
static char *
name_of (Slice wire)
{
	return slice_equals_ascii_case (wire, "INBOX") ? g_strdup ("INBOX") : g_strndup (wire.data, wire.size);
}

/* A quoted string can't hold line ends or NUL, and a name with them is no folder that anybody means. */
static gboolean
name_can_be_said (Slice wire)
{
	for (gsize i = 0; i < wire.size; i++)
		if ((guchar) wire.data[i] < ' ' || wire.data[i] == 0x7f)
			return FALSE;
	return wire.size > 0 && wire.size <= NAME_LIMIT;
}

static void
listing_add_unfit (Listing *l, Slice wire)
{
	g_autofree char *start = g_strndup (wire.data, MIN (wire.size, 40));
	RemoteFolder *f = g_new0 (RemoteFolder, 1);
	f->name = g_strescape (start, NULL);
	f->leaf = g_strdup (f->name);
	f->unfit = TRUE;
	g_ptr_array_add (l->unfit, f);
}

static RemoteFolder *
listing_folder (Listing *l, Slice wire, gboolean create)
{
	if (!name_can_be_said (wire)) {
		if (create && wire.size > 0 && l->unfit->len < UNFIT_LIMIT)
			listing_add_unfit (l, wire);
		return NULL;
	}
	g_autofree char *name = name_of (wire);
	RemoteFolder *f = g_hash_table_lookup (l->by_name, name);
	l->too_many |= l->folders->len >= FOLDERS_LIMIT;
	if (f || !create || l->too_many)
		return f;
	f = g_new0 (RemoteFolder, 1);
	f->name = g_steal_pointer (&name);
	f->selectable = TRUE;
	g_ptr_array_add (l->folders, f);
	g_hash_table_insert (l->by_name, f->name, f);
	return f;
}

static void
folder_take_attribute (RemoteFolder *f, const char *attribute)
{
	const char *role = role_of_attribute (attribute);
	if (g_ascii_strcasecmp (attribute, "\\NoSelect") == 0 || g_ascii_strcasecmp (attribute, "\\NonExistent") == 0)
		f->selectable = FALSE;
	else if (g_ascii_strcasecmp (attribute, "\\Subscribed") == 0)
		f->subscribed = TRUE;
	else if (role && !f->role)
		f->role = g_strdup (role);
}

static char
delimiter_of (const ImapNode *n)
{
	return !node_is_nil (n) && node_text (n).size == 1 ? *node_text (n).data : 0;
}

static void
listing_take_list (Listing *l, const ImapResponse *r)
{
	RemoteFolder *f = listing_folder (l, reply_text (r, 2), TRUE);
	if (!f)
		return;
	const ImapNode *attributes = reply_arg (r, 0);
	for (guint i = 0; i < node_count (attributes); i++) {
		g_autofree char *attribute = slice_dup (node_text (node_at (attributes, i)));
		folder_take_attribute (f, attribute);
	}
	f->delimiter = delimiter_of (reply_arg (r, 1));
}

/* RFC 8474 section 7 */
static gboolean
is_object_id (Slice id)
{
	for (gsize i = 0; i < id.size; i++)
		if (!g_ascii_isalnum (id.data[i]) && id.data[i] != '-' && id.data[i] != '_')
			return FALSE;
	return id.size > 0 && id.size <= 255;
}

static void
listing_take_status (Listing *l, const ImapResponse *r)
{
	RemoteFolder *f = listing_folder (l, reply_text (r, 0), FALSE);
	const ImapNode *items = reply_arg (r, 1);
	if (!f)
		return;
	f->has_status = TRUE;
	for (guint i = 0; i + 1 < node_count (items); i += 2) {
		Slice item = node_text (node_at (items, i));
		const ImapNode *value = node_at (items, i + 1);
		if (slice_equals_ascii_case (item, "MESSAGES"))
			f->messages = node_number (value);
		else if (slice_equals_ascii_case (item, "UIDNEXT"))
			f->uidnext = node_number (value);
		else if (slice_equals_ascii_case (item, "UIDVALIDITY"))
			f->uidvalidity = node_number (value);
		else if (slice_equals_ascii_case (item, "HIGHESTMODSEQ"))
			f->highestmodseq = node_number (value);
		else if (slice_equals_ascii_case (item, "MAILBOXID") && !f->id && is_object_id (node_text (node_at (value, 0))))
			f->id = slice_dup (node_text (node_at (value, 0)));
	}
}

static ImapHeard
listing_hear (gpointer data, const ImapResponse *r, GError **error)
{
	Listing *l = data;
	if (reply_is (r, "LIST") || reply_is (r, "XLIST"))
		listing_take_list (l, r);
	else if (reply_is (r, "STATUS"))
		listing_take_status (l, r);
	else if (reply_is (r, "LSUB")) {
		RemoteFolder *f = listing_folder (l, reply_text (r, 2), FALSE);
		if (f)
			f->subscribed = TRUE;
	} else
		return IMAP_PASSED;
	return IMAP_TAKEN;
}

static gboolean
listing_answered (gpointer data, const ImapAnswer *a, GError **error)
{
	Listing *l = data;
	if (imap_answer_is_temporary (a))
		return error_fail (error, ERROR_TEMPORARY, "the folders can't be listed now: the server said: %s", a->text);
	l->refused |= a->outcome != IMAP_OK;
	return TRUE;
}

/* Cyrus up to 3.6 at least answers STATUS MAILBOXID with octets of freed memory, other ones each time; in SELECT it is right. One whose
 * greeting does not name it says so only in its answer to ID, which comes along with the list. */
static gboolean
lies_about_ids (ImapSession *s)
{
	const char *software = imap_session_software (s);
	return software && strstr (software, "Cyrus");
}

static char *
status_items (ImapSession *s)
{
	return g_strdup_printf ("(MESSAGES UIDNEXT UIDVALIDITY%s%s)",
	                        imap_session_has_condstore (s) ? " HIGHESTMODSEQ" : "",
	                        imap_session_can (s, "OBJECTID") && !lies_about_ids (s) ? " MAILBOXID" : "");
}

static gboolean
list_extended (Listing *l, ImapSession *s, GError **error)
{
	g_autofree char *items = status_items (s);
	g_autofree char *text = g_strdup_printf ("LIST \"\" \"*\" RETURN (%sSUBSCRIBED%s%s%s)",
	                                         imap_session_can (s, "SPECIAL-USE") ? "SPECIAL-USE " : "",
	                                         imap_session_can (s, "LIST-STATUS") ? " STATUS " : "",
	                                         imap_session_can (s, "LIST-STATUS") ? items : "", "");
	imap_session_send (s, text, listing_hear, listing_answered, l);
	return imap_session_settle (s, 0, error);
}

static gboolean
list_plain (Listing *l, ImapSession *s, GError **error)
{
	gboolean xlist = imap_session_can (s, "XLIST") && !imap_session_can (s, "SPECIAL-USE");
	l->refused = FALSE;
	g_ptr_array_set_size (l->unfit, 0); /* the same come again */
	imap_session_send (s, xlist ? "XLIST \"\" \"*\"" : "LIST \"\" \"*\"", listing_hear, listing_answered, l);
	imap_session_send (s, "LSUB \"\" \"*\"", listing_hear, NULL, l);
	return imap_session_settle (s, 0, error);
}

/* Dovecot lists a folder that was removed as one with others below it, without saying that it can't be opened, and has no code for that. */
static gboolean
status_answered (gpointer data, const ImapAnswer *answer, GError **error)
{
	Listing *l = data;
	RemoteFolder *f = g_queue_pop_head (&l->asked);
	gboolean gone = strcmp (answer->code, "NONEXISTENT") == 0 || (!*answer->code && g_str_has_prefix (answer->text, "Mailbox doesn't exist"));
	if (f && answer->outcome == IMAP_NO && gone && strcmp (f->name, "INBOX") != 0)
		f->selectable = FALSE;
	return TRUE;
}

/* STATUS of the folders for which LIST did not bring it. The selected folder's may be asked too (RFC 9051 6.3.11 permits it). */
static gboolean
list_status (Listing *l, ImapSession *s, GError **error)
{
	g_autofree char *items = status_items (s);
	for (guint i = 0; i < l->folders->len; i++) {
		RemoteFolder *f = l->folders->pdata[i];
		if (!f->selectable || f->has_status)
			continue;
		g_autoptr (GString) text = g_string_new ("STATUS ");
		text_add_name (text, f->name);
		g_string_append_printf (text, " %s", items);
		g_queue_push_tail (&l->asked, f);
		imap_session_send (s, text->str, listing_hear, status_answered, l);
		if (!imap_session_settle (s, STATUS_IN_FLIGHT, error))
			return FALSE;
	}
	return imap_session_settle (s, 0, error);
}

static gint
folder_order (gconstpointer a, gconstpointer b)
{
	const RemoteFolder *f = *(RemoteFolder *const *) a, *g = *(RemoteFolder *const *) b;
	gboolean f_inbox = strcmp (f->name, "INBOX") == 0, g_inbox = strcmp (g->name, "INBOX") == 0;
	return f_inbox != g_inbox ? (f_inbox ? -1 : 1) : strcmp (f->name, g->name);
}

static void
listing_drop_foreign (Listing *l)
{
	l->e->shared = 0;
	for (guint i = l->folders->len; i > 0; i--) {
		RemoteFolder *f = l->folders->pdata[i - 1];
		if (name_is_personal (&l->e->space, f->name, f->selectable))
			continue;
		l->e->shared += f->selectable;
		g_hash_table_remove (l->by_name, f->name);
		g_ptr_array_remove_index (l->folders, i - 1);
	}
}

/* A server need not list a folder that only is there because others lie below it (RFC 9051 6.3.9.1). */
static void
listing_add_parent (Listing *l, const RemoteFolder *child)
{
	guint known = l->folders->len;
	if (!child->parent)
		return;
	RemoteFolder *f = listing_folder (l, (Slice) {child->parent, strlen (child->parent)}, TRUE);
	if (l->folders->len == known)
		return;
	f->selectable = FALSE;
	f->delimiter = child->delimiter;
}

/* Without NAMESPACE nothing else tells that INBOX is the root of all. */
static gboolean
are_all_below_inbox (const Listing *l)
{
	gboolean all = !l->e->space.personal;
	for (guint i = 0; i < l->folders->len && all; i++) {
		const RemoteFolder *f = l->folders->pdata[i];
		all = g_ascii_strcasecmp (f->name, "INBOX") == 0 || (f->delimiter && g_ascii_strncasecmp (f->name, "INBOX", 5) == 0 && f->name[5] == f->delimiter);
	}
	return all;
}

/* An INBOX that LIST forgot (some servers list it only when subscribed) is there all the same. */
static void
listing_finish (Listing *l)
{
	listing_folder (l, (Slice) {"INBOX", 5}, l->folders->len > 0);
	listing_drop_foreign (l);
	for (guint i = 0; i < l->folders->len; i++) { /* it grows */
		RemoteFolder *f = l->folders->pdata[i];
		if (strcmp (f->name, "INBOX") == 0) {
			g_free (f->role);
			f->role = g_strdup ("inbox");
		}
		if (!l->e->space.delimiter) /* NAMESPACE was refused, or wrong */
			l->e->space.delimiter = f->delimiter;
		folder_place (f, &l->e->space, f->delimiter);
		listing_add_parent (l, f);
	}
	l->e->space.all_below_inbox = are_all_below_inbox (l);
	g_ptr_array_sort (l->folders, folder_order);
	roles_guess (l->folders);
}

static void
listing_drop_ids (Listing *l)
{
	for (guint i = 0; i < l->folders->len; i++)
		g_clear_pointer (&((RemoteFolder *) l->folders->pdata[i])->id, g_free);
}

static void
list_told (Listing *l)
{
	l->e->tree_changed = FALSE;
	for (guint i = 0; i < l->folders->len; i++) {
		RemoteFolder *f = l->folders->pdata[i];
		FolderState state = {f->messages, f->uidnext, f->uidvalidity, f->highestmodseq, f->has_status};
		endpoint_told (l->e, f->name, &state);
	}
}

static gboolean
list_once (ImapEndpoint *e, GPtrArray **folders_out, GError **error)
{
	ImapSession *s = endpoint_session (e, error);
	if (!s)
		return FALSE;
	g_auto (Listing) l;
	listing_init (&l, e);
	imap_session_enable (s);
	if (!e->space_known && !endpoint_learn_space (e, s, error))
		return FALSE;
	gboolean extended = imap_session_can (s, "LIST-EXTENDED");
	if (extended && !list_extended (&l, s, error))
		return FALSE;
	if ((!extended || l.refused) && !list_plain (&l, s, error))
		return FALSE;
	if (l.folders->len == 0)
		return error_fail (error, ERROR_PROTOCOL, "the server lists no folder at all, not even INBOX");
	listing_finish (&l);
	if (l.too_many) /* the rest would seem to be gone */
		return error_fail (error, ERROR_TOO_BIG, "the server lists over %d folders", FOLDERS_LIMIT);
	if (!list_status (&l, s, error))
		return FALSE;
	if (lies_about_ids (s))
		listing_drop_ids (&l);
	list_told (&l);
	g_ptr_array_extend_and_steal (l.folders, g_steal_pointer (&l.unfit));
	*folders_out = g_steal_pointer (&l.folders);
	return TRUE;
}

gboolean
imap_list (Endpoint *endpoint, GPtrArray **folders_out, GError **error)
{
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	g_autoptr (GError) local = NULL;
	for (guint tries = 0; !list_once (e, folders_out, &local);)
		if (!endpoint_retry (e, &tries, &local)) {
			g_propagate_error (error, g_steal_pointer (&local));
			return FALSE;
		}
	return TRUE;
}

/* ("INBOX." "."): the first personal one is where new folders go. */
static void
space_take (NameSpace *space, const ImapNode *n, gboolean personal)
{
	g_autofree char *prefix = slice_dup (node_text (node_at (n, 0)));
	if (node_count (n) < 2)
		return;
	if (personal && !space->personal)
		name_space_set (space, prefix, delimiter_of (node_at (n, 1)));
	name_space_add (space, prefix, personal);
}

static ImapHeard
space_hear (gpointer data, const ImapResponse *r, GError **error)
{
	ImapEndpoint *e = data;
	if (!reply_is (r, "NAMESPACE"))
		return IMAP_PASSED;
	for (guint kind = 0; kind < 3; kind++)
		for (const ImapNode *n = node_first (reply_arg (r, kind)); n; n = node_next (n))
			space_take (&e->space, n, kind == 0);
	return IMAP_TAKEN;
}

/* Without NAMESPACE the delimiter is what LIST "" "" says (RFC 9051 6.3.9). */
static ImapHeard
root_hear (gpointer data, const ImapResponse *r, GError **error)
{
	ImapEndpoint *e = data;
	/* Gmail calls the root by the delimiter */
	if (!reply_is (r, "LIST") || (reply_text (r, 2).size > 0 && !slice_equals (reply_text (r, 2), "/")))
		return IMAP_PASSED;
	name_space_set (&e->space, "", delimiter_of (reply_arg (r, 1)));
	return IMAP_TAKEN;
}

static gboolean
space_answered (gpointer data, const ImapAnswer *a, GError **error)
{
	((ImapEndpoint *) data)->space_known = TRUE;
	return TRUE;
}

/* Goes out in the same write as the LIST that follows: nothing waits here. */
gboolean
endpoint_learn_space (ImapEndpoint *e, ImapSession *s, GError **error)
{
	name_space_clear (&e->space);
	name_space_set (&e->space, "", 0);
	e->space.below_inbox = FALSE;
	e->space.utf8 = imap_session_is_rev2_only (s);
	if (imap_session_can (s, "NAMESPACE"))
		imap_session_send (s, "NAMESPACE", space_hear, space_answered, e);
	else
		imap_session_send (s, "LIST \"\" \"\"", root_hear, space_answered, e);
	return TRUE;
}
