/* SPDX-License-Identifier: Apache-2.0 */
#include "indexer.h"
#include "search.h"
#include <poll.h>

#define PAUSE_MS 1000

struct Indexer {
	Host *host;
	Cancel *cancel;
	GThread *thread; /* NULL: not started */
	GMutex lock;     /* guards what follows */
	GHashTable *wanted; /* paths of stores */
};

static GHashTable *
no_paths (void)
{
	return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
}

Indexer *
indexer_new (Host *host)
{
	Indexer *i = g_new0 (Indexer, 1);
	i->host = host;
	i->wanted = no_paths ();
	g_mutex_init (&i->lock);
	return i;
}

void
indexer_want (Indexer *i, const char *path)
{
	g_mutex_lock (&i->lock);
	if (!g_hash_table_contains (i->wanted, path))
		g_hash_table_add (i->wanted, g_strdup (path));
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

static gpointer
index_thread (gpointer data)
{
	Indexer *i = data;
	struct pollfd wait = {cancel_fd (i->cancel), POLLIN, 0};
	want_all (i);
	while (!cancel_is_triggered (i->cancel)) {
		GHashTableIter it;
		gpointer path;
		g_mutex_lock (&i->lock);
		g_autoptr (GHashTable) wanted = i->wanted;
		i->wanted = no_paths ();
		g_mutex_unlock (&i->lock);
		g_hash_table_iter_init (&it, wanted);
		while (!cancel_is_triggered (i->cancel) && g_hash_table_iter_next (&it, &path, NULL))
			index_one (i, path);
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
