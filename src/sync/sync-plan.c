/* SPDX-License-Identifier: Apache-2.0 */
#include "sync-plan.h"
#include <string.h>

typedef struct {
	GHashTable *remote_by_name, *remote_by_id; /* RemoteFolder, borrowed */
	GHashTable *folder_by_id;                  /* gint64 * -> Folder, borrowed */
	GHashTable *taken;                         /* remotes and folders that a binding speaks for */
	GHashTable *folder_of_remote;              /* RemoteFolder -> Folder where both are known */
	const GPtrArray *folders, *bindings, *remotes;
	const GArray *refused, *recognised;
	gboolean known_home; /* an id that we know is there: ids can be believed */
	GArray *steps;
} Planner;

static gboolean
is_inbox (const char *name)
{
	return g_ascii_strcasecmp (name, "INBOX") == 0;
}

static gboolean
is_refused (const Planner *p, const FolderBinding *b, const RemoteFolder *r)
{
	for (guint i = 0; p->refused && i < p->refused->len; i++) {
		const FolderPair *g = &g_array_index (p->refused, FolderPair, i);
		if (g->folder == b->folder && g->remote == r)
			return TRUE;
	}
	return FALSE;
}

static const RemoteFolder *
remote_recognised (const Planner *p, const FolderBinding *b)
{
	for (guint i = 0; p->recognised && i < p->recognised->len; i++) {
		const FolderPair *g = &g_array_index (p->recognised, FolderPair, i);
		if (g->folder == b->folder && !g_hash_table_contains (p->taken, g->remote))
			return g->remote;
	}
	return NULL;
}

static const RemoteFolder *
remote_with_same_validity (Planner *p, const FolderBinding *b)
{
	const RemoteFolder *found = NULL;
	if (b->uidvalidity == 0)
		return NULL;
	for (guint i = 0; i < p->remotes->len; i++) {
		const RemoteFolder *r = p->remotes->pdata[i];
		if (!r->has_status || r->uidvalidity != b->uidvalidity || r->uidnext < b->uidnext || is_inbox (r->name) ||
		    g_hash_table_contains (p->taken, r) || is_refused (p, b, r))
			continue;
		if (found)
			return NULL; /* more than one: no guess */
		found = r;
	}
	return found;
}

static void
add_step (Planner *p, PlanKind kind, const Folder *f, const FolderBinding *b, const RemoteFolder *r, gboolean guessed, gboolean conflict)
{
	FolderStep step = {kind, f, b, r, guessed, conflict};
	g_array_append_val (p->steps, step);
}

/* The bindings whose remote still has its name come first: only what is left may be recognised as renamed. */
static const RemoteFolder *
remote_by_exact_name (Planner *p, const FolderBinding *b)
{
	const RemoteFolder *r = g_hash_table_lookup (p->remote_by_name, b->remote_name);
	if (remote_recognised (p, b))
		return NULL; /* its mail is elsewhere */
	if (r && p->known_home && b->remote_id && r->id && strcmp (r->id, b->remote_id) != 0)
		return NULL; /* another folder under the old name */
	return r; /* with another id, too, if the home is another one altogether: evidence tells */
}

/* The path that a remote folder has here: leaves joined by '/'. */
static char *
path_of_remote (Planner *p, const RemoteFolder *r, guint depth)
{
	const RemoteFolder *above = r->parent && depth < 100 ? g_hash_table_lookup (p->remote_by_name, r->parent) : NULL;
	if (!above || is_inbox (above->name))
		return g_strdup (r->leaf);
	g_autofree char *rest = path_of_remote (p, above, depth + 1);
	return g_strconcat (rest, "/", r->leaf, NULL);
}

/* The path that the folder of @b had here when that was last agreed; owned. */
static char *
agreed_path (Planner *p, const FolderBinding *b, guint depth)
{
	for (guint i = 0; b->base_parent && depth < 100 && i < p->bindings->len; i++) {
		const FolderBinding *above = p->bindings->pdata[i];
		if (above->folder != b->base_parent)
			continue;
		if (is_inbox (above->remote_name))
			break;
		g_autofree char *rest = agreed_path (p, above, depth + 1);
		return g_strconcat (rest, "/", b->base_name, NULL);
	}
	return g_strdup (b->base_name);
}

/* @r has another name at home, but is where @b's folder was for who looks at it here. */
static gboolean
is_same_place (Planner *p, const FolderBinding *b, const RemoteFolder *r)
{
	g_autofree char *agreed = agreed_path (p, b, 0), *there = path_of_remote (p, r, 0);
	return strcmp (agreed, there) == 0;
}

/* A migration changes the separator, puts folders below INBOX or not, and calls Sent Items Sent. */
static const RemoteFolder *
remote_after_migration (Planner *p, const FolderBinding *b)
{
	const Folder *f = g_hash_table_lookup (p->folder_by_id, &b->folder);
	const RemoteFolder *by_role = NULL;
	if (!b->uidvalidity && b->selectable) /* a mere parent has no numbers */
		return NULL;
	g_autofree char *path = agreed_path (p, b, 0);
	for (guint i = 0; i < p->remotes->len; i++) {
		const RemoteFolder *r = p->remotes->pdata[i];
		if (is_inbox (r->name) || g_hash_table_contains (p->taken, r))
			continue;
		g_autofree char *there = path_of_remote (p, r, 0);
		if (strcmp (there, path) == 0)
			return r;
		if (f && f->role && g_strcmp0 (f->role, r->role) == 0)
			by_role = r;
	}
	return by_role;
}

/* Where the folder above @b's is at home by now, a folder of its name. */
static const RemoteFolder *
remote_below_renamed (Planner *p, const FolderBinding *b)
{
	const Folder *above = b->base_parent ? g_hash_table_lookup (p->folder_by_id, &b->base_parent) : NULL;
	for (guint i = 0; above && i < p->remotes->len; i++) {
		const RemoteFolder *r = p->remotes->pdata[i], *rp = r->parent ? g_hash_table_lookup (p->remote_by_name, r->parent) : NULL;
		if (rp && g_hash_table_lookup (p->folder_of_remote, rp) == above && strcmp (r->leaf, b->base_name) == 0 && !g_hash_table_contains (p->taken, r))
			return r;
	}
	return NULL;
}

static const RemoteFolder *
remote_renamed (Planner *p, const FolderBinding *b, gboolean *guessed_out)
{
	*guessed_out = FALSE;
	if (is_inbox (b->remote_name))
		return NULL;
	const RemoteFolder *r = b->remote_id ? g_hash_table_lookup (p->remote_by_id, b->remote_id) : NULL;
	if (r)
		return g_hash_table_contains (p->taken, r) ? NULL : r;
	r = remote_recognised (p, b);
	if (r)
		return r;
	*guessed_out = TRUE;
	r = remote_with_same_validity (p, b);
	if (r)
		return r;
	*guessed_out = FALSE; /* what is in it is compared before anything is done: sync-rebind.c */
	r = remote_after_migration (p, b);
	return r ? r : remote_below_renamed (p, b);
}

gboolean
plan_renamed_here (const FolderBinding *b, const Folder *f)
{
	return f->parent != b->base_parent || strcmp (f->name, b->base_name) != 0;
}

static void
plan_bound (Planner *p, const FolderBinding *b, const RemoteFolder *r, gboolean renamed, gboolean guessed)
{
	const Folder *f = g_hash_table_lookup (p->folder_by_id, &b->folder);
	if (f)
		g_hash_table_add (p->taken, (gpointer) f);
	if (r)
		g_hash_table_add (p->taken, (gpointer) r);
	if (f && r) {
		g_hash_table_insert (p->folder_of_remote, (gpointer) r, (gpointer) f);
		gboolean here = plan_renamed_here (b, f) && !is_inbox (b->remote_name);
		if (renamed && here && is_same_place (p, b, r)) { /* a migration called it otherwise; here it got a name */
			add_step (p, PLAN_BIND, f, b, r, guessed, FALSE);
			add_step (p, PLAN_RENAME_HOME, f, b, r, FALSE, FALSE);
		} else if (renamed)
			add_step (p, PLAN_RENAME_HERE, f, b, r, guessed, here);
		else if (here)
			add_step (p, PLAN_RENAME_HOME, f, b, r, FALSE, FALSE);
		else if (!r->selectable && b->selectable && b->uidvalidity && !is_inbox (b->remote_name))
			add_step (p, PLAN_EMPTY_HERE, f, b, r, FALSE, FALSE);
		else if ((!b->remote_id && r->id) || (!b->selectable && r->selectable) || b->delimiter != r->delimiter)
			add_step (p, PLAN_BIND, f, b, r, FALSE, FALSE);
	} else if (f)
		add_step (p, PLAN_REMOVE_HERE, f, b, NULL, FALSE, FALSE);
	else if (r && r->has_status && r->uidnext != b->uidnext && r->uidvalidity == b->uidvalidity && b->uidvalidity) /* else evidence decides */
		add_step (p, PLAN_RESTORE_HERE, NULL, b, r, guessed, FALSE);
	else if (r)
		add_step (p, PLAN_REMOVE_HOME, NULL, b, r, guessed, FALSE);
	else
		add_step (p, PLAN_FORGET, NULL, b, NULL, FALSE, FALSE);
}

/* Another folder has its name by now: its UIDVALIDITY is the other's, who got it with a rename, or is new. */
static gboolean
has_other_validity (const FolderBinding *b, const RemoteFolder *r)
{
	return b->uidvalidity && !is_inbox (b->remote_name) && r->has_status && r->uidvalidity != b->uidvalidity;
}

/* One of the first @n that lost their names has @r's UIDVALIDITY. */
static gboolean
is_taken_over (Planner *p, const RemoteFolder *r, const GPtrArray *lost, guint n)
{
	for (guint i = 0; i < n; i++)
		if (remote_with_same_validity (p, lost->pdata[i]) == r)
			return TRUE;
	return FALSE;
}

static int
parents_first (gconstpointer a, gconstpointer b)
{
	return strcmp ((*(const FolderBinding *const *) a)->remote_name, (*(const FolderBinding *const *) b)->remote_name);
}

static void
plan_bindings (Planner *p)
{
	g_autoptr (GPtrArray) lost = g_ptr_array_new (), doubtful = g_ptr_array_new ();
	for (guint i = 0; i < p->bindings->len; i++) {
		const FolderBinding *b = p->bindings->pdata[i];
		const RemoteFolder *r = remote_by_exact_name (p, b);
		if (r && has_other_validity (b, r))
			g_ptr_array_add (doubtful, (gpointer) b);
		else if (r)
			plan_bound (p, b, r, FALSE, FALSE);
		else
			g_ptr_array_add (lost, (gpointer) b);
	}
	g_ptr_array_sort (lost, parents_first);
	/* of those that are left one may be what had the name, or have it now */
	g_autoptr (GPtrArray) same = g_ptr_array_new ();
	guint renamed = lost->len;
	for (guint i = 0; i < doubtful->len; i++) {
		const FolderBinding *b = doubtful->pdata[i];
		gboolean is_lost = remote_with_same_validity (p, b) || is_taken_over (p, remote_by_exact_name (p, b), lost, renamed);
		g_ptr_array_add (is_lost ? lost : same, (gpointer) b);
	}
	for (guint i = 0; i < same->len; i++)
		plan_bound (p, same->pdata[i], remote_by_exact_name (p, same->pdata[i]), FALSE, FALSE);
	for (guint i = 0; i < lost->len; i++) {
		gboolean guessed;
		const RemoteFolder *r = remote_renamed (p, lost->pdata[i], &guessed);
		plan_bound (p, lost->pdata[i], r, r != NULL, guessed);
	}
}

/* The one above it has another name, or its mail is in another folder, and @b's is where it was: it goes here to where it is at home. */
static void
plan_left_behind (Planner *p, const FolderBinding *above, const FolderBinding *b)
{
	const Folder *f = g_hash_table_lookup (p->folder_by_id, &b->folder);
	const RemoteFolder *r = g_hash_table_lookup (p->remote_by_name, b->remote_name);
	if (f && r && b->base_parent == above->folder && g_hash_table_lookup (p->folder_of_remote, r) == f && g_strcmp0 (r->parent, above->remote_name) == 0 &&
	    g_hash_table_contains (p->remote_by_name, r->parent) && !plan_renamed_here (b, f))
		add_step (p, PLAN_RENAME_HERE, f, b, r, FALSE, FALSE);
}

static void
plan_all_left_behind (Planner *p)
{
	for (guint n = p->steps->len, i = 0; i < n; i++) {
		FolderStep above = g_array_index (p->steps, FolderStep, i);
		for (guint k = 0; above.kind == PLAN_RENAME_HERE && k < p->bindings->len; k++)
			plan_left_behind (p, above.binding, p->bindings->pdata[k]);
	}
}

static const Folder *
unbound_folder_at (Planner *p, gint64 parent, const char *name)
{
	for (guint i = 0; i < p->folders->len; i++) {
		const Folder *f = p->folders->pdata[i];
		gboolean same = strcmp (f->name, name) == 0 || (parent == 0 && is_inbox (f->name) && is_inbox (name));
		if (f->parent == parent && same && !f->local_only && !g_hash_table_contains (p->taken, f))
			return f;
	}
	return NULL;
}

static void
plan_unbound_remotes (Planner *p)
{
	for (guint i = 0; i < p->remotes->len; i++) {
		const RemoteFolder *r = p->remotes->pdata[i];
		if (g_hash_table_contains (p->taken, r))
			continue;
		const RemoteFolder *rp = r->parent ? g_hash_table_lookup (p->remote_by_name, r->parent) : NULL;
		const Folder *fp = rp ? g_hash_table_lookup (p->folder_of_remote, rp) : NULL;
		const Folder *f = !r->parent || fp ? unbound_folder_at (p, fp ? fp->id : 0, r->leaf) : NULL;
		if (f) {
			g_hash_table_add (p->taken, (gpointer) f);
			g_hash_table_insert (p->folder_of_remote, (gpointer) r, (gpointer) f);
		}
		add_step (p, f ? PLAN_BIND : PLAN_CREATE_HERE, f, NULL, r, FALSE, FALSE);
	}
}

/* Renames make room for new names, and may need a new folder to go below. */
static int
rank (const FolderStep *s)
{
	if (s->kind == PLAN_RENAME_HERE)
		return 2 * PLAN_CREATE_HERE - !s->late;
	return 2 * (int) (s->kind == PLAN_RESTORE_HERE ? PLAN_CREATE_HERE : s->kind);
}

static int
compare_steps (gconstpointer a, gconstpointer b)
{
	const FolderStep *x = a, *y = b;
	if (rank (x) != rank (y))
		return rank (x) - rank (y);
	const char *p = x->remote ? x->remote->name : x->binding ? x->binding->remote_name : x->folder->path;
	const char *q = y->remote ? y->remote->name : y->binding ? y->binding->remote_name : y->folder->path;
	int order = strcmp (p, q); /* a parent's name is a prefix of its children's */
	return x->kind == PLAN_REMOVE_HERE || x->kind == PLAN_REMOVE_HOME ? -order : order;
}

static gboolean
is_below (const RemoteFolder *r, const RemoteFolder *above)
{
	gsize n = strlen (above->name);
	return above->delimiter && strncmp (r->name, above->name, n) == 0 && r->name[n] == above->delimiter;
}

/* To remove it at home would leave what is below without a parent here. */
static void
find_below (GArray *steps, gboolean of_restored)
{
	for (guint i = 0; i < steps->len; i++) {
		FolderStep *above = &g_array_index (steps, FolderStep, i);
		for (guint k = 0; (above->kind == PLAN_REMOVE_HOME || above->kind == PLAN_RESTORE_HERE) && k < steps->len && !above->below; k++) {
			const FolderStep *s = &g_array_index (steps, FolderStep, k);
			above->below = (of_restored ? s->kind == PLAN_RESTORE_HERE : s->kind == PLAN_CREATE_HERE || s->kind == PLAN_RENAME_HERE) &&
			               is_below (s->remote, above->remote);
		}
		if (above->below)
			above->kind = PLAN_RESTORE_HERE;
	}
}

void
plan_restore_above (GArray *steps)
{
	find_below (steps, TRUE);
	g_array_sort (steps, compare_steps);
}

static void
find_late (GArray *steps)
{
	for (guint i = 0; i < steps->len; i++) {
		FolderStep *s = &g_array_index (steps, FolderStep, i);
		for (guint k = 0; s->kind == PLAN_RENAME_HERE && k < steps->len && !s->late; k++) {
			const FolderStep *above = &g_array_index (steps, FolderStep, k);
			s->late = (above->kind == PLAN_CREATE_HERE || above->kind == PLAN_RESTORE_HERE) && is_below (s->remote, above->remote);
		}
	}
}

GArray *
plan_folders (const GPtrArray *folders, const GPtrArray *bindings, const GPtrArray *remotes, const GArray *refused, const GArray *recognised)
{
	g_autoptr (GHashTable) by_name = g_hash_table_new (g_str_hash, g_str_equal);
	g_autoptr (GHashTable) by_id = g_hash_table_new (g_str_hash, g_str_equal);
	g_autoptr (GHashTable) by_folder = g_hash_table_new (g_int64_hash, g_int64_equal);
	g_autoptr (GHashTable) taken = g_hash_table_new (NULL, NULL);
	g_autoptr (GHashTable) of_remote = g_hash_table_new (NULL, NULL);
	Planner p = {by_name,  by_id,   by_folder, taken, of_remote, folders, bindings, remotes, refused, recognised, FALSE,
	             g_array_new (FALSE, TRUE, sizeof (FolderStep))};
	for (guint i = 0; i < remotes->len; i++) {
		RemoteFolder *r = remotes->pdata[i];
		g_hash_table_insert (by_name, r->name, r);
		if (r->id)
			g_hash_table_insert (by_id, r->id, r);
	}
	for (guint i = 0; i < folders->len; i++) {
		Folder *f = folders->pdata[i];
		g_hash_table_insert (by_folder, &f->id, f);
	}
	for (guint i = 0; i < bindings->len; i++) {
		const FolderBinding *b = bindings->pdata[i];
		p.known_home |= b->remote_id && g_hash_table_contains (by_id, b->remote_id);
	}
	plan_bindings (&p);
	plan_all_left_behind (&p);
	plan_unbound_remotes (&p);
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		if (!f->local_only && !g_hash_table_contains (taken, f))
			add_step (&p, PLAN_CREATE_HOME, f, NULL, NULL, FALSE, FALSE);
	}
	find_below (p.steps, FALSE);
	find_late (p.steps);
	g_array_sort (p.steps, compare_steps);
	return p.steps;
}

guint
plan_merge_flags (guint base, guint here, guint home)
{
	guint changed = base ^ home;
	return (here & ~changed) | (home & changed);
}

gboolean
plan_guard_holds (guint64 n, guint64 of, const SyncOptions *o)
{
	if (n >= of && of >= MAX (o->guard_all, 1))
		return TRUE;
	return n > o->guard_messages && n * 100 > o->guard_percent * of;
}

gboolean
plan_needs_query (const FolderBinding *b, const RemoteFolder *r)
{
	if (!b->complete || !r->has_status || r->uidvalidity != b->uidvalidity || r->uidnext != b->uidnext || r->messages != b->messages)
		return TRUE;
	if (b->remote_id && r->id && strcmp (b->remote_id, r->id) != 0)
		return TRUE;
	if (r->messages == 0)
		return FALSE;
	return r->highestmodseq == 0 || r->highestmodseq != b->highestmodseq;
}

typedef enum { BY_SIZE, BY_HEADER_AND_DATE, BY_HEADER, WAYS } PushedBy;

/* What the home moved or copied itself has the home's date and size, which a migration may have changed: its header decides. */
static gboolean
is_pushed (const PushedMessage *p, const RemoteEvidence *e, PushedBy by)
{
	if (by == BY_HEADER)
		return p->copied && e->has_header && e->digest == p->digest;
	if (e->received != p->received)
		return FALSE;
	return by == BY_SIZE ? e->size == p->size && g_strcmp0 (e->message_id, p->message_id) == 0 : e->has_header && e->digest == p->digest;
}

void
plan_match_pushed (const PushedMessage *pushed, guint n, const RemoteEvidence *evidence, guint m, guint32 *uids_out)
{
	g_autofree gboolean *used = g_new0 (gboolean, m + 1);
	memset (uids_out, 0, n * sizeof *uids_out);
	for (PushedBy by = BY_SIZE; by < WAYS; by++)
		for (guint i = 0; i < n; i++)
			for (guint j = 0; j < m && !uids_out[i]; j++) {
				if (used[j] || !is_pushed (&pushed[i], &evidence[j], by))
					continue;
				used[j] = TRUE;
				uids_out[i] = evidence[j].uid;
			}
}
