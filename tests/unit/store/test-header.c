/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>
#include "store-private.h"

static guint64
digest_64 (const char *text)
{
	guint8 digest[DIGEST_SIZE];
	guint64 n;
	digest_of (text, strlen (text), digest);
	memcpy (&n, digest, sizeof n);
	return GUINT64_FROM_BE (n);
}

static void
evidence_is_the_first_of_five_fields_as_they_stand (void **state)
{
	static const struct {
		const char *header, *hashed;
	} rows[] = {
		{"", ""},
		{"Subject: x\n", "subject:x\n"},
		{"Message-ID: <i>\nSUBJECT : a\r\n  b\t\r\nDate: d\nTo: t\nFrom: f\nCc: c\n\nFrom: body\n", "from:f\nto:t\ndate:d\nsubject:a b\nmessage-id:<i>\n"},
		{"From: a\nFrom: b\n", "from:a\n"},
		{"From:\n", "from:\n"},
		{"From: =?utf-8?Q?=C3=B6?= <a@b>\n", "from:=?utf-8?Q?=C3=B6?= <a@b>\n"},
		{"no field\nFrom: a\n", "from:a\n"},
		/* a server sees one field where CR alone ends lines */
		{"From: a\rTo: b\r\rx", "from:a To: b x\n"},
		{"Received: a\rTo: b\r\rx", ""},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autoptr (GBytes) octets = g_bytes_new_static (rows[i].header, strlen (rows[i].header));
		g_autoptr (Prepared) p = prepare_bytes (octets, 0, 0);
		assert_true (p->digest == digest_64 (rows[i].hashed));
		assert_true (message_evidence_digest (rows[i].header, strlen (rows[i].header)) == p->digest);
	}
}

static void
people_see_the_fields_where_cr_ends_lines (void **state)
{
	static const char text[] = "Received: a\rSubject: s\rMessage-ID: <i>\rDate: Tue, 1 Jul 2003 10:52:37 +0200\r\rx";
	g_autoptr (GBytes) octets = g_bytes_new_static (text, strlen (text));
	g_autoptr (Prepared) p = prepare_bytes (octets, 0, 0);
	assert_string_equal (p->subject, "s");
	assert_true (p->has_sent && p->sent == 1057049557);
	assert_int_equal (p->n_thread_keys, 1);
	assert_null (p->message_id);
}

static Prepared *
prepare_through_file (const GString *text)
{
	g_autofree char *path = NULL;
	int fd = g_file_open_tmp ("outpost-XXXXXX", &path, NULL);
	assert_true (fd >= 0 && write (fd, text->str, text->len) == (gssize) text->len);
	Prepared *p = prepare_file (fd, text->len, 0, 0, NULL);
	unlink (path);
	close (fd);
	return p;
}

/* Over several chunks, with a boundary across each of their ends. */
static void
a_file_has_the_structure_of_its_octets (void **state)
{
	g_autoptr (GString) text = g_string_new ("Subject: s\nContent-Type: multipart/mixed; boundary=bbbbbbbb\n\n");
	for (guint chunk = 1; chunk <= 3; chunk++) {
		g_string_append (text, "--bbbbbbbb\nContent-Disposition: attachment\n\n");
		while (text->len < chunk * CHUNK_SIZE - 5)
			g_string_append (text, text->len % 70 ? "x" : "\n");
		g_string_append_c (text, '\n');
	}
	g_string_append (text, "--bbbbbbbb--\n");
	g_autoptr (GBytes) octets = g_bytes_new (text->str, text->len);
	g_autoptr (Prepared) whole = prepare_bytes (octets, 0, 0), file = prepare_through_file (text);
	assert_true (g_bytes_equal (whole->structure, file->structure));
	assert_memory_equal (whole->hash, file->hash, DIGEST_SIZE);
	assert_true (whole->attachment && file->attachment);
	g_autoptr (MailStructure) m = mail_structure_unserialise (file->structure);
	assert_int_equal (mail_structure_count (m), 4);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (evidence_is_the_first_of_five_fields_as_they_stand),
		cmocka_unit_test (people_see_the_fields_where_cr_ends_lines),
		cmocka_unit_test (a_file_has_the_structure_of_its_octets),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
