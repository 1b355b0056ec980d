/* SPDX-License-Identifier: Apache-2.0 */
/* Reports on delivery (RFC 3464, RFC 6522; RFC 6533 for mail with SMTPUTF8). */
#pragma once
#include "queue.h"

typedef struct {
	const QueueRecipient *recipient;
	const char *action; /* "failed", "delivered", "relayed" */
	const char *said;   /* as RelayResult.said */
} ReportLine;

/* A report on @m to its sender. @host: this server's name; @name: the report's in the queue; @lines: of ReportLine. With the whole message if its
 * sender asked for that and something failed (at most 1 MiB of it), else its header. */
GBytes *report_new (const char *host, const char *name, const QueueMessage *m, GBytes *octets, const GArray *lines);
