/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the search share.
 *
 * A query is a tree. Each leaf asks something of a placement (folder, flags, keywords), of a message's row (time, size, attachment) or
 * of the message itself; leaves of the last kind, and whole subtrees of them, become a set of messages before anything else is read
 * (NODE_SET). A tree is asked with what is known so far and answers NO, MAYBE or YES, so that the same tree serves for sifting and for
 * the final word. */
#pragma once
#include "search.h"
#include "search-bits.h"
#include "search-words.h"
#include "store-private.h"

/* In the order of the columns of table fts, body first: the first column's positions cost two octets less a word and message. */
enum { COLUMN_BODY, COLUMN_SUBJECT, COLUMN_SENDER, COLUMN_RECIPIENTS, COLUMN_ATTACHMENT, N_COLUMNS };
#define COLUMNS_ALL ((1u << N_COLUMNS) - 1)

typedef enum {
	NODE_AND,
	NODE_OR,
	NODE_NOT, /* of its one child */
	NODE_ALL,
	NODE_TEXT, /* within a NODE_SET only */
	NODE_SET,
	NODE_FOLDER,
	NODE_FLAGS,
	NODE_KEYWORD,
	NODE_RECEIVED,
	NODE_SIZE,
	NODE_ATTACHMENT,
} NodeType;

typedef struct Node {
	NodeType type;
	GPtrArray *children; /* of Node; AND, OR, NOT; of a set: its one text subtree, or none */
	guint columns;       /* TEXT: bits by column */
	char *text;          /* TEXT: " word word ", or " word wor" as a prefix; FOLDER: path or role; KEYWORD; SET: Message-ID, or NULL */
	gboolean prefix;     /* TEXT */
	gboolean optional;   /* FOLDER: if there is none of that name, nothing matches; else that is an error */
	guint mask, value;   /* FLAGS */
	gint64 lo, hi;       /* RECEIVED, SIZE: lo <= x < hi */
	gint64 placement;    /* SET: the thread of this placement; 0: none */
	char *match;         /* SET of text: the expression for fts */
	guint slot;          /* SET, FOLDER: index of what a run keeps for it */
} Node;

struct SearchQuery {
	Node *root;
	guint n_slots;
};

Node *node_new (NodeType type);
void node_free (Node *n); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Node, node_free)
/* A new node with its first child. */
Node *node_over (NodeType type, Node *child);
/* Adds @child (NULL: nothing) to the group *@group of @type, which is made when there is a second one. */
void node_join (Node **group, NodeType type, Node *child);

/* A text leaf for the words of @text, or NULL if it has none. A '*' at its end makes a prefix of the last word. */
Node *node_of_text (guint columns, const char *text, gsize size);

/* Joins what the text index can answer at once into sets, numbers the slots. Takes @root. */
SearchQuery *plan_query (Node *root);

/* Values: FALSE if @text is none. Times are seconds since 1970, days those of the local time zone. */
gboolean value_period (const char *text, gint64 now, gint64 *start_out, gint64 *end_out);
gboolean value_age (const char *text, gint64 now, gint64 *since_out); /* 7d 2w 3m 1y 12h before @now */
gboolean value_size (const char *text, gint64 *octets_out);

/* ---- What of a message is searched ---- */


/* Each column's words as the index gets them: "" or " word word ... ". */
typedef struct {
	GString *columns[N_COLUMNS];
	gboolean whole; /* FALSE: what the row of the message has; more may match */
} Doc;
Doc *doc_new (void);
void doc_free (Doc *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Doc, doc_free)
/* Of a message as stored. If its octets are damaged, its row must do. NULL: error. */
Doc *doc_read (Store *s, const Message *m, GError **error);
/* Of the message's row alone. */
Doc *doc_of_row (const Message *m);
/* For the index: appends the beginnings of one and two letters of the words in @column (" word word "). */
void short_append (GString *column);
/* The word that the index has for the prefix @text (" wo"); NULL where it has none. */
char *short_word (const char *text);
/* The text that column body was made of, for people. */
char *doc_text (Store *s, const Message *m, GError **error);

typedef enum { NO, MAYBE, YES } Answer;
/* @n is a text subtree. */
Answer doc_ask (const Doc *d, const Node *n);
