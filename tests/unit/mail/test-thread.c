/* SPDX-License-Identifier: Apache-2.0 */
/* Threads as RFC 5256 has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "mail-thread.h"

#define MOST 12
#define PARENTS_MOST 8

static guint64
id_of (const char *id)
{
	return *id ? mail_thread_id ((Slice){id, strlen (id)}) : 0;
}

typedef struct {
	const char *name, *messages; /* "id<parents|subject|date" each, with ';' between; parents by blanks */
	const char *references, *ordered;
} Row;

static const Row rows[] = {
	{"one", "a||1", "(1)", "(1)"},
	{"a chain", "a|S|1;b<a|Re: S|2;c<a b|Re: S|3", "(1 2 3)", "(1 (2)(3))"},
	{"two answers", "a|S|1;b<a|Re: S|2;c<a|Re: S|3", "(1 (2)(3))", "(1 (2)(3))"},
	{"answers by date, not by arrival", "a|S|1;b<a|S|9;c<a|S|3", "(1 (3)(2))", "(1 (3)(2))"},
	{"RFC 5256's form", "a|A|1;b|B|2;c<b|B|3;d<b c|B|4;e<b c d|B|5;f<b c|B|6;g<b c f|B|7;h<b c f g|B|8",
	 "(1)(2 3 (4 5)(6 7 8))", NULL},
	{"a parent that is not here, of one", "b<x|S|1", "(1)", NULL},
	{"of two", "b<x|S|1;c<x|Re: S|2", "((1)(2))", "(1 2)"},
	{"one in between that is not here", "a|S|1;c<a x|T|2;d<a x|U|3", "(1 (2)(3))", "(1)(2)(3)"},
	{"children first", "c<a b|C|3;b<a|B|2;a|A|1", "(3 2 1)", "(3)(2)(1)"},
	{"a loop", "a<b|A|1;b<a|B|2", "(2 1)", "(1)(2)"},
	{"a bigger loop", "a<c|A|1;b<a|B|2;c<b|C|3", "(3 1 2)", NULL},
	{"a message that refers to itself", "a<a|A|1", "(1)", NULL},
	{"an id twice", "a|A|1;a|B|2;b<a|C|3", "(1 3)(2)", NULL},
	{"what a message says of itself counts", "a|A|1;b|B|2;d<a c|D|4;c<b|C|3", "(1)(2 4 3)", NULL},
	{"no id at all", "|S|1;|T|2", "(1)(2)", "(1)(2)"},
	{"a subject without ids", "a|S|1;b|Re: S|2", "(1 2)", "(1 2)"},
	{"whichever comes first", "b|Re: S|2;a|S|3", "(2 1)", "(1 2)"},
	{"two answers to what is not here", "a|Re: S|1;b|Fwd: S|2", "((1)(2))", "(1 2)"},
	{"a third", "a|Re: S|1;b|Re: S|2;c|Re: S|3", "((1)(2)(3))", "(1 (2)(3))"},
	{"an original joins them", "a|Re: S|2;b|Re: S|3;c|S|1", "(3 (1)(2))", "(3 (1)(2))"},
	{"two originals", "a|S|1;b|S|2", "((1)(2))", "(1 2)"},
	{"two threads whose parents are not here", "a<x|S|1;b<x|S|2;c<y|S|3;d<y|S|4", "((1)(2)(3)(4))", NULL},
	{"no subject joins nothing", "a||1;b|Re:|2", "(1)(2)", NULL},
	{"lists and marks are not the subject", "a|[list] S|1;b|Re: [list] S (fwd)|2", "(1 2)", "(1 2)"},
	{"letters' case is no difference", "a|Straße|1;b<z|RE: STRASSE|2", "(1 2)", "(1 2)"},
	{"threads by the date of their first", "a|A|9;b|B|1;c|C|5", "(2)(3)(1)", "(2)(3)(1)"},
};

typedef struct {
	ThreadMessage messages[MOST];
	guint64 parents[MOST][PARENTS_MOST];
	char *subjects[MOST];
	guint n;
} Mails;

static void
read_mails (const char *text, Mails *m)
{
	g_auto (GStrv) each = g_strsplit (text, ";", -1);
	memset (m, 0, sizeof *m);
	for (; each[m->n]; m->n++) {
		g_auto (GStrv) fields = g_strsplit (each[m->n], "|", 3);
		char *parents = strchr (fields[0], '<');
		if (parents)
			*parents++ = '\0';
		g_auto (GStrv) ids = g_strsplit (parents ? parents : "", " ", -1);
		gboolean reply;
		g_autofree char *base = mail_base_subject (fields[1], &reply);
		guint n = 0;
		for (; ids[n]; n++) {
			assert_true (n < PARENTS_MOST);
			m->parents[m->n][n] = id_of (ids[n]);
		}
		m->subjects[m->n] = g_utf8_casefold (base, -1);
		m->messages[m->n] = (ThreadMessage){id_of (fields[0]), m->parents[m->n], n, m->subjects[m->n], reply,
						    atoi (fields[2])};
	}
}

static void
mails_done (Mails *m)
{
	for (guint i = 0; i < m->n; i++)
		g_free (m->subjects[i]);
}

static guint32
one_more (gpointer data, gint message)
{
	return (guint32)message + 1;
}

static void
messages_are_threaded (void **state)
{
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
		for (int ordered = 0; ordered < 2; ordered++) {
			const char *expected = ordered ? rows[i].ordered : rows[i].references;
			g_autoptr (GString) text = g_string_new (NULL);
			g_auto (MailThreads) t = {0};
			Mails m;
			read_mails (rows[i].messages, &m);
			(ordered ? mail_thread_by_subject : mail_thread_by_references) (m.messages, m.n, &t);
			mail_threads_write (&t, one_more, NULL, text);
			if (expected && strcmp (text->str, expected) != 0)
				fail_msg ("%s, %s: %s, not %s", rows[i].name, ordered ? "by subject" : "by references",
					  text->str, expected);
			mails_done (&m);
		}
}

static void
no_message_is_no_thread (void **state)
{
	for (int ordered = 0; ordered < 2; ordered++) {
		g_autoptr (GString) text = g_string_new (NULL);
		g_auto (MailThreads) t = {0};
		(ordered ? mail_thread_by_subject : mail_thread_by_references) (NULL, 0, &t);
		mail_threads_write (&t, one_more, NULL, text);
		assert_string_equal (text->str, "");
	}
}

/* Each message answers the one before, or the one behind; all are there once, whatever the order. */
static void
a_chain_of_a_hundred_thousand_ends (void **state)
{
	enum { N = 100000 };
	guint64 *parents = g_new (guint64, N);
	ThreadMessage *m = g_new0 (ThreadMessage, N);
	for (int backwards = 0; backwards < 2; backwards++) {
		g_autoptr (GString) text = g_string_new (NULL);
		g_auto (MailThreads) t = {0};
		for (guint i = 0; i < N; i++) {
			gint to = backwards ? (gint)i + 1 : (gint)i - 1;
			parents[i] = to >= 0 && to < N ? (guint64)to + 1 : 0;
			m[i] = (ThreadMessage){i + 1, &parents[i], parents[i] != 0, "S", FALSE, backwards ? N - i : i};
		}
		mail_thread_by_references (m, N, &t);
		mail_threads_write (&t, one_more, NULL, text);
		g_autofree gboolean *seen = g_new0 (gboolean, N + 1);
		guint count = 0, number = 0;
		for (const char *at = text->str; *at;
		     at++) { /* by hand: a sanitizer measures the string for each function of strings */
			if (g_ascii_isdigit (*at))
				number = 10 * number + (guint)(*at - '0');
			else if (number) {
				assert_true (number <= N && !seen[number]);
				seen[number] = TRUE;
				count++;
				number = 0;
			}
		}
		assert_int_equal (count, N);
		assert_true (g_str_has_prefix (text->str, backwards ? "(100000 99999 99998 " : "(1 2 3 "));
	}
	g_free (m);
	g_free (parents);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (messages_are_threaded),
		cmocka_unit_test (no_message_is_no_thread),
		cmocka_unit_test (a_chain_of_a_hundred_thousand_ends),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
