/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says to log on by a token, and the token: as a message of OAUTHBEARER and of XOAUTH2; as a token; and, so that more than the signature is looked at, as a header and (behind a
 * line end) claims that are signed rightly. Whatever it says, a name and a token that come of it are what they may be, and nobody is let in whose claims don't say so. */
#include <gnutls/crypto.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "token.h"

#define NOW 1800000000

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static const char secret[] = "0123456789abcdef0123456789abcdef";

static Tokens *
tokens (void)
{
	static char issuer[] = "https://id.example.org", audience[] = "outpost", scope[] = "mail", claim[] = "email", nowhere[] = "/nonexistent/keys";
	static Host h = {.token_issuer = issuer, .token_audience = audience, .token_scope = scope, .token_user = claim};
	static Tokens *t;
	if (t)
		return t;
	char path[] = "/tmp/fuzz-token-XXXXXX";
	int fd = mkstemp (path);
	g_autofree char *coded = g_base64_encode ((const guchar *) secret, strlen (secret));
	coded[strcspn (coded, "=")] = '\0';
	g_assert (fd >= 0 && dprintf (fd, "{\"keys\": [{\"kty\": \"oct\", \"k\": \"%s\"}]}", coded) > 0);
	close (fd);
	h.token_keys = path;
	t = tokens_new (&h, NULL);
	unlink (path);
	h.token_keys = nowhere; /* they stay as they are */
	g_assert (t);
	return t;
}

static void
take_message (Slice message, gboolean x)
{
	char *user, *token;
	if (!token_message_read (message, x, &user, &token)) {
		g_assert (!user && !token);
		return;
	}
	g_assert (strlen (token) > 0 && strlen (token) <= TOKEN_MAX && strspn (token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") == strlen (token));
	g_assert (!user || (*user && strlen (user) < message.size && !strchr (user, '\001')));
	g_free (user);
	g_free (token);
}

static char *
url (const void *octets, size_t size)
{
	char *text = g_base64_encode (octets, size);
	text[strcspn (text, "=")] = '\0';
	return g_strdelimit (g_strdelimit (text, "+", '-'), "/", '_');
}

/* @says: the text of the claims; NULL: nobody has signed it. */
static void
check (const char *token, const char *says)
{
	GError *error = NULL;
	char *user = tokens_check (tokens (), token, NOW, &error);
	g_assert (!user == (error != NULL));
	g_assert (!user || (says && strstr (says, "exp") && strstr (says, "outpost")));
	g_assert (user || error_is (error, ERROR_NO_PERMISSION));
	g_clear_error (&error);
	g_free (user);
}

static void
take_signed (const char *text, size_t size)
{
	const char *end = memchr (text, '\n', size), *says = end ? end + 1 : text + size;
	g_autofree char *head = url (text, end ? (size_t) (end - text) : size), *body = url (says, size - (size_t) (says - text));
	g_autofree char *both = g_strconcat (head, ".", body, NULL), *claims = g_strndup (says, size - (size_t) (says - text));
	uint8_t sum[32];
	gnutls_hmac_fast (GNUTLS_MAC_SHA256, secret, strlen (secret), both, strlen (both), sum);
	g_autofree char *signature = url (sum, sizeof sum), *token = g_strconcat (both, ".", signature, NULL);
	check (token, strchr (claims, '\\') ? "exp outpost" : claims); /* escaped letters say it, too */
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	const Slice message = {(const char *) data, size};
	g_autofree char *token = g_strndup (message.data ? message.data : "", size);
	take_message (message, FALSE);
	take_message (message, TRUE);
	check (token, NULL);
	take_signed (message.data ? message.data : "", size);
	return 0;
}
