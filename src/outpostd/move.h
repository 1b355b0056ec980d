/* SPDX-License-Identifier: Apache-2.0 */
/* Move Mailbox between two servers of one machine that share a directory (docs/moves.md). Whoever does it may die at any moment: the move is gone on with by move_run, or taken back
 * by move_recover, and there is one home all the time. */
#pragma once
#include "cancel.h"
#include "host.h"

/* @octets of @of are copied; called some times a second while that goes on, and at each state. */
typedef void (*MoveTold) (gpointer data, const DirectoryMove *m, guint64 octets, guint64 of);

typedef struct {
	guint64 rate; /* octets a second of the copy; 0: no limit */
	Cancel *cancel;
	MoveTold told; /* NULL: nobody */
	gpointer data;
} MoveOptions;
/* Goes on with @m from where it is to its end. UNAVAILABLE if another process does that; after another error it is where it says that it is. */
gboolean move_run (Host *h, DirectoryMove *m, const MoveOptions *options, GError **error);
/* The mailbox stays where it is; what was copied is removed. CONFLICT behind the switch. */
gboolean move_cancel (Host *h, DirectoryMove *m, GError **error);
/* What the store at the source is called after the move, for as long as it is kept. */
char *move_store_name (const DirectoryMove *m);
/* Moves that nobody does any more, of mailboxes that are or were at home here: what was fenced is cancelled, so that it can be written to again; what was switched is finished. */
void move_recover (Host *h);
