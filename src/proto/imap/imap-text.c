/* SPDX-License-Identifier: Apache-2.0 */
#include "imap-text.h"
#include <stdlib.h>
#include <string.h>
#include "imap-utf7.h"

#define DAY_SECONDS 86400
#define FIRST_DAY (-719162)  /* of year 1 */
#define LAST_DAY 2932896     /* of year 9999 */

static const char *const flag_names[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

guint
flag_bit (Slice word)
{
	for (guint i = 0; word.size > 0 && *word.data == '\\' && i < G_N_ELEMENTS (flag_names); i++)
		if (slice_equals_ascii_case (word, flag_names[i]))
			return 1u << i;
	return 0;
}

/* ---- Dates ---- */

/* @n digits exactly. */
static gboolean
digits_take (const char **at, const char *end, guint n, int *number_out)
{
	int number = 0;
	if ((gsize) (end - *at) < n)
		return FALSE;
	for (const char *c = *at; c < *at + n; c++) {
		if (!g_ascii_isdigit (*c))
			return FALSE;
		number = number * 10 + (*c - '0');
	}
	*at += n;
	*number_out = number;
	return TRUE;
}

static gboolean
octet_take (const char **at, const char *end, char octet)
{
	gboolean is_there = *at < end && **at == octet;
	*at += is_there;
	return is_there;
}

static gboolean
month_take (const char **at, const char *end, int *month_out)
{
	for (int month = 0; end - *at >= 3 && month < 12; month++)
		if (g_ascii_strncasecmp (*at, months + 3 * month, 3) == 0) {
			*at += 3;
			*month_out = month;
			return TRUE;
		}
	return FALSE;
}

/* Days since 1970 of a date of the Gregorian calendar; the year starts in March, so that the leap day is its last. */
static gint64
day_of (int year, int month, int day)
{
	int shifted = (month + 10) % 12;
	gint64 y = month < 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * shifted + 2) / 5 + day - 1 - 719468;
}

static void
day_split (gint64 day, int *year_out, int *month_out, int *day_out)
{
	gint64 z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
	gint64 y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365, of_year = of_era - (365 * y + y / 4 - y / 100);
	gint64 shifted = (5 * of_year + 2) / 153;
	*day_out = (int) (of_year - (153 * shifted + 2) / 5 + 1);
	*month_out = (int) ((shifted + 2) % 12);
	*year_out = (int) (y + era * 400 + (*month_out < 2));
}

/* "17-Jul-1996", " 7-Jul-1996", "7-Jul-1996". */
static gboolean
day_take (const char **at, const char *end, gint64 *day_out)
{
	int day, month, year, real_day, real_month, real_year;
	gboolean padded = octet_take (at, end, ' ');
	gboolean two = end - *at >= 2 && g_ascii_isdigit ((*at)[1]) && !padded;
	if (!digits_take (at, end, two ? 2 : 1, &day) || !octet_take (at, end, '-') || !month_take (at, end, &month) ||
	    !octet_take (at, end, '-') || !digits_take (at, end, 4, &year))
		return FALSE;
	*day_out = day_of (year, month, day);
	day_split (*day_out, &real_year, &real_month, &real_day);
	return day == real_day && month == real_month;
}

gboolean
date_parse_day (Slice text, gint64 *day_out)
{
	const char *at = text.data, *end = slice_end (text);
	gint64 day;
	if (!day_take (&at, end, &day) || at != end)
		return FALSE;
	*day_out = day;
	return TRUE;
}

gboolean
date_parse (Slice text, gint64 *time_out, int *zone_out)
{
	const char *at = text.data, *end = slice_end (text);
	int hour, minute, second, zone_hour, zone_minute;
	gint64 day;
	if (!day_take (&at, end, &day) || !octet_take (&at, end, ' ') || !digits_take (&at, end, 2, &hour) || !octet_take (&at, end, ':') ||
	    !digits_take (&at, end, 2, &minute) || !octet_take (&at, end, ':') || !digits_take (&at, end, 2, &second) ||
	    !octet_take (&at, end, ' ') || hour > 23 || minute > 59 || second > 60)
		return FALSE;
	gboolean west = octet_take (&at, end, '-');
	if ((!west && !octet_take (&at, end, '+')) || !digits_take (&at, end, 2, &zone_hour) || !digits_take (&at, end, 2, &zone_minute) ||
	    zone_minute > 59 || at != end)
		return FALSE;
	*zone_out = (zone_hour * 60 + zone_minute) * (west ? -1 : 1);
	*time_out = day * DAY_SECONDS + hour * 3600 + minute * 60 + second - *zone_out * 60;
	return TRUE;
}

void
text_add_day (GString *text, gint64 day)
{
	int year, month, of_month;
	day_split (CLAMP (day, FIRST_DAY, LAST_DAY), &year, &month, &of_month);
	g_string_append_printf (text, "%d-%.3s-%04d", of_month, months + 3 * month, year);
}

void
text_add_date (GString *text, gint64 time, int zone)
{
	int year, month, of_month;
	zone = CLAMP (zone, -5999, 5999); /* what four digits hold */
	gint64 local = CLAMP (time, (gint64) FIRST_DAY * DAY_SECONDS - zone * 60, (gint64) LAST_DAY * DAY_SECONDS + DAY_SECONDS - 1 - zone * 60);
	local += zone * 60;
	gint64 day = (local - (local < 0 ? DAY_SECONDS - 1 : 0)) / DAY_SECONDS;
	int second = (int) (local - day * DAY_SECONDS);
	day_split (day, &year, &month, &of_month);
	g_string_append_printf (text, "\"%2d-%.3s-%04d %02d:%02d:%02d %c%02d%02d\"", of_month, months + 3 * month, year, second / 3600,
	                        second / 60 % 60, second % 60, zone < 0 ? '-' : '+', abs (zone) / 60, abs (zone) % 60);
}

/* ---- Flags and names ---- */

void
text_add_flags (GString *text, guint flags, const char *keywords)
{
	const char *gap = "";
	for (guint i = 0; i < G_N_ELEMENTS (flag_names); i++)
		if (flags & (1u << i)) {
			g_string_append_printf (text, "%s%s", gap, flag_names[i]);
			gap = " ";
		}
	if (keywords && *keywords)
		g_string_append_printf (text, "%s%s", gap, keywords);
}

void
text_add_name (GString *text, const char *name)
{
	g_string_append_c (text, '"');
	for (; *name; name++) {
		if (*name == '"' || *name == '\\')
			g_string_append_c (text, '\\');
		g_string_append_c (text, *name == '\r' || *name == '\n' ? '?' : *name);
	}
	g_string_append_c (text, '"');
}

char *
leaf_decode (const char *wire)
{
	Slice octets = {wire, strlen (wire)};
	char *leaf = utf7_decode (octets, FALSE);
	if (leaf)
		return leaf;
	g_autofree char *valid = slice_to_utf8 (octets, octets.size * 3 + 1);
	g_auto (GStrv) pieces = g_strsplit_set (valid, "\t\n", -1);
	return g_strjoinv ("\357\277\275", pieces);
}

char *
leaf_encode (const char *leaf)
{
	return utf7_encode ((Slice) {leaf, strlen (leaf)});
}
