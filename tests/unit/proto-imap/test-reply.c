/* SPDX-License-Identifier: Apache-2.0 */
/* Every response of the extensions known, as their RFCs give it, and what servers are known to send instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>
#include "tree-text.h"

static void
expect (Slice input, const char *want)
{
	for (gsize piece = 1; piece <= MIN (input.size, 200); piece++) {
		g_autofree char *got = replies_text (input, piece);
		assert_string_equal (got, want);
	}
	g_autofree char *got = replies_text (input, input.size);
	assert_string_equal (got, want);
}

typedef struct {
	const char *input; /* without the last CRLF */
	const char *want;  /* NULL: the same */
} Row;

static void
expect_rows (const Row *rows, gsize n)
{
	for (gsize i = 0; i < n; i++) {
		g_autofree char *input = g_strconcat (rows[i].input, "\r\n", NULL);
		expect ((Slice) {input, strlen (input)}, rows[i].want ? rows[i].want : rows[i].input);
	}
}

static void
imap4rev1_responses (void **state)
{
	static const Row rows[] = {
		{"* OK IMAP4rev1 server ready", NULL},
		{"* PREAUTH IMAP4rev1 server logged in as Smith", NULL},
		{"* BYE Autologout; idle for too long", NULL},
		{"* BAD Empty command line", NULL},
		{"a002 OK LOGIN completed", NULL},
		{"A222 NO COPY failed: disk is full", NULL},
		{"A443 BAD Command line too long", NULL},
		{"+ Ready for additional command text", NULL},
		{"+ YGgGCSqGSIb3EgECAgIAb2kwZ6ADAgEFoQMCAQ+iWzBZoAMCARCiUgRQ", NULL},
		{"* OK [ALERT] System shutdown in 10 minutes", "* OK {ALERT|} System shutdown in 10 minutes"},
		{"* NO [BADCHARSET (UTF-8 \"US-ASCII\")] no", "* NO {BADCHARSET|(UTF-8 \"US-ASCII\")} no"},
		{"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=GSSAPI] x", "* OK {CAPABILITY|IMAP4rev1 STARTTLS AUTH=GSSAPI} x"},
		{"* NO [PARSE] bad header", "* NO {PARSE|} bad header"},
		{"* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] Limited", "* OK {PERMANENTFLAGS|(\\Deleted \\Seen \\*)} Limited"},
		{"A142 OK [READ-WRITE] SELECT completed", "A142 OK {READ-WRITE|} SELECT completed"},
		{"A683 NO [TRYCREATE] COPY failed", "A683 NO {TRYCREATE|} COPY failed"},
		{"* OK [UIDNEXT 4392] Predicted next UID", "* OK {UIDNEXT|4392} Predicted next UID"},
		{"* OK [UIDVALIDITY 3857529045] UIDs valid", "* OK {UIDVALIDITY|3857529045} UIDs valid"},
		{"* OK [UNSEEN 12] Message 12 is first unseen", "* OK {UNSEEN|12} Message 12 is first unseen"},
		{"* CAPABILITY IMAP4rev1 STARTTLS AUTH=GSSAPI XPIG-LATIN", NULL},
		{"* LIST (\\Noselect) \"/\" ~/Mail/foo", NULL},
		{"* LIST (\\Marked \\NoInferiors) \"/\" \"inbox\"", NULL},
		{"* LIST (\\Noselect) \"\" \"/\"", NULL},
		{"* LIST () \".\" {10}\r\n[Gmail] \"x", "* LIST () \".\" \"[Gmail] \\\"x\""},
		{"* LIST () \"/\" [Gmail]/All", NULL},
		{"* LIST () \"\\\\\" \"a\\\\b\"", NULL},
		{"* LIST () NIL flat", NULL},
		{"* LSUB () \".\" #news.comp.mail.misc", NULL},
		{"* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292)", NULL},
		{"* SEARCH 2 3 6", NULL},
		{"* SEARCH", NULL},
		{"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)", NULL},
		{"* FLAGS ()", NULL},
		{"* 23 EXISTS", NULL},
		{"* 5 RECENT", NULL},
		{"* 44 EXPUNGE", NULL},
		{"* 23 FETCH (FLAGS (\\Seen) RFC822.SIZE 44827)", NULL},
		{"* 12 FETCH (FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4286 ENVELOPE (\"Wed, 17 Jul 1996 "
		 "02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
		 "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((NIL NIL "
		 "\"imap\" \"cac.washington.edu\")) ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\") (\"John Klensin\" NIL \"KLENSIN\" "
		 "\"MIT.EDU\")) NIL NIL \"<B27397-0100000@cac.washington.edu>\") BODY (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL "
		 "\"7BIT\" 3028 92))",
		 NULL},
		{"* 12 FETCH (BODY[HEADER] {7}\r\nDate: \n)", "* 12 FETCH (BODY[HEADER] \"Date: \\x0a\")"},
		{"* 1 FETCH (BODY[]<0> {0}\r\n)", "* 1 FETCH (BODY[]<0> \"\")"},
		{"* 1 FETCH (BODY[1.2.HEADER.FIELDS (DATE FROM)] NIL)", NULL},
		{"* 1 FETCH (BODY[HEADER.FIELDS.NOT (\"a]b\" {3}\r\nX)])]<7> \"\" UID 4)",
		 "* 1 FETCH (BODY[HEADER.FIELDS.NOT (\"a]b\" \"X)]\")]<7> \"\" UID 4)"},
		{"* 1 FETCH (BODYSTRUCTURE ((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1)(\"TEXT\" \"HTML\" NIL NIL NIL \"7BIT\" 1 1) \"MIXED\"))",
		 "* 1 FETCH (BODYSTRUCTURE ((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1) (\"TEXT\" \"HTML\" NIL NIL NIL \"7BIT\" 1 1) \"MIXED\"))"},
	};
	expect_rows (rows, G_N_ELEMENTS (rows));
}

static void
imap4rev2_and_response_codes (void **state)
{
	static const Row rows[] = {
		{"* OK [CLOSED] Previous mailbox is now closed", "* OK {CLOSED|} Previous mailbox is now closed"},
		{"A5 NO [ALREADYEXISTS] Mailbox \"that\" already exists", "A5 NO {ALREADYEXISTS|} Mailbox \"that\" already exists"},
		{"A1 NO [AUTHENTICATIONFAILED] Authentication failed", "A1 NO {AUTHENTICATIONFAILED|} Authentication failed"},
		{"A1 NO [UNAVAILABLE] User's backend down for maintenance", "A1 NO {UNAVAILABLE|} User's backend down for maintenance"},
		{"* OK [HASCHILDREN] x", "* OK {HASCHILDREN|} x"},
		{"A1 NO [UNKNOWN-CTE] x", "A1 NO {UNKNOWN-CTE|} x"},
		{"A1 OK [APPENDUID 38505 3955] APPEND completed", "A1 OK {APPENDUID|38505 3955} APPEND completed"},
		{"A1 OK [COPYUID 38505 304,319:320 3956:3958] Done", "A1 OK {COPYUID|38505 304,319:320 3956:3958} Done"},
		{"* NO [UIDNOTSTICKY] Non-persistent UIDs", "* NO {UIDNOTSTICKY|} Non-persistent UIDs"},
		{"A1 NO [NOTSAVED] x", "A1 NO {NOTSAVED|} x"},
		{"A1 NO [OVERQUOTA] Sorry", "A1 NO {OVERQUOTA|} Sorry"},
		{"* OK [OVERQUOTA] soft", "* OK {OVERQUOTA|} soft"},
		{"A1 NO [TOOBIG] Maximum size exceeded", "A1 NO {TOOBIG|} Maximum size exceeded"},
		{"A1 NO [METADATA LONGENTRIES 2199] x", "A1 NO {METADATA|LONGENTRIES 2199} x"},
		{"A1 NO [METADATA (MAXSIZE 1024)] x", "A1 NO {METADATA|(MAXSIZE 1024)} x"},
		{"* OK [NOTIFICATIONOVERFLOW] x", "* OK {NOTIFICATIONOVERFLOW|} x"},
		{"A1 NO [BADEVENT (FlagChange)] x", "A1 NO {BADEVENT|(FlagChange)} x"},
		{"* OK [INPROGRESS (\"A001\" 454 1000)] Still working", "* OK {INPROGRESS|(\"A001\" 454 1000)} Still working"},
		{"A1 NO [REFERRAL imap://user;AUTH=*@[2001:db8::1]/INBOX] Try", "A1 NO {REFERRAL|imap://user;AUTH=*@[2001:db8::1]/INBOX} Try"},
		{"A1 NO [BADURL \"/INBOX;UID=1]\"] x", "A1 NO {BADURL|\"/INBOX;UID=1]\"} x"},
		{"* OK [JMAPACCESS] x", "* OK {JMAPACCESS|} x"},
		{"A1 OK [UIDREQUIRED] x", "A1 OK {UIDREQUIRED|} x"},
		{"A1 NO [MESSAGELIMIT 1000 18] x", "A1 NO {MESSAGELIMIT|1000 18} x"},
		{"* ESEARCH", NULL},
		{"* ESEARCH (TAG \"A282\") MIN 2 COUNT 3", NULL},
		{"* ESEARCH (TAG \"A283\") UID ALL 2,10:11", NULL},
		{"* ESEARCH (TAG \"a567\") UID COUNT 17 ALL 4:18,21,28", NULL},
		{"* ESEARCH (TAG \"a\") ALL 1:3,5 MODSEQ 1236", NULL},
		{"* ESEARCH (TAG \"A01\") UID PARTIAL (-1:-100 NIL)", NULL},
		{"* ESEARCH (TAG \"A01\") UID PARTIAL (23500:24000 67,100:102)", NULL},
		{"* ESEARCH (TAG \"tag1\" MAILBOX \"folder1\" UIDVALIDITY 1) UID ALL 4001,4003", NULL},
		{"* ESEARCH (TAG \"B\") UID ADDTO (0 2731:2733) REMOVEFROM (0 27)", NULL},
		{"* LIST (\\Subscribed \\NonExistent) \"/\" \"Fruit/Peach\"", NULL},
		{"* LIST () \"/\" \"Foo\" (\"CHILDINFO\" (\"SUBSCRIBED\"))", NULL},
		{"* LIST () \"/\" NewMailbox (\"OLDNAME\" (\"Old\"))", NULL},
		{"* LIST (\\HasNoChildren) \"/\" \"x\" (tablecloth ((\"edge\" \"lacy\") (\"color\" \"red\"))(X \"y\"))",
		 "* LIST (\\HasNoChildren) \"/\" \"x\" (tablecloth ((\"edge\" \"lacy\") (\"color\" \"red\")) (X \"y\"))"},
		{"* NAMESPACE ((\"\" \"/\")) NIL NIL", NULL},
		{"* NAMESPACE ((\"\" \"/\")(\"#mh/\" \"/\" \"X-PARAM\" (\"FLAG1\" \"FLAG2\"))) ((\"~\" \"/\")) ((\"#shared/\" \"/\"))",
		 "* NAMESPACE ((\"\" \"/\") (\"#mh/\" \"/\" \"X-PARAM\" (\"FLAG1\" \"FLAG2\"))) ((\"~\" \"/\")) ((\"#shared/\" \"/\"))"},
		{"* STATUS \"x\" (MESSAGES 3 DELETED 1 SIZE 4294967296 UNSEEN 0 RECENT 0)", NULL},
		{"* ENABLED CONDSTORE X-GOOD-IDEA", NULL},
		{"* ENABLED", NULL},
		{"* ID (\"name\" \"Cyrus\" \"version\" \"1.5\" \"os\" NIL)", NULL},
		{"* ID NIL", NULL},
		{"* 1 FETCH (BINARY[1.2] ~{3}\r\na\nb)", "* 1 FETCH (BINARY[1.2] ~\"a\\x0ab\")"},
		{"* 1 FETCH (BINARY[1]<0> NIL BINARY.SIZE[1.2] 45)", NULL},
	};
	expect_rows (rows, G_N_ELEMENTS (rows));
}

static void
responses_of_further_extensions (void **state)
{
	static const Row rows[] = {
		/* CONDSTORE, QRESYNC (RFC 7162) */
		{"* OK [HIGHESTMODSEQ 715194045007] x", "* OK {HIGHESTMODSEQ|715194045007} x"},
		{"* OK [NOMODSEQ] Sorry", "* OK {NOMODSEQ|} Sorry"},
		{"d105 OK [MODIFIED 7,9] Conditional STORE failed", "d105 OK {MODIFIED|7,9} Conditional STORE failed"},
		{"* 1 FETCH (UID 4 MODSEQ (65402) FLAGS (\\Seen))", NULL},
		{"* SEARCH 2 5 6 7 11 12 18 19 20 23 (MODSEQ 917162500)", NULL},
		{"* SORT 2 84 882 (MODSEQ 917162500)", NULL},
		{"* VANISHED (EARLIER) 41,43:116,118,120:211", NULL},
		{"* VANISHED 405,407,410,425", NULL},
		{"* STATUS blurdybloop (HIGHESTMODSEQ 7011231777)", NULL},
		/* UIDPLUS, MULTIAPPEND, MOVE (RFC 4315, 3502, 6851) */
		{"a OK [APPENDUID 38505 3955:3958] done", "a OK {APPENDUID|38505 3955:3958} done"},
		{"* OK [COPYUID 432432 42:69 1202:1229] x", "* OK {COPYUID|432432 42:69 1202:1229} x"},
		/* NOTIFY (RFC 5465) */
		{"* STATUS misc (UIDNEXT 999 MESSAGES 555 HIGHESTMODSEQ 65)", NULL},
		{"* LIST (\\NoAccess \\Subscribed) \"/\" gone", NULL},
		{"* 99 FETCH (UID 9999 FLAGS ($Junk) ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL))", NULL},
		/* IDLE, COMPRESS (RFC 2177, 4978) */
		{"+ idling", NULL},
		{"a NO [COMPRESSIONACTIVE] DEFLATE active via TLS", "a NO {COMPRESSIONACTIVE|} DEFLATE active via TLS"},
		/* OBJECTID (RFC 8474) */
		{"a OK [MAILBOXID (F2212ea87-6097-4256-9d51-71338625)] Completed", "a OK {MAILBOXID|(F2212ea87-6097-4256-9d51-71338625)} Completed"},
		{"* STATUS foo (MAILBOXID (F2212ea87-6097-4256-9d51-71338625))", NULL},
		{"* 3 FETCH (EMAILID (M00000001) THREADID (Tc6f))", NULL},
		{"* 3 FETCH (EMAILID (M00000001) THREADID NIL)", NULL},
		/* QUOTA (RFC 9208, 2087) */
		{"* QUOTA \"\" (STORAGE 10 512)", NULL},
		{"* QUOTA \"#user/alice\" (STORAGE 54 111 MESSAGE 42 1000)", NULL},
		{"* QUOTAROOT INBOX \"\"", NULL},
		{"* QUOTAROOT comp.mail.mime", NULL},
		{"* STATUS INBOX (DELETED 4 DELETED-STORAGE 8)", NULL},
		/* ACL (RFC 4314) */
		{"* ACL INBOX Fred rwipsldexta -Fred wetd $team w", NULL},
		{"* LISTRIGHTS ~/Mail/saved smith la r swicdkxte", NULL},
		{"* MYRIGHTS INBOX rwiptsldaex", NULL},
		/* METADATA (RFC 5464) */
		{"* METADATA \"INBOX\" (/private/comment \"My own comment\")", NULL},
		{"* METADATA \"\" (/shared/comment {2}\r\nxy /private/a NIL)", "* METADATA \"\" (/shared/comment \"xy\" /private/a NIL)"},
		{"* METADATA INBOX /shared/comment /private/comment", NULL},
		/* THREAD (RFC 5256), UNSEEN threads nest */
		{"* THREAD (2)(3 6 (4 23)(44 7 96))", "* THREAD (2) (3 6 (4 23) (44 7 96))"},
		{"* THREAD ((3)(5))", "* THREAD ((3) (5))"},
		{"* THREAD", NULL},
		{"* SORT 5 3 4 1 2", NULL},
		{"* SORT", NULL},
		/* STATUS=SIZE, SAVEDATE, PREVIEW, APPENDLIMIT (RFC 8438, 8514, 8970, 7889) */
		{"* STATUS frop (MESSAGES 8 SIZE 44421)", NULL},
		{"* 1 FETCH (SAVEDATE \"01-Jan-2015 03:15:05 +0000\")", NULL},
		{"* 2 FETCH (SAVEDATE NIL)", NULL},
		{"* 1 FETCH (RFC822.SIZE 5647 PREVIEW \"Preview text!\")", NULL},
		{"* 1 FETCH (PREVIEW NIL)", NULL},
		{"* STATUS INBOX (APPENDLIMIT 257890)", NULL},
		{"* STATUS INBOX (APPENDLIMIT NIL)", NULL},
		/* UTF8=ACCEPT (RFC 6855) */
		{"* LIST () \"/\" \"\303\251t\303\251\"", "* LIST () \"/\" \"\\xc3\\xa9t\\xc3\\xa9\""},
		/* Gmail */
		{"* 1 FETCH (X-GM-THRID 1278455344230334865 X-GM-MSGID 1278455344230334865 X-GM-LABELS (\\Inbox \\Sent Important \"Muy Importante\"))",
		 NULL},
		{"* XLIST (\\HasNoChildren \\AllMail) \"/\" \"[Gmail]/Todo\"", NULL},
		{"* CAPABILITY IMAP4rev1 UNSELECT IDLE X-GM-EXT-1 APPENDLIMIT=35651584 XYZZY", NULL},
		/* LANGUAGE, COMPARATOR, GENURLAUTH, URLFETCH, ANNOTATE, CONVERT, JMAP, LIST-METADATA, PROXY */
		{"* LANGUAGE (DE)", NULL},
		{"* COMPARATOR i;unicode-casemap", NULL},
		{"* GENURLAUTH \"imap://joe@example.com/INBOX/;uid=20\"", NULL},
		{"* URLFETCH \"imap://joe@example.com/\" {2}\r\nSi", "* URLFETCH \"imap://joe@example.com/\" \"Si\""},
		{"* 1 FETCH (ANNOTATION (/comment (value.priv \"My comment\" value.shared NIL)))", NULL},
		{"* LIST (\\NoInferiors) \"/\" INBOX (METADATA (/shared/vendor/x \"\"))", NULL},
		/* UIDONLY, UIDBATCHES (RFC 9586) */
		{"* 25900 UIDFETCH (FLAGS (\\Seen) MODSEQ (7))", NULL},
		{"* UIDBATCHES (TAG \"A143\") 215295:99695,99696:1", NULL},
	};
	expect_rows (rows, G_N_ELEMENTS (rows));
}

static void
mistakes_that_servers_make (void **state)
{
	static const Row rows[] = {
		/* blanks at the end and in between, missing texts */
		{"* OK", NULL},
		{"* OK ", "* OK"},
		{"a OK", NULL},
		{"a NO ", "a NO"},
		{"+", "+ "},
		{"+ ", NULL},
		{"* OK [UIDVALIDITY 3]", "* OK {UIDVALIDITY|3}"},
		{"* OK [UNSEEN 1] ", "* OK {UNSEEN|1}"},
		{"* OK [ALERT]no blank", "* OK {ALERT|} no blank"},
		{"* SEARCH ", "* SEARCH"},
		{"* SEARCH 1 2 ", "* SEARCH 1 2"},
		{"* FLAGS (\\Seen  \\Deleted ) ", "* FLAGS (\\Seen \\Deleted)"},
		{"* CAPABILITY IMAP4rev1  IDLE ", "* CAPABILITY IMAP4rev1 IDLE"},
		{"*  3  EXISTS", "* 3 EXISTS"},
		{"* 1 FETCH (FLAGS(\\Seen) UID 3)", "* 1 FETCH (FLAGS (\\Seen) UID 3)"},
		{"* 1 FETCH (UID 3 FLAGS ( ) )", "* 1 FETCH (UID 3 FLAGS ())"},
		{"* LIST (\\HasNoChildren) \"/\" INBOX ()", NULL},
		{"* STATUS INBOX ()", NULL},
		/* lower case */
		{"* ok [uidnext 5] x", "* ok {UIDNEXT|5} x"},
		{"* 1 fetch (body[text] {1}\r\nx)", "* 1 fetch (body[text] \"x\")"},
		{"a1 ok [appenduid 1 2] x", "a1 ok {APPENDUID|1 2} x"},
		{"* search 1 2", "* search 1 2"},
		/* brackets: in the text, in no code, unclosed, in names and flags */
		{"* OK see [here", NULL},
		{"* OK [ALERT] see [here", "* OK {ALERT|} see [here"},
		{"* OK [ALERT] see here]", "* OK {ALERT|} see here]"},
		{"* OK [no end of it", NULL},
		{"* OK [UIDNEXT 5", NULL},
		{"* OK []", "* OK"},
		{"* OK [] x", "* OK x"},
		{"* OK [FOO \"x] y", "* OK {FOO|\"x} y"},
		{"* LIST () \"/\" a]b[c", NULL},
		{"* LIST () \"/\" BODY[x", NULL},
		{"* FLAGS ([x] BODY[ a[b)", NULL},
		{"* 1 FETCH (FLAGS (BODY[ a]) UID 3)", NULL},
		{"* OK [PERMANENTFLAGS ([x ] y", "* OK {PERMANENTFLAGS|([x } y"},
		/* the end of a text that looks like a literal */
		{"* OK there are {5}", NULL},
		{"* BYE {12}", NULL},
		{"a NO [ALERT] {3}", "a NO {ALERT|} {3}"},
		{"* LIST () \"/\" a{5}", NULL},
		{"* LIST () \"/\" ({5} {})", NULL},
		/* quotes */
		{"* LIST () \"/\" a\"b", NULL},
		{"* LIST () \"/\" \"a\\b\"", "* LIST () \"/\" \"ab\""},
		{"* 1 FETCH (FLAGS (\\Seen \\) UID 4)", NULL},
		{"* LIST () \"\\\" INBOX", "! the server sent a response that can't be read (a quoted string does not end, octet 12 of the line): "
		                           "() \"\\\" INBOX"},
		{"* 1 FETCH (BODY[HEADER.FIELDS (\"Message-ID\")] \"\")", NULL},
		/* odd words */
		{"* LIST () \"/\" \303\251", "* LIST () \"/\" \\xc3\\xa9"},
		{"* FLAGS (\tx a\001b %)", "* FLAGS (\\x09x a\\x01b %)"},
		{"* 1 FETCH (UID 5 FLAGS (NIL))", NULL},
		{"* 4294967296 EXISTS", "* EXISTS"},
		{"* SEARCH 0 4294967296 5 18446744073709551616 x", "* SEARCH 5"},
		{"* OK [UIDVALIDITY 0] x", "* OK {UIDVALIDITY|0} x"},
		/* names that nobody knows */
		{"* XFOO", NULL},
		{"* XFOO (unclosed \"", "* XFOO (unclosed \"\")"},
		{"* XFOO )", "* XFOO"},
		{"* 5 XFOO a b (c)", NULL},
	};
	expect_rows (rows, G_N_ELEMENTS (rows));
}

static void
line_ends_of_all_kinds_are_read (void **state)
{
	static const char input[] = "* OK a\n\r\n\n* 1 EXISTS\r\r\n* LIST () \"/\" {2}\nab\n\r\na OK b\n";
	expect ((Slice) {input, strlen (input)}, "* OK a\n* 1 EXISTS\n* LIST () \"/\" \"ab\"\na OK b");
}

static void
nul_octets_are_kept (void **state)
{
	static const char input[] = "* LIST () \"/\" \"a\0b\"\r\n* 1 FETCH (BODY[] {3}\r\na\0b FLAGS (x\0))\r\n* OK [A\0B C\0] x\0y\r\n+ a\r\n";
	expect ((Slice) {input, sizeof input - 1}, "* LIST () \"/\" \"a\\x00b\"\n* 1 FETCH (BODY[] \"a\\x00b\" FLAGS (x\\x00))\n"
	                                           "* OK {A|C} x\357\277\275y\n+ a");
}

static void
what_is_no_response_is_refused (void **state)
{
	static const Row rows[] = {
		{"220 mail.example.org ESMTP", "! the server sent what is no response: 220 mail.example.org ESMTP"},
		{"+OK POP3 ready", "! the server sent what is no response: +OK POP3 ready"},
		{"HTTP/1.1 400 Bad Request", "! the server sent what is no response: HTTP/1.1 400 Bad Request"},
		{"*", "! the server sent what is no response: *"},
		{"* 5", "! the server sent what is no response: * 5"},
		{"a FETCH x", "! the server sent what is no response: a FETCH x"},
		{"* 1 FETCH (FLAGS", "! the server sent a response that can't be read (a closing parenthesis is missing, octet 6 of the line): (FLAGS"},
		{"* 1 FETCH (FLAGS ()))",
		 "! the server sent a response that can't be read (a closing parenthesis too many, octet 10 of the line): (FLAGS ()))"},
		{"* LIST () \"/\" \"x",
		 "! the server sent a response that can't be read (a quoted string does not end, octet 9 of the line): () \"/\" \"x"},
		{"* 1 FETCH (BODY[ {99999999999999999999}", "! the server announces a literal of 18446744073709551615 octets"},
		{"* 1 FETCH (BODY[] {4294967297}", "! the server announces a literal of 4294967297 octets"},
	};
	expect_rows (rows, G_N_ELEMENTS (rows));
}

static void
sections_are_taken_apart (void **state)
{
	g_autoptr (ImapReply) r = imap_reply_new ();
	static const char input[] = "* 1 FETCH (BODY[2.HEADER.FIELDS (A {1}\r\nB)]<10> \"\" UID 4 BODY[] \"\" BINARY[1]<1.2> \"\" BODY NIL)\r\n";
	gsize used;
	gboolean complete;
	assert_true (imap_reply_feed (r, (Slice) {input, strlen (input)}, &used, &complete, NULL));
	assert_true (complete);
	const ImapNode *n = node_first (reply_arg (r, 0)), *section = node_section (n);
	guint32 from, size;
	assert_true (slice_equals (node_stem (n), "BODY"));
	assert_true (slice_equals (node_text (n), "BODY[2.HEADER.FIELDS (A \"B\")]<10>"));
	assert_true (slice_equals (node_text (section), "2.HEADER.FIELDS"));
	assert_int_equal (node_count (node_next (section)), 2);
	assert_true (slice_equals (node_text (node_at (node_next (section), 1)), "B"));
	assert_true (node_partial (n, &from, &size));
	assert_int_equal (from, 10);
	assert_int_equal (size, 0);
	n = node_at (reply_arg (r, 0), 4);
	assert_true (node_has_section (n) && !node_section (n) && !node_partial (n, &from, &size));
	n = node_at (reply_arg (r, 0), 6);
	assert_true (slice_equals (node_stem (n), "BINARY"));
	assert_true (node_partial (n, &from, &size) && from == 1 && size == 2);
	n = node_at (reply_arg (r, 0), 8);
	assert_true (!node_has_section (n) && slice_equals (node_stem (n), "BODY"));
}

/* @before, @count times @unit, @after, CRLF. */
static char *
repeat (const char *before, const char *unit, guint count, const char *after)
{
	GString *text = g_string_new (before);
	for (guint i = 0; i < count; i++)
		g_string_append (text, unit);
	g_string_append_printf (text, "%s\r\n", after);
	return g_string_free (text, FALSE);
}

static gboolean
feed_whole (ImapReply *r, const char *input, GError **error)
{
	gsize used;
	gboolean complete = FALSE;
	return imap_reply_feed (r, (Slice) {input, strlen (input)}, &used, &complete, error) && complete;
}

static void
expect_limit (char *good, char *bad, int code)
{
	g_autoptr (ImapReply) r = imap_reply_new ();
	g_autoptr (GError) error = NULL;
	assert_true (feed_whole (r, good, &error));
	assert_false (feed_whole (r, bad, &error));
	assert_true (error_is (error, code));
	g_free (good);
	g_free (bad);
}

static void
limits_are_where_they_are_said_to_be (void **state)
{
	/* a list and its atoms are values */
	expect_limit (repeat ("* FLAGS (", "a ", IMAP_REPLY_VALUES - 1, ")"), repeat ("* FLAGS (", "a ", IMAP_REPLY_VALUES, ")"), ERROR_TOO_BIG);
	g_autofree char *open = g_strnfill (IMAP_REPLY_DEPTH, '('), *close = g_strnfill (IMAP_REPLY_DEPTH, ')');
	expect_limit (repeat ("* FLAGS ", open, 1, close), repeat ("* FLAGS (", open, 1, close), ERROR_TOO_BIG);
	expect_limit (repeat ("* LIST () \"/\" \"", "a", IMAP_REPLY_TEXT - 20, "\""), repeat ("* LIST () \"/\" \"", "a", IMAP_REPLY_TEXT, "\""),
	              ERROR_TOO_BIG);
	/* the number of messages of a folder is no limit */
	expect_limit (repeat ("* SEARCH", " 1234567890", 1000000, ""), repeat ("* SEARCH", " 1234567890", 6200000, ""), ERROR_TOO_BIG);
	expect_limit (repeat ("* VANISHED 1", ",1234567890", 1000000, ""), repeat ("* VANISHED 1", ",1234567890", 6200000, ""), ERROR_TOO_BIG);
}

static void
literals_in_memory_have_a_common_limit (void **state)
{
	g_autofree char *big = g_strnfill (IMAP_REPLY_SPOOL, 'x');
	g_autofree char *unit = g_strdup_printf ("{%u}\r\n%s ", IMAP_REPLY_SPOOL, big);
	expect_limit (repeat ("* LIST () \"/\" ", unit, 3, "x"), repeat ("* LIST () \"/\" ", unit, 4, "x"), ERROR_TOO_BIG);
}

static void
big_literals_go_to_files (void **state)
{
	g_autoptr (ImapReply) r = imap_reply_new ();
	g_autoptr (GString) input = g_string_new ("* 1 FETCH (UID 4 BODY[] {1048577}\r\n");
	for (guint i = 0; i < IMAP_REPLY_SPOOL + 1; i++)
		g_string_append_c (input, (char) (i * 7));
	g_string_append (input, " BODY[TEXT] {3}\r\nabc)\r\n");
	gsize used;
	gboolean complete = FALSE;
	for (gsize at = 0; at < input->len; at += used)
		assert_true (imap_reply_feed (r, (Slice) {input->str + at, MIN (10000, input->len - at)}, &used, &complete, NULL));
	assert_true (complete);
	const ImapNode *body = node_at (reply_arg (r, 0), 3);
	assert_int_equal (body->kind, NODE_FILE);
	assert_int_equal (body->size, IMAP_REPLY_SPOOL + 1);
	assert_int_equal (node_text (body).size, 0);
	g_autofree char *content = g_malloc (body->size + 1);
	assert_int_equal (pread (body->fd, content, body->size + 1, 0), body->size);
	assert_memory_equal (content, strchr (input->str, '\n') + 1, body->size);
	assert_true (slice_equals (node_text (node_at (reply_arg (r, 0), 5)), "abc"));
}

static void
only_so_many_big_literals_at_once (void **state)
{
	g_autoptr (ImapReply) r = imap_reply_new ();
	g_autoptr (GError) error = NULL;
	g_autofree char *unit = repeat ("a {1048577}\r\n", "x", IMAP_REPLY_SPOOL + 1, "");
	unit[strlen (unit) - 2] = '\0';
	g_autofree char *input = repeat ("* METADATA x (", unit, IMAP_REPLY_FILES + 1, ")");
	assert_false (feed_whole (r, input, &error));
	assert_true (error_is (error, ERROR_TOO_BIG));
}

static void
sets_come_in_any_order (void **state)
{
	g_autoptr (ImapReply) r = imap_reply_new ();
	static const struct {
		const char *input, *want;
	} rows[] = {
		{"* SEARCH 9 3 4 5 1 9 4 (MODSEQ 7)\r\n", "1,3:5,9"},
		{"* SEARCH\r\n", ""},
		{"* ESEARCH (TAG \"ALL\") UID COUNT 3 ALL 9,3:5,1 MODSEQ 4\r\n", "1,3:5,9"},
		{"* ESEARCH UID PARTIAL (1:100 9,3:5)\r\n", "3:5,9"},
		{"* ESEARCH (TAG \"ALL\")\r\n", ""},
		{"* VANISHED (EARLIER) 5:3,9,1\r\n", "1,3:5,9"},
		{"* VANISHED 5\r\n", "5"},
		{"* VANISHED 5,x\r\n", ""},
		{"* VANISHED\r\n", ""},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_auto (UidSet) set = UID_SET_INIT;
		g_autoptr (GString) text = g_string_new (NULL);
		assert_true (feed_whole (r, rows[i].input, NULL));
		if (reply_is (r, "VANISHED"))
			reply_take_vanished (r, &set);
		else
			reply_take_search (r, &set);
		uid_set_format (&set, text);
		assert_string_equal (text->str, rows[i].want);
	}
	assert_true (feed_whole (r, "* VANISHED (EARLIER) 1\r\n", NULL) && reply_vanished_earlier (r));
	assert_true (feed_whole (r, "* VANISHED 1\r\n", NULL) && !reply_vanished_earlier (r));
	assert_true (feed_whole (r, "* SEARCH 1 (MODSEQ 715194045007)\r\n", NULL) && reply_search_modseq (r) == G_GUINT64_CONSTANT (715194045007));
	assert_true (feed_whole (r, "* ESEARCH (TAG \"a\") UID MODSEQ 5\r\n", NULL) && reply_search_modseq (r) == 5);
	assert_true (slice_equals (reply_esearch_tag (r), "a"));
}

/* A hostile order must not cost the square of the size: this would take minutes. */
static void
many_uids_in_the_worst_order_are_taken_quickly (void **state)
{
	g_autoptr (ImapReply) r = imap_reply_new ();
	g_autoptr (GString) search = g_string_new ("* SEARCH"), vanished = g_string_new ("* VANISHED 4000000");
	for (guint32 uid = 1000000; uid > 0; uid -= 2)
		g_string_append_printf (search, " %u", uid);
	for (guint32 uid = 1000000; uid > 0; uid -= 2)
		g_string_append_printf (vanished, ",%u", uid + 999);
	g_string_append (search, "\r\n");
	g_string_append (vanished, "\r\n");
	g_auto (UidSet) set = UID_SET_INIT;
	assert_true (feed_whole (r, search->str, NULL));
	reply_take_search (r, &set);
	assert_true (feed_whole (r, vanished->str, NULL));
	reply_take_vanished (r, &set);
	assert_int_equal (uid_set_count (&set), 1000001);
}

static void
an_error_is_followed_by_a_fresh_start (void **state)
{
	g_autoptr (ImapReply) r = imap_reply_new ();
	g_autoptr (GError) error = NULL;
	assert_false (feed_whole (r, "* 1 FETCH (\r\n", &error));
	assert_true (error_is (error, ERROR_PROTOCOL));
	assert_true (feed_whole (r, "* 1 FETCH (UID 3)\r\n", NULL));
	assert_int_equal (node_number (node_at (reply_arg (r, 0), 1)), 3);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (imap4rev1_responses),
		cmocka_unit_test (imap4rev2_and_response_codes),
		cmocka_unit_test (responses_of_further_extensions),
		cmocka_unit_test (mistakes_that_servers_make),
		cmocka_unit_test (line_ends_of_all_kinds_are_read),
		cmocka_unit_test (nul_octets_are_kept),
		cmocka_unit_test (what_is_no_response_is_refused),
		cmocka_unit_test (sections_are_taken_apart),
		cmocka_unit_test (limits_are_where_they_are_said_to_be),
		cmocka_unit_test (literals_in_memory_have_a_common_limit),
		cmocka_unit_test (big_literals_go_to_files),
		cmocka_unit_test (only_so_many_big_literals_at_once),
		cmocka_unit_test (sets_come_in_any_order),
		cmocka_unit_test (many_uids_in_the_worst_order_are_taken_quickly),
		cmocka_unit_test (an_error_is_followed_by_a_fresh_start),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
