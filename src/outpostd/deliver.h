/* SPDX-License-Identifier: Apache-2.0 */
/* Mail that comes by LMTP goes into the INBOX of whom the directory names. */
#pragma once
#include "host.h"
#include "indexer.h"
#include "smtpd.h"
#include "metrics.h"
#include "server.h"

extern const ServerProtocol server_lmtp; /* the service's data: SmtpdSettings */
/* Letters for one mailbox that come at the same time share a transaction. Any thread may deliver. */
typedef struct Delivery Delivery;
Delivery *delivery_new (Host *host, Metrics *metrics, Indexer *indexer); /* borrowed */
void delivery_free (Delivery *d);                      /* when nobody delivers any more */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Delivery, delivery_free)
/* Stores it in the INBOX of @m, unless the mailbox has a message of equal octets: what may have been stored already when a server was killed. Errors as
 * SmtpdSettings.deliver. */
gboolean delivery_store_once (Delivery *d, const DirectoryMailbox *m, Prepared *p, GError **error);
/* What finds and stores for @d; borrowed. */
SmtpdSettings deliver_settings (Delivery *d);
