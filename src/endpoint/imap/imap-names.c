/* SPDX-License-Identifier: Apache-2.0 */
#include "imap-names.h"
#include "imap-private.h"
#include <string.h>

static const struct {
	const char *role, *leaves; /* leaves in lower case, each between bars */
} roles[] = {
	{"inbox", "|inbox|"},
	{"sent", "|sent|sent items|sent messages|sent mail|gesendet|gesendete elemente|gesendete objekte|envoyés|éléments envoyés|messages envoyés|"
	 "enviados|elementos enviados|posta inviata|inviata|verzonden|verzonden items|skickat|skickade|sendt|wysłane|отправленные|"},
	{"drafts", "|drafts|draft|entwürfe|entwurf|brouillons|borradores|rascunhos|bozze|concepten|utkast|kladder|kladde|szkice|черновики|"},
	{"trash", "|trash|deleted items|deleted messages|deleted|bin|papierkorb|gelöschte elemente|gelöschte objekte|corbeille|éléments supprimés|"
	 "papelera|elementos eliminados|lixeira|cestino|posta eliminata|prullenbak|verwijderde items|papperskorg|papirkurv|kosz|корзина|"},
	{"junk", "|junk|spam|junk e-mail|junk email|junk mail|bulk mail|spamverdacht|werbung|courrier indésirable|indésirables|correo no deseado|"
	 "lixo eletrônico|posta indesiderata|ongewenste e-mail|skräppost|søppelpost|спам|"},
	{"archive", "|archive|archives|archiv|archivo|arquivo|archivio|archief|arkiv|archiwum|архив|"},
};

void
name_space_set (NameSpace *space, const char *prefix, char delimiter)
{
	g_free (space->prefix);
	space->prefix = g_strdup (prefix);
	space->delimiter = delimiter;
}

void
name_space_add (NameSpace *space, const char *prefix, gboolean personal)
{
	GPtrArray **list = personal ? &space->personal : &space->foreign;
	if (!*list)
		*list = g_ptr_array_new_with_free_func (g_free);
	g_ptr_array_add (*list, g_strdup (prefix));
}

void
name_space_clear (NameSpace *space)
{
	g_clear_pointer (&space->prefix, g_free);
	g_clear_pointer (&space->personal, g_ptr_array_unref);
	g_clear_pointer (&space->foreign, g_ptr_array_unref);
}

/* Length of the longest prefix in @list that @name has, -1 none. *leads_out: @name is a prefix without its delimiter. */
static gssize
longest_prefix (const GPtrArray *list, const char *name, gboolean *leads_out)
{
	gssize longest = -1;
	for (guint i = 0; list && i < list->len; i++) {
		const char *prefix = list->pdata[i];
		gsize size = strlen (prefix);
		if (strncmp (name, prefix, size) == 0)
			longest = MAX (longest, (gssize) size);
		*leads_out |= size > 1 && strlen (name) == size - 1 && strncmp (name, prefix, size - 1) == 0;
	}
	return longest;
}

gboolean
name_is_personal (const NameSpace *space, const char *name, gboolean selectable)
{
	gboolean leads = FALSE;
	if (g_ascii_strcasecmp (name, "INBOX") == 0)
		return TRUE;
	gssize personal = longest_prefix (space->personal, name, &leads);
	gssize foreign = longest_prefix (space->foreign, name, &leads);
	if (leads && !selectable)
		return FALSE;
	/* a namespace without prefix has what no other claims */
	return foreign < 0 || personal >= foreign;
}

/* What of @name stands for the namespace and not for a folder: its length. */
static gsize
prefix_size (const NameSpace *space, const char *name)
{
	gsize size = space->prefix ? strlen (space->prefix) : 0;
	if (size == 0 || strlen (name) <= size)
		return 0;
	/* "INBOX." is case-insensitive as far as it is INBOX. */
	return strncmp (name, space->prefix, size) == 0 || (g_ascii_strncasecmp (name, space->prefix, size) == 0 &&
	                                                    g_ascii_strncasecmp (name, "INBOX", 5) == 0)
	           ? size
	           : 0;
}

void
folder_place (RemoteFolder *f, const NameSpace *space, char delimiter)
{
	f->delimiter = delimiter;
	gsize start = prefix_size (space, f->name);
	const char *last = delimiter ? strrchr (f->name + start, delimiter) : NULL;
	if (last && last[1] == '\0')
		last = NULL;
	if (last && last > f->name + start)
		f->parent = g_strndup (f->name, last - f->name);
	const char *leaf = last ? last + 1 : f->name + start;
	f->leaf = space->utf8 ? slice_to_utf8 ((Slice) {leaf, strlen (leaf)}, 3 * strlen (leaf) + 1) : leaf_decode (leaf);
}

static char *
folded (const NameSpace *space, const char *name)
{
	g_autofree char *text = space->utf8 ? slice_to_utf8 ((Slice) {name, strlen (name)}, 3 * strlen (name) + 1) : leaf_decode (name);
	g_autofree char *composed = g_utf8_normalize (text, -1, G_NORMALIZE_DEFAULT_COMPOSE);
	return composed ? g_utf8_casefold (composed, -1) : g_steal_pointer (&text);
}

gboolean
folder_names_fold (const NameSpace *space, const char *a, const char *b)
{
	g_autofree char *x = folded (space, a), *y = folded (space, b);
	return strcmp (x, y) == 0;
}

char *
folder_wire_name (const NameSpace *space, const char *parent, const char *leaf, GError **error)
{
	for (const char *c = leaf; *c; c++)
		if ((guchar) *c < ' ' || *c == 0x7f || (space->delimiter && *c == space->delimiter)) {
			error_fail (error, ERROR_REFUSED, "a name there must not hold '%c' or control characters", space->delimiter ? space->delimiter : '/');
			return NULL;
		}
	if (!*leaf || !g_utf8_validate (leaf, -1, NULL) || (parent && !space->delimiter)) {
		error_fail (error, ERROR_REFUSED, "%s", parent && !space->delimiter ? "the server has no folders in folders" : "that is no name there");
		return NULL;
	}
	g_autofree char *wire = space->utf8 ? g_strdup (leaf) : leaf_encode (leaf);
	if (parent)
		return g_strdup_printf ("%s%c%s", parent, space->delimiter, wire);
	if (space->below_inbox)
		return g_strdup_printf ("INBOX%c%s", space->delimiter, wire);
	return g_strconcat (space->prefix ? space->prefix : "", wire, NULL);
}

const char *
role_of_leaf (const char *leaf)
{
	g_autofree char *lower = g_utf8_strdown (leaf, -1);
	g_autofree char *barred = g_strconcat ("|", lower, "|", NULL);
	if (strchr (lower, '|') || !*lower)
		return NULL;
	for (guint i = 0; i < G_N_ELEMENTS (roles); i++)
		if (strstr (roles[i].leaves, barred))
			return roles[i].role;
	return NULL;
}

static gboolean
role_is_taken (GPtrArray *folders, const char *role)
{
	for (guint i = 0; i < folders->len; i++)
		if (g_strcmp0 (((RemoteFolder *) folders->pdata[i])->role, role) == 0)
			return TRUE;
	return FALSE;
}

void
roles_guess (GPtrArray *folders)
{
	for (guint i = 0; i < folders->len; i++) {
		RemoteFolder *f = folders->pdata[i];
		const char *role = f->role || (f->parent && g_ascii_strcasecmp (f->parent, "INBOX") != 0) ? NULL : role_of_leaf (f->leaf);
		if (role && f->selectable && !role_is_taken (folders, role))
			f->role = g_strdup (role);
	}
}
