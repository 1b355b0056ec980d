/* SPDX-License-Identifier: Apache-2.0 */
#include "queue.h"
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

typedef struct {
	char *folder, *path;
	Queue *q;
} Fixture;

static int
set_up (void **state)
{
	Fixture *f = g_new0 (Fixture, 1);
	f->folder = g_dir_make_tmp ("queue-XXXXXX", NULL);
	f->path = g_build_filename (f->folder, "queue.db", NULL);
	f->q = queue_open (f->path, TRUE, NULL);
	*state = f;
	return f->q ? 0 : -1;
}

static int
tear_down (void **state)
{
	Fixture *f = *state;
	queue_close (f->q);
	for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end; end++) {
		g_autofree char *file = g_strconcat (f->path, *end, NULL);
		g_unlink (file);
	}
	g_rmdir (f->folder);
	g_free (f->folder);
	g_free (f->path);
	g_free (f);
	return 0;
}

/* For "a@x", "b@x", ..., @n of them, due at @next. */
static gboolean
add (Queue *q, const char *name, guint n, gint64 next, GError **error)
{
	g_autoptr (GPtrArray) to = g_ptr_array_new_with_free_func ((GDestroyNotify) queue_recipient_free);
	g_autoptr (GBytes) octets = g_bytes_new_static ("a\0b", 3);
	const QueueMessage m = {.name = (char *) name, .sender = (char *) "s@x", .utf8 = TRUE, .envid = (char *) "e", .queued = 7, .size = 3};
	for (guint i = 0; i < n; i++) {
		QueueRecipient *r = g_new0 (QueueRecipient, 1);
		*r = (QueueRecipient){.address = g_strdup_printf ("%c@x", 'a' + (int) i), .notify = g_strdup (i ? "NEVER" : NULL), .next = next, .sent = i == 2};
		g_ptr_array_add (to, r);
	}
	return queue_add (q, &m, octets, to, error);
}

/* "1 2": the messages that are due at @now. */
static void
assert_due (Queue *q, gint64 now, const char *ids)
{
	g_autoptr (GArray) due = queue_due (q, now, 10, NULL);
	g_autoptr (GString) text = g_string_new (NULL);
	assert_non_null (due);
	for (guint i = 0; i < due->len; i++)
		g_string_append_printf (text, "%s%d", i ? " " : "", (int) g_array_index (due, gint64, i));
	assert_string_equal (text->str, ids);
}

/* "a@x:0: b@x:1:why": those of message 1 that are due at @now, with their tries. */
static void
assert_recipients (Queue *q, gint64 now, const char *wanted)
{
	g_autoptr (GPtrArray) all = queue_recipients (q, 1, now, NULL);
	g_autoptr (GString) text = g_string_new (NULL);
	for (guint i = 0; i < all->len; i++) {
		const QueueRecipient *r = all->pdata[i];
		g_string_append_printf (text, "%s%s:%u:%s", i ? " " : "", r->address, r->tries, r->said);
	}
	assert_string_equal (text->str, wanted);
}

static void
test_what_was_added_is_there_as_it_came (void **state)
{
	Fixture *f = *state;
	assert_true (add (f->q, "one", 3, 10, NULL));
	queue_close (f->q);
	f->q = queue_open (f->path, FALSE, NULL);
	g_autoptr (QueueMessage) m = queue_message_by_name (f->q, "one", NULL);
	g_autoptr (GPtrArray) to = queue_recipients (f->q, m->id, G_MAXINT64, NULL);
	g_autoptr (GBytes) octets = queue_octets (f->q, m->id, NULL);
	assert_string_equal (m->sender, "s@x");
	assert_string_equal (m->envid, "e");
	assert_null (m->ret);
	assert_true (m->utf8 && m->queued == 7 && m->size == 3);
	assert_memory_equal (g_bytes_get_data (octets, NULL), "a\0b", 3);
	assert_int_equal (to->len, 3);
	assert_null (((QueueRecipient *) to->pdata[0])->notify);
	assert_string_equal (((QueueRecipient *) to->pdata[1])->notify, "NEVER");
	assert_true (!((QueueRecipient *) to->pdata[1])->sent && ((QueueRecipient *) to->pdata[2])->sent);
}

static void
test_a_name_is_there_once (void **state)
{
	Fixture *f = *state;
	g_autoptr (GError) error = NULL;
	QueueCounts n;
	assert_true (add (f->q, "one", 1, 0, NULL));
	assert_false (add (f->q, "one", 2, 0, &error));
	assert_true (error_is (error, ERROR_EXISTS) && queue_count (f->q, &n, NULL));
	assert_true (n.messages == 1 && n.recipients == 1 && n.deferred == 0 && n.octets == 3);
}

static void
test_what_waits_longest_is_due_first (void **state)
{
	Queue *q = ((Fixture *) *state)->q;
	gint64 next;
	assert_true (queue_next (q, &next, NULL) && next == G_MAXINT64);
	assert_true (add (q, "one", 2, 20, NULL) && add (q, "two", 1, 10, NULL) && add (q, "three", 1, 30, NULL));
	assert_true (queue_next (q, &next, NULL) && next == 10);
	assert_due (q, 9, "");
	assert_due (q, 20, "2 1");
	assert_due (q, 100, "2 1 3");
}

static void
test_a_try_counts_before_it_is_made (void **state)
{
	Queue *q = ((Fixture *) *state)->q;
	assert_true (add (q, "one", 2, 0, NULL));
	assert_true (queue_begin (q, NULL) && queue_later (q, 2, 50, "full", NULL) && queue_commit (q, NULL));
	assert_true (queue_try (q, 1, 10, 60, NULL));
	assert_due (q, 49, "");
	assert_recipients (q, 50, "b@x:0:full"); /* was not due */
	assert_recipients (q, 60, "a@x:1:being tried b@x:0:full");
	assert_true (queue_resume (q, NULL)); /* a server died in that try */
	assert_recipients (q, 0, "a@x:1:being tried");
}

static void
test_a_message_goes_with_its_last_recipient (void **state)
{
	Queue *q = ((Fixture *) *state)->q;
	QueueCounts n;
	assert_true (add (q, "one", 2, 0, NULL) && add (q, "two", 1, 0, NULL));
	assert_true (queue_begin (q, NULL) && queue_forget_recipient (q, 1, NULL) && queue_commit (q, NULL));
	assert_recipients (q, 0, "b@x:0:");
	assert_true (queue_begin (q, NULL) && queue_forget_recipient (q, 2, NULL) && add (q, "report", 1, 0, NULL) && queue_commit (q, NULL));
	assert_null (queue_message (q, 1, NULL));
	assert_true (queue_count (q, &n, NULL) && n.messages == 2 && n.recipients == 2);
	assert_true (queue_begin (q, NULL) && queue_forget_recipient (q, 3, NULL));
	queue_rollback (q);
	g_autoptr (QueueMessage) two = queue_message_by_name (q, "two", NULL);
	assert_non_null (two);
}

static void
test_an_administrator_retries_and_deletes (void **state)
{
	Queue *q = ((Fixture *) *state)->q;
	g_autoptr (GError) error = NULL;
	guint n;
	assert_true (add (q, "one", 1, 100, NULL) && add (q, "two", 1, 100, NULL));
	assert_true (queue_retry (q, "two", &n, NULL) && n == 1);
	assert_due (q, 1, "2");
	assert_true (queue_retry (q, NULL, &n, NULL) && n == 2);
	assert_due (q, 1, "1 2");
	assert_true (queue_delete (q, "one", NULL));
	assert_due (q, 1, "2");
	assert_true (!queue_delete (q, "one", &error) && error_is (error, ERROR_NOT_FOUND));
	g_clear_error (&error);
	assert_true (!queue_retry (q, "one", &n, &error) && error_is (error, ERROR_NOT_FOUND));
}

static void
test_what_is_no_queue_is_refused (void **state)
{
	Fixture *f = *state;
	g_autoptr (GError) error = NULL;
	g_autofree char *none = g_build_filename (f->folder, "none", NULL);
	assert_null (queue_open (none, FALSE, &error));
	assert_true (error_is (error, ERROR_NOT_FOUND));
	g_clear_error (&error);
	assert_true (g_file_set_contents (none, "this is no database, but long enough to be looked at as one, as it has a hundred octets and some more of them", -1, NULL));
	assert_null (queue_open (none, TRUE, &error));
	assert_true (error_is (error, ERROR_CORRUPT));
	g_unlink (none);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown (test_what_was_added_is_there_as_it_came, set_up, tear_down),
		cmocka_unit_test_setup_teardown (test_a_name_is_there_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown (test_what_waits_longest_is_due_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown (test_a_try_counts_before_it_is_made, set_up, tear_down),
		cmocka_unit_test_setup_teardown (test_a_message_goes_with_its_last_recipient, set_up, tear_down),
		cmocka_unit_test_setup_teardown (test_an_administrator_retries_and_deletes, set_up, tear_down),
		cmocka_unit_test_setup_teardown (test_what_is_no_queue_is_refused, set_up, tear_down),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
