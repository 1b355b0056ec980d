/* SPDX-License-Identifier: Apache-2.0 */
/* A home that was filled from another server goes on with that server's numbers, so that clients which know those fetch
 * nothing anew (docs/moves.md).
 *
 * A folder is first filled under numbers of its own; once all of it is here, store_import_adopt makes it, in one
 * transaction, a folder with the other server's UIDVALIDITY, UIDs, MODSEQs and gaps. As long as nobody else has placed
 * anything in it, it is open: what comes from the other server later gets its UIDs, too. Whoever places the first other
 * message there (store_place) closes it, at a UID far ahead: what a client heard of the other server meanwhile never
 * stands for another message here. */
#pragma once
#include "store-binding.h"

typedef enum {
	IMPORT_OWN,    /* the folder has numbers of its own */
	IMPORT_OPEN,   /* it has those of the other server, and goes on with them */
	IMPORT_CLOSED, /* it has them, and goes on with its own */
} ImportNumbers;
ImportNumbers store_import_numbers (Store *s, gint64 folder);
/* The numbers of changes from now on are above @least. Inside a transaction. */
gboolean store_import_raise (Store *s, guint64 least, GError **error);
/* Inside a transaction; @folder is bound, complete, and has IMPORT_OWN. *why_out, static, if it can't be (TRUE): else
 * NULL, and *folder_out is the id that the folder has now. */
gboolean store_import_adopt (Store *s, gint64 folder, gint64 *folder_out, const char **why_out, GError **error);
/* As store_place, under @uid where the folder is open and no higher one was ever used; else under the next one, which
 * closes it. */
gboolean store_import_place (Store *s, gint64 folder, guint32 uid, gint64 message, guint flags, const char *keywords,
			     gint64 *placement_out, GError **error);
