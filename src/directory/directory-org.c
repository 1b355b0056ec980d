/* SPDX-License-Identifier: Apache-2.0 */
/* The organisation, its sites and servers, and Move Server: rows of attributes behind ids that stay. */
#include "directory-private.h"
#include "digest.h"
#include <string.h>

#define NAME_MAX_OCTETS 100
#define ADDRESSES_MAX 10
#define ADDRESS_MAX_OCTETS 300
#define FIRST_SITE "First site"

/* ---- Names ---- */

/* What @name is compared by. NULL with USAGE. */
static char *
name_fold (const char *name, const char *what, GError **error)
{
	gsize n = strlen (name);
	gboolean good = n >= 1 && n <= NAME_MAX_OCTETS && g_utf8_validate (name, -1, NULL) && name[0] != ' ' && name[n - 1] != ' ';
	for (const char *c = name; good && *c; c = g_utf8_next_char (c))
		good = g_unichar_isprint (g_utf8_get_char (c));
	char *key = good ? fold (name) : NULL;
	if (!key)
		error_fail (error, ERROR_USAGE, "a %s's name has 1 to %d octets of readable UTF-8 and no blank at its ends", what, NAME_MAX_OCTETS);
	return key;
}

static void
fresh_id (char id[ID_TEXT_SIZE])
{
	Id128 fresh = id128_random ();
	id128_text (&fresh, id);
}

/* ---- The organisation ---- */

gboolean
organisation_create (Directory *d, GError **error)
{
	char id[ID_TEXT_SIZE], site[ID_TEXT_SIZE];
	g_autofree char *key = fold (FIRST_SITE);
	fresh_id (id);
	fresh_id (site);
	return db_run (d->db, "INSERT INTO organisation (number, id, name) VALUES (1, ?1, '')", error, "s", id) &&
	       db_run (d->db, "INSERT INTO site (id, name, key) VALUES (?1, ?2, ?3)", error, "sss", site, FIRST_SITE, key);
}

char *
directory_organisation (Directory *d, GError **error)
{
	DbQuery *q = db_query (d->db, "SELECT name FROM organisation", "");
	int row = db_step (d->db, q, error);
	char *name = row > 0 ? db_dup (q, 0) : NULL;
	db_reset (q);
	if (row == 0)
		error_fail (error, ERROR_CORRUPT, "the directory has lost its organisation");
	return name;
}

gboolean
directory_organisation_name (Directory *d, const char *name, gboolean first, GError **error)
{
	g_autofree char *key = name_fold (name, "organisation", error);
	if (!key || !db_begin (d->db, error))
		return FALSE;
	g_autofree char *old = directory_organisation (d, error);
	gboolean ok = old && (!first || !*old ||
	                      error_fail (error, ERROR_EXISTS, "the organisation is called %s already: `outpostctl org rename` changes that", old));
	ok = ok && db_run (d->db, "UPDATE organisation SET name = ?1", error, "s", name) && db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

/* ---- Sites ---- */

void
directory_site_free (DirectorySite *s)
{
	g_free (s->id);
	g_free (s->name);
	g_free (s);
}

/* FALSE with NOT_FOUND. */
static gboolean
find_site (Directory *d, const char *name, gint64 *number_out, GError **error)
{
	g_autofree char *key = name_fold (name, "site", error);
	return key && find_number (d, "SELECT number FROM site WHERE key = ?1", key, NULL, number_out, error) &&
	       (*number_out || error_fail (error, ERROR_NOT_FOUND, "there is no site %s: `outpostctl site list` names them", name));
}

static gboolean
site_name_is_free (Directory *d, const char *key, const char *name, gint64 but, GError **error)
{
	gint64 there;
	return find_number (d, "SELECT number FROM site WHERE key = ?1", key, NULL, &there, error) &&
	       (!there || there == but || error_fail (error, ERROR_EXISTS, "there is a site %s already", name));
}

gboolean
directory_site_add (Directory *d, const char *name, GError **error)
{
	char id[ID_TEXT_SIZE];
	g_autofree char *key = name_fold (name, "site", error);
	if (!key || !db_begin (d->db, error))
		return FALSE;
	fresh_id (id);
	gboolean ok = site_name_is_free (d, key, name, 0, error) &&
	              db_run (d->db, "INSERT INTO site (id, name, key) VALUES (?1, ?2, ?3)", error, "sss", id, name, key) && db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

gboolean
directory_site_rename (Directory *d, const char *name, const char *new, GError **error)
{
	gint64 number = 0;
	g_autofree char *key = name_fold (new, "site", error);
	if (!key || !db_begin (d->db, error))
		return FALSE;
	gboolean ok = find_site (d, name, &number, error) && site_name_is_free (d, key, new, number, error) &&
	              db_run (d->db, "UPDATE site SET name = ?2, key = ?3 WHERE number = ?1", error, "iss", number, new, key) && db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

GPtrArray *
directory_sites (Directory *d, GError **error)
{
	g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify) directory_site_free);
	DbQuery *q = db_query (d->db, "SELECT id, name FROM site ORDER BY key", "");
	int row;
	while ((row = db_step (d->db, q, error)) > 0) {
		DirectorySite *s = g_new (DirectorySite, 1);
		*s = (DirectorySite){db_dup (q, 0), db_dup (q, 1)};
		g_ptr_array_add (all, s);
	}
	return row < 0 ? NULL : g_steal_pointer (&all);
}

/* ---- Servers ---- */

void
directory_server_free (DirectoryServer *s)
{
	if (!s)
		return;
	g_free (s->id);
	g_free (s->name);
	g_free (s->site);
	g_free (s->folder);
	g_strfreev (s->addresses);
	g_strfreev (s->past);
	g_free (s);
}

static char **
addresses_of (Directory *d, const char *sql, gint64 server, GError **error)
{
	GPtrArray *all = g_ptr_array_new_with_free_func (g_free);
	DbQuery *q = db_query (d->db, sql, "i", server);
	int row;
	while ((row = db_step (d->db, q, error)) > 0)
		g_ptr_array_add (all, db_dup (q, 0));
	if (row < 0) {
		g_ptr_array_unref (all);
		return NULL;
	}
	g_ptr_array_add (all, NULL);
	return (char **) g_ptr_array_free (all, FALSE);
}

/* Counting is for people only: it takes as long as there are mailboxes. */
#define SERVER_COLUMNS(mailboxes) "SELECT server.number, server.id, server.name, site.name, " mailboxes ", server.folder FROM server JOIN site ON site.number = server.site "
#define MAILBOXES_COUNTED "(SELECT COUNT (*) FROM mailbox WHERE mailbox.server = server.id AND mailbox.key IS NOT NULL)"

/* NULL for what can't be read. */
static DirectoryServer *
server_of_row (Directory *d, DbQuery *q, GError **error)
{
	g_autoptr (DirectoryServer) s = g_new0 (DirectoryServer, 1);
	gint64 number = db_int (q, 0);
	s->id = db_dup (q, 1);
	s->name = db_dup (q, 2);
	s->site = db_dup (q, 3);
	s->mailboxes = (guint64) db_int (q, 4);
	s->folder = db_dup (q, 5);
	s->addresses = addresses_of (d, "SELECT address FROM server_address WHERE server = ?1 AND past = 0 ORDER BY rank", number, error);
	s->past = s->addresses ? addresses_of (d, "SELECT address FROM server_address WHERE server = ?1 AND past > 0 ORDER BY past DESC, rank", number, error) : NULL;
	return s->past ? g_steal_pointer (&s) : NULL;
}

/* FALSE with NOT_FOUND. */
static gboolean
find_server (Directory *d, const char *name, gint64 *number_out, GError **error)
{
	g_autofree char *key = name_fold (name, "server", error);
	return key && find_number (d, "SELECT number FROM server WHERE key = ?1 OR id = ?2", key, name, number_out, error) &&
	       (*number_out || error_fail (error, ERROR_NOT_FOUND, "there is no server %s: `outpostctl server list` names them", name));
}

static DirectoryServer *
server_by_number (Directory *d, gint64 number, gboolean counted, GError **error)
{
	DbQuery *q = counted ? db_query (d->db, SERVER_COLUMNS (MAILBOXES_COUNTED) "WHERE server.number = ?1", "i", number)
	                     : db_query (d->db, SERVER_COLUMNS ("0") "WHERE server.number = ?1", "i", number);
	int row = db_step (d->db, q, error);
	DirectoryServer *s = row > 0 ? server_of_row (d, q, error) : NULL;
	db_reset (q);
	if (row == 0)
		error_fail (error, ERROR_CORRUPT, "the directory has a server without a site");
	return s;
}

DirectoryServer *
directory_server (Directory *d, const char *name, GError **error)
{
	gint64 number;
	return find_server (d, name, &number, error) ? server_by_number (d, number, FALSE, error) : NULL;
}

GPtrArray *
directory_servers (Directory *d, GError **error)
{
	g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify) directory_server_free);
	DbQuery *q = db_query (d->db, SERVER_COLUMNS (MAILBOXES_COUNTED) "ORDER BY site.key, server.key", "");
	int row;
	while ((row = db_step (d->db, q, error)) > 0) {
		DirectoryServer *s = server_of_row (d, q, error);
		if (!s) {
			db_reset (q);
			return NULL;
		}
		g_ptr_array_add (all, s);
	}
	return row < 0 ? NULL : g_steal_pointer (&all);
}

static gboolean
server_name_is_free (Directory *d, const char *key, const char *name, gint64 but, GError **error)
{
	gint64 there;
	return find_number (d, "SELECT number FROM server WHERE key = ?1", key, NULL, &there, error) &&
	       (!there || there == but || error_fail (error, ERROR_EXISTS, "there is a server %s already", name));
}

/* ---- Addresses of servers ---- */

static gboolean
address_is_good (const char *address, GError **error)
{
	gboolean good = strstr (address, "://") > address && strlen (address) <= ADDRESS_MAX_OCTETS && g_utf8_validate (address, -1, NULL);
	for (const char *c = address; good && *c; c++)
		good = !g_ascii_isspace (*c) && !g_ascii_iscntrl (*c);
	return good || error_fail (error, ERROR_USAGE, "'%s' is no address of a server: say for example imaps://ex1.example.org", address);
}

/* FALSE with EXISTS if another server than @number has or had it. */
static gboolean
address_may_be (Directory *d, const char *address, gint64 number, GError **error)
{
	DbQuery *q = db_query (d->db, "SELECT a.past, server.name FROM server_address a JOIN server ON server.number = a.server WHERE a.address = ?1 AND a.server <> ?2",
	                       "si", address, number);
	int row = db_step (d->db, q, error);
	gboolean past = row > 0 && db_int (q, 0) > 0;
	g_autofree char *name = row > 0 ? db_dup (q, 1) : NULL;
	db_reset (q);
	if (row > 0 && past)
		error_fail (error, ERROR_EXISTS, "%s forwards to the server %s: `outpostctl server forget %s` ends that", address, name, address);
	else if (row > 0)
		error_fail (error, ERROR_EXISTS, "%s is an address of the server %s", address, name);
	return row == 0;
}

/* What it had becomes past, what is in @addresses is in use from now on. */
static gboolean
set_addresses (Directory *d, gint64 number, const char *const *addresses, GError **error)
{
	guint n = g_strv_length ((char **) addresses);
	if (n < 1 || n > ADDRESSES_MAX)
		return error_fail (error, ERROR_USAGE, "a server has 1 to %d addresses", ADDRESSES_MAX);
	if (!db_run (d->db, "UPDATE server_address SET past = ?2 WHERE server = ?1 AND past = 0", error, "ii", number, (gint64) (g_get_real_time () / G_USEC_PER_SEC)))
		return FALSE;
	for (guint i = 0; i < n; i++)
		if (!address_is_good (addresses[i], error) || !address_may_be (d, addresses[i], number, error) ||
		    !db_run (d->db, "INSERT INTO server_address (address, server, rank) VALUES (?1, ?2, ?3)"
		                    " ON CONFLICT (address) DO UPDATE SET rank = excluded.rank, past = 0", error, "siI", addresses[i], number, i))
			return FALSE;
	return TRUE;
}

gboolean
directory_address_forget (Directory *d, const char *address, GError **error)
{
	return db_run (d->db, "DELETE FROM server_address WHERE address = ?1 AND past > 0", error, "s", address) &&
	       (db_changes (d->db) > 0 || error_fail (error, ERROR_NOT_FOUND, "%s is no past address: `outpostctl server list` names them", address));
}

/* ---- Making and moving ---- */

static gboolean
insert_server (Directory *d, const char *id, const char *name, const char *key, gint64 site, GError **error)
{
	gint64 there;
	return find_number (d, "SELECT 1 FROM server WHERE id = ?1", id, NULL, &there, error) &&
	       (!there || error_fail (error, ERROR_EXISTS, "there is a server with the id %s already", id)) && server_name_is_free (d, key, name, 0, error) &&
	       db_run (d->db, "INSERT INTO server (id, name, key, site) VALUES (?1, ?2, ?3, ?4)", error, "sssi", id, name, key, site);
}

gboolean
directory_server_add (Directory *d, const char *id, const char *name, const char *site, const char *const *addresses, GError **error)
{
	char fresh[ID_TEXT_SIZE];
	gint64 place = 0;
	g_autofree char *key = name_fold (name, "server", error);
	if (!key || !db_begin (d->db, error))
		return FALSE;
	fresh_id (fresh);
	gboolean ok = find_site (d, site, &place, error) && insert_server (d, id ? id : fresh, name, key, place, error) &&
	              (!addresses || set_addresses (d, db_last_id (d->db), addresses, error)) && db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

static gboolean
enrol_first (Directory *d, const char *id, const char *name, GError **error)
{
	gint64 others, site;
	g_autofree char *key = name_fold (name, "server", error);
	if (!key || !find_number (d, "SELECT COUNT (*) FROM server", NULL, NULL, &others, error) ||
	    !find_number (d, "SELECT MIN (number) FROM site", NULL, NULL, &site, error))
		return FALSE;
	if (others)
		return error_fail (error, ERROR_NOT_FOUND, "the directory knows %" G_GINT64_FORMAT " server(s), but none with the id %s", others, id);
	return insert_server (d, id, name, key, site, error) && db_run (d->db, "UPDATE mailbox SET server = ?1 WHERE server IS NULL", error, "s", id);
}

gboolean
directory_server_enrol (Directory *d, const char *id, const char *name, GError **error)
{
	gint64 there;
	if (!find_number (d, "SELECT 1 FROM server WHERE id = ?1", id, NULL, &there, error))
		return FALSE;
	if (there) /* without a transaction: nearly always */
		return TRUE;
	if (!db_begin (d->db, error))
		return FALSE;
	gboolean ok = find_number (d, "SELECT 1 FROM server WHERE id = ?1", id, NULL, &there, error) && (there || enrol_first (d, id, name, error)) &&
	              db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

static gboolean
move_to_site (Directory *d, gint64 number, const char *site, GError **error)
{
	gint64 place;
	return find_site (d, site, &place, error) && db_run (d->db, "UPDATE server SET site = ?2 WHERE number = ?1", error, "ii", number, place);
}

static gboolean
rename_server (Directory *d, gint64 number, const char *name, GError **error)
{
	g_autofree char *key = name_fold (name, "server", error);
	return key && server_name_is_free (d, key, name, number, error) &&
	       db_run (d->db, "UPDATE server SET name = ?2, key = ?3 WHERE number = ?1", error, "iss", number, name, key);
}

gboolean
directory_server_move (Directory *d, const char *name, const DirectoryServerMove *move, gboolean rehearse, DirectoryServer **after_out, GError **error)
{
	gint64 number;
	if (!db_begin (d->db, error))
		return FALSE;
	gboolean ok = find_server (d, name, &number, error) && (!move->site || move_to_site (d, number, move->site, error)) &&
	              (!move->name || rename_server (d, number, move->name, error)) &&
	              (!move->addresses || set_addresses (d, number, move->addresses, error));
	g_autoptr (DirectoryServer) after = ok ? server_by_number (d, number, TRUE, error) : NULL;
	ok = after && (rehearse || db_commit (d->db, error));
	db_rollback (d->db);
	if (ok)
		*after_out = g_steal_pointer (&after);
	return ok;
}
