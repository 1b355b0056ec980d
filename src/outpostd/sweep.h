/* SPDX-License-Identifier: Apache-2.0 */
/* The end of what was kept long enough: messages that were removed, and mailboxes that were deleted, HOST_KEPT_DAYS ago. */
#pragma once
#include "cancel.h"
#include "host.h"

enum {
	SWEEP_DRY = 1,   /* only tells what would go */
	SWEEP_DAILY = 2, /* passes over mailboxes whose messages were swept within a day, and leaves time to others between mailboxes */
};
/* @m goes altogether (@whole), or @messages of it go; or @error, of which the others go on. */
typedef void (*SweepTold) (gpointer data, const DirectoryMailbox *m, gboolean whole, guint64 messages, const GError *error);
/* At @now (Unix seconds), until @cancel (NULL: never) is triggered. Tells of each mailbox that something happens to. What was begun and not ended by a
 * process that died is ended, too. CONFLICT while another process does it; CANCELLED. */
gboolean sweep_run (Host *h, gint64 now, guint how, Cancel *cancel, SweepTold told, gpointer data, GError **error);
