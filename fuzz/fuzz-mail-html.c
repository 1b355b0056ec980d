/* SPDX-License-Identifier: Apache-2.0 */
/* HTML: its text is UTF-8 within the limit, without control characters but tab and line end. */
#include <stdint.h>
#include <string.h>
#include "mail.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	g_autofree char *text = mail_html_to_text ((const char *) data, size, 100000), *cut = mail_html_to_text ((const char *) data, size, 20);
	g_assert (strlen (text) <= 100000 && g_utf8_validate (text, -1, NULL));
	g_assert (strlen (cut) <= 20 && g_str_has_prefix (text, cut));
	for (const char *c = text; *c; c++)
		g_assert ((guchar) *c >= ' ' || *c == '\n' || *c == '\t');
	return 0;
}
