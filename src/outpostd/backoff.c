/* SPDX-License-Identifier: Apache-2.0 */
#include "backoff.h"
#include <arpa/inet.h>
#include <string.h>

#define KEPT_MAX 50000
#define FREE_GUESSES 3
#define FREE_OTHERS 10
#define AT_ONCE_MAX 16
#define FORGET_US (3600 * (gint64) G_USEC_PER_SEC)
#define KNOWN_US (30 * 86400 * (gint64) G_USEC_PER_SEC)

typedef struct {
	guint wrong;        /* since when it was forgotten last */
	guint at_once;      /* attempts that have begun; such an entry is not dropped */
	gint64 until;       /* nobody is let in before */
	gint64 wrong_until; /* it is forgotten behind it */
	gint64 known_until; /* was right once; 0: never */
} Entry;

struct Backoff {
	GMutex lock; /* guards what follows */
	guint longest;
	GHashTable *entries; /* "a ADDRESS", "u USER", "p ADDRESS USER" */
};

Backoff *
backoff_new (guint longest_seconds)
{
	Backoff *b = g_new0 (Backoff, 1);
	g_mutex_init (&b->lock);
	b->longest = longest_seconds;
	b->entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
	return b;
}

void
backoff_free (Backoff *b)
{
	if (!b)
		return;
	g_hash_table_unref (b->entries);
	g_mutex_clear (&b->lock);
	g_free (b);
}

void
backoff_set_longest (Backoff *b, guint seconds)
{
	g_mutex_lock (&b->lock);
	b->longest = seconds;
	g_mutex_unlock (&b->lock);
}

guint
backoff_size (Backoff *b)
{
	g_mutex_lock (&b->lock);
	guint n = g_hash_table_size (b->entries);
	g_mutex_unlock (&b->lock);
	return n;
}

/* ---- Entries, with the lock ---- */

typedef struct {
	char *address, *user, *pair;
} Keys;

static void
keys_clear (Keys *k)
{
	g_free (k->address);
	g_free (k->user);
	g_free (k->pair);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Keys, keys_clear)

/* Who has an IPv6 network has all the addresses of it. */
static Keys
keys_of (const char *address, const char *user)
{
	struct in6_addr six;
	char text[INET6_ADDRSTRLEN];
	if (inet_pton (AF_INET6, address, &six) == 1) {
		memset (six.s6_addr + 8, 0, 8);
		address = inet_ntop (AF_INET6, &six, text, sizeof text);
	}
	return (Keys){g_strconcat ("a ", address, NULL), g_strconcat ("u ", user, NULL), g_strconcat ("p ", address, " ", user, NULL)};
}

typedef struct {
	gint64 now;
	guint grade; /* 0: what is forgotten; 1: what holds nobody up; 2: all but who was right; 3: who was right long ago; 4: all */
} Sweep;

static gboolean
is_dropped (gpointer key, gpointer value, gpointer data)
{
	const Entry *e = value;
	const Sweep *s = data;
	gboolean known = e->known_until >= s->now;
	if (e->at_once)
		return FALSE;
	return s->grade == 4 || (s->grade == 3 && e->known_until < s->now + KNOWN_US / 2) ||
	       (!known && (s->grade == 2 || e->wrong_until < s->now || (s->grade == 1 && e->until <= s->now)));
}

/* For many at a time, so that looking through all of them costs little for each. */
static void
make_room (Backoff *b, gint64 now)
{
	if (g_hash_table_size (b->entries) < KEPT_MAX)
		return;
	for (Sweep s = {now, 0}; s.grade <= 4 && g_hash_table_size (b->entries) > KEPT_MAX / 10 * 9; s.grade++)
		g_hash_table_foreach_remove (b->entries, is_dropped, &s);
}

/* NULL: nothing is known of it. */
static Entry *
find (const Backoff *b, const char *key, gint64 now)
{
	Entry *e = g_hash_table_lookup (b->entries, key);
	if (e && e->wrong_until < now) {
		e->wrong = 0;
		e->until = 0;
	}
	return e;
}

static Entry *
find_or_new (Backoff *b, const char *key, gint64 now)
{
	Entry *e = find (b, key, now);
	if (e)
		return e;
	make_room (b, now);
	e = g_new0 (Entry, 1);
	g_hash_table_insert (b->entries, g_strdup (key), e);
	return e;
}

static void
count_wrong (const Backoff *b, Entry *e, guint free_of_charge, gint64 now)
{
	e->wrong++;
	if (e->wrong >= free_of_charge) {
		guint over = MIN (e->wrong - free_of_charge, 30);
		e->until = now + (gint64) MIN (1u << over, b->longest) * G_USEC_PER_SEC;
	}
	e->wrong_until = MAX (e->until, now) + FORGET_US;
}

/* ---- Attempts ---- */

static gint64
until_of (const Backoff *b, const char *key, gint64 now)
{
	const Entry *e = find (b, key, now);
	return e ? e->until : 0;
}

guint
backoff_begin (Backoff *b, const char *address, const char *user, gint64 now)
{
	g_auto (Keys) keys = keys_of (address, user);
	g_mutex_lock (&b->lock);
	const Entry *pair = find (b, keys.pair, now);
	gint64 until = pair ? pair->until : 0;
	if (!pair || pair->known_until < now)
		until = MAX (until, MAX (until_of (b, keys.address, now), until_of (b, keys.user, now)));
	guint wait = until > now ? (guint) ((until - now + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC) : pair && pair->at_once >= AT_ONCE_MAX ? 1 : 0;
	if (wait == 0)
		find_or_new (b, keys.pair, now)->at_once++;
	g_mutex_unlock (&b->lock);
	return wait;
}

void
backoff_end (Backoff *b, const char *address, const char *user, BackoffResult result, gint64 now)
{
	g_auto (Keys) keys = keys_of (address, user);
	g_mutex_lock (&b->lock);
	Entry *pair = find_or_new (b, keys.pair, now);
	pair->at_once -= pair->at_once > 0;
	if (result == BACKOFF_RIGHT)
		*pair = (Entry){.at_once = pair->at_once, .known_until = now + KNOWN_US};
	else if (result == BACKOFF_WRONG) {
		gboolean first = pair->wrong == 0 && pair->known_until < now;
		count_wrong (b, pair, FREE_GUESSES, now);
		if (first) { /* so that one program with an old password doesn't hold up all of its network */
			pair->at_once++; /* not to be dropped for the others' room */
			count_wrong (b, find_or_new (b, keys.address, now), FREE_OTHERS, now);
			count_wrong (b, find_or_new (b, keys.user, now), FREE_OTHERS, now);
			pair->at_once--;
		}
	}
	g_mutex_unlock (&b->lock);
}
