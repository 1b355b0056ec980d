/* SPDX-License-Identifier: Apache-2.0 */
/* METADATA (RFC 5464): what clients keep with a folder, or with the mailbox (the folder ""). A mailbox has one owner, so that /shared is his as /private
 * is, but for what a server would say to all its users. /private/specialuse is the folder's role (RFC 6154 section 4). */
#include "imapd-private.h"
#include "imap-role.h"
#include <string.h>

#define ENTRIES_MAX 100   /* of a folder */
#define ENTRY_MAX 200     /* octets of a name */
#define VALUE_MAX 65536
#define ASKED_MAX 100
#define SPECIAL_USE "/private/specialuse"

/* ---- Arguments ---- */

/* Where it is kept: *folder_out NULL for the mailbox. */
static gboolean
take_place (ImapdSession *s, Store *store, const ImapNode *n, Folder **folder_out)
{
	*folder_out = NULL;
	if (!node_is_astring (n))
		return session_bad (s, "a folder's name is expected");
	return node_text (n).size == 0 || (*folder_out = session_folder (s, store, n, "NONEXISTENT")) != NULL;
}

static gint64
place_id (const Folder *f)
{
	return f ? f->id : 0;
}

/* Parts between slashes, the first of which says whose it is (RFC 5464 section 3). In lower case; NULL with the answer set. */
static char *
take_entry (ImapdSession *s, const ImapNode *n)
{
	g_autofree char *name = node_is_astring (n) ? slice_dup (node_text (n)) : NULL;
	gsize size = name ? strlen (name) : 0;
	gboolean ok = size > 1 && size == node_text (n).size && size <= ENTRY_MAX && name[0] == '/' && name[size - 1] != '/' && !strstr (name, "//") &&
	              !strpbrk (name, "*%");
	for (const char *c = name; ok && *c; c++)
		ok = *c > ' ' && *c < 0x7f;
	g_autofree char *low = ok ? g_ascii_strdown (name, -1) : NULL;
	if (low && (g_str_has_prefix (low, "/private") || g_str_has_prefix (low, "/shared")) && strchr ("/", low[low[1] == 'p' ? 8 : 7]))
		return g_steal_pointer (&low);
	session_bad (s, "an entry is called /private/... or /shared/..., without * and %%");
	return NULL;
}

typedef struct {
	Folder *folder;
	guint64 max;   /* octets of a value that is told */
	gint64 depth;  /* -1: all below */
	guint64 longest; /* of those that were not told */
	const char *entry;
	gboolean found;  /* it, and not what is below alone */
	GPtrArray *pairs; /* of GBytes: name, value (NULL: NIL) */
} Get;

static void
get_clear (Get *g)
{
	folder_free (g->folder);
	g_clear_pointer (&g->pairs, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Get, get_clear)

static void
bytes_free (gpointer bytes)
{
	if (bytes)
		g_bytes_unref (bytes);
}

static gboolean
take_options (ImapdSession *s, const ImapNode *list, Get *g)
{
	for (const ImapNode *n = node_first (list); n; n = node_next (n)) {
		const ImapNode *value = node_next (n);
		if (node_is_word (n, "MAXSIZE") && slice_to_number (node_text (value), &g->max))
			n = value;
		else if (node_is_word (n, "DEPTH") && (node_is_word (value, "0") || node_is_word (value, "1") || node_is_word (value, "infinity"))) {
			g->depth = node_is_word (value, "0") ? 0 : node_is_word (value, "1") ? 1 : -1;
			n = value;
		} else
			return session_bad (s, "the options are MAXSIZE with a number and DEPTH with 0, 1 or infinity");
	}
	return TRUE;
}

/* ---- Reading ---- */

static void
add_pair (Get *g, const char *name, GBytes *value)
{
	g_ptr_array_add (g->pairs, g_bytes_new (name, strlen (name)));
	g_ptr_array_add (g->pairs, value);
}

static void
add_value (Get *g, const char *name, const void *value, gsize size)
{
	if (size > g->max)
		g->longest = MAX (g->longest, size);
	else
		add_pair (g, name, g_bytes_new (value, size));
}

/* It, or within the depth below it. */
static void
look_at (gpointer data, const char *name, const void *value, gsize size)
{
	Get *g = data;
	gsize n = strlen (g->entry);
	if (strncmp (name, g->entry, n) != 0 || (name[n] && (name[n] != '/' || g->depth == 0 || (g->depth == 1 && strchr (name + n + 1, '/')))))
		return;
	g->found |= !name[n];
	add_value (g, name, value, size);
}

/* What the server says of itself. */
static gboolean
look_at_server (const ImapdSession *s, Get *g, GError **error)
{
	g_autoptr (GPtrArray) all = s->settings->metadata (s->settings->data, error);
	for (guint i = 0; all && i + 1 < all->len; i += 2)
		look_at (g, all->pdata[i], all->pdata[i + 1], strlen (all->pdata[i + 1]));
	return all != NULL;
}

static gboolean
get_entry (ImapdSession *s, Store *store, const char *entry, Get *g)
{
	GError *error = NULL;
	const char *use = g->folder && g->folder->role ? role_attribute (g->folder->role) : NULL;
	g->entry = entry;
	g->found = FALSE;
	if (use)
		look_at (g, SPECIAL_USE, use, strlen (use));
	if ((!g->folder && s->settings->metadata && !look_at_server (s, g, &error)) || !store_each_annotation (store, place_id (g->folder), look_at, g, &error))
		return session_fail (s, error);
	if (!g->found && g->depth == 0)
		add_pair (g, entry, NULL);
	return TRUE;
}

/* NUL goes in a literal8, which who asks for METADATA takes. */
static void
write_values (ImapdSession *s, const ImapNode *place, const Get *g)
{
	gboolean binary = s->out.binary;
	if (g->pairs->len == 0)
		return;
	s->out.binary = TRUE;
	imap_write_untagged (&s->out, "METADATA");
	if (g->folder)
		imap_write_mailbox (&s->out, g_ascii_strcasecmp (g->folder->path, "INBOX") == 0 ? "INBOX" : g->folder->path);
	else
		imap_write_string (&s->out, node_text (place));
	imap_write_open (&s->out);
	for (guint i = 0; i < g->pairs->len; i++) {
		gsize size = 0;
		const char *octets = g->pairs->pdata[i] ? g_bytes_get_data (g->pairs->pdata[i], &size) : NULL;
		if (i % 2 == 0)
			imap_write_astring (&s->out, (Slice){octets, size});
		else
			imap_write_nstring (&s->out, (Slice){g->pairs->pdata[i] && !octets ? "" : octets, size});
		session_flush (s, FALSE);
	}
	imap_write_close (&s->out);
	imap_write_end (&s->out);
	s->out.binary = binary;
}

void
run_getmetadata (ImapdSession *s)
{
	const ImapNode *n = imap_command_arg (s->command, 0), *options = n && n->kind == NODE_LIST ? n : NULL, *place = options ? node_next (n) : n;
	const ImapNode *entries = node_next (place);
	gboolean list = entries && entries->kind == NODE_LIST;
	g_auto (Get) g = {.max = VALUE_MAX, .pairs = g_ptr_array_new_with_free_func (bytes_free)};
	if (!take_options (s, options, &g))
		return;
	if (!entries || node_next (entries) || (list && (node_count (entries) == 0 || node_count (entries) > ASKED_MAX))) {
		session_bad (s, "GETMETADATA wants a folder and 1 to %d entries", ASKED_MAX);
		return;
	}
	Store *store = session_store (s);
	if (!store || !take_place (s, store, place, &g.folder))
		return;
	for (const ImapNode *one = list ? node_first (entries) : entries; one; one = list ? node_next (one) : NULL) {
		g_autofree char *entry = take_entry (s, one);
		if (!entry || !get_entry (s, store, entry, &g))
			return;
	}
	write_values (s, place, &g);
	if (g.longest)
		g_string_printf (s->code, "METADATA LONGENTRIES %" G_GUINT64_FORMAT, g.longest);
}

/* ---- Writing ---- */

/* RFC 6154 sections 3 and 4: the error is the same as CREATE's. */
static gboolean
set_use (ImapdSession *s, Store *store, const Folder *f, const ImapNode *value, GError **error)
{
	g_autofree char *attribute = node_is_nil (value) ? NULL : slice_dup (node_text (value));
	const char *role = attribute ? role_of_attribute (attribute) : NULL;
	g_autoptr (Folder) has = role ? store_folder_by_role (store, role, error) : NULL;
	if (!f || f->local_only || (attribute && (!role || strcmp (role, "inbox") == 0)) || (has && has->id != f->id) || g_strcmp0 (f->role, "inbox") == 0)
		return error_fail (error, ERROR_USAGE, "%s", has ? "another folder is used for that" : "this can't be used for that");
	return store_folder_set (store, f->id, role, f->subscribed, f->selectable, error);
}

static void
count_entry (gpointer n, const char *name, const void *value, gsize size)
{
	++*(guint *) n;
}

static gboolean
set_entry (ImapdSession *s, Store *store, const Folder *f, const char *entry, const ImapNode *value, GError **error)
{
	guint n = 0;
	Slice text = node_text (value);
	if (strcmp (entry, SPECIAL_USE) == 0)
		return set_use (s, store, f, value, error);
	g_autoptr (GBytes) octets = node_is_nil (value) ? NULL : g_bytes_new (text.data, text.size);
	return store_set_annotation (store, place_id (f), entry, octets, error) && store_each_annotation (store, place_id (f), count_entry, &n, error) &&
	       (n <= ENTRIES_MAX || error_fail (error, ERROR_TOO_BIG, "a folder can have %d entries at most", ENTRIES_MAX));
}

/* Entries and their values, before anything is changed: all or none of them are set (RFC 5464 section 4.3). FALSE with the answer set. */
static gboolean
check_entries (ImapdSession *s, const Folder *f, const ImapNode *list)
{
	if (!list || list->kind != NODE_LIST || node_next (list) || node_count (list) == 0 || node_count (list) % 2 || node_count (list) > 2 * ASKED_MAX)
		return session_bad (s, "SETMETADATA wants a folder and a list of entries with their values");
	for (const ImapNode *n = node_first (list); n; n = node_next (node_next (n))) {
		g_autofree char *entry = take_entry (s, n);
		if (!entry)
			return FALSE;
		if (!node_is_nstring (node_next (n)))
			return session_bad (s, "a value is a string or NIL");
		if (node_text (node_next (n)).size > VALUE_MAX) {
			g_autofree char *code = g_strdup_printf ("METADATA MAXSIZE %d", VALUE_MAX);
			return session_no (s, code, "a value may have %d octets", VALUE_MAX);
		}
		if (!f && g_str_has_prefix (entry, "/shared"))
			return session_no (s, "NOPERM", "what the server says to all is its administrator's");
	}
	return TRUE;
}

void
run_setmetadata (ImapdSession *s)
{
	const ImapNode *place = imap_command_arg (s->command, 0), *list = node_next (place);
	GError *error = NULL;
	Folder *found = NULL;
	Store *store = session_store (s);
	gboolean ok = store && take_place (s, store, place, &found);
	g_autoptr (Folder) f = found;
	if (!ok || !check_entries (s, f, list) || !session_begin (s, store))
		return;
	for (const ImapNode *n = node_first (list); ok && n; n = node_next (node_next (n))) {
		g_autofree char *entry = take_entry (s, n);
		ok = set_entry (s, store, f, entry, node_next (n), &error);
	}
	gboolean many = error_is (error, ERROR_TOO_BIG), use = error_is (error, ERROR_USAGE);
	if (!session_commit (s, store, ok, &error) && (many || use))
		g_string_assign (s->code, many ? "METADATA TOOMANY" : "USEATTR");
}
