/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence of a folder on both sides, and what it matches: read only, for re-binding and for its preview. */
#pragma once
#include "sync-match.h"
#include "sync-private.h"

#define DIFFERENT_FROM 5 /* so many messages on both sides with next to nothing in common are another mailbox */
#define COMMON_SHARE 10  /* of the fewer, one in so many must be in common: single ones may be anybody's (a mailing list's) */
#define ALTERED_PERCENT 75 /* of the fewer that must be in common where all was altered: others have a list's mail with other octets */

typedef struct {
	char *name;        /* of the home's folder; owned; NULL: only some of its UIDs */
	FolderQuery query; /* its UIDs and state */
	GArray *here;      /* MatchHere */
	GArray *there;     /* RemoteEvidence */
	Match *match;
	gboolean by_position;   /* by samples: flags were not read */
	gboolean flags_known;   /* they were, or gathered_flags found them out */
	gboolean flags_counted; /* some of them by numbers only */
	LostFlags lost;         /* of gathered_lost */
} Gathered;
void gathered_free (Gathered *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Gathered, gathered_free)

/* All of the folder bound or pending here against all of the home's folder @name, cheapest evidence first; @positions: samples may do. */
Gathered *sync_gather (SyncRun *run, gint64 folder, const char *name, gboolean positions, GError **error);
/* The same, or what sync_compare_mailbox read already of @folder under that name: then that. */
Gathered *sync_gathered (SyncRun *run, gint64 folder, const char *name, gboolean positions, GError **error);
/* g->here against @uids at home (NULL: all); g->query.uidvalidity_now must be set. @weak: also by what a migration leaves of a message. */
gboolean gathered_match (SyncRun *run, gint64 folder, const char *name, Gathered *g, const UidSet *uids, gboolean weak, GError **error);
/* Which flags messages that were matched by position have, if the home can tell by searching: then g->flags_known. */
gboolean gathered_flags (SyncRun *run, const char *name, Gathered *g, GError **error);
/* Fills g->lost with what the move has lost, less what somebody took off since, where the home's numbers of changes tell. */
gboolean gathered_lost (SyncRun *run, const char *name, Gathered *g, GError **error);
/* What both sides have of some mail. */
typedef struct {
	guint here, there; /* of @here what the home was known to have */
	guint strong;      /* found with the size and date that it had */
	guint weak;        /* found by its header: altered by a migration, or the copy that somebody else got of the same mail */
} Common;
void gathered_count_common (const Gathered *g, Common *common_out);
/* It is too little for the same mail: a tool alters all alike, and of another person's mail it is the share that lists have. */
gboolean common_is_too_little (const Common *c);
/* For store_each_known: adds to a GArray of MatchHere. */
gboolean gathered_take_known (gpointer here, const KnownMessage *k);
/* @ours: the mailbox is known, and only the folder is in question: what was altered counts as if it was not. */
gboolean gathered_is_other_mail (const Gathered *g, gboolean ours);
/* Evidence of @uids of a folder that is only looked into: *evidence_out NULL when it can't tell now, FALSE for what reaches the whole mailbox. */
gboolean sync_look (SyncRun *run, const char *name, guint32 uidvalidity, const UidSet *uids, EvidenceLevel level, GArray **evidence_out,
                    GError **error);
/* Size, date, and what is known of the header. */
gboolean evidence_agrees (const KnownMessage *k, const RemoteEvidence *e);
/* Most of what the folder had is in other folders of the home: it was put there, and what is in it now (@g) came since. */
gboolean sync_is_emptied (SyncRun *run, const FolderBinding *b, const Gathered *g, gboolean *emptied_out, GError **error);
/* To follow an exchange of names: its name here is the one that was last agreed, no other folder goes with it, and none says what it is for. */
gboolean sync_may_be_renamed (SyncRun *run, const Folder *folder, const FolderBinding *b);
