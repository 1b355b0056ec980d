/* SPDX-License-Identifier: Apache-2.0 */
#include "sasl.h"
#include <string.h>

void
sasl_wipe (char *secret)
{
	if (secret)
		explicit_bzero (secret, strlen (secret));
	g_free (secret);
}

void
sasl_append (GString **text, Slice more)
{
	GString *old = *text;
	if (old->allocated_len - old->len <= more.size) {
		*text = g_string_sized_new (2 * old->len + more.size);
		g_string_append_len (*text, old->str, (gssize) old->len);
		explicit_bzero (old->str, old->allocated_len);
		g_string_free (old, TRUE);
	}
	g_string_append_len (*text, more.data, (gssize) more.size);
}

guchar *
sasl_decode (Slice text, gsize *size_out)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	gsize padding = 0;
	while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=')
		padding++;
	for (gsize i = 0; i < text.size - padding; i++)
		if (!text.data[i] || !strchr (alphabet, text.data[i]))
			return NULL;
	if (text.size % 4 != 0)
		return NULL;
	char *encoded = slice_dup (text);
	guchar *octets = g_base64_decode (encoded, size_out);
	sasl_wipe (encoded);
	return octets;
}

static SaslPlain
split (Slice octets, char **user_out, char **password_out)
{
	const char *end = slice_end (octets), *user = octets.size ? memchr (octets.data, '\0', octets.size) : NULL;
	const char *password = user ? memchr (user + 1, '\0', (gsize) (end - user - 1)) : NULL;
	if (!password || memchr (password + 1, '\0', (gsize) (end - password - 1)))
		return SASL_PLAIN_BAD;
	if (*octets.data && strcmp (octets.data, user + 1) != 0)
		return SASL_PLAIN_FOR_ANOTHER;
	*user_out = g_strdup (user + 1);
	*password_out = g_strndup (password + 1, (gsize) (end - password - 1));
	return SASL_PLAIN_RIGHT;
}

SaslPlain
sasl_plain_read (Slice text, char **user_out, char **password_out)
{
	gsize size = 0;
	guchar *octets = slice_equals (text, "=") ? NULL : sasl_decode (text, &size);
	SaslPlain result = octets ? split ((Slice){(const char *) octets, size}, user_out, password_out) : SASL_PLAIN_BAD;
	if (octets)
		explicit_bzero (octets, size);
	g_free (octets);
	return result;
}
