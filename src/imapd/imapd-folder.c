/* SPDX-License-Identifier: Apache-2.0 */
/* Folders: LIST and its relatives (RFC 9051 section 6.3.9, RFC 5258, RFC 5819, RFC 6154), STATUS, and what changes the tree. */
#include "imapd-private.h"
#include "imap-role.h"
#include "imap-utf7.h"
#include <string.h>

#define DELIMITER '/'
#define PATTERNS_MAX 50
#define PATTERN_OCTETS_MAX 2000 /* of all patterns of a command: matching costs their octets times those of the names */

/* ---- Patterns ---- */

/* One row of the usual table: linear in name times pattern, whatever the pattern (CVE-2026-33607 was a backtracking matcher). */
static gboolean
pattern_matches (const char *pattern, const char *name)
{
	gsize n = strlen (name);
	g_autofree gboolean *row = g_new0 (gboolean, n + 1);
	row[0] = TRUE; /* row[i]: the pattern so far matches the first i octets */
	for (; *pattern; pattern++) {
		gboolean wild = *pattern == '*' || *pattern == '%', before = row[0];
		row[0] = row[0] && wild;
		for (gsize i = 1; i <= n; i++) {
			gboolean above = row[i];
			if (wild)
				row[i] = above || (row[i - 1] && (*pattern == '*' || name[i - 1] != DELIMITER));
			else
				row[i] = before && *pattern == name[i - 1];
			before = above;
		}
	}
	return row[n];
}

/* INBOX is INBOX in any case. */
static gboolean
list_matches (char *const *patterns, const char *name)
{
	for (; *patterns; patterns++) {
		if (pattern_matches (*patterns, name))
			return TRUE;
		if (g_ascii_strcasecmp (name, "INBOX") == 0) {
			g_autofree char *upper = g_ascii_strup (*patterns, -1);
			if (pattern_matches (upper, "INBOX"))
				return TRUE;
		}
	}
	return FALSE;
}

/* ---- LIST ---- */

typedef struct {
	GPtrArray *folders; /* of Folder */
	GHashTable *parents; /* paths that have folders below (borrowed strings owned here) */
	GHashTable *subscribed_below;
	char **patterns;
	gboolean extended, only_subscribed, only_special, recursive, tell_subscribed, tell_special, tell_rights;
	const ImapNode *status; /* items; NULL: none */
} ListArgs;

static void
list_args_clear (ListArgs *l)
{
	g_clear_pointer (&l->folders, g_ptr_array_unref);
	g_clear_pointer (&l->parents, g_hash_table_unref);
	g_clear_pointer (&l->subscribed_below, g_hash_table_unref);
	g_strfreev (l->patterns);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ListArgs, list_args_clear)

/* All paths above @path get into @set. */
static void
add_above (GHashTable *set, const char *path)
{
	for (const char *end = strrchr (path, DELIMITER); end; end = g_strrstr_len (path, end - path, "/"))
		if (!g_hash_table_add (set, g_strndup (path, (gsize) (end - path))))
			break;
}

static gboolean
read_tree (ImapdSession *s, Store *store, ListArgs *l)
{
	GError *error = NULL;
	l->folders = store_folders (store, &error);
	if (!l->folders)
		return session_fail (s, error);
	l->parents = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	l->subscribed_below = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 0; i < l->folders->len; i++) {
		const Folder *f = l->folders->pdata[i];
		add_above (l->parents, f->path);
		if (f->subscribed)
			add_above (l->subscribed_below, f->path);
	}
	return TRUE;
}

/* Names go as the mailbox has them, but INBOX. */
static const char *
shown_name (const Folder *f)
{
	return g_ascii_strcasecmp (f->path, "INBOX") == 0 ? "INBOX" : f->path;
}

static gboolean
list_one (ImapdSession *s, Store *store, const ListArgs *l, const Folder *f, const char *response)
{
	static const char *const below[] = {"SUBSCRIBED", NULL};
	const char *attributes[10], *special = f->role ? role_attribute (f->role) : NULL;
	guint n = 0;
	gboolean children_match = l->recursive && l->only_subscribed && g_hash_table_contains (l->subscribed_below, f->path);
	gboolean chosen = (!l->only_subscribed || f->subscribed) && (!l->only_special || special);
	if (!list_matches (l->patterns, f->path) || (!chosen && !children_match))
		return TRUE;
	if (!f->selectable)
		attributes[n++] = "\\Noselect";
	attributes[n++] = g_hash_table_contains (l->parents, f->path) ? "\\HasChildren" : "\\HasNoChildren";
	if (f->subscribed && (l->only_subscribed || l->tell_subscribed))
		attributes[n++] = "\\Subscribed";
	if (special && (!l->extended || l->only_special || l->tell_special))
		attributes[n++] = special;
	attributes[n] = NULL;
	const ImapListed listed = {.attributes = attributes, .delimiter = DELIMITER, .name = shown_name (f), .childinfo = children_match ? below : NULL};
	imap_write_listed (&s->out, response, &listed);
	if (l->tell_rights)
		acl_write_rights (s, f);
	return !l->status || !f->selectable || status_write (s, store, f, l->status);
}

/* A pattern as it came, in UTF-8, behind the reference. */
static char *
take_pattern (const ImapdSession *s, const char *reference, const ImapNode *n, gsize *octets)
{
	Slice wire = node_text (n);
	*octets += wire.size + strlen (reference);
	g_autofree char *pattern = !node_is_pattern (n) || *octets > PATTERN_OCTETS_MAX || memchr (wire.data, '\0', wire.size) ? NULL
	                           : s->out.utf8 ? slice_dup (wire) : utf7_decode (wire, FALSE);
	return pattern ? g_strconcat (reference, pattern, NULL) : NULL;
}

static gboolean
take_patterns (ImapdSession *s, const char *reference, const ImapNode *n, ListArgs *l)
{
	g_autoptr (GPtrArray) patterns = g_ptr_array_new_with_free_func (g_free);
	const ImapNode *one = n && n->kind == NODE_LIST ? node_first (n) : n;
	gsize octets = 0;
	if (!one || node_count (n) > PATTERNS_MAX)
		return session_bad (s, "1 to %d patterns are expected", PATTERNS_MAX);
	for (; one; one = n->kind == NODE_LIST ? node_next (one) : NULL) {
		char *pattern = take_pattern (s, reference, one, &octets);
		if (!pattern)
			return session_bad (s, octets > PATTERN_OCTETS_MAX ? "the patterns are too long" : "this can't be a pattern");
		g_ptr_array_add (patterns, pattern);
	}
	g_ptr_array_add (patterns, NULL);
	l->patterns = (char **) g_ptr_array_free (g_steal_pointer (&patterns), FALSE);
	return TRUE;
}

static gboolean
take_selections (ImapdSession *s, const ImapNode *list, ListArgs *l)
{
	for (const ImapNode *n = node_first (list); n; n = node_next (n)) {
		if (node_is_word (n, "SUBSCRIBED"))
			l->only_subscribed = TRUE;
		else if (node_is_word (n, "SPECIAL-USE"))
			l->only_special = TRUE;
		else if (node_is_word (n, "RECURSIVEMATCH"))
			l->recursive = TRUE;
		else if (!node_is_word (n, "REMOTE"))
			return session_bad (s, "an unknown selection option of LIST");
	}
	/* RFC 5258 section 3: it can't stand alone. */
	return !l->recursive || l->only_subscribed || l->only_special || session_bad (s, "RECURSIVEMATCH needs something to match");
}

static gboolean
take_returns (ImapdSession *s, const ImapNode *list, ListArgs *l)
{
	for (const ImapNode *n = node_first (list); n; n = node_next (n)) {
		if (node_is_word (n, "SUBSCRIBED"))
			l->tell_subscribed = TRUE;
		else if (node_is_word (n, "SPECIAL-USE"))
			l->tell_special = TRUE;
		else if (node_is_word (n, "MYRIGHTS") && s->settings->owner)
			l->tell_rights = TRUE;
		else if (node_is_word (n, "STATUS") && node_next (n) && node_next (n)->kind == NODE_LIST)
			l->status = n = node_next (n);
		else if (!node_is_word (n, "CHILDREN"))
			return session_bad (s, "an unknown return option of LIST");
	}
	return TRUE;
}

/* The arguments of LIST: [selections] reference patterns [RETURN (...)]. An empty pattern alone asks for the delimiter. */
static gboolean
take_list (ImapdSession *s, ListArgs *l, gboolean *delimiter_only_out)
{
	const ImapNode *n = imap_command_arg (s->command, 0);
	if (n && n->kind == NODE_LIST) {
		l->extended = TRUE;
		if (!take_selections (s, n, l))
			return FALSE;
		n = node_next (n);
	}
	g_autofree char *reference = n && node_is_astring (n) ? node_text (n).size ? session_name (s, n) : g_strdup ("") : NULL;
	if (!reference)
		return session_bad (s, "LIST wants a reference and a pattern");
	n = node_next (n);
	*delimiter_only_out = n && n->kind != NODE_LIST && node_text (n).size == 0 && !l->extended;
	if (!take_patterns (s, reference, n, l))
		return FALSE;
	n = node_next (n);
	if (!n)
		return TRUE;
	l->extended = TRUE;
	const ImapNode *returns = node_next (n);
	if (!node_is_word (n, "RETURN") || !returns || returns->kind != NODE_LIST || node_next (returns))
		return session_bad (s, "RETURN and a list is all that may follow the pattern");
	return take_returns (s, returns, l);
}

void
run_list (ImapdSession *s)
{
	g_auto (ListArgs) l = {0};
	gboolean delimiter_only = FALSE;
	Store *store = session_store (s);
	if (!store || !take_list (s, &l, &delimiter_only) || !read_tree (s, store, &l))
		return;
	g_assert (l.patterns);
	if (delimiter_only) {
		static const char *const attributes[] = {"\\Noselect", NULL};
		const ImapListed root = {.attributes = attributes, .delimiter = DELIMITER, .name = ""};
		imap_write_listed (&s->out, "LIST", &root);
		return;
	}
	for (guint i = 0; i < l.folders->len; i++)
		if (!list_one (s, store, &l, l.folders->pdata[i], "LIST"))
			return;
}

void
run_lsub (ImapdSession *s)
{
	g_auto (ListArgs) l = {.extended = TRUE};
	const ImapNode *n = imap_command_arg (s->command, 0);
	g_autofree char *reference = n && node_is_astring (n) ? node_text (n).size ? session_name (s, n) : g_strdup ("") : NULL;
	Store *store = session_store (s);
	if (!reference || node_count (imap_command_args (s->command)) != 2) {
		session_bad (s, "LSUB wants a reference and a pattern");
		return;
	}
	if (!store || !take_patterns (s, reference, node_next (n), &l) || !read_tree (s, store, &l))
		return;
	g_assert (l.patterns);
	for (guint i = 0; i < l.folders->len; i++) {
		const Folder *f = l.folders->pdata[i];
		/* RFC 3501 section 6.3.9: a name that is not subscribed but leads to one that is, is told of with \Noselect where % ends. */
		gboolean leads = !f->subscribed && g_hash_table_contains (l.subscribed_below, f->path) &&
		                 g_str_has_suffix (l.patterns[0], "%");
		static const char *const none[] = {NULL}, *const noselect[] = {"\\Noselect", NULL};
		if (!list_matches (l.patterns, f->path) || (!f->subscribed && !leads))
			continue;
		const ImapListed listed = {.attributes = leads || !f->selectable ? noselect : none, .delimiter = DELIMITER, .name = shown_name (f)};
		imap_write_listed (&s->out, "LSUB", &listed);
	}
}

void
run_namespace (ImapdSession *s)
{
	const ImapSpace own = {"", DELIMITER};
	imap_write_untagged (&s->out, "NAMESPACE");
	imap_write_spaces (&s->out, &own, 1);
	imap_write_spaces (&s->out, NULL, 0);
	imap_write_spaces (&s->out, NULL, 0);
	imap_write_end (&s->out);
}

/* ---- STATUS ---- */

static gboolean
add_deleted_size (gpointer sum, const Listing *l)
{
	*(guint64 *) sum += l->placement.flags & FLAG_DELETED ? l->message.size : 0;
	return TRUE;
}

static gboolean
add_deleted (gpointer sum, const Listing *l)
{
	*(guint64 *) sum += (l->placement.flags & FLAG_DELETED) != 0;
	return TRUE;
}

/* One that has to be counted. */
static gboolean
count_status (ImapdSession *s, Store *store, const Folder *f, ListingDepth depth, ListingFn fn, guint64 *number_out)
{
	GError *error = NULL;
	*number_out = 0;
	return store_list_range (store, f->id, 1, G_MAXUINT32, depth, fn, number_out, &error) || session_fail (s, error);
}

gboolean
status_write (ImapdSession *s, Store *store, const Folder *f, const ImapNode *list)
{
	ImapStatusItem items[16];
	char id[ID_TEXT_SIZE];
	guint n = 0;
	for (const ImapNode *word = node_first (list); word; word = node_next (word)) {
		ImapStatusItem item = {0};
		gboolean ok = TRUE;
		if (node_is_word (word, "MESSAGES"))
			item = (ImapStatusItem){.item = "MESSAGES", .number = f->total};
		else if (node_is_word (word, "UIDNEXT"))
			item = (ImapStatusItem){.item = "UIDNEXT", .number = f->uidnext};
		else if (node_is_word (word, "UIDVALIDITY"))
			item = (ImapStatusItem){.item = "UIDVALIDITY", .number = f->uidvalidity};
		else if (node_is_word (word, "UNSEEN"))
			item = (ImapStatusItem){.item = "UNSEEN", .number = f->unread};
		else if (node_is_word (word, "RECENT"))
			item = (ImapStatusItem){.item = "RECENT", .number = 0};
		else if (node_is_word (word, "HIGHESTMODSEQ")) {
			item = (ImapStatusItem){.item = "HIGHESTMODSEQ", .number = f->changed_modseq};
			s->condstore = TRUE; /* RFC 7162 section 3.1.2 */
		} else if (node_is_word (word, "MAILBOXID")) {
			id128_text (&f->object_id, id);
			item = (ImapStatusItem){.item = "MAILBOXID", .id = id};
		} else if (node_is_word (word, "APPENDLIMIT"))
			item = (ImapStatusItem){.item = "APPENDLIMIT", .number = session_message_max (s)};
		else if (node_is_word (word, "SIZE"))
			item = (ImapStatusItem){.item = "SIZE", .number = f->octets};
		else if (node_is_word (word, "DELETED-STORAGE")) {
			item.item = "DELETED-STORAGE";
			ok = count_status (s, store, f, LISTING_MESSAGE, add_deleted_size, &item.number);
		} else if (node_is_word (word, "DELETED")) {
			item.item = "DELETED";
			ok = count_status (s, store, f, LISTING_PLACEMENT, add_deleted, &item.number);
		} else
			return session_bad (s, "an unknown item of STATUS");
		if (!ok)
			return FALSE;
		if (n < G_N_ELEMENTS (items))
			items[n++] = item;
	}
	imap_write_status_items (&s->out, shown_name (f), items, n);
	return TRUE;
}

void
run_status (ImapdSession *s)
{
	const ImapNode *name = imap_command_arg (s->command, 0), *items = imap_command_arg (s->command, 1);
	Store *store = session_store (s);
	if (!node_is_astring (name) || !items || items->kind != NODE_LIST || node_count (items) == 0 || node_next (items)) {
		session_bad (s, "STATUS wants a folder and a list of items");
		return;
	}
	g_autoptr (Folder) f = store ? session_selectable (s, store, name, "NONEXISTENT") : NULL;
	if (f)
		status_write (s, store, f, items);
}

/* ---- The tree ---- */

/* One that may be made: levels that are not empty; a delimiter at the end says that folders will be below. */
static char *
new_name (ImapdSession *s, const ImapNode *n)
{
	g_autofree char *name = node_is_astring (n) ? session_name (s, n) : NULL;
	gsize size = name ? strlen (name) : 0;
	if (size > 1 && name[size - 1] == DELIMITER)
		name[--size] = '\0';
	if (!name) {
		session_bad (s, "a folder's name is expected");
		return NULL;
	}
	gboolean control = FALSE;
	for (const char *c = name; *c; c++)
		control |= (guchar) *c < ' ' || *c == 0x7f;
	if (control || !*name || *name == DELIMITER || strstr (name, "//") || name[size - 1] == DELIMITER) {
		session_no (s, "CANNOT", "a folder can't be called so");
		return NULL;
	}
	return g_steal_pointer (&name);
}

/* The role that CREATE's USE (\Sent) asks for (RFC 6154 section 3): "" for none; NULL with the answer set. */
static const char *
role_wanted (ImapdSession *s, Store *store, const ImapNode *options)
{
	const ImapNode *use = node_first (options), *list = node_next (use);
	if (!options)
		return "";
	if (!node_is_word (use, "USE") || !list || list->kind != NODE_LIST || node_count (list) != 1 || node_next (list)) {
		session_bad (s, "USE and one attribute is all that may follow the name");
		return NULL;
	}
	g_autofree char *attribute = slice_dup (node_text (node_first (list)));
	const char *role = role_of_attribute (attribute);
	g_autoptr (Folder) has = role ? store_folder_by_role (store, role, NULL) : NULL;
	if (role && !has && strcmp (role, "inbox") != 0)
		return role;
	session_no (s, "USEATTR", "%s", has ? "another folder is used for that" : "no folder can be used for that");
	return NULL;
}

void
run_create (ImapdSession *s)
{
	Store *store = session_store (s);
	g_autofree char *name = store ? new_name (s, imap_command_arg (s->command, 0)) : NULL;
	const char *role = name ? role_wanted (s, store, imap_command_arg (s->command, 1)) : NULL;
	GError *error = NULL;
	gint64 id;
	char text[ID_TEXT_SIZE];
	if (!role || !session_begin (s, store))
		return;
	gboolean ok = store_folder_create_path (store, name, &id, &error);
	g_autoptr (Folder) f = ok ? store_folder (store, id, &error) : NULL;
	ok = f && (!*role || store_folder_set (store, id, role, TRUE, TRUE, &error));
	if (!session_commit (s, store, ok, &error))
		return;
	id128_text (&f->object_id, text);
	g_string_printf (s->code, "MAILBOXID (%s)", text);
}

static gboolean
is_inbox (const Folder *f)
{
	return g_ascii_strcasecmp (f->path, "INBOX") == 0;
}

void
run_delete (ImapdSession *s)
{
	Store *store = session_store (s);
	g_autoptr (Folder) f = store ? session_folder (s, store, imap_command_arg (s->command, 0), "NONEXISTENT") : NULL;
	GError *error = NULL;
	if (!f)
		return;
	if (is_inbox (f) || f->local_only) {
		session_no (s, "CANNOT", "%s", is_inbox (f) ? "INBOX stays" : "this folder holds outpost's own reports");
		return;
	}
	if (!session_begin (s, store))
		return;
	gboolean ok = store_folder_delete (store, f->id, "here", &error), children = error_is (error, ERROR_CONFLICT);
	if (!session_commit (s, store, ok, &error) && children)
		g_string_assign (s->code, "HASCHILDREN");
}

/* The folder that @path is to lie in (0: the top), made if need be; *leaf_out points into @path. */
static gboolean
parent_of (Store *store, const char *path, gint64 *parent_out, const char **leaf_out, GError **error)
{
	const char *slash = strrchr (path, DELIMITER);
	*parent_out = 0;
	*leaf_out = slash ? slash + 1 : path;
	if (!slash)
		return TRUE;
	g_autofree char *above = g_strndup (path, (gsize) (slash - path));
	g_autoptr (GError) missing = NULL;
	g_autoptr (Folder) f = store_folder_by_path (store, above, &missing);
	if (f)
		*parent_out = f->id;
	return f || store_folder_create_path (store, above, parent_out, error);
}

static gboolean
collect_placement (gpointer ids, const Placement *p)
{
	g_array_append_val ((GArray *) ids, p->id);
	return TRUE;
}

/* RFC 9051 section 6.3.6: the messages of INBOX go, INBOX stays. */
static gboolean
empty_inbox (Store *store, const Folder *inbox, const char *name, GError **error)
{
	g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
	gint64 to;
	if (!store_folder_create_path (store, name, &to, error) || !store_each_placement (store, inbox->id, 0, collect_placement, ids, error))
		return FALSE;
	for (guint i = 0; i < ids->len; i++)
		if (!store_move (store, g_array_index (ids, gint64, i), to, NULL, error))
			return FALSE;
	return TRUE;
}

static gboolean
rename_folder (Store *store, const Folder *f, const char *name, GError **error)
{
	gint64 parent;
	const char *leaf;
	if (is_inbox (f))
		return empty_inbox (store, f, name, error);
	return parent_of (store, name, &parent, &leaf, error) && store_folder_rename (store, f->id, parent, leaf, error);
}

void
run_rename (ImapdSession *s)
{
	Store *store = session_store (s);
	g_autofree char *name = store ? new_name (s, imap_command_arg (s->command, 1)) : NULL;
	g_autoptr (Folder) f = name ? session_folder (s, store, imap_command_arg (s->command, 0), "NONEXISTENT") : NULL;
	GError *error = NULL;
	if (f && f->local_only)
		session_no (s, "CANNOT", "this folder holds outpost's own reports");
	else if (f && session_begin (s, store))
		session_commit (s, store, rename_folder (store, f, name, &error), &error);
}

static void
set_subscribed (ImapdSession *s, gboolean subscribed)
{
	Store *store = session_store (s);
	g_autoptr (Folder) f = store ? session_folder (s, store, imap_command_arg (s->command, 0), "NONEXISTENT") : NULL;
	GError *error = NULL;
	if (f && f->subscribed != subscribed && session_begin (s, store))
		session_commit (s, store, store_folder_set (store, f->id, f->role, subscribed, f->selectable, &error), &error);
}

void
run_subscribe (ImapdSession *s)
{
	set_subscribed (s, TRUE);
}

void
run_unsubscribe (ImapdSession *s)
{
	set_subscribed (s, FALSE);
}
