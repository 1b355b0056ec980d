/* SPDX-License-Identifier: Apache-2.0 */
/* What listing, threading and evidence need from a message's header (RFC 5322, RFC 2047). A broken message gives fewer fields, never
 * an error. Values are read up to VALUE_MAX octets; the text that comes out is at most TEXT_MAX. */
#include "store-private.h"
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 16384u
#define TEXT_MAX 4096u
#define ID_MAX 998u
#define CHARSET_MAX 40u

typedef enum { FROM, TO, CC, DATE, SUBJECT, MESSAGE_ID, REFERENCES, IN_REPLY_TO, CONTENT_TYPE, N_FIELDS } Field;

static const char *const names[N_FIELDS] = {"from", "to", "cc", "date", "subject", "message-id", "references", "in-reply-to",
                                            "content-type"};
static const Field evidence[] = {FROM, TO, DATE, SUBJECT, MESSAGE_ID};

static gboolean
is_blank (char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* ---- Fields ---- */

static void
note_field (Slice line, Slice fields[N_FIELDS])
{
	const char *colon = memchr (line.data, ':', line.size);
	if (!colon)
		return;
	Slice name = {line.data, (gsize) (colon - line.data)};
	while (name.size && is_blank (name.data[name.size - 1]))
		name.size--;
	for (int i = 0; i < N_FIELDS; i++)
		if (!fields[i].data && slice_equals_ascii_case (name, names[i]))
			fields[i] = (Slice){colon + 1, MIN ((gsize) (line.data + line.size - colon - 1), VALUE_MAX)};
}

/* The first field of each name, folded as it stands; absent ones have data NULL. Returns the header's size. */
static gsize
read_fields (const char *head, gsize size, Slice fields[N_FIELDS])
{
	gsize at = 0;
	memset (fields, 0, N_FIELDS * sizeof (Slice));
	while (at < size && head[at] != '\n' && head[at] != '\r') {
		gsize end = at;
		do {
			const char *newline = memchr (head + end, '\n', size - end);
			end = newline ? (gsize) (newline - head) + 1 : size;
		} while (end < size && (head[end] == ' ' || head[end] == '\t'));
		note_field ((Slice){head + at, end - at}, fields);
		at = end;
	}
	return at;
}

/* Unfolded, blanks squeezed to one space and trimmed. */
static void
append_squeezed (GString *out, Slice value)
{
	gsize start = out->len;
	gboolean blank = FALSE;
	for (gsize i = 0; i < value.size; i++) {
		if (is_blank (value.data[i])) {
			blank = TRUE;
			continue;
		}
		if (blank && out->len > start)
			g_string_append_c (out, ' ');
		blank = FALSE;
		g_string_append_c (out, value.data[i]);
	}
}

static guint64
digest_64 (const void *data, gsize size)
{
	guint8 digest[DIGEST_SIZE];
	guint64 n;
	digest_of (data, size, digest);
	memcpy (&n, digest, sizeof n);
	return GUINT64_FROM_BE (n);
}

static guint64
evidence_digest (const Slice fields[N_FIELDS])
{
	g_autoptr (GString) text = g_string_sized_new (512);
	for (gsize i = 0; i < G_N_ELEMENTS (evidence); i++) {
		if (!fields[evidence[i]].data)
			continue;
		g_string_append (text, names[evidence[i]]);
		g_string_append_c (text, ':');
		append_squeezed (text, fields[evidence[i]]);
		g_string_append_c (text, '\n');
	}
	return digest_64 (text->str, text->len);
}

guint64
message_evidence_digest (const void *header, gsize size)
{
	Slice fields[N_FIELDS];
	read_fields (header, size, fields);
	return evidence_digest (fields);
}

/* ---- Encoded words ---- */

typedef struct {
	Slice charset;
	char encoding; /* 'B' or 'Q' */
	Slice text;
	gsize size;
} EncodedWord;

static gboolean
read_encoded_word (const char *at, gsize size, EncodedWord *w)
{
	const char *end = at + size;
	if (size < 8 || at[0] != '=' || at[1] != '?')
		return FALSE;
	const char *charset = at + 2, *q1 = memchr (charset, '?', MIN ((gsize) (end - charset), CHARSET_MAX));
	if (!q1 || q1 == charset || end - q1 < 5 || q1[2] != '?')
		return FALSE;
	const char *text = q1 + 3, *q2 = memchr (text, '?', (gsize) (end - text));
	if (!q2 || q2 + 1 >= end || q2[1] != '=')
		return FALSE;
	const char *star = memchr (charset, '*', (gsize) (q1 - charset)); /* RFC 2231 section 5: a language */
	*w = (EncodedWord){{charset, (gsize) ((star ? star : q1) - charset)}, g_ascii_toupper (q1[1]), {text, (gsize) (q2 - text)},
	                   (gsize) (q2 + 2 - at)};
	return w->encoding == 'B' || w->encoding == 'Q';
}

static void
append_word_octets (GString *out, const EncodedWord *w)
{
	if (w->encoding == 'B') {
		int state = 0;
		guint save = 0;
		gsize start = out->len;
		g_string_set_size (out, start + w->text.size / 4 * 3 + 3);
		gsize n = g_base64_decode_step (w->text.data, w->text.size, (guchar *) out->str + start, &state, &save);
		g_string_truncate (out, start + n);
		return;
	}
	for (gsize i = 0; i < w->text.size; i++) {
		char c = w->text.data[i];
		if (c == '=' && i + 2 < w->text.size && g_ascii_isxdigit (w->text.data[i + 1]) && g_ascii_isxdigit (w->text.data[i + 2])) {
			c = (char) (g_ascii_xdigit_value (w->text.data[i + 1]) << 4 | g_ascii_xdigit_value (w->text.data[i + 2]));
			i += 2;
		} else if (c == '_')
			c = ' ';
		g_string_append_c (out, c);
	}
}

static void
append_converted (GString *out, GString *octets, Slice charset)
{
	g_autofree char *name = slice_dup (charset);
	gsize n = 0;
	g_autofree char *text = g_convert (octets->str, (gssize) octets->len, "UTF-8", name, NULL, &n, NULL);
	if (text)
		g_string_append_len (out, text, (gssize) n);
	else
		g_string_append_len (out, octets->str, (gssize) octets->len);
	g_string_truncate (octets, 0);
}

/* Neighbours of one charset are joined before they are converted: some senders cut inside a character. */
static void
append_decoded (GString *out, Slice value)
{
	g_autoptr (GString) octets = g_string_new (NULL);
	Slice charset = {0};
	gsize at = 0;
	while (at < value.size && out->len < TEXT_MAX) {
		EncodedWord w;
		gsize blanks = 0;
		while (octets->len && at + blanks < value.size && is_blank (value.data[at + blanks]))
			blanks++;
		if (read_encoded_word (value.data + at + blanks, value.size - at - blanks, &w)) {
			if (octets->len && (w.charset.size != charset.size || g_ascii_strncasecmp (w.charset.data, charset.data, charset.size) != 0))
				append_converted (out, octets, charset);
			charset = w.charset;
			append_word_octets (octets, &w);
			at += blanks + w.size;
			continue;
		}
		if (octets->len)
			append_converted (out, octets, charset);
		g_string_append_c (out, value.data[at++]);
	}
	if (octets->len)
		append_converted (out, octets, charset);
}

static char *
display_text (Slice value)
{
	if (!value.data)
		return NULL;
	g_autoptr (GString) decoded = g_string_sized_new (value.size), squeezed = g_string_sized_new (value.size);
	append_decoded (decoded, value);
	append_squeezed (squeezed, (Slice){decoded->str, decoded->len});
	return slice_to_utf8 ((Slice){squeezed->str, squeezed->len}, TEXT_MAX);
}

/* ---- Ids ---- */

/* The next <id> in *rest, without the brackets. */
static gboolean
next_id (Slice *rest, Slice *id_out)
{
	while (rest->size) {
		const char *lo = memchr (rest->data, '<', rest->size);
		const char *hi = lo ? memchr (lo, '>', (gsize) (rest->data + rest->size - lo)) : NULL;
		if (!hi)
			return FALSE;
		*id_out = (Slice){lo + 1, (gsize) (hi - lo - 1)};
		*rest = (Slice){hi + 1, (gsize) (rest->data + rest->size - hi - 1)};
		if (id_out->size && id_out->size <= ID_MAX)
			return TRUE;
	}
	return FALSE;
}

static void
add_key (Prepared *p, Slice id)
{
	gint64 key = (gint64) digest_64 (id.data, id.size);
	for (guint i = 0; i < p->n_thread_keys; i++)
		if (p->thread_keys[i] == key)
			return;
	if (p->n_thread_keys == THREAD_KEYS_MAX) { /* the last ids are the nearest relatives; the first is the message's own */
		memmove (p->thread_keys + 1, p->thread_keys + 2, (THREAD_KEYS_MAX - 2) * sizeof *p->thread_keys);
		p->n_thread_keys--;
	}
	p->thread_keys[p->n_thread_keys++] = key;
}

static void
scan_ids (Prepared *p, const Slice fields[N_FIELDS])
{
	Slice rest = fields[MESSAGE_ID], id;
	if (next_id (&rest, &id)) {
		p->message_id = slice_to_utf8 (id, ID_MAX);
		add_key (p, id);
	}
	rest = fields[REFERENCES];
	while (next_id (&rest, &id))
		add_key (p, id);
	rest = fields[IN_REPLY_TO];
	while (next_id (&rest, &id))
		add_key (p, id);
}

/* ---- Date ---- */

static int
month_of (const char *word)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	for (int i = 0; i < 12; i++)
		if (g_ascii_strncasecmp (word, months + 3 * i, 3) == 0)
			return i + 1;
	return 0;
}

/* Minutes east of UTC (RFC 5322 sections 3.3 and 4.3); unknown letters are UTC. */
static int
zone_of (const char *word)
{
	static const struct {
		const char *name;
		int minutes;
	} zones[] = {{"EST", -300}, {"EDT", -240}, {"CST", -360}, {"CDT", -300}, {"MST", -420}, {"MDT", -360}, {"PST", -480}, {"PDT", -420}};
	int hours, minutes;
	char sign[2];
	if (sscanf (word, "%1[+-]%2d%2d", sign, &hours, &minutes) == 3)
		return (*sign == '-' ? -1 : 1) * (hours * 60 + minutes);
	for (gsize i = 0; i < G_N_ELEMENTS (zones); i++)
		if (g_ascii_strcasecmp (word, zones[i].name) == 0)
			return zones[i].minutes;
	return 0;
}

static gboolean
read_date (Slice value, gint64 *time_out)
{
	char text[128], month[4] = "", zone[8] = "";
	int day, year, hour, minute, second = 0, n = 0;
	gsize size = MIN (value.size, sizeof text - 1);
	if (!value.data)
		return FALSE;
	memcpy (text, value.data, size);
	text[size] = '\0';
	const char *comma = strchr (text, ','), *at = comma ? comma + 1 : text;
	if (sscanf (at, "%2d %3s %4d %2d:%2d%n", &day, month, &year, &hour, &minute, &n) < 5)
		return FALSE;
	at += n;
	if (*at == ':' && sscanf (at, ":%2d%n", &second, &n) == 1)
		at += n;
	if (sscanf (at, "%7s", zone) < 1)
		zone[0] = '\0';
	if (year < 100)
		year += year < 50 ? 2000 : 1900;
	g_autoptr (GDateTime) t = g_date_time_new_utc (year, month_of (month), day, hour, minute, MIN (second, 59));
	if (t)
		*time_out = g_date_time_to_unix (t) - 60 * (gint64) zone_of (zone);
	return t != NULL;
}

/* ---- Attachments ---- */

static gboolean
starts_with (Slice value, const char *word)
{
	gsize n = strlen (word);
	while (value.size && is_blank (*value.data)) {
		value.data++;
		value.size--;
	}
	return value.size >= n && g_ascii_strncasecmp (value.data, word, n) == 0;
}

/* A part says that it is one, or the whole message is neither text nor composed. */
static gboolean
has_attachment (Slice content_type, const char *body, gsize size)
{
	static const char field[] = "Content-Disposition:";
	if (!content_type.data || starts_with (content_type, "text/") || starts_with (content_type, "message/"))
		return FALSE;
	if (!starts_with (content_type, "multipart/"))
		return memchr (content_type.data, '/', content_type.size) != NULL;
	const char *end = body + size, *line = body;
	while (line && (gsize) (end - line) > sizeof field) {
		if (g_ascii_strncasecmp (line, field, sizeof field - 1) == 0 &&
		    starts_with ((Slice){line + sizeof field - 1, (gsize) (end - line) - (sizeof field - 1)}, "attachment"))
			return TRUE;
		line = memchr (line, '\n', (gsize) (end - line));
		if (line)
			line++;
	}
	return FALSE;
}

void
prepared_scan (Prepared *p, const char *head, gsize size)
{
	Slice fields[N_FIELDS];
	gsize body = read_fields (head, size, fields);
	p->subject = display_text (fields[SUBJECT]);
	p->sender = display_text (fields[FROM]);
	g_autofree char *to = display_text (fields[TO]), *cc = display_text (fields[CC]);
	p->recipients = to && cc ? g_strconcat (to, ", ", cc, NULL) : g_strdup (to ? to : cc);
	p->has_sent = read_date (fields[DATE], &p->sent);
	p->attachment = has_attachment (fields[CONTENT_TYPE], head + body, size - body);
	p->digest = evidence_digest (fields);
	scan_ids (p, fields);
}
