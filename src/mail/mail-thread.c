/* SPDX-License-Identifier: Apache-2.0 */
#include "mail-thread.h"
#include "digest.h"
#include <string.h>

#define CLIMB_MAX 1000 /* ancestors looked at for a loop; who is deeper is not linked any more */

typedef struct {
	const ThreadMessage *messages;
	GArray *nodes;
	gint top; /* node whose children are the threads */
} Builder;

guint64
mail_thread_id (Slice id)
{
	guint8 digest[DIGEST_SIZE];
	guint64 n;
	digest_of (id.data, id.size, digest);
	memcpy (&n, digest, sizeof n);
	return n ? n : 1;
}

void
mail_threads_clear (MailThreads *t)
{
	g_clear_pointer (&t->nodes, g_array_unref);
}

static ThreadNode *
at (const Builder *b, gint node)
{
	return &g_array_index (b->nodes, ThreadNode, node);
}

static gint
new_node (Builder *b, gint message)
{
	ThreadNode n = {message, -1, -1, -1, -1};
	g_array_append_val (b->nodes, n);
	return (gint) b->nodes->len - 1;
}

static void
unlink_node (Builder *b, gint node)
{
	ThreadNode *n = at (b, node);
	if (n->parent < 0)
		return;
	if (n->previous >= 0)
		at (b, n->previous)->next = n->next;
	else
		at (b, n->parent)->child = n->next;
	if (n->next >= 0)
		at (b, n->next)->previous = n->previous;
	n->parent = n->next = n->previous = -1;
}

static void
link_node (Builder *b, gint parent, gint node)
{
	unlink_node (b, node);
	ThreadNode *n = at (b, node), *p = at (b, parent);
	n->parent = parent;
	n->next = p->child;
	if (p->child >= 0)
		at (b, p->child)->previous = node;
	p->child = node;
}

/* Whether @node may become a child of @parent: it must not be above it. */
static gboolean
may_link (const Builder *b, gint parent, gint node)
{
	if (parent == node)
		return FALSE;
	if (at (b, node)->child < 0)
		return TRUE;
	guint steps = 0;
	for (gint up = parent; up >= 0; up = at (b, up)->parent)
		if (up == node || ++steps > CLIMB_MAX)
			return FALSE;
	return TRUE;
}

static gint64
sent_of (const Builder *b, gint node)
{
	const ThreadNode *n = at (b, node);
	if (n->message < 0 && n->child >= 0)
		n = at (b, n->child);
	return n->message < 0 ? 0 : b->messages[n->message].sent;
}

static int
compare_nodes (gconstpointer x, gconstpointer y, gpointer builder)
{
	const Builder *b = builder;
	gint i = *(const gint *) x, j = *(const gint *) y;
	gint64 s = sent_of (b, i), t = sent_of (b, j);
	if (s != t)
		return s < t ? -1 : 1;
	gint m = at (b, i)->message, n = at (b, j)->message; /* a message of that time before one that is not here */
	return m < 0 || n < 0 ? (m < 0) - (n < 0) : (m > n) - (m < n);
}

static void
sort_children (Builder *b, gint parent, GArray *list)
{
	g_array_set_size (list, 0);
	for (gint n = at (b, parent)->child; n >= 0; n = at (b, n)->next)
		g_array_append_val (list, n);
	if (list->len < 2)
		return;
	g_array_sort_with_data (list, compare_nodes, b);
	for (guint i = 0; i < list->len; i++) {
		ThreadNode *n = at (b, g_array_index (list, gint, i));
		n->previous = i ? g_array_index (list, gint, i - 1) : -1;
		n->next = i + 1 < list->len ? g_array_index (list, gint, i + 1) : -1;
	}
	at (b, parent)->child = g_array_index (list, gint, 0);
}

/* Children first, as those of the top (a dummy) are compared by their first child. */
static void
sort_all (Builder *b)
{
	g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (gint));
	for (guint i = 0; i < b->nodes->len; i++)
		if ((gint) i != b->top && at (b, (gint) i)->child >= 0)
			sort_children (b, (gint) i, list);
	sort_children (b, b->top, list);
}

/* ---- By references ---- */

/* Steps 1 and 2: who refers to whom. */
static void
link_by_ids (Builder *b, guint n)
{
	g_autoptr (GHashTable) by_id = g_hash_table_new (NULL, NULL); /* id -> node + 1 */
	g_autofree gint *own = g_new (gint, n + 1);
	for (guint i = 0; i < n; i++) {
		own[i] = new_node (b, (gint) i);
		gpointer id = GSIZE_TO_POINTER ((gsize) b->messages[i].id); /* the second of an id is known by none */
		if (id && !g_hash_table_contains (by_id, id))
			g_hash_table_insert (by_id, id, GINT_TO_POINTER (own[i] + 1));
	}
	for (guint i = 0; i < n; i++) {
		const ThreadMessage *m = &b->messages[i];
		gint above = -1;
		for (guint k = 0; k < m->n_parents; k++) {
			gpointer id = GSIZE_TO_POINTER ((gsize) m->parents[k]);
			gint node = GPOINTER_TO_INT (g_hash_table_lookup (by_id, id)) - 1;
			if (node < 0) {
				node = new_node (b, -1);
				g_hash_table_insert (by_id, id, GINT_TO_POINTER (node + 1));
			}
			if (above >= 0 && at (b, node)->parent < 0 && may_link (b, above, node))
				link_node (b, above, node);
			above = node;
		}
		if (above >= 0 && above != at (b, own[i])->parent && may_link (b, above, own[i]))
			link_node (b, above,
				   own[i]); /* what others said of its parent is less than what it says itself */
	}
	b->top = new_node (b, -1);
	for (gint i = b->top - 1; i >= 0; i--)
		if (at (b, i)->parent < 0)
			link_node (b, b->top, i);
}

/* All nodes below the top, parents before children. */
static GArray *
downwards (const Builder *b)
{
	GArray *order = g_array_new (FALSE, FALSE, sizeof (gint));
	for (gint n = at (b, b->top)->child; n >= 0; n = at (b, n)->next)
		g_array_append_val (order, n);
	for (guint i = 0; i < order->len; i++)
		for (gint n = at (b, g_array_index (order, gint, i))->child; n >= 0; n = at (b, n)->next)
			g_array_append_val (order, n);
	return order;
}

static void
move_children (Builder *b, gint from, gint to)
{
	while (at (b, from)->child >= 0)
		link_node (b, to, at (b, from)->child);
}

/* Step 3: messages that are not here leave their children to those above them; only at the top they hold two or more
 * together. */
static void
prune (Builder *b)
{
	g_autoptr (GArray) order = downwards (b);
	for (guint i = order->len; i > 0; i--) {
		gint node = g_array_index (order, gint, i - 1);
		const ThreadNode *n = at (b, node);
		if (n->message >= 0)
			continue;
		gboolean holds = n->parent == b->top && n->child >= 0 && at (b, n->child)->next >= 0;
		if (holds)
			continue;
		gint parent = n->parent;
		move_children (b, node, parent);
		unlink_node (b, node);
	}
}

/* A thread, or the one that stands for its subject. */
typedef struct {
	gint node;
	gboolean reply;
	const char *base;
} Root;

static GArray *
roots_of (const Builder *b)
{
	GArray *roots = g_array_new (FALSE, FALSE, sizeof (Root));
	for (gint node = at (b, b->top)->child; node >= 0; node = at (b, node)->next) {
		const ThreadNode *n = at (b, node);
		const ThreadMessage *m = &b->messages[n->message >= 0 ? n->message : at (b, n->child)->message];
		Root root = {node, m->reply, m->subject};
		g_array_append_val (roots, root);
	}
	return roots;
}

/* Step 5, first half: which thread has a subject. Borrows the subjects. */
static GHashTable *
holders_of_subjects (const Builder *b, const GArray *roots)
{
	GHashTable *holders = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
	for (guint i = 0; i < roots->len; i++) {
		const Root *root = &g_array_index (roots, Root, i);
		Root *h = g_hash_table_lookup (holders, root->base);
		if (!*root->base)
			continue;
		if (!h)
			g_hash_table_insert (holders, (gpointer) root->base, g_memdup2 (root, sizeof *root));
		else if (at (b, h->node)->message >= 0 &&
			 (at (b, root->node)->message < 0 || (h->reply && !root->reply)))
			*h = *root;
	}
	return holders;
}

static void
merge (Builder *b, Root *h, const Root *root)
{
	gint node = root->node;
	gboolean dummy = at (b, node)->message < 0, holder_is_dummy = at (b, h->node)->message < 0;
	if (dummy && holder_is_dummy) {
		move_children (b, node, h->node);
		unlink_node (b, node);
	} else if (holder_is_dummy || (!dummy && root->reply && !h->reply))
		link_node (b, h->node, node);
	else {
		gint both = new_node (b, -1);
		link_node (b, b->top, both);
		link_node (b, both, h->node);
		link_node (b, both, node);
		h->node = both;
	}
}

/* Step 5, second half. */
static void
merge_by_subject (Builder *b)
{
	g_autoptr (GArray) roots = roots_of (b);
	g_autoptr (GHashTable) holders = holders_of_subjects (b, roots);
	for (guint i = 0; i < roots->len; i++) {
		const Root *root = &g_array_index (roots, Root, i);
		Root *h = *root->base ? g_hash_table_lookup (holders, root->base) : NULL;
		if (h && h->node != root->node && at (b, root->node)->parent == b->top)
			merge (b, h, root);
	}
}

static void
finish (Builder *b, MailThreads *out)
{
	out->nodes = b->nodes;
	out->first = at (b, b->top)->child;
	for (gint n = out->first; n >= 0; n = at (b, n)->next)
		at (b, n)->parent = -1;
}

void
mail_thread_by_references (const ThreadMessage *messages, guint n, MailThreads *out)
{
	Builder b = {messages, g_array_sized_new (FALSE, FALSE, sizeof (ThreadNode), n + 1), -1};
	link_by_ids (&b, n);
	prune (&b);
	sort_all (&b);
	merge_by_subject (&b);
	sort_all (&b);
	finish (&b, out);
}

/* ---- By subject ---- */

typedef struct {
	const char *base;
	gint64 sent;
	gint message;
} Row;

static int
compare_rows (gconstpointer x, gconstpointer y)
{
	const Row *a = x, *b = y;
	int order = a->base == b->base ? 0 : strcmp (a->base, b->base);
	if (order)
		return order;
	return a->sent != b->sent ? (a->sent < b->sent ? -1 : 1) : a->message - b->message;
}

void
mail_thread_by_subject (const ThreadMessage *messages, guint n, MailThreads *out)
{
	Builder b = {messages, g_array_sized_new (FALSE, FALSE, sizeof (ThreadNode), n + 1), -1};
	g_autoptr (GArray) rows = g_array_sized_new (FALSE, FALSE, sizeof (Row), n);
	for (guint i = 0; i < n; i++) {
		Row row = {messages[i].subject, messages[i].sent, (gint) i};
		g_array_append_val (rows, row);
	}
	g_array_sort (rows, compare_rows);
	b.top = new_node (&b, -1);
	gint first = -1;
	for (guint i = 0; i < n; i++) {
		const Row *row = &g_array_index (rows, Row, i);
		gint node = new_node (&b, row->message);
		gboolean same = i > 0 && strcmp (row->base, g_array_index (rows, Row, i - 1).base) == 0;
		link_node (&b, same ? first : b.top, node);
		first = same ? first : node;
	}
	sort_all (&b);
	finish (&b, out);
}

/* ---- As IMAP writes them ---- */

/* In parentheses of its own: a thread, and each of several answers. */
static gboolean
is_enclosed (const GArray *nodes, const ThreadNode *n)
{
	if (n->parent < 0)
		return TRUE;
	gint first = g_array_index (nodes, ThreadNode, n->parent).child;
	return g_array_index (nodes, ThreadNode, first).next >= 0;
}

/* Where to go on behind @node, whose parenthesis is closed, and those of all that end with it. */
static gint
close_node (const GArray *nodes, gint node, GString *out)
{
	for (; node >= 0; node = g_array_index (nodes, ThreadNode, node).parent) {
		const ThreadNode *n = &g_array_index (nodes, ThreadNode, node);
		if (is_enclosed (nodes, n))
			g_string_append_c (out, ')');
		if (n->next >= 0)
			return n->next;
	}
	return -1;
}

void
mail_threads_write (const MailThreads *t, ThreadNumber number, gpointer data, GString *out)
{
	for (gint node = t->first; node >= 0;) {
		const ThreadNode *n = &g_array_index (t->nodes, ThreadNode, node);
		if (is_enclosed (t->nodes, n))
			g_string_append_c (out, '(');
		if (n->message >= 0)
			g_string_append_printf (out, "%u", number (data, n->message));
		if (n->child < 0) {
			node = close_node (t->nodes, node, out);
			continue;
		}
		if (n->message >= 0)
			g_string_append_c (out, ' ');
		node = n->child;
	}
}
