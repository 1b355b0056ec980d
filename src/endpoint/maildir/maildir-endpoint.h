/* SPDX-License-Identifier: Apache-2.0 */
/* A Dovecot account in Maildir++ on disk as an endpoint that is only read: UIDs and UIDVALIDITY from dovecot-uidlist, keywords from dovecot-keywords, flags from the file names, dates
 * from the files' times, subscriptions. Octets are as Dovecot serves them: lines end in CRLF. Dovecot may run meanwhile. A folder without dovecot-uidlist is UNAVAILABLE; messages that
 * are not in it yet are left for later. */
#pragma once
#include "endpoint.h"

/* NOT_FOUND, NO_PERMISSION or USAGE come with open. */
Endpoint *maildir_endpoint_new (const char *path);
/* Messages of all folders that had no UID yet when they were looked at last. */
guint maildir_endpoint_without_uid (Endpoint *e);
