/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that want to be waited for, or to fill memory, and messages that would if they were held whole. */
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "endpoint-case.h"

#define CHUNK 65536
#define MUCH (512u << 20)        /* nobody reads so much */
#define BIG (200u << 20)         /* of a big message */
#define MEMORY_KB (24 * 1024)    /* that a big message may take */
#define TIME_MS 30000

static gboolean
push (int fd, const char *data, gsize size)
{
	while (size > 0) {
		ssize_t n = send (fd, data, size, MSG_NOSIGNAL);
		if (n <= 0)
			return FALSE;
		data += n;
		size -= (gsize) n;
	}
	return TRUE;
}

static void
repeat (int fd, const char *text, guint64 octets)
{
	g_autoptr (GString) chunk = g_string_new (NULL);
	while (chunk->len < CHUNK)
		g_string_append (chunk, text);
	for (guint64 sent = 0; sent < octets; sent += chunk->len)
		if (!push (fd, chunk->str, chunk->len))
			return;
}

static void
produce_endless_line (int fd)
{
	repeat (fd, "never ending ", MUCH);
}

static void
produce_parentheses (int fd)
{
	repeat (fd, "((((((((((", 1 << 20);
	push (fd, "\r\n", 2);
}

static void
produce_values (int fd)
{
	repeat (fd, "1 ", 80 << 20);
	push (fd, "\r\n", 2);
}

static void
produce_folders (int fd)
{
	for (guint i = 0; i < 150000; i++) {
		g_autofree char *line = g_strdup_printf ("* LIST () \"/\" folder%u\r\n", i);
		if (!push (fd, line, strlen (line)))
			return;
	}
	push (fd, "o3 OK\r\n", 7);
}

static void
produce_half_a_literal (int fd)
{
	repeat (fd, "x", 3 << 20);
}

static const EndpointCase cases[] = {
	{"a line without end", call_list, "error TOO_BIG", {TALK (LOG_ON ("NAMESPACE"), {"^NAMESPACE", "* OK ", 0, produce_endless_line})}},
	{"a greeting without end", call_list, "error TOO_BIG", {TALK ({NULL, "* OK ", 0, produce_endless_line})}},
	{"a capability list without end", call_list, "error TOO_BIG", {TALK ({NULL, "* OK [CAPABILITY ", 0, produce_endless_line})}},
	{"parentheses without end", call_list, "error (PROTOCOL|TOO_BIG)", {TALK (LOG_ON ("NAMESPACE"), {"^NAMESPACE", "* NAMESPACE ", 0, produce_parentheses})}},
	{"a million values", call_query_uids, "error (PROTOCOL|TOO_BIG)", {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID SEARCH", "* SEARCH ", 0, produce_values})}},
	{"as many messages as a number can say", call_query_uids, "INBOX error REFUSED.*",
	 {TALK (LOG_ON (""), {"^SELECT \"INBOX\"", "* 4294967295 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n%T OK in\r\n"})}},
	{"more folders than we take", call_list, "error TOO_BIG",
	 {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^LIST", "", 0, produce_folders}, SUBSCRIBE_EMPTY)}},
	{"a literal of 100 million million octets", call_fetch, "error TOO_BIG",
	 {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH", "* 1 FETCH (UID 1 FLAGS () BODY[] {100000000000000}\r\n"})}},
	{"a literal with more digits than a number has", call_fetch, "error (PROTOCOL|TOO_BIG|TEMPORARY)",
	 {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH", "* 1 FETCH (UID 1 FLAGS () BODY[] {99999999999999999999999999999999}\r\n", FAKE_CLOSE})}},
	{"a big literal that ends in the middle", call_fetch, "error TEMPORARY",
	 {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH", "* 1 FETCH (UID 1 FLAGS () BODY[] {4000000000}\r\n", FAKE_CLOSE, produce_half_a_literal})}},
	{"literals within literals of other responses", call_list, "error (PROTOCOL|TOO_BIG)",
	 {TALK (LOG_ON ("NAMESPACE"), {"^NAMESPACE", "* NAMESPACE {5}\r\n((((( {999999999999}\r\n"})}},
	{"an answer to a command that was never sent", call_list, "error PROTOCOL", {TALK (LOG_ON ("NAMESPACE"), {"^NAMESPACE", "o999 OK surprise\r\n"})}},
	{"an answer twice", call_list, "error PROTOCOL", {TALK (LOG_ON ("NAMESPACE"), {"^NAMESPACE", OK OK})}},
	{"an answer without a tag", call_list, "error PROTOCOL", {TALK (LOG_ON ("NAMESPACE"), {"^NAMESPACE", " OK\r\n"})}},
	{"NUL octets in a response", call_list, "error PROTOCOL", {TALK (LOG_ON ("NAMESPACE"), {"^NAMESPACE", "* NAMESPACE ((\0\r\n", 17})}},
	{"octets that are no text", call_list, "error PROTOCOL", {TALK (LOG_ON ("NAMESPACE"), {"^NAMESPACE", "\377\376\200\201\r\n"})}},
};

static void
a_server_cannot_make_us_wait_or_fill_memory (void **state)
{
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
		gint64 start = g_get_monotonic_time ();
		case_check (&cases[i], FALSE);
		if (g_get_monotonic_time () - start > TIME_MS * 1000)
			fail_msg ("%s: %d ms", cases[i].name, (int) ((g_get_monotonic_time () - start) / 1000));
	}
}

/* ---- Big messages ---- */

static long
peak_kb (void)
{
	struct rusage usage;
	getrusage (RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static void
check_peak (const char *what, long before)
{
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory for a while */
	if (peak_kb () - before > MEMORY_KB)
		fail_msg ("%s took %ld kB", what, peak_kb () - before);
#endif
	(void) what;
	(void) before;
}

static void
produce_big (int fd)
{
	repeat (fd, "0123456789abcdef", BIG);
	push (fd, ")\r\no3 OK\r\n", 10);
}

static gboolean
take_big (gpointer data, const FetchedMessage *m, GError **error)
{
	char piece[4096];
	guint64 size = 0;
	assert_null (m->octets);
	for (ssize_t n; (n = read (m->fd, piece, sizeof piece)) > 0;) {
		size += (guint64) n;
		assert_int_equal (piece[0], '0');
	}
	assert_true (size == m->size);
	*(guint64 *) data = size;
	return TRUE;
}

static void
a_big_message_comes_without_being_held_in_memory (void **state)
{
	FakeTalk talks[] = {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH", "* 1 FETCH (UID 1 FLAGS () BODY[] {209715200}\r\n", 0, produce_big})};
	FakeServer *server = fake_server_new (talks, 1, FALSE);
	Endpoint *e = case_endpoint (server);
	FetchRequest r = {.name = "INBOX", .uidvalidity = 7};
	GError *error = NULL;
	guint64 size = 0;
	long before = peak_kb ();
	uid_set_add (&r.uids, 1);
	assert_true (e->class->open (e, NULL, &error));
	assert_true (e->class->fetch (e, &r, 1, take_big, &size, &error));
	assert_true (size == BIG);
	check_peak ("a big message", before);
	fetch_request_done (&r);
	endpoint_free (e);
	g_free (fake_server_free (server));
}

/* Reads the literal slowly at first, so that the queue fills. */
static void
swallow_big (int fd)
{
	g_autofree char *chunk = g_malloc (CHUNK);
	g_usleep (300000);
	for (guint64 left = BIG; left > 0;) {
		ssize_t n = recv (fd, chunk, (gsize) MIN (left, CHUNK), 0);
		if (n <= 0)
			return;
		left -= (guint64) n;
	}
}

static gboolean
give_big (gpointer data, gsize offset, gsize size, GBytes **octets_out, GError **error)
{
	char *octets = g_malloc (size);
	for (gsize i = 0; i < size; i++)
		octets[i] = (offset + i) % 64 == 62 ? '\r' : (offset + i) % 64 == 63 ? '\n' : 'x';
	*octets_out = g_bytes_new_take (octets, size);
	return TRUE;
}

static void
a_big_message_goes_without_being_held_in_memory (void **state)
{
	FakeTalk talks[] = {TALK (LOG_ON ("UIDPLUS LITERAL+"), {"^APPEND \"A\" .* \\{209715200\\}$", "+ go on\r\n", 0, swallow_big},
	                          {"=^$", "%T OK [APPENDUID 9 31] done\r\n"})};
	FakeServer *server = fake_server_new (talks, 1, FALSE);
	Endpoint *e = case_endpoint (server);
	AppendRequest r = {.source = give_big, .size = BIG, .received = 1};
	GError *error = NULL;
	long before = peak_kb ();
	assert_true (e->class->open (e, NULL, &error));
	assert_true (e->class->append (e, "A", &r, 1, &error));
	assert_null (r.error);
	assert_int_equal (r.uid, 31);
	check_peak ("a big upload", before);
	endpoint_free (e);
	char *trouble = fake_server_free (server);
	assert_null (trouble);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (a_server_cannot_make_us_wait_or_fill_memory),
		cmocka_unit_test (a_big_message_comes_without_being_held_in_memory),
		cmocka_unit_test (a_big_message_goes_without_being_held_in_memory),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
