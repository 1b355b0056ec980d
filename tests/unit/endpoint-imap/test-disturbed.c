/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations that go well, changed at each of their rows. Whatever a server does there, the call ends in time, nothing is touched that
 * should not be, and responses that nobody asked for change nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "endpoint-case.h"

#define PROCESSES 10

static const EndpointCase cases[] = {
	{"a list in one flight", call_list, NULL,
	 {TALK (LOG_ON ("LIST-EXTENDED LIST-STATUS NAMESPACE ENABLE QRESYNC ID"), {WE_ARE, "* ID (\"name\" \"Dovecot\")\r\n" OK}, {"^ENABLE", "* ENABLED QRESYNC\r\n" OK}, SPACE, LIST_TWO)}},
	{"a list of a bare server", call_list, NULL,
	 {TALK (LOG_ON (""), {"^LIST \"\" \"\"", "* LIST (\\NoSelect) \".\" \"\"\r\n" OK}, {"^LIST", "* LIST () \".\" INBOX\r\n* LIST () \".\" A\r\n" OK},
	        {"^LSUB", "* LSUB () \".\" INBOX\r\n" OK}, {"^STATUS", "* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n" OK},
	        {"^STATUS", "* STATUS A (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n" OK})}},
	{"UIDs", call_query_uids, NULL, {TALK (LOG_ON ("ESEARCH"), SELECT_INBOX (""), {"^UID SEARCH", "* ESEARCH (TAG \"%T\") UID ALL 1:4,8\r\n" OK})}},
	{"changes by QRESYNC", call_query_changes, NULL,
	 {TALK (LOG_ON ("ENABLE QRESYNC"), {"^ENABLE", "* ENABLED QRESYNC\r\n" OK},
	        {"^SELECT", "* 5 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n* OK [HIGHESTMODSEQ 20] h\r\n* VANISHED (EARLIER) 3:4\r\n"
	                    "* 5 FETCH (UID 8 FLAGS () MODSEQ (20))\r\n" OK})}},
	{"changes by CONDSTORE", call_query_changes, NULL,
	 {TALK (LOG_ON ("CONDSTORE"), SELECT_INBOX ("* OK [HIGHESTMODSEQ 20] h\r\n"), {"^UID FETCH", "* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (15))\r\n" OK},
	        {"^UID SEARCH", "* SEARCH 1 2 3 4 8\r\n" OK})}},
	{"messages", call_fetch, NULL, {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH", BODY (3, "abcd", 4) BODY (2, "abc", 3) BODY (1, "ab", 2) OK})}},
	{"evidence", call_evidence, NULL,
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^NOOP", OK},
	        {"^UID FETCH", "* 2 FETCH (UID 2 FLAGS (\\Seen) RFC822.SIZE 30 BODY[HEADER.FIELDS (MESSAGE-ID)] {21}\r\nMessage-ID: <a@b>\r\n\r\n)\r\n" OK})}},
	{"messages added in one command", call_append, NULL,
	 {TALK (LOG_ON (FULL), {"^APPEND", ""}, {"=one", ""}, {"=\\{6\\+\\}", ""}, {"=two", ""}, {"=\\{7\\+\\}", ""}, {"=three", ""},
	        {"=^$", "%T OK [APPENDUID 9 31:33] done\r\n"})}},
	{"messages added one by one", call_append, NULL,
	 {TALK (LOG_ON ("UIDPLUS"), {"^APPEND", "+ go on\r\n"}, {"=one", ""}, {"=^$", "%T OK [APPENDUID 9 31] done\r\n"}, {"^APPEND", "+ \r\n"}, {"=two", ""},
	        {"=^$", "%T OK [APPENDUID 9 32] done\r\n"}, {"^APPEND", "+ \r\n"}, {"=three", ""}, {"=^$", "%T OK [APPENDUID 9 33] done\r\n"})}},
	{"flags", call_flags, NULL, {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID STORE 1:2", OK}, {"^UID STORE 3", OK})}},
	{"a copy", call_copy, NULL, {TALK (LOG_ON ("UIDPLUS"), SELECT_INBOX (""), {"^UID COPY", "%T OK [COPYUID 9 1:2,5 11:13] done\r\n"})}},
	{"a move", call_move, NULL, {TALK (LOG_ON ("MOVE"), SELECT_INBOX (""), {"^UID MOVE", "* OK [COPYUID 9 1:2,5 11:13] moved\r\n* 1 EXPUNGE\r\n" OK})}},
	{"a move without MOVE", call_move, NULL,
	 {TALK (LOG_ON ("UIDPLUS"), SELECT_INBOX (""), {"^UID COPY", "%T OK [COPYUID 9 1:2,5 11:13] done\r\n"})}},
	{"a removal", call_expunge, NULL, {TALK (LOG_ON ("UIDPLUS"), SELECT_INBOX (""), {"^UID STORE", OK}, {"^UID EXPUNGE", OK})}},
	{"a removal without UIDPLUS", call_expunge, NULL,
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID STORE", OK}, {"^UID SEARCH DELETED", "* SEARCH 1 2\r\n" OK}, {"^EXPUNGE", OK})}},
	{"a new folder", call_create, NULL, {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^CREATE", OK}, {"^SUBSCRIBE", OK}, {"^LIST", OK})}},
	{"a renamed folder", call_rename, NULL,
	 {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^LSUB", "* LSUB () \"/\" A\r\n" OK}, {"^LSUB", OK}, {"^RENAME", OK}, {"^LIST", OK}, {"^LIST", OK}, {"^SUBSCRIBE", OK},
	        {"^UNSUBSCRIBE", OK})}},
	{"a removed folder", call_delete, NULL, {TALK (LOG_ON (""), {"^DELETE", OK}, {"^LIST", OK}, {"^UNSUBSCRIBE", OK})}},
	{"a wait with NOTIFY", call_watch, NULL,
	 {TALK (LOG_ON (WATCHED " NOTIFY"), SPACE, LIST_TWO, {"^EXAMINE", EXAMINED}, {"^CLOSE$", OK}, {"^NOTIFY", "%T OK on\r\n* STATUS A (MESSAGES 2 UIDNEXT 3)\r\n"})}},
	{"a wait with IDLE", call_watch, NULL,
	 {TALK (LOG_ON (WATCHED " IDLE"), SPACE, LIST_TWO, {"^EXAMINE", EXAMINED}, {"^IDLE$", "+ idling\r\n* 2 EXISTS\r\n"}, {"=^DONE$", OK})}},
};

static void
disturb_share (guint share)
{
	const char *only = g_getenv ("OUTPOST_CASE");
	case_silence_ms = 150;
	case_shares = PROCESSES;
	case_share = share;
	for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
		if (!only || strstr (cases[i].name, only))
			case_disturb (&cases[i]);
}

/* Nine tenths of the time pass in waiting for servers that say nothing, so that processes do it side by side. */
static void
a_server_may_do_anything_at_any_point (void **state)
{
	pid_t children[PROCESSES];
	fflush (NULL);
	for (guint i = 0; i < PROCESSES; i++)
		if ((children[i] = fork ()) == 0) {
			disturb_share (i); /* a failure leaves this function, and the child ends as a test that failed */
			exit (0);
		}
	guint failed = 0;
	for (guint i = 0; i < PROCESSES; i++) {
		int status = -1;
		assert_int_equal (waitpid (children[i], &status, 0), children[i]);
		failed += status != 0;
	}
	assert_int_equal (failed, 0);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test (a_server_may_do_anything_at_any_point)};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
