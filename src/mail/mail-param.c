/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of Content-Type and Content-Disposition (RFC 2045 section 5.1, RFC 2231). Forgiven are what senders do: values without
 * quotes that hold blanks, missing semicolons, comments anywhere, strings that do not end. */
#include "mail-private.h"
#include <string.h>

#define NAME_MAX_OCTETS 100u

typedef struct {
	const char *at, *end;
} Reader;

static gboolean
at_end (const Reader *r)
{
	return r->at >= r->end;
}

static void
skip_comment (Reader *r)
{
	guint depth = 0;
	for (; !at_end (r); r->at++) {
		if (*r->at == '\\' && r->at + 1 < r->end)
			r->at++;
		else if (*r->at == '(')
			depth++;
		else if (*r->at == ')' && --depth == 0) {
			r->at++;
			return;
		}
	}
}

static void
skip_blanks (Reader *r)
{
	while (!at_end (r) && (mail_is_blank (*r->at) || *r->at == '('))
		if (*r->at == '(')
			skip_comment (r);
		else
			r->at++;
}

static void
append_octet (GString *s, char c)
{
	if (c && c != '\r' && c != '\n')
		g_string_append_c (s, c);
}

static void
read_quoted (Reader *r, GString *out)
{
	for (r->at++; !at_end (r) && *r->at != '"'; r->at++) {
		if (*r->at == '\\' && r->at + 1 < r->end)
			r->at++;
		append_octet (out, *r->at);
	}
	if (!at_end (r))
		r->at++;
}

/* Names of files may hold anything but a semicolon; other values are a token. */
static void
read_bare (Reader *r, GString *out, gboolean is_name)
{
	while (!at_end (r) && *r->at != ';' && (is_name || !(mail_is_blank (*r->at) || *r->at == '(')))
		append_octet (out, *r->at++);
	while (out->len && mail_is_blank (out->str[out->len - 1]))
		g_string_truncate (out, out->len - 1);
}

static void
read_value (Reader *r, GString *out, const char *name)
{
	skip_blanks (r);
	if (!at_end (r) && *r->at == '"')
		read_quoted (r, out);
	else
		read_bare (r, out, g_str_has_prefix (name, "name") || g_str_has_prefix (name, "filename"));
}

/* FALSE: no further parameter. *name_out is NULL for one without a value. */
static gboolean
read_parameter (Reader *r, char **name_out, char **value_out)
{
	do {
		skip_blanks (r);
		if (!at_end (r) && *r->at != ';')
			break;
		r->at++;
	} while (!at_end (r));
	const char *start = r->at;
	while (!at_end (r) && *r->at != '=' && *r->at != ';' && !mail_is_blank (*r->at))
		r->at++;
	gsize size = (gsize) (r->at - start);
	skip_blanks (r);
	*name_out = *value_out = NULL;
	if (at_end (r))
		return FALSE;
	if (*r->at != '=' || size == 0 || size > NAME_MAX_OCTETS || memchr (start, '\0', size)) {
		r->at += *r->at == '=';
		return TRUE;
	}
	r->at++;
	g_autoptr (GString) value = g_string_new (NULL);
	*name_out = g_ascii_strdown (start, (gssize) size);
	read_value (r, value, *name_out);
	*value_out = g_string_free (g_steal_pointer (&value), FALSE);
	return TRUE;
}

/* "type / subtype" or one word. What follows without a semicolon is taken for parameters. */
static char *
read_main (Reader *r)
{
	GString *main = g_string_new (NULL);
	for (skip_blanks (r); !at_end (r) && *r->at != ';' && *r->at != '='; skip_blanks (r)) {
		gboolean part_of_type = !main->len || *r->at == '/' || main->str[main->len - 1] == '/';
		if (!part_of_type)
			break;
		do {
			if (*r->at)
				g_string_append_c (main, g_ascii_tolower (*r->at));
			r->at++;
		} while (!at_end (r) && *r->at != ';' && *r->at != '(' && !mail_is_blank (*r->at));
	}
	return g_string_free (main, FALSE);
}

/* ---- RFC 2231 ---- */

typedef struct {
	gsize base;        /* octets of the name before the star */
	int section;       /* -1: none */
	gboolean extended; /* has a charset, %XX stand for octets */
} Extension;

static gboolean
read_extension (const char *name, Extension *x)
{
	const char *star = strchr (name, '*');
	if (!star || star == name)
		return FALSE;
	*x = (Extension){(gsize) (star - name), -1, FALSE};
	const char *at = star + 1;
	if (g_ascii_isdigit (*at))
		for (x->section = 0; g_ascii_isdigit (*at); at++)
			x->section = MIN (x->section * 10 + (*at - '0'), 1000);
	if (x->section >= 0 && *at == '*')
		at++;
	x->extended = at[-1] == '*';
	return *at == '\0';
}

static void
append_escaped (GString *out, const char *value)
{
	for (; *value; value++)
		if (*value <= ' ' || *value >= 127 || strchr ("%*'\"\\()<>@,;:/[]?=", *value))
			g_string_append_printf (out, "%%%02X", (guint8) *value);
		else
			g_string_append_c (out, *value);
}

/* Section @section of the parameter @base: its place in @all, or -1. */
static int
find_section (GPtrArray *all, const char *base, gsize size, int section, Extension *x_out)
{
	for (guint i = 0; i < all->len; i += 2)
		if (read_extension (all->pdata[i], x_out) && x_out->section == section && x_out->base == size &&
		    strncmp (all->pdata[i], base, size) == 0)
			return (int) i;
	return -1;
}

static void
join_sections (GPtrArray *all, const char *name, const Extension *first, GPtrArray *out)
{
	g_autoptr (GString) plain = g_string_new (NULL), escaped = g_string_new (NULL);
	gboolean extended = FALSE;
	Extension x;
	int at;
	for (int n = 0; (at = find_section (all, name, first->base, n, &x)) >= 0; n++) {
		const char *value = all->pdata[at + 1];
		if (n == 0 && !x.extended)
			g_string_append (escaped, "''");
		extended |= x.extended;
		g_string_append (plain, value);
		if (x.extended)
			g_string_append (escaped, value);
		else
			append_escaped (escaped, value);
	}
	g_ptr_array_add (out, extended ? g_strdup_printf ("%.*s*", (int) first->base, name) : g_strndup (name, first->base));
	g_ptr_array_add (out, g_strdup (extended ? escaped->str : plain->str));
}

static void
join_continuations (GPtrArray *all, GPtrArray *out)
{
	for (guint i = 0; i < all->len; i += 2) {
		Extension x;
		if (!read_extension (all->pdata[i], &x) || x.section < 0) {
			g_ptr_array_add (out, g_strdup (all->pdata[i]));
			g_ptr_array_add (out, g_strdup (all->pdata[i + 1]));
		} else if (x.section == 0)
			join_sections (all, all->pdata[i], &x, out);
	}
}

void
mail_parameters_parse (Slice value, char **main_out, GPtrArray *parameters)
{
	Reader r = {value.data, slice_end (value)};
	g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func (g_free);
	char *name, *text;
	gboolean starred = FALSE;
	*main_out = read_main (&r);
	while (parameters && all->len < 2 * PARAMETERS_MAX && read_parameter (&r, &name, &text)) {
		if (!name)
			continue;
		starred |= strchr (name, '*') != NULL;
		g_ptr_array_add (all, name);
		g_ptr_array_add (all, text);
	}
	if (!parameters)
		return;
	if (starred)
		join_continuations (all, parameters);
	else
		g_ptr_array_extend_and_steal (parameters, g_steal_pointer (&all));
}

const char *
mail_parameter (char **parameters, const char *name)
{
	for (char **p = parameters; p && p[0]; p += 2)
		if (strcmp (p[0], name) == 0)
			return p[1];
	return NULL;
}

char *
mail_extended_value (const char *value, char **charset_out)
{
	const char *language = strchr (value, '\''), *text = language ? strchr (language + 1, '\'') : NULL;
	if (charset_out)
		*charset_out = text && language > value ? g_strndup (value, (gsize) (language - value)) : NULL;
	GString *octets = g_string_new (NULL);
	for (const char *at = text ? text + 1 : value; *at; at++) {
		if (*at == '%' && g_ascii_isxdigit (at[1]) && g_ascii_isxdigit (at[2])) {
			append_octet (octets, (char) (g_ascii_xdigit_value (at[1]) << 4 | g_ascii_xdigit_value (at[2])));
			at += 2;
		} else
			g_string_append_c (octets, *at);
	}
	return g_string_free (octets, FALSE);
}

char *
mail_parameter_text (char **parameters, const char *name)
{
	g_autofree char *star = g_strconcat (name, "*", NULL);
	const char *extended = mail_parameter (parameters, star), *plain = mail_parameter (parameters, name);
	if (extended) {
		g_autofree char *charset = NULL, *octets = mail_extended_value (extended, &charset);
		g_autoptr (GString) text = g_string_new (NULL);
		charset_append (text, octets, strlen (octets), charset);
		return slice_to_utf8 (slice_of (text->str, text->len), FILENAME_MAX_OCTETS);
	}
	return plain ? mail_header_decode (slice_of (plain, strlen (plain)), FILENAME_MAX_OCTETS) : NULL;
}
