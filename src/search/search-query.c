/* SPDX-License-Identifier: Apache-2.0 */
/* The query language (docs/search.md) to a tree.
 *
 *	any  = all { "OR" all }
 *	all  = item { [ "AND" ] item }
 *	item = { "-" | "NOT" } ( "(" any ")" | "{" item ... "}" | field value | phrase | word )
 *
 * What a person may have typed or pasted without thinking of a language is taken as words: a quote without its end, operators without
 * an operand, unknown fields. What was clearly meant as the language but can't be understood is an error that names its place. */
#include "search-query-private.h"
#include <string.h>

/* Parsing functions give FALSE with error, or TRUE with *out, which is NULL where there was nothing to search for. */
static gboolean parse_any (Parser *p, Node **out);
static gboolean parse_item (Parser *p, Node **out);

/* ---- Reading characters ---- */

/* Octets of the blank at @at, 0 if it is none; those of other scripts, too. */
static gsize
blank_size (const char *at)
{
	gunichar c = *at ? g_utf8_get_char (at) : 'x';
	return g_unichar_isspace (c) ? (gsize) g_utf8_skip[(guchar) *at] : 0;
}

static void
skip_blanks (Parser *p)
{
	for (gsize n; (n = blank_size (p->at)) > 0;)
		p->at += n;
}

/* Octets of the double quote at @at, straight or typographic. */
static gsize
quote_size (const char *at)
{
	static const char *const quotes[] = {"\"", "\342\200\234", "\342\200\235", "\342\200\236", "\302\253", "\302\273"};
	for (gsize i = 0; i < G_N_ELEMENTS (quotes); i++)
		if (g_str_has_prefix (at, quotes[i]))
			return strlen (quotes[i]);
	return 0;
}

static gboolean
ends_word (const char *at)
{
	return !*at || blank_size (at) || strchr ("(){}", *at) || quote_size (at);
}

static Slice
take_word (Parser *p)
{
	const char *start = p->at;
	while (!ends_word (p->at))
		p->at = g_utf8_next_char (p->at);
	return (Slice){start, (gsize) (p->at - start)};
}

/* At a quote; without its end it goes on to the end of the query. */
static Slice
take_phrase (Parser *p)
{
	p->at += quote_size (p->at);
	const char *start = p->at;
	while (*p->at && !quote_size (p->at))
		p->at = g_utf8_next_char (p->at);
	Slice phrase = {start, (gsize) (p->at - start)};
	p->at += quote_size (p->at);
	return phrase;
}

/* The operator @word stands here, with something for it to work on. */
static gboolean
at_operator (const Parser *p, const char *word)
{
	gsize n = strlen (word);
	if (strncmp (p->at, word, n) != 0 || !ends_word (p->at + n))
		return FALSE;
	Parser ahead = *p;
	ahead.at += n;
	skip_blanks (&ahead);
	return *ahead.at && *ahead.at != ')' && *ahead.at != '}';
}

static gboolean
count_term (Parser *p, const char *at)
{
	return ++p->terms <= SEARCH_TERMS_MAX || parser_fail (p, at, "a query has at most %d words and conditions", SEARCH_TERMS_MAX);
}

/* ---- Items ---- */

static gboolean
parse_group (Parser *p, Node **out)
{
	Parser outer = *p;
	const char *opened = p->at;
	p->closer = *p->at++ == '(' ? ')' : '}';
	if (++p->depth > SEARCH_DEPTH_MAX)
		return parser_fail (p, opened, "brackets are nested more than %d deep", SEARCH_DEPTH_MAX);
	if (!parse_any (p, out))
		return FALSE;
	if (*p->at != p->closer)
		return parser_fail (p, opened, "this '%c' needs its '%c'", *opened, p->closer);
	p->at++;
	p->depth = outer.depth;
	p->closer = outer.closer;
	p->columns = outer.columns;
	return TRUE;
}

/* A word or phrase; *empty_out: it has nothing to search for. */
static gboolean
parse_text (Parser *p, Node **out)
{
	const char *start = p->at;
	gboolean quoted = quote_size (p->at) > 0;
	Slice text = quoted ? take_phrase (p) : take_word (p);
	if (!quoted && slice_equals (text, "*"))
		*out = node_new (NODE_ALL);
	else
		*out = node_of_text (p->columns, text.data, text.size);
	return !*out || count_term (p, start);
}

static gboolean
parse_text_field (Parser *p, const Field *f, const char *start, Node **out)
{
	guint outer = p->columns;
	const Field *other;
	gsize size;
	p->columns = f->columns;
	if (!parser_at_field (p, &other, &size))
		return FALSE;
	gboolean missing = !*p->at || *p->at == ')' || *p->at == '}' || other;
	if (!missing && !(*p->at == '(' || *p->at == '{' ? parse_group (p, out) : parse_text (p, out)))
		return FALSE;
	p->columns = outer;
	return *out || parser_fail (p, start, "'%s:' wants a word or a \"phrase\" to look for", f->name);
}

static gboolean
parse_condition (Parser *p, const Field *f, const char *start, Node **out)
{
	const char *at = p->at;
	Slice value = quote_size (p->at) ? take_phrase (p) : take_word (p);
	if (!value.size)
		return parser_fail (p, start, "'%s:' wants a value", f->name);
	g_autofree char *text = slice_dup (value);
	return count_term (p, start) && field_condition (p, at, f, text, out);
}

static gboolean
parse_negation (Parser *p, Node **out)
{
	Node *n = NULL;
	if (++p->depth > SEARCH_DEPTH_MAX)
		return parser_fail (p, p->at, "negations are nested more than %d deep", SEARCH_DEPTH_MAX);
	if (!parse_item (p, &n)) {
		node_free (n);
		return FALSE;
	}
	p->depth--;
	*out = n ? node_over (NODE_NOT, n) : NULL;
	return TRUE;
}

static gboolean
parse_operand (Parser *p, Node **out)
{
	const char *start = p->at;
	const Field *f;
	gsize size;
	if (*p->at == '(' || *p->at == '{')
		return parse_group (p, out);
	if (quote_size (p->at))
		return parse_text (p, out);
	if (!parser_at_field (p, &f, &size))
		return FALSE;
	if (!f)
		return parse_text (p, out);
	p->at += size;
	skip_blanks (p);
	return f->kind == TEXT ? parse_text_field (p, f, start, out) : parse_condition (p, f, start, out);
}

/* Not at a blank, the end, or what closes the group. */
static gboolean
parse_item (Parser *p, Node **out)
{
	if (at_operator (p, "NOT")) {
		p->at += 3;
		skip_blanks (p);
		return parse_negation (p, out);
	}
	gboolean negative = *p->at == '-';
	if (negative || *p->at == '+') {
		p->at++;
		if (!*p->at || blank_size (p->at) || *p->at == ')' || *p->at == '}')
			return TRUE;
		return negative ? parse_negation (p, out) : parse_operand (p, out);
	}
	if (*p->at == ')' || *p->at == '}') { /* opened nowhere */
		p->at++;
		return TRUE;
	}
	return parse_operand (p, out);
}

static gboolean
at_end (Parser *p)
{
	skip_blanks (p);
	return !*p->at || (p->closer && *p->at == p->closer);
}

static gboolean
at_or (Parser *p)
{
	return at_operator (p, "OR") || at_operator (p, "|");
}

/* The operators of the same kind as what the group does anyway. */
static void
skip_operator (Parser *p, NodeType group)
{
	if (group == NODE_AND && at_operator (p, "AND"))
		p->at += 3;
	else if (group == NODE_OR && at_or (p))
		p->at += *p->at == '|' ? 1 : 2;
}

/* Items joined by @group up to the end, or up to OR unless it joins by that. */
static gboolean
parse_items (Parser *p, NodeType group, Node **out)
{
	for (gboolean first = TRUE; !at_end (p); first = FALSE) {
		if (!first && group == NODE_AND && at_or (p))
			return TRUE;
		if (!first)
			skip_operator (p, group);
		Node *item = NULL;
		if (at_end (p))
			return TRUE;
		gboolean ok = parse_item (p, &item);
		node_join (out, group, item);
		if (!ok)
			return FALSE;
	}
	return TRUE;
}

static gboolean
parse_any (Parser *p, Node **out)
{
	if (p->closer == '}')
		return parse_items (p, NODE_OR, out);
	while (!at_end (p)) {
		Node *all = NULL;
		skip_operator (p, *out ? NODE_OR : NODE_ALL);
		gboolean ok = parse_items (p, NODE_AND, &all);
		node_join (out, NODE_OR, all);
		if (!ok)
			return FALSE;
	}
	return TRUE;
}

void
search_query_free (SearchQuery *q)
{
	if (!q)
		return;
	node_free (q->root);
	g_free (q);
}

SearchQuery *
search_query_parse (const char *text, gint64 now, GError **error)
{
	Parser p = {.text = text, .at = text, .now = now, .columns = COLUMNS_ALL, .error = error};
	g_autoptr (Node) root = NULL;
	gboolean ok = FALSE;
	if (strlen (text) > SEARCH_QUERY_MAX)
		error_fail (error, ERROR_USAGE, "the query is longer than %d octets", SEARCH_QUERY_MAX);
	else if (!g_utf8_validate (text, -1, NULL))
		error_fail (error, ERROR_USAGE, "the query is not valid UTF-8");
	else
		ok = parse_any (&p, &root);
	if (ok && !root)
		ok = error_fail (error, ERROR_USAGE, "the query has nothing to search for: give it a word, or a condition such as is:unread");
	return ok ? plan_query (g_steal_pointer (&root)) : NULL;
}

SearchQuery *
search_query_of_words (const char *text, gboolean anywhere)
{
	g_autofree char *prefix = g_strconcat (text, "*", NULL);
	Node *n = node_of_text (anywhere ? COLUMNS_ALL : 1u << COLUMN_BODY, prefix, strlen (prefix));
	return n ? plan_query (n) : NULL;
}
