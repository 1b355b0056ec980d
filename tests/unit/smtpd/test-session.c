/* SPDX-License-Identifier: Apache-2.0 */
#include "conversation.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#define MAIL "C: MAIL FROM:<a@b.example>\nS: 250 2\\.1\\.0 .*\n"
#define RCPT(local) "C: RCPT TO:<" local "@example.org>\nS: 250 2\\.1\\.5 .*\n"
#define DATA "C: DATA\nS: 354 .*\n"
#define DONE(local) "S: 250 2\\.0\\.0 <" local "@example\\.org> delivered\n"
#define TEN(x) x x x x x x x x x x

static const Conversation conversations[] = {
	{"LHLO tells the extensions, HELO and EHLO are refused (RFC 2033 4.1)",
	 "C: EHLO a.example\nS: 500 5\\.5\\.1 .*\nC: HELO a.example\nS: 500 5\\.5\\.1 .*\nC: MAIL FROM:<>\nS: 503 5\\.5\\.1 .*\n"
	 "C: lhlo a.example\nS: 250-mx\\.example\\.org\nS: 250-PIPELINING\nS: 250-SIZE 2000\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-CHUNKING\n"
	 "S: 250 ENHANCEDSTATUSCODES\nC: MAIL FROM:<>\nS: 250 .*", NULL, TRUE},
	{"LHLO wants a domain or an address literal (RFC 5321 4.1.1.1)",
	 "C: LHLO\nS: 501 5\\.5\\.4 .*\nC: LHLO a b\nS: 501 .*\nC: LHLO a..b\nS: 501 .*\nC: LHLO a\\lb\nS: 500 5\\.5\\.2 .*", NULL, TRUE},
	{"LHLO with an address literal; again, it forgets the message (RFC 5321 4.1.4)",
	 "C: LHLO [127.0.0.1]\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250 .*\n" MAIL RCPT ("bob")
	 "C: LHLO [IPv6:::1]\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250-.*\nS: 250 .*\nC: DATA\nS: 503 .*\n" MAIL, NULL, TRUE},
	{"who does not speak LMTP is sent away: a web browser (cross-protocol)",
	 "C: POST / HTTP/1.1\nS: 421 4\\.3\\.2 mx\\.example\\.org this is LMTP\nC: Host: localhost:24\nC: \nC: LHLO evil.example\nC: MAIL FROM:<>", NULL, TRUE},
	{"a message is delivered, with Return-Path and Received before it (RFC 5321 4.4, RFC 3848)",
	 MAIL RCPT ("bob") DATA "C: Subject: x\nC: \nC: text\nC: .\n" DONE ("bob")
	 "D: a@b.example > bob@example.org: Subject: x\\n\\ntext\\n\n"
	 "H: ^Return-Path: <a@b\\.example>\\|Received: from client\\.example\\.net \\(\\[192\\.0\\.2\\.1\\]\\)\\|\tby mx\\.example\\.org with LMTP id [0-9a-f]{32}"
	 "\\|\tfor <bob@example\\.org>;\\|\t(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} \\+0000\\|$\n"
	 "C: QUIT\nS: 221 2\\.0\\.0 .*\nC: NOOP"},
	{"one reply for each accepted recipient, in order (RFC 2033 4.2); none is named to the others",
	 MAIL RCPT ("bob") "C: RCPT TO:<unknown@example.org>\nS: 550 5\\.1\\.1 .*\n" RCPT ("full2") RCPT ("carl") RCPT ("unknown2") RCPT ("disk2") RCPT ("broken2")
	 RCPT ("big2") RCPT ("bob") DATA "C: x\nC: .\n" DONE ("bob") "S: 452 4\\.2\\.2 <full2@example\\.org> .*\n" DONE ("carl")
	 "S: 550 5\\.1\\.1 <unknown2@.*\nS: 452 4\\.3\\.1 <disk2@.*\nS: 451 4\\.3\\.0 <broken2@example\\.org> it can't be served now, try again later\n"
	 "S: 552 5\\.3\\.4 <big2@.*\n" DONE ("bob")
	 "D: a@b.example > bob@example.org,full2@example.org,carl@example.org,unknown2@example.org,disk2@example.org,broken2@example.org,big2@example.org,"
	 "bob@example.org: x\\n\n"
	 "H: with LMTP id [0-9a-f]{32};\\|"},
	{"a recipient is refused with the reason (RFC 5321 4.2, RFC 3463)",
	 MAIL "C: RCPT TO:<unknown@example.org>\nS: 550 5\\.1\\.1 .*\nC: RCPT TO:<full@example.org>\nS: 452 4\\.2\\.2 .*\n"
	 "C: RCPT TO:<closed@example.org>\nS: 550 5\\.7\\.1 .*\nC: RCPT TO:<later@example.org>\nS: 451 4\\.3\\.0 .*\n"
	 "C: DATA\nS: 503 5\\.5\\.1 .*\nC: BDAT 3 LAST\\nabc\nS: 503 5\\.5\\.1 .*\nS: 500 5\\.5\\.1 .*"},
	{"a recipient may be nothing to the caller", MAIL RCPT ("nothing") DATA "C: x\nC: .\n" DONE ("nothing") "D: a@b.example > NULL: x\\n"},
	{"a bounce, by IPv6", "C: MAIL FROM:<> SIZE=3\nS: 250 .*\n" RCPT ("bob") DATA "C: .\n" DONE ("bob") "D:  > bob@example.org: \n"
	 "H: ^Return-Path: <>\\|Received: from client\\.example\\.net \\(\\[IPv6:2001:db8::1\\]\\)", "2001:db8::1"},
	{"by a Unix socket", MAIL RCPT ("bob") DATA "C: .\n" DONE ("bob") "D: a@b.example > bob@example.org: \nH: from client\\.example\\.net\\|\tby", ""},

	/* The end of a message, and what is none */
	{"dots are unstuffed (RFC 5321 4.5.2)",
	 MAIL RCPT ("bob") DATA "C: ..\\n...x\\n.x\\n x.\\n..\\n.\n" DONE ("bob") "D: a@b.example > bob@example.org: .\\n..x\\nx\\n x.\\n.\\n"},
	{"only CRLF dot CRLF ends a message; other octets are kept (RFC 5321 4.1.1.4; smuggling, CVE-2023-51764)",
	 MAIL RCPT ("bob") DATA
	 "R: a\\l.\\lMAIL FROM:<evil@b.example>\\lb\\l.\\nc\\r.\\rd\\r.\\ne\\n.\\lf\\n.\\rg\\r\\n.\\l\\n\n"
	 "R: .\\r\\r\\n.\\0\\n\\l.\\n\\r.\\n.\\n\n" DONE ("bob")
	 "D: a@b.example > bob@example.org: a\\l.\\lMAIL FROM:<evil@b.example>\\lb\\l.\\nc\\r.\\rd\\r.\\ne\\n\\lf\\n\\rg\\r\\n\\l\\n\\r\\r\\n\\0\\n\\l.\\n\\r.\\n"},
	{"LF alone ends no command, and ends the session: the next might be a message's", "R: NOOP\\lNOOP\\n\nS: 500 5\\.5\\.2 .*\nC: NOOP"},
	{"a command has no CR or NUL within", "C: NOOP \\rx\nS: 500 5\\.5\\.2 .*\nC: NO\\0OP\nS: 500 5\\.5\\.2 .*\nC: NOOP\\r\nS: 500 5\\.5\\.2 .*\nC: NOOP\nS: 250 .*"},

	/* Chunks */
	{"BDAT takes octets as they are (RFC 3030)",
	 MAIL RCPT ("bob") RCPT ("carl") "R: BDAT 7\\n.\\n\\l.\\n\n" "S: 250 2\\.0\\.0 .*\nR: BDAT 3 LAST\\na\\0b\n" DONE ("bob") DONE ("carl")
	 "D: a@b.example > bob@example.org,carl@example.org: .\\n\\l.\\na\\0b"},
	{"BDAT 0 LAST ends a message, an empty one too", MAIL RCPT ("bob") "R: bdat 3\\nabc\n" "S: 250 .*\nC: BDAT 0 last\n" DONE ("bob")
	 MAIL RCPT ("bob") "C: BDAT 0 LAST\n" DONE ("bob") "D: a@b.example > bob@example.org: abc\nD: a@b.example > bob@example.org: \n"},
	{"between chunks only chunks, RSET and QUIT are right; afterwards all is (RFC 3030 3)",
	 MAIL RCPT ("bob") "R: BDAT 1\\nx\nS: 250 .*\nC: DATA\nS: 503 .*\nC: RCPT TO:<carl@example.org>\nS: 503 .*\nC: MAIL FROM:<>\nS: 503 .*\nC: NOOP\nS: 250 .*\n"
	 "C: RSET\nS: 250 .*\nC: BDAT 4\\nNOOP\nS: 503 .*\nS: 500 .*\n" MAIL RCPT ("bob") "R: BDAT 1 LAST\\ny\n" DONE ("bob") "D: a@b.example > bob@example.org: y"},
	{"a chunk that nobody waits for is read all the same, before LHLO too", "R: BDAT 6\\nQUIT\\n\nS: 503 .*\nC: NOOP\nS: 250 .*", NULL, TRUE},
	{"a BDAT that can't be read ends the session: commands could not be told from a message",
	 MAIL RCPT ("bob") "C: BDAT x\nS: 501 5\\.5\\.4 .*\nC: NOOP"},
	{"so does one with more behind it", "C: BDAT 4 FIRST\nS: 501 5\\.5\\.4 .*\nC: NOOP"},
	{"and one of more than can be counted", "C: BDAT 18446744073709551617 LAST\nS: 501 5\\.5\\.4 .*\nC: NOOP"},

	/* Order of commands */
	{"commands have their order (RFC 5321 4.1.4)",
	 "C: RCPT TO:<bob@example.org>\nS: 503 5\\.5\\.1 .*\nC: DATA\nS: 503 5\\.5\\.1 .*\n" MAIL "C: MAIL FROM:<c@d.example>\nS: 503 5\\.5\\.1 .*\n"
	 "C: DATA\nS: 503 5\\.5\\.1 .*\n" RCPT ("bob") "C: RSET\nS: 250 2\\.0\\.0 .*\nC: RCPT TO:<bob@example.org>\nS: 503 .*\nC: DATA\nS: 503 .*"},
	{"NOOP, VRFY, EXPN, HELP, arguments where there are none (RFC 5321 4.1.1.5-10)",
	 "C: NOOP anything\nS: 250 2\\.0\\.0 .*\nC: VRFY bob\nS: 252 2\\.0\\.0 .*\nC: VRFY\nS: 501 5\\.5\\.4 .*\nC: EXPN list\nS: 502 5\\.5\\.1 .*\nC: HELP\nS: 214 2\\.0\\.0 .*\n"
	 "C: HELP MAIL\nS: 214 .*\nC: RSET x\nS: 501 5\\.5\\.4 .*\nC: NONSENSE\nS: 500 5\\.5\\.1 .*\nC: \nS: 500 5\\.5\\.1 .*\nC: STARTTLS\nS: 500 .*\n"
	 MAIL RCPT ("bob") "C: DATA x\nS: 501 5\\.5\\.4 .*\nC: QUIT now\nS: 501 5\\.5\\.4 .*\nC: noop  \nS: 250 .*"},
	{"two messages in one flight (RFC 2920, RFC 2033 4.2)",
	 "C: MAIL FROM:<a@b.example>\\nRCPT TO:<bob@example.org>\\nDATA\nS: 250 .*\nS: 250 .*\nS: 354 .*\n"
	 "C: x\\n.\\nMAIL FROM:<>\\nRCPT TO:<unknown@example.org>\\nRCPT TO:<carl@example.org>\\nDATA\n" DONE ("bob") "S: 250 .*\nS: 550 .*\nS: 250 .*\nS: 354 .*\n"
	 "C: y\\n.\\nQUIT\n" DONE ("carl") "S: 221 .*\nD: a@b.example > bob@example.org: x\\n\nD:  > carl@example.org: y\\n"},

	/* Addresses */
	{"quoted local parts: in one form, without quotes where they need none (RFC 5321 4.1.2)",
	 "C: MAIL FROM:<\"x y\"@b.example>\nS: 250 .*\nC: RCPT TO:<\"bob\"@example.org>\nS: 250 .*\nC: RCPT TO:<\"b\\\\ob\"@example.org>\nS: 250 .*\n"
	 "C: RCPT TO:<\"b @>\\\\\"\"@example.org>\nS: 250 .*\nC: RCPT TO:<\"\"@example.org>\nS: 250 .*\nC: RCPT TO:<b..ob.@example.org>\nS: 250 .*\n"
	 "C: RCPT TO:<bob+a/b=c@example.org>\nS: 250 .*\n"
	 DATA "C: .\nS: .*\nS: .*\nS: .*<\"b @>\\\\\"\"@example\\.org>.*\nS: .*\nS: .*\nS: .*\n"
	 "D: \"x y\"@b.example > bob@example.org,bob@example.org,\"b @>\\\\\"\"@example.org,\"\"@example.org,b..ob.@example.org,bob+a/b=c@example.org: \n"},
	{"source routes are dropped (RFC 5321 appendix C)",
	 "C: MAIL FROM:<@x.example,@y.example:a@b.example>\nS: 250 .*\nC: RCPT TO:<@example.org:bob@example.org>\nS: 250 .*\n" DATA "C: .\n" DONE ("bob")
	 "D: a@b.example > bob@example.org: "},
	{"mail from an address literal is taken, to one it is not (RFC 5321 4.1.3)",
	 "C: MAIL FROM:<a@[IPv6:::1]>\nS: 250 .*\nC: RCPT TO:<bob@[127.0.0.1]>\nS: 550 5\\.1\\.2 .*\n" RCPT ("bob") DATA "C: .\n" DONE ("bob")
	 "D: a@[IPv6:::1] > bob@example.org: "},
	{"postmaster needs no domain, others do (RFC 5321 4.5.1)",
	 MAIL "C: RCPT TO:<bob>\nS: 501 5\\.1\\.3 .*\nC: RCPT TO:<Postmaster>\nS: 250 .*\n" DATA "C: .\nS: 250 2\\.0\\.0 <Postmaster> delivered\n"
	 "D: a@b.example > Postmaster: "},
	{"what is no sender (RFC 5321 4.1.2)",
	 "C: MAIL\nS: 501 5\\.1\\.7 .*\nC: MAIL FROM:\nS: 501 .*\nC: MAIL FROM:a@b\nS: 501 .*\nC: MAIL FROM:<a@b\nS: 501 .*\nC: MAIL FROM:<a>\nS: 501 .*\nC: MAIL FROM:<a@>\nS: 501 .*\n"
	 "C: MAIL FROM:<a@b.>\nS: 501 .*\nC: MAIL FROM:<a@@b>\nS: 501 .*\nC: MAIL FROM:<\"a@b>\nS: 501 .*\nC: MAIL FROM:<\"a\tb\"@b>\nS: 501 .*\n"
	 "C: MAIL TO:<a@b>\nS: 501 .*\nC: MAIL FROM:<a@b>x\nS: 501 5\\.5\\.4 .*\nC: MAIL FROM:<@a>\nS: 501 .*\nC: MAIL FROM:<@a,b:c@d>\nS: 501 .*\nC: MAIL FROM:<@:c@d>\nS: 501 .*\nC: MAIL FROM:<a@[]>\nS: 501 .*\n"
	 "C: MAIL FROM:<\\*\\*\\*\\*\\*@b.example>\nS: 501 .*\nC: MAIL FROM:<a@\\*\\*\\*>\nS: 501 .*\nC: mail from:<a@b> \nS: 250 .*"},
	{"what is no recipient", MAIL "C: RCPT TO:<>\nS: 501 5\\.1\\.3 .*\nC: RCPT FROM:<a@b>\nS: 501 .*\nC: RCPT TO:<a b@c>\nS: 501 .*\nC: RCPT TO: <a@b>\nS: 501 .*"},
	{"addresses beyond ASCII need SMTPUTF8, and are UTF-8 (RFC 6531 3.3, 3.5)",
	 "C: MAIL FROM:<jürgen@b.example>\nS: 553 5\\.6\\.7 .*\nC: MAIL FROM:<\xfc@b.example> SMTPUTF8\nS: 501 5\\.1\\.7 .*\n"
	 "C: MAIL FROM:<\xc2\x9bq@b.example> SMTPUTF8\nS: 501 .*\n" MAIL
	 "C: RCPT TO:<böb@example.org>\nS: 553 5\\.6\\.7 .*\nC: RSET\nS: 250 .*\nC: MAIL FROM:<jürgen@bü.example> BODY=8BITMIME SMTPUTF8\nS: 250 .*\n"
	 "C: RCPT TO:<\"böb\"@example.org> ORCPT=utf-8;böb@example.org\nS: 250 .*\n" DATA "C: ä\\n.\nS: 250 2\\.0\\.0 <böb@example\\.org> delivered\n"
	 "D: jürgen@bü.example > böb@example.org: ä\\n\n"
	 "H: ^Return-Path: <jürgen@bü\\.example>\\|.*with UTF8LMTP id .*for <böb@example\\.org>"},
	{"SMTPUTF8 is one message's", "C: MAIL FROM:<a@b.example> SMTPUTF8\nS: 250 .*\nC: RSET\nS: 250 .*\nC: MAIL FROM:<a@b.example> SMTPUTF8 X\nS: 555 .*\n" MAIL
	 RCPT ("bob") DATA "C: .\n" DONE ("bob") "D: a@b.example > bob@example.org: \nH: with LMTP id"},

	/* Parameters */
	{"parameters of MAIL (RFC 1870, RFC 6152, RFC 6531, RFC 3461 4.3, 4.4)",
	 "C: MAIL FROM:<a@b> SIZE=2000 BODY=8bitmime SMTPUTF8 RET=HDRS ENVID=x+20y\nS: 250 .*\nC: RSET\nS: 250 .*\nC: MAIL FROM:<a@b> body=7BIT\nS: 250 .*\nC: RSET\nS: 250 .*\n"
	 "C: MAIL FROM:<a@b> SIZE=2001\nS: 552 5\\.3\\.4 .*\nC: MAIL FROM:<a@b> SIZE=\nS: 501 5\\.5\\.4 .*\nC: MAIL FROM:<a@b> SIZE\nS: 501 .*\nC: MAIL FROM:<a@b> SIZE=x\nS: 501 .*\n"
	 "C: MAIL FROM:<a@b> SIZE=99999999999999999999\nS: 501 .*\nC: MAIL FROM:<a@b> BODY=BINARYMIME\nS: 501 .*\nC: MAIL FROM:<a@b> BODY=7BIT BODY=7BIT\nS: 501 .*\n"
	 "C: MAIL FROM:<a@b> SMTPUTF8=yes\nS: 501 .*\nC: MAIL FROM:<a@b> AUTH=<>\nS: 555 5\\.5\\.4 .*\nC: MAIL FROM:<a@b> =x\nS: 501 .*\nC: MAIL FROM:<a@b> RET\nS: 501 .*\n" MAIL},
	{"parameters of RCPT are taken and do nothing (RFC 3461 4.1, 4.2)",
	 MAIL "C: RCPT TO:<bob@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob@example.org\nS: 250 .*\nC: RCPT TO:<bob@example.org> SIZE=3\nS: 555 5\\.5\\.4 .*\n"
	 "C: RCPT TO:<bob@example.org> NOTIFY=NEVER NOTIFY=NEVER\nS: 501 5\\.5\\.4 .*"},

	/* Limits */
	{"a line of 4096 octets is taken, of more refused as one (RFC 5321 4.5.3.1.4)",
	 "C: NOOP " TEN ("\\*\\*\\*\\*") "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\nS: 250 .*\n"
	 "C: NOOP " TEN ("\\*\\*\\*\\*") "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\nS: 500 5\\.5\\.2 .*\n"
	 "C: " TEN (TEN ("\\*\\*\\*\\*")) "\nS: 500 5\\.5\\.2 .*\nC: NOOP\nS: 250 .*"},
	{"twenty bad commands end the session",
	 "C: x\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\n"
	 "S: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nS: 500 .*\nC: NOOP\nS: 250 .*\nC: x\n"
	 "S: 421 4\\.3\\.2 mx\\.example\\.org too many bad commands\nC: NOOP"},
	{"twenty between two deliveries, that is", TEN ("C: x\nS: 500 .*\n") MAIL RCPT ("bob") "C: BDAT 0 LAST\n" DONE ("bob") TEN ("C: x\nS: 500 .*\n")
	 "D: a@b.example > bob@example.org: "},
	{"a hundred commands in a row without a recipient end it", TEN (TEN ("C: NOOP\nS: 250 .*\n")) "C: NOOP\nS: 421 4\\.3\\.2 .*\nC: NOOP", NULL, TRUE},
	{"DATA of more than there may be is read and refused for each recipient; what follows is not (RFC 1870 6.1)",
	 MAIL RCPT ("bob") RCPT ("carl") DATA "R: " TEN ("\\*") TEN ("\\*") "\\n.\\n\nS: 552 5\\.3\\.4 <bob@.*\nS: 552 5\\.3\\.4 <carl@.*\n"
	 MAIL RCPT ("bob") DATA "R: x\\n.\\n\n" DONE ("bob") "D: a@b.example > bob@example.org: x\\n"},
	{"chunks of more than there may be are refused at each and for all at the last; what follows is not",
	 MAIL RCPT ("bob") RCPT ("carl") "R: BDAT 1000\\n" TEN ("\\*") "\nS: 250 .*\nR: BDAT 1001\\n" TEN ("\\*") "x\nS: 552 5\\.3\\.4 .*\nR: BDAT 1\\nx\nS: 552 5\\.3\\.4 .*\n"
	 "C: BDAT 0 LAST\nS: 552 5\\.3\\.4 <bob@.*\nS: 552 5\\.3\\.4 <carl@.*\n" MAIL RCPT ("bob") "R: BDAT 1000\\n" TEN ("\\*") "\nS: 250 .*\nR: BDAT 1000 LAST\\n" TEN ("\\*") "\n"
	 DONE ("bob") "D: a@b.example > bob@example.org: " TEN ("\\*") TEN ("\\*")},
};

static void
test_conversations (void **state)
{
	for (guint i = 0; i < G_N_ELEMENTS (conversations); i++)
		conversation_run (&conversations[i]);
}

/* ---- What is too long for a table ---- */

static const char start[] = "LHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.org>\r\n";

typedef struct {
	Record r;
	SmtpdSettings settings;
	SmtpdSession *s;
} Talk;

/* With a recipient, and nothing in r.out. */
static Talk *
talk_new (guint64 max, const char *folder)
{
	Talk *t = g_new0 (Talk, 1);
	t->settings = conversation_settings (&t->r);
	t->settings.message_max = max;
	t->settings.folder = folder;
	t->s = conversation_begin (&t->settings, "", &t->r);
	assert_true (conversation_feed (t->s, start, strlen (start), G_MAXSIZE));
	assert_true (g_str_has_suffix (t->r.out->str, "250 2.1.5 recipient ok\r\n"));
	g_string_truncate (t->r.out, 0);
	return t;
}

static void
talk_free (Talk *t)
{
	smtpd_session_free (t->s);
	conversation_clear (&t->r);
	g_free (t);
}

static void
say (Talk *t, const char *text, gsize piece)
{
	assert_true (conversation_feed (t->s, text, strlen (text), piece));
}

static void
assert_answer (Talk *t, const char *beginning)
{
	if (!g_str_has_prefix (t->r.out->str, beginning))
		fail_msg ("expected %s, came %s", beginning, t->r.out->str);
	assert_null (strchr (strchr (t->r.out->str, '\n') + 1, '\n'));
	g_string_truncate (t->r.out, 0);
}

/* Every octet differs from those around it by its place. */
static GString *
long_text (gsize size)
{
	GString *text = g_string_sized_new (size);
	for (guint i = 0; text->len < size; i++)
		g_string_append_printf (text, "line %u of a long message\r\n", i);
	g_string_truncate (text, size - 2);
	return g_string_append (text, "\r\n");
}

static void
assert_delivered (const Record *r, const GString *text)
{
	gsize size;
	const char *octets = g_bytes_get_data (r->octets, &size);
	assert_int_equal (size, r->header->len + text->len);
	assert_memory_equal (octets + r->header->len, text->str, text->len);
}

static void
test_large (void **state)
{
	static const gsize sizes[] = {(1u << 20) - 400, 1u << 20, (2u << 20) + 5, 4u << 20};
	for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
		for (guint chunks = 0; chunks < 2; chunks++) {
			Talk *t = talk_new (4u << 20, NULL);
			g_autoptr (GString) text = long_text (sizes[i]);
			g_autofree char *begin = chunks ? g_strdup_printf ("BDAT %" G_GSIZE_FORMAT " LAST\r\n", text->len) : g_strdup ("DATA\r\n");
			say (t, begin, G_MAXSIZE);
			if (!chunks)
				assert_answer (t, "354 ");
			say (t, text->str, 65536 - i);
			if (!chunks)
				say (t, ".\r\n", G_MAXSIZE);
			assert_answer (t, "250 2.0.0 <bob@example.org> delivered");
			assert_delivered (&t->r, text);
			g_clear_pointer (&t->s, smtpd_session_free); /* the octets outlive it */
			assert_delivered (&t->r, text);
			talk_free (t);
		}
}

static void
test_one_octet_too_many (void **state)
{
	Talk *t = talk_new (3u << 20, NULL);
	g_autoptr (GString) text = long_text ((3u << 20) + 1);
	say (t, "DATA\r\n", G_MAXSIZE);
	assert_answer (t, "354 ");
	say (t, text->str, 65536);
	say (t, ".\r\n", G_MAXSIZE);
	assert_answer (t, "552 5.3.4 <bob@example.org> ");
	assert_null (t->r.octets);
	talk_free (t);
}

static void
test_no_folder_for_large_ones (void **state)
{
	Talk *t = talk_new (3u << 20, "/nonexistent");
	g_autoptr (GString) text = long_text (2u << 20);
	say (t, "DATA\r\n", G_MAXSIZE);
	assert_answer (t, "354 ");
	say (t, text->str, 65536);
	say (t, ".\r\n", G_MAXSIZE);
	assert_answer (t, "451 4.3.0 <bob@example.org> ");
	assert_null (t->r.octets);
	say (t, start, G_MAXSIZE); /* a small one needs none */
	say (t, "BDAT 1 LAST\r\nx", G_MAXSIZE);
	assert_true (g_str_has_suffix (t->r.out->str, "250 2.0.0 <bob@example.org> delivered\r\n"));
	talk_free (t);
}

/* A full disk, by a limit on files. */
static void
test_no_space (void **state)
{
	struct rlimit before, little;
	void (*action) (int) = signal (SIGXFSZ, SIG_IGN);
	assert_int_equal (getrlimit (RLIMIT_FSIZE, &before), 0);
	little = before;
	little.rlim_cur = (1u << 20) + 4096;
	Talk *t = talk_new (8u << 20, NULL);
	g_autoptr (GString) text = long_text (5u << 20);
	assert_int_equal (setrlimit (RLIMIT_FSIZE, &little), 0);
	say (t, "DATA\r\n", G_MAXSIZE);
	assert_answer (t, "354 ");
	say (t, text->str, 65536);
	say (t, ".\r\n", G_MAXSIZE);
	assert_int_equal (setrlimit (RLIMIT_FSIZE, &before), 0);
	signal (SIGXFSZ, action);
	assert_answer (t, "452 4.3.1 <bob@example.org> ");
	assert_null (t->r.octets);
	say (t, start, G_MAXSIZE); /* and it goes on when there is room */
	say (t, "DATA\r\n", G_MAXSIZE);
	say (t, text->str, 65536);
	say (t, ".\r\n", G_MAXSIZE);
	assert_delivered (&t->r, text);
	talk_free (t);
}

static void
send_received (Talk *t, guint n, const char *field)
{
	g_autoptr (GString) text = g_string_new (NULL);
	for (guint i = 0; i < n; i++)
		g_string_append_printf (text, "%s: from a\r\n\tby b; now\r\n", field);
	g_string_append (text, "Subject: x\r\n\r\nReceived: in the body\r\n.\r\n");
	say (t, "DATA\r\n", G_MAXSIZE);
	assert_answer (t, "354 ");
	say (t, text->str, G_MAXSIZE);
}

static void
test_loop (void **state)
{
	static const struct {
		guint n;
		const char *field, *answer;
	} cases[] = {
		{100, "Received", "250 2.0.0 "}, {101, "RECEIVED", "554 5.4.6 <bob@example.org> "}, {1000, "received", "554 5.4.6 "}, {1000, "X-Received", "250 2.0.0 "},
	};
	for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
		Talk *t = talk_new (0, NULL);
		send_received (t, cases[i].n, cases[i].field);
		assert_answer (t, cases[i].answer);
		talk_free (t);
	}
}

static void
test_a_thousand_recipients (void **state)
{
	Talk *t = talk_new (0, NULL);
	for (guint i = 1; i < 1000; i++)
		say (t, "RCPT TO:<carl@example.org>\r\n", G_MAXSIZE);
	g_string_truncate (t->r.out, 0);
	for (guint i = 0; i < 300; i++) { /* of these none ends the session */
		say (t, "RCPT TO:<carl@example.org>\r\n", G_MAXSIZE);
		assert_answer (t, "452 4.5.3 ");
	}
	say (t, "BDAT 1 LAST\r\nx", 1);
	g_auto (GStrv) lines = g_strsplit (t->r.out->str, "\r\n", -1);
	assert_int_equal (g_strv_length (lines), 1001);
	assert_string_equal (lines[0], "250 2.0.0 <bob@example.org> delivered");
	for (guint i = 1; i < 1000; i++)
		assert_string_equal (lines[i], "250 2.0.0 <carl@example.org> delivered");
	talk_free (t);
}

/* A flight whose answers are more than is kept back. */
static void
test_a_large_flight (void **state)
{
	Talk *t = talk_new (0, NULL);
	g_autoptr (GString) flight = g_string_new (NULL);
	for (guint i = 0; i < 5000; i++)
		g_string_append (flight, "RCPT TO:<unknown@example.org>\r\n");
	g_string_append (flight, "BDAT 1 LAST\r\nx");
	say (t, flight->str, G_MAXSIZE);
	g_auto (GStrv) lines = g_strsplit (t->r.out->str, "\r\n", -1);
	assert_int_equal (g_strv_length (lines), 5002);
	assert_string_equal (lines[0], "550 5.1.1 there is no such mailbox");
	assert_string_equal (lines[5000], "250 2.0.0 <bob@example.org> delivered");
	talk_free (t);
}

static void
test_many_chunks_are_no_flood (void **state)
{
	Talk *t = talk_new (0, NULL);
	for (guint i = 0; i < 1000; i++) {
		say (t, "BDAT 2\r\nab", G_MAXSIZE);
		assert_answer (t, "250 2.0.0 ");
	}
	say (t, "BDAT 0 LAST\r\n", G_MAXSIZE);
	assert_answer (t, "250 2.0.0 <bob@example.org> delivered");
	talk_free (t);
}

/* ---- Ends ---- */

static gboolean
take_little (gpointer data, const char *octets, gsize size)
{
	guint *left = data;
	return (*left)-- > 0;
}

static void
test_client_gone (void **state)
{
	Record r;
	SmtpdSettings settings = conversation_settings (&r);
	smtpd_session_free (conversation_begin (&settings, "", &r));
	guint left = 2;
	g_autoptr (SmtpdSession) s = smtpd_session_new (&settings, &(SmtpdPeer){.address = ""}, take_little, &left);
	assert_true (smtpd_session_feed (s, (Slice){"NOOP\r\n", 6}));
	assert_false (smtpd_session_feed (s, (Slice){"NOOP\r\n", 6}));
	assert_false (smtpd_session_feed (s, (Slice){start, strlen (start)}));
	smtpd_session_bye (s, "nobody hears it");
	conversation_clear (&r);
}

static void
test_bye (void **state)
{
	Talk *t = talk_new (0, NULL);
	say (t, "DATA\r\nhalf a mess", G_MAXSIZE);
	g_string_truncate (t->r.out, 0);
	smtpd_session_bye (t->s, "the server stops");
	assert_answer (t, "421 4.3.2 mx.example.org the server stops\r\n");
	smtpd_session_bye (t->s, "again");
	assert_false (smtpd_session_feed (t->s, (Slice){"age\r\n.\r\n", 8}));
	assert_string_equal (t->r.out->str, "");
	assert_string_equal (t->r.deliveries->str, "");
	talk_free (t);
}

/* ---- Random ---- */

static GString *
random_text (const char *const *pieces, guint n_pieces, guint n)
{
	GString *text = g_string_new (NULL);
	for (guint i = 0; i < n; i++)
		conversation_unescape (text, pieces[g_random_int_range (0, (gint32) n_pieces)]);
	return text;
}

/* As RFC 5321 section 4.5.2 has the client do it. */
static GString *
stuff (const GString *text)
{
	GString *out = g_string_new (NULL);
	for (gsize i = 0; i < text->len; i++) {
		if (text->str[i] == '.' && (i == 0 || (i >= 2 && memcmp (text->str + i - 2, "\r\n", 2) == 0)))
			g_string_append_c (out, '.');
		g_string_append_c (out, text->str[i]);
	}
	return out;
}

static void
test_what_is_stuffed_comes_out (void **state)
{
	static const char *const pieces[] = {".", ".", "\\r", "\\l", "\\n", "\\n", "x", "\\0"};
	for (guint i = 0; i < 3000; i++) {
		g_autoptr (GString) text = random_text (pieces, G_N_ELEMENTS (pieces), (guint) g_random_int_range (0, 30));
		if (text->len && !(text->len >= 2 && memcmp (text->str + text->len - 2, "\r\n", 2) == 0))
			g_string_append (text, "\r\n");
		g_autoptr (GString) stuffed = stuff (text);
		g_string_append (stuffed, ".\r\n");
		Talk *t = talk_new (0, NULL);
		say (t, "DATA\r\n", G_MAXSIZE);
		assert_answer (t, "354 ");
		assert_true (conversation_feed (t->s, stuffed->str, stuffed->len, i % 3 == 0 ? 1 : i % 3 == 1 ? G_MAXSIZE : 0));
		assert_answer (t, "250 2.0.0 <bob@example.org> delivered");
		assert_delivered (&t->r, text);
		talk_free (t);
	}
}

static void
play (const GString *input, gsize piece, Record *r)
{
	SmtpdSettings settings = conversation_settings (r);
	SmtpdSession *s = conversation_begin (&settings, "", r);
	conversation_feed (s, input->str, input->len, piece);
	smtpd_session_free (s);
}

static void
test_pieces_make_no_difference (void **state)
{
	static const char *const pieces[] = {
		"LHLO a\\n", "LHLO a\\nMAIL FROM:<>\\nRCPT TO:<bob@example.org>\\n", "MAIL FROM:<a@b>\\n", "MAIL FROM:<a@b> SIZE=3 SMTPUTF8\\n", "RCPT TO:<bob@example.org>\\n",
		"RCPT TO:<full2@example.org>\\n", "RCPT TO:<unknown@example.org>\\n", "DATA\\n", "DATA\\nx\\n.\\n", "BDAT 3\\n\\n.", "BDAT 3 LAST\\nab\\n", "BDAT 0 LAST\\n", "BDAT 20\\n",
		"\\n.\\n", ".\\n", "\\r", "\\n", "\\*", "RSET\\n", "NOOP\\n", "QUIT\\n", "x",
	};
	guint deliveries = 0;
	for (guint i = 0; i < 2000; i++) {
		g_autoptr (GString) input = random_text (pieces, G_N_ELEMENTS (pieces), (guint) g_random_int_range (1, 40));
		Record whole, other;
		play (input, G_MAXSIZE, &whole);
		play (input, i % 2, &other);
		assert_string_equal (whole.out->str, other.out->str);
		assert_string_equal (whole.deliveries->str, other.deliveries->str);
		deliveries += whole.deliveries->len > 0;
		conversation_clear (&whole);
		conversation_clear (&other);
	}
	assert_true (deliveries > 50);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (test_conversations), cmocka_unit_test (test_large), cmocka_unit_test (test_one_octet_too_many),
		cmocka_unit_test (test_no_folder_for_large_ones), cmocka_unit_test (test_no_space), cmocka_unit_test (test_loop),
		cmocka_unit_test (test_a_thousand_recipients), cmocka_unit_test (test_a_large_flight),
		cmocka_unit_test (test_many_chunks_are_no_flood), cmocka_unit_test (test_client_gone),
		cmocka_unit_test (test_bye), cmocka_unit_test (test_what_is_stuffed_comes_out), cmocka_unit_test (test_pieces_make_no_difference),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
