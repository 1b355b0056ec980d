/* SPDX-License-Identifier: Apache-2.0 */
/* Moves of mailboxes. A state is changed in one place, along a table; the row decides between a move and its cancellation, whoever is faster. */
#include "directory-private.h"
#include <string.h>

#define TO(state) (1u << MOVE_##state)
static const struct {
	const char *name;
	guint next;
} states[] = {
	[MOVE_PREPARED] = {"prepared", TO (COPYING) | TO (CANCELLING)},
	[MOVE_COPYING] = {"copying", TO (CATCHING_UP) | TO (CANCELLING)},
	[MOVE_CATCHING_UP] = {"catching up", TO (FENCED) | TO (CANCELLING)},
	[MOVE_FENCED] = {"fenced", TO (COMMITTED) | TO (CANCELLING)},
	[MOVE_COMMITTED] = {"committed", TO (DONE)},
	[MOVE_DONE] = {"done", 0},
	[MOVE_CANCELLING] = {"cancelling", TO (CANCELLED)},
	[MOVE_CANCELLED] = {"cancelled", 0},
};

const char *
directory_move_state_name (DirectoryMoveState state)
{
	return states[state].name;
}

void
directory_move_free (DirectoryMove *m)
{
	if (!m)
		return;
	g_free (m->mailbox);
	g_free (m->address);
	g_free (m->source);
	g_free (m->target);
	g_free (m->sum);
	g_free (m->error);
	g_free (m);
}

static gint64
seconds_now (void)
{
	return g_get_real_time () / G_USEC_PER_SEC;
}

#define MOVE_COLUMNS                                                                                                                                 \
	"SELECT move.number, m.id, m.address, move.source, move.target, move.epoch, move.state, move.began, move.ended, move.octets, move.fence, move.sum, move.error, move.hold, move.copied" \
	" FROM move JOIN mailbox m ON m.number = move.mailbox "

static DirectoryMove *
move_of_row (DbQuery *q)
{
	DirectoryMove *m = g_new (DirectoryMove, 1);
	*m = (DirectoryMove){.number = db_int (q, 0), .mailbox = db_dup (q, 1), .address = db_dup (q, 2), .source = db_dup (q, 3), .target = db_dup (q, 4),
	                     .epoch = db_int (q, 5), .state = (DirectoryMoveState) CLAMP (db_int (q, 6), 0, MOVE_CANCELLED), .began = db_int (q, 7),
	                     .ended = db_int (q, 8), .octets = (guint64) db_int (q, 9), .fence = db_int (q, 10), .sum = db_dup (q, 11), .error = db_dup (q, 12), .hold = (DirectoryMoveHold) CLAMP (db_int (q, 13), 0, MOVE_HOLD_READY),
	                     .copied = (guint64) db_int (q, 14)};
	return m;
}

DirectoryMove *
directory_move (Directory *d, gint64 number, GError **error)
{
	DbQuery *q = db_query (d->db, MOVE_COLUMNS "WHERE move.number = ?1", "i", number);
	int row = db_step (d->db, q, error);
	DirectoryMove *m = row > 0 ? move_of_row (q) : NULL;
	db_reset (q);
	if (row == 0)
		error_fail (error, ERROR_NOT_FOUND, "there is no move %" G_GINT64_FORMAT ": `outpostctl move list` has them", number);
	return m;
}

GPtrArray *
directory_moves (Directory *d, gboolean open, GError **error)
{
	g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify) directory_move_free);
	DbQuery *q = db_query (d->db, MOVE_COLUMNS "WHERE NOT ?1 OR move.ended = 0 ORDER BY move.number", "I", open);
	int row;
	while ((row = db_step (d->db, q, error)) > 0)
		g_ptr_array_add (all, move_of_row (q));
	return row < 0 ? NULL : g_steal_pointer (&all);
}

/* ---- Beginning ---- */

/* Its number, 0 with an error. */
static gint64
insert_move (Directory *d, const DirectoryMailbox *m, const DirectoryServer *target, GError **error)
{
	static const char moving[] = "SELECT move.number FROM move JOIN mailbox m ON m.number = move.mailbox WHERE m.id = ?1 AND ended = 0";
	gint64 there, mailbox;
	if (!mailbox_number (d, m->id, &mailbox, error) || !find_number (d, moving, m->id, NULL, &there, error))
		return 0;
	if (m->deleted || !m->server)
		error_fail (error, ERROR_CONFLICT, "the mailbox %s %s", m->address, m->deleted ? "is deleted" : "has no home yet");
	else if (strcmp (m->server, target->id) == 0)
		error_fail (error, ERROR_EXISTS, "the mailbox %s is at home at %s already", m->address, target->name);
	else if (!target->folder)
		error_fail (error, ERROR_CONFLICT, "nobody knows where the server %s is on this machine: start it once", target->name);
	else if (there)
		error_fail (error, ERROR_EXISTS, "the mailbox %s is being moved: `outpostctl move resume %" G_GINT64_FORMAT "` goes on with that", m->address, there);
	else if (db_run (d->db, "INSERT INTO move (mailbox, source, target, epoch, state, began) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", error, "issiIi", mailbox, m->server,
	                 target->id, m->epoch, MOVE_PREPARED, seconds_now ()))
		return db_last_id (d->db);
	return 0;
}

DirectoryMove *
directory_move_begin (Directory *d, const char *mailbox, const char *target, GError **error)
{
	if (!db_begin (d->db, error))
		return NULL;
	g_autoptr (DirectoryMailbox) m = directory_mailbox (d, mailbox, error);
	g_autoptr (DirectoryServer) s = m ? directory_server (d, target, error) : NULL;
	gint64 number = s ? insert_move (d, m, s, error) : 0;
	DirectoryMove *move = number ? directory_move (d, number, error) : NULL;
	if (move && !db_commit (d->db, error))
		g_clear_pointer (&move, directory_move_free);
	db_rollback (d->db);
	return move;
}

/* ---- Going on ---- */

/* The row of @m goes on to @next, if it is where @m says. Within a transaction. */
static gboolean
enter (Directory *d, const DirectoryMove *m, DirectoryMoveState next, GError **error)
{
	g_assert (states[m->state].next & (1u << next));
	gboolean ends = states[next].next == 0;
	if (!db_run (d->db, "UPDATE move SET state = ?2, ended = ?4, octets = ?5, fence = ?6, sum = ?7, error = NULL WHERE number = ?1 AND state = ?3 AND ended = 0", error,
	             "iIIiiis", m->number, next, m->state, ends ? seconds_now () : (gint64) 0, (gint64) m->octets, m->fence, m->sum))
		return FALSE;
	return db_changes (d->db) == 1 || error_fail (error, ERROR_CONFLICT, "the move %" G_GINT64_FORMAT " is not '%s' any more: somebody else goes on with it, or has ended it",
	                                              m->number, states[m->state].name);
}

/* The home changes hands, if it is the one that the move began from. */
static gboolean
switch_home (Directory *d, const DirectoryMove *m, GError **error)
{
	return db_run (d->db, "UPDATE mailbox SET server = ?2, epoch = epoch + 1 WHERE id = ?1 AND server = ?3 AND epoch = ?4", error, "sssi", m->mailbox, m->target, m->source,
	               m->epoch) &&
	       (db_changes (d->db) == 1 || error_fail (error, ERROR_CONFLICT, "the mailbox %s is not at home where the move began", m->address));
}

gboolean
directory_move_enter (Directory *d, DirectoryMove *m, DirectoryMoveState next, GError **error)
{
	if (!db_begin (d->db, error))
		return FALSE;
	gboolean ok = enter (d, m, next, error) && (next != MOVE_COMMITTED || switch_home (d, m, error)) && db_commit (d->db, error);
	db_rollback (d->db);
	if (ok)
		m->state = next;
	return ok;
}

gboolean
directory_move_hold (Directory *d, const DirectoryMove *m, DirectoryMoveHold hold, GError **error)
{
	return db_run (d->db, "UPDATE move SET hold = ?2 WHERE number = ?1 AND state <= ?3", error, "iII", m->number, hold, MOVE_CATCHING_UP) &&
	       (db_changes (d->db) == 1 || error_fail (error, ERROR_CONFLICT, "the move %" G_GINT64_FORMAT " is %s: it can't be suspended", m->number, states[m->state].name));
}

gboolean
directory_move_note_copied (Directory *d, const DirectoryMove *m, DirectoryMoveHold *hold_out, GError **error)
{
	g_autoptr (DirectoryMove) now = NULL;
	if (!db_run (d->db, "UPDATE move SET copied = ?2, octets = ?3 WHERE number = ?1", error, "iii", m->number, (gint64) m->copied, (gint64) m->octets) ||
	    !(now = directory_move (d, m->number, error)))
		return FALSE;
	*hold_out = now->hold;
	return TRUE;
}

gboolean
directory_move_note_error (Directory *d, const DirectoryMove *m, const char *text, GError **error)
{
	return db_run (d->db, "UPDATE move SET error = ?2 WHERE number = ?1 AND ended = 0", error, "is", m->number, text);
}

gboolean
directory_server_set_folder (Directory *d, const char *id, const char *folder, GError **error)
{
	gint64 there; /* nearly always: no transaction is needed */
	return find_number (d, "SELECT 1 FROM server WHERE id = ?1 AND folder = ?2", id, folder, &there, error) &&
	       (there || db_run (d->db, "UPDATE server SET folder = ?2 WHERE id = ?1", error, "ss", id, folder));
}
