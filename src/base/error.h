/* SPDX-License-Identifier: Apache-2.0 */
/* The one error domain. An error has a code (what), a reach (how far the damage goes) and says whether to try again.
 * Library functions return their error as GError; only a program's edge prints it. Messages are whole sentences without a full
 * stop that name the thing; where the user can do something, the next step follows after ": ". Never a secret in a message. */
#pragma once
#include <glib.h>

typedef enum {
	ERROR_NOT_FOUND,     /* no such folder, message, profile, store */
	ERROR_EXISTS,        /* the name is taken */
	ERROR_NO_PERMISSION, /* refused: access rights, a log-on */
	ERROR_TOO_BIG,       /* over a limit of ours or of the peer */
	ERROR_OVER_QUOTA,
	ERROR_CONFLICT,      /* the state is not what the caller believed */
	ERROR_TEMPORARY,     /* network, time-out, server says try later */
	ERROR_UNAVAILABLE,   /* the peer can't give one folder now; the others it can */
	ERROR_CORRUPT,       /* damaged store or data */
	ERROR_PROTOCOL,      /* the peer sent what its protocol forbids */
	ERROR_REFUSED,       /* the peer said NO or BAD to one request; it stands for that request only */
	ERROR_NO_SPACE,      /* disk full */
	ERROR_CANCELLED,     /* the user or the caller asked to stop */
	ERROR_HELD,          /* a hold waits for the user's decision */
	ERROR_STALE_STORE,   /* a store of an earlier profile, which was not to be adopted; the text stands alone */
	ERROR_USAGE,         /* wrong command line or setting */
	ERROR_IO,            /* other failure of the local system */
	ERROR_UNTRUSTED,     /* who answers could not prove to be the server: its certificate, or no TLS; no secret was sent */
} OutpostError;

#define OUTPOST_ERROR (outpost_error_quark ())
GQuark outpost_error_quark (void);

typedef enum { REACH_MESSAGE, REACH_FOLDER, REACH_MAILBOX } ErrorReach;
typedef enum { RETRY_NOW, RETRY_LATER, RETRY_NEVER } ErrorRetry;

/* How far an error of code @code reaches at most, and whether a repetition can help. */
ErrorReach error_reach (OutpostError code);
ErrorRetry error_retry (OutpostError code);

/* True if @error is of our domain with @code. NULL is never. */
gboolean error_is (const GError *error, OutpostError code);

/* Sets *error from errno value @err: ENOSPC/EDQUOT give NO_SPACE, ENOENT NOT_FOUND, EACCES/EPERM NO_PERMISSION, network errors
 * TEMPORARY, others IO. @format names what was attempted; ": " and the system's text follow. Always returns FALSE. */
gboolean error_set_errno (GError **error, int err, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* g_set_error in our domain, returning FALSE, for one-line failures. */
gboolean error_fail (GError **error, OutpostError code, const char *format, ...) G_GNUC_PRINTF (3, 4);
