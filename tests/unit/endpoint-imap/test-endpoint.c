/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations with servers of all kinds; each whole and octet by octet. */
#include "endpoint-case.h"
#include <stdio.h>


static void
three_hundred (int fd)
{
	for (guint i = 1; i <= 300; i++)
		dprintf (fd, "* %u FETCH (FLAGS (\\Seen) INTERNALDATE \"17-Jul-2020 02:44:25 -0700\" RFC822.SIZE %u)\r\n", i, 100 + i);
}

static const EndpointCase list_cases[] = {
	{"one flight lists all with their state", call_list,
	 "INBOX<\\|INBOX\\|inbox sub 3/4/5/6 id M1; A<\\|A\\| noselect; A/k&AOQ-<A\\|kä\\|sent 0/1/2/0",
	 {TALK (LOG_ON ("LIST-EXTENDED LIST-STATUS SPECIAL-USE NAMESPACE ENABLE QRESYNC OBJECTID"), {"^ENABLE QRESYNC$", "* ENABLED QRESYNC\r\n" OK},
	        SPACE, {"^LIST \"\" \"\\*\" RETURN \\(SPECIAL-USE SUBSCRIBED STATUS \\(MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ MAILBOXID\\)\\)$",
	                "* LIST (\\NoSelect) \"/\" A\r\n* LIST (\\Sent) \"/\" \"A/k&AOQ-\"\r\n* STATUS \"A/k&AOQ-\" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 2)\r\n"
	                "* LIST (\\Subscribed) \"/\" inbox\r\n* STATUS INBOX (MAILBOXID (M1) MESSAGES 3 UIDNEXT 4 UIDVALIDITY 5 HIGHESTMODSEQ 6)\r\n" OK})},
	 1},
	{"ID goes with the list, in the same flight", call_list_who, "INBOX<\\|INBOX\\|inbox 1/2/3/0; A<\\|A\\| 1/2/3/0 of Dovecot 2.4.1",
	 {TALK (LOG_ON (WATCHED " ID"), {WE_ARE, "* ID (\"name\" \"Dovecot\" \"version\" \"2.4.1\" \"support-url\" NIL)\r\n" OK}, SPACE, LIST_TWO)}, 1},
	{"an answer to ID is shown as one line, whatever is in it", call_list_who, "INBOX.* of A B \357\277\275\\[2J",
	 {TALK (LOG_ON (WATCHED " ID"), {WE_ARE, "* ID (\"name\" {8}\r\nA\tB \033[2J \"version\" NIL \"os\")\r\n" OK}, SPACE, LIST_TWO)}},
	{"a server that does not like ID after all", call_list_who, "INBOX.* of -",
	 {TALK (LOG_ON (WATCHED " ID"), {WE_ARE, "%T BAD who?\r\n"}, SPACE, LIST_TWO)}},
	{"ID without an answer worth it", call_list_who, "INBOX.* of -", {TALK (LOG_ON (WATCHED " ID"), {WE_ARE, "* ID NIL\r\n" OK}, SPACE, LIST_TWO)}},
	{"Cyrus that says it is Cyrus only when asked: its ids in STATUS are octets of freed memory", call_list_who,
	 "INBOX<\\|INBOX\\|inbox 1/2/3/0 of Cyrus IMAP 3.6.1",
	 {TALK (LOG_ON (WATCHED " OBJECTID ID"), {WE_ARE, "* ID (\"name\" \"Cyrus IMAP\" \"version\" \"3.6.1\")\r\n" OK}, SPACE,
	        {"^LIST .*MAILBOXID", "* LIST () \"/\" INBOX\r\n* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 MAILBOXID (x0f))\r\n" OK})}},
	{"a bare server takes two flights", call_list, "INBOX<\\|INBOX\\|inbox sub 1/2/3/0; Sent Items<\\|Sent Items\\|sent 4/5/6/0",
	 {TALK (LOG_ON (""), {"^LIST \"\" \"\"$", "* LIST (\\NoSelect) \".\" \"\"\r\n" OK},
	        {"^LIST \"\" \"\\*\"$", "* LIST () \".\" INBOX\r\n* LIST () \".\" {10}\r\nSent Items\r\n" OK},
	        {"^LSUB \"\" \"\\*\"$", "* LSUB () \".\" INBOX\r\n* LSUB () \".\" Gone\r\n" OK},
	        {"^STATUS \"INBOX\" \\(MESSAGES UIDNEXT UIDVALIDITY\\)$", "* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n" OK},
	        {"^STATUS \"Sent Items\"", "* STATUS \"Sent Items\" (MESSAGES 4 UIDNEXT 5 UIDVALIDITY 6)\r\n" OK})},
	 2},
	{"capabilities are asked for when the server does not tell them", call_list, "INBOX<\\|INBOX\\|inbox 1/2/3/0",
	 {TALK ({NULL, "* OK hello\r\n"}, {"^CAPABILITY$", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" OK}, {"^AUTHENTICATE PLAIN$", "+ \r\n"}, {"=.", OK},
	        {"^CAPABILITY$", "* CAPABILITY IMAP4rev1\r\n" OK}, {"^LIST \"\" \"\"", OK}, {"^LIST \"\" \"\\*\"", "* LIST () NIL INBOX\r\n" OK}, SUBSCRIBE_EMPTY,
	        {"^STATUS", "* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n" OK})}},
	{"LOGIN is used where no mechanism is offered", call_list, "INBOX<\\|INBOX\\|inbox",
	 {TALK ({NULL, "* OK [CAPABILITY IMAP4rev1] hello\r\n"}, {"^LOGIN \"me\" \"secret\"$", OK}, {"^CAPABILITY$", "* CAPABILITY IMAP4rev1\r\n" OK},
	        {"^LIST \"\" \"\"", OK}, {"^LIST", "* LIST () NIL INBOX\r\n" OK}, SUBSCRIBE_EMPTY, {"^STATUS", "%T NO none\r\n"})}},
	{"LOGINDISABLED ends it before the password is sent", call_list, "error NO_PERMISSION",
	 {TALK ({NULL, "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hello\r\n"})}},
	{"UNAVAILABLE at log-on is temporary", call_list, "error TEMPORARY",
	 {TALK ({NULL, GREETING}, {"^AUTHENTICATE", "%T NO [UNAVAILABLE] database is down\r\n"})}},
	{"a wrong password is not", call_list, "error NO_PERMISSION",
	 {TALK ({NULL, GREETING}, {"^AUTHENTICATE", "%T NO [AUTHENTICATIONFAILED] no\r\n"})}},
	{"BYE instead of a greeting is temporary", call_list, "error TEMPORARY", {TALK ({NULL, "* BYE too many connections\r\n"})}},
	{"a server that is none", call_list, "error PROTOCOL", {TALK ({NULL, "SSH-2.0-OpenSSH_9.2\r\n"})}},
	{"IMAP4rev2 alone has all that it made part of itself, and names in UTF-8", call_list,
	 "INBOX<\\|INBOX\\|inbox 1/2/3/0; Büro & Co<\\|Büro & Co\\|archive 1/2/3/0",
	 {TALK ({NULL, "* OK [CAPABILITY IMAP4rev2 AUTH=PLAIN] ready\r\n"}, {"^AUTHENTICATE PLAIN .", "%T OK [CAPABILITY IMAP4rev2] in\r\n"}, SPACE,
	        {"^LIST \"\" \"\\*\" RETURN \\(SPECIAL-USE SUBSCRIBED STATUS",
	         "* LIST () \"/\" INBOX\r\n* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n"
	         "* LIST (\\Archive) \"/\" \"B\303\274ro & Co\"\r\n* STATUS \"B\303\274ro & Co\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n" OK})},
	 1},
	{"Cyrus: what lies in other users' and shared namespaces is not ours", call_list, "INBOX<\\|INBOX\\|inbox; INBOX.Work<\\|Work\\|; INBOX.user.x<INBOX.user\\|x\\|",
	 {TALK (LOG_ON ("NAMESPACE"), {"^NAMESPACE", "* NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\")) ((\"\" \".\"))\r\n" OK},
	        {"^LIST", "* LIST () \".\" INBOX\r\n* LIST () \".\" INBOX.Work\r\n* LIST () \".\" user.bob\r\n* LIST () \".\" public.news\r\n"
	                  "* LIST () \".\" INBOX.user.x\r\n* LIST (\\NoSelect) \".\" user\r\n" OK},
	        SUBSCRIBE_EMPTY, {"^STATUS", "%T NO\r\n"}, {"^STATUS", "%T NO\r\n"}, {"^STATUS", "%T NO\r\n"})}},
	{"Gmail: XLIST tells what folders are for", call_list, "INBOX<\\|INBOX\\|inbox; \\[Gmail\\]<\\|\\[Gmail\\]\\| noselect; \\[Gmail\\]/Alle<\\[Gmail\\]\\|Alle\\|all; "
	 "\\[Gmail\\]/M&APw-ll<\\[Gmail\\]\\|Müll\\|trash",
	 {TALK (LOG_ON ("XLIST X-GM-EXT-1"), {"^LIST \"\" \"\"", "* LIST (\\NoSelect) \"/\" \"/\"\r\n" OK},
	        {"^XLIST", "* XLIST (\\HasNoChildren \\Inbox) \"/\" \"INBOX\"\r\n* XLIST (\\NoSelect \\HasChildren) \"/\" \"[Gmail]\"\r\n"
	                   "* XLIST (\\AllMail) \"/\" \"[Gmail]/Alle\"\r\n* XLIST (\\Trash) \"/\" \"[Gmail]/M&APw-ll\"\r\n" OK},
	        SUBSCRIBE_EMPTY, {"^STATUS", OK}, {"^STATUS", OK}, {"^STATUS", OK})}},
	{"an INBOX that LIST forgot is there", call_list, "INBOX<\\|INBOX\\|inbox; A<\\|A\\|",
	 {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^LIST", "* LIST () \"/\" A\r\n" OK}, SUBSCRIBE_EMPTY, {"^STATUS", OK}, {"^STATUS", OK})}},
	{"no folder at all is no mailbox", call_list, "error PROTOCOL", {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^LIST", OK}, SUBSCRIBE_EMPTY)}},
	{"a name with a line end is no folder", call_list, "INBOX<\\|INBOX\\|inbox",
	 {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^LIST", "* LIST () \"/\" {9}\r\nA\r\nLOGOUT\r\n* LIST () \"/\" INBOX\r\n" OK}, SUBSCRIBE_EMPTY, {"^STATUS", OK})}},
	{"LIST-EXTENDED announced but not understood", call_list, "INBOX<\\|INBOX\\|inbox",
	 {TALK (LOG_ON ("LIST-EXTENDED NAMESPACE"), SPACE, {"^LIST .*RETURN", "%T BAD no\r\n"}, {"^LIST", "* LIST () \"/\" INBOX\r\n" OK}, SUBSCRIBE_EMPTY,
	        {"^STATUS", OK})}},
	{"a connection lost in the middle is tried again", call_list, "INBOX<\\|INBOX\\|inbox; A<\\|A\\|",
	 {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^LIST", "* LIST () \"/\" A\r\n* LI"}, {"^LSUB", "", FAKE_CLOSE}),
	  TALK (LOG_ON ("NAMESPACE"), {"^LIST", "* LIST () \"/\" A\r\n" OK}, SUBSCRIBE_EMPTY, {"^STATUS", OK}, {"^STATUS", OK})}},
};

static const EndpointCase query_cases[] = {
	{"UIDs of a new folder in one flight", call_query_uids, "INBOX 5/9/7/0 all=1:4,8",
	 {TALK (LOG_ON ("ESEARCH"), SELECT_INBOX (""), {"^UID SEARCH RETURN \\(ALL\\) ALL$", "* ESEARCH (TAG \"%T\") UID ALL 1:4,8\r\n" OK})}, 1},
	{"without ESEARCH, and without UIDNEXT", call_query_uids, "INBOX 5/9/7/0 all=1:4,8",
	 {TALK (LOG_ON (""), {"^SELECT", "* 5 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n" OK}, {"^UID SEARCH ALL$", "* SEARCH 8 1 2 3 4\r\n" OK})}, 2},
	{"an empty folder needs no search", call_query_uids, "INBOX 0/1/7/0 all=",
	 {TALK (LOG_ON (""), {"^SELECT", "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n" OK})}, 1},
	{"a search without its answer does not make a folder empty", call_query_uids, "INBOX error REFUSED",
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID SEARCH ALL$", OK}, SELECT_INBOX (""), {"^UID SEARCH ALL$", OK}, {"^NOOP", OK})}},
	{"nor does one with too few make others gone", call_query_uids, "INBOX error REFUSED",
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID SEARCH ALL$", "* SEARCH 1 2\r\n" OK}, SELECT_INBOX (""),
	        {"^UID SEARCH ALL$", "* SEARCH 1 2\r\n" OK}, {"^NOOP", OK})}},
	{"removals that come late explain too few", call_query_uids, "INBOX 5/9/7/0 all=1:2",
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID SEARCH ALL$", "* SEARCH 1 2\r\n" OK}, SELECT_INBOX (""),
	        {"^UID SEARCH ALL$", "* SEARCH 1 2\r\n" OK}, {"^NOOP", "* 3 EXPUNGE\r\n* 3 EXPUNGE\r\n* 3 EXPUNGE\r\n" OK})}},
	{"QRESYNC tells all within SELECT", call_query_changes, "INBOX 5/9/7/20 2\\(1 foo 15\\) 8\\(0 20\\) vanished=3:4",
	 {TALK (LOG_ON ("ENABLE QRESYNC"), {"^ENABLE QRESYNC$", "* ENABLED QRESYNC\r\n" OK},
	        {"^SELECT \"INBOX\" \\(QRESYNC \\(7 10\\)\\)$",
	         "* 5 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n* OK [HIGHESTMODSEQ 20] h\r\n* VANISHED (EARLIER) 3:4\r\n"
	         "* 5 FETCH (UID 8 FLAGS () MODSEQ (20))\r\n* 2 FETCH (UID 2 FLAGS (foo \\Seen) MODSEQ (15))\r\n" OK})},
	 1},
	{"ENABLE refused: then with what SELECT tells", call_query_changes, "INBOX 5/9/7/20 2\\(1 15\\) all=1:4,8",
	 {TALK (LOG_ON ("ENABLE QRESYNC"), {"^ENABLE QRESYNC$", "%T NO never\r\n"}, {"^SELECT \"INBOX\" \\(QRESYNC", "%T BAD what\r\n"},
	        {"^SELECT \"INBOX\"$", "* 5 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n* OK [HIGHESTMODSEQ 20] h\r\n" OK},
	        {"^UID FETCH 1:\\* \\(FLAGS\\) \\(CHANGEDSINCE 10\\)$", "* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (15))\r\n" OK},
	        {"^UID SEARCH ALL$", "* SEARCH 1 2 3 4 8\r\n" OK})}},
	{"CONDSTORE: changes and all UIDs", call_query_changes, "INBOX 5/9/7/20 2\\(1 15\\) all=1:4,8",
	 {TALK (LOG_ON ("CONDSTORE"), {"^SELECT \"INBOX\" \\(CONDSTORE\\)$", "* 5 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n* OK [HIGHESTMODSEQ 20] h\r\n" OK},
	        {"^UID FETCH 1:\\* \\(FLAGS\\) \\(CHANGEDSINCE 10\\)$", "* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (15))\r\n" OK},
	        {"^UID SEARCH ALL$", "* SEARCH 1 2 3 4 8\r\n" OK})},
	 2},
	{"NOMODSEQ: all flags", call_query_changes, "INBOX 2/9/7/0 1\\(4 0\\) 8\\(0 0\\) all-states all=1,8",
	 {TALK (LOG_ON ("CONDSTORE"), {"^SELECT", "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n* OK [NOMODSEQ] none\r\n" OK},
	        {"^UID FETCH 1:\\* \\(FLAGS\\)$", "* 1 FETCH (FLAGS (\\Flagged) UID 1)\r\n* 2 FETCH (UID 8 FLAGS (\\Recent))\r\n" OK})},
	 2},
	{"a bare server: all flags", call_query_plain, "INBOX 2/9/7/0 1\\(4 0\\) 8\\(0 a b 0\\) all-states all=1,8",
	 {TALK (LOG_ON (""), {"^SELECT", "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n" OK},
	        {"^UID FETCH 1:\\* \\(FLAGS\\)$", "* 1 FETCH (FLAGS (\\Flagged) UID 1)\r\n* 2 FETCH (UID 8 FLAGS (b a))\r\n" OK})},
	 2},
	{"flags that change while they are listed: the last word counts", call_query_plain, "INBOX 2/9/7/0 1\\(5 0\\) 8\\(0 0\\) all-states all=1,8",
	 {TALK (LOG_ON (""), {"^SELECT", "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n" OK},
	        {"^UID FETCH", "* 1 FETCH (FLAGS (\\Flagged) UID 1)\r\n* 2 FETCH (UID 8 FLAGS ())\r\n* 1 FETCH (UID 1 FLAGS (\\Seen \\Flagged))\r\n" OK})}},
	{"another UIDVALIDITY ends the folder's query", call_query_changes, "INBOX other 8",
	 {TALK (LOG_ON ("ENABLE QRESYNC"), {"^ENABLE", OK}, {"^SELECT", "* 5 EXISTS\r\n* OK [UIDVALIDITY 8] v\r\n* OK [HIGHESTMODSEQ 3] h\r\n" OK})}},
	{"three folders in one flight, CLOSED between them, one not there", call_query_three,
	 "INBOX 1/9/7/20 8\\(1 20\\); A error NOT_FOUND; B 2/3/7/30 1\\(1 25\\)",
	 {TALK (LOG_ON ("ENABLE QRESYNC"), {"^ENABLE", OK}, {"^SELECT \"INBOX\"", "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n* OK [HIGHESTMODSEQ 20] h\r\n"
	        "* 1 FETCH (UID 8 FLAGS (\\Seen) MODSEQ (20))\r\n" OK},
	        {"^SELECT \"A\"", "* OK [CLOSED] left\r\n%T NO no such folder\r\n"},
	        {"^SELECT \"B\"", "* 7 FETCH (UID 99 FLAGS () MODSEQ (21))\r\n* OK [CLOSED] left\r\n* 2 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 3] n\r\n"
	        "* OK [HIGHESTMODSEQ 30] h\r\n* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (25))\r\n" OK})},
	 1},
	{"behind a folder that can't be opened none is", call_query_three, "INBOX 1/9/7/0 8\\(0 0\\) all-states all=8; A 0/1/7/0 all-states all=; B error NO_PERMISSION",
	 {TALK (LOG_ON (""), {"^SELECT \"INBOX\"", "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n" OK},
	        {"^SELECT \"A\"", "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 1] n\r\n" OK}, {"^SELECT \"B\"", "%T NO [NOPERM] no\r\n"},
	        {"^SELECT \"INBOX\"", "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n" OK},
	        {"^UID FETCH 1:\\* \\(FLAGS\\)", "* 1 FETCH (UID 8 FLAGS ())\r\n" OK}, {"^SELECT \"A\"", "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 1] n\r\n" OK})}},
	{"MAILBOXID and an answer in the middle of a removal", call_query_plain, "INBOX 3/9/7/0 1\\(0 0\\) 8\\(0 0\\) all-states all=1,8",
	 {TALK (LOG_ON (""), {"^SELECT", "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n" OK},
	        {"^UID FETCH", "* 1 FETCH (FLAGS () UID 1)\r\n* 2 EXPUNGE\r\n* 2 FETCH (UID 8 FLAGS ())\r\n" OK})}},
};


static const EndpointCase fetch_cases[] = {
	{"messages with flags, date and size, in one flight", call_fetch, "got 3\\(1 a 4/4 @1594979065-420\\) 1\\(1 a 2/2 @1594979065-420\\) missing=2",
	 {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH 1:3 \\(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK\\[\\]\\)$", BODY (3, "abcd", 4) BODY (1, "ab", 2) OK})}, 1},
	{"EMAILID where the server has it", call_fetch, "got 1\\(0 1/1 @0\\+0 id M77\\) missing=2:3",
	 {TALK (LOG_ON ("OBJECTID CONDSTORE"), EXAMINE_INBOX, {"^UID FETCH 1:3 \\(UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ EMAILID BODY.PEEK\\[\\]\\)$",
	        "* 1 FETCH (UID 1 FLAGS () MODSEQ (3) EMAILID (M77) RFC822.SIZE 1 BODY[] \"x\")\r\n" OK})}},
	{"Gmail's own id of a message", call_fetch, "got 1\\(0 1/1 @0\\+0 id 1278455344230334865\\) missing=2:3",
	 {TALK (LOG_ON ("X-GM-EXT-1"), EXAMINE_INBOX, {"^UID FETCH 1:3 .*X-GM-MSGID BODY.PEEK",
	        "* 1 FETCH (X-GM-MSGID 1278455344230334865 UID 1 RFC822.SIZE 1 FLAGS () BODY[] {1}\r\nx)\r\n" OK})}},
	{"Exchange: sizes that are not so", call_fetch, "got 1\\(0 2/99 @0\\+0\\) 2\\(0 0/5 @0\\+0\\) missing=3",
	 {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH", "* 1 FETCH (BODY[] {2}\r\nab UID 1 FLAGS () RFC822.SIZE 99)\r\n* 2 FETCH (UID 2 FLAGS () RFC822.SIZE 5 BODY[] {0}\r\n)\r\n" OK})}},
	{"Exchange: a message that can't be retrieved", call_fetch, "got 1\\(0 1/1 @0\\+0\\) missing= error REFUSED",
	 {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH", "* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 1 BODY[] {1}\r\nx)\r\n%T NO The specified message could not be retrieved\r\n"})}},
	{"NIL for a body is a failure, not an empty message", call_fetch, "got missing=2:3 error REFUSED",
	 {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH", "* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 5 BODY[] NIL)\r\n" OK})}},
	{"messages nobody asked for, and one twice, are passed over", call_fetch, "got 1\\(0 1/1 @0\\+0\\) missing=2:3",
	 {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH", "* 9 FETCH (UID 9 FLAGS () BODY[] \"z\")\r\n* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 1 BODY[] \"x\")\r\n"
	        "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* 1 FETCH (UID 1 FLAGS () BODY[] \"y\")\r\n* 4 EXPUNGE\r\n" OK})}},
	{"another UIDVALIDITY: nothing is taken", call_fetch, "got error CONFLICT",
	 {TALK (LOG_ON (""), {"^EXAMINE", "* 3 EXISTS\r\n* OK [UIDVALIDITY 8] v\r\n" OK}, {"^UID FETCH", BODY (1, "ab", 2) OK})}},
	{"a folder that is gone", call_fetch, "got error NOT_FOUND",
	 {TALK (LOG_ON (""), {"^EXAMINE", "%T NO [NONEXISTENT] gone\r\n"}, {"^UID FETCH", "%T BAD nothing is selected\r\n"})}},
	{"a connection lost within a message: that one again, not those before", call_fetch, "got 3\\(1 a 4/4 .*\\) 1\\(1 a 2/2 .*\\) missing=2",
	 {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH 1:3 ", BODY (3, "abcd", 4) "* 1 FETCH (UID 1 BODY[] {2}\r\na"}, {NULL, "", FAKE_CLOSE}),
	  TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH 1:2 ", BODY (1, "ab", 2) OK})}},
	{"a literal longer than announced is a protocol error", call_fetch, "error (PROTOCOL|TEMPORARY)",
	 {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH", "* 1 FETCH (UID 1 FLAGS () BODY[] {2}\r\nabcdef)\r\n" OK})}},
	{"one shorter than announced ends with the connection", call_fetch, "error TEMPORARY",
	 {TALK (LOG_ON (""), EXAMINE_INBOX, {"^UID FETCH", "* 1 FETCH (UID 1 FLAGS () BODY[] {2000}\r\nabcdef)\r\n" OK}, {NULL, "", FAKE_CLOSE})}},
	{"evidence, the command before it unanswered till the end, as Dovecot does", call_evidence,
	 "evidence 2\\(30 a@b 1\\) 3\\(40 - 0\\) 4\\(50 one two@c 0\\)",
	 {TALK (LOG_ON ("OBJECTID"), SELECT_INBOX (""), {"^NOOP$", ""},
	        {"^UID FETCH 2:\\* \\(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK\\[HEADER.FIELDS \\(FROM TO DATE SUBJECT MESSAGE-ID\\)\\]\\)$",
	         "* 2 FETCH (UID 2 FLAGS (\\Seen) RFC822.SIZE 30 EMAILID (M2) BODY[HEADER.FIELDS (MESSAGE-ID)] {21}\r\nMessage-ID: <a@b>\r\n\r\n)\r\n"
	         "* 3 FETCH (UID 3 FLAGS () RFC822.SIZE 40 BODY[HEADER.FIELDS (\"MESSAGE-ID\")] \"\")\r\n"
	         "* 4 FETCH (UID 4 FLAGS () RFC822.SIZE 50 BODY[HEADER.FIELDS (MESSAGE-ID)] {34}\r\nMessage-Id:\r\n <> <one two@c> x\r\n\r\n)\r\n"
	         "* 5 FETCH (UID 1 FLAGS () RFC822.SIZE 50 BODY[HEADER.FIELDS (MESSAGE-ID)] NIL)\r\n"
	         "%P OK noop\r\n" OK})},
	 2},
	{"evidence of all by number, UIDs in ranges", call_evidence_all, "evidence 0 of 300 is 11\\(101 1\\) 299 of 300 is 320\\(400 1\\)",
	 {TALK (LOG_ON ("ESEARCH"), SELECT_INBOX (""), {"^NOOP$", OK}, {"^UID SEARCH RETURN \\(ALL\\) ALL$", "* ESEARCH (TAG \"A1\") UID ALL 11:200,211:320\r\n" OK},
	        {"^FETCH 1:300 \\(FLAGS INTERNALDATE RFC822.SIZE\\)$", "", .produce = three_hundred},
	        {"^FETCH 1,150,300 \\(UID\\)$", "%P OK fetched\r\n* 1 FETCH (UID 11)\r\n* 150 FETCH (UID 160)\r\n* 300 FETCH (UID 320)\r\n" OK})},
	 4},
	{"evidence by number is not believed when a UID is another one", call_evidence_all, "evidence 0 of 1 is 12\\(77 0\\)",
	 {TALK (LOG_ON ("ESEARCH"), SELECT_INBOX (""), {"^NOOP$", OK}, {"^UID SEARCH", "* ESEARCH (TAG \"A1\") UID ALL 11:310\r\n" OK},
	        {"^FETCH 1:300 ", "", .produce = three_hundred},
	        {"^FETCH 1,150,300 \\(UID\\)$", "%P OK fetched\r\n* 1 FETCH (UID 11)\r\n* 150 FETCH (UID 160)\r\n* 300 FETCH (UID 311)\r\n" OK},
	        {"^UID FETCH 1:\\* ", "* 1 FETCH (UID 12 FLAGS () RFC822.SIZE 77)\r\n" OK})}},
	{"nor when a message was removed meanwhile", call_evidence_all, "evidence 0 of 1 is 12\\(77 0\\)",
	 {TALK (LOG_ON ("ESEARCH"), SELECT_INBOX (""), {"^NOOP$", OK}, {"^UID SEARCH", "* ESEARCH (TAG \"A1\") UID ALL 11:310\r\n* 5 EXPUNGE\r\n" OK},
	        {"^UID FETCH 1:\\* ", "* 1 FETCH (UID 12 FLAGS () RFC822.SIZE 77)\r\n" OK})}},
	{"nor when no UID was told for a check", call_evidence_all, "evidence 0 of 1 is 12\\(77 0\\)",
	 {TALK (LOG_ON ("ESEARCH"), SELECT_INBOX (""), {"^NOOP$", OK}, {"^UID SEARCH", "* ESEARCH (TAG \"A1\") UID ALL 11:310\r\n" OK},
	        {"^FETCH 1:300 ", "", .produce = three_hundred}, {"^FETCH 1,150,300 \\(UID\\)$", "%P OK fetched\r\n" OK},
	        {"^UID FETCH 1:\\* ", "* 1 FETCH (UID 12 FLAGS () RFC822.SIZE 77)\r\n" OK})}},
	{"evidence of another folder by that name is none", call_evidence, "error CONFLICT",
	 {TALK (LOG_ON (""), {"^SELECT", "* OK [UIDVALIDITY 8] v\r\n" OK})}},
};

static const EndpointCase append_cases[] = {
	{"many in one command", call_append, "appended 9/31 9/32 9/33",
	 {TALK (LOG_ON (FULL), {"^APPEND \"A\" \\(\\\\Seen\\) \"14-Nov-2023 23:13:20 \\+0100\" \\{5\\+\\}$", ""}, {"=^one$", ""},
	        {"=^ \\(blue\\) \"14-Nov-2023 23:13:20 \\+0100\" \\{6\\+\\}$", ""}, {"=^two!$", ""}, {"=^ \"14-Nov-2023 23:13:20 \\+0100\" \\{7\\+\\}$", ""},
	        {"=^three$", ""}, {"=^$", "%T OK [APPENDUID 9 31:33] done\r\n"})},
	 1},
	{"many commands in one flight", call_append, "appended 9/31 9/40 9/33",
	 {TALK (LOG_ON ("LITERAL+ UIDPLUS"), {"^APPEND .*\\{5\\+\\}$", ""}, {"=^one$", ""}, {"=^$", "* 4 EXISTS\r\n%T OK [APPENDUID 9 31] done\r\n"},
	        {"^APPEND .*\\{6\\+\\}$", ""}, {"=two", ""}, {"=^$", "%T OK [APPENDUID 9 40] done\r\n"},
	        {"^APPEND .*\\{7\\+\\}$", ""}, {"=three", ""}, {"=^$", "%T OK [APPENDUID 9 33] done\r\n"})},
	 1},
	{"a bare server asks for each literal", call_append, "appended 0/0 0/0 0/0",
	 {TALK (LOG_ON (""), {"^APPEND .*\\{5\\}$", "* 3 EXISTS\r\n+ go on\r\n"}, {"=^one$", ""}, {"=^$", OK}, {"^APPEND .*\\{6\\}$", "+ \r\n"}, {"=two", ""}, {"=^$", OK},
	        {"^APPEND .*\\{7\\}$", "+\r\n"}, {"=three", ""}, {"=^$", OK})}},
	{"LITERAL- for small messages", call_append_one, "appended 9/31",
	 {TALK (LOG_ON ("LITERAL-"), {"^APPEND .*\\{5\\+\\}$", ""}, {"=one", ""}, {"=^$", "%T OK [APPENDUID 9 31] done\r\n"})}, 1},
	{"and not for those over 4096 octets", call_append_big, "appended 9/31",
	 {TALK (LOG_ON ("LITERAL-"), {"^APPEND .*\\{5000\\}$", "+ ok\r\n"}, {"=^x{4998}$", ""}, {"=^$", "%T OK [APPENDUID 9 31] done\r\n"})}, 2},
	{"MULTIAPPEND refused: one by one, so that one bad message stops no other", call_append, "appended 9/31 0/0 error REFUSED 9/32",
	 {TALK (LOG_ON (FULL), {"^APPEND", ""}, {"=one", ""}, {"=\\{6\\+\\}", ""}, {"=two", ""}, {"=\\{7\\+\\}", ""}, {"=three", ""}, {"=^$", "%T NO virus\r\n"},
	        {"^APPEND", ""}, {"=one", ""}, {"=^$", "%T OK [APPENDUID 9 31] done\r\n"}, {"^APPEND", ""}, {"=two", ""}, {"=^$", "%T NO virus\r\n"},
	        {"^APPEND", ""}, {"=three", ""}, {"=^$", "%T OK [APPENDUID 9 32] done\r\n"})}},
	{"a refusal instead of the go-ahead spares the octets", call_append, "appended 0/0 error TOO_BIG 9/2 0/0 error OVER_QUOTA",
	 {TALK (LOG_ON ("UIDPLUS"), {"^APPEND .*\\{5\\}$", "%T NO [TOOBIG] no\r\n"}, {"^APPEND .*\\{6\\}$", "+ \r\n"}, {"=two", ""}, {"=^$", "%T OK [APPENDUID 9 2] ok\r\n"},
	        {"^APPEND .*\\{7\\}$", "%T NO [OVERQUOTA] full\r\n"})}},
	{"a folder that is not there", call_append, "error NOT_FOUND", {TALK (LOG_ON (""), {"^APPEND", "%T NO [TRYCREATE] make it first\r\n"})}},
	{"a folder where nothing may be added", call_append, "error NO_PERMISSION", {TALK (LOG_ON (""), {"^APPEND", "%T NO [NOPERM] no\r\n"})}},
	{"APPENDLIMIT keeps a big message back", call_append_big, "appended 0/0 error TOO_BIG", {TALK (LOG_ON ("APPENDLIMIT=4999"))}},
	{"NUL needs BINARY", call_append_nul, "appended 9/1 0/0 error REFUSED",
	 {TALK (LOG_ON ("LITERAL+"), {"^APPEND", ""}, {"=one", ""}, {"=^$", "%T OK [APPENDUID 9 1] ok\r\n"})}},
	{"NUL goes as literal8", call_append_nul, "appended 9/1 9/2",
	 {TALK (LOG_ON ("LITERAL+ BINARY"), {"^APPEND", ""}, {"=one", ""}, {"=^$", "%T OK [APPENDUID 9 1] ok\r\n"},
	        {"^APPEND \"A\" \\(blue\\) .* ~\\{6\\+\\}$", ""}, {"=^t$", ""}, {"=^$", "%T OK [APPENDUID 9 2] ok\r\n"})}},
	{"fewer UIDs than messages are no UIDs", call_append, "appended 0/0 0/0 0/0",
	 {TALK (LOG_ON (FULL), {"^APPEND", ""}, {"=one", ""}, {"=\\{6\\+\\}", ""}, {"=two", ""}, {"=\\{7\\+\\}", ""}, {"=three", ""}, {"=^$", "%T OK [APPENDUID 9 31:32] done\r\n"})}},
	{"a connection lost before the answer: not repeated", call_append_one, "error TEMPORARY",
	 {TALK (LOG_ON ("LITERAL+"), {"^APPEND", ""}, {"=one", ""}, {"=^$", "* 5 EXISTS\r\n"}, {NULL, "", FAKE_CLOSE}), TALK (LOG_ON ("LITERAL+"))}},
	{"lost before the octets were sent: repeated", call_append_one, "appended 9/1",
	 {TALK (LOG_ON (""), {"^APPEND", NULL}), TALK (LOG_ON (""), {"^APPEND", "+ \r\n"}, {"=one", ""}, {"=^$", "%T OK [APPENDUID 9 1] ok\r\n"})}},
	{"unavailable: repeated, and what was accepted is not", call_append, "appended 9/1 9/2 9/3",
	 {TALK (LOG_ON (""), {"^APPEND", "+ \r\n"}, {"=one", ""}, {"=^$", "%T OK [APPENDUID 9 1] ok\r\n"}, {"^APPEND", "%T NO [UNAVAILABLE] later\r\n"}),
	  TALK (LOG_ON (""), {"^APPEND .*\\{6\\}", "+ \r\n"}, {"=two", ""}, {"=^$", "%T OK [APPENDUID 9 2] ok\r\n"}, {"^APPEND", "+ \r\n"}, {"=three", ""},
	        {"=^$", "%T OK [APPENDUID 9 3] ok\r\n"})}},
};

static const EndpointCase change_cases[] = {
	{"flags of two groups in one flight behind SELECT", call_flags, "stored 1\\(1 foo 12\\)",
	 {TALK (LOG_ON ("CONDSTORE"), SELECT_INBOX ("* OK [PERMANENTFLAGS (\\*)] p\r\n"), {"^UID STORE 1:2 \\+FLAGS.SILENT \\(\\\\Seen foo\\)$", "* 1 FETCH (UID 1 FLAGS (foo \\Seen) MODSEQ (12))\r\n* 2 FETCH (UID 2 MODSEQ (12))\r\n" OK},
	        {"^UID STORE 3 -FLAGS.SILENT \\(\\\\Flagged\\)$", OK})},
	 2},
	{"a refusal is one request's", call_flags, "stored error REFUSED",
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID STORE 1:2", "%T NO no keywords here\r\n"}, {"^UID STORE 3", OK})}},
	{"what was done in part is done again", call_flags, "stored",
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID STORE 1:2", "%T NO [EXPUNGEISSUED] some are gone\r\n"}, {"^UID STORE 3", OK}, {"^NOOP", "* 2 EXPUNGE\r\n" OK},
	        {"^UID STORE 1:2", OK})}},
	{"no flag in another folder by that name", call_flags, "error CONFLICT", {TALK (LOG_ON (""), {"^SELECT", "* OK [UIDVALIDITY 8] v\r\n" OK})}},
	{"no flag in a folder to read", call_flags, "error NO_PERMISSION",
	 {TALK (LOG_ON (""), {"^SELECT", "* OK [UIDVALIDITY 7] v\r\n%T OK [READ-ONLY] in\r\n"})}},
	{"flags once more after a lost connection", call_flags, "stored",
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID STORE", NULL}),
	  TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID STORE 1:2", OK}, {"^UID STORE 3", OK})}},
	{"a copy tells its UIDs", call_copy, "pairs 1>11 2>12 5>13 in 9",
	 {TALK (LOG_ON ("UIDPLUS"), SELECT_INBOX (""), {"^UID COPY 1:2,5 \"A\"$", "%T OK [COPYUID 9 1:2,5 11:13] done\r\n"})}, 2},
	{"in the order in which the server says them", call_copy, "pairs 5>11 1>12 2>13 in 9",
	 {TALK (LOG_ON ("UIDPLUS"), SELECT_INBOX (""), {"^UID COPY", "%T OK [COPYUID 9 5,1:2 11:13] done\r\n"})}},
	{"a copy that tells nothing", call_copy, "pairs in 0", {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID COPY", OK})}},
	{"a COPYUID that does not add up is none", call_copy, "pairs in 0", {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID COPY", "%T OK [COPYUID 9 1:2,5 11:12] done\r\n"})}},
	{"nor one of 4 thousand million", call_copy, "pairs in 0",
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID COPY", "%T OK [COPYUID 9 1:4294967295 1:4294967295] done\r\n"})}},
	{"a copy to nowhere", call_copy, "error NOT_FOUND", {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID COPY", "%T NO [TRYCREATE] no\r\n"})}},
	{"a copy whose answer is lost is not repeated", call_copy, "error TEMPORARY",
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID COPY", NULL}), TALK (LOG_ON (""))}},
	{"MOVE tells it untagged", call_move, "pairs 1>11 2>12 5>13 in 9",
	 {TALK (LOG_ON ("MOVE UIDPLUS"), SELECT_INBOX (""), {"^UID MOVE 1:2,5 \"A\"$", "* OK [COPYUID 9 1:2,5 11:13] moved\r\n* 5 EXPUNGE\r\n* 2 EXPUNGE\r\n* VANISHED 1\r\n" OK})}, 2},
	{"a move without MOVE", call_move, "pairs 1>11 2>12 5>13 in 9",
	 {TALK (LOG_ON ("UIDPLUS"), SELECT_INBOX (""), {"^UID COPY 1:2,5", "%T OK [COPYUID 9 1:2,5 11:13] done\r\n"},
	        {"^UID STORE 1:2,5 \\+FLAGS.SILENT \\(\\\\Deleted\\)$", OK}, {"^UID EXPUNGE 1:2,5$", "* 1 EXPUNGE\r\n" OK})},
	 3},
	{"a move that could not be copied removes nothing", call_move, "error OVER_QUOTA",
	 {TALK (LOG_ON ("UIDPLUS"), SELECT_INBOX (""), {"^UID COPY", "%T NO [OVERQUOTA] full\r\n"})}},
	{"removal by UID in one flight behind SELECT", call_expunge, "expunged",
	 {TALK (LOG_ON ("UIDPLUS"), SELECT_INBOX (""), {"^UID STORE 1:2 \\+FLAGS.SILENT \\(\\\\Deleted\\)$", OK}, {"^UID EXPUNGE 1:2$", "* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n" OK})}, 2},
	{"without UIDPLUS when nobody else has marked anything; the search answered before STORE", call_expunge, "expunged",
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID STORE 1:2", ""}, {"^UID SEARCH DELETED$", "* SEARCH 1 2\r\n%P OK s\r\n" OK}, {"^EXPUNGE$", "* 1 EXPUNGE\r\n" OK})}},
	{"and only marked when somebody has; the search answered before STORE", call_expunge, "expunged left=1:2",
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID STORE 1:2", ""}, {"^UID SEARCH DELETED$", "* SEARCH 1 2 4\r\n%P OK s\r\n" OK})}},
	{"or when the search said nothing", call_expunge, "error PROTOCOL",
	 {TALK (LOG_ON (""), SELECT_INBOX (""), {"^UID STORE 1:2", OK}, {"^UID SEARCH DELETED$", OK})}},
	{"a removal not permitted", call_expunge, "error NO_PERMISSION",
	 {TALK (LOG_ON ("UIDPLUS"), SELECT_INBOX (""), {"^UID STORE", "%T NO [NOPERM] no\r\n"}, {"^UID EXPUNGE", "%T NO [NOPERM] no\r\n"})}},
	{"no removal in another folder by that name", call_expunge, "error CONFLICT", {TALK (LOG_ON ("UIDPLUS"), {"^SELECT", "* OK [UIDVALIDITY 8] v\r\n" OK})}},
};

static const EndpointCase folder_cases[] = {
	{"a folder with its use", call_create, "created B&APw-ro",
	 {TALK (LOG_ON ("NAMESPACE CREATE-SPECIAL-USE"), SPACE, {"^CREATE \"B&APw-ro\" \\(USE \\(\\\\Archive\\)\\)$", OK}, {"^SUBSCRIBE \"B&APw-ro\"$", OK},
	        {"^LIST \"\" \"B&APw-ro\"", "* LIST () \"/\" \"B&APw-ro\"\r\n" OK})},
	 2},
	{"without its use if that is taken", call_create, "created B&APw-ro",
	 {TALK (LOG_ON ("NAMESPACE CREATE-SPECIAL-USE"), SPACE, {"^CREATE.*USE", "%T NO [USEATTR] taken\r\n"}, {"^SUBSCRIBE", "%T NO\r\n"}, {"^LIST", OK},
	        {"^CREATE \"B&APw-ro\"$", OK}, {"^SUBSCRIBE", OK}, {"^LIST", OK})}},
	{"below another, in a namespace with a prefix", call_create, "created INBOX.B&APw-ro",
	 {TALK (LOG_ON ("NAMESPACE"), {"^NAMESPACE", "* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\r\n" OK}, {"^CREATE \"INBOX.B&APw-ro\"$", OK}, {"^SUBSCRIBE", OK}, {"^LIST", OK})}},
	{"a folder in a folder", call_create_below, "created A/kid", {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^CREATE \"A/kid\"", OK}, {"^SUBSCRIBE", OK}, {"^LIST", OK})}},
	{"which a flat server can't have", call_create_below, "error REFUSED", {TALK (LOG_ON ("NAMESPACE"), {"^NAMESPACE", "* NAMESPACE ((\"\" NIL)) NIL NIL\r\n" OK})}},
	{"one that exists is no error", call_create_below, "created A/kid",
	 {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^CREATE", "%T NO Mailbox exists\r\n"}, {"^SUBSCRIBE", OK}, {"^LIST", "* LIST () \"/\" A/kid\r\n" OK})}},
	{"by its code", call_create_below, "created A/kid", {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^CREATE", "%T NO [ALREADYEXISTS] is\r\n"}, {"^SUBSCRIBE", OK}, {"^LIST", OK})}},
	{"one that can't be made is", call_create_below, "error NO_PERMISSION",
	 {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^CREATE", "%T NO [NOPERM] no\r\n"}, {"^SUBSCRIBE", "%T NO\r\n"}, {"^LIST", OK})}},
	{"renaming takes subscriptions along, of those below too", call_rename, "renamed B",
	 {TALK (LOG_ON ("NAMESPACE LIST-EXTENDED"), SPACE, {"^LIST \\(SUBSCRIBED\\) \"\" \"A\"$", "* LIST (\\Subscribed) \"/\" A\r\n" OK},
	        {"^LIST \\(SUBSCRIBED\\) \"\" \"A/\\*\"$", "* LIST (\\Subscribed) \"/\" A/kid\r\n* LIST (\\Subscribed) \"/\" Abba\r\n" OK}, {"^RENAME \"A\" \"B\"$", OK},
	        {"^LIST \"\" \"A\"", OK}, {"^LIST \"\" \"B\"", "* LIST () \"/\" B\r\n" OK}, {"^SUBSCRIBE \"B\"", OK}, {"^UNSUBSCRIBE \"A\"", OK},
	        {"^SUBSCRIBE \"B/kid\"", OK}, {"^UNSUBSCRIBE \"A/kid\"", OK})},
	 3},
	{"the target exists", call_rename, "error EXISTS",
	 {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^LSUB", OK}, {"^LSUB", OK}, {"^RENAME", "%T NO [ALREADYEXISTS] is\r\n"}, {"^LIST", "* LIST () \"/\" A\r\n" OK},
	        {"^LIST", "* LIST () \"/\" B\r\n" OK})}},
	{"a rename whose answer was lost was done", call_rename, "renamed B",
	 {TALK (LOG_ON ("NAMESPACE"), SPACE, {"^LSUB", OK}, {"^LSUB", OK}, {"^RENAME", NULL}),
	  TALK (LOG_ON ("NAMESPACE"), {"^LSUB", OK}, {"^LSUB", OK}, {"^RENAME", "%T NO no A\r\n"}, {"^LIST", OK}, {"^LIST", "* LIST () \"/\" B\r\n" OK})}},
	{"removal ends the subscription", call_delete, "deleted", {TALK (LOG_ON (""), {"^DELETE \"A\"$", OK}, {"^LIST", OK}, {"^UNSUBSCRIBE \"A\"", OK})}, 2},
	{"what is not there is removed", call_delete, "deleted", {TALK (LOG_ON (""), {"^DELETE", "%T NO no such\r\n"}, {"^LIST", OK}, {"^UNSUBSCRIBE", "%T NO\r\n"})}},
	{"what stays is not", call_delete, "error REFUSED", {TALK (LOG_ON (""), {"^DELETE", "%T NO has children\r\n"}, {"^LIST", "* LIST () \"/\" A\r\n" OK})}},
};


static const EndpointCase watch_cases[] = {
	{"NOTIFY tells of all folders", call_watch, "changed A",
	 {TALK (LOG_ON (WATCHED " NOTIFY"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^CLOSE$", OK},
	        {"^NOTIFY SET STATUS \\(PERSONAL ", "* STATUS A (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n%T OK on\r\n* STATUS A (MESSAGES 2 UIDNEXT 3)\r\n"})}},
	{"and of what came between the list and the wait", call_watch, "changed A",
	 {TALK (LOG_ON (WATCHED " NOTIFY"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^CLOSE$", OK}, {"^NOTIFY", "* STATUS A (MESSAGES 1 UIDNEXT 9 UIDVALIDITY 3)\r\n%T OK on\r\n"})}},
	{"of new folders", call_watch, "changed all",
	 {TALK (LOG_ON (WATCHED " NOTIFY"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^CLOSE$", OK}, {"^NOTIFY", "%T OK on\r\n* LIST () \"/\" New\r\n"})}},
	{"of the selected one", call_watch, "changed INBOX",
	 {TALK (LOG_ON (WATCHED " NOTIFY"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^CLOSE$", OK}, {"^NOTIFY", "%T OK on\r\n* 2 EXISTS\r\n"})}},
	{"nothing", call_watch, "changed", {TALK (LOG_ON (WATCHED " NOTIFY"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^CLOSE$", OK}, {"^NOTIFY", "%T OK on\r\n"})}},
	{"too much: then all is looked at", call_watch, "changed all",
	 {TALK (LOG_ON (WATCHED " NOTIFY"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^CLOSE$", OK}, {"^NOTIFY", "%T OK on\r\n* OK [NOTIFICATIONOVERFLOW] sorry\r\n"})}},
	{"NOTIFY refused: IDLE, a second connection for the second folder", call_watch, "changed A",
	 {TALK (LOG_ON (WATCHED " NOTIFY IDLE"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^CLOSE$", OK},
	        {"^NOTIFY", "%T NO [BADEVENT] no\r\n"}, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^IDLE$", "+ idling\r\n"}, {"=^DONE$", OK}),
	  TALK (LOG_ON ("IDLE"), {"^EXAMINE \"A\"", EXAMINED}, {"^IDLE$", "+ idling\r\n* 5 EXISTS\r\n"}, {"=^DONE$", OK})}},
	{"IDLE", call_watch, "changed INBOX",
	 {TALK (LOG_ON (WATCHED " IDLE"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^IDLE$", "+ idling\r\n* 1 EXISTS\r\n* 2 EXISTS\r\n"}, {"=^DONE$", OK})}},
	{"a removal in IDLE", call_watch, "changed INBOX",
	 {TALK (LOG_ON (WATCHED " IDLE"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^IDLE$", "+ idling\r\n* 1 EXPUNGE\r\n"}, {"=^DONE$", OK})}},
	{"IDLE without news, and what some servers say in it", call_watch, "changed",
	 {TALK (LOG_ON (WATCHED " IDLE"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^IDLE$", "+ idling\r\n* OK Still here\r\n* 1 EXISTS\r\n* 0 RECENT\r\n"}, {"=^DONE$", OK})}},
	{"news that came before IDLE", call_watch, "changed INBOX",
	 {TALK (LOG_ON (WATCHED " IDLE"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", "* 2 EXISTS\r\n* OK [UIDVALIDITY 3] v\r\n* OK [UIDNEXT 3] n\r\n" OK}, {"^IDLE$", "+ idling\r\n"}, {"=^DONE$", OK})}},
	{"IDLE refused: NOOP", call_watch, "changed",
	 {TALK (LOG_ON (WATCHED " IDLE"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^IDLE$", "%T NO disabled here\r\n"})}},
	{"a server that ends IDLE by itself is not asked at once again", call_watch, "changed",
	 {TALK (LOG_ON (WATCHED " IDLE"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^IDLE$", "+ idling\r\n%T OK time is up\r\n"})}},
	{"neither", call_watch, "changed", {TALK (LOG_ON (WATCHED), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED})}},
	{"BYE while waiting", call_watch, "error TEMPORARY",
	 {TALK (LOG_ON (WATCHED " IDLE"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", EXAMINED}, {"^IDLE$", "+ idling\r\n* BYE shutting down\r\n"})}},
	{"a folder that can't be opened is not watched", call_watch, "changed",
	 {TALK (LOG_ON (WATCHED " IDLE"), SPACE, LIST_TWO, {"^EXAMINE \"INBOX\"", "%T NO locked\r\n"}, {"^IDLE$", "+ idling\r\n* 7 EXISTS\r\n"}, {"=^DONE$", OK})}},
};

static void
check_all (const EndpointCase *cases, gsize n, gboolean disturb)
{
	const char *only = g_getenv ("OUTPOST_CASE");
	for (gsize i = 0; i < n; i++) {
		if (only && !strstr (cases[i].name, only))
			continue;
		if (g_getenv ("OUTPOST_TIMES"))
			g_printerr ("%" G_GINT64_FORMAT " %s\n", g_get_monotonic_time () / 1000, cases[i].name);
		case_check (&cases[i], FALSE);
		case_check (&cases[i], TRUE);
		if (disturb)
			case_disturb (&cases[i]);
	}
}

#define TEST(name, cases) \
	static void name (void **state) { check_all (cases, G_N_ELEMENTS (cases), FALSE); }

TEST (folders_are_listed_by_any_server, list_cases)
TEST (changes_are_found_on_any_server, query_cases)
TEST (messages_are_fetched_from_any_server, fetch_cases)
TEST (messages_are_added_to_any_server, append_cases)
TEST (changes_reach_the_folder_they_are_meant_for, change_cases)
TEST (folders_are_made_renamed_and_removed, folder_cases)
TEST (a_wait_ends_with_the_news, watch_cases)

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (folders_are_listed_by_any_server),
		cmocka_unit_test (changes_are_found_on_any_server),
		cmocka_unit_test (messages_are_fetched_from_any_server),
		cmocka_unit_test (messages_are_added_to_any_server),
		cmocka_unit_test (changes_reach_the_folder_they_are_meant_for),
		cmocka_unit_test (folders_are_made_renamed_and_removed),
		cmocka_unit_test (a_wait_ends_with_the_news),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
