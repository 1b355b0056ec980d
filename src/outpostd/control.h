/* SPDX-License-Identifier: Apache-2.0 */
/* What an administrator asks of the running server, at a Unix socket (mode 0600; the kernel says who connects). A question is a line of at most 1000
 * octets, its answer lines of JSON of which the last has "ok":
 *
 *	status          {"version", "since", "folder", "name", "sessions": {"imap": 3, ...}, "loggedOn", "deliveries", "listening": [...]}
 *	who             {"id", "user", "address", "protocol", "since", "idle", "folder", "tls", "busy"} for each session
 *	kick ID|USER    {"kicked": 2}
 *	reload          {"inUse": [...], "restart": [...]}: what is used from now on, and what the next start will bring
 *
 * and then {"ok": true}, or {"ok": false, "error": "a sentence", "kind": "not-found"|"usage"|"failed"}. Times are RFC 3339, in UTC; "idle" are seconds. */
#pragma once
#include "backoff.h"
#include "host.h"
#include "metrics.h"
#include "server.h"

typedef struct {
	Host *host;           /* as the server was started with */
	Server *server;       /* that serves mail */
	Metrics *metrics;
	Backoff *backoff;
	GPtrArray *listening; /* of char *: "imap 192.0.2.1:143" */
	gint64 since;         /* Unix seconds */
	GMutex lock;          /* guards what follows */
	Host *reloaded;       /* the configuration as it was read last; NULL: it was not. The owner frees it */
} Control;

extern const ServerProtocol server_control; /* the service's data: Control, borrowed */
ServerLimits control_limits (const Host *h);
