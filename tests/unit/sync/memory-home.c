/* SPDX-License-Identifier: Apache-2.0 */
#include "memory-home.h"
#include "store.h"
#include <glib/gstdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOME_JUMP (1u << 20)

typedef struct {
	Endpoint base;
	Home *home;
	EndpointTraffic traffic;
} MemoryEndpoint;

static Home *
home_of (Endpoint *e)
{
	return ((MemoryEndpoint *) e)->home;
}

char *
home_text (guint32 n)
{
	return g_strdup_printf ("From: a%u@example.org\r\nSubject: number %u\r\nMessage-ID: <m%u@example.org>\r\n\r\nText %u%s\r\n", n, n, n, n,
	                        n % 3 ? "" : " and more of it");
}

gint64
home_date (guint32 n)
{
	return 1000000000 + (gint64) n * 61;
}

Home *
home_new (guint abilities, gboolean tells_uids)
{
	Home *h = mmap (NULL, sizeof *h, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g_assert (h != MAP_FAILED);
	h->abilities = abilities;
	h->tells_uids = tells_uids;
	h->next_validity = 1000;
	home_create (h, "INBOX");
	return h;
}

void
home_free (Home *h)
{
	munmap (h, sizeof *h);
}

HomeFolder *
home_folder (Home *h, const char *name)
{
	for (int i = 0; i < HOME_FOLDERS; i++)
		if (h->folders[i].used && strcmp (h->folders[i].name, name) == 0)
			return &h->folders[i];
	return NULL;
}

HomeFolder *
home_create (Home *h, const char *name)
{
	for (int i = 0; i < HOME_FOLDERS; i++) {
		HomeFolder *f = &h->folders[i];
		if (f->used)
			continue;
		memset (f, 0, sizeof *f);
		f->used = TRUE;
		g_strlcpy (f->name, name, sizeof f->name);
		f->uidvalidity = h->next_validity++;
		f->uidnext = 1;
		f->id = ++h->next_id;
		f->highest = ++h->modseq;
		return f;
	}
	g_assert_not_reached ();
}

static gboolean
is_or_is_below (const HomeFolder *f, const char *name)
{
	gsize n = strlen (name);
	return f->used && strncmp (f->name, name, n) == 0 && (!f->name[n] || f->name[n] == '/');
}

gboolean
home_rename (Home *h, const char *from, const char *to)
{
	for (int i = 0; i < HOME_FOLDERS; i++) {
		g_autofree char *name = is_or_is_below (&h->folders[i], from) ? g_strconcat (to, h->folders[i].name + strlen (from), NULL) : NULL;
		if (name && home_folder (h, name))
			return FALSE;
	}
	for (int i = 0; i < HOME_FOLDERS; i++) {
		g_autofree char *name = is_or_is_below (&h->folders[i], from) ? g_strconcat (to, h->folders[i].name + strlen (from), NULL) : NULL;
		if (name)
			g_strlcpy (h->folders[i].name, name, sizeof h->folders[i].name);
	}
	return TRUE;
}

void
home_delete (Home *h, const char *name)
{
	HomeFolder *f = home_folder (h, name);
	if (f)
		f->used = FALSE;
}

HomeMessage *
home_add (Home *h, HomeFolder *f, guint32 body, guint flags, const char *keywords)
{
	for (int i = 0; i < HOME_MESSAGES; i++) {
		HomeMessage *m = &f->messages[i];
		if (m->uid)
			continue;
		g_autofree char *text = home_text (body);
		*m = (HomeMessage){.uid = f->uidnext++, .flags = flags, .modseq = ++h->modseq, .received = home_date (body), .body = body};
		g_strlcpy (m->keywords, keywords ? keywords : "", sizeof m->keywords);
		m->size = (guint32) strlen (text);
		memcpy (m->octets, text, m->size);
		f->highest = m->modseq;
		return m;
	}
	g_assert_not_reached ();
}

void
home_set_flags (Home *h, HomeFolder *f, HomeMessage *m, guint flags, const char *keywords)
{
	m->flags = flags;
	g_strlcpy (m->keywords, keywords ? keywords : "", sizeof m->keywords);
	f->highest = m->modseq = ++h->modseq;
}

void
home_remove (Home *h, HomeFolder *f, HomeMessage *m)
{
	g_assert (f->n_vanished < G_N_ELEMENTS (f->vanished));
	f->highest = ++h->modseq;
	f->vanished[f->n_vanished].uid = m->uid;
	f->vanished[f->n_vanished++].modseq = h->modseq;
	m->uid = 0;
}

static HomeMessage *
message_by_uid (HomeFolder *f, guint32 uid)
{
	for (int i = 0; i < HOME_MESSAGES; i++)
		if (f->messages[i].uid == uid)
			return &f->messages[i];
	return NULL;
}

static const char *
or_null (const char *s)
{
	return *s ? s : NULL;
}

static gboolean
moment (Endpoint *e, GError **error)
{
	Home *h = home_of (e);
	h->moment++;
	if (h->meanwhile)
		h->meanwhile (h->meanwhile_data, h->moment);
	return h->moment != h->lost_answer || error_fail (error, ERROR_TEMPORARY, "connection lost");
}

static gboolean
called (Endpoint *e, GError **error)
{
	Home *h = home_of (e);
	h->calls++;
	if (!moment (e, error))
		return FALSE;
	((MemoryEndpoint *) e)->traffic.flights++;
	if (h->arrive_at == h->calls)
		home_add (h, home_folder (h, h->arrive_in), h->arrive_body, 0, NULL);
	return h->fail_at != h->calls || error_fail (error, ERROR_TEMPORARY, "connection lost");
}

static gboolean
memory_open (Endpoint *e, Cancel *cancel, GError **error)
{
	OutpostError shut = home_of (e)->shut;
	return called (e, error) && (!shut || error_fail (error, shut, "not let in"));
}

static void
memory_close (Endpoint *e)
{
}

static guint
memory_abilities (Endpoint *e)
{
	return home_of (e)->abilities;
}

static EndpointTraffic
memory_traffic (Endpoint *e)
{
	return ((MemoryEndpoint *) e)->traffic;
}

static guint32
count_messages (const HomeFolder *f)
{
	guint32 n = 0;
	for (int i = 0; i < HOME_MESSAGES; i++)
		n += f->messages[i].uid != 0;
	return n;
}

static RemoteFolder *
remote_of (Home *h, const HomeFolder *f)
{
	RemoteFolder *r = g_new0 (RemoteFolder, 1);
	const char *slash = strrchr (f->name, '/');
	r->name = g_strdup (f->name);
	r->parent = slash ? g_strndup (f->name, (gsize) (slash - f->name)) : NULL;
	r->leaf = g_strdup (slash ? slash + 1 : f->name);
	r->delimiter = '/';
	r->role = g_strdup (strcmp (f->name, "All") == 0 ? "all" : NULL);
	r->selectable = r->subscribed = r->has_status = TRUE;
	r->messages = count_messages (f);
	r->uidnext = f->uidnext;
	r->uidvalidity = f->uidvalidity;
	r->highestmodseq = h->abilities & ENDPOINT_MODSEQ ? f->highest : 0;
	if (h->abilities & ENDPOINT_OBJECTID)
		r->id = g_strdup_printf ("F%u", f->id);
	return r;
}

static gboolean
is_listed (const GPtrArray *list, const char *name)
{
	for (guint i = 0; i < list->len; i++)
		if (strcmp (((RemoteFolder *) list->pdata[i])->name, name) == 0)
			return TRUE;
	return FALSE;
}

/* Of what lies below folders that are not there, these are listed as \NoSelect. */
static void
list_mere_parents (GPtrArray *list)
{
	for (guint i = 0; i < list->len; i++) {
		const char *name = ((RemoteFolder *) list->pdata[i])->parent, *slash = name ? strrchr (name, '/') : NULL;
		if (!name || is_listed (list, name))
			continue;
		RemoteFolder *r = g_new0 (RemoteFolder, 1);
		r->name = g_strdup (name);
		r->parent = slash ? g_strndup (name, (gsize) (slash - name)) : NULL;
		r->leaf = g_strdup (slash ? slash + 1 : name);
		r->delimiter = '/';
		g_ptr_array_add (list, r);
	}
}

static gboolean
memory_list (Endpoint *e, GPtrArray **folders_out, GError **error)
{
	Home *h = home_of (e);
	if (!called (e, error))
		return FALSE;
	GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) remote_folder_free);
	for (int i = 0; i < HOME_FOLDERS; i++)
		if (h->folders[i].used)
			g_ptr_array_add (list, remote_of (h, &h->folders[i]));
	list_mere_parents (list);
	*folders_out = list;
	return TRUE;
}

static void
add_state (GArray *states, const HomeMessage *m, gboolean modseq)
{
	RemoteState s = {m->uid, m->flags, g_strdup (or_null (m->keywords)), modseq ? m->modseq : 0};
	g_array_append_val (states, s);
}

static int
by_uid (gconstpointer a, gconstpointer b)
{
	guint32 x = ((const RemoteState *) a)->uid, y = ((const RemoteState *) b)->uid;
	return x < y ? -1 : x > y;
}

static guint64
told_size (const Home *h, const HomeMessage *m)
{
	return m->size + (h->wrong_sizes ? 7 : 0);
}

static RemoteEvidence
evidence_of (const Home *h, const HomeMessage *m)
{
	return (RemoteEvidence){.uid = m->uid, .size = told_size (h, m), .received = m->received, .flags = m->flags,
	                        .keywords = g_strdup (or_null (m->keywords)), .modseq = m->modseq};
}

static void
answer (Home *h, FolderQuery *q)
{
	HomeFolder *f = home_folder (h, q->name);
	gboolean modseq = (h->abilities & ENDPOINT_MODSEQ) != 0;
	if (!f) {
		error_fail (&q->error, ERROR_NOT_FOUND, "no such folder");
		return;
	}
	if (strcmp (h->refuses_to_open, q->name) == 0) {
		error_fail (&q->error, ERROR_REFUSED, "in use");
		return;
	}
	q->uidvalidity_now = f->uidvalidity;
	q->uidnext_now = f->uidnext;
	q->messages_now = count_messages (f);
	q->highestmodseq_now = modseq ? f->highest : 0;
	q->changed_identity = q->uidvalidity && q->uidvalidity != f->uidvalidity;
	if (q->changed_identity)
		return;
	gboolean since = modseq && q->highestmodseq;
	q->keywords_told = TRUE;
	q->has_all_uids = q->kind == QUERY_UIDS || !(h->abilities & ENDPOINT_VANISHED) || !since;
	q->states = remote_states_new ();
	q->canary_evidence = remote_evidence_new ();
	q->canaries_told = TRUE;
	for (int i = 0; i < HOME_MESSAGES; i++) {
		HomeMessage *m = &f->messages[i];
		if (!m->uid)
			continue;
		if (q->canaries && uid_set_contains (q->canaries, m->uid)) {
			RemoteEvidence e = evidence_of (h, m);
			g_array_append_val (q->canary_evidence, e);
		}
		if (q->has_all_uids)
			uid_set_add (&q->all_uids, m->uid);
		char *words = keywords_merge (NULL, q->keywords_now, or_null (m->keywords));
		g_free (q->keywords_now);
		q->keywords_now = words;
		if (q->kind == QUERY_CHANGES && (!since || m->modseq > q->highestmodseq))
			add_state (q->states, m, modseq);
	}
	g_array_sort (q->states, by_uid);
	for (guint i = 0; i < f->n_vanished && !q->has_all_uids; i++)
		if (f->vanished[i].modseq > q->highestmodseq)
			uid_set_add (&q->vanished, f->vanished[i].uid);
}

static gboolean
memory_query (Endpoint *e, FolderQuery *queries, guint n, GError **error)
{
	if (!called (e, error))
		return FALSE;
	for (guint i = 0; i < n; i++)
		answer (home_of (e), &queries[i]);
	return moment (e, error);
}

static gboolean
give (Home *h, guint request, HomeMessage *m, FetchSink sink, gpointer data, GError **error)
{
	g_autoptr (GBytes) octets = g_bytes_new (m->octets, m->size);
	FetchedMessage out = {.request = request, .state = {m->uid, m->flags, (char *) or_null (m->keywords), m->modseq},
	                      .received = m->received, .remote_size = told_size (h, m), .octets = octets, .fd = -1, .size = m->size};
	h->fetched++;
	return sink (data, &out, error);
}

static gboolean
memory_fetch (Endpoint *e, FetchRequest *requests, guint n, FetchSink sink, gpointer data, GError **error)
{
	Home *h = home_of (e);
	if (!called (e, error))
		return FALSE;
	for (guint i = 0; i < n; i++) {
		HomeFolder *f = home_folder (h, requests[i].name);
		guint64 count = uid_set_count (&requests[i].uids);
		for (guint64 k = count; f && k > 0; k--) {
			guint32 uid = uid_set_nth (&requests[i].uids, k - 1);
			HomeMessage *m = message_by_uid (f, uid);
			if (!m)
				uid_set_add (&requests[i].missing, uid);
			else if (uid == h->keeps_back)
				error_fail (&requests[i].error, ERROR_REFUSED, "could not be retrieved");
			else if (!give (h, i, m, sink, data, error))
				return FALSE;
		}
		requests[i].done = TRUE;
	}
	return TRUE;
}

static void
add_header (RemoteEvidence *e, const HomeMessage *m)
{
	const char *id = g_strstr_len (m->octets, m->size, "Message-ID: <");
	if (id)
		e->message_id = g_strndup (id + 13, strcspn (id + 13, ">"));
	e->digest = message_evidence_digest (m->octets, m->size);
	e->has_header = TRUE;
}

static gboolean
memory_evidence (Endpoint *e, const char *name, guint32 uidvalidity, const UidSet *uids, guint32 from, EvidenceLevel level,
                 GArray **evidence_out, GError **error)
{
	HomeFolder *f = home_folder (home_of (e), name);
	if (!called (e, error))
		return FALSE;
	if (!f || f->uidvalidity != uidvalidity)
		return error_fail (error, ERROR_CONFLICT, "another folder");
	GArray *list = remote_evidence_new ();
	home_of (e)->looked++;
	for (int i = 0; i < HOME_MESSAGES; i++) {
		HomeMessage *m = &f->messages[i];
		if (!m->uid || (uids ? !uid_set_contains (uids, m->uid) : m->uid < from))
			continue;
		RemoteEvidence ev = evidence_of (home_of (e), m);
		if (level == EVIDENCE_HEADER && !home_of (e)->no_headers)
			add_header (&ev, m);
		g_array_append_val (list, ev);
	}
	g_array_sort (list, by_uid); /* a UID is the first field of both */
	*evidence_out = list;
	return moment (e, error);
}

static gboolean
has_word (const char *words, const char *word)
{
	g_auto (GStrv) list = g_strsplit (words, " ", -1);
	return g_strv_contains ((const char *const *) list, word);
}

static gboolean
memory_search_flags (Endpoint *e, const char *name, guint32 uidvalidity, FlagSearch *searches, guint n, gboolean *answered_out, GError **error)
{
	HomeFolder *f = home_folder (home_of (e), name);
	if (!called (e, error))
		return FALSE;
	if (!f || f->uidvalidity != uidvalidity)
		return error_fail (error, ERROR_CONFLICT, "another folder");
	g_assert (home_of (e)->abilities & ENDPOINT_SEARCH);
	for (guint i = 0; i < n; i++) {
		FlagSearch *s = &searches[i];
		g_assert (s->from <= s->to && !s->flag != !s->keyword);
		for (int k = 0; k < HOME_MESSAGES; k++) {
			const HomeMessage *m = &f->messages[k];
			if (!m->uid || m->uid < s->from || m->uid > s->to || (s->flag ? !(m->flags & s->flag) : !has_word (m->keywords, s->keyword)))
				continue;
			s->count++;
			if (s->names)
				uid_set_add (&s->uids, m->uid);
		}
	}
	home_of (e)->searched += n;
	*answered_out = TRUE;
	return TRUE;
}

static gboolean
memory_append (Endpoint *e, const char *name, AppendRequest *requests, guint n, GError **error)
{
	Home *h = home_of (e);
	HomeFolder *f = home_folder (h, name);
	if (!called (e, error))
		return FALSE;
	if (!f)
		return error_fail (error, ERROR_NOT_FOUND, "no such folder");
	for (guint i = 0; i < n; i++) {
		g_autoptr (GBytes) octets = NULL;
		if (!requests[i].source (requests[i].data, 0, requests[i].size, &octets, error))
			return FALSE;
		g_assert (requests[i].size < 600 && g_bytes_get_size (octets) == requests[i].size);
		g_autofree char *text = g_strndup (g_bytes_get_data (octets, NULL), requests[i].size);
		const char *subject = strstr (text, "number ");
		h->writes++;
		h->appended++;
		g_autofree char *number = g_strndup (subject + 7, 4);
		HomeMessage *m = home_add (h, f, (guint32) atoi (number), requests[i].flags, requests[i].keywords);
		m->received = h->loses_dates ? (gint64) (1700000000 + h->modseq) : requests[i].received;
		m->size = (guint32) requests[i].size;
		memcpy (m->octets, g_bytes_get_data (octets, NULL), m->size);
		if (h->tells_uids) {
			requests[i].uid = m->uid;
			requests[i].uidvalidity = f->uidvalidity;
		}
		sync_step (); /* dies between messages of one command, too */
	}
	return moment (e, error);
}

static gboolean
memory_store_flags (Endpoint *e, const char *name, guint32 uidvalidity, FlagRequest *requests, guint n, GError **error)
{
	Home *h = home_of (e);
	HomeFolder *f = home_folder (h, name);
	if (!called (e, error))
		return FALSE;
	if (!f)
		return error_fail (error, ERROR_NOT_FOUND, "no such folder");
	for (guint i = 0; i < n; i++) {
		UidIter it = {0};
		guint32 uid;
		while (uid_set_next (&requests[i].uids, &it, &uid)) {
			HomeMessage *m = message_by_uid (f, uid);
			if (!m)
				continue;
			g_autofree char *added = keywords_merge (NULL, or_null (m->keywords), requests[i].add_keywords);
			g_autofree char *words = keywords_merge (requests[i].remove_keywords, added, NULL);
			h->writes++;
			home_set_flags (h, f, m, (m->flags | requests[i].add) & ~requests[i].remove, words);
		}
		sync_step ();
	}
	return moment (e, error);
}

static gboolean
memory_copy (Endpoint *e, const char *from, guint32 uidvalidity, const UidSet *uids, const char *to, gboolean move, GArray **pairs_out,
             guint32 *validity_out, UidSet *copied, GError **error)
{
	Home *h = home_of (e);
	HomeFolder *a = home_folder (h, from), *b = home_folder (h, to);
	if (!called (e, error))
		return FALSE;
	if (!a || !b)
		return error_fail (error, ERROR_NOT_FOUND, "no such folder");
	GArray *pairs = g_array_new (FALSE, FALSE, sizeof (UidPair));
	UidIter it = {0};
	guint32 uid;
	guint nth = 0;
	while (uid_set_next (uids, &it, &uid)) {
		HomeMessage *m = message_by_uid (a, uid);
		if (!m || (h->refuses && ++nth == h->refuses))
			continue;
		h->writes++;
		HomeMessage *copy = home_add (h, b, m->body, m->flags, or_null (m->keywords));
		if (h->loses_dates)
			copy->received = (gint64) (1700000000 + h->modseq);
		UidPair pair = {uid, copy->uid};
		uid_set_add (copied, uid);
		if (h->tells_uids)
			g_array_append_val (pairs, pair);
		sync_step ();
		if (move && h->abilities & ENDPOINT_MOVE)
			home_remove (h, a, m);
	}
	*pairs_out = pairs;
	*validity_out = b->uidvalidity;
	return moment (e, error);
}

static gboolean
others_marked (const HomeFolder *f, const UidSet *uids)
{
	for (int i = 0; i < HOME_MESSAGES; i++)
		if (f->messages[i].uid && f->messages[i].flags & FLAG_DELETED && !uid_set_contains (uids, f->messages[i].uid))
			return TRUE;
	return FALSE;
}

static gboolean
memory_expunge (Endpoint *e, const char *name, guint32 uidvalidity, const UidSet *uids, UidSet *left_out, GError **error)
{
	Home *h = home_of (e);
	HomeFolder *f = home_folder (h, name);
	if (!called (e, error))
		return FALSE;
	if (!f)
		return error_fail (error, ERROR_NOT_FOUND, "no such folder");
	UidIter it = {0};
	guint32 uid;
	while (uid_set_next (uids, &it, &uid)) {
		HomeMessage *m = message_by_uid (f, uid);
		if (m && !(m->flags & FLAG_DELETED)) {
			g_autofree char *words = g_strdup (m->keywords);
			h->writes++;
			home_set_flags (h, f, m, m->flags | FLAG_DELETED, words);
		}
		sync_step ();
	}
	if (!(h->abilities & ENDPOINT_UIDPLUS) && others_marked (f, uids)) {
		uid_set_copy (left_out, uids);
		return moment (e, error);
	}
	it = (UidIter){0};
	while (uid_set_next (uids, &it, &uid)) {
		HomeMessage *m = message_by_uid (f, uid);
		if (m)
			home_remove (h, f, m);
		sync_step ();
	}
	return moment (e, error);
}

static gboolean
memory_folder_create (Endpoint *e, const char *parent, const char *leaf, const char *role, char **name_out, GError **error)
{
	Home *h = home_of (e);
	if (!called (e, error))
		return FALSE;
	*name_out = parent ? g_strconcat (parent, "/", leaf, NULL) : g_strdup (leaf);
	if (!home_folder (h, *name_out)) {
		h->writes++;
		home_create (h, *name_out);
	}
	return TRUE;
}

/* Or something is below it. */
static gboolean
is_there (Home *h, const char *name)
{
	for (int i = 0; i < HOME_FOLDERS; i++)
		if (is_or_is_below (&h->folders[i], name))
			return TRUE;
	return FALSE;
}

static gboolean
memory_folder_rename (Endpoint *e, const char *name, const char *parent, const char *leaf, char **name_out, GError **error)
{
	if (!called (e, error))
		return FALSE;
	if (!is_there (home_of (e), name))
		return error_fail (error, ERROR_NOT_FOUND, "no such folder");
	*name_out = parent ? g_strconcat (parent, "/", leaf, NULL) : g_strdup (leaf);
	if (home_folder (home_of (e), *name_out) || !home_rename (home_of (e), name, *name_out))
		return error_fail (error, ERROR_EXISTS, "taken");
	home_of (e)->writes++;
	return TRUE;
}

static gboolean
memory_folder_delete (Endpoint *e, const char *name, GError **error)
{
	if (!called (e, error))
		return FALSE;
	if (!home_folder (home_of (e), name))
		return error_fail (error, ERROR_NOT_FOUND, "no such folder");
	home_of (e)->writes++;
	home_delete (home_of (e), name);
	return TRUE;
}

static gboolean
memory_watch (Endpoint *e, const char *const *names, guint n, gint64 timeout_ms, int wake_fd, GPtrArray **changed_out, GError **error)
{
	*changed_out = NULL;
	return called (e, error) && (!home_of (e)->drops_waits || error_fail (error, ERROR_TEMPORARY, "connection lost"));
}

static guint
memory_shared (Endpoint *e)
{
	return 0;
}

static const EndpointClass memory_class = {
	.open = memory_open, .close = memory_close, .free = (void (*) (Endpoint *)) g_free, .abilities = memory_abilities,
	.traffic = memory_traffic, .list = memory_list, .shared = memory_shared, .query = memory_query, .fetch = memory_fetch, .evidence = memory_evidence, .search_flags = memory_search_flags,
	.append = memory_append, .store_flags = memory_store_flags, .copy = memory_copy, .expunge = memory_expunge,
	.folder_create = memory_folder_create, .folder_rename = memory_folder_rename, .folder_delete = memory_folder_delete,
	.watch = memory_watch,
};

Endpoint *
home_endpoint (Home *h)
{
	MemoryEndpoint *e = g_new0 (MemoryEndpoint, 1);
	e->base.class = &memory_class;
	e->home = h;
	return &e->base;
}

char *
home_store_path (void)
{
	g_autofree char *dir = g_dir_make_tmp ("outpost-test-XXXXXX", NULL);
	return g_build_filename (dir, "a.store", NULL);
}

void
home_store_remove (char *path)
{
	g_autofree char *dir = g_path_get_dirname (path);
	g_autoptr (GDir) files = g_dir_open (dir, 0, NULL);
	const char *name;
	while ((name = g_dir_read_name (files))) {
		g_autofree char *file = g_build_filename (dir, name, NULL);
		g_unlink (file);
	}
	g_rmdir (dir);
	g_free (path);
}

gboolean
home_sync (Home *h, const char *path, const SyncOptions *o, SyncResult *r, GError **error)
{
	g_autoptr (Store) s = store_open (path, STORE_CREATE, error);
	g_autoptr (Endpoint) e = home_endpoint (h);
	return s && sync_run (s, e, o, NULL, r, error);
}

gboolean
home_sync_and_die (Home *h, const char *path, const SyncOptions *o, guint step)
{
	int status = 0;
	pid_t pid = fork ();
	if (pid == 0) {
		SyncResult r;
		g_autofree char *at = g_strdup_printf ("%u", step);
		g_setenv ("OUTPOST_DIE_AT", at, TRUE);
		home_sync (h, path, o, &r, NULL);
		_exit (0);
	}
	g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
	return WIFEXITED (status) && WEXITSTATUS (status) == 137;
}

static int
by_message_uid (gconstpointer a, gconstpointer b)
{
	guint32 x = ((const HomeMessage *) a)->uid, y = ((const HomeMessage *) b)->uid;
	return x < y ? -1 : x > y;
}

static void
alter (HomeMessage *m, const HomeChange *c)
{
	static const char line[] = "X-Migrated-By: a tool\r\n";
	if (c->add_header) {
		memmove (m->octets + strlen (line), m->octets, m->size);
		memcpy (m->octets, line, strlen (line));
		m->size += (guint32) strlen (line);
	}
	if (c->lose_dates)
		m->received = 1700000000;
	if (c->lose_flags) {
		m->flags = 0;
		*m->keywords = '\0';
	}
}

void
home_change (Home *h, HomeFolder *f, const HomeChange *c)
{
	g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (HomeMessage));
	for (int i = 0; i < HOME_MESSAGES; i++)
		if (f->messages[i].uid)
			g_array_append_val (all, f->messages[i]);
	g_array_sort (all, by_message_uid);
	guint n = c->empty ? 0 : c->keep ? MIN (c->keep, all->len) : all->len;
	guint32 uidnext = f->uidnext;
	memset (f->messages, 0, sizeof f->messages);
	f->n_vanished = 0;
	f->uidnext = 1;
	if (c->new_validity)
		f->uidvalidity = h->next_validity++;
	if (c->lower_modseq)
		h->modseq = 0;
	if (c->jump)
		h->modseq += HOME_JUMP;
	for (guint i = 0; i < n; i++) {
		guint at = c->order == ORDER_REVERSED ? n - 1 - i : c->order == ORDER_SHUFFLED ? (i * (n % 7 ? 7 : 11) + 3) % n : i;
		HomeMessage m = g_array_index (all, HomeMessage, at);
		m.uid = c->order == ORDER_SAME_UIDS || (c->order == ORDER_ABOVE && i == 0) ? m.uid : c->order == ORDER_ABOVE ? uidnext + i : i + 1;
		m.modseq = ++h->modseq;
		alter (&m, c);
		f->messages[i] = m;
		f->uidnext = m.uid + 1;
	}
	if (c->order == ORDER_SAME_UIDS && n == all->len)
		f->uidnext = uidnext;
	f->highest = ++h->modseq;
	for (guint i = n; c->jump && i < all->len; i++) {
		f->vanished[f->n_vanished].uid = g_array_index (all, HomeMessage, i).uid;
		f->vanished[f->n_vanished++].modseq = h->modseq;
	}
	if (c->jump)
		f->uidnext = uidnext + HOME_JUMP;
}
