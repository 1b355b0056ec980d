/* SPDX-License-Identifier: Apache-2.0 */
/* A small mailbox in several languages, for the tests of the search. */
#pragma once
#include "store.h"

/* Folders: INBOX, Archive, Archive/2023, Sent (role sent), Projects/Ham Radio, Entwürfe (role drafts). Messages are placed in the order
 * of mailbox_names; after the first @index_after of them the index is brought up to date (0: never). */
Store *mailbox_make (const char *path, guint index_after);
extern const char *const mailbox_names[]; /* ends with NULL; a message's Message-ID is NAME@test */
