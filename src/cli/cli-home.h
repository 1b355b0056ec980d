/* SPDX-License-Identifier: Apache-2.0 */
/* A profile's home: the IMAP endpoint with everything that the command line knows. */
#pragma once
#include "cli.h"
#include "imap-endpoint.h"

typedef struct {
	Cli *cli;
	Profile *profile; /* borrowed */
	char *secret;     /* kept for further connections; not for tokens, which expire */
	Endpoint *endpoint;
	gboolean plain;   /* no TLS, because it is this machine */
} Home;
/* @known: capabilities of the last run, or NULL. The secret is asked for when it is needed. */
Home *home_new (Cli *cli, Profile *p, const char *known);
void home_free (Home *h);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Home, home_free)
/* Gives @secret instead of asking; it is copied. */
void home_set_secret (Home *h, const char *secret);
/* The secret did not serve: ask again the next time. */
void home_forget_secret (Home *h);
/* Remembers in the store what the server said of itself, where that is news. Not inside a transaction. */
gboolean home_remember (Home *h, Store *s, GError **error);
