/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"
#include <glib/gstdio.h>

int
fixture_set_up (void **state)
{
	Fixture *f = g_new0 (Fixture, 1);
	f->dir = g_dir_make_tmp ("outpost-test-XXXXXX", NULL);
	f->path = g_build_filename (f->dir, "a.store", NULL);
	f->s = must_open (f->path, STORE_CREATE);
	*state = f;
	return 0;
}

int
fixture_tear_down (void **state)
{
	Fixture *f = *state;
	const char *name;
	store_close (f->s);
	g_autoptr (GDir) dir = g_dir_open (f->dir, 0, NULL);
	while (dir && (name = g_dir_read_name (dir))) {
		g_autofree char *path = g_build_filename (f->dir, name, NULL);
		g_unlink (path);
	}
	g_rmdir (f->dir);
	g_free (f->dir);
	g_free (f->path);
	g_free (f);
	return 0;
}

void
must (gboolean ok, GError **e)
{
	if (!ok)
		fail_msg ("%s", *e ? (*e)->message : "failed without an error");
	assert_null (*e);
}

void
must_fail (gboolean ok, GError **e, OutpostError code, const char *text)
{
	assert_false (ok);
	assert_non_null (*e);
	if (!error_is (*e, code) || (text && !strstr ((*e)->message, text)))
		fail_msg ("another error: %d %s", (*e)->code, (*e)->message);
	g_clear_error (e);
}

Store *
must_open (const char *path, StoreOpen flags)
{
	GError *e = NULL;
	Store *s = store_open (path, flags, &e);
	must (s != NULL, &e);
	return s;
}

void
begin (Store *s)
{
	GError *e = NULL;
	must (store_begin (s, &e), &e);
}

void
commit (Store *s)
{
	GError *e = NULL;
	must (store_commit (s, &e), &e);
}

gint64
make_folder (Store *s, const char *path)
{
	GError *e = NULL;
	gint64 id = 0;
	must (store_folder_create_path (s, path, &id, &e), &e);
	return id;
}

Prepared *
message_of (const char *text, gint64 received)
{
	g_autoptr (GBytes) octets = g_bytes_new (text, strlen (text));
	return prepare_bytes (octets, received, 0);
}

gint64
add_text (Store *s, gint64 folder, const char *text, gint64 received)
{
	GError *e = NULL;
	gint64 message = 0;
	g_autoptr (Prepared) p = message_of (text, received);
	must (store_add_message (s, p, folder, &message, &e), &e);
	return message;
}

gint64
put (Store *s, gint64 folder, guint n)
{
	GError *e = NULL;
	gint64 placement = 0;
	g_autofree char *text = g_strdup_printf ("From: a%u@example.org\r\nSubject: number %u\r\nMessage-ID: <m%u@example.org>\r\n\r\nText %u\r\n", n,
	                                         n, n, n);
	gint64 message = add_text (s, folder, text, 1700000000 + n);
	must (store_place (s, folder, message, 0, NULL, FALSE, 0, &placement, &e), &e);
	return placement;
}

void
bind_folder (Store *s, gint64 folder, const char *name)
{
	GError *e = NULL;
	FolderBinding b = {.folder = folder, .remote_name = (char *) name, .delimiter = '/', .base_name = (char *) name, .uidvalidity = 77, .complete = TRUE,
	                   .selectable = TRUE};
	must (store_bind_folder (s, &b, &e), &e);
}

gint64
put_bound (Store *s, gint64 folder, guint n, guint32 remote_uid)
{
	GError *e = NULL;
	PlacementBinding b = {.placement = put (s, folder, n), .folder = folder, .remote_uid = remote_uid, .modseq = remote_uid};
	g_autoptr (FolderBinding) bound = store_folder_binding (s, folder, &e);
	g_autofree char *name = g_strdup_printf ("F%" G_GINT64_FORMAT, folder);
	if (!bound)
		bind_folder (s, folder, name);
	must (store_bind_placement (s, &b, &e), &e);
	return b.placement;
}

gint64
number (Store *s, const char *text)
{
	sqlite3_stmt *q;
	assert_int_equal (sqlite3_prepare_v2 (db_handle (store_db (s)), text, -1, &q, NULL), SQLITE_OK);
	assert_int_equal (sqlite3_step (q), SQLITE_ROW);
	gint64 n = sqlite3_column_int64 (q, 0);
	sqlite3_finalize (q);
	return n;
}

void
sql (Store *s, const char *text)
{
	GError *e = NULL;
	must (db_exec (store_db (s), "PRAGMA foreign_keys=OFF", &e), &e);
	must (db_exec (store_db (s), text, &e), &e);
	must (db_exec (store_db (s), "PRAGMA foreign_keys=ON", &e), &e);
}

void
assert_octets (Store *s, gint64 message, const void *octets, gsize size)
{
	GError *e = NULL;
	g_autoptr (GBytes) read = store_read (s, message, 0, size + 1, &e);
	must (read != NULL, &e);
	assert_int_equal (g_bytes_get_size (read), size);
	if (size)
		assert_memory_equal (g_bytes_get_data (read, NULL), octets, size);
}

static void
collect (gpointer data, const char *finding)
{
	if (data)
		g_string_append_printf (data, "%s\n", finding);
}

guint64
findings (Store *s, gboolean deep, gboolean repair, GString *text)
{
	GError *e = NULL;
	guint64 n = 0;
	must (store_check (s, deep, repair, collect, text, NULL, &n, &e), &e);
	return n;
}

void
assert_clean (Store *s)
{
	g_autoptr (GString) text = g_string_new (NULL);
	if (findings (s, TRUE, FALSE, text))
		fail_msg ("%s", text->str);
	assert_string_equal (text->str, "");
}
