/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of damage is planted, found with the name of what it hit, and mended where that can be done without losing a message. */
#include "store-fixture.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* INBOX: messages 1-8, bound under remote UIDs 11-18, flags and keywords; Local/Deep: 9 pending, 10 removed; Sync Issues: 11, local only;
 * 12 is big; 13 was removed by the home. */
static void
plant_store (Store *s)
{
	GError *e = NULL;
	NewFolder issues = {0, "Sync Issues", "sync-issues", FALSE, TRUE, TRUE};
	gint64 local_only, p;
	g_autofree char *big = g_strnfill ((3 << 20) + 5, 'b');
	begin (s);
	gint64 inbox = make_folder (s, "INBOX"), deep = make_folder (s, "Local/Deep");
	must (store_folder_create (s, &issues, &local_only, &e), &e);
	for (guint i = 1; i <= 8; i++) {
		p = put_bound (s, inbox, i, 10 + i);
		must (store_set_flags (s, p, i, i % 2 ? "blue green" : NULL, &e), &e);
	}
	bind_folder (s, deep, "Local/Deep");
	must (store_place (s, deep, add_text (s, deep, "Subject: number 9\r\n\r\n", 9), 0, NULL, TRUE, 0, NULL, &e), &e);
	must (store_remove (s, put_bound (s, deep, 10, 20), "here", &e), &e);
	put (s, local_only, 11);
	memcpy (big, "Subject: number 12\r\n\r\n", 22);
	g_autoptr (GBytes) octets = g_bytes_new (big, (3 << 20) + 5);
	g_autoptr (Prepared) prepared = prepare_bytes (octets, 12, 0);
	gint64 message;
	PlacementBinding b = {.folder = inbox, .remote_uid = 40};
	must (store_add_message (s, prepared, inbox, &message, &e) && store_place (s, inbox, message, 0, NULL, FALSE, 0, &b.placement, &e) &&
	      store_bind_placement (s, &b, &e), &e);
	must (store_remove (s, put_bound (s, inbox, 13, 41), "home", &e), &e);
	must (store_run_begin (s, 1, &p, &e) && store_run_line (s, p, 1, FALSE, "Done", &e), &e);
	commit (s);
}

static const struct {
	const char *name, *damage, *found;
	gboolean mended;
} cases[] = {
	{"identity", "UPDATE meta SET mailbox_id = x'00'", "the mailbox id is damaged", TRUE},
	{"no identity", "DELETE FROM meta", "the store's identity is gone", TRUE},
	{"role", "UPDATE meta SET role = 'king'", "the role 'king' is unknown", FALSE},
	{"counter", "UPDATE meta SET modseq = 3", "the counter of the change sequence is 3, but there are changes up to", TRUE},
	{"ids again", "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'placement'", "table placement would use ids again: next 3, highest", TRUE},
	{"ids of folders", "DELETE FROM sqlite_sequence WHERE name = 'folder'", "table folder would use ids again", TRUE},
	{"index mark", "UPDATE meta SET indexed_message = 99", "indexed up to 99, but the last one is", TRUE},
	{"no parent", "UPDATE folder SET parent = 77 WHERE name = 'Deep'", "(Deep) lies below folder 77, which is not there", TRUE},
	{"no parent, name taken", "UPDATE folder SET parent = 77, name = 'INBOX' WHERE name = 'Deep'", "(INBOX) lies below folder 77", TRUE},
	{"cycle", "UPDATE folder SET parent = (SELECT id FROM folder WHERE name = 'Deep') WHERE name = 'Local'", "(Local) lies below itself", TRUE},
	{"own parent", "UPDATE folder SET parent = id WHERE name = 'Local'", "(Local) lies below itself", TRUE},
	{"folder id", "UPDATE folder SET object_id = x'0102' WHERE name = 'INBOX'", "folder 'INBOX' has a damaged id", TRUE},
	{"uidvalidity", "UPDATE folder SET uidvalidity = 0 WHERE name = 'INBOX'", "folder 'INBOX' has the UIDVALIDITY 0", TRUE},
	{"next uidvalidity", "DELETE FROM setting WHERE name = 'uidvalidity'", "the next UIDVALIDITY is below that of folder", TRUE},
	{"hash", "UPDATE content SET hash = x'01' WHERE id = 3", "content 3 has a damaged hash (message 3 (number 3), UID 3 of folder 'INBOX')", TRUE},
	{"dictionary", "UPDATE content SET dictionary = 5 WHERE id = 4", "content 4 needs dictionary 5, which is not there (message 4 (number 4)", TRUE},
	{"chunk", "DELETE FROM content_chunk WHERE seq = 1", "has 3 chunks (message 12 (number 12), UID 9 of folder 'INBOX')", TRUE},
	{"no data", "UPDATE content SET data = NULL WHERE id = 2", "(message 2 (number 2)", TRUE},
	{"lost content", "DELETE FROM content WHERE id = 5", "message 5 (number 5) has lost its content 5, UID 5 of folder 'INBOX'", TRUE},
	{"chunks of nothing", "INSERT INTO content_chunk VALUES (999, 0, x'00')", "content 999 is not there, but 1 chunks of it", TRUE},
	{"sums", "UPDATE meta SET contents = 1, content_octets = 5", "1 contents of 5 octets in", TRUE},
	{"size", "UPDATE message SET size = 1 WHERE id = 6", "message 6 (number 6) says 1 octets, its content has", TRUE},
	{"message id", "UPDATE message SET object_id = x'' WHERE id = 6", "message 6 (number 6) has a damaged id", TRUE},
	{"same ids", "UPDATE message SET object_id = (SELECT object_id FROM message WHERE id = 1) WHERE id IN (2, 3)",
	 "3 messages have the id of message 1", TRUE},
	{"removed of nothing", "UPDATE removed SET message = 555 WHERE id = 1", "a removed message (555, of folder Local/Deep) is not there", TRUE},
	{"place of nothing", "DELETE FROM message WHERE id = 7", "UID 7 of folder 'INBOX' is message 7, which is not there", TRUE},
	{"place in nothing", "UPDATE placement SET folder = 88 WHERE id = 9", "message 9 lies in folder 88 (UID 1), which is not there", TRUE},
	{"uid of a removed one", "UPDATE placement SET uid = 10 WHERE id = 2", "message 2 in folder 'INBOX' has the UID 10, which is that of a removed one",
	 TRUE},
	{"uid 0", "UPDATE placement SET uid = 0 WHERE id = 2", "message 2 in folder 'INBOX' has the UID 0, which is none", TRUE},
	{"huge uid", "UPDATE placement SET uid = 99999999999 WHERE id = 2", "has the UID 99999999999, which is none", TRUE},
	{"flags", "UPDATE placement SET flags = 4096 + 1 WHERE id = 1", "UID 1 of folder 'INBOX' has unknown flags (4097)", TRUE},
	{"keywords", "UPDATE placement SET keywords = 'z a  a' WHERE id = 1", "UID 1 of folder 'INBOX' has disorderly keywords (z a  a)", TRUE},
	{"empty keywords", "UPDATE placement SET keywords = '' WHERE id = 1", "UID 1 of folder 'INBOX' has disorderly keywords ()", TRUE},
	{"range", "INSERT INTO removal (folder, modseq, lo, hi) VALUES (1, 5, 9999, 9990)", "folder 'INBOX' has a disorderly range of removals (9999:9990)",
	 TRUE},
	{"uidnext", "UPDATE folder SET uidnext = 2 WHERE name = 'INBOX'", "folder 'INBOX' would use UIDs again: next 2, highest 10", TRUE},
	{"total", "UPDATE folder SET total = 100 WHERE name = 'INBOX'", "folder 'INBOX' says 100 messages, 5 unread; it has 9, 5 unread", TRUE},
	{"unread", "UPDATE folder SET unread = -1 WHERE name = 'INBOX'", "folder 'INBOX' says 9 messages, -1 unread; it has 9, 5 unread", TRUE},
	{"octets of a folder", "UPDATE folder SET octets = 7 WHERE name = 'INBOX'", "folder 'INBOX' says 7 octets, its messages have", TRUE},
	{"annotation of nothing", "INSERT INTO annotation VALUES (99, '/private/comment', x'41')", "an annotation (/private/comment) is of folder 99, which is not there", TRUE},
	{"last change", "UPDATE folder SET changed_modseq = 1 WHERE name = 'INBOX'", "folder 'INBOX' says its last change is 1", TRUE},
	{"bound nothing", "INSERT INTO folder_binding (folder, remote_name, base_name) VALUES (66, x'41', 'A')",
	 "folder 66 is bound to A, but is not there and was not removed", TRUE},
	{"unbound folder", "DELETE FROM folder_binding WHERE folder = 1", "the binding of placement 1 is in folder 'INBOX', which is not bound", TRUE},
	{"wrong folder", "UPDATE placement_binding SET folder = 3 WHERE placement = 1",
	 "the binding of placement 1 (remote UID 11) is in folder 'Local/Deep', the message in folder 'INBOX'", TRUE},
	{"binding of nothing", "DELETE FROM placement WHERE id = 1", "remote UID 11 of folder 'INBOX' is bound to placement 1, which is not there", TRUE},
	{"gone but here", "UPDATE placement_binding SET gone = 1 WHERE placement = 1", "UID 1 of folder 'INBOX' is to be removed at home, but it is here",
	 TRUE},
	{"base keywords", "UPDATE placement_binding SET keywords = 'b a' WHERE placement = 1",
	 "the base of UID 11 of folder 'INBOX' has disorderly keywords (b a)", TRUE},
	{"pending of nothing", "INSERT INTO pending (placement, folder) VALUES (555, 1)", "placement 555 is to be told to the home, but is not there", TRUE},
	{"bound and pending", "INSERT INTO pending (placement, folder) VALUES (1, 1)", "UID 1 of folder 'INBOX' is both bound and to be told to the home",
	 TRUE},
	{"pending elsewhere", "UPDATE pending SET folder = 1", "UID 1 of folder 'Local/Deep' is to be told to the home in folder 'INBOX'", TRUE},
	{"unknown to the home", "DELETE FROM placement_binding WHERE placement = 1", "UID 1 of folder 'INBOX' is neither bound nor to be told to the home",
	 TRUE},
	{"decision", "INSERT INTO hold (id, folder, side, kind, messages, detail, created, decision) VALUES (4, 1, 'here', 'rebind', 1, '', 1, 9)",
	 "hold 4 has the decision 9, which is none", TRUE},
	{"settled without a decision",
	 "INSERT INTO hold (id, folder, side, kind, messages, detail, created, settled) VALUES (4, 1, 'here', 'rebind', 1, '', 1, 1)",
	 "hold 4 has the decision 0, which is none", TRUE},
	{"notes of no hold", "INSERT INTO hold_message VALUES (66, 1, 1)", "messages are noted for hold 66, which is not there", TRUE},
	{"lines of no run", "INSERT INTO run_line VALUES (77, 1, 1, 0, 'x')", "the log has lines of run 77, which is not there", TRUE},
	{"octets", "UPDATE content SET data = (SELECT data FROM content WHERE id = 2) WHERE id = 1",
	 "content 1 is damaged (message 1 (number 1), UID 1 of folder 'INBOX')", TRUE},
	{"frame", "UPDATE content SET data = x'deadbeef' WHERE id = 1", "content 1 is damaged (message 1 (number 1), UID 1 of folder 'INBOX')", TRUE},
	{"frame of a chunk", "UPDATE content_chunk SET data = x'deadbeef' WHERE seq = 2", "is damaged (message 12 (number 12), UID 9 of folder 'INBOX')", TRUE},
	{"octets of a chunk", "UPDATE content_chunk SET data = (SELECT data FROM content_chunk WHERE seq = 2) WHERE seq = 0",
	 "is damaged (message 12 (number 12), UID 9 of folder 'INBOX')", TRUE},
	{"subject", "UPDATE message SET subject = 'wrong' WHERE id = 1", "message 1 (wrong) has other header fields than its content", TRUE},
	{"sent", "UPDATE message SET sent = 5 WHERE id = 1", "message 1 (number 1) has other header fields", TRUE},
	{"digest", "UPDATE message SET digest = 5 WHERE id = 1", "message 1 (number 1) has other header fields", TRUE},
	{"structure", "UPDATE message SET structure = CAST (structure || x'00' AS BLOB) WHERE id = 1", "message 1 (number 1) has other header fields", TRUE},
	{"earlier than all structures", "UPDATE message SET structure = zeroblob (40) WHERE id = 1", "message 1 (number 1) has other header fields", TRUE},
	{"full-text index", "DELETE FROM fts_data WHERE id = 10", "the full-text index is damaged", TRUE},
	{"thread", "UPDATE message SET thread = 99999 WHERE id = 5", "message 5 (number 5) is of thread 99999, which never was", TRUE},
	{"remote uid", "UPDATE placement_binding SET remote_uid = 0 WHERE placement = 4", "placement 4 of folder 'INBOX' is bound to the remote UID 0", TRUE},
	{"no hold", "DROP TABLE hold", "table hold is missing", TRUE},
	{"no identity's table", "DROP TABLE meta", "table meta is missing", TRUE},
	{"no bindings", "DROP TABLE placement_binding", "table placement_binding is missing", TRUE},
	{"no full-text index", "DROP TABLE fts", "table fts is missing", TRUE},
	{"no words", "PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE name = 'fts_idx'; PRAGMA writable_schema=RESET", "table fts_idx is missing",
	 TRUE},
	{"other columns", "ALTER TABLE hold DROP COLUMN decision", "table hold has other columns", FALSE},
	{"no index", "DROP INDEX message_content", "index message_content is missing", TRUE},
	{"other index", "DROP INDEX message_thread; CREATE INDEX message_thread ON message (size)", "index message_thread is another one", TRUE},
	{"trigger", "CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM hold; END", "trigger t does not belong here", TRUE},
	{"no index, equal rows", "DROP INDEX placement_uid; UPDATE placement SET uid = 2 WHERE id = 3", "index placement_uid is missing", TRUE},
	{"no index, equal bindings", "DROP INDEX placement_binding_uid; UPDATE placement_binding SET remote_uid = 12 WHERE placement = 3",
	 "index placement_binding_uid is missing", TRUE},
	{"no index, equal names", "DROP INDEX folder_name; UPDATE folder SET name = 'INBOX' WHERE name = 'Local'", "index folder_name is missing", TRUE},
};

/* The words of the messages are gone, FTS5's own records are not. Also found without reading all, and by who only reads. */
static void
a_gutted_full_text_index_is_found_without_the_right_to_write (void **state)
{
	static const char *const damages[] = {"DELETE FROM fts_data WHERE id > 10", "DELETE FROM fts_data WHERE id > 10; DELETE FROM fts_idx",
	                                      "DELETE FROM fts_data WHERE id = (SELECT MAX (id) FROM fts_data)", "DELETE FROM fts_data WHERE id = 1"};
	for (gsize i = 0; i < G_N_ELEMENTS (damages); i++) {
		void *fixture;
		g_autoptr (GString) text = g_string_new (NULL);
		fixture_set_up (&fixture);
		Fixture *f = fixture;
		plant_store (f->s);
		sql (f->s, "INSERT INTO fts (rowid, body) SELECT id, ' number ' FROM message; UPDATE meta SET indexed_message = (SELECT MAX (id) FROM message)");
		assert_clean (f->s);
		sql (f->s, damages[i]);
		g_autoptr (Store) reader = must_open (f->path, STORE_READ_ONLY);
		if (findings (reader, FALSE, FALSE, text) != 1 || !strstr (text->str, "the full-text index is damaged"))
			fail_msg ("%s: %s", damages[i], text->str);
		assert_int_equal (findings (f->s, TRUE, TRUE, NULL), 0);
		assert_int_equal (number (f->s, "SELECT indexed_message FROM meta"), 0); /* it is built anew */
		fixture_tear_down (&fixture);
	}
}

/* What must not change by a check or a repair: messages that the damage did not hit. */
static guint
readable_messages (Store *s)
{
	guint n = 0;
	for (gint64 id = 1; id <= 13; id++) {
		g_autoptr (Message) m = store_message (s, id, NULL);
		g_autoptr (GBytes) octets = m ? store_read (s, id, 0, 5 << 20, NULL) : NULL;
		if (!octets)
			continue;
		guint8 hash[DIGEST_SIZE];
		digest_of (g_bytes_get_data (octets, NULL), g_bytes_get_size (octets), hash);
		n += db_number (store_db (s), "SELECT c.hash = ?2 FROM message m JOIN content c ON c.id = m.content WHERE m.id = ?1", 0, "ib", id, hash,
		                (gsize) DIGEST_SIZE) == 1;
	}
	return n;
}

static void
one_case (Fixture *f, gsize i)
{
	g_autoptr (GString) text = g_string_new (NULL), mended = g_string_new (NULL);
	plant_store (f->s);
	assert_clean (f->s);
	sql (f->s, cases[i].damage);
	store_close (f->s); /* nothing is remembered */
	f->s = NULL;
	f->s = must_open (f->path, STORE_FOR_REPAIR);
	guint readable = readable_messages (f->s);
	guint64 modseq = store_modseq (f->s);
	if (findings (f->s, TRUE, FALSE, text) == 0 || !strstr (text->str, cases[i].found))
		fail_msg ("%s: not found, but: %s", cases[i].name, text->str);
	assert_int_equal (readable_messages (f->s), readable); /* looking changes nothing */
	guint64 left = findings (f->s, TRUE, TRUE, mended);
	if ((left == 0) != cases[i].mended || (left == 0) != (strstr (mended->str, "mended: ") != NULL))
		fail_msg ("%s: %d left: %s", cases[i].name, (int) left, mended->str);
	assert_true (store_modseq (f->s) >= modseq);
	if (readable_messages (f->s) < readable)
		fail_msg ("%s: messages were lost: %s", cases[i].name, mended->str);
}

static void
planted_damage_is_found_named_and_mended (void **state)
{
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		void *fixture;
		fixture_set_up (&fixture);
		one_case (fixture, i);
		fixture_tear_down (&fixture);
	}
}

static void
every_damage_at_once_is_mended (void **state)
{
	Fixture *f = *state;
	g_autoptr (GString) text = g_string_new (NULL);
	plant_store (f->s);
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
		if (cases[i].mended && !strstr (cases[i].damage, "UPDATE content") && !strstr (cases[i].damage, "DELETE FROM content") &&
		    !strstr (cases[i].damage, "DROP ") && !strstr (cases[i].damage, "TRIGGER") && !strstr (cases[i].damage, "schema")) {
			/* some hinder each other; contents are mended from the home, whose bindings others damage; without a table nothing else is found */
			GError *e = NULL;
			db_exec (store_db (f->s), "PRAGMA foreign_keys=OFF", NULL);
			db_exec (store_db (f->s), cases[i].damage, &e);
			g_clear_error (&e);
		}
	store_close (f->s);
	f->s = NULL;
	f->s = must_open (f->path, STORE_FOR_REPAIR);
	assert_true (findings (f->s, TRUE, FALSE, NULL) > 30);
	if (findings (f->s, TRUE, TRUE, NULL)) {
		findings (f->s, TRUE, FALSE, text);
		print_error ("%s", text->str);
		fail ();
	}
	assert_clean (f->s);
}

static void
a_damaged_message_that_the_home_has_is_downloaded_again (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	gboolean found;
	PlacementBinding b;
	plant_store (f->s);
	sql (f->s, "UPDATE content SET data = x'deadbeef' WHERE id = 3");
	assert_int_equal (findings (f->s, TRUE, TRUE, NULL), 0);
	g_autoptr (Folder) inbox = store_folder_by_path (f->s, "INBOX", &e);
	must (store_binding_by_uid (f->s, inbox->id, 13, &b, &found, &e), &e);
	assert_false (found); /* so the home's UID 13 is new to the next run, */
	g_autoptr (FolderBinding) folder = store_folder_binding (f->s, inbox->id, &e);
	assert_false (folder->complete); /* which compares all of the folder */
	assert_int_equal (inbox->total, 8);
	begin (f->s);
	g_autoptr (Placement) again = store_placement (f->s, put (f->s, inbox->id, 3), &e); /* and it can be stored */
	assert_octets (f->s, again->message, "From: a3@example.org\r\nSubject: number 3\r\nMessage-ID: <m3@example.org>\r\n\r\nText 3\r\n", 81);
	store_rollback (f->s);
}

static void
a_damaged_message_that_only_exists_here_stays (void **state)
{
	Fixture *f = *state;
	g_autoptr (GString) text = g_string_new (NULL);
	plant_store (f->s);
	sql (f->s, "UPDATE content SET data = x'deadbeef' WHERE id IN (9, 11)");
	assert_int_equal (findings (f->s, TRUE, TRUE, text), 2);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM placement WHERE message IN (9, 11)"), 2);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM message WHERE id IN (9, 11)"), 2);
}

static void
removals_that_nobody_asked_for_never_reach_the_home (void **state)
{
	/* A placement or folder that a damage took away must not look like one that the user removed. */
	static const char *const damages[] = {"DELETE FROM placement WHERE folder = 1", "DELETE FROM folder WHERE id = 1", "DELETE FROM message",
	                                      "DELETE FROM placement WHERE id IN (1, 2); DELETE FROM folder_removal"};
	for (gsize i = 0; i < G_N_ELEMENTS (damages); i++) {
		void *fixture;
		GError *e = NULL;
		guint64 appends, flags, removals, before;
		fixture_set_up (&fixture);
		Store *s = ((Fixture *) fixture)->s;
		plant_store (s);
		must (store_count_unpushed (s, &appends, &flags, &before, &e), &e);
		sql (s, damages[i]);
		assert_int_equal (findings (s, FALSE, TRUE, NULL), 0);
		must (store_count_unpushed (s, &appends, &flags, &removals, &e), &e);
		assert_true (removals <= before);
		g_autoptr (GPtrArray) bindings = store_folder_bindings (s, &e);
		for (guint k = 0; k < bindings->len; k++)
			assert_false (((FolderBinding *) bindings->pdata[k])->folder_gone);
		fixture_tear_down (&fixture);
	}
}

static void
of_one_kind_the_first_are_shown_and_all_are_counted (void **state)
{
	Fixture *f = *state;
	g_autoptr (GString) text = g_string_new (NULL);
	begin (f->s);
	gint64 a = make_folder (f->s, "A");
	for (guint i = 0; i < 50; i++)
		put (f->s, a, i);
	commit (f->s);
	sql (f->s, "UPDATE placement SET flags = flags + 64");
	assert_int_equal (findings (f->s, FALSE, FALSE, text), 50);
	assert_non_null (strstr (text->str, "... and 30 more of this kind"));
	assert_int_equal (findings (f->s, FALSE, TRUE, NULL), 0);
}

typedef struct {
	Cancel *cancel;
	guint lines;
} Stop;

static void
stop (gpointer data, const char *finding)
{
	Stop *s = data;
	s->lines++;
	cancel_trigger (s->cancel);
}

static void
a_check_can_be_stopped (void **state)
{
	Fixture *f = *state;
	g_autoptr (Cancel) cancel = cancel_new ();
	Stop s = {cancel, 0};
	GError *e = NULL;
	guint64 n;
	plant_store (f->s);
	sql (f->s, "UPDATE meta SET modseq = 1; UPDATE placement SET flags = 64; UPDATE content SET data = x'00'");
	must_fail (store_check (f->s, TRUE, FALSE, stop, &s, cancel, &n, &e), &e, ERROR_CANCELLED, "stopped");
	assert_int_equal (s.lines, 1);
	must_fail (store_check (f->s, TRUE, TRUE, stop, &s, cancel, &n, &e), &e, ERROR_CANCELLED, "stopped");
	begin (f->s); /* nothing is left open */
	commit (f->s);
	assert_true (findings (f->s, FALSE, FALSE, NULL) > 0);
}

static void
without_an_identity_a_store_is_only_read_and_repaired (void **state)
{
	static const char *const damages[] = {"DELETE FROM meta", "UPDATE meta SET mailbox_id = x'00'"};
	for (gsize i = 0; i < G_N_ELEMENTS (damages); i++) {
		void *fixture;
		GError *e = NULL;
		fixture_set_up (&fixture);
		Fixture *f = fixture;
		plant_store (f->s);
		guint readable = readable_messages (f->s);
		sql (f->s, damages[i]);
		g_clear_pointer (&f->s, store_close);
		f->s = store_open (f->path, 0, &e);
		must_fail (f->s != NULL, &e, ERROR_CORRUPT, "outpost store check");
		f->s = must_open (f->path, STORE_READ_ONLY);
		assert_int_equal (readable_messages (f->s), readable);
		g_clear_pointer (&f->s, store_close);
		f->s = must_open (f->path, STORE_FOR_REPAIR);
		assert_int_equal (findings (f->s, TRUE, TRUE, NULL), 0);
		g_clear_pointer (&f->s, store_close);
		f->s = must_open (f->path, 0);
		assert_int_equal (readable_messages (f->s), readable);
		fixture_tear_down (&fixture);
	}
}

static void
reading_only_finds_but_can_not_mend (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	guint64 n;
	plant_store (f->s);
	sql (f->s, "UPDATE placement SET flags = flags + 64 WHERE id = 1");
	g_autoptr (Store) reader = must_open (f->path, STORE_READ_ONLY);
	assert_int_equal (findings (reader, TRUE, FALSE, NULL), 1);
	must_fail (store_check (reader, FALSE, TRUE, NULL, NULL, NULL, &n, &e), &e, ERROR_NO_PERMISSION, "reading only");
}

/* ---- Pages ---- */

#define PAGE 16384

static void
fill_many (Store *s)
{
	g_autoptr (GRand) rand = g_rand_new_with_seed (5);
	begin (s);
	g_autoptr (Folder) there = store_folder_by_path (s, "INBOX", NULL);
	gint64 inbox = there ? there->id : make_folder (s, "INBOX");
	if (!there)
		bind_folder (s, inbox, "INBOX");
	for (guint i = 1; i <= 300; i++) {
		GError *e = NULL;
		g_autoptr (GString) text = g_string_new (NULL);
		g_string_printf (text, "Subject: number %u\r\n\r\n", i);
		while (text->len < 2000)
			g_string_append_printf (text, "%08x", g_rand_int (rand));
		PlacementBinding b = {.folder = inbox, .remote_uid = 1000 + i};
		must (store_place (s, inbox, add_text (s, inbox, text->str, i), 0, NULL, FALSE, 0, &b.placement, &e) && store_bind_placement (s, &b, &e), &e);
	}
	commit (s);
}

/* The root page's right-most leaf or a page of that table or index, by dbstat. */
static gint64
page_of (Store *s, const char *name, guint which)
{
	g_autofree char *text = g_strdup_printf ("SELECT pageno FROM dbstat WHERE name = '%s' AND pagetype = 'leaf' ORDER BY pageno LIMIT 1 OFFSET %u", name,
	                                         which);
	return number (s, text);
}

static void
overwrite (const char *path, gint64 page, gsize from, gsize size, int octet)
{
	g_autofree char *garbage = g_strnfill (size, (char) octet);
	int fd = open (path, O_WRONLY);
	assert_int_equal (pwrite (fd, garbage, size, (off_t) ((page - 1) * PAGE) + (off_t) from), size);
	close (fd);
}

/* What the store still does with that page overwritten: opens, lists, reads what is whole, says CORRUPT for what is not. */
static guint
use_damaged (Fixture *f)
{
	guint read = 0, damaged = 0;
	f->s = must_open (f->path, 0);
	for (gint64 id = 1; id <= 300; id++) {
		GError *e = NULL;
		g_autoptr (GBytes) octets = store_read (f->s, id, 0, 5000, &e);
		if (octets)
			read++;
		else {
			damaged++;
			if (!error_is (e, ERROR_CORRUPT) || !strstr (e->message, "outpost store check"))
				fail_msg ("message %d: %s", (int) id, e->message);
		}
		g_clear_error (&e);
	}
	assert_int_equal (read + damaged, 300);
	return damaged;
}

static void
a_damaged_page_of_contents_costs_only_its_messages (void **state)
{
	static const struct {
		gsize from, size;
		int octet;
		const char *found;
	} kinds[] = {{0, PAGE, 0, "damaged"}, {0, PAGE, 0xff, "damaged"}, {0, 100, 0x55, "damaged"}, {8000, 200, 0, "damaged"}};
	for (gsize k = 0; k < G_N_ELEMENTS (kinds); k++) {
		void *fixture;
		g_autoptr (GString) text = g_string_new (NULL);
		fixture_set_up (&fixture);
		Fixture *f = fixture;
		fill_many (f->s);
		gint64 page = page_of (f->s, "content", 3);
		g_clear_pointer (&f->s, store_close);
		overwrite (f->path, page, kinds[k].from, kinds[k].size, kinds[k].octet);
		guint damaged = use_damaged (f);
		assert_true (damaged < 30);
		assert_true (findings (f->s, TRUE, FALSE, text) > 0);
		if (!strstr (text->str, kinds[k].found) || !strstr (text->str, "of folder 'INBOX'"))
			fail_msg ("%s", text->str);
		fixture_tear_down (&fixture);
	}
}

static void
a_damaged_page_of_an_index_is_made_anew (void **state)
{
	static const char *const names[] = {"message_received", "message_content", "message_thread", "placement_modseq", "placement_message",
	                                    "placement_binding_uid"};
	for (gsize k = 0; k < G_N_ELEMENTS (names); k++) {
		void *fixture;
		g_autoptr (GString) text = g_string_new (NULL);
		fixture_set_up (&fixture);
		Fixture *f = fixture;
		fill_many (f->s);
		gint64 page = page_of (f->s, names[k], 0);
		g_clear_pointer (&f->s, store_close);
		overwrite (f->path, page, 100, PAGE - 100, 0);
		f->s = must_open (f->path, 0);
		assert_true (findings (f->s, FALSE, FALSE, text) > 0);
		guint64 left = findings (f->s, FALSE, TRUE, text);
		if (left || !strstr (text->str, "indexes were made anew"))
			fail_msg ("%s: %d left: %s", names[k], (int) left, text->str);
		assert_clean (f->s);
		fixture_tear_down (&fixture);
	}
}

/* Whatever page is hit: no crash, no hang, the errors are ours, a check says something, a repair leaves a sound store from which nothing is
 * removed at home; what is lost here is fetched again. Only the few pages at the top of the big tables cost many messages. The first page is SQLite's own table of contents: without it nothing opens. */
static void
any_damaged_page_is_told_and_mended (void **state)
{
	void *fixture;
	fixture_set_up (&fixture);
	Fixture *f = fixture;
	fill_many (f->s);
	gint64 pages = number (f->s, "PRAGMA page_count");
	g_clear_pointer (&f->s, store_close);
	g_autofree char *whole = NULL;
	gsize size;
	guint few = 0;
	assert_true (g_file_get_contents (f->path, &whole, &size, NULL));
	for (gint64 page = 1; page <= pages; page += page < 45 ? 1 : 9) {
		GError *e = NULL;
		guint64 n = 0;
		assert_true (g_file_set_contents (f->path, whole, (gssize) size, NULL));
		overwrite (f->path, page, page == 1 ? 100 : 0, PAGE - 100, 0xa5);
		f->s = store_open (f->path, STORE_FOR_REPAIR, &e);
		if (!f->s) {
			must_fail (FALSE, &e, ERROR_CORRUPT, "outpost store check");
			assert_int_equal (page, 1);
			continue;
		}
		gboolean ok = store_check (f->s, TRUE, FALSE, NULL, NULL, NULL, &n, &e);
		if (!ok || n == 0)
			fail_msg ("page %d: %s", (int) page, ok ? "nothing found" : e->message);
		g_autoptr (GString) text = g_string_new (NULL);
		if (!store_check (f->s, TRUE, TRUE, NULL, NULL, NULL, &n, &e))
			fail_msg ("page %d: %s", (int) page, e->message);
		if (n) {
			print_error ("page %d: %d left", (int) page, (int) n);
			findings (f->s, TRUE, FALSE, text);
			print_error ("left: %s", text->str);
			fail ();
		}
		g_clear_pointer (&f->s, store_close);
		f->s = must_open (f->path, 0);
		gint64 there = number (f->s, "SELECT COUNT (*) FROM message m JOIN content c ON c.id = m.content JOIN placement p ON p.message = m.id");
		gboolean again = number (f->s, "SELECT COUNT (*) FROM folder_binding WHERE complete = 0 OR folder NOT IN (SELECT id FROM folder)") > 0 ||
		                 number (f->s, "SELECT COUNT (*) FROM folder_binding") == 0;
		few += there < 200;
		if (there < 300 && !again && number (f->s, "SELECT COUNT (*) FROM removed") == 0)
			fail_msg ("page %d: %d messages, and the rest is not fetched again", (int) page, (int) there);
		assert_int_equal (number (f->s, "SELECT COUNT (*) FROM placement_binding WHERE gone = 1"), 0);
		begin (f->s); /* it can be used */
		put (f->s, make_folder (f->s, "New"), 999);
		commit (f->s);
		assert_clean (f->s);
		g_clear_pointer (&f->s, store_close);
	}
	assert_in_range (few, 1, 6);
	fixture_tear_down (&fixture);
}

/* A binding of which the sending was undone has a number below zero: the home is still to remove its message. */
static void
a_rebuilt_store_still_knows_what_was_undone (void **state)
{
	static const char undone[] = "SELECT COUNT (*) FROM placement_binding WHERE placement = -100 AND gone = 1";
	void *fixture;
	GError *e = NULL;
	fixture_set_up (&fixture);
	Fixture *f = fixture;
	guint64 left = 0;
	fill_many (f->s);
	sql (f->s, "INSERT INTO placement_binding (placement, folder, remote_uid, flags, gone, message)"
	           " SELECT -placement, folder, 90000, 0, 1, (SELECT MIN (id) FROM message) FROM placement_binding WHERE placement = 100");
	assert_int_equal (number (f->s, undone), 1);
	gint64 page = page_of (f->s, "content", 2);
	g_clear_pointer (&f->s, store_close);
	overwrite (f->path, page, 0, PAGE - 100, 0xa5);
	f->s = store_open (f->path, STORE_FOR_REPAIR, &e);
	assert_non_null (f->s);
	must (store_check (f->s, TRUE, TRUE, NULL, NULL, NULL, &left, &e), &e);
	assert_int_equal (left, 0);
	assert_in_range (number (f->s, "SELECT COUNT (*) FROM message"), 100, 299); /* it was written anew */
	assert_int_equal (number (f->s, undone), 1);
	fixture_tear_down (&fixture);
}

/* ---- Compacting ---- */

static void
compacting_gives_room_back_and_loses_nothing (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	guint64 before, after;
	plant_store (f->s);
	fill_many (f->s);
	assert_clean (f->s);
	guint readable = readable_messages (f->s);
	begin (f->s);
	for (gint64 p = 100; p < 300; p++)
		must (store_remove (f->s, p, "home", &e), &e);
	must (store_sweep (f->s, G_MAXINT64, NULL, &e), &e);
	commit (f->s);
	must (store_compact (f->s, &before, &after, &e), &e);
	assert_true (after < before / 2 && after > 0);
	assert_int_equal (number (f->s, "PRAGMA freelist_count"), 0);
	assert_true (readable_messages (f->s) >= readable - 3); /* those among the removed are swept */
	assert_clean (f->s);
	guint64 again;
	must (store_compact (f->s, &before, &again, &e), &e);
	assert_true (again <= after);
}

static void
contents_older_than_the_dictionary_are_compressed_anew (void **state)
{
	Fixture *f = *state;
	GError *e = NULL;
	guint64 before, after;
	begin (f->s);
	for (guint i = 0; i < 1100; i++) {
		g_autofree char *text = g_strdup_printf ("From: Person %u <p%u@example.org>\r\nTo: list@lists.example.org\r\nSubject: [list] question %u\r\n"
		                                         "List-Id: <list.lists.example.org>\r\nMessage-ID: <%u@example.org>\r\n\r\nDear all,\r\n\r\n"
		                                         "about number %u: what do you think?\r\n", i % 50, i % 50, i, i, i);
		add_text (f->s, 0, text, i);
		must (db_run (store_db (f->s), "INSERT INTO removed (message, folder, folder_path, flags, removed, cause) VALUES (?1, 1, 'A', 0, 1, 'here')", &e,
		              "i", (gint64) i + 1), &e);
	}
	commit (f->s);
	StoreStatistics was, is;
	must (store_statistics (f->s, &was, &e) && store_compact (f->s, &before, &after, &e) && store_statistics (f->s, &is, &e), &e);
	assert_int_equal (number (f->s, "SELECT COUNT (*) FROM content WHERE dictionary = 0"), 0);
	assert_true (is.stored_octets * 2 < was.stored_octets && is.contents == was.contents && is.content_octets == was.content_octets);
	assert_clean (f->s);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (planted_damage_is_found_named_and_mended),
		cmocka_unit_test (a_gutted_full_text_index_is_found_without_the_right_to_write),
		WITH_STORE (every_damage_at_once_is_mended),
		WITH_STORE (a_damaged_message_that_the_home_has_is_downloaded_again),
		WITH_STORE (a_damaged_message_that_only_exists_here_stays),
		cmocka_unit_test (removals_that_nobody_asked_for_never_reach_the_home),
		WITH_STORE (of_one_kind_the_first_are_shown_and_all_are_counted),
		WITH_STORE (a_check_can_be_stopped),
		cmocka_unit_test (without_an_identity_a_store_is_only_read_and_repaired),
		WITH_STORE (reading_only_finds_but_can_not_mend),
		cmocka_unit_test (a_damaged_page_of_contents_costs_only_its_messages),
		cmocka_unit_test (a_damaged_page_of_an_index_is_made_anew),
		cmocka_unit_test (a_rebuilt_store_still_knows_what_was_undone),
		cmocka_unit_test (any_damaged_page_is_told_and_mended),
		WITH_STORE (compacting_gives_room_back_and_loses_nothing),
		WITH_STORE (contents_older_than_the_dictionary_are_compressed_anew),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
