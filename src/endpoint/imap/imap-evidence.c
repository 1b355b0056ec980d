/* SPDX-License-Identifier: Apache-2.0 */
/* What tells messages apart without their octets: size, date, Message-ID, flags. */
#include "imap-private.h"
#include <string.h>

#define COMMANDS_IN_FLIGHT 32
#define NAMED_LIMIT 20000000
#define ID_LIMIT 998 /* as in the store, so that both sides cut alike */

typedef struct {
	const char *name;
	guint32 uidvalidity, from;
	const UidSet *uids;
	UidSet seen;
	GArray *evidence;
	GError *refused;
} EvidenceCall;

/* The first <id> of the first field, without brackets; NULL. */
static char *
message_id_of (Slice header)
{
	const char *colon = memchr (header.data, ':', header.size);
	const char *end = header.data + header.size, *at = colon ? colon + 1 : end;
	const char *field = at;
	while (field < end) {
		const char *newline = memchr (field, '\n', end - field);
		field = newline ? newline + 1 : end;
		if (field < end && *field != ' ' && *field != '\t')
			break;
	}
	while (at < field) {
		const char *lo = memchr (at, '<', field - at);
		const char *hi = lo ? memchr (lo, '>', field - lo) : NULL;
		if (!hi)
			return NULL;
		if (hi > lo + 1 && hi - lo - 1 <= ID_LIMIT)
			return slice_to_utf8 ((Slice) {lo + 1, (gsize) (hi - lo - 1)}, ID_LIMIT);
		at = hi + 1;
	}
	return NULL;
}

static ImapHeard
evidence_hear (gpointer data, const ImapResponse *r, GError **error)
{
	EvidenceCall *call = data;
	RemoteState state;
	const ImapNode *header = reply_is (r, "FETCH") ? fetch_body (r) : NULL;
	if (!header || !state_of_fetch (r, &state))
		return IMAP_PASSED;
	/* "5:*" always has the last message, be it below 5 (RFC 9051 9, seq-range) */
	if (state.uid < call->from || (call->uids && !uid_set_contains (call->uids, state.uid)) || uid_set_contains (&call->seen, state.uid)) {
		g_free (state.keywords);
		return IMAP_PASSED;
	}
	if (call->evidence->len >= NAMED_LIMIT) {
		g_free (state.keywords);
		error_fail (error, ERROR_PROTOCOL, "the server names ever more messages of folder '%s'", call->name);
		return IMAP_FAILED;
	}
	uid_set_add (&call->seen, state.uid);
	RemoteEvidence e = {.uid = state.uid, .size = node_number (fetch_item (r, "RFC822.SIZE")), .message_id = message_id_of (node_text (header)),
	                    .flags = state.flags, .keywords = state.keywords, .modseq = state.modseq};
	date_parse (node_text (fetch_item (r, "INTERNALDATE")), &e.received, &e.zone);
	const ImapNode *id = fetch_item (r, "EMAILID");
	id = id ? node_first (id) : fetch_item (r, "X-GM-MSGID");
	e.email_id = id ? slice_dup (node_text (id)) : NULL;
	g_array_append_val (call->evidence, e);
	return IMAP_TAKEN;
}

static gboolean
evidence_answered (gpointer data, const ImapAnswer *a, GError **error)
{
	EvidenceCall *call = data;
	if (imap_answer_is_temporary (a))
		return imap_answer_fail (a, error, "messages of folder '%s' can't be looked at now", call->name);
	if (a->outcome != IMAP_OK && !call->refused)
		imap_answer_fail (a, &call->refused, "messages of folder '%s' can't be looked at", call->name);
	return TRUE;
}

static gboolean
evidence_send (ImapSession *s, EvidenceCall *call, const char *set, GError **error)
{
	g_autofree char *text = g_strdup_printf ("UID FETCH %s (UID FLAGS INTERNALDATE RFC822.SIZE%s%s BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])", set,
	                                         imap_session_has_condstore (s) ? " MODSEQ" : "",
	                                         fetch_id_item (s));
	imap_session_send (s, text, evidence_hear, evidence_answered, call);
	return imap_session_settle (s, COMMANDS_IN_FLIGHT, error);
}

static gboolean
evidence_ask (ImapSession *s, EvidenceCall *call, GError **error)
{
	g_auto (UidSet) rest = UID_SET_INIT;
	g_autoptr (GString) set = g_string_new (NULL);
	if (!call->uids) {
		g_string_printf (set, "%u:*", MAX (call->from, 1));
		return evidence_send (s, call, set->str, error) && imap_session_settle (s, 0, error);
	}
	uid_set_copy (&rest, call->uids);
	while (!uid_set_is_empty (&rest)) {
		uids_take_text (&rest, set, NULL);
		if (!evidence_send (s, call, set->str, error))
			return FALSE;
	}
	return imap_session_settle (s, 0, error);
}

static gint
evidence_order (gconstpointer a, gconstpointer b)
{
	guint32 x = ((const RemoteEvidence *) a)->uid, y = ((const RemoteEvidence *) b)->uid;
	return (x > y) - (x < y);
}

static gboolean
evidence_attempt (ImapEndpoint *e, gpointer data, guint tries, GError **error)
{
	EvidenceCall *call = data;
	ImapSession *s = endpoint_session (e, error);
	g_clear_pointer (&call->evidence, g_array_unref);
	call->evidence = remote_evidence_new ();
	uid_set_clear (&call->seen);
	g_clear_error (&call->refused);
	if (!s || !endpoint_select (e, s, call->name, call->uidvalidity, FALSE, error))
		return FALSE;
	/* the folder may have been selected long ago: what others put there must be seen */
	imap_session_send (s, "NOOP", NULL, NULL, NULL);
	if (!evidence_ask (s, call, error))
		return FALSE;
	if (!call->refused)
		return TRUE;
	g_propagate_error (error, g_steal_pointer (&call->refused));
	return FALSE;
}

gboolean
imap_evidence (Endpoint *endpoint, const char *name, guint32 uidvalidity, const UidSet *uids, guint32 from, GArray **evidence_out,
               GError **error)
{
	EvidenceCall call = {.name = name, .uidvalidity = uidvalidity, .uids = uids, .from = uids ? 0 : from};
	gboolean ok = (uids && uid_set_is_empty (uids)) ? (call.evidence = remote_evidence_new ()) != NULL
	                                               : endpoint_try ((ImapEndpoint *) endpoint, evidence_attempt, &call, error);
	if (ok) {
		g_array_sort (call.evidence, evidence_order);
		*evidence_out = g_steal_pointer (&call.evidence);
	}
	g_clear_pointer (&call.evidence, g_array_unref);
	uid_set_clear (&call.seen);
	g_clear_error (&call.refused);
	return ok;
}
