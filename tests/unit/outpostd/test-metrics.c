/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "metrics-page.h"
#include <string.h>

static void
has (const char *text, const char *line)
{
	g_autofree char *whole = g_strconcat ("\n", line, "\n", NULL);
	if (!strstr (text, whole))
		fail_msg ("'%s' is missing in:\n%s", line, text);
}

static void
a_command_counts_in_its_range_and_all_longer_ones (void **state)
{
	g_autoptr (Metrics) m = metrics_new ();
	g_autoptr (GString) text = g_string_new ("\n");
	metrics_command (m, "NOOP", 0);
	metrics_command (m, "NOOP", 100);
	metrics_command (m, "NOOP", 101);
	metrics_command (m, "NOOP", 2000000);
	metrics_command (m, "FETCH", 100000000);
	metrics_write (m, text);
	has (text->str, "outpost_command_duration_seconds_bucket{command=\"NOOP\",le=\"0.0001\"} 2");
	has (text->str, "outpost_command_duration_seconds_bucket{command=\"NOOP\",le=\"0.00025\"} 3");
	has (text->str, "outpost_command_duration_seconds_bucket{command=\"NOOP\",le=\"1\"} 3");
	has (text->str, "outpost_command_duration_seconds_bucket{command=\"NOOP\",le=\"+Inf\"} 4");
	has (text->str, "outpost_command_duration_seconds_sum{command=\"NOOP\"} 2.000201");
	has (text->str, "outpost_command_duration_seconds_bucket{command=\"FETCH\",le=\"10\"} 0");
	has (text->str, "outpost_command_duration_seconds_count{command=\"FETCH\"} 1");
	assert_true (strstr (text->str, "FETCH") < strstr (text->str, "NOOP"));
}

static void
log_ons_and_deliveries_are_counted (void **state)
{
	g_autoptr (Metrics) m = metrics_new ();
	g_autoptr (GString) text = g_string_new ("\n");
	metrics_log_on (m, LOG_ON_GOOD);
	metrics_log_on (m, LOG_ON_BAD);
	metrics_log_on (m, LOG_ON_BAD);
	metrics_delivery (m, TRUE, 1000);
	metrics_delivery (m, TRUE, 24);
	metrics_delivery (m, FALSE, 5);
	metrics_write (m, text);
	has (text->str, "outpost_log_ons_total{result=\"good\"} 1");
	has (text->str, "outpost_log_ons_total{result=\"bad\"} 2");
	has (text->str, "outpost_deliveries_total{result=\"delivered\"} 2");
	has (text->str, "outpost_deliveries_total{result=\"failed\"} 1");
	has (text->str, "outpost_delivered_bytes_total 1024");
	assert_int_equal (metrics_deliveries (m), 2);
}

/* ---- The page ---- */

static gboolean
take (gpointer to, const char *octets, gsize size)
{
	g_string_append_len (to, octets, (gssize) size);
	return TRUE;
}

/* What is answered to @request, fed @piece octets at a time; "": it is waited for more. */
static char *
answer_to (const char *request, gsize size, gsize piece)
{
	g_autoptr (Metrics) m = metrics_new ();
	const MetricsPage page = {.metrics = m, .since = 1700000000};
	const ServerPeer peer = {.address = "127.0.0.1"};
	GString *out = g_string_new (NULL);
	gpointer session = server_metrics.open ((gpointer) &page, &peer, take, out);
	gboolean on = TRUE;
	for (gsize at = 0; at < size && on; at += piece)
		on = server_metrics.feed (session, (Slice){request + at, MIN (piece, size - at)});
	assert_true (on == (out->len == 0)); /* one answer, and no more */
	server_metrics.free (session);
	return g_string_free (out, FALSE);
}

static void
only_a_right_request_gets_the_page (void **state)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200"},
		{"GET /metrics HTTP/1.1\r\nAccept: */*\r\nhost:x\r\n\r\nmore", "200"},
		{"GET /metrics HTTP/1.0\r\n\r\n", "200"},
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404"},
		{"GET /metrics?x HTTP/1.1\r\nHost: x\r\n\r\n", "404"},
		{"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405"},
		{"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "405"},
		{"get /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405"},
		{"GET /metrics HTTP/1.1\r\n\r\n", "400"},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
		{"GET /metrics HTTP/2\r\nHost: x\r\n\r\n", "400"},
		{"GET /metrics\r\n\r\n", "400"},
		{"GET  /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		{"GET /metrics HTTP/1.1 x\r\nHost: x\r\n\r\n", "400"},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "400"},
		{"GET /metrics HTTP/1.1\r\nHost : x\r\n\r\n", "400"},
		{"GET /metrics HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", "400"},
		{"\r\n\r\n", "400"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
		for (gsize piece = 1; piece <= 1000; piece += 999) {
			g_autofree char *answer = answer_to (cases[i].request, strlen (cases[i].request), piece),
			                *want = g_strdup_printf ("HTTP/1.1 %s ", cases[i].status);
			if (!g_str_has_prefix (answer, want))
				fail_msg ("%s\nwanted %s: %s", cases[i].request, want, answer);
		}
	g_autofree char *none = answer_to ("GET /metrics\0", 13, 13), *open = answer_to ("GET /metrics HTTP/1.1\r\nHost: x\r\n", 32, 5);
	assert_true (g_str_has_prefix (none, "HTTP/1.1 400 "));
	assert_string_equal (open, "");
}

static void
an_answer_has_the_length_that_it_says (void **state)
{
	static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
	g_autofree char *answer = answer_to (request, strlen (request), 100);
	const char *body = strstr (answer, "\r\n\r\n") + 4, *length = strstr (answer, "Content-Length: ") + 16;
	assert_int_equal (g_ascii_strtoull (length, NULL, 10), strlen (body));
	assert_non_null (strstr (answer, "\r\nConnection: close\r\n"));
	has (body, "outpost_start_time_seconds 1700000000");
}

static void
a_request_has_an_end (void **state)
{
	g_autofree char *line = g_strnfill (9000, 'x'), *request = g_strconcat ("GET /metrics HTTP/1.1\r\nHost: ", line, "\r\n\r\n", NULL);
	for (gsize piece = 1; piece <= 10000; piece += 4999) {
		g_autofree char *answer = answer_to (request, strlen (request), piece);
		assert_true (g_str_has_prefix (answer, "HTTP/1.1 431 "));
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (a_command_counts_in_its_range_and_all_longer_ones), cmocka_unit_test (log_ons_and_deliveries_are_counted),
		cmocka_unit_test (only_a_right_request_gets_the_page), cmocka_unit_test (an_answer_has_the_length_that_it_says),
		cmocka_unit_test (a_request_has_an_end),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
