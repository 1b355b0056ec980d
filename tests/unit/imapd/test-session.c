/* SPDX-License-Identifier: Apache-2.0 */
#include "conversation.h"

#define STARS "*a*%*b*%*c*%*d*%*e*%*f*%*g*%*h*%*i*%*j*%*k*%*l*%*m*%*n*%*o*%*p*%*q*%*r*%*s*%*t*%*u*%*v*%*w*%*x*%*y*%*z*%*A*%*B*%*C*%*D*%*E*%*F*%*G*%*H*%*I*%*J*%*K*%*L*%*M*%*N*%*O*%*P*%"

#define LETTERS "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpBQkNERUZHSElKS0xNTk9QUVJTVFVW"
#define KIB LETTERS LETTERS LETTERS LETTERS LETTERS LETTERS LETTERS LETTERS LETTERS LETTERS LETTERS LETTERS LETTERS LETTERS LETTERS LETTERS
#define THREE_HUNDRED LETTERS LETTERS LETTERS LETTERS "1234567890123456789012345678901234567890" "1234"
#define LONG_LINE KIB KIB KIB KIB KIB KIB KIB KIB KIB KIB KIB KIB KIB KIB KIB KIB KIB KIB

/* After ENABLE IMAP4rev2. */
#define SELECTED_2 "C: s SELECT INBOX\nS: \\* 3 EXISTS\nS: \\* FLAGS.*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: \\* LIST .*\nS: s OK .*\n"

static const Conversation conversations[] = {
	{"before log-on only what needs none is executed (RFC 9051 6.1, 6.2)",
	 "C: a CAPABILITY\nS: \\* CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL\\+ SASL-IR ID ENABLE AUTH=PLAIN\nS: a OK CAPABILITY completed\n"
	 "C: b NOOP\nS: b OK NOOP completed\n"
	 "C: c SELECT INBOX\nS: c BAD log on first\n"
	 "C: d FETCH 1 FLAGS\nS: d BAD log on first\n"
	 "C: e NONSENSE\nS: e BAD there is no command NONSENSE\n"
	 "C: f UID NOOP\nS: f BAD there is no command UID NOOP\n"
	 "C: nothing\nS: nothing BAD .*\n"
	 "C: g LOGOUT\nS: \\* BYE see you\nS: g OK LOGOUT completed"},
	{"a name and a password log on, once; wrong ones do not (RFC 9051 6.2.3)",
	 "C: a LOGIN alice\nS: a BAD LOGIN wants .*\n"
	 "C: b LOGIN alice wrong\nS: b NO \\[AUTHENTICATIONFAILED\\] .*\n"
	 "C: c LOGIN alice {12}\nS: \\+ go on\nC: wonder land\"\nS: c OK \\[CAPABILITY .* IDLE .*\\] logged on\n"
	 "C: d LOGIN alice \"wonder land\\\"\"\nS: d BAD you are logged on already"},
	{"whose mailbox is elsewhere is led there, and not told that the password is wrong (RFC 5530)",
	 "C: a LOGIN moved x\nS: \\* NO \\[REFERRAL imaps://b:993\\] .*\nS: a NO \\[UNAVAILABLE\\] it is not here\n"
	 "C: b LOGIN away x\nS: b NO \\[UNAVAILABLE\\] it is not here"},
	{"three wrong passwords end the connection",
	 "C: a LOGIN alice 1\nS: a NO .*\nC: b LOGIN alice 2\nS: b NO .*\nC: c LOGIN alice 3\nS: c NO .*\nS: \\* BYE too many log-ons that failed\nC: d NOOP"},
	{"AUTHENTICATE PLAIN, with and without an initial response, given up, broken (RFC 9051 6.2.2, RFC 4616)",
	 "C: a AUTHENTICATE CRAM-MD5\nS: a NO \\[CANNOT\\] .*\n"
	 "C: b AUTHENTICATE PLAIN\nS: \\+ \nC: *\nS: b BAD the log-on was given up\n"
	 "C: c AUTHENTICATE PLAIN AGFsaWNl\nS: c BAD this is no answer of PLAIN\n"
	 "C: d AUTHENTICATE PLAIN Ym9iAGFsaWNlAHdvbmRlciBsYW5kIg==\nS: d NO \\[AUTHORIZATIONFAILED\\] .*\n"
	 "C: e AUTHENTICATE PLAIN\nS: \\+ \nC: AGFsaWNlAHdvbmRlciBsYW5kIg==\nS: e OK \\[CAPABILITY .*\\] logged on"},
	{"a mechanism of several messages, with and without an initial response, given up, broken, refused (RFC 9051 6.2.2)",
	 "C: a CAPABILITY\nS: \\* CAPABILITY .* AUTH=X-TWO AUTH=PLAIN\nS: a OK .*\n"
	 "C: b AUTHENTICATE x-two YWxpY2U=\nS: \\+ YW5kPw==\nC: *\nS: b BAD the log-on was given up\n"
	 "C: c AUTHENTICATE X-TWO YWxpY2U\nS: c BAD this is no base64\nC: d AUTHENTICATE X-TWO =\nS: d BAD who is that\n"
	 "C: e AUTHENTICATE X-TWO\nS: \\+ \nC: Ym9i\nS: e BAD who is that\nC: f AUTHENTICATE X-TWO\nS: \\+ \nC: \nS: f BAD who is that\n"
	 "C: g AUTHENTICATE X-TWO YWxpY2U=\nS: \\+ YW5kPw==\nC: d29uZGVybGFuZA=\nS: g BAD this is no base64\n"
	 "C: h AUTHENTICATE X-TWO YWxpY2U=\nS: \\+ YW5kPw==\nC: d29uZGVybG=uZA==\nS: h BAD this is no base64\n"
	 "C: i AUTHENTICATE X-TWO YWxpY2U=\nS: \\+ YW5kPw==\nC: d29u\nS: i NO \\[AUTHENTICATIONFAILED\\] the name or the password is wrong\n"
	 "C: j AUTHENTICATE X-TWO YWxpY2U=\nS: \\+ YW5kPw==\nC: " LONG_LINE "\nS: j BAD this is no base64\n"
	 "C: k AUTHENTICATE PLAIN AGFsaWNl!\nS: k BAD this is no answer of PLAIN\n"
	 "C: l AUTHENTICATE X-TWO\nS: \\+ \nC: YWxpY2U=\nS: \\+ YW5kPw==\nC: d29uZGVybGFuZA==\nS: l OK \\[CAPABILITY .* IDLE .*\\] logged on\n"
	 "C: m AUTHENTICATE X-TWO\nS: m BAD you are logged on already", FALSE, FALSE, TRUE},
	{"none of it before TLS where it could be overheard, and an exchange may be left in its midst",
	 "C: a CAPABILITY\nS: \\* CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL\\+ SASL-IR ID ENABLE STARTTLS LOGINDISABLED\nS: a OK .*\n"
	 "C: b AUTHENTICATE X-TWO YWxpY2U=\nS: b NO \\[PRIVACYREQUIRED\\] .*\nC: c STARTTLS\nS: c OK .*\nE: \n"
	 "C: d AUTHENTICATE X-TWO YWxpY2U=\nS: \\+ YW5kPw==", FALSE, TRUE, TRUE},
	{"no password before TLS where it could be overheard (RFC 9051 6.2.1, 6.2.3, RFC 5530)",
	 "C: a LOGIN alice 1\nS: a NO \\[PRIVACYREQUIRED\\] start TLS first.*\n"
	 "C: b AUTHENTICATE PLAIN AGFsaWNlAHdvbmRlciBsYW5kIg==\nS: b NO \\[PRIVACYREQUIRED\\] .*\n"
	 "C: c STARTTLS\nS: c OK STARTTLS completed\nE: \n"
	 "C: d CAPABILITY\nS: \\* CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL\\+ SASL-IR ID ENABLE AUTH=PLAIN\nS: d OK .*\n"
	 "C: e STARTTLS\nS: e BAD the connection is encrypted already\n"
	 "C: f LOGIN alice \"wonder land\\\"\"\nS: f OK \\[CAPABILITY .*\\] logged on\nC: g STARTTLS\nS: g BAD you are logged on already", FALSE, TRUE},
	{"what came behind STARTTLS ends the connection (CVE-2011-0411)", "C: a STARTTLS\\nb NOOP\nS: a OK STARTTLS completed\nC: c NOOP", FALSE, TRUE},
	{"COMPRESS is offered to who is logged on, once, and takes DEFLATE (RFC 4978 3)",
	 "C: a COMPRESS DEFLATE\nS: a BAD log on first\nC: b LOGIN alice \"wonder land\\\"\"\nS: b OK \\[CAPABILITY .* COMPRESS=DEFLATE .*\\] logged on\n"
	 "C: c COMPRESS\nS: c BAD COMPRESS wants DEFLATE\nC: d COMPRESS LZ4\nS: d BAD .*\nC: e COMPRESS DEFLATE 9\nS: e BAD .*\nC: f COMPRESS \"deflate\"\nS: f BAD .*\n"
	 "C: g compress deflate\nS: g OK COMPRESS completed\nD: \nC: h COMPRESS DEFLATE\nS: h BAD the connection is compressed already\n"
	 "C: i CAPABILITY\nS: \\* CAPABILITY (?!.*COMPRESS).*\nS: i OK .*"},
	{"what came behind COMPRESS ends the connection (RFC 4978 3)", "C: a COMPRESS DEFLATE\\nb NOOP\nS: a OK COMPRESS completed\nC: c NOOP", TRUE},
	{"STARTTLS where there is no TLS", "C: a STARTTLS\nS: a BAD TLS is not offered here"},
	{"what the server says of itself (RFC 5464 1, 4.2)",
	 "C: a CAPABILITY\nS: \\* CAPABILITY .* METADATA-SERVER .*\nS: a OK .*\n"
	 "C: b GETMETADATA \"\" /shared/comment\nS: \\* METADATA \"\" \\(/shared/comment \"a \\\\\"server\\\\\"\"\\)\nS: b OK .*\n"
	 "C: c GETMETADATA (DEPTH 1) \"\" /Shared/Vendor/X\nS: \\* METADATA \"\" \\(/shared/vendor/x/a \"one\"\\)\nS: c OK .*\n"
	 "C: d GETMETADATA (DEPTH infinity MAXSIZE 5) \"\" (/shared/vendor/x)\nS: \\* METADATA \"\" \\(/shared/vendor/x/a \"one\"\\)\n"
	 "S: d OK \\[METADATA LONGENTRIES 7\\] .*\n"
	 "C: e GETMETADATA INBOX /shared/comment\nS: \\* METADATA INBOX \\(/shared/comment NIL\\)\nS: e OK .*\n"
	 "C: f SETMETADATA \"\" (/shared/comment NIL)\nS: f NO \\[NOPERM\\] .*\n", TRUE},
	{"ID answers who it is, and takes no more than 30 pairs (RFC 2971)",
	 "C: a ID NIL\nS: \\* ID \\(\"name\" \"outpost\" \"version\" \".*\"\\)\nS: a OK .*\n"
	 "C: b ID (\"name\" \"x\")\nS: \\* ID .*\nS: b OK .*\nC: c ID x\nS: c BAD .*"},
	{"LIST tells folders by pattern, with children and roles (RFC 9051 6.3.9, RFC 6154)",
	 "C: a LIST \"\" \"\"\nS: \\* LIST \\(\\\\Noselect\\) \"/\" \"\"\nS: a OK .*\n"
	 "C: b LIST \"\" *\nS: \\* LIST \\(\\\\HasNoChildren\\) \"/\" INBOX\nS: \\* LIST \\(\\\\HasChildren\\) \"/\" Archive\n"
	 "S: \\* LIST \\(\\\\HasNoChildren\\) \"/\" Archive/Old\nS: \\* LIST \\(\\\\HasNoChildren \\\\Sent\\) \"/\" Sent\nS: b OK .*\n"
	 "C: c LIST \"\" %\nS: .* INBOX\nS: .* Archive\nS: .* Sent\nS: c OK .*\n"
	 "C: d LIST Archive/ %\nS: .* Archive/Old\nS: d OK .*\n"
	 "C: e LIST \"\" inbox\nS: .* INBOX\nS: e OK .*\n"
	 "C: f LIST \"\" (A*d S*) RETURN (SPECIAL-USE STATUS (MESSAGES))\nS: \\* LIST \\(\\\\HasNoChildren\\) \"/\" Archive/Old\n"
	 "S: \\* STATUS Archive/Old \\(MESSAGES 1\\)\nS: \\* LIST \\(\\\\HasNoChildren \\\\Sent\\) \"/\" Sent\nS: \\* STATUS Sent \\(MESSAGES 0\\)\nS: f OK .*\n"
	 "C: g LIST (SPECIAL-USE) \"\" *\nS: \\* LIST \\(\\\\HasNoChildren \\\\Sent\\) \"/\" Sent\nS: g OK .*\n"
	 "C: h LIST (RECURSIVEMATCH) \"\" *\nS: h BAD .*\nC: i LIST (NEW) \"\" *\nS: i BAD .*\nC: j LIST \"\"\nS: j BAD .*\n"
	 "C: k LIST \"\" * RETURN (X)\nS: k BAD .*", TRUE},
	{"a pattern costs its length, whatever it is (CVE-2026-33607), and that is limited",
	 "C: a LIST \"\" " STARS STARS STARS STARS "x\nS: a OK .*\nC: b LIST \"\" (" STARS STARS STARS STARS STARS STARS STARS STARS STARS STARS STARS STARS STARS ")\nS: b BAD .*", TRUE},
	{"a log-on is refused what would cost much (CVE-2026-27857, CVE-2026-42006)",
	 "C: a ((((((((x\nS: a BAD .*\nC: b NOOP ((((((((x\nS: b BAD \\[TOOBIG\\] .*\nC: c LOGIN {5000}\nS: c BAD \\[TOOBIG\\] .*\nC: d LOGIN {5+}\\nalice {4+}\\nabcd\nS: d NO .*\n"
	 "C: e APPEND INBOX {3}\nS: e BAD .*"},
	{"subscriptions (RFC 9051 6.3.7, RFC 3501 6.3.9, RFC 5258)",
	 "C: a UNSUBSCRIBE Archive\nS: a OK .*\nC: b LSUB \"\" *\nS: .* INBOX\nS: .* Archive/Old\nS: .* Sent\nS: b OK .*\n"
	 "C: c LSUB \"\" %\nS: .* INBOX\nS: \\* LSUB \\(\\\\Noselect\\) \"/\" Archive\nS: .* Sent\nS: c OK .*\n"
	 "C: d LIST (SUBSCRIBED RECURSIVEMATCH) \"\" A%\nS: \\* LIST \\(\\\\HasChildren\\) \"/\" Archive \\(\"CHILDINFO\" \\(\"SUBSCRIBED\"\\)\\)\nS: d OK .*\n"
	 "C: e SUBSCRIBE Archive\nS: e OK .*\nC: f LIST (SUBSCRIBED) \"\" A%\nS: \\* LIST \\(\\\\HasChildren \\\\Subscribed\\) \"/\" Archive\nS: f OK .*\n"
	 "C: g SUBSCRIBE nowhere\nS: g NO \\[NONEXISTENT\\] .*", TRUE},
	{"NAMESPACE and STATUS (RFC 2342, RFC 9051 6.3.11, RFC 8438, RFC 8474)",
	 "C: a NAMESPACE\nS: \\* NAMESPACE \\(\\(\"\" \"/\"\\)\\) NIL NIL\nS: a OK .*\n"
	 "C: b STATUS INBOX (MESSAGES UIDNEXT UNSEEN DELETED SIZE RECENT)\nS: \\* STATUS INBOX \\(MESSAGES 3 UIDNEXT 4 UNSEEN 1 DELETED 0 SIZE [0-9]+ RECENT 0\\)\nS: b OK .*\n"
	 "C: c STATUS inbox (UIDVALIDITY HIGHESTMODSEQ MAILBOXID)\nS: \\* STATUS INBOX \\(UIDVALIDITY [0-9]+ HIGHESTMODSEQ [0-9]+ MAILBOXID \\([0-9a-f]{32}\\)\\)\nS: c OK .*\n"
	 "C: d STATUS nowhere (MESSAGES)\nS: d NO \\[NONEXISTENT\\] .*\nC: e STATUS INBOX\nS: e BAD .*\nC: f STATUS INBOX (X)\nS: f BAD .*", TRUE},
	{"QUOTA tells limits and what there is, once there are some (RFC 9208 4.1, 4.2)",
	 "C: a CAPABILITY\nS: \\* CAPABILITY .* QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE .*\nS: a OK .*\n"
	 "C: b GETQUOTAROOT inbox\nS: \\* QUOTAROOT INBOX\nS: b OK .*\nC: c GETQUOTA mailbox\nS: c NO \\[NONEXISTENT\\] .*\n"
	 "X: quota 5000 0\nC: d GETQUOTAROOT \"Sent\"\nS: \\* QUOTAROOT Sent mailbox\nS: \\* QUOTA mailbox \\(STORAGE 1 5\\)\nS: d OK .*\n"
	 "X: quota 5000 10\nC: e GETQUOTA mailbox\nS: \\* QUOTA mailbox \\(STORAGE 1 5 MESSAGE 4 10\\)\nS: e OK .*\n"
	 "C: f GETQUOTAROOT nowhere/yet\nS: \\* QUOTAROOT nowhere/yet mailbox\nS: \\* QUOTA .*\nS: f OK .*\n"
	 "C: g GETQUOTA \"\"\nS: g NO \\[NONEXISTENT\\] .*\nC: h GETQUOTA\nS: h BAD .*\nC: i GETQUOTA a b\nS: i BAD .*\nC: j GETQUOTAROOT (a)\nS: j BAD .*\n"
	 "C: k SETQUOTA mailbox (STORAGE 500)\nS: k NO \\[NOPERM\\] .*\nC: l GETQUOTAROOT\nS: l BAD .*", TRUE},
	{"rights are the owner's, all that a folder lets have, and can't be given to others (RFC 4314 2.1, 3, 4)",
	 "C: a CAPABILITY\nS: \\* CAPABILITY .* ACL RIGHTS=texk LIST-MYRIGHTS .*\nS: a OK .*\n"
	 "C: b MYRIGHTS inbox\nS: \\* MYRIGHTS INBOX lrswipktecda\nS: b OK .*\nC: c MYRIGHTS \"Archive/Old\"\nS: \\* MYRIGHTS Archive/Old lrswipkxtecda\nS: c OK .*\n"
	 "C: d GETACL Sent\nS: \\* ACL Sent alice@example.org lrswipkxtecda\nS: d OK .*\n"
	 "C: e LISTRIGHTS Sent Alice@example.org\nS: \\* LISTRIGHTS Sent Alice@example.org lrswipkxtecda\nS: e OK .*\n"
	 "C: f LISTRIGHTS Sent \"some body\"\nS: \\* LISTRIGHTS Sent \"some body\" \"\"\nS: f OK .*\nC: g LISTRIGHTS Sent anyone\nS: \\* LISTRIGHTS Sent anyone \"\"\nS: g OK .*\n"
	 "C: h SETACL Sent bob lr\nS: h NO \\[CANNOT\\] folders can't be shared here: only their owner has rights\n"
	 "C: i SETACL Sent alice@example.org -a\nS: i NO \\[CANNOT\\] .*\nC: j SETACL Sent alice@example.org lr\nS: j NO \\[CANNOT\\] .*\n"
	 "C: k SETACL Sent alice@example.org +lr\nS: k OK .*\nC: l SETACL Sent alice@example.org lrswipkxtecda\nS: l OK .*\n"
	 "C: m SETACL Sent bob z\nS: m BAD an unknown right.*\nC: n SETACL Sent bob\nS: n BAD .*\nC: o SETACL Sent bob (l)\nS: o BAD .*\n"
	 "C: p DELETEACL Sent bob\nS: p OK .*\nC: q DELETEACL Sent alice@example.org\nS: q NO \\[CANNOT\\] .*\nC: r DELETEACL Sent\nS: r BAD .*\n"
	 "C: s MYRIGHTS nowhere\nS: s NO \\[NONEXISTENT\\] .*\nC: t GETACL nowhere\nS: t NO \\[NONEXISTENT\\] .*\nC: u MYRIGHTS\nS: u BAD .*\nC: v GETACL a b\nS: v BAD .*\n"
	 "C: w LISTRIGHTS INBOX\nS: w BAD .*\nC: x SETACL nowhere bob l\nS: x NO \\[NONEXISTENT\\] .*\nC: y SETACL Sent bob \"l\\0\"\nS: y BAD .*", TRUE},
	{"nobody asks for rights before the log-on (RFC 4314 3)", "C: a MYRIGHTS INBOX\nS: a BAD log on first\nC: b GETACL INBOX\nS: b BAD log on first\nC: c SETACL INBOX a l\nS: c BAD log on first"},
	{"LIST tells rights where it is asked to (RFC 8440 3)",
	 "C: a LIST \"\" (INBOX Archive) RETURN (MYRIGHTS STATUS (MESSAGES))\nS: \\* LIST .* INBOX\nS: \\* MYRIGHTS INBOX lrswipktecda\nS: \\* STATUS INBOX .*\n"
	 "S: \\* LIST .* Archive\nS: \\* MYRIGHTS Archive lrswipkxtecda\nS: \\* STATUS Archive .*\nS: a OK .*\nC: b LIST (MYRIGHTS) \"\" *\nS: b BAD .*", TRUE},
	{"UNAUTHENTICATE leaves nothing of who was logged on (RFC 8437 3, 4.1)",
	 "C: a UNAUTHENTICATE\nS: a BAD log on first\nC: b LOGIN alice \"wonder land\\\"\"\nS: b OK \\[CAPABILITY .* UNAUTHENTICATE .*\nC: c ENABLE QRESYNC IMAP4rev2\nS: .*\nS: c OK .*\n"
	 "C: d UNAUTHENTICATE now\nS: d BAD .*\n" SELECTED_2 "C: e SEARCH RETURN (SAVE) ALL\nS: e OK .*\nC: f NOTIFY SET (personal (MailboxName))\nS: f OK .*\n"
	 "X: remove 2\nC: g UNAUTHENTICATE\nS: g OK \\[CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL\\+ SASL-IR ID ENABLE AUTH=PLAIN\\] logged off\n"
	 "X: add\nX: wake\nC: h NOOP\nS: h OK .*\nC: i FETCH 1 FLAGS\nS: i BAD log on first\nC: j SELECT INBOX\nS: j BAD log on first\nC: k ((((((((x\nS: k BAD .*\n"
	 "C: l LOGIN alice no\nS: l NO .*\nC: m LOGIN alice \"wonder land\\\"\"\nS: m OK .*\nC: n FETCH 1 FLAGS\nS: n BAD select a folder first\n"
	 "C: o SELECT INBOX (QRESYNC (1 1))\nS: o BAD .*\nC: p SELECT INBOX\nS: \\* 3 EXISTS\nS: \\* 0 RECENT\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: p OK .*\n"
	 "C: q SEARCH $\nS: \\* SEARCH\nS: q OK .*\nC: r UNAUTHENTICATE\\ns LOGIN alice \"wonder land\\\"\"\nS: r OK .*\nS: s OK .*\n"
	 "C: t COMPRESS DEFLATE\nS: t OK .*\nD: \nC: u UNAUTHENTICATE\nS: u BAD logging off is not offered here\nC: v CAPABILITY\nS: \\* CAPABILITY (?!.*UNAUTH).*\nS: v OK .*"},
	{"CATENATE makes a message of texts and of parts of others (RFC 4469 3)",
	 "C: a APPEND Archive (\\Seen) \"01-Jan-2020 00:00:00 +0000\" CATENATE (TEXT {14+}\\nSubject: new\\n URL \"/INBOX/;UID=1/;SECTION=2.HEADER\" TEXT {2}\nS: \\+ go on\n"
	 "C: \\n URL /Archive/Old/;UID=1/;section=TEXT)\nS: a OK \\[APPENDUID [0-9]+ 1\\] .*\n"
	 "C: b EXAMINE Archive\nS: \\* 1 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: b OK .*\n"
	 "C: c FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])\nS: \\* 1 FETCH \\(FLAGS \\(\\\\Seen\\) INTERNALDATE \" 1-Jan-2020 00:00:00 \\+0000\" BODY\\[\\] \\{44\\}\n"
	 "S: Subject: new\nS: Subject: within\nS: \nS: \nS: old one\nS: \\)\nS: c OK .*\n"
	 "C: d APPEND Archive CATENATE (URL \"/Archive%2FOld/;uid=1\")\nS: \\* 2 EXISTS\nS: d OK .*\n"
	 "C: e APPEND Archive CATENATE (URL \"/INBOX/;UID=2/;PARTIAL=9.6\") CATENATE (URL \"/INBOX/;UID=2/;SECTION=HEADER.FIELDS%20(From)/;PARTIAL=6\")\nS: \\* 4 EXISTS\nS: e OK \\[APPENDUID [0-9]+ 3:4\\] .*\n"
	 "C: f FETCH 3:4 BODY.PEEK[]\nS: .* \\{6\\}\nS: second\\)\nS: .* \\{19\\}\nS: bob@example.org\nS: \nS: \\)\nS: f OK .*", TRUE},
	{"what CATENATE can't find or take (RFC 4469 3, 4)",
	 "C: a APPEND Archive CATENATE (URL \"/INBOX/;UID=99\")\nS: a NO \\[BADURL /INBOX/;UID=99\\] .*\nC: b APPEND Archive CATENATE (URL \"/no where/;UID=1]\")\nS: b NO \\[BADURL /no\\?where/;UID=1\\?\\] .*\n"
	 "C: c APPEND Archive CATENATE (URL \"imap://elsewhere/INBOX/;UID=1\")\nS: c NO \\[BADURL .*\nC: d APPEND Archive CATENATE (URL \"/INBOX;UIDVALIDITY=1/;UID=1\")\nS: d NO \\[BADURL .*\\] the folder has another UIDVALIDITY\n"
	 "C: e APPEND Archive CATENATE (URL \"/INBOX/;UID=1/;SECTION=7\")\nS: e NO \\[BADURL .*\\] the message has no such part\nC: f APPEND Archive CATENATE (URL \"/INBOX/;UID=1/;SECTION=1]%20X\")\nS: f NO \\[BADURL .*\n"
	 "C: g APPEND Archive CATENATE (URL \"/INBOX/;UID=0\")\nS: g NO \\[BADURL .*\nC: h APPEND Archive CATENATE (URL \"/INBOX/;SECTION=1/;UID=1\")\nS: h NO \\[BADURL .*\n"
	 "C: i APPEND Archive CATENATE (URL \"/INBOX\")\nS: i NO \\[BADURL .*\nC: j APPEND Archive CATENATE (URL \"/INBOX/;UID=1/;PARTIAL=x\")\nS: j NO \\[BADURL .*\n"
	 "C: k APPEND Archive CATENATE ()\nS: k BAD .*\nC: l APPEND Archive CATENATE (URL)\nS: l BAD .*\nC: m APPEND Archive CATENATE (TEXT \"x\")\nS: m BAD .*\nC: n APPEND Archive CATENATE\nS: n BAD .*\n"
	 "C: o APPEND Archive CATENATE (URL \"/INBOX/;UID=2/;PARTIAL=500.1\")\nS: o BAD the message is empty\nC: p APPEND nowhere CATENATE (URL \"/INBOX/;UID=1\")\nS: p NO \\[TRYCREATE\\] .*\n"
	 "C: q APPEND Archive CATENATE (NIL \"/INBOX/;UID=1\")\nS: q BAD .*\nC: r STATUS Archive (MESSAGES)\nS: .* \\(MESSAGES 0\\)\nS: r OK .*\n"
	 "X: quota 500 0\nC: s APPEND Archive CATENATE (URL \"/INBOX/;UID=1\")\nS: s NO \\[OVERQUOTA\\] .*", TRUE},
	{"METADATA is kept with a folder or the mailbox (RFC 5464 3, 4.2, 4.3)",
	 "C: a GETMETADATA INBOX /private/comment\nS: \\* METADATA INBOX \\(/private/comment NIL\\)\nS: a OK .*\n"
	 "C: b SETMETADATA INBOX (/private/Comment \"mine\" /shared/comment {6+}\\nall of)\nS: b OK .*\n"
	 "C: c GETMETADATA inbox (/PRIVATE/comment /shared/comment /private/x)\nS: \\* METADATA INBOX \\(/private/comment \"mine\" /shared/comment \"all of\" /private/x NIL\\)\nS: c OK .*\n"
	 "C: d SETMETADATA \"\" (/private/vendor/x/y ~{3+}\\na\"b /private/vendor/x {0+}\\n)\nS: d OK .*\n"
	 "C: e GETMETADATA (DEPTH infinity) \"\" /private\nS: \\* METADATA \"\" \\(/private/vendor/x \"\" /private/vendor/x/y \".*\"\\)\nS: e OK .*\n"
	 "C: f GETMETADATA (DEPTH 1) \"\" /private/vendor\nS: \\* METADATA \"\" \\(/private/vendor/x \"\"\\)\nS: f OK .*\n"
	 "C: g GETMETADATA (DEPTH 1) \"\" (/private)\nS: g OK GETMETADATA completed\n"
	 "C: h GETMETADATA (MAXSIZE 4 DEPTH 0) INBOX (/private/comment /shared/comment)\nS: \\* METADATA INBOX \\(/private/comment \"mine\"\\)\nS: h OK \\[METADATA LONGENTRIES 6\\] .*\n"
	 "C: i SETMETADATA INBOX (/private/comment NIL)\nS: i OK .*\nC: j GETMETADATA INBOX /private/comment\nS: \\* METADATA INBOX \\(/private/comment NIL\\)\nS: j OK .*\n"
	 "C: k RENAME Archive Attic\nS: k OK .*\nC: l SETMETADATA Attic (/private/color blue)\nS: l BAD .*\nC: m SETMETADATA Attic (/private/color \"blue\")\nS: m OK .*\n"
	 "C: n RENAME Attic Archive\nS: n OK .*\nC: o GETMETADATA Archive /private/color\nS: .* \\(/private/color \"blue\"\\)\nS: o OK .*", TRUE},
	{"METADATA that can't be (RFC 5464 4.2, 4.3)",
	 "C: a GETMETADATA nowhere /private/x\nS: a NO \\[NONEXISTENT\\] .*\nC: b GETMETADATA INBOX\nS: b BAD .*\nC: c GETMETADATA INBOX ()\nS: c BAD .*\n"
	 "C: d GETMETADATA INBOX private/x\nS: d BAD .*\nC: e GETMETADATA INBOX /privately/x\nS: e BAD .*\nC: f GETMETADATA INBOX \"/private/*\"\nS: f BAD .*\n"
	 "C: g GETMETADATA INBOX /private//x\nS: g BAD .*\nC: h GETMETADATA INBOX /private/x/\nS: h BAD .*\nC: i GETMETADATA (DEPTH 2) INBOX /private\nS: i BAD .*\n"
	 "C: j GETMETADATA (MAXSIZE x) INBOX /private\nS: j BAD .*\nC: k SETMETADATA INBOX /private/x \"y\"\nS: k BAD .*\nC: l SETMETADATA INBOX (/private/x)\nS: l BAD .*\n"
	 "C: m SETMETADATA INBOX (/private/x (y))\nS: m BAD .*\nC: n SETMETADATA \"\" (/shared/admin \"mailto:me\")\nS: n NO \\[NOPERM\\] .*\n"
	 "C: o SETMETADATA INBOX (/private/a \"1\" /private/b/ \"2\")\nS: o BAD .*\nC: p GETMETADATA INBOX /private/a\nS: .* \\(/private/a NIL\\)\nS: p OK .*\n"
	 "C: q SETMETADATA nowhere (/private/x \"y\")\nS: q NO \\[NONEXISTENT\\] .*\nC: r GETMETADATA INBOX /private/x extra\nS: r BAD .*\nC: s SETMETADATA INBOX ()\nS: s BAD .*", TRUE},
	{"METADATA tells and sets what a folder is for (RFC 6154 4)",
	 "C: a GETMETADATA Sent /private/specialuse\nS: \\* METADATA Sent \\(/private/specialuse \"\\\\\\\\Sent\"\\)\nS: a OK .*\n"
	 "C: b SETMETADATA Archive (/private/specialuse \"\\\\Archive\")\nS: b OK .*\nC: c LIST \"\" Archive RETURN (SPECIAL-USE)\nS: \\* LIST \\(\\\\HasChildren \\\\Archive\\) .*\nS: c OK .*\n"
	 "C: d SETMETADATA Archive (/private/specialuse \"\\\\Sent\")\nS: d NO \\[USEATTR\\] another folder is used for that\n"
	 "C: e SETMETADATA Archive (/private/specialuse \"\\\\Nonsense\")\nS: e NO \\[USEATTR\\] .*\nC: f SETMETADATA \"\" (/private/specialuse \"\\\\Trash\")\nS: f NO \\[USEATTR\\] .*\n"
	 "C: g SETMETADATA Archive (/private/specialuse NIL)\nS: g OK .*\nC: h GETMETADATA (DEPTH infinity) Archive /private\nS: h OK .*", TRUE},
	{"nobody asks for metadata before the log-on", "C: a GETMETADATA INBOX /private/x\nS: a BAD log on first\nC: b SETMETADATA INBOX (/private/x \"y\")\nS: b BAD log on first"},
	{"nobody asks for quotas before the log-on (RFC 9208 4.1)", "C: a GETQUOTA mailbox\nS: a BAD log on first\nC: b GETQUOTAROOT INBOX\nS: b BAD log on first\nC: c SETQUOTA mailbox (STORAGE 1)\nS: c BAD log on first"},
	{"what needs a server around the engine is not there without it",
	 "C: a CAPABILITY\nS: \\* CAPABILITY (?!.*(QUOTA|COMPRESS|ACL|RIGHTS|UNAUTH)).*\nS: a OK .*\nC: b GETQUOTAROOT INBOX\nS: b BAD quotas are not offered here\n"
	 "C: c SETQUOTA mailbox (STORAGE 1)\nS: c BAD .*\nC: d GETQUOTA mailbox\nS: d BAD .*\nC: e COMPRESS DEFLATE\nS: e BAD compression is not offered here\n"
	 "C: f MYRIGHTS INBOX\nS: f BAD access control lists are not offered here\nC: g GETACL INBOX\nS: g BAD .*\nC: h LISTRIGHTS INBOX x\nS: h BAD .*\n"
	 "C: i SETACL INBOX x l\nS: i BAD .*\nC: j DELETEACL INBOX x\nS: j BAD .*\nC: k LIST \"\" * RETURN (MYRIGHTS)\nS: k BAD .*\nC: l UNAUTHENTICATE\nS: l BAD logging off is not offered here", .log_on = TRUE, .bare = TRUE},
	{"what there is no room for is not stored, and not even sent where the client waits (RFC 9208 4.3.1, RFC 9051 6.3.12)",
	 "X: quota 1000 0\nC: a APPEND Archive {2000}\nS: a NO \\[OVERQUOTA\\] .*\nC: b APPEND Archive {30+}\\nSubject: x\\n\\n1234567890123456\nS: b OK \\[APPENDUID .*\n"
	 "C: c APPEND Archive {600}\nS: c NO \\[OVERQUOTA\\] .*\nC: d APPEND Archive {30+}\\nSubject: x\\n\\n1234567890123456 {900}\nS: d NO \\[OVERQUOTA\\] .*\n"
	 "C: e STATUS Archive (MESSAGES SIZE)\nS: \\* STATUS Archive \\(MESSAGES 1 SIZE 30\\)\nS: e OK .*\n"
	 "X: quota 0 5\nC: f APPEND Archive {3+}\\n1\\n\nS: f NO \\[OVERQUOTA\\] there is no room for it: the mailbox may hold 5 messages; remove some first\n"
	 "X: quota 0 6\nC: g APPEND Archive {3+}\\n1\\n\nS: g OK .*\nC: h STATUS Archive (MESSAGES)\nS: \\* STATUS Archive \\(MESSAGES 2\\)\nS: h OK .*", TRUE},
	{"folders are made, renamed and removed (RFC 9051 6.3.4 to 6.3.6, RFC 6154 3, RFC 8474 4.1)",
	 "C: a CREATE a/b/\nS: a OK \\[MAILBOXID \\([0-9a-f]{32}\\)\\] .*\nC: b CREATE a/b\nS: b NO \\[ALREADYEXISTS\\] .*\n"
	 "C: c CREATE inbox\nS: c NO \\[ALREADYEXISTS\\] .*\nC: d CREATE a//b\nS: d NO \\[CANNOT\\] .*\nC: e DELETE a\nS: e NO \\[HASCHILDREN\\] .*\n"
	 "C: f RENAME a/b x/y/z\nS: f OK .*\nC: g LIST \"\" x*\nS: .* x\nS: .* x/y\nS: .* x/y/z\nS: g OK .*\n"
	 "C: h DELETE INBOX\nS: h NO \\[CANNOT\\] .*\nC: i DELETE nowhere\nS: i NO \\[NONEXISTENT\\] .*\nC: j RENAME nowhere b\nS: j NO \\[NONEXISTENT\\] .*\n"
	 "C: k RENAME x INBOX\nS: k NO \\[ALREADYEXISTS\\] .*\nC: l CREATE bin (USE (\\Trash))\nS: l OK .*\n"
	 "C: m CREATE bin2 (USE (\\Trash))\nS: m NO \\[USEATTR\\] .*\nC: n LIST \"\" bin\nS: \\* LIST \\(\\\\HasNoChildren \\\\Trash\\) \"/\" bin\nS: n OK .*\n"
	 "C: o CREATE Pl&AOQ-ne\nS: o OK .*\nC: p ENABLE IMAP4rev2\nS: \\* ENABLED IMAP4rev2\nS: p OK .*\nC: q LIST \"\" Pl%\nS: .* \"Pl\303\244ne\"\nS: q OK .*", TRUE},
	{"renaming INBOX moves its messages (RFC 9051 6.3.6)",
	 "C: a RENAME INBOX before\nS: a OK .*\nC: b STATUS before (MESSAGES)\nS: \\* STATUS before \\(MESSAGES 3\\)\nS: b OK .*\n"
	 "C: c STATUS INBOX (MESSAGES UIDNEXT)\nS: \\* STATUS INBOX \\(MESSAGES 0 UIDNEXT 4\\)\nS: c OK .*", TRUE},
	{"SELECT tells what there is, EXAMINE changes nothing (RFC 9051 6.3.2, 6.3.3, 6.4.1)",
	 "C: a SELECT INBOX\nS: \\* 3 EXISTS\nS: \\* 0 RECENT\nS: \\* FLAGS \\(\\\\Answered \\\\Flagged \\\\Deleted \\\\Seen \\\\Draft foo\\)\n"
	 "S: \\* OK \\[PERMANENTFLAGS \\(.* foo \\\\\\*\\)\\] .*\nS: \\* OK \\[UIDVALIDITY [0-9]+\\] .*\nS: \\* OK \\[UIDNEXT 4\\] .*\n"
	 "S: \\* OK \\[HIGHESTMODSEQ [0-9]+\\] .*\nS: \\* OK \\[MAILBOXID \\([0-9a-f]{32}\\)\\] .*\nS: a OK \\[READ-WRITE\\] .*\n"
	 "C: b EXAMINE Archive\nS: \\* OK \\[CLOSED\\] .*\nS: \\* 0 EXISTS\nS: \\* 0 RECENT\nS: \\* FLAGS .*\nS: \\* OK \\[PERMANENTFLAGS \\(\\)\\] .*\n"
	 "S: \\* OK \\[UIDVALIDITY .*\nS: \\* OK \\[UIDNEXT 1\\] .*\nS: \\* OK \\[HIGHESTMODSEQ .*\nS: \\* OK \\[MAILBOXID .*\nS: b OK \\[READ-ONLY\\] .*\n"
	 "C: c SELECT nowhere\nS: \\* OK \\[CLOSED\\] .*\nS: c NO \\[NONEXISTENT\\] .*\nC: d CHECK\nS: d BAD select a folder first\n"
	 "C: e SELECT\nS: e BAD .*\nC: f SELECT INBOX (X)\nS: f BAD .*", TRUE},
};

#define SELECTED "C: s SELECT INBOX\nS: \\* 3 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: s OK .*\n"

static const Conversation messages[] = {
	{"FETCH of what is known of a message (RFC 9051 6.4.5, RFC 8474 5)",
	 SELECTED "C: a FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE)\n"
	 "S: \\* 1 FETCH \\(UID 1 FLAGS \\(\\\\Seen\\) INTERNALDATE \" 3-Mar-2026 04:30:00 \\+0000\" RFC822.SIZE [0-9]+\\)\nS: a OK .*\n"
	 "C: b UID FETCH 2:* FLAGS\nS: \\* 2 FETCH \\(UID 2 FLAGS \\(\\\\Seen \\\\Flagged foo\\)\\)\nS: \\* 3 FETCH \\(UID 3 FLAGS \\(\\)\\)\nS: b OK UID FETCH completed\n"
	 "C: c FETCH 3 ENVELOPE\nS: \\* 3 FETCH \\(ENVELOPE \\(NIL \"=\\?utf-8\\?q\\?M=C3=BCller\\?=\" \\(\\(\"Carl\" NIL \"carl\" \"example.org\"\\)\\) .*\\)\\)\nS: c OK .*\n"
	 "C: d FETCH 2 FAST\nS: \\* 2 FETCH \\(FLAGS .* INTERNALDATE .* RFC822.SIZE [0-9]+\\)\nS: d OK .*\n"
	 "C: e FETCH 2 (EMAILID THREADID)\nS: \\* 2 FETCH \\(EMAILID \\([0-9a-f]{32}\\) THREADID \\(T[0-9]+\\)\\)\nS: e OK .*\n"
	 "C: f FETCH 4 FLAGS\nS: f BAD the folder has 3 messages\nC: g UID FETCH 99 FLAGS\nS: g OK .*\nC: h UID FETCH 99:* UID\nS: \\* 3 FETCH \\(UID 3\\)\nS: h OK .*\n"
	 "C: i FETCH 1\nS: i BAD .*\nC: j FETCH 1 (NONSENSE)\nS: j BAD .*\nC: k FETCH 0 FLAGS\nS: k BAD .*\nC: l FETCH x FLAGS\nS: l BAD .*", TRUE},
	{"sections are the original octets (RFC 9051 6.4.5.1)",
	 SELECTED "C: a FETCH 1 BODY.PEEK[1]\nS: \\* 1 FETCH \\(BODY\\[1\\] \\{11\\}\nS: hello world\\)\nS: a OK .*\n"
	 "C: b FETCH 1 BODY.PEEK[1.MIME]\nS: \\* 1 FETCH \\(BODY\\[1.MIME\\] \\{28\\}\nS: Content-Type: text/plain\nS: \nS: \\)\nS: b OK .*\n"
	 "C: c FETCH 1 BODY.PEEK[2.HEADER]\nS: \\* 1 FETCH \\(BODY\\[2.HEADER\\] \\{19\\}\nS: Subject: within\nS: \nS: \\)\nS: c OK .*\n"
	 "C: d FETCH 1 BODY.PEEK[2.TEXT]\nS: \\* 1 FETCH \\(BODY\\[2.TEXT\\] \\{5\\}\nS: inner\\)\nS: d OK .*\n"
	 "C: e FETCH 1 BODY.PEEK[2.1]\nS: \\* 1 FETCH \\(BODY\\[2.1\\] \\{5\\}\nS: inner\\)\nS: e OK .*\n"
	 "C: f FETCH 1 BODY.PEEK[HEADER.FIELDS (subject Date)]\nS: \\* 1 FETCH \\(BODY\\[HEADER.FIELDS \\(subject Date\\)\\] \\{60\\}\nS: Subject: two parts\n"
	 "S: Date: Mon, 2 Mar 2026 23:30:00 -0500\nS: \nS: \\)\nS: f OK .*\n"
	 "C: g FETCH 2 BODY.PEEK[HEADER.FIELDS.NOT (Subject)]\nS: \\* 2 FETCH \\(BODY\\[HEADER.FIELDS.NOT \\(Subject\\)\\] \\{25\\}\nS: From: bob@example.org\nS: \nS: \\)\nS: g OK .*\n"
	 "C: h FETCH 2 BODY.PEEK[TEXT]<7.6>\nS: \\* 2 FETCH \\(BODY\\[TEXT\\]<7> \\{6\\}\nS: report\\)\nS: h OK .*\n"
	 "C: i FETCH 2 BODY.PEEK[TEXT]<500.6>\nS: \\* 2 FETCH \\(BODY\\[TEXT\\]<500> \\{0\\}\nS: \\)\nS: i OK .*\n"
	 "C: j FETCH 2 BODY.PEEK[5]\nS: \\* 2 FETCH \\(BODY\\[5\\] NIL\\)\nS: j OK .*\n"
	 "C: k FETCH 2 BODY.PEEK[]\nS: \\* 2 FETCH \\(BODY\\[\\] \\{57\\}\nS: Subject: second\nS: From: bob@example.org\nS: \nS: budget report\nS: \\)\nS: k OK .*\n"
	 "C: l FETCH 1 BODY.PEEK[MIME]\nS: l BAD .*\nC: m FETCH 1 BODY.PEEK[1.]\nS: m BAD .*\nC: n FETCH 1 BODY.PEEK[X]\nS: n BAD .*\n"
	 "C: o FETCH 1 BODY.PEEK[HEADER.FIELDS]\nS: o BAD .*", TRUE},
	{"an empty folder has no messages to name, but 1:* is no mistake",
	 "C: s SELECT Archive\nS: \\* 0 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: s OK .*\nC: a FETCH 1:* FLAGS\nS: a OK .*\nC: b UID FETCH 1:* FLAGS\nS: b OK .*\n"
	 "C: c FETCH 1 FLAGS\nS: c BAD .*\nC: d SEARCH 1:*\nS: \\* SEARCH\nS: d OK .*\nC: e EXPUNGE\nS: e OK .*\nC: f SORT (DATE) UTF-8 ALL\nS: \\* SORT\nS: f OK .*", TRUE},
	{"BODYSTRUCTURE and the old names (RFC 9051 7.5.2, RFC 3501 6.4.5)",
	 SELECTED "C: a FETCH 1 BODY\nS: \\* 1 FETCH \\(BODY \\(\\(\"text\" \"plain\" \\(\"charset\" \"us-ascii\"\\) NIL NIL \"7bit\" 11 0\\)\\(\"message\" \"rfc822\" .* \"mixed\"\\)\\)\nS: a OK .*\n"
	 "C: b FETCH 2 (RFC822.HEADER RFC822.TEXT)\nS: \\* 2 FETCH \\(RFC822.HEADER \\{42\\}\nS: Subject: second\nS: From: bob@example.org\nS: \nS:  RFC822.TEXT \\{15\\}\n"
	 "S: budget report\nS: \\)\nS: b OK .*", TRUE},
	{"reading a body sets \\Seen, peeking and EXAMINE do not (RFC 9051 6.4.5)",
	 SELECTED "C: a FETCH 3 BODY.PEEK[TEXT]<0.5>\nS: .*\nS: third\\)\nS: a OK .*\nC: b FETCH 3 FLAGS\nS: \\* 3 FETCH \\(FLAGS \\(\\)\\)\nS: b OK .*\n"
	 "C: c FETCH 3 BODY[TEXT]<0.5>\nS: .*\nS: third FLAGS \\(\\\\Seen\\)\\)\nS: c OK .*\nC: d FETCH 3 FLAGS\nS: \\* 3 FETCH \\(FLAGS \\(\\\\Seen\\)\\)\nS: d OK .*", TRUE},
	{"a full mailbox takes no copies, but messages can be moved, replaced by smaller ones and removed (RFC 9208 4.3.1, 5.1)",
	 "X: quota 700 0\n" SELECTED "C: a COPY 1:3 Archive\nS: a NO \\[OVERQUOTA\\] there is no room for it: the mailbox may hold 700 bytes; remove something first\n"
	 "C: b STATUS Archive (MESSAGES)\nS: .* \\(MESSAGES 0\\)\nS: b OK .*\nX: quota 1 1\nC: c MOVE 2 Archive\nS: \\* OK \\[COPYUID .*\nS: \\* 2 EXPUNGE\nS: c OK .*\n"
	 "C: d REPLACE 1 Archive {3+}\\n1\\n\nS: \\* OK \\[APPENDUID .*\nS: \\* 1 EXPUNGE\nS: d OK .*\n"
	 "C: e REPLACE 1 Archive {303+}\\n1\\n" THREE_HUNDRED "\nS: e NO \\[OVERQUOTA\\] .*\n"
	 "C: f STATUS INBOX (MESSAGES)\nS: .* \\(MESSAGES 1\\)\nS: f OK .*", TRUE},
	{"STATUS tells what an expunge would free (RFC 9208 4.1.4)",
	 SELECTED "C: a STATUS INBOX (DELETED DELETED-STORAGE)\nS: \\* STATUS INBOX \\(DELETED 0 DELETED-STORAGE 0\\)\nS: a OK .*\n"
	 "C: b STORE 2 +FLAGS.SILENT \\Deleted\nS: b OK .*\nC: c STATUS INBOX (DELETED DELETED-STORAGE)\nS: \\* STATUS INBOX \\(DELETED 1 DELETED-STORAGE 57\\)\nS: c OK .*\n"
	 "C: d STATUS INBOX (SIZE)\nS: \\* STATUS INBOX \\(SIZE 450\\)\nS: d OK .*\nC: e EXPUNGE\nS: \\* 2 EXPUNGE\nS: e OK .*\n"
	 "C: f STATUS INBOX (SIZE)\nS: \\* STATUS INBOX \\(SIZE 393\\)\nS: f OK .*", TRUE},
	{"SAVEDATE is when a message came into its folder, NIL where nobody knows, which searches take for its arrival (RFC 8514 4)",
	 "X: saved 1 1577836800\nX: saved 2 0\n" SELECTED "C: a FETCH 1:2 (SAVEDATE)\nS: \\* 1 FETCH \\(SAVEDATE \" 1-Jan-2020 00:00:00 \\+0000\"\\)\nS: \\* 2 FETCH \\(SAVEDATE NIL\\)\nS: a OK .*\n"
	 "C: b SEARCH SAVEDON 1-Jan-2020\nS: \\* SEARCH 1\nS: b OK .*\nC: c SEARCH SAVEDBEFORE 5-Mar-2026\nS: \\* SEARCH 1 2\nS: c OK .*\n"
	 "C: d SEARCH SAVEDSINCE 4-Mar-2026\nS: \\* SEARCH 2 3\nS: d OK .*\nC: e SEARCH SAVEDATESUPPORTED\nS: \\* SEARCH 1 2 3\nS: e OK .*\n"
	 "C: f SEARCH NOT SAVEDATESUPPORTED\nS: \\* SEARCH\nS: f OK .*\nC: g SEARCH SAVEDON\nS: g BAD .*\nC: h SEARCH SAVEDSINCE yesterday\nS: h BAD .*\n"
	 "C: i COPY 1 Archive\nS: i OK .*\nC: j EXAMINE Archive\nS: \\* OK \\[CLOSED\\] .*\nS: \\* 1 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: j OK .*\n"
	 "C: k SEARCH SAVEDON 1-Jan-2020\nS: \\* SEARCH\nS: k OK .*\nC: l FETCH 1 (INTERNALDATE SAVEDATE)\nS: \\* 1 FETCH \\(INTERNALDATE \" 3-Mar-2026 04:30:00 \\+0000\" SAVEDATE \"..-...-20.. .*\"\\)\nS: l OK .*", TRUE},
	{"a new keyword is told of (RFC 9051 7.3.5)",
	 SELECTED "C: a STORE 1 +FLAGS (\\Answered bar)\nS: \\* 1 FETCH \\(UID 1 FLAGS \\(\\\\Seen \\\\Answered bar\\)\\)\nS: \\* FLAGS .* bar foo\\)\n"
	 "S: \\* OK \\[PERMANENTFLAGS .*\nS: a OK .*", TRUE},
	{"STORE answers with the flags, silently with none (RFC 9051 6.4.6)",
	 SELECTED "C: a STORE 2:3 +FLAGS \\Answered\nS: \\* 2 FETCH \\(UID 2 FLAGS \\(\\\\Seen \\\\Answered \\\\Flagged foo\\)\\)\nS: \\* 3 FETCH \\(UID 3 FLAGS \\(\\\\Answered\\)\\)\nS: a OK .*\n"
	 "C: b UID STORE 2 -FLAGS.SILENT (\\Answered foo)\nS: b OK .*\nC: c FETCH 2 FLAGS\nS: \\* 2 FETCH \\(FLAGS \\(\\\\Seen \\\\Flagged\\)\\)\nS: c OK .*\n"
	 "C: d STORE 2 FLAGS ()\nS: \\* 2 FETCH \\(UID 2 FLAGS \\(\\)\\)\nS: d OK .*\nC: e STORE 2 FLAGS (\\Nonsense)\nS: e BAD .*\nC: f STORE 2 MORE x\nS: f BAD .*\n"
	 "C: g STORE 2 +FLAGS\nS: g BAD .*", TRUE},
	{"EXPUNGE removes what is marked, UID EXPUNGE of that what is named (RFC 9051 6.4.3, 6.4.9)",
	 SELECTED "C: a STORE 1:3 +FLAGS.SILENT \\Deleted\nS: a OK .*\nC: b UID EXPUNGE 2\nS: \\* 2 EXPUNGE\nS: b OK .*\n"
	 "C: c EXPUNGE\nS: \\* 2 EXPUNGE\nS: \\* 1 EXPUNGE\nS: c OK .*\nC: d STATUS INBOX (MESSAGES UIDNEXT)\nS: \\* STATUS INBOX \\(MESSAGES 0 UIDNEXT 4\\)\nS: d OK .*", TRUE},
	{"CLOSE removes and tells nothing, UNSELECT removes nothing (RFC 9051 6.4.1, 6.4.2)",
	 SELECTED "C: a STORE 1 +FLAGS.SILENT \\Deleted\nS: a OK .*\nC: b UNSELECT\nS: b OK .*\nC: c STATUS INBOX (MESSAGES)\nS: .* 3\\)\nS: c OK .*\n"
	 "C: d EXAMINE INBOX\nS: \\* 3 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: d OK .*\nC: e EXPUNGE\nS: e NO \\[NOPERM\\] .*\nC: f STORE 1 FLAGS ()\nS: f NO \\[NOPERM\\] .*\n"
	 "C: g CLOSE\nS: g OK .*\nC: h STATUS INBOX (MESSAGES)\nS: .* 3\\)\nS: h OK .*\n" SELECTED "C: i CLOSE\nS: i OK .*\n"
	 "C: j STATUS INBOX (MESSAGES)\nS: .* 2\\)\nS: j OK .*", TRUE},
	{"COPY and MOVE tell the new UIDs (RFC 9051 6.4.7, 6.4.8)",
	 SELECTED "C: a COPY 1:2 Archive\nS: a OK \\[COPYUID [0-9]+ 1:2 1:2\\] .*\nC: b UID MOVE 3 Archive\nS: \\* OK \\[COPYUID [0-9]+ 3 3\\] moved\nS: \\* 3 EXPUNGE\nS: b OK .*\n"
	 "C: c COPY 1 nowhere\nS: c NO \\[TRYCREATE\\] .*\nC: d MOVE 1 nowhere\nS: d NO \\[TRYCREATE\\] .*\nC: e UID COPY 99 Archive\nS: e OK UID COPY completed\n"
	 "C: f MOVE 1 INBOX\nS: f OK MOVE completed\nC: g STATUS Archive (MESSAGES UNSEEN)\nS: \\* STATUS Archive \\(MESSAGES 3 UNSEEN 1\\)\nS: g OK .*", TRUE},
	{"APPEND, with flags and a date, several at once, refused before it is sent (RFC 9051 6.3.12, RFC 3502, RFC 7888)",
	 "C: a APPEND Archive (\\Seen foo) \" 1-Jan-2020 00:00:00 +0100\" {17}\nS: \\+ go on\nC: Subject: x\\n\\nabc\nS: a OK \\[APPENDUID [0-9]+ 1\\] .*\n"
	 "C: b APPEND Archive {4+}\\nabcd {4+}\\nefgh\nS: b OK \\[APPENDUID [0-9]+ 2:3\\] .*\n"
	 "C: c APPEND nowhere {4}\nS: c NO \\[TRYCREATE\\] .*\nC: d APPEND nowhere {4+}\\nabcd\nS: d NO \\[TRYCREATE\\] .*\n"
	 "C: e APPEND Archive \"yesterday\" {4+}\\nabcd\nS: e BAD this is no date\nC: f APPEND Archive\nS: f BAD .*\nC: g APPEND Archive {0+}\\n\nS: g BAD the message is empty\n"
	 "C: h APPEND Archive {99999999}\nS: h BAD \\[TOOBIG\\] .*\nC: i EXAMINE Archive\nS: \\* 3 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: i OK .*\n"
	 "C: j FETCH 1 (FLAGS INTERNALDATE BODY[])\nS: \\* 1 FETCH \\(FLAGS \\(\\\\Seen foo\\) INTERNALDATE \" 1-Jan-2020 00:00:00 \\+0100\" BODY\\[\\] \\{17\\}\nS: Subject: x\nS: \nS: abc\\)\nS: j OK .*\n", TRUE},
	{"SEARCH (RFC 9051 6.4.4)",
	 SELECTED "C: a SEARCH ALL\nS: \\* SEARCH 1 2 3\nS: a OK .*\nC: b SEARCH UNSEEN\nS: \\* SEARCH 3\nS: b OK .*\nC: c UID SEARCH OR FLAGGED UNSEEN NOT KEYWORD bar\nS: \\* SEARCH 2 3\nS: c OK .*\n"
	 "C: d SEARCH FROM ada\nS: \\* SEARCH 1\nS: d OK .*\nC: e SEARCH CHARSET UTF-8 SUBJECT {7}\nS: \\+ go on\nC: m\303\274LLer\nS: \\* SEARCH 3\nS: e OK .*\n"
	 "C: f SEARCH BODY budget\nS: \\* SEARCH 2\nS: f OK .*\nC: g SEARCH TEXT \"two par\"\nS: \\* SEARCH 1\nS: g OK .*\nC: h SEARCH ON 3-Mar-2026\nS: \\* SEARCH 1\nS: h OK .*\n"
	 "C: i SEARCH SENTON 2-Mar-2026\nS: \\* SEARCH 1\nS: i OK .*\nC: j SEARCH SINCE 4-Mar-2026 BEFORE 5-Mar-2026\nS: \\* SEARCH 2\nS: j OK .*\n"
	 "C: k SEARCH LARGER 100 1:2\nS: \\* SEARCH 1\nS: k OK .*\nC: l SEARCH HEADER Message-ID one@\nS: \\* SEARCH 1\nS: l OK .*\nC: m SEARCH HEADER To \"\"\nS: \\* SEARCH 1\nS: m OK .*\n"
	 "C: n SEARCH (UID 2:* (NOT 3))\nS: \\* SEARCH 2\nS: n OK .*\nC: o SEARCH NEW\nS: \\* SEARCH\nS: o OK .*\nC: p SEARCH\nS: p BAD .*\nC: q SEARCH NONSENSE\nS: q BAD .*\n"
	 "C: r SEARCH CHARSET X ALL\nS: r NO \\[BADCHARSET \\(UTF-8 US-ASCII\\)\\] .*\nC: t SEARCH ON never\nS: t BAD .*\nC: u SEARCH OR ALL\nS: u BAD .*", TRUE},
	{"SORT, with keys that tie, and by the way of ESEARCH (RFC 5256, RFC 5267, RFC 5957)",
	 SELECTED "C: a SORT (SUBJECT) UTF-8 ALL\nS: \\* SORT 3 2 1\nS: a OK .*\nC: b UID SORT (REVERSE DATE) UTF-8 ALL\nS: \\* SORT 3 2 1\nS: b OK .*\n"
	 "C: c SORT (FROM) US-ASCII 1:3\nS: \\* SORT 1 2 3\nS: c OK .*\nC: d SORT (REVERSE SIZE ARRIVAL) UTF-8 SEEN\nS: \\* SORT 1 2\nS: d OK .*\n"
	 "C: e SORT (CC TO REVERSE DISPLAYFROM) UTF-8 ALL\nS: \\* SORT 3 2 1\nS: e OK .*\n"
	 "C: f SORT RETURN (ALL COUNT MIN PARTIAL -1:-2 SAVE) (SUBJECT) UTF-8 ALL\nS: \\* ESEARCH \\(TAG \"f\"\\) MIN 3 COUNT 3 ALL 3,2,1 PARTIAL \\(-1:-2 2,1\\)\nS: f OK .*\n"
	 "C: g SORT () UTF-8 ALL\nS: g BAD .*\nC: h SORT (X) UTF-8 ALL\nS: h BAD .*\nC: i SORT (DATE) X ALL\nS: i NO \\[BADCHARSET .*\nC: j SORT (REVERSE) UTF-8 ALL\nS: j BAD .*\n"
	 "C: k SORT (DATE) UTF-8 DRAFT\nS: \\* SORT\nS: k OK .*\nC: l SORT\nS: l BAD .*", TRUE},
	{"SORT and THREAD know what came, what it ties together, and what went",
	 SELECTED "C: a SORT (SUBJECT) UTF-8 ALL\nS: \\* SORT 3 2 1\nS: a OK .*\n"
	 "C: b APPEND INBOX {53+}\\nMessage-ID: <b@x>\\nIn-Reply-To: <m@x>\\nSubject: B\\n\\n\nS: \\* 4 EXISTS\nS: b OK .*\n"
	 "C: c THREAD REFERENCES UTF-8 ALL\nS: \\* THREAD \\(1\\)\\(2\\)\\(3\\)\\(4\\)\nS: c OK .*\n"
	 "C: d APPEND INBOX {33+}\\nMessage-ID: <a@x>\\nSubject: A\\n\\n\nS: \\* 5 EXISTS\nS: d OK .*\n"
	 "C: e THREAD REFERENCES UTF-8 ALL\nS: \\* THREAD \\(1\\)\\(2\\)\\(3\\)\\(4\\)\\(5\\)\nS: e OK .*\n"
	 "C: f APPEND INBOX {53+}\\nMessage-ID: <m@x>\\nIn-Reply-To: <a@x>\\nSubject: M\\n\\n\nS: \\* 6 EXISTS\nS: f OK .*\n"
	 "C: g THREAD REFERENCES UTF-8 ALL\nS: \\* THREAD \\(1\\)\\(2\\)\\(3\\)\\(5 6 4\\)\nS: g OK .*\nC: h SORT (SUBJECT) UTF-8 ALL\nS: \\* SORT 5 4 6 3 2 1\nS: h OK .*\n"
	 "C: i STORE 6 +FLAGS.SILENT (\\Deleted)\nS: i OK .*\nC: j EXPUNGE\nS: \\* 6 EXPUNGE\nS: j OK .*\n"
	 "C: k THREAD REFERENCES UTF-8 ALL\nS: \\* THREAD \\(1\\)\\(2\\)\\(3\\)\\(4\\)\\(5\\)\nS: k OK .*\nC: l SORT (REVERSE SUBJECT) UTF-8 2:5\nS: \\* SORT 2 3 4 5\nS: l OK .*\n"
	 "C: m SORT (CC SIZE) UTF-8 4:5\nS: \\* SORT 5 4\nS: m OK .*\n", TRUE},
	{"THREAD by references and by subject (RFC 5256)",
	 SELECTED "C: a THREAD REFERENCES UTF-8 ALL\nS: \\* THREAD \\(1\\)\\(2\\)\\(3\\)\nS: a OK .*\nC: b UID THREAD ORDEREDSUBJECT US-ASCII 2:3\nS: \\* THREAD \\(2\\)\\(3\\)\nS: b OK .*\n"
	 "C: c THREAD REFERENCES UTF-8 DRAFT\nS: \\* THREAD\nS: c OK .*\nC: d THREAD REFS UTF-8 ALL\nS: d BAD .*\nC: e THREAD REFERENCES X ALL\nS: e NO \\[BADCHARSET .*\n"
	 "C: f THREAD\nS: f BAD .*\nC: g THREAD REFERENCES\nS: g BAD .*\nC: h THREAD (REFERENCES) UTF-8 ALL\nS: h BAD .*\nC: i THREAD REFERENCES UTF-8\nS: i BAD .*", TRUE},
	{"FETCH PARTIAL tells a part of what there is, PREVIEW the beginning of the text (RFC 9394, RFC 8970)",
	 SELECTED "C: a UID FETCH 1:* FLAGS (PARTIAL -1:-1)\nS: \\* 3 FETCH \\(UID 3 .*\nS: a OK .*\nC: b UID FETCH 2:* (UID) (PARTIAL 1:1)\nS: \\* 2 FETCH \\(UID 2\\)\nS: b OK .*\n"
	 "C: c UID FETCH 1:* UID (PARTIAL 0:1)\nS: c BAD .*\nC: d UID FETCH 1:* UID (PARTIAL 5:9)\nS: d OK .*\n"
	 "C: e FETCH 2 (PREVIEW (LAZY))\nS: \\* 2 FETCH \\(PREVIEW \"budget report ?\"\\)\nS: e OK .*", TRUE},
	{"BINARY undoes the transfer encoding (RFC 3516, RFC 9051 6.4.5)",
	 SELECTED "C: a APPEND INBOX {73+}\\nContent-Type: text/plain\\nContent-Transfer-Encoding: base64\\n\\nYQBiYw==\\n\nS: \\* 4 EXISTS\nS: a OK .*\n"
	 "C: b FETCH 4 BINARY.SIZE[1]\nS: \\* 4 FETCH \\(BINARY.SIZE\\[1\\] 4\\)\nS: b OK .*\n"
	 "C: c FETCH 4 BINARY.PEEK[1]<2.5>\nS: \\* 4 FETCH \\(BINARY\\[1\\]<2> ~?\\{2\\}\nS: bc\\)\nS: c OK .*\nC: d FETCH 1 BINARY.PEEK[1]\nS: \\* 1 FETCH \\(BINARY\\[1\\] \\{11\\}\nS: hello world\\)\nS: d OK .*\n"
	 "C: e FETCH 1 (BINARY.PEEK[7] BINARY.SIZE[7])\nS: \\* 1 FETCH \\(BINARY\\[7\\] NIL BINARY.SIZE\\[7\\] 0\\)\nS: e OK .*\nC: f FETCH 1 BINARY[TEXT]\nS: f BAD .*\n"
	 "C: g APPEND INBOX {57+}\\nContent-Type: text/x\\nContent-Transfer-Encoding: x\\n\\nabc\nS: \\* 5 EXISTS\nS: g OK .*\nC: h FETCH 5 BINARY[1]\nS: h NO \\[UNKNOWN-CTE\\] .*", TRUE},
	{"REPLACE puts a message in another's place (RFC 8508)",
	 SELECTED "C: a REPLACE 2 INBOX (\\Draft) {4+}\\nabcd\nS: \\* OK \\[APPENDUID [0-9]+ 4\\] replaced\nS: \\* 2 EXPUNGE\nS: \\* 3 EXISTS\nS: a OK .*\n"
	 "C: b UID FETCH 4 (FLAGS BODY.PEEK[])\nS: \\* 3 FETCH \\(UID 4 FLAGS \\(\\\\Draft\\) BODY\\[\\] \\{4\\}\nS: abcd\\)\nS: b OK .*\n"
	 "C: c REPLACE 1:2 INBOX {4+}\\nabcd\nS: c BAD .*\nC: d UID REPLACE 1 Archive {4+}\\nefgh\nS: \\* OK \\[APPENDUID [0-9]+ 1\\] replaced\nS: \\* 1 EXPUNGE\nS: d OK .*\n"
	 "C: e UID REPLACE 1 nowhere {4+}\\nefgh\nS: e NO \\[TRYCREATE\\] .*\nC: f UID REPLACE 99 Archive {4+}\\nefgh\nS: f BAD .*\n"
	 "C: g REPLACE 1 Archive {4+}\\nefgh {4+}\\nijkl\nS: g BAD REPLACE takes one message\n"
	 "C: h REPLACE 1 Archive CATENATE (TEXT {3+}\\na\\n TEXT {1+}\\nb URL /INBOX/;UID=3/;SECTION=TEXT)\nS: \\* OK \\[APPENDUID [0-9]+ 2\\] replaced\nS: \\* 1 EXPUNGE\nS: h OK .*\n"
	 "C: i REPLACE 1 Archive CATENATE (URL /INBOX/;UID=99)\nS: i NO \\[BADURL .*", TRUE},
	{"SEARCH RETURN, and what it saves (RFC 4731, RFC 5182, RFC 9394)",
	 SELECTED "C: a SEARCH RETURN (MIN MAX COUNT) ALL\nS: \\* ESEARCH \\(TAG \"a\"\\) MIN 1 MAX 3 COUNT 3\nS: a OK .*\nC: b UID SEARCH RETURN () SEEN\nS: \\* ESEARCH \\(TAG \"b\"\\) UID ALL 1:2\nS: b OK .*\n"
	 "C: c SEARCH RETURN (SAVE) SEEN\nS: c OK .*\nC: d FETCH $ UID\nS: \\* 1 FETCH \\(UID 1\\)\nS: \\* 2 FETCH \\(UID 2\\)\nS: d OK .*\nC: e SEARCH RETURN (COUNT) DRAFT\nS: \\* ESEARCH \\(TAG \"e\"\\) COUNT 0\nS: e OK .*\n"
	 "C: f SEARCH RETURN (PARTIAL -1:-2) ALL\nS: \\* ESEARCH \\(TAG \"f\"\\) PARTIAL \\(-1:-2 2:3\\)\nS: f OK .*\nC: g SEARCH RETURN (X) ALL\nS: g BAD .*", TRUE},
};

static const Conversation others[] = {
	{"what others do is told behind a command that allows it (RFC 9051 7.5.1)",
	 SELECTED "X: add\nC: a NOOP\nS: \\* 4 EXISTS\nS: a OK .*\nX: flag 1 4\nC: b NOOP\nS: \\* 1 FETCH \\(UID 1 FLAGS \\(\\\\Flagged\\)\\)\nS: b OK .*\n"
	 "X: remove 2\nC: c FETCH 3 UID\nS: \\* 3 FETCH \\(UID 3\\)\nS: c OK .*\nC: d FETCH 2 UID\nS: d NO \\[EXPUNGEISSUED\\] .*\nC: e STORE 3 +FLAGS.SILENT \\Seen\nS: e OK .*\n"
	 "C: f UID FETCH 4 UID\nS: \\* 4 FETCH \\(UID 4\\)\nS: \\* 2 EXPUNGE\nS: f OK .*\nC: g FETCH 2 UID\nS: \\* 2 FETCH \\(UID 3\\)\nS: g OK .*", TRUE},
	{"new messages are told while removals have to wait (RFC 9051 7.5.1)",
	 SELECTED "X: remove 1\nX: add\nC: a SEARCH ALL\nS: \\* SEARCH 2 3\nS: \\* 4 EXISTS\nS: a OK .*\nC: b NOOP\nS: \\* 1 EXPUNGE\nS: b OK .*", TRUE},
	{"IDLE tells at once (RFC 9051 6.3.13)",
	 SELECTED "C: a IDLE\nS: \\+ waiting for DONE\nX: add\nX: wake\nS: \\* 4 EXISTS\nX: remove 1\nX: wake\nS: \\* 1 EXPUNGE\nC: DONE\nS: a OK IDLE completed\n"
	 "C: b IDLE\nS: \\+ .*\nC: NOOP\nS: b BAD DONE was expected", TRUE},
	{"one session's changes are the other's news (RFC 9051 7.5)",
	 SELECTED "2: C: s SELECT INBOX\nS: \\* 3 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: s OK .*\n"
	 "1: C: a STORE 1 +FLAGS \\Flagged\nS: \\* 1 FETCH \\(UID 1 FLAGS \\(\\\\Seen \\\\Flagged\\)\\)\nS: a OK .*\n"
	 "2: C: b NOOP\nS: \\* 1 FETCH \\(UID 1 FLAGS \\(\\\\Seen \\\\Flagged\\)\\)\nS: b OK .*\n"
	 "1: C: c MOVE 2 Archive\nS: \\* OK \\[COPYUID .*\nS: \\* 2 EXPUNGE\nS: c OK .*\n2: C: d NOOP\nS: \\* 2 EXPUNGE\nS: d OK .*\n"
	 "1: C: e APPEND INBOX {4+}\\nabcd\nS: \\* 3 EXISTS\nS: e OK .*\n2: C: f NOOP\nS: \\* 3 EXISTS\nS: f OK .*", TRUE},
	{"the selected folder was deleted",
	 "C: s SELECT Archive/Old\nS: \\* 1 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: s OK .*\n"
	 "2: C: a DELETE Archive/Old\nS: a OK .*\n1: C: b NOOP\nS: \\* BYE the selected folder was deleted", TRUE},
	{"NOTIFY tells of other folders while no command is open (RFC 5465)",
	 "C: a NOTIFY SET STATUS (inboxes (MessageNew MessageExpunge FlagChange)) (personal (MailboxName SubscriptionChange))\n"
	 "S: \\* STATUS INBOX \\(MESSAGES 3 UIDNEXT 4 UIDVALIDITY [0-9]+ UNSEEN 1\\)\nS: a OK .*\n"
	 "X: add\nX: wake\nS: \\* STATUS INBOX \\(MESSAGES 4 UIDNEXT 5 UIDVALIDITY [0-9]+ UNSEEN 2\\)\nX: flag 1 4\nX: wake\nS: \\* STATUS INBOX .*\nX: wake\n"
	 "2: C: b CREATE new\nS: b OK .*\nX: wake\n1: S: \\* LIST \\(\\\\Subscribed\\) \"/\" new\nC: c NOOP\nS: c OK .*\n", TRUE},
	{"NOTIFY tells of names and subscriptions, and of the selected folder (RFC 5465 5, 6)",
	 "C: a NOTIFY SET (selected-delayed (MessageNew MessageExpunge FlagChange)) (subtree Archive (MailboxName SubscriptionChange MessageNew MessageExpunge)) (mailboxes (Sent x) (MailboxName))\nS: a OK .*\n"
	 SELECTED "X: add\nX: wake\nS: \\* 4 EXISTS\nX: remove 1\nX: wake\nC: b NOOP\nS: \\* 1 EXPUNGE\nS: b OK .*\n"
	 "C: c CREATE Archive/More\nS: \\* LIST \\(\\\\Subscribed\\) \"/\" Archive/More\nS: c OK .*\nC: d RENAME Archive/More Archive/Less\n"
	 "S: \\* LIST \\(\\\\Subscribed\\) \"/\" Archive/Less \\(\"OLDNAME\" \\(Archive/More\\)\\)\nS: d OK .*\nC: e UNSUBSCRIBE Archive/Less\nS: \\* LIST \\(\\) \"/\" Archive/Less\nS: e OK .*\n"
	 "C: f DELETE Archive/Less\nS: \\* LIST \\(\\\\NonExistent\\) \"/\" Archive/Less\nS: f OK .*\nC: g COPY 1 Archive\nS: \\* STATUS Archive \\(MESSAGES 1 .*\nS: g OK .*\n"
	 "C: h NOTIFY NONE\nS: h OK .*\nC: i CREATE x\nS: i OK .*\nC: j NOTIFY\nS: j BAD .*\nC: k NOTIFY SET (personal (AnnotationChange))\nS: k NO \\[BADEVENT \\(MessageNew .*\n"
	 "C: l NOTIFY SET (personal (MessageNew))\nS: l BAD .*\nC: m NOTIFY SET (nobody (MailboxName))\nS: m BAD .*\nC: n NOTIFY SET (subtree () (MailboxName))\nS: n BAD .*\n"
	 "C: o NOTIFY SET (selected (MessageNew (UID) MessageExpunge))\nS: o NO \\[CANNOT\\] .*\nC: p NOTIFY SET (selected (MessageNew MessageExpunge)) (personal NONE)\nS: p OK .*\nX: remove 2\nX: wake\nS: \\* 1 EXPUNGE", TRUE},
	{"CONDSTORE: numbers, UNCHANGEDSINCE, CHANGEDSINCE (RFC 7162 3.1)",
	 "C: x SELECT INBOX (CONDSTORE)\nS: \\* 3 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: x OK .*\n"
	 "C: a STORE 1 +FLAGS.SILENT \\Draft\nS: \\* 1 FETCH \\(UID 1 MODSEQ \\([0-9]+\\)\\)\nS: a OK .*\n"
	 "C: b STORE 1:3 (UNCHANGEDSINCE 1) +FLAGS \\Draft\nS: b OK \\[MODIFIED 1:3\\] .*\n"
	 "C: c FETCH 1:* (FLAGS) (CHANGEDSINCE 999999)\nS: c OK .*\nC: d SEARCH MODSEQ 1 DRAFT\nS: \\* SEARCH 1 \\(MODSEQ [0-9]+\\)\nS: d OK .*\n"
	 "C: e FETCH 1 FLAGS (X)\nS: e BAD .*\nC: f FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)\nS: f BAD .*", TRUE},
	{"NOTIFY tells of what came into a folder while it was selected, and was not told, when it is left (RFC 5465 3.1, 6)",
	 "C: a NOTIFY SET (personal (MessageNew MessageExpunge))\nS: a OK .*\n" SELECTED "X: add\nX: wake\nC: b UNSELECT\nS: \\* STATUS INBOX \\(MESSAGES 4 UIDNEXT 5 .*\\)\nS: b OK .*\n"
	 "C: c SELECT INBOX\nS: \\* 4 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: c OK .*\nX: add\nX: wake\n"
	 "C: d EXAMINE Archive\nS: \\* OK \\[CLOSED\\] .*\nS: \\* 0 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: \\* STATUS INBOX \\(MESSAGES 5 .*\\)\nS: d OK .*\n"
	 "C: e SELECT INBOX\nS: \\* OK \\[CLOSED\\] .*\nS: \\* 5 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: e OK .*\n"
	 "X: add\nX: wake\nC: f NOOP\nS: \\* 6 EXISTS\nS: f OK .*\nC: g CLOSE\nS: g OK .*\nC: h NOOP\nS: h OK .*\nX: add\nX: wake\nS: \\* STATUS INBOX \\(MESSAGES 7 .*", TRUE},
	{"UIDONLY: no sequence numbers, neither way (RFC 9586 3)",
	 "C: a ENABLE UIDONLY\nS: \\* ENABLED UIDONLY\nS: a OK .*\n" SELECTED "C: b FETCH 1 FLAGS\nS: b BAD \\[UIDREQUIRED\\] .*\nC: c SEARCH ALL\nS: c BAD \\[UIDREQUIRED\\] .*\n"
	 "C: d STORE 1 +FLAGS x\nS: d BAD \\[UIDREQUIRED\\] .*\nC: e COPY 1 Archive\nS: e BAD \\[UIDREQUIRED\\] .*\nC: f MOVE 1 Archive\nS: f BAD \\[UIDREQUIRED\\] .*\n"
	 "C: g SORT (DATE) UTF-8 ALL\nS: g BAD \\[UIDREQUIRED\\] .*\nC: h THREAD REFERENCES UTF-8 ALL\nS: h BAD \\[UIDREQUIRED\\] .*\n"
	 "C: i REPLACE 1 Archive {4}\nS: i BAD \\[UIDREQUIRED\\] .*\nC: j UID SEARCH OR 1 SEEN\nS: j BAD \\[UIDREQUIRED\\] .*\n"
	 "C: k UID FETCH 2:* FLAGS\nS: \\* 2 UIDFETCH \\(FLAGS \\(.*\\)\\)\nS: \\* 3 UIDFETCH \\(FLAGS \\(\\)\\)\nS: k OK .*\n"
	 "C: l UID STORE 3 +FLAGS \\Flagged\nS: \\* 3 UIDFETCH \\(FLAGS \\(\\\\Flagged\\)\\)\nS: l OK .*\nX: remove 1\nX: flag 3 1\nC: m NOOP\nS: \\* VANISHED 1\nS: \\* 3 UIDFETCH \\(FLAGS \\(\\\\Seen\\)\\)\nS: m OK .*\n"
	 "C: n UID STORE 2 +FLAGS.SILENT \\Deleted\nS: n OK .*\nC: o EXPUNGE\nS: \\* VANISHED 2\nS: o OK .*\nX: add\nC: p NOOP\nS: \\* 2 EXISTS\nS: p OK .*\n"
	 "C: q UID SEARCH RETURN (SAVE) ALL\nS: q OK .*\nC: r UID FETCH $ (UID)\nS: \\* 3 UIDFETCH \\(UID 3\\)\nS: \\* 4 UIDFETCH \\(UID 4\\)\nS: r OK .*\nC: s UID SEARCH $\nS: \\* SEARCH 3 4\nS: s OK .*\n"
	 "C: t UID MOVE 3 Archive\nS: \\* OK \\[COPYUID [0-9]+ 3 1\\] moved\nS: \\* VANISHED 3\nS: t OK .*\nC: u ENABLE QRESYNC\nS: .*\nS: \\* ENABLED QRESYNC\nS: u OK .*\n"
	 "C: v UID STORE 4 +FLAGS.SILENT \\Draft\nS: \\* 4 UIDFETCH \\(MODSEQ \\([0-9]+\\)\\)\nS: v OK .*\n"
	 "C: w SELECT INBOX (QRESYNC (1 1 1:3 (1 1)))\nS: w BAD \\[UIDREQUIRED\\] .*", TRUE},
	{"INPROGRESS tells how far a long command is (RFC 9585 4)",
	 "C: s EXAMINE INBOX\nS: \\* 3 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: s OK .*\n"
	 "C: a.1 SEARCH FROM carl\nS: \\* OK \\[INPROGRESS \\(\"a.1\" 1 3\\)\\] still at it\nS: .* 2 3\\)\\] .*\nS: .* 3 3\\)\\] .*\nS: \\* SEARCH 3\nS: a.1 OK .*\n"
	 "C: b SORT (SUBJECT) UTF-8 2:3\nS: \\* OK \\[INPROGRESS \\(\"b\" 3 3\\)\\] .*\nS: \\* SORT 3 2\nS: b OK .*\n"
	 "C: c SEARCH LARGER 1\nS: .*INPROGRESS.*\nS: .*INPROGRESS.*\nS: .*INPROGRESS.*\nS: \\* SEARCH 1 2 3\nS: c OK .*\nC: d SEARCH 1:2\nS: \\* SEARCH 1 2\nS: d OK .*", .log_on = TRUE, .slow = TRUE},
	{"QRESYNC: what was missed is told with the selection (RFC 7162 3.2)",
	 "C: a SELECT INBOX (QRESYNC (1 1))\nS: a BAD .*\nC: b ENABLE QRESYNC\nS: \\* ENABLED QRESYNC\nS: b OK .*\n"
	 "X: remove 1\nC: c SELECT INBOX (QRESYNC (1 1))\nS: \\* 2 EXISTS\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: c OK .*\n"
	 "C: d UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)\nS: \\* VANISHED \\(EARLIER\\) 1\nS: \\* 1 FETCH \\(UID 2 FLAGS \\(.*\\) MODSEQ \\([0-9]+\\)\\)\nS: \\* 2 FETCH \\(UID 3 .*\nS: d OK .*\n"
	 "X: remove 2\nC: e NOOP\nS: \\* VANISHED 2\nS: e OK .*\nC: f STORE 1 +FLAGS.SILENT \\Deleted\nS: \\* 1 FETCH \\(UID 3 MODSEQ .*\nS: f OK .*\n"
	 "C: g EXPUNGE\nS: \\* VANISHED 3\nS: g OK \\[HIGHESTMODSEQ [0-9]+\\] .*", TRUE},
	{"IMAP4rev2: names in UTF-8, ESEARCH in place of SEARCH (RFC 9051 appendix E)",
	 "C: a ENABLE IMAP4rev2 X\nS: \\* ENABLED IMAP4rev2\nS: a OK .*\nC: b CREATE \"Entw\303\274rfe\"\nS: b OK .*\n"
	 "C: c SELECT \"Entw\303\274rfe\"\nS: \\* 0 EXISTS\nS: \\* FLAGS .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: .*\nS: \\* LIST \\(\\) \"/\" \"Entw\303\274rfe\"\nS: c OK .*\n"
	 "C: d SEARCH ALL\nS: \\* ESEARCH \\(TAG \"d\"\\)\nS: d OK .*", TRUE},
};

static void
run_all (const Conversation *c, gsize n)
{
	for (gsize i = 0; i < n; i++)
		conversation_run (&c[i]);
}

static void
test_log_on_and_folders (void **state)
{
	run_all (conversations, G_N_ELEMENTS (conversations));
}

static void
test_messages_of_the_selected_folder (void **state)
{
	run_all (messages, G_N_ELEMENTS (messages));
}

static void
test_changes_of_others_and_numbers_of_changes (void **state)
{
	run_all (others, G_N_ELEMENTS (others));
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (test_log_on_and_folders),
		cmocka_unit_test (test_messages_of_the_selected_folder),
		cmocka_unit_test (test_changes_of_others_and_numbers_of_changes),
	};
	return cmocka_run_group_tests_name ("imapd-session", tests, NULL, NULL);
}
