/* SPDX-License-Identifier: Apache-2.0 */
/* Words and values of IMAP in text form: dates, flags, names (RFC 9051 section 9). Flags are bits: 1 seen, 2 answered, 4 flagged,
 * 8 deleted, 16 draft. */
#pragma once
#include <glib.h>
#include "bytes.h"

/* "17-Jul-1996 02:44:25 -0700": FALSE, and the outputs untouched, if it is none. Zone in minutes east. */
gboolean date_parse (Slice text, gint64 *time_out, int *zone_out);
/* In quotes; years before 1 and behind 9999, which have no form, become these. */
void text_add_date (GString *text, gint64 time, int zone);
/* "1-Feb-1994" as of SEARCH: days since 1970. */
gboolean date_parse_day (Slice text, gint64 *day_out);
void text_add_day (GString *text, gint64 day);
/* "\Seen" and such; 0 for keywords. */
guint flag_bit (Slice word);
/* "\Seen foo" without parentheses. */
void text_add_flags (GString *text, guint flags, const char *keywords);
/* A folder's wire name as a quoted string. CR and LF, which none can hold, become "?": the server then knows no such folder. */
void text_add_name (GString *text, const char *name);
/* One level of a name: modified UTF-7 (RFC 3501 5.1.3) from and to UTF-8. What is not valid modified UTF-7 is taken as it is; what
 * is not UTF-8 either, and control characters, become U+FFFD. */
char *leaf_decode (const char *wire);
char *leaf_encode (const char *leaf);
