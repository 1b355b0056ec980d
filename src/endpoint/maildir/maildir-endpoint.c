/* SPDX-License-Identifier: Apache-2.0 */
#include "maildir-endpoint.h"
#include "imap-utf7.h"
#include "maildir-folder.h"
#include "store.h"
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define FOLDERS_MAX 100000u

typedef struct {
	Endpoint endpoint;
	char *path;
	Cancel *cancel;
	char *read_name;     /* of the folder below; NULL none */
	MaildirFolder *read; /* read last: a run asks for one folder several times */
	guint without_uid;
	EndpointTraffic traffic;
} Maildir;

/* ---- Folders ---- */

static char *
place_of (const Maildir *m, const char *name)
{
	if (strcmp (name, "INBOX") == 0)
		return g_strdup (m->path);
	g_autofree char *folder = g_strconcat (".", name, NULL);
	return g_build_filename (m->path, folder, NULL);
}

static MaildirFolder *
folder_read (Maildir *m, const char *name, gboolean again, GError **error)
{
	if (!again && g_strcmp0 (name, m->read_name) == 0)
		return m->read;
	g_autofree char *path = place_of (m, name);
	g_clear_pointer (&m->read, maildir_folder_free);
	g_clear_pointer (&m->read_name, g_free);
	if (!g_file_test (path, G_FILE_TEST_IS_DIR))
		return error_fail (error, ERROR_NOT_FOUND, "there is no folder %s", path), NULL;
	m->read = maildir_folder_read (path, error);
	m->read_name = m->read ? g_strdup (name) : NULL;
	return m->read;
}

static RemoteFolder *
remote_new (const char *name)
{
	RemoteFolder *r = g_new0 (RemoteFolder, 1);
	const char *dot = strrchr (name, '.'), *leaf = dot ? dot + 1 : name;
	r->name = g_strdup (name);
	r->parent = dot ? g_strndup (name, (gsize) (dot - name)) : NULL;
	r->leaf = utf7_decode ((Slice){leaf, strlen (leaf)}, FALSE);
	r->delimiter = '.';
	r->unfit = !r->leaf || !*r->leaf || strchr (name, '/') != NULL;
	if (r->unfit) {
		g_free (r->leaf);
		r->leaf = slice_to_utf8 ((Slice){leaf, strlen (leaf)}, 1000);
	}
	return r;
}

/* "3 V.." alone tells nothing of what changed: the state is not told, and each folder is looked into. */
static void
add_folder (GHashTable *all, const char *name, gboolean selectable)
{
	RemoteFolder *known = g_hash_table_lookup (all, name);
	if (known) {
		known->selectable |= selectable;
		return;
	}
	RemoteFolder *r = remote_new (name);
	r->selectable = selectable && !r->unfit;
	g_hash_table_insert (all, r->name, r);
	if (r->parent)
		add_folder (all, r->parent, FALSE);
}

/* Names a line; in the second version, which begins with "V\t2", levels have tabs between them. */
static void
read_subscriptions (const Maildir *m, GHashTable *all)
{
	g_autofree char *file = g_build_filename (m->path, "subscriptions", NULL), *text = NULL;
	if (!g_file_get_contents (file, &text, NULL, NULL))
		return;
	g_auto (GStrv) lines = g_strsplit (text, "\n", FOLDERS_MAX);
	for (char **line = lines; *line; line++) {
		g_strdelimit (*line, "\t", '.');
		RemoteFolder *r = g_hash_table_lookup (all, *line);
		if (r)
			r->subscribed = TRUE;
	}
}

static int
inbox_first (gconstpointer a, gconstpointer b)
{
	const char *x = (*(RemoteFolder *const *) a)->name, *y = (*(RemoteFolder *const *) b)->name;
	int inbox = (strcmp (y, "INBOX") == 0) - (strcmp (x, "INBOX") == 0);
	return inbox ? inbox : strcmp (x, y);
}

static gboolean
list (Endpoint *e, GPtrArray **folders_out, GError **error)
{
	Maildir *m = (Maildir *) e;
	g_autoptr (GDir) dir = g_dir_open (m->path, 0, NULL);
	g_autoptr (GHashTable) all = g_hash_table_new (g_str_hash, g_str_equal);
	const char *name;
	if (!dir)
		return error_fail (error, ERROR_IO, "%s can't be read", m->path);
	add_folder (all, "INBOX", TRUE);
	while ((name = g_dir_read_name (dir)) && g_hash_table_size (all) < FOLDERS_MAX) {
		g_autofree char *cur = g_build_filename (m->path, name, "cur", NULL);
		if (*name == '.' && name[1] && name[1] != '.' && g_file_test (cur, G_FILE_TEST_IS_DIR))
			add_folder (all, name + 1, TRUE);
	}
	read_subscriptions (m, all);
	m->without_uid = 0;
	GPtrArray *folders = g_ptr_array_new_with_free_func ((GDestroyNotify) remote_folder_free);
	GHashTableIter it;
	gpointer r;
	g_hash_table_iter_init (&it, all);
	while (g_hash_table_iter_next (&it, NULL, &r))
		g_ptr_array_add (folders, r);
	g_ptr_array_sort (folders, inbox_first);
	*folders_out = folders;
	return TRUE;
}

/* ---- What is in them ---- */

static RemoteState
state_of (const MaildirMessage *msg)
{
	return (RemoteState){msg->uid, msg->flags, g_strdup (msg->keywords), 0};
}

static gboolean
evidence_of (Maildir *m, const char *name, const MaildirMessage *msg, EvidenceLevel level, GArray *evidence)
{
	g_autofree char *path = place_of (m, name);
	g_autoptr (GBytes) octets = maildir_message_octets (path, msg, NULL);
	if (!octets)
		return FALSE;
	RemoteEvidence e = {.uid = msg->uid, .size = g_bytes_get_size (octets), .received = msg->received, .flags = msg->flags, .keywords = g_strdup (msg->keywords)};
	if (level == EVIDENCE_HEADER) {
		g_autoptr (Prepared) p = prepare_bytes (octets, msg->received, 0);
		e.message_id = g_strdup (prepared_message_id (p));
		e.digest = message_evidence_digest (g_bytes_get_data (octets, NULL), g_bytes_get_size (octets));
		e.has_header = TRUE;
	}
	g_array_append_val (evidence, e);
	return TRUE;
}

static void
answer (Maildir *m, FolderQuery *q)
{
	MaildirFolder *f = folder_read (m, q->name, TRUE, &q->error);
	if (!f)
		return;
	q->uidvalidity_now = f->uidvalidity;
	q->uidnext_now = f->uidnext;
	q->messages_now = f->messages->len;
	m->without_uid += f->without_uid;
	q->changed_identity = q->uidvalidity && q->uidvalidity != f->uidvalidity;
	if (q->changed_identity)
		return;
	q->keywords_told = TRUE;
	q->keywords_now = g_strdup (f->keywords);
	q->has_all_uids = TRUE;
	q->all_states = q->kind == QUERY_CHANGES;
	q->states = remote_states_new ();
	q->canary_evidence = q->canaries ? remote_evidence_new () : NULL;
	q->canaries_told = q->canaries != NULL;
	for (guint i = 0; i < f->messages->len; i++) {
		const MaildirMessage *msg = &g_array_index (f->messages, MaildirMessage, i);
		uid_set_add (&q->all_uids, msg->uid);
		if (q->canaries && uid_set_contains (q->canaries, msg->uid))
			evidence_of (m, q->name, msg, EVIDENCE_SIZE, q->canary_evidence);
		if (!q->all_states)
			continue;
		RemoteState state = state_of (msg);
		g_array_append_val (q->states, state);
	}
}

static gboolean
query (Endpoint *e, FolderQuery *queries, guint n, GError **error)
{
	Maildir *m = (Maildir *) e;
	for (guint i = 0; i < n; i++) {
		if (!cancel_check (m->cancel, error))
			return FALSE;
		answer (m, &queries[i]);
	}
	return TRUE;
}

static MaildirFolder *
same_folder (Maildir *m, const char *name, guint32 uidvalidity, GError **error)
{
	MaildirFolder *f = folder_read (m, name, FALSE, error);
	if (f && f->uidvalidity != uidvalidity)
		return error_fail (error, ERROR_CONFLICT, "the folder '%s' has another UIDVALIDITY", name), NULL;
	return f;
}

static gboolean
give (Maildir *m, FetchRequest *r, guint request, const MaildirMessage *msg, FetchSink sink, gpointer data, GError **error)
{
	g_autofree char *path = place_of (m, r->name);
	g_autoptr (GBytes) octets = maildir_message_octets (path, msg, NULL);
	if (!octets) {
		uid_set_add (&r->missing, msg->uid);
		return TRUE;
	}
	gsize size = g_bytes_get_size (octets);
	FetchedMessage f = {.request = request, .state = state_of (msg), .received = msg->received, .remote_size = size, .octets = octets, .fd = -1, .size = size};
	m->traffic.octets_in += size;
	gboolean ok = sink (data, &f, error);
	g_free (f.state.keywords);
	return ok;
}

static gboolean
fetch (Endpoint *e, FetchRequest *requests, guint n, FetchSink sink, gpointer data, GError **error)
{
	Maildir *m = (Maildir *) e;
	for (guint i = 0; i < n; i++) {
		FetchRequest *r = &requests[i];
		MaildirFolder *f = same_folder (m, r->name, r->uidvalidity, &r->error);
		UidIter it = {0};
		guint32 uid;
		while (f && uid_set_next (&r->uids, &it, &uid)) {
			const MaildirMessage *msg = maildir_folder_find (f, uid);
			if (!msg)
				uid_set_add (&r->missing, uid);
			else if (!cancel_check (m->cancel, error) || !give (m, r, i, msg, sink, data, error))
				return FALSE;
		}
		r->done = f != NULL;
	}
	return TRUE;
}

static gboolean
evidence (Endpoint *e, const char *name, guint32 uidvalidity, const UidSet *uids, guint32 from, EvidenceLevel level, GArray **evidence_out, GError **error)
{
	Maildir *m = (Maildir *) e;
	MaildirFolder *f = same_folder (m, name, uidvalidity, error);
	*evidence_out = f ? remote_evidence_new () : NULL;
	for (guint i = 0; f && i < f->messages->len; i++) {
		const MaildirMessage *msg = &g_array_index (f->messages, MaildirMessage, i);
		if (uids ? uid_set_contains (uids, msg->uid) : msg->uid >= from)
			evidence_of (m, name, msg, level, *evidence_out);
	}
	return f != NULL;
}

/* ---- The rest ---- */

static gboolean
start (Endpoint *e, Cancel *cancel, GError **error)
{
	Maildir *m = (Maildir *) e;
	g_autofree char *cur = g_build_filename (m->path, "cur", NULL);
	m->cancel = cancel;
	if (g_file_test (cur, G_FILE_TEST_IS_DIR) && g_access (cur, R_OK | X_OK) != 0)
		return error_fail (error, ERROR_IO, "%s may not be read by the server's user: give it the right, or a copy", cur);
	return g_file_test (cur, G_FILE_TEST_IS_DIR) || error_fail (error, ERROR_NOT_FOUND, "%s is no Maildir that the server's user can read: it has no folder cur", m->path);
}

static void
nothing (Endpoint *e)
{
}

static void
free_maildir (Endpoint *e)
{
	Maildir *m = (Maildir *) e;
	maildir_folder_free (m->read);
	g_free (m->read_name);
	g_free (m->path);
	g_free (m);
}

static guint
none (Endpoint *e)
{
	return 0;
}

static EndpointTraffic
traffic (Endpoint *e)
{
	return ((Maildir *) e)->traffic;
}

guint
maildir_endpoint_without_uid (Endpoint *e)
{
	return ((Maildir *) e)->without_uid;
}

Endpoint *
maildir_endpoint_new (const char *path)
{
	/* what would write is not there: one-way runs don't ask for it */
	static const EndpointClass class = {.open = start, .close = nothing, .free = free_maildir, .abilities = none, .traffic = traffic, .list = list, .shared = none, .query = query,
	                                    .fetch = fetch, .evidence = evidence};
	Maildir *m = g_new0 (Maildir, 1);
	m->endpoint.class = &class;
	m->path = g_canonicalize_filename (path, NULL);
	return &m->endpoint;
}
