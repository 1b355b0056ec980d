/* SPDX-License-Identifier: Apache-2.0 */
/* flag, unflag, move, copy, delete, undelete, add: offline changes, each command one transaction, pushed by the next sync. */
#include "cli.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYWORD_MAX 100
#define KEYWORDS_MAX 200
#define ADD_MAX (G_GUINT64_CONSTANT (1) << 31)

static gboolean to_trash, undelete_list, add_as_is;
static char **add_flags;

const GOptionEntry delete_options[] = {
	{"trash", 0, 0, G_OPTION_ARG_NONE, &to_trash, "Move to the trash folder instead", NULL},
	{NULL},
};
const GOptionEntry undelete_options[] = {
	{"list", 'l', 0, G_OPTION_ARG_NONE, &undelete_list, "Show what can be restored (the default without arguments)", NULL},
	{NULL},
};
const GOptionEntry add_options[] = {
	{"flag", 0, 0, G_OPTION_ARG_STRING_ARRAY, &add_flags, "A flag or keyword that the messages get; may be repeated", "FLAG"},
	{"as-is", 0, 0, G_OPTION_ARG_NONE, &add_as_is, "Leave line ends alone (mail has CRLF; files often have LF)", NULL},
	{NULL},
};

static const char *
plural (guint n)
{
	return n == 1 ? "" : "s";
}

/* One transaction around what a verb does. */
static gboolean
commit_changes (Cli *cli, gboolean ok, GError **error)
{
	ok = ok && store_commit (cli->store, error);
	store_rollback (cli->store);
	cli->changed = ok;
	return ok;
}

/* ---- Flags ---- */

typedef struct {
	guint flags;
	GPtrArray *keywords; /* of char *, borrowed */
	gboolean invert;     /* "unread": the other way round for \Seen */
} FlagWords;

static gboolean
is_keyword (const char *word)
{
	gsize n = strlen (word);
	if (n == 0 || n > KEYWORD_MAX)
		return FALSE;
	for (; *word; word++) /* an atom (RFC 9051 section 9) */
		if ((guchar) *word <= ' ' || (guchar) *word >= 0x7f || strchr ("(){%*\"\\]", *word))
			return FALSE;
	return TRUE;
}

static gboolean
take_flag_word (FlagWords *f, char *word, GError **error)
{
	static const struct {
		const char *word;
		guint flag;
	} words[] = {
		{"\\Seen", FLAG_SEEN}, {"\\Answered", FLAG_ANSWERED}, {"\\Flagged", FLAG_FLAGGED}, {"\\Deleted", FLAG_DELETED}, {"\\Draft", FLAG_DRAFT},
		{"seen", FLAG_SEEN},   {"answered", FLAG_ANSWERED},   {"flagged", FLAG_FLAGGED},   {"deleted", FLAG_DELETED},   {"draft", FLAG_DRAFT},
		{"read", FLAG_SEEN},   {"starred", FLAG_FLAGGED},
	};
	for (guint i = 0; i < G_N_ELEMENTS (words); i++)
		if (g_ascii_strcasecmp (word, words[i].word) == 0) {
			f->flags |= words[i].flag;
			return TRUE;
		}
	if (!is_keyword (word))
		return error_fail (error, ERROR_USAGE, "'%s' can't be a flag: say seen, answered, flagged, draft, or a keyword of letters and digits",
		                   word);
	g_ptr_array_add (f->keywords, word);
	return TRUE;
}

static gboolean
take_flag_words (FlagWords *f, char **words, GError **error)
{
	for (; words && *words; words++)
		if (!take_flag_word (f, *words, error))
			return FALSE;
	g_ptr_array_add (f->keywords, NULL);
	return TRUE;
}

static char *
keywords_with (const char *old, const char *const *words, gboolean add)
{
	g_auto (GStrv) had = g_strsplit (old ? old : "", " ", -1);
	g_autoptr (GPtrArray) all = g_ptr_array_new ();
	for (guint i = 0; had[i]; i++)
		if (*had[i] && (add || !g_strv_contains (words, had[i])))
			g_ptr_array_add (all, had[i]);
	for (guint i = 0; add && words[i]; i++)
		g_ptr_array_add (all, (char *) words[i]);
	return keywords_canonical ((const char *const *) all->pdata, all->len);
}

static gboolean
change_one (Cli *cli, gint64 id, const FlagWords *f, gboolean add, guint *changed, GError **error)
{
	g_autoptr (Placement) p = cli_placement (cli, id, error);
	if (!p)
		return FALSE;
	guint flags = add ? p->flags | f->flags : p->flags & ~f->flags;
	g_autofree char *keywords = keywords_with (p->keywords, (const char *const *) f->keywords->pdata, add);
	guint count = 0;
	for (const char *at = keywords; at; at = strchr (at + 1, ' '))
		count++;
	if (count > KEYWORDS_MAX)
		return error_fail (error, ERROR_TOO_BIG, "a message can have %d keywords at most", KEYWORDS_MAX);
	if (flags == p->flags && keywords_equal (keywords, p->keywords))
		return TRUE;
	(*changed)++;
	return store_set_flags (cli->store, id, flags, keywords, error);
}

/* What the messages have now. */
static gboolean
print_flags (Cli *cli, GArray *ids, GError **error)
{
	JsonArray array = {0};
	for (guint i = 0; i < ids->len; i++) {
		g_autoptr (Placement) p = cli_placement (cli, g_array_index (ids, gint64, i), error);
		if (!p)
			return FALSE;
		cli_json_item (&array, json_pack ("{s:I, s:o, s:o}", "id", (json_int_t) p->id, "flags", cli_json_flags (p->flags), "keywords",
		                                  cli_json_keywords (p->keywords)));
	}
	cli_json_end (&array);
	return TRUE;
}

static gboolean
change_flags (Cli *cli, char **args, gboolean add, GError **error)
{
	char **words = NULL;
	g_autoptr (GArray) ids = cli_messages (cli, args, &words, error);
	g_autoptr (GPtrArray) keywords = g_ptr_array_new ();
	FlagWords f = {.keywords = keywords};
	if (!ids)
		return FALSE;
	if (!*words)
		return error_fail (error, ERROR_USAGE, "no flag was named: say for example %s 12 flagged", g_get_prgname ());
	if (!take_flag_words (&f, words, error))
		return FALSE;
	if (add && f.flags & FLAG_DELETED)
		return error_fail (error, ERROR_USAGE, "a message that is marked so can be gone at any moment: say outpost delete");
	if (!cli_store (cli, TRUE, error) || !store_begin (cli->store, error))
		return FALSE;
	gboolean ok = TRUE;
	guint changed = 0;
	for (guint i = 0; ok && i < ids->len; i++)
		ok = change_one (cli, g_array_index (ids, gint64, i), &f, add, &changed, error);
	if (!commit_changes (cli, ok, error))
		return FALSE;
	if (cli->json)
		return print_flags (cli, ids, error);
	if (changed > 0)
		cli_note (cli, "%u message%s changed here; the next sync tells the server", changed, plural (changed));
	else if (ids->len > 0)
		cli_note (cli, "nothing is changed: the message%s %s so already", plural (ids->len), ids->len == 1 ? "is" : "are");
	return TRUE;
}

gboolean
cmd_flag (Cli *cli, char **args, GError **error)
{
	return change_flags (cli, args, TRUE, error);
}

gboolean
cmd_unflag (Cli *cli, char **args, GError **error)
{
	return change_flags (cli, args, FALSE, error);
}

/* ---- Moving, copying, removing ---- */

typedef gboolean (*OneMessage) (Cli *cli, const Placement *p, gint64 folder, gint64 *new_out, GError **error);

static gboolean
move_one (Cli *cli, const Placement *p, gint64 folder, gint64 *new_out, GError **error)
{
	*new_out = p->id;
	return p->folder == folder || store_move (cli->store, p->id, folder, new_out, error);
}

static gboolean
copy_one (Cli *cli, const Placement *p, gint64 folder, gint64 *new_out, GError **error)
{
	return store_place (cli->store, folder, p->message, p->flags, p->keywords, TRUE, p->id, new_out, error);
}

static gboolean
remove_one (Cli *cli, const Placement *p, gint64 folder, gint64 *new_out, GError **error)
{
	*new_out = 0;
	return store_remove (cli->store, p->id, "here", error);
}

/* Prints the numbers that the messages have now, where they have new ones. */
static gboolean
for_each (Cli *cli, GArray *ids, gint64 folder, OneMessage fn, GArray *new_ids, GError **error)
{
	for (guint i = 0; i < ids->len; i++) {
		gint64 id = 0;
		g_autoptr (Placement) p = cli_placement (cli, g_array_index (ids, gint64, i), error);
		if (!p || !fn (cli, p, folder, &id, error))
			return FALSE;
		g_array_append_val (new_ids, id);
	}
	return TRUE;
}

static void
report (Cli *cli, GArray *old_ids, GArray *new_ids, const char *done)
{
	guint n = 0; /* what is where it was already is not among them */
	for (guint i = 0; i < old_ids->len; i++)
		n += g_array_index (old_ids, gint64, i) != g_array_index (new_ids, gint64, i);
	if (cli->json) {
		JsonArray array = {0};
		for (guint i = 0; i < old_ids->len; i++) {
			gint64 id = g_array_index (new_ids, gint64, i);
			cli_json_item (&array, json_pack ("{s:I, s:o}", "id", (json_int_t) g_array_index (old_ids, gint64, i), "newId",
			                                  id ? json_integer (id) : json_null ()));
		}
		cli_json_end (&array);
	} else if (n > 0)
		cli_note (cli, "%u message%s %s here; the next sync tells the server", n, plural (n), done);
	else if (old_ids->len > 0)
		cli_note (cli, "nothing is changed: it is there already");
}

/* A folder that messages can be put into. */
static Folder *
target_folder (Cli *cli, const char *path, GError **error)
{
	g_autoptr (GError) local = NULL;
	g_autoptr (Folder) f = store_folder_by_path (cli->store, path, &local);
	if (local && error_is (local, ERROR_NOT_FOUND))
		error_fail (error, ERROR_NOT_FOUND, "%s; 'outpost folder create %s' makes it", local->message, path);
	else if (local)
		g_propagate_error (error, g_steal_pointer (&local));
	if (f && !f->selectable) {
		error_fail (error, ERROR_USAGE, "folder '%s' holds only folders, no messages", f->path);
		return NULL;
	}
	if (f && f->local_only) {
		error_fail (error, ERROR_USAGE, "folder '%s' is kept here only and holds outpost's own reports: choose another", f->path);
		return NULL;
	}
	return g_steal_pointer (&f);
}

static gboolean
to_folder (Cli *cli, char **args, OneMessage fn, const char *done, GError **error)
{
	guint n = g_strv_length (args);
	if (n < 2)
		return cli_arguments (args, 2, 0, "MESSAGE... FOLDER", error);
	g_autofree char *path = g_strdup (args[n - 1]);
	args[n - 1] = NULL;
	g_autoptr (GArray) ids = cli_messages (cli, args, NULL, error), new_ids = g_array_new (FALSE, FALSE, sizeof (gint64));
	if (!ids || !cli_store (cli, TRUE, error))
		return FALSE;
	g_autoptr (Folder) f = target_folder (cli, path, error);
	if (!f || !store_begin (cli->store, error) ||
	    !commit_changes (cli, for_each (cli, ids, f->id, fn, new_ids, error), error))
		return FALSE;
	g_autofree char *what = g_strdup_printf ("%s to %s", done, f->path);
	report (cli, ids, new_ids, what);
	return TRUE;
}

gboolean
cmd_move (Cli *cli, char **args, GError **error)
{
	return to_folder (cli, args, move_one, "moved", error);
}

gboolean
cmd_copy (Cli *cli, char **args, GError **error)
{
	return to_folder (cli, args, copy_one, "copied", error);
}

gboolean
cmd_delete (Cli *cli, char **args, GError **error)
{
	g_autoptr (GArray) ids = cli_messages (cli, args, NULL, error), new_ids = g_array_new (FALSE, FALSE, sizeof (gint64));
	if (!ids || !cli_store (cli, TRUE, error))
		return FALSE;
	g_autoptr (Folder) trash = NULL;
	if (to_trash) {
		g_autoptr (GError) local = NULL;
		trash = store_folder_by_role (cli->store, "trash", &local);
		if (!trash && !local)
			return error_fail (error, ERROR_NOT_FOUND, "there is no trash folder: leave --trash away, or use outpost move");
		if (local) {
			g_propagate_error (error, g_steal_pointer (&local));
			return FALSE;
		}
	}
	if (!store_begin (cli->store, error) ||
	    !commit_changes (cli, for_each (cli, ids, trash ? trash->id : 0, trash ? move_one : remove_one, new_ids, error), error))
		return FALSE;
	report (cli, ids, new_ids, trash ? "moved to the trash" : "removed (outpost undelete restores them for 30 days)");
	return TRUE;
}

/* ---- Restoring ---- */

static json_t *
json_removed (const RemovedMessage *r)
{
	g_autofree char *when = cli_iso_time (r->removed);
	return json_pack ("{s:I, s:o, s:o, s:o, s:o, s:s}", "id", (json_int_t) r->id, "removed", cli_json_text (when), "folder",
	                  cli_json_text (r->folder_path), "from", cli_json_text (r->sender), "subject", cli_json_text (r->subject), "cause",
	                  strcmp (r->cause, "home") == 0 ? "server" : "here");
}

static gboolean
list_removed (Cli *cli, GError **error)
{
	Store *s = cli_store (cli, FALSE, error);
	g_autoptr (GPtrArray) list = s ? store_removed_messages (s, cli->json ? 0 : 1000, error) : NULL;
	if (!list)
		return FALSE;
	JsonArray array = {0};
	for (guint i = 0; i < list->len; i++) {
		const RemovedMessage *r = list->pdata[i];
		if (cli->json) {
			cli_json_item (&array, json_removed (r));
			continue;
		}
		g_autofree char *when = cli_time (r->removed), *from = cli_fit (r->sender ? r->sender : "", 24);
		cli_print ("%8" G_GINT64_FORMAT " %s %-6s %-16s %s %s", r->id, when, strcmp (r->cause, "home") == 0 ? "server" : "here",
		           r->folder_path, from, r->subject ? r->subject : "");
	}
	if (cli->json)
		cli_json_end (&array);
	else if (list->len == 0)
		cli_note (cli, "nothing was removed that could be restored");
	else
		cli_note (cli, "outpost undelete NUMBER... puts a message back where it was");
	return TRUE;
}

gboolean
cmd_undelete (Cli *cli, char **args, GError **error)
{
	if (undelete_list || !*args)
		return list_removed (cli, error);
	g_autoptr (GArray) ids = cli_messages (cli, args, NULL, error), new_ids = g_array_new (FALSE, FALSE, sizeof (gint64));
	if (!ids || !cli_store (cli, TRUE, error) || !store_begin (cli->store, error))
		return FALSE;
	gboolean ok = TRUE;
	for (guint i = 0; ok && i < ids->len; i++) {
		gint64 id = 0;
		ok = store_undelete (cli->store, g_array_index (ids, gint64, i), &id, error);
		g_array_append_val (new_ids, id);
	}
	if (!commit_changes (cli, ok, error))
		return FALSE;
	report (cli, ids, new_ids, "restored");
	return TRUE;
}

/* ---- Adding files ---- */

static int
open_source (const char *path, guint64 *size_out, gint64 *time_out, GError **error)
{
	struct stat st;
	gboolean input = strcmp (path, "-") == 0;
	int fd = input ? dup (STDIN_FILENO) : open (path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat (fd, &st) != 0) {
		error_set_errno (error, errno, "reading %s", input ? "standard input" : path);
		if (fd >= 0)
			close (fd);
		return -1;
	}
	if (S_ISDIR (st.st_mode)) {
		error_fail (error, ERROR_USAGE, "%s is a directory: name files with one message each", path);
		close (fd);
		return -1;
	}
	*size_out = S_ISREG (st.st_mode) ? (guint64) st.st_size : 0;
	*time_out = S_ISREG (st.st_mode) ? (gint64) st.st_mtime : g_get_real_time () / G_USEC_PER_SEC;
	return fd;
}

static gboolean
write_all (int fd, const char *octets, gsize size, GError **error)
{
	while (size > 0) {
		ssize_t n = write (fd, octets, size);
		if (n < 0 && errno != EINTR)
			return error_set_errno (error, errno, "keeping the message aside in %s", g_get_tmp_dir ());
		octets += MAX (n, 0);
		size -= (gsize) MAX (n, 0);
	}
	return TRUE;
}

/* Copies @from to the unlinked file @to with CRLF line ends. */
static gboolean
copy_lines (int from, int to, guint64 *size_out, GError **error)
{
	char in[65536], out[2 * sizeof in], last = 0;
	*size_out = 0;
	for (ssize_t n; (n = read (from, in, sizeof in)) != 0;) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno (error, errno, "reading the message");
		gsize size = 0;
		for (ssize_t i = 0; i < n; i++) {
			if (in[i] == '\n' && last != '\r' && !add_as_is)
				out[size++] = '\r';
			out[size++] = last = in[i];
		}
		*size_out += size;
		if (*size_out > ADD_MAX)
			return error_fail (error, ERROR_TOO_BIG, "the message is larger than 2 GiB");
		if (!write_all (to, out, size, error))
			return FALSE;
	}
	return TRUE;
}

static Prepared *
prepare_added (const char *path, GError **error)
{
	guint64 size;
	gint64 time;
	g_autofree char *name = NULL;
	int from = open_source (path, &size, &time, error);
	if (from < 0)
		return NULL;
	int to = g_file_open_tmp ("outpost-add-XXXXXX", &name, error);
	Prepared *p = NULL;
	if (to >= 0) {
		unlink (name);
		if (copy_lines (from, to, &size, error) && size == 0)
			error_fail (error, ERROR_USAGE, "%s is empty", path);
		else if (size > 0 && !*error)
			p = prepare_file (to, size, time, 0, error);
		close (to);
	}
	close (from);
	return p;
}

static gboolean
add_one (Cli *cli, const Folder *f, const char *path, guint flags, const char *keywords, gint64 *id_out, GError **error)
{
	GError *local = NULL;
	g_autoptr (Prepared) p = prepare_added (path, &local);
	gint64 message;
	if (!p) {
		g_propagate_error (error, local);
		return FALSE;
	}
	return store_add_message (cli->store, p, f->id, &message, error) &&
	       store_place (cli->store, f->id, message, flags, keywords, TRUE, 0, id_out, error);
}

gboolean
cmd_add (Cli *cli, char **args, GError **error)
{
	g_autoptr (GPtrArray) words = g_ptr_array_new ();
	FlagWords flags = {.keywords = words};
	if (!cli_arguments (args, 2, 0, "FOLDER FILE...", error) || !take_flag_words (&flags, add_flags, error) || !cli_store (cli, TRUE, error))
		return FALSE;
	g_autofree char *keywords = keywords_with (NULL, (const char *const *) words->pdata, TRUE);
	g_autoptr (Folder) f = target_folder (cli, args[0], error);
	g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
	if (!f || !store_begin (cli->store, error))
		return FALSE;
	gboolean ok = TRUE;
	for (char **file = args + 1; ok && *file; file++) {
		gint64 id = 0;
		ok = cancel_check (cli->cancel, error) && add_one (cli, f, *file, flags.flags, keywords, &id, error);
		g_array_append_val (ids, id);
	}
	if (!commit_changes (cli, ok, error))
		return FALSE;
	if (cli->json) {
		JsonArray array = {0};
		for (guint i = 0; i < ids->len; i++)
			cli_json_item (&array, json_pack ("{s:I}", "id", (json_int_t) g_array_index (ids, gint64, i)));
		cli_json_end (&array);
	} else
		cli_note (cli, "%u message%s added to %s; the next sync tells the server", ids->len, plural (ids->len), f->path);
	return TRUE;
}
