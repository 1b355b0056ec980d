/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the endpoint share: a call, told as one line of text, against a conversation. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "fake-server.h"
#include "imap-endpoint.h"
#include "imap-private.h"

/* Makes the call and tells what came, or "error CODE". */
typedef char *(*EndpointCall) (Endpoint *e);

typedef struct {
	const char *name; /* a sentence */
	EndpointCall call;
	const char *told;  /* regular expression for the whole of what came; NULL: anything */
	FakeTalk talks[4]; /* connections */
	guint flights;     /* 0: not looked at; else at most */
} EndpointCase;

#define GREETING "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n"
/* Up to the authenticated state, with these capabilities. */
#define LOG_ON(capabilities) {NULL, GREETING}, {"^AUTHENTICATE PLAIN ", "%T OK [CAPABILITY IMAP4rev1 " capabilities "] in\r\n"}
#define OK "%T OK done\r\n"
#define END {NULL, NULL}
#define TALK(...) ((const FakeRow[]) {__VA_ARGS__, END})

/* Parts of conversations. */
#define WE_ARE "^ID \\(\"name\" \"outpost\" \"version\" \"[0-9.]+\"\\)$"
#define FULL "LIST-EXTENDED LIST-STATUS SPECIAL-USE NAMESPACE ENABLE CONDSTORE QRESYNC ESEARCH UIDPLUS MOVE LITERAL+ MULTIAPPEND UNSELECT BINARY"
#define SPACE {"^NAMESPACE$", "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n" OK}
#define SELECT_INBOX(more) {"^SELECT \"INBOX\"", "* 5 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 9] n\r\n" more "%T OK [READ-WRITE] in\r\n"}
#define SUBSCRIBE_EMPTY {"^LSUB", OK}
#define BODY(uid, text, size) "* " #uid " FETCH (UID " #uid " FLAGS (\\Seen a) INTERNALDATE \"17-Jul-2020 02:44:25 -0700\" RFC822.SIZE " #size " BODY[] {" #size "}\r\n" text ")\r\n"
#define EXAMINE_INBOX {"^EXAMINE \"INBOX\"$", "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n%T OK [READ-ONLY] in\r\n"}
#define LIST_TWO {"^LIST \"\" \"\\*\"", "* LIST () \"/\" INBOX\r\n* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n" \
	"* LIST () \"/\" A\r\n* STATUS A (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\r\n" OK}
#define WATCHED "LIST-EXTENDED LIST-STATUS NAMESPACE"
#define EXAMINED "* 1 EXISTS\r\n* OK [UIDVALIDITY 3] v\r\n* OK [UIDNEXT 2] n\r\n%T OK [READ-ONLY] in\r\n"

/* Plays @c and fails the test where it goes another way. */
void case_check (const EndpointCase *c, gboolean trickle);
/* Plays @c's first conversation changed at one row after the other, as it would be by a server that says NO, BAD, BYE, nothing more,
 * or much that nobody asked for. The call has to end; with the last it must tell the same. */
void case_disturb (const EndpointCase *c);
/* Of the disturbances this process plays every @case_shares-th, from the @case_share-th on. All at first. */
extern guint case_share, case_shares;

/* How long a server may be silent here. */
extern int case_silence_ms;
/* An endpoint for @server. */
Endpoint *case_endpoint (const FakeServer *server);
const char *error_name (const GError *error);

char *call_list (Endpoint *e);
char *call_list_who (Endpoint *e);       /* and what the server is */
char *call_list_server (Endpoint *e);    /* and which server it says that it is */
char *call_query_uids (Endpoint *e);     /* of INBOX, never seen */
char *call_query_changes (Endpoint *e);  /* of INBOX: validity 7, since 10 */
char *call_query_plain (Endpoint *e);    /* of INBOX: validity 7, no modseq known */
char *call_query_canaries (Endpoint *e); /* of INBOX and A: the same, with UIDs 1 and 2 as canaries */
char *call_query_three (Endpoint *e);    /* of INBOX, A, B: validity 7, since 10 */
char *call_fetch (Endpoint *e);          /* INBOX, validity 7, UIDs 1:3 */
char *call_evidence (Endpoint *e);       /* INBOX, validity 7, UIDs from 2 */
char *call_evidence_all (Endpoint *e);   /* INBOX, validity 7, size and date of all: the first and the last */
char *call_search (Endpoint *e);         /* INBOX, validity 7, UIDs 1:9: which are \Seen, how many have foo; nothing: not answered */
char *call_append (Endpoint *e);         /* three messages to A */
char *call_append_one (Endpoint *e);
char *call_append_nul (Endpoint *e);     /* the second of two holds NUL */
char *call_append_big (Endpoint *e);     /* 5000 octets */
char *call_append_cut (Endpoint *e);     /* the source of the second of three fails on the way */
char *call_flags (Endpoint *e);          /* INBOX, validity 7: 1:2 +\Seen foo, 3 -\Flagged */
char *call_copy (Endpoint *e);           /* INBOX, validity 7, 1:2,5 to A */
char *call_move (Endpoint *e);
char *call_expunge (Endpoint *e);        /* INBOX, validity 7, 1:2 */
char *call_create (Endpoint *e);         /* "Büro" at the top, role archive */
char *call_create_below (Endpoint *e);   /* "kid" below A */
char *call_rename (Endpoint *e);         /* A to B */
char *call_delete (Endpoint *e);         /* A */
char *call_watch (Endpoint *e);          /* list, then INBOX and A for 300 ms */
