/* SPDX-License-Identifier: Apache-2.0 */
/* OAuth 2.0 access tokens (RFC 6750) that clients log on with: JSON Web Tokens (RFC 7519), whose signature keys of a file prove (JWKS, RFC 7517), and others, which the
 * issuer is asked about (introspection, RFC 7662). Tokens are in no log and in no error, and are remembered by their digest only.
 *
 * Of JSON Web Tokens RS256, ES256 and HS256 are taken, each with a key of its own kind, whatever the token says of itself. */
#pragma once
#include "host.h"

#define TOKEN_MAX 8192 /* octets */

typedef struct Tokens Tokens;
/* What [oauth] of @h says; @h must outlive it. USAGE for settings that can't be; NULL without error: nothing is set, tokens are not taken. */
Tokens *tokens_new (const Host *h, GError **error);
void tokens_free (Tokens *t); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Tokens, tokens_free)
/* Whose it is, as the claim says (owned). NO_PERMISSION for what is no valid token, with the reason, for the log only; REFUSED if too many are being asked about;
 * TEMPORARY if the issuer can't be asked now. Blocks for as long as that takes, at most 5 s. Thread-safe. */
char *tokens_check (Tokens *t, const char *token, gint64 now, GError **error);

/* What a client of OAUTHBEARER (RFC 7628 section 3.1) or XOAUTH2 (@x) says first. Owned; FALSE: it is no such message. *user_out NULL: it names nobody. */
gboolean token_message_read (Slice message, gboolean x, char **user_out, char **token_out);
/* What it is told behind a token that is refused (RFC 7628 section 3.2.2). Owned. */
char *token_refusal (const Host *h, gboolean x);
