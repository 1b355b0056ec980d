/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as clients send them, whole and in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "tree-text.h"

static const ImapCommandLimits small = {.text = 200, .literal = 50, .values = 20, .depth = 3, .stream = 2000, .drain = 1000};

typedef struct {
	const char *input; /* without the last CRLF */
	const char *want;  /* NULL: the same */
} Row;

static void
expect (Slice input, const char *want, const ImapCommandLimits *limits, gboolean utf8)
{
	for (gsize piece = 1; piece <= MIN (input.size, 300); piece++) {
		g_autofree char *got = commands_text (input, piece, limits, utf8);
		assert_string_equal (got, want);
	}
	g_autofree char *got = commands_text (input, input.size, limits, utf8);
	assert_string_equal (got, want);
}

static void
expect_rows (const Row *rows, gsize n, const ImapCommandLimits *limits, gboolean utf8)
{
	for (gsize i = 0; i < n; i++) {
		g_autofree char *input = g_strconcat (rows[i].input, "\r\n", NULL);
		expect ((Slice) {input, strlen (input)}, rows[i].want ? rows[i].want : rows[i].input, limits, utf8);
	}
}

static void
commands_of_all_states (void **state)
{
	static const Row rows[] = {
		{"abcd CAPABILITY", NULL},
		{"a047 noop", "a047 NOOP"},
		{"A023 LOGOUT", NULL},
		{"a002 STARTTLS", NULL},
		{"A001 AUTHENTICATE PLAIN AHRlc3QAdGVzdA==", NULL},
		{"A001 AUTHENTICATE SCRAM-SHA-256 =", NULL},
		{"a001 LOGIN SMITH SESAME", NULL},
		{"a001 LOGIN \"al\\\"i\\\\ce\" {6}\r\nSES ME", "+\na001 LOGIN \"al\\\"i\\\\ce\" \"SES ME\""},
		{"a001 LOGIN {1+}\r\na {0+}\r\n", "a001 LOGIN \"a\" \"\""},
		{"t1 ENABLE CONDSTORE X-GOOD-IDEA", NULL},
		{"a ID (\"name\" \"sodr\" \"version\" NIL)", NULL},
		{"a ID NIL", NULL},
		{"A142 SELECT INBOX", NULL},
		{"A932 EXAMINE [Gmail]/All", NULL},
		{"a SELECT a]b", NULL},
		{"a SELECT BODY[x", NULL},
		{"a SELECT \"R&AOk-\" (CONDSTORE)", NULL},
		{"A02 SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541))", NULL},
		{"A03 SELECT INBOX (QRESYNC (67890007 90060115194045000 41,43:211 (5000,7500 15000,22500)))", NULL},
		{"A003 CREATE owatagusiam/ (USE (\\Drafts \\Sent))", NULL},
		{"A682 LIST \"\" *", NULL},
		{"A202 LIST ~/Mail/ %", NULL},
		{"A01 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"*\" %/x) RETURN (CHILDREN STATUS (MESSAGES UNSEEN))", NULL},
		{"A STATUS blurdybloop (UIDNEXT MESSAGES MAILBOXID)", NULL},
		{"A GETMETADATA (MAXSIZE 1024 DEPTH 1) INBOX (/shared/comment /private/comment)", NULL},
		{"a SETMETADATA INBOX (/private/comment ~{2}\r\na\nx NIL)", "+\n! a a blank is missing (line 2, octet 0)"},
		{"a SETMETADATA INBOX (/private/comment ~{2+}\r\na\n /x NIL)", "a SETMETADATA INBOX (/private/comment ~\"a\\x0a\" /x NIL)"},
		{"A SETACL INBOX/Drafts Byron +lrswikda", NULL},
		{"A SETQUOTA \"\" (STORAGE 512)", NULL},
		{"a NOTIFY SET STATUS (selected MessageNew (uid body.peek[header.fields (from to)]) (subtree Lists MessageExpunge))", NULL},
		{"a IDLE", NULL},
		{"a COMPRESS DEFLATE", NULL},
		{"a UNAUTHENTICATE", NULL},
		{"A282 SEARCH RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"", NULL},
		{"A SEARCH CHARSET UTF-8 TEXT {12}\r\n\320\220\320\221\320\222\320\223\320\224\320\225 (OR SEEN (NOT DELETED)) 1:*",
		 "+\nA SEARCH CHARSET UTF-8 TEXT \"\\xd0\\x90\\xd0\\x91\\xd0\\x92\\xd0\\x93\\xd0\\x94\\xd0\\x95\" (OR SEEN (NOT DELETED)) 1:*"},
		{"a UID SEARCH RETURN (SAVE PARTIAL -1:-100) UID 4827313:4828442,$", NULL},
		{"a SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338", NULL},
		{"A282 SORT (REVERSE DATE) UTF-8 ALL", NULL},
		{"A283 UID THREAD REFERENCES UTF-8 SINCE 5-MAR-2000", NULL},
		{"C1 UID EXPUNGE 3000:3002", NULL},
		{"A654 FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])", NULL},
		{"a FETCH 1 BODY.PEEK[2.1.MIME]<0.2048>", NULL},
		{"a FETCH $ (BINARY.PEEK[1]<5.6> BINARY.SIZE[1] BODY[])", NULL},
		{"a FETCH 1 (BODY[HEADER.FIELDS ({4}\r\nDATE \"a\\\\]b\" {1+}\r\nc)]<0.1> UID)",
		 "+\na FETCH 1 (BODY[HEADER.FIELDS (\"DATE\" \"a\\\\]b\" \"c\")]<0.1> UID)"},
		{"s100 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345 VANISHED)", NULL},
		{"a FETCH 1 ALL", NULL},
		{"a FETCH 1:* X-GM-LABELS", NULL},
		{"A003 STORE 2:4 +FLAGS.SILENT (\\Deleted $x \\*)", NULL},
		{"a103 UID STORE 6,4,8 (UNCHANGEDSINCE 12121230045) -FLAGS \\Seen", NULL},
		{"a UID MOVE 42:69 foo", NULL},
		{"a COPY *:4 \"x y\"", NULL},
		{"a GENURLAUTH \"imap://joe@example.com/INBOX/;uid=20;urlauth=submit+fred\" INTERNAL", NULL},
		{"a ESEARCH IN (mailboxes \"folder1\" subtree \"folder2\") unseen", NULL},
		{"a XFOO", NULL},
		/* superfluous blanks, bare LF */
		{"a  NOOP ", "a NOOP"},
		{"a UID  FETCH  1  ( UID  FLAGS )  ", "a UID FETCH 1 (UID FLAGS)"},
		{"a NOOP\nb NOOP\n\r\nc NOOP", "a NOOP\nb NOOP\n! * an empty line (octet 0)\nc NOOP"},
		/* pipelined */
		{"a SELECT x\r\nb UID FETCH 1:* FLAGS\r\nc IDLE", "a SELECT x\nb UID FETCH 1:* FLAGS\nc IDLE"},
	};
	expect_rows (rows, G_N_ELEMENTS (rows), &imap_limits_logged_on, FALSE);
}

static void
messages_are_handed_out (void **state)
{
	static const Row rows[] = {
		{"a APPEND x {5}\r\nhello", "+ [hello\na APPEND x <stream 5>"},
		{"a APPEND x {5+}\r\nhello", "[hello\na APPEND x <stream 5>"},
		{"a APPEND x ~{3}\r\na\001b", "+ [a\\x01b\na APPEND x ~<stream 3>"},
		{"a APPEND {1}\r\nx {2}\r\nhi", "+\n+ [hi\na APPEND \"x\" <stream 2>"},
		{"a APPEND x {0}\r\n", "+ [\na APPEND x <stream 0>"},
		{"A003 APPEND saved-messages (\\Seen) {4}\r\na\r\nb\r\nb NOOP", "+ [a\\x0d\\x0ab\nA003 APPEND saved-messages (\\Seen) <stream 4>\nb NOOP"},
		/* MULTIAPPEND */
		{"A APPEND x (\\Seen) \" 7-Feb-1994 22:43:04 -0800\" {1+}\r\na (\\Seen $b) {2}\r\nbc {0+}\r\n",
		 "[a\n+ [bc\n[\nA APPEND x (\\Seen) \" 7-Feb-1994 22:43:04 -0800\" <stream 1> (\\Seen $b) <stream 2> <stream 0>"},
		/* CATENATE: of its literals the texts; UTF8 */
		{"A APPEND x CATENATE (URL \"/a\" TEXT {2+}\r\nab URL {1+}\r\nc) (\\Seen) {1+}\r\nd",
		 "[ab\n[d\nA APPEND x CATENATE (URL \"/a\" TEXT <stream 2> URL \"c\") (\\Seen) <stream 1>"},
		{"A APPEND x UTF8 (~{2+}\r\n\303\251)", "[\\xc3\\xa9\nA APPEND x UTF8 (~<stream 2>)"},
		{"A APPEND x ANNOTATION (/c (value.priv {1+}\r\nx)) {1+}\r\ny", "[y\nA APPEND x ANNOTATION (/c (value.priv \"x\")) <stream 1>"},
		{"A UID REPLACE 4 x (\\Seen) {1+}\r\ny", "[y\nA UID REPLACE 4 x (\\Seen) <stream 1>"},
		{"A REPLACE 4 {1+}\r\nx {1+}\r\ny", "[y\nA REPLACE 4 \"x\" <stream 1>"},
		/* no message: kept */
		{"A APPEND x ({1+}\r\ny)", "A APPEND x (\"y\")"},
		{"A XAPPEND x {1+}\r\ny", "A XAPPEND x \"y\""},
		/* refused by the caller: one that waits was not sent */
		{"a APPEND x {1001}\r\nb NOOP", "no\nb NOOP"},
		{"a APPEND x {5000000000}\r\nb NOOP", "!! a the message is too big (octet 23)\nb NOOP"},
	};
	expect_rows (rows, G_N_ELEMENTS (rows), &imap_limits_logged_on, FALSE);
}

/* @before, @count times x, @after. */
static char *
padded (const char *before, gsize count, const char *after)
{
	g_autofree char *pad = g_strnfill (count, 'x');
	return g_strconcat (before, pad, after, NULL);
}

static void
what_was_refused_is_passed_over (void **state)
{
	static const struct {
		const char *before;
		gsize count;
		const char *after, *want;
	} rows[] = {
		{"a APPEND m {1500}\r\n", 0, "b NOOP\r\n", "no\nb NOOP"},
		{"a APPEND m {1500+}\r\n", 1500, "\r\nb NOOP\r\n", "no\nlost"}, /* over .drain */
		{"a APPEND m {2001+}\r\n", 2001, "\r\nb NOOP\r\n", "!! a the message is too big (octet 18)\nlost"},
		{"a SELECT {51}\r\n", 0, "b NOOP\r\n", "!! a the literal is too big (octet 13)\nb NOOP"},
		{"a SELECT {51+}\r\n", 51, "\r\nb NOOP\r\n", "!! a the literal is too big (octet 14)\nb NOOP"},
		{"a SELECT {51+}\r\n", 51, " {3+}\r\nabc {4}\r\nb NOOP\r\n", "!! a the literal is too big (octet 14)\nb NOOP"},
		{"a SELECT {51+}\r\n", 51, " {5+}\n12345\nb NOOP\n", "!! a the literal is too big (octet 14)\nb NOOP"},
		{"a SELECT {951+}\r\n", 951, "\r\nb NOOP\r\n", "!! a the literal is too big (octet 15)\nb NOOP"},
		{"a SELECT {999+}\r\n", 999, "\r\nb NOOP\r\n", "!! a the literal is too big (octet 15)\nlost"},
		{"a SELECT {99999999999999999999999+}\r\n", 10, "", "!! a the literal is too big (octet 35)\nlost"},
		{"a SELECT ) {5+}\r\n12345 {2}\r\n", 0, "b NOOP\r\n", "! a a closing parenthesis too many (octet 9)\nb NOOP"},
		{"a SELECT \"x {5+}\r\n12345\r\n", 0, "b NOOP\r\n", "! a a quoted string does not end (octet 16)\nb NOOP"},
		{"a SELECT ", 190, "\r\nb NOOP\r\n", NULL},
		{"a SELECT ", 191, "\r\nb NOOP\r\n", "!! a the command is too long (octet 201)\nb NOOP"},
		{"a SELECT ", 300, " {5+}\r\n12345\r\nb NOOP\r\n", "!! a the command is too long (octet 201)\nb NOOP"},
		{"a SELECT ", 300, " {5}\r\nb NOOP\r\n", "!! a the command is too long (octet 201)\nb NOOP"},
		{"a SELECT ", 1300, "\r\nb NOOP\r\n", "!! a the command is too long (octet 201)\nlost"},
		{"", 201, "\r\nb NOOP\r\n", "!! * the command is too long (octet 201)\nb NOOP"},
		{"a SELECT {50+}\r\n", 50, " {50+}\r\n", NULL},
		{"a SEARCH {50}\r\n", 50, " {50}\r\n12345678901234567890123456789012345678901234567890 {50}\r\n"
		                         "12345678901234567890123456789012345678901234567890 {50}\r\nb NOOP\r\n",
		 "+\n+\n+\n!! a the command is too big (line 4, octet 5)\nb NOOP"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_autofree char *input = padded (rows[i].before, rows[i].count, rows[i].after);
		if (rows[i].want)
			expect ((Slice) {input, strlen (input)}, rows[i].want, &small, FALSE);
		else {
			g_autofree char *got = commands_text ((Slice) {input, strlen (input)}, strlen (input), &small, FALSE);
			assert_null (strchr (got, '!'));
		}
	}
}

static void
what_the_grammar_forbids_is_refused (void **state)
{
	static const Row rows[] = {
		{"", "! * an empty line (octet 0)"},
		{" ", "! * no tag (octet 0)"},
		{"a", "! a no command behind the tag (octet 1)"},
		{"a ", "! a no command behind the tag (octet 1)"},
		{"* NOOP", "! * no tag (octet 0)"},
		{"a+ NOOP", "! * no tag (octet 0)"},
		{"a\"b NOOP", "! * no tag (octet 0)"},
		{"\303\251 NOOP", "! * no tag (octet 0)"},
		{"a NO(P", "! a no command behind the tag (octet 1)"},
		{"a \"NOOP\"", "! a no command behind the tag (octet 1)"},
		{"a UID", "! a no command behind UID (octet 5)"},
		{"a 12345678901234567890123456789012", "! a no command behind the tag (octet 1)"},
		{"a FETCH 1 (FLAGS", "! a a closing parenthesis is missing (octet 16)"},
		{"a FETCH 1 FLAGS)", "! a a closing parenthesis too many (octet 15)"},
		{"a FETCH 1 BODY[", "! a a closing parenthesis is missing (octet 15)"},
		{"a FETCH 1 BODY[HEADER.FIELDS (A]", "! a a closing parenthesis is missing (octet 32)"},
		{"a FETCH 1 (BODY[)", "! a a closing parenthesis too many (octet 16)"},
		{"a FETCH 1 BODY[]\"x\"", "! a a blank is missing (octet 16)"},
		{"a FETCH 1(FLAGS)", "! a a blank is missing (octet 9)"},
		{"a FETCH 1 (FLAGS)(UID)", "! a a blank is missing (octet 17)"},
		{"a LOGIN \"a\"\"b\"", "! a a blank is missing (octet 11)"},
		{"a LOGIN \"a\"{3+}\r\nabc", "! a a blank is missing (octet 11)"},
		{"a LOGIN a{3+}\r\nabc", "! a an octet that no word may hold (octet 9)"},
		{"a LOGIN {3+} b", "! a an octet that no word may hold (octet 8)"},
		{"a LOGIN {} b", "! a an octet that no word may hold (octet 8)"},
		{"a LOGIN ~{3", "! a an octet that no word may hold (octet 9)"},
		{"a LOGIN dom\\user x", "! a an octet that no word may hold (octet 11)"},
		{"a LOGIN \"dom\\user\" x", "! a a backslash in a quoted string that escapes neither \" nor \\ (octet 17)"},
		{"a LOGIN \"a", "! a a quoted string does not end (octet 10)"},
		{"a LOGIN \"a\\", "! a a quoted string does not end (octet 11)"},
		{"a LOGIN \"a\rb\" x", "! a NUL or CR in a quoted string (octet 12)"},
		{"a LOGIN \303\251 x", "! a an octet that no word may hold (octet 8)"},
		{"a LOGIN \"\303\251\" x", "! a 8-bit octets in a quoted string (octet 11)"},
		{"a LOGIN a\tb x", "! a an octet that no word may hold (octet 9)"},
		{"a LOGIN a\177 x", "! a an octet that no word may hold (octet 9)"},
		{"a STORE 1 FLAGS (\\ x)", "! a an octet that no word may hold (octet 18)"},
		{"a STORE 1 FLAGS (\\**)", "! a an octet that no word may hold (octet 20)"},
		{"a X ((((", "!! a too many levels (octet 8)"},
		{"a X 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1", "!! a too many values (octet 44)"},
		{"a X 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 {1}", "!! a the command is too big (octet 47)"},
	};
	expect_rows (rows, G_N_ELEMENTS (rows), &small, FALSE);
}

static void
nul_is_for_literal8_alone (void **state)
{
	static const char input[] = "a LOGIN a\0b x\r\nb LOGIN \"a\0b\" x\r\nc LOGIN {3}\r\na\0b x\r\nd X ~{3+}\r\na\0b\r\n\0e NOOP\r\n";
	expect ((Slice) {input, sizeof input - 1},
	        "! a an octet that no word may hold (octet 9)\n! b NUL or CR in a quoted string (octet 12)\n+\n"
	        "! c NUL in a literal (octet 1)\nd X ~\"a\\x00b\"\n! * no tag (octet 0)", &small, FALSE);
}

static void
utf8_is_read_where_it_is_enabled (void **state)
{
	static const Row rows[] = {
		{"a SELECT \"\303\251\"", "a SELECT \"\\xc3\\xa9\""},
		{"a SELECT \"\303\"", "! a a quoted string that is not UTF-8 (octet 11)"},
		{"a SELECT \"\355\240\200\"", "! a a quoted string that is not UTF-8 (octet 13)"},
		{"a SELECT \"\300\200\"", "! a a quoted string that is not UTF-8 (octet 12)"},
		{"a SELECT \303\251", "! a an octet that no word may hold (octet 9)"},
	};
	expect_rows (rows, G_N_ELEMENTS (rows), &small, TRUE);
}

static void
words_tell_what_they_can_stand_for (void **state)
{
	static const struct {
		const char *word;
		guint kinds;
	} rows[] = {
		{"a", WORD_ATOM | WORD_ASTRING | WORD_PATTERN | WORD_TAG | WORD_FLAG},
		{"12", WORD_ATOM | WORD_ASTRING | WORD_PATTERN | WORD_TAG | WORD_FLAG | WORD_NUMBER | WORD_SET},
		{"1:3,4", WORD_ATOM | WORD_ASTRING | WORD_PATTERN | WORD_TAG | WORD_FLAG | WORD_SET},
		{"1:*", WORD_PATTERN | WORD_SET},
		{"$", WORD_ATOM | WORD_ASTRING | WORD_PATTERN | WORD_TAG | WORD_FLAG | WORD_SET},
		{"*", WORD_PATTERN | WORD_SET},
		{"a%", WORD_PATTERN},
		{"a]", WORD_ASTRING | WORD_PATTERN | WORD_TAG},
		{"a+", WORD_ATOM | WORD_ASTRING | WORD_PATTERN | WORD_FLAG},
		{"\\Seen", WORD_FLAG},
		{"\\*", WORD_FLAG},
		{"\\", 0},
		{"\\a]", 0},
		{"\\**", 0},
		{"", 0},
		{"a b", 0},
		{"a(", 0},
		{"\303\251", 0},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		Slice word = {rows[i].word, strlen (rows[i].word)};
		assert_int_equal (slice_words (word), rows[i].kinds);
		g_autoptr (ImapCommand) c = imap_command_new (&small);
		g_autofree char *line = g_strdup_printf ("a X %s\r\n", rows[i].word);
		gsize used;
		if (imap_command_feed (c, (Slice) {line, strlen (line)}, &used) != COMMAND_DONE || node_count (imap_command_args (c)) != 1)
			continue;
		const ImapNode *n = imap_command_arg (c, 0);
		assert_int_equal (n->words, rows[i].kinds);
		assert_int_equal (node_is_astring (n), (rows[i].kinds & WORD_ASTRING) != 0);
		assert_int_equal (node_is_pattern (n), (rows[i].kinds & WORD_PATTERN) != 0);
	}
}

static void
single_lines_are_read_as_they_stand (void **state)
{
	static const char input[] = "dGVzdA==\r\nDONE\n\r\nb ({\"\r\n";
	static const char *const want[] = {"dGVzdA==", "DONE", "", "b ({\""};
	for (gsize piece = 1; piece < sizeof input; piece++) {
		g_autoptr (ImapCommand) c = imap_command_new (&small);
		Slice line;
		gsize used, n = 0;
		for (gsize at = 0; at < sizeof input - 1; at += used)
			if (imap_command_feed_line (c, (Slice) {input + at, MIN (piece, sizeof input - 1 - at)}, &used, &line) == COMMAND_DONE)
				assert_true (slice_equals (line, want[n++]));
		assert_int_equal (n, G_N_ELEMENTS (want));
	}
}

static void
a_single_line_too_long_is_passed_over (void **state)
{
	g_autoptr (ImapCommand) c = imap_command_new (&small);
	g_autofree char *input = padded ("", 900, "\nDONE\n");
	gsize used, more;
	Slice line;
	assert_int_equal (imap_command_feed_line (c, (Slice) {input, strlen (input)}, &used, &line), COMMAND_BAD);
	assert_true (imap_command_is_too_big (c));
	assert_int_equal (imap_command_feed_line (c, (Slice) {input + used, strlen (input) - used}, &more, &line), COMMAND_DONE);
	assert_true (slice_equals (line, "DONE"));
	assert_int_equal (used + more, strlen (input));
}

static void
limits_can_be_eased_between_commands (void **state)
{
	g_autoptr (ImapCommand) c = imap_command_new (&small);
	g_autofree char *input = padded ("a SELECT ", 1000, "\r\n");
	static const char login[] = "a LOGIN b c\r\n";
	gsize used;
	assert_int_equal (imap_command_feed (c, (Slice) {login, strlen (login)}, &used), COMMAND_DONE);
	imap_command_set_limits (c, &imap_limits_logged_on);
	assert_int_equal (imap_command_feed (c, (Slice) {input, strlen (input)}, &used), COMMAND_DONE);
	assert_int_equal (node_text (imap_command_arg (c, 0)).size, 1000);
}

/* The whole of a message never is in memory. */
static void
a_big_message_is_handed_out_as_it_comes (void **state)
{
	g_autoptr (ImapCommand) c = imap_command_new (&imap_limits_logged_on);
	static const char begin[] = "a APPEND x {100000000}\r\n", end[] = "\r\n";
	static const char octets[65536];
	gsize used;
	assert_int_equal (imap_command_feed (c, (Slice) {begin, strlen (begin)}, &used), COMMAND_LITERAL);
	assert_int_equal (imap_command_literal_size (c), 100000000);
	assert_true (imap_command_accept (c));
	for (gsize left = 100000000; left > 0; left -= used) {
		Slice piece = {octets, MIN (left, sizeof octets)};
		assert_int_equal (imap_command_feed (c, piece, &used), COMMAND_OCTETS);
		assert_ptr_equal (imap_command_octets (c).data, octets);
		assert_int_equal (imap_command_octets (c).size, used);
	}
	assert_int_equal (imap_command_feed (c, (Slice) {end, 2}, &used), COMMAND_DONE);
	assert_int_equal (imap_command_arg (c, 1)->kind, NODE_STREAM);
	assert_int_equal (imap_command_arg (c, 1)->size, 100000000);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (commands_of_all_states),
		cmocka_unit_test (messages_are_handed_out),
		cmocka_unit_test (what_was_refused_is_passed_over),
		cmocka_unit_test (what_the_grammar_forbids_is_refused),
		cmocka_unit_test (nul_is_for_literal8_alone),
		cmocka_unit_test (utf8_is_read_where_it_is_enabled),
		cmocka_unit_test (words_tell_what_they_can_stand_for),
		cmocka_unit_test (single_lines_are_read_as_they_stand),
		cmocka_unit_test (a_single_line_too_long_is_passed_over),
		cmocka_unit_test (limits_can_be_eased_between_commands),
		cmocka_unit_test (a_big_message_is_handed_out_as_it_comes),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
