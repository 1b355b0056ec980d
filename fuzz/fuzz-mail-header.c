/* SPDX-License-Identifier: Apache-2.0 */
/* Values of header fields: what is decoded is UTF-8 within its limit; ids lie within the value; a base subject is its own. */
#include <stdint.h>
#include <string.h>
#include "mail.h"
#include "mail-imap.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check_text (const char *text, gsize max)
{
	g_assert (!text || (strlen (text) <= max && g_utf8_validate (text, -1, NULL)));
}

static void
check_addresses (Slice value)
{
	g_autoptr (GArray) all = mail_addresses_parse (value);
	g_assert (all->len <= 1000);
	for (guint i = 0; i < all->len; i++) {
		const MailAddress *a = &g_array_index (all, MailAddress, i);
		check_text (a->name, 1024);
		check_text (a->mailbox, 1024);
		check_text (a->host, 1024);
		g_assert (!a->mailbox == !a->host);
	}
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
	Slice value = {(const char *) data, size}, rest = value, id;
	g_autofree char *text = mail_header_decode (value, 300), *base = mail_base_subject (text, NULL), *again = mail_base_subject (base, NULL);
	check_text (text, 300);
	check_text (base, 300);
	g_assert (strcmp (base, again) == 0);
	gint64 time;
	int zone;
	if (mail_date_parse (value, &time, &zone))
		g_assert (zone > -16 * 60 && zone < 16 * 60 && time > -70000000000 && time < 260000000000);
	while (mail_next_id (&rest, &id))
		g_assert (id.size && id.data > value.data && id.data + id.size < value.data + value.size);
	check_addresses (value);
	g_autoptr (GString) out = g_string_new (NULL);
	mail_imap_envelope (out, value);
	mail_header_unfold (out, value);
	return 0;
}
