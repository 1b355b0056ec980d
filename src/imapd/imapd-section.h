/* SPDX-License-Identifier: Apache-2.0 */
/* BODY[...] and BINARY[...]: which octets of a message a section is (RFC 9051 section 6.4.5). */
#pragma once
#include "imap-tree.h"
#include "mail.h"
#include "store.h"

typedef enum { SECTION_ALL, SECTION_HEADER, SECTION_FIELDS, SECTION_FIELDS_NOT, SECTION_TEXT, SECTION_MIME } SectionText;

typedef struct {
	char *part;        /* "1.2", "" for the message */
	SectionText text;
	char **fields;     /* of FIELDS and FIELDS_NOT */
	gboolean partial;
	guint32 from, size; /* of partial */
} Section;
void section_clear (Section *s);
/* FALSE: @n has no section that is one. */
gboolean section_parse (const ImapNode *n, Section *s);
const char *section_text (const Section *s); /* "HEADER.FIELDS" */

/* A message that is read piece by piece. */
typedef struct {
	Store *store;
	gint64 message;
	guint64 size;
	GBytes *kept;            /* structure as stored; borrowed; NULL or empty: none */
	MailStructure *structure; /* lazily read */
} Source;
void source_clear (Source *s);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Source, source_clear)
/* Borrowed. NULL with error. */
const MailStructure *source_structure (Source *s, GError **error);
GBytes *source_read (gpointer source, guint64 offset, gsize size, GError **error); /* a MailReader */
/* The header of the message, at most MAIL_HEADER_MAX octets. */
GBytes *source_header (Source *s, GError **error);

/* The part that @s is of, NULL: there is none. FALSE with error. */
gboolean section_part (const Section *s, Source *source, const MailPart **part_out, GError **error);
/* The octets @from..@to of the message that @s is; or, where it is no range (fields), *made_out. *found_out FALSE: there is no such part. */
gboolean section_find (const Section *s, Source *source, guint64 *from_out, guint64 *to_out, GBytes **made_out, gboolean *found_out, GError **error);
