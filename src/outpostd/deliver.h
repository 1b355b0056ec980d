/* SPDX-License-Identifier: Apache-2.0 */
/* Mail that comes by LMTP goes into the INBOX of whom the directory names. */
#pragma once
#include "host.h"
#include "lmtpd.h"
#include "metrics.h"
#include "server.h"

extern const ServerProtocol server_lmtp; /* the service's data: LmtpdSettings */
typedef struct {
	Host *host;
	Metrics *metrics;
} Delivery;
/* What finds and stores for @d; borrowed. */
LmtpdSettings deliver_settings (Delivery *d);
