/* SPDX-License-Identifier: Apache-2.0 */
/* Structures: the same whole, in pieces and octet by octet; parts lie within each other; what is kept is read back as it was, and what
 * is read back from anything is sound. */
#include <stdint.h>
#include <string.h>
#include "mail.h"
#include "mail-imap.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static GBytes *
read_octets (gpointer data, guint64 offset, gsize size, GError **error)
{
	gsize total = g_bytes_get_size (data), at = (gsize) MIN (offset, (guint64) total);
	return g_bytes_new_from_bytes (data, at, MIN (size, total - at));
}

static GBytes *
scan_in_pieces (const uint8_t *data, gsize size, gsize longest)
{
	MailScanner *s = mail_scanner_new ();
	guint32 random = (guint32) size + 1;
	for (gsize at = 0; at < size;) {
		random = random * 1664525 + 1013904223;
		gsize piece = MIN (1 + (random >> 8) % longest, size - at);
		mail_scanner_feed (s, data + at, piece);
		at += piece;
	}
	g_autoptr (MailStructure) m = mail_scanner_end (s);
	return mail_structure_serialise (m);
}

static void
check_places (const MailStructure *m, gsize size)
{
	for (guint i = 0; i < mail_structure_count (m); i++) {
		const MailPart *p = mail_structure_part (m, i), *around = mail_structure_part (m, p->parent);
		g_assert (p->header <= p->body && p->body <= p->end && p->end <= size && p->lines <= p->end - p->body);
		g_assert (i == 0 || (p->parent < i && p->header >= around->body && p->end <= around->end));
		g_assert (p->number <= 1 || p->header >= mail_structure_part (m, i - 1)->end);
		g_assert (p->type && p->subtype && p->encoding && p->depth <= MAIL_DEPTH_MAX);
		g_assert (p->is_multipart == (p->n_children > 0 && !p->is_message));
		g_autofree char *section = mail_part_section (m, i);
		g_assert (mail_structure_find (m, section) == p || (p->is_multipart && around->is_message));
	}
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	g_autoptr (GBytes) message = g_bytes_new_static (data, size);
	g_autoptr (MailStructure) any = mail_structure_unserialise (message), m = mail_scan (data, size);
	if (any)
		check_places (any, G_MAXSIZE);
	check_places (m, size);
	g_assert (mail_structure_part (m, 0)->end == size);
	g_autoptr (GBytes) kept = mail_structure_serialise (m), octets = scan_in_pieces (data, size, 1), pieces = scan_in_pieces (data, size, 50);
	g_assert (g_bytes_equal (kept, octets) && g_bytes_equal (kept, pieces));
	g_autoptr (MailStructure) again = mail_structure_unserialise (kept);
	g_assert (again);
	g_autoptr (GBytes) twice = mail_structure_serialise (again);
	g_assert (g_bytes_equal (kept, twice));
	g_assert (mail_structure_has_attachment (m) == mail_structure_has_attachment (again));
	g_autoptr (GString) out = g_string_new (NULL);
	g_assert (mail_imap_body (out, again, TRUE, read_octets, message, NULL));
	return 0;
}
