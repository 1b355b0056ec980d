/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

struct Digest {
	gnutls_hash_hd_t hash;
};

void
digest_of (const void *data, gsize size, guint8 digest_out[DIGEST_SIZE])
{
	int r = gnutls_hash_fast (GNUTLS_DIG_SHA256, data, size, digest_out);
	g_assert (r == 0);
}

Digest *
digest_new (void)
{
	Digest *d = g_new0 (Digest, 1);
	int r = gnutls_hash_init (&d->hash, GNUTLS_DIG_SHA256);
	g_assert (r == 0);
	return d;
}

void
digest_feed (Digest *d, const void *data, gsize size)
{
	gnutls_hash (d->hash, data, size);
}

void
digest_end (Digest *d, guint8 digest_out[DIGEST_SIZE])
{
	gnutls_hash_deinit (d->hash, digest_out);
	g_free (d);
}

/* One system call serves 64 ids: first synchronisation mints one for each message. A child process does not go on with its parent's. */
static GMutex pool_lock;
static guint8 pool[64 * ID_SIZE];
static gsize pool_left;
static pid_t pool_of;

static void
fill_pool (void)
{
	for (gsize got = 0; got < sizeof pool;) {
		ssize_t n = getrandom (pool + got, sizeof pool - got, 0);
		if (n < 0 && errno != EINTR)
			g_error ("the kernel gives no random numbers");
		got += n > 0 ? (gsize) n : 0;
	}
	pool_left = sizeof pool;
	pool_of = getpid ();
}

Id128
id128_random (void)
{
	Id128 id;
	g_mutex_lock (&pool_lock);
	if (pool_left == 0 || pool_of != getpid ())
		fill_pool ();
	pool_left -= ID_SIZE;
	memcpy (id.bytes, pool + pool_left, ID_SIZE);
	g_mutex_unlock (&pool_lock);
	return id;
}

void
id128_text (const Id128 *id, char text_out[ID_TEXT_SIZE])
{
	for (int i = 0; i < ID_SIZE; i++)
		g_snprintf (text_out + 2 * i, 3, "%02x", id->bytes[i]);
}
