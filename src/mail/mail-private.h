/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#pragma once
#include "mail.h"

#define FIELD_MAX 65536u     /* octets of one field that are looked at */
#define HEADER_VALUE_MAX 16384u /* octets of a value that are decoded for people */
#define FILENAME_MAX_OCTETS 1024u

static inline gboolean
mail_is_blank (char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline Slice
slice_of (const char *text, gsize size)
{
	return (Slice){text, size};
}

Slice mail_trim (Slice s); /* without blanks at both ends */

/* ---- Lines and fields ---- */

/* Which line ends a message has: a line ends with LF or CRLF, but in files of some old systems with CR alone (then LF and CRLF end
 * lines too). A CR within lines that end with LF is content. UNKNOWN: @size octets do not tell yet. */
typedef enum { LINES_LF, LINES_CR, LINES_UNKNOWN } LineEnds;
LineEnds mail_line_ends (const char *octets, gsize size);

/* The octets of a field's name at the start of a line, 0 when it is none; *colon_out is the colon's place. */
gsize mail_field_name (const char *line, gsize size, gsize *colon_out);

/* Fields of a header as it stands, up to the empty line; what is no field is passed over. */
typedef struct {
	const char *at, *end;
	LineEnds ends;
} FieldReader;
void field_reader_init (FieldReader *r, Slice header);
gboolean field_reader_next (FieldReader *r, Slice *name_out, Slice *value_out);

/* ---- Parameters (RFC 2045, RFC 2231) ---- */

#define PARAMETERS_MAX 100
/* "Text/Plain; charset=x": *main_out gets "text/plain" (lower case, no blanks, "" for none); @parameters, if not NULL, name and value in
 * turns (both owned by it; names in lower case). Continuations are joined; a value with a charset of its own keeps the name "x*". */
void mail_parameters_parse (Slice value, char **main_out, GPtrArray *parameters);
/* Borrowed; NULL: none. @parameters ends with NULL. */
const char *mail_parameter (char **parameters, const char *name);
/* Decoded for people (RFC 2231, else RFC 2047), valid UTF-8; NULL: none. */
char *mail_parameter_text (char **parameters, const char *name);
/* The octets of an RFC 2231 value, charset and language dropped (or set in *charset_out, owned). */
char *mail_extended_value (const char *value, char **charset_out);

/* ---- Charsets ---- */

/* Appends @size octets as valid UTF-8. @label may be NULL, unknown or a lie. What can't be read becomes U+FFFD. */
void charset_append (GString *out, const char *octets, gsize size, const char *label);
/* The same for a label that need not be NUL-terminated. */
void charset_append_slice (GString *out, const char *octets, gsize size, Slice label);
/* Makes @text (valid UTF-8) at most @max octets, cut at a character. */
void utf8_truncate (GString *text, gsize max);

/* ---- Encoded words ---- */

/* Appends @value with its encoded words (RFC 2047) and raw octets as UTF-8, otherwise unchanged. */
void mail_append_words (GString *out, Slice value);

/* ---- Addresses ---- */

/* As they stand: names and local parts without quoting, encoded words not decoded. NULL where absent. */
typedef struct {
	char *name, *route, *mailbox, *host;
} RawAddress;
typedef enum { ADDRESS_ONE, ADDRESS_GROUP_START, ADDRESS_GROUP_END } AddressKind;
typedef void (*AddressFn) (gpointer data, AddressKind kind, const RawAddress *a);
/* At most ADDRESSES_MAX calls. */
#define ADDRESSES_MAX 1000u
void mail_addresses_each (Slice value, AddressFn fn, gpointer data);

/* ---- Structure ---- */

struct MailStructure {
	GArray *parts;         /* MailPart */
	GStringChunk *strings; /* the parts' */
};
MailStructure *mail_structure_new (void);
/* Copies of @text that live as long as @m; NULL stays NULL. */
char *mail_structure_string (MailStructure *m, const char *text);
/* Takes name, value, ... out of @parameters but for the boundary and sets p->parameters and p->charset. */
void mail_structure_set_parameters (MailStructure *m, MailPart *p, GPtrArray *parameters);

gboolean mail_encoding_is (const MailPart *p, const char *encoding);

/* ---- Transfer encodings ---- */

typedef struct TransferDecoder TransferDecoder;
TransferDecoder *transfer_decoder_new (const char *encoding);
/* The octets of a part so encoded are not those that stand there. */
gboolean transfer_encoding_alters (const char *encoding);
void transfer_decoder_free (TransferDecoder *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TransferDecoder, transfer_decoder_free)
/* Appends what @size further octets decode to. */
void transfer_decoder_feed (TransferDecoder *d, GString *out, const char *octets, gsize size);
void transfer_decoder_end (TransferDecoder *d, GString *out);
/* Octets of @text that are base64, decoded; other octets are passed over, padding may stand anywhere. */
void base64_append (GString *out, Slice text);

/* One uuencoded line without its line end; FALSE: it is none. */
gboolean uu_line_append (GString *out, Slice line);
/* "begin 644 name": the name; FALSE: no such line. */
gboolean uu_begin (Slice line, Slice *name_out);

/* ---- Text ---- */

/* RFC 3676: joins what was wrapped. @text with LF line ends. */
char *mail_unflow (const char *text, gboolean delete_space);
