/* SPDX-License-Identifier: Apache-2.0 */
/* Modified UTF-7, in which IMAP4rev1 writes folder names (RFC 3501 section 5.1.3). */
#pragma once
#include <glib.h>
#include "bytes.h"

/* The one right form of @text; what of it is not UTF-8 becomes U+FFFD. */
char *utf7_encode (Slice text);
/* UTF-8, or NULL for what is not modified UTF-7: base64 that is cut off, has bits left or holds lone surrogates, printable ASCII
 * or control characters (a separator could hide there); "&" without "-"; control characters anywhere.
 * Strict: NULL, too, unless utf7_encode gives back @wire. Tolerant: neighbouring shifts need not be one, and UTF-8 may stand as it is. */
char *utf7_decode (Slice wire, gboolean strict);
