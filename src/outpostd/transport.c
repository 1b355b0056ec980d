/* SPDX-License-Identifier: Apache-2.0 */
#include "transport.h"
#include "digest.h"
#include "relay.h"
#include "report.h"
#include <string.h>

#define WORKERS 4
#define TAKEN_MAX 64          /* messages that are handed to the workers at once */
#define LOOK_S 2              /* outpostctl changes the queue, too */

struct Transport {
	Host *host;
	Delivery *delivery;
	Metrics *metrics;
	Cancel *cancel;
	GThread *looking;
	GThreadPool *workers;
	GMutex lock; /* guards what follows */
	GCond change;
	gboolean woken;
	GHashTable *busy; /* ids of messages (gint64) */
};

/* What became of a try for one recipient. */
typedef enum { FATE_LATER, FATE_FAILED, FATE_DELIVERED, FATE_RELAYED, FATE_RELAYED_SILENT /* who is next reports nothing */, FATE_FORGOTTEN } FateKind;
typedef struct {
	const QueueRecipient *recipient;
	FateKind kind;
	char *said;
} Fate;

static void
fate_clear (gpointer fate)
{
	g_free (((Fate *) fate)->said);
}

/* A message under way. */
typedef struct {
	Transport *t;
	Queue *queue;
	QueueMessage *message;
	GBytes *octets;
	GPtrArray *recipients;
	Prepared *prepared; /* for mailboxes; NULL: not yet */
	gint64 now;
} Job;

static void
job_clear (Job *j)
{
	queue_message_free (j->message);
	g_clear_pointer (&j->octets, g_bytes_unref);
	g_clear_pointer (&j->recipients, g_ptr_array_unref);
	prepared_free (j->prepared);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Job, job_clear)

/* ---- Mailboxes of this server ---- */

static FateKind
fate_of_error (const GError *error)
{
	return error_is (error, ERROR_NOT_FOUND) || error_is (error, ERROR_USAGE) || error_is (error, ERROR_TOO_BIG) || error_is (error, ERROR_CONFLICT) ? FATE_FAILED : FATE_LATER;
}

static char *
said_of_error (const GError *error)
{
	if (error_is (error, ERROR_NOT_FOUND) || error_is (error, ERROR_USAGE))
		return g_strdup ("550 5.1.1 there is no such mailbox");
	if (error_is (error, ERROR_TOO_BIG))
		return g_strdup ("552 5.3.4 the message is too big for it");
	if (error_is (error, ERROR_OVER_QUOTA))
		return g_strdup ("452 4.2.2 the mailbox is full");
	if (error_is (error, ERROR_CONFLICT))
		return g_strdup ("550 5.4.6 its aliases go round in a loop");
	return g_strdup ("451 4.3.0 it could not be stored");
}

static gboolean
deliver_to (Job *j, const char *address, Prepared *p, GError **error)
{
	Directory *d = host_directory (j->t->host, error);
	g_autofree char *detail = NULL;
	g_autoptr (GPtrArray) mailboxes = d ? directory_resolve (d, address, &detail, error) : NULL;
	for (guint i = 0; mailboxes && i < mailboxes->len; i++)
		if (!host_is_home (j->t->host, mailboxes->pdata[i], NULL, error) || !delivery_store_once (j->t->delivery, mailboxes->pdata[i], p, error))
			return FALSE;
	return mailboxes != NULL;
}

static Prepared *
prepare_for_mailbox (const Job *j)
{
	gsize size;
	const char *octets = g_bytes_get_data (j->octets, &size);
	GString *whole = g_string_sized_new (size + 300);
	g_string_printf (whole, "Return-Path: <%s>\r\n", j->message->sender);
	g_string_append_len (whole, octets, (gssize) size);
	g_autoptr (GBytes) bytes = g_string_free_to_bytes (whole);
	return prepare_bytes (bytes, j->message->queued, 0);
}

static void
deliver_here (Job *j, const QueueRecipient *r, GArray *fates)
{
	g_autoptr (GError) error = NULL;
	if (!j->prepared)
		j->prepared = prepare_for_mailbox (j);
	gboolean ok = deliver_to (j, r->address, j->prepared, &error);
	Fate fate = {r, ok ? FATE_DELIVERED : fate_of_error (error), ok ? g_strdup ("") : said_of_error (error)};
	if (error)
		g_message ("queue: message=%s to=%s: %s", j->message->name, r->address, error->message);
	g_array_append_val (fates, fate);
}

/* ---- The folder of sent mail ---- */

/* As the client sent it: without the trace. */
static GBytes *
without_trace (GBytes *octets)
{
	gsize size, at = 0;
	const char *data = g_bytes_get_data (octets, &size);
	const char *line = memmem (data, size, "\r\n", 2);
	while (line && (gsize) (line + 2 - data) < size && line[2] == '\t')
		line = memmem (line + 2, size - (gsize) (line + 2 - data), "\r\n", 2);
	if (line)
		at = (gsize) (line + 2 - data);
	return g_bytes_new_from_bytes (octets, at, size - at);
}

static gboolean
file_into (Store *s, const DirectoryMailbox *m, Prepared *p, GError **error)
{
	g_autoptr (Folder) sent = store_folder_by_role (s, "sent", error);
	const char *id = prepared_message_id (p);
	gint64 message;
	gboolean there = FALSE;
	StoreUsage now;
	if (!sent)
		return FALSE;
	if (id && !store_folder_has_id (s, sent->id, id, &there, error))
		return FALSE;
	return there || (store_add_message (s, p, sent->id, &message, error) && store_place (s, sent->id, message, FLAG_SEEN, NULL, FALSE, 0, NULL, error) &&
	                 store_usage (s, &now, error) && host_has_room (m, &now, error));
}

static gboolean
file_copy (Job *j, const char *mailbox, GError **error)
{
	Directory *d = host_directory (j->t->host, error);
	g_autoptr (DirectoryMailbox) m = d ? directory_mailbox (d, mailbox, error) : NULL;
	g_autofree char *path = m ? host_store_path (j->t->host, m->id) : NULL;
	g_autoptr (Store) s = m ? store_open (path, 0, error) : NULL;
	g_autoptr (GBytes) octets = without_trace (j->octets);
	g_autoptr (Prepared) p = prepare_bytes (octets, j->message->queued, 0);
	gboolean ok = s && store_begin (s, error) && file_into (s, m, p, error) && store_commit (s, error);
	if (s)
		store_rollback (s);
	return ok;
}

/* A copy is no mail: where there is no folder for it, or no room, nobody is told. */
static void
file_sent (Job *j, const QueueRecipient *r, GArray *fates)
{
	g_autoptr (GError) error = NULL;
	gboolean ok = file_copy (j, r->address, &error);
	gboolean later = !ok && error && fate_of_error (error) == FATE_LATER && !error_is (error, ERROR_OVER_QUOTA);
	if (!ok)
		g_message ("queue: message=%s not filed as sent: %s", j->message->name, error ? error->message : "there is no such folder");
	Fate fate = {r, later ? FATE_LATER : FATE_FORGOTTEN, later ? said_of_error (error) : g_strdup ("")};
	g_array_append_val (fates, fate);
}

/* ---- The relay ---- */

static void
relay (Job *j, const GPtrArray *recipients, GArray *fates)
{
	static const FateKind kinds[] = {[RELAY_LATER] = FATE_LATER, [RELAY_FAILED] = FATE_FAILED, [RELAY_DONE] = FATE_RELAYED, [RELAY_DONE_SILENT] = FATE_RELAYED_SILENT};
	const Host *h = j->t->host;
	const RelaySettings settings = {h->relay, h->relay_user, h->relay_password, h->relay_ca, h->name};
	g_autofree RelayResult *results = g_new0 (RelayResult, recipients->len);
	if (h->relay)
		relay_send (&settings, j->message, j->octets, recipients, results, j->t->cancel);
	for (guint i = 0; i < recipients->len; i++) {
		Fate fate = {recipients->pdata[i], kinds[results[i].outcome], results[i].said ? results[i].said : g_strdup ("no relay is configured")};
		g_array_append_val (fates, fate);
	}
}

/* ---- What follows from it ---- */

static gint64
delay_of (const Host *h, guint tries)
{
	guint64 delay = h->retry_first;
	for (guint i = 0; i < tries && delay < h->retry_longest; i++)
		delay *= 2;
	return (gint64) MIN (delay, h->retry_longest);
}

/* RFC 3461 section 4.1. */
static gboolean
wants_report (const QueueRecipient *r, gboolean failed)
{
	if (!r->notify)
		return failed;
	g_auto (GStrv) words = g_strsplit (r->notify, ",", -1);
	for (char **w = words; *w; w++)
		if (g_ascii_strcasecmp (*w, failed ? "FAILURE" : "SUCCESS") == 0)
			return TRUE;
	return FALSE;
}

static void
note (Job *j, const Fate *f)
{
	static const char *const words[] = {[FATE_LATER] = "deferred", [FATE_FAILED] = "failed", [FATE_DELIVERED] = "delivered", [FATE_RELAYED] = "relayed",
	                                    [FATE_RELAYED_SILENT] = "relayed", [FATE_FORGOTTEN] = "filed"};
	static const SentResult results[] = {[FATE_LATER] = SENT_DEFERRED, [FATE_FAILED] = SENT_FAILED, [FATE_DELIVERED] = SENT_DELIVERED,
	                                     [FATE_RELAYED] = SENT_RELAYED, [FATE_RELAYED_SILENT] = SENT_RELAYED};
	if (f->kind != FATE_FORGOTTEN)
		metrics_sent (j->t->metrics, results[f->kind]);
	g_message ("queue: message=%s to=%s %s%s%s", j->message->name, f->recipient->address, words[f->kind], *f->said ? ": " : "", f->said);
}

/* Too long in the queue is failed, too. */
static void
judge_age (Job *j, Fate *f)
{
	if (f->kind == FATE_LATER && j->now - j->message->queued >= (gint64) j->t->host->give_up)
		f->kind = f->recipient->sent ? FATE_FORGOTTEN : FATE_FAILED;
}

static GArray *
report_lines (const GArray *fates)
{
	GArray *lines = g_array_new (FALSE, FALSE, sizeof (ReportLine));
	for (guint i = 0; i < fates->len; i++) {
		const Fate *f = &g_array_index (fates, Fate, i);
		gboolean silent = f->kind == FATE_RELAYED_SILENT, failed = f->kind == FATE_FAILED;
		ReportLine line = {f->recipient, failed ? "failed" : silent ? "relayed" : "delivered", f->said};
		if ((failed || silent || f->kind == FATE_DELIVERED) && wants_report (f->recipient, failed))
			g_array_append_val (lines, line);
	}
	return lines;
}

/* Into the same queue, for the sender's mailbox; on a report nobody is told anything (RFC 5321 section 4.5.5). */
static gboolean
add_report (Job *j, const GArray *fates, GError **error)
{
	g_autoptr (GArray) lines = report_lines (fates);
	if (lines->len == 0 || !*j->message->sender)
		return TRUE;
	Id128 id = id128_random ();
	char name[ID_TEXT_SIZE];
	id128_text (&id, name);
	g_autoptr (GBytes) octets = report_new (j->t->host->name, name, j->message, j->octets, lines);
	g_autoptr (GPtrArray) to = g_ptr_array_new ();
	QueueRecipient sender = {.address = j->message->sender, .next = j->now};
	const QueueMessage report = {.name = name, .sender = (char *) "", .utf8 = j->message->utf8, .queued = j->now, .size = g_bytes_get_size (octets)};
	g_ptr_array_add (to, &sender);
	return queue_add (j->queue, &report, octets, to, error);
}

static gboolean
keep_fate (Job *j, const Fate *f, GError **error)
{
	if (f->kind != FATE_LATER)
		return queue_forget_recipient (j->queue, f->recipient->id, error);
	return queue_later (j->queue, f->recipient->id, j->now + delay_of (j->t->host, f->recipient->tries), f->said, error);
}

static void
settle (Job *j, GArray *fates)
{
	g_autoptr (GError) error = NULL;
	for (guint i = 0; i < fates->len; i++)
		judge_age (j, &g_array_index (fates, Fate, i));
	gboolean ok = queue_begin (j->queue, &error) && add_report (j, fates, &error);
	for (guint i = 0; ok && i < fates->len; i++)
		ok = keep_fate (j, &g_array_index (fates, Fate, i), &error);
	ok = ok && queue_commit (j->queue, &error);
	queue_rollback (j->queue);
	for (guint i = 0; i < fates->len; i++)
		note (j, &g_array_index (fates, Fate, i));
	if (!ok) /* it is tried again */
		g_warning ("queue: message=%s: %s", j->message->name, error->message);
}

/* ---- Messages ---- */

/* Whether all that @address leads to is at home at this server. What can't be resolved is: here it is known why. */
static gboolean
are_home (Job *j, Directory *d, const char *address)
{
	g_autofree char *detail = NULL;
	g_autoptr (GPtrArray) mailboxes = directory_resolve (d, address, &detail, NULL);
	for (guint i = 0; mailboxes && i < mailboxes->len; i++)
		if (!host_is_home (j->t->host, mailboxes->pdata[i], NULL, NULL))
			return FALSE;
	return TRUE;
}

/* Mail for mailboxes of this organisation at other servers is the relay's, which knows the way to these; without one it waits. */
static gboolean
is_here (Job *j, const QueueRecipient *r, gboolean *here_out, GError **error)
{
	Directory *d = host_directory (j->t->host, error);
	if (!d || !directory_is_ours (d, r->address, here_out, error))
		return FALSE;
	*here_out = *here_out && (!j->t->host->relay || are_home (j, d, r->address));
	return TRUE;
}

static gboolean
send_all (Job *j, GError **error)
{
	g_autoptr (GArray) here = g_array_new (FALSE, FALSE, sizeof (Fate)), away = g_array_new (FALSE, FALSE, sizeof (Fate));
	g_autoptr (GPtrArray) far = g_ptr_array_new ();
	g_array_set_clear_func (here, fate_clear);
	g_array_set_clear_func (away, fate_clear);
	for (guint i = 0; i < j->recipients->len; i++) {
		const QueueRecipient *r = j->recipients->pdata[i];
		gboolean ours = FALSE;
		if (!r->sent && !is_here (j, r, &ours, error))
			return FALSE;
		if (r->sent)
			file_sent (j, r, here);
		else if (ours)
			deliver_here (j, r, here);
		else
			g_ptr_array_add (far, (gpointer) r);
	}
	if (here->len)
		settle (j, here);
	if (far->len) {
		relay (j, far, away);
		settle (j, away);
	}
	return TRUE;
}

static gboolean
run_job (Transport *t, gint64 id, GError **error)
{
	g_auto (Job) j = {.t = t, .queue = host_queue (t->host, FALSE, error), .now = g_get_real_time () / G_USEC_PER_SEC};
	j.message = j.queue ? queue_message (j.queue, id, error) : NULL;
	if (!j.message)
		return j.queue != NULL; /* deleted meanwhile, or error is set */
	j.recipients = queue_recipients (j.queue, id, j.now, error);
	if (!j.recipients || j.recipients->len == 0 || cancel_is_triggered (t->cancel))
		return j.recipients != NULL;
	guint tries = ((QueueRecipient *) j.recipients->pdata[0])->tries;
	j.octets = queue_octets (j.queue, id, error);
	return j.octets && queue_try (j.queue, id, j.now, j.now + delay_of (t->host, tries), error) && send_all (&j, error);
}

static void
work (gpointer data, gpointer transport)
{
	Transport *t = transport;
	gint64 *id = data;
	g_autoptr (GError) error = NULL;
	run_job (t, *id, &error);
	if (error)
		g_warning ("queue: %s", error->message);
	g_mutex_lock (&t->lock);
	g_hash_table_remove (t->busy, id);
	t->woken |= !error; /* there may be a report */
	g_cond_signal (&t->change);
	g_mutex_unlock (&t->lock);
}

/* ---- Looking ---- */

static void
hand_out (Transport *t, const GArray *due)
{
	g_mutex_lock (&t->lock);
	for (guint i = 0; i < due->len && g_hash_table_size (t->busy) < TAKEN_MAX; i++) {
		gint64 id = g_array_index (due, gint64, i);
		if (g_hash_table_contains (t->busy, &id))
			continue;
		gint64 *key = g_memdup2 (&id, sizeof id);
		g_hash_table_add (t->busy, key);
		g_thread_pool_push (t->workers, key, NULL);
	}
	g_mutex_unlock (&t->lock);
}

static gboolean
look (Transport *t, Queue *q, GError **error)
{
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	QueueCounts counts;
	g_autoptr (GArray) due = queue_due (q, now, 2 * TAKEN_MAX, error);
	if (!due || !queue_count (q, &counts, error))
		return FALSE;
	metrics_queue (t->metrics, counts.messages, counts.recipients);
	hand_out (t, due);
	return TRUE;
}

static gpointer
looking_thread (gpointer data)
{
	Transport *t = data;
	while (!cancel_is_triggered (t->cancel)) {
		g_autoptr (GError) error = NULL;
		Queue *q = host_queue (t->host, FALSE, &error);
		if (!q || !look (t, q, &error))
			g_warning ("queue: %s", error->message);
		gint64 until = g_get_monotonic_time () + LOOK_S * G_USEC_PER_SEC;
		g_mutex_lock (&t->lock);
		while (!t->woken && !cancel_is_triggered (t->cancel) && g_cond_wait_until (&t->change, &t->lock, until))
			;
		t->woken = FALSE;
		g_mutex_unlock (&t->lock);
	}
	return NULL;
}

void
transport_wake (Transport *t)
{
	g_mutex_lock (&t->lock);
	t->woken = TRUE;
	g_cond_signal (&t->change);
	g_mutex_unlock (&t->lock);
}

Transport *
transport_new (Host *host, Delivery *delivery, Metrics *metrics, Cancel *cancel, GError **error)
{
	Queue *q = host_queue (host, TRUE, error);
	if (!q || !queue_resume (q, error))
		return NULL;
	Transport *t = g_new0 (Transport, 1);
	*t = (Transport){.host = host, .delivery = delivery, .metrics = metrics, .cancel = cancel};
	g_mutex_init (&t->lock);
	g_cond_init (&t->change);
	t->busy = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	t->workers = g_thread_pool_new (work, t, WORKERS, TRUE, NULL); /* exclusive: what a thread has open ends with it */
	t->looking = g_thread_new ("queue", looking_thread, t);
	return t;
}

void
transport_free (Transport *t)
{
	if (!t)
		return;
	transport_wake (t);
	g_thread_join (t->looking);
	g_thread_pool_free (t->workers, FALSE, TRUE);
	g_hash_table_unref (t->busy);
	g_cond_clear (&t->change);
	g_mutex_clear (&t->lock);
	g_free (t);
}
