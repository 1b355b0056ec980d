/* SPDX-License-Identifier: Apache-2.0 */
#include "maildir-folder.h"
#include "store.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LIST_MAX (G_GUINT64_CONSTANT (4) << 30) /* octets of dovecot-uidlist */
#define LETTERS 26

static void
message_done (gpointer data)
{
	MaildirMessage *m = data;
	g_free (m->file);
	g_free (m->keywords);
}

void
maildir_folder_free (MaildirFolder *f)
{
	if (!f)
		return;
	g_array_unref (f->messages);
	g_free (f->keywords);
	g_free (f);
}

/* ---- File names: BASE[:2,LETTERS] ---- */

static char *
base_of (const char *name)
{
	const char *info = strstr (name, ":2,");
	return g_strndup (name, info ? (gsize) (info - name) : strlen (name));
}

static void
read_letters (MaildirMessage *m, const char *name, char **words)
{
	static const char letters[] = "SRFTD"; /* in the order of the bits of StoreFlags */
	const char *info = strstr (name, ":2,"), *found[LETTERS];
	gsize n = 0;
	for (const char *at = info ? info + strlen (":2,") : ""; *at && *at != ','; at++) {
		const char *flag = strchr (letters, *at);
		if (flag)
			m->flags |= 1u << (flag - letters);
		else if (*at >= 'a' && *at <= 'z' && words[*at - 'a'] && n < LETTERS)
			found[n++] = words[*at - 'a'];
		else if (*at == 'P' && n < LETTERS)
			found[n++] = "$Forwarded";
	}
	m->keywords = n ? keywords_canonical (found, n) : NULL;
}

/* dovecot-keywords: lines "NUMBER WORD". */
static void
read_keywords (const char *path, char **words)
{
	g_autofree char *file = g_build_filename (path, "dovecot-keywords", NULL), *text = NULL;
	if (!g_file_get_contents (file, &text, NULL, NULL))
		return;
	g_auto (GStrv) lines = g_strsplit (text, "\n", 10000);
	for (char **line = lines; *line; line++) {
		char *word;
		guint64 n = g_ascii_strtoull (*line, &word, 10);
		if (word == *line || *word != ' ' || n >= LETTERS || !word[1] || strpbrk (word + 1, " \\()\"{}%*\r") || words[n])
			continue;
		words[n] = g_strdup (word + 1);
	}
}

/* ---- dovecot-uidlist ---- */

static gboolean
read_first_line (MaildirFolder *f, const char *line)
{
	if (g_str_has_prefix (line, "1 "))
		return sscanf (line, "1 %" G_GUINT32_FORMAT " %" G_GUINT32_FORMAT, &f->uidvalidity, &f->uidnext) == 2 && f->uidvalidity && f->uidnext;
	g_auto (GStrv) words = g_strsplit (line, " ", 32);
	for (char **word = words; *word; word++)
		if (**word == 'V' || **word == 'N')
			*(**word == 'V' ? &f->uidvalidity : &f->uidnext) = (guint32) MIN (g_ascii_strtoull (*word + 1, NULL, 10), G_MAXUINT32);
	return words[0] && strcmp (words[0], "3") == 0 && f->uidvalidity && f->uidnext;
}

/* "UID [FIELD...] :BASE", or "UID BASE" in the first version. */
static void
read_line (MaildirFolder *f, char *line, gboolean first_version, GHashTable *uids)
{
	char *at;
	guint64 uid = g_ascii_strtoull (line, &at, 10);
	if (at == line || *at != ' ' || uid == 0 || uid >= G_MAXUINT32 || g_hash_table_size (uids) >= MAILDIR_MESSAGES_MAX)
		return;
	char *base = first_version ? at + 1 : strstr (at, " :");
	if (!base)
		return;
	g_autofree char *name = base_of (first_version ? base : base + strlen (" :"));
	f->uidnext = MAX (f->uidnext, (guint32) uid + 1);
	g_hash_table_insert (uids, g_steal_pointer (&name), GUINT_TO_POINTER ((guint) uid));
}

static gboolean
read_list (MaildirFolder *f, const char *path, GHashTable *uids, GError **error)
{
	g_autofree char *file = g_build_filename (path, "dovecot-uidlist", NULL), *text = NULL;
	struct stat st;
	if (stat (file, &st) != 0 || (guint64) st.st_size > LIST_MAX || !g_file_get_contents (file, &text, NULL, NULL))
		return error_fail (error, ERROR_UNAVAILABLE, "%s can't be read: `doveadm mailbox status -u USER uidnext '*'` makes Dovecot write it", file);
	char *line = text, *end = strchr (line, '\n');
	if (end)
		*end = 0;
	if (!read_first_line (f, line))
		return error_fail (error, ERROR_UNAVAILABLE, "%s is of no version that is known (1 and 3 are)", file);
	gboolean first_version = *line == '1';
	while (end && *(line = end + 1)) {
		end = strchr (line, '\n');
		if (end)
			*end = 0;
		read_line (f, line, first_version, uids);
	}
	return TRUE;
}

/* ---- The folder ---- */

static void
add_file (MaildirFolder *f, const char *path, const char *part, const char *name, GHashTable *uids, char **words)
{
	g_autofree char *base = base_of (name), *file = g_build_filename (part, name, NULL), *whole = g_build_filename (path, file, NULL);
	guint32 uid = GPOINTER_TO_UINT (g_hash_table_lookup (uids, base));
	struct stat st;
	if (*name == '.' || stat (whole, &st) != 0 || !S_ISREG (st.st_mode))
		return;
	if (!uid) {
		f->without_uid++;
		return;
	}
	g_hash_table_remove (uids, base); /* once, also where the name is there twice */
	MaildirMessage m = {.uid = uid, .file = g_steal_pointer (&file), .received = st.st_mtime};
	read_letters (&m, name, words);
	g_array_append_val (f->messages, m);
}

static void
read_part (MaildirFolder *f, const char *path, const char *part, GHashTable *uids, char **words)
{
	g_autofree char *folder = g_build_filename (path, part, NULL);
	g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
	const char *name;
	while (dir && (name = g_dir_read_name (dir)))
		add_file (f, path, part, name, uids, words);
}

static int
by_uid (gconstpointer a, gconstpointer b)
{
	guint32 x = ((const MaildirMessage *) a)->uid, y = ((const MaildirMessage *) b)->uid;
	return x < y ? -1 : x > y;
}

MaildirFolder *
maildir_folder_read (const char *path, GError **error)
{
	g_autoptr (MaildirFolder) f = g_new0 (MaildirFolder, 1);
	g_autoptr (GHashTable) uids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	char *words[LETTERS] = {0};
	f->messages = g_array_new (FALSE, FALSE, sizeof (MaildirMessage));
	g_array_set_clear_func (f->messages, message_done);
	if (!read_list (f, path, uids, error))
		return NULL;
	read_keywords (path, words);
	/* what is moved to cur meanwhile is found there */
	read_part (f, path, "new", uids, words);
	read_part (f, path, "cur", uids, words);
	g_array_sort (f->messages, by_uid);
	for (guint i = 0; i < LETTERS; i++) {
		if (words[i])
			keywords_add (&f->keywords, words[i]);
		g_free (words[i]);
	}
	return g_steal_pointer (&f);
}

MaildirMessage *
maildir_folder_find (MaildirFolder *f, guint32 uid)
{
	const MaildirMessage wanted = {.uid = uid};
	guint at;
	return g_array_binary_search (f->messages, &wanted, by_uid, &at) ? &g_array_index (f->messages, MaildirMessage, at) : NULL;
}

/* ---- A message ---- */

static GBytes *
with_crlf (char *text, gsize size)
{
	gsize bare = 0;
	for (const char *at = text; (at = memchr (at, '\n', size - (gsize) (at - text))); at++)
		bare += at == text || at[-1] != '\r';
	if (!bare)
		return g_bytes_new_take (text, size);
	char *out = g_malloc (size + bare), *to = out;
	for (gsize i = 0; i < size; i++) {
		if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r'))
			*to++ = '\r';
		*to++ = text[i];
	}
	g_free (text);
	return g_bytes_new_take (out, size + bare);
}

/* Its flags may have changed, and its name with them, since it was looked for. */
static char *
find_again (const char *path, const MaildirMessage *m)
{
	g_autofree char *cur = g_build_filename (path, "cur", NULL), *name = g_path_get_basename (m->file), *base = base_of (name);
	g_autoptr (GDir) dir = g_dir_open (cur, 0, NULL);
	const char *other;
	while (dir && (other = g_dir_read_name (dir))) {
		g_autofree char *its = base_of (other);
		if (strcmp (its, base) == 0)
			return g_build_filename (cur, other, NULL);
	}
	return NULL;
}

GBytes *
maildir_message_octets (const char *path, const MaildirMessage *m, GError **error)
{
	g_autofree char *file = g_build_filename (path, m->file, NULL);
	g_autoptr (GError) local = NULL;
	char *text = NULL;
	gsize size;
	struct stat st;
	if (stat (file, &st) == 0 && (guint64) st.st_size > MAILDIR_FILE_MAX)
		return error_fail (error, ERROR_TOO_BIG, "%s has more than 2 GiB", file), NULL;
	if (g_file_get_contents (file, &text, &size, &local))
		return with_crlf (text, size);
	g_autofree char *now = g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? find_again (path, m) : NULL;
	if (now && g_file_get_contents (now, &text, &size, NULL))
		return with_crlf (text, size);
	return error_fail (error, g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? ERROR_NOT_FOUND : ERROR_IO, "%s", local->message), NULL;
}
