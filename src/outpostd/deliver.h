/* SPDX-License-Identifier: Apache-2.0 */
/* Mail that comes by LMTP goes into the INBOX of whom the directory names. */
#pragma once
#include "host.h"
#include "smtpd.h"
#include "metrics.h"
#include "server.h"

extern const ServerProtocol server_lmtp; /* the service's data: SmtpdSettings */
/* Letters for one mailbox that come at the same time share a transaction. Any thread may deliver. */
typedef struct Delivery Delivery;
Delivery *delivery_new (Host *host, Metrics *metrics); /* borrowed */
void delivery_free (Delivery *d);                      /* when nobody delivers any more */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Delivery, delivery_free)
/* What finds and stores for @d; borrowed. */
SmtpdSettings deliver_settings (Delivery *d);
