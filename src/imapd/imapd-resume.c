/* SPDX-License-Identifier: Apache-2.0 */
/* A session that goes on at another server, where its mailbox is at home now: the change sequence and all ids are the same there, so that what the client was told is a set of UIDs at one number of
 * it. XRESUME is a command between two servers of this version; it is not offered, and not taken from anybody else. */
#include "imapd-private.h"
#include <string.h>

#define TEXT_MAX (256u << 10) /* a folder with so many gaps is selected anew */
#define RANGES_MAX 100000

enum { CONDSTORE = 1, QRESYNC = 2, REV2 = 4, UIDONLY = 8, UTF8 = 16, READ_ONLY = 32, DEFLATED = 64, SELECTED = 128, IDLES = 256 };

static guint
how_of (const ImapdSession *s)
{
	return (s->condstore ? CONDSTORE : 0) | (s->qresync ? QRESYNC : 0) | (s->rev2 ? REV2 : 0) | (s->uidonly ? UIDONLY : 0) | (s->out.utf8 ? UTF8 : 0) |
	       (s->read_only ? READ_ONLY : 0) | (s->deflated ? DEFLATED : 0) | (s->state == STATE_SELECTED ? SELECTED : 0) | (s->expected == EXPECT_DONE ? IDLES : 0);
}

/* As it can be an argument. */
static void
add_text (GString *to, const char *text)
{
	g_autofree char *coded = g_base64_encode ((const guchar *) text, strlen (text));
	g_string_append_printf (to, " \"%s\"", coded);
}

static char *
take_text (const ImapNode *n)
{
	g_autofree char *coded = slice_dup (node_text (n));
	gsize size;
	g_autofree char *text = (char *) g_base64_decode (coded, &size);
	return g_strndup (text, size);
}

static void
add_uids (GString *to, const UidSet *uids)
{
	g_string_append_c (to, ' ');
	for (guint i = 0; i < uids->n_ranges; i++)
		g_string_append_printf (to, "%s%u:%u", i ? "," : "", uids->ranges[i].lo, uids->ranges[i].hi);
	if (!uids->n_ranges)
		g_string_append_c (to, '-');
}

static gboolean
take_uids (const ImapNode *n, UidSet *out)
{
	return slice_equals (node_text (n), "-") || uid_set_take_text (out, node_text (n), RANGES_MAX);
}

char *
session_resume_text (const ImapdSession *s)
{
	if ((s->state != STATE_LOGGED_ON && s->state != STATE_SELECTED) || s->expected == EXPECT_SASL || s->notify || s->upload || s->starting_deflate ||
	    !imap_command_is_between (s->command))
		return NULL;
	g_autoptr (GString) text = g_string_new ("XRESUME");
	g_string_append_printf (text, " %u", how_of (s));
	add_text (text, s->expected == EXPECT_DONE ? s->tag : "");
	if (s->state == STATE_SELECTED) {
		g_string_append_printf (text, " %" G_GINT64_FORMAT " %" G_GUINT64_FORMAT " %u %u", s->view->folder, s->view->modseq, s->view->uidvalidity, s->view->uidnext);
		add_text (text, s->folder);
		g_autofree char *keywords = g_strjoinv (" ", s->view->keywords);
		add_text (text, keywords);
		add_uids (text, &s->view->uids);
		add_uids (text, &s->saved);
	}
	return text->len < TEXT_MAX ? g_string_free (g_steal_pointer (&text), FALSE) : NULL;
}

/* The view as the client knows it, by the newest one. */
static View *
view_of (ImapdSession *s, const ImapNode *at, GError **error)
{
	guint64 folder = node_number (at), modseq = node_number (at = node_next (at)), validity = node_number (at = node_next (at)), uidnext = node_number (at = node_next (at));
	g_auto (UidSet) uids = {0};
	Store *store = session_store (s);
	if (!store || !store_read_begin (store, error))
		return NULL;
	g_autoptr (View) newest = mailbox_view (s->mailbox, store, (gint64) folder, error);
	store_read_end (store);
	const ImapNode *path = node_next (at), *keywords = node_next (path);
	if (!newest || newest->uidvalidity != validity || !take_uids (node_next (keywords), &uids))
		return NULL;
	View *v = view_with (newest, &uids);
	g_autofree char *path_text = take_text (path), *known = take_text (keywords);
	session_set_folder (s, path_text);
	v->modseq = modseq;
	v->uidnext = (guint32) uidnext;
	g_strfreev (v->keywords);
	v->keywords = *known ? g_strsplit (known, " ", -1) : g_new0 (char *, 1);
	return v;
}

void
run_resume (ImapdSession *s)
{
	const ImapNode *how = imap_command_arg (s->command, 0), *tag = node_next (how), *rest = node_next (tag);
	guint64 bits = node_number (how);
	g_autoptr (GError) error = NULL;
	if (!(s->peer.how & IMAPD_SERVER) || s->state != STATE_LOGGED_ON || !tag || (bits & SELECTED && !node_at (imap_command_args (s->command), 9))) {
		session_bad (s, "there is no command XRESUME");
		return;
	}
	View *v = bits & SELECTED ? view_of (s, rest, &error) : NULL;
	if (bits & SELECTED && (!v || !take_uids (node_at (imap_command_args (s->command), 9), &s->saved))) {
		view_unref (v);
		session_no (s, "CANNOT", "%s", error ? error->message : "the folder is another one");
		return;
	}
	if (v)
		session_set_view (s, v);
	s->condstore = bits & CONDSTORE;
	s->qresync = bits & QRESYNC;
	s->rev2 = bits & REV2;
	s->uidonly = bits & UIDONLY;
	s->out.utf8 = bits & UTF8;
	s->read_only = bits & READ_ONLY;
	s->deflated = bits & DEFLATED;
	if (bits & IDLES) {
		s->tag = take_text (tag);
		s->expected = EXPECT_DONE;
	}
	s->resumed = TRUE;
}
