/* SPDX-License-Identifier: Apache-2.0 */
#include "imap-states.h"
#include <string.h>

#define KEYWORDS_LIMIT 200

const ImapNode *
fetch_item (const ImapResponse *r, const char *name)
{
	for (const ImapNode *n = node_first (reply_arg (r, 0)); n; n = node_next (node_next (n)))
		if (slice_equals_ascii_case (node_text (n), name))
			return node_next (n);
	return NULL;
}

const ImapNode *
fetch_body (const ImapResponse *r)
{
	for (const ImapNode *n = node_first (reply_arg (r, 0)); n; n = node_next (node_next (n)))
		if (node_text (n).size > 5 && g_ascii_strncasecmp (node_text (n).data, "BODY[", 5) == 0)
			return node_next (n);
	return NULL;
}

static gint
word_order (gconstpointer a, gconstpointer b)
{
	return strcmp (*(char *const *) a, *(char *const *) b);
}

static char *
keywords_join (GPtrArray *words)
{
	g_ptr_array_sort (words, word_order);
	GString *text = g_string_new (NULL);
	for (guint i = 0; i < words->len; i++)
		if (i == 0 || strcmp (words->pdata[i], words->pdata[i - 1]) != 0)
			g_string_append_printf (text, "%s%s", text->len ? " " : "", (char *) words->pdata[i]);
	return g_string_free (text, FALSE);
}

static void
state_take_flags (RemoteState *state, const ImapNode *flags)
{
	g_autoptr (GPtrArray) words = NULL;
	for (const ImapNode *n = node_first (flags); n; n = node_next (n)) {
		Slice word = node_text (n);
		guint bit = flag_bit (word);
		state->flags |= bit;
		if (bit || word.size == 0 || word.data[0] == '\\' || (words && words->len >= KEYWORDS_LIMIT))
			continue;
		if (!words)
			words = g_ptr_array_new_with_free_func (g_free);
		g_ptr_array_add (words, g_strndup (word.data, word.size));
	}
	if (words)
		state->keywords = keywords_join (words);
}

char *
keywords_of_list (const ImapNode *flags)
{
	RemoteState state = {0};
	state_take_flags (&state, flags);
	return state.keywords;
}

gboolean
state_of_fetch (const ImapResponse *r, RemoteState *state_out)
{
	return fetch_item (r, "UID") && state_of_numbered_fetch (r, (guint32) node_number (fetch_item (r, "UID")), state_out);
}

gboolean
state_of_numbered_fetch (const ImapResponse *r, guint32 uid, RemoteState *state_out)
{
	const ImapNode *flags = fetch_item (r, "FLAGS");
	*state_out = (RemoteState) {.uid = uid};
	if (!uid || !flags)
		return FALSE;
	state_out->modseq = node_number (fetch_item (r, "MODSEQ"));
	state_take_flags (state_out, flags);
	return TRUE;
}

static gint
state_order (gconstpointer a, gconstpointer b)
{
	guint32 x = ((const RemoteState *) a)->uid, y = ((const RemoteState *) b)->uid;
	return (x > y) - (x < y);
}

void
states_sort (GArray *states)
{
	g_array_sort (states, state_order); /* stable: GLib merges */
	guint kept = 0;
	for (guint i = 0; i < states->len; i++) {
		RemoteState *state = &g_array_index (states, RemoteState, i);
		if (i + 1 < states->len && state[1].uid == state->uid) {
			g_clear_pointer (&state->keywords, g_free);
			continue;
		}
		RemoteState moved = *state;
		if (kept != i)
			state->keywords = NULL;
		g_array_index (states, RemoteState, kept++) = moved;
	}
	g_array_set_size (states, kept);
}
