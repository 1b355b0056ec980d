/* SPDX-License-Identifier: Apache-2.0 */
/* What each state stands for, on disk:
 *
 *   prepared, copying, catching up   the source is as ever; ID.arriving(.part) at the target is a copy that is not served
 *   fenced      the copy may be at its place already, where nobody serves it: the directory says that the source is the home. The source may be sealed
 *   committed   the directory says that the target is the home; the source is sealed, and at its place or away from it
 *   done        the source is ID.moved-EPOCH, and is kept like what was deleted
 *   cancelling  as fenced, but it is decided that the source stays the home: it is unsealed, and the copy goes
 *
 * Order makes it safe: the copy is durable, equal and in its place before the source is sealed; the source is sealed before the directory says that the home is
 * elsewhere; and only then it goes away. So two never take changes, and none is ever empty. */
#include "move.h"
#include "store-copy.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define PASSES_MAX 20
#define FEW_ROWS 200 /* what every pass writes anyway, and some letters */
#define ARRIVING ".arriving"

typedef struct {
	Host *host;
	Directory *d;
	DirectoryMove *m;
	const MoveOptions *options;
	char *from, *to, *arriving, *away; /* paths */
	int lock; /* -1 */
	gint64 noted; /* monotonic: when the directory was last told how much is copied */
} Mover;

/* ---- Dying, for the tests ---- */

/* With OUTPOST_MOVE_DIE_AT=n in the environment the n-th of these ends the process, as a lost machine would. */
static void
step (void)
{
	static guint steps;
	const char *at = g_getenv ("OUTPOST_MOVE_DIE_AT");
	if (at && ++steps == g_ascii_strtoull (at, NULL, 10))
		_exit (137);
}

/* ---- Places ---- */

char *
move_store_name (const DirectoryMove *m)
{
	return g_strdup_printf ("%s.moved-%" G_GINT64_FORMAT, m->mailbox, m->epoch);
}

static char *
folder_of (Directory *d, const char *server, GError **error)
{
	g_autoptr (DirectoryServer) s = directory_server (d, server, error);
	if (s && !s->folder)
		error_fail (error, ERROR_CONFLICT, "nobody knows where the server %s is on this machine: start it once", s->name);
	return s ? g_strdup (s->folder) : NULL;
}

static gboolean
find_places (Mover *mv, GError **error)
{
	g_autofree char *source = folder_of (mv->d, mv->m->source, error), *target = source ? folder_of (mv->d, mv->m->target, error) : NULL;
	if (!target)
		return FALSE;
	mv->from = g_build_filename (source, "mail", mv->m->mailbox, NULL);
	mv->to = g_build_filename (target, "mail", mv->m->mailbox, NULL);
	mv->arriving = g_strconcat (mv->to, ARRIVING, NULL);
	g_autofree char *away = move_store_name (mv->m);
	mv->away = g_build_filename (source, "mail", away, NULL);
	return TRUE;
}

static char *
lock_path (const Mover *mv)
{
	return g_strconcat (mv->from, ".moving", NULL);
}

/* Who moves it holds this; the death of the process gives it back. */
static gboolean
take_lock (Mover *mv, GError **error)
{
	g_autofree char *path = lock_path (mv);
	mv->lock = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (mv->lock >= 0 && flock (mv->lock, LOCK_EX | LOCK_NB) == 0)
		return TRUE;
	if (mv->lock >= 0 && errno == EWOULDBLOCK)
		return error_fail (error, ERROR_UNAVAILABLE, "another process moves %s at this moment", mv->m->address);
	return error_set_errno (error, errno, "locking %s", path);
}

static void
mover_clear (Mover *mv)
{
	gboolean over = mv->lock >= 0 && (mv->m->state == MOVE_DONE || mv->m->state == MOVE_CANCELLED);
	g_autofree char *lock = over ? lock_path (mv) : NULL;
	if (over)
		g_unlink (lock); /* who waits for it finds that the move has ended */
	if (mv->lock >= 0)
		close (mv->lock);
	g_free (mv->from);
	g_free (mv->to);
	g_free (mv->arriving);
	g_free (mv->away);
}

/* With the lock, the row is read again: it may be further than the caller knows. */
static gboolean
mover_begin (Mover *mv, Host *h, DirectoryMove *m, const MoveOptions *options, GError **error)
{
	*mv = (Mover){.host = h, .d = host_directory (h, error), .m = m, .options = options, .lock = -1};
	if (!mv->d || !find_places (mv, error) || !take_lock (mv, error))
		return FALSE;
	g_autoptr (DirectoryMove) now = directory_move (mv->d, m->number, error);
	if (now)
		m->state = now->state;
	if (now && now->ended)
		return error_fail (error, ERROR_CONFLICT, "the move %" G_GINT64_FORMAT " is %s", m->number, directory_move_state_name (now->state));
	return now != NULL;
}

static gboolean
sync_folder_of (const char *path, GError **error)
{
	g_autofree char *folder = g_path_get_dirname (path);
	int fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean ok = fd >= 0 && fsync (fd) == 0;
	int err = errno;
	if (fd >= 0)
		close (fd);
	return ok || error_set_errno (error, err, "writing to %s", folder);
}

/* A store with its log, as far as they are not there yet. */
static gboolean
rename_store (const char *from, const char *to, GError **error)
{
	for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end; end++) {
		g_autofree char *old = g_strconcat (from, *end, NULL), *new = g_strconcat (to, *end, NULL);
		step ();
		if (g_rename (old, new) != 0 && errno != ENOENT)
			return error_set_errno (error, errno, "renaming %s to %s", old, new);
	}
	return sync_folder_of (from, error) && sync_folder_of (to, error);
}

static void
tell (const Mover *mv, guint64 octets, guint64 of)
{
	if (mv->options->told)
		mv->options->told (mv->options->data, mv->m, octets, of);
}

static gboolean
enter (Mover *mv, DirectoryMoveState next, GError **error)
{
	step ();
	if (!directory_move_enter (mv->d, mv->m, next, error))
		return FALSE;
	step ();
	g_message ("move: number=%" G_GINT64_FORMAT " mailbox=%s state=%s", mv->m->number, mv->m->address, directory_move_state_name (next));
	tell (mv, mv->m->octets, mv->m->octets);
	return TRUE;
}

/* ---- Copying ---- */

/* Who watches it reads that in the directory, and says there that it is to stop. */
static void
copied (gpointer data, guint64 octets, guint64 of)
{
	Mover *mv = data;
	DirectoryMoveHold hold = MOVE_HOLD_NONE;
	gint64 now = g_get_monotonic_time ();
	mv->m->octets = of;
	mv->m->copied = octets;
	if (now - mv->noted > G_USEC_PER_SEC && directory_move_note_copied (mv->d, mv->m, &hold, NULL))
		mv->noted = now;
	if (hold == MOVE_HOLD_NOW && mv->options->cancel)
		cancel_trigger (mv->options->cancel);
	tell (mv, octets, of);
}

/* It goes on, unless it is to be held before nobody can write. */
static gboolean
may_fence (Mover *mv, GError **error)
{
	DirectoryMoveHold hold;
	mv->m->copied = mv->m->octets;
	return directory_move_note_copied (mv->d, mv->m, &hold, error) && (!hold || error_fail (error, ERROR_CANCELLED, "suspended: `outpostctl move complete %" G_GINT64_FORMAT
	                                                                                        "` goes on", mv->m->number));
}

static gboolean
copy_all (Mover *mv, StoreCopy *c, GError **error)
{
	return (mv->m->state != MOVE_PREPARED || enter (mv, MOVE_COPYING, error)) &&
	       store_copy_bulk (c, mv->options->rate, mv->options->cancel, copied, mv, error);
}

/* As long as it helps: a pass that finds more than the one before is the last. */
static gboolean
catch_up (Mover *mv, StoreCopy *c, GError **error)
{
	guint64 rows = G_MAXUINT64, last;
	if (mv->m->state == MOVE_COPYING && !enter (mv, MOVE_CATCHING_UP, error))
		return FALSE;
	guint passes = 0;
	do {
		last = rows;
		step ();
		if (!cancel_check (mv->options->cancel, error) || !store_copy_catch_up (c, &rows, error))
			return FALSE;
	} while (rows > FEW_ROWS && rows < last && ++passes < PASSES_MAX);
	return TRUE;
}

/* ---- The switch ---- */

static gboolean
prove (Mover *mv, StoreCopy *c, GError **error)
{
	guint64 from, to;
	if (!store_copy_sums (c, &from, &to, error))
		return FALSE;
	g_free (mv->m->sum);
	mv->m->sum = g_strdup_printf ("%016" G_GINT64_MODIFIER "x", to);
	return from == to || error_fail (error, ERROR_CORRUPT, "the copy of %s is not equal to it (%016" G_GINT64_MODIFIER "x, %016" G_GINT64_MODIFIER "x): nothing was switched",
	                                 mv->m->address, from, to);
}

/* Within the fence. The source's seal is the last thing before the directory. */
static gboolean
switch_home (Mover *mv, StoreCopy *c, gint64 since, GError **error)
{
	guint64 rows;
	step ();
	if (!store_copy_catch_up (c, &rows, error) || !prove (mv, c, error) || !store_copy_settle (c, error) || !rename_store (mv->arriving, mv->to, error) ||
	    !store_copy_seal (c, error))
		return FALSE;
	step ();
	mv->m->fence = g_get_monotonic_time () - since;
	return enter (mv, MOVE_COMMITTED, error);
}

static gboolean
fence_and_switch (Mover *mv, StoreCopy *c, GError **error)
{
	if (mv->m->state == MOVE_CATCHING_UP && (!may_fence (mv, error) || !enter (mv, MOVE_FENCED, error)))
		return FALSE;
	if (!store_copy_fence (c, error))
		return FALSE;
	return switch_home (mv, c, g_get_monotonic_time (), error);
}

/* It is the home's no longer, and kept like what was deleted. Whoever has it open sees it go: sessions end. */
static gboolean
put_away (Mover *mv, GError **error)
{
	return rename_store (mv->from, mv->away, error) && enter (mv, MOVE_DONE, error);
}

static gboolean
move_to_switch (Mover *mv, GError **error)
{
	/* what was at its place before the source was sealed is a copy that is not served yet */
	if (mv->m->state == MOVE_FENCED && g_file_test (mv->to, G_FILE_TEST_EXISTS) && !rename_store (mv->to, mv->arriving, error))
		return FALSE;
	if (g_file_test (mv->to, G_FILE_TEST_EXISTS))
		return error_fail (error, ERROR_EXISTS, "there is a store %s already, which the directory knows nothing of", mv->to);
	g_autoptr (StoreCopy) c = store_copy_new (mv->from, mv->arriving, error);
	return c && copy_all (mv, c, error) && catch_up (mv, c, error) && fence_and_switch (mv, c, error);
}

/* ---- Taking back ---- */

/* The directory first: behind that no mover can switch. */
static gboolean
take_back (Mover *mv, GError **error)
{
	gboolean sealed;
	if (mv->m->state == MOVE_COMMITTED)
		return error_fail (error, ERROR_CONFLICT, "the mailbox %s is at home at the new place already: move it back", mv->m->address);
	if ((mv->m->state != MOVE_CANCELLING && !enter (mv, MOVE_CANCELLING, error)) || !store_is_sealed (mv->from, &sealed, error) ||
	    (sealed && !store_unseal (mv->from, error)))
		return FALSE;
	step ();
	for (const char *const *end = (const char *const[]){ARRIVING, ARRIVING ".part", "", NULL}; *end; end++) {
		g_autofree char *id = g_strconcat (mv->m->mailbox, *end, NULL), *folder = g_path_get_dirname (mv->to), *server = g_path_get_dirname (folder);
		host_remove_store (&(Host){.folder = server}, id);
	}
	return enter (mv, MOVE_CANCELLED, error);
}

/* ---- The public functions ---- */

static gboolean
run_to_end (Mover *mv, GError **error)
{
	if (mv->m->state == MOVE_CANCELLING)
		return take_back (mv, error) && error_fail (error, ERROR_CONFLICT, "the move %" G_GINT64_FORMAT " was cancelled", mv->m->number);
	return (mv->m->state == MOVE_COMMITTED || move_to_switch (mv, error)) && put_away (mv, error);
}

gboolean
move_run (Host *h, DirectoryMove *m, const MoveOptions *options, GError **error)
{
	g_autoptr (GError) local = NULL;
	Mover mv;
	gboolean begun = mover_begin (&mv, h, m, options, &local), ok = begun && run_to_end (&mv, &local);
	if (begun && !ok)
		directory_move_note_error (mv.d, m, local->message, NULL);
	/* where nothing can go on by itself nobody has to wait for an administrator */
	if (begun && !ok && m->state == MOVE_FENCED && !take_back (&mv, NULL))
		g_message ("move: number=%" G_GINT64_FORMAT " mailbox=%s could not be taken back", m->number, m->address);
	mover_clear (&mv);
	if (!ok)
		g_propagate_error (error, g_steal_pointer (&local));
	return ok;
}

gboolean
move_cancel (Host *h, DirectoryMove *m, GError **error)
{
	const MoveOptions none = {0};
	Mover mv;
	gboolean ok = mover_begin (&mv, h, m, &none, error) && take_back (&mv, error);
	mover_clear (&mv);
	return ok;
}

static void
recover_one (Host *h, DirectoryMove *m)
{
	const MoveOptions none = {0};
	g_autoptr (GError) error = NULL;
	Mover mv;
	gboolean ok = mover_begin (&mv, h, m, &none, &error);
	if (ok && (m->state == MOVE_FENCED || m->state == MOVE_CANCELLING))
		ok = take_back (&mv, &error);
	else if (ok && m->state == MOVE_COMMITTED)
		ok = put_away (&mv, &error);
	mover_clear (&mv);
	if (!ok && !error_is (error, ERROR_UNAVAILABLE)) /* that one is at work */
		g_message ("move: number=%" G_GINT64_FORMAT " mailbox=%s: %s", m->number, m->address, error->message);
}

void
move_recover (Host *h)
{
	g_autoptr (GError) error = NULL;
	Directory *d = host_directory (h, &error);
	g_autoptr (GPtrArray) open = d ? directory_moves (d, TRUE, &error) : NULL;
	for (guint i = 0; open && i < open->len; i++) {
		DirectoryMove *m = open->pdata[i];
		if ((m->state == MOVE_FENCED || m->state == MOVE_COMMITTED || m->state == MOVE_CANCELLING) && g_strcmp0 (m->source, h->server) == 0)
			recover_one (h, m);
	}
	if (error)
		g_message ("move: %s", error->message);
}
