/* SPDX-License-Identifier: Apache-2.0 */
/* Keyword texts: words sorted by octets, one space between, NULL for none; so equal sets are equal texts. */
#include "store-private.h"
#include <string.h>

static int
compare_words (gconstpointer a, gconstpointer b)
{
	return strcmp (*(char *const *) a, *(char *const *) b);
}

static GPtrArray *
split_words (const char *text)
{
	GPtrArray *words = g_ptr_array_new_with_free_func (g_free);
	g_auto (GStrv) parts = text ? g_strsplit (text, " ", -1) : NULL;
	for (guint i = 0; parts && parts[i]; i++)
		if (*parts[i])
			g_ptr_array_add (words, g_strdup (parts[i]));
	return words;
}

static char *
join_words (GPtrArray *words)
{
	GString *text = g_string_new (NULL);
	const char *last = NULL;
	g_ptr_array_sort (words, compare_words);
	for (guint i = 0; i < words->len; i++) {
		const char *word = words->pdata[i];
		if (last && strcmp (last, word) == 0)
			continue;
		g_string_append_printf (text, "%s%s", text->len ? " " : "", word);
		last = word;
	}
	return g_string_free (text, text->len == 0);
}

char *
keywords_canonical (const char *const *words, gsize n)
{
	g_autoptr (GPtrArray) list = g_ptr_array_new ();
	for (gsize i = 0; i < n; i++)
		if (words[i] && *words[i])
			g_ptr_array_add (list, (gpointer) words[i]);
	return join_words (list);
}

gboolean
keywords_equal (const char *a, const char *b)
{
	return strcmp (a ? a : "", b ? b : "") == 0;
}

static gboolean
has_word (const GPtrArray *words, const char *word)
{
	for (guint i = 0; i < words->len; i++)
		if (strcmp (words->pdata[i], word) == 0)
			return TRUE;
	return FALSE;
}

char *
keywords_merge (const char *base, const char *here, const char *home)
{
	if (keywords_equal (base, home))
		return g_strdup (here && *here ? here : NULL);
	g_autoptr (GPtrArray) b = split_words (base), l = split_words (here), r = split_words (home), out = g_ptr_array_new ();
	for (guint i = 0; i < l->len; i++) /* what is here stays unless home took it away */
		if (!has_word (b, l->pdata[i]) || has_word (r, l->pdata[i]))
			g_ptr_array_add (out, l->pdata[i]);
	for (guint i = 0; i < r->len; i++) /* what home added comes */
		if (!has_word (b, r->pdata[i]))
			g_ptr_array_add (out, r->pdata[i]);
	return join_words (out);
}

char *
keywords_less (const char *a, const char *b)
{
	return keywords_merge (b, a, NULL);
}

char *
keywords_of_both (const char *a, const char *b)
{
	g_autofree char *only_a = keywords_less (a, b);
	return keywords_less (a, only_a);
}

void
keywords_add (char **keywords, const char *more)
{
	char *all = keywords_merge (NULL, *keywords, more);
	g_free (*keywords);
	*keywords = all;
}
