/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "db.h"
#include "directory-private.h"
#include <glib/gstdio.h>
#include <gsasl.h>
#include <string.h>
#include <sys/stat.h>

#define SERVER "5e7e5e7e5e7e5e7e5e7e5e7e5e7e5e7e"

typedef struct {
	char *folder, *path;
	Directory *d;
	guint ids;
} World;

static void
must (gboolean ok, GError **error)
{
	if (!ok)
		fail_msg ("failed: %s", *error ? (*error)->message : "no error");
}

/* Of @ok FALSE: the error has @code. */
static void
must_fail (gboolean ok, GError **error, OutpostError code, const char *what)
{
	if (ok || !error_is (*error, code))
		fail_msg ("%s: %s", what, ok ? "succeeded" : (*error)->message);
	g_clear_error (error);
}

static int
set_up (void **state)
{
	World *w = g_new0 (World, 1);
	GError *e = NULL;
	w->folder = g_dir_make_tmp ("test-directory-XXXXXX", NULL);
	w->path = g_build_filename (w->folder, "directory.db", NULL);
	w->d = directory_open (w->path, TRUE, &e);
	must (w->d != NULL, &e);
	must (directory_domain_add (w->d, "Example.ORG", &e), &e);
	must (directory_server_enrol (w->d, SERVER, "here", &e), &e);
	*state = w;
	return 0;
}

static int
tear_down (void **state)
{
	World *w = *state;
	directory_free (w->d);
	for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end; end++) {
		g_autofree char *file = g_strconcat (w->path, *end, NULL);
		g_unlink (file);
	}
	g_rmdir (w->folder);
	g_free (w->folder);
	g_free (w->path);
	g_free (w);
	return 0;
}

static char *
add (World *w, const char *address)
{
	GError *e = NULL;
	char *id = g_strdup_printf ("%032x", ++w->ids);
	must (directory_mailbox_add (w->d, id, address, SERVER, 0, 0, &e), &e);
	return id;
}

/* Addresses that @address leads to, with blanks between, and "|detail"; "-": the error's code is NOT_FOUND, "!" CONFLICT, "?" USAGE. */
static char *
led_to (Directory *d, const char *address)
{
	g_autoptr (GError) e = NULL;
	g_autofree char *detail = NULL;
	g_autoptr (GPtrArray) found = directory_resolve (d, address, &detail, &e);
	if (!found)
		return g_strdup (error_is (e, ERROR_NOT_FOUND) ? "-" : error_is (e, ERROR_CONFLICT) ? "!" : "?");
	GString *text = g_string_new (NULL);
	for (guint i = 0; i < found->len; i++)
		g_string_append_printf (text, "%s%s", i ? " " : "", ((DirectoryMailbox *) found->pdata[i])->address);
	if (detail)
		g_string_append_printf (text, "|%s", detail);
	return g_string_free (text, FALSE);
}

static void
leads (World *w, const char *address, const char *to)
{
	g_autofree char *is = led_to (w->d, address);
	if (strcmp (is, to) != 0)
		fail_msg ("%s leads to %s, not %s", address, is, to);
}

static void
an_address_is_what_mail_knows_as_one (void **state)
{
	static const struct {
		const char *address;
		gboolean good;
	} rows[] = {
		{"a@example.org", TRUE}, {"first.last@example.org", TRUE}, {"o'neil+x@example.org", TRUE}, {"jürgen@example.org", TRUE},
		{"", FALSE}, {"a", FALSE}, {"@example.org", FALSE}, {"a@", FALSE}, {".a@example.org", FALSE}, {"a.@example.org", FALSE}, {"a..b@example.org", FALSE},
		{"a b@example.org", FALSE}, {"\"a b\"@example.org", FALSE}, {"a@b@example.org", FALSE}, {"a\n@example.org", FALSE}, {"a@exa mple.org", FALSE},
		{"a@-example.org", FALSE}, {"a@example-.org", FALSE}, {"a@example..org", FALSE}, {"\xff@example.org", FALSE}, {"a/b@example.org", TRUE},
	};
	World *w = *state;
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
		GError *e = NULL;
		g_autofree char *id = g_strdup_printf ("%032x", 1000 + i);
		gboolean ok = directory_mailbox_add (w->d, id, rows[i].address, SERVER, 0, 0, &e);
		if (ok != rows[i].good || (!ok && !error_is (e, ERROR_USAGE)))
			fail_msg ("'%s': %s", rows[i].address, ok ? "taken" : e->message);
		g_clear_error (&e);
	}
	g_autofree char *local = g_strnfill (65, 'a'), *long_one = g_strconcat (local, "@example.org", NULL);
	GError *e = NULL;
	must_fail (directory_mailbox_add (w->d, "x", long_one, SERVER, 0, 0, &e), &e, ERROR_USAGE, "65 octets before the @");
	must_fail (directory_domain_add (w->d, "no domain", &e), &e, ERROR_USAGE, "a domain");
}

static void
a_name_is_one_mailbox_whatever_its_letters_case (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "Anna@Example.org");
	must_fail (directory_mailbox_add (w->d, "x", "anna@example.ORG", SERVER, 0, 0, &e), &e, ERROR_EXISTS, "twice");
	must_fail (directory_mailbox_add (w->d, "x", "anna@example.com", SERVER, 0, 0, &e), &e, ERROR_NOT_FOUND, "not our domain");
	for (const char *const *name = (const char *const[]){"ANNA@EXAMPLE.ORG", "anna", id, NULL}; *name; name++) {
		g_autoptr (DirectoryMailbox) m = directory_mailbox (w->d, *name, &e);
		must (m != NULL, &e);
		assert_string_equal (m->address, "Anna@Example.org");
		assert_string_equal (m->id, id);
		assert_true (m->created > 0 && !m->deleted && !m->disabled && !m->has_password);
	}
	static const char *const forms[][2] = {{"ANNA@EXAMPLE.ORG", "anna@example.org"}, {"Anna", "anna@example.org"}, {"nobody", "nobody@example.org"},
	                                       {"r\xc3\x96@example.org", "r\xc3\xb6@example.org"}, {"\xff", ""}};
	for (gsize i = 0; i < G_N_ELEMENTS (forms); i++) {
		g_autofree char *form = directory_name_key (w->d, forms[i][0], &e);
		assert_string_equal (form, forms[i][1]);
	}
	must (directory_domain_add (w->d, "example.net", &e), &e);
	must_fail (directory_mailbox (w->d, "anna", &e) != NULL, &e, ERROR_NOT_FOUND, "a local part where there are two domains");
	must_fail (directory_domain_add (w->d, "EXAMPLE.net", &e), &e, ERROR_EXISTS, "a domain twice");
	must_fail (directory_domain_remove (w->d, "example.org", &e), &e, ERROR_CONFLICT, "a domain in use");
	must (directory_domain_remove (w->d, "example.net", &e), &e);
	must_fail (directory_domain_remove (w->d, "example.net", &e), &e, ERROR_NOT_FOUND, "a domain that there is not");
}

static void
an_address_leads_to_mailboxes (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *anna = add (w, "anna@example.org"), *bob = add (w, "bob@example.org"), *plus = add (w, "carl+x@example.org");
	static const char *const aliases[][2] = {
		{"info@example.org", "anna@example.org"}, {"info@example.org", "bob@example.org"}, {"all@example.org", "info@example.org"},
		{"all@example.org", "anna@example.org"}, {"b@example.org", "bob@example.org"}, {"a@example.org", "b@example.org"}, {"b@example.org", "a@example.org"},
	};
	for (guint i = 0; i < G_N_ELEMENTS (aliases); i++)
		must (directory_alias_add (w->d, aliases[i][0], aliases[i][1], &e), &e);
	leads (w, "Anna@EXAMPLE.org", "anna@example.org");
	leads (w, "info@example.org", "anna@example.org bob@example.org");
	leads (w, "all@example.org", "anna@example.org bob@example.org");
	leads (w, "a@example.org", "bob@example.org"); /* a loop */
	leads (w, "anna+Some.List@example.org", "anna@example.org|Some.List");
	leads (w, "info+x+y@example.org", "anna@example.org bob@example.org|x+y");
	leads (w, "carl+x@example.org", "carl+x@example.org");
	leads (w, "carl+y@example.org", "-");
	leads (w, "nobody@example.org", "-");
	leads (w, "anna@example.com", "-");
	leads (w, "+x@example.org", "-");
	leads (w, "no address", "?");
	must_fail (directory_alias_add (w->d, "anna@example.org", "bob@example.org", &e), &e, ERROR_EXISTS, "an alias that is a mailbox");
	must_fail (directory_alias_add (w->d, "b@example.org", "bob@example.org", &e), &e, ERROR_EXISTS, "an alias twice");
	must_fail (directory_alias_add (w->d, "b@example.org", "b@example.org", &e), &e, ERROR_USAGE, "an alias of itself");
	must_fail (directory_alias_add (w->d, "c@example.org", "nobody@example.org", &e), &e, ERROR_NOT_FOUND, "an alias of nobody");
	must_fail (directory_alias_add (w->d, "c@example.com", "bob@example.org", &e), &e, ERROR_NOT_FOUND, "an alias elsewhere");
	must_fail (directory_mailbox_add (w->d, "x", "info@example.org", SERVER, 0, 0, &e), &e, ERROR_EXISTS, "a mailbox that is an alias");
	must (directory_alias_remove (w->d, "info@example.org", "anna@example.org", &e), &e);
	leads (w, "info@example.org", "bob@example.org");
	must_fail (directory_alias_remove (w->d, "info@example.org", "anna@example.org", &e), &e, ERROR_NOT_FOUND, "no alias");
	must (directory_alias_remove (w->d, "info@example.org", NULL, &e), &e);
	leads (w, "info@example.org", "-");
	g_autoptr (GPtrArray) left = directory_aliases (w->d, &e);
	must (left != NULL, &e);
	assert_int_equal (left->len, 5);
}

static void
aliases_have_an_end (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "m0@example.org");
	for (int i = 1; i <= 12; i++) {
		g_autofree char *alias = g_strdup_printf ("m%d@example.org", i), *target = g_strdup_printf ("m%d@example.org", i - 1);
		must (directory_alias_add (w->d, alias, target, &e), &e);
	}
	leads (w, "m10@example.org", "m0@example.org");
	leads (w, "m11@example.org", "!");
	for (int i = 0; i < 101; i++) {
		g_autofree char *address = g_strdup_printf ("n%d@example.org", i), *other = add (w, address);
		must (directory_alias_add (w->d, "many@example.org", address, &e), &e);
	}
	leads (w, "many@example.org", "!");
}

static void
a_renamed_mailbox_is_the_same (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "anna@example.org"), *bob = add (w, "bob@example.org");
	must (directory_domain_add (w->d, "example.net", &e) && directory_alias_add (w->d, "a@example.org", "anna@example.org", &e), &e);
	must (directory_set_password (w->d, "anna@example.org", "secret", &e), &e);
	must_fail (directory_mailbox_rename (w->d, "anna@example.org", "bob@example.org", TRUE, &e), &e, ERROR_EXISTS, "onto another");
	must (directory_mailbox_rename (w->d, "anna@example.org", "Anna.B@example.net", TRUE, &e), &e);
	leads (w, "anna@example.org", "Anna.B@example.net");
	leads (w, "a@example.org", "Anna.B@example.net");
	g_autoptr (DirectoryMailbox) m = directory_authenticate (w->d, "anna.b@example.net", "secret", &e);
	must (m != NULL, &e);
	assert_string_equal (m->id, id);
	must (directory_mailbox_rename (w->d, "anna.b@example.net", "anna@example.org", FALSE, &e), &e); /* back to what is its alias now */
	leads (w, "anna.b@example.net", "-");
	leads (w, "anna@example.org", "anna@example.org");
	must (directory_mailbox_rename (w->d, "anna@example.org", "ANNA@example.org", TRUE, &e), &e); /* another case is no other name */
	leads (w, "anna@example.org", "ANNA@example.org");
}

static void
a_deleted_mailbox_can_come_back_until_it_is_purged (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "anna@example.org");
	must (directory_set_password (w->d, "anna", "secret", &e) && directory_alias_add (w->d, "a@example.org", "anna@example.org", &e), &e);
	must (directory_mailbox_delete (w->d, "anna@example.org", &e), &e);
	leads (w, "anna@example.org", "-");
	leads (w, "a@example.org", "-");
	must_fail (directory_authenticate (w->d, "anna@example.org", "secret", &e) != NULL, &e, ERROR_NO_PERMISSION, "deleted");
	must_fail (directory_authenticate (w->d, id, "secret", &e) != NULL, &e, ERROR_NO_PERMISSION, "deleted, by its id");
	must_fail (directory_mailbox_delete (w->d, id, &e), &e, ERROR_NOT_FOUND, "twice");
	g_autofree char *other = add (w, "anna@example.org");
	must_fail (directory_mailbox_undelete (w->d, id, &e), &e, ERROR_EXISTS, "its address is another's");
	must (directory_mailbox_rename (w->d, "anna@example.org", "anna2@example.org", FALSE, &e) && directory_mailbox_undelete (w->d, id, &e), &e);
	g_autoptr (DirectoryMailbox) m = directory_authenticate (w->d, "anna@example.org", "secret", &e);
	must (m != NULL, &e);
	assert_string_equal (m->id, id);
	must (directory_mailbox_delete (w->d, "anna@example.org", &e), &e);
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	g_autoptr (GPtrArray) none = directory_purge (w->d, SERVER, now - 100, &e);
	g_autoptr (GPtrArray) others = directory_purge (w->d, "another", now + 100, &e);
	assert_int_equal (others->len, 0);
	g_autoptr (GPtrArray) purged = directory_purge (w->d, SERVER, now + 100, &e);
	must (none && purged, &e);
	assert_true (none->len == 0 && purged->len == 1);
	assert_string_equal (purged->pdata[0], id);
	must_fail (directory_mailbox_undelete (w->d, id, &e), &e, ERROR_NOT_FOUND, "purged");
	g_autoptr (GPtrArray) left = directory_mailboxes (w->d, FALSE, &e);
	g_autoptr (GPtrArray) deleted = directory_mailboxes (w->d, TRUE, &e);
	assert_true (left->len == 1 && deleted->len == 0);
}

static void
a_password_is_right_or_nothing_is_said (void **state)
{
	static const struct {
		const char *set, *given;
		gboolean right;
	} rows[] = {
		{"secret", "secret", TRUE}, {"secret", "Secret", FALSE}, {"secret", "secret ", FALSE}, {"secret", "", FALSE}, {"p\xc3\xa4ss", "pa\xcc\x88ss", TRUE},
		{"a\xc2\xa0" "b", "a b", TRUE}, /* SASLprep: NFKC, a space that does not break is a space */
		{"secret", "\xff", FALSE}, {"$y$j9T$x", "$y$j9T$x", TRUE}, {"*", "*", TRUE},
	};
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "anna@example.org");
	must_fail (directory_authenticate (w->d, "anna@example.org", "x", &e) != NULL, &e, ERROR_NO_PERMISSION, "none was set");
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
		must (directory_set_password (w->d, "anna@example.org", rows[i].set, &e), &e);
		g_autoptr (DirectoryMailbox) m = directory_authenticate (w->d, "ANNA@example.org", rows[i].given, &e);
		if ((m != NULL) != rows[i].right)
			fail_msg ("'%s' for '%s'", rows[i].given, rows[i].set);
		if (!m)
			must_fail (FALSE, &e, ERROR_NO_PERMISSION, rows[i].given);
	}
	must (directory_set_password (w->d, "anna", "secret", &e) && directory_mailbox_set_disabled (w->d, "anna", TRUE, &e), &e);
	must_fail (directory_authenticate (w->d, "anna@example.org", "secret", &e) != NULL, &e, ERROR_NO_PERMISSION, "disabled");
	leads (w, "anna@example.org", "anna@example.org");
	must (directory_mailbox_set_disabled (w->d, "anna", FALSE, &e), &e);
	g_autoptr (DirectoryMailbox) m = directory_authenticate (w->d, "anna", "secret", &e);
	must (m && m->has_password, &e);
	must_fail (directory_authenticate (w->d, "nobody@example.org", "secret", &e) != NULL, &e, ERROR_NO_PERMISSION, "nobody");
	/* U+FDFA: 3 octets that SASLprep makes 33 */
	g_autofree char *ligature = g_strnfill (20, 'F'), *grows = NULL;
	g_auto (GStrv) apart = g_strsplit (ligature, "F", -1);
	grows = g_strjoinv ("\xef\xb7\xba", apart);
	g_autofree char *long_one = g_strnfill (512, 'x'), *longest = g_strnfill (511, 'x');
	for (const char *const *bad = (const char *const[]){"", "a\nb", "\xff", long_one, grows, NULL}; *bad; bad++)
		must_fail (directory_set_password (w->d, "anna", *bad, &e), &e, ERROR_USAGE, "a bad password");
	must (directory_set_password (w->d, "anna", longest, &e), &e);
	g_autoptr (DirectoryMailbox) long_one_right = directory_authenticate (w->d, "anna", longest, &e);
	must (long_one_right != NULL, &e);
	must_fail (directory_authenticate (w->d, "anna", long_one, &e) != NULL, &e, ERROR_NO_PERMISSION, "one octet more");
	g_autofree char *octets = NULL;
	gsize size;
	must (directory_set_password (w->d, "anna", "unlikely words", &e), &e);
	directory_free (w->d); /* all is in the file */
	w->d = NULL;
	assert_true (g_file_get_contents (w->path, &octets, &size, NULL));
	assert_null (memmem (octets, size, "unlikely", 8));
	w->d = directory_open (w->path, FALSE, &e);
	must (w->d != NULL, &e);
}

static int
answer (Gsasl *ctx, Gsasl_session *session, Gsasl_property property)
{
	const DirectoryScram *s = gsasl_session_hook_get (session);
	g_autofree char *rounds = g_strdup_printf ("%u", s->rounds);
	switch (property) {
	case GSASL_SCRAM_SALT: return gsasl_property_set (session, property, s->salt);
	case GSASL_SCRAM_ITER: return gsasl_property_set (session, property, rounds);
	case GSASL_SCRAM_STOREDKEY: return s->stored_key ? gsasl_property_set (session, property, s->stored_key) : GSASL_NO_CALLBACK;
	case GSASL_SCRAM_SERVERKEY: return s->server_key ? gsasl_property_set (session, property, s->server_key) : GSASL_NO_CALLBACK;
	default: return GSASL_NO_CALLBACK;
	}
}

/* Whether a client with @password and a server with what is kept come to an end. */
static gboolean
scram (const DirectoryScram *kept, const char *mechanism, const char *password)
{
	Gsasl *ctx;
	Gsasl_session *client, *server;
	assert_int_equal (gsasl_init (&ctx), GSASL_OK);
	gsasl_callback_set (ctx, answer);
	assert_int_equal (gsasl_client_start (ctx, mechanism, &client), GSASL_OK);
	assert_int_equal (gsasl_server_start (ctx, mechanism, &server), GSASL_OK);
	gsasl_session_hook_set (server, (void *) kept);
	gsasl_session_hook_set (client, (void *) kept);
	gsasl_property_set (client, GSASL_AUTHID, "anna@example.org");
	gsasl_property_set (client, GSASL_PASSWORD, password);
	char *text = g_strdup (""), *next;
	int rc = GSASL_NEEDS_MORE, other = GSASL_NEEDS_MORE;
	for (int turn = 0; turn < 6 && (rc == GSASL_NEEDS_MORE || rc == GSASL_OK) && !(rc == GSASL_OK && other == GSASL_OK); turn++) {
		other = rc;
		rc = gsasl_step64 (turn % 2 ? server : client, text, &next);
		g_free (text);
		text = rc == GSASL_OK || rc == GSASL_NEEDS_MORE ? g_strdup (next) : g_strdup ("");
		if (rc == GSASL_OK || rc == GSASL_NEEDS_MORE)
			gsasl_free (next);
	}
	g_free (text);
	gsasl_finish (client);
	gsasl_finish (server);
	gsasl_done (ctx);
	return rc == GSASL_OK && other == GSASL_OK;
}

static void
scram_proves_the_password_by_what_is_kept (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "anna@example.org");
	must (directory_set_password (w->d, "anna", "pencil", &e), &e);
	for (const char *const *m = (const char *const[]){"SCRAM-SHA-1", "SCRAM-SHA-256", NULL}; *m; m++) {
		g_auto (DirectoryScram) kept = {0}, nobody = {0}, again = {0}, other = {0};
		must (directory_scram (w->d, "anna@example.org", *m, &kept, &e), &e);
		assert_true (kept.stored_key && kept.rounds >= 4096);
		assert_true (scram (&kept, *m, "pencil"));
		assert_false (scram (&kept, *m, "Pencil"));
		must (directory_scram (w->d, "nobody@example.org", *m, &nobody, &e) && directory_scram (w->d, "NOBODY@example.org", *m, &again, &e) &&
		      directory_scram (w->d, "nobody2@example.org", *m, &other, &e), &e);
		assert_true (!nobody.stored_key && nobody.rounds == kept.rounds && strlen (nobody.salt) == strlen (kept.salt));
		assert_string_equal (nobody.salt, again.salt);
		assert_string_not_equal (nobody.salt, other.salt);
		assert_false (scram (&nobody, *m, "pencil"));
	}
	must (directory_mailbox_set_disabled (w->d, "anna", TRUE, &e), &e);
	g_auto (DirectoryScram) disabled = {0};
	must (directory_scram (w->d, "anna@example.org", "SCRAM-SHA-256", &disabled, &e), &e);
	assert_null (disabled.stored_key);
}

/* A client of gsasl on one side, ours on the other; *error as the server's, where it is the server that ends it. */
typedef struct {
	const char *server, *client; /* mechanisms */
	const char *name, *as, *password;
	const char *exporter, *its_exporter; /* bindings; NULL: none */
} Exchange;

static Gsasl_session *
client_of (Gsasl *ctx, const Exchange *x)
{
	Gsasl_session *client;
	assert_int_equal (gsasl_client_start (ctx, x->client, &client), GSASL_OK);
	gsasl_property_set (client, GSASL_AUTHID, x->name);
	gsasl_property_set (client, GSASL_PASSWORD, x->password);
	if (x->as)
		gsasl_property_set (client, GSASL_AUTHZID, x->as);
	g_autofree char *bound = x->its_exporter ? g_base64_encode ((const guchar *) x->its_exporter, strlen (x->its_exporter)) : NULL;
	if (bound)
		gsasl_property_set (client, GSASL_CB_TLS_EXPORTER, bound);
	return client;
}

/* TRUE: the client is logged on, and knows that the server is the one. */
static gboolean
log_on (World *w, const Exchange *x, char **first_out, GError **error)
{
	Gsasl *ctx;
	assert_int_equal (gsasl_init (&ctx), GSASL_OK);
	Gsasl_session *client = client_of (ctx, x);
	g_autoptr (GBytes) exporter = x->exporter ? g_bytes_new_static (x->exporter, strlen (x->exporter)) : NULL;
	g_autoptr (DirectoryLogOn) l = directory_log_on_new (x->server, NULL, exporter, error);
	g_autoptr (DirectoryMailbox) m = NULL;
	g_autoptr (GString) answer = g_string_new (NULL);
	int rc = GSASL_NEEDS_MORE;
	gboolean on = l != NULL;
	for (int turn = 0; turn < 3 && on; turn++) {
		char *out = NULL;
		size_t size = 0;
		rc = gsasl_step (client, answer->str, answer->len, &out, &size);
		if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
			fail_msg ("%s of %s, turn %d: %s", x->client, x->name, turn, gsasl_strerror (rc));
		g_string_truncate (answer, 0);
		on = directory_log_on_step (l, w->d, (Slice){out, size}, answer, &m, error);
		if (on && turn == 0 && first_out)
			*first_out = g_strdup (answer->str);
		assert_true (!on || (m != NULL) == (turn == 2));
		gsasl_free (out);
	}
	gsasl_finish (client);
	gsasl_done (ctx);
	return on && m && rc == GSASL_OK && g_str_has_prefix (m->address, "anna@");
}

static void
scram_logs_on_who_proves_the_password (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "anna@example.org"), *other = add (w, "disabled@example.org");
	must (directory_set_password (w->d, "anna", "p\xc3\xa4ncil", &e) && directory_set_password (w->d, "disabled", "pencil", &e) &&
	      directory_mailbox_set_disabled (w->d, "disabled", TRUE, &e), &e);
	static const Exchange right[] = {
		{"SCRAM-SHA-1", "SCRAM-SHA-1", "anna", NULL, "p\xc3\xa4ncil"},
		{"SCRAM-SHA-256", "SCRAM-SHA-256", "Anna@example.org", NULL, "pa\xcc\x88ncil"}, /* another spelling of it */
		{"SCRAM-SHA-256", "SCRAM-SHA-256", "anna", "anna", "p\xc3\xa4ncil"},
		{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS", "anna", NULL, "p\xc3\xa4ncil", "channel", "channel"},
		{"SCRAM-SHA-1-PLUS", "SCRAM-SHA-1-PLUS", "anna", NULL, "p\xc3\xa4ncil", "channel", "channel"},
		{"SCRAM-SHA-256", "SCRAM-SHA-256", "anna", NULL, "p\xc3\xa4ncil", "channel", NULL}, /* "n": it can't bind */
	};
	static const Exchange wrong[] = {
		{"SCRAM-SHA-1", "SCRAM-SHA-1", "anna", NULL, "pencil"},
		{"SCRAM-SHA-256", "SCRAM-SHA-256", "nobody", NULL, "p\xc3\xa4ncil"},
		{"SCRAM-SHA-256", "SCRAM-SHA-256", "disabled", NULL, "pencil"},
		{"SCRAM-SHA-256", "SCRAM-SHA-256", "anna", "disabled", "p\xc3\xa4ncil"},
		{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS", "anna", NULL, "p\xc3\xa4ncil", "channel", "another"}, /* somebody is between */
		{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "anna", NULL, "p\xc3\xa4ncil", "channel", NULL},
		{"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "anna", NULL, "p\xc3\xa4ncil", "channel", "channel"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (right); i++)
		must (log_on (w, &right[i], NULL, &e), &e);
	for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
		must_fail (log_on (w, &wrong[i], NULL, &e), &e, ERROR_NO_PERMISSION, wrong[i].name);
	must_fail (log_on (w, &(Exchange){"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "anna", NULL, "x"}, NULL, &e), &e, ERROR_NOT_FOUND, "nothing to bind to");
	must_fail (log_on (w, &(Exchange){"PLAIN", "SCRAM-SHA-256", "anna", NULL, "x"}, NULL, &e), &e, ERROR_NOT_FOUND, "no SCRAM");
}

/* "y": it could bind, and believes that the server can't. */
static void
scram_sees_that_its_binding_was_hidden (void **state)
{
	static const Slice first = {"y,,n=anna,r=x", 13};
	World *w = *state;
	GError *e = NULL;
	DirectoryMailbox *m;
	g_autoptr (GString) answer = g_string_new (NULL);
	g_autoptr (GBytes) channel = g_bytes_new_static ("channel", 7);
	g_autoptr (DirectoryLogOn) none = directory_log_on_new ("SCRAM-SHA-256", NULL, NULL, &e);
	g_autoptr (DirectoryLogOn) unique = directory_log_on_new ("SCRAM-SHA-256", channel, NULL, &e);
	g_autoptr (DirectoryLogOn) exporter = directory_log_on_new ("SCRAM-SHA-256", NULL, channel, &e);
	must (directory_log_on_step (none, w->d, first, answer, &m, &e), &e);
	must_fail (directory_log_on_step (unique, w->d, first, answer, &m, &e), &e, ERROR_NO_PERMISSION, "tls-unique was hidden");
	must_fail (directory_log_on_step (exporter, w->d, first, answer, &m, &e), &e, ERROR_NO_PERMISSION, "tls-exporter was hidden");
}

/* "r=<nonce>,s=<salt>,i=<rounds>" without the nonce. */
static char *
first_answer (World *w, const char *name)
{
	GError *e = NULL;
	char *first = NULL;
	g_assert_false (log_on (w, &(Exchange){"SCRAM-SHA-256", "SCRAM-SHA-256", name, NULL, "wrong"}, &first, &e));
	g_clear_error (&e);
	char *salt = g_strdup (strstr (first, ",s="));
	g_free (first);
	return salt;
}

static void
scram_tells_nobody_from_somebody_by_nothing (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "anna@example.org");
	must (directory_set_password (w->d, "anna", "pencil", &e), &e);
	g_autofree char *anna = first_answer (w, "anna"), *again = first_answer (w, "anna@example.org"), *nobody = first_answer (w, "nobody"),
	                *still = first_answer (w, "NOBODY@example.org");
	assert_string_equal (anna, again);
	assert_string_equal (nobody, still);
	assert_string_not_equal (anna, nobody);
	assert_int_equal (strlen (anna), strlen (nobody));
	assert_string_equal (strstr (anna, ",i="), strstr (nobody, ",i="));
}

static void
what_is_no_message_of_scram_ends_the_exchange (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "anna@example.org"), *long_name = g_strnfill (5000, 'a'), *too_long = g_strconcat ("n,,n=", long_name, ",r=x", NULL);
	must (directory_set_password (w->d, "anna", "pencil", &e), &e);
	const struct {
		const char *first, *second;
	} talks[] = {
		{"", NULL}, {"n", NULL}, {"n,,", NULL}, {"n,,n=anna", NULL}, {"n,,n=,r=x", NULL}, {"n,,r=x,n=anna", NULL}, {"n,,m=x,n=anna,r=x", NULL}, {"p=,,n=anna,r=x", NULL},
		{"n,,n=\xff,r=x", NULL}, {too_long, NULL}, {"n,,n=anna,r=abc", ""}, {"n,,n=anna,r=abc", "c=biws,r=abc"},
		{"n,,n=anna,r=abc", "c=biws,r=abc,p=AAAA"}, {"n,,n=anna,r=abc", "c=!,r=abc,p=!"}, {"n,,n=anna,r=abc", "n,,n=anna,r=abc"}, {"p=tls-unique,,n=anna,r=abc", NULL},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (talks); i++) {
		g_autoptr (DirectoryLogOn) l = directory_log_on_new ("SCRAM-SHA-256", NULL, NULL, &e);
		g_autoptr (GString) answer = g_string_new (NULL);
		DirectoryMailbox *m;
		gboolean ok = directory_log_on_step (l, w->d, (Slice){talks[i].first, strlen (talks[i].first)}, answer, &m, &e);
		if (ok != (talks[i].second != NULL))
			fail_msg ("%s: %s", talks[i].first, e ? e->message : "taken");
		ok = ok && directory_log_on_step (l, w->d, (Slice){talks[i].second, strlen (talks[i].second)}, answer, &m, &e);
		if (ok || (!error_is (e, ERROR_PROTOCOL) && !error_is (e, ERROR_NO_PERMISSION)))
			fail_msg ("%s %s: %s", talks[i].first, talks[i].second, e ? e->message : "taken");
		g_clear_error (&e);
		must_fail (directory_log_on_step (l, w->d, (Slice){"", 0}, answer, &m, &e), &e, ERROR_PROTOCOL, "it is over");
	}
}

static void
what_is_no_directory_is_refused_and_not_touched (void **state)
{
	World *w = *state;
	GError *e = NULL;
	struct stat mode;
	assert_true (stat (w->path, &mode) == 0 && (mode.st_mode & 0777) == 0600);
	must_fail (directory_open ("/nowhere/at/all", FALSE, &e) != NULL, &e, ERROR_NOT_FOUND, "no file");
	g_autofree char *other = g_build_filename (w->folder, "other", NULL);
	assert_true (g_file_set_contents (other, "this is no database, but long enough to look like one\n", -1, NULL));
	must_fail (directory_open (other, TRUE, &e) != NULL, &e, ERROR_CORRUPT, "a text");
	g_unlink (other);
	Db *db = db_open (other, FALSE, TRUE, &e);
	must (db && db_exec (db, "CREATE TABLE x (y); PRAGMA application_id=7", &e), &e);
	db_close (db);
	must_fail (directory_open (other, TRUE, &e) != NULL, &e, ERROR_CORRUPT, "another program's");
	g_unlink (other);
	directory_free (w->d);
	w->d = NULL;
	db = db_open (w->path, FALSE, FALSE, &e);
	must (db && db_exec (db, "PRAGMA user_version=99", &e), &e);
	db_close (db);
	must_fail (directory_open (w->path, TRUE, &e) != NULL, &e, ERROR_CORRUPT, "a newer version's");
	for (const char *const *end = (const char *const[]){"-wal", "-shm", NULL}; *end; end++) {
		g_autofree char *file = g_strconcat (other, *end, NULL);
		g_unlink (file);
	}
}

static void
an_older_version_is_brought_up_to_date (void **state)
{
	World *w = *state;
	GError *e = NULL;
	must (directory_mailbox_add (w->d, "0123456789abcdef0123456789abcdef", "old@example.org", SERVER, 1000, 0, &e), &e);
	directory_free (w->d);
	Db *db = db_open (w->path, FALSE, FALSE, &e);
	must (db && db_exec (db, "DROP TABLE move; DROP INDEX mailbox_server; DROP TABLE server_address; DROP TABLE server; DROP TABLE site; DROP TABLE organisation;"
	                   "ALTER TABLE mailbox DROP COLUMN quota_messages; PRAGMA user_version=1", &e), &e);
	db_close (db);
	w->d = directory_open (w->path, FALSE, &e);
	must (w->d && directory_mailbox_set_quota (w->d, "old@example.org", 1000, 9, &e), &e);
	g_autoptr (DirectoryMailbox) m = directory_mailbox (w->d, "old@example.org", &e);
	assert_true (m->quota == 1000 && m->quota_messages == 9);
	g_autoptr (Directory) again = directory_open (w->path, FALSE, &e);
	must (again != NULL, &e);
}

static gboolean
may (World *w, const char *name, const char *password)
{
	g_autoptr (GError) e = NULL;
	g_autoptr (DirectoryMailbox) m = directory_authenticate (w->d, name, password, &e);
	assert_true (m || error_is (e, ERROR_NO_PERMISSION));
	return m != NULL;
}

/* The quick way would do for @password. */
static gboolean
is_known (World *w, const char *name, const char *password)
{
	gint64 number;
	assert_true (mailbox_number (w->d, name, &number, NULL) && number);
	DbQuery *q = db_query (w->d->db, "SELECT value FROM verifier WHERE mailbox = ?1 AND kind = 'crypt'", "i", number);
	assert_true (db_step (w->d->db, q, NULL) > 0);
	g_autofree char *hash = db_dup (q, 0);
	db_reset (q);
	return verified_is (number, hash, password);
}

static void
a_password_that_was_right_is_known_until_it_or_the_mailbox_changes (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "anna@example.org"), *other = add (w, "bob@example.org");
	must (directory_set_password (w->d, "anna", "secret", &e) && directory_set_password (w->d, "bob", "hidden", &e), &e);
	assert_false (is_known (w, "anna", "secret"));
	assert_false (may (w, "anna", "wrong") || is_known (w, "anna", "wrong"));
	assert_true (may (w, "Anna@example.org", "secret"));
	assert_true (is_known (w, "anna", "secret"));
	assert_true (may (w, "anna", "secret"));
	assert_false (may (w, "anna", "secret2"));
	assert_false (may (w, "bob", "secret"));
	assert_false (may (w, "anna", "hidden"));
	assert_true (may (w, "anna", "secret"));
	must (directory_mailbox_set_disabled (w->d, "anna", TRUE, &e), &e);
	assert_false (may (w, "anna", "secret"));
	must (directory_mailbox_set_disabled (w->d, "anna", FALSE, &e), &e);
	assert_true (may (w, "anna", "secret"));
	must (directory_set_password (w->d, "anna", "changed", &e), &e);
	assert_false (is_known (w, "anna", "secret") || is_known (w, "anna", "changed"));
	assert_false (may (w, "anna", "secret"));
	assert_true (may (w, "anna", "changed"));
	must (directory_set_password (w->d, "anna", "secret", &e), &e);
	assert_false (may (w, "anna", "changed"));
	must (directory_mailbox_delete (w->d, "anna", &e), &e);
	assert_false (may (w, "anna", "secret"));
}

static void
two_connections_see_the_same (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autoptr (Directory) second = directory_open (w->path, FALSE, &e);
	must (second != NULL, &e);
	g_autofree char *id = add (w, "anna@example.org");
	must (directory_set_password (second, "anna", "secret", &e), &e);
	g_autoptr (DirectoryMailbox) m = directory_authenticate (w->d, "anna", "secret", &e);
	must (m != NULL, &e);
	must (directory_mailbox_set_quota (second, "anna", 1u << 30, 500, &e) && directory_mailbox_set_roles (second, "anna", DIRECTORY_ADMINISTRATOR, &e), &e);
	g_autoptr (DirectoryMailbox) changed = directory_mailbox (w->d, "anna", &e);
	assert_true (changed->quota == 1u << 30 && changed->quota_messages == 500 && changed->roles == DIRECTORY_ADMINISTRATOR);
}

/* Pages that SQLite can't read. */
static void
damage (const char *path)
{
	g_autofree char *octets = NULL;
	gsize size;
	assert_true (g_file_get_contents (path, &octets, &size, NULL));
	assert_true (size > 32768);
	memset (octets + 16384, 0xa5, size - 16384); /* all but the schema */
	GError *e = NULL;
	must (g_file_set_contents_full (path, octets, (gssize) size, G_FILE_SET_CONTENTS_NONE, 0600, &e), &e);
}

/* A server would tell the sender for good that there is no such mailbox. */
static void
a_damaged_directory_is_not_an_empty_one (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "anna@example.org"), *detail = NULL;
	must (directory_set_password (w->d, "anna", "secret", &e) && directory_alias_add (w->d, "a@example.org", "anna@example.org", &e), &e);
	directory_free (w->d);
	damage (w->path);
	w->d = directory_open (w->path, FALSE, &e);
	must (w->d != NULL, &e);
	g_auto (DirectoryScram) kept = {0};
	must_fail (directory_resolve (w->d, "anna@example.org", &detail, &e) != NULL, &e, ERROR_CORRUPT, "resolve");
	must_fail (directory_mailbox (w->d, "anna@example.org", &e) != NULL, &e, ERROR_CORRUPT, "by address");
	must_fail (directory_mailbox (w->d, id, &e) != NULL, &e, ERROR_CORRUPT, "by id");
	must_fail (directory_authenticate (w->d, "anna@example.org", "secret", &e) != NULL, &e, ERROR_CORRUPT, "log-on");
	must_fail (directory_may_log_on (w->d, "anna@example.org", &e) != NULL, &e, ERROR_CORRUPT, "after SCRAM");
	must_fail (directory_scram (w->d, "anna@example.org", "SCRAM-SHA-256", &kept, &e), &e, ERROR_CORRUPT, "SCRAM");
	must_fail (directory_set_password (w->d, "anna@example.org", "x", &e), &e, ERROR_CORRUPT, "a password");
	must_fail (directory_mailbox_set_quota (w->d, "anna@example.org", 1, 0, &e), &e, ERROR_CORRUPT, "a quota");
	must_fail (directory_mailbox_delete (w->d, "anna@example.org", &e), &e, ERROR_CORRUPT, "delete");
	must_fail (directory_mailbox_undelete (w->d, id, &e), &e, ERROR_CORRUPT, "undelete");
	must_fail (directory_mailbox_rename (w->d, "anna@example.org", "b@example.org", TRUE, &e), &e, ERROR_CORRUPT, "rename");
	must_fail (directory_mailbox_add (w->d, "x", "b@example.org", SERVER, 0, 0, &e), &e, ERROR_CORRUPT, "add");
	must_fail (directory_alias_add (w->d, "b@example.org", "anna@example.org", &e), &e, ERROR_CORRUPT, "an alias");
	must_fail (directory_domain_add (w->d, "example.net", &e), &e, ERROR_CORRUPT, "a domain");
	must_fail (directory_domain_remove (w->d, "example.org", &e), &e, ERROR_CORRUPT, "no domain");
}

/* Mail comes with either (RFC 5890 2.3.2.1). */
static void
a_domain_is_one_in_letters_and_in_ascii (void **state)
{
	World *w = *state;
	GError *e = NULL;
	must (directory_domain_add (w->d, "B\xc3\xbc" "cher.example", &e), &e);
	must_fail (directory_domain_add (w->d, "XN--bcher-kva.example", &e), &e, ERROR_EXISTS, "the same");
	g_autofree char *id = add (w, "anna@xn--bcher-kva.example");
	leads (w, "anna@b\xc3\xbc" "cher.example", "anna@xn--bcher-kva.example");
	leads (w, "anna+x@BU\xcc\x88" "CHER.example", "anna@xn--bcher-kva.example|x");
	leads (w, "anna@xn--bcher-kvb.example", "-");
	must_fail (directory_domain_add (w->d, "xn--\xc3\xbc.example", &e), &e, ERROR_USAGE, "neither");
	g_autoptr (GPtrArray) domains = directory_domains (w->d, &e);
	assert_string_equal (domains->pdata[0], "b\xc3\xbc" "cher.example");
	must_fail (directory_domain_remove (w->d, "xn--bcher-kva.example", &e), &e, ERROR_CONFLICT, "in use");
}

static void
aliases_follow_what_they_lead_to (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *anna = add (w, "anna@example.org"), *bob = add (w, "bob@example.org");
	static const char *const aliases[][2] = {
		{"n@example.org", "anna@example.org"}, {"x@example.org", "n@example.org"}, {"x@example.org", "anna@example.org"},
		{"info@example.org", "n@example.org"}, {"all@example.org", "info@example.org"}, {"all@example.org", "bob@example.org"},
		{"top@example.org", "x@example.org"}, {"empty@example.org", "bob@example.org"},
	};
	for (guint i = 0; i < G_N_ELEMENTS (aliases); i++)
		must (directory_alias_add (w->d, aliases[i][0], aliases[i][1], &e), &e);
	must (directory_mailbox_rename (w->d, "anna@example.org", "n@example.org", FALSE, &e), &e); /* x led to both */
	leads (w, "x@example.org", "n@example.org");
	must (directory_mailbox_delete (w->d, "n@example.org", &e), &e);
	leads (w, "all@example.org", "bob@example.org");
	for (const char *const *free_now = (const char *const[]){"x@example.org", "info@example.org", "top@example.org", NULL}; *free_now; free_now++)
		g_free (add (w, *free_now));
	g_autoptr (GPtrArray) left = directory_aliases (w->d, &e);
	must (left != NULL, &e);
	assert_int_equal (left->len, 2);
}

/* RFC 5802 section 9: what is answered for nobody looks like what is answered for somebody. */
static void
a_made_up_salt_is_like_a_kept_one (void **state)
{
	static const char *const names[] = {"%s@example.org", "%s", "%s@EXAMPLE.org"};
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "r\xc3\xb6@example.org");
	must (directory_set_password (w->d, "r\xc3\xb6", "pencil", &e), &e);
	for (const char *const *who = (const char *const[]){"r\xc3\xb6", "n\xc3\xb6", NULL}; *who; who++) {
		g_auto (DirectoryScram) first = {0}, sha_1 = {0};
		g_autofree char *plain = g_strdup_printf ("%s@example.org", *who);
		must (directory_scram (w->d, plain, "SCRAM-SHA-256", &first, &e) && directory_scram (w->d, plain, "SCRAM-SHA-1", &sha_1, &e), &e);
		assert_string_not_equal (first.salt, sha_1.salt);
		g_autofree char *apart = g_utf8_normalize (*who, -1, G_NORMALIZE_NFD);
		for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
			g_auto (DirectoryScram) other = {0};
			g_auto (GStrv) around = g_strsplit (names[i], "%s", 2);
			g_autofree char *name = g_strconcat (around[0], apart, around[1], NULL);
			must (directory_scram (w->d, name, "SCRAM-SHA-256", &other, &e), &e);
			assert_string_equal (other.salt, first.salt);
		}
	}
}

static void *
rename_to_and_fro (void *path)
{
	GError *e = NULL;
	g_autoptr (Directory) d = directory_open (path, FALSE, &e);
	gboolean ok = d != NULL;
	for (int i = 0; ok && i < 400; i++)
		ok = directory_mailbox_rename (d, i % 2 ? "b@example.org" : "a@example.org", i % 2 ? "a@example.org" : "b@example.org", TRUE, &e);
	return e;
}

/* Both addresses are hers all the time: the mailbox's one and the alias change places. */
static void
who_is_being_renamed_is_always_there (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *id = add (w, "a@example.org");
	must (directory_alias_add (w->d, "b@example.org", "a@example.org", &e), &e);
	GThread *other = g_thread_new ("renames", rename_to_and_fro, w->path);
	guint lost = 0;
	for (int i = 0; i < 20000; i++) {
		g_autofree char *detail = NULL;
		g_autoptr (GPtrArray) found = directory_resolve (w->d, i % 2 ? "b@example.org" : "a@example.org", &detail, NULL);
		lost += !found || found->len != 1 || strcmp (((DirectoryMailbox *) found->pdata[0])->id, id) != 0;
	}
	e = g_thread_join (other);
	must (e == NULL, &e);
	assert_int_equal (lost, 0);
}

#define IN_WORLD(f) cmocka_unit_test_setup_teardown (f, set_up, tear_down)

int
main (void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD (an_address_is_what_mail_knows_as_one), IN_WORLD (a_name_is_one_mailbox_whatever_its_letters_case),
		IN_WORLD (an_address_leads_to_mailboxes), IN_WORLD (aliases_have_an_end), IN_WORLD (a_renamed_mailbox_is_the_same),
		IN_WORLD (a_deleted_mailbox_can_come_back_until_it_is_purged), IN_WORLD (a_password_is_right_or_nothing_is_said),
		IN_WORLD (scram_proves_the_password_by_what_is_kept),
		IN_WORLD (scram_logs_on_who_proves_the_password), IN_WORLD (scram_sees_that_its_binding_was_hidden),
		IN_WORLD (scram_tells_nobody_from_somebody_by_nothing),
		IN_WORLD (what_is_no_message_of_scram_ends_the_exchange), IN_WORLD (what_is_no_directory_is_refused_and_not_touched), IN_WORLD (an_older_version_is_brought_up_to_date),
		IN_WORLD (a_password_that_was_right_is_known_until_it_or_the_mailbox_changes),
		IN_WORLD (two_connections_see_the_same), IN_WORLD (a_damaged_directory_is_not_an_empty_one),
		IN_WORLD (a_domain_is_one_in_letters_and_in_ascii), IN_WORLD (aliases_follow_what_they_lead_to),
		IN_WORLD (a_made_up_salt_is_like_a_kept_one), IN_WORLD (who_is_being_renamed_is_always_there),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
