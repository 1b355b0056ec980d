/* SPDX-License-Identifier: Apache-2.0 */
/* rebind: what a move of the mailbox would do, rehearsed, or done. */
#include "cli-sync.h"
#include <string.h>

static gboolean dry_run;
static char *new_server, *new_user;

const GOptionEntry rebind_options[] = {
	{"dry-run", 'n', 0, G_OPTION_ARG_NONE, &dry_run, "Only look: nothing is written on either side", NULL},
	{"server", 's', 0, G_OPTION_ARG_STRING, &new_server, "The server where the mailbox is, or will be", "URL"},
	{"user", 'u', 0, G_OPTION_ARG_STRING, &new_user, "The log-in name there, if it is another one", "USER"},
	{NULL},
};

static json_t *
json_preview (const SyncPreview *p)
{
	return json_pack ("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "folder", cli_json_text (p->folder), "home", cli_json_text (p->home),
	                  "linked", (json_int_t) p->linked, "weak", (json_int_t) p->weak, "ambiguous", (json_int_t) p->ambiguous, "onlyHere",
	                  (json_int_t) p->only_here, "onlyThere", (json_int_t) p->only_there, "pending", (json_int_t) p->pending, "otherMail",
	                  p->other_mail, "failed", p->failed);
}

static void
print_preview (const SyncPreview *p, const char *name)
{
	const char *note = p->other_mail ? "  other mail: would be held" : p->failed ? "  could not be read" : !p->home && p->folder ? "  not there" : "";
	cli_print ("%8u %6u %9u %9u %10u %7u  %s%s", p->linked, p->weak, p->ambiguous, p->only_here, p->only_there, p->pending, name, note);
}

static void
report_previews (Cli *cli, const GPtrArray *list, gboolean other)
{
	SyncPreview sum = {0};
	JsonArray array = {0};
	if (!cli->json)
		puts ("  LINKED   WEAK AMBIGUOUS ONLY HERE ONLY THERE PENDING  FOLDER");
	for (guint i = 0; i < list->len; i++) {
		const SyncPreview *p = list->pdata[i];
		sum.linked += p->linked;
		sum.weak += p->weak;
		sum.ambiguous += p->ambiguous;
		sum.only_here += p->only_here;
		sum.only_there += p->only_there;
		sum.pending += p->pending;
		if (cli->json)
			cli_json_item (&array, json_preview (p));
		else
			print_preview (p, p->folder ? p->folder : p->home);
	}
	if (cli->json) {
		cli_json_end (&array);
		return;
	}
	char whole[] = "in all";
	sum.home = whole;
	print_preview (&sum, whole);
	if (other)
		cli_note (cli, "Too little is in common: sync would refuse it as another mailbox, and touch nothing.");
	cli_note (cli, "Linked: found again, not fetched. Only here: kept, and held until it arrives or you decide. Only there: fetched.\n"
	               "Nothing was changed.");
}

static gboolean
rehearse (Cli *cli, GError **error)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	g_autoptr (GPtrArray) list = NULL;
	gboolean other;
	Display d;
	g_autoptr (Home) home = home_new (cli, cli->profile, NULL);
	o.progress = display_sync;
	o.data = &d;
	display_begin (&d, cli);
	d.quiet_json = TRUE;
	gboolean ok = sync_preview (cli->store, home->endpoint, &o, cli->cancel, &list, &other, error);
	display_end (&d);
	home->endpoint->class->close (home->endpoint);
	if (ok)
		report_previews (cli, list, other);
	return ok;
}

/* The new place must let us in before the profile names it. */
static gboolean
follow (Cli *cli, GError **error)
{
	g_autoptr (Home) home = home_new (cli, cli->profile, NULL);
	if (!home->endpoint->class->open (home->endpoint, cli->cancel, error))
		return FALSE;
	home->endpoint->class->close (home->endpoint);
	g_autoptr (Profile) old = profile_load (cli->profile->name, NULL);
	GError *e = NULL;
	if (profile_save (cli->profile, &e) && cli_sync_once (cli, home->secret, &e))
		return TRUE;
	if (old && error_is (e, ERROR_CONFLICT)) /* another mailbox: the profile stays with its own */
		profile_save (old, NULL);
	g_propagate_error (error, e);
	return FALSE;
}

gboolean
cmd_rebind (Cli *cli, char **args, GError **error)
{
	if (*args)
		return error_fail (error, ERROR_USAGE, "'%s' is too much here", *args);
	Profile *p = cli_profile (cli, error);
	if (!p || !cli_store (cli, !dry_run, error) || (new_server && !profile_set_location (p, new_server, error)))
		return FALSE;
	if (new_user) {
		g_free (p->user);
		p->user = g_strdup (new_user);
	}
	return profile_check (p, error) && (dry_run ? rehearse (cli, error) : follow (cli, error));
}
