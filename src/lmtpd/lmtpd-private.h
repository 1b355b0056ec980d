/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#pragma once
#include "lmtpd.h"

/* ---- A message while it comes (lmtpd-message.c) ---- */

typedef enum { FAILURE_NONE, FAILURE_TOO_BIG, FAILURE_NO_SPACE, FAILURE_LOCAL } Failure;

/* @max counts without what is put before. */
LmtpdMessage *message_new (const char *sender, const char *id, const char *folder, guint64 max);
void lmtpd_message_free (LmtpdMessage *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LmtpdMessage, lmtpd_message_free)
void message_put_before (LmtpdMessage *m, const char *header);
/* After a failure, which stays, nothing more is kept. */
void message_add (LmtpdMessage *m, const char *octets, gsize size);
/* All of it is there: lmtpd_message_octets may be called if there was no failure. */
Failure message_end (LmtpdMessage *m);
Failure message_failure (const LmtpdMessage *m);
/* "Received:" fields of a header. */
guint message_count_received (Slice octets);

/* ---- Arguments of MAIL and RCPT (lmtpd-path.c) ---- */

typedef enum {
	PATH_BAD,
	PATH_NULL,    /* "<>" */
	PATH_MAILBOX,
	PATH_LITERAL, /* a mailbox at an address literal: "a@[192.0.2.1]" */
	PATH_LOCAL,   /* without a domain */
} PathKind;
/* Takes "<...>" from the beginning of *rest. *address_out (owned; unless PATH_BAD) is in the one form of lmtpd.h, "" for "<>", valid UTF-8 without
 * control characters, of at most ADDRESS_MAX octets; a source route is dropped (RFC 5321 appendix C). */
#define ADDRESS_MAX 400u
PathKind path_take (Slice *rest, char **address_out);
/* What a client calls itself: a domain or an address literal. */
gboolean path_is_host (Slice s);
/* Takes the next " KEYWORD[=value]" of *rest; value's data NULL: none. FALSE: at the end (*rest is empty) or it is none. */
gboolean parameter_take (Slice *rest, Slice *keyword_out, Slice *value_out);
/* Digits only, at most 19 of them. */
gboolean number_parse (Slice s, guint64 *number_out);
