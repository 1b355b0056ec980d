/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of messages of the mailbox that is logged on to (RFC 5092, relative to its server): "/INBOX;UIDVALIDITY=3/;UID=20/;SECTION=1.2/;PARTIAL=0.100". */
#pragma once
#include "imapd-section.h"

typedef struct {
	char *folder; /* UTF-8 */
	guint32 uidvalidity, uid; /* uidvalidity 0: not told */
	Section section; /* SECTION and PARTIAL; all where there are none */
} Url;
void url_clear (Url *u);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Url, url_clear)
/* FALSE: it is none, or another server's; clear it in any case. */
gboolean url_parse (Slice text, Url *u);
