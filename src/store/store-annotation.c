/* SPDX-License-Identifier: Apache-2.0 */
#include "store-private.h"

GBytes *
store_annotation (Store *s, gint64 folder, const char *name, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT value FROM annotation WHERE folder = ?1 AND name = ?2", "is", folder, name);
	gsize size;
	const void *value = db_step (s->db, q, error) > 0 ? db_blob (q, 0, &size) : NULL;
	GBytes *bytes = value ? g_bytes_new (value, size) : NULL;
	db_reset (q);
	return bytes;
}

gboolean
store_set_annotation (Store *s, gint64 folder, const char *name, GBytes *value, GError **error)
{
	g_assert (store_in_transaction (s));
	if (!value)
		return db_run (s->db, "DELETE FROM annotation WHERE folder = ?1 AND name = ?2", error, "is", folder, name);
	gsize size;
	const void *octets = g_bytes_get_data (value, &size);
	return db_run (s->db, "INSERT OR REPLACE INTO annotation (folder, name, value) VALUES (?1, ?2, ?3)", error, "isb", folder, name,
	               octets ? octets : "", size);
}

gboolean
store_each_annotation (Store *s, gint64 folder, AnnotationFn fn, gpointer data, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT name, value FROM annotation WHERE folder = ?1 ORDER BY name", "i", folder);
	int r;
	while ((r = db_step (s->db, q, error)) > 0) {
		gsize size;
		const void *value = db_blob (q, 1, &size);
		fn (data, db_text (q, 0), value, size);
	}
	return r == 0;
}
