/* SPDX-License-Identifier: Apache-2.0 */
/* A client's commands, read piecewise (RFC 9051 section 9 "command", RFC 7888 literals). Owns no socket and writes nothing: it says what
 * is to be done. Strict, but for a bare LF and superfluous blanks. Whether the arguments are those of the command is the server's to
 * judge, by node_is and its like.
 *
 *	while (input.size > 0 || c has just been accepted)
 *		switch (imap_command_feed (c, input, &used)) {
 *		case COMMAND_MORE:     read more
 *		case COMMAND_CONTINUE: send "+ OK"
 *		case COMMAND_LITERAL:  imap_command_accept, or answer NO and imap_command_refuse
 *		case COMMAND_OCTETS:   write imap_command_octets to where the message goes
 *		case COMMAND_DONE:     execute
 *		case COMMAND_BAD:      answer imap_command_tag with BAD and imap_command_fault
 *		case COMMAND_LOST:     say BYE and close
 *		}
 *
 * Pipelined commands stay in the input until the caller feeds them: it feeds none before the one before is done with. */
#pragma once
#include <glib.h>
#include "imap-tree.h"

/* Everything that a peer controls. */
typedef struct {
	gsize text;     /* octets of a command: lines and kept literals */
	gsize literal;  /* of one that is kept */
	guint values;   /* atoms, strings, lists */
	guint depth;    /* parentheses; at most TREE_DEPTH_MAX */
	guint64 stream; /* octets of a literal that is handed out */
	guint64 drain;  /* octets of a refused command that are read past before the connection is given up */
	gboolean secret; /* a password may be in it: it is overwritten when it is forgotten */
} ImapCommandLimits;
extern const ImapCommandLimits imap_limits_before_log_on, imap_limits_logged_on;

typedef enum {
	COMMAND_MORE,     /* all input was used */
	COMMAND_CONTINUE, /* the client waits for "+" before it sends a literal */
	COMMAND_LITERAL,  /* a message is announced, the arguments before it can be looked at */
	COMMAND_OCTETS,   /* a piece of it */
	COMMAND_DONE,     /* whole */
	COMMAND_BAD,      /* no command; what belongs to it is passed over by the next calls */
	COMMAND_LOST,     /* after BAD or a refusal: more to pass over than the limit */
} CommandStep;

typedef struct ImapCommand ImapCommand;
ImapCommand *imap_command_new (const ImapCommandLimits *limits);
void imap_command_free (ImapCommand *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ImapCommand, imap_command_free)
/* Between commands only. */
void imap_command_set_limits (ImapCommand *c, const ImapCommandLimits *limits);
/* Quoted strings may be UTF-8: IMAP4rev2, or after ENABLE UTF8=ACCEPT. */
void imap_command_allow_utf8 (ImapCommand *c, gboolean allow);

/* Nothing of a command has come that is not whole. */
gboolean imap_command_is_between (const ImapCommand *c);
/* Between commands only: what the last one was is no longer needed. */
void imap_command_forget (ImapCommand *c);

/* Takes from @input what the next step needs. What the functions below return stands until the next call. */
CommandStep imap_command_feed (ImapCommand *c, Slice input, gsize *used_out);
/* One line as it stands, without its end: answers to a SASL challenge, DONE of IDLE. MORE, DONE, BAD (over the limit), LOST. */
CommandStep imap_command_feed_line (ImapCommand *c, Slice input, gsize *used_out, Slice *line_out);

/* "*" where it can't be read. */
Slice imap_command_tag (const ImapCommand *c);
/* In upper case, without the UID before it. */
const char *imap_command_name (const ImapCommand *c);
gboolean imap_command_is (const ImapCommand *c, const char *name);
gboolean imap_command_is_uid (const ImapCommand *c);
/* The list of arguments. Messages of APPEND and REPLACE (RFC 9051 6.3.12, RFC 3502, RFC 4469, RFC 6855, RFC 8508), and those alone, are
 * handed out; a NODE_STREAM stands for each. */
const ImapNode *imap_command_args (const ImapCommand *c);
const ImapNode *imap_command_arg (const ImapCommand *c, guint i);

/* After COMMAND_LITERAL. */
guint64 imap_command_literal_size (const ImapCommand *c);
gboolean imap_command_literal_is_binary (const ImapCommand *c); /* ~{n}: may hold NUL. In others NUL is for the caller to refuse */
/* The octets come next. TRUE: the client waits for "+" first. */
gboolean imap_command_accept (ImapCommand *c);
/* The caller has answered (NO [TOOBIG], NO [TRYCREATE]): what the client sends of this command all the same is passed over. */
void imap_command_refuse (ImapCommand *c);
Slice imap_command_octets (const ImapCommand *c); /* within the input */

/* After COMMAND_BAD: for people, with the place. */
const char *imap_command_fault (const ImapCommand *c);
/* It is a limit that was exceeded. */
gboolean imap_command_is_too_big (const ImapCommand *c);
