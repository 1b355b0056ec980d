/* SPDX-License-Identifier: Apache-2.0 */
/* A home's way to another place (Move Mailbox): a copy that is made while everybody goes on using the store, is brought up to date as often as helps, once more while
 * nobody can write, and is then proved to be equal. Ids, UIDs, UIDVALIDITY, numbers of the change sequence and removals are those of the source.
 *
 * The search index is copied as it is at first; what is newer is to be indexed at the new place. A StoreCopy is used by one thread. */
#pragma once
#include "store.h"

typedef struct StoreCopy StoreCopy;
/* Of the home at @from to @to, where there is nothing, or what an earlier StoreCopy of the same mailbox left. CONFLICT for what is no home, or another store at @to. */
StoreCopy *store_copy_new (const char *from, const char *to, GError **error);
void store_copy_free (StoreCopy *c); /* lifts the fence; NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StoreCopy, store_copy_free)

typedef void (*StoreCopied) (gpointer data, guint64 octets, guint64 of);
/* All of it as it is at one moment, at most @rate octets a second (0: no limit). Nothing is done where an earlier call has finished. @progress may be NULL. */
gboolean store_copy_bulk (StoreCopy *c, guint64 rate, Cancel *cancel, StoreCopied progress, gpointer data, GError **error);
/* What was changed since: *rows_out rows. Durable. */
gboolean store_copy_catch_up (StoreCopy *c, guint64 *rows_out, GError **error);
/* From here on whoever wants to write to the source waits, at most 30 s; reading goes on. */
gboolean store_copy_fence (StoreCopy *c, GError **error);
void store_copy_lift (StoreCopy *c);
/* Sums of all that clients and owners can see, of one moment each, whatever the order in which it lies: within the fence they are equal, or the copy is none. */
gboolean store_copy_sums (StoreCopy *c, guint64 *from_out, guint64 *to_out, GError **error);
/* For a backup: as store_copy_catch_up, and both sums are of one moment and equal, or nothing was changed and it is CORRUPT; the copy keeps its sum. Writes nothing where
 * nothing was changed. */
gboolean store_copy_level (StoreCopy *c, guint64 *rows_out, GError **error);
/* The copy at @path, which store_copy_level made, has the sum that it keeps. CORRUPT. Reads only. */
gboolean store_copy_check_sum (const char *path, GError **error);
/* The copy is whole in one file, and closed: it can be put in its place. Nothing but seal, lift and free may follow. */
gboolean store_copy_settle (StoreCopy *c, GError **error);
/* Within the fence, which ends: the source takes no change any more, from anybody (store_begin: UNAVAILABLE), until store_unseal. */
gboolean store_copy_seal (StoreCopy *c, GError **error);

/* NOT_FOUND if there is no store at @path. */
gboolean store_seal (const char *path, GError **error);
gboolean store_is_sealed (const char *path, gboolean *sealed_out, GError **error);
gboolean store_unseal (const char *path, GError **error);
