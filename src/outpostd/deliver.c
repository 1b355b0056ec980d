/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver.h"
#include <string.h>

/* ---- Whom ---- */

static void
recipient_free (gpointer recipient)
{
	g_ptr_array_unref (recipient);
}

static gboolean
has_room (Host *h, const DirectoryMailbox *m, GError **error)
{
	if (!m->quota)
		return TRUE;
	g_autofree char *path = host_store_path (h, m->id);
	g_autoptr (Store) s = store_open (path, STORE_READ_ONLY, error);
	StoreStatistics now;
	if (!s || !store_statistics (s, &now, error))
		return FALSE;
	return now.content_octets < m->quota || error_fail (error, ERROR_OVER_QUOTA, "the mailbox %s is full", m->address);
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
		if (!has_room (h, mailboxes->pdata[i], error))
			return FALSE;
	*recipient_out = g_steal_pointer (&mailboxes);
	return TRUE;
}

/* ---- Storing ---- */

static gboolean
store_one (Host *h, const DirectoryMailbox *m, Prepared *p, GError **error)
{
	g_autofree char *path = host_store_path (h, m->id);
	g_autoptr (Store) s = store_open (path, 0, error);
	g_autoptr (Folder) inbox = s ? store_folder_by_path (s, "INBOX", error) : NULL;
	gint64 message;
	gboolean ok = inbox && store_begin (s, error) && store_add_message (s, p, inbox->id, &message, error) &&
	              store_place (s, inbox->id, message, 0, NULL, FALSE, 0, NULL, error) && store_commit (s, error);
	if (s)
		store_rollback (s);
	return ok;
}

static void
deliver (gpointer data, LmtpdMessage *message, gpointer *recipients, guint n, GError **results)
{
	Delivery *d = data;
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	guint64 size = g_bytes_get_size (lmtpd_message_octets (message));
	g_autoptr (Prepared) p = prepare_bytes (lmtpd_message_octets (message), now, 0);
	g_autoptr (GHashTable) done = g_hash_table_new (g_str_hash, g_str_equal);
	for (guint i = 0; i < n; i++) {
		const GPtrArray *mailboxes = recipients[i];
		for (guint k = 0; k < mailboxes->len && !results[i]; k++) {
			const DirectoryMailbox *m = mailboxes->pdata[k];
			if (g_hash_table_contains (done, m->id)) /* two addresses of one person */
				continue;
			if (store_one (d->host, m, p, &results[i]))
				g_hash_table_add (done, m->id);
			metrics_delivery (d->metrics, !results[i], size);
			g_message ("lmtp: message=%s mailbox=%s %s", lmtpd_message_id (message), m->address, results[i] ? results[i]->message : "delivered");
		}
	}
}

LmtpdSettings
deliver_settings (Delivery *d)
{
	return (LmtpdSettings){.find = find, .deliver = deliver, .recipient_free = recipient_free, .data = d, .host = d->host->name,
	                       .message_max = d->host->message_max};
}

/* ---- Sessions ---- */

static gpointer
open_session (gpointer data, const ServerPeer *peer, ServerSend send, gpointer to)
{
	return lmtpd_session_new (data, peer->address, send, to);
}

static void
close_session (gpointer session)
{
	lmtpd_session_free (session);
}

static gboolean
feed (gpointer session, Slice input)
{
	return lmtpd_session_feed (session, input);
}

static void
bye (gpointer session, const char *why)
{
	lmtpd_session_bye (session, why);
}

const ServerProtocol server_lmtp = {.open = open_session, .free = close_session, .feed = feed, .bye = bye, .refusal = "421 4.3.2 %s\r\n"};
