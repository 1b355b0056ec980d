/* SPDX-License-Identifier: Apache-2.0 */
/* Brings a store and its home to the same state, both ways (design.md sections 3 and 5; docs/sync.md).
 *
 * Invariants of a run:
 *   1. What is learned from the home and the fact that it was learned are one transaction.
 *   2. Nothing is sent to the home without an intent in the store: a pending row, a gone binding, or a flag that differs from its
 *      base. An append's or copy's intent carries a UIDNEXT watermark before it is sent; a run that finds a watermark looks at the
 *      home for the message before it sends it again.
 *   3. Every step may run twice without harm, and the process may die between any two.
 *   4. A removal is applied only after the deletion guard has agreed. */
#pragma once
#include "endpoint.h"
#include "store.h"

typedef enum { SYNC_CONNECT, SYNC_HIERARCHY, SYNC_PULL, SYNC_PUSH, SYNC_INDEX, SYNC_DONE } SyncPhase;

typedef struct {
	SyncPhase phase;
	const char *folder; /* path; NULL */
	guint folders_done, folders_total;
	guint64 messages_done, messages_total; /* to be fetched in this run */
	guint64 octets_done;                   /* of messages stored */
	EndpointTraffic traffic;
} SyncProgress;

typedef struct {
	const char *mailbox;         /* name for the log: the account's */
	const char *const *folders;  /* NULL: all. Paths. */
	guint guard_messages;        /* deletion guard: a run that would remove more than this many ... */
	guint guard_percent;         /* ... and more than this share, or all of at least ... */
	guint guard_all;             /* ... so many, of a folder or of all folders together, holds;
	                                and so does any folder with messages that vanished at home */
	gboolean accept_mailbox;     /* the home is this mailbox's, though next to nothing in it is known */
	guint keep_removed_days;
	gboolean one_way; /* nothing is sent to the home, nor asked from it for that: the store follows it, and what was changed here stays. Its conflicts are told by the
	                     log alone */
	gboolean fold_idle; /* runs that only repeat the last one, and had nothing to do, share its place in the log: for watching */
	void (*progress) (gpointer data, const SyncProgress *p); /* at most some times a second; NULL */
	void (*line) (gpointer data, gint64 time, gboolean detail, const char *text); /* each line of the log as it is written; NULL */
	gpointer data;
} SyncOptions;
#define SYNC_OPTIONS_INIT {.guard_messages = 20, .guard_percent = 10, .guard_all = 2, .keep_removed_days = 30}

typedef struct {
	guint64 folders_added_here, folders_changed_here, folders_removed_here;
	guint64 folders_added_home, folders_changed_home, folders_removed_home;
	guint64 added_here, updated_here, removed_here;
	guint64 added_home, updated_home, removed_home, moved_home;
	guint64 conflicts, failures, held;
	guint64 left; /* of the failures: folders that a run of some folders left to one of all */
	guint64 relinked; /* messages bound anew after the home changed */
	guint64 octets_stored;
	EndpointTraffic traffic;
	gint64 run; /* its row in the log */
} SyncResult;

/* One run. FALSE with an error that reaches the mailbox; the result holds what was done until then. A run that held something
 * succeeds with result.held > 0, and one that could not read a folder or was refused a change with result.failures > 0. The store must be locked (store_lock_sync) and the endpoint is opened here. */
gboolean sync_run (Store *store, Endpoint *home, const SyncOptions *options, Cancel *cancel, SyncResult *result, GError **error);

/* The old system's way with a store that an earlier profile left behind: fails with ERROR_STALE_STORE, whose text is the old error, and
 * files its log in Deleted Items; also without a connection. One log a finding: while it is there no run that finds the same adds another. */
gboolean sync_report_stale (Store *store, Endpoint *home, const SyncOptions *options, Cancel *cancel, GError **error);
/* The store is adopted after all: those logs go from Deleted Items, unless the user put them elsewhere, and the home never gets them. */
gboolean sync_drop_stale_logs (Store *store, GError **error);
/* A line of the log as people read it (design section 8): "1:05:34 text", details indented. Local time. Owned by the caller. */
char *sync_log_line (gint64 time, gboolean detail, const char *text);

/* What re-binding would find in a folder; nothing is written on either side. */
typedef struct {
	char *folder; /* path here; NULL: only at home */
	char *home;   /* wire name; NULL: only here */
	guint linked, weak;  /* found again; of these by header only */
	guint ambiguous;     /* several candidates that the evidence does not tell apart */
	guint only_here, only_there;
	guint pending;       /* changes made here that the home does not have */
	gboolean other_mail; /* not one message in common */
	gboolean failed;     /* could not be read */
} SyncPreview;
void preview_free (SyncPreview *p);
/* GPtrArray of SyncPreview. *other_out: a run would refuse the home as another mailbox, and touch nothing. */
gboolean sync_preview (Store *store, Endpoint *home, const SyncOptions *options, Cancel *cancel, GPtrArray **folders_out, gboolean *other_out,
                       GError **error);

/* A counted step, for the tests that kill the process at each one: with OUTPOST_DIE_AT=n in the environment the n-th call ends the
 * process with _exit (137); with OUTPOST_COUNT_STEPS=1 the number of calls is printed to stderr at exit as "steps: N". */
void sync_step (void);

typedef struct {
	gint64 poll_ms;   /* without push: how often to look, default 60 s */
	int wake_fd;      /* readable: run now (the caller's local changes); -1 none */
	/* Called after every run, and when the wait loses the connection (@result is NULL); with an error, when the next try is due. */
	void (*ran) (gpointer data, const SyncResult *result, const GError *error, gint64 next_try_s);
	/* Called when the wait for changes begins. */
	void (*waiting) (gpointer data);
	gpointer data;
} WatchOptions;
/* Runs, waits for changes at home, runs again, until cancelled (TRUE) or an error that no repetition can mend. Once a run has succeeded, such an error
 * is tried again where it may be of a moment: that the home is UNTRUSTED as a lost connection is, and a refused log-on (NO_PERMISSION)
 * four times, after one minute and more, so that nobody locks the account. */
gboolean sync_watch (Store *store, Endpoint *home, const SyncOptions *options, const WatchOptions *watch, Cancel *cancel, GError **error);
