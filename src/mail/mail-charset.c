/* SPDX-License-Identifier: Apache-2.0 */
/* Octets with a label to valid UTF-8. Labels lie: what is valid UTF-8 beyond ASCII is taken as UTF-8 whatever a one-octet label says,
 * and what a label can't explain is read in another way that is common. ASCII, UTF-8 and windows-1252 are read here; the rest is
 * iconv's, a few open descriptors a thread. Labels that only a subset deserves get the superset that senders mean (WHATWG Encoding). */
#include "mail-private.h"
#include <errno.h>
#include <iconv.h>
#include <string.h>

#define LABEL_MAX 40u
#define CONVERTERS 8u
#define SAMPLE_MAX 8192u /* octets by which a language is guessed */
#define REPLACEMENT "\xef\xbf\xbd"

/* ---- UTF-8 ---- */

/* Octets of the well-formed sequence at @at, 0 when there is none (RFC 3629). */
static gsize
utf8_sequence (const guchar *at, gsize size)
{
	gsize n = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
	if (n == 0 || n > size)
		return 0;
	for (gsize i = 1; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
	    (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return n;
}

/* How many octets at @at need no change: ASCII, but of control characters only tab and line ends. */
static gsize
plain_run (const char *at, gsize size)
{
	gsize n = 0;
	while (n < size && ((at[n] >= ' ' && at[n] < 127) || at[n] == '\n' || at[n] == '\t' || at[n] == '\r'))
		n++;
	return n;
}

static void
append_utf8 (GString *out, const char *at, gsize size)
{
	for (gsize i = 0; i < size;) {
		gsize n = plain_run (at + i, size - i);
		if (n == 0 && (guchar) at[i] >= 0x80)
			n = utf8_sequence ((const guchar *) at + i, size - i);
		if (n)
			g_string_append_len (out, at + i, (gssize) n);
		else
			g_string_append (out, REPLACEMENT);
		i += MAX (n, (gsize) 1);
	}
}

typedef struct {
	gsize sequences; /* of several octets */
	gsize broken;    /* octets */
	gboolean escape; /* ESC, as ISO 2022 has it */
	gboolean zero;
} Look;

/* The last character of @size octets at @at is cut. */
static gboolean
is_cut (const guchar *at, gsize size)
{
	gsize n = at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc2 ? 2 : 0;
	for (gsize i = 1; i < size; i++)
		if ((at[i] & 0xc0) != 0x80)
			return FALSE;
	return at[0] < 0xf5 && n > size;
}

static Look
look_at (const char *at, gsize size)
{
	Look k = {0};
	for (gsize i = 0; i < size;) {
		guchar c = (guchar) at[i];
		gsize n = 1;
		if (c >= 0x80) {
			n = utf8_sequence ((const guchar *) at + i, size - i);
			k.sequences += n > 0;
			k.broken += n == 0 && !(k.sequences && size - i < 4 && is_cut ((const guchar *) at + i, size - i));
		}
		k.escape |= c == 0x1b;
		k.zero |= c == 0;
		i += MAX (n, (gsize) 1);
	}
	return k;
}

/* ---- windows-1252 ---- */

static const guint16 high_1252[32] = {0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
                                      0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
                                      0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178};

static void
append_1252 (GString *out, const char *at, gsize size)
{
	for (gsize i = 0; i < size;) {
		gsize n = plain_run (at + i, size - i);
		guchar c = (guchar) at[i];
		if (n)
			g_string_append_len (out, at + i, (gssize) n);
		else if (c < 0xa0)
			g_string_append_unichar (out, c >= 0x80 ? high_1252[c - 0x80] : 0xfffd);
		else
			g_string_append_unichar (out, c);
		i += MAX (n, (gsize) 1);
	}
}

/* ---- iconv ---- */

typedef struct {
	char label[LABEL_MAX + 1];
	iconv_t iconv; /* NULL: no converter */
} Converter;

/* To open a descriptor is to load a library. */
typedef struct {
	Converter converters[CONVERTERS];
	guint next; /* to be replaced */
} Converters;

static void
converters_free (gpointer data)
{
	Converters *all = data;
	for (guint i = 0; i < CONVERTERS; i++)
		if (all->converters[i].iconv)
			iconv_close (all->converters[i].iconv);
	g_free (all);
}

static GPrivate converters_key = G_PRIVATE_INIT (converters_free);

static Converters *
converters_of_thread (void)
{
	Converters *all = g_private_get (&converters_key);
	if (!all) {
		all = g_new0 (Converters, 1);
		g_private_set (&converters_key, all);
	}
	return all;
}

/* Borrowed, reset; NULL when there is no such charset. */
static Converter *
converter_for (const char *label)
{
	Converters *all = converters_of_thread ();
	for (guint i = 0; i < CONVERTERS; i++) {
		Converter *c = &all->converters[i];
		if (c->iconv && strcmp (c->label, label) == 0) {
			iconv (c->iconv, NULL, NULL, NULL, NULL);
			return c;
		}
	}
	iconv_t opened = iconv_open ("UTF-8", label);
	if (opened == (iconv_t) -1)
		return NULL;
	Converter *c = &all->converters[all->next++ % CONVERTERS];
	if (c->iconv)
		iconv_close (c->iconv);
	g_strlcpy (c->label, label, sizeof c->label);
	c->iconv = opened;
	return c;
}

/* *broken_out counts what had to be replaced. */
static gboolean
append_iconv (GString *out, const char *octets, gsize size, const char *label, gsize *broken_out)
{
	Converter *c = converter_for (label);
	char *in = (char *) octets, buffer[4096];
	g_autoptr (GString) text = NULL;
	*broken_out = 0;
	if (!c)
		return FALSE;
	text = g_string_sized_new (size + size / 2);
	while (size) {
		char *to = buffer;
		gsize room = sizeof buffer;
		gsize r = iconv (c->iconv, &in, &size, &to, &room);
		g_string_append_len (text, buffer, to - buffer);
		if (r == (gsize) -1 && errno != E2BIG) {
			g_string_append (text, REPLACEMENT);
			++*broken_out;
			in++;
			size--;
		}
	}
	char *to = buffer;
	gsize room = sizeof buffer;
	iconv (c->iconv, NULL, NULL, &to, &room);
	g_string_append_len (text, buffer, to - buffer);
	append_utf8 (out, text->str, text->len);
	return TRUE;
}

/* ISO-2022-JP as windows-31J: iconv's own knows neither half-width katakana nor the vendors' signs that senders put in. */
static void
iso_2022_to_31j (GString *out, const char *at, gsize size)
{
	enum { ASCII, KANA, KANJI } set = ASCII;
	for (gsize i = 0; i < size; i++) {
		guchar a = (guchar) at[i], b = i + 1 < size ? (guchar) at[i + 1] : 0;
		if (a == 0x1b && i + 2 < size && (b == '(' || b == '$')) {
			char final = at[i + 2];
			i += 2;
			if (b == '$' && final == '(' && i + 1 < size)
				i++;
			set = b == '$' ? KANJI : final == 'I' ? KANA : ASCII;
		} else if (a == '\n' || a == '\r') {
			set = ASCII;
			g_string_append_c (out, (char) a);
		} else if (set == KANJI && a >= 0x21 && a <= 0x7e && b >= 0x21 && b <= 0x7e) {
			guchar lead = (guchar) ((a + 1) / 2 + (a < 0x5f ? 0x70 : 0xb0));
			guchar trail = (guchar) (a % 2 ? b + 0x1f + (b >= 0x60) : b + 0x7e);
			g_string_append_c (out, (char) lead);
			g_string_append_c (out, (char) trail);
			i++;
		} else
			g_string_append_c (out, (char) (set == KANA && a >= 0x21 && a <= 0x5f ? a + 0x80 : a));
	}
}

/* ---- Labels ---- */

typedef enum {
	KIND_UNKNOWN,
	KIND_ASCII, /* says nothing of octets over 127 */
	KIND_UTF8,
	KIND_1252,
	KIND_JIS,    /* ISO-2022-JP */
	KIND_ESCAPE, /* other 7-bit codes in which ASCII octets mean something else */
	KIND_WIDE,   /* UTF-16, UTF-32 */
	KIND_SINGLE, /* one octet a character, ASCII below 128 */
	KIND_MULTI,  /* several octets, ASCII below 128 as first octet */
} Kind;

typedef struct {
	const char *label;
	Kind kind;
	const char *iconv;
} Charset;

static const Charset charsets[] = {
	{"utf-8", KIND_UTF8, NULL},
	{"utf8", KIND_UTF8, NULL},
	{"uft-8", KIND_UTF8, NULL},
	{"utf-8mb4", KIND_UTF8, NULL},
	{"unicode-1-1-utf-8", KIND_UTF8, NULL},
	{"us-ascii", KIND_ASCII, NULL},
	{"ascii", KIND_ASCII, NULL},
	{"ansi_x3.4-1968", KIND_ASCII, NULL},
	{"iso-8859-1", KIND_1252, NULL},
	{"iso8859-1", KIND_1252, NULL},
	{"iso_8859-1", KIND_1252, NULL},
	{"latin1", KIND_1252, NULL},
	{"windows-1252", KIND_1252, NULL},
	{"cp1252", KIND_1252, NULL},
	{"iso-8859-9", KIND_SINGLE, "CP1254"},
	{"iso-8859-11", KIND_SINGLE, "CP874"},
	{"tis-620", KIND_SINGLE, "CP874"},
	{"windows-874", KIND_SINGLE, "CP874"},
	{"iso-8859-8-i", KIND_SINGLE, "ISO-8859-8"},
	{"iso-8859-8-e", KIND_SINGLE, "ISO-8859-8"},
	{"x-mac-roman", KIND_SINGLE, "MACINTOSH"},
	{"macroman", KIND_SINGLE, "MACINTOSH"},
	{"x-mac-cyrillic", KIND_SINGLE, "MAC-CYRILLIC"},
	{"gb2312", KIND_MULTI, "GB18030"},
	{"gb_2312-80", KIND_MULTI, "GB18030"},
	{"gbk", KIND_MULTI, "GB18030"},
	{"x-gbk", KIND_MULTI, "GB18030"},
	{"cp936", KIND_MULTI, "GB18030"},
	{"gb18030", KIND_MULTI, "GB18030"},
	{"euc-cn", KIND_MULTI, "GB18030"},
	{"big5", KIND_MULTI, "BIG5-HKSCS"},
	{"cn-big5", KIND_MULTI, "BIG5-HKSCS"},
	{"big5-hkscs", KIND_MULTI, "BIG5-HKSCS"},
	{"x-x-big5", KIND_MULTI, "BIG5-HKSCS"},
	{"euc-kr", KIND_MULTI, "CP949"},
	{"ks_c_5601-1987", KIND_MULTI, "CP949"},
	{"ks_c_5601", KIND_MULTI, "CP949"},
	{"ksc5601", KIND_MULTI, "CP949"},
	{"cp949", KIND_MULTI, "CP949"},
	{"shift_jis", KIND_MULTI, "CP932"},
	{"shift-jis", KIND_MULTI, "CP932"},
	{"sjis", KIND_MULTI, "CP932"},
	{"x-sjis", KIND_MULTI, "CP932"},
	{"windows-31j", KIND_MULTI, "CP932"},
	{"cp932", KIND_MULTI, "CP932"},
	{"euc-jp", KIND_MULTI, "EUC-JP-MS"},
	{"x-euc-jp", KIND_MULTI, "EUC-JP-MS"},
	{"euc-tw", KIND_MULTI, "EUC-TW"},
	{"johab", KIND_MULTI, "JOHAB"},
	{"iso-2022-jp", KIND_JIS, NULL},
	{"iso-2022-jp-1", KIND_JIS, NULL},
	{"iso-2022-jp-ms", KIND_JIS, NULL},
	{"iso-2022-jp-2", KIND_ESCAPE, "ISO-2022-JP-2"},
	{"iso-2022-kr", KIND_ESCAPE, "ISO-2022-KR"},
	{"iso-2022-cn", KIND_ESCAPE, "ISO-2022-CN"},
	{"utf-7", KIND_ESCAPE, "UTF-7"},
	{"unicode-1-1-utf-7", KIND_ESCAPE, "UTF-7"},
	{"x-unicode-2-0-utf-7", KIND_ESCAPE, "UTF-7"},
	{"utf-16", KIND_WIDE, "UTF-16"},
	{"utf-16le", KIND_WIDE, "UTF-16LE"},
	{"utf-16be", KIND_WIDE, "UTF-16BE"},
	{"unicode", KIND_WIDE, "UTF-16"},
	{"ucs-2", KIND_WIDE, "UTF-16"},
	{"utf-32", KIND_WIDE, "UTF-32"},
	{"utf-32le", KIND_WIDE, "UTF-32LE"},
	{"utf-32be", KIND_WIDE, "UTF-32BE"},
};

/* iconv is asked for names that look like a charset's only: it reads slashes as instructions. */
static gboolean
label_is_good (const char *label)
{
	gsize n = strlen (label);
	return n > 0 && n <= LABEL_MAX && strspn (label, "abcdefghijklmnopqrstuvwxyz0123456789-_.:+") == n;
}

/* @label: lower case, trimmed. */
static Charset
charset_named (const char *label)
{
	for (gsize i = 0; i < G_N_ELEMENTS (charsets); i++)
		if (strcmp (label, charsets[i].label) == 0)
			return charsets[i];
	if (!label_is_good (label) || !converter_for (label))
		return (Charset){label, KIND_UNKNOWN, NULL};
	return (Charset){label, g_str_has_prefix (label, "utf-16") || g_str_has_prefix (label, "ucs") ? KIND_WIDE : KIND_SINGLE, label};
}

/* ---- Choice ---- */

/* @text has hiragana as only Japanese has it: hardly one is without, and other texts read as Japanese hardly have any. */
static gboolean
looks_japanese (const char *text, gsize broken, gsize least)
{
	gsize kana = 0, wide = 0;
	for (const char *c = text; *c; c = g_utf8_next_char (c)) {
		gunichar u = g_utf8_get_char (c);
		kana += u >= 0x3041 && u <= 0x3093;
		wide += u >= 0x80;
	}
	return kana >= least && kana * 5 >= wide && broken * 20 <= wide;
}

static gboolean
append_if_japanese (GString *out, const char *octets, gsize size, gsize least)
{
	static const char *const labels[] = {"EUC-JP-MS", "CP932"};
	for (gsize i = 0; i < G_N_ELEMENTS (labels); i++) {
		g_autoptr (GString) sample = g_string_new (NULL);
		gsize broken;
		if (append_iconv (sample, octets, MIN (size, (gsize) SAMPLE_MAX), labels[i], &broken) &&
		    looks_japanese (sample->str, broken, least))
			return append_iconv (out, octets, size, labels[i], &broken);
	}
	return FALSE;
}

/* What is no ASCII and has no label that helps. */
static void
append_guessed (GString *out, const char *octets, gsize size, const Look *k)
{
	if (k->sequences >= k->broken && (k->sequences || !k->broken))
		append_utf8 (out, octets, size);
	else if (k->broken < 8 || !append_if_japanese (out, octets, size, 4))
		append_1252 (out, octets, size);
}

static void
append_jis (GString *out, const char *octets, gsize size)
{
	g_autoptr (GString) shifted = g_string_sized_new (size);
	gsize broken;
	iso_2022_to_31j (shifted, octets, size);
	if (!append_iconv (out, shifted->str, shifted->len, "CP932", &broken))
		append_utf8 (out, octets, size);
}

/* Labelled UTF-16 or UTF-32: without a mark most write little-endian, some write ASCII in truth. */
static void
append_wide (GString *out, const char *octets, gsize size, const Charset *c, const Look *k)
{
	const char *name = c->iconv;
	gsize broken, zeros[2] = {0, 0};
	if (!k->zero && !k->broken && size > 8) {
		append_utf8 (out, octets, size);
		return;
	}
	if (strcmp (name, "UTF-16") == 0 && size >= 2 && memcmp (octets, "\xff\xfe", 2) != 0 && memcmp (octets, "\xfe\xff", 2) != 0) {
		for (gsize i = 0; i < size; i++)
			zeros[i % 2] += octets[i] == 0;
		name = zeros[0] > zeros[1] ? "UTF-16BE" : "UTF-16LE";
	}
	if (!append_iconv (out, octets, size, name, &broken))
		append_guessed (out, octets, size, k);
}

static void
append_multi (GString *out, const char *octets, gsize size, const Charset *c, const Look *k)
{
	gsize start = out->len, broken;
	if (!append_iconv (out, octets, size, c->iconv, &broken)) {
		append_guessed (out, octets, size, k);
	} else if (broken && k->sequences && !k->broken) {
		g_string_truncate (out, start);
		append_utf8 (out, octets, size);
	}
}

/* 7-bit codes whose octets are over 127 nevertheless. */
static void
append_8bit_escape (GString *out, const char *octets, gsize size, const Charset *c, const Look *k)
{
	if (c->kind != KIND_JIS || !k->broken || !append_if_japanese (out, octets, size, 1))
		append_guessed (out, octets, size, k);
}

static void
append_as (GString *out, const char *octets, gsize size, const Charset *c, const Look *k)
{
	gboolean eight = k->sequences || k->broken;
	gsize broken;
	switch (c->kind) {
	case KIND_JIS:
		if (eight)
			append_8bit_escape (out, octets, size, c, k);
		else
			append_jis (out, octets, size);
		return;
	case KIND_ESCAPE:
		if (eight || !append_iconv (out, octets, size, c->iconv, &broken))
			append_8bit_escape (out, octets, size, c, k);
		return;
	case KIND_WIDE:
		append_wide (out, octets, size, c, k);
		return;
	case KIND_MULTI:
		append_multi (out, octets, size, c, k);
		return;
	case KIND_1252:
		if (k->sequences && !k->broken)
			append_utf8 (out, octets, size);
		else
			append_1252 (out, octets, size);
		return;
	case KIND_SINGLE:
		if ((k->sequences && !k->broken) || !append_iconv (out, octets, size, c->iconv, &broken))
			append_guessed (out, octets, size, k);
		return;
	case KIND_UTF8:
	case KIND_ASCII:
	case KIND_UNKNOWN:
		append_guessed (out, octets, size, k);
		return;
	}
}

static const char *
skip_mark (const char *octets, gsize *size, const char **label)
{
	static const struct {
		const char *mark;
		gsize size;
		const char *label;
	} marks[] = {{"\xef\xbb\xbf", 3, "utf-8"}, {"\xff\xfe", 2, "utf-16le"}, {"\xfe\xff", 2, "utf-16be"}};
	for (gsize i = 0; i < G_N_ELEMENTS (marks); i++)
		if (*size >= marks[i].size && memcmp (octets, marks[i].mark, marks[i].size) == 0) {
			*size -= marks[i].size;
			*label = marks[i].label;
			return octets + marks[i].size;
		}
	return octets;
}

void
charset_append (GString *out, const char *octets, gsize size, const char *label)
{
	Look k = {0};
	octets = skip_mark (octets, &size, &label);
	gsize plain = plain_run (octets, size);
	char name[LABEL_MAX + 1] = "";
	if (label && strlen (label) <= LABEL_MAX) {
		g_autofree char *lower = g_ascii_strdown (label, -1);
		g_strlcpy (name, g_strstrip (lower), sizeof name);
	}
	Charset c = *name ? charset_named (name) : (Charset){name, KIND_UNKNOWN, NULL};
	if (plain == size && c.kind != KIND_ESCAPE && c.kind != KIND_WIDE && c.kind != KIND_JIS) {
		g_string_append_len (out, octets, (gssize) size);
		return;
	}
	k = look_at (octets, size);
	if (k.escape && !k.sequences && !k.broken && (c.kind == KIND_UNKNOWN || c.kind == KIND_ASCII) && memmem (octets, size, "\x1b$", 2))
		c.kind = KIND_JIS;
	append_as (out, octets, size, &c, &k);
}

void
charset_append_slice (GString *out, const char *octets, gsize size, Slice label)
{
	char name[LABEL_MAX + 1];
	gsize n = MIN (label.size, (gsize) LABEL_MAX);
	memcpy (name, label.data, n);
	name[n] = '\0';
	charset_append (out, octets, size, name);
}

void
utf8_truncate (GString *text, gsize max)
{
	if (text->len <= max)
		return;
	while (max && ((guchar) text->str[max] & 0xc0) == 0x80)
		max--;
	g_string_truncate (text, max);
}
