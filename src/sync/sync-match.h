/* SPDX-License-Identifier: Apache-2.0 */
/* Which message at home is which one here: the pure part of re-binding (docs/sync.md, "When the home is not what it was"). Evidence comes
 * in rounds, cheapest first; each round matches what its evidence tells apart and leaves the rest.
 *
 * Invariants: a message here and a UID there are matched at most once; true duplicates (equal octets) are matched as a multiset, those of
 * equal flags first, then in order; where two different messages can't be told apart by the evidence at hand, none of them is matched. */
#pragma once
#include "endpoint.h"
#include "store-binding.h"

typedef struct {
	KnownMessage known; /* message_id and keywords owned */
	gboolean doubtful;  /* size and date prove nothing: the header decides */
	gint there;         /* index into the evidence, -1: not matched */
	gboolean weak;      /* by header only: size or date differ */
	gint64 folder;      /* where it was, if the caller wants to part them by it; 0 */
} MatchHere;

typedef struct {
	GArray *here;        /* MatchHere, in the order of the old UIDs */
	const GArray *there; /* RemoteEvidence, ascending UID; borrowed */
	gint *here_of_there; /* -1: not matched */
	guint matched, weak;
} Match;

GArray *match_here_new (void);
/* Moves those that are @which (NULL: all) from @from behind the others of @to. */
typedef gboolean (*MatchHereFn) (gpointer data, const MatchHere *h);
void match_here_part (GArray *from, MatchHereFn which, gpointer data, GArray *to);
Match *match_new (GArray *here /* borrowed, its `there` are reset */, const GArray *there);
void match_free (Match *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Match, match_free)

/* What can have the size and date of other mail: what never was at home, and the newest that was there (something new may have come in the
 * same second). The caller knows more. */
void match_doubt (GArray *here);
/* Round 1: equal size and date, of what is not doubtful, nor in a second that does not have the same sizes on both sides. */
void match_by_size (Match *m);
/* UIDs whose header would decide something: those unmatched there, if anything is unmatched here that has the size and date (@all: or
 * anything at all). */
void match_undecided (const Match *m, gboolean all, UidSet *uids_out);
/* Takes the headers of @headers (RemoteEvidence with has_header) into the evidence by UID. */
void match_add_headers (GArray *there, const GArray *headers);
/* Round 2: size, date, Message-ID and digest equal. */
void match_by_header (Match *m);
/* Round 3, for what a migration altered (line ends, added or re-folded headers, lost dates): equal digest, or equal Message-ID where
 * there is one, unique on both sides among what is left, or copies of one; not where size and date both differ, unless that is so of most. */
void match_by_weak_evidence (Match *m);

/* The flags and keywords that the move alone can have lost: not one matched message has it at home, and in the base @least had it, or @least had
 * any flag (or keyword) and no matched message has one, or it is among @known, what the same move has lost elsewhere. \Deleted is none of them.
 * *lost_out's keywords are owned. */
typedef struct {
	guint flags;
	char *keywords;             /* canonical text, NULL none */
	gboolean any, any_keywords; /* every flag, every keyword */
} LostFlags;
void match_lost_flags (const Match *m, guint least, const LostFlags *known, LostFlags *lost_out);
