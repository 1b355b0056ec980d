/* SPDX-License-Identifier: Apache-2.0 */
/* The password with which mail programs on this machine log on to a profile's served store. It guards nothing that the file does not: the
 * store beside it can be read by whoever can read this. So it is kept in a file (0600) beside the profile, not in the keyring. */
#pragma once
#include "profile.h"

/* Made at random at the first call; free with secret_free. *made_out (may be NULL): it was made now. */
char *local_secret (const Profile *p, gboolean *made_out, GError **error);
/* Removes it; TRUE too if there was none. */
gboolean local_secret_delete (const Profile *p, GError **error);
