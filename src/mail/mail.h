/* SPDX-License-Identifier: Apache-2.0 */
/* A message's structure and its decoded contents. Two layers (docs/mail.md): our own one-pass scanner finds the parts and their octet
 * offsets, so that every part can be served from the original octets; decoding for people is behind it, guarded against what is known
 * to break the decoder. A broken message gives a poorer structure or text, never an error. Everything here is pure and thread-safe
 * for distinct objects.
 *
 * Limits: MAIL_DEPTH_MAX levels, MAIL_PARTS_MAX parts, MAIL_HEADER_MAX octets of header a part are looked at; what is beyond stays
 * content of the part around it. */
#pragma once
#include <glib.h>
#include "bytes.h"
#include "error.h"

#define MAIL_DEPTH_MAX 100
#define MAIL_PARTS_MAX 10000
#define MAIL_HEADER_MAX (1u << 20)

typedef struct {
	guint parent; /* index of the part around it; the first part (0) is the message itself and its own parent */
	guint depth;
	guint number; /* 1-based among its siblings, as in BODY[2.1]; 0 for the message itself */
	guint n_children;
	gboolean is_message; /* message/rfc822 or message/global: its only child is the message within, whose header is a message's */
	gboolean is_multipart;
	guint64 header;      /* offset of its header's first octet */
	guint64 body, end;   /* its content is body..end, without the line end before the next boundary */
	guint64 lines;       /* line ends within body..end */
	/* lower case; "text" "plain" when absent (multipart/digest: "message" "rfc822"), unreadable (but "application" "octet-stream" when it
	 * has a filename or is base64), or called multipart but without parts */
	char *type, *subtype;
	char *charset;       /* of the Content-Type, NULL */
	char *encoding;      /* lower case, "7bit" when absent */
	/* decoded (RFC 2231, RFC 2047), of Content-Disposition, else `name`; NULL. Valid UTF-8, but what the sender likes: slashes, dots. */
	char *filename;
	char *content_id;    /* without brackets, NULL */
	char *disposition;   /* lower case; NULL when absent */
	/* Of Content-Type but for the boundary: name, value, ..., NULL: names in lower case, values as octets without quoting. RFC 2231
	 * continuations are joined; one with a charset of its own is called "name*". NULL when there are none. */
	char **parameters;
} MailPart;

typedef struct MailStructure MailStructure;
guint mail_structure_count (const MailStructure *m); /* at least 1 */
const MailPart *mail_structure_part (const MailStructure *m, guint i);
/* "1.2", "" for the message itself; the part for it, or NULL. RFC 9051 section 6.4.5 numbering. */
const MailPart *mail_structure_find (const MailStructure *m, const char *section);
char *mail_part_section (const MailStructure *m, guint i);
/* A part that a person would call an attachment: disposition attachment, or a leaf with a filename or that is neither text nor
 * multipart; not inline pictures of an HTML text. */
gboolean mail_part_is_attachment (const MailStructure *m, guint i);
gboolean mail_structure_has_attachment (const MailStructure *m);
void mail_structure_free (MailStructure *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MailStructure, mail_structure_free)

/* One pass over the octets in pieces of any size; memory does not grow with the size of the message. */
typedef struct MailScanner MailScanner;
MailScanner *mail_scanner_new (void);
void mail_scanner_feed (MailScanner *s, const void *octets, gsize size);
MailStructure *mail_scanner_end (MailScanner *s); /* frees @s */
void mail_scanner_free (MailScanner *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MailScanner, mail_scanner_free)
MailStructure *mail_scan (const void *octets, gsize size);

/* For keeping in the store (message.structure). The first octet is a version; unserialise gives NULL for what it can't read, and the
 * caller scans again. */
GBytes *mail_structure_serialise (const MailStructure *m);
MailStructure *mail_structure_unserialise (GBytes *octets);

/* ---- Header fields ---- */
/* The value of the first field called @name (any case) of a header as it stands (folded), without the line end; data NULL: none.
 * @header may go on into the body, the empty line ends it. */
Slice mail_header_find (Slice header, const char *name);
/* The same for @n names (lower case) in one pass. With @wire only LF ends lines, as IMAP servers see fields; else CR alone does, too, in
 * messages that have it so. Returns whether this one has. */
gboolean mail_header_find_all (Slice header, gboolean wire, const char *const *names, Slice *values_out, gsize n);
/* Appends @value unfolded, its blanks squeezed to single spaces and trimmed, octets otherwise as they are. */
void mail_header_unfold (GString *out, Slice value);
/* Decoded for people: RFC 2047 words (neighbours joined, RFC 2231 language tags), raw UTF-8, raw 8-bit as windows-1252; unfolded,
 * blanks squeezed; valid UTF-8 of at most @max octets. */
char *mail_header_decode (Slice value, gsize max);
/* RFC 5322 date and what people send instead. Zone in minutes east. */
gboolean mail_date_parse (Slice value, gint64 *time_out, int *zone_out);
/* The next <id> in *rest without brackets; FALSE at the end. */
gboolean mail_next_id (Slice *rest, Slice *id_out);
/* Subject without "Re:", "Fwd:", "[list]" and such (RFC 5256 base subject), for display and threading of those without ids. */
/* *reply_out (may be NULL): whether a "Re:" or a "Fwd" of any kind was taken away. */
char *mail_base_subject (const char *subject, gboolean *reply_out);

typedef struct {
	char *name;    /* decoded; NULL */
	char *mailbox; /* local part; NULL: start or end of a group */
	char *host;    /* NULL in a group's start and end */
} MailAddress;
void mail_address_done (MailAddress *a);
/* Array of MailAddress (frees contents); at most 1000, empty for what can't be read. Guarded against deep nesting. */
GArray *mail_addresses_parse (Slice value);

/* ---- Contents ---- */
/* Gives octets offset..offset+size of the message (fewer at its end). */
typedef GBytes *(*MailReader) (gpointer data, guint64 offset, gsize size, GError **error);
/* The part's content with its transfer encoding undone (base64, quoted-printable, uuencode; broken ones as far as they go), at most
 * @max octets: what is beyond is left out. NULL only where @reader failed. */
GBytes *mail_part_decode (const MailPart *p, MailReader reader, gpointer data, gsize max, GError **error);
/* Piecewise, for big ones. */
typedef gboolean (*MailSink) (gpointer data, const void *octets, gsize size, GError **error);
gboolean mail_part_stream (const MailPart *p, MailReader reader, gpointer reader_data, MailSink sink, gpointer sink_data, GError **error);
/* A text part as UTF-8 (charset undone, labels that lie survive; HTML as readable text, format=flowed joined); line ends LF. Empty for
 * parts that are no text. NULL only where @reader failed. */
char *mail_part_text (const MailPart *p, MailReader reader, gpointer data, gsize max, GError **error);
/* HTML (UTF-8) as readable text: blocks on lines of their own, links not shown, scripts and styles left out. Linear time. */
char *mail_html_to_text (const char *html, gsize size, gsize max);
/* What a person reads: of alternatives the plain text, else the HTML as text; all inline text parts in order, nested messages too.
 * NULL only where @reader failed. */
char *mail_text (const MailStructure *m, MailReader reader, gpointer data, gsize max, GError **error);
/* For searching: texts of all parts, of alternatives each (HTML only where it says more), names of attachments apart in
 * *names_out (may be NULL). */
char *mail_search_text (const MailStructure *m, MailReader reader, gpointer data, gsize max, char **names_out, GError **error);
