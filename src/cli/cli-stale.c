/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a store that an earlier profile left behind (design section 6). */
#include "cli-sync.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

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

gboolean
stale_archive (Cli *cli, const char *path, GError **error)
{
	static const char *const parts[] = {"", "-wal", "-shm"};
	g_autoptr (GDateTime) now = g_date_time_new_now_local ();
	g_autofree char *stamp = g_date_time_format (now, "%Y%m%d-%H%M%S");
	g_autofree char *archive = g_strdup_printf ("%s.archived-%s", path, stamp);
	for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
		g_autofree char *from = g_strconcat (path, parts[i], NULL), *to = g_strconcat (archive, parts[i], NULL);
		if (rename (from, to) != 0 && errno != ENOENT)
			return error_set_errno (error, errno, "archiving the offline store %s", from);
	}
	cli_note (cli, "The old offline store is archived, with all that was not sent yet: %s", archive);
	return TRUE;
}

gboolean
stale_apply (Cli *cli, StalePolicy policy, GError **error)
{
	return remember_policy (cli->store, policy == STALE_REPORT ? "report" : NULL, error);
}

gboolean
stale_is_reported (Cli *cli)
{
	g_autofree char *policy = store_setting (cli->store, SETTING);
	return policy && strcmp (policy, "report") == 0;
}
