/* SPDX-License-Identifier: Apache-2.0 */
/* Writes responses and commands: what stands here is read back as the same by imap-reply.h and imap-command.h. Blanks between values are
 * the writer's business. Words given as "const char *" for names, codes and items are the program's own and asserted to be words;
 * everything else may hold any octets, and is written so that it can't end a line or a string. */
#pragma once
#include <glib.h>
#include "bytes.h"
#include "imap-set.h"
#include "uid-set.h"

typedef enum {
	LITERALS_SERVER, /* {n}: a client never makes a server wait */
	LITERALS_WAIT,   /* {n}, and the client waits for "+" */
	LITERALS_MINUS,  /* LITERAL- (RFC 7888): {n+} up to 4096 octets */
	LITERALS_PLUS,   /* LITERAL+: {n+} */
} ImapLiterals;

typedef struct {
	GString *text;         /* what was written; the caller may send and empty it at any time, stops too */
	ImapLiterals literals;
	gboolean utf8;         /* the peer takes UTF-8 in quoted strings and names (IMAP4rev2, UTF8=ACCEPT) */
	gboolean binary;       /* the peer takes literal8 */
	GArray *stops;         /* of gsize: up to where @text may go before "+" has come */
	gboolean gap;          /* a blank is due before the next value */
} ImapWriter;
void imap_writer_init (ImapWriter *w, ImapLiterals literals);
void imap_writer_clear (ImapWriter *w);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ImapWriter, imap_writer_clear)

/* ---- Lines ---- */
void imap_write_untagged (ImapWriter *w, const char *name);                   /* "* LIST" */
void imap_write_numbered (ImapWriter *w, guint32 number, const char *name);   /* "* 3 FETCH" */
void imap_write_command (ImapWriter *w, const char *tag, const char *name);   /* "a1 UID FETCH" */
void imap_write_continuation (ImapWriter *w, const char *text);               /* all of it, with CRLF */
void imap_write_end (ImapWriter *w);                                          /* CRLF */
/* "a1 NO [TRYCREATE] No such folder", with CRLF. @tag NULL: "*". @code NULL: none. */
void imap_write_status (ImapWriter *w, const char *tag, const char *word, const char *code, const char *text);
/* The same with a code that has arguments: begin, values, end. */
void imap_write_status_begin (ImapWriter *w, const char *tag, const char *word, const char *code);
void imap_write_status_end (ImapWriter *w, const char *text);

/* ---- Values ---- */
void imap_write_word (ImapWriter *w, const char *word);
void imap_write_number (ImapWriter *w, guint64 number);
void imap_write_nil (ImapWriter *w);
void imap_write_open (ImapWriter *w);
void imap_write_close (ImapWriter *w);
/* The next value follows without a blank: ((...)(...)). */
void imap_write_join (ImapWriter *w);
/* Quoted where that can be; as a literal where there are CR, LF, 8-bit octets that are no UTF-8 or may not be, or many octets. NUL, which
 * only literal8 holds, becomes octet 0x80 for a peer without it: the size stays what was promised. */
void imap_write_string (ImapWriter *w, Slice text);
void imap_write_nstring (ImapWriter *w, Slice text); /* data NULL: NIL */
void imap_write_astring (ImapWriter *w, Slice text); /* as an atom where that can be */
/* For octets that the caller sends itself: announces @size of them; then comes what else is written. */
void imap_write_literal (ImapWriter *w, guint64 size, gboolean literal8);
/* A folder's whole name in UTF-8; in modified UTF-7 unless w->utf8. Patterns keep % and *. */
void imap_write_mailbox (ImapWriter *w, const char *name);
void imap_write_pattern (ImapWriter *w, const char *pattern);
/* "(\Seen foo)": bits as in imap-text.h; keywords with blanks between, NULL: none. Those that are no atoms are left out. */
void imap_write_flags (ImapWriter *w, guint flags, const char *keywords);
void imap_write_date (ImapWriter *w, gint64 time, int zone); /* INTERNALDATE's form */
void imap_write_day (ImapWriter *w, gint64 day);             /* SEARCH's */
void imap_write_uids (ImapWriter *w, const UidSet *set);     /* not empty */
void imap_write_set (ImapWriter *w, const ImapSet *set);
/* BODY[HEADER.FIELDS (A B)]<0>: @part "2.1" or "", @text "HEADER.FIELDS", "MIME" or "", @fields NULL-terminated or NULL, @partial
 * "0", "0.100" or NULL. */
void imap_write_section (ImapWriter *w, const char *name, const char *part, const char *text, const char *const *fields,
                         const char *partial);

/* ---- Responses ---- */
/* LIST, LSUB, XLIST. */
typedef struct {
	const char *const *attributes; /* "\HasChildren", NULL-terminated */
	char delimiter;                /* 0: flat */
	const char *name;              /* UTF-8 */
	const char *const *childinfo;  /* "SUBSCRIBED", NULL-terminated; NULL: none (RFC 5258) */
	const char *old_name;          /* NULL: none (RFC 5465, RFC 9051) */
} ImapListed;
void imap_write_listed (ImapWriter *w, const char *response, const ImapListed *l);

typedef struct {
	const char *item; /* "UIDNEXT" */
	guint64 number;
	const char *id;   /* of MAILBOXID: in parentheses; else NULL */
	gboolean nil;     /* of APPENDLIMIT without one */
} ImapStatusItem;
void imap_write_status_items (ImapWriter *w, const char *name, const ImapStatusItem *items, guint n);

typedef struct {
	const char *prefix; /* UTF-8 */
	char delimiter;
} ImapSpace;
/* One of the three of NAMESPACE; none: NIL. */
void imap_write_spaces (ImapWriter *w, const ImapSpace *spaces, guint n);

typedef struct {
	const char *tag;           /* of the command; NULL: none */
	gboolean uid;
	guint32 min, max;          /* 0: not told */
	const UidSet *all;         /* NULL or empty: not told */
	gboolean has_count;
	guint32 count;
	gint64 partial_from, partial_to; /* 0: not told */
	const UidSet *partial;     /* of that range; empty: NIL */
	guint64 modseq;            /* 0: not told */
} ImapEsearch;
void imap_write_esearch (ImapWriter *w, const ImapEsearch *e);
/* SEARCH or SORT. */
void imap_write_numbers (ImapWriter *w, const char *response, const guint32 *numbers, guint n, guint64 modseq);
void imap_write_vanished (ImapWriter *w, gboolean earlier, const UidSet *uids);
/* ("name" "outpost" "os" NIL); no pairs: NIL. Also for METADATA's and others' lists of pairs of strings. */
void imap_write_pairs (ImapWriter *w, const Slice *pairs, guint n_strings);
/* Status responses, with CRLF. */
void imap_write_appenduid (ImapWriter *w, const char *tag, guint32 uidvalidity, const ImapSet *uids, const char *text);
void imap_write_copyuid (ImapWriter *w, const char *tag, guint32 uidvalidity, const ImapSet *from, const ImapSet *to, const char *text);
/* FETCH items in parentheses: MODSEQ (7), EMAILID (M1), THREADID NIL (@id NULL). */
void imap_write_modseq (ImapWriter *w, guint64 modseq);
void imap_write_object_id (ImapWriter *w, const char *item, const char *id);

/* ---- ENVELOPE and BODYSTRUCTURE ---- */
typedef struct {
	Slice name, route, mailbox, host; /* data NULL: NIL */
} ImapAddress;
typedef struct {
	const ImapAddress *list;
	guint n; /* 0: NIL */
} ImapAddresses;
typedef struct {
	Slice date, subject; /* data NULL: NIL */
	ImapAddresses from, sender, reply_to, to, cc, bcc;
	Slice in_reply_to, message_id;
} ImapEnvelope;
void imap_write_envelope (ImapWriter *w, const ImapEnvelope *e);

typedef struct {
	const Slice *strings; /* name, value, name, value */
	guint n;              /* strings; 0: NIL */
} ImapParameters;
typedef struct ImapBody ImapBody;
struct ImapBody {
	Slice type, subtype;
	ImapParameters parameters;
	Slice id, description; /* data NULL: NIL */
	Slice encoding;        /* data NULL: "7BIT" */
	guint64 octets, lines; /* lines: of text and message/rfc822 */
	const ImapEnvelope *envelope; /* message/rfc822, which then has one child; NULL: all else */
	const ImapBody *children;
	guint n_children;
	gboolean is_multipart;
	/* extension data */
	Slice md5, disposition;
	ImapParameters disposition_parameters;
	ImapParameters languages; /* strings */
	Slice location;
};
/* @extended: as BODYSTRUCTURE, with extension data; else as BODY. */
void imap_write_body (ImapWriter *w, const ImapBody *b, gboolean extended);
