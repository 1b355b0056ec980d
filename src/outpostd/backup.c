/* SPDX-License-Identifier: Apache-2.0 */
#include "backup.h"
#include "store-copy.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT 1
#define INFO "backup.info"
#define REPLACED ".replaced-" /* and when, in microseconds */
#define FILE_MAX (1 << 20) /* octets of a certificate, a key */

/* ---- Files ---- */

static gboolean
make_folder (const char *path, GError **error)
{
	return g_mkdir_with_parents (path, 0700) == 0 || error_set_errno (error, errno, "making the folder %s", path);
}

static gboolean
sync_folder (const char *path, GError **error)
{
	int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean ok = fd >= 0 && fsync (fd) == 0;
	int err = errno;
	if (fd >= 0)
		close (fd);
	return ok || error_set_errno (error, err, "writing to %s", path);
}

static gboolean
read_file (const char *path, GBytes **out, GError **error)
{
	struct stat st;
	char *octets;
	gsize size;
	g_autoptr (GError) local = NULL;
	if (stat (path, &st) != 0)
		return error_set_errno (error, errno, "reading %s", path);
	if (!S_ISREG (st.st_mode) || st.st_size > FILE_MAX)
		return error_fail (error, ERROR_TOO_BIG, "%s is no file of at most %d octets", path, FILE_MAX);
	if (!g_file_get_contents (path, &octets, &size, &local))
		return error_fail (error, ERROR_IO, "%s", local->message);
	*out = g_bytes_new_take (octets, size);
	return TRUE;
}

static gboolean
write_file (const char *path, GBytes *octets, int mode, GError **error)
{
	g_autoptr (GError) local = NULL;
	g_autofree char *folder = g_path_get_dirname (path);
	gsize size;
	const char *text = g_bytes_get_data (octets, &size);
	return make_folder (folder, error) &&
	       (g_file_set_contents_full (path, text ? text : "", (gssize) size, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, mode, &local) ||
	        error_fail (error, g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOSPC) ? ERROR_NO_SPACE : ERROR_IO, "%s", local->message));
}

static gboolean
has_octets (const char *path, GBytes *octets)
{
	g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, NULL);
	g_autoptr (GBytes) there = file ? g_mapped_file_get_bytes (file) : NULL;
	return there && g_bytes_equal (there, octets);
}

/* Nothing is written where they are there. */
static gboolean
keep (const char *path, GBytes *octets, GError **error)
{
	return has_octets (path, octets) || write_file (path, octets, 0600, error);
}

static gboolean
copy_file (const char *from, const char *to, GError **error)
{
	g_autoptr (GBytes) octets = NULL;
	return read_file (from, &octets, error) && keep (to, octets, error);
}

static gboolean
pour (int from, int to)
{
	g_autofree char *buffer = g_malloc (FILE_MAX);
	ssize_t n;
	while ((n = read (from, buffer, FILE_MAX)) > 0)
		for (ssize_t done = 0, put; done < n; done += put)
			if ((put = write (to, buffer + done, (gsize) (n - done))) < 0)
				return FALSE;
	return n == 0 && fsync (to) == 0;
}

/* A database in one file, of any size. */
static gboolean
copy_database (const char *from, const char *to, GError **error)
{
	g_autofree char *folder = g_path_get_dirname (to);
	if (!make_folder (folder, error))
		return FALSE;
	int source = open (from, O_RDONLY | O_CLOEXEC), target = source >= 0 ? open (to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
	gboolean ok = target >= 0 && pour (source, target);
	int err = errno;
	if (source >= 0)
		close (source);
	if (target >= 0)
		close (target);
	return ok || error_set_errno (error, err, "copying %s to %s", from, to);
}

/* The path of @path below @folder; NULL: it is elsewhere. Borrowed. */
static const char *
below (const char *folder, const char *path)
{
	gsize n = strlen (folder);
	return path && g_str_has_prefix (path, folder) && path[n] == '/' ? path + n + 1 : NULL;
}

/* What a configuration names, besides the directory. */
typedef struct {
	const char *paths[8];
} Named;

static Named
named_by (const Host *h)
{
	return (Named){{h->certificate, h->key, h->relay_password, h->relay_ca, h->token_keys, h->introspection_secret, h->introspection_ca}};
}

/* Of what @h names below @from those that are there. */
static gboolean
copy_named (const Host *h, const char *from, const char *to, GError **error)
{
	const Named named = named_by (h);
	for (const char *const *path = named.paths; path < named.paths + G_N_ELEMENTS (named.paths); path++) {
		const char *relative = below (h->folder, *path);
		g_autofree char *old = relative ? g_build_filename (from, relative, NULL) : NULL, *new = relative ? g_build_filename (to, relative, NULL) : NULL;
		if (old && g_file_test (old, G_FILE_TEST_EXISTS) && !copy_file (old, new, error))
			return FALSE;
	}
	return TRUE;
}

static char *
in (const char *folder, const char *name)
{
	return g_build_filename (folder, name, NULL);
}

static char *
copy_of (const char *backup, const DirectoryMailbox *m)
{
	return g_build_filename (backup, "mail", m->id, NULL);
}

/* One at a time writes it; -1 with error. */
static int
lock_backup (const char *folder, gboolean write, GError **error)
{
	g_autofree char *path = in (folder, "lock");
	int fd = open (path, (write ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && flock (fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
		return fd;
	if (fd >= 0 && errno == EWOULDBLOCK)
		error_fail (error, ERROR_UNAVAILABLE, "another process is at work in the backup %s", folder);
	else if (fd < 0 && errno == ENOENT)
		error_fail (error, ERROR_NOT_FOUND, "%s is no backup: `outpostctl backup --to %s` makes one", folder, folder);
	else
		error_set_errno (error, errno, "locking %s", path);
	if (fd >= 0)
		close (fd);
	return -1;
}

/* ---- Making ---- */

static void
tell (BackupRun *run, const DirectoryMailbox *m, const StoreBackup *made, const StoreRestored *restored, const GError *error)
{
	run->failures += error != NULL;
	run->told (run->data, m, made, restored, error);
}

/* FALSE for what would go wrong with the others, too. */
static gboolean
make_one (Host *h, const char *to, const DirectoryMailbox *m, BackupRun *run, GError **error)
{
	g_autoptr (GError) local = NULL;
	g_autofree char *from = host_store_path (h, m->id), *copy = copy_of (to, m);
	StoreBackup made;
	if (store_backup (from, copy, run->cancel, &made, &local)) {
		tell (run, m, &made, NULL, NULL);
		return TRUE;
	}
	if (error_is (local, ERROR_NO_SPACE) || error_is (local, ERROR_CANCELLED)) {
		g_propagate_error (error, g_steal_pointer (&local));
		return FALSE;
	}
	tell (run, m, NULL, NULL, local);
	return TRUE;
}

/* Those at home at @server, deleted ones too; of DirectoryMailbox *. */
static GPtrArray *
mailboxes_at (Directory *d, const char *server, GError **error)
{
	g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify) directory_mailbox_free);
	for (guint deleted = 0; deleted < 2; deleted++) {
		g_autoptr (GPtrArray) some = directory_mailboxes (d, deleted != 0, error);
		if (!some)
			return NULL;
		for (guint i = 0; i < some->len; i++)
			if (g_strcmp0 (((DirectoryMailbox *) some->pdata[i])->server, server) == 0)
				g_ptr_array_add (all, g_steal_pointer (&some->pdata[i]));
	}
	return g_steal_pointer (&all);
}

static GPtrArray *
chosen (Host *h, Directory *d, char **names, GError **error)
{
	if (!names || !*names)
		return mailboxes_at (d, h->server, error);
	g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify) directory_mailbox_free);
	for (; *names; names++) {
		g_autoptr (DirectoryMailbox) m = directory_mailbox (d, *names, error);
		if (!m || !host_is_home (h, m, NULL, error))
			return NULL;
		g_ptr_array_add (all, g_steal_pointer (&m));
	}
	return g_steal_pointer (&all);
}

static gboolean
copy_queue (Host *h, const char *to, GError **error)
{
	g_autofree char *path = in (to, "queue.db");
	Queue *q = host_has_queue (h) ? host_queue (h, FALSE, error) : NULL;
	return q ? queue_copy (q, path, error) : !host_has_queue (h);
}

static gboolean
write_info (Host *h, const char *to, GError **error)
{
	g_autofree char *path = in (to, INFO);
	g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
	g_autofree char *made = g_date_time_format (now, "%Y-%m-%dT%H:%M:%SZ");
	g_autofree char *text = g_strdup_printf ("[backup]\nformat = %d\nserver = %s\nname = %s\nmade = %s\n", FORMAT, h->server, h->name, made);
	g_autoptr (GBytes) octets = g_bytes_new (text, strlen (text));
	return write_file (path, octets, 0600, error);
}

/* The directory was copied before the mailboxes, and takes its place behind them: none that it names is missing. */
static gboolean
finish (Host *h, const char *to, GBytes *directory, GError **error)
{
	g_autofree char *path = in (to, "directory.db"), *conf = in (h->folder, "outpostd.conf"), *conf_copy = in (to, "outpostd.conf"), *id = in (h->folder, "server.id"),
			*id_copy = in (to, "server.id");
	return keep (path, directory, error) && copy_queue (h, to, error) && copy_named (h, h->folder, to, error) && copy_file (id, id_copy, error) &&
	       copy_file (conf, conf_copy, error) && write_info (h, to, error);
}

static gboolean
make_locked (Host *h, const char *to, char **names, BackupRun *run, GError **error)
{
	g_autofree char *mail = in (to, "mail");
	g_autoptr (GBytes) directory = NULL;
	Directory *d = host_directory (h, error);
	gboolean all = !names || !*names;
	if (!d || !make_folder (mail, error) || (all && !directory_octets (d, &directory, error)))
		return FALSE;
	g_autoptr (GPtrArray) mailboxes = chosen (h, d, names, error);
	if (!mailboxes)
		return FALSE;
	for (guint i = 0; i < mailboxes->len; i++)
		if (!make_one (h, to, mailboxes->pdata[i], run, error))
			return FALSE;
	return !all || finish (h, to, directory, error);
}

static gboolean
read_info (const char *from, char **server_out, GError **error)
{
	g_autofree char *path = in (from, INFO);
	g_autoptr (GKeyFile) file = g_key_file_new ();
	if (!g_file_test (path, G_FILE_TEST_EXISTS))
		return error_fail (error, ERROR_NOT_FOUND, "%s is no finished backup: `outpostctl backup --to %s` makes one", from, from);
	if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL) || g_key_file_get_integer (file, "backup", "format", NULL) != FORMAT)
		return error_fail (error, ERROR_CORRUPT, "%s is not of a backup of this version of outpostd", path);
	g_autofree char *server = g_key_file_get_string (file, "backup", "server", NULL);
	if (!server)
		return error_fail (error, ERROR_CORRUPT, "%s does not say of which server it is", path);
	if (server_out)
		*server_out = g_steal_pointer (&server);
	return TRUE;
}

gboolean
backup_make (Host *h, const char *to, char **names, BackupRun *run, GError **error)
{
	g_autofree char *path = g_canonicalize_filename (to, NULL), *info = in (path, INFO), *server = NULL;
	if ((!h->server && !host_enrol (h, error)) || !make_folder (path, error))
		return FALSE;
	/* the ids of two servers' mailboxes are not the same, but all else would be lost */
	if (g_file_test (info, G_FILE_TEST_EXISTS) && !read_info (path, &server, error))
		return FALSE;
	if (server && strcmp (server, h->server) != 0)
		return error_fail (error, ERROR_CONFLICT, "%s is the backup of another server (%s): choose another folder", path, server);
	if (names && *names && !server)
		return error_fail (error, ERROR_NOT_FOUND, "%s has no finished backup of the server yet: leave the addresses out the first time", path);
	int fd = lock_backup (path, TRUE, error);
	gboolean ok = fd >= 0 && make_locked (h, path, names, run, error);
	if (fd >= 0)
		close (fd);
	return ok;
}

/* ---- The directory in a backup ---- */

/* It wants to be written to, which the backup may not allow: a copy at @path. */
static Directory *
open_directory (const char *from, const char *path, GError **error)
{
	g_autofree char *copy = in (from, "directory.db");
	return copy_database (copy, path, error) ? directory_open (path, FALSE, error) : NULL;
}

static void
remove_database (const char *path)
{
	for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end; end++) {
		g_autofree char *file = g_strconcat (path, *end, NULL);
		g_unlink (file);
	}
}

static char *
scratch (void)
{
	return g_build_filename (g_get_tmp_dir (), "outpostctl-XXXXXX", NULL);
}

/* Of DirectoryMailbox *. */
static GPtrArray *
mailboxes_in (const char *from, GError **error)
{
	g_autofree char *server = NULL, *folder = scratch ();
	if (!read_info (from, &server, error))
		return NULL;
	if (!g_mkdtemp (folder)) {
		error_set_errno (error, errno, "making the folder %s", folder);
		return NULL;
	}
	g_autofree char *path = in (folder, "directory.db");
	g_autoptr (Directory) d = open_directory (from, path, error);
	GPtrArray *all = d ? mailboxes_at (d, server, error) : NULL;
	g_clear_pointer (&d, directory_free);
	remove_database (path);
	g_rmdir (folder);
	return all;
}

/* ---- Checking ---- */

gboolean
backup_check (const char *from, BackupRun *run, GError **error)
{
	int fd = lock_backup (from, FALSE, error);
	g_autoptr (GPtrArray) all = fd >= 0 ? mailboxes_in (from, error) : NULL;
	gboolean on = all != NULL;
	for (guint i = 0; on && i < all->len; i++) {
		g_autofree char *copy = copy_of (from, all->pdata[i]);
		g_autoptr (GError) local = NULL;
		store_backup_check (copy, run->cancel, &local);
		on = !error_is (local, ERROR_CANCELLED);
		if (on)
			tell (run, all->pdata[i], NULL, NULL, local);
		else
			g_propagate_error (error, g_steal_pointer (&local));
	}
	if (fd >= 0)
		close (fd);
	return on;
}

/* ---- A whole server ---- */

static gboolean
restore_one (const char *from, const char *folder, const DirectoryMailbox *m, BackupRun *run, GError **error)
{
	g_autofree char *copy = copy_of (from, m), *to = g_build_filename (folder, "mail", m->id, NULL), *fresh = g_strconcat (to, ".restoring", NULL);
	g_autoptr (GError) local = NULL;
	StoreRestored restored;
	gboolean ok = store_restore (copy, fresh, NULL, run->cancel, &restored, &local) &&
	              (g_rename (fresh, to) == 0 || error_set_errno (&local, errno, "writing %s", to));
	if (error_is (local, ERROR_NO_SPACE) || error_is (local, ERROR_CANCELLED)) {
		g_propagate_error (error, g_steal_pointer (&local));
		return FALSE;
	}
	tell (run, m, NULL, ok ? &restored : NULL, local);
	return TRUE;
}

static gboolean
restore_mailboxes (const char *from, const char *folder, Directory *d, const char *server, BackupRun *run, GError **error)
{
	g_autofree char *mail = in (folder, "mail");
	g_autoptr (GPtrArray) all = mailboxes_at (d, server, error);
	if (!all || !make_folder (mail, error))
		return FALSE;
	for (guint i = 0; i < all->len; i++)
		if (!restore_one (from, folder, all->pdata[i], run, error))
			return FALSE;
	return sync_folder (mail, error);
}

/* Of a server that shared one the directory is put back only where there is none. */
static Directory *
restore_directory (const Host *was, const char *from, const char *folder, GError **error)
{
	const char *relative = below (was->folder, was->directory);
	g_autofree char *to = relative ? in (folder, relative) : g_strdup (was->directory);
	return !relative && g_file_test (to, G_FILE_TEST_EXISTS) ? directory_open (to, FALSE, error) : open_directory (from, to, error);
}

static gboolean
restore_queue (const char *from, const char *folder, gboolean wanted, guint *queued_out, GError **error)
{
	g_autofree char *copy = in (from, "queue.db"), *to = in (folder, "queue.db");
	*queued_out = 0;
	if (!g_file_test (copy, G_FILE_TEST_EXISTS))
		return TRUE;
	g_autoptr (Queue) q = copy_database (copy, to, error) ? queue_open (to, FALSE, error) : NULL;
	g_autoptr (GArray) waiting = q ? queue_messages (q, error) : NULL;
	if (!waiting)
		return FALSE;
	*queued_out = waiting->len;
	g_clear_pointer (&q, queue_close);
	if (!wanted)
		remove_database (to);
	return TRUE;
}

static gboolean
give (const char *path, const struct passwd *owner, GError **error)
{
	g_autoptr (GDir) dir = g_file_test (path, G_FILE_TEST_IS_DIR) ? g_dir_open (path, 0, NULL) : NULL;
	if (lchown (path, owner->pw_uid, owner->pw_gid) != 0)
		return error_set_errno (error, errno, "giving %s to %s", path, owner->pw_name);
	for (const char *name = dir ? g_dir_read_name (dir) : NULL; name; name = g_dir_read_name (dir)) {
		g_autofree char *inner = in (path, name);
		if (!give (inner, owner, error))
			return FALSE;
	}
	return TRUE;
}

/* The configuration comes last: with it, it is a server. */
static gboolean
restore_locked (const char *from, const char *folder, const char *server, BackupRun *run, guint *queued_out, GError **error)
{
	g_autofree char *conf = in (from, "outpostd.conf"), *new_conf = in (folder, "outpostd.conf"), *id = in (from, "server.id"), *new_id = in (folder, "server.id");
	if (g_file_test (new_conf, G_FILE_TEST_EXISTS))
		return error_fail (error, ERROR_EXISTS, "there is a server in %s already: name the mailboxes that are to be restored, or say --dir with another folder", folder);
	g_autoptr (Host) was = host_open (from, error);
	if (!was || !make_folder (folder, error))
		return FALSE;
	g_autoptr (Directory) d = restore_directory (was, from, folder, error);
	if (!d || !restore_mailboxes (from, folder, d, server, run, error))
		return FALSE;
	g_clear_pointer (&d, directory_free);
	const struct passwd *owner = geteuid () == 0 && was->user ? getpwnam (was->user) : NULL;
	return restore_queue (from, folder, run->queue, queued_out, error) && copy_named (was, from, folder, error) && copy_file (id, new_id, error) &&
	       copy_file (conf, new_conf, error) && (!owner || give (folder, owner, error));
}

gboolean
backup_restore (const char *from, const char *folder, BackupRun *run, guint *queued_out, GError **error)
{
	g_autofree char *backup = g_canonicalize_filename (from, NULL), *to = g_canonicalize_filename (folder, NULL), *server = NULL;
	int fd = lock_backup (backup, FALSE, error);
	gboolean ok = fd >= 0 && read_info (backup, &server, error) && restore_locked (backup, to, server, run, queued_out, error);
	if (fd >= 0)
		close (fd);
	return ok;
}

/* ---- One mailbox ---- */

static gboolean
is_being_moved (Directory *d, const DirectoryMailbox *m, GError **error)
{
	g_autoptr (GPtrArray) open = directory_moves (d, TRUE, error);
	if (!open)
		return TRUE;
	for (guint i = 0; i < open->len; i++) {
		const DirectoryMove *move = open->pdata[i];
		if (strcmp (move->mailbox, m->id) == 0)
			return !error_fail (error, ERROR_CONFLICT, "%s is being moved: `outpostctl move resume %" G_GINT64_FORMAT "` or `move cancel` first", m->address, move->number);
	}
	return FALSE;
}

static gboolean
rename_store (const char *from, const char *to, GError **error)
{
	for (const char *const *end = (const char *const[]){"-wal", "-shm", "", NULL}; *end; end++) {
		g_autofree char *old = g_strconcat (from, *end, NULL), *new = g_strconcat (to, *end, NULL);
		if (g_rename (old, new) != 0 && errno != ENOENT)
			return error_set_errno (error, errno, "renaming %s to %s", old, new);
	}
	return TRUE;
}

/* Who has it open writes no more, and sees it go; one that can't even be opened has nobody that could. */
static gboolean
replace (const char *path, const char *fresh, const char *aside, GError **error)
{
	g_autofree char *folder = g_path_get_dirname (path);
	g_autoptr (GError) local = NULL;
	if (g_file_test (path, G_FILE_TEST_EXISTS) && !store_seal (path, &local) && !error_is (local, ERROR_CORRUPT)) {
		g_propagate_error (error, g_steal_pointer (&local));
		return FALSE;
	}
	return rename_store (path, aside, error) && rename_store (fresh, path, error) && sync_folder (folder, error);
}

/* What the directory has forgotten since is made again, without a password. */
static DirectoryMailbox *
find_mailbox (Host *h, Directory *d, const char *from, const char *name, GError **error)
{
	g_autoptr (GError) local = NULL;
	g_autoptr (DirectoryMailbox) m = directory_mailbox (d, name, &local);
	if (m || !error_is (local, ERROR_NOT_FOUND)) {
		if (local)
			g_propagate_error (error, g_steal_pointer (&local));
		return g_steal_pointer (&m);
	}
	g_autoptr (GPtrArray) then = mailboxes_in (from, error);
	for (guint i = 0; then && i < then->len; i++) {
		const DirectoryMailbox *old = then->pdata[i];
		g_autoptr (DirectoryMailbox) known = directory_mailbox (d, old->id, NULL);
		if (g_ascii_strcasecmp (old->address, name) != 0 && strcmp (old->id, name) != 0)
			continue;
		if (known) {
			error_fail (error, ERROR_CONFLICT, "the mailbox %s was deleted: `outpostctl mailbox undelete %s` first", old->address, old->id);
			return NULL;
		}
		return directory_mailbox_add (d, old->id, old->address, h->server, old->quota, old->roles, error) ? directory_mailbox (d, old->id, error) : NULL;
	}
	if (then)
		g_propagate_error (error, g_steal_pointer (&local));
	return NULL;
}

static gboolean
restore_mailbox_locked (Host *h, const char *from, const char *name, BackupRun *run, char **kept_out, GError **error)
{
	Directory *d = host_directory (h, error);
	g_autoptr (DirectoryMailbox) m = d && read_info (from, NULL, error) ? find_mailbox (h, d, from, name, error) : NULL;
	if (!m || !host_is_home (h, m, NULL, error) || is_being_moved (d, m, error))
		return FALSE;
	g_autofree char *copy = copy_of (from, m), *path = host_store_path (h, m->id), *fresh = g_strconcat (path, ".restoring", NULL);
	g_autofree char *aside = g_strdup_printf ("%s" REPLACED "%" G_GINT64_FORMAT, path, g_get_real_time ());
	StoreRestored restored;
	gboolean there = g_file_test (path, G_FILE_TEST_EXISTS);
	if (!g_file_test (copy, G_FILE_TEST_EXISTS))
		return error_fail (error, ERROR_NOT_FOUND, "the backup %s has nothing of %s", from, m->address);
	if (!store_restore (copy, fresh, path, run->cancel, &restored, error) || !replace (path, fresh, aside, error))
		return FALSE;
	tell (run, m, NULL, &restored, NULL);
	*kept_out = there ? g_steal_pointer (&aside) : NULL;
	return TRUE;
}

gboolean
backup_restore_mailbox (Host *h, const char *from, const char *name, BackupRun *run, char **kept_out, GError **error)
{
	g_autofree char *backup = g_canonicalize_filename (from, NULL);
	*kept_out = NULL;
	int fd = h->server || host_enrol (h, error) ? lock_backup (backup, FALSE, error) : -1;
	gboolean ok = fd >= 0 && restore_mailbox_locked (h, backup, name, run, kept_out, error);
	if (fd >= 0)
		close (fd);
	return ok;
}

gboolean
backup_sweep (const Host *h, gint64 before, GError **error)
{
	g_autofree char *mail = in (h->folder, "mail");
	g_autoptr (GDir) dir = g_dir_open (mail, 0, NULL);
	if (!dir)
		return error_set_errno (error, errno, "reading %s", mail);
	for (const char *name = g_dir_read_name (dir); name; name = g_dir_read_name (dir)) {
		const char *at = strstr (name, REPLACED);
		guint64 when;
		if (at && g_ascii_string_to_unsigned (at + strlen (REPLACED), 10, 1, G_MAXINT64, &when, NULL) && (gint64) when / G_USEC_PER_SEC < before)
			host_remove_store (h, name);
	}
	return TRUE;
}
