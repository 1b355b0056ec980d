/* SPDX-License-Identifier: Apache-2.0 */
#include "indexer.h"
#include "search.h"
#include <poll.h>

#define PAUSE_MS 500
#define QUIET (1 * G_USEC_PER_SEC)  /* nothing came for so long: it is indexed */
#define LONGEST (5 * G_USEC_PER_SEC) /* or it waits for so long; a flood is stored first */

typedef struct {
	gint64 first, last; /* something came, monotonic */
} Want;

struct Indexer {
	Host *host;
	Cancel *cancel;
	GThread *thread; /* NULL: not started */
	GMutex lock;     /* guards what follows */
	GHashTable *wanted; /* path of a store -> Want */
};

Indexer *
indexer_new (Host *host)
{
	Indexer *i = g_new0 (Indexer, 1);
	i->host = host;
	i->wanted = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
	g_mutex_init (&i->lock);
	return i;
}

void
indexer_want (Indexer *i, const char *path)
{
	gint64 now = g_get_monotonic_time ();
	g_mutex_lock (&i->lock);
	Want *w = g_hash_table_lookup (i->wanted, path);
	if (!w) {
		w = g_new (Want, 1);
		w->first = now;
		g_hash_table_insert (i->wanted, g_strdup (path), w);
	}
	w->last = now;
	g_mutex_unlock (&i->lock);
}

/* What came while no server ran, or before one that indexed. Of several servers that share the directory each has its own mailboxes. */
static void
want_all (Indexer *i)
{
	g_autoptr (GError) error = NULL;
	Directory *d = host_directory (i->host, &error);
	g_autoptr (GPtrArray) all = d ? directory_mailboxes (d, FALSE, &error) : NULL;
	for (guint n = 0; all && n < all->len; n++) {
		const DirectoryMailbox *m = all->pdata[n];
		g_autofree char *path = host_store_path (i->host, m->id);
		if (g_strcmp0 (m->server, i->host->server) == 0)
			indexer_want (i, path);
	}
	if (error)
		g_message ("index: %s", error->message);
}

/* A mailbox that was removed, has moved away or is fenced just now is no error; what comes into it later is wanted again. */
static void
index_one (Indexer *i, const char *path)
{
	g_autoptr (GError) error = NULL;
	g_autoptr (Store) s = store_open (path, 0, &error);
	gboolean ok = s && search_index (s, i->cancel, NULL, NULL, NULL, &error);
	if (!ok && !error_is (error, ERROR_NOT_FOUND) && !error_is (error, ERROR_CANCELLED))
		g_message ("index: %s: %s", path, error->message);
}

/* Paths whose turn it is; they are wanted no more. */
static GPtrArray *
take_due (Indexer *i)
{
	GPtrArray *due = g_ptr_array_new_with_free_func (g_free);
	gint64 now = g_get_monotonic_time ();
	GHashTableIter it;
	gpointer path, want;
	g_mutex_lock (&i->lock);
	g_hash_table_iter_init (&it, i->wanted);
	while (g_hash_table_iter_next (&it, &path, &want)) {
		const Want *w = want;
		if (now - w->last < QUIET && now - w->first < LONGEST)
			continue;
		g_ptr_array_add (due, g_strdup (path));
		g_hash_table_iter_remove (&it);
	}
	g_mutex_unlock (&i->lock);
	return due;
}

static gpointer
index_thread (gpointer data)
{
	Indexer *i = data;
	struct pollfd wait = {cancel_fd (i->cancel), POLLIN, 0};
	want_all (i);
	while (!cancel_is_triggered (i->cancel)) {
		g_autoptr (GPtrArray) due = take_due (i);
		for (guint n = 0; n < due->len && !cancel_is_triggered (i->cancel); n++)
			index_one (i, due->pdata[n]);
		poll (&wait, 1, PAUSE_MS);
	}
	return NULL;
}

void
indexer_start (Indexer *i, Cancel *cancel)
{
	i->cancel = cancel;
	i->thread = g_thread_new ("indexing", index_thread, i);
}

void
indexer_free (Indexer *i)
{
	if (!i)
		return;
	if (i->thread)
		g_thread_join (i->thread);
	g_hash_table_unref (i->wanted);
	g_mutex_clear (&i->lock);
	g_free (i);
}
