/* SPDX-License-Identifier: Apache-2.0 */
/* Trees, responses and commands as text that tests compare: strings in quotes, what is not printable as \xNN, big literals as <file N>
 * and <stream N>. */
#pragma once
#include "imap-reply.h"

void tree_text_add (GString *text, const ImapNode *n);
/* "* 3 FETCH (FLAGS (\Seen))", "a OK {CODE|its arguments} human text", "+ text". */
char *reply_text_of (const ImapResponse *r);
