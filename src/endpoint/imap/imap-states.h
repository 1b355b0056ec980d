/* SPDX-License-Identifier: Apache-2.0 */
/* Values of messages as FETCH tells them. */
#pragma once
#include "endpoint.h"
#include "imap-reply.h"
#include "imap-text.h"

/* The value of item @name of a FETCH response, NULL. */
const ImapNode *fetch_item (const ImapResponse *r, const char *name);
/* The value of BODY[...], whatever stands in the brackets, NULL. */
const ImapNode *fetch_body (const ImapResponse *r);
/* Keywords of a list of flags, canonical; NULL none. */
char *keywords_of_list (const ImapNode *flags);
/* FALSE without UID or FLAGS. Keywords are the caller's. */
gboolean state_of_fetch (const ImapResponse *r, RemoteState *state_out);
/* The same where the message has UID @uid, told or not. */
gboolean state_of_numbered_fetch (const ImapResponse *r, guint32 uid, RemoteState *state_out);
/* By UID; of several for one UID the last one heard stays. */
void states_sort (GArray *states);
