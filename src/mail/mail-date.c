/* SPDX-License-Identifier: Apache-2.0 */
/* Dates (RFC 5322 sections 3.3 and 4.3, and what people send instead), message ids, base subjects (RFC 5256 section 2.1). */
#include "mail-private.h"
#include <string.h>

/* ---- Dates ---- */

#define DATE_MAX 200u
#define TOKENS_MAX 32u
#define ID_OCTETS_MAX 998u

/* A date is cut into numbers and words; each keeps the octet that stands before it. */
typedef struct {
	gboolean is_number;
	int value;
	guint digits;
	const char *word;
	gsize size;
	char before, after;
} Token;

typedef struct {
	int year, month, day, hour, minute, second, zone;
	gboolean has_time, has_zone, pm, am;
} Found;

static guint
read_tokens (Slice text, Token tokens[TOKENS_MAX])
{
	guint n = 0, comments = 0;
	gboolean colon = FALSE;
	for (gsize i = 0; i < text.size && n < TOKENS_MAX;) {
		char c = text.data[i];
		comments += c == '(';
		if (comments)
			comments -= c == ')';
		if (comments || !g_ascii_isalnum (c)) {
			colon |= c == ':';
			i++;
			continue;
		}
		gsize start = i;
		Token t = {.is_number = g_ascii_isdigit (c), .word = text.data + i, .before = i ? text.data[i - 1] : ' '};
		while (i < text.size && (t.is_number ? g_ascii_isdigit (text.data[i]) : g_ascii_isalpha (text.data[i]))) {
			if (t.is_number)
				t.value = MIN (t.value * 10 + (text.data[i] - '0'), 100000000);
			i++;
		}
		t.size = i - start;
		t.digits = t.is_number ? (guint) t.size : 0;
		t.after = i < text.size ? text.data[i] : ' ';
		if (colon && n) /* blanks and comments may stand beside a colon */
			t.before = tokens[n - 1].after = ':';
		colon = FALSE;
		tokens[n++] = t;
	}
	return n;
}

/* English, and what some programs write in the language of their user. */
static int
month_of (const Token *t)
{
	static const struct {
		const char *start;
		int month;
	} others[] = {{"mrz", 3}, {"mai", 5}, {"okt", 10}, {"dez", 12}, {"fev", 2}, {"abr", 4}, {"ago", 8}, {"set", 9}, {"out", 10},
	              {"ene", 1}, {"dic", 12}, {"gen", 1}, {"mag", 5}, {"giu", 6}, {"lug", 7}, {"ott", 10}, {"avr", 4}, {"aou", 8},
	              {"maj", 5}, {"mei", 5}, {"mrt", 3}};
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	if (t->is_number || t->size < 3)
		return 0;
	for (int i = 0; i < 12; i++)
		if (g_ascii_strncasecmp (t->word, months + 3 * i, 3) == 0)
			return i + 1;
	for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
		if (g_ascii_strncasecmp (t->word, others[i].start, 3) == 0)
			return others[i].month;
	return 0;
}

/* Minutes east of UTC. Unknown names, the military letters too, say nothing (RFC 5322 section 4.3). */
static gboolean
zone_named (const Token *t, int *zone_out)
{
	static const struct {
		const char *name;
		int minutes;
	} zones[] = {{"UT", 0},     {"GMT", 0},    {"UTC", 0},    {"Z", 0},      {"WET", 0},    {"EST", -300}, {"EDT", -240}, {"CST", -360},
	             {"CDT", -300}, {"MST", -420}, {"MDT", -360}, {"PST", -480}, {"PDT", -420}, {"AKST", -540}, {"AKDT", -480},
	             {"HST", -600}, {"AST", -240}, {"ADT", -180}, {"NST", -210}, {"BST", 60},   {"WEST", 60},  {"CET", 60},   {"MET", 60},
	             {"MEZ", 60},   {"CEST", 120}, {"MEST", 120}, {"MESZ", 120}, {"EET", 120},  {"EEST", 180}, {"MSK", 180},  {"MSD", 240},
	             {"IST", 330},  {"HKT", 480},  {"SGT", 480},  {"AWST", 480}, {"JST", 540},  {"KST", 540},  {"AEST", 600}, {"AEDT", 660},
	             {"NZST", 720}, {"NZDT", 780}};
	for (gsize i = 0; i < G_N_ELEMENTS (zones); i++)
		if (slice_equals_ascii_case (slice_of (t->word, t->size), zones[i].name)) {
			*zone_out = zones[i].minutes;
			return TRUE;
		}
	return FALSE;
}

/* "+0200", "+02:00", "+200", "-8"; how many tokens it took. What is over 15 hours is nowhere: UTC. */
static guint
zone_number (const Token *t, guint left, int *zone_out)
{
	int hours = t->digits <= 2 ? t->value : t->value / 100, minutes = t->digits <= 2 ? 0 : t->value % 100;
	guint used = 1;
	if (t->digits <= 2 && t->after == ':' && left > 1 && t[1].is_number) {
		minutes = t[1].value;
		used = 2;
	}
	if (t->digits > 4 || hours > 15 || minutes > 59)
		*zone_out = 0;
	else
		*zone_out = (t->before == '-' ? -1 : 1) * (hours * 60 + minutes);
	return used;
}

/* hh:mm[:ss[.f]], also with dots; how many tokens it took, 0 when @t is no time. */
static guint
read_time (const Token *t, guint left, Found *f)
{
	char between = t->after;
	if (f->has_time || left < 2 || t->digits > 2 || t[1].digits != 2 || t->value > 24 || t[1].value > 59)
		return 0;
	if ((between != ':' && between != '.') || (between == '.' && (left < 3 || t[1].after != '.' || t[2].digits != 2 || f->year == 0)))
		return 0;
	guint used = 2;
	f->has_time = TRUE;
	f->hour = t->value;
	f->minute = t[1].value;
	if (left > 2 && t[1].after == between && t[2].is_number && t[2].before == between && t[2].digits <= 2) {
		f->second = MIN (t[2].value, 59); /* leap seconds */
		used = 3;
		if (left > 3 && t[2].after == '.' && t[3].is_number)
			used = 4;
	}
	return used;
}

static int
full_year (const Token *t)
{
	if (t->digits == 4)
		return t->value;
	return t->value + (t->digits == 3 ? 1900 : t->value < 50 ? 2000 : 1900); /* RFC 5322 section 4.3 */
}

/* 2003-07-01, 2003/7/1; 7/1/2003 as in the United States unless that can't be; 1.7.2003. */
static guint
read_numeric_date (const Token *t, guint left, Found *f)
{
	char between = t->after;
	if (f->month || f->year || left < 3 || !t[1].is_number || !t[2].is_number || t[1].before != between || t[1].after != between ||
	    !strchr ("-/.", between) || t[1].digits > 2)
		return 0;
	if (t->digits == 4 && t[2].digits <= 2) {
		f->year = t->value;
		f->month = t[1].value;
		f->day = t[2].value;
	} else if (t->digits <= 2 && t[2].digits >= 2 && t[2].digits <= 4) {
		gboolean day_first = between == '.' || t->value > 12;
		f->year = full_year (&t[2]);
		f->month = day_first ? t[1].value : t->value;
		f->day = day_first ? t->value : t[1].value;
	} else
		return 0;
	return 3;
}

static guint
read_number (const Token *t, guint left, Found *f)
{
	guint used = read_time (t, left, f);
	if (!used)
		used = read_numeric_date (t, left, f);
	if (used)
		return used;
	if (f->has_time && !f->has_zone && (t->before == '+' || (t->before == '-' && f->year))) {
		f->has_zone = TRUE;
		return zone_number (t, left, &f->zone);
	}
	if (!f->day && t->digits <= (*t->word == '0' ? 3 : 2) && t->value >= 1 && t->value <= 31)
		f->day = t->value;
	else if (!f->year && t->digits >= 2 && t->digits <= 4 && f->month)
		f->year = full_year (t);
	return 1;
}

static void
read_word (const Token *t, Found *f)
{
	Slice word = slice_of (t->word, t->size);
	int zone;
	if (!f->month && (f->month = month_of (t)))
		return;
	if (slice_equals_ascii_case (word, "pm"))
		f->pm = TRUE;
	else if (slice_equals_ascii_case (word, "am"))
		f->am = TRUE;
	else if (f->has_time && !f->has_zone && zone_named (t, &zone)) {
		f->zone = zone;
		f->has_zone = t->after != '+' && t->after != '-'; /* "GMT+0200": the number counts */
	}
}

static gboolean
found_time (Found *f, gint64 *time_out)
{
	if (f->pm && f->hour < 12)
		f->hour += 12;
	if (f->am && f->hour == 12)
		f->hour = 0;
	gboolean next_day = f->hour == 24;
	if (f->year < 1 || f->month < 1 || f->month > 12 || !g_date_valid_dmy ((GDateDay) f->day, (GDateMonth) f->month, (GDateYear) f->year))
		return FALSE;
	GDate day;
	g_date_clear (&day, 1);
	g_date_set_dmy (&day, (GDateDay) f->day, (GDateMonth) f->month, (GDateYear) f->year);
	gint64 days = (gint64) g_date_get_julian (&day) - 719163 + next_day; /* g_date counts from the first day of year 1 */
	*time_out = days * 86400 + (next_day ? 0 : f->hour) * 3600 + f->minute * 60 + f->second - 60 * (gint64) f->zone;
	return TRUE;
}

gboolean
mail_date_parse (Slice value, gint64 *time_out, int *zone_out)
{
	Token tokens[TOKENS_MAX];
	Found f = {0};
	gint64 time;
	if (!value.data)
		return FALSE;
	guint n = read_tokens (slice_of (value.data, MIN (value.size, (gsize) DATE_MAX)), tokens);
	for (guint i = 0; i < n;) {
		if (tokens[i].is_number)
			i += read_number (&tokens[i], n - i, &f);
		else
			read_word (&tokens[i++], &f);
	}
	if (!found_time (&f, &time))
		return FALSE;
	*time_out = time;
	if (zone_out)
		*zone_out = f.zone;
	return TRUE;
}

/* ---- Ids ---- */

gboolean
mail_next_id (Slice *rest, Slice *id_out)
{
	while (rest->size) {
		const char *hi = memchr (rest->data, '>', rest->size);
		if (!hi)
			return FALSE;
		const char *lo = memrchr (rest->data, '<', (gsize) (hi - rest->data));
		*id_out = lo ? mail_trim (slice_of (lo + 1, (gsize) (hi - lo - 1))) : (Slice){0};
		*rest = slice_of (hi + 1, (gsize) (slice_end (*rest) - hi - 1));
		if (id_out->size && id_out->size <= ID_OCTETS_MAX)
			return TRUE;
	}
	return FALSE;
}

/* ---- Subjects ---- */

/* "Re:", "Fwd:" and what programs write in the language of their user. */
static const char *const reply_words[] = {"re", "fw", "fwd", "aw", "antw", "antwort", "wg", "sv", "vs", "vb", "odp", "ynt", "rif", "res", "enc",
                                          "tr", "rv", "réf", "回复", "答复", "转发"};

static const char *
skip_spaces (const char *at)
{
	while (*at == ' ' || *at == '\t')
		at++;
	return at;
}

/* "[...]" without brackets inside: behind it and the blanks that follow, or NULL. */
static const char *
skip_blob (const char *at)
{
	if (*at != '[')
		return NULL;
	at += 1 + strcspn (at + 1, "[]");
	return *at == ']' ? skip_spaces (at + 1) : NULL;
}

/* "Re:", "Re[2]:", "Re^2:", "Fwd :" or NULL. */
static const char *
skip_reply (const char *at)
{
	for (gsize i = 0; i < G_N_ELEMENTS (reply_words); i++) {
		gsize n = strlen (reply_words[i]);
		if (g_ascii_strncasecmp (at, reply_words[i], n) != 0)
			continue;
		const char *end = skip_spaces (at + n);
		if (*end == '^')
			for (end++; g_ascii_isdigit (*end); end++)
				;
		const char *blob = skip_blob (end);
		end = blob ? blob : end;
		if (*end == ':')
			return skip_spaces (end + 1);
		if (g_str_has_prefix (end, "：")) /* the colon of Chinese writing */
			return skip_spaces (end + 3);
	}
	return NULL;
}

static gboolean
ends_with (const char *start, const char *end, const char *suffix)
{
	gsize n = strlen (suffix);
	return (gsize) (end - start) >= n && g_ascii_strncasecmp (end - n, suffix, n) == 0;
}

/* One step of removing what stands before the subject; NULL when nothing does. */
static const char *
strip_start (const char *at, const char *end, gboolean *reply_out)
{
	const char *reply = skip_reply (at), *blob = skip_blob (at);
	if (!reply && blob)
		reply = skip_reply (blob);
	*reply_out |= reply != NULL;
	if (reply)
		return reply;
	return blob && blob < end ? blob : NULL;
}

char *
mail_base_subject (const char *subject, gboolean *reply_out)
{
	g_autoptr (GString) squeezed = g_string_new (NULL);
	mail_header_unfold (squeezed, slice_of (subject, strlen (subject)));
	const char *at = squeezed->str, *end = squeezed->str + squeezed->len, *next;
	gboolean reply = FALSE;
	for (;;) {
		for (gboolean fwd; (fwd = ends_with (at, end, "(fwd)")) || (end > at && end[-1] == ' ');) {
			reply |= fwd;
			end -= fwd ? 5 : 1;
		}
		while (at < end && (next = strip_start (at, end, &reply)))
			at = next;
		if (at >= end || !ends_with (at, end, "]") || g_ascii_strncasecmp (at, "[fwd:", 5) != 0)
			break;
		reply = TRUE;
		at = skip_spaces (at + 5);
		end--;
	}
	if (reply_out)
		*reply_out = reply;
	return at < end ? g_strndup (at, (gsize) (end - at)) : g_strdup ("");
}
