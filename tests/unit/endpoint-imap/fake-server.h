/* SPDX-License-Identifier: Apache-2.0 */
/* An IMAP server that plays a script: each row waits for a line and answers it. */
#pragma once
#include <glib.h>

/* @expect: regular expression for the client's line behind its tag; NULL: no line is read. @reply: sent as it is, with %T replaced
 * by the last tag read and %P by the one before; NULL closes the connection. @size: octets of @reply where it holds NULs, 0: up to its end,
 * FAKE_CLOSE: up to its end, then the connection is closed. */
#define FAKE_CLOSE G_MAXSIZE
typedef struct {
	const char *expect, *reply;
	gsize size;
	void (*produce) (int fd); /* what follows the reply, NULL: nothing. Ends when sending fails. */
} FakeRow;
/* Rows up to one with neither text. One connection plays one conversation. */
typedef const FakeRow *FakeTalk;

typedef struct FakeServer FakeServer;
/* Plays @n conversations one after the other. @trickle: replies go out octet by octet. */
FakeServer *fake_server_new (const FakeTalk *talks, guint n, gboolean trickle);
guint16 fake_server_port (const FakeServer *f);
/* Ends the thread. The first line that did not match, or NULL; the caller frees it. */
char *fake_server_free (FakeServer *f);
