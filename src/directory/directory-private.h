/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "db.h"
#include "directory.h"

struct Directory {
	Db *db;
};

/* The key of @address, and its domain (lower case). FALSE with USAGE. */
gboolean address_split (const char *address, char **key_out, char **domain_out, GError **error);
/* The row of a mailbox that is not deleted, by address or (one domain) local part; or of any by id. 0: none. */
gint64 mailbox_number (Directory *d, const char *name);
DirectoryMailbox *mailbox_by_number (Directory *d, gint64 number, GError **error);
gboolean domain_is_ours (Directory *d, const char *domain, GError **error);
gboolean address_is_free (Directory *d, const char *key, const char *address, GError **error);
