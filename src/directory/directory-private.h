/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "db.h"
#include "directory.h"

struct Directory {
	Db *db;
};

/* The key of @address, and its domain (lower case, U-labels). FALSE with USAGE. */
gboolean address_split (const char *address, char **key_out, char **domain_out, GError **error);
/* What @name, valid UTF-8, is compared by: an address, or (one domain) a local part. NULL only for what can't be read. */
char *name_key (Directory *d, const char *name, GError **error);
/* The number in the first row of @sql for ?1 and ?2 (or NULL), 0 without a row. FALSE for what can't be read, which is never taken for "none". */
gboolean find_number (Directory *d, const char *sql, const char *one, const char *two, gint64 *number_out, GError **error);
/* The row of a mailbox that is not deleted, by address or (one domain) local part; or of any by id. 0: none. FALSE as above. */
gboolean mailbox_number (Directory *d, const char *name, gint64 *number_out, GError **error);
/* NULL with NOT_FOUND if it has gone. */
DirectoryMailbox *mailbox_by_number (Directory *d, gint64 number, GError **error);
/* 0 with NOT_FOUND. */
gint64 need_mailbox (Directory *d, const char *name, GError **error);
/* @prepared was found to fit @hash, the verifier of mailbox @number, within the last hour. Any thread. */
gboolean verified_is (gint64 number, const char *hash, const char *prepared);
void verified_note (gint64 number, const char *hash, const char *prepared);
gboolean domain_is_ours (Directory *d, const char *domain, GError **error);
gboolean address_is_free (Directory *d, const char *key, const char *address, GError **error);
/* What names and addresses are compared by. NULL: @text is not UTF-8. */
char *fold (const char *text);
/* For set_up: the organisation of a directory that had none, with its first site. */
gboolean organisation_create (Directory *d, GError **error);
