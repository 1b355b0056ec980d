/* SPDX-License-Identifier: Apache-2.0 */
/* Empties the queue: mail for mailboxes of this server goes into them, other mail to the relay, copies of what was sent into their folder; what can't be sent
 * now is tried again, later and later, and what can't be sent at all is reported to its sender. What became of a recipient and the report on it are
 * one transaction: killed at any moment, the server loses nothing, and nothing is delivered to a mailbox twice; the relay may get a message twice when
 * the server dies between its answer and that transaction. */
#pragma once
#include "cancel.h"
#include "deliver.h"
#include "host.h"

typedef struct Transport Transport;
/* Starts its threads, as whom mail belongs to. All is borrowed. */
Transport *transport_new (Host *host, Delivery *delivery, Metrics *metrics, Cancel *cancel, GError **error);
/* Behind the trigger of @cancel: waits for what is under way. */
void transport_free (Transport *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Transport, transport_free)
/* There is something new in the queue. From any thread. */
void transport_wake (Transport *t);
