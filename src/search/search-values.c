/* SPDX-License-Identifier: Apache-2.0 */
/* Dates, ages and sizes as people write them. */
#include "search-private.h"
#include <string.h>

#define YEAR_MIN 1900
#define YEAR_MAX 9998
#define AGE_MAX 100000
#define EPOCH_MAX G_GINT64_CONSTANT (253000000000) /* in the year 9987 */

typedef enum { HOUR, DAY, WEEK, MONTH, YEAR } Unit;

static GDateTime *
plus (GDateTime *t, int n, Unit unit)
{
	switch (unit) {
	case HOUR:
		return g_date_time_add_hours (t, n);
	case DAY:
		return g_date_time_add_days (t, n);
	case WEEK:
		return g_date_time_add_weeks (t, n);
	case MONTH:
		return g_date_time_add_months (t, n);
	default:
		return g_date_time_add_years (t, n);
	}
}

/* From @start, a local day's beginning, for @n units. */
static gboolean
period (GDateTime *start, int n, Unit unit, gint64 *start_out, gint64 *end_out)
{
	g_autoptr (GDateTime) end = start ? plus (start, n, unit) : NULL;
	if (!end)
		return FALSE;
	*start_out = g_date_time_to_unix (start);
	*end_out = g_date_time_to_unix (end);
	return TRUE;
}

/* ---- Numbers ---- */

/* Up to three groups of digits with one kind of sign between; returns their number, 0 if it is something else. */
static int
number_groups (const char *text, int values[3], gsize digits[3], char *sign_out)
{
	int n = 0;
	for (*sign_out = '\0';;) {
		gsize size = strspn (text, "0123456789");
		if (size == 0 || size > 8 || n == 3)
			return 0;
		values[n] = (int) g_ascii_strtoll (text, NULL, 10);
		digits[n++] = size;
		text += size;
		if (!*text)
			return n;
		if (!strchr ("-/.", *text) || (*sign_out && *text != *sign_out))
			return 0;
		*sign_out = *text++;
	}
}

static gboolean
calendar_period (int year, int month, int day, gint64 *start_out, gint64 *end_out)
{
	if (year < YEAR_MIN || year > YEAR_MAX)
		return FALSE;
	g_autoptr (GDateTime) start = g_date_time_new_local (year, month ? month : 1, day ? day : 1, 0, 0, 0);
	return period (start, 1, day ? DAY : month ? MONTH : YEAR, start_out, end_out);
}

/* 2024  2024-05  2024-05-31  2024/05/31  20240531  31.05.2024 */
static gboolean
numeric_date (const char *text, gint64 *start_out, gint64 *end_out)
{
	int v[3] = {0};
	gsize digits[3];
	char sign;
	int n = number_groups (text, v, digits, &sign);
	if (n == 1 && digits[0] == 8)
		return calendar_period (v[0] / 10000, v[0] / 100 % 100, v[0] % 100, start_out, end_out) && v[0] % 100 && v[0] / 100 % 100;
	if (n == 3 && sign == '.' && digits[2] == 4)
		return v[0] && v[1] && calendar_period (v[2], v[1], v[0], start_out, end_out);
	if (n == 0 || digits[0] != 4 || (n > 1 && (!v[1] || digits[1] > 2)) || (n > 2 && (!v[2] || digits[2] > 2)))
		return FALSE;
	return calendar_period (v[0], v[1], v[2], start_out, end_out);
}

/* Seconds since 1970, as programs write them: 9 digits or more, or after an @. */
static gboolean
epoch (const char *text, gint64 *start_out, gint64 *end_out)
{
	gboolean marked = *text == '@';
	text += marked;
	gsize size = strspn (text, "0123456789");
	if (text[size] || size > 12 || size < (marked ? 1 : 9))
		return FALSE;
	*start_out = g_ascii_strtoll (text, NULL, 10);
	*end_out = *start_out + 1;
	return *start_out <= EPOCH_MAX;
}

/* ---- Ages ---- */

static gboolean
read_age (const char *text, int *n_out, Unit *unit_out)
{
	static const struct {
		const char *name;
		Unit unit;
	} names[] = {
		{"h", HOUR}, {"hour", HOUR}, {"hours", HOUR}, {"d", DAY}, {"day", DAY}, {"days", DAY}, {"w", WEEK}, {"week", WEEK}, {"weeks", WEEK},
		{"m", MONTH}, {"month", MONTH}, {"months", MONTH}, {"y", YEAR}, {"year", YEAR}, {"years", YEAR},
	};
	char *end;
	gint64 n = g_ascii_isdigit (*text) ? g_ascii_strtoll (text, &end, 10) : -1;
	if (n < 0 || n > AGE_MAX)
		return FALSE;
	while (*end == ' ' || *end == '_' || *end == '-')
		end++;
	for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
		if (g_ascii_strcasecmp (end, names[i].name) == 0) {
			*n_out = (int) n;
			*unit_out = names[i].unit;
			return TRUE;
		}
	return FALSE;
}

gboolean
value_age (const char *text, gint64 now, gint64 *since_out)
{
	int n;
	Unit unit;
	if (!read_age (text, &n, &unit))
		return FALSE;
	g_autoptr (GDateTime) t = g_date_time_new_from_unix_local (now), before = t ? plus (t, -n, unit) : NULL;
	*since_out = before ? g_date_time_to_unix (before) : G_MININT64;
	return TRUE;
}

/* A day from that moment on. */
static gboolean
days_ago (const char *text, gint64 now, gint64 *start_out, gint64 *end_out)
{
	if (!value_age (text, now, start_out))
		return FALSE;
	*end_out = *start_out == G_MININT64 ? *start_out : *start_out + 86400;
	return TRUE;
}

/* ---- Names ---- */

static GDateTime *
midnight (gint64 now)
{
	g_autoptr (GDateTime) t = g_date_time_new_from_unix_local (now);
	return t ? g_date_time_new_local (g_date_time_get_year (t), g_date_time_get_month (t), g_date_time_get_day_of_month (t), 0, 0, 0) : NULL;
}

/* Monday, the first of the month, or of the year. */
static GDateTime *
beginning (GDateTime *day, Unit unit)
{
	if (unit == WEEK)
		return g_date_time_add_days (day, 1 - g_date_time_get_day_of_week (day));
	int month = unit == YEAR ? 1 : g_date_time_get_month (day);
	return unit == DAY ? g_date_time_ref (day) : g_date_time_new_local (g_date_time_get_year (day), month, 1, 0, 0, 0);
}

/* "last-week" and "Last Week" are lastweek. */
static char *
squeezed_name (const char *text)
{
	g_autoptr (GString) out = g_string_new (NULL);
	for (; *text; text++)
		if (!strchr (" -_", *text))
			g_string_append_c (out, g_ascii_tolower (*text));
	return g_string_free (g_steal_pointer (&out), FALSE);
}

static gboolean
named_period (const char *text, gint64 now, gint64 *start_out, gint64 *end_out)
{
	static const struct {
		const char *name;
		int from;
		Unit unit;
	} names[] = {
		{"today", 0, DAY}, {"yesterday", -1, DAY}, {"tomorrow", 1, DAY}, {"thisweek", 0, WEEK}, {"lastweek", -1, WEEK}, {"thismonth", 0, MONTH},
		{"lastmonth", -1, MONTH}, {"thisyear", 0, YEAR}, {"lastyear", -1, YEAR},
	};
	static const char *const weekdays[] = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
	g_autofree char *name = squeezed_name (text);
	g_autoptr (GDateTime) day = midnight (now);
	for (gsize i = 0; day && i < G_N_ELEMENTS (names); i++)
		if (strcmp (name, names[i].name) == 0) {
			g_autoptr (GDateTime) first = beginning (day, names[i].unit), start = first ? plus (first, names[i].from, names[i].unit) : NULL;
			return period (start, 1, names[i].unit, start_out, end_out);
		}
	for (int i = 0; day && i < 7; i++)
		if (strcmp (name, weekdays[i]) == 0 || (strlen (name) == 3 && g_str_has_prefix (weekdays[i], name))) {
			g_autoptr (GDateTime) start = g_date_time_add_days (day, -((g_date_time_get_day_of_week (day) + 6 - i) % 7));
			return period (start, 1, DAY, start_out, end_out);
		}
	return FALSE;
}

gboolean
value_period (const char *text, gint64 now, gint64 *start_out, gint64 *end_out)
{
	return numeric_date (text, start_out, end_out) || epoch (text, start_out, end_out) || days_ago (text, now, start_out, end_out) ||
	       named_period (text, now, start_out, end_out);
}

/* 1000  10k  1.5M  2GB; k is 1024. */
gboolean
value_size (const char *text, gint64 *octets_out)
{
	char *end;
	if (!g_ascii_isdigit (*text))
		return FALSE;
	double n = g_ascii_strtod (text, &end);
	const char *unit = *end ? strchr ("kmg", g_ascii_tolower (*end)) : NULL;
	for (int i = unit ? "kmg"[0] == *unit ? 1 : *unit == 'm' ? 2 : 3 : 0; i > 0; i--)
		n *= 1024;
	end += unit != NULL;
	if (g_ascii_strcasecmp (end, "") != 0 && g_ascii_strcasecmp (end, "b") != 0 && (!unit || g_ascii_strcasecmp (end, "ib") != 0))
		return FALSE;
	if (!(n >= 0 && n < 1e15))
		return FALSE;
	*octets_out = (gint64) n;
	return TRUE;
}
