/* SPDX-License-Identifier: Apache-2.0 */
/* A session of the IMAP server: whatever a client sends, before log-on (first octet even) and behind it (odd), it is answered in whole lines or
 * the connection is ended. The store is one of a few messages, made anew now and then since a client can change it. */
#include <glib/gstdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "imapd.h"
#include "store.h"

#define RUNS 500

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static char *folder, *path;
static ImapdPool *pool;
static guint runs;

static void
add (Store *s, gint64 to, const char *text, guint flags, const char *keywords)
{
	gint64 message;
	g_autoptr (GBytes) octets = g_bytes_new_static (text, strlen (text));
	g_autoptr (Prepared) p = prepare_bytes (octets, 1700000000, 60);
	if (!store_add_message (s, p, to, &message, NULL) || !store_place (s, to, message, flags, keywords, FALSE, 0, NULL, NULL))
		abort ();
}

static void
tear_down (void)
{
	imapd_pool_free (pool);
	for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end; end++) {
		g_autofree char *file = g_strconcat (path, *end, NULL);
		g_unlink (file);
	}
}

static void
at_end (void)
{
	tear_down ();
	g_rmdir (folder);
	g_free (folder);
	g_free (path);
}

static void
set_up (void)
{
	gint64 inbox, sub;
	if (folder)
		tear_down ();
	else {
		folder = g_dir_make_tmp ("fuzz-imapd-XXXXXX", NULL);
		path = g_build_filename (folder, "store", NULL);
		atexit (at_end);
	}
	g_autoptr (Store) s = store_open (path, STORE_CREATE, NULL);
	if (!s || !store_begin (s, NULL) || !store_folder_create_path (s, "INBOX", &inbox, NULL) || !store_folder_create_path (s, "a/b", &sub, NULL))
		abort ();
	add (s, inbox, "From: A <a@b>\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n"
	     "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nside\r\n--b--\r\n", 1, "k");
	add (s, inbox, "Subject: y\r\n\r\nbody\r\n", 0, NULL);
	add (s, inbox, "no header", 8, NULL);
	if (!store_commit (s, NULL))
		abort ();
	pool = imapd_pool_new (NULL, NULL, NULL);
}

static ImapdMailbox *
log_on (gpointer data, const ImapdPeer *peer, const char *user, const char *password, GError **error)
{
	return strcmp (user, "u") == 0 && strcmp (password, "p") == 0 ? imapd_pool_open (pool, path, error) : NULL;
}

/* A mechanism: each message is the answer to the one before, until one is empty. */
static const char *const *
offered (gpointer data, const ImapdPeer *peer)
{
	static const char *const names[] = {"X-ECHO", NULL};
	return names;
}

static gpointer
echo_begin (gpointer data, const ImapdPeer *peer, const char *mechanism, GError **error)
{
	return g_new0 (guint, 1);
}

static gboolean
echo_step (gpointer exchange, Slice message, GString *answer, ImapdMailbox **mailbox_out, GError **error)
{
	guint *messages = exchange;
	g_string_append_len (answer, message.data, (gssize) message.size);
	if (message.size == 0)
		*mailbox_out = imapd_pool_open (pool, path, error);
	return ++*messages < 5 && (message.size > 0 || *mailbox_out);
}

static const ImapdSasl echo = {.offered = offered, .begin = echo_begin, .step = echo_step, .free = g_free};

static gboolean
quota (gpointer data, const ImapdMailbox *m, ImapdQuota *out, GError **error)
{
	*out = (ImapdQuota){100000, 1000};
	return TRUE;
}

static char *
owner (gpointer data, const ImapdMailbox *m, GError **error)
{
	return g_strdup ("u@example.org");
}

static gboolean
take (gpointer out, const char *octets, gsize size)
{
	g_string_append_len (out, octets, (gssize) size);
	return ((GString *) out)->len < (16u << 20);
}

static void
feed (ImapdSession *s, const uint8_t *data, size_t size, size_t piece)
{
	for (size_t at = 0; at < size; at += piece) {
		if (!imapd_session_feed (s, (Slice){(const char *) data + at, MIN (piece, size - at)}))
			return;
		imapd_session_takes_deflate (s); /* what it means is another's */
	}
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	static const ImapdSettings settings = {.log_on = log_on, .sasl = &echo, .message_max = 64u << 10, .quota = quota, .owner = owner,
	                                       .unauthenticate = TRUE, .deflate = TRUE, .progress = -1};
	static const ImapdPeer peer = {.how = IMAPD_PRIVATE, .address = ""};
	if (runs++ % RUNS == 0)
		set_up ();
	if (size == 0)
		return 0;
	g_autoptr (GString) out = g_string_new (NULL);
	g_autoptr (ImapdSession) s = imapd_session_new (&settings, data[0] & 1 ? imapd_pool_open (pool, path, NULL) : NULL, &peer, take, out);
	feed (s, data + 1, size - 1, data[0] & 2 ? 7 : size);
	imapd_session_wake (s);
	/* what is served may hold NULs */
	g_assert (out->len >= (16u << 20) || (out->len > 2 && memcmp (out->str + out->len - 2, "\r\n", 2) == 0));
	return 0;
}
