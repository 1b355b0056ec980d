/* SPDX-License-Identifier: Apache-2.0 */
/* Mail that users send (RFC 6409): who logs on as for IMAP may send as the addresses and aliases that lead to that mailbox; what was taken is in the queue.
 * A message must have one From field with an address of the sender's; if it names others, too, a Sender field with one of the sender's. Line ends that are
 * not CRLF become CRLF before anything is looked at; missing Date and Message-ID are added. */
#pragma once
#include "log-on.h"
#include "server.h"
#include "smtpd.h"
#include "transport.h"

extern const ServerProtocol server_submission; /* the service's data: SmtpdSettings */
typedef struct Submission Submission;
/* Borrowed. */
Submission *submission_new (LogOns *log_ons);
void submission_free (Submission *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Submission, submission_free)
void submission_set_transport (Submission *s, Transport *t); /* before the first message */
SmtpdSettings submission_settings (Submission *s);           /* borrowed */
