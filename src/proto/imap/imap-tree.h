/* SPDX-License-Identifier: Apache-2.0 */
/* The values that stand in a line of IMAP, as a tree: atoms, strings, lists (RFC 9051 section 9). Responses (imap-reply.h) and commands
 * (imap-command.h) are both read by this one tokeniser, line by line: no token but a literal goes over a line's end.
 *
 * Two manners of reading. Tolerant, for what servers send: a word is all up to a blank or parenthesis. Strict, for what clients send:
 * every octet must be one that the grammar has for some kind of word; runs of blanks count as one blank in both. */
#pragma once
#include <glib.h>
#include "bytes.h"

typedef enum {
	NODE_ATOM,   /* a bare word: atom, number, flag, sequence set, pattern, NIL, BODY[TEXT]<0> */
	NODE_STRING, /* quoted or literal */
	NODE_LIST,
	NODE_FILE,   /* a big literal of a response, in a file */
	NODE_STREAM, /* a literal of a command that was handed out */
} NodeKind;

/* Kinds of words by the octets they are made of; a node has the sum of those that all its octets allow. */
typedef enum {
	WORD_ATOM = 1,    /* 1*ATOM-CHAR */
	WORD_ASTRING = 2, /* 1*ASTRING-CHAR: ] too */
	WORD_PATTERN = 4, /* 1*list-char: ] % * too */
	WORD_SET = 8,     /* 1*(DIGIT : , * $) */
	WORD_NUMBER = 16, /* 1*DIGIT */
	WORD_TAG = 32,    /* ASTRING-CHAR without + */
	WORD_FLAG = 64,   /* atom, \atom, \* */
} ImapWord;

typedef struct ImapNode ImapNode;
struct ImapNode {
	guint8 kind;         /* NodeKind */
	guint8 literal8 : 1; /* came as ~{n} */
	guint8 section : 1;  /* BODY[...] and such */
	guint16 words;       /* ImapWord, of atoms */
	guint count;     /* of children */
	Slice text;      /* of atoms and strings */
	ImapNode *first, *next; /* child, sibling */
	guint64 size;    /* of NODE_FILE and NODE_STREAM */
	int fd;          /* of NODE_FILE; borrowed from the response */
};

/* All accessors take NULL nodes for "not there" and answer with nothing. */
guint node_count (const ImapNode *n);
const ImapNode *node_at (const ImapNode *list, guint i); /* O(i) */
const ImapNode *node_first (const ImapNode *list);
const ImapNode *node_next (const ImapNode *n);
Slice node_text (const ImapNode *n);
gboolean node_is_nil (const ImapNode *n);
guint64 node_number (const ImapNode *n); /* 0 if it is none; that of its only child for MODSEQ (12) */
/* A bare word in any case. */
gboolean node_is_word (const ImapNode *n, const char *word);
/* An atom of this kind. */
gboolean node_is (const ImapNode *n, ImapWord kind);
/* What stands for an astring, a list-mailbox, an nstring: such an atom, or any string. FALSE for NULL. */
gboolean node_is_astring (const ImapNode *n);
gboolean node_is_pattern (const ImapNode *n);
gboolean node_is_nstring (const ImapNode *n);
/* BODY.PEEK[HEADER.FIELDS (A B)]<0.10>: "BODY.PEEK", the first of (HEADER.FIELDS, (A B)), 0 and 10. The text of such a node is all of
 * it. The stem of an atom without section is its text; of a partial without size (responses) *size_out is 0; FALSE: no partial. */
Slice node_stem (const ImapNode *n);
gboolean node_has_section (const ImapNode *n);
const ImapNode *node_section (const ImapNode *n);
gboolean node_partial (const ImapNode *n, guint32 *from_out, guint32 *size_out);
/* The kinds of words that @s would make as a bare word: 0 none. */
guint slice_words (Slice s);
/* Digits only, at most 2^64-1. */
gboolean slice_to_number (Slice s, guint64 *number_out);

/* ---- For the readers of lines: imap-reply.c, imap-command.c ---- */

typedef struct {
	gsize text;   /* octets of lines and kept literals */
	guint values; /* nodes */
	guint depth;  /* open parentheses; at most TREE_DEPTH_MAX */
	gboolean secret; /* a password may be among the texts: they are overwritten when they are gone */
} TreeLimits;
#define TREE_DEPTH_MAX 200

typedef enum {
	TREE_END,     /* the line is complete */
	TREE_LITERAL, /* ends in an announcement: give its place by imap_tree_keep or imap_tree_pass, then read the next line */
	TREE_BAD,     /* no further reading until a reset */
} TreeStep;

typedef struct {
	guint64 size;
	gboolean literal8, waits; /* waits: synchronising */
} TreeLiteral;

typedef struct ImapTree ImapTree;
ImapTree *imap_tree_new (gboolean strict);
void imap_tree_free (ImapTree *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ImapTree, imap_tree_free)
void imap_tree_set_limits (ImapTree *t, const TreeLimits *limits);
/* Strict reading: quoted strings may hold UTF-8. */
void imap_tree_allow_utf8 (ImapTree *t, gboolean allow);
/* All nodes and texts of the tree are gone. */
void imap_tree_reset (ImapTree *t);
/* Takes from @input up to and with LF. TRUE once there is a line: it then lies in the tree's memory, without its line end. The caller
 * looks at imap_tree_text_size and gives up on lines that don't end. */
gboolean imap_tree_take_line (ImapTree *t, Slice input, gsize *used_out, Slice *line_out);
/* Octets of lines and kept literals so far, the incomplete line included. */
gsize imap_tree_text_size (const ImapTree *t);
/* What there is of an incomplete line. */
Slice imap_tree_pending (const ImapTree *t);
/* @sections: BODY[...] and BINARY[...] have a section; elsewhere brackets are octets like others. */
TreeStep imap_tree_read (ImapTree *t, Slice line, gboolean sections, TreeLiteral *literal_out);
/* Memory for the announced literal, which becomes a string. NULL: over the limit of text. */
char *imap_tree_keep (ImapTree *t, const TreeLiteral *literal);
/* The announced literal is elsewhere. */
ImapNode *imap_tree_pass (ImapTree *t, const TreeLiteral *literal, NodeKind kind);
/* {n} {n+} ~{n} at the line's end. */
gboolean imap_literal_at_end (Slice line, TreeLiteral *literal_out);
/* The list of all values at the top. */
const ImapNode *imap_tree_root (const ImapTree *t);
/* The innermost open list (the root if there is none), how many are open, and its last value so far (NULL). */
const ImapNode *imap_tree_open (const ImapTree *t, guint *depth_out, const ImapNode **last_out);
/* After TREE_BAD: what is wrong, the octet of the line where. */
const char *imap_tree_fault (const ImapTree *t, gsize *at_out);
