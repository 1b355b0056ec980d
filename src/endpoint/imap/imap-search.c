/* SPDX-License-Identifier: Apache-2.0 */
/* How many, or which, messages have a flag: ESEARCH (RFC 4731), many in one flight. */
#include "imap-private.h"
#include "store.h"

#define COMMANDS_IN_FLIGHT 500
#define DEFLATE_SEARCHES 4

typedef struct {
	FlagSearch *search;
	guint number;
	gboolean told, answered;
} Searched;

typedef struct {
	const char *name;
	guint32 uidvalidity;
	FlagSearch *searches;
	guint n;
	Searched *searched;
	gboolean answered;
} SearchCall;

static ImapHeard
search_hear (gpointer data, const ImapResponse *r, GError **error)
{
	Searched *a = data;
	if (!imap_session_is_search_of (r, a->number))
		return IMAP_PASSED;
	const ImapNode *count = reply_esearch_item (r, "COUNT");
	reply_take_search (r, &a->search->uids);
	a->search->count = a->search->names ? uid_set_count (&a->search->uids) : node_number (count);
	a->told = a->search->names || count; /* RFC 4731 3.1: no ALL is told where nothing was found */
	return IMAP_TAKEN;
}

static gboolean
search_answered (gpointer data, const ImapAnswer *a, GError **error)
{
	Searched *asked = data;
	asked->answered = a->outcome == IMAP_OK;
	return !imap_answer_is_temporary (a) || imap_answer_fail (a, error, "messages can't be searched now");
}

static const char *
flag_key (guint flag)
{
	static const char *const keys[] = {"SEEN", "ANSWERED", "FLAGGED", "DELETED", "DRAFT"};
	guint i = 0;
	while (i + 1 < G_N_ELEMENTS (keys) && flag != (guint) FLAG_SEEN << i)
		i++;
	return keys[i];
}

/* FALSE: it can't be said. */
static gboolean
search_send (ImapSession *s, Searched *a)
{
	const FlagSearch *search = a->search;
	g_autoptr (GString) list = g_string_new (NULL);
	if (!search->flag && !text_add_flag_list (list, 0, search->keyword, NULL))
		return FALSE;
	g_autofree char *text = g_strdup_printf ("UID SEARCH RETURN (%s) UID %u:%u %s%s", search->names ? "ALL" : "COUNT", search->from, search->to,
	                                         search->flag ? flag_key (search->flag) : "KEYWORD ", search->flag ? "" : search->keyword);
	a->number = imap_session_last_number (s) + 1;
	imap_session_send (s, text, search_hear, search_answered, a);
	return TRUE;
}

static gboolean
search_attempt (ImapEndpoint *e, gpointer data, guint tries, GError **error)
{
	SearchCall *call = data;
	ImapSession *s = endpoint_session (e, error);
	call->answered = TRUE;
	if (!s || (call->n >= DEFLATE_SEARCHES && e->settings.far && !imap_session_start_deflate (s, error)) ||
	    !endpoint_select (e, s, call->name, call->uidvalidity, FALSE, error))
		return FALSE;
	for (guint i = 0; i < call->n && call->answered; i++) {
		uid_set_clear (&call->searches[i].uids);
		call->searches[i].count = 0;
		call->searched[i] = (Searched) {.search = &call->searches[i]};
		call->answered = search_send (s, &call->searched[i]);
		if (!imap_session_settle (s, COMMANDS_IN_FLIGHT, error))
			return FALSE;
	}
	if (!imap_session_settle (s, 0, error))
		return FALSE;
	for (guint i = 0; i < call->n; i++)
		call->answered &= call->searched[i].answered && call->searched[i].told;
	return TRUE;
}

gboolean
imap_search_flags (Endpoint *endpoint, const char *name, guint32 uidvalidity, FlagSearch *searches, guint n, gboolean *answered_out,
                   GError **error)
{
	g_autofree Searched *searched = g_new0 (Searched, MAX (n, 1));
	SearchCall call = {name, uidvalidity, searches, n, searched, TRUE};
	gboolean ok = n == 0 || endpoint_try ((ImapEndpoint *) endpoint, search_attempt, &call, error);
	*answered_out = ok && call.answered;
	return ok;
}
