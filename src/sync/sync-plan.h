/* SPDX-License-Identifier: Apache-2.0 */
/* The pure part of synchronising: from what was agreed, what is here and what is at home to what must be done. No I/O, no clock. */
#pragma once
#include "store-binding.h"
#include "sync.h"

/* ---- Folders ---- */
typedef enum {
	/* here; carried out together, in this order, parents before children */
	PLAN_BIND,        /* folder and remote exist and belong together: only the binding is new or has a new name */
	PLAN_CREATE_HERE, /* remote is new */
	PLAN_RENAME_HERE, /* remote got another name or parent */
	PLAN_EMPTY_HERE,  /* remote is there only because others lie below it: the folder was removed at home */
	PLAN_REMOVE_HERE, /* gone at home; children before parents */
	PLAN_FORGET,      /* gone on both sides */
	PLAN_RESTORE_HERE,/* removed here, but home has news in it, or below it: it comes back (where PLAN_CREATE_HERE stands) */
	/* at home; one after the other, after all of the above */
	PLAN_CREATE_HOME,
	PLAN_RENAME_HOME,
	PLAN_REMOVE_HOME, /* children before parents */
} PlanKind;

typedef struct {
	PlanKind kind;
	const Folder *folder;          /* NULL: none here */
	const FolderBinding *binding;  /* NULL: none yet */
	const RemoteFolder *remote;    /* NULL: none at home */
	gboolean guessed; /* remote was recognised by UIDVALIDITY only: verify by evidence before acting */
	gboolean conflict; /* both sides renamed: home's name stands */
	gboolean late; /* of PLAN_RENAME_HERE: it goes below a folder that is new, or comes back, here */
	gboolean below; /* of PLAN_RESTORE_HERE: others, new at home or here or come back, are below it there */
} FolderStep;

/* A bound folder, and one at home that evidence says it is, or is not. */
typedef struct {
	gint64 folder;
	const RemoteFolder *remote;
} FolderPair;

/* @folders, @bindings, @remotes: arrays of Folder, FolderBinding, RemoteFolder; the result (of FolderStep) borrows from them. Of FolderPair, or
 * NULL: @refused are not guessed again, @recognised are the same where the folder is not listed by its name or id. */
GArray *plan_folders (const GPtrArray *folders, const GPtrArray *bindings, const GPtrArray *remotes, const GArray *refused,
                      const GArray *recognised);

/* Once it is known which folders come back (PLAN_RESTORE_HERE): those above them do, too. */
void plan_restore_above (GArray *steps);

/* @f has another name or parent than was last agreed with the home. */
gboolean plan_renamed_here (const FolderBinding *b, const Folder *f);

/* ---- Flags ---- */
/* Three-way merge of boolean flags: what home changed against @base, on top of @here. */
guint plan_merge_flags (guint base, guint here, guint home);

/* ---- Deletion guard ---- */
/* TRUE if removing @n of the @of messages of a folder, or of all folders together, needs the user's consent by the measures of
 * @o. To remove the only message there is says nothing. */
gboolean plan_guard_holds (guint64 n, guint64 of, const SyncOptions *o);

/* ---- Does a folder need a query? ---- */
gboolean plan_needs_query (const FolderBinding *b, const RemoteFolder *r);

/* ---- Pushes whose answer never came ---- */
typedef struct {
	gint64 placement;
	guint64 size;
	gint64 received;
	const char *message_id; /* NULL none */
	guint64 digest;
	gboolean copied; /* by the home itself, from another folder */
} PushedMessage;
/* Pairs pushed messages with remote evidence: equal Message-ID, date and size; then, for homes that say wrong sizes, equal digest and date; what
 * the home copied, by its digest alone. True duplicates in order of UID. uids_out[i] is 0 where nothing fits. */
void plan_match_pushed (const PushedMessage *pushed, guint n, const RemoteEvidence *evidence, guint m, guint32 *uids_out);
