/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager that started this process, systemd or what does as it does: sd_notify(3), sd_listen_fds(3). Without one nothing happens. */
#pragma once
#include <glib.h>
#include <sys/socket.h>

/* Lines such as "READY=1", "STATUS=...". */
void manager_tell (const char *state);
/* Gives it a copy of the listening socket @fd, which the next process of this service is handed over (FDSTORE). FALSE: nobody takes it. */
gboolean manager_keep (int fd);
/* The socket bound to @address that it has handed over, not blocking and closed on exec; -1: there is none. Each once. On one thread, like the next. */
int manager_take (const struct sockaddr *address);
/* Closes the sockets that were handed over and not taken, and has them forgotten. */
void manager_drop_rest (void);
