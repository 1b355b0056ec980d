/* SPDX-License-Identifier: Apache-2.0 */
/* FETCH items ENVELOPE, BODY and BODYSTRUCTURE (RFC 9051 section 7.5.2), written from a structure and the message's own octets.
 * Strings are quoted where they may be, else literals; values of fields are unfolded, encoded words stay as they are, NULs are left
 * out. What a message lacks is NIL. */
#pragma once
#include "mail.h"

/* Appends "(date subject from sender reply-to to cc bcc in-reply-to message-id)" of @header. */
void mail_imap_envelope (GString *out, Slice header);
/* Appends the body of the whole message: with extension data BODYSTRUCTURE, without it BODY. A part's octets are served as they are, so
 * sizes are those of the structure. FALSE only where @reader failed. */
gboolean mail_imap_body (GString *out, const MailStructure *m, gboolean extended, MailReader reader, gpointer data, GError **error);
/* Appends a string: quoted or a literal; NIL for data NULL. */
void mail_imap_string (GString *out, Slice text);
