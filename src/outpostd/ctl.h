/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of outpostctl share. */
#pragma once
#include "host.h"

typedef struct {
	Host *host;
	Directory *d;
	char **args;
	gboolean json; /* what the server answers, as it is */
} Ctl;

/* Questions to the running server (ctl-server.c). NOT_FOUND if none runs. */
gboolean server_status (Ctl *c, GError **error);
gboolean server_who (Ctl *c, GError **error);
gboolean server_kick (Ctl *c, GError **error);
gboolean server_reload (Ctl *c, GError **error);
