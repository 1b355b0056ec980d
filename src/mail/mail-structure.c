/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a structure, and keeping it: most messages are one part and take about ten octets. Serialised form, version 1:
 *   octet 1, varint number of parts, then each part, parents first, in their order:
 *   octet   bits 0-5 type and subtype (0: as words below), bit 6 has parts, bit 7 has the third octet
 *   octet   bits 0-2 encoding (0: as a word below), bits 3-7 parameters (0: none, 31: as words below, else one charset)
 *   octet   bits 0-1 disposition (3: as a word below), bit 2 has a filename, bit 3 has a Content-ID
 *   words   type, subtype, encoding, disposition, filename, Content-ID, number of parameters and their names and values, where so said
 *   varints number of parts within; header's distance from the end before it (or its parent's body), size of header, size of body, lines
 * A word is a varint: its number in `words` plus WORD_FIRST, WORD_FILENAME for the part's filename, or WORD_LITERAL, size and octets. */
#include "mail-private.h"
#include <string.h>

#define VERSION 1
#define PARAMETERS_NONE 0
#define PARAMETERS_WORDS 31
#define DISPOSITION_WORD 3
enum { HAS_PARTS = 0x40, HAS_MORE = 0x80, HAS_FILENAME = 4, HAS_CONTENT_ID = 8 };
enum { WORD_LITERAL, WORD_FILENAME, WORD_FIRST };

/* These tables are part of the format: only ever add at their ends. */
static const char *const types[] = {
	NULL, "text/plain", "text/html", "text/calendar", "text/csv", "text/rfc822-headers", "text/x-patch", "text/enriched",
	"multipart/mixed", "multipart/alternative", "multipart/related", "multipart/signed", "multipart/report", "multipart/encrypted",
	"multipart/digest", "multipart/parallel", "message/rfc822", "message/delivery-status", "message/disposition-notification",
	"message/partial", "message/external-body", "message/feedback-report", "message/global", "image/jpeg", "image/png", "image/gif",
	"image/bmp", "image/tiff", "image/svg+xml", "image/jpg", "audio/mpeg", "video/mp4", "application/pdf", "application/octet-stream",
	"application/zip", "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"application/vnd.openxmlformats-officedocument.presentationml.presentation", "application/vnd.oasis.opendocument.text",
	"application/rtf", "application/pgp-signature", "application/pgp-encrypted", "application/pgp-keys",
	"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pkcs7-mime", "application/x-pkcs7-mime",
	"application/ms-tnef", "application/ics", "application/json", "application/xml", "application/gzip",
};
static const char *const encodings[] = {NULL, "7bit", "8bit", "base64", "quoted-printable", "binary"};
static const char *const charsets[] = {
	NULL, "utf-8", "UTF-8", "us-ascii", "US-ASCII", "iso-8859-1", "ISO-8859-1", "windows-1252", "Windows-1252", "iso-8859-15",
	"ISO-8859-15", "iso-8859-2", "ISO-8859-2", "gb2312", "GB2312", "iso-2022-jp", "ISO-2022-JP", "big5", "Big5", "koi8-r", "KOI8-R",
	"windows-1251", "Windows-1251", "utf8", "UTF8", "gbk", "GBK", "euc-kr", "EUC-KR", "windows-1250", "ascii",
};
static const char *const dispositions[] = {NULL, "inline", "attachment"};
static const char *const words[] = {
	"charset", "format", "flowed", "delsp", "yes", "no", "name", "type", "protocol", "micalg", "report-type", "method", "utf-8", "UTF-8",
	"us-ascii", "iso-8859-1", "text/plain", "text/html", "multipart/alternative", "delivery-status", "disposition-notification",
	"application/pgp-signature", "application/pgp-encrypted", "application/pkcs7-signature", "application/x-pkcs7-signature", "pgp-sha1",
	"pgp-sha256", "pgp-sha512", "sha-256", "sha1", "sha-1", "REQUEST", "REPLY", "PUBLISH", "CANCEL", "iso-8859-15", "US-ASCII",
	"ISO-8859-1", "windows-1252", "x-unix-mode", "smime-type", "signed-data", "enveloped-data", "start", "reply-type", "original", "fixed",
};

/* ---- Parts ---- */

MailStructure *
mail_structure_new (void)
{
	MailStructure *m = g_new (MailStructure, 1);
	m->parts = g_array_sized_new (FALSE, FALSE, sizeof (MailPart), 4);
	m->strings = g_string_chunk_new (256);
	return m;
}

void
mail_structure_free (MailStructure *m)
{
	if (!m)
		return;
	for (guint i = 0; i < m->parts->len; i++)
		g_free (g_array_index (m->parts, MailPart, i).parameters);
	g_array_unref (m->parts);
	g_string_chunk_free (m->strings);
	g_free (m);
}

char *
mail_structure_string (MailStructure *m, const char *text)
{
	return text ? g_string_chunk_insert (m->strings, text) : NULL;
}

static char *
charset_in (MailStructure *m, char **parameters)
{
	const char *plain = mail_parameter (parameters, "charset"), *extended = plain ? NULL : mail_parameter (parameters, "charset*");
	g_autofree char *charset = extended ? mail_extended_value (extended, NULL) : g_strdup (plain);
	return charset && *g_strstrip (charset) ? mail_structure_string (m, charset) : NULL;
}

void
mail_structure_set_parameters (MailStructure *m, MailPart *p, GPtrArray *parameters)
{
	guint n = 0;
	char **all = g_new (char *, parameters->len + 1);
	for (guint i = 0; i < parameters->len; i += 2) {
		const char *name = parameters->pdata[i];
		if (strcmp (name, "boundary") == 0 || strcmp (name, "boundary*") == 0)
			continue;
		all[n++] = mail_structure_string (m, name);
		all[n++] = mail_structure_string (m, parameters->pdata[i + 1]);
	}
	all[n] = NULL;
	p->parameters = n ? all : NULL;
	if (!n)
		g_free (all);
	p->charset = charset_in (m, p->parameters);
}

guint
mail_structure_count (const MailStructure *m)
{
	return m->parts->len;
}

const MailPart *
mail_structure_part (const MailStructure *m, guint i)
{
	g_assert (i < m->parts->len);
	return &g_array_index (m->parts, MailPart, i);
}

gboolean
mail_encoding_is (const MailPart *p, const char *encoding)
{
	return strcmp (p->encoding, encoding) == 0;
}

/* ---- Sections (RFC 9051 section 6.4.5) ---- */

static const MailPart *
child (const MailStructure *m, const MailPart *p, guint number)
{
	guint parent = (guint) (p - mail_structure_part (m, 0));
	if (number == 0 || number > p->n_children)
		return NULL;
	for (guint i = parent + number; i < m->parts->len; i++) {
		const MailPart *c = mail_structure_part (m, i);
		if (c->parent == parent && c->number == number)
			return c;
	}
	return NULL;
}

/* Part @number of a message whose first part is @root. */
static const MailPart *
part_of_message (const MailStructure *m, const MailPart *root, guint number)
{
	return root->is_multipart ? child (m, root, number) : number == 1 ? root : NULL;
}

const MailPart *
mail_structure_find (const MailStructure *m, const char *section)
{
	const MailPart *p = mail_structure_part (m, 0);
	gboolean is_root = TRUE;
	while (p && *section) {
		guint number = 0;
		if (!g_ascii_isdigit (*section))
			return NULL;
		for (; g_ascii_isdigit (*section); section++)
			number = MIN (number * 10 + (guint) (*section - '0'), MAIL_PARTS_MAX + 1);
		if (*section == '.' && section[1])
			section++;
		else if (*section)
			return NULL;
		if (is_root)
			p = part_of_message (m, p, number);
		else
			p = p->is_message ? part_of_message (m, child (m, p, 1), number) : p->is_multipart ? child (m, p, number) : NULL;
		is_root = FALSE;
	}
	return p;
}

static void
append_section (const MailStructure *m, guint i, GString *out)
{
	guint numbers[MAIL_DEPTH_MAX + 1], n = 0;
	for (const MailPart *p = mail_structure_part (m, i);; i = p->parent, p = mail_structure_part (m, i)) {
		gboolean is_root = i == 0 || mail_structure_part (m, p->parent)->is_message;
		if (!is_root)
			numbers[n++] = p->number;
		else if (!p->is_multipart)
			numbers[n++] = 1;
		if (i == 0)
			break;
	}
	while (n)
		g_string_append_printf (out, "%u%s", numbers[n - 1], n > 1 ? "." : ""), n--;
}

char *
mail_part_section (const MailStructure *m, guint i)
{
	GString *section = g_string_new (NULL);
	if (i)
		append_section (m, i, section);
	return g_string_free (section, FALSE);
}

/* ---- Attachments ---- */

static gboolean
type_is (const MailPart *p, const char *type, const char *subtype)
{
	return strcmp (p->type, type) == 0 && (!subtype || strcmp (p->subtype, subtype) == 0);
}

static gboolean
is_multipart_of (const MailPart *p, const char *subtype)
{
	return p->is_multipart && strcmp (p->subtype, subtype) == 0;
}

/* Parts that a program put there for programs. */
static gboolean
is_machinery (const MailPart *p, const MailPart *around)
{
	if (p->depth == 0)
		return type_is (p, "application", "pkcs7-mime") || type_is (p, "application", "x-pkcs7-mime");
	if (is_multipart_of (around, "signed"))
		return p->number == 2;
	if (is_multipart_of (around, "report"))
		return p->number >= 2;
	return is_multipart_of (around, "encrypted");
}

gboolean
mail_part_is_attachment (const MailStructure *m, guint i)
{
	const MailPart *p = mail_structure_part (m, i), *around = mail_structure_part (m, p->parent);
	gboolean says_so = p->disposition && strcmp (p->disposition, "attachment") == 0, is_inner = i > 0;
	if (p->is_multipart || (is_inner && around->is_message) || is_machinery (p, around))
		return FALSE;
	if (says_so)
		return TRUE;
	if (p->is_message)
		return is_inner && (p->filename || is_multipart_of (around, "mixed"));
	if (type_is (p, "text", NULL))
		return p->filename && is_inner && !is_multipart_of (around, "alternative");
	if (is_inner && type_is (p, "image", NULL) && (is_multipart_of (around, "related") || is_multipart_of (around, "alternative")))
		return FALSE;
	return !(is_inner && is_multipart_of (around, "alternative") && type_is (p, "application", "ics"));
}

gboolean
mail_structure_has_attachment (const MailStructure *m)
{
	for (guint i = 0; i < m->parts->len; i++) {
		if (mail_part_is_attachment (m, i))
			return TRUE;
		/* What lies in a message within is that message's. */
		const MailPart *p = mail_structure_part (m, i);
		if (p->is_message)
			while (i + 1 < m->parts->len && mail_structure_part (m, i + 1)->depth > p->depth)
				i++;
	}
	return FALSE;
}

/* ---- Writing ---- */

static void
put_octet (GByteArray *out, guint octet)
{
	guint8 o = (guint8) octet;
	g_byte_array_append (out, &o, 1);
}

static void
put_varint (GByteArray *out, guint64 n)
{
	for (; n >= 0x80; n >>= 7)
		put_octet (out, (guint) (n & 0x7f) | 0x80);
	put_octet (out, (guint) n);
}

static guint
find_in (const char *const *table, gsize n, const char *text)
{
	for (guint i = 0; i < n; i++)
		if (table[i] && strcmp (table[i], text) == 0)
			return i;
	return G_MAXUINT;
}

static void
put_word (GByteArray *out, const char *word, const char *filename)
{
	guint known = find_in (words, G_N_ELEMENTS (words), word);
	if (known != G_MAXUINT) {
		put_varint (out, WORD_FIRST + known);
	} else if (filename && strcmp (word, filename) == 0) {
		put_varint (out, WORD_FILENAME);
	} else {
		put_varint (out, WORD_LITERAL);
		put_varint (out, strlen (word));
		g_byte_array_append (out, (const guint8 *) word, (guint) strlen (word));
	}
}

static guint
code_in (const char *const *table, gsize n, const char *text, guint otherwise)
{
	guint found = find_in (table, n, text);
	return found == G_MAXUINT ? otherwise : found;
}

static guint
type_code (const MailPart *p)
{
	gsize n = strlen (p->type);
	for (guint i = 1; i < G_N_ELEMENTS (types); i++)
		if (strncmp (types[i], p->type, n) == 0 && types[i][n] == '/' && strcmp (types[i] + n + 1, p->subtype) == 0)
			return i;
	return 0;
}

static guint
parameters_code (const MailPart *p)
{
	if (!p->parameters)
		return PARAMETERS_NONE;
	if (p->parameters[2] || strcmp (p->parameters[0], "charset") != 0)
		return PARAMETERS_WORDS;
	return code_in (charsets, G_N_ELEMENTS (charsets), p->parameters[1], PARAMETERS_WORDS);
}

static void
put_words (GByteArray *out, const MailPart *p, guint type, guint encoding, guint disposition, guint parameters)
{
	if (!type) {
		put_word (out, p->type, NULL);
		put_word (out, p->subtype, NULL);
	}
	if (!encoding)
		put_word (out, p->encoding, NULL);
	if (disposition == DISPOSITION_WORD)
		put_word (out, p->disposition, NULL);
	if (p->filename)
		put_word (out, p->filename, NULL);
	if (p->content_id)
		put_word (out, p->content_id, NULL);
	if (parameters != PARAMETERS_WORDS)
		return;
	guint n = g_strv_length (p->parameters);
	put_varint (out, n / 2);
	for (guint i = 0; i < n; i++)
		put_word (out, p->parameters[i], p->filename);
}

static void
put_part (GByteArray *out, const MailPart *p, guint64 before)
{
	guint type = type_code (p), encoding = code_in (encodings, G_N_ELEMENTS (encodings), p->encoding, 0), parameters = parameters_code (p);
	guint disposition = p->disposition ? code_in (dispositions, G_N_ELEMENTS (dispositions), p->disposition, DISPOSITION_WORD) : 0;
	guint more = disposition | (p->filename ? HAS_FILENAME : 0) | (p->content_id ? HAS_CONTENT_ID : 0);
	put_octet (out, type | (p->n_children ? HAS_PARTS : 0) | (more ? HAS_MORE : 0));
	put_octet (out, encoding | parameters << 3);
	if (more)
		put_octet (out, more);
	put_words (out, p, type, encoding, disposition, parameters);
	if (p->n_children)
		put_varint (out, (guint64) p->n_children << 1 | (p->is_message ? 1 : 0));
	put_varint (out, p->header - before);
	put_varint (out, p->body - p->header);
	put_varint (out, p->end - p->body);
	put_varint (out, p->lines);
}

GBytes *
mail_structure_serialise (const MailStructure *m)
{
	GByteArray *out = g_byte_array_sized_new (32);
	g_autofree guint64 *ends = g_new0 (guint64, m->parts->len); /* of each part's parts so far */
	put_octet (out, VERSION);
	put_varint (out, m->parts->len);
	for (guint i = 0; i < m->parts->len; i++) {
		const MailPart *p = mail_structure_part (m, i);
		put_part (out, p, i ? ends[p->parent] : 0);
		ends[i] = p->body;
		ends[p->parent] = i ? p->end : ends[0];
	}
	return g_byte_array_free_to_bytes (out);
}

/* ---- Reading what was written ---- */

typedef struct {
	const guint8 *at, *end;
	gboolean bad;
	MailStructure *m;
} Reader;

static guint
get_octet (Reader *r)
{
	if (r->at < r->end)
		return *r->at++;
	r->bad = TRUE;
	return 0;
}

static guint64
get_varint (Reader *r)
{
	guint64 n = 0;
	guint shift = 0, octet;
	do {
		octet = get_octet (r);
		n |= (guint64) (octet & 0x7f) << shift;
		shift += 7;
	} while (octet & 0x80 && shift < 56);
	r->bad |= (octet & 0x80) != 0;
	return n;
}

/* Borrowed from the structure's strings, or from @filename; "" when bad. */
static char *
get_word (Reader *r, char *filename)
{
	guint64 n = get_varint (r);
	if (n >= WORD_FIRST && n - WORD_FIRST < G_N_ELEMENTS (words))
		return (char *) words[n - WORD_FIRST];
	if (n == WORD_FILENAME && filename)
		return filename;
	gsize size = n == WORD_LITERAL ? (gsize) get_varint (r) : 0;
	if (n != WORD_LITERAL || size > (gsize) (r->end - r->at) || memchr (r->at, '\0', size)) {
		r->bad = TRUE;
		return (char *) "";
	}
	char *word = g_string_chunk_insert_len (r->m->strings, (const char *) r->at, (gssize) size);
	r->at += size;
	return word;
}

static void
get_type (Reader *r, MailPart *p, guint code)
{
	if (code == 0) {
		p->type = get_word (r, NULL);
		p->subtype = get_word (r, NULL);
	} else if (code < G_N_ELEMENTS (types)) {
		const char *slash = strchr (types[code], '/');
		p->type = g_string_chunk_insert_len (r->m->strings, types[code], slash - types[code]);
		p->subtype = (char *) slash + 1;
	} else
		r->bad = TRUE;
}

static void
get_parameters (Reader *r, MailPart *p, guint code)
{
	guint64 n = code == PARAMETERS_WORDS ? get_varint (r) : code != PARAMETERS_NONE;
	r->bad |= n > 2 * PARAMETERS_MAX || (code != PARAMETERS_WORDS && code >= G_N_ELEMENTS (charsets));
	if (r->bad || n == 0)
		return;
	p->parameters = g_new0 (char *, 2 * n + 1);
	if (code == PARAMETERS_WORDS) {
		for (guint i = 0; i < 2 * n; i++)
			p->parameters[i] = get_word (r, p->filename);
	} else {
		p->parameters[0] = (char *) words[0];
		p->parameters[1] = (char *) charsets[code];
	}
	p->charset = charset_in (r->m, p->parameters);
}

static void
get_words (Reader *r, MailPart *p, guint type, guint encoding, guint parameters, guint more)
{
	guint disposition = more & 3;
	get_type (r, p, type);
	r->bad |= encoding >= G_N_ELEMENTS (encodings);
	p->encoding = r->bad ? NULL : encoding ? (char *) encodings[encoding] : get_word (r, NULL);
	p->disposition = disposition == DISPOSITION_WORD ? get_word (r, NULL) : (char *) dispositions[disposition];
	p->filename = more & HAS_FILENAME ? get_word (r, NULL) : NULL;
	p->content_id = more & HAS_CONTENT_ID ? get_word (r, NULL) : NULL;
	get_parameters (r, p, parameters);
}

static void
get_places (Reader *r, MailPart *p, guint64 before, const MailPart *around)
{
	guint64 gap = get_varint (r), header = get_varint (r), body = get_varint (r);
	p->lines = get_varint (r);
	p->header = before + gap;
	p->body = p->header + header;
	p->end = p->body + body; /* each below 2^56: no overflow within the parts that are allowed */
	r->bad |= p->lines > body || p->end > G_MAXINT64 || (around && p->end > around->end);
}

typedef struct {
	guint part, left;
	guint64 before;
} Level;

static void
get_part (Reader *r, Level *levels, guint *n_levels)
{
	Level *l = *n_levels ? &levels[*n_levels - 1] : NULL;
	const MailPart *around = l ? mail_structure_part (r->m, l->part) : NULL;
	MailPart p = {.parent = l ? l->part : 0, .depth = *n_levels};
	guint kind = get_octet (r), codes = get_octet (r), more = kind & HAS_MORE ? get_octet (r) : 0;
	get_words (r, &p, kind & 0x3f, codes & 7, codes >> 3, more);
	guint64 parts = kind & HAS_PARTS && !r->bad ? get_varint (r) : 0;
	get_places (r, &p, l ? l->before : 0, around);
	p.is_message = parts & 1;
	p.is_multipart = parts && !p.is_message;
	p.n_children = (guint) MIN (parts >> 1, (guint64) MAIL_PARTS_MAX);
	r->bad |= (parts && p.n_children == 0) || (p.is_message && p.n_children != 1) || (p.n_children && *n_levels > MAIL_DEPTH_MAX - 1);
	if (l) {
		p.number = around->n_children - l->left + 1;
		l->before = p.end;
		l->left--;
	}
	g_array_append_val (r->m->parts, p);
	if (p.n_children && !r->bad)
		levels[(*n_levels)++] = (Level){r->m->parts->len - 1, p.n_children, p.body};
	while (*n_levels && levels[*n_levels - 1].left == 0)
		--*n_levels;
}

MailStructure *
mail_structure_unserialise (GBytes *octets)
{
	gsize size;
	const guint8 *data = g_bytes_get_data (octets, &size);
	if (size < 2 || data[0] != VERSION)
		return NULL;
	g_autoptr (MailStructure) m = mail_structure_new ();
	Reader r = {data + 1, data + size, FALSE, m};
	Level levels[MAIL_DEPTH_MAX + 1];
	guint n_levels = 0;
	guint64 n = get_varint (&r);
	r.bad |= n == 0 || n > MAIL_PARTS_MAX;
	for (guint64 i = 0; i < n && !r.bad && (i == 0 || n_levels); i++)
		get_part (&r, levels, &n_levels);
	return r.bad || m->parts->len != n || n_levels || r.at != r.end ? NULL : g_steal_pointer (&m);
}
