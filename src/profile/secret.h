/* SPDX-License-Identifier: Apache-2.0 */
/* Getting the password or token of a profile. It is never on a command line, in a file or in a log; free it with secret_free.
 * libsecret is loaded (dlopen) at the first use of the keyring only: linking it costs every start of the program GIO and D-Bus. */
#pragma once
#include <glib.h>
#include "cancel.h"
#include "error.h"
#include "profile.h"

#define SECRET_SIZE_MAX 65536

/* Overwrites and frees; NULL is fine. */
void secret_free (char *secret);

/* From the profile's source. Errors: NOT_FOUND if there is none, NO_PERMISSION if the source failed (with its exit status and
 * the first line it said), TEMPORARY if it took too long (60 s), CANCELLED, USAGE without terminal. */
char *secret_get (const Profile *p, Cancel *cancel, GError **error);
/* Keyring only, under the profile's user, host and port. */
gboolean secret_store (const Profile *p, const char *secret, GError **error);
/* TRUE too if there was none. */
gboolean secret_delete (const Profile *p, GError **error);

/* The first line of what `sh -c COMMAND` prints; its standard input is empty. */
char *secret_from_command (const char *command, guint timeout_ms, Cancel *cancel, GError **error);
/* Asks on /dev/tty without echo; the terminal is put back however it ends, also when a signal handler triggers @cancel. */
char *secret_from_prompt (const char *question, Cancel *cancel, GError **error);
/* Asks on /dev/tty, with echo. *yes_out: the answer begins with 'y'. USAGE without terminal. */
gboolean confirm_at_terminal (const char *question, gboolean *yes_out, Cancel *cancel, GError **error);
