/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that bring the two folder trees together share. */
#pragma once
#include "sync-private.h"

typedef struct {
	SyncRun *run;
	GHashTable *folder_of_name; /* wire name -> gint64 folder id (as pointer-sized copy), for parents */
	GPtrArray *bindings;
	const GArray *steps;  /* the plan that is carried out; NULL: none */
	GHashTable *left_out; /* wire names, borrowed, of folders that can't be had here */
	GArray *kept; /* folder ids: gone at home, kept here, and made there again by this run; NULL: by the next */
	GPtrArray *renamed; /* wire names, before and after, of what was renamed at home, one after the other */
} Tree;

/* ---- sync-hierarchy.c ---- */
gint64 tree_folder_of_name (Tree *t, const char *wire_name);                     /* 0: none */
const FolderBinding *tree_binding (Tree *t, gint64 folder);                      /* NULL: none */
const RemoteFolder *tree_listed (Tree *t, const char *parent, const char *leaf); /* NULL: not listed */
gboolean tree_reload (Tree *t, GError **error);                                  /* t->bindings, from the store */
/* Binds @folder to @r, with what else @old (NULL: nothing) had. */
gboolean tree_bind (Tree *t, gint64 folder, const FolderBinding *old, const RemoteFolder *r, gint64 base_parent,
		    const char *base_name, GError **error);
gboolean tree_create_here (Tree *t, const FolderStep *step, GError **error);
/* Who has the name here until its own new one is carried out leaves it now. */
gboolean tree_make_room (Tree *t, gint64 parent, const char *leaf, GError **error);
/* A name that is free among the siblings here: the remote's, or that with a number. */
char *sync_free_name (Store *s, gint64 parent, const char *leaf);
/* The store refuses a name or a depth before it writes anything, and the error is the folder's own. */
gboolean sync_is_unfit (const GError *e);
void sync_tell_unfit (SyncRun *run, const char *name, const char *what, const char *why);
/* A failure that reaches one folder only is told and left for the next run. Takes @e. */
gboolean sync_tolerable (SyncRun *run, GError *e, GError **error);
/* The same, of what the home was told to do with a folder. */
gboolean sync_refused (SyncRun *run, const char *what, const char *path, GError *e, GError **error);

/* ---- sync-rename.c ---- */
/* Is the remote folder really the one we are bound to? Up to eight known messages must be there, equal in size and
 * date. */
gboolean sync_verify_rename (SyncRun *run, const FolderStep *step, gboolean *same_out, GError **error);
gboolean tree_rename_here (Tree *t, const FolderStep *step, GError **error);
/* The one above it first: its new name there is where this one goes. */
gboolean tree_rename_home (Tree *t, gint64 folder, GError **error);
/* Who has at home the name that the new @f is to get, and has another one here, leaves it: for one with a number, until
 * its own renaming is carried out. */
gboolean tree_clear_name_at_home (Tree *t, const Folder *f, const char *parent_name, GError **error);
/* What a run sent that was stopped before the answer. */
gboolean tree_settle_renamings (Tree *t, GError **error);
/* What was made below INBOX at a home that has all folders there, and calls that the top. */
gboolean tree_settle_places (Tree *t, GError **error);
/* Those that got a number here because their names were taken, and can have them now. */
gboolean tree_drop_numbers (Tree *t, GError **error);
/* What this run renamed at home is looked for under its new name; its state is not told. */
void tree_rename_listed (const Tree *t);

/* ---- sync-removal.c ---- */
/* The folder comes back: what is bound to it stays bound to nothing, the remote is new again. */
gboolean tree_restore_here (Tree *t, const FolderStep *step, GError **error);
gboolean tree_remove_here (Tree *t, const FolderStep *step, GError **error);
/* What is only here stays, and the folder is made at home once more (open_parents). */
gboolean tree_empty_here (Tree *t, const FolderStep *step, GError **error);
/* What was removed here has another name at home now: what is moved out of it, and its removal, go there. */
gboolean tree_follow_removed (Tree *t, const GArray *steps, GError **error);
/* New numbers may be of what this side sent there, or of what is gone again: such a folder does not come back. */
gboolean sync_drop_restorations (SyncRun *run, GArray *steps, GError **error);
