/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords that were found right, so that who logs on again costs no yescrypt: of each a keyed digest over the verifier and the password, in
 * this process's memory only. A changed password has another verifier, and so another digest. */
#include "directory-private.h"
#include <gnutls/crypto.h>
#include <string.h>
#include <sys/mman.h>

#define VERIFIED_MAX 100000
#define VERIFIED_SECONDS 3600 /* then yescrypt is asked again, and what nobody uses is forgotten */
#define DIGEST_SIZE 32

typedef struct {
	gint64 number; /* of the mailbox; the key */
	gint64 until;  /* monotonic, microseconds */
	guint8 digest[DIGEST_SIZE];
} Verified;

static GMutex lock; /* guards what follows */
static GHashTable *verified;
static guint8 secret[DIGEST_SIZE];

static void
verified_free (gpointer data)
{
	explicit_bzero (data, sizeof (Verified));
	g_free (data);
}

static gboolean
begin (void)
{
	if (!verified) {
		if (gnutls_rnd (GNUTLS_RND_KEY, secret, sizeof secret) < 0)
			return FALSE;
		if (mlock (secret, sizeof secret) != 0)
			g_debug ("directory: the key of verified passwords may be swapped out");
		verified = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, verified_free);
	}
	return TRUE;
}

/* Of the verifier's octets with their NUL, and the password's. */
static gboolean
digest_of (const char *hash, const char *prepared, guint8 *digest_out)
{
	gnutls_hmac_hd_t h;
	if (gnutls_hmac_init (&h, GNUTLS_MAC_SHA256, secret, sizeof secret) < 0)
		return FALSE;
	gboolean ok = gnutls_hmac (h, hash, strlen (hash) + 1) >= 0 && gnutls_hmac (h, prepared, strlen (prepared)) >= 0;
	gnutls_hmac_deinit (h, digest_out);
	return ok;
}

static gboolean
is_old (gpointer key, gpointer value, gpointer now)
{
	return ((Verified *) value)->until < *(gint64 *) now;
}

gboolean
verified_is (gint64 number, const char *hash, const char *prepared)
{
	guint8 digest[DIGEST_SIZE];
	g_mutex_lock (&lock);
	gboolean known = begin () && digest_of (hash, prepared, digest);
	const Verified *v = known ? g_hash_table_lookup (verified, &number) : NULL;
	gboolean same = v && v->until >= g_get_monotonic_time () && gnutls_memcmp (v->digest, digest, sizeof digest) == 0;
	g_mutex_unlock (&lock);
	explicit_bzero (digest, sizeof digest);
	return same;
}

void
verified_note (gint64 number, const char *hash, const char *prepared)
{
	gint64 now = g_get_monotonic_time ();
	Verified *v = g_new0 (Verified, 1);
	*v = (Verified){.number = number, .until = now + VERIFIED_SECONDS * (gint64) G_USEC_PER_SEC};
	g_mutex_lock (&lock);
	if (begin () && g_hash_table_size (verified) >= VERIFIED_MAX && g_hash_table_foreach_remove (verified, is_old, &now) == 0)
		g_hash_table_remove_all (verified);
	if (verified && digest_of (hash, prepared, v->digest))
		g_hash_table_replace (verified, &v->number, v);
	else
		verified_free (v);
	g_mutex_unlock (&lock);
}
