/* SPDX-License-Identifier: Apache-2.0 */
#include "import.h"
#include "imap-names.h"
#include "store-import.h"
#include "sync-plan.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_MESSAGES 64u /* of at most 1 MiB each in memory */

typedef struct {
	Store *s;
	Endpoint *old;
	const ImportOptions *options;
	Cancel *cancel;
	ImportResult *result;
	GPtrArray *listed; /* RemoteFolder */
	GHashTable *placed; /* messages (gint64) that came under the old numbers in this run */
	guint64 moved;
} Import;

static void say (const Import *im, const char *format, ...) G_GNUC_PRINTF (2, 3);
static void
say (const Import *im, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	g_autofree char *text = g_strdup_vprintf (format, args);
	va_end (args);
	if (im->options->line)
		im->options->line (im->options->data, g_get_real_time () / G_USEC_PER_SEC, TRUE, text);
}

static gboolean
end (Store *s, gboolean ok, GError **error)
{
	sync_step ();
	ok = ok && store_commit (s, error);
	store_rollback (s);
	sync_step ();
	return ok;
}

static const RemoteFolder *
listed (const Import *im, const char *name)
{
	for (guint i = 0; i < im->listed->len; i++)
		if (strcmp (((RemoteFolder *)im->listed->pdata[i])->name, name) == 0)
			return im->listed->pdata[i];
	return NULL;
}

/* ---- Folders that are called otherwise here ---- */

static gboolean
is_bound (const GPtrArray *bindings, gint64 folder, const char *name)
{
	gboolean bound = FALSE;
	for (guint i = 0; i < bindings->len && !bound; i++) {
		const FolderBinding *b = bindings->pdata[i];
		bound = b->folder == folder || strcmp (b->remote_name, name) == 0;
	}
	return bound;
}

static gboolean
bind_by_role (Import *im, const RemoteFolder *r, const GPtrArray *bindings, GError **error)
{
	GError *e = NULL;
	g_autoptr (Folder) f = store_folder_by_role (im->s, r->role, &e);
	if (e)
		g_propagate_error (error, e);
	if (!f || is_bound (bindings, f->id, r->name))
		return e == NULL;
	FolderBinding b = {.folder = f->id,
			   .base_parent = f->parent,
			   .remote_name = r->name,
			   .delimiter = r->delimiter,
			   .remote_id = r->id,
			   .base_name = f->name,
			   .selectable = TRUE};
	say (im, "folder '%s' is '%s' here", r->leaf, f->path);
	return store_bind_folder (im->s, &b, error);
}

/* "Sent" there is "Sent Items" here, and goes on being that. */
static gboolean
bind_roles (Import *im, GError **error)
{
	gboolean ok = store_begin (im->s, error);
	for (guint i = 0; ok && i < im->listed->len; i++) {
		const RemoteFolder *r = im->listed->pdata[i];
		g_autoptr (GPtrArray) bindings = r->role && r->selectable ? store_folder_bindings (im->s, error) : NULL;
		ok = !r->role || !r->selectable || (bindings && bind_by_role (im, r, bindings, error));
	}
	return end (im->s, ok, error);
}

/* ---- What is new in folders that go on with the old numbers: in the order of these, since a UID below one that was
 * seen is never looked for ---- */

typedef struct {
	RemoteState state;
	gint64 received;
	int zone, fd; /* fd -1: in octets */
	guint64 remote_size, size;
	GBytes *octets;
} Arrived;

static void
arrived_done (gpointer data)
{
	Arrived *a = data;
	g_free (a->state.keywords);
	if (a->octets)
		g_bytes_unref (a->octets);
	if (a->fd >= 0)
		close (a->fd);
}

static gboolean
take (gpointer data, const FetchedMessage *m, GError **error)
{
	Arrived a = {m->state,
		     m->received,
		     m->zone,
		     m->octets ? -1 : fcntl (m->fd, F_DUPFD_CLOEXEC, 3),
		     m->remote_size,
		     m->size,
		     m->octets ? g_bytes_ref (m->octets) : NULL};
	a.state.keywords = g_strdup (m->state.keywords);
	g_array_append_val ((GArray *)data, a);
	return a.octets || a.fd >= 0 || error_fail (error, ERROR_IO, "no more files can be opened");
}

static int
by_uid (gconstpointer a, gconstpointer b)
{
	guint32 x = ((const Arrived *) a)->state.uid, y = ((const Arrived *) b)->state.uid;
	return x < y ? -1 : x > y;
}

static gboolean
place (Import *im, gint64 folder, const Arrived *a, GError **error)
{
	PlacementBinding b = {0};
	gboolean found;
	gint64 message;
	if (!store_binding_by_uid (im->s, folder, a->state.uid, &b, &found, error))
		return FALSE;
	placement_binding_done (&b);
	if (found)
		return TRUE;
	g_autoptr (Prepared) p = a->octets ? prepare_bytes (a->octets, a->received, a->zone)
					   : prepare_file (a->fd, a->size, a->received, a->zone, error);
	b = (PlacementBinding){.folder = folder,
			       .remote_uid = a->state.uid,
			       .flags = a->state.flags,
			       .keywords = a->state.keywords,
			       .modseq = a->state.modseq,
			       .remote_size = a->remote_size == a->size ? 0 : (guint32) a->remote_size};
	im->result->kept++;
	if (!p)
		return FALSE;
	gboolean ok = store_add_message (im->s, p, folder, &message, error) &&
	       store_import_place (im->s, folder, a->state.uid, message, a->state.flags, a->state.keywords,
				   &b.placement, error) &&
	       store_bind_placement (im->s, &b, error);
	if (ok)
		g_hash_table_add (im->placed, g_memdup2 (&message, sizeof message));
	return ok;
}

static gboolean
store_block (Import *im, gint64 folder, GArray *block, GError **error)
{
	gboolean there = FALSE, ok = store_begin (im->s, error) && store_has_folder (im->s, folder, &there, error);
	g_array_sort (block, by_uid);
	for (guint i = 0; ok && there && i < block->len; i++)
		ok = place (im, folder, &g_array_index (block, Arrived, i), error);
	return end (im->s, ok, error);
}

/* Moves up to @n members from the bottom of @from to @to. */
static void
take_lowest (UidSet *from, UidSet *to, guint n)
{
	while (n > 0 && from->n_ranges > 0) {
		UidRange first = from->ranges[0];
		guint32 hi = first.hi - first.lo < n ? first.hi : first.lo + n - 1;
		g_auto (UidSet) part = UID_SET_INIT;
		uid_set_add_range (&part, first.lo, hi);
		uid_set_remove_set (from, &part);
		uid_set_add_set (to, &part);
		n -= hi - first.lo + 1;
	}
}

static gboolean
fetch_block (Import *im, const FolderBinding *b, UidSet *wanted, GError **error)
{
	g_autoptr (GArray) block = g_array_new (FALSE, FALSE, sizeof (Arrived));
	g_array_set_clear_func (block, arrived_done);
	FetchRequest r = {.name = b->remote_name, .uidvalidity = b->uidvalidity};
	take_lowest (wanted, &r.uids, BLOCK_MESSAGES);
	gboolean ok = im->old->class->fetch (im->old, &r, 1, take, block, error);
	if (r.error && !r.done)
		uid_set_clear (wanted); /* the run that follows tells why */
	ok = ok && store_block (im, b->folder, block, error);
	fetch_request_done (&r);
	return ok;
}

static gboolean
fetch_new (Import *im, const FolderBinding *b, GError **error)
{
	FolderQuery q = {.name = b->remote_name, .kind = QUERY_UIDS, .uidvalidity = b->uidvalidity};
	g_auto (UidSet) wanted = UID_SET_INIT;
	gboolean ok = im->old->class->query (im->old, &q, 1, error);
	if (ok && !q.error && !q.changed_identity && q.has_all_uids)
		uid_set_copy (&wanted, &q.all_uids);
	g_auto (UidSet) known = UID_SET_INIT;
	if (b->uidnext > 1)
		uid_set_add_range (&known, 1, b->uidnext - 1);
	uid_set_remove_set (&wanted, &known);
	folder_query_done (&q);
	while (ok && !uid_set_is_empty (&wanted))
		ok = cancel_check (im->cancel, error) && fetch_block (im, b, &wanted, error);
	return ok;
}

static gboolean
go_on_with_numbers (Import *im, GError **error)
{
	g_autoptr (GPtrArray) bindings = store_folder_bindings (im->s, error);
	for (guint i = 0; bindings && i < bindings->len; i++) {
		const FolderBinding *b = bindings->pdata[i];
		const RemoteFolder *r = listed (im, b->remote_name);
		gboolean new = r && r->selectable && (!r->has_status || (r->uidvalidity == b->uidvalidity && r->uidnext > b->uidnext));
		if (new && !b->folder_gone && store_import_numbers (im->s, b->folder) == IMPORT_OPEN &&
		    !fetch_new (im, b, error))
			return FALSE;
	}
	return bindings != NULL;
}

/* ---- What of it was moved there: it goes from where it was, before the deletion guard weighs what is gone ---- */

/* What was changed here goes along. */
static gboolean
carry (Import *im, const Placement *from, const PlacementBinding *base, GError **error)
{
	g_autoptr (GPtrArray) all = store_placements_of (im->s, from->message, error);
	for (guint i = 0; all && i < all->len; i++) {
		const Placement *to = all->pdata[i];
		g_autofree char *keywords = keywords_merge (base->keywords, from->keywords, to->keywords);
		if (to->id > from->id && !store_set_flags (im->s, to->id, plan_merge_flags (base->flags, from->flags, to->flags), keywords, error))
			return FALSE;
	}
	return all != NULL;
}

static gboolean
leave_place (Import *im, gint64 folder, guint32 uid, GError **error)
{
	PlacementBinding b = {0};
	gboolean found;
	if (!store_binding_by_uid (im->s, folder, uid, &b, &found, error))
		return FALSE;
	g_autoptr (Placement) p = found && !b.gone ? store_placement (im->s, b.placement, NULL) : NULL;
	gboolean moved = p && g_hash_table_contains (im->placed, &p->message);
	gboolean changed = moved && (p->flags != b.flags || !keywords_equal (p->keywords, b.keywords));
	gboolean ok = !moved || ((!changed || carry (im, p, &b, error)) && store_remove (im->s, p->id, "home", error));
	im->moved += moved;
	placement_binding_done (&b);
	return ok;
}

static gboolean
leave_places (Import *im, const FolderBinding *b, GError **error)
{
	FolderQuery q = {.name = b->remote_name, .kind = QUERY_UIDS, .uidvalidity = b->uidvalidity};
	g_auto (UidSet) gone = UID_SET_INIT;
	gboolean ok = im->old->class->query (im->old, &q, 1, error);
	if (ok && !q.error && !q.changed_identity && q.has_all_uids)
		ok = store_bound_uids (im->s, b->folder, &gone, error);
	uid_set_remove_set (&gone, &q.all_uids);
	folder_query_done (&q);
	UidIter it = {0};
	guint32 uid;
	if (!ok || uid_set_is_empty (&gone))
		return ok;
	ok = store_begin (im->s, error);
	while (ok && uid_set_next (&gone, &it, &uid))
		ok = leave_place (im, b->folder, uid, error);
	return end (im->s, ok, error);
}

static gboolean
settle_moved (Import *im, GError **error)
{
	g_autoptr (GPtrArray) bindings = store_folder_bindings (im->s, error);
	for (guint i = 0; bindings && i < bindings->len && g_hash_table_size (im->placed); i++) {
		const FolderBinding *b = bindings->pdata[i];
		const RemoteFolder *r = b->folder_gone || !b->uidvalidity ? NULL : listed (im, b->remote_name);
		gboolean lost = r && r->selectable && (!r->has_status || (guint64) r->messages < (guint64) b->messages + r->uidnext - MIN (b->uidnext, r->uidnext));
		if (lost && !leave_places (im, b, error))
			return FALSE;
	}
	return bindings != NULL;
}

/* Changes that are made here from now on are above all that a client has heard of there. */
static gboolean
raise_numbers (Import *im, GError **error)
{
	guint64 highest = 0;
	for (guint i = 0; i < im->listed->len; i++)
		highest = MAX (highest, ((RemoteFolder *)im->listed->pdata[i])->highestmodseq);
	return highest <= store_modseq (im->s) ||
	       end (im->s, store_begin (im->s, error) && store_import_raise (im->s, highest, error), error);
}

/* ---- Folders that are here as a whole for the first time ---- */

static gboolean
adopt (Import *im, const FolderBinding *b, GError **error)
{
	gint64 folder;
	const char *why = NULL;
	if (!end (im->s, store_begin (im->s, error) && store_import_adopt (im->s, b->folder, &folder, &why, error),
		  error))
		return FALSE;
	im->result->same += !why;
	im->result->other += why != NULL;
	if (why)
		say (im, "folder '%s' has numbers of its own here: %s; mail programs fetch its messages again",
		     b->base_name, why);
	return TRUE;
}

static gboolean
adopt_all (Import *im, GError **error)
{
	g_autoptr (GPtrArray) bindings = store_folder_bindings (im->s, error);
	for (guint i = 0; bindings && i < bindings->len; i++) {
		const FolderBinding *b = bindings->pdata[i];
		if (b->folder_gone || !b->selectable || !b->uidvalidity)
			continue;
		if (store_import_numbers (im->s, b->folder) != IMPORT_OWN)
			im->result->same++;
		else if (b->complete && !adopt (im, b, error))
			return FALSE;
	}
	return bindings != NULL;
}

/* ---- A run ---- */

/* Roles by usual names, too, where the other server tells none. */
static gboolean
list_all (Import *im, GError **error)
{
	if (!im->old->class->list (im->old, &im->listed, error))
		return FALSE;
	roles_guess (im->listed);
	return TRUE;
}

static gboolean
settle_holds (Import *im, GError **error)
{
	g_autoptr (GPtrArray) holds = store_holds (im->s, error);
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	gboolean ok = holds != NULL && store_begin (im->s, error);
	for (guint i = 0; ok && i < holds->len; i++)
		ok = store_settle_hold (im->s, ((Hold *)holds->pdata[i])->id, HOLD_APPLY, now, error);
	return end (im->s, ok, error);
}

static gboolean
follow (Import *im, GError **error)
{
	SyncOptions o = SYNC_OPTIONS_INIT;
	o.mailbox = im->options->mailbox;
	o.one_way = TRUE;
	o.progress = im->options->progress;
	o.line = im->options->line;
	o.data = im->options->data;
	return sync_run (im->s, im->old, &o, im->cancel, &im->result->sync, error);
}

gboolean
import_run (Store *s, Endpoint *old, const ImportOptions *options, Cancel *cancel, ImportResult *result, GError **error)
{
	g_autoptr (GHashTable) placed = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
	Import im = {s, old, options, cancel, result, NULL, placed, 0};
	*result = (ImportResult){0};
	gboolean ok =
		old->class->open (old, cancel, error) && (!options->accept_removals || settle_holds (&im, error)) &&
		list_all (&im, error) && raise_numbers (&im, error) && bind_roles (&im, error) &&
		go_on_with_numbers (&im, error) && settle_moved (&im, error) && follow (&im, error) && adopt_all (&im, error);
	result->sync.removed_here += im.moved;
	store_rollback (s);
	g_clear_pointer (&im.listed, g_ptr_array_unref);
	return ok;
}
