/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of one run share. */
#pragma once
#include "sync.h"
#include "sync-match.h"
#include "sync-plan.h"

/* A bound folder during a run. */
typedef struct {
	Folder *folder;          /* owned */
	FolderBinding *binding;  /* owned; as in the store */
	const RemoteFolder *remote; /* as listed, NULL: not listed (created in this run) */
	UidSet wanted;           /* to be fetched */
	UidSet looked_at;        /* before the push: what is to be written to stands for what it stood for */
	UidSet fresh;            /* bound in this run as the home told; how it sees their size and date is still to be learned */
	gboolean took; /* the home has accepted in this run what it is not seen to have yet */
	gboolean held, pushed, failed;
	gboolean few_keywords; /* the home keeps `keywords_kept` alone */
	gboolean unkept_told;  /* in this run */
	char *keywords_kept;   /* owned */
	gboolean again; /* its states are still to be asked for */
	gboolean states_only; /* none of this run's; but something was moved or copied from there, so it is asked along, without bodies. folder->id 0: it is
	                       * gone here */
	gboolean put_off;     /* some of what is new there waits until a folder that could not be read, or is not one of this run's, tells whether it moved
	                       * from it */
	gboolean awaiting; /* how many are awaited has changed */
	gboolean arrived;  /* some of what it awaited, in this run */
	gboolean guarded;   /* the deletion guard held removals at home that are not yet applied here */
	gboolean failure_noted; /* that the home did not give all of it, in this run */
	guint hold_told; /* its re-binding hold was counted and logged in this run, of so many; 0: it was not */
	guint64 added_here, updated_here, removed_here, added_home, updated_home, removed_home;
	guint64 recognised; /* of added_here: not fetched, being here already */
	gboolean rebound; /* in this run */
	gboolean was_new; /* nothing in it was bound before this run placed what it found there */
	guint64 hinted_total; /* messages_now of the last query */
} FolderRun;
void folder_run_free (FolderRun *f);

typedef struct {
	gint64 time;
	gboolean detail;
	char *text;
} LogLine;

typedef struct {
	Store *store;
	Endpoint *home;
	const SyncOptions *options;
	char **paths;      /* those of the options, by the names that the folders have now; NULL: all */
	Cancel *cancel;
	SyncResult *result;
	GArray *unwritten; /* LogLine */
	gint64 run;        /* 0 until the first line is written */
	gint64 started, last_progress;
	SyncProgress progress;
	GPtrArray *remotes; /* RemoteFolder */
	GPtrArray *folders; /* FolderRun */
	gboolean partial;   /* there are folders that it is not to look into */
	GHashTable *astray; /* placements that were moved here from where the home did not have them any more before this run; NULL: none */
	GHashTable *absent; /* ids of folders that are gone at home, and held: not to be asked, nothing to be made below them; NULL: none */
	struct {
		guint64 removals, messages;
	} sums[2]; /* [TRUE] here, [FALSE] at home: what would go without being asked about folder by folder, of how many */
	LostFlags lost;       /* what the move lost, by folders with many flags */
	gboolean vouched;     /* mail that is known is in it: the mailbox is ours */
	gboolean witnesses_heard; /* by sync_vouch */
	gboolean doubted;     /* a folder's numbers were the old ones and wrong: those of the others prove nothing */
	GPtrArray *strangers; /* Stranger (sync-rebind.c): folders with other mail that are still to be seen to; NULL: none */
	GHashTable *gathered; /* folder id -> evidence that sync_check_mailbox read already; NULL */
} SyncRun;

gint64 sync_now (void);
gboolean sync_contains_id (const GArray *ids, gint64 id); /* of gint64 */

/* Log: lines are kept until the next transaction (sync_log_write, inside one) so that a no-op costs one commit. */
void sync_log (SyncRun *run, const char *format, ...) G_GNUC_PRINTF (2, 3);
GArray *sync_log_lines_new (void); /* for SyncRun.unwritten */
void sync_log_detail (SyncRun *run, const char *format, ...) G_GNUC_PRINTF (2, 3);
gboolean sync_log_write (SyncRun *run, GError **error);
gboolean sync_log_end (SyncRun *run, const GError *failure, GError **error);

void sync_progress (SyncRun *run, SyncPhase phase, const char *folder, gboolean always);

/* begin / commit with a counted step on either side of the commit */
gboolean sync_begin (SyncRun *run, GError **error);
gboolean sync_commit (SyncRun *run, GError **error);

gboolean sync_hierarchy (SyncRun *run, GError **error);
/* The plan (FolderStep) with every guess of a renamed folder borne out by evidence. Reads only. @rehearsal: another person's mailbox is
 * planned for like ours, else it is CONFLICT. */
GArray *sync_plan_hierarchy (SyncRun *run, const GPtrArray *folders, const GPtrArray *bindings, gboolean rehearsal, GError **error);
/* The home's folder of that name on the wire, as listed; NULL: it is not. */
const RemoteFolder *sync_listed (SyncRun *run, const char *name);
FolderRun *sync_folder_run (SyncRun *run, gint64 folder); /* NULL: not one of this run's */
gboolean sync_has_everything (const FolderRun *f); /* what all other folders have, too: Gmail's All Mail */
/* Fills run->folders from the store and the listing. */
gboolean sync_load_folders (SyncRun *run, GError **error);
/* Brings home's changes of the given FolderRuns here. */
gboolean sync_pull (SyncRun *run, GPtrArray *folders, GError **error);
/* Logs and counts that @f can't be read: this run does nothing more with it, nothing is removed for it, the next run tries again. TRUE. */
gboolean sync_folder_failed (SyncRun *run, FolderRun *f, const char *why);
/* Folders are held for what the home does not have, be it they themselves. */
gboolean sync_is_mail_missing (SyncRun *run, gboolean *missing_out, GError **error);
/* Logs and counts that a run of some folders leaves (some of) @f to a run of all. */
void sync_left_to_others (SyncRun *run, const FolderRun *f, const char *why);
gboolean sync_push (SyncRun *run, GError **error);
/* Removes at home the folders that are gone here (after the push, which may still have moved messages out of them). */
gboolean sync_push_folder_removals (SyncRun *run, GError **error);
/* Binds pending placements of @f whose earlier push did reach the home: looks among @candidates (or, NULL, all UIDs from the
 * watermark). Bound UIDs are taken out of @candidates. */
gboolean sync_recover_pushes (SyncRun *run, FolderRun *f, UidSet *candidates, GError **error);
/* What was agreed of @p, whose sending was not answered, and which is @e at home: of a copy what was agreed of its origin, or, once that is forgotten, what
 * the copy has; of what was sent whole what both sides have: what only the home has was set there since. *keywords_out is owned. */
gboolean sync_base_of_sent (SyncRun *run, const Pending *p, const RemoteEvidence *e, guint *flags_out, char **keywords_out, GError **error);
/* ---- The deletion guard (sync-guard.c) ---- */
typedef enum {
	GUARD_HOLD, /* no: a hold is in the store */
	GUARD_GO_ON,
	GUARD_KEEP, /* the user wants them kept: the removal is to be undone on the other side */
} GuardAnswer;
/* Whether @n of @of messages may be removed on @side; @whole: with their folder. A decision stands for at most the number that was shown,
 * and a question stands until it is answered or the number gets smaller. Call inside a transaction. */
gboolean sync_guard (SyncRun *run, FolderRun *f, const char *side, guint n, guint of, gboolean whole, GuardAnswer *answer_out,
                     GError **error);
/* The same, and notes which messages are held or decided about: those that the home calls @uids; NULL: all of the folder on that side. */
gboolean sync_guard_noting (SyncRun *run, FolderRun *f, const char *side, guint n, guint of, gboolean whole, const UidSet *uids,
                            GuardAnswer *answer_out, GError **error);
/* A decision about @h (NULL: none) is none if messages are concerned that the person was not asked about; @uids as above. Inside a transaction. */
gboolean sync_recall_decision (SyncRun *run, const Hold *h, const UidSet *uids, GError **error);
/* Before the first removal on @side: adds to what the run as a whole would remove unasked. */
gboolean sync_guard_count (SyncRun *run, const FolderRun *f, const char *side, guint n, guint of, GError **error);
/* Takes back the questions about removals that are no more. */
gboolean sync_guard_release (SyncRun *run, GError **error);
gboolean sync_is_absent (const SyncRun *run, gint64 folder);
/* It was moved here, and the home does not have it where it was moved from. */
gboolean sync_is_moved_from_nowhere (const SyncRun *run, const Pending *p);
/* Removes here the folders that are gone at home and were held, and of which the pull found everything in other folders. */
gboolean sync_settle_absent (SyncRun *run, GError **error);

/* Puts a report in words as a message into the local-only folder Sync Issues/@kind. Inside a transaction. */
/* Such a message. */
GBytes *sync_report_octets (const char *subject, const char *text, gint64 now);
gboolean sync_report (SyncRun *run, const char *kind, const char *subject, const char *text, GError **error);

/* ---- Re-binding (sync-rebind.c): the home is not what it was ---- */
/* Why the home's folder can't be taken for the one that is bound. */
typedef enum {
	SUSPICION_NONE,
	SUSPICION_UIDVALIDITY, /* changed */
	SUSPICION_UIDNEXT,     /* went back */
	SUSPICION_MODSEQ,      /* went back */
	SUSPICION_JUMP,        /* UIDNEXT is far ahead of all that came, and what was known is gone */
	SUSPICION_ID,          /* MAILBOXID changed */
	SUSPICION_MESSAGES,    /* known UIDs stand for other messages: the order of UIDs proves nothing then */
	SUSPICION_NUMBERS,     /* known UIDs are missing though no removal was told, unused ones are used, or they are too few or too many: evidence
	                        * may refute it */
} Suspicion;
/* @bound: all UIDs that are bound; NULL: not looked at. */
Suspicion sync_suspicion (SyncRun *run, FolderRun *f, const FolderQuery *q, const UidSet *bound);
/* What was to be fetched of @f is here, and whether that is all is noted. Inside a transaction. */
gboolean sync_mark_complete (SyncRun *run, FolderRun *f, GError **error);
/* Finds out by evidence which message is which, and binds anew, in one transaction; what the home has not (yet) is awaited and put on
 * hold, nothing is removed. Afterwards f->wanted holds what is new at home. f->held and f->failed where the evidence is not enough; other mail
 * waits for sync_settle_strangers. In a run of some folders nothing at all is done with one that has not all that is known of it. */
gboolean sync_rebind (SyncRun *run, FolderRun *f, Suspicion why, GError **error);
/* After the last of several: those that have other mail under their names may have exchanged them, and are called here as there then; or somebody
 * emptied them; else they are held. */
gboolean sync_settle_strangers (SyncRun *run, GError **error);
/* Flags of @folder were found equal by their numbers only (sync-flags.c): the first later run that looks into it reads them all. Inside a
 * transaction. */
gboolean sync_note_counted (SyncRun *run, gint64 folder, gboolean counted, GError **error);
/* So it is, and this is such a run. */
gboolean sync_was_counted (SyncRun *run, gint64 folder);
/* New messages at home (f->wanted) that are awaited or pending ones are bound, and not fetched. */
gboolean sync_match_awaited (SyncRun *run, FolderRun *f, GError **error);
/* The hold of @f tells how many are awaited still, after the bodies came, which may be theirs; without any it is gone. */
gboolean sync_told_awaited (SyncRun *run, FolderRun *f, GError **error);
/* Do @uids still stand for the messages they are bound to? By size and date; by header, too, where another message has the same, and for those
 * that are to be removed for good (@removed, may be NULL). *same_out FALSE: no, nothing may be written to them. */
gboolean sync_verify_targets (SyncRun *run, FolderRun *f, const UidSet *uids, const UidSet *removed, gboolean *same_out, GError **error);
/* Folders that an earlier run bound by samples: all of their messages are looked at once (size and date), and bound anew if one is another. */
gboolean sync_prove_positions (SyncRun *run, GError **error);
/* Carries out what the user decided about other mail: before the folders are looked into. */
gboolean sync_settle_identities (SyncRun *run, GError **error);
/* And about what was missing: after that, since it may have arrived. */
gboolean sync_settle_rebinds (SyncRun *run, GError **error);
/* A folder is held as other mail, and there is none whose mail is known: it may be another mailbox, to which nothing of ours is sent. */
gboolean sync_is_strange (SyncRun *run);
/* Counts and logs those that still wait and of which this run had nothing new to say. */
gboolean sync_tell_rebinds (SyncRun *run, GError **error);
/* @f is held as other mail, and the home lists it as it was when it was looked through: this run lets it be. */
gboolean sync_is_seen_other_mail (SyncRun *run, FolderRun *f);
/* The next run doesn't. Inside a transaction. */
gboolean sync_look_again (SyncRun *run, gint64 folder, GError **error);
/* None of @evidence (RemoteEvidence) of known UIDs is another message than the one here. */
gboolean sync_canaries_sing (SyncRun *run, FolderRun *f, const GArray *evidence);
/* Of @holds, *hold_out is the one that waits of @folder as other mail, and for which @r was looked through as it still is; else NULL, and FALSE. */
gboolean sync_find_seen (SyncRun *run, gint64 folder, const RemoteFolder *r, GPtrArray *holds, const Hold **hold_out);

/* ---- Whose mailbox it is (sync-mailbox.c) ---- */
/* CONFLICT if every folder of the home has other mail than ours: the account holds a different mailbox. Before anything is changed.
 * @look_inside: folders are to be made, renamed or removed, so equal numbers (UIDVALIDITY, UIDNEXT) are not enough: a few known UIDs are
 * looked at, one flight for the first folder that stands. */
gboolean sync_check_mailbox (SyncRun *run, gboolean look_inside, GError **error);
/* The same for a rehearsal, which reads only: *other_out, and what was compared. */
gboolean sync_compare_mailbox (SyncRun *run, gboolean look_inside, guint *here_out, guint *there_out, gboolean *other_out, GError **error);
/* Once a run, unless run->vouched: a few known UIDs of folders that are listed just as they were are looked at, folder by folder until one is
 * known (run->vouched); if they stand for others, run->doubted. */
gboolean sync_vouch (SyncRun *run, GError **error);
/* Merges a state of the home into its placement, if it is bound (sync-pull.c). */
gboolean sync_apply_state (SyncRun *run, FolderRun *f, const RemoteState *state, GError **error);

/* Places @message as the home has it, with the change that was under way here when the home moved it (remove + add). (sync-writer.c) */
gboolean sync_place (Store *s, gint64 folder, gint64 message, const RemoteState *state, gint64 *placement_out, GError **error);

/* The writer: a thread with a connection of its own that stores fetched messages in batches, each one transaction. */
typedef struct SyncWriter SyncWriter;
SyncWriter *sync_writer_new (SyncRun *run, GError **error);
/* Takes a message for @folder (id). Waits while too much is queued. FALSE with the writer's error once it failed. *count is one more
 * when the message is committed; read it after sync_writer_end only. */
gboolean sync_writer_put (SyncWriter *w, gint64 folder, const FetchedMessage *m, guint64 *count, GError **error);
/* Messages durably stored so far for progress. */
guint64 sync_writer_stored (SyncWriter *w, guint64 *octets_out);
/* Waits until all is stored, ends the thread, frees. What is stored then is told also when it failed. */
gboolean sync_writer_end (SyncWriter *w, guint64 *stored_out, guint64 *octets_out, GError **error);
