/* SPDX-License-Identifier: Apache-2.0 */
/* Aliases, and whom an address leads to. */
#include "directory-private.h"
#include <string.h>

#define DEPTH_MAX 10
#define TARGETS_MAX 100

void
directory_alias_free (DirectoryAlias *a)
{
	g_free (a->alias);
	g_free (a->target);
	g_free (a);
}

/* That @alias may lead to @target. */
static gboolean
may_lead (Directory *d, const DirectoryAlias *shown, const char *key, const char *target_key, GError **error)
{
	gint64 target, mailbox, there;
	if (!find_number (d, "SELECT 1 FROM mailbox WHERE key = ?1 UNION ALL SELECT 1 FROM alias WHERE key = ?1", target_key, NULL, &target, error) ||
	    !find_number (d, "SELECT 1 FROM mailbox WHERE key = ?1", key, NULL, &mailbox, error) ||
	    !find_number (d, "SELECT 1 FROM alias WHERE key = ?1 AND target_key = ?2", key, target_key, &there, error))
		return FALSE;
	if (!target)
		return error_fail (error, ERROR_NOT_FOUND, "there is no mailbox or alias %s", shown->target);
	if (strcmp (key, target_key) == 0)
		return error_fail (error, ERROR_USAGE, "%s can't be an alias of itself", shown->alias);
	if (mailbox)
		return error_fail (error, ERROR_EXISTS, "there is a mailbox %s already", shown->alias);
	return !there || error_fail (error, ERROR_EXISTS, "%s is an alias of %s already", shown->alias, shown->target);
}

gboolean
directory_alias_add (Directory *d, const char *alias, const char *target, GError **error)
{
	const DirectoryAlias shown = {(char *) alias, (char *) target};
	g_autofree char *key = NULL, *domain = NULL, *target_key = NULL, *target_domain = NULL;
	if (!address_split (alias, &key, &domain, error) || !address_split (target, &target_key, &target_domain, error) || !db_begin (d->db, error))
		return FALSE;
	gboolean ok = domain_is_ours (d, domain, error) && may_lead (d, &shown, key, target_key, error) &&
	              db_run (d->db, "INSERT INTO alias (key, alias, domain, target_key, target) VALUES (?1, ?2, ?3, ?4, ?5)", error, "sssss", key, alias, domain,
	                      target_key, target) &&
	              db_commit (d->db, error);
	db_rollback (d->db);
	return ok;
}

gboolean
directory_alias_remove (Directory *d, const char *alias, const char *target, GError **error)
{
	g_autofree char *key = NULL, *domain = NULL, *target_key = NULL, *target_domain = NULL;
	if (!address_split (alias, &key, &domain, error) || (target && !address_split (target, &target_key, &target_domain, error)) ||
	    !db_run (d->db, "DELETE FROM alias WHERE key = ?1 AND IFNULL (target_key = ?2, TRUE)", error, "ss", key, target_key))
		return FALSE;
	return db_changes (d->db) > 0 || error_fail (error, ERROR_NOT_FOUND, "there is no alias %s%s%s", alias, target ? " of " : "", target ? target : "");
}

GPtrArray *
directory_aliases (Directory *d, GError **error)
{
	g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify) directory_alias_free);
	DbQuery *q = db_query (d->db, "SELECT alias, target FROM alias ORDER BY key, target_key", "");
	int row;
	while ((row = db_step (d->db, q, error)) > 0) {
		DirectoryAlias *a = g_new (DirectoryAlias, 1);
		*a = (DirectoryAlias){db_dup (q, 0), db_dup (q, 1)};
		g_ptr_array_add (all, a);
	}
	return row < 0 ? NULL : g_steal_pointer (&all);
}

/* ---- Whom an address leads to ---- */

typedef struct {
	GHashTable *seen;    /* keys */
	GPtrArray *found;    /* of DirectoryMailbox */
} Walk;

static gboolean
keep_mailbox (Directory *d, Walk *w, gint64 number, GError **error)
{
	DirectoryMailbox *m = mailbox_by_number (d, number, error);
	if (m)
		g_ptr_array_add (w->found, m);
	return m != NULL;
}

static GPtrArray *
targets_of (Directory *d, const char *key, GError **error)
{
	g_autoptr (GPtrArray) targets = g_ptr_array_new_with_free_func (g_free);
	DbQuery *q = db_query (d->db, "SELECT target_key FROM alias WHERE key = ?1 ORDER BY target_key", "s", key);
	int row;
	while ((row = db_step (d->db, q, error)) > 0)
		g_ptr_array_add (targets, db_dup (q, 0));
	return row < 0 ? NULL : g_steal_pointer (&targets);
}

static gboolean
follow (Directory *d, Walk *w, const char *key, guint depth, GError **error)
{
	if (!g_hash_table_add (w->seen, g_strdup (key)))
		return TRUE;
	if (depth > DEPTH_MAX || g_hash_table_size (w->seen) > TARGETS_MAX)
		return error_fail (error, ERROR_CONFLICT, "the aliases behind %s are more than %d, or one behind another more than %d times", key, TARGETS_MAX,
		                   DEPTH_MAX);
	gint64 number;
	if (!find_number (d, "SELECT number FROM mailbox WHERE key = ?1", key, NULL, &number, error))
		return FALSE;
	if (number)
		return keep_mailbox (d, w, number, error);
	g_autoptr (GPtrArray) targets = targets_of (d, key, error);
	for (guint i = 0; targets && i < targets->len; i++)
		if (!follow (d, w, targets->pdata[i], depth + 1, error))
			return FALSE;
	return targets != NULL;
}

/* "user+lists@example.org" without "+lists"; NULL: there is none. */
static char *
without_detail (const char *key, const char *address, char **detail_out)
{
	const char *at = strrchr (key, '@'), *plus = strchr (key, '+');
	if (!plus || plus > at || plus == key)
		return NULL;
	const char *shown = strchr (address, '+');
	*detail_out = g_strndup (shown + 1, (gsize) (strrchr (address, '@') - shown - 1));
	g_autofree char *local = g_strndup (key, (gsize) (plus - key));
	return g_strconcat (local, at, NULL);
}

static gboolean
walk (Directory *d, Walk *w, const char *address, char **detail_out, GError **error)
{
	g_autofree char *key = NULL, *domain = NULL, *detail = NULL;
	if (!address_split (address, &key, &domain, error) || !domain_is_ours (d, domain, error) || !follow (d, w, key, 0, error))
		return FALSE;
	g_autofree char *plain = w->found->len == 0 ? without_detail (key, address, &detail) : NULL;
	if (plain && !follow (d, w, plain, 0, error))
		return FALSE;
	if (w->found->len == 0)
		return error_fail (error, ERROR_NOT_FOUND, "there is no mailbox %s", address);
	*detail_out = g_steal_pointer (&detail);
	return TRUE;
}

GPtrArray *
directory_resolve (Directory *d, const char *address, char **detail_out, GError **error)
{
	*detail_out = NULL;
	/* One state of the directory: somebody who is being renamed is always there. */
	if (!db_run (d->db, "BEGIN", error, ""))
		return NULL;
	Walk w = {g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL),
	          g_ptr_array_new_with_free_func ((GDestroyNotify) directory_mailbox_free)};
	gboolean ok = walk (d, &w, address, detail_out, error);
	db_run (d->db, "ROLLBACK", NULL, "");
	g_hash_table_unref (w.seen);
	if (ok)
		return w.found;
	g_ptr_array_unref (w.found);
	return NULL;
}
