/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of mail on its way, while the server runs or not; a running one looks at it every two seconds. */
#include "ctl.h"
#include <stdio.h>
#include <string.h>

#define HEADER_MAX (16u << 10)

/* NULL without error: there is none yet. */
static Queue *
open_queue (Ctl *c, GError **error)
{
	return host_has_queue (c->host) ? host_queue (c->host, FALSE, error) : NULL;
}

static char *
time_text (gint64 at)
{
	g_autoptr (GDateTime) when = g_date_time_new_from_unix_utc (at);
	return when ? g_date_time_format (when, "%Y-%m-%dT%H:%M:%SZ") : g_strdup ("-");
}

static void
print_recipient (const QueueRecipient *r, gint64 now)
{
	g_autofree char *next = r->next <= now ? g_strdup ("now") : time_text (r->next);
	printf ("    %s%s%s%s%s (tries: %u, next: %s)\n", r->sent ? "a copy for the folder of sent mail" : r->address, *r->said ? ": " : "", r->said,
	        r->notify ? " NOTIFY=" : "", r->notify ? r->notify : "", r->tries, next);
}

static gboolean
print_message (Queue *q, const QueueMessage *m, GError **error)
{
	g_autoptr (GPtrArray) recipients = queue_recipients (q, m->id, G_MAXINT64, error);
	g_autofree char *queued = time_text (m->queued);
	if (!recipients)
		return FALSE;
	printf ("%s %s %8" G_GUINT64_FORMAT " <%s>\n", m->name, queued, m->size, m->sender);
	for (guint i = 0; i < recipients->len; i++)
		print_recipient (recipients->pdata[i], g_get_real_time () / G_USEC_PER_SEC);
	return TRUE;
}

gboolean
queue_list (Ctl *c, GError **error)
{
	GError *local = NULL;
	Queue *q = open_queue (c, &local);
	g_autoptr (GArray) ids = q ? queue_messages (q, &local) : NULL;
	for (guint i = 0; ids && !local && i < ids->len; i++) {
		g_autoptr (QueueMessage) m = queue_message (q, g_array_index (ids, gint64, i), &local);
		if (m) /* else it is gone meanwhile */
			print_message (q, m, &local);
	}
	if (local) {
		g_propagate_error (error, local);
		return FALSE;
	}
	if (!ids || ids->len == 0)
		printf ("The queue is empty.\n");
	return TRUE;
}

static Queue *
want_queue (Ctl *c, GError **error)
{
	GError *local = NULL;
	Queue *q = open_queue (c, &local);
	if (local)
		g_propagate_error (error, local);
	else if (!q)
		error_fail (error, ERROR_NOT_FOUND, "there is no message in the queue");
	return q;
}

/* What a terminal could take for orders is not printed. */
static void
print_header (GBytes *octets)
{
	gsize size;
	const char *data = g_bytes_get_data (octets, &size), *end = memmem (data, size, "\r\n\r\n", 4);
	g_autofree char *text = slice_to_utf8 ((Slice){data, end ? (gsize) (end + 2 - data) : size}, HEADER_MAX);
	g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
	for (char **l = lines; *l; l++) {
		g_autofree char *line = g_str_has_suffix (*l, "\357\277\275") ? g_strndup (*l, strlen (*l) - 3) : g_strdup (*l); /* its CR */
		printf ("%s\n", line);
	}
}

gboolean
queue_show (Ctl *c, GError **error)
{
	Queue *q = want_queue (c, error);
	g_autoptr (QueueMessage) m = q ? queue_message_by_name (q, c->args[0], error) : NULL;
	g_autoptr (GBytes) octets = m ? queue_octets (q, m->id, error) : NULL;
	if (!octets || !print_message (q, m, error))
		return FALSE;
	printf ("\n");
	print_header (octets);
	return TRUE;
}

gboolean
queue_try_again (Ctl *c, GError **error)
{
	guint n;
	Queue *q = want_queue (c, error);
	if (!q || !queue_retry (q, c->args[0], &n, error))
		return FALSE;
	printf ("%u message%s will be tried now.\n", n, n == 1 ? "" : "s");
	return TRUE;
}

gboolean
queue_remove (Ctl *c, GError **error)
{
	Queue *q = want_queue (c, error);
	if (!q || !queue_delete (q, c->args[0], error))
		return FALSE;
	printf ("The message %s is deleted; nobody is told.\n", c->args[0]);
	return TRUE;
}
