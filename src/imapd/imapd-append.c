/* SPDX-License-Identifier: Apache-2.0 */
/* APPEND (RFC 9051 section 6.3.12, RFC 3502, RFC 4469) and REPLACE (RFC 8508): the messages are taken as they come, small ones in memory, big ones in an unlinked file, and
 * stored together when the command is whole. */
#include "imapd-private.h"
#include "imapd-section.h"
#include "imapd-url.h"
#include "imap-text.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define IN_MEMORY (1u << 20)
#define MESSAGES_MAX 1000 /* of one command */
#define PIECE (256u << 10)
#define URL_SHOWN 200

typedef struct {
	GByteArray *octets;
	int fd; /* -1: in octets */
	guint64 size;
} Part;

struct Upload {
	GArray *parts; /* of Part, one for each NODE_STREAM */
	guint64 composed; /* octets that CATENATE made */
	guint64 room; /* octets of the mailbox's quota that are left for what comes */
	gboolean failed; /* there was no room for it; told at the end, since the client is sending */
};

static void
part_done (Part *p)
{
	g_byte_array_unref (p->octets);
	if (p->fd >= 0)
		close (p->fd);
}

void
upload_free (Upload *u)
{
	if (!u)
		return;
	g_array_unref (u->parts);
	g_free (u);
}

static Upload *
upload_new (void)
{
	Upload *u = g_new0 (Upload, 1);
	u->parts = g_array_new (FALSE, FALSE, sizeof (Part));
	g_array_set_clear_func (u->parts, (GDestroyNotify) part_done);
	return u;
}

/* REPLACE has the message's number before the folder's name. */
static const ImapNode *
folder_arg (const ImapdSession *s)
{
	return imap_command_arg (s->command, imap_command_is (s->command, "REPLACE") ? 1 : 0);
}

/* NULL with the answer set. */
static Folder *
target (ImapdSession *s, Store *store)
{
	g_autoptr (Folder) f = session_selectable (s, store, folder_arg (s), "TRYCREATE");
	if (f && f->local_only) {
		session_no (s, "CANNOT", "folder '%s' is kept here only and holds outpost's own reports", f->path);
		return NULL;
	}
	return g_steal_pointer (&f);
}

/* What REPLACE removes is not known yet. */
static gboolean
look_at_quota (ImapdSession *s, Store *store)
{
	Quota q;
	if (!quota_begin (s, store, &q))
		return FALSE;
	s->upload->room = imap_command_is (s->command, "REPLACE") ? G_MAXUINT64 : quota_room (&q);
	return TRUE;
}

/* For the message that is announced: nobody needs to send it in vain. */
static gboolean
has_room (ImapdSession *s)
{
	guint64 size = imap_command_literal_size (s->command), *room = &s->upload->room;
	if (size > *room)
		return session_no (s, "OVERQUOTA", "there is no room for it in the mailbox: remove something first");
	*room -= *room == G_MAXUINT64 ? 0 : size;
	return TRUE;
}

gboolean
append_begin (ImapdSession *s)
{
	const ImapNode *name = folder_arg (s);
	const Part part = {.octets = g_byte_array_new (), .fd = -1};
	if (!s->upload)
		s->upload = upload_new ();
	g_array_append_val (s->upload->parts, part);
	if (s->upload->parts->len > MESSAGES_MAX)
		return session_no (s, "LIMIT", "at most %d messages at once", MESSAGES_MAX);
	if (s->upload->parts->len > 1)
		return has_room (s);
	if (!node_is_astring (name))
		return session_bad (s, "a folder's name is expected");
	Store *store = session_store (s);
	g_autoptr (Folder) f = store ? target (s, store) : NULL;
	gboolean ok = f && look_at_quota (s, store);
	mailbox_give_store (s->mailbox, g_steal_pointer (&s->store)); /* the client may take its time */
	return ok && has_room (s);
}

static gboolean
spool (Part *p, const void *octets, gsize size)
{
	while (size > 0) {
		ssize_t n = write (p->fd, octets, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return FALSE;
		octets = (const char *) octets + n;
		size -= (gsize) n;
	}
	return TRUE;
}

static gboolean
to_file (Part *p)
{
	g_autofree char *name = NULL;
	p->fd = g_file_open_tmp ("outpost-append-XXXXXX", &name, NULL);
	if (p->fd < 0)
		return FALSE;
	unlink (name);
	gboolean ok = spool (p, p->octets->data, p->octets->len);
	g_byte_array_set_size (p->octets, 0);
	return ok;
}

static gboolean
part_add (Part *p, const void *octets, gsize size)
{
	p->size += size;
	if (p->fd < 0 && p->size > IN_MEMORY && !to_file (p))
		return FALSE;
	if (p->fd >= 0)
		return spool (p, octets, size);
	g_byte_array_append (p->octets, octets, (guint) size);
	return TRUE;
}

gboolean
append_octets (ImapdSession *s, Slice octets)
{
	Upload *u = s->upload;
	Part *p = &g_array_index (u->parts, Part, u->parts->len - 1);
	u->failed = u->failed || !part_add (p, octets.data, octets.size);
	return !u->failed;
}

/* ---- CATENATE (RFC 4469) ---- */

/* What one command makes of other messages has the limit of one message. FALSE with the answer set. */
static gboolean
compose (ImapdSession *s, Part *p, const void *octets, gsize size)
{
	s->upload->composed += size;
	if (s->upload->composed > session_message_max (s))
		return session_no (s, "TOOBIG", "a message may have %" G_GUINT64_FORMAT " octets", session_message_max (s));
	return part_add (p, octets, size) || session_no (s, "OVERQUOTA", "there is no room for the message");
}

static gboolean
compose_text (ImapdSession *s, Part *p, const Part *text)
{
	char octets[64u << 10];
	if (text->fd < 0)
		return compose (s, p, text->octets->data, text->octets->len);
	for (guint64 at = 0; at < text->size;) {
		ssize_t n = pread (text->fd, octets, sizeof octets, (off_t) at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return session_no (s, "SERVERBUG", "what was sent can't be read again");
		if (!compose (s, p, octets, (gsize) n))
			return FALSE;
		at += (guint64) n;
	}
	return TRUE;
}

/* Of the URL, what may stand in a response code. */
static gboolean
bad_url (ImapdSession *s, Slice url, const char *why)
{
	g_autofree char *text = g_strndup (url.data, MIN (url.size, URL_SHOWN));
	for (char *c = text; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == ']')
			*c = '?';
	g_autofree char *code = g_strconcat ("BADURL ", text, NULL);
	return session_no (s, code, "%s", why);
}

static gboolean
compose_section (ImapdSession *s, Store *store, Part *p, Slice url, const Section *sec, Source *source)
{
	GError *error = NULL;
	guint64 from, to;
	g_autoptr (GBytes) made = NULL;
	gboolean found;
	if (!section_find (sec, source, &from, &to, &made, &found, &error))
		return session_fail (s, error);
	if (!found)
		return bad_url (s, url, "the message has no such part");
	if (made)
		to = g_bytes_get_size (made);
	if (sec->partial) {
		from = MIN (from + sec->from, to);
		to = MIN (from + sec->size, to);
	}
	if (made)
		return compose (s, p, (const char *) g_bytes_get_data (made, NULL) + from, (gsize) (to - from));
	for (; from < to; from += PIECE) {
		g_autoptr (GBytes) piece = store_read (store, source->message, from, (gsize) MIN (to - from, (guint64) PIECE), &error);
		if (!piece)
			return session_fail (s, error);
		if (!compose (s, p, g_bytes_get_data (piece, NULL), g_bytes_get_size (piece)))
			return FALSE;
	}
	return TRUE;
}

static gboolean
compose_url (ImapdSession *s, Part *p, Slice url)
{
	g_auto (Url) u = {0};
	GError *error = NULL;
	Store *store = session_store (s);
	if (!store)
		return FALSE;
	if (!url_parse (url, &u))
		return bad_url (s, url, "a message of this mailbox is named /FOLDER/;UID=N, with /;SECTION=... and /;PARTIAL=... behind it");
	g_autoptr (Folder) f = store_folder_by_path (store, u.folder, &error);
	g_autoptr (Placement) at = f && (!u.uidvalidity || u.uidvalidity == f->uidvalidity) ? store_placement_by_uid (store, f->id, u.uid, &error) : NULL;
	g_autoptr (Message) m = at ? store_message (store, at->message, &error) : NULL;
	if (!m) {
		gboolean unknown = !error || error_is (error, ERROR_NOT_FOUND);
		g_autoptr (GError) e = unknown ? error : NULL;
		return unknown ? bad_url (s, url, e ? e->message : "the folder has another UIDVALIDITY") : session_fail (s, error);
	}
	g_auto (Source) source = {.store = store, .message = m->id, .size = m->size, .kept = m->structure};
	return compose_section (s, store, p, url, &u.section, &source);
}

/* Of the next NODE_STREAM: there is one for each. */
static Part *
sent_part (ImapdSession *s, guint *part)
{
	g_assert (s->upload && *part < s->upload->parts->len);
	return &g_array_index (s->upload->parts, Part, (*part)++);
}

/* CATENATE (URL "/INBOX/;UID=1" TEXT {n} ...): *text counts the texts that were sent. */
static gboolean
catenate (ImapdSession *s, const ImapNode *list, guint *text, Part *out)
{
	if (!s->upload)
		s->upload = upload_new ();
	if (!list || list->kind != NODE_LIST || node_count (list) == 0)
		return session_bad (s, "CATENATE wants texts and URLs");
	for (const ImapNode *n = node_first (list); n; n = node_next (n)) {
		const ImapNode *what = n;
		n = node_next (n);
		if (node_is_word (what, "URL") && node_is_astring (n)) {
			if (!compose_url (s, out, node_text (n)))
				return FALSE;
		} else if (!node_is_word (what, "TEXT") || !n || n->kind != NODE_STREAM)
			return session_bad (s, "CATENATE wants texts and URLs");
		else if (!compose_text (s, out, sent_part (s, text)))
			return FALSE;
	}
	return TRUE;
}

/* ---- Storing ---- */

typedef struct {
	guint flags;
	char *keywords;
	Prepared *prepared;
} NewMessage;

static void
new_message_done (NewMessage *m)
{
	g_free (m->keywords);
	prepared_free (m->prepared);
}

static gboolean
prepare (ImapdSession *s, Part *p, gint64 received, int zone, Prepared **out)
{
	GError *error = NULL;
	if (p->size == 0)
		return session_bad (s, "the message is empty");
	g_autoptr (GBytes) octets = g_byte_array_free_to_bytes (g_steal_pointer (&p->octets));
	p->octets = g_byte_array_new ();
	*out = p->fd < 0 ? prepare_bytes (octets, received, zone) : prepare_file (p->fd, p->size, received, zone, &error);
	return *out || session_fail (s, error);
}

/* The message and what stands before it: [flags] [date] octets, or UTF8 (octets) or CATENATE (...) in place of the octets. *part counts what was sent. */
static gboolean
take_message (ImapdSession *s, const ImapNode **at, guint *part, NewMessage *m)
{
	const ImapNode *n = *at;
	gint64 received = g_get_real_time () / G_USEC_PER_SEC;
	int zone = 0;
	if (n && n->kind == NODE_LIST) {
		if (!flags_parse (s, n, &m->flags, &m->keywords))
			return FALSE;
		n = node_next (n);
	}
	if (n && n->kind == NODE_STRING) {
		if (!date_parse (node_text (n), &received, &zone))
			return session_bad (s, "this is no date");
		n = node_next (n);
	}
	if (node_is_word (n, "CATENATE")) {
		Part whole = {.octets = g_byte_array_new (), .fd = -1};
		*at = node_next (node_next (n));
		gboolean ok = catenate (s, node_next (n), part, &whole) && prepare (s, &whole, received, zone, &m->prepared);
		part_done (&whole);
		return ok;
	}
	gboolean utf8 = node_is_word (n, "UTF8");
	if (utf8)
		n = node_next (n);
	const ImapNode *stream = utf8 ? node_first (n) : n;
	if (!stream || stream->kind != NODE_STREAM || (utf8 && node_next (stream)))
		return session_bad (s, "a message is expected");
	*at = node_next (n);
	return prepare (s, sent_part (s, part), received, zone, &m->prepared);
}

static GArray *
take_messages (ImapdSession *s)
{
	g_autoptr (GArray) messages = g_array_new (FALSE, TRUE, sizeof (NewMessage));
	g_array_set_clear_func (messages, (GDestroyNotify) new_message_done);
	const ImapNode *n = node_next (folder_arg (s));
	guint part = 0;
	while (n && messages->len < MESSAGES_MAX) {
		NewMessage m = {0};
		gboolean ok = take_message (s, &n, &part, &m);
		g_array_append_val (messages, m);
		if (!ok)
			return NULL;
	}
	if (messages->len > 0 && !n && (messages->len == 1 || !imap_command_is (s->command, "REPLACE")))
		return g_steal_pointer (&messages);
	if (n)
		session_no (s, "LIMIT", "at most %d messages at once", MESSAGES_MAX);
	else
		session_bad (s, "%s", messages->len ? "REPLACE takes one message" : "a folder and messages are expected");
	return NULL;
}

static gboolean
add_messages (Store *store, gint64 folder, const GArray *messages, ImapSet *uids, GError **error)
{
	for (guint i = 0; i < messages->len; i++) {
		const NewMessage *m = &g_array_index (messages, NewMessage, i);
		gint64 message, id;
		if (!store_add_message (store, m->prepared, folder, &message, error) ||
		    !store_place (store, folder, message, m->flags, m->keywords, TRUE, 0, &id, error))
			return FALSE;
		g_autoptr (Placement) p = store_placement (store, id, error);
		if (!p)
			return FALSE;
		imap_set_append (uids, p->uid);
	}
	return TRUE;
}

typedef struct {
	gint64 folder;
	const GArray *messages;
	const Quota *quota;
	gint64 selected;  /* folder of the message that is replaced */
	guint32 replaced; /* its UID; 0: none is */
	ImapSet uids;     /* out */
} Addition;

static void
addition_clear (Addition *a)
{
	imap_set_clear (&a->uids);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Addition, addition_clear)

static gboolean
remove_replaced (Store *store, const Addition *a, GError **error)
{
	g_autoptr (Placement) p = store_placement_by_uid (store, a->selected, a->replaced, error);
	return p && store_remove (store, p->id, "here", error);
}

static gboolean
make_addition (Store *store, gpointer data, GError **error)
{
	Addition *a = data;
	imap_set_clear (&a->uids);
	return (!a->replaced || remove_replaced (store, a, error)) && add_messages (store, a->folder, a->messages, &a->uids, error) &&
	       quota_check (store, a->quota, error);
}

/* Into @f. FALSE with the answer set. */
static gboolean
add (ImapdSession *s, const Folder *f, Addition *a)
{
	Quota q;
	guint64 octets = 0;
	for (guint i = 0; i < a->messages->len; i++)
		octets += prepared_size (g_array_index (a->messages, NewMessage, i).prepared);
	if (!quota_begin (s, s->store, &q))
		return FALSE;
	a->folder = f->id;
	a->quota = &q;
	return session_change (s, octets, make_addition, a);
}

static GArray *
uploaded (ImapdSession *s)
{
	if (!s->upload || !s->upload->failed)
		return take_messages (s);
	session_no (s, "OVERQUOTA", "there is no room for the message");
	return NULL;
}

/* The one message that REPLACE names: 0 with the answer set. */
static guint32
replaced_uid (ImapdSession *s)
{
	g_auto (UidSet) uids = {0};
	if (s->read_only) {
		session_no (s, "NOPERM", "the folder was opened for reading only");
		return 0;
	}
	if (!session_uids (s, imap_command_arg (s->command, 0), imap_command_is_uid (s->command), &uids))
		return 0;
	if (uid_set_count (&uids) != 1) {
		session_bad (s, "REPLACE wants one message's number");
		return 0;
	}
	return uid_set_max (&uids);
}

void
run_replace (ImapdSession *s)
{
	g_autoptr (GArray) messages = uploaded (s);
	g_auto (Addition) a = {.messages = messages, .replaced = messages ? replaced_uid (s) : 0};
	Store *store = a.replaced ? session_store (s) : NULL;
	g_autoptr (Folder) f = store ? target (s, store) : NULL;
	if (!f)
		return;
	a.selected = s->view->folder;
	if (add (s, f, &a)) /* RFC 8508 section 3.4: before the old one vanishes */
		imap_write_appenduid (&s->out, NULL, f->uidvalidity, &a.uids, "replaced");
}

void
run_append (ImapdSession *s)
{
	g_autoptr (GArray) messages = uploaded (s);
	g_auto (Addition) a = {.messages = messages};
	Store *store = messages ? session_store (s) : NULL;
	g_autoptr (Folder) f = store ? target (s, store) : NULL;
	if (!f || !add (s, f, &a))
		return;
	g_string_printf (s->code, "APPENDUID %u ", f->uidvalidity);
	imap_set_format (&a.uids, s->code);
}
