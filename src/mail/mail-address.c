/* SPDX-License-Identifier: Apache-2.0 */
/* Address lists (RFC 5322 sections 3.4 and 4.4), read from left to right without recursion: a group within a group, which some
 * parsers follow until their stack is gone, only ends the first. What is no address is kept as a name or mailbox for people to see. */
#include "mail-private.h"
#include <string.h>

#define ROUTE_MAX 1000u

typedef struct {
	const char *at, *end;
	GString *phrase;  /* words so far, single blanks between */
	GString *comment; /* the last one */
	GString *route, *local, *domain;
	gboolean in_angle, has_angle, has_at, in_group, quoted, gap;
	guint calls;
	AddressFn fn;
	gpointer data;
} Parser;

static char *
dup_or_null (const GString *s)
{
	return s->len ? g_strndup (s->str, s->len) : NULL;
}

static void
clear (Parser *p)
{
	g_string_truncate (p->phrase, 0);
	g_string_truncate (p->comment, 0);
	g_string_truncate (p->route, 0);
	g_string_truncate (p->local, 0);
	g_string_truncate (p->domain, 0);
	p->in_angle = p->has_angle = p->has_at = p->quoted = p->gap = FALSE;
}

static void
tell (Parser *p, AddressKind kind, const RawAddress *a)
{
	if (p->calls++ < ADDRESSES_MAX)
		p->fn (p->data, kind, a);
}

/* Several words without an address are a name. */
static gboolean
is_only_name (const Parser *p)
{
	return !p->has_at && !p->comment->len && (p->quoted || strchr (p->phrase->str, ' '));
}

/* The address read so far, if any. Without angle brackets the phrase was the local part. */
static void
end_address (Parser *p)
{
	RawAddress a = {0};
	if (!p->has_angle && p->phrase->len && !is_only_name (p)) {
		g_string_assign (p->local, p->phrase->str);
		g_string_truncate (p->phrase, 0);
	}
	if (p->local->len || p->domain->len || p->phrase->len || p->has_angle) {
		a.name = dup_or_null (p->phrase->len ? p->phrase : p->comment);
		a.route = dup_or_null (p->route);
		a.mailbox = dup_or_null (p->local);
		a.host = dup_or_null (p->domain);
		if (a.name || a.mailbox || a.host)
			tell (p, ADDRESS_ONE, &a);
	}
	g_free (a.name);
	g_free (a.route);
	g_free (a.mailbox);
	g_free (a.host);
	clear (p);
}

static void
start_group (Parser *p)
{
	if (p->in_group) /* not allowed; the name becomes part of the first address */
		return;
	RawAddress a = {.name = p->phrase->len ? p->phrase->str : (char *) ""};
	tell (p, ADDRESS_GROUP_START, &a);
	clear (p);
	p->in_group = TRUE;
}

static void
end_group (Parser *p)
{
	RawAddress none = {0};
	end_address (p);
	if (p->in_group)
		tell (p, ADDRESS_GROUP_END, &none);
	p->in_group = FALSE;
}

/* Where the next octets belong. */
static GString *
target (Parser *p)
{
	if (p->has_at)
		return p->domain;
	return p->in_angle ? p->local : p->phrase;
}

static void
read_comment (Parser *p)
{
	guint depth = 1;
	g_string_truncate (p->comment, 0);
	for (p->at++; p->at < p->end; p->at++) {
		if (*p->at == '\\' && p->at + 1 < p->end)
			p->at++;
		else if (*p->at == '(')
			depth++;
		else if (*p->at == ')' && --depth == 0)
			break;
		if (*p->at && (!mail_is_blank (*p->at) || (p->comment->len && p->comment->str[p->comment->len - 1] != ' ')))
			g_string_append_c (p->comment, mail_is_blank (*p->at) ? ' ' : *p->at);
	}
	while (p->comment->len && p->comment->str[p->comment->len - 1] == ' ')
		g_string_truncate (p->comment, p->comment->len - 1);
}

static void
append_gap (Parser *p, GString *to)
{
	if (p->gap && to->len && to == p->phrase)
		g_string_append_c (to, ' ');
	p->gap = FALSE;
}

static void
read_quoted (Parser *p)
{
	GString *to = target (p);
	append_gap (p, to);
	for (p->at++; p->at < p->end && *p->at != '"'; p->at++) {
		if (*p->at == '\\' && p->at + 1 < p->end)
			p->at++;
		if (*p->at && *p->at != '\r' && *p->at != '\n')
			g_string_append_c (to, *p->at == '\t' ? ' ' : *p->at);
	}
	p->quoted = TRUE;
}

/* '@' at the start of an angle address begins a route; elsewhere the domain. */
static void
read_at (Parser *p)
{
	if (p->in_angle && !p->local->len && !p->has_at) {
		gsize left = MIN ((gsize) (p->end - p->at), ROUTE_MAX);
		const char *colon = memchr (p->at, ':', left), *close = memchr (p->at, '>', left);
		if (colon && (!close || colon < close)) {
			mail_header_unfold (p->route, slice_of (p->at, (gsize) (colon - p->at)));
			p->at = colon;
			return;
		}
	}
	if (p->has_at) { /* a second one: all before it was the local part */
		GString *local = p->in_angle ? p->local : p->phrase;
		g_string_append_c (local, '@');
		g_string_append (local, p->domain->str);
		g_string_truncate (p->domain, 0);
	}
	p->has_at = !(p->has_angle && !p->in_angle);
}

static void
open_angle (Parser *p)
{
	if (p->has_angle && !p->in_angle) { /* a comma is missing */
		end_address (p);
	} else if (p->has_at && !p->in_angle) { /* "a@b <c@d>": the first is the name */
		g_string_append_printf (p->phrase, "@%s", p->domain->str);
		g_string_truncate (p->domain, 0);
	}
	g_string_truncate (p->local, 0);
	p->has_at = FALSE;
	p->in_angle = p->has_angle = TRUE;
}

static void
read_octet (Parser *p)
{
	GString *to = target (p);
	char c = *p->at;
	if (c == '\0')
		return;
	/* After "<...>" only the end of the address is expected: what follows belongs to nothing. */
	if (p->has_angle && !p->in_angle)
		return;
	if (p->has_at && !p->in_angle && p->gap && to->len)
		return; /* "a@b c": the domain has ended */
	append_gap (p, to);
	g_string_append_c (to, c);
}

static void
read_next (Parser *p)
{
	switch (*p->at) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		p->gap = TRUE;
		return;
	case '(':
		read_comment (p);
		p->gap = TRUE;
		return;
	case '"':
		read_quoted (p);
		return;
	case '<':
		open_angle (p);
		p->gap = FALSE;
		return;
	case '>':
		p->in_angle = FALSE;
		return;
	case '@':
		p->gap = FALSE;
		read_at (p);
		p->gap = FALSE;
		return;
	case ':':
		if (p->in_angle || p->has_at)
			read_octet (p);
		else
			start_group (p);
		p->gap = FALSE;
		return;
	case ';':
		if (p->in_group)
			end_group (p);
		else
			end_address (p); /* Outlook's separator */
		return;
	case ',':
		if (p->in_angle)
			read_octet (p);
		else
			end_address (p);
		return;
	default:
		read_octet (p);
	}
}

void
mail_addresses_each (Slice value, AddressFn fn, gpointer data)
{
	g_autoptr (GString) phrase = g_string_new (NULL), comment = g_string_new (NULL), route = g_string_new (NULL);
	g_autoptr (GString) local = g_string_new (NULL), domain = g_string_new (NULL);
	Parser p = {.at = value.data, .end = slice_end (value), .phrase = phrase, .comment = comment, .route = route, .local = local,
	            .domain = domain, .fn = fn, .data = data};
	for (; p.at < p.end && p.calls < ADDRESSES_MAX; p.at++)
		read_next (&p);
	end_address (&p);
	if (p.in_group)
		end_group (&p);
}

/* ---- For people ---- */

void
mail_address_done (MailAddress *a)
{
	g_clear_pointer (&a->name, g_free);
	g_clear_pointer (&a->mailbox, g_free);
	g_clear_pointer (&a->host, g_free);
}

static char *
text_or_null (const char *text)
{
	return text && *text ? mail_header_decode (slice_of (text, strlen (text)), 1024) : NULL;
}

static void
add_address (gpointer data, AddressKind kind, const RawAddress *raw)
{
	MailAddress a = {.name = text_or_null (raw->name)};
	if (kind == ADDRESS_ONE) {
		a.mailbox = text_or_null (raw->mailbox);
		a.host = text_or_null (raw->host);
		a.mailbox = a.mailbox ? a.mailbox : g_strdup ("");
		a.host = a.host ? a.host : g_strdup ("");
	}
	g_array_append_val ((GArray *) data, a);
}

GArray *
mail_addresses_parse (Slice value)
{
	GArray *all = g_array_new (FALSE, FALSE, sizeof (MailAddress));
	g_array_set_clear_func (all, (GDestroyNotify) mail_address_done);
	if (value.data)
		mail_addresses_each (slice_of (value.data, MIN (value.size, (gsize) FIELD_MAX)), add_address, all);
	return all;
}
