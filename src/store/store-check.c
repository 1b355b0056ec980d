/* SPDX-License-Identifier: Apache-2.0 */
/* Verifies what a store can know about itself, and mends what can be mended without losing a message.
 *
 * Two passes. The first only reads, in one snapshot: the schema, SQLite's own check, then one rule after the other (a rule is SQL that
 * answers one line of text a finding), then every content. A damaged page fails the rule that meets it, not the others. The second pass mends what
 * was found, each rule in a transaction of its own, and then puts the derived counts right. What is damaged here and whole at home is
 * forgotten here, so that the next run downloads it again. */
#include "store-private.h"
#include <string.h>

#define LINES_MAX 20 /* of one kind; what is more is counted */
#define MENDS_MAX 6
#define ROUNDS 4 /* the first one may be spent on the schema */

typedef struct {
	const char *find;            /* rows of one text; NULL: found in C */
	const char *mend[MENDS_MAX]; /* ?1: the modseq of the mending, where it changes a folder or a placement */
	const char *told;            /* what mending did */
	gboolean takes_modseq;
} Rule;

/* The folders of these placements are to be compared with home as a whole by the next run. */
#define INCOMPLETE(folders) "UPDATE folder_binding SET complete = 0 WHERE folder IN (" folders ")"

#define NO_THREAD "thread NOT BETWEEN 1 AND IFNULL ((SELECT seq FROM sqlite_sequence WHERE name = 'message'), 0)" /* its first member may be gone */
#define NO_MESSAGE "NOT EXISTS (SELECT 1 FROM message m WHERE m.id = placement.message)"
#define NO_FOLDER "NOT EXISTS (SELECT 1 FROM folder f WHERE f.id = placement.folder)"
#define NO_PLACEMENT(table) "NOT EXISTS (SELECT 1 FROM placement p WHERE p.id = " table ".placement)"
#define HIGHEST_MODSEQ "(SELECT MAX (n) FROM (SELECT MAX (modseq) AS n FROM placement UNION ALL SELECT MAX (modseq) FROM removal UNION ALL" \
                       " SELECT MAX (modseq) FROM folder_removal UNION ALL SELECT MAX (pushed_modseq) FROM folder_binding UNION ALL" \
                       " SELECT MAX (MAX (modseq, created_modseq, changed_modseq)) FROM folder))"
#define HIGHEST_UID "(SELECT IFNULL (MAX (n), 0) FROM (SELECT MAX (uid) AS n FROM placement WHERE folder = folder.id UNION ALL" \
                    " SELECT MAX (hi) FROM removal WHERE removal.folder = folder.id))"
#define HIGHEST_CHANGE "(SELECT IFNULL (MAX (n), 0) FROM (SELECT MAX (p.modseq) AS n FROM placement p WHERE p.folder = folder.id UNION ALL" \
                       " SELECT MAX (r.modseq) FROM removal r WHERE r.folder = folder.id UNION ALL SELECT folder.modseq))"
#define LOST_FOLDER "NOT EXISTS (SELECT 1 FROM folder f WHERE f.id = folder_binding.folder) AND NOT EXISTS (SELECT 1 FROM folder_removal r" \
                    " WHERE r.folder = folder_binding.folder)"
#define COUNTED(condition) "(SELECT COUNT (*) FROM placement p WHERE p.folder = folder.id" condition ")"
#define UNUSABLE_UID "(uid < 1 OR uid > 4294967294 OR EXISTS (SELECT 1 FROM removal r WHERE r.folder = placement.folder AND" \
                     " placement.uid BETWEEN r.lo AND r.hi))"
#define UNKNOWN_TO_HOME "(SELECT role FROM meta) = 'replica' AND folder IN (SELECT b.folder FROM folder_binding b JOIN folder f ON f.id = b.folder WHERE f.local_only = 0) AND" \
                        " NOT EXISTS (SELECT 1 FROM placement_binding b WHERE b.placement = placement.id) AND" \
                        " NOT EXISTS (SELECT 1 FROM pending n WHERE n.placement = placement.id)"
#define NOT_TOLD NO_PLACEMENT ("pending") " AND (message IS NULL OR watermark = 0 OR NOT EXISTS (SELECT 1 FROM message m WHERE m.id = pending.message))"
#define UP "WITH RECURSIVE up (start, at) AS (SELECT id, parent FROM folder WHERE parent IS NOT NULL UNION" \
           " SELECT up.start, f.parent FROM up JOIN folder f ON f.id = up.at WHERE f.parent IS NOT NULL) "
#define FIRST_OF_CYCLE "id IN (SELECT start FROM up WHERE start = at) AND NOT EXISTS (SELECT 1 FROM up WHERE start = folder.id AND at < start)"
#define TO_THE_TOP "UPDATE folder SET parent = NULL, modseq = ?1, name = CASE WHEN EXISTS (SELECT 1 FROM folder o WHERE o.parent IS NULL AND" \
                   " o.id != folder.id AND o.name = folder.name) THEN name || ' (' || id || ')' ELSE name END WHERE "
/* What FTS5 itself writes for an empty index, since it may refuse to open a damaged one; then its own word, so that it takes notice. */
#define EMPTY_INDEX "DELETE FROM fts_data", "DELETE FROM fts_idx", "INSERT INTO fts_data VALUES (1, x''), (10, x'00000000000000')", \
                    "INSERT INTO fts (fts) VALUES ('delete-all')", "UPDATE meta SET indexed_message = 0"
#define CHUNKS "((size + 1048575) / 1048576)"

static const Rule rules[] = {
	/* The store */
	{"SELECT 'the mailbox id is damaged' FROM meta WHERE length (mailbox_id) != 16 UNION ALL"
	 " SELECT 'the store''s identity is gone' WHERE NOT EXISTS (SELECT 1 FROM meta)",
	 {"UPDATE meta SET mailbox_id = randomblob (16) WHERE length (mailbox_id) != 16",
	  "INSERT INTO meta (id, mailbox_id, role, created, modseq, indexed_message) SELECT 1, randomblob (16), 'replica',"
	  " CAST (strftime ('%s') AS INTEGER), 1, -1 WHERE NOT EXISTS (SELECT 1 FROM meta)"},
	 "the mailbox got a new id"},
	{"SELECT printf ('the role ''%s'' is unknown', role) FROM meta WHERE role NOT IN ('replica', 'home', 'moved')"},
	{"SELECT printf ('the counter of the change sequence is %d, but there are changes up to %d', modseq, " HIGHEST_MODSEQ ")"
	 " FROM meta WHERE modseq < " HIGHEST_MODSEQ, {"UPDATE meta SET modseq = " HIGHEST_MODSEQ}, "the counter was raised"},
	{"SELECT printf ('table %s would use ids again: next %d, highest %d', name, seq + 1, highest) FROM ("
	 "SELECT t.name, t.highest, IFNULL (s.seq, 0) AS seq FROM (SELECT 'folder' AS name, MAX (id) AS highest FROM folder UNION ALL"
	 " SELECT 'message', MAX (id) FROM message UNION ALL SELECT 'placement', MAX (IFNULL ((SELECT MAX (id) FROM placement), 0),"
	 " IFNULL ((SELECT MAX (placement) FROM placement_binding), 0))) t LEFT JOIN sqlite_sequence s ON s.name = t.name)"
	 " WHERE seq < highest",
	 {"INSERT INTO sqlite_sequence (name, seq) SELECT t.name, 0 FROM (SELECT 'folder' AS name UNION SELECT 'message' UNION"
	  " SELECT 'placement') t WHERE t.name NOT IN (SELECT name FROM sqlite_sequence)",
	  "UPDATE sqlite_sequence SET seq = MAX (seq, IFNULL ((SELECT MAX (id) FROM folder), 0)) WHERE name = 'folder'",
	  "UPDATE sqlite_sequence SET seq = MAX (seq, IFNULL ((SELECT MAX (id) FROM message), 0)) WHERE name = 'message'",
	  "UPDATE sqlite_sequence SET seq = MAX (seq, IFNULL ((SELECT MAX (id) FROM placement), 0),"
	  " IFNULL ((SELECT MAX (placement) FROM placement_binding), 0)) WHERE name = 'placement'"}, "the next ids were raised"},
	{"SELECT printf ('messages are said to be indexed up to %d, but the last one is %d', indexed_message, last) FROM (SELECT indexed_message,"
	 " IFNULL ((SELECT seq FROM sqlite_sequence WHERE name = 'message'), 0) AS last FROM meta) WHERE indexed_message > last OR indexed_message < 0",
	 {EMPTY_INDEX}, "the full-text index was emptied: it is built anew"},

	/* Folders */
	{"SELECT printf ('folder %d is bound to %s, but is not there and was not removed', folder, CAST (remote_name AS TEXT)) FROM folder_binding"
	 " WHERE " LOST_FOLDER,
	 {"INSERT OR IGNORE INTO folder (id, object_id, parent, name, uidvalidity, created_modseq, modseq, changed_modseq) SELECT folder, randomblob (16),"
	  " base_parent, base_name, CAST (strftime ('%s') AS INTEGER) + folder, ?1, ?1, ?1 FROM folder_binding WHERE " LOST_FOLDER,
	  "DELETE FROM folder_binding WHERE " LOST_FOLDER},
	 "folders that are not there were made again from what the home calls them", TRUE},
	{"SELECT printf ('folder %d (%s) lies below folder %d, which is not there', id, name, parent) FROM folder WHERE parent IS NOT NULL AND"
	 " NOT EXISTS (SELECT 1 FROM folder o WHERE o.id = folder.parent)",
	 {TO_THE_TOP "parent IS NOT NULL AND NOT EXISTS (SELECT 1 FROM folder o WHERE o.id = folder.parent)"},
	 "folders without a parent were moved to the top", TRUE},
	{UP "SELECT printf ('folder %d (%s) lies below itself', id, name) FROM folder WHERE " FIRST_OF_CYCLE,
	 {UP TO_THE_TOP FIRST_OF_CYCLE}, "folders below themselves were moved to the top", TRUE},
	{"SELECT printf ('folder %s has a damaged id', path (id)) FROM folder WHERE length (object_id) != 16",
	 {"UPDATE folder SET object_id = randomblob (16), modseq = ?1 WHERE length (object_id) != 16"}, "folders got new ids", TRUE},
	{"SELECT printf ('folder %s has the UIDVALIDITY %d', path (id), uidvalidity) FROM folder WHERE uidvalidity < 1 OR uidvalidity > 4294967295",
	 {"UPDATE folder SET modseq = ?1, uidvalidity = MAX (CAST (strftime ('%s') AS INTEGER), (SELECT IFNULL (MAX (o.uidvalidity), 0) + 1"
	  " FROM folder o WHERE o.uidvalidity < 4294967295)) WHERE uidvalidity < 1 OR uidvalidity > 4294967295"},
	 "folders got new UIDVALIDITYs", TRUE},
	{"SELECT printf ('the next UIDVALIDITY is below that of folder %s', path (id)) FROM folder WHERE uidvalidity ="
	 " (SELECT MAX (uidvalidity) FROM folder) AND uidvalidity > IFNULL ((SELECT CAST (value AS INTEGER) FROM setting WHERE name = 'uidvalidity'), 0)"
	 " LIMIT 1", {"INSERT OR REPLACE INTO setting SELECT 'uidvalidity', CAST (MAX (uidvalidity) AS TEXT) FROM folder HAVING COUNT (*) > 0"},
	 "the next UIDVALIDITY was raised"},

	/* Contents */
	{"SELECT printf ('content %d has a damaged hash (%s)', id, uses (id)) FROM content WHERE length (hash) != 32"},
	{"SELECT printf ('content %d needs dictionary %d, which is not there (%s)', id, dictionary, uses (id)) FROM content WHERE dictionary != 0"
	 " AND dictionary NOT IN (SELECT id FROM dictionary)"},
	{"SELECT printf ('content %d of %d octets has %d chunks (%s)', id, size, (SELECT COUNT (*) FROM content_chunk k WHERE k.content ="
	 " content.id), uses (id)) FROM content WHERE data IS NULL AND " CHUNKS " != (SELECT COUNT (*) FROM content_chunk k WHERE k.content = content.id"
	 " AND k.seq < " CHUNKS ")"},
	{"SELECT printf ('content %d of %d octets is stored in the wrong manner (%s)', id, size, uses (id)) FROM content"
	 " WHERE (data IS NULL) != (size > 1048576)"},
	{"SELECT printf ('content %d is not there, but %d chunks of it', content, COUNT (*)) FROM content_chunk k WHERE NOT EXISTS"
	 " (SELECT 1 FROM content c WHERE c.id = k.content) GROUP BY content",
	 {"DELETE FROM content_chunk WHERE NOT EXISTS (SELECT 1 FROM content c WHERE c.id = content_chunk.content)"},
	 "chunks that belong to nothing were removed"},
	{"SELECT printf ('%d contents of %d octets in %d are counted, but there are %d of %d in %d', m.contents, m.content_octets, m.stored_octets,"
	 " c.n, c.octets, c.stored) FROM meta m, (" STORED_COUNTS ") c WHERE (m.contents, m.content_octets, m.stored_octets) != (c.n, c.octets, c.stored)",
	 {"UPDATE meta SET (contents, content_octets, stored_octets) = (" STORED_COUNTS ")"}, "the contents were counted anew"},

	/* Messages */
	{"SELECT printf ('message %d (%s) has lost its content %d%s', id, IFNULL (subject, ''), content, places (id)) FROM message WHERE NOT EXISTS"
	 " (SELECT 1 FROM content c WHERE c.id = message.content)"},
	{"SELECT printf ('message %d (%s) says %d octets, its content has %d', m.id, IFNULL (m.subject, ''), m.size, c.size) FROM message m"
	 " JOIN content c ON c.id = m.content WHERE m.size != c.size",
	 {"UPDATE message SET size = (SELECT c.size FROM content c WHERE c.id = message.content) WHERE size !="
	  " (SELECT c.size FROM content c WHERE c.id = message.content)"}, "sizes were taken from the contents"},
	{"SELECT printf ('message %d (%s) has a damaged id', id, IFNULL (subject, '')) FROM message WHERE length (object_id) != 16 UNION ALL"
	 " SELECT printf ('%d messages have the id of message %d (%s)', COUNT (*), MIN (id), IFNULL (subject, '')) FROM message"
	 " GROUP BY object_id HAVING COUNT (*) > 1",
	 {"UPDATE message SET object_id = randomblob (16) WHERE length (object_id) != 16 OR id NOT IN (SELECT MIN (id) FROM message GROUP BY object_id)"},
	 "messages got new ids"},
	{"SELECT printf ('message %d (%s) is of thread %d, which never was', id, IFNULL (subject, ''), thread) FROM message WHERE " NO_THREAD,
	 {"UPDATE message SET thread = id WHERE " NO_THREAD, "DELETE FROM thread_key WHERE " NO_THREAD}, "messages of no thread became threads of their own"},
	{"SELECT printf ('a removed message (%d, of folder %s) is not there', message, folder_path) FROM removed WHERE NOT EXISTS (SELECT 1 FROM message m"
	 " WHERE m.id = removed.message)",
	 {"DELETE FROM removed WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.id = removed.message)"},
	 "removed messages that are not there were forgotten"},

	/* Placements */
	{"SELECT printf ('UID %d of folder %s is message %d, which is not there', uid, path (folder), message) FROM placement WHERE " NO_MESSAGE,
	 {INCOMPLETE ("SELECT folder FROM placement WHERE " NO_MESSAGE),
	  "DELETE FROM placement_binding WHERE placement IN (SELECT id FROM placement WHERE " NO_MESSAGE ")",
	  "DELETE FROM pending WHERE placement IN (SELECT id FROM placement WHERE " NO_MESSAGE ")",
	  "INSERT OR IGNORE INTO removal (folder, modseq, lo, hi) SELECT folder, ?1, uid, uid FROM placement WHERE " NO_MESSAGE,
	  "DELETE FROM placement WHERE " NO_MESSAGE}, "places of messages that are not there were removed; what the home has of them is downloaded again", TRUE},
	{"SELECT printf ('message %d lies in folder %d (UID %d), which is not there', message, folder, uid) FROM placement WHERE " NO_FOLDER,
	 {"INSERT INTO removed (message, folder, folder_path, flags, keywords, removed, cause) SELECT message, folder, 'Recovered', flags, keywords,"
	  " CAST (strftime ('%s') AS INTEGER), 'here' FROM placement WHERE " NO_FOLDER,
	  "DELETE FROM placement_binding WHERE placement IN (SELECT id FROM placement WHERE " NO_FOLDER ")",
	  "DELETE FROM pending WHERE placement IN (SELECT id FROM placement WHERE " NO_FOLDER ")", "DELETE FROM placement WHERE " NO_FOLDER},
	 "messages in no folder were put among the removed ones ('outpost undelete' restores them)"},
	{"SELECT printf ('message %d in folder %s has the UID %d, which is %s', message, path (folder), uid, CASE WHEN uid BETWEEN 1 AND 4294967294"
	 " THEN 'that of a removed one' ELSE 'none' END) FROM placement WHERE " UNUSABLE_UID,
	 {"UPDATE folder SET uidnext = MAX (uidnext, 1 + " HIGHEST_UID ") WHERE " HIGHEST_UID " < 4294967294",
	  "UPDATE placement SET modseq = ?1, uid = (SELECT f.uidnext FROM folder f WHERE f.id = placement.folder) + (SELECT COUNT (*) FROM placement o"
	  " WHERE o.folder = placement.folder AND o.id < placement.id) WHERE " UNUSABLE_UID}, "messages got new UIDs", TRUE},
	{"SELECT printf ('UID %d of folder %s has unknown flags (%d)', uid, path (folder), flags) FROM placement WHERE flags & ~31 != 0",
	 {"UPDATE placement SET flags = flags & 31, modseq = ?1 WHERE flags & ~31 != 0"}, "unknown flags were removed", TRUE},
	{"SELECT printf ('UID %d of folder %s has disorderly keywords (%s)', uid, path (folder), keywords) FROM placement WHERE keywords IS NOT NULL"
	 " AND keywords IS NOT canonical (keywords)",
	 {"UPDATE placement SET keywords = canonical (keywords), modseq = ?1 WHERE keywords IS NOT NULL AND keywords IS NOT canonical (keywords)"},
	 "keywords were put in order", TRUE},
	{"SELECT printf ('folder %s has a disorderly range of removals (%d:%d)', path (folder), lo, hi) FROM removal WHERE lo > hi OR lo < 1",
	 {"UPDATE OR REPLACE removal SET lo = MAX (MIN (lo, hi), 1), hi = MAX (lo, hi, 1) WHERE lo > hi OR lo < 1"}, "ranges were put in order"},
	{"SELECT printf ('folder %s would use UIDs again: next %d, highest %d', path (id), uidnext, " HIGHEST_UID ") FROM folder WHERE uidnext <= " HIGHEST_UID,
	 {"UPDATE folder SET uidnext = MIN (1 + " HIGHEST_UID ", 4294967295) WHERE uidnext <= " HIGHEST_UID}, "the next UIDs were raised"},
	{"SELECT printf ('folder %s says %d messages, %d unread; it has %d, %d unread', path (id), total, unread, " COUNTED ("") ", "
	 COUNTED (" AND p.flags & 1 = 0") ") FROM folder WHERE total != " COUNTED ("") " OR unread != " COUNTED (" AND p.flags & 1 = 0"),
	 {"UPDATE folder SET total = " COUNTED ("") ", unread = " COUNTED (" AND p.flags & 1 = 0")}, "the messages of the folders were counted anew"},
	{"SELECT printf ('folder %s says %d octets, its messages have %d', path (id), octets, " OCTETS_OF_FOLDER ") FROM folder WHERE octets != " OCTETS_OF_FOLDER,
	 {"UPDATE folder SET octets = " OCTETS_OF_FOLDER}, "the octets of the folders were counted anew"},
	{"SELECT printf ('folder %s says its last change is %d, but it has changes up to %d', path (id), changed_modseq, " HIGHEST_CHANGE ") FROM folder"
	 " WHERE changed_modseq < " HIGHEST_CHANGE,
	 {"UPDATE folder SET changed_modseq = MAX (changed_modseq, " HIGHEST_CHANGE ")"}, "last changes were raised"},

	/* Bindings */
	{"SELECT printf ('the binding of placement %d is in folder %s, which is not bound', placement, path (folder)) FROM placement_binding"
	 " WHERE folder NOT IN (SELECT folder FROM folder_binding)",
	 {"DELETE FROM placement_binding WHERE folder NOT IN (SELECT folder FROM folder_binding)"}, "bindings in unbound folders were removed"},
	{"SELECT printf ('placement %d of folder %s is bound to the remote UID %d, which is none', placement, path (folder), remote_uid) FROM placement_binding"
	 " WHERE remote_uid = 0 OR remote_uid > 4294967295",
	 {INCOMPLETE ("SELECT folder FROM placement_binding WHERE remote_uid = 0 OR remote_uid > 4294967295"),
	  "DELETE FROM placement_binding WHERE remote_uid = 0 OR remote_uid > 4294967295"}, "bindings to no UID were removed"},
	{"SELECT printf ('the binding of placement %d (remote UID %d) is in folder %s, the message in folder %s', b.placement, b.remote_uid, path (b.folder),"
	 " path (p.folder)) FROM placement_binding b JOIN placement p ON p.id = b.placement WHERE b.folder != p.folder",
	 {"UPDATE folder_binding SET complete = 0 WHERE folder IN (SELECT b.folder FROM placement_binding b JOIN placement p ON p.id = b.placement"
	  " WHERE b.folder != p.folder)",
	  "DELETE FROM placement_binding WHERE EXISTS (SELECT 1 FROM placement p WHERE p.id = placement_binding.placement AND p.folder !="
	  " placement_binding.folder)"}, "bindings in the wrong folder were removed"},
	{"SELECT printf ('remote UID %d of folder %s is bound to placement %d, which is not there', remote_uid, path (folder), placement)"
	 " FROM placement_binding WHERE gone = 0 AND " NO_PLACEMENT ("placement_binding"),
	 {INCOMPLETE ("SELECT folder FROM placement_binding WHERE gone = 0 AND " NO_PLACEMENT ("placement_binding")),
	  "DELETE FROM placement_binding WHERE gone = 0 AND " NO_PLACEMENT ("placement_binding")},
	 "bindings to nothing were removed: what the home has there is downloaded again"},
	{"SELECT printf ('UID %d of folder %s is to be removed at home, but it is here', p.uid, path (p.folder)) FROM placement_binding b"
	 " JOIN placement p ON p.id = b.placement WHERE b.gone != 0",
	 {"UPDATE placement_binding SET gone = 0, settled = 0 WHERE gone != 0 AND NOT " NO_PLACEMENT ("placement_binding")}, "what is here is not removed at home"},
	{"SELECT printf ('the base of UID %d of folder %s has disorderly keywords (%s)', remote_uid, path (folder), keywords) FROM placement_binding"
	 " WHERE keywords IS NOT NULL AND keywords IS NOT canonical (keywords)",
	 {"UPDATE placement_binding SET keywords = canonical (keywords) WHERE keywords IS NOT NULL AND keywords IS NOT canonical (keywords)"},
	 "keywords were put in order"},
	{"SELECT printf ('placement %d is to be told to the home, but is not there', placement) FROM pending WHERE " NOT_TOLD,
	 {"DELETE FROM pending WHERE " NOT_TOLD}, "what is not there is not told"},
	{"SELECT printf ('UID %d of folder %s is on its way to the home to be removed there, but it is here', p.uid, path (p.folder)) FROM pending n"
	 " JOIN placement p ON p.id = n.placement WHERE n.message IS NOT NULL",
	 {"UPDATE pending SET message = NULL WHERE NOT " NO_PLACEMENT ("pending")}, "what is here is not removed at home"},
	{"SELECT printf ('UID %d of folder %s is both bound and to be told to the home', p.uid, path (p.folder)) FROM pending n JOIN placement p"
	 " ON p.id = n.placement JOIN placement_binding b ON b.placement = n.placement",
	 {"DELETE FROM pending WHERE placement IN (SELECT placement FROM placement_binding)"}, "what is bound is not told"},
	{"SELECT printf ('UID %d of folder %s is to be told to the home in folder %s', p.uid, path (p.folder), path (n.folder)) FROM pending n"
	 " JOIN placement p ON p.id = n.placement WHERE p.folder != n.folder",
	 {"UPDATE pending SET watermark = 0, folder = (SELECT p.folder FROM placement p WHERE p.id = pending.placement) WHERE EXISTS"
	  " (SELECT 1 FROM placement p WHERE p.id = pending.placement AND p.folder != pending.folder)"}, "it is told in its folder"},
	{"SELECT printf ('UID %d of folder %s is neither bound nor to be told to the home', uid, path (folder)) FROM placement WHERE " UNKNOWN_TO_HOME,
	 {INCOMPLETE ("SELECT folder FROM placement WHERE " UNKNOWN_TO_HOME),
	  "INSERT INTO pending (placement, folder, watermark, watermark_validity) SELECT id, folder, 1, (SELECT b.uidvalidity FROM folder_binding b"
	  " WHERE b.folder = placement.folder) FROM placement WHERE " UNKNOWN_TO_HOME},
	 "it is looked for at home by the next run, and told if it is not there"},

	/* What is held */
	{"SELECT printf ('hold %d has the decision %d, which is none', id, decision) FROM hold WHERE decision NOT BETWEEN 0 AND 3 OR"
	 " (settled IS NOT NULL AND decision = 0)",
	 {"UPDATE hold SET decision = 0, settled = NULL WHERE decision NOT BETWEEN 0 AND 3 OR decision = 0"}, "they wait for a decision again"},
	{"SELECT printf ('messages are noted for hold %d, which is not there', hold) FROM hold_message WHERE hold NOT IN (SELECT id FROM hold)"
	 " GROUP BY hold",
	 {"DELETE FROM hold_message WHERE hold NOT IN (SELECT id FROM hold)"}, "notes of no hold were removed"},

	/* Annotations */
	{"SELECT printf ('an annotation (%s) is of folder %d, which is not there', MIN (name), folder) FROM annotation WHERE folder != 0 AND folder NOT IN"
	 " (SELECT id FROM folder) GROUP BY folder",
	 {"DELETE FROM annotation WHERE folder != 0 AND folder NOT IN (SELECT id FROM folder)"}, "annotations of no folder were removed"},

	/* The log */
	{"SELECT printf ('the log has lines of run %d, which is not there', run) FROM run_line WHERE run NOT IN (SELECT id FROM run) GROUP BY run",
	 {"DELETE FROM run_line WHERE run NOT IN (SELECT id FROM run)"}, "lines of no run were removed"},
};

/* After any mending; says nothing. */
static const char *const settle[] = {
	"UPDATE folder SET uidnext = MIN (1 + " HIGHEST_UID ", 4294967295) WHERE uidnext <= " HIGHEST_UID,
	"UPDATE folder SET total = " COUNTED ("") ", unread = " COUNTED (" AND p.flags & 1 = 0"),
	"UPDATE folder SET octets = " OCTETS_OF_FOLDER,
	"UPDATE folder SET changed_modseq = MAX (changed_modseq, " HIGHEST_CHANGE ")",
	"UPDATE meta SET (contents, content_octets, stored_octets) = (" STORED_COUNTS ")",
};

typedef struct {
	Store *s;
	CheckReport report;
	gpointer data;
	Cancel *cancel;
	guint64 findings;
	gboolean silent, pages, rebuilt;      /* pages: SQLite itself found something */
	guint unasked;                        /* questions that met damaged pages */
	gboolean found[G_N_ELEMENTS (rules)];
	GArray *damaged;                      /* content ids */
	GArray *stale;                        /* message ids whose derived fields are wrong */
	GHashTable *paths;                    /* folder -> path */
	GPtrArray *schema;                    /* of SchemaDifference */
	gboolean index_damaged, schema_left;
} Check;

static void
say (Check *c, const char *text)
{
	if (c->report)
		c->report (c->data, text);
}

static void G_GNUC_PRINTF (2, 3)
found (Check *c, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	g_autofree char *text = g_strdup_vprintf (format, args);
	va_end (args);
	c->findings++;
	if (!c->silent)
		say (c, text);
}

/* What a part of the check may meet without ending all of it. */
static gboolean
goes_on (const GError *e)
{
	return error_is (e, ERROR_CORRUPT);
}

/* ---- SQL functions ---- */

static void
sql_path (sqlite3_context *context, int n, sqlite3_value **values)
{
	Check *c = sqlite3_user_data (context);
	gint64 id = sqlite3_value_int64 (values[0]);
	const char *path = g_hash_table_lookup (c->paths, &id);
	g_autofree char *text = path ? g_strdup_printf ("'%s'", path) : g_strdup_printf ("%" G_GINT64_FORMAT, id);
	sqlite3_result_text (context, text, -1, SQLITE_TRANSIENT);
}

static void
sql_canonical (sqlite3_context *context, int n, sqlite3_value **values)
{
	const char *text = (const char *) sqlite3_value_text (values[0]);
	g_auto (GStrv) words = g_strsplit (text ? text : "", " ", -1);
	g_autofree char *canonical = keywords_canonical ((const char *const *) words, g_strv_length (words));
	sqlite3_result_text (context, canonical, -1, SQLITE_TRANSIENT);
}

static void
append_places (Check *c, gint64 message, GString *text)
{
	DbQuery *q = db_query (c->s->db, "SELECT folder, uid FROM placement WHERE message = ?1 LIMIT 5", "i", message);
	while (db_step (c->s->db, q, NULL) > 0) {
		gint64 folder = db_int (q, 0);
		const char *path = g_hash_table_lookup (c->paths, &folder);
		g_string_append_printf (text, ", UID %" G_GINT64_FORMAT " of folder '%s'", db_int (q, 1), path ? path : "?");
	}
}

static void
sql_places (sqlite3_context *context, int n, sqlite3_value **values)
{
	g_autoptr (GString) text = g_string_new (NULL);
	append_places (sqlite3_user_data (context), sqlite3_value_int64 (values[0]), text);
	sqlite3_result_text (context, text->str, -1, SQLITE_TRANSIENT);
}

/* The messages that a content is of, and where they lie. */
static char *
uses_of (Check *c, gint64 content)
{
	GString *text = g_string_new (NULL);
	DbQuery *q = db_query (c->s->db, "SELECT id, IFNULL (subject, '') FROM message WHERE content = ?1 LIMIT 5", "i", content);
	while (db_step (c->s->db, q, NULL) > 0) {
		g_string_append_printf (text, "%smessage %" G_GINT64_FORMAT " (%s)", text->len ? "; " : "", db_int (q, 0), db_text (q, 1));
		append_places (c, db_int (q, 0), text);
	}
	return g_string_free (text->len ? text : g_string_append (text, "of no message"), FALSE);
}

static void
sql_uses (sqlite3_context *context, int n, sqlite3_value **values)
{
	Check *c = sqlite3_user_data (context);
	gint64 content = sqlite3_value_int64 (values[0]);
	g_autofree char *text = uses_of (c, content);
	g_array_append_val (c->damaged, content); /* a rule names only damaged ones */
	sqlite3_result_text (context, text, -1, SQLITE_TRANSIENT);
}

static void
add_functions (Check *c)
{
	static const struct {
		const char *name;
		void (*function) (sqlite3_context *, int, sqlite3_value **);
	} functions[] = {{"path", sql_path}, {"canonical", sql_canonical}, {"places", sql_places}, {"uses", sql_uses}};
	for (gsize i = 0; i < G_N_ELEMENTS (functions); i++)
		sqlite3_create_function (db_handle (c->s->db), functions[i].name, 1, SQLITE_UTF8, c, functions[i].function, NULL, NULL);
}

static void
read_paths (Check *c)
{
	g_autoptr (GPtrArray) folders = store_folders (c->s, NULL);
	for (guint i = 0; folders && i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		g_hash_table_insert (c->paths, g_memdup2 (&f->id, sizeof f->id), g_strdup (f->path));
	}
}

/* ---- First pass: finding ---- */

/* SQLite's own check answers 'ok', or several lines at once, the first of which says nothing. */
static guint
take_answer (Check *c, const char *text, guint n)
{
	g_auto (GStrv) lines = g_strsplit (text ? text : "?", "\n", -1);
	for (guint i = 0; lines[i]; i++) {
		if (!*lines[i] || strcmp (lines[i], "ok") == 0 || g_str_has_prefix (lines[i], "*** in database"))
			continue;
		if (n++ < LINES_MAX)
			found (c, "%s", lines[i]);
		else
			c->findings++;
	}
	return n;
}

static gboolean
collect (Check *c, const char *sql, guint *n_out, GError **error)
{
	guint n = 0;
	DbQuery *q = db_query (c->s->db, sql, "");
	int r;
	while ((r = db_step (c->s->db, q, error)) > 0)
		n = take_answer (c, db_text (q, 0), n);
	if (n > LINES_MAX && !c->silent) {
		g_autofree char *more = g_strdup_printf ("... and %u more of this kind", n - LINES_MAX);
		say (c, more);
	}
	*n_out = n;
	return r == 0;
}

/* Like collect; damage that the question itself meets is a finding. */
static gboolean
ask (Check *c, const char *sql, gboolean *found_out, GError **error)
{
	GError *e = NULL;
	guint n = 0;
	gboolean ok = collect (c, sql, &n, &e);
	*found_out = n > 0; /* what met damage is asked again after the mending of pages */
	if (ok)
		return TRUE;
	if (!goes_on (e)) {
		g_propagate_error (error, e);
		return FALSE;
	}
	c->pages = TRUE;
	c->unasked++;
	g_error_free (e);
	return TRUE;
}

/* *usable_out: the tables are there, so that rules can be asked. */
static gboolean
check_schema (Check *c, gboolean *usable_out, GError **error)
{
	g_ptr_array_set_size (c->schema, 0);
	*usable_out = TRUE;
	if (!schema_differences (c->s, c->schema, error))
		return FALSE;
	for (guint i = 0; i < c->schema->len; i++) {
		const SchemaDifference *d = c->schema->pdata[i];
		found (c, "%s", d->text);
		*usable_out &= !d->essential;
	}
	if (!*usable_out && !c->silent)
		say (c, "what is stored can't be checked before that is put right");
	return TRUE;
}

static gboolean
check_pages (Check *c, GError **error)
{
	gboolean any;
	if (!ask (c, "PRAGMA integrity_check (1000)", &any, error))
		return FALSE;
	c->pages |= any;
	return TRUE;
}

static gboolean
check_rules (Check *c, GError **error)
{
	for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
		if (!cancel_check (c->cancel, error) || !ask (c, rules[i].find, &c->found[i], error))
			return FALSE;
	if (c->unasked)
		found (c, "damaged pages kept %u of %u things from being checked", c->unasked, (guint) G_N_ELEMENTS (rules) + 1);
	return TRUE;
}

static gboolean
same_text (DbQuery *q, int column, const char *text)
{
	return g_strcmp0 (db_text (q, column), text) == 0;
}

static gboolean
same_fields (DbQuery *q, const Prepared *p)
{
	return same_text (q, 1, p->message_id) && same_text (q, 2, p->subject) && same_text (q, 3, p->sender) && same_text (q, 4, p->recipients) &&
	       (db_int (q, 5) != 0) == (p->attachment != 0) && db_int (q, 6) == (gint64) p->digest && db_is_null (q, 7) == !p->has_sent &&
	       (!p->has_sent || db_int (q, 7) == p->sent);
}

/* An empty one, or one of an earlier version (they start at 1), is no damage: it is read anew when it is needed. */
static gboolean
same_structure (DbQuery *q, const Prepared *p)
{
	gsize n, size = 0;
	const guint8 *kept = db_blob (q, 8, &n), *now = p->structure ? g_bytes_get_data (p->structure, &size) : NULL;
	return n == 0 || size == 0 || (*kept > 0 && *kept < *now) || (n == size && memcmp (kept, now, n) == 0);
}

static gboolean
check_fields (Check *c, gint64 content, const Prepared *p, GError **error)
{
	DbQuery *q = db_query (c->s->db, "SELECT id, message_id, subject, sender, recipients, attachment, digest, sent, structure FROM message"
	                                 " WHERE content = ?1", "i", content);
	int r;
	while ((r = db_step (c->s->db, q, error)) > 0) {
		gint64 message = db_int (q, 0);
		if (same_fields (q, p) && same_structure (q, p))
			continue;
		g_array_append_val (c->stale, message);
		found (c, "message %" G_GINT64_FORMAT " (%s) has other header fields than its content", message, db_text (q, 2) ? db_text (q, 2) : "");
	}
	return r == 0;
}

/* Octets of a small content, compared with its hash, and the fields that are kept of it. */
static gboolean
check_small (Check *c, gint64 content, guint64 size, GError **error)
{
	g_autoptr (GBytes) octets = content_chunk (c->s, content, size, 0, error);
	if (!octets)
		return FALSE;
	g_autoptr (Prepared) p = prepare_bytes (octets, 0, 0);
	if (db_number (c->s->db, "SELECT hash = ?2 FROM content WHERE id = ?1", 0, "ib", content, prepared_hash (p), (gsize) DIGEST_SIZE) != 1)
		return error_fail (error, ERROR_CORRUPT, "content %" G_GINT64_FORMAT " does not have its hash", content);
	return check_fields (c, content, p, error);
}

static gboolean
check_content (Check *c, gint64 content, GError **error)
{
	GError *e = NULL;
	gint64 size = db_number (c->s->db, "SELECT size FROM content WHERE id = ?1", -1, "i", content);
	gboolean ok = size < 0 || size > CHUNK_SIZE ? content_verify (c->s, content, &e) : check_small (c, content, (guint64) size, &e);
	if (ok)
		return TRUE;
	if (!goes_on (e) && !error_is (e, ERROR_NOT_FOUND)) {
		g_propagate_error (error, e);
		return FALSE;
	}
	g_autofree char *uses = uses_of (c, content);
	found (c, "content %" G_GINT64_FORMAT " is damaged (%s)", content, uses);
	g_array_append_val (c->damaged, content);
	g_error_free (e);
	return TRUE;
}

/* By the index over message.content: a damaged page among the contents does not end the walk. */
static gboolean
check_contents (Check *c, GError **error)
{
	GError *e = NULL;
	DbQuery *q = db_query (c->s->db, "SELECT DISTINCT content FROM message INDEXED BY message_content ORDER BY content", "");
	int r;
	while ((r = db_step (c->s->db, q, &e)) > 0)
		if (!cancel_check (c->cancel, error) || !check_content (c, db_int (q, 0), error)) {
			db_reset (q);
			return FALSE;
		}
	if (r < 0 && !goes_on (e)) {
		g_propagate_error (error, e);
		return FALSE;
	}
	if (r < 0)
		found (c, "the contents could not all be looked at");
	g_clear_error (&e);
	return TRUE;
}

/* What FTS5 keeps, as far as that can be seen from outside (fts5_index.c): its two records, the leaf page of each entry of its B-tree,
 * and any page at all if the record of averages, which begins with it, counts rows. A merge under way has taken a segment's first leaves. */
#define LEAVES(range) "(SELECT 1 FROM fts_data d WHERE d.id " range ")"
#define SEGMENT "(i.segid << 37)"
#define LEAF SEGMENT " + (i.pgno >> 1)"
#define INDEX_IS_WHOLE "SELECT (SELECT COUNT (*) FROM fts_data WHERE id IN (1, 10)) = 2 AND NOT EXISTS (SELECT 1 FROM fts_idx i WHERE NOT EXISTS" \
                       LEAVES ("= " LEAF) " AND (EXISTS " LEAVES ("BETWEEN " SEGMENT " AND " LEAF) " OR NOT EXISTS " \
                       LEAVES ("BETWEEN " LEAF " AND " SEGMENT " + 0x7fffffff") ")) AND (EXISTS (SELECT 1 FROM fts_data WHERE id > 10)" \
                       " OR (SELECT length (block) = 0 OR substr (block, 1, 1) = x'00' FROM fts_data WHERE id = 1))"

static gboolean
index_is_whole (Check *c, gboolean deep, GError **error)
{
	DbQuery *q = db_query (c->s->db, INDEX_IS_WHOLE, "");
	int r = db_step (c->s->db, q, error);
	gboolean whole = r > 0 && db_int (q, 0) == 1;
	db_reset (q);
	if (r > 0 && !whole)
		return error_fail (error, ERROR_CORRUPT, "pages are missing");
	/* FTS5's own check is written as an insertion, so it needs the right to write. */
	return r > 0 && (!deep || sqlite3_db_readonly (db_handle (c->s->db), "main") != 0 ||
	                 db_run (c->s->db, "INSERT INTO fts (fts) VALUES ('integrity-check')", error, ""));
}

static gboolean
check_index (Check *c, gboolean deep, GError **error)
{
	GError *e = NULL;
	if (index_is_whole (c, deep, &e))
		return TRUE;
	c->index_damaged = goes_on (e);
	if (!c->index_damaged) {
		g_propagate_error (error, e);
		return FALSE;
	}
	found (c, "the full-text index is damaged");
	g_error_free (e);
	return TRUE;
}

static gboolean
find_all (Check *c, gboolean deep, GError **error)
{
	gboolean usable;
	if (!check_schema (c, &usable, error) || (usable && !check_index (c, deep, error)) || !store_read_begin (c->s, error))
		return FALSE;
	read_paths (c);
	gboolean ok = check_pages (c, error) && (!usable || (check_rules (c, error) && (!deep || check_contents (c, error))));
	store_read_end (c->s);
	return ok;
}

/* ---- Second pass: mending ---- */

static gboolean
run_all (Check *c, const char *const *sql, gsize n, gboolean takes_modseq, GError **error)
{
	gint64 modseq = takes_modseq ? (gint64) store_next_modseq (c->s) : 0;
	for (gsize i = 0; i < n && sql[i]; i++)
		if (!(strstr (sql[i], "?1") ? db_run (c->s->db, sql[i], error, "i", modseq) : db_run (c->s->db, sql[i], error, "")))
			return FALSE;
	return TRUE;
}

typedef gboolean (*Mend) (Check *c, gconstpointer data, GError **error);

static gboolean
mend_rule (Check *c, gconstpointer data, GError **error)
{
	const Rule *rule = data;
	return run_all (c, rule->mend, MENDS_MAX, rule->takes_modseq, error);
}

static gboolean
mend_settle (Check *c, gconstpointer data, GError **error)
{
	return run_all (c, settle, G_N_ELEMENTS (settle), FALSE, error);
}

static gboolean
mend_index (Check *c, gconstpointer data, GError **error)
{
	static const char *const sql[] = {EMPTY_INDEX};
	return run_all (c, sql, G_N_ELEMENTS (sql), FALSE, error);
}

static gboolean
mend_btree (Check *c, gconstpointer name, GError **error)
{
	g_autofree char *sql = g_strdup_printf ("REINDEX \"%s\"", (const char *) name);
	return db_exec (c->s->db, sql, error);
}

/* The fields of all messages of a content, from its octets. */
static gboolean
refresh (Check *c, gint64 message, GError **error)
{
	gint64 content = db_number (c->s->db, "SELECT content FROM message WHERE id = ?1", 0, "i", message);
	gint64 size = db_number (c->s->db, "SELECT size FROM content WHERE id = ?1", 0, "i", content);
	g_autoptr (GBytes) octets = content_chunk (c->s, content, (guint64) size, 0, error);
	if (!octets)
		return FALSE;
	g_autoptr (Prepared) p = prepare_bytes (octets, 0, 0);
	static const char sql[] = "UPDATE message SET message_id = ?2, subject = ?3, sender = ?4, recipients = ?5, attachment = ?6, digest = ?7,"
	                          " structure = ?8, sent = ?9 WHERE id = ?1";
	gsize n = 0;
	const void *structure = p->structure ? g_bytes_get_data (p->structure, &n) : NULL;
	return db_run (c->s->db, sql, error, p->has_sent ? "issssIibi" : "issssIibn", message, p->message_id, p->subject, p->sender, p->recipients,
	               p->attachment != 0, (gint64) p->digest, structure, n, p->sent);
}

static gboolean
mend_stale (Check *c, gconstpointer data, GError **error)
{
	for (guint i = 0; i < c->stale->len; i++)
		if (!refresh (c, g_array_index (c->stale, gint64, i), error))
			return FALSE;
	return TRUE;
}

/* A damaged content is forgotten wherever the home has it. Where it has not, it stays as it is, under a hash that no message has, so
 * that the same octets can be stored once more. */
static gboolean
mend_content (Check *c, gconstpointer data, GError **error)
{
#define AT_HOME "message IN (SELECT id FROM message WHERE content = ?2) AND EXISTS (SELECT 1 FROM placement_binding b WHERE b.placement = p.id" \
                " AND b.gone = 0)"
	static const char *const sql[] = {
		"UPDATE folder_binding SET complete = 0 WHERE ?1 AND folder IN (SELECT p.folder FROM placement p WHERE " AT_HOME ")",
		"INSERT OR IGNORE INTO removal (folder, modseq, lo, hi) SELECT p.folder, ?1, p.uid, p.uid FROM placement p WHERE " AT_HOME,
		"DELETE FROM placement WHERE ?1 AND id IN (SELECT p.id FROM placement p WHERE " AT_HOME ")",
		"DELETE FROM placement_binding WHERE ?1 AND ?2 AND gone = 0 AND " NO_PLACEMENT ("placement_binding"),
		("DELETE FROM message WHERE ?1 AND content = ?2 AND NOT EXISTS (SELECT 1 FROM placement p WHERE p.message = message.id) AND"
		 " NOT EXISTS (SELECT 1 FROM removed r WHERE r.message = message.id)"),
		"DELETE FROM content WHERE ?1 AND id = ?2 AND NOT EXISTS (SELECT 1 FROM message m WHERE m.content = ?2)",
		"UPDATE content SET hash = randomblob (32) WHERE ?1 AND id = ?2",
	};
#undef AT_HOME
	gint64 modseq = (gint64) store_next_modseq (c->s);
	for (gsize i = 0; i < G_N_ELEMENTS (sql); i++)
		if (!db_run (c->s->db, sql[i], error, "ii", modseq, *(const gint64 *) data))
			return FALSE;
	return TRUE;
}

/* One transaction. *ok_out FALSE: damage was in the way. Other failures end everything. */
static gboolean
try_to_mend (Check *c, Mend fn, gconstpointer data, gboolean *ok_out, GError **error)
{
	GError *e = NULL;
	*ok_out = store_begin (c->s, &e) && fn (c, data, &e) && store_commit (c->s, &e);
	store_rollback (c->s);
	if (!*ok_out && !goes_on (e)) {
		g_propagate_error (error, e);
		return FALSE;
	}
	g_clear_error (&e);
	return TRUE;
}

static gboolean
mend (Check *c, Mend fn, gconstpointer data, const char *told, GError **error)
{
	gboolean ok;
	if (!try_to_mend (c, fn, data, &ok, error))
		return FALSE;
	g_autofree char *text = ok ? g_strdup_printf ("mended: %s", told) : g_strdup_printf ("not mended yet, because of damaged pages: %s", told);
	if (told)
		say (c, text);
	return TRUE;
}

/* Contents whose row is lost, beside those that were found damaged. */
static gboolean
add_lost_contents (Check *c, GError **error)
{
	DbQuery *q = db_query (c->s->db, "SELECT DISTINCT content FROM message WHERE NOT EXISTS (SELECT 1 FROM content c WHERE c.id = message.content)", "");
	int r;
	while ((r = db_step (c->s->db, q, error)) > 0) {
		gint64 content = db_int (q, 0);
		g_array_append_val (c->damaged, content);
	}
	return r == 0;
}

static int
compare_ids (gconstpointer a, gconstpointer b)
{
	gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
	return x < y ? -1 : x > y;
}

static gboolean
mend_damaged (Check *c, GError **error)
{
	GError *e = NULL;
	if (!add_lost_contents (c, &e) && !goes_on (e)) {
		g_propagate_error (error, e);
		return FALSE;
	}
	g_clear_error (&e);
	guint mended = 0;
	g_array_sort (c->damaged, compare_ids);
	for (guint i = 0; i < c->damaged->len; i++) {
		gboolean ok;
		if (i && g_array_index (c->damaged, gint64, i) == g_array_index (c->damaged, gint64, i - 1))
			continue; /* found twice */
		if (!cancel_check (c->cancel, error) || !try_to_mend (c, mend_content, &g_array_index (c->damaged, gint64, i), &ok, error))
			return FALSE;
		mended += ok;
	}
	g_autofree char *told = g_strdup_printf ("mended: of %u damaged content(s) what the home has is downloaded again; what only exists here stays as it is",
	                                         mended);
	if (mended)
		say (c, told);
	return TRUE;
}

/* Damage in an index is mended from its table. One after the other: a damaged table stops only its own. */
static gboolean
mend_btrees (Check *c, GError **error)
{
	g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
	DbQuery *q = db_query (c->s->db, "SELECT name FROM sqlite_schema WHERE type = 'index'", "");
	while (db_step (c->s->db, q, NULL) > 0)
		g_ptr_array_add (names, db_dup (q, 0));
	guint made = 0;
	for (guint i = 0; i < names->len; i++) {
		gboolean ok;
		if (!cancel_check (c->cancel, error) || !try_to_mend (c, mend_btree, names->pdata[i], &ok, error))
			return FALSE;
		made += ok;
	}
	g_autofree char *told = g_strdup_printf ("mended: %u of %u indexes were made anew", made, names->len);
	say (c, told);
	return TRUE;
}

/* What is no index can't be made from something else: all is written anew that can be read. */
static gboolean
mend_pages (Check *c, GError **error)
{
	GError *e = NULL;
	guint damaged, n = 0;
	gboolean silent = c->silent;
	guint64 findings = c->findings;
	if (!mend_btrees (c, error))
		return FALSE;
	c->silent = TRUE;
	gboolean whole = collect (c, "PRAGMA integrity_check (1)", &n, NULL) && n == 0;
	c->silent = silent;
	c->findings = findings;
	if (whole || c->rebuilt)
		return TRUE;
	c->rebuilt = TRUE;
	if (store_rebuild (c->s, c->cancel, &damaged, &e)) {
		g_autofree char *text = g_strdup_printf ("mended: the file was written anew; rows of %u table(s) may be lost", damaged);
		say (c, text);
		return TRUE;
	}
	g_propagate_error (error, e);
	return FALSE;
}

/* What was lost with a table is found, and where that can be, mended, by the next round. */
static gboolean
mend_schema (Check *c, GError **error)
{
	gboolean full_text = FALSE, left = FALSE;
	guint damaged;
	for (guint i = 0; i < c->schema->len; i++) {
		const SchemaDifference *d = c->schema->pdata[i];
		g_autoptr (GError) e = NULL;
		gboolean ok = d->mend && schema_mend (c->s, d, &e);
		g_autofree char *text = ok ? g_strdup_printf ("mended: %s", d->text)
		                           : g_strdup_printf ("left as it is: %s%s%s", d->text, e ? ": " : "", e ? e->message : "");
		full_text |= d->full_text;
		if (!d->full_text && (ok || !c->schema_left))
			say (c, text);
		left |= !d->full_text && !ok;
	}
	c->schema_left = left;
	if (!full_text || left) /* a rebuilt file takes the columns that there should be */
		return TRUE;
	if (!store_rebuild (c->s, c->cancel, &damaged, error))
		return FALSE;
	say (c, "mended: the file was written anew, with an empty full-text index");
	return TRUE;
}

static gboolean
mend_all (Check *c, GError **error)
{
	if (c->schema->len)
		return mend_schema (c, error);
	if (c->pages && !mend_pages (c, error))
		return FALSE;
	if (c->index_damaged && !mend (c, mend_index, NULL, "the full-text index was emptied: it is built anew", error))
		return FALSE;
	for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
		if (c->found[i] && rules[i].mend[0] && !mend (c, mend_rule, &rules[i], rules[i].told, error))
			return FALSE;
	if (c->stale->len && !mend (c, mend_stale, NULL, "header fields were read anew", error))
		return FALSE;
	return mend_damaged (c, error) && mend (c, mend_settle, NULL, NULL, error);
}

/* ---- */

static gboolean
find_again (Check *c, gboolean deep, GError **error)
{
	c->silent = TRUE;
	c->findings = 0;
	c->unasked = 0;
	c->pages = c->index_damaged = FALSE;
	g_array_set_size (c->damaged, 0);
	g_array_set_size (c->stale, 0);
	return find_all (c, deep, error);
}

/* Mending one thing can bring another to light. */
static gboolean
check_and_mend (Check *c, gboolean deep, gboolean repair, GError **error)
{
	if (!find_all (c, deep, error))
		return FALSE;
	for (int round = 0; repair && c->findings && round < ROUNDS; round++)
		if (!mend_all (c, error) || !find_again (c, FALSE, error))
			return FALSE;
	return !repair || !deep || c->findings || find_again (c, TRUE, error);
}

gboolean
store_check (Store *s, gboolean deep, gboolean repair, CheckReport report, gpointer data, Cancel *cancel, guint64 *findings_out, GError **error)
{
	g_assert (!store_in_transaction (s) && !s->reading);
	if (repair && !store_lock_sync (s, error))
		return FALSE;
	Check c = {.s = s, .report = report, .data = data, .cancel = cancel};
	c.damaged = g_array_new (FALSE, FALSE, sizeof (gint64));
	c.stale = g_array_new (FALSE, FALSE, sizeof (gint64));
	c.schema = g_ptr_array_new_with_free_func ((GDestroyNotify) schema_difference_free);
	c.paths = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
	add_functions (&c);
	db_watch (s->db, cancel);
	gboolean ok = check_and_mend (&c, deep, repair, error);
	db_watch (s->db, NULL);
	*findings_out = c.findings;
	g_ptr_array_unref (c.schema);
	g_hash_table_unref (c.paths);
	g_array_unref (c.stale);
	g_array_unref (c.damaged);
	return ok;
}
