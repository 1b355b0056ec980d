/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "db.h"
#include "directory-private.h"
#include "directory-schema.h"
#include <glib/gstdio.h>
#include <string.h>

#define HERE "11111111111111111111111111111111"

typedef struct {
	char *folder, *path;
	Directory *d;
} World;

static void
must (gboolean ok, GError **error)
{
	if (!ok)
		fail_msg ("failed: %s", *error ? (*error)->message : "no error");
}

static void
must_fail (gboolean ok, GError **error, OutpostError code, const char *what)
{
	if (ok || !error_is (*error, code))
		fail_msg ("%s: %s", what, ok ? "succeeded" : (*error)->message);
	g_clear_error (error);
}

static void
open_again (World *w)
{
	GError *e = NULL;
	directory_free (w->d);
	w->d = directory_open (w->path, FALSE, &e);
	must (w->d != NULL, &e);
}

static int
set_up (void **state)
{
	World *w = g_new0 (World, 1);
	GError *e = NULL;
	w->folder = g_dir_make_tmp ("test-organisation-XXXXXX", NULL);
	w->path = g_build_filename (w->folder, "directory.db", NULL);
	w->d = directory_open (w->path, TRUE, &e);
	must (w->d && directory_server_enrol (w->d, HERE, "ex1", &e) && directory_site_add (w->d, "Berlin", &e) && directory_site_add (w->d, "Oslo", &e) &&
	      directory_domain_add (w->d, "example.org", &e), &e);
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

/* "NAME in SITE at A B past C D". */
static char *
description (const DirectoryServer *s)
{
	g_autofree char *now = g_strjoinv (" ", s->addresses), *past = g_strjoinv (" ", s->past);
	return g_strdup_printf ("%s in %s at %s past %s", s->name, s->site, now, past);
}

static void
is_described (World *w, const char *id, const char *as)
{
	GError *e = NULL;
	g_autoptr (DirectoryServer) s = directory_server (w->d, id, &e);
	must (s != NULL, &e);
	g_autofree char *text = description (s);
	assert_string_equal (text, as);
	assert_string_equal (s->id, id);
}

static void
move (World *w, const char *site, const char *name, const char *const *addresses)
{
	GError *e = NULL;
	g_autoptr (DirectoryServer) after = NULL;
	must (directory_server_move (w->d, HERE, &(DirectoryServerMove){site, name, addresses}, FALSE, &after, &e), &e);
}

#define AT(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
a_moved_server_is_the_same_and_its_addresses_forward (void **state)
{
	World *w = *state;
	is_described (w, HERE, "ex1 in First site at  past ");
	move (w, "Berlin", NULL, AT ("imaps://a:993", "imaps://b:993"));
	is_described (w, HERE, "ex1 in Berlin at imaps://a:993 imaps://b:993 past ");
	move (w, "oslo", "ex1-osl", AT ("imaps://c:993", "imaps://a:993"));
	is_described (w, HERE, "ex1-osl in Oslo at imaps://c:993 imaps://a:993 past imaps://b:993");
	move (w, NULL, "EX1-OSL", NULL); /* its own name with other letters */
	is_described (w, HERE, "EX1-OSL in Oslo at imaps://c:993 imaps://a:993 past imaps://b:993");
	move (w, "Berlin", "ex1", AT ("imaps://b:993")); /* and back */
	open_again (w);
	is_described (w, HERE, "ex1 in Berlin at imaps://b:993 past imaps://c:993 imaps://a:993");
}

static void
no_mailbox_is_changed_by_a_server_move (void **state)
{
	World *w = *state;
	GError *e = NULL;
	must (directory_mailbox_add (w->d, "m", "anna@example.org", HERE, 7, 0, &e), &e);
	move (w, "Oslo", "ex9", AT ("imaps://c:993"));
	g_autoptr (DirectoryMailbox) m = directory_mailbox (w->d, "anna@example.org", &e);
	must (m != NULL, &e);
	assert_string_equal (m->server, HERE);
	assert_true (m->epoch == 1 && m->quota == 7);
	g_autoptr (GPtrArray) servers = directory_servers (w->d, &e);
	assert_true (servers && servers->len == 1 && ((DirectoryServer *) servers->pdata[0])->mailboxes == 1);
	must (directory_mailbox_delete (w->d, "anna@example.org", &e), &e);
	g_autoptr (GPtrArray) emptied = directory_servers (w->d, &e);
	assert_true (emptied && ((DirectoryServer *) emptied->pdata[0])->mailboxes == 0);
}

static void
a_rehearsal_tells_all_and_keeps_nothing (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autoptr (DirectoryServer) after = NULL;
	must (directory_server_move (w->d, "ex1", &(DirectoryServerMove){"Oslo", "x", AT ("imaps://c:993")}, TRUE, &after, &e), &e);
	g_autofree char *text = description (after);
	assert_string_equal (text, "x in Oslo at imaps://c:993 past ");
	is_described (w, HERE, "ex1 in First site at  past ");
}

/* All of it or nothing, also where the last thing is what fails. */
static void
what_another_server_has_is_refused_and_nothing_moves (void **state)
{
	World *w = *state;
	GError *e = NULL;
	must (directory_server_add (w->d, NULL, "ex2", "Oslo", AT ("imaps://two:993"), &e), &e);
	must (directory_server_add (w->d, NULL, "ex3", "Oslo", AT ("imaps://old:993"), &e), &e);
	g_autoptr (DirectoryServer) moved = NULL, after = NULL;
	must (directory_server_move (w->d, "ex3", &(DirectoryServerMove){.addresses = AT ("imaps://new:993")}, FALSE, &moved, &e), &e);
	const struct {
		DirectoryServerMove move;
		OutpostError code;
	} wrong[] = {
		{{"Oslo", "EX2", AT ("imaps://c:993")}, ERROR_EXISTS}, {{"Oslo", "x", AT ("imaps://c:993", "imaps://two:993")}, ERROR_EXISTS},
		{{"Oslo", "x", AT ("imaps://old:993")}, ERROR_EXISTS}, {{"Rome", "x", NULL}, ERROR_NOT_FOUND}, {{"Oslo", "x", AT ("c:993")}, ERROR_USAGE},
		{{"Oslo", "x", AT ("imaps://c d:993")}, ERROR_USAGE},  {{"Oslo", " x", NULL}, ERROR_USAGE},    {{"Oslo", "", NULL}, ERROR_USAGE},
		{{"Oslo", "x\033", NULL}, ERROR_USAGE},                {{"Oslo", "x", (const char *const[]){NULL}}, ERROR_USAGE},
	};
	for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
		must_fail (directory_server_move (w->d, HERE, &wrong[i].move, FALSE, &after, &e), &e, wrong[i].code, wrong[i].move.name);
		is_described (w, HERE, "ex1 in First site at  past ");
	}
	must_fail (directory_server_add (w->d, NULL, "ex4", "Oslo", AT ("imaps://two:993"), &e), &e, ERROR_EXISTS, "an address twice");
	must_fail (directory_server_add (w->d, HERE, "ex4", "Oslo", NULL, &e), &e, ERROR_EXISTS, "an id twice");
	must_fail (directory_server (w->d, "ex4", &e) != NULL, &e, ERROR_NOT_FOUND, "what was refused");
	must_fail (directory_address_forget (w->d, "imaps://two:993", &e), &e, ERROR_NOT_FOUND, "one in use");
	must (directory_address_forget (w->d, "imaps://old:993", &e), &e);
	move (w, NULL, NULL, AT ("imaps://old:993"));
}

static void
sites_and_the_organisation_have_names (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autofree char *none = directory_organisation (w->d, &e);
	assert_string_equal (none, "");
	must (directory_organisation_name (w->d, "Contoso", TRUE, &e), &e);
	must_fail (directory_organisation_name (w->d, "Other", TRUE, &e), &e, ERROR_EXISTS, "named already");
	must (directory_organisation_name (w->d, "Fabrikam", FALSE, &e), &e);
	g_autofree char *name = directory_organisation (w->d, &e);
	assert_string_equal (name, "Fabrikam");
	must_fail (directory_site_add (w->d, "BERLIN", &e), &e, ERROR_EXISTS, "a site twice");
	must_fail (directory_site_rename (w->d, "Rome", "Bonn", &e), &e, ERROR_NOT_FOUND, "no site");
	must_fail (directory_site_rename (w->d, "Berlin", "Oslo", &e), &e, ERROR_EXISTS, "another's name");
	must (directory_site_rename (w->d, "Berlin", "berlin", &e) && directory_site_rename (w->d, "First site", "Bonn", &e), &e);
	is_described (w, HERE, "ex1 in Bonn at  past ");
	g_autoptr (GPtrArray) sites = directory_sites (w->d, &e);
	assert_int_equal (sites->len, 3);
	assert_string_equal (((DirectorySite *) sites->pdata[0])->name, "berlin");
}

static void
a_server_is_enrolled_once_and_not_beside_others (void **state)
{
	World *w = *state;
	GError *e = NULL;
	must (directory_server_enrol (w->d, HERE, "another name", &e), &e);
	is_described (w, HERE, "ex1 in First site at  past ");
	must_fail (directory_server_enrol (w->d, "2", "ex2", &e), &e, ERROR_NOT_FOUND, "a stranger");
	must_fail (directory_mailbox_add (w->d, "m", "anna@example.org", "2", 0, 0, &e), &e, ERROR_NOT_FOUND, "at home at a stranger's");
}

static DirectoryMove *
begun (World *w)
{
	GError *e = NULL;
	must (directory_mailbox_add (w->d, "m", "anna@example.org", HERE, 0, 0, &e) && directory_server_add (w->d, "2", "ex2", "Oslo", NULL, &e), &e);
	assert_null (directory_move_begin (w->d, "anna@example.org", "ex2", &e));
	must_fail (FALSE, &e, ERROR_CONFLICT, "to a server that never was started");
	must (directory_server_set_folder (w->d, "2", "/there", &e) && directory_server_set_folder (w->d, HERE, "/here", &e), &e);
	DirectoryMove *m = directory_move_begin (w->d, "anna@example.org", "ex2", &e);
	must (m != NULL, &e);
	return m;
}

static void
is_at_home (World *w, const char *server, gint64 epoch)
{
	GError *e = NULL;
	g_autoptr (DirectoryMailbox) m = directory_mailbox (w->d, "anna@example.org", &e);
	must (m != NULL, &e);
	assert_string_equal (m->server, server);
	assert_int_equal (m->epoch, epoch);
}

static void
a_move_goes_on_state_by_state_and_its_switch_is_the_home (void **state)
{
	static const DirectoryMoveState way[] = {MOVE_COPYING, MOVE_CATCHING_UP, MOVE_FENCED, MOVE_COMMITTED, MOVE_DONE};
	World *w = *state;
	GError *e = NULL;
	g_autoptr (DirectoryMove) m = begun (w);
	assert_null (directory_move_begin (w->d, "anna@example.org", "ex2", &e));
	must_fail (FALSE, &e, ERROR_EXISTS, "moved already");
	for (guint i = 0; i < G_N_ELEMENTS (way); i++) {
		is_at_home (w, way[i] <= MOVE_COMMITTED ? HERE : "2", way[i] <= MOVE_COMMITTED ? 1 : 2);
		g_autoptr (DirectoryMove) late = directory_move (w->d, m->number, &e);
		m->fence = 7;
		must (directory_move_enter (w->d, m, way[i], &e), &e);
		if (way[i] < MOVE_DONE) /* whoever has not seen that can do nothing */
			must_fail (directory_move_enter (w->d, late, late->state < MOVE_COMMITTED ? MOVE_CANCELLING : MOVE_DONE, &e), &e, ERROR_CONFLICT, "late");
		open_again (w);
	}
	g_autoptr (DirectoryMove) done = directory_move (w->d, m->number, &e);
	assert_true (done->ended > 0 && done->fence == 7);
	g_autoptr (GPtrArray) open = directory_moves (w->d, TRUE, &e), all = directory_moves (w->d, FALSE, &e);
	assert_true (open->len == 0 && all->len == 1);
	g_autoptr (DirectoryMove) back = directory_move_begin (w->d, "anna@example.org", "ex1", &e);
	assert_true (back && back->epoch == 2);
}

static void
a_cancelled_move_can_not_switch_and_a_home_that_is_another_neither (void **state)
{
	World *w = *state;
	GError *e = NULL;
	g_autoptr (DirectoryMove) m = begun (w);
	must (directory_move_enter (w->d, m, MOVE_COPYING, &e) && directory_move_enter (w->d, m, MOVE_CATCHING_UP, &e) && directory_move_enter (w->d, m, MOVE_FENCED, &e), &e);
	must (db_exec (w->d->db, "UPDATE mailbox SET epoch = 9", &e), &e);
	must_fail (directory_move_enter (w->d, m, MOVE_COMMITTED, &e), &e, ERROR_CONFLICT, "another epoch");
	g_autoptr (DirectoryMove) same = directory_move (w->d, m->number, &e);
	assert_int_equal (same->state, MOVE_FENCED); /* all of it or nothing */
	must (db_exec (w->d->db, "UPDATE mailbox SET epoch = 1", &e) && directory_move_enter (w->d, same, MOVE_CANCELLING, &e), &e);
	must_fail (directory_move_enter (w->d, m, MOVE_COMMITTED, &e), &e, ERROR_CONFLICT, "cancelled meanwhile");
	is_at_home (w, HERE, 1);
	must (directory_move_enter (w->d, same, MOVE_CANCELLED, &e) && directory_mailbox_delete (w->d, "anna@example.org", &e), &e);
	assert_null (directory_move_begin (w->d, "m", "ex2", &e));
	must_fail (FALSE, &e, ERROR_CONFLICT, "a deleted one");
}

/* What version 1 of the directory was, with a mailbox, a deleted one and an alias. */
static void
a_directory_of_before_becomes_an_organisation (void **state)
{
	World *w = *state;
	GError *e = NULL;
	directory_free (w->d);
	w->d = NULL;
	g_unlink (w->path);
	Db *db = db_open (w->path, FALSE, TRUE, &e);
	must (db && db_exec (db, directory_schema_text, &e) &&
	      db_exec (db, "PRAGMA application_id=1330660434; PRAGMA user_version=1; INSERT INTO meta VALUES (1, x'00'); INSERT INTO domain VALUES ('example.org');"
	                   "INSERT INTO mailbox (id, address, key, domain, created, quota) VALUES ('m1', 'Anna@example.org', 'anna@example.org', 'example.org', 5, 9);"
	                   "INSERT INTO mailbox (id, address, key, domain, created, deleted) VALUES ('m2', 'b@example.org', NULL, 'example.org', 5, 6);"
	                   "INSERT INTO alias VALUES ('a@example.org', 'a@example.org', 'example.org', 'anna@example.org', 'anna@example.org')", &e), &e);
	db_close (db);
	open_again (w);
	must (directory_server_enrol (w->d, HERE, "mail.example.org", &e), &e);
	is_described (w, HERE, "mail.example.org in First site at  past ");
	for (const char *const *id = (const char *const[]){"m1", "m2", NULL}; *id; id++) {
		g_autoptr (DirectoryMailbox) m = directory_mailbox (w->d, *id, &e);
		must (m != NULL, &e);
		assert_string_equal (m->server, HERE);
		assert_int_equal (m->quota, strcmp (*id, "m1") == 0 ? 9 : 0);
	}
	g_autofree char *detail = NULL;
	g_autoptr (GPtrArray) found = directory_resolve (w->d, "a@example.org", &detail, &e);
	assert_true (found && found->len == 1);
	open_again (w);
	must (directory_mailbox_undelete (w->d, "m2", &e), &e);
}

#define IN_WORLD(f) cmocka_unit_test_setup_teardown (f, set_up, tear_down)

int
main (void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD (a_moved_server_is_the_same_and_its_addresses_forward), IN_WORLD (no_mailbox_is_changed_by_a_server_move),
		IN_WORLD (a_rehearsal_tells_all_and_keeps_nothing), IN_WORLD (what_another_server_has_is_refused_and_nothing_moves),
		IN_WORLD (sites_and_the_organisation_have_names), IN_WORLD (a_server_is_enrolled_once_and_not_beside_others),
		IN_WORLD (a_directory_of_before_becomes_an_organisation),
		IN_WORLD (a_move_goes_on_state_by_state_and_its_switch_is_the_home), IN_WORLD (a_cancelled_move_can_not_switch_and_a_home_that_is_another_neither),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
