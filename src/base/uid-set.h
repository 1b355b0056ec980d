/* SPDX-License-Identifier: Apache-2.0 */
/* A set of 32-bit numbers (UIDs) kept as sorted, disjoint, non-adjacent ranges; 0 is never a member. A plain value type:
 * initialise with {0} or uid_set_init, release with uid_set_clear. Not thread-safe. */
#pragma once
#include <glib.h>

typedef struct {
	guint32 lo, hi; /* both inclusive, lo <= hi */
} UidRange;

typedef struct {
	UidRange *ranges; /* owned */
	guint n_ranges, allocated;
} UidSet;

#define UID_SET_INIT {NULL, 0, 0}
void uid_set_clear (UidSet *set);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (UidSet, uid_set_clear)

/* Adds lo..hi (swapped if needed; 0 is dropped). Amortised O(1) when appended in ascending order, else O(n). */
void uid_set_add_range (UidSet *set, guint32 lo, guint32 hi);
void uid_set_add (UidSet *set, guint32 uid);
void uid_set_add_set (UidSet *set, const UidSet *other);
void uid_set_remove_set (UidSet *set, const UidSet *other);
void uid_set_copy (UidSet *to, const UidSet *from);
gboolean uid_set_contains (const UidSet *set, guint32 uid);
gboolean uid_set_is_empty (const UidSet *set);
/* Number of members; up to 2^32-1. */
guint64 uid_set_count (const UidSet *set);
/* Highest member, 0 when empty. */
guint32 uid_set_max (const UidSet *set);
/* The @i-th member in ascending order (0-based); 0 if there are fewer. O(ranges). */
guint32 uid_set_nth (const UidSet *set, guint64 i);
/* "1:3,5" appended to @text; nothing for the empty set. */
void uid_set_format (const UidSet *set, GString *text);
/* Parses RFC 9051 sequence-set text (no "*"); at most @max_ranges. FALSE if malformed; @set then holds what was read. */
gboolean uid_set_parse (UidSet *set, const char *text, guint max_ranges);

/* Walks all members in ascending order: UidIter it = {0}; while (uid_set_next (set, &it, &uid)) ... */
typedef struct {
	guint range;
	guint32 uid;
} UidIter;
gboolean uid_set_next (const UidSet *set, UidIter *it, guint32 *uid_out);
