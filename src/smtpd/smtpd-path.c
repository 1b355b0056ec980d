/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and parameters of MAIL and RCPT (RFC 5321 section 4.1.2, RFC 6531 section 3.3). */
#include "smtpd-private.h"
#include <string.h>

#define HOST_MAX 255u
#define NUMBER_MAX 19u /* digits: what 64 bits hold in any case */

/* ---- Octets ---- */

/* What is not ASCII is looked at when all is there: it has to be UTF-8. */
static gboolean
is_high (char c)
{
	return (guchar) c >= 0x80;
}

static gboolean
is_atext (char c)
{
	return g_ascii_isalnum (c) || is_high (c) || (c && strchr ("!#$%&'*+-/=?^_`{|}~", c));
}

static gboolean
is_label (char c)
{
	return g_ascii_isalnum (c) || is_high (c) || c == '-' || c == '_';
}

static gboolean
is_printable (char c)
{
	return c >= ' ' && c <= '~';
}

static gboolean
next_is (const Slice *s, char c)
{
	return s->size && *s->data == c;
}

static void
skip (Slice *s, gsize n)
{
	*s = (Slice){s->data + n, s->size - n};
}

static gboolean
take_char (Slice *s, char c)
{
	if (!next_is (s, c))
		return FALSE;
	skip (s, 1);
	return TRUE;
}

static Slice
take_while (Slice *s, gboolean (*is) (char c))
{
	gsize n = 0;
	while (n < s->size && is (s->data[n]))
		n++;
	Slice run = {s->data, n};
	skip (s, n);
	return run;
}

/* ---- Hosts ---- */

/* label *("." label) */
static gboolean
take_domain (Slice *s, Slice *domain_out)
{
	const char *from = s->data;
	do {
		if (take_while (s, is_label).size == 0)
			return FALSE;
	} while (take_char (s, '.'));
	*domain_out = (Slice){from, (gsize) (s->data - from)};
	return domain_out->size <= HOST_MAX;
}

static gboolean
is_dcontent (char c)
{
	return c > ' ' && c <= '~' && c != '[' && c != ']' && c != '\\';
}

static gboolean
take_literal (Slice *s, Slice *literal_out)
{
	const char *from = s->data;
	if (!take_char (s, '[') || take_while (s, is_dcontent).size == 0 || !take_char (s, ']'))
		return FALSE;
	*literal_out = (Slice){from, (gsize) (s->data - from)};
	return literal_out->size <= HOST_MAX;
}

gboolean
path_is_host (Slice s)
{
	Slice rest = s, host;
	for (gsize i = 0; i < s.size; i++)
		if (is_high (s.data[i])) /* RFC 6531 section 3.7.1: as A-labels */
			return FALSE;
	return (next_is (&s, '[') ? take_literal (&rest, &host) : take_domain (&rest, &host)) && rest.size == 0;
}

/* ---- Mailboxes ---- */

static gboolean
is_atom_or_dot (char c)
{
	return is_atext (c) || c == '.';
}

/* The content of a quoted string whose first quote is taken. */
static gboolean
take_quoted (Slice *s, GString *out)
{
	while (s->size && !next_is (s, '"')) {
		gboolean escaped = take_char (s, '\\');
		if (s->size == 0 || !(is_printable (*s->data) || (is_high (*s->data) && !escaped)))
			return FALSE;
		g_string_append_c (out, *s->data);
		skip (s, 1);
	}
	return take_char (s, '"');
}

/* Without quotes where it can be. Dots may stand anywhere, as they do in addresses that are in use. */
static void
append_local (GString *out, const GString *local)
{
	Slice rest = {local->str, local->len};
	if (take_while (&rest, is_atom_or_dot).size == local->len && local->len) {
		g_string_append (out, local->str);
		return;
	}
	g_string_append_c (out, '"');
	for (const char *c = local->str; *c; c++) {
		if (*c == '"' || *c == '\\')
			g_string_append_c (out, '\\');
		g_string_append_c (out, *c);
	}
	g_string_append_c (out, '"');
}

static gboolean
take_local (Slice *s, GString *out)
{
	GString *local = g_string_new (NULL);
	gboolean ok;
	if (take_char (s, '"'))
		ok = take_quoted (s, local);
	else {
		Slice atoms = take_while (s, is_atom_or_dot);
		g_string_append_len (local, atoms.data, (gssize) atoms.size);
		ok = atoms.size > 0;
	}
	if (ok)
		append_local (out, local);
	g_string_free (local, TRUE);
	return ok;
}

/* "@a,@b:" */
static gboolean
skip_route (Slice *s)
{
	Slice domain;
	if (!next_is (s, '@'))
		return TRUE;
	do {
		if (!take_char (s, '@') || !take_domain (s, &domain))
			return FALSE;
	} while (take_char (s, ','));
	return take_char (s, ':');
}

static PathKind
take_mailbox (Slice *s, GString *out)
{
	Slice host;
	if (!skip_route (s) || !take_local (s, out))
		return PATH_BAD;
	if (!take_char (s, '@'))
		return PATH_LOCAL;
	gboolean literal = next_is (s, '[');
	if (!(literal ? take_literal (s, &host) : take_domain (s, &host)))
		return PATH_BAD;
	g_string_append_c (out, '@');
	g_string_append_len (out, host.data, (gssize) host.size);
	return literal ? PATH_LITERAL : PATH_MAILBOX;
}

/* C1 controls are none of ASCII's but terminals obey them. */
static gboolean
is_clean_utf8 (const char *text)
{
	if (!g_utf8_validate (text, -1, NULL))
		return FALSE;
	for (; *text; text = g_utf8_next_char (text))
		if (g_unichar_iscntrl (g_utf8_get_char (text)))
			return FALSE;
	return TRUE;
}

PathKind
path_take (Slice *rest, char **address_out)
{
	g_autoptr (GString) address = g_string_new (NULL);
	if (!take_char (rest, '<'))
		return PATH_BAD;
	PathKind kind = next_is (rest, '>') ? PATH_NULL : take_mailbox (rest, address);
	if (kind == PATH_BAD || !take_char (rest, '>') || address->len > ADDRESS_MAX || !is_clean_utf8 (address->str))
		return PATH_BAD;
	*address_out = g_strdup (address->str);
	return kind;
}

/* ---- Parameters ---- */

static gboolean
is_keyword (char c)
{
	return g_ascii_isalnum (c) || c == '-';
}

static gboolean
is_value (char c)
{
	return is_high (c) || (c > ' ' && c <= '~' && c != '=');
}

gboolean
parameter_take (Slice *rest, Slice *keyword_out, Slice *value_out)
{
	gsize blanks = 0;
	while (take_char (rest, ' '))
		blanks++;
	if (blanks == 0 || rest->size == 0)
		return FALSE;
	*keyword_out = take_while (rest, is_keyword);
	*value_out = (Slice){NULL, 0};
	if (keyword_out->size && take_char (rest, '=')) {
		*value_out = take_while (rest, is_value);
		if (value_out->size == 0)
			return FALSE;
	}
	return keyword_out->size && (rest->size == 0 || next_is (rest, ' '));
}

gboolean
number_parse (Slice s, guint64 *number_out)
{
	guint64 n = 0;
	if (s.size == 0 || s.size > NUMBER_MAX)
		return FALSE;
	for (gsize i = 0; i < s.size; i++) {
		if (!g_ascii_isdigit (s.data[i]))
			return FALSE;
		n = n * 10 + (guint64) (s.data[i] - '0');
	}
	*number_out = n;
	return TRUE;
}

static gboolean
is_hex (char c)
{
	return g_ascii_isdigit (c) || (c >= 'A' && c <= 'F');
}

gboolean
xtext_is_right (Slice s, gsize max)
{
	for (gsize i = 0; i < s.size; i++)
		if (s.data[i] == '+' ? i + 2 >= s.size || !is_hex (s.data[i + 1]) || !is_hex (s.data[i + 2]) : s.data[i] <= ' ' || s.data[i] > '~' || s.data[i] == '=')
			return FALSE;
	return s.size > 0 && s.size <= max;
}

gboolean
notify_is_right (Slice s)
{
	if (slice_equals_ascii_case (s, "NEVER"))
		return TRUE;
	for (;;) {
		const char *comma = s.size ? memchr (s.data, ',', s.size) : NULL;
		Slice word = {s.data, comma ? (gsize) (comma - s.data) : s.size};
		if (!slice_equals_ascii_case (word, "SUCCESS") && !slice_equals_ascii_case (word, "FAILURE") && !slice_equals_ascii_case (word, "DELAY"))
			return FALSE;
		if (!comma)
			return TRUE;
		skip (&s, word.size + 1);
	}
}
