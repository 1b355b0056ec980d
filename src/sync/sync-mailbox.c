/* SPDX-License-Identifier: Apache-2.0 */
/* Whose mailbox the home is: before a run changes anything, the folders that are not what they were are compared, the largest first, and what is
 * not where it was is looked for elsewhere. Too little in common is another person's, and the run refuses it. */
#include "sync-overlap.h"
#include <stdio.h>
#include <string.h>

static int
largest_first (gconstpointer a, gconstpointer b)
{
	guint x = (*(FolderBinding *const *) a)->messages, y = (*(FolderBinding *const *) b)->messages;
	return (x < y) - (x > y);
}

#define COMPARED_FOLDERS 3
#define LOOKED_INTO 20 /* folders of which a few messages are looked at, one by one, until one is known */

typedef enum { FOLDER_FAMILIAR, FOLDER_STRANGE, FOLDER_UNTOLD } FolderLook;

/* Do known UIDs of a folder whose numbers are as they were stand for what they stood for? What can't be looked at is no evidence; of a few that
 * are not there any more it is none against it, either. */
static gboolean
look_into (SyncRun *run, const FolderBinding *b, FolderLook *look_out, GError **error)
{
	g_auto (UidSet) canaries = UID_SET_INIT;
	g_autoptr (GArray) evidence = NULL;
	FolderRun probe = {.binding = (FolderBinding *) b};
	*look_out = b->messages < DIFFERENT_FROM ? FOLDER_UNTOLD : FOLDER_STRANGE;
	if (!store_canaries (run->store, b->folder, &canaries, error) ||
	    !sync_look (run, b->remote_name, b->uidvalidity, &canaries, EVIDENCE_SIZE, &evidence, error))
		return FALSE;
	if (evidence && evidence->len > 0)
		*look_out = sync_canaries_sing (run, &probe, evidence) ? FOLDER_FAMILIAR : FOLDER_STRANGE;
	return TRUE;
}

/* Bound folders with mail whose home's state has nothing of what it was; none when one has: then it is the mailbox we know.
 * @look_inside: the numbers alone are not believed. NULL: failed. */
static GPtrArray *
all_strange (SyncRun *run, const GPtrArray *bindings, gboolean look_inside, GError **error)
{
	g_autoptr (GPtrArray) strange = g_ptr_array_new ();
	guint looked = 0;
	for (guint i = 0; i < bindings->len; i++) {
		FolderBinding *b = bindings->pdata[i];
		const RemoteFolder *r = sync_listed (run, b->remote_name);
		if (b->folder_gone || !b->uidvalidity || b->messages == 0 || !r || !r->has_status || r->messages == 0)
			continue;
		FolderLook look = r->uidvalidity == b->uidvalidity && r->uidnext >= b->uidnext ? FOLDER_FAMILIAR : FOLDER_STRANGE;
		if (look == FOLDER_FAMILIAR && look_inside) {
			look = FOLDER_UNTOLD;
			if (looked++ < LOOKED_INTO && !look_into (run, b, &look, error))
				return NULL;
		}
		if (look == FOLDER_FAMILIAR) {
			g_ptr_array_set_size (strange, 0);
			break;
		}
		if (look == FOLDER_STRANGE)
			g_ptr_array_add (strange, b);
	}
	g_ptr_array_sort (strange, largest_first);
	return g_steal_pointer (&strange);
}

/* Other mail under an old name that the user has accepted is no reason to refuse the mailbox. */
static gboolean
is_accepted (SyncRun *run)
{
	g_autoptr (GPtrArray) holds = store_holds (run->store, NULL);
	for (guint i = 0; holds && i < holds->len; i++) {
		const Hold *h = holds->pdata[i];
		if (strcmp (h->kind, "identity") == 0 && h->decision != HOLD_WAITS)
			return TRUE;
	}
	return FALSE;
}

#define REFUSED "refused-mailbox" /* setting: the digest of the listing, and how many messages were compared */

/* The home's folders as listed, by which a mailbox that was refused is known again. */
static char *
listing_digest (SyncRun *run)
{
	g_autoptr (GString) text = g_string_new (NULL);
	for (guint i = 0; i < run->remotes->len; i++) {
		const RemoteFolder *r = run->remotes->pdata[i];
		g_string_append_printf (text, "%s %d %u %u %u\n", r->name, r->has_status, r->uidvalidity, r->uidnext, r->messages);
	}
	return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text->str, (gssize) text->len);
}

static gboolean
refuse (guint here, guint there, GError **error)
{
	return error_fail (error, ERROR_CONFLICT,
	                   "the account holds a different mailbox: of %u messages here and %u there too few are the same; nothing was touched on "
	                   "either side. Is the profile's server right (outpost profile show)? If it is the same mailbox nevertheless, "
	                   "'outpost sync --accept-mailbox' goes on; for a new one, log on with another --profile",
	                   here, there);
}

/* It is remembered, so that the next run does not compare it all again. */
static gboolean
refuse_and_note (SyncRun *run, guint here, guint there, GError **error)
{
	g_autofree char *digest = listing_digest (run), *text = g_strdup_printf ("%s %u %u", digest, here, there);
	gboolean ok = sync_begin (run, error) && store_set_setting (run->store, REFUSED, text, error) && sync_commit (run, error);
	store_rollback (run->store);
	return ok && refuse (here, there, error);
}

#define ACCEPTED "accepted-mailbox" /* setting: the INBOX's UIDVALIDITY then */

/* The person said that it is the same mailbox; it is so as long as INBOX is the same. */
static gboolean
was_accepted (SyncRun *run)
{
	g_autofree char *accepted = store_setting (run->store, ACCEPTED);
	const RemoteFolder *inbox = sync_listed (run, "INBOX");
	return accepted && inbox && inbox->has_status && g_ascii_strtoull (accepted, NULL, 10) == inbox->uidvalidity;
}

static gboolean
note_accepted (SyncRun *run, GError **error)
{
	const RemoteFolder *inbox = sync_listed (run, "INBOX");
	g_autofree char *text = inbox && inbox->has_status ? g_strdup_printf ("%u", inbox->uidvalidity) : NULL;
	gboolean ok = was_accepted (run) || (sync_begin (run, error) && store_set_setting (run->store, ACCEPTED, text, error) && sync_commit (run, error));
	store_rollback (run->store);
	return ok;
}

static gboolean
was_refused (SyncRun *run, guint *here_out, guint *there_out)
{
	g_autofree char *seen = store_setting (run->store, REFUSED), *digest = seen ? listing_digest (run) : NULL;
	return seen && g_str_has_prefix (seen, digest) && sscanf (seen + strlen (digest), " %u %u", here_out, there_out) == 2 && !is_accepted (run);
}

/* A mailbox of a few messages, whose numbers any other one may have, that changed at home, or to which something is to be sent. */
static gboolean
is_small_and_used (SyncRun *run, const GPtrArray *bindings)
{
	guint64 appends = 0, flags = 0, removals = 0;
	gboolean changed = FALSE;
	for (guint i = 0; i < bindings->len; i++) {
		const FolderBinding *b = bindings->pdata[i];
		const RemoteFolder *r = sync_listed (run, b->remote_name);
		if (b->messages >= DIFFERENT_FROM)
			return FALSE;
		changed |= b->messages > 0 && r && plan_needs_query (b, r);
	}
	return changed || !store_count_unpushed (run->store, &appends, &flags, &removals, NULL) || appends + flags + removals > 0;
}

typedef struct {
	Common sum;
	gboolean uncovered; /* a folder has too little in common, what was altered included */
} Comparison;

static void
add_compared (Comparison *all, const Common *c)
{
	all->sum.here += c->here;
	all->sum.there += c->there;
	all->sum.strong += c->strong;
	all->sum.weak += c->weak;
	all->uncovered |= c->here >= DIFFERENT_FROM && c->there >= DIFFERENT_FROM && common_is_too_little (c);
}

static gboolean
is_strong (const Common *c)
{
	return (guint64) c->strong * COMMON_SHARE >= MIN (c->here, c->there);
}

/* A tool alters the mail of all folders, a list's mail is in few. */
static gboolean
is_other (const Comparison *all)
{
	return !is_strong (&all->sum) && (all->uncovered || common_is_too_little (&all->sum));
}

/* The largest of @strange in full, one by one, until enough is known. FALSE: what reaches the whole mailbox. */
static gboolean
compare_folders (SyncRun *run, const GPtrArray *strange, Comparison *all, GPtrArray *compared, GError **error)
{
	g_autoptr (GPtrArray) holds = store_holds (run->store, error);
	if (!holds)
		return FALSE;
	run->gathered = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, (GDestroyNotify) gathered_free);
	for (guint i = 0; i < MIN (strange->len, COMPARED_FOLDERS) && (i == 0 || !is_strong (&all->sum)); i++) {
		FolderBinding *b = strange->pdata[i];
		GError *e = NULL;
		const RemoteFolder *r = sync_listed (run, b->remote_name);
		const Hold *seen;
		if (sync_find_seen (run, b->folder, r, holds, &seen)) {
			add_compared (all, &(Common){.here = seen->messages, .there = r->messages});
			g_ptr_array_add (compared, b);
			continue;
		}
		Gathered *g = sync_gather (run, b->folder, b->remote_name, TRUE, &e);
		if (!g) {
			if (error_reach (e->code) != REACH_MAILBOX) {
				g_error_free (e);
				continue;
			}
			g_propagate_error (error, e);
			return FALSE;
		}
		Common c;
		gathered_count_common (g, &c);
		add_compared (all, &c);
		g_ptr_array_add (compared, b);
		g_hash_table_insert (run->gathered, g_memdup2 (&b->folder, sizeof b->folder), g);
	}
	return TRUE;
}

/* Nothing was compared of those that have no mail under their names any more: what they had may be elsewhere, too. */
static void
add_emptied (SyncRun *run, const GPtrArray *bindings, GPtrArray *compared, Common *common)
{
	for (guint i = 0; i < bindings->len; i++) {
		FolderBinding *b = bindings->pdata[i];
		const RemoteFolder *r = sync_listed (run, b->remote_name);
		if (b->folder_gone || !b->uidvalidity || b->messages == 0 || (r && (!r->has_status || r->messages > 0)))
			continue;
		common->here += b->messages;
		g_ptr_array_add (compared, b);
	}
}

/* What is not where it was may have been put into other folders; single ones are anybody's. */
static gboolean
compare_elsewhere (SyncRun *run, const GPtrArray *compared, Common *sum, GError **error)
{
	g_autofree guint *known = g_new0 (guint, compared->len + 1);
	guint64 there, found = 0;
	if (!sync_find_elsewhere (run, compared, known, &there, error))
		return FALSE;
	for (guint i = 0; i < compared->len; i++)
		found += known[i];
	if (found < MIN (sum->here, DIFFERENT_FROM))
		return TRUE;
	sum->strong += (guint) found;
	sum->there = (guint) MIN (there, G_MAXUINT);
	return TRUE;
}

gboolean
sync_compare_mailbox (SyncRun *run, gboolean look_inside, guint *here_out, guint *there_out, gboolean *other_out, GError **error)
{
	Comparison all = {0};
	Common *c = &all.sum;
	*other_out = FALSE;
	g_autoptr (GPtrArray) bindings = store_folder_bindings (run->store, error), compared = g_ptr_array_new ();
	if (!bindings)
		return FALSE;
	look_inside = (look_inside && !is_accepted (run)) || is_small_and_used (run, bindings);
	g_autoptr (GPtrArray) strange = all_strange (run, bindings, look_inside, error);
	if (!strange || strange->len == 0)
		return strange != NULL;
	if (!compare_folders (run, strange, &all, compared, error))
		return FALSE;
	if (c->here > 0 && is_other (&all)) {
		add_emptied (run, bindings, compared, c);
		if (!compare_elsewhere (run, compared, c, error))
			return FALSE;
		*here_out = c->here;
		*there_out = c->there;
		*other_out = is_other (&all) && c->there > 0;
	}
	run->vouched |= !*other_out && c->strong + c->weak > 0;
	return TRUE;
}

gboolean
sync_check_mailbox (SyncRun *run, gboolean look_inside, GError **error)
{
	guint here = 0, there = 0;
	gboolean other;
	run->vouched = run->options->accept_mailbox || was_accepted (run);
	if (run->options->accept_mailbox)
		return note_accepted (run, error);
	if (run->vouched)
		return TRUE;
	if (was_refused (run, &here, &there))
		return refuse (here, there, error);
	return sync_compare_mailbox (run, look_inside, &here, &there, &other, error) && (!other || refuse_and_note (run, here, there, error));
}

gboolean
sync_vouch (SyncRun *run, GError **error)
{
	guint looked = 0;
	for (guint i = 0; i < run->folders->len && looked < LOOKED_INTO && !run->vouched && !run->witnesses_heard; i++) {
		const FolderRun *f = run->folders->pdata[i];
		FolderLook look;
		if (f->failed || f->binding->messages == 0 || !f->remote || plan_needs_query (f->binding, f->remote))
			continue;
		looked++;
		if (!look_into (run, f->binding, &look, error))
			return FALSE;
		run->vouched |= look == FOLDER_FAMILIAR;
		run->doubted |= look == FOLDER_STRANGE;
	}
	run->witnesses_heard = TRUE;
	return TRUE;
}
