/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of a set of messages (RFC 5256 section 3). Pure. Time and memory grow with the messages and their references
 * alone, whatever these say: loops are not made, and nothing is recursive. */
#pragma once
#include "mail.h"

/* Stands for an id, as it is between the angle brackets; never 0. Nobody finds two ids with one number without much
 * work, which would gain him a wrong thread. */
guint64 mail_thread_id (Slice id);

typedef struct {
	guint64 id;             /* of the Message-ID, 0 none */
	const guint64 *parents; /* of References, or the first of In-Reply-To; the oldest first */
	guint n_parents;
	const char *subject; /* mail_base_subject, folded; "" none */
	gboolean reply;      /* as mail_base_subject says */
	gint64 sent;
} ThreadMessage;

/* Nodes refer to one another by index; -1 is none. */
typedef struct {
	gint message; /* index into the messages; -1: of a message that is not among them, only at the top and with two
			 children or more */
	gint parent, child, next, previous;
} ThreadNode;

typedef struct {
	GArray *nodes; /* ThreadNode */
	gint first;    /* of the threads, which are siblings, by date; -1: no message */
} MailThreads;
void mail_threads_clear (MailThreads *t);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (MailThreads, mail_threads_clear)

/* Both borrow from @messages during the call only. */
void mail_thread_by_references (const ThreadMessage *messages, guint n, MailThreads *out);
/* ORDEREDSUBJECT: by base subject; the first message of each is the parent of the others. */
void mail_thread_by_subject (const ThreadMessage *messages, guint n, MailThreads *out);
/* Appends "(2)(3 6 (4 23)(44 7 96))", each message by the number, not 0, that @number tells of its index. */
typedef guint32 (*ThreadNumber) (gpointer data, gint message);
void mail_threads_write (const MailThreads *t, ThreadNumber number, gpointer data, GString *out);
