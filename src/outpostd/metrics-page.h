/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics as a page, "GET /metrics", of HTTP/1.1 and 1.0 (RFC 9112), one a connection. Nothing else is served: whoever asks for something else, in
 * another way or at length gets 404, 405, 400 or 431. */
#pragma once
#include "metrics.h"
#include "server.h"

typedef struct {
	Metrics *metrics;
	Server *server; /* whose sessions and octets are told; NULL: none's */
	gint64 since;   /* Unix seconds: the start */
} MetricsPage;

extern const ServerProtocol server_metrics; /* the service's data: MetricsPage, borrowed */
