/* SPDX-License-Identifier: Apache-2.0 */
/* A server's responses, read piecewise from a connection's input (RFC 9051 section 9, "response"). Tolerant: what servers are known
 * to get wrong is read as it was meant (blanks at the end, no text, bare LF, empty lines, names without quotes); a response of an
 * unknown name has the arguments that could be read of it.
 *
 * Limits, each a TOO_BIG or PROTOCOL error: 200 000 values (atoms, strings, lists) and 200 levels of parentheses; 4 MiB of text with
 * the literals up to 1 MiB, which are kept in memory; 64 MiB for the four responses that name messages only (SEARCH, SORT, ESEARCH,
 * VANISHED: these cost their text and no more); 16 literals over 1 MiB, each an unlinked file of at most 4 GiB in $TMPDIR (/var/tmp);
 * a million ranges of a set. */
#pragma once
#include <glib.h>
#include "bytes.h"
#include "error.h"
#include "imap-tree.h"
#include "uid-set.h"

#define IMAP_REPLY_VALUES 200000
#define IMAP_REPLY_DEPTH TREE_DEPTH_MAX
#define IMAP_REPLY_TEXT (4u << 20)
#define IMAP_REPLY_NUMBERS_TEXT (64u << 20)
#define IMAP_REPLY_SPOOL (1u << 20)
#define IMAP_REPLY_FILES 16
#define IMAP_REPLY_LITERAL (G_GUINT64_CONSTANT (4) << 30)
#define IMAP_REPLY_RANGES 1000000

typedef struct ImapReply ImapReply;
typedef struct ImapReply ImapResponse;
ImapReply *imap_reply_new (void);
void imap_reply_free (ImapReply *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ImapReply, imap_reply_free)
/* Takes from @input what belongs to the current response; *used_out tells how much. *complete_out: it is whole and may be looked at
 * until the next call. PROTOCOL for what is no response, TOO_BIG over a limit, NO_SPACE and IO for the file of a literal; after an
 * error the place in the stream is lost. */
gboolean imap_reply_feed (ImapReply *r, Slice input, gsize *used_out, gboolean *complete_out, GError **error);

typedef enum { REPLY_UNTAGGED, REPLY_TAGGED, REPLY_CONTINUATION } ReplyKind;
ReplyKind reply_kind (const ImapResponse *r);
Slice reply_tag (const ImapResponse *r);
/* The response's name is @name ("FETCH" also of "* 3 FETCH"). */
gboolean reply_is (const ImapResponse *r, const char *name);
Slice reply_name (const ImapResponse *r); /* as it was written */
guint32 reply_number (const ImapResponse *r); /* 3 of "* 3 FETCH" */
/* The values behind the name. SEARCH and SORT have none: a folder can have a million messages; see reply_next_number. */
const ImapNode *reply_arg (const ImapResponse *r, guint i);
Slice reply_text (const ImapResponse *r, guint i);

/* OK, NO, BAD, BYE, PREAUTH, with or without tag. */
gboolean reply_is_status (const ImapResponse *r);
const char *reply_code (const ImapResponse *r);      /* upper case, "" none */
const char *reply_code_args (const ImapResponse *r); /* text behind the code, "" none */
guint64 reply_code_number (const ImapResponse *r);
char *reply_code_id (const ImapResponse *r); /* of "MAILBOXID (id)" */
gboolean reply_code_has (const ImapResponse *r, const char *word);
/* The human text of a status response (at most 400 octets of UTF-8), all of a continuation's. */
const char *reply_human (const ImapResponse *r);

/* Adds the UIDs of VANISHED, or of SEARCH or ESEARCH (ALL and PARTIAL). */
void reply_take_vanished (const ImapResponse *r, UidSet *set);
gboolean reply_vanished_earlier (const ImapResponse *r);
void reply_take_search (const ImapResponse *r, UidSet *set);
/* MODSEQ of SEARCH, SORT or ESEARCH (RFC 7162 3.1.5, 3.1.6); 0: none. */
guint64 reply_search_modseq (const ImapResponse *r);
/* What ESEARCH says of @item ("MIN", "COUNT", "ALL", "PARTIAL"), NULL: nothing. */
const ImapNode *reply_esearch_item (const ImapResponse *r, const char *item);
/* The tag of the command that an ESEARCH answers; empty: none is named. */
Slice reply_esearch_tag (const ImapResponse *r);
/* Numbers of SEARCH and SORT in order: Slice rest = reply_numbers (r); while (reply_next_number (&rest, &n)) ... */
Slice reply_numbers (const ImapResponse *r);
gboolean reply_next_number (Slice *rest, guint32 *n_out);
