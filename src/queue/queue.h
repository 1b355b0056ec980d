/* SPDX-License-Identifier: Apache-2.0 */
/* Mail on its way out, on disk: messages with their envelopes, in one SQLite file. What was added is durable, and stays for each recipient until it is
 * told what became of that one.
 *
 * A Queue is used by one thread at a time; others, and other processes, may have theirs on the same file. */
#pragma once
#include <glib.h>
#include "error.h"

typedef struct Queue Queue;
/* @create: makes it if it is not there (0600); else NOT_FOUND. CORRUPT for another program's file or a newer version's. */
Queue *queue_open (const char *path, gboolean create, GError **error);
void queue_close (Queue *q); /* NULL is allowed */
/* As it is at one moment, to @path, in the place of what is there. */
gboolean queue_copy (Queue *q, const char *path, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Queue, queue_close)

typedef struct {
	gint64 id;       /* 0: not in the queue */
	char *name;      /* unique, for people and logs */
	char *sender;    /* "" for a report */
	gboolean utf8;
	char *ret, *envid; /* as they came with MAIL; NULL: not said */
	gint64 queued;   /* Unix seconds */
	guint64 size;
} QueueMessage;
void queue_message_free (QueueMessage *m); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (QueueMessage, queue_message_free)

typedef struct {
	gint64 id;
	gboolean sent;   /* not mail, but the copy for the folder of sent mail; the address is a mailbox id then */
	char *address, *notify, *orcpt; /* the latter as they came with RCPT; NULL: not said */
	guint tries;
	gint64 next;     /* Unix seconds: to be tried then */
	char *said;      /* of the last try; "" */
} QueueRecipient;
void queue_recipient_free (QueueRecipient *r); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (QueueRecipient, queue_recipient_free)

/* ---- Changing: these may be called within a transaction; outside of one queue_add and the last two are one each ---- */

gboolean queue_begin (Queue *q, GError **error);
gboolean queue_commit (Queue *q, GError **error);
void queue_rollback (Queue *q); /* nothing to do is fine */
/* @recipients: of QueueRecipient; id, tries and said are not looked at. EXISTS for a name that is there. */
gboolean queue_add (Queue *q, const QueueMessage *m, GBytes *octets, const GPtrArray *recipients, GError **error);
/* Within a transaction. The message goes with its last recipient. */
gboolean queue_forget_recipient (Queue *q, gint64 recipient, GError **error);
gboolean queue_later (Queue *q, gint64 recipient, gint64 next, const char *said, GError **error);
/* Before a try of what is due at @now: it counts, and the next one is not before @next, whatever becomes of this one. So nothing is sent where that could
 * not be kept. A transaction of its own; as is queue_resume, which makes due what was being tried when a server died. */
gboolean queue_try (Queue *q, gint64 message, gint64 now, gint64 next, GError **error);
gboolean queue_resume (Queue *q, GError **error);
/* By name; NULL: all. NOT_FOUND. Everything of it is due now; it is given up, and nobody is told. */
gboolean queue_retry (Queue *q, const char *name, guint *messages_out, GError **error);
gboolean queue_delete (Queue *q, const char *name, GError **error);

/* ---- Looking ---- */

/* Messages (ids) that have something due at @now, the longest waiting first, at most @limit. */
GArray *queue_due (Queue *q, gint64 now, guint limit, GError **error);
/* When the next thing is due; G_MAXINT64: never. */
gboolean queue_next (Queue *q, gint64 *next_out, GError **error);
/* NULL without error: it is gone. */
QueueMessage *queue_message (Queue *q, gint64 id, GError **error);
QueueMessage *queue_message_by_name (Queue *q, const char *name, GError **error); /* NOT_FOUND */
/* Of QueueRecipient, those that are due at @before. */
GPtrArray *queue_recipients (Queue *q, gint64 message, gint64 before, GError **error);
GBytes *queue_octets (Queue *q, gint64 message, GError **error);
/* Ids of all messages, the oldest first. */
GArray *queue_messages (Queue *q, GError **error);
typedef struct {
	guint64 messages, recipients, deferred /* recipients that were tried */, octets;
} QueueCounts;
gboolean queue_count (Queue *q, QueueCounts *out, GError **error);
