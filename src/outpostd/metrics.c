/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"
#include <string.h>

/* Upper ends of the ranges of a histogram, in microseconds. */
static const gint64 ranges[] = {100, 250, 1000, 2500, 10000, 25000, 100000, 250000, 1000000, 2500000, 10000000};
static const char *const range_names[] = {"0.0001", "0.00025", "0.001", "0.0025", "0.01", "0.025", "0.1", "0.25", "1", "2.5", "10"};
G_STATIC_ASSERT (G_N_ELEMENTS (ranges) == G_N_ELEMENTS (range_names));

typedef struct {
	guint64 count[G_N_ELEMENTS (ranges) + 1]; /* of each range alone; the last: longer */
	guint64 microseconds;
} Histogram;

struct Metrics {
	GMutex lock; /* guards what follows */
	GHashTable *commands; /* name -> Histogram */
	guint64 log_ons[N_LOG_ONS];
	guint64 delivered, refused, delivered_octets;
	guint64 sent[N_SENT], queue_messages, queue_recipients;
};

Metrics *
metrics_new (void)
{
	Metrics *m = g_new0 (Metrics, 1);
	g_mutex_init (&m->lock);
	m->commands = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
	return m;
}

void
metrics_free (Metrics *m)
{
	if (!m)
		return;
	g_hash_table_unref (m->commands);
	g_mutex_clear (&m->lock);
	g_free (m);
}

void
metrics_log_on (Metrics *m, LogOnResult result)
{
	g_mutex_lock (&m->lock);
	m->log_ons[result]++;
	g_mutex_unlock (&m->lock);
}

void
metrics_command (Metrics *m, const char *command, gint64 microseconds)
{
	guint range = 0;
	while (range < G_N_ELEMENTS (ranges) && microseconds > ranges[range])
		range++;
	g_mutex_lock (&m->lock);
	Histogram *h = g_hash_table_lookup (m->commands, command);
	if (!h)
		g_hash_table_insert (m->commands, (gpointer) command, h = g_new0 (Histogram, 1));
	h->count[range]++;
	h->microseconds += (guint64) MAX (microseconds, 0);
	g_mutex_unlock (&m->lock);
}

void
metrics_delivery (Metrics *m, gboolean delivered, guint64 octets)
{
	g_mutex_lock (&m->lock);
	m->delivered += delivered;
	m->refused += !delivered;
	m->delivered_octets += delivered ? octets : 0;
	g_mutex_unlock (&m->lock);
}

void
metrics_sent (Metrics *m, SentResult result)
{
	g_mutex_lock (&m->lock);
	m->sent[result]++;
	g_mutex_unlock (&m->lock);
}

void
metrics_queue (Metrics *m, guint64 messages, guint64 recipients)
{
	g_mutex_lock (&m->lock);
	m->queue_messages = messages;
	m->queue_recipients = recipients;
	g_mutex_unlock (&m->lock);
}

guint64
metrics_deliveries (Metrics *m)
{
	g_mutex_lock (&m->lock);
	guint64 n = m->delivered;
	g_mutex_unlock (&m->lock);
	return n;
}

/* ---- Writing ---- */

void
metrics_write_head (GString *to, const char *name, const char *kind, const char *help)
{
	g_string_append_printf (to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

void
metrics_write_number (GString *to, const char *name, const char *labels, guint64 number)
{
	g_string_append_printf (to, "%s%s%s%s %" G_GUINT64_FORMAT "\n", name, labels ? "{" : "", labels ? labels : "", labels ? "}" : "", number);
}

static void
write_histogram (GString *to, const char *command, const Histogram *h)
{
	guint64 n = 0;
	for (guint i = 0; i <= G_N_ELEMENTS (ranges); i++) {
		g_autofree char *labels = g_strdup_printf ("command=\"%s\",le=\"%s\"", command, i < G_N_ELEMENTS (ranges) ? range_names[i] : "+Inf");
		n += h->count[i]; /* each range has those before it, too */
		metrics_write_number (to, "outpost_command_duration_seconds_bucket", labels, n);
	}
	g_autofree char *labels = g_strdup_printf ("command=\"%s\"", command);
	g_string_append_printf (to, "outpost_command_duration_seconds_sum{%s} %" G_GUINT64_FORMAT ".%06" G_GUINT64_FORMAT "\n", labels,
	                        h->microseconds / G_USEC_PER_SEC, h->microseconds % G_USEC_PER_SEC);
	metrics_write_number (to, "outpost_command_duration_seconds_count", labels, n);
}

void
metrics_write (Metrics *m, GString *to)
{
	static const char *const log_ons[] = {[LOG_ON_GOOD] = "result=\"good\"", [LOG_ON_BAD] = "result=\"bad\"",
	                                     [LOG_ON_DELAYED] = "result=\"delayed\"", [LOG_ON_OVER_LIMIT] = "result=\"over-limit\""};
	static const char *const sent[] = {[SENT_RELAYED] = "result=\"relayed\"", [SENT_DELIVERED] = "result=\"delivered\"",
	                                   [SENT_DEFERRED] = "result=\"deferred\"", [SENT_FAILED] = "result=\"failed\""};
	g_mutex_lock (&m->lock);
	metrics_write_head (to, "outpost_log_ons_total", "counter", "Log-ons by how they ended.");
	for (guint i = 0; i < N_LOG_ONS; i++)
		metrics_write_number (to, "outpost_log_ons_total", log_ons[i], m->log_ons[i]);
	metrics_write_head (to, "outpost_deliveries_total", "counter", "Messages for one mailbox each, by LMTP or from the queue.");
	metrics_write_number (to, "outpost_deliveries_total", "result=\"delivered\"", m->delivered);
	metrics_write_number (to, "outpost_deliveries_total", "result=\"failed\"", m->refused);
	metrics_write_head (to, "outpost_delivered_bytes_total", "counter", "Octets of those that were delivered.");
	metrics_write_number (to, "outpost_delivered_bytes_total", NULL, m->delivered_octets);
	metrics_write_head (to, "outpost_sent_total", "counter", "Tries to send from the queue, a recipient each, by how they ended.");
	for (guint i = 0; i < N_SENT; i++)
		metrics_write_number (to, "outpost_sent_total", sent[i], m->sent[i]);
	metrics_write_head (to, "outpost_queue_messages", "gauge", "Messages in the queue.");
	metrics_write_number (to, "outpost_queue_messages", NULL, m->queue_messages);
	metrics_write_head (to, "outpost_queue_recipients", "gauge", "Recipients of these that are waited for.");
	metrics_write_number (to, "outpost_queue_recipients", NULL, m->queue_recipients);
	metrics_write_head (to, "outpost_command_duration_seconds", "histogram", "IMAP commands, from whole to answered.");
	g_autoptr (GList) names = g_list_sort (g_hash_table_get_keys (m->commands), (GCompareFunc) strcmp);
	for (GList *name = names; name; name = name->next)
		write_histogram (to, name->data, g_hash_table_lookup (m->commands, name->data));
	g_mutex_unlock (&m->lock);
}
