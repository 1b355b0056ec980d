/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that are new in a folder of the home and not new here: recognised by evidence, so that their octets are not fetched again. */
#pragma once
#include "sync-match.h"
#include "sync-private.h"

/* A message of the home that is one of ours. */
typedef struct {
	guint32 uid;
	gint64 message;   /* which one */
	gint64 placement; /* of one that moved: where it was before; 0 */
	guint32 old_uid;  /* there */
	gboolean moved_on; /* here, to another place, and the home has not heard of that: it is to be moved from where it is now */
	RemoteState state;
	guint64 size;
	gint64 received;
} Arrival;
GArray *arrivals_new (void); /* of Arrival; frees what they own */

/* What the home no longer has in one folder, and has as new in another, in the same run: @here (MatchHere) are those that went; which of
 * them are among f->wanted goes to @arrivals and, unless @also_awaiting, out of @here. Size, date, Message-ID and header must agree. Asks nothing when it would
 * cost more than fetching, or, unless @also_awaiting, in a folder that awaits something, which is to be looked for first; what is on its way
 * to @f is left to who sends it. A folder the home can't tell about now is left out. */
gboolean sync_find_moved (SyncRun *run, FolderRun *f, gboolean also_awaiting, GArray *here, GArray *arrivals, GError **error);
/* What a changed home does not have in a folder, which is held for it, or in one that is gone and held, and has as new in one of @folders was moved
 * there meanwhile: it moves here, too, with what is pending for it. By the same evidence, and only where all that its folder awaits is found so,
 * none of it in a folder of copies. What was removed here is removed there only where three others of its folder went the same way. */
gboolean sync_find_awaited (SyncRun *run, GPtrArray *folders, GError **error);
/* After the pull: where all that a folder awaits was linked in others meanwhile (by sync_find_awaited, more of it having been missing then), and
 * nothing came to it in this run, that is where it went, with what is pending for it. What was removed here stays there as a new message. */
gboolean sync_settle_copies (SyncRun *run, GError **error);
/* In a run of some folders: what is new in them, and looks like mail that a folder awaits, or of one that is not what it was and that this run does
 * not look into, is taken out of f->wanted, and waits for a run of all folders: only that can tell where each message is. */
gboolean sync_put_off_others (SyncRun *run, GPtrArray *folders, GError **error);
/* Of @f, which has what other folders have (role "all"; or what they miss), what is here already is placed and bound, as a copy, and taken out of
 * f->wanted; not what has the date of something that @f awaits or is to be sent itself. */
gboolean sync_link_copies (SyncRun *run, FolderRun *f, GError **error);
/* Places and binds @arrivals in @f, and takes them out of f->wanted. Inside a transaction, after the removals. */
gboolean sync_place_arrivals (SyncRun *run, FolderRun *f, const GArray *arrivals, GError **error);
