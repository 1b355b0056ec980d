/* SPDX-License-Identifier: Apache-2.0 */
/* Who guesses passwords has to wait, longer each time. Three things are counted, so that neither many guesses, nor many names from one address, nor many
 * addresses at one name are quick, and so that nobody can lock another out:
 *
 *	wrong passwords of a user from an address: a second's wait behind the third, then twice as long each time;
 *	users that were wrong from an address: the same behind the tenth;
 *	addresses from which a user was wrong: the same behind the tenth.
 *
 * A user who was right from an address before is there held up by the first alone. Waits have a longest; an hour behind the last one it is forgotten. IPv6
 * addresses are one by their first 64 bits. At most 50,000 things are kept, some 10 MiB: beyond, those that nobody has to wait for are dropped first, and who
 * was right last.
 *
 * Used by any number of threads. Times (@now) are microseconds of any one clock. */
#pragma once
#include <glib.h>

typedef struct Backoff Backoff;
Backoff *backoff_new (guint longest_seconds);
void backoff_free (Backoff *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Backoff, backoff_free)
void backoff_set_longest (Backoff *b, guint seconds);
/* 0: @user, in the one form of the name, may be tried from @address, and backoff_end is to follow; else how many seconds it is to wait, and nothing
 * follows. At most 16 at once of one user from one address: that is a second. */
guint backoff_begin (Backoff *b, const char *address, const char *user, gint64 now);
typedef enum { BACKOFF_RIGHT, BACKOFF_WRONG, BACKOFF_LEFT /* given up */ } BackoffResult;
void backoff_end (Backoff *b, const char *address, const char *user, BackoffResult result, gint64 now);
guint backoff_size (Backoff *b); /* things that are kept */
