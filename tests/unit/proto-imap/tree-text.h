/* SPDX-License-Identifier: Apache-2.0 */
/* Trees, responses and commands as text that tests compare: strings in quotes, what is not printable as \xNN, big literals as <file N>
 * and <stream N>. */
#pragma once
#include "imap-command.h"
#include "imap-reply.h"

void tree_text_add (GString *text, const ImapNode *n);
/* "* 3 FETCH (FLAGS (\Seen))", "a OK {CODE|its arguments} human text", "+ text". */
char *reply_text_of (const ImapResponse *r);

/* What comes of @input, fed in pieces of @piece octets: a line a response. Errors as "! message". */
char *replies_text (Slice input, gsize piece);

/* Messages over this size are refused by the caller. */
#define COMMANDS_REFUSE_OVER 1000
/* The same of commands: "a1 UID FETCH 1:* (FLAGS)", "+" where the client waits, "[octets]" of a message, "no" for a refused one,
 * "! tag fault", "lost". */
char *commands_text (Slice input, gsize piece, const ImapCommandLimits *limits, gboolean utf8);
