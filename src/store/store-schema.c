/* SPDX-License-Identifier: Apache-2.0 */
/* A store's schema beside the one that is built in. Tables are compared by their columns, since a migrated one has another text than a new
 * one; indexes and the full-text index by their text. */
#include "store-private.h"
#include "schema.h"
#include <string.h>

/* The shape of everything but SQLite's own, in the order of making. A virtual table is not asked for its columns: it may be damaged. */
static const char shapes[] =
	"SELECT name, type, sql, CASE WHEN type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' THEN (SELECT group_concat (c, ', ') FROM (SELECT name"
	" || ' ' || type || ' ' || \"notnull\" || ' ' || pk AS c FROM pragma_table_xinfo (s.name) ORDER BY name)) ELSE sql END"
	" FROM sqlite_schema s WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY rowid";

typedef struct {
	char *name, *type, *sql, *shape;
} Object;

static void
object_free (Object *o)
{
	g_free (o->name);
	g_free (o->type);
	g_free (o->sql);
	g_free (o->shape);
	g_free (o);
}

void
schema_difference_free (SchemaDifference *d)
{
	g_free (d->name);
	g_free (d->text);
	g_free (d->mend);
	g_free (d);
}

/* Without what does not matter: blanks and comments. */
static char *
squeezed (const char *sql)
{
	GString *out = g_string_new (NULL);
	for (; *sql; sql++)
		if (sql[0] == '-' && sql[1] == '-')
			sql += strcspn (sql, "\n") - (strchr (sql, '\n') == NULL);
		else if (!g_ascii_isspace (*sql))
			g_string_append_c (out, *sql);
	return g_string_free (out, FALSE);
}

static GPtrArray *
read_shapes (sqlite3 *db)
{
	g_autoptr (GPtrArray) objects = g_ptr_array_new_with_free_func ((GDestroyNotify) object_free);
	sqlite3_stmt *q;
	int code = sqlite3_prepare_v2 (db, shapes, -1, &q, NULL);
	while (code == SQLITE_OK && sqlite3_step (q) == SQLITE_ROW) {
		Object *o = g_new0 (Object, 1);
		o->name = g_strdup ((const char *) sqlite3_column_text (q, 0));
		o->type = g_strdup ((const char *) sqlite3_column_text (q, 1));
		o->sql = g_strdup ((const char *) sqlite3_column_text (q, 2));
		o->shape = squeezed (sqlite3_column_type (q, 3) == SQLITE_NULL ? "" : (const char *) sqlite3_column_text (q, 3));
		g_ptr_array_add (objects, o);
	}
	code = sqlite3_finalize (q);
	return code == SQLITE_OK ? g_steal_pointer (&objects) : NULL;
}

static GPtrArray *
built_in_shapes (void)
{
	sqlite3 *memory;
	GPtrArray *objects = NULL;
	if (sqlite3_open (":memory:", &memory) == SQLITE_OK && sqlite3_exec (memory, schema_text, NULL, NULL, NULL) == SQLITE_OK)
		objects = read_shapes (memory);
	sqlite3_close (memory);
	return objects;
}

static const Object *
find (const GPtrArray *objects, const char *name)
{
	for (guint i = 0; i < objects->len; i++)
		if (strcmp (((const Object *) objects->pdata[i])->name, name) == 0)
			return objects->pdata[i];
	return NULL;
}

static void G_GNUC_PRINTF (5, 6)
add (GPtrArray *differences, const Object *o, gboolean essential, char *mend, const char *format, ...)
{
	va_list args;
	SchemaDifference *d = g_new0 (SchemaDifference, 1);
	va_start (args, format);
	d->text = g_strdup_vprintf (format, args);
	va_end (args);
	d->name = g_strdup (o->name);
	d->essential = essential;
	d->full_text = g_str_has_prefix (o->name, "fts");
	d->mend = d->full_text ? NULL : g_steal_pointer (&mend);
	g_free (mend);
	g_ptr_array_add (differences, d);
}

static void
compare (GPtrArray *differences, const Object *o, const Object *here)
{
	gboolean table = strcmp (o->type, "table") == 0;
	if (!here)
		add (differences, o, table, g_strdup (o->sql), "%s %s is missing", o->type, o->name);
	else if (strcmp (here->shape, o->shape) == 0)
		return;
	else if (table)
		add (differences, o, TRUE, NULL, "table %s has other columns", o->name);
	else
		add (differences, o, FALSE, g_strdup_printf ("DROP INDEX \"%s\"; %s", o->name, o->sql), "index %s is another one", o->name);
}

gboolean
schema_differences (Store *s, GPtrArray *differences, GError **error)
{
	g_autoptr (GPtrArray) wanted = built_in_shapes (), there = read_shapes (db_handle (s->db));
	if (!there)
		return db_fail (s->db, "reading the schema", error);
	g_assert (wanted);
	for (guint i = 0; i < wanted->len; i++) {
		const Object *o = wanted->pdata[i];
		compare (differences, o, find (there, o->name));
	}
	for (guint i = 0; i < there->len; i++) {
		const Object *o = there->pdata[i];
		if (strcmp (o->type, "trigger") == 0) /* it changes what is written */
			add (differences, o, FALSE, g_strdup_printf ("DROP TRIGGER \"%s\"", o->name), "trigger %s does not belong here", o->name);
	}
	return TRUE;
}

/* Rows that a unique index forbids came while it was missing. */
static gboolean
part_equals (Db *db, const char *index, GError **error)
{
	static const struct {
		const char *index, *sql;
	} rows[] = {
		{"folder_name", "UPDATE folder SET name = name || ' (' || id || ')' WHERE id NOT IN (SELECT MIN (id) FROM folder GROUP BY IFNULL (parent, 0), name)"},
		{"placement_uid", /* a negative UID is none: the next round of the check gives new ones */
		 "UPDATE placement SET uid = -id WHERE id NOT IN (SELECT MIN (id) FROM placement GROUP BY folder, uid)"},
		{"placement_binding_uid",
		 "UPDATE folder_binding SET complete = 0 WHERE folder IN (SELECT folder FROM placement_binding GROUP BY folder, remote_uid HAVING COUNT (*) > 1);"
		 "DELETE FROM placement_binding WHERE placement NOT IN (SELECT MIN (placement) FROM placement_binding GROUP BY folder, remote_uid)"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
		if (strcmp (rows[i].index, index) == 0)
			return db_exec (db, rows[i].sql, error);
	return TRUE;
}

gboolean
schema_mend (Store *s, const SchemaDifference *d, GError **error)
{
	gboolean ok = db_begin (s->db, error) && part_equals (s->db, d->name, error) && db_exec (s->db, d->mend, error) && db_commit (s->db, error);
	db_rollback (s->db);
	return ok;
}
