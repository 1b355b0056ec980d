/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations with the engine, in memory. A talk is lines: "C: ..." is sent, "S: ..." is a regular expression for the next line of the
 * answer ("S: ..." for each, in this order, and no others), "2: ..." and "1: ..." at their start say which of two sessions goes on, "X: ..." is
 * something done behind their back, "D: " the connection being compressed from here on. */
#pragma once
#include "imapd.h"
#include "store-fixture.h"

typedef struct {
	const char *title;  /* what it shows, with the section of the RFC */
	const char *talk;
	gboolean log_on;    /* begin with LOGIN */
	gboolean far;       /* the client is of another machine, and TLS is offered: "E: " encrypts */
	gboolean sasl;      /* X-TWO is offered, which logs on with "alice" and, to "and?", "wonderland" */
	gboolean slow;      /* progress is told with each message */
	gboolean bare;      /* nothing is offered that needs a server around the engine: no quota, no owner, no compression */
} Conversation;

/* In a store of its own: INBOX with three messages (1 seen, 2 flagged and "foo", 3 new; 1 has two parts), Archive with none, Archive/Old with one,
 * Sent (\Sent). */
void conversation_run (const Conversation *c);
/* Fills a new store so. */
void conversation_fill (Store *s);
extern const char conversation_message[];
