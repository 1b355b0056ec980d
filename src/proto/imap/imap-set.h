/* SPDX-License-Identifier: Apache-2.0 */
/* Sequence sets as they are written: "1,5:3,7:*" or "$" (RFC 9051 section 9 "sequence-set", RFC 5182). What they mean, as a set of
 * numbers, is a UidSet; it comes of resolving "*" against the highest number and "$" against the saved result. Every function is
 * at most O(n log n) in the ranges, in whatever order a peer sends them. */
#pragma once
#include <glib.h>
#include "bytes.h"
#include "uid-set.h"

typedef struct {
	guint32 from, to; /* as written, so from > to is possible; 0: "*" */
} ImapRange;

/* Keeps the order in which it was written: COPYUID (RFC 9051 section 7.1) pairs two sets by it. Initialise with {0}. */
typedef struct {
	ImapRange *ranges; /* owned */
	guint n_ranges, allocated;
	gboolean saved; /* "$"; there are no ranges then */
} ImapSet;
void imap_set_clear (ImapSet *set);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ImapSet, imap_set_clear)

/* FALSE, and @set empty, for what is no sequence set, 0 and numbers over 32 bits included, or holds more than @max_ranges. */
gboolean imap_set_parse (ImapSet *set, Slice text, guint max_ranges);
/* Adds @n at the end, to the last range if it is the next number. */
void imap_set_append (ImapSet *set, guint32 n);
void imap_set_format (const ImapSet *set, GString *text);
gboolean imap_set_has_star (const ImapSet *set);
/* Adds to *numbers_out what @set means where @max is the highest number there is (0: none at all; "*" is then nothing). "5:*" has @max
 * even where that is below 5. Numbers above @max that are named stay in. @saved may be NULL: empty. */
void imap_set_resolve (const ImapSet *set, guint32 max, const UidSet *saved, UidSet *numbers_out);
/* Number of members, those named twice counted twice; 0 with "*" or "$". */
guint64 imap_set_count (const ImapSet *set);
/* Walks the members in the order written, each range upwards (RFC 9051 section 9 "seq-range"). Sets without "*" and "$" only:
 * ImapSetIter it = {0}; while (imap_set_next (set, &it, &n)) ... */
typedef struct {
	guint range;
	guint32 last;
} ImapSetIter;
gboolean imap_set_next (const ImapSet *set, ImapSetIter *it, guint32 *n_out);

/* Adds the numbers of "1:3,7" (no "*", no "$") to @set. FALSE, and nothing added, if malformed or over @max_ranges. */
gboolean uid_set_take_text (UidSet *set, Slice text, guint max_ranges);
/* Appends ranges of @set from the @from-th on to @text, at least one, at most @max octets of them: commands have to be short.
 * Returns the first range not written: all are when it is set->n_ranges. */
guint uid_set_format_some (const UidSet *set, guint from, gsize max, GString *text);

/* "1:500", "-1:-100" (RFC 9394 "partial-range"): both of one sign, neither 0. */
gboolean imap_partial_parse (Slice text, gint64 *from_out, gint64 *to_out);

/* "7 1:3 11:13", the arguments of COPYUID (RFC 9051 section 7.1): FALSE if malformed, or if the sets differ in size. */
gboolean imap_copyuid_parse (const char *args, guint32 *uidvalidity_out, ImapSet *from_out, ImapSet *to_out, guint max_ranges);
