/* SPDX-License-Identifier: Apache-2.0 */
/* What the server's side of SASL (RFC 4422) has in common in IMAP and SMTP: texts in base64, and PLAIN. */
#pragma once
#include "bytes.h"

/* Base64 (RFC 4648 section 4) with its padding and nothing else; NULL: it is none. */
guchar *sasl_decode (Slice text, gsize *size_out);
/* "authorise \0 user \0 password" in base64 (RFC 4616); "=" is an empty one. Unless RIGHT nothing is set; else both are owned by the caller, and
 * free of NUL. */
typedef enum { SASL_PLAIN_RIGHT, SASL_PLAIN_BAD, SASL_PLAIN_FOR_ANOTHER /* who would act for somebody else */ } SaslPlain;
SaslPlain sasl_plain_read (Slice text, char **user_out, char **password_out);
/* As g_string_append_len, but what was in *@text is overwritten where it is left for a bigger place. */
void sasl_append (GString **text, Slice more);
/* Overwrites and frees; NULL is allowed. */
void sasl_wipe (char *secret);
