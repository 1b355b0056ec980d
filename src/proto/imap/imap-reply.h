/* SPDX-License-Identifier: Apache-2.0 */
/* A server's response as a tree, read piecewise from a connection's input (RFC 9051 section 9, "response").
 *
 * Limits: 32 levels of parentheses, 200 000 values, 4 MiB without big literals, a literal of 4 GiB. Literals over 1 MiB go to an
 * unlinked file. */
#pragma once
#include <glib.h>
#include "bytes.h"
#include "error.h"
#include "uid-set.h"

typedef enum { NODE_ATOM, NODE_STRING, NODE_LIST, NODE_FILE } NodeKind;
typedef struct ImapNode ImapNode;
struct ImapNode {
	NodeKind kind;
	Slice text;             /* of atoms and strings */
	int fd;                 /* of NODE_FILE; the response's */
	guint64 size;           /* of NODE_FILE */
	guint first, next, count; /* first child, next sibling: indices, 0 none; number of children */
	struct ImapReply *reply;
};

/* All accessors take NULL nodes for "not there" and answer with nothing. */
guint node_count (const ImapNode *n);
const ImapNode *node_at (const ImapNode *list, guint i); /* O(i) */
const ImapNode *node_first (const ImapNode *list);
const ImapNode *node_next (const ImapNode *n);
Slice node_text (const ImapNode *n);
gboolean node_is_nil (const ImapNode *n);
guint64 node_number (const ImapNode *n); /* 0 if it is none */

typedef struct ImapReply ImapReply;
typedef struct ImapReply ImapResponse;
ImapReply *imap_reply_new (void);
void imap_reply_free (ImapReply *r);
/* Takes from @input what belongs to the current response; *used_out tells how much. *complete_out: it is whole and may be looked at
 * until the next call. PROTOCOL for what is no response, TOO_BIG over a limit, NO_SPACE and IO for the file of a literal. */
gboolean imap_reply_feed (ImapReply *r, Slice input, gsize *used_out, gboolean *complete_out, GError **error);

typedef enum { REPLY_UNTAGGED, REPLY_TAGGED, REPLY_CONTINUATION } ReplyKind;
ReplyKind reply_kind (const ImapResponse *r);
Slice reply_tag (const ImapResponse *r);
/* The response's name is @name ("FETCH" also of "* 3 FETCH"). */
gboolean reply_is (const ImapResponse *r, const char *name);
guint32 reply_number (const ImapResponse *r); /* 3 of "* 3 FETCH" */
const ImapNode *reply_arg (const ImapResponse *r, guint i); /* behind the name */
Slice reply_text (const ImapResponse *r, guint i);
/* OK, NO, BAD, BYE, PREAUTH, with or without tag. */
gboolean reply_is_status (const ImapResponse *r);
const char *reply_code (const ImapResponse *r);      /* upper case, "" none */
const char *reply_code_args (const ImapResponse *r); /* text behind the code, "" none */
guint64 reply_code_number (const ImapResponse *r);
char *reply_code_id (const ImapResponse *r); /* of "MAILBOXID (id)" */
gboolean reply_code_has (const ImapResponse *r, const char *word);
/* The human text of a status response or continuation. */
const char *reply_human (const ImapResponse *r);
/* Adds the UIDs of VANISHED, SEARCH or ESEARCH. */
void reply_take_vanished (const ImapResponse *r, UidSet *set);
void reply_take_search (const ImapResponse *r, UidSet *set);
