/* SPDX-License-Identifier: Apache-2.0 */
/* Any server takes any log-on: whoever has proved at this one that he may use a mailbox that is at home at another is passed on there, octet by octet, for as long as he stays. This
 * server goes to that one's socket (PROXY_SOCKET, of the same user), says for whom (ID, x-originating-ip), and logs on as the mailbox (AUTHENTICATE EXTERNAL, RFC 4422 appendix A):
 * no password of a user is kept or sent. What the client can do from then on is what the home says. */
#pragma once
#include "host.h"
#include "imapd.h"

#define PROXY_SOCKET "servers.sock" /* in a server's folder */

/* ImapdSettings.data is LogOns; an ImapdPeer's connection a ServerPeer. */
extern const ImapdRelay proxy_relay;
