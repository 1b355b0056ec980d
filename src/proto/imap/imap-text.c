/* SPDX-License-Identifier: Apache-2.0 */
#include "imap-text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const flag_names[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

guint
flag_bit (Slice word)
{
	for (guint i = 0; i < G_N_ELEMENTS (flag_names); i++)
		if (slice_equals_ascii_case (word, flag_names[i]))
			return 1u << i;
	return 0;
}

gboolean
date_parse (Slice text, gint64 *time_out, int *zone_out)
{
	char copy[40], month[4];
	int day, year, hour, minute, second, offset;
	if (text.size >= sizeof copy)
		return FALSE;
	memcpy (copy, text.data, text.size);
	copy[text.size] = '\0';
	if (sscanf (copy, "%2d-%3[A-Za-z]-%4d %2d:%2d:%2d %5d", &day, month, &year, &hour, &minute, &second, &offset) != 7)
		return FALSE;
	const char *found = strcasestr (months, month);
	if (!found || strlen (month) != 3)
		return FALSE;
	struct tm tm = {.tm_mday = day, .tm_mon = (int) (found - months) / 3, .tm_year = year - 1900, .tm_hour = hour, .tm_min = minute,
	                .tm_sec = second};
	*zone_out = offset / 100 * 60 + offset % 100;
	*time_out = (gint64) timegm (&tm) - *zone_out * 60;
	return TRUE;
}

void
text_add_date (GString *text, gint64 time, int zone)
{
	time_t local = (time_t) (time + zone * 60);
	struct tm tm;
	if (!gmtime_r (&local, &tm))
		return;
	g_string_append_printf (text, "\"%2d-%.3s-%04d %02d:%02d:%02d %c%02d%02d\"", tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900,
	                        tm.tm_hour, tm.tm_min, tm.tm_sec, zone < 0 ? '-' : '+', abs (zone) / 60 % 100, abs (zone) % 60);
}

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
		g_string_append_c (text, *name);
	}
	g_string_append_c (text, '"');
}

/* Modified base64 at @start, @size octets without "&" and "-", as UTF-16BE. */
static char *
shifted_decode (const char *start, gsize size)
{
	g_autofree char *base64 = g_strdup_printf ("%.*s%.*s", (int) size, start, (int) ((4 - size % 4) % 4), "===");
	g_strdelimit (base64, ",", '/');
	gsize octets = 0;
	g_autofree guchar *utf16 = g_base64_decode (base64, &octets);
	return g_convert ((char *) utf16, (gssize) octets, "UTF-8", "UTF-16BE", NULL, NULL, NULL);
}

char *
leaf_decode (const char *wire)
{
	g_autoptr (GString) leaf = g_string_new (NULL);
	for (const char *c = wire; *c; c++) {
		const char *end = *c == '&' ? strchr (c, '-') : NULL;
		if (!end) {
			g_string_append_c (leaf, *c);
			continue;
		}
		g_autofree char *text = end == c + 1 ? g_strdup ("&") : shifted_decode (c + 1, end - c - 1);
		if (!text || !*text)
			return slice_to_utf8 ((Slice) {wire, strlen (wire)}, strlen (wire) * 3 + 1);
		g_string_append (leaf, text);
		c = end;
	}
	return slice_to_utf8 ((Slice) {leaf->str, leaf->len}, leaf->len * 3 + 1);
}

static void
shifted_add (GString *wire, const char *text, gsize size)
{
	gsize octets = 0;
	g_autofree char *utf16 = g_convert (text, (gssize) size, "UTF-16BE", "UTF-8", NULL, &octets, NULL);
	g_autofree char *base64 = g_base64_encode ((guchar *) utf16, octets);
	g_strdelimit (base64, "/", ',');
	base64[strcspn (base64, "=")] = '\0';
	g_string_append_printf (wire, "&%s-", base64);
}

char *
leaf_encode (const char *leaf)
{
	GString *wire = g_string_new (NULL);
	while (*leaf) {
		gsize plain = 0, shifted = 0;
		while (leaf[plain] >= ' ' && leaf[plain] < 0x7f && leaf[plain] != '&')
			plain++;
		g_string_append_len (wire, leaf, plain);
		leaf += plain;
		if (*leaf == '&') {
			g_string_append (wire, "&-");
			leaf++;
		}
		while (leaf[shifted] && !(leaf[shifted] >= ' ' && leaf[shifted] < 0x7f))
			shifted++;
		if (shifted)
			shifted_add (wire, leaf, shifted);
		leaf += shifted;
	}
	return g_string_free (wire, FALSE);
}
