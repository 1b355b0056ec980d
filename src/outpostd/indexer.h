/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the search indexes of the mailboxes up, on a thread of its own: a second behind what came into them, some seconds in a
 * flood, and at the start those of all mailboxes of this server. A search reads the newest SEARCH_TAIL_MAX messages itself, so that nothing is missed meanwhile but behind a flood. */
#pragma once
#include "host.h"
#include "cancel.h"

typedef struct Indexer Indexer;
Indexer *indexer_new (Host *host); /* borrowed; an enrolled one when it starts */
/* Once. Ends with @cancel, borrowed. */
void indexer_start (Indexer *i, Cancel *cancel);
/* Something came into the store at @path. Any thread, also before the start. */
void indexer_want (Indexer *i, const char *path);
void indexer_free (Indexer *i); /* waits for the end, so that @cancel must be triggered if it was started */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Indexer, indexer_free)
