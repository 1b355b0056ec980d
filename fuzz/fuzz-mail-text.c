/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of whole messages: UTF-8 within the limit, and the same whatever the reader's pieces. */
#include <stdint.h>
#include <string.h>
#include "mail.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static GBytes *
read_octets (gpointer data, guint64 offset, gsize size, GError **error)
{
	gsize total = g_bytes_get_size (data), at = (gsize) MIN (offset, (guint64) total);
	return g_bytes_new_from_bytes (data, at, MIN (size, total - at));
}

static GBytes *
read_little (gpointer data, guint64 offset, gsize size, GError **error)
{
	return read_octets (data, offset, MIN (size, 1 + (gsize) offset % 7), error);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	g_autoptr (GBytes) message = g_bytes_new_static (data, size);
	g_autoptr (MailStructure) m = mail_scan (data, size);
	g_autofree char *names = NULL, *text = mail_text (m, read_octets, message, 100000, NULL);
	g_autofree char *search = mail_search_text (m, read_octets, message, 1000, &names, NULL);
	g_assert (strlen (text) <= 100000 && g_utf8_validate (text, -1, NULL));
	g_assert (strlen (search) <= 1000 && g_utf8_validate (search, -1, NULL) && g_utf8_validate (names, -1, NULL));
	for (guint i = 0; i < MIN (mail_structure_count (m), 10u); i++) {
		const MailPart *p = mail_structure_part (m, i);
		g_autoptr (GBytes) whole = mail_part_decode (p, read_octets, message, 5000, NULL);
		g_autoptr (GBytes) pieces = mail_part_decode (p, read_little, message, 5000, NULL);
		g_assert (g_bytes_equal (whole, pieces));
	}
	return 0;
}
