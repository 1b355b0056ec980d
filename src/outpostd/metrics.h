/* SPDX-License-Identifier: Apache-2.0 */
/* What the server counts of its work since it was started. Used by any number of threads. */
#pragma once
#include <glib.h>

typedef struct Metrics Metrics;
Metrics *metrics_new (void);
void metrics_free (Metrics *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Metrics, metrics_free)

typedef enum { LOG_ON_GOOD, LOG_ON_BAD, LOG_ON_DELAYED /* not looked at */, LOG_ON_OVER_LIMIT, N_LOG_ONS } LogOnResult;
void metrics_log_on (Metrics *m, LogOnResult result);
/* @command is a constant, one of a few. */
void metrics_command (Metrics *m, const char *command, gint64 microseconds);
/* One message for one mailbox. */
void metrics_delivery (Metrics *m, gboolean delivered, guint64 octets);
/* What became of a try for one recipient of submitted mail; and what is in the queue now. */
typedef enum { SENT_RELAYED, SENT_DELIVERED, SENT_DEFERRED, SENT_FAILED, N_SENT } SentResult;
void metrics_sent (Metrics *m, SentResult result);
void metrics_queue (Metrics *m, guint64 messages, guint64 recipients);
guint64 metrics_deliveries (Metrics *m);
/* Appends all in Prometheus' text format, version 0.0.4. */
void metrics_write (Metrics *m, GString *to);
/* A line of it, and what goes before the lines of one metric. @labels are "a=\"b\"", or NULL. */
void metrics_write_head (GString *to, const char *name, const char *kind, const char *help);
void metrics_write_number (GString *to, const char *name, const char *labels, guint64 number);
