/* SPDX-License-Identifier: Apache-2.0 */
/* What submission (RFC 6409) has beyond what test-session.c shows of the protocol that it shares with LMTP. */
#include "conversation.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define TLS NULL, FALSE, CONVERSATION_SUBMISSION
#define RAW NULL, TRUE, CONVERSATION_SUBMISSION
#define PLAIN NULL, FALSE, CONVERSATION_SUBMISSION_PLAIN
#define RAW_PLAIN NULL, TRUE, CONVERSATION_SUBMISSION_PLAIN
#define LOG_ON "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 235 2\\.7\\.0 .*\n"
#define MAIL LOG_ON "C: MAIL FROM:<alice@example.org>\nS: 250 2\\.1\\.0 .*\n"
#define RCPT(local) "C: RCPT TO:<" local "@example.org>\nS: 250 2\\.1\\.5 .*\n"
#define DATA "C: DATA\nS: 354 .*\n"
#define QUEUED "S: 250 2\\.0\\.0 queued as [0-9a-f]{32}\n"
#define TEN(x) x x x x x x x x x x

static const Conversation conversations[] = {
	/* Greeting */
	{"EHLO tells the extensions; LHLO is refused (RFC 6409 7, RFC 5321 4.1.1.1)",
	 "C: LHLO a.example\nS: 500 5\\.5\\.1 .*\nC: MAIL FROM:<alice@example.org>\nS: 503 5\\.5\\.1 say EHLO first\nC: AUTH PLAIN\nS: 503 .*\n"
	 "C: ehlo a.example\nS: 250-mx\\.example\\.org\nS: 250-PIPELINING\nS: 250-SIZE 2000\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-CHUNKING\nS: 250-DSN\n"
	 "S: 250-AUTH PLAIN LOGIN X-TWO\nS: 250 ENHANCEDSTATUSCODES", RAW},
	{"before TLS no mechanism is offered, and none is taken (RFC 4954 4, RFC 6409 4.3)",
	 "C: EHLO a.example\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-DSN\nS: 250-STARTTLS\nS: 250 ENHANCEDSTATUSCODES\n"
	 "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 538 5\\.7\\.11 .*\nC: AUTH X-TWO\nS: 538 .*\nC: MAIL FROM:<alice@example.org>\nS: 530 5\\.7\\.0 start TLS .*",
	 RAW_PLAIN},
	{"HELO is taken, with an answer of one line", "C: HELO a.example\nS: 250 mx\\.example\\.org\nC: HELO\nS: 501 5\\.5\\.4 .*", RAW},
	{"who speaks HTTP is sent away", "C: POST / HTTP/1.1\nS: 421 4\\.3\\.2 mx\\.example\\.org this is SMTP\nC: EHLO evil.example", RAW},
	{"behind a log-on AUTH is not offered again", LOG_ON "C: EHLO a.example\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-DSN\n"
	 "S: 250 ENHANCEDSTATUSCODES", TLS},

	/* TLS */
	{"what comes behind STARTTLS in plain text ends the session (RFC 3207 4.2, CVE-2011-0411)", "C: STARTTLS\nS: 220 2\\.0\\.0 .*\nC: EHLO evil.example\nC: NOOP", PLAIN},
	{"so does half a command", "C: STARTTLS\nS: 220 .*\nR: E", PLAIN},
	{"STARTTLS takes no arguments, and is not given twice (RFC 3207 4)", "C: STARTTLS now\nS: 501 5\\.5\\.4 .*", PLAIN},
	{"with TLS on it is refused", "C: STARTTLS\nS: 502 5\\.5\\.1 .*", TLS},
	{"nor within a message", MAIL "C: STARTTLS\nS: 503 5\\.5\\.1 say RSET first", TLS},

	/* AUTH */
	{"who has not logged on may not send (RFC 6409 4.3, RFC 4954 6)", "C: MAIL FROM:<alice@example.org>\nS: 530 5\\.7\\.0 log on first .*\nC: RCPT TO:<bob@example.org>\nS: 503 .*\n"
	 "C: DATA\nS: 503 .*\nR: BDAT 4 LAST\\nNOOP\nS: 503 .*", TLS},
	{"PLAIN with an initial response, and without (RFC 4954 4)", "C: AUTH PLAIN\nS: 334 \nC: AGFsaWNlAHNlY3JldA==\nS: 235 2\\.7\\.0 .*", TLS},
	{"LOGIN asks for a name and a password", "C: auth login\nS: 334 VXNlcm5hbWU6\nC: YWxpY2U=\nS: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\nS: 235 .*", TLS},
	{"LOGIN with the name at once", "C: AUTH LOGIN YWxpY2U=\nS: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\nS: 235 .*", TLS},
	{"a mechanism of several messages", "C: AUTH X-TWO\nS: 334 \nC: b25l\nS: 334 dHdv\nC: dGhyZWU=\nS: 235 .*", TLS},
	{"the same with an initial response", "C: AUTH x-two b25l\nS: 334 dHdv\nC: dGhyZWU=\nS: 235 .*", TLS},
	{"a wrong password, a wrong proof, who has to wait, and what is broken (RFC 4954 6)",
	 "C: AUTH PLAIN AGFsaWNlAHdyb25n\nS: 535 5\\.7\\.8 the name or the password is wrong\nC: AUTH X-TWO b25l\nS: 334 dHdv\nC: dHdv\nS: 535 5\\.7\\.8 .*\n"
	 "C: AUTH PLAIN AGJyb2tlbgB4\nS: 454 4\\.7\\.0 nobody can log on now, try again later\nC: MAIL FROM:<alice@example.org>\nS: 530 .*", TLS},
	{"who has to wait is told why", "C: AUTH PLAIN AGxhdGVyAHg=\nS: 454 4\\.7\\.0 wait a little\n" LOG_ON, TLS},
	{"the third log-on that fails ends it", "C: AUTH PLAIN AGFsaWNlAHdyb25n\nS: 535 .*\nC: AUTH PLAIN AGFsaWNlAHdyb25n\nS: 535 .*\nC: AUTH PLAIN AGFsaWNlAHdyb25n\nS: 535 .*\n"
	 "S: 421 4\\.3\\.2 mx\\.example\\.org too many log-ons that failed\nC: NOOP", TLS},
	{"a log-on is given up with * (RFC 4954 4)", "C: AUTH PLAIN\nS: 334 \nC: *\nS: 501 5\\.7\\.0 .*\nC: AUTH LOGIN\nS: 334 .*\nC: YWxpY2U=\nS: 334 .*\nC: *\nS: 501 .*\n"
	 "C: AUTH X-TWO b25l\nS: 334 dHdv\nC: *\nS: 501 .*\n" LOG_ON, TLS},
	{"what is no base64, or no message of the mechanism (RFC 4954 4)", "C: AUTH PLAIN !\nS: 501 5\\.5\\.2 .*\nC: AUTH PLAIN YWxpY2U=\nS: 501 .*\nC: AUTH PLAIN =\nS: 501 .*\n"
	 "C: AUTH LOGIN\nS: 334 .*\nC: MAIL FROM:<alice@example.org>\nS: 501 .*\nC: AUTH X-TWO dHdv\nS: 501 5\\.5\\.2 this is no message of it\n"
	 "C: AUTH X-TWO YQ\nS: 501 .*\n" LOG_ON, TLS},
	{"nobody acts for another (RFC 4616 2)", "C: AUTH PLAIN Ym9iAGFsaWNlAHNlY3JldA==\nS: 535 5\\.7\\.8 nobody may act for another here", TLS},
	{"AUTH without mechanism, with an unknown one, with too much (RFC 4954 4)", "C: AUTH\nS: 501 5\\.5\\.4 .*\nC: AUTH CRAM-MD5\nS: 504 5\\.5\\.4 .*\nC: AUTH PLAIN a b\nS: 501 .*", TLS},
	{"AUTH twice, and within a message, is refused (RFC 4954 4)", LOG_ON "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 503 5\\.5\\.1 you are logged on already\n"
	 "C: MAIL FROM:<alice@example.org>\nS: 250 .*\nC: AUTH PLAIN\nS: 503 5\\.5\\.1 say RSET first", TLS},
	{"a line of a log-on has a limit (RFC 4954 4)", "C: AUTH PLAIN\nS: 334 \nC: " TEN (TEN ("\\*\\*")) "\nS: 500 5\\.5\\.6 .*\nC: NOOP\nS: 250 .*", TLS},
	{"but holds 12288 octets", "C: AUTH PLAIN\nS: 334 \nC: " TEN (TEN ("\\*")) "xxxx\nS: 501 5\\.5\\.2 .*", TLS},
	{"in a log-on a command is none", "C: AUTH PLAIN\nS: 334 \nC: QUIT\nS: 501 5\\.5\\.2 .*\nC: QUIT\nS: 221 .*", TLS},

	/* Mail */
	{"a message is queued, with Received before it and no Return-Path, and one answer for all (RFC 6409 3, RFC 3848)",
	 MAIL RCPT ("bob") RCPT ("carl") DATA "C: From: alice@example.org\nC: \nC: x\nC: .\n" QUEUED
	 "D: alice@example.org > bob@example.org,carl@example.org {- - -; - -}: From: alice@example.org\\n\\nx\\n\n"
	 "H: ^Received: from client\\.example\\.net \\(\\[192\\.0\\.2\\.1\\]\\)\\|\tby mx\\.example\\.org with ESMTPSA id [0-9a-f]{32};", TLS},
	{"what is refused for the first is refused for all", MAIL RCPT ("broken2") RCPT ("bob") DATA "C: x\nC: .\nS: 451 4\\.3\\.0 .*\n"
	 "D: alice@example.org > broken2@example.org,bob@example.org {- - -; - -}: x\\n", TLS},
	{"who may send as whom (RFC 6409 6.1)", LOG_ON "C: MAIL FROM:<bob@example.org>\nS: 550 5\\.7\\.1 this is not your address\nC: MAIL FROM:<>\nS: 550 5\\.7\\.1 .*\n"
	 "C: MAIL FROM:<later@b.example>\nS: 450 4\\.7\\.1 not so many at once\nC: MAIL FROM:<a@b.example>\nS: 250 .*", TLS},
	{"so many recipients and no more (RFC 5321 4.5.3.1.10)", MAIL RCPT ("a") RCPT ("b") RCPT ("c") "C: RCPT TO:<d@example.org>\nS: 452 4\\.5\\.3 .*\n" DATA "C: x\nC: .\n" QUEUED
	 "D: alice@example.org > a@example.org,b@example.org,c@example.org {- - -; - -}: x\\n", TLS},
	{"a recipient is refused with the reason", MAIL "C: RCPT TO:<unknown@example.org>\nS: 550 5\\.1\\.1 .*\nC: RCPT TO:<later@example.org>\nS: 451 4\\.3\\.0 .*\n"
	 "C: RCPT TO:<closed@example.org>\nS: 550 5\\.7\\.1 a secret of the server", TLS},
	{"DSN's parameters are handed on as they came (RFC 3461 4)", LOG_ON
	 "C: MAIL FROM:<alice@example.org> RET=hdrs ENVID=a+2Bb\nS: 250 .*\nC: RCPT TO:<bob@example.org> NOTIFY=success,FAILURE ORCPT=rfc822;b+40c\nS: 250 .*\n" DATA "C: x\nC: .\n" QUEUED
	 "D: alice@example.org > bob@example.org {- hdrs a+2Bb; success,FAILURE rfc822;b+40c}: x\\n", TLS},
	{"wrong ones are refused, and leave nothing behind (RFC 3461 4, 5.4)", LOG_ON
	 "C: MAIL FROM:<alice@example.org> RET=ALL\nS: 501 5\\.5\\.4 .*\nC: MAIL FROM:<alice@example.org> ENVID=a+b\nS: 501 .*\nC: MAIL FROM:<alice@example.org> RET=FULL RET=FULL\nS: 501 .*\n"
	 "C: MAIL FROM:<alice@example.org> ENVID=\\*x\nS: 501 .*\nC: MAIL FROM:<alice@example.org> ENVID=x SIZE=x\nS: 501 .*\n"
	 "C: MAIL FROM:<alice@example.org>\nS: 250 .*\nC: RCPT TO:<bob@example.org> NOTIFY=NEVER,FAILURE\nS: 501 .*\nC: RCPT TO:<bob@example.org> NOTIFY=SOMETIMES\nS: 501 .*\n"
	 "C: RCPT TO:<bob@example.org> NOTIFY=FAILURE,\nS: 501 .*\nC: RCPT TO:<bob@example.org> ORCPT=bob@example.org\nS: 501 .*\nC: RCPT TO:<bob@example.org> ORCPT=;x\nS: 501 .*\n"
	 "C: RCPT TO:<bob@example.org> NOTIFY=NEVER ORCPT=x\nS: 501 .*\n" RCPT ("bob") DATA "C: x\nC: .\n" QUEUED "D: alice@example.org > bob@example.org {- - -; - -}: x\\n", TLS},
	{"AUTH= of MAIL is taken and asserts nothing (RFC 4954 5)", LOG_ON "C: MAIL FROM:<alice@example.org> AUTH=bob+40example.org\nS: 250 .*\nC: RSET\nS: 250 .*\n"
	 "C: MAIL FROM:<alice@example.org> AUTH\nS: 501 .*\nC: MAIL FROM:<alice@example.org> AUTH=<>\nS: 250 .*", TLS},
	{"SMTPUTF8 (RFC 6531)", LOG_ON "C: MAIL FROM:<alice@example.org> SMTPUTF8\nS: 250 .*\nC: RCPT TO:<b\xc3\xa4r@example.org>\nS: 250 .*\n" DATA "C: x\nC: .\n" QUEUED
	 "D: alice@example.org > b\xc3\xa4r@example.org {UTF8 - -; - -}: x\\n\nH: with UTF8SMTPSA id", TLS},
	{"only CRLF dot CRLF ends a message (smuggling, CVE-2023-51764)",
	 MAIL RCPT ("bob") DATA "R: a\\l.\\lMAIL FROM:<bob@example.org>\\lb\\l.\\nc\\r.\\rd\\n.\\n\n" QUEUED
	 "D: alice@example.org > bob@example.org {- - -; - -}: a\\l.\\lMAIL FROM:<bob@example.org>\\lb\\l.\\nc\\r.\\rd\\n", TLS},
	{"BDAT (RFC 3030)", MAIL RCPT ("bob") "R: BDAT 2\\na\\l\nS: 250 2\\.0\\.0 .*\nR: BDAT 3 LAST\\n.\\n\n" QUEUED "D: alice@example.org > bob@example.org {- - -; - -}: a\\l.\\n", TLS},
	{"too big a message is refused, with one answer (RFC 1870 6.3)", MAIL RCPT ("bob") RCPT ("carl") DATA "C: " TEN ("\\*\\*\\*") "\nC: .\nS: 552 5\\.3\\.4 .*\n", TLS},
};

static void
test_conversations (void **state)
{
	for (guint i = 0; i < G_N_ELEMENTS (conversations); i++)
		conversation_run (&conversations[i]);
}

/* RFC 3207 section 4.2: all that was said before is forgotten; what comes behind is of the encrypted connection. */
static void
test_a_session_begins_anew_with_tls (void **state)
{
	static const char before[] = "EHLO a.example\r\nSTARTTLS\r\n", after[] = "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\nEHLO a.example\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n";
	Record r;
	SmtpdSettings settings = conversation_settings (&r);
	settings.submission = &conversation_submission;
	SmtpdSession *s = conversation_begin (&settings, "192.0.2.1", &r);
	assert_true (smtpd_session_feed (s, (Slice){before, strlen (before)}));
	assert_true (smtpd_session_wants_tls (s));
	g_string_truncate (r.out, 0);
	smtpd_session_encrypted (s);
	assert_false (smtpd_session_wants_tls (s));
	assert_null (smtpd_session_who (s));
	assert_true (smtpd_session_feed (s, (Slice){after, strlen (after)}));
	assert_true (g_str_has_prefix (r.out->str, "503 5.5.1 say EHLO first\r\n250-mx.example.org\r\n"));
	assert_null (strstr (r.out->str, "STARTTLS"));
	assert_non_null (strstr (r.out->str, "250-AUTH PLAIN LOGIN X-TWO\r\n"));
	assert_true (g_str_has_suffix (r.out->str, "235 2.7.0 logged on\r\n"));
	assert_non_null (smtpd_session_who (s));
	smtpd_session_free (s);
	conversation_clear (&r);
}

static void
test_who_guesses_has_to_wait (void **state)
{
	static const char wrong[] = "EHLO a.example\r\nAUTH PLAIN AGFsaWNlAHdyb25n\r\n";
	Record r;
	SmtpdSettings settings = conversation_settings (&r);
	settings.submission = &conversation_submission;
	SmtpdSession *s = conversation_begin (&settings, "192.0.2.1", &r);
	smtpd_session_encrypted (s);
	assert_int_equal (smtpd_session_pause (s), 0);
	assert_true (smtpd_session_feed (s, (Slice){wrong, strlen (wrong)}));
	assert_int_equal (smtpd_session_pause (s), 1000);
	assert_int_equal (smtpd_session_pause (s), 0);
	smtpd_session_free (s);
	conversation_clear (&r);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (test_conversations),
		cmocka_unit_test (test_a_session_begins_anew_with_tls),
		cmocka_unit_test (test_who_guesses_has_to_wait),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
