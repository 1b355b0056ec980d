/* SPDX-License-Identifier: Apache-2.0 */
/* Transfer encodings (RFC 2045 section 6), undone in pieces of any size with the same result; broken ones as far as they go. */
#include "mail-private.h"
#include <string.h>

#define PIECE (64u << 10)
#define BLANKS_MAX 1024u /* blanks that may end a quoted-printable line */
#define UU_LINE_MAX 256u
#define BASE64_LINE 1000u

/* ---- Base64 ---- */

/* 64: padding; 65: passed over. */
static const guint8 base64_values[256] = {
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 62, 65, 65, 65, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 65, 65, 65, 64, 65, 65,
	65, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 65, 65, 65, 65, 65,
	65, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
	65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65,
};

typedef struct {
	guint32 bits;
	guint n;         /* sextets in bits */
	gboolean padded; /* the last quantum ended with padding */
	gboolean any;    /* something was decoded */
	gboolean done;   /* what comes is no base64 */
	GString *line;   /* one that goes on in the next piece; NULL in encoded words */
	gboolean within; /* a line of which enough was seen */
} Base64;

/* Padding, or the end: what is there of a quantum counts, a new one begins. */
static char *
base64_flush (Base64 *b, char *to)
{
	if (b->n >= 2)
		*to++ = (char) (b->bits >> (6 * b->n - 8));
	if (b->n == 3)
		*to++ = (char) (b->bits >> 2);
	b->bits = 0;
	b->n = 0;
	return to;
}

static void
base64_decode (Base64 *b, GString *out, const char *octets, gsize size)
{
	gsize start = out->len;
	g_string_set_size (out, start + size / 4 * 3 + 6);
	char *to = out->str + start;
	for (gsize i = 0; i < size; i++) {
		guint v = base64_values[(guint8) octets[i]];
		if (v < 64) {
			b->bits = b->bits << 6 | v;
			if (++b->n == 4) {
				*to++ = (char) (b->bits >> 16);
				*to++ = (char) (b->bits >> 8);
				*to++ = (char) b->bits;
				b->bits = 0;
				b->n = 0;
			}
			b->any = TRUE;
			b->padded = FALSE;
		} else if (v == 64 && b->n) {
			to = base64_flush (b, to);
			b->padded = TRUE;
		}
	}
	g_string_truncate (out, (gsize) (to - out->str));
}

static void
base64_end (Base64 *b, GString *out)
{
	char rest[2];
	g_string_append_len (out, rest, base64_flush (b, rest) - rest);
}

/* Lists add their footer behind the last line, where it would be decoded to nonsense. Base64 behind padding goes on, though. */
static gboolean
is_footer (const Base64 *b, Slice line)
{
	gsize foreign = 0;
	line = mail_trim (line);
	for (gsize i = 0; i < line.size; i++)
		foreign += base64_values[(guint8) line.data[i]] == 65;
	if (!b->any || !line.size)
		return FALSE;
	return b->padded ? *line.data != '=' && (foreign > 0 || line.size % 4) : foreign >= 3;
}

/* The first BASE64_LINE octets tell. */
static void
base64_line (Base64 *b, GString *out, const char *octets, gsize size)
{
	b->done = is_footer (b, slice_of (octets, MIN (size, (gsize) BASE64_LINE)));
	if (!b->done)
		base64_decode (b, out, octets, size);
}

/* The rest of a line, or what there is of it in this piece. */
static void
base64_take (Base64 *b, GString *out, const char *octets, gsize size, gboolean ended)
{
	if (b->within) {
		base64_decode (b, out, octets, size);
	} else if (ended && !b->line->len) {
		base64_line (b, out, octets, size);
	} else {
		gsize kept = MIN (size, BASE64_LINE - b->line->len);
		g_string_append_len (b->line, octets, (gssize) kept);
		if (!ended && kept == size)
			return;
		base64_line (b, out, b->line->str, b->line->len);
		g_string_truncate (b->line, 0);
		if (!b->done)
			base64_decode (b, out, octets + kept, size - kept);
		b->within = TRUE;
	}
	b->within = b->within && !ended;
}

static void
base64_feed (Base64 *b, GString *out, const char *octets, gsize size)
{
	while (size && !b->done) {
		const char *lf = memchr (octets, '\n', size);
		gsize n = lf ? (gsize) (lf - octets) : size;
		base64_take (b, out, octets, n, lf != NULL);
		octets += n + (lf != NULL);
		size -= n + (lf != NULL);
	}
}

void
base64_append (GString *out, Slice text)
{
	Base64 b = {0};
	base64_decode (&b, out, text.data, text.size);
	base64_end (&b, out);
}

/* ---- Quoted-printable ---- */

typedef struct {
	char held[2]; /* "=" or "=X" */
	guint n;
	gboolean soft;   /* "=" and CR: a LF belongs to it */
	GString *blanks; /* that may end a line */
} Quoted;

static void
release_blanks (Quoted *q, GString *out)
{
	g_string_append_len (out, q->blanks->str, (gssize) q->blanks->len);
	g_string_truncate (q->blanks, 0);
}

static void
quoted_octet (Quoted *q, GString *out, char c)
{
	if (c == ' ' || c == '\t') {
		g_string_append_c (q->blanks, c);
		if (q->blanks->len == BLANKS_MAX)
			release_blanks (q, out);
		return;
	}
	if (c == '\n' || c == '\r')
		g_string_truncate (q->blanks, 0); /* added on the way */
	release_blanks (q, out);
	if (c == '=')
		q->held[q->n++] = c;
	else
		g_string_append_c (out, c);
}

/* The octet after "=" or "=X". */
static void
quoted_escape (Quoted *q, GString *out, char c)
{
	if (q->n == 1 && (c == ' ' || c == '\t') && q->blanks->len < BLANKS_MAX) {
		g_string_append_c (q->blanks, c);
	} else if (q->n == 1 && (c == '\r' || c == '\n')) {
		g_string_truncate (q->blanks, 0);
		q->soft = c == '\r';
		q->n = 0;
	} else if (q->n == 1 && g_ascii_isxdigit (c) && !q->blanks->len) {
		q->held[q->n++] = c;
	} else if (q->n == 2 && g_ascii_isxdigit (c)) {
		g_string_append_c (out, (char) (g_ascii_xdigit_value (q->held[1]) << 4 | g_ascii_xdigit_value (c)));
		q->n = 0;
	} else { /* no escape after all */
		g_string_append_len (out, q->held, (gssize) q->n);
		q->n = 0;
		quoted_octet (q, out, c);
	}
}

static gboolean
is_ordinary (char c)
{
	return c != '=' && !mail_is_blank (c);
}

static void
quoted_feed (Quoted *q, GString *out, const char *octets, gsize size)
{
	for (gsize i = 0; i < size; i++) {
		if (q->soft) {
			q->soft = FALSE;
			if (octets[i] == '\n')
				continue;
		}
		if (q->n) {
			quoted_escape (q, out, octets[i]);
			continue;
		}
		gsize run = i;
		while (run < size && is_ordinary (octets[run]))
			run++;
		if (run > i) {
			release_blanks (q, out);
			g_string_append_len (out, octets + i, (gssize) (run - i));
			i = run;
		}
		if (i < size)
			quoted_octet (q, out, octets[i]);
	}
}

static void
quoted_end (Quoted *q, GString *out)
{
	if (q->n == 2)
		g_string_append_len (out, q->held, 2);
	q->n = 0;
	g_string_truncate (q->blanks, 0);
}

/* ---- Uuencode ---- */

gboolean
uu_begin (Slice line, Slice *name_out)
{
	line = mail_trim (line);
	if (line.size < 11 || memcmp (line.data, "begin ", 6) != 0)
		return FALSE;
	gsize at = 6;
	while (at < line.size && line.data[at] >= '0' && line.data[at] <= '7')
		at++;
	if (at < 9 || at > 10 || at >= line.size || line.data[at] != ' ')
		return FALSE;
	*name_out = mail_trim (slice_of (line.data + at, line.size - at));
	return name_out->size > 0;
}

gboolean
uu_line_append (GString *out, Slice line)
{
	while (line.size && (line.data[line.size - 1] == '\r' || line.data[line.size - 1] == '\n'))
		line.size--;
	if (line.size == 0 || line.data[0] < ' ' || line.data[0] > '`' + 1)
		return FALSE;
	guint length = (guint) (line.data[0] - ' ') & 63;
	gsize need = (length + 2) / 3 * 4; /* blanks at the end may be lost, a sum may follow */
	if (line.size > 1 + need + 2 || (length && line.size < 2))
		return FALSE;
	for (guint got = 0, at = 1; got < length; at += 4) {
		guint32 bits = 0;
		for (guint i = 0; i < 4; i++) {
			char c = at + i < line.size ? line.data[at + i] : ' ';
			if (c < ' ' || c > '`' + 1)
				return FALSE;
			bits = bits << 6 | ((guint) (c - ' ') & 63);
		}
		for (guint i = 0; i < 3 && got < length; i++, got++)
			g_string_append_c (out, (char) (bits >> (16 - 8 * i)));
	}
	return TRUE;
}

typedef struct {
	GString *line;
	gboolean inside, done;
} Uu;

static void
uu_line (Uu *u, GString *out)
{
	Slice line = slice_of (u->line->str, u->line->len), name;
	gsize before = out->len;
	if (!u->inside)
		u->inside = uu_begin (line, &name);
	else if (slice_equals (mail_trim (line), "end"))
		u->inside = FALSE, u->done = TRUE;
	else if (!uu_line_append (out, line))
		g_string_truncate (out, before);
	g_string_truncate (u->line, 0);
}

static void
uu_feed (Uu *u, GString *out, const char *octets, gsize size)
{
	for (gsize i = 0; i < size && !u->done; i++) {
		if (octets[i] == '\n')
			uu_line (u, out);
		else if (u->line->len < UU_LINE_MAX)
			g_string_append_c (u->line, octets[i]);
	}
}

/* ---- One face ---- */

typedef enum { IDENTITY, BASE64, QUOTED, UU } Encoding;

static Encoding
encoding_named (const char *name)
{
	static const struct {
		const char *name;
		Encoding encoding;
	} names[] = {{"base64", BASE64}, {"quoted-printable", QUOTED}, {"x-uuencode", UU}, {"uuencode", UU}, {"x-uue", UU}, {"uue", UU}};
	for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
		if (strcmp (name, names[i].name) == 0)
			return names[i].encoding;
	return IDENTITY;
}

gboolean
transfer_encoding_alters (const char *encoding)
{
	return encoding_named (encoding) != IDENTITY;
}

struct TransferDecoder {
	Encoding kind;
	Base64 base64;
	Quoted quoted;
	Uu uu;
};

TransferDecoder *
transfer_decoder_new (const char *encoding)
{
	TransferDecoder *d = g_new0 (TransferDecoder, 1);
	d->kind = encoding_named (encoding);
	if (d->kind == BASE64)
		d->base64.line = g_string_new (NULL);
	if (d->kind == QUOTED)
		d->quoted.blanks = g_string_new (NULL);
	if (d->kind == UU)
		d->uu.line = g_string_new (NULL);
	return d;
}

void
transfer_decoder_free (TransferDecoder *d)
{
	if (!d)
		return;
	if (d->base64.line)
		g_string_free (d->base64.line, TRUE);
	if (d->quoted.blanks)
		g_string_free (d->quoted.blanks, TRUE);
	if (d->uu.line)
		g_string_free (d->uu.line, TRUE);
	g_free (d);
}

void
transfer_decoder_feed (TransferDecoder *d, GString *out, const char *octets, gsize size)
{
	if (d->kind == BASE64)
		base64_feed (&d->base64, out, octets, size);
	else if (d->kind == QUOTED)
		quoted_feed (&d->quoted, out, octets, size);
	else if (d->kind == UU)
		uu_feed (&d->uu, out, octets, size);
	else
		g_string_append_len (out, octets, (gssize) size);
}

void
transfer_decoder_end (TransferDecoder *d, GString *out)
{
	if (d->kind == BASE64) {
		if (d->base64.line->len && !d->base64.done)
			base64_line (&d->base64, out, d->base64.line->str, d->base64.line->len);
		base64_end (&d->base64, out);
	}
	if (d->kind == QUOTED)
		quoted_end (&d->quoted, out);
	else if (d->kind == UU && d->uu.line->len && !d->uu.done)
		uu_line (&d->uu, out);
}

/* ---- Parts ---- */

static gboolean
pass_on (GString *out, MailSink sink, gpointer data, GError **error)
{
	gboolean ok = out->len == 0 || sink (data, out->str, out->len, error);
	g_string_truncate (out, 0);
	return ok;
}

gboolean
mail_part_stream (const MailPart *p, MailReader reader, gpointer reader_data, MailSink sink, gpointer sink_data, GError **error)
{
	gboolean whole = p->is_multipart || p->is_message;
	g_autoptr (TransferDecoder) d = transfer_decoder_new (whole ? "7bit" : p->encoding);
	g_autoptr (GString) out = g_string_sized_new (PIECE);
	for (guint64 at = p->body; at < p->end;) {
		g_autoptr (GBytes) octets = reader (reader_data, at, (gsize) MIN (p->end - at, (guint64) PIECE), error);
		if (!octets)
			return FALSE;
		gsize size;
		const char *data = g_bytes_get_data (octets, &size);
		if (size == 0)
			break;
		size = (gsize) MIN ((guint64) size, p->end - at);
		transfer_decoder_feed (d, out, data, size);
		if (!pass_on (out, sink, sink_data, error))
			return FALSE;
		at += size;
	}
	transfer_decoder_end (d, out);
	return pass_on (out, sink, sink_data, error);
}

typedef struct {
	GString *out;
	gsize max;
	gboolean full;
} Collected;

/* FALSE without an error: enough. */
static gboolean
collect (gpointer data, const void *octets, gsize size, GError **error)
{
	Collected *c = data;
	g_string_append_len (c->out, octets, (gssize) MIN (size, c->max - c->out->len));
	c->full = c->out->len == c->max;
	return !c->full;
}

GBytes *
mail_part_decode (const MailPart *p, MailReader reader, gpointer data, gsize max, GError **error)
{
	Collected c = {g_string_new (NULL), max, max == 0};
	if (!c.full && !mail_part_stream (p, reader, data, collect, &c, error) && !c.full) {
		g_string_free (c.out, TRUE);
		return NULL;
	}
	return g_string_free_to_bytes (c.out);
}
