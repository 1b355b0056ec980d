/* SPDX-License-Identifier: Apache-2.0 */
#include "directory-private.h"
#include "digest.h"
#include "directory-move-schema.h"
#include "directory-org-schema.h"
#include "directory-schema.h"
#include <gnutls/crypto.h>
#include <string.h>

#define APPLICATION_ID 0x4f504452 /* "OPDR" */
#define SCHEMA_VERSION ((int) G_N_ELEMENTS (versions))
#define ADDRESS_MAX 254 /* RFC 5321 4.5.3.1.3, less the brackets */
#define LOCAL_MAX 64
#define DOMAIN_MAX 253
#define SECRET_SIZE 32

/* ---- Addresses ---- */

static gboolean
is_domain (const char *domain)
{
	gsize n = strlen (domain), label = 0;
	if (n == 0 || n > DOMAIN_MAX || !g_utf8_validate (domain, -1, NULL))
		return FALSE;
	for (gsize i = 0; i <= n; i++) {
		guchar c = (guchar) domain[i];
		if (c == '.' || c == '\0') {
			if (label == 0 || label > 63 || domain[i - 1] == '-')
				return FALSE;
			label = 0;
		} else if (g_ascii_isalnum (c) || c >= 0x80 || (c == '-' && label > 0))
			label++;
		else
			return FALSE;
	}
	return TRUE;
}

/* An atom with dots (RFC 5322 3.2.3), UTF-8 allowed; what would want quotes is nobody's. */
static gboolean
is_local (const char *local)
{
	gsize n = strlen (local);
	if (n == 0 || n > LOCAL_MAX || local[0] == '.' || local[n - 1] == '.' || strstr (local, "..") || !g_utf8_validate (local, -1, NULL))
		return FALSE;
	for (const guchar *c = (const guchar *) local; *c; c++)
		if (!g_ascii_isalnum (*c) && *c < 0x80 && !strchr ("!#$%&'*+-/=?^_`{|}~.", *c))
			return FALSE;
	return TRUE;
}

char *
fold (const char *text)
{
	g_autofree char *normal = g_utf8_normalize (text, -1, G_NORMALIZE_NFC);
	return normal ? g_utf8_casefold (normal, -1) : NULL;
}

/* NULL: it is none. Mail comes with U-labels or with A-labels ("xn--..."). */
static char *
domain_key (const char *domain)
{
	g_autofree char *unicode = is_domain (domain) ? g_hostname_to_unicode (domain) : NULL;
	return unicode ? fold (unicode) : NULL;
}

static char *
address_key (const char *local, const char *domain)
{
	g_autofree char *folded = fold (local);
	return g_strconcat (folded, "@", domain, NULL);
}

gboolean
address_split (const char *address, char **key_out, char **domain_out, GError **error)
{
	const char *at = strrchr (address, '@');
	g_autofree char *local = at ? g_strndup (address, (gsize) (at - address)) : NULL;
	g_autofree char *domain = at && strlen (address) <= ADDRESS_MAX && is_local (local) ? domain_key (at + 1) : NULL;
	g_autofree char *key = domain ? address_key (local, domain) : NULL;
	if (!key) {
		error_fail (error, ERROR_USAGE, "'%s' is no address: it must look like user@example.org", address);
		return FALSE;
	}
	*key_out = g_steal_pointer (&key);
	*domain_out = g_steal_pointer (&domain);
	return TRUE;
}

gboolean
find_number (Directory *d, const char *sql, const char *one, const char *two, gint64 *number_out, GError **error)
{
	DbQuery *q = db_query (d->db, sql, two ? "ss" : one ? "s" : "", one, two);
	int row = db_step (d->db, q, error);
	*number_out = row > 0 ? db_int (q, 0) : 0;
	db_reset (q);
	return row >= 0;
}

gboolean
domain_is_ours (Directory *d, const char *domain, GError **error)
{
	gint64 there;
	if (!find_number (d, "SELECT 1 FROM domain WHERE name = ?1", domain, NULL, &there, error))
		return FALSE;
	return there || error_fail (error, ERROR_NOT_FOUND, "the domain %s is not one of this server: `outpostctl domain add %s` makes it one", domain, domain);
}

gboolean
address_is_free (Directory *d, const char *key, const char *address, GError **error)
{
	gint64 mailbox, alias;
	if (!find_number (d, "SELECT 1 FROM mailbox WHERE key = ?1", key, NULL, &mailbox, error) ||
	    !find_number (d, "SELECT 1 FROM alias WHERE key = ?1", key, NULL, &alias, error))
		return FALSE;
	return (!mailbox && !alias) || error_fail (error, ERROR_EXISTS, "there is %s %s already", mailbox ? "a mailbox" : "an alias", address);
}

/* ---- Domains ---- */

gboolean
directory_domain_add (Directory *d, const char *domain, GError **error)
{
	g_autofree char *name = domain_key (domain);
	gint64 there = 0;
	if (!name)
		return error_fail (error, ERROR_USAGE, "'%s' is no domain", domain);
	if (!db_begin (d->db, error))
		return FALSE;
	gboolean ok = find_number (d, "SELECT 1 FROM domain WHERE name = ?1", name, NULL, &there, error) &&
	              (!there || error_fail (error, ERROR_EXISTS, "the domain %s is there already", name)) &&
	              db_run (d->db, "INSERT INTO domain (name) VALUES (?1)", error, "s", name) && db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

gboolean
directory_domain_remove (Directory *d, const char *domain, GError **error)
{
	static const char users[] = "SELECT (SELECT COUNT (*) FROM mailbox WHERE domain = ?1 AND key IS NOT NULL) + (SELECT COUNT (*) FROM alias WHERE domain = ?1)";
	g_autofree char *name = domain_key (domain);
	gint64 n = 0;
	if (!name)
		return error_fail (error, ERROR_USAGE, "'%s' is no domain", domain);
	if (!db_begin (d->db, error))
		return FALSE;
	gboolean ok = domain_is_ours (d, name, error) && find_number (d, users, name, NULL, &n, error) &&
	              (n == 0 || error_fail (error, ERROR_CONFLICT, "%" G_GINT64_FORMAT " mailbox(es) and aliases are in %s: delete or rename them first", n,
	                                     name)) &&
	              db_run (d->db, "DELETE FROM domain WHERE name = ?1", error, "s", name) && db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

GPtrArray *
directory_domains (Directory *d, GError **error)
{
	g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func (g_free);
	DbQuery *q = db_query (d->db, "SELECT name FROM domain ORDER BY name", "");
	int row;
	while ((row = db_step (d->db, q, error)) > 0)
		g_ptr_array_add (all, db_dup (q, 0));
	return row < 0 ? NULL : g_steal_pointer (&all);
}

gboolean
directory_is_ours (Directory *d, const char *address, gboolean *ours_out, GError **error)
{
	const char *at = strrchr (address, '@');
	g_autofree char *name = at ? domain_key (at + 1) : NULL;
	gint64 there = 0;
	if (name && !find_number (d, "SELECT 1 FROM domain WHERE name = ?1", name, NULL, &there, error))
		return FALSE;
	*ours_out = there != 0;
	return TRUE;
}

/* ---- Mailboxes ---- */

void
directory_mailbox_free (DirectoryMailbox *m)
{
	if (!m)
		return;
	g_free (m->id);
	g_free (m->address);
	g_free (m->server);
	g_free (m);
}

#define MAILBOX_COLUMNS "id, address, created, deleted, disabled, roles, quota, quota_messages, EXISTS (SELECT 1 FROM verifier WHERE verifier.mailbox = number), server, epoch"

static DirectoryMailbox *
mailbox_of_row (DbQuery *q)
{
	DirectoryMailbox *m = g_new0 (DirectoryMailbox, 1);
	m->id = db_dup (q, 0);
	m->address = db_dup (q, 1);
	m->created = db_int (q, 2);
	m->deleted = db_int (q, 3);
	m->disabled = db_int (q, 4) != 0;
	m->roles = (guint) db_int (q, 5);
	m->quota = (guint64) db_int (q, 6);
	m->quota_messages = (guint64) db_int (q, 7);
	m->has_password = db_int (q, 8) != 0;
	m->server = db_dup (q, 9);
	m->epoch = db_int (q, 10);
	return m;
}

char *
name_key (Directory *d, const char *name, GError **error)
{
	const char *at = strrchr (name, '@');
	g_autofree char *local = at ? g_strndup (name, (gsize) (at - name)) : g_strdup (name), *domain = at ? domain_key (at + 1) : NULL;
	if (domain)
		return address_key (local, domain);
	if (at)
		return fold (name);
	DbQuery *q = db_query (d->db, "SELECT MIN (name) FROM domain HAVING COUNT (*) = 1", "");
	int row = db_step (d->db, q, error);
	char *key = row > 0 ? address_key (local, db_text (q, 0)) : row == 0 ? fold (name) : NULL;
	db_reset (q);
	return key;
}

char *
directory_name_key (Directory *d, const char *name, GError **error)
{
	return g_utf8_validate (name, -1, NULL) && strlen (name) <= ADDRESS_MAX ? name_key (d, name, error) : g_strdup ("");
}

gboolean
mailbox_number (Directory *d, const char *name, gint64 *number_out, GError **error)
{
	*number_out = 0;
	if (!g_utf8_validate (name, -1, NULL) || strlen (name) > ADDRESS_MAX)
		return TRUE;
	if (!strchr (name, '@') && !find_number (d, "SELECT number FROM mailbox WHERE id = ?1", name, NULL, number_out, error))
		return FALSE;
	g_autofree char *key = *number_out ? NULL : name_key (d, name, error);
	return *number_out || (key && find_number (d, "SELECT number FROM mailbox WHERE key = ?1", key, NULL, number_out, error));
}

DirectoryMailbox *
mailbox_by_number (Directory *d, gint64 number, GError **error)
{
	DbQuery *q = db_query (d->db, "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE number = ?1", "i", number);
	int row = db_step (d->db, q, error);
	DirectoryMailbox *m = row > 0 ? mailbox_of_row (q) : NULL;
	db_reset (q);
	if (row == 0)
		error_fail (error, ERROR_NOT_FOUND, "the mailbox was purged at this moment");
	return m;
}

gint64
need_mailbox (Directory *d, const char *name, GError **error)
{
	gint64 number;
	if (mailbox_number (d, name, &number, error) && !number)
		error_fail (error, ERROR_NOT_FOUND, "there is no mailbox %s", name);
	return number;
}

DirectoryMailbox *
directory_mailbox (Directory *d, const char *name, GError **error)
{
	gint64 number = need_mailbox (d, name, error);
	return number ? mailbox_by_number (d, number, error) : NULL;
}

static gboolean
server_is_ours (Directory *d, const char *server, GError **error)
{
	gint64 there;
	return find_number (d, "SELECT 1 FROM server WHERE id = ?1", server, NULL, &there, error) &&
	       (there || error_fail (error, ERROR_NOT_FOUND, "the directory knows no server %s", server));
}

gboolean
directory_mailbox_add (Directory *d, const char *id, const char *address, const char *server, guint64 quota, guint roles, GError **error)
{
	g_autofree char *key = NULL, *domain = NULL;
	if (!address_split (address, &key, &domain, error) || !db_begin (d->db, error))
		return FALSE;
	gboolean ok = domain_is_ours (d, domain, error) && address_is_free (d, key, address, error) && server_is_ours (d, server, error) &&
	              db_run (d->db, "INSERT INTO mailbox (id, address, key, domain, created, quota, roles, server) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", error,
	                      "ssssiiIs", id, address, key, domain, (gint64) (g_get_real_time () / G_USEC_PER_SEC), (gint64) quota, roles, server) &&
	              db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

GPtrArray *
directory_mailboxes (Directory *d, gboolean deleted, GError **error)
{
	g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify) directory_mailbox_free);
	DbQuery *q = db_query (d->db, "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE (deleted > 0) = ?1 ORDER BY address COLLATE NOCASE, number", "I", deleted);
	int row;
	while ((row = db_step (d->db, q, error)) > 0)
		g_ptr_array_add (all, mailbox_of_row (q));
	return row < 0 ? NULL : g_steal_pointer (&all);
}

gboolean
directory_mailbox_rename (Directory *d, const char *name, const char *address, gboolean keep, GError **error)
{
	g_autofree char *key = NULL, *domain = NULL, *old_key = NULL, *old_domain = NULL;
	if (!address_split (address, &key, &domain, error) || !db_begin (d->db, error))
		return FALSE;
	g_autoptr (DirectoryMailbox) m = directory_mailbox (d, name, error);
	gboolean ok = m && !m->deleted && address_split (m->address, &old_key, &old_domain, error) && domain_is_ours (d, domain, error);
	if (m && m->deleted)
		error_fail (error, ERROR_NOT_FOUND, "the mailbox %s is deleted: `outpostctl mailbox undelete` first", name);
	/* An alias of it may become its name, and a change of letters' case is one, too. */
	ok = ok && db_run (d->db, "DELETE FROM alias WHERE key = ?1 AND target_key = ?2", error, "ss", key, old_key);
	ok = ok && (strcmp (key, old_key) == 0 || address_is_free (d, key, address, error)) &&
	     db_run (d->db, "UPDATE mailbox SET address = ?2, key = ?3, domain = ?4 WHERE id = ?1", error, "ssss", m->id, address, key, domain) &&
	     db_run (d->db, "UPDATE OR REPLACE alias SET target = ?2, target_key = ?3 WHERE target_key = ?1", error, "sss", old_key, address, key);
	if (ok && keep && strcmp (key, old_key) != 0)
		ok = db_run (d->db, "INSERT INTO alias (key, alias, domain, target_key, target) VALUES (?1, ?2, ?3, ?4, ?5)", error, "sssss", old_key, m->address,
		             old_domain, key, address);
	ok = ok && db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

gboolean
directory_mailbox_set_disabled (Directory *d, const char *name, gboolean disabled, GError **error)
{
	gint64 number = need_mailbox (d, name, error);
	return number && db_run (d->db, "UPDATE mailbox SET disabled = ?2 WHERE number = ?1", error, "iI", number, disabled);
}

gboolean
directory_mailbox_set_quota (Directory *d, const char *name, guint64 quota, guint64 messages, GError **error)
{
	gint64 number = need_mailbox (d, name, error);
	return number && db_run (d->db, "UPDATE mailbox SET quota = ?2, quota_messages = ?3 WHERE number = ?1", error, "iii", number, (gint64) quota,
	                         (gint64) messages);
}

gboolean
directory_mailbox_set_roles (Directory *d, const char *name, guint roles, GError **error)
{
	gint64 number = need_mailbox (d, name, error);
	return number && db_run (d->db, "UPDATE mailbox SET roles = ?2 WHERE number = ?1", error, "iI", number, roles);
}

/* Aliases of @key, and aliases that led to those only. */
static gboolean
delete_aliases (Directory *d, const char *key, GError **error)
{
	g_autoptr (GPtrArray) gone = g_ptr_array_new_with_free_func (g_free);
	g_ptr_array_add (gone, g_strdup (key));
	for (guint i = 0; i < gone->len; i++) {
		const char *target = gone->pdata[i];
		DbQuery *q = db_query (d->db, "SELECT key FROM alias WHERE target_key = ?1 AND (SELECT COUNT (*) FROM alias a WHERE a.key = alias.key) = 1", "s", target);
		int row;
		while ((row = db_step (d->db, q, error)) > 0)
			g_ptr_array_add (gone, db_dup (q, 0));
		if (row < 0 || !db_run (d->db, "DELETE FROM alias WHERE target_key = ?1", error, "s", target))
			return FALSE;
	}
	return TRUE;
}

gboolean
directory_mailbox_delete (Directory *d, const char *name, GError **error)
{
	g_autofree char *key = NULL, *domain = NULL;
	if (!db_begin (d->db, error))
		return FALSE;
	g_autoptr (DirectoryMailbox) m = directory_mailbox (d, name, error);
	if (m && m->deleted)
		error_fail (error, ERROR_NOT_FOUND, "the mailbox %s is deleted already", name);
	gboolean ok = m && !m->deleted && address_split (m->address, &key, &domain, error) && delete_aliases (d, key, error) &&
	              db_run (d->db, "UPDATE mailbox SET key = NULL, deleted = ?2 WHERE id = ?1", error, "si", m->id,
	                      (gint64) (g_get_real_time () / G_USEC_PER_SEC)) &&
	              db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

gboolean
directory_mailbox_undelete (Directory *d, const char *id, GError **error)
{
	g_autofree char *key = NULL, *domain = NULL;
	gint64 number;
	if (!db_begin (d->db, error))
		return FALSE;
	gboolean ok = find_number (d, "SELECT number FROM mailbox WHERE id = ?1 AND deleted > 0", id, NULL, &number, error) &&
	              (number || error_fail (error, ERROR_NOT_FOUND, "there is no deleted mailbox with the id %s: `outpostctl mailbox list --deleted` names them",
	                                     id));
	g_autoptr (DirectoryMailbox) m = ok ? mailbox_by_number (d, number, error) : NULL;
	ok = m && address_split (m->address, &key, &domain, error) && domain_is_ours (d, domain, error) && address_is_free (d, key, m->address, error) &&
	     db_run (d->db, "UPDATE mailbox SET key = ?2, deleted = 0 WHERE number = ?1", error, "is", number, key) && db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

GPtrArray *
directory_purge (Directory *d, const char *server, gint64 before, GError **error)
{
	g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);
	if (!db_begin (d->db, error))
		return NULL;
	DbQuery *q = db_query (d->db, "SELECT id FROM mailbox WHERE deleted > 0 AND deleted < ?1 AND server = ?2 ORDER BY number", "is", before, server);
	int row;
	while ((row = db_step (d->db, q, error)) > 0)
		g_ptr_array_add (ids, db_dup (q, 0));
	gboolean ok = row == 0 && db_run (d->db, "DELETE FROM mailbox WHERE deleted > 0 AND deleted < ?1 AND server = ?2", error, "is", before, server) && db_commit (d->db, error);
	db_rollback (d->db);
	return ok ? g_steal_pointer (&ids) : NULL;
}

/* ---- Opening ---- */

static gboolean
make_secret (Directory *d, GError **error)
{
	guint8 secret[SECRET_SIZE];
	if (gnutls_rnd (GNUTLS_RND_KEY, secret, sizeof secret) < 0)
		return error_fail (error, ERROR_IO, "the system gives no random numbers");
	return db_run (d->db, "INSERT INTO meta (id, secret) VALUES (1, ?1)", error, "b", secret, (gsize) sizeof secret);
}

/* What makes each version of the one before: a new directory goes through all of them. */
static const struct {
	const char *schema;
	gboolean (*fill) (Directory *d, GError **error); /* NULL: nothing more */
} versions[] = {
	{directory_schema_text, make_secret},
	{"ALTER TABLE mailbox ADD COLUMN quota_messages INTEGER NOT NULL DEFAULT 0", NULL}, /* 0: no limit */
	{directory_org_schema_text, organisation_create},
	{directory_move_schema_text, NULL},
	{"ALTER TABLE move ADD COLUMN hold INTEGER NOT NULL DEFAULT 0;"                     /* DirectoryMoveHold */
	 "ALTER TABLE move ADD COLUMN copied INTEGER NOT NULL DEFAULT 0", NULL},            /* octets, as it goes */
};

static gboolean
upgrade (Directory *d, gint64 version, GError **error)
{
	g_autofree char *pragmas = g_strdup_printf ("PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION_ID, SCHEMA_VERSION);
	gboolean ok = TRUE;
	for (gint64 i = version; ok && i < SCHEMA_VERSION; i++)
		ok = db_exec (d->db, versions[i].schema, error) && (!versions[i].fill || versions[i].fill (d, error));
	return ok && db_exec (d->db, pragmas, error);
}

static gboolean
set_up (Directory *d, const char *path, gboolean create, GError **error)
{
	if (!db_begin (d->db, error))
		return FALSE;
	gint64 application = db_number (d->db, "PRAGMA application_id", 0, ""), version = db_number (d->db, "PRAGMA user_version", 0, "");
	gboolean empty = !db_number (d->db, "SELECT 1 FROM sqlite_schema", 0, ""), ok = TRUE;
	if (empty && create && application == 0)
		ok = upgrade (d, 0, error);
	else if (application != APPLICATION_ID || version < 1)
		ok = error_fail (error, ERROR_CORRUPT, "%s is no directory of outpost", path);
	else if (version > SCHEMA_VERSION)
		ok = error_fail (error, ERROR_CORRUPT, "the directory %s is of version %d, this program knows %d: use the newer program", path, (int) version,
		                 SCHEMA_VERSION);
	else if (version < SCHEMA_VERSION)
		ok = upgrade (d, version, error);
	ok = ok && db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

Directory *
directory_open (const char *path, gboolean create, GError **error)
{
	if (!create && !g_file_test (path, G_FILE_TEST_EXISTS)) {
		error_fail (error, ERROR_NOT_FOUND, "there is no directory %s: `outpostd init` makes it", path);
		return NULL;
	}
	g_autoptr (Directory) d = g_new0 (Directory, 1);
	d->db = db_open (path, FALSE, create, error);
	return d->db && set_up (d, path, create, error) ? g_steal_pointer (&d) : NULL;
}

void
directory_free (Directory *d)
{
	if (!d)
		return;
	db_close (d->db);
	g_free (d);
}

gboolean
directory_octets (Directory *d, GBytes **octets_out, GError **error)
{
	return db_octets (d->db, octets_out, error);
}
