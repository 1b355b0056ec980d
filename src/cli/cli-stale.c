/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a store that an earlier profile left behind (design section 6). */
#include "cli-sync.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define ARCHIVED "%s.archived-%s"

#define SETTING "stale-store" /* "report" while the store is not to be adopted */

gboolean
stale_policy_parse (const char *word, StalePolicy *policy_out, GError **error)
{
	static const char *const words[] = {"adopt", "report", "replace"};
	for (guint i = 0; i < G_N_ELEMENTS (words); i++)
		if (strcmp (words[i], word) == 0) {
			*policy_out = (StalePolicy) i;
			return TRUE;
		}
	return error_fail (error, ERROR_USAGE, "--stale-store is adopt, report or replace, not '%s'", word);
}

static gboolean
remember_policy (Store *s, const char *value, GError **error)
{
	g_autofree char *old = store_setting (s, SETTING);
	if (g_strcmp0 (old, value) == 0)
		return TRUE;
	gboolean ok = store_begin (s, error) && store_set_setting (s, SETTING, value, error) && store_commit (s, error);
	store_rollback (s);
	return ok;
}

static const char *const parts[] = {"", "-wal", "-shm"};

/* A name that no archive has. */
static char *
archive_name (const char *path)
{
	g_autoptr (GDateTime) now = g_date_time_new_now_local ();
	g_autofree char *stamp = g_date_time_format (now, "%Y%m%d-%H%M%S");
	for (guint n = 1;; n++) {
		g_autofree char *name = n == 1 ? g_strdup_printf (ARCHIVED, path, stamp) : g_strdup_printf (ARCHIVED "-%u", path, stamp, n);
		gboolean taken = FALSE;
		for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
			g_autofree char *part = g_strconcat (name, parts[i], NULL);
			taken |= g_file_test (part, G_FILE_TEST_EXISTS);
		}
		if (!taken)
			return g_steal_pointer (&name);
	}
}

static gboolean
rename_parts (const char *path, const char *archive, GError **error)
{
	for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
		g_autofree char *from = g_strconcat (path, parts[i], NULL), *to = g_strconcat (archive, parts[i], NULL);
		if (rename (from, to) != 0 && errno != ENOENT)
			return error_set_errno (error, errno, "archiving the offline store %s", from);
	}
	return TRUE;
}

/* What the archive has that the server has not; a damaged store does not tell. */
static char *
unsent_text (const char *path)
{
	guint64 appends = 0, flags = 0, removals = 0;
	g_autoptr (Store) s = store_open (path, STORE_READ_ONLY, NULL);
	if (!s || !store_count_unpushed (s, &appends, &flags, &removals, NULL))
		return g_strdup ("with all that was not sent yet");
	guint64 n = appends + flags + removals;
	return n ? g_strdup_printf ("with %" G_GUINT64_FORMAT " change(s) that were not sent and will not be", n) : g_strdup ("nothing in it waited to be sent");
}

gboolean
stale_archive (Cli *cli, const char *path, GError **error)
{
	g_autofree char *lock = g_strconcat (path, ".lock", NULL), *archive = archive_name (path);
	g_autofree char *unsent = unsent_text (path);
	int fd = open (lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno (error, errno, "locking the offline store %s", path);
	gboolean ok = (flock (fd, LOCK_EX | LOCK_NB) == 0 ||
	               error_fail (error, ERROR_CONFLICT, "the offline store %s is in use by a synchronisation or a watcher: end it first", path)) &&
	              rename_parts (path, archive, error);
	close (fd);
	if (ok)
		cli_note (cli, "The old offline store is archived, %s: %s", unsent, archive);
	return ok;
}

/* ---- Orphans ---- */

static gboolean
is_of_a_profile (const char *path)
{
	g_auto (GStrv) names = profile_list (NULL);
	for (char **n = names; n && *n; n++) {
		g_autoptr (Profile) p = profile_load (*n, NULL);
		if (p && g_strcmp0 (p->store, path) == 0)
			return TRUE;
	}
	return FALSE;
}

static gboolean
is_of_account (const char *path, const char *address)
{
	g_autoptr (Store) s = store_open (path, STORE_READ_ONLY, NULL);
	g_autofree char *account = s ? store_setting (s, "account") : NULL;
	return account && g_ascii_strcasecmp (account, address) == 0;
}

char *
stale_find_orphan (const char *folder, const char *address)
{
	g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
	char *found = NULL;
	const char *name;
	while (dir && !found && (name = g_dir_read_name (dir))) {
		g_autofree char *path = g_build_filename (folder, name, NULL);
		if (!strstr (name, ".archived-") && !g_str_has_suffix (name, "-wal") && !g_str_has_suffix (name, "-shm") &&
		    !g_str_has_suffix (name, ".lock") && g_file_test (path, G_FILE_TEST_IS_REGULAR) && !is_of_a_profile (path) &&
		    is_of_account (path, address))
			found = g_steal_pointer (&path);
	}
	return found;
}

gboolean
stale_apply (Cli *cli, StalePolicy policy, GError **error)
{
	return (policy == STALE_REPORT || sync_drop_stale_logs (cli->store, error)) &&
	       remember_policy (cli->store, policy == STALE_REPORT ? "report" : NULL, error);
}

gboolean
stale_is_reported (Cli *cli)
{
	g_autofree char *policy = store_setting (cli->store, SETTING);
	return policy && strcmp (policy, "report") == 0;
}
