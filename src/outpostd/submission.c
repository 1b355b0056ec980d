/* SPDX-License-Identifier: Apache-2.0 */
#include "submission.h"
#include "mail.h"
#include <string.h>

#define HOUR (3600 * (gint64) G_USEC_PER_SEC)
#define SENDERS_MAX 10000 /* mailboxes whose counts are kept; beyond, counts that are old go first */

typedef struct {
	gint64 since; /* monotonic */
	guint64 recipients;
} Count;

struct Submission {
	LogOns *log_ons;
	Transport *transport;
	SmtpdSubmission protocol;
	GMutex lock;        /* guards what follows */
	GHashTable *counts; /* mailbox id -> Count, of the hour that began with the first message */
};

/* ---- Logging on: as for IMAP ---- */

static ImapdPeer
imapd_peer (const SmtpdPeer *p)
{
	return (ImapdPeer){.how = (p->is_private ? IMAPD_PRIVATE : 0) | (p->encrypted ? IMAPD_ENCRYPTED : 0), .address = p->address, .connection = p->connection};
}

/* Who has proved the password is told where the mailbox is. */
static void
tell_where (GError **error)
{
	const char *text = *error && (*error)->domain == IMAPD_ELSEWHERE ? strchr (strchr ((*error)->message, ' ') + 1, ' ') : NULL; /* behind the address and the id */
	if (!text)
		return;
	GError *told = g_error_new (OUTPOST_ERROR, ERROR_REFUSED, "%s", text + 1);
	g_clear_error (error);
	*error = told;
}

static gpointer
log_on_by_password (gpointer data, const SmtpdPeer *peer, const char *user, const char *password, GError **error)
{
	const ImapdPeer p = imapd_peer (peer);
	ImapdMailbox *m = log_on (((Submission *) data)->log_ons, &p, user, password, error);
	tell_where (error);
	return m;
}

static const char *const *
offered (gpointer data, const SmtpdPeer *peer)
{
	const ImapdPeer p = imapd_peer (peer);
	return log_on_sasl.offered (((Submission *) data)->log_ons, &p);
}

static gpointer
begin (gpointer data, const SmtpdPeer *peer, const char *mechanism, GError **error)
{
	const ImapdPeer p = imapd_peer (peer);
	return log_on_sasl.begin (((Submission *) data)->log_ons, &p, mechanism, error);
}

static gboolean
step (gpointer exchange, Slice message, GString *answer, gpointer *who_out, GError **error)
{
	ImapdMailbox *m = NULL;
	gboolean ok = log_on_sasl.step (exchange, message, answer, &m, error);
	*who_out = m;
	tell_where (error);
	return ok;
}

static void
end (gpointer exchange)
{
	log_on_sasl.free (exchange);
}

static void
who_free (gpointer who)
{
	imapd_mailbox_unref (who);
}

static char *
id_of (gpointer who)
{
	return g_path_get_basename (imapd_mailbox_path (who));
}

/* ---- Senders ---- */

static gboolean
is_own (Directory *d, const char *id, const char *address, gboolean *own_out, GError **error)
{
	g_autoptr (GError) local = NULL;
	g_autofree char *detail = NULL;
	g_autoptr (GPtrArray) mailboxes = directory_resolve (d, address, &detail, &local);
	*own_out = FALSE;
	for (guint i = 0; mailboxes && i < mailboxes->len; i++)
		*own_out |= strcmp (((DirectoryMailbox *) mailboxes->pdata[i])->id, id) == 0;
	if (mailboxes || error_is (local, ERROR_NOT_FOUND) || error_is (local, ERROR_USAGE) || error_is (local, ERROR_CONFLICT))
		return TRUE;
	g_propagate_error (error, g_steal_pointer (&local));
	return FALSE;
}

/* With the lock. */
static Count *
count_of (Submission *s, const char *id, gint64 now)
{
	Count *c = g_hash_table_lookup (s->counts, id);
	if (!c && g_hash_table_size (s->counts) >= SENDERS_MAX) {
		GHashTableIter it;
		gpointer old;
		g_hash_table_iter_init (&it, s->counts);
		while (g_hash_table_iter_next (&it, NULL, &old))
			if (now - ((Count *) old)->since > HOUR)
				g_hash_table_iter_remove (&it);
	}
	if (!c)
		g_hash_table_insert (s->counts, g_strdup (id), c = g_new0 (Count, 1));
	if (now - c->since > HOUR || !c->since)
		*c = (Count){now, 0};
	return c;
}

/* @n more recipients; 0: only looks. */
static gboolean
count (Submission *s, const char *id, guint n, GError **error)
{
	guint64 max = s->log_ons->host->recipients_per_hour;
	g_mutex_lock (&s->lock);
	Count *c = count_of (s, id, g_get_monotonic_time ());
	gboolean may = n ? c->recipients + n <= max : c->recipients < max;
	if (may)
		c->recipients += n;
	g_mutex_unlock (&s->lock);
	return may || error_fail (error, ERROR_REFUSED, "more than %" G_GUINT64_FORMAT " recipients in an hour: try again later", max);
}

static gboolean
may_send_as (gpointer data, gpointer who, const char *address, GError **error)
{
	Submission *s = data;
	g_autofree char *id = id_of (who);
	gboolean own;
	if (!*address) /* RFC 6409 leaves it to us; who sends reports is a server */
		return error_fail (error, ERROR_NO_PERMISSION, "mail from <> is not taken here");
	Directory *d = host_directory (s->log_ons->host, error);
	if (!d || !is_own (d, id, address, &own, error))
		return FALSE;
	return (own || error_fail (error, ERROR_NO_PERMISSION, "you may send from your own addresses only")) && count (s, id, 0, error);
}

/* ---- Recipients ---- */

static gboolean
find (gpointer data, const char *address, gpointer *recipient_out, GError **error)
{
	const Host *h = ((Submission *) data)->log_ons->host;
	Directory *d = host_directory ((Host *) h, error);
	g_autoptr (GPtrArray) domains = d && !strchr (address, '@') ? directory_domains (d, NULL) : NULL;
	g_autofree char *whole = domains && domains->len ? g_strconcat (address, "@", domains->pdata[0], NULL) : g_strdup (address);
	g_autofree char *detail = NULL;
	gboolean ours;
	if (!d || !directory_is_ours (d, whole, &ours, error))
		return FALSE;
	if (!ours && !h->relay)
		return error_fail (error, ERROR_NO_PERMISSION, "mail for other servers is not taken here");
	g_autoptr (GPtrArray) mailboxes = ours ? directory_resolve (d, whole, &detail, error) : NULL;
	if (ours && !mailboxes) {
		if (error_is (*error, ERROR_USAGE))
			(*error)->code = ERROR_NOT_FOUND;
		return FALSE;
	}
	*recipient_out = g_steal_pointer (&whole);
	return TRUE;
}

/* ---- Messages ---- */

/* All line ends as CRLF. */
static GString *
with_crlf (const char *at, gsize size)
{
	GString *out = g_string_sized_new (size + 1000);
	for (const char *end = at + size; at < end;) {
		const char *line = at;
		while (at < end && *at != '\r' && *at != '\n')
			at++;
		g_string_append_len (out, line, (gssize) (at - line));
		if (at == end)
			break;
		g_string_append (out, "\r\n");
		at += *at == '\r' && at + 1 < end && at[1] == '\n' ? 2 : 1;
	}
	return out;
}

/* Its value and whether there is a second one. */
static Slice
only_field (Slice header, const char *name, gboolean *several_out)
{
	Slice first = mail_header_find (header, name);
	const char *from = slice_end (first);
	Slice rest = first.data ? (Slice){from, (gsize) (slice_end (header) - from)} : (Slice){NULL, 0};
	/* behind a value its line end stands, which would be the end of a header */
	if (rest.size >= 2 && rest.data[0] == '\r')
		rest = (Slice){rest.data + 2, rest.size - 2};
	*several_out = rest.size && mail_header_find (rest, name).data;
	return first;
}

/* *own_out: how many of the addresses in @value are the sender's; *all_out: how many there are. */
static gboolean
count_own (Directory *d, const char *id, Slice value, guint *own_out, guint *all_out, GError **error)
{
	g_autoptr (GArray) addresses = value.data ? mail_addresses_parse (value) : g_array_new (FALSE, FALSE, sizeof (MailAddress));
	*own_out = *all_out = 0;
	for (guint i = 0; i < addresses->len; i++) {
		const MailAddress *a = &g_array_index (addresses, MailAddress, i);
		gboolean own = FALSE;
		if (!a->host)
			continue;
		g_autofree char *address = g_strconcat (a->mailbox ? a->mailbox : "", "@", a->host, NULL);
		if (!is_own (d, id, address, &own, error))
			return FALSE;
		*own_out += own;
		++*all_out;
	}
	return TRUE;
}

static gboolean
check_header (Directory *d, const char *id, Slice message, GError **error)
{
	gboolean froms, senders;
	Slice from = only_field (message, "from", &froms), sender = only_field (message, "sender", &senders);
	guint own, all, own_sender, all_sender;
	if (!from.data || froms || senders)
		return error_fail (error, ERROR_PROTOCOL, "a message has one From field and at most one Sender field");
	if (!count_own (d, id, from, &own, &all, error) || !count_own (d, id, sender, &own_sender, &all_sender, error))
		return FALSE;
	if (own == 0 || (sender.data && own_sender == 0) || (own < all && own_sender == 0))
		return error_fail (error, ERROR_NO_PERMISSION, "the From field must name an address of yours, and if it names others, the Sender field too");
	return TRUE;
}

/* RFC 6409 sections 8.2 and 8.3. */
static GBytes *
complete (const Submission *s, const SmtpdMessage *m, const GString *message)
{
	gsize before = smtpd_message_before (m);
	Slice content = {message->str + before, message->len - before};
	GString *whole = g_string_sized_new (message->len + 200);
	g_autofree char *date = smtpd_date_now ();
	g_string_append_len (whole, message->str, (gssize) before);
	if (!mail_header_find (content, "date").data)
		g_string_append_printf (whole, "Date: %s\r\n", date);
	if (!mail_header_find (content, "message-id").data)
		g_string_append_printf (whole, "Message-ID: <%s@%s>\r\n", smtpd_message_id (m), s->log_ons->host->name);
	g_string_append_len (whole, content.data, (gssize) content.size);
	return g_string_free_to_bytes (whole);
}

static GPtrArray *
recipients_of (const Host *h, const SmtpdEnvelope *e, gpointer *recipients, guint n, const char *id, gint64 now)
{
	GPtrArray *all = g_ptr_array_new_with_free_func ((GDestroyNotify) queue_recipient_free);
	for (guint i = 0; i < n; i++) {
		QueueRecipient *r = g_new0 (QueueRecipient, 1);
		*r = (QueueRecipient){.address = g_strdup (recipients[i]), .notify = g_strdup (e->notify[i]), .orcpt = g_strdup (e->orcpt[i]), .next = now};
		g_ptr_array_add (all, r);
	}
	if (h->file_sent) {
		QueueRecipient *copy = g_new0 (QueueRecipient, 1);
		*copy = (QueueRecipient){.sent = TRUE, .address = g_strdup (id), .next = now + (gint64) h->file_sent_delay};
		g_ptr_array_add (all, copy);
	}
	return all;
}

static gboolean
take (Submission *s, SmtpdMessage *m, gpointer *recipients, guint n, GError **error)
{
	Host *h = s->log_ons->host;
	const SmtpdEnvelope *e = smtpd_message_envelope (m);
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	gsize size;
	const char *octets = g_bytes_get_data (smtpd_message_octets (m), &size);
	g_autofree char *id = id_of (e->who);
	g_autoptr (GString) message = with_crlf (octets, size);
	gsize before = smtpd_message_before (m);
	Directory *d = host_directory (h, error);
	if (!d || !check_header (d, id, (Slice){message->str + before, message->len - before}, error) || !count (s, id, n, error))
		return FALSE;
	g_autoptr (GBytes) whole = complete (s, m, message);
	g_autoptr (GPtrArray) to = recipients_of (h, e, recipients, n, id, now);
	const QueueMessage queued = {.name = (char *) smtpd_message_id (m), .sender = (char *) smtpd_message_sender (m), .utf8 = e->utf8, .ret = (char *) e->ret,
	                             .envid = (char *) e->envid, .queued = now, .size = g_bytes_get_size (whole)};
	Queue *q = host_queue (h, FALSE, error);
	return q && queue_add (q, &queued, whole, to, error);
}

static void
deliver (gpointer data, SmtpdMessage *m, gpointer *recipients, guint n, GError **results)
{
	Submission *s = data;
	const SmtpdEnvelope *e = smtpd_message_envelope (m);
	g_autofree char *id = id_of (e->who);
	gboolean ok = take (s, m, recipients, n, &results[0]);
	g_message ("submission: message=%s mailbox=%s from=%s recipients=%u %s", smtpd_message_id (m), id, smtpd_message_sender (m), n,
	           ok ? "queued" : results[0]->message);
	if (ok && s->transport)
		transport_wake (s->transport);
}

/* ---- Beginning and end ---- */

Submission *
submission_new (LogOns *log_ons)
{
	Submission *s = g_new0 (Submission, 1);
	s->log_ons = log_ons;
	s->protocol = (SmtpdSubmission){.log_on = log_on_by_password, .offered = offered, .begin = begin, .step = step, .end = end, .who_free = who_free,
	                                .may_send_as = may_send_as, .tls = TRUE, .recipients_max = (guint) log_ons->host->recipients_max};
	g_mutex_init (&s->lock);
	s->counts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
	return s;
}

void
submission_free (Submission *s)
{
	if (!s)
		return;
	g_hash_table_unref (s->counts);
	g_mutex_clear (&s->lock);
	g_free (s);
}

void
submission_set_transport (Submission *s, Transport *t)
{
	s->transport = t;
}

SmtpdSettings
submission_settings (Submission *s)
{
	return (SmtpdSettings){.find = find, .deliver = deliver, .recipient_free = g_free, .data = s, .host = s->log_ons->host->name,
	                       .message_max = s->log_ons->host->message_max, .submission = &s->protocol};
}

/* ---- Sessions ---- */

static gpointer
open_session (gpointer data, const ServerPeer *peer, ServerSend send, gpointer to)
{
	const SmtpdPeer who = {peer->address, peer->encrypted, peer->encrypted || peer->loopback, peer};
	return smtpd_session_new (data, &who, send, to);
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

static gboolean
is_logged_on (gpointer session)
{
	return smtpd_session_who (session) != NULL;
}

static guint
take_pause (gpointer session)
{
	return smtpd_session_pause (session);
}

static gboolean
wants_tls (gpointer session)
{
	return smtpd_session_wants_tls (session);
}

static void
encrypted (gpointer session)
{
	smtpd_session_encrypted (session);
}

static gpointer
topic (gpointer session)
{
	return smtpd_session_who (session);
}

/* Of new mail it is told nothing. */
static gboolean
waits (gpointer session)
{
	return FALSE;
}

static gboolean
wake (gpointer session)
{
	return TRUE;
}

const ServerProtocol server_submission = {
	.open = open_session, .free = close_session, .feed = feed, .bye = bye, .refusal = "421 4.3.2 %s\r\n", .is_logged_on = is_logged_on, .pause = take_pause,
	.wants_tls = wants_tls, .encrypted = encrypted, .topic = topic, .waits = waits, .wake = wake,
};
