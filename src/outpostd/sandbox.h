/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <glib.h>
#include "error.h"

/* From now on no thread of this process can do what a mail server never has to: it is killed when it starts a program or reaches into another process, and
 * refused (EPERM) namespaces, mounts, modules, keys, other users, sockets but those of Unix, IP and netlink, and memory that is both written and
 * executed; who is not root loses the capabilities he had for ports below 1024. UNAVAILABLE: the system knows no seccomp. */
gboolean sandbox_enter (GError **error);
