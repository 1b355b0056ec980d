/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include <errno.h>
#include <string.h>

G_DEFINE_QUARK (outpost-error, outpost_error)

static const struct {
	ErrorReach reach;
	ErrorRetry retry;
} manner[] = {
	[ERROR_NOT_FOUND] = {REACH_MESSAGE, RETRY_NEVER}, [ERROR_EXISTS] = {REACH_MESSAGE, RETRY_NEVER},
	[ERROR_NO_PERMISSION] = {REACH_FOLDER, RETRY_NEVER}, [ERROR_TOO_BIG] = {REACH_MESSAGE, RETRY_NEVER},
	[ERROR_OVER_QUOTA] = {REACH_MAILBOX, RETRY_LATER}, [ERROR_CONFLICT] = {REACH_MESSAGE, RETRY_NOW},
	[ERROR_TEMPORARY] = {REACH_MAILBOX, RETRY_LATER}, [ERROR_UNAVAILABLE] = {REACH_FOLDER, RETRY_LATER}, [ERROR_CORRUPT] = {REACH_MAILBOX, RETRY_NEVER},
	[ERROR_PROTOCOL] = {REACH_MAILBOX, RETRY_LATER}, [ERROR_REFUSED] = {REACH_MESSAGE, RETRY_NEVER},
	[ERROR_NO_SPACE] = {REACH_MAILBOX, RETRY_LATER}, [ERROR_CANCELLED] = {REACH_MAILBOX, RETRY_NEVER},
	[ERROR_HELD] = {REACH_FOLDER, RETRY_NEVER}, [ERROR_STALE_STORE] = {REACH_MAILBOX, RETRY_NEVER}, [ERROR_USAGE] = {REACH_MAILBOX, RETRY_NEVER},
	[ERROR_IO] = {REACH_MAILBOX, RETRY_LATER}, [ERROR_UNTRUSTED] = {REACH_MAILBOX, RETRY_NEVER},
};

ErrorReach
error_reach (OutpostError code)
{
	g_assert (code < G_N_ELEMENTS (manner));
	return manner[code].reach;
}

ErrorRetry
error_retry (OutpostError code)
{
	g_assert (code < G_N_ELEMENTS (manner));
	return manner[code].retry;
}

gboolean
error_is (const GError *error, OutpostError code)
{
	return error && error->domain == OUTPOST_ERROR && error->code == (int) code;
}

static OutpostError
code_from_errno (int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return ERROR_NO_SPACE;
	case ENOENT:
		return ERROR_NOT_FOUND;
	case EEXIST:
		return ERROR_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERROR_NO_PERMISSION;
	case ECONNREFUSED:
	case ECONNRESET:
	case ETIMEDOUT:
	case EPIPE:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case EAGAIN:
		return ERROR_TEMPORARY;
	default:
		return ERROR_IO;
	}
}

gboolean
error_set_errno (GError **error, int err, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	g_autofree char *what = g_strdup_vprintf (format, args);
	va_end (args);
	OutpostError code = code_from_errno (err);
	g_set_error (error, OUTPOST_ERROR, code, "%s: %s%s", what, g_strerror (err),
	             code == ERROR_NO_SPACE ? ": make room there and run the command again" : "");
	return FALSE;
}

gboolean
error_fail (GError **error, OutpostError code, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	g_autofree char *what = g_strdup_vprintf (format, args);
	va_end (args);
	g_set_error_literal (error, OUTPOST_ERROR, code, what);
	return FALSE;
}
