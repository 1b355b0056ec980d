/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

/* Whoever finds nobody storing into a mailbox stores for all who wait for that, in one transaction: one commit makes many letters durable, and
 * nobody waits for more company than there is. */

#define TOGETHER 100   /* letters in one transaction */
#define KEPT_OPEN 64   /* stores of mailboxes that nothing comes for at the moment */

typedef struct {
	const DirectoryMailbox *mailbox;
	Prepared *prepared;
	GError *error;
	gboolean done;
	gboolean once; /* it may be there already */
} Letter;

typedef struct {
	char *path;
	GQueue waiting;  /* Letter */
	guint users;     /* threads that wait here, or store */
	gboolean stored; /* by one of them, now: what follows is its own */
	Store *store;    /* NULL: not open */
	dev_t device;
	ino_t inode;
} Box;

struct Delivery {
	Host *host;
	Metrics *metrics;
	Indexer *indexer;
	GMutex lock; /* guards what follows, and the boxes */
	GCond change;
	GHashTable *boxes; /* by id */
	guint idle;
};

/* ---- Whom ---- */

static void
recipient_free (gpointer recipient)
{
	g_ptr_array_unref (recipient);
}

static gboolean
is_limited (const DirectoryMailbox *m)
{
	return m->quota || m->quota_messages;
}

/* For anything at all: how big it is, is known at the end. */
static gboolean
has_room (Host *h, const DirectoryMailbox *m, GError **error)
{
	if (!is_limited (m))
		return TRUE;
	g_autofree char *path = host_store_path (h, m->id);
	g_autoptr (Store) s = store_open (path, 0, error);
	StoreUsage now;
	if (!s || !store_usage (s, &now, error))
		return FALSE;
	now.octets++;
	now.messages++;
	return host_has_room (m, &now, error);
}

/* Whom an address without domain means (RFC 5321 section 4.5.1). */
static char *
with_domain (Directory *d, const char *address)
{
	g_autoptr (GPtrArray) domains = strchr (address, '@') ? NULL : directory_domains (d, NULL);
	return domains && domains->len ? g_strconcat (address, "@", domains->pdata[0], NULL) : g_strdup (address);
}

static gboolean
find (gpointer data, const char *address, gpointer *recipient_out, GError **error)
{
	Host *h = ((Delivery *) data)->host;
	Directory *d = host_directory (h, error);
	if (!d)
		return FALSE;
	g_autofree char *detail = NULL, *whole = with_domain (d, address);
	g_autoptr (GPtrArray) mailboxes = directory_resolve (d, whole, &detail, error);
	if (!mailboxes) {
		if (error_is (*error, ERROR_USAGE)) /* what is no address of ours is nobody */
			(*error)->code = ERROR_NOT_FOUND;
		return FALSE;
	}
	for (guint i = 0; i < mailboxes->len; i++)
		if (!host_is_home (h, mailboxes->pdata[i], NULL, error) || !has_room (h, mailboxes->pdata[i], error))
			return FALSE;
	*recipient_out = g_steal_pointer (&mailboxes);
	return TRUE;
}

/* ---- Storing ---- */

static void
box_free (gpointer data)
{
	Box *b = data;
	store_close (b->store);
	g_free (b->path);
	g_free (b);
}

/* Another file may be at its place: of a mailbox that was restored. */
static gboolean
box_open (Box *b, GError **error)
{
	GStatBuf now;
	gboolean there = g_stat (b->path, &now) == 0;
	if (b->store && there && now.st_dev == b->device && now.st_ino == b->inode)
		return TRUE;
	g_clear_pointer (&b->store, store_close);
	b->store = store_open (b->path, 0, error);
	if (!b->store && error && error_is (*error, ERROR_NOT_FOUND)) /* the directory has the mailbox: its store is on its way, and the letter waits */
		(*error)->code = ERROR_UNAVAILABLE;
	if (!b->store || g_stat (b->path, &now) != 0)
		return b->store != NULL && error_set_errno (error, errno, "looking at %s", b->path);
	b->device = now.st_dev;
	b->inode = now.st_ino;
	return TRUE;
}

static gboolean
add_letters (Store *s, GPtrArray *letters, GError **error)
{
	gint64 inbox = store_folder_child (s, 0, "INBOX"), message;
	if (!inbox)
		return error_fail (error, ERROR_NOT_FOUND, "the mailbox has no INBOX");
	for (guint i = 0; i < letters->len; i++) {
		const Letter *l = letters->pdata[i];
		gboolean there = FALSE;
		if ((l->once && !store_has_octets (s, l->prepared, &there, error)) ||
		    (!there && (!store_add_message (s, l->prepared, inbox, &message, error) || !store_place (s, inbox, message, 0, NULL, FALSE, 0, NULL, error))))
			return FALSE;
	}
	return TRUE;
}

/* By the limit of who was looked up last, behind what was added. */
static gboolean
is_within_limits (Store *s, GPtrArray *letters, GError **error)
{
	const DirectoryMailbox *m = ((Letter *) letters->pdata[letters->len - 1])->mailbox;
	StoreUsage now;
	return !is_limited (m) || (store_usage (s, &now, error) && host_has_room (m, &now, error));
}

static gboolean
store_together (Box *b, GPtrArray *letters, GError **error)
{
	gboolean ok = box_open (b, error) && store_begin (b->store, error) && add_letters (b->store, letters, error) &&
	              is_within_limits (b->store, letters, error) && store_commit (b->store, error);
	if (b->store)
		store_rollback (b->store);
	return ok;
}

/* If one can't be stored, the others don't suffer for it. */
static void
store_letters (Box *b, GPtrArray *letters)
{
	if (letters->len > 1 && store_together (b, letters, NULL))
		return;
	for (guint i = 0; i < letters->len; i++) {
		Letter *letter = letters->pdata[i];
		g_autoptr (GPtrArray) alone = g_ptr_array_new ();
		g_ptr_array_add (alone, letter);
		store_together (b, alone, &letter->error);
	}
}

/* With the lock. */
static Box *
box_of (Delivery *d, const char *id)
{
	Box *b = g_hash_table_lookup (d->boxes, id);
	if (!b) {
		b = g_new0 (Box, 1);
		b->path = host_store_path (d->host, id);
		g_hash_table_insert (d->boxes, g_strdup (id), b);
	} else
		d->idle -= b->users == 0;
	b->users++;
	return b;
}

/* With the lock. Any of those that wait for nothing goes, when they are too many. */
static void
box_leave (Delivery *d, Box *b)
{
	GHashTableIter it;
	gpointer id, idle;
	if (--b->users > 0 || ++d->idle <= KEPT_OPEN)
		return;
	g_hash_table_iter_init (&it, d->boxes);
	while (g_hash_table_iter_next (&it, &id, &idle))
		if (((Box *) idle)->users == 0) {
			g_hash_table_iter_remove (&it);
			d->idle--;
			return;
		}
}

/* With the lock, which it leaves meanwhile. */
static void
store_waiting (Delivery *d, Box *b)
{
	g_autoptr (GPtrArray) letters = g_ptr_array_new ();
	while (letters->len < TOGETHER && !g_queue_is_empty (&b->waiting))
		g_ptr_array_add (letters, g_queue_pop_head (&b->waiting));
	b->stored = TRUE;
	g_mutex_unlock (&d->lock);
	store_letters (b, letters);
	g_mutex_lock (&d->lock);
	b->stored = FALSE;
	for (guint i = 0; i < letters->len; i++)
		((Letter *) letters->pdata[i])->done = TRUE;
	g_cond_broadcast (&d->change);
}

static gboolean
store_one (Delivery *d, const DirectoryMailbox *m, Prepared *p, gboolean once, GError **error)
{
	Letter letter = {m, p, NULL, FALSE, once};
	if (m->quota && prepared_size (p) > m->quota)
		return error_fail (error, ERROR_TOO_BIG, "the message is bigger than all that %s may hold", m->address);
	g_mutex_lock (&d->lock);
	Box *b = box_of (d, m->id);
	g_queue_push_tail (&b->waiting, &letter);
	while (!letter.done) {
		if (b->stored)
			g_cond_wait (&d->change, &d->lock);
		else
			store_waiting (d, b);
	}
	if (!letter.error)
		indexer_want (d->indexer, b->path);
	box_leave (d, b);
	g_mutex_unlock (&d->lock);
	if (letter.error)
		g_propagate_error (error, letter.error);
	return !letter.error;
}

gboolean
delivery_store_once (Delivery *d, const DirectoryMailbox *m, Prepared *p, GError **error)
{
	gboolean ok = store_one (d, m, p, TRUE, error);
	metrics_delivery (d->metrics, ok, prepared_size (p));
	return ok;
}

Delivery *
delivery_new (Host *host, Metrics *metrics, Indexer *indexer)
{
	Delivery *d = g_new0 (Delivery, 1);
	d->host = host;
	d->metrics = metrics;
	d->indexer = indexer;
	g_mutex_init (&d->lock);
	g_cond_init (&d->change);
	d->boxes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, box_free);
	return d;
}

void
delivery_free (Delivery *d)
{
	if (!d)
		return;
	g_hash_table_unref (d->boxes);
	g_cond_clear (&d->change);
	g_mutex_clear (&d->lock);
	g_free (d);
}

static void
deliver (gpointer data, SmtpdMessage *message, gpointer *recipients, guint n, GError **results)
{
	Delivery *d = data;
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	guint64 size = g_bytes_get_size (smtpd_message_octets (message));
	g_autoptr (Prepared) p = prepare_bytes (smtpd_message_octets (message), now, 0);
	g_autoptr (GHashTable) done = g_hash_table_new (g_str_hash, g_str_equal);
	for (guint i = 0; i < n; i++) {
		const GPtrArray *mailboxes = recipients[i];
		for (guint k = 0; k < mailboxes->len && !results[i]; k++) {
			const DirectoryMailbox *m = mailboxes->pdata[k];
			if (g_hash_table_contains (done, m->id)) /* two addresses of one person */
				continue;
			if (store_one (d, m, p, FALSE, &results[i]))
				g_hash_table_add (done, m->id);
			metrics_delivery (d->metrics, !results[i], size);
			g_message ("lmtp: message=%s mailbox=%s %s", smtpd_message_id (message), m->address, results[i] ? results[i]->message : "delivered");
		}
	}
}

SmtpdSettings
deliver_settings (Delivery *d)
{
	return (SmtpdSettings){.find = find, .deliver = deliver, .recipient_free = recipient_free, .data = d, .host = d->host->name,
	                       .message_max = d->host->message_max};
}

/* ---- Sessions ---- */

static gpointer
open_session (gpointer data, const ServerPeer *peer, ServerSend send, gpointer to)
{
	return smtpd_session_new (data, &(SmtpdPeer){.address = peer->address}, send, to);
}

static void
close_session (gpointer session)
{
	smtpd_session_free (session);
}

static gboolean
feed (gpointer session, Slice input)
{
	return smtpd_session_feed (session, input);
}

static void
bye (gpointer session, const char *why)
{
	smtpd_session_bye (session, why);
}

const ServerProtocol server_lmtp = {.open = open_session, .free = close_session, .feed = feed, .bye = bye, .refusal = "421 4.3.2 %s\r\n"};
