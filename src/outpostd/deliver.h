/* SPDX-License-Identifier: Apache-2.0 */
/* Mail that comes by LMTP goes into the INBOX of whom the directory names. */
#pragma once
#include "host.h"
#include "lmtpd.h"
#include "server.h"

extern const ServerProtocol server_lmtp; /* the service's data: LmtpdSettings */
/* What finds and stores for @h; borrowed. */
LmtpdSettings deliver_settings (Host *h);
