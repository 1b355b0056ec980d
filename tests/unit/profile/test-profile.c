/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include "discover.h"
#include "profile.h"
#include "secret.h"

static void
test_locations_are_read_or_refused (void **state)
{
	static const struct {
		const char *text, *host, *user, *back;
	} rows[] = {
		{"imaps://mail.example.org", "mail.example.org", NULL, "imaps://mail.example.org:993"},
		{"mail.example.org:1993/", "mail.example.org", NULL, "imaps://mail.example.org:1993"},
		{"IMAP://a%40b.org@h", "h", "a@b.org", "imap://h:143"},
		{"imaps://a@b.org@h:1", "h", "a@b.org", "imaps://h:1"},
		{"imaps://[::1]:99", "::1", NULL, "imaps://[::1]:99"},
		{"imaps://", NULL}, {"imaps://h:0", NULL}, {"imaps://h:65536", NULL}, {"imaps://h:9x", NULL}, {"http://h", NULL},
		{"imaps://@h", NULL}, {"imaps://a%3Ab@h", "h", "a:b", "imaps://h:993"}, {"imaps://[::1", NULL}, {"imaps://[x]", NULL}, {"h/INBOX", NULL}, {"a b", NULL},
	};
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autoptr (Profile) p = profile_new ("p");
		g_autoptr (GError) error = NULL;
		gboolean good = profile_set_location (p, rows[i].text, &error);
		assert_int_equal (good, rows[i].host != NULL);
		if (!good) {
			assert_true (error_is (error, ERROR_USAGE));
			continue;
		}
		g_autofree char *back = profile_location (p);
		assert_string_equal (p->host, rows[i].host);
		assert_string_equal (back, rows[i].back);
		assert_int_equal (g_strcmp0 (p->user, rows[i].user), 0);
	}
}

static void
test_a_password_in_a_location_is_refused_and_not_repeated (void **state)
{
	static const char *const rows[] = {
		"imap://ann:open sesame@h", "imaps://ann:open sesame@h:9x", "ann:open sesame@h", "imaps://ann:@h", "imaps://:open sesame@h",
		"imaps://a@b.org:open sesame@h", "imaps://ann:open sesame/@h/",
	};
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autoptr (Profile) p = profile_new ("p");
		g_autoptr (GError) error = NULL;
		assert_false (profile_set_location (p, rows[i], &error));
		assert_true (error_is (error, ERROR_USAGE));
		assert_non_null (strstr (error->message, "password"));
		assert_null (strstr (error->message, "sesame"));
		assert_null (p->user);
	}
}

static Profile *
example (const char *name)
{
	Profile *p = profile_new (name);
	p->address = g_strdup ("ann@example.org");
	p->user = g_strdup ("ann");
	p->source = SECRET_COMMAND;
	p->command = g_strdup ("printf 'a b\\n'; echo \"=[x]\"");
	p->store = profile_default_store (name);
	assert_true (profile_set_location (p, "imap://localhost:1143", NULL));
	return p;
}

static void
test_profiles_are_kept (void **state)
{
	g_autoptr (GError) error = NULL;
	assert_null (profile_load_default (NULL, &error));
	assert_true (error_is (error, ERROR_NOT_FOUND));
	g_autoptr (Profile) a = example ("a");
	assert_true (profile_save (a, NULL));
	g_autoptr (Profile) back = profile_load_default (NULL, NULL);
	assert_string_equal (back->command, a->command);
	assert_string_equal (back->store, a->store);
	assert_false (back->tls);
	g_autofree char *path = g_build_filename (g_getenv ("XDG_CONFIG_HOME"), "outpost", "profiles", "a.profile", NULL);
	struct stat about;
	assert_int_equal (stat (path, &about), 0);
	assert_int_equal (about.st_mode & 0777, 0600);
	g_autoptr (Profile) b = example ("b");
	assert_true (profile_save (b, NULL));
	g_clear_error (&error);
	assert_null (profile_load_default (NULL, &error));
	assert_true (error_is (error, ERROR_USAGE));
	assert_true (profile_delete ("b", NULL));
	assert_false (profile_delete ("b", NULL));
	assert_false (profile_delete ("../a", NULL));
	assert_true (g_file_set_contents (path, "[profile]\nhots=x\n", -1, NULL));
	g_clear_error (&error);
	assert_null (profile_load ("a", &error));
	assert_true (error_is (error, ERROR_CORRUPT));
	assert_non_null (strstr (error->message, "hots"));
}

static void
test_commands_give_their_first_line (void **state)
{
	static const struct {
		const char *command, *secret;
		OutpostError code;
		const char *says;
	} rows[] = {
		{"printf 'one\\ntwo\\n'", "one"},
		{"echo noise >&2; printf one", "one"},
		{"true", NULL, ERROR_NOT_FOUND, "nothing"},
		{"echo locked >&2; exit 3", NULL, ERROR_NO_PERMISSION, "status 3: locked"},
		{"exec sleep 20", NULL, ERROR_TEMPORARY, "too long"},
	};
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autoptr (GError) error = NULL;
		char *secret = secret_from_command (rows[i].command, 500, NULL, &error);
		assert_int_equal (g_strcmp0 (secret, rows[i].secret), 0);
		assert_true (secret || error_is (error, rows[i].code));
		assert_true (secret || strstr (error->message, rows[i].says));
		secret_free (secret);
	}
}

static GPtrArray *
no_candidates (void)
{
	return g_ptr_array_new_with_free_func ((GDestroyNotify) candidate_free);
}

static void
test_autoconfig_files_are_read (void **state)
{
	static const char xml[] =
		"<?xml version=\"1.0\"?><clientConfig version=\"1.1\"><emailProvider id=\"e\">"
		"<incomingServer type=\"pop3\"><hostname>pop.e</hostname><port>995</port><socketType>SSL</socketType></incomingServer>"
		"<incomingServer type=\"imap\"><hostname> imap.%EMAILDOMAIN% </hostname><port>993</port><socketType>SSL</socketType>"
		"<username>%EMAILLOCALPART%</username><authentication>OAuth2</authentication></incomingServer>"
		"<incomingServer type=\"imap\"><hostname>i2</hostname><port>143</port><socketType>STARTTLS</socketType></incomingServer>"
		"<incomingServer type=\"imap\"><hostname>i3</hostname><port>143</port><socketType>plain</socketType></incomingServer>"
		"</emailProvider></clientConfig>";
	g_autoptr (GPtrArray) found = no_candidates ();
	assert_true (discover_parse_xml (xml, strlen (xml), "ann@e.org", "file", found, NULL));
	assert_int_equal (found->len, 2);
	const Candidate *c = found->pdata[0];
	assert_string_equal (c->host, "imap.e.org");
	assert_string_equal (c->user, "ann");
	assert_true (c->tls && c->oauth && c->port == 993);
	static const char *const bad[] = {"", "<html/>", "<clientConfig>", "<!DOCTYPE x [<!ENTITY a \"b\">]><clientConfig>&a;</clientConfig>"};
	for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
		assert_false (discover_parse_xml (bad[i], strlen (bad[i]), "a@b", "file", found, NULL));
}

/* A DNS answer with records {priority, weight, port, one-label target}. */
static void
add_record (GByteArray *m, guint8 priority, guint8 weight, guint16 port, const char *label)
{
	guint8 n = (guint8) strlen (label), size = (guint8) (n ? n + 8 : 7), zero = 0;
	const guint8 head[] = {0, 0, 33, 0, 1, 0, 0, 0, 60, 0, size, 0, priority, 0, weight, (guint8) (port >> 8), (guint8) port};
	g_byte_array_append (m, head, sizeof head);
	if (n)
		g_byte_array_append (m, &n, 1);
	g_byte_array_append (m, (const guint8 *) label, n);
	g_byte_array_append (m, &zero, 1);
	m->data[7]++;
}

static void
test_srv_records_are_ordered (void **state)
{
	static const guint8 header[12] = {0, 1, 0x81, 0x80};
	gboolean not_offered;
	g_autoptr (GByteArray) m = g_byte_array_new ();
	g_byte_array_append (m, header, sizeof header);
	add_record (m, 20, 0, 993, "last");
	add_record (m, 10, 5, 993, "light");
	add_record (m, 10, 9, 1993, "heavy");
	g_autoptr (GPtrArray) found = no_candidates ();
	assert_true (discover_parse_srv (m->data, m->len, TRUE, "SRV", found, &not_offered, NULL));
	assert_int_equal (found->len, 3);
	assert_string_equal (((Candidate *) found->pdata[0])->host, "heavy");
	assert_string_equal (((Candidate *) found->pdata[2])->host, "last");
	assert_false (not_offered);
	for (guint size = 0; size < m->len; size++)
		assert_false (discover_parse_srv (m->data, size, TRUE, "SRV", found, &not_offered, NULL));
	g_autoptr (GByteArray) dot = g_byte_array_new ();
	g_byte_array_append (dot, header, sizeof header);
	add_record (dot, 0, 0, 0, "");
	assert_true (discover_parse_srv (dot->data, dot->len, TRUE, "SRV", found, &not_offered, NULL));
	assert_true (not_offered);
}

static void
test_discovery_follows_the_hooks (void **state)
{
	g_setenv ("OUTPOST_SRV", "_imaps._tcp.example.org=127.0.0.1:1993", TRUE);
	g_setenv ("OUTPOST_AUTOCONFIG_URL", "http://127.0.0.1:1/%EMAILADDRESS%", TRUE);
	g_autoptr (GError) error = NULL;
	g_autoptr (GPtrArray) found = discover ("ann@example.org", NULL, &error);
	assert_non_null (found);
	assert_int_equal (found->len, 1);
	assert_int_equal (((Candidate *) found->pdata[0])->port, 1993);
	assert_null (discover ("nobody", NULL, &error));
	assert_true (error_is (error, ERROR_USAGE));
	g_clear_error (&error);
	assert_null (discover ("ann@nowhere.example", NULL, &error));
	assert_true (error_is (error, ERROR_NOT_FOUND));
	assert_non_null (strstr (error->message, "--server imaps://host:port"));
}

static void
test_only_a_server_below_the_domain_is_its_own (void **state)
{
	static const struct {
		const char *host, *address;
		gboolean own;
	} rows[] = {
		{"example.org", "ann@example.org", TRUE}, {"imap.example.org", "ann@example.org", TRUE}, {"A.IMAP.Example.ORG", "ann@example.org", TRUE},
		{"imap.xn--bcher-kva.example", "ann@b\303\274cher.example", TRUE}, {"imap.example.org", "\"a@b\"@example.org", TRUE},
		{"imap.example.org.evil.net", "ann@example.org", FALSE}, {"imapexample.org", "ann@example.org", FALSE}, {"example.net", "ann@example.org", FALSE},
		{"org", "ann@example.org", FALSE}, {"imap.example.org", "ann@mail.example.org", FALSE}, {"127.0.0.1", "ann@example.org", FALSE}, {"x", "ann", FALSE},
	};
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
		const Candidate c = {.host = (char *) rows[i].host};
		assert_int_equal (candidate_is_own (&c, rows[i].address), rows[i].own);
	}
}

static void
test_a_profile_that_follows_keeps_where_it_was (void **state)
{
	static const char *const steps[][2] = {
		{"imaps://b", "imaps://a:993"}, {"imaps://b:993", "imaps://a:993"}, {"imap://c", "imaps://b:993 imaps://a:993"}, {"imaps://a", "imap://c:143 imaps://b:993"},
		{"imaps://d", "imaps://a:993 imap://c:143 imaps://b:993"}, {"imaps://e", "imaps://d:993 imaps://a:993 imap://c:143"},
	};
	g_autoptr (GError) error = NULL;
	g_autoptr (Profile) p = profile_new ("followed");
	p->address = g_strdup ("ann@example.org");
	p->source = SECRET_PROMPT;
	p->store = g_strdup ("/nowhere/ann");
	assert_true (profile_set_location (p, "imaps://ann@a", &error));
	for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
		assert_true (profile_follow (p, steps[i][0], &error));
		assert_string_equal (p->earlier, steps[i][1]);
	}
	assert_false (profile_follow (p, "imaps://x y", &error));
	assert_string_equal (p->host, "e");
	g_clear_error (&error);
	assert_true (profile_save (p, &error));
	g_autoptr (Profile) again = profile_load ("followed", &error);
	assert_string_equal (again->earlier, steps[G_N_ELEMENTS (steps) - 1][1]);
	assert_string_equal (again->user, "ann");
	assert_true (profile_delete ("followed", &error));
}

/* Resolver threads that libcurl has given up run on for a while, and the libraries below them (libcrypto) take it ill when the process
 * ends under them: freed twice. */
static int
wait_for_threads (void **state)
{
	guint n = 2;
	for (guint tries = 0; n > 1 && tries < 300; tries++) {
		g_autoptr (GDir) tasks = g_dir_open ("/proc/self/task", 0, NULL);
		for (n = 0; tasks && g_dir_read_name (tasks); n++)
			;
		if (n > 1)
			g_usleep (100000);
	}
	return 0;
}

int
main (void)
{
	g_autofree char *dir = g_dir_make_tmp ("test-profile-XXXXXX", NULL);
	g_setenv ("XDG_CONFIG_HOME", dir, TRUE);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (test_locations_are_read_or_refused),
		cmocka_unit_test (test_a_password_in_a_location_is_refused_and_not_repeated), cmocka_unit_test (test_profiles_are_kept), cmocka_unit_test (test_a_profile_that_follows_keeps_where_it_was), cmocka_unit_test (test_only_a_server_below_the_domain_is_its_own),
		cmocka_unit_test (test_commands_give_their_first_line), cmocka_unit_test (test_autoconfig_files_are_read),
		cmocka_unit_test (test_srv_records_are_ordered), cmocka_unit_test (test_discovery_follows_the_hooks),
	};
	return cmocka_run_group_tests (tests, NULL, wait_for_threads);
}
