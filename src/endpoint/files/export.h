/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a store out into formats that other programs read. The store is only read, in one snapshot. */
#pragma once
#include <glib.h>
#include "cancel.h"
#include "store.h"

typedef enum {
	EXPORT_MAILDIR, /* a directory: INBOX is the Maildir itself, the other folders are Maildir++ subfolders (.A.B, names as in Dovecot:
	                 * modified UTF-7), flags in the names, keywords in dovecot-keywords and the letters a-z (the first 26 of a folder; the others in outpost-keywords),
	                 * dates as mtime, UIDs and folder ids in dovecot-uidlist, subscriptions */
	EXPORT_MBOX,    /* a directory of one mboxrd file a folder (A.mbox, A/B.mbox), Status and X-Status lines are NOT added */
	EXPORT_TAR,     /* one tar file (POSIX ustar+pax) of FOLDER/UID.eml with mtime; flags in a pax header (as an extended attribute,
	                 * user.outpost.flags) */
} ExportFormat;

typedef void (*ExportProgress) (gpointer data, guint64 done, guint64 total);
/* Maildir and mbox: @path must not exist or be an empty directory (EXISTS otherwise); tar: must not exist, or be "-" for standard
 * output. Octets are written as they are (mbox: with mboxrd quoting and LF line ends). @folders: NULL all, else paths. On failure
 * or cancel what was written is removed. *messages_out counts, *apart_out those of them with keywords that only outpost-keywords has; each may be NULL.
 *
 * Names of files are made from names of folders such that none leads elsewhere and no two are equal (docs/store-format.md).
 *
 * A damaged message does not stop the export: it is left out, everything else is written and stays, and at the end CORRUPT says how many
 * were left out and names the first. */
gboolean export_store (Store *s, ExportFormat format, const char *path, const char *const *folders, Cancel *cancel, ExportProgress progress,
                       gpointer data, guint64 *messages_out, guint64 *apart_out, GError **error);
