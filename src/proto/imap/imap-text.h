/* SPDX-License-Identifier: Apache-2.0 */
/* Words and values of IMAP in text form: dates, flags, names (RFC 9051 section 9). Flags are bits: 1 seen, 2 answered, 4 flagged,
 * 8 deleted, 16 draft. */
#pragma once
#include <glib.h>
#include "bytes.h"

/* "17-Jul-1996 02:44:25 -0700": FALSE if it is none. Zone in minutes east. */
gboolean date_parse (Slice text, gint64 *time_out, int *zone_out);
void text_add_date (GString *text, gint64 time, int zone);
/* "\Seen" and such; 0 for keywords. */
guint flag_bit (Slice word);
/* "\Seen foo" without parentheses. */
void text_add_flags (GString *text, guint flags, const char *keywords);
/* A folder's wire name as a quoted string. */
void text_add_name (GString *text, const char *name);
/* One level of a name: modified UTF-7 (RFC 3501 5.1.3) from and to UTF-8. What is not valid modified UTF-7 is taken as it is. */
char *leaf_decode (const char *wire);
char *leaf_encode (const char *leaf);
