/* SPDX-License-Identifier: Apache-2.0 */
/* Messages are hashed, scanned and compressed on the network's thread, which has time for it, and committed on this one, so that neither
 * waits for the other and two cores have work. Invariant: a message, its placement and its binding are one transaction; what is queued is bounded. */
#include "sync-private.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_OCTETS (6u << 20)
#define QUEUE_MESSAGES 2000u
#define BATCH_MESSAGES 100u
#define BATCH_OCTETS (512u << 10)
#define BATCH_WAIT_US 200000 /* each wake-up is a system call: more messages are waited for so long */
/* Indexes over random keys have their pages all over: a page is written once a transaction, however many rows it got. */
#define TRANSACTION_US 1000000
#define TRANSACTION_OCTETS (64u << 20)
#define TURN_US 3000 /* between transactions, for others who wait to write (db.c asks each millisecond) */

typedef struct {
	gint64 folder;
	RemoteState state;
	gint64 received;
	int zone, fd; /* fd -1: in prepared */
	guint64 remote_size, size;
	Prepared *prepared; /* NULL: still in fd, being big */
	guint64 *count;     /* one more when it is committed */
} Item;

struct SyncWriter {
	Store *store;
	Packer *packer; /* of the thread that puts */
	GThread *thread;
	GMutex lock;
	GCond room, work;
	GQueue queue; /* Item */
	gsize queued_octets;
	gboolean ending;
	gboolean hungry, waiting; /* the writer waits: for the first item; for a batch */
	GError *error;
	guint64 stored, stored_octets; /* committed */

	/* of the thread's transaction */
	gint64 began; /* 0: none */
	guint64 messages, octets;
	GPtrArray *counts; /* Item.count of each */
};

static void
item_free (Item *item)
{
	g_free (item->state.keywords);
	g_clear_pointer (&item->prepared, prepared_free);
	if (item->fd >= 0)
		close (item->fd);
	g_free (item);
}

gboolean
sync_place (Store *s, gint64 folder, gint64 message, const RemoteState *state, gint64 *placement_out, GError **error)
{
	g_auto (LostChange) c = {0};
	gboolean found;
	guint flags = state->flags;
	if (!store_take_lost_change (s, message, &c, &found, error))
		return FALSE;
	g_autofree char *keywords = found ? keywords_merge (c.base_keywords, c.keywords, state->keywords) : g_strdup (state->keywords);
	if (found)
		flags = plan_merge_flags (c.base_flags, c.flags, flags);
	return store_place (s, folder, message, flags, keywords, FALSE, 0, placement_out, error);
}

/* What was awaited, or sent by a run that an older copy of the store does not know, is here, by its content: home's flags are merged over those it was last known with. */
static gboolean
bind_awaited (Store *s, const Item *item, gint64 placement, GError **error)
{
	g_autoptr (Placement) here = store_placement (s, placement, error);
	PlacementBinding b = {0};
	gboolean found;
	if (!here || !store_binding_of (s, placement, &b, &found, error))
		return FALSE;
	g_autofree char *keywords = keywords_merge (b.keywords, here->keywords, item->state.keywords);
	guint flags = plan_merge_flags (b.flags, here->flags, item->state.flags);
	placement_binding_done (&b);
	b = (PlacementBinding){.placement = placement, .folder = item->folder, .remote_uid = item->state.uid, .flags = item->state.flags,
	                       .keywords = item->state.keywords, .modseq = item->state.modseq};
	return store_set_flags (s, placement, flags, keywords, error) && store_bind_placement (s, &b, error) &&
	       store_rebind (s, placement, item->state.uid, item->remote_size, item->received, error);
}

static gboolean
store_item (Store *s, const Item *item, GError **error)
{
	PlacementBinding b = {0};
	gboolean found;
	gint64 message, awaited, gone = 0;
	if (!store_binding_by_uid (s, item->folder, item->state.uid, &b, &found, error))
		return FALSE;
	placement_binding_done (&b);
	if (found)
		return TRUE; /* an earlier run had it */
	if (!store_has_folder (s, item->folder, &found, error))
		return FALSE;
	if (!found)
		return TRUE; /* the folder was removed here meanwhile */
	g_autoptr (Prepared) from_file = item->fd >= 0 ? prepare_file (item->fd, item->size, item->received, item->zone, error) : NULL;
	Prepared *p = item->prepared ? item->prepared : from_file;
	b = (PlacementBinding){.folder = item->folder, .remote_uid = item->state.uid, .flags = item->state.flags,
	                       .keywords = item->state.keywords, .modseq = item->state.modseq,
	                       .remote_size = item->remote_size == item->size ? 0 : item->remote_size};
	if (!p || !store_expected_content (s, item->folder, prepared_hash (p), &awaited, error))
		return FALSE;
	if (awaited)
		return bind_awaited (s, item, awaited, error);
	if (!store_awaited_removal (s, item->folder, prepared_hash (p), &gone, error))
		return FALSE;
	if (gone) /* the push removes or moves it there, too */
		return store_rebind (s, gone, item->state.uid, item->remote_size, item->received, error);
	return store_add_message (s, p, item->folder, &message, error) &&
	       sync_place (s, item->folder, message, &item->state, &b.placement, error) &&
	       store_bind_placement (s, &b, error);
}

static gboolean
is_batch (SyncWriter *w)
{
	return w->ending || w->error || w->queued_octets >= BATCH_OCTETS || g_queue_get_length (&w->queue) >= BATCH_MESSAGES;
}

static void
wait_for_batch (SyncWriter *w)
{
	while (g_queue_is_empty (&w->queue) && !w->ending && !w->began) {
		w->hungry = TRUE;
		g_cond_wait (&w->work, &w->lock);
	}
	w->hungry = FALSE;
	w->waiting = TRUE;
	gint64 until = g_get_monotonic_time () + BATCH_WAIT_US;
	while (!is_batch (w) && g_cond_wait_until (&w->work, &w->lock, until))
		continue;
	w->waiting = FALSE;
}

/* Takes a batch off the queue. FALSE: nothing came for a while, or the end has come. */
static gboolean
take_batch (SyncWriter *w, GPtrArray *batch)
{
	g_mutex_lock (&w->lock);
	wait_for_batch (w);
	gsize octets = 0;
	while (!g_queue_is_empty (&w->queue) && octets < BATCH_OCTETS && batch->len < BATCH_MESSAGES) {
		Item *item = g_queue_pop_head (&w->queue);
		g_ptr_array_add (batch, item);
		octets += item->fd < 0 ? item->size : 0;
	}
	w->queued_octets -= octets;
	g_cond_broadcast (&w->room);
	g_mutex_unlock (&w->lock);
	return batch->len > 0;
}

static gboolean
begin (SyncWriter *w, GError **error)
{
	if (w->began)
		return TRUE;
	w->messages = w->octets = 0;
	g_ptr_array_set_size (w->counts, 0);
	w->began = store_begin (w->store, error) ? g_get_monotonic_time () : 0;
	return w->began != 0;
}

static gboolean
store_batch (SyncWriter *w, GPtrArray *batch, GError **error)
{
	if (!begin (w, error))
		return FALSE;
	for (guint i = 0; i < batch->len; i++) {
		Item *item = batch->pdata[i];
		if (!store_item (w->store, item, error)) {
			store_rollback (w->store);
			w->began = 0;
			return FALSE;
		}
		w->messages++;
		g_ptr_array_add (w->counts, item->count);
		w->octets += item->size;
	}
	return TRUE;
}

static gboolean
commit (SyncWriter *w, GError **error)
{
	sync_step ();
	gboolean ok = store_commit (w->store, error);
	w->began = 0;
	sync_step ();
	if (!ok)
		return FALSE;
	for (guint i = 0; i < w->counts->len; i++)
		++*(guint64 *) w->counts->pdata[i];
	g_mutex_lock (&w->lock);
	w->stored += w->messages;
	w->stored_octets += w->octets;
	g_mutex_unlock (&w->lock);
	return TRUE;
}

static gboolean
is_long (const SyncWriter *w)
{
	return w->octets >= TRANSACTION_OCTETS || g_get_monotonic_time () - w->began >= TRANSACTION_US;
}

static void
fail (SyncWriter *w, GError *error)
{
	g_mutex_lock (&w->lock);
	w->error = error;
	g_cond_broadcast (&w->room);
	g_mutex_unlock (&w->lock);
}

static gboolean
has_ended (SyncWriter *w)
{
	g_mutex_lock (&w->lock);
	gboolean ended = w->ending && g_queue_is_empty (&w->queue);
	g_mutex_unlock (&w->lock);
	return ended;
}

/* After an error, what is put is dropped: who puts is told. */
static gpointer
writer_thread (gpointer data)
{
	SyncWriter *w = data;
	do {
		g_autoptr (GPtrArray) batch = g_ptr_array_new_with_free_func ((GDestroyNotify) item_free);
		GError *error = NULL;
		gboolean came = take_batch (w, batch);
		if (w->error)
			continue;
		if (came && !store_batch (w, batch, &error)) {
			fail (w, error);
			continue;
		}
		if (!w->began || (came && !is_long (w)))
			continue;
		if (!commit (w, &error))
			fail (w, error);
		else if (came)
			g_usleep (TURN_US);
	} while (!has_ended (w) || w->began);
	return NULL;
}

SyncWriter *
sync_writer_new (SyncRun *run, GError **error)
{
	Store *store = store_open (store_path (run->store), 0, error);
	if (!store)
		return NULL;
	SyncWriter *w = g_new0 (SyncWriter, 1);
	w->store = store;
	w->packer = packer_new (store);
	w->counts = g_ptr_array_new ();
	g_mutex_init (&w->lock);
	g_cond_init (&w->room);
	g_cond_init (&w->work);
	g_queue_init (&w->queue);
	w->thread = g_thread_new ("writer", writer_thread, w);
	return w;
}

static Item *
item_new (SyncWriter *w, gint64 folder, const FetchedMessage *m)
{
	Item *item = g_new0 (Item, 1);
	item->folder = folder;
	item->state = m->state;
	item->state.keywords = g_strdup (m->state.keywords);
	item->received = m->received;
	item->zone = m->zone;
	item->remote_size = m->remote_size;
	item->size = m->size;
	item->fd = m->octets ? -1 : fcntl (m->fd, F_DUPFD_CLOEXEC, 3);
	if (m->octets) {
		item->prepared = prepare_bytes (m->octets, m->received, m->zone);
		packer_pack (w->packer, item->prepared);
	}
	return item;
}

gboolean
sync_writer_put (SyncWriter *w, gint64 folder, const FetchedMessage *m, guint64 *count, GError **error)
{
	Item *item = item_new (w, folder, m);
	item->count = count;
	g_mutex_lock (&w->lock);
	while (!w->error && (w->queued_octets > QUEUE_OCTETS || g_queue_get_length (&w->queue) > QUEUE_MESSAGES))
		g_cond_wait (&w->room, &w->lock);
	gboolean ok = !w->error;
	if (ok) {
		g_queue_push_tail (&w->queue, item);
		w->queued_octets += item->fd < 0 ? item->size : 0;
		if (w->hungry || (w->waiting && is_batch (w))) /* each signal is a system call */
			g_cond_signal (&w->work);
	} else {
		g_propagate_error (error, g_error_copy (w->error));
		item_free (item);
	}
	g_mutex_unlock (&w->lock);
	return ok;
}

guint64
sync_writer_stored (SyncWriter *w, guint64 *octets_out)
{
	g_mutex_lock (&w->lock);
	guint64 n = w->stored;
	*octets_out = w->stored_octets;
	g_mutex_unlock (&w->lock);
	return n;
}

gboolean
sync_writer_end (SyncWriter *w, guint64 *stored_out, guint64 *octets_out, GError **error)
{
	g_mutex_lock (&w->lock);
	w->ending = TRUE;
	g_cond_signal (&w->work);
	g_mutex_unlock (&w->lock);
	g_thread_join (w->thread);
	gboolean ok = !w->error;
	if (!ok)
		g_propagate_error (error, g_steal_pointer (&w->error));
	*stored_out = w->stored;
	*octets_out = w->stored_octets;
	packer_free (w->packer);
	g_ptr_array_unref (w->counts);
	store_close (w->store);
	g_mutex_clear (&w->lock);
	g_cond_clear (&w->room);
	g_cond_clear (&w->work);
	g_free (w);
	return ok;
}
