/* SPDX-License-Identifier: Apache-2.0 */
/* What the home calls folders and placements, the base (the state last agreed with it), and what is still to be pushed. Used by
 * sync/ only. The rules of store.h hold: changes between store_begin and store_commit. */
#pragma once
#include "store.h"

typedef struct {
	gint64 folder, base_parent;
	char *remote_name; /* octets on the wire, NUL-terminated */
	char delimiter;    /* 0: flat */
	char *remote_id, *base_name;
	guint32 uidvalidity, uidnext, messages;
	guint64 highestmodseq, pushed_modseq;
	gboolean complete, selectable;
	gboolean folder_gone; /* computed: the folder was deleted here */
} FolderBinding;
void folder_binding_free (FolderBinding *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (FolderBinding, folder_binding_free)

GPtrArray *store_folder_bindings (Store *s, GError **error);                              /* of FolderBinding, by remote name */
FolderBinding *store_folder_binding (Store *s, gint64 folder, GError **error);            /* NULL without error: unbound */
gboolean store_bind_folder (Store *s, const FolderBinding *b, GError **error);            /* insert or replace */
/* All folders but @folder are to be looked into, all flags included: what the home says of their state is not believed. */
gboolean store_doubt_folders (Store *s, gint64 folder, GError **error);
gboolean store_unbind_folder (Store *s, gint64 folder, GError **error);                   /* with its placement bindings and pendings */
/* @folder is gone at home, and stays here: the home is to get all that is in it, and what was moved or copied into it, from where it has that. */
gboolean store_make_folder_new (Store *s, gint64 folder, GError **error);

typedef struct {
	gint64 placement, folder;
	guint32 remote_uid;
	guint flags;
	char *keywords;
	guint64 modseq, remote_size; /* remote_size 0: equal to the message's */
	gboolean gone; /* only told; what store_remove and store_move make of it */
	gboolean settled; /* gone, and the removal is no question: the home has it where it was moved to, or has marked it as deleted */
} PlacementBinding;
void placement_binding_done (PlacementBinding *b);

/* Insert or replace; removes the placement's pending row, and settles the origin's binding if that was a move. What is gone stays gone, and
 * what is settled stays so as long as it is gone; what was removed here after its sending began is bound as gone. */
gboolean store_bind_placement (Store *s, const PlacementBinding *b, GError **error);
gboolean store_unbind_placement (Store *s, gint64 placement, GError **error);
/* Before the home is told to remove @uids: takes those out that are not gone (any more), and notes that of the others. They can't be taken
 * back from then on until the home has answered: what is restored is sent again. */
gboolean store_note_removals_sent (Store *s, gint64 folder, UidSet *uids, GError **error);
/* The home says that it has removed it: nobody is asked about it any more. It stays bound until it is not listed. */
gboolean store_settle_removal (Store *s, gint64 placement, GError **error);
/* A new base for what is bound to @remote_uid, whatever became of it here meanwhile. */
gboolean store_set_base (Store *s, gint64 folder, guint32 remote_uid, guint flags, const char *keywords, GError **error);
/* TRUE and *b filled, or FALSE with *found_out FALSE and no error. */
gboolean store_binding_by_uid (Store *s, gint64 folder, guint32 remote_uid, PlacementBinding *b, gboolean *found_out, GError **error);
gboolean store_binding_of (Store *s, gint64 placement, PlacementBinding *b, gboolean *found_out, GError **error);
typedef gboolean (*BindingFn) (gpointer data, const PlacementBinding *b);
gboolean store_each_binding (Store *s, gint64 folder, BindingFn fn, gpointer data, GError **error); /* ascending remote UID */
gboolean store_bound_uids (Store *s, gint64 folder, UidSet *uids_out, GError **error);
/* The highest that anything of @folder is bound to, removed or not; 0: none. */
gboolean store_highest_bound (Store *s, gint64 folder, guint32 *uid_out, GError **error);
/* Whether store_bound_uids would find any. */
gboolean store_has_bound (Store *s, gint64 folder, gboolean *any_out, GError **error);
/* Bindings in other folders, not gone nor awaited, of what has the same octets as what @uid of @folder is bound to; none if the flags of that were
 * changed here. */
gboolean store_each_same (Store *s, gint64 folder, guint32 uid, BindingFn fn, gpointer data, GError **error);
/* What is known of a message that is, or may come to be, bound: evidence for finding it at a home that changed. */
typedef struct {
	gint64 placement, message, content, received;
	guint64 size;        /* as the home says it, which may not be the octets' */
	guint64 digest;      /* message_evidence_digest */
	char *message_id;    /* borrowed for the call; NULL none */
	guint32 remote_uid;  /* 0: the home does not have it */
	guint flags;         /* the base's; of a pending one its own */
	char *keywords;      /* the same; borrowed */
	gboolean gone;       /* removed here */
	gboolean pending;    /* never was at the home, and is to be sent */
	gboolean awaited;    /* was at the home, and is not there any more since it changed: it may still arrive */
} KnownMessage;
typedef gboolean (*KnownFn) (gpointer data, const KnownMessage *m);
/* Bound ones by remote UID, awaited ones in the order they once had, then pending ones by UID here. */
gboolean store_each_known (Store *s, gint64 folder, KnownFn fn, gpointer data, GError **error);
/* The message that @uid is bound to has the size and date of another one here, in any folder or removed. */
gboolean store_has_twin (Store *s, gint64 folder, guint32 uid, gboolean *twin_out, GError **error);
/* Bound placements of @folder of whose size and date there is another message here, in any folder or removed. */
typedef gboolean (*PlacementIdFn) (gpointer data, gint64 placement);
gboolean store_each_twin (Store *s, gint64 folder, PlacementIdFn fn, gpointer data, GError **error);
/* The one that @uid is bound to; *found_out FALSE if there is none. Strings of *m are the caller's. */
gboolean store_known_by_uid (Store *s, gint64 folder, guint32 uid, KnownMessage *m, gboolean *found_out, GError **error);
/* Messages of any folder, removed ones too, with this date and size: of each the placement is 0, and no base is told. */
gboolean store_each_like (Store *s, gint64 received, guint64 size, KnownFn fn, gpointer data, GError **error);
/* A few bound UIDs that a home which is not what it was gives away: the lowest, one in the middle, seven at the top. */
gboolean store_canaries (Store *s, gint64 folder, UidSet *uids_out, GError **error);
/* New UIDs for the bindings of @folder, in one transaction: all become awaited, and those that store_rebind gives a new UID are bound
 * again. Bases stay, whether bound or awaited. @size and @received as the home says them. */
gboolean store_await_all (Store *s, gint64 folder, GError **error);
gboolean store_rebind (Store *s, gint64 placement, guint32 remote_uid, guint64 size, gint64 received, GError **error);
/* Awaited messages of @folder that are here; those removed here don't count. */
gboolean store_count_awaited (Store *s, gint64 folder, guint *n_out, GError **error);
/* What the home took without telling its UID becomes awaited, with the flags that it has here as base. *awaits_out FALSE: it is not
 * pending (any more). */
gboolean store_await_pending (Store *s, gint64 placement, gboolean *awaits_out, GError **error);
/* The first awaited placement in @folder whose content has the SHA-256 @hash, else the first that is to be sent; 0: none. */
gboolean store_expected_content (Store *s, gint64 folder, const guint8 *hash, gint64 *placement_out, GError **error);
/* The first awaited binding in @folder of what was removed or moved away here, by its content as above; 0: none. */
gboolean store_awaited_removal (Store *s, gint64 folder, const guint8 *hash, gint64 *placement_out, GError **error);

/* Bindings whose placement was removed here: removals to push. */
gboolean store_gone_bindings (Store *s, gint64 folder, BindingFn fn, gpointer data, GError **error);
/* Of a binding that is gone, the placements that have its message: where it was moved or copied to. @uid 0: it is awaited, or to be sent. What no
 * home is to have is not told. */
typedef gboolean (*CopyFn) (gpointer data, gint64 folder, guint32 uid);
gboolean store_each_copy (Store *s, gint64 gone, CopyFn fn, gpointer data, GError **error);
/* The settled bindings, gone, of the message at @placement. */
gboolean store_each_origin (Store *s, gint64 placement, BindingFn fn, gpointer data, GError **error);
/* Bound placements of @folder with placement.modseq > @since whose flags or keywords differ from the base: flags to push. */
typedef gboolean (*FlagChangeFn) (gpointer data, const Placement *here, const PlacementBinding *base);
gboolean store_flag_changes (Store *s, gint64 folder, guint64 since, FlagChangeFn fn, gpointer data, GError **error);

typedef struct {
	gint64 placement, folder, origin, message;
	gboolean moved;
	guint32 watermark, watermark_validity, failures;
	guint flags;
	char *keywords;
	/* of the origin's binding, if it still has one: */
	gint64 origin_folder;
	guint32 origin_uid;
	gboolean waits; /* the origin is one of store_pendings_gone: whether the home has it is to be found out first */
} Pending;
void pending_free (Pending *p);
GPtrArray *store_pendings (Store *s, gint64 folder, GError **error); /* of Pending, by placement id; folder 0: all */
/* Those that were removed or moved on here after their sending began: not to be sent again, and to be removed at home if they came there. */
GPtrArray *store_pendings_gone (Store *s, gint64 folder, GError **error);
/* The home does not have one of those, and it is not on the way to it. */
gboolean store_pending_never_came (Store *s, gint64 placement, GError **error);
/* On rows of store_pendings that have none, or one of another UIDVALIDITY while nothing of @folder is awaited. */
gboolean store_set_watermark (Store *s, gint64 folder, guint32 uidnext, guint32 uidvalidity, GError **error);
gboolean store_pending_failed (Store *s, gint64 placement, GError **error);
/* A change of flags that could not be pushed any more because the home had removed the message, or its folder was removed here. Taken once. */
typedef struct {
	guint base_flags, flags;
	char *base_keywords, *keywords; /* owned */
} LostChange;
void lost_change_clear (LostChange *c);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (LostChange, lost_change_clear)
/* @folder was removed here, and comes back: what was changed in it before goes on with its messages. While it is bound. */
gboolean store_keep_changes_of (Store *s, gint64 folder, GError **error);
gboolean store_take_lost_change (Store *s, gint64 message, LostChange *change_out, gboolean *found_out, GError **error);

/* The removal of @message that was last noted was part of a move: it is not to be restored. */
gboolean store_forget_removed (Store *s, gint64 message, GError **error);
/* Messages that were moved here from @folder, the home not having heard of that; @folder 0: from a place that the home no longer has them in.
 * Of each the placement is the one that it was moved from, and it is gone. */
gboolean store_each_moved_from (Store *s, gint64 folder, KnownFn fn, gpointer data, GError **error);
/* Folders (gint64) that the home is to copy or move something from, and those that are gone here from which it still is to remove what it copied. */
GArray *store_folders_moved_from (Store *s, GError **error);
/* Folders (gint64) bound to one that can't be opened, for which there are messages to be sent. */
GArray *store_folders_to_open (Store *s, GError **error);
/* The home has what was moved here from @b->placement, which nothing binds any more, as @b tells: that move goes on from there. Flags that both
 * sides have are the base. */
gboolean store_bind_astray (Store *s, const PlacementBinding *b, GError **error);
/* Where the placement that @origin binds was moved to here and not yet at home; 0 if it was not. */
gboolean store_moved_placement (Store *s, gint64 origin, gint64 *placement_out, GError **error);
/* A placement without binding that the home is to get (again). */
gboolean store_make_pending (Store *s, gint64 placement, GError **error);
gboolean store_drop_pending (Store *s, gint64 placement, GError **error);
/* Folders whose flags are all as in the base: changes up to now need not be looked through any more (pushed_modseq). */
gboolean store_settle_pushed (Store *s, GError **error);
/* Number of messages to push something about, over all folders; a removal of what is awaited is not one until it arrives. */
gboolean store_count_unpushed (Store *s, guint64 *appends_out, guint64 *flags_out, guint64 *removals_out, GError **error);
/* Folders made, renamed, moved or removed here. */
/* Of the removals: what the home has marked as deleted, and can't remove yet. */
gboolean store_count_marked (Store *s, guint64 *n_out, GError **error);
gboolean store_count_unpushed_folders (Store *s, guint64 *folders_out, GError **error);

/* What the user said of a hold; the next run acts on it, and then it is a decision that can be undone until it is swept. */
typedef enum {
	HOLD_WAITS,
	HOLD_APPLY, /* carry the removals out */
	HOLD_KEEP,  /* undo them on the side where they happened */
	HOLD_UNDONE, /* a HOLD_KEEP that was: what it had sent is to be removed at home again */
} HoldDecision;

typedef struct {
	gint64 id, folder, created;
	gint64 decided, settled; /* 0: not yet; settled 0: open */
	gint64 there, here;      /* messages of the folder: at home when it last said so, and here now; -1 unknown or gone */
	char *side, *kind, *detail;
	char *path;              /* of the folder, when it is gone here its last; NULL unknown */
	guint messages;
	HoldDecision decision;
} Hold;
void hold_free (Hold *h);
GPtrArray *store_holds (Store *s, GError **error);     /* open ones */
GPtrArray *store_decisions (Store *s, GError **error); /* those that can be undone, newest first; also those that no run acted on yet */
/* One open one a (folder, side, kind). @there: messages of the home's folder, -1 unknown. */
gboolean store_hold (Store *s, gint64 folder, const char *side, const char *kind, guint messages, gint64 there, const char *detail, GError **error);
gboolean store_release_hold (Store *s, gint64 hold, GError **error);
/* @when: what is decided at once has the same, and is undone at once. */
gboolean store_settle_hold (Store *s, gint64 hold, HoldDecision decision, gint64 when, GError **error);
/* What was removed here, and came back by a decision, is not to be restored once more. */
gboolean store_forget_came_back (Store *s, GError **error);
/* Which messages @h is about: those that the home calls @uids; with @side 'home' or NULL those that the store tells by itself (see
 * store_each_held). */
/* @folder is another one at home than the decisions to send something to it meant: undoing them leaves alone what is there. */
gboolean store_note_bound_anew (Store *s, gint64 folder, GError **error);
gboolean store_note_held (Store *s, const Hold *h, const UidSet *uids, GError **error);
/* Whether each message that store_note_held would note now is one that it did: a decision is for no others. */
gboolean store_was_shown (Store *s, const Hold *h, const UidSet *uids, gboolean *shown_out, GError **error);
/* @h, open or just released, is a decision from now on, about @uids as above. Before it is carried out. */
gboolean store_note_decision (Store *s, const Hold *h, const UidSet *uids, GError **error);
/* Each message that @h is, or was, about. A decision's and those removed at home as they were noted; else as things are now: removals
 * here that the home has not heard of ('home'), awaited ones ('rebind'), all that the home is said to have ('identity'). */
typedef struct {
	gint64 placement, message; /* the placement may be gone */
	const char *subject, *sender; /* NULL: none, or not here any more */
} HeldMessage;
typedef gboolean (*HeldFn) (gpointer data, const HeldMessage *m);
gboolean store_each_held (Store *s, const Hold *h, HeldFn fn, gpointer data, GError **error);
/* Removals here of @folder that the home has not heard of, and about which the user needs not be asked any more: a run noted the decision,
 * and was stopped before it could carry it out. */
gboolean store_count_approved (Store *s, gint64 folder, guint *n_out, GError **error);
/* Takes back what was decided. Not acted on yet: it waits again. HOLD_APPLY: what was removed is placed again, and new to the home.
 * HOLD_KEEP: the question stands again: what was sent is awaited, and is to be removed at home; what came back is removed here, and the
 * guard asks. *missing_out: of the noted ones not found (any more). NOT_FOUND when there is none with this number. */
gboolean store_undo_decision (Store *s, gint64 hold, guint *done_out, guint *missing_out, GError **error);
