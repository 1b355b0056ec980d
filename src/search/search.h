/* SPDX-License-Identifier: Apache-2.0 */
/* Full-text search over a store: the index follows the messages behind a mark (store_indexed_message); a search reads the tail beyond
 * it itself, so that a message is found as soon as it is stored. docs/search.md has the whole query language:
 *
 *	budget report          both words, any order; in headers, text, names of attachments; accents and case do not matter
 *	"annual report"        a phrase          budg*           words that begin so
 *	from:ada to: cc: subject: body: filename:                a word or phrase there (to: is To, Cc, Bcc and List-Id)
 *	in:Archive in:"Sent Items"                                folder by path, its subfolders too; in:inbox by role
 *	is:unread is:read is:flagged is:answered is:draft  tag:receipts  label:x   flags, keywords; label: also a folder
 *	has:attachment         before:2024-05-01 after:2024 on: date:2024-05 date:2023..2024 older_than:7d   larger:1M smaller:10k
 *	thread:N id:<message-id>                                  N as in Placement.id
 *	OR  -word  -from:bob  ( ... )  { either or }              AND is the default and may be written
 *
 * Words of scripts without blanks (Chinese, Japanese, Korean, Thai) are found by pairs of characters. */
#pragma once
#include <glib.h>
#include "cancel.h"
#include "store.h"

#define SEARCH_QUERY_MAX 4096  /* octets */
#define SEARCH_TERMS_MAX 200
#define SEARCH_DEPTH_MAX 30
#define SEARCH_TEXT_MAX (1u << 20) /* octets of a message's text that are looked at */
#define SEARCH_TAIL_MAX 1000   /* messages beyond the index of which a search reads the text */

typedef struct SearchQuery SearchQuery;
/* USAGE with the place and what was expected; @now for relative dates (after:yesterday, before:7d). Days are those of the local time
 * zone. */
SearchQuery *search_query_parse (const char *text, gint64 now, GError **error);
/* The words of @text one after another, the last one as the beginning of a word: in the text of a message, or (@anywhere) in its header fields
 * and names of attachments, too. NULL: there are no words in it. */
SearchQuery *search_query_of_words (const char *text, gboolean anywhere);
void search_query_free (SearchQuery *q);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SearchQuery, search_query_free)

/* Each placement found once, newest received first; at most @limit (0: all). The listing is borrowed for the call; @fn returns FALSE to
 * stop. Works in a read transaction of its own if none is open. NOT_FOUND for in: with a folder that there is not.
 * Beyond the index the newest SEARCH_TAIL_MAX messages are read whole; of older ones only the header fields of their rows are
 * compared, and what these leave open is not found: when search_pending gives more than that, say so and index. */
gboolean search_run (Store *s, const SearchQuery *q, guint limit, Cancel *cancel, ListingFn fn, gpointer data, GError **error);
/* The same for one folder, and its UIDs alone: adds those that match. */
gboolean search_uids (Store *s, const SearchQuery *q, gint64 folder, Cancel *cancel, UidSet *uids_out, GError **error);
/* A line around the first match in the text, for lists; what was found is between \x01 and \x02. NULL without error where only fields
 * match. */
char *search_snippet (Store *s, const SearchQuery *q, gint64 message, GError **error);

/* Brings the index up to date in batches, each one transaction of some 50 ms; the store is free between them. When most of its rows
 * are of messages that are gone, it is built anew. *indexed_out counts messages. Stops within a second of @cancel (CANCELLED; what was done stays). @progress and @indexed_out may be NULL. */
typedef void (*SearchProgress) (gpointer data, guint64 done, guint64 total);
gboolean search_index (Store *s, Cancel *cancel, SearchProgress progress, gpointer data, guint64 *indexed_out, GError **error);
/* Forgets the index; the next search_index builds it anew. */
gboolean search_forget (Store *s, GError **error);
/* Messages not yet in the index. */
gboolean search_pending (Store *s, guint64 *messages_out, GError **error);
