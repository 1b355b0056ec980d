/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: made ready by any thread (Prepared), then stored with their thread. A thread is named by its first message; a message
 * that ties two together joins them under the older name, which the younger name's own row then points to. */
#include "store-private.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ---- Prepared ---- */

static Prepared *
prepared_new (guint64 size, gint64 received, int zone)
{
	Prepared *p = g_new0 (Prepared, 1);
	p->fd = -1;
	p->size = size;
	p->received = received;
	p->zone = zone;
	return p;
}

Prepared *
prepare_bytes (GBytes *octets, gint64 received, int zone)
{
	gsize size;
	const char *data = g_bytes_get_data (octets, &size);
	Prepared *p = prepared_new (size, received, zone);
	p->octets = g_bytes_ref (octets);
	digest_of (data ? data : "", size, p->hash);
	prepared_scan (p, data ? data : "", MIN (size, (gsize) CHUNK_SIZE));
	MailScanner *scanner = mail_scanner_new ();
	mail_scanner_feed (scanner, data ? data : "", size);
	prepared_set_structure (p, scanner);
	return p;
}

static gboolean
scan_file (Prepared *p, GError **error)
{
	Digest *d = digest_new ();
	MailScanner *scanner = mail_scanner_new ();
	gboolean ok = TRUE;
	guint64 at = 0;
	do {
		gsize size;
		g_autoptr (GBytes) octets = prepared_read (p, at, CHUNK_SIZE, error);
		const char *data = octets ? g_bytes_get_data (octets, &size) : NULL;
		ok = octets != NULL;
		if (ok && at == 0)
			prepared_scan (p, data ? data : "", size);
		if (ok && data) {
			digest_feed (d, data, size);
			mail_scanner_feed (scanner, data, size);
		}
		at += CHUNK_SIZE;
	} while (ok && at < p->size);
	digest_end (d, p->hash);
	prepared_set_structure (p, scanner);
	return ok;
}

Prepared *
prepare_file (int fd, guint64 size, gint64 received, int zone, GError **error)
{
	g_autoptr (Prepared) p = prepared_new (size, received, zone);
	p->fd = fcntl (fd, F_DUPFD_CLOEXEC, 3);
	if (p->fd < 0) {
		error_set_errno (error, errno, "reading a message");
		return NULL;
	}
	return scan_file (p, error) ? g_steal_pointer (&p) : NULL;
}

void
prepared_free (Prepared *p)
{
	if (!p)
		return;
	g_clear_pointer (&p->octets, g_bytes_unref);
	g_clear_pointer (&p->frame, g_bytes_unref);
	dictionary_unref (p->frame_dictionary);
	g_clear_pointer (&p->structure, g_bytes_unref);
	if (p->fd >= 0)
		close (p->fd);
	g_free (p->message_id);
	g_free (p->subject);
	g_free (p->sender);
	g_free (p->recipients);
	g_free (p);
}

GBytes *
prepared_read (const Prepared *p, guint64 offset, gsize size, GError **error)
{
	g_assert (offset <= p->size);
	size = (gsize) MIN (size, p->size - offset);
	if (p->octets)
		return g_bytes_new_from_bytes (p->octets, (gsize) offset, size);
	g_autofree char *data = g_malloc (size + 1);
	for (gsize got = 0; got < size;) {
		ssize_t n = pread (p->fd, data + got, size - got, (off_t) (offset + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			error_set_errno (error, errno, "reading a message");
		else if (n == 0)
			error_fail (error, ERROR_IO, "a message is shorter than was said");
		if (n <= 0)
			return NULL;
		got += (gsize) n;
	}
	return g_bytes_new_take (g_steal_pointer (&data), size);
}

guint64
prepared_size (const Prepared *p)
{
	return p->size;
}

const char *
prepared_message_id (const Prepared *p)
{
	return p->message_id;
}

const guint8 *
prepared_hash (const Prepared *p)
{
	return p->hash;
}

/* ---- Threads ---- */

static gint64
current_name (Store *s, gint64 thread)
{
	for (int i = 0; i < 100; i++) {
		gint64 next = db_number (s->db, "SELECT thread FROM message WHERE id = ?1", thread, "i", thread);
		if (next == thread)
			break;
		thread = next;
	}
	return thread;
}

static gboolean
join_threads (Store *s, gint64 from, gint64 to, GError **error)
{
	return from == to || db_run (s->db, "UPDATE message SET thread = ?2 WHERE thread = ?1", error, "ii", from, to);
}

/* The thread of the new message @id; its keys lead there from now on. */
static gboolean
find_thread (Store *s, const Prepared *p, gint64 id, gint64 *thread_out, GError **error)
{
	gint64 found[THREAD_KEYS_MAX], known[THREAD_KEYS_MAX], thread = id;
	for (guint i = 0; i < p->n_thread_keys; i++) {
		known[i] = db_number (s->db, "SELECT thread FROM thread_key WHERE key = ?1", 0, "i", p->thread_keys[i]);
		found[i] = known[i] ? current_name (s, known[i]) : 0;
		if (found[i])
			thread = MIN (thread, found[i]);
	}
	for (guint i = 0; i < p->n_thread_keys; i++) {
		if (found[i] && !join_threads (s, found[i], thread, error))
			return FALSE;
		if (known[i] != thread && !db_run (s->db, "INSERT INTO thread_key VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET thread = ?2", error,
		                                   "ii", p->thread_keys[i], thread))
			return FALSE;
	}
	*thread_out = thread;
	return TRUE;
}

/* ---- Storing ---- */

/* AUTOINCREMENT's next number, known before the row is written because the row may name it as its thread. */
static gint64
next_message (Store *s)
{
	if (!s->next_message)
		s->next_message = db_number (s->db, "SELECT seq FROM sqlite_sequence WHERE name = 'message'", 0, "") + 1;
	return s->next_message++;
}

static gboolean
insert_message (Store *s, const Prepared *p, gint64 id, gint64 content, gint64 thread, GError **error)
{
	static const char with_date[] = "INSERT INTO message (id, object_id, content, received, zone, size, thread, message_id, subject, sender,"
	                                " recipients, attachment, digest, structure, sent)"
	                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
	Id128 object = id128_random ();
	gsize n = 0;
	const void *structure = p->structure ? g_bytes_get_data (p->structure, &n) : NULL;
	return db_run (s->db, with_date, error, p->has_sent ? "ibiiIiissssIibi" : "ibiiIiissssIibn", id, object.bytes, (gsize) ID_SIZE, content,
	               p->received, p->zone, (gint64) p->size, thread, p->message_id, p->subject, p->sender, p->recipients, p->attachment != 0,
	               (gint64) p->digest, structure, n, p->sent);
}

gboolean
store_add_message (Store *s, Prepared *p, gint64 folder, gint64 *message_out, GError **error)
{
	g_assert (store_in_transaction (s));
	gint64 content, thread;
	gboolean new;
	if (!content_add (s, p, &content, &new, error))
		return FALSE;
	*message_out = new ? 0 : db_number (s->db, "SELECT id FROM message m WHERE content = ?1 AND received = ?2 AND NOT EXISTS (SELECT 1 FROM"
	                                           " placement p WHERE p.message = m.id AND p.folder = ?3) ORDER BY id LIMIT 1", 0, "iii", content,
	                                    p->received, folder);
	if (*message_out)
		return TRUE;
	*message_out = next_message (s);
	return find_thread (s, p, *message_out, &thread, error) && insert_message (s, p, *message_out, content, thread, error);
}

/* ---- Reading ---- */

void
message_free (Message *m)
{
	if (!m)
		return;
	g_free (m->message_id);
	g_free (m->subject);
	g_free (m->sender);
	g_free (m->recipients);
	g_clear_pointer (&m->structure, g_bytes_unref);
	g_free (m);
}

static Message *
read_message (DbQuery *q)
{
	Message *m = g_new0 (Message, 1);
	gsize n;
	m->id = db_int (q, 0);
	const void *id = db_blob (q, 1, &n);
	memcpy (m->object_id.bytes, id, MIN (n, (gsize) ID_SIZE));
	m->content = db_int (q, 2);
	m->received = db_int (q, 3);
	m->zone = (int) db_int (q, 4);
	m->size = (guint64) db_int (q, 5);
	m->thread = db_int (q, 6);
	m->has_sent = !db_is_null (q, 7);
	m->sent = db_int (q, 7);
	m->message_id = db_dup (q, 8);
	m->subject = db_dup (q, 9);
	m->sender = db_dup (q, 10);
	m->recipients = db_dup (q, 11);
	m->attachment = db_int (q, 12) != 0;
	m->digest = (guint64) db_int (q, 13);
	const void *structure = db_blob (q, 14, &n);
	m->structure = g_bytes_new (structure, n);
	return m;
}

Message *
store_message (Store *s, gint64 id, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT id, object_id, content, received, zone, size, thread, sent, message_id, subject, sender, recipients,"
	                              " attachment, digest, structure FROM message WHERE id = ?1", "i", id);
	int r = db_step (s->db, q, error);
	if (r == 0)
		error_fail (error, ERROR_NOT_FOUND, "there is no message %" G_GINT64_FORMAT, id);
	if (r <= 0)
		return NULL;
	Message *m = read_message (q);
	db_reset (q);
	return m;
}

static gboolean
has_row (Store *s, DbQuery *q, gboolean *has_out, GError **error)
{
	int row = db_step (s->db, q, error);
	*has_out = row > 0;
	db_reset (q);
	return row >= 0;
}

gboolean
store_has_octets (Store *s, const Prepared *p, gboolean *has_out, GError **error)
{
	return has_row (s, db_query (s->db, "SELECT 1 FROM message WHERE content = (SELECT id FROM content WHERE hash = ?1)", "b", p->hash, (gsize) DIGEST_SIZE),
	                has_out, error);
}

gboolean
store_folder_has_id (Store *s, gint64 folder, const char *message_id, gboolean *has_out, GError **error)
{
	static const char sql[] = "SELECT 1 FROM message JOIN placement ON placement.message = message.id WHERE message_id = ?1 AND folder = ?2";
	return has_row (s, db_query (s->db, sql, "si", message_id, folder), has_out, error);
}
