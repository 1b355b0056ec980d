/* SPDX-License-Identifier: Apache-2.0 */
/* Maildir++ (Sam Varshavchik's maildirquota page) with Dovecot's files: dovecot-uidlist keeps UIDs, UIDVALIDITY and the folder's id,
 * dovecot-keywords names the letters; keywords that find none stand in outpost-keywords, a line a message: UID and words. The size stands in the file name (S=). */
#include "export-private.h"
#include <stdlib.h>
#include <string.h>

#define LETTERS 26

typedef struct {
	char *directory; /* of the folder */
	GPtrArray *keywords;
	GString *list;  /* dovecot-uidlist */
	GString *apart; /* outpost-keywords */
	GString *subscriptions;
} Maildir;

static gboolean
write_file (const char *directory, const char *name, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename (directory, name, NULL);
	Output o;
	if (!output_open (&o, path, error))
		return FALSE;
	if (output_text (&o, text, error))
		return output_close (&o, NULL, error);
	output_abandon (&o);
	return FALSE;
}

static gboolean
make_maildir (const char *directory, GError **error)
{
	static const char *const parts[] = {"", "cur", "new", "tmp"};
	for (gsize i = 0; i < G_N_ELEMENTS (parts); i++) {
		g_autofree char *path = g_build_filename (directory, parts[i], NULL);
		if (!make_directory (path, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
maildir_begin (Export *x, GError **error)
{
	Maildir *d = x->own = g_new0 (Maildir, 1);
	d->subscriptions = g_string_new (NULL);
	return make_maildir (x->path, error);
}

static gboolean
maildir_folder (Export *x, const Folder *f, GError **error)
{
	Maildir *d = x->own;
	const char *name = export_name (x, f);
	char id[ID_TEXT_SIZE];
	id128_text (&f->object_id, id);
	d->directory = g_build_filename (x->path, name, NULL);
	d->keywords = g_ptr_array_new_with_free_func (g_free);
	d->list = g_string_new (NULL);
	d->apart = g_string_new (NULL);
	g_string_append_printf (d->list, "3 V%u N%u G%s\n", f->uidvalidity, f->uidnext, id);
	if (f->subscribed)
		g_string_append_printf (d->subscriptions, "%s\n", *name ? name + 1 : "INBOX");
	return !*name || (make_maildir (d->directory, error) && write_file (d->directory, "maildirfolder", "", error));
}

/* The letter of a keyword, 0 when all letters are given away. */
static char
letter_of (GPtrArray *keywords, const char *word)
{
	for (guint i = 0; i < keywords->len; i++)
		if (strcmp (keywords->pdata[i], word) == 0)
			return (char) ('a' + i);
	if (keywords->len == LETTERS)
		return 0;
	g_ptr_array_add (keywords, g_strdup (word));
	return (char) ('a' + keywords->len - 1);
}

static int
compare_letters (gconstpointer a, gconstpointer b)
{
	return *(const char *) a - *(const char *) b;
}

/* Letters in ASCII order, as Maildir wants them. FALSE: not all keywords have one. */
static gboolean
append_flags (GString *name, Maildir *d, const Placement *p)
{
	static const struct {
		guint flag;
		char letter;
	} letters[] = {{FLAG_DRAFT, 'D'}, {FLAG_FLAGGED, 'F'}, {FLAG_ANSWERED, 'R'}, {FLAG_SEEN, 'S'}, {FLAG_DELETED, 'T'}};
	g_auto (GStrv) words = g_strsplit (p->keywords ? p->keywords : "", " ", -1);
	g_string_append (name, ":2,");
	gsize start = name->len, apart = d->apart->len;
	for (gsize i = 0; i < G_N_ELEMENTS (letters); i++)
		if (p->flags & letters[i].flag)
			g_string_append_c (name, letters[i].letter);
	for (guint i = 0; words[i]; i++) {
		char letter = !*words[i] ? 0 : g_ascii_strcasecmp (words[i], "$Forwarded") == 0 ? 'P' : letter_of (d->keywords, words[i]);
		if (letter)
			g_string_append_c (name, letter);
		else if (*words[i] && d->apart->len == apart)
			g_string_append_printf (d->apart, "%u %s", p->uid, words[i]);
		else if (*words[i])
			g_string_append_printf (d->apart, " %s", words[i]);
	}
	qsort (name->str + start, name->len - start, 1, compare_letters);
	if (d->apart->len == apart)
		return TRUE;
	g_string_append_c (d->apart, '\n');
	return FALSE;
}

static gboolean
maildir_message (Export *x, const Folder *f, const Placement *p, const Message *m, GError **error)
{
	Maildir *d = x->own;
	g_autoptr (GString) name = g_string_new (NULL);
	Output o;
	g_string_printf (name, "%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT ".outpost,S=%" G_GUINT64_FORMAT, MAX (m->received, 0), p->id, m->size);
	g_string_append_printf (d->list, "%u :%s\n", p->uid, name->str);
	x->apart += !append_flags (name, d, p);
	g_autofree char *path = g_build_filename (d->directory, "cur", name->str, NULL);
	if (!output_open (&o, path, error))
		return FALSE;
	if (export_stream (x, m, output_sink, &o, error))
		return output_close (&o, &m->received, error);
	output_abandon (&o);
	return FALSE;
}

static gboolean
maildir_folder_end (Export *x, const Folder *f, GError **error)
{
	Maildir *d = x->own;
	g_autoptr (GString) keywords = g_string_new (NULL);
	for (guint i = 0; i < d->keywords->len; i++)
		g_string_append_printf (keywords, "%u %s\n", i, (char *) d->keywords->pdata[i]);
	gboolean ok = write_file (d->directory, "dovecot-uidlist", d->list->str, error) &&
	              (!keywords->len || write_file (d->directory, "dovecot-keywords", keywords->str, error)) &&
	              (!d->apart->len || write_file (d->directory, "outpost-keywords", d->apart->str, error));
	g_clear_pointer (&d->directory, g_free);
	g_clear_pointer (&d->keywords, g_ptr_array_unref);
	g_string_free (g_steal_pointer (&d->list), TRUE);
	g_string_free (g_steal_pointer (&d->apart), TRUE);
	return ok;
}

static gboolean
maildir_end (Export *x, GError **error)
{
	Maildir *d = x->own;
	return write_file (x->path, "subscriptions", d->subscriptions->str, error);
}

static void
maildir_done (Export *x)
{
	Maildir *d = x->own;
	if (!d)
		return;
	g_clear_pointer (&d->directory, g_free);
	g_clear_pointer (&d->keywords, g_ptr_array_unref);
	if (d->list)
		g_string_free (d->list, TRUE);
	if (d->apart)
		g_string_free (d->apart, TRUE);
	g_string_free (d->subscriptions, TRUE);
	g_free (d);
}

const Format format_maildir = {maildir_begin, maildir_folder, maildir_message, maildir_folder_end, maildir_end, maildir_done};
