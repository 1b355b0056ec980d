/* SPDX-License-Identifier: Apache-2.0 */
#include "search-private.h"

Node *
node_new (NodeType type)
{
	Node *n = g_new0 (Node, 1);
	n->type = type;
	n->children = type <= NODE_NOT || type == NODE_SET ? g_ptr_array_new_with_free_func ((GDestroyNotify) node_free) : NULL;
	return n;
}

void
node_free (Node *n)
{
	if (!n)
		return;
	if (n->children)
		g_ptr_array_unref (n->children);
	g_free (n->text);
	g_free (n->match);
	g_free (n);
}

Node *
node_over (NodeType type, Node *child)
{
	Node *n = node_new (type);
	g_ptr_array_add (n->children, child);
	return n;
}

void
node_join (Node **group, NodeType type, Node *child)
{
	if (!child)
		return;
	if (!*group)
		*group = child;
	else if ((*group)->type == type)
		g_ptr_array_add ((*group)->children, child);
	else {
		*group = node_over (type, *group);
		g_ptr_array_add ((*group)->children, child);
	}
}

/* ---- Words ---- */

typedef struct {
	GString *text;
	gsize before_last; /* size of text before the last word */
	WordKind kind, previous;
	guint n;
} Phrase;

static void
add_word (gpointer data, const char *word, gsize size, WordKind kind, gsize start, gsize end)
{
	Phrase *ph = data;
	ph->before_last = ph->text->len;
	ph->previous = ph->n ? ph->kind : WORD_WHOLE;
	ph->kind = kind;
	ph->n++;
	g_string_append_len (ph->text, word, (gssize) size);
	g_string_append_c (ph->text, ' ');
}

/* The end of a run of pairs is the end of the question, not of the run in the text: its last character says nothing that the pair
 * before it doesn't, and alone it is the beginning of any pair. */
Node *
node_of_text (guint columns, const char *text, gsize size)
{
	gboolean prefix = size && text[size - 1] == '*';
	Phrase ph = {.text = g_string_new (" ")};
	words_each (text, size, add_word, &ph);
	if (ph.n && ph.kind == WORD_LAST) {
		prefix = ph.previous != WORD_PAIR;
		if (!prefix)
			g_string_truncate (ph.text, ph.before_last);
	}
	if (prefix && ph.n)
		g_string_truncate (ph.text, ph.text->len - 1);
	Node *n = ph.n ? node_new (NODE_TEXT) : NULL;
	if (n) {
		n->columns = columns;
		n->prefix = prefix;
		n->text = g_strdup (ph.text->str);
	}
	g_string_free (ph.text, TRUE);
	return n;
}
