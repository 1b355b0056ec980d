/* SPDX-License-Identifier: Apache-2.0 */
#include "queue.h"
#include "db.h"
#include "queue-schema.h"
#include <string.h>

#define APPLICATION_ID 0x4f505155 /* "OPQU" */
#define SCHEMA_VERSION 1

struct Queue {
	Db *db;
};

/* ---- Opening ---- */

static gboolean
make (Db *db, GError **error)
{
	g_autofree char *pragmas = g_strdup_printf ("PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID, SCHEMA_VERSION);
	gboolean ok = db_begin (db, error) &&
	              (db_number (db, "PRAGMA user_version", 0, "") > 0 || /* another was faster */
	               (db_exec (db, queue_schema_text, error) && db_exec (db, pragmas, error))) && db_commit (db, error);
	db_rollback (db);
	return ok;
}

Queue *
queue_open (const char *path, gboolean create, GError **error)
{
	g_autoptr (Db) db = db_open (path, FALSE, create, error);
	if (!db || (create && db_number (db, "PRAGMA user_version", 0, "") == 0 && !make (db, error)))
		return NULL;
	if (db_number (db, "PRAGMA application_id", 0, "") != APPLICATION_ID || db_number (db, "PRAGMA user_version", 0, "") != SCHEMA_VERSION) {
		error_fail (error, ERROR_CORRUPT, "%s is no queue of this version of outpostd", path);
		return NULL;
	}
	Queue *q = g_new (Queue, 1);
	q->db = g_steal_pointer (&db);
	return q;
}

void
queue_close (Queue *q)
{
	if (!q)
		return;
	db_close (q->db);
	g_free (q);
}

gboolean
queue_copy (Queue *q, const char *path, GError **error)
{
	return db_copy (q->db, path, NULL, NULL, error);
}

void
queue_message_free (QueueMessage *m)
{
	if (!m)
		return;
	g_free (m->name);
	g_free (m->sender);
	g_free (m->ret);
	g_free (m->envid);
	g_free (m);
}

void
queue_recipient_free (QueueRecipient *r)
{
	if (!r)
		return;
	g_free (r->address);
	g_free (r->notify);
	g_free (r->orcpt);
	g_free (r->said);
	g_free (r);
}

/* ---- Changing ---- */

gboolean
queue_begin (Queue *q, GError **error)
{
	return db_begin (q->db, error);
}

gboolean
queue_commit (Queue *q, GError **error)
{
	return db_commit (q->db, error);
}

void
queue_rollback (Queue *q)
{
	db_rollback (q->db);
}

static gboolean
add (Queue *q, const QueueMessage *m, GBytes *octets, const GPtrArray *recipients, GError **error)
{
	gsize size;
	const void *data = g_bytes_get_data (octets, &size);
	if (!db_run (q->db, "INSERT INTO message (name, sender, utf8, ret, envid, queued, size, octets) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", error,
	             "ssissiib", m->name, m->sender, (gint64) m->utf8, m->ret, m->envid, m->queued, (gint64) size, data, size))
		return FALSE;
	gint64 id = db_last_id (q->db);
	for (guint i = 0; i < recipients->len; i++) {
		const QueueRecipient *r = recipients->pdata[i];
		if (!db_run (q->db, "INSERT INTO recipient (message, sent, address, notify, orcpt, next) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", error, "iisssi", id,
		             (gint64) r->sent, r->address, r->notify, r->orcpt, r->next))
			return FALSE;
	}
	return TRUE;
}

gboolean
queue_add (Queue *q, const QueueMessage *m, GBytes *octets, const GPtrArray *recipients, GError **error)
{
	if (db_in_transaction (q->db))
		return add (q, m, octets, recipients, error);
	gboolean ok = db_begin (q->db, error) && add (q, m, octets, recipients, error) && db_commit (q->db, error);
	db_rollback (q->db);
	return ok;
}

gboolean
queue_forget_recipient (Queue *q, gint64 recipient, GError **error)
{
	return db_run (q->db, "DELETE FROM message WHERE id = (SELECT message FROM recipient WHERE id = ?1) AND NOT EXISTS"
	                      " (SELECT 1 FROM recipient WHERE recipient.message = message.id AND recipient.id <> ?1)", error, "i", recipient) &&
	       db_run (q->db, "DELETE FROM recipient WHERE id = ?1", error, "i", recipient);
}

gboolean
queue_later (Queue *q, gint64 recipient, gint64 next, const char *said, GError **error)
{
	return db_run (q->db, "UPDATE recipient SET next = ?2, said = ?3 WHERE id = ?1", error, "iis", recipient, next, said);
}

#define TRYING "'being tried'"

gboolean
queue_try (Queue *q, gint64 message, gint64 now, gint64 next, GError **error)
{
	return db_run (q->db, "UPDATE recipient SET next = ?3, tries = tries + 1, said = " TRYING " WHERE message = ?1 AND next <= ?2", error, "iii", message, now,
	               next);
}

gboolean
queue_resume (Queue *q, GError **error)
{
	return db_run (q->db, "UPDATE recipient SET next = 0 WHERE said = " TRYING, error, "");
}

static gboolean
no_such (const char *name, GError **error)
{
	return error_fail (error, ERROR_NOT_FOUND, "there is no message %s in the queue: outpostctl queue list", name);
}

gboolean
queue_retry (Queue *q, const char *name, guint *messages_out, GError **error)
{
	gint64 id = name ? db_number (q->db, "SELECT id FROM message WHERE name = ?1", 0, "s", name) : 0;
	if (name && !id)
		return no_such (name, error);
	*messages_out = id ? 1 : (guint) db_number (q->db, "SELECT COUNT (*) FROM message", 0, "");
	return db_run (q->db, "UPDATE recipient SET next = 0 WHERE ?1 = 0 OR message = ?1", error, "i", id);
}

gboolean
queue_delete (Queue *q, const char *name, GError **error)
{
	return db_run (q->db, "DELETE FROM message WHERE name = ?1", error, "s", name) && (db_changes (q->db) || no_such (name, error));
}

/* ---- Looking ---- */

static GArray *
ids_of (Queue *q, DbQuery *query, GError **error)
{
	g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
	int row;
	while ((row = db_step (q->db, query, error)) > 0) {
		gint64 id = db_int (query, 0);
		g_array_append_val (ids, id);
	}
	return row < 0 ? NULL : g_steal_pointer (&ids);
}

GArray *
queue_due (Queue *q, gint64 now, guint limit, GError **error)
{
	return ids_of (q, db_query (q->db, "SELECT message FROM recipient WHERE next <= ?1 GROUP BY message ORDER BY MIN (next), message LIMIT ?2", "ii", now,
	                            (gint64) limit), error);
}

GArray *
queue_messages (Queue *q, GError **error)
{
	return ids_of (q, db_query (q->db, "SELECT id FROM message ORDER BY queued, id", ""), error);
}

gboolean
queue_next (Queue *q, gint64 *next_out, GError **error)
{
	DbQuery *query = db_query (q->db, "SELECT next FROM recipient ORDER BY next LIMIT 1", "");
	int row = db_step (q->db, query, error);
	*next_out = row > 0 ? db_int (query, 0) : G_MAXINT64;
	db_reset (query);
	return row >= 0;
}

static QueueMessage *
message_of (Queue *q, DbQuery *query, GError **error)
{
	if (db_step (q->db, query, error) <= 0)
		return NULL;
	QueueMessage *m = g_new (QueueMessage, 1);
	*m = (QueueMessage){db_int (query, 0), db_dup (query, 1), db_dup (query, 2), db_int (query, 3) != 0, db_dup (query, 4), db_dup (query, 5),
	                    db_int (query, 6), (guint64) db_int (query, 7)};
	db_reset (query);
	return m;
}

#define MESSAGE "SELECT id, name, sender, utf8, ret, envid, queued, size FROM message WHERE "

QueueMessage *
queue_message (Queue *q, gint64 id, GError **error)
{
	return message_of (q, db_query (q->db, MESSAGE "id = ?1", "i", id), error);
}

QueueMessage *
queue_message_by_name (Queue *q, const char *name, GError **error)
{
	GError *local = NULL;
	QueueMessage *m = message_of (q, db_query (q->db, MESSAGE "name = ?1", "s", name), &local);
	if (local)
		g_propagate_error (error, local);
	else if (!m)
		no_such (name, error);
	return m;
}

GPtrArray *
queue_recipients (Queue *q, gint64 message, gint64 before, GError **error)
{
	g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify) queue_recipient_free);
	DbQuery *query = db_query (q->db, "SELECT id, sent, address, notify, orcpt, tries, next, said FROM recipient WHERE message = ?1 AND next <= ?2 ORDER BY id",
	                           "ii", message, before);
	int row;
	while ((row = db_step (q->db, query, error)) > 0) {
		QueueRecipient *r = g_new (QueueRecipient, 1);
		*r = (QueueRecipient){db_int (query, 0), db_int (query, 1) != 0, db_dup (query, 2), db_dup (query, 3), db_dup (query, 4),
		                      (guint) db_int (query, 5), db_int (query, 6), db_dup (query, 7)};
		g_ptr_array_add (all, r);
	}
	return row < 0 ? NULL : g_steal_pointer (&all);
}

GBytes *
queue_octets (Queue *q, gint64 message, GError **error)
{
	DbQuery *query = db_query (q->db, "SELECT octets FROM message WHERE id = ?1", "i", message);
	int row = db_step (q->db, query, error);
	if (row <= 0) {
		if (row == 0)
			error_fail (error, ERROR_NOT_FOUND, "the message is not in the queue any more");
		return NULL;
	}
	gsize size;
	const void *data = db_blob (query, 0, &size);
	GBytes *octets = g_bytes_new (data, size);
	db_reset (query);
	return octets;
}

gboolean
queue_count (Queue *q, QueueCounts *out, GError **error)
{
	DbQuery *query = db_query (q->db, "SELECT (SELECT COUNT (*) FROM message), COUNT (*), IFNULL (SUM (tries > 0), 0), (SELECT IFNULL (SUM (size), 0) FROM message)"
	                                  " FROM recipient", "");
	int row = db_step (q->db, query, error);
	if (row > 0)
		*out = (QueueCounts){(guint64) db_int (query, 0), (guint64) db_int (query, 1), (guint64) db_int (query, 2), (guint64) db_int (query, 3)};
	db_reset (query);
	return row > 0;
}
