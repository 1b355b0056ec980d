/* SPDX-License-Identifier: Apache-2.0 */
/* File names for folders. A name of ours has no '/', no control character, does not begin with '.' or '~', is at most NAME_OCTETS long;
 * what a folder's name has of these becomes '_'. Two folders that would share a name (also where a file system takes no notice of case)
 * get a number. A folder whose path would be too long lies at the top. So no folder's name leads out of the directory. */
#include "export-private.h"
#include "imap-text.h"
#include <string.h>

#define NAME_OCTETS 200
#define PATH_OCTETS 2000
#define MAILDIR_OCTETS 200
#define MAILDIR_LEVELS 12 /* Dovecot takes up to 16 */

const char *
export_name (const Export *x, const Folder *f)
{
	return g_hash_table_lookup (x->names, &f->id);
}

static void
set_name (GHashTable *names, gint64 id, char *name)
{
	g_hash_table_insert (names, g_memdup2 (&id, sizeof id), name);
}

static gboolean
is_inbox (const Folder *f)
{
	return f->parent == 0 && g_ascii_strcasecmp (f->name, "INBOX") == 0;
}

/* At most @max octets, cut at a character. */
static void
cut (char *name, gsize max)
{
	gsize n = strlen (name);
	if (n <= max)
		return;
	char *end = name + max;
	while (end > name && ((guint8) *end & 0xc0) == 0x80)
		end--;
	*end = '\0';
}

static char *
harmless (const char *folder, char also)
{
	g_autofree char *name = g_utf8_make_valid (folder, -1);
	for (char *c = name; *c; c++)
		if (*c == '/' || *c == also || (guint8) *c < 0x20 || *c == 0x7f)
			*c = '_';
	if (*name == '.' || *name == '~')
		*name = '_';
	cut (name, NAME_OCTETS);
	return *name ? g_steal_pointer (&name) : g_strdup ("_");
}

/* @name, or name~2, name~3 ..., such that neither it nor it with @suffix was taken. */
static char *
untaken (GHashTable *taken, const char *directory, const char *name, const char *suffix)
{
	for (guint i = 1;; i++) {
		g_autofree char *numbered = i == 1 ? g_strdup (name) : g_strdup_printf ("%s~%u", name, i);
		g_autofree char *full = g_strconcat (directory, numbered, NULL), *with = g_strconcat (full, suffix, NULL);
		g_autofree char *key = g_utf8_casefold (full, -1), *key_with = g_utf8_casefold (with, -1);
		if (g_hash_table_contains (taken, key) || g_hash_table_contains (taken, key_with))
			continue;
		g_hash_table_add (taken, g_steal_pointer (&key));
		g_hash_table_add (taken, g_steal_pointer (&key_with));
		return g_steal_pointer (&full);
	}
}

void
names_tree (GHashTable *names, const GPtrArray *folders)
{
	g_autoptr (GHashTable) taken = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		const char *parent = g_hash_table_lookup (names, &f->parent);
		gboolean fits = parent && strlen (parent) <= PATH_OCTETS;
		g_autofree char *name = harmless (f->name, '/'), *directory = fits ? g_strconcat (parent, "/", NULL) : g_strdup ("");
		set_name (names, f->id, untaken (taken, directory, name, ".mbox"));
	}
}

/* Modified UTF-7 without '.', which separates the levels; at most @max octets: cut before it is encoded. */
static char *
maildir_level (const Folder *f, gsize max)
{
	g_autofree char *name = is_inbox (f) ? g_strdup ("INBOX") : harmless (f->name, '.');
	for (;;) {
		g_autofree char *encoded = leaf_encode (name);
		if (strlen (encoded) <= max || strlen (name) <= 1)
			return g_steal_pointer (&encoded);
		cut (name, strlen (name) - 1);
	}
}

static guint
count_levels (const char *name)
{
	guint n = 0;
	for (; *name; name++)
		n += *name == '.';
	return n;
}

/* Under its parent, or, too long or too deep for one file name, at the top. */
void
names_maildir (GHashTable *names, const GPtrArray *folders)
{
	g_autoptr (GHashTable) taken = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		if (is_inbox (f)) {
			set_name (names, f->id, g_strdup (""));
			continue;
		}
		const char *parent = g_hash_table_lookup (names, &f->parent);
		g_autofree char *level = maildir_level (f, MAILDIR_OCTETS);
		g_autofree char *directory = g_strconcat (parent && *parent ? parent : parent ? ".INBOX" : "", ".", NULL);
		gboolean fits = strlen (directory) + strlen (level) <= MAILDIR_OCTETS && count_levels (directory) <= MAILDIR_LEVELS;
		set_name (names, f->id, untaken (taken, fits ? directory : ".", level, ""));
	}
}
