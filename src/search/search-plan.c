/* SPDX-License-Identifier: Apache-2.0 */
/* What the text index can answer at once becomes one set: the fewer and the larger the questions, the less it has to read. */
#include "search-private.h"

/* FTS5's own parser has a stack of limited depth. */
#define HEIGHT_MAX 8

static const char *const column_names[N_COLUMNS] = {"body", "subject", "sender", "recipients", "attachment"};

static guint
height (const Node *n)
{
	guint highest = 0;
	for (guint i = 0; n->children && i < n->children->len; i++)
		highest = MAX (highest, height (n->children->pdata[i]));
	return highest + 1;
}

static gboolean
is_text_set (const Node *n)
{
	return n->type == NODE_SET && n->children->len && height (n->children->pdata[0]) < HEIGHT_MAX;
}

static gboolean
is_negated_text_set (const Node *n)
{
	return n->type == NODE_NOT && is_text_set (n->children->pdata[0]);
}

static Node *
steal (GPtrArray *nodes, guint i)
{
	return g_ptr_array_steal_index (nodes, i);
}

/* The text subtree of a set, or its negation, which is freed. */
static Node *
text_of (Node *n)
{
	Node *inner = steal (n->children, 0), *text = n->type == NODE_NOT ? node_over (NODE_NOT, text_of (inner)) : inner;
	node_free (n);
	return text;
}

static guint
count (const GPtrArray *nodes, gboolean (*fits) (const Node *))
{
	guint n = 0;
	for (guint i = 0; i < nodes->len; i++)
		n += fits (nodes->pdata[i]) != 0;
	return n;
}

/* Joins the sets among @n's children, for AND the negated ones, too, if there is one that is not. */
static void
join_sets (Node *n)
{
	guint positive = count (n->children, is_text_set), negative = n->type == NODE_AND ? count (n->children, is_negated_text_set) : 0;
	if (!positive || positive + negative < 2)
		return;
	Node *text = node_new (n->type);
	for (guint i = 0; i < n->children->len;)
		if (is_text_set (n->children->pdata[i]) || (n->type == NODE_AND && is_negated_text_set (n->children->pdata[i])))
			g_ptr_array_add (text->children, text_of (steal (n->children, i)));
		else
			i++;
	g_ptr_array_insert (n->children, 0, node_over (NODE_SET, text));
}

static Node *
gather (Node *n)
{
	if (n->type == NODE_TEXT)
		return node_over (NODE_SET, n);
	for (guint i = 0; n->type <= NODE_NOT && i < n->children->len; i++)
		n->children->pdata[i] = gather (n->children->pdata[i]);
	if (n->type > NODE_OR)
		return n;
	join_sets (n);
	if (n->children->len > 1)
		return n;
	Node *only = steal (n->children, 0);
	node_free (n);
	return only;
}

/* ---- The expression for FTS5 ---- */

static void
append_phrase (GString *out, const Node *n)
{
	if (n->columns != COLUMNS_ALL) {
		g_string_append_c (out, '{');
		for (guint i = 0; i < N_COLUMNS; i++)
			if (n->columns >> i & 1)
				g_string_append_printf (out, " %s", column_names[i]);
		g_string_append (out, " } : ");
	}
	g_autofree char *beginning = n->prefix ? short_word (n->text) : NULL;
	g_string_append_printf (out, "\"%s\"%s", beginning ? beginning : n->text, n->prefix && !beginning ? " *" : ""); /* words have no quotes in them */
}

static void append_expression (GString *out, const Node *n);

static void
append_group (GString *out, const Node *n, gboolean negated, const char *operator)
{
	const char *between = "(";
	for (guint i = 0; i < n->children->len; i++) {
		const Node *child = n->children->pdata[i];
		if ((child->type == NODE_NOT) != negated)
			continue;
		g_string_append (out, between);
		append_expression (out, negated ? child->children->pdata[0] : child);
		between = operator;
	}
	g_string_append_c (out, ')');
}

static void
append_expression (GString *out, const Node *n)
{
	if (n->type == NODE_TEXT) {
		append_phrase (out, n);
		return;
	}
	gboolean negations = FALSE;
	for (guint i = 0; i < n->children->len; i++)
		negations |= ((Node *) n->children->pdata[i])->type == NODE_NOT;
	g_string_append (out, negations ? "(" : "");
	append_group (out, n, FALSE, n->type == NODE_AND ? " AND " : " OR ");
	if (negations) {
		g_string_append (out, " NOT ");
		append_group (out, n, TRUE, " OR ");
		g_string_append_c (out, ')');
	}
}

static void
finish (SearchQuery *q, Node *n)
{
	if (n->type == NODE_SET || n->type == NODE_FOLDER)
		n->slot = q->n_slots++;
	if (n->type == NODE_SET && n->children->len) {
		GString *match = g_string_new (NULL);
		append_expression (match, n->children->pdata[0]);
		n->match = g_string_free (match, FALSE);
		return;
	}
	for (guint i = 0; n->children && i < n->children->len; i++)
		finish (q, n->children->pdata[i]);
}

SearchQuery *
plan_query (Node *root)
{
	SearchQuery *q = g_new0 (SearchQuery, 1);
	q->root = gather (root);
	finish (q, q->root);
	return q;
}
