/* SPDX-License-Identifier: Apache-2.0 */
/* What tells messages apart without their octets: size, date, Message-ID, flags. */
#include "imap-private.h"
#include "mail.h"
#include "store.h"
#include <string.h>

#define COMMANDS_IN_FLIGHT 32
#define NAMED_LIMIT 20000000
#define DEFLATE_MESSAGES 200
#define NUMBERS_CHECKED 3
#define NUMBERS_PAY 5000 /* so many UIDs that are asked for may be nearly all there are */
#define ID_LIMIT 998 /* as in the store, so that both sides cut alike */

typedef struct {
	const char *name;
	guint32 uidvalidity, from;
	EvidenceLevel level;
	const UidSet *uids;
	UidSet seen;
	UidSet all;       /* UIDs by number, to be asked for by number */
	guint32 *numbers; /* all, by number - 1; NULL: asked for by UID */
	guint n_numbers, checked;
	gboolean renumbered; /* numbers don't mean what they meant */
	GArray *evidence;
	GError *refused;
} EvidenceCall;

static gboolean
evidence_of_numbered_fetch (const ImapResponse *r, guint32 uid, RemoteEvidence *e_out)
{
	RemoteState state;
	const ImapNode *size = fetch_item (r, "RFC822.SIZE"), *date = fetch_item (r, "INTERNALDATE");
	if (!size || !state_of_numbered_fetch (r, uid, &state))
		return FALSE;
	*e_out = (RemoteEvidence) {.uid = state.uid, .size = node_number (size), .flags = state.flags, .keywords = state.keywords,
	                           .modseq = state.modseq};
	date_parse (node_text (date), &e_out->received, &e_out->zone);
	return TRUE;
}

gboolean
evidence_of_fetch (const ImapResponse *r, RemoteEvidence *e_out)
{
	return evidence_of_numbered_fetch (r, (guint32) node_number (fetch_item (r, "UID")), e_out);
}

static void
evidence_take_header (RemoteEvidence *e, Slice header)
{
	Slice rest = mail_header_find (header, "Message-ID"), id;
	if (rest.data && mail_next_id (&rest, &id))
		e->message_id = slice_to_utf8 (id, ID_LIMIT);
	e->digest = message_evidence_digest (header.data ? header.data : "", header.size);
	e->has_header = TRUE;
}

/* Whose FETCH it is. A UID that is told and not the one of its number shows that the numbers have moved. */
static guint32
evidence_uid (EvidenceCall *call, const ImapResponse *r)
{
	guint32 told = (guint32) node_number (fetch_item (r, "UID")), n = reply_number (r);
	if (!call->numbers)
		return told;
	guint32 uid = n >= 1 && n <= call->n_numbers ? call->numbers[n - 1] : 0;
	call->renumbered |= uid && told && told != uid;
	call->checked += told && told == uid;
	return uid;
}

static ImapHeard
evidence_hear (gpointer data, const ImapResponse *r, GError **error)
{
	EvidenceCall *call = data;
	RemoteEvidence e;
	const ImapNode *header = reply_is (r, "FETCH") ? fetch_body (r) : NULL;
	call->renumbered |= reply_is (r, "EXPUNGE") || reply_is (r, "VANISHED");
	guint32 uid = reply_is (r, "FETCH") ? evidence_uid (call, r) : 0;
	if (!uid || (call->level == EVIDENCE_HEADER && !header) || !evidence_of_numbered_fetch (r, uid, &e))
		return IMAP_PASSED;
	/* "5:*" always has the last message, be it below 5 (RFC 9051 9, seq-range) */
	if (e.uid < call->from || (call->uids && !uid_set_contains (call->uids, e.uid)) || uid_set_contains (&call->seen, e.uid)) {
		remote_evidence_done (&e);
		return IMAP_PASSED;
	}
	if (call->evidence->len >= NAMED_LIMIT) {
		remote_evidence_done (&e);
		error_fail (error, ERROR_PROTOCOL, "the server names ever more messages of folder '%s'", call->name);
		return IMAP_FAILED;
	}
	uid_set_add (&call->seen, e.uid);
	if (header)
		evidence_take_header (&e, node_text (header));
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
	/* the fields of message_evidence_digest */
	static const char fields[] = " BODY.PEEK[HEADER.FIELDS (FROM TO DATE SUBJECT MESSAGE-ID)]";
	const char *more = call->level == EVIDENCE_HEADER ? fields : call->level == EVIDENCE_CHANGE ? " MODSEQ" : "";
	g_autofree char *text = g_strdup_printf ("UID FETCH %s (UID FLAGS INTERNALDATE RFC822.SIZE%s)", set, more);
	imap_session_send (s, text, evidence_hear, evidence_answered, call);
	return imap_session_settle (s, COMMANDS_IN_FLIGHT, error);
}

static ImapHeard
numbers_hear (gpointer data, const ImapResponse *r, GError **error)
{
	EvidenceCall *call = data;
	call->renumbered |= reply_is (r, "EXPUNGE") || reply_is (r, "VANISHED");
	if (!reply_is (r, "ESEARCH"))
		return IMAP_PASSED;
	reply_take_search (r, &call->all);
	return IMAP_TAKEN;
}

static void
evidence_forget_numbers (EvidenceCall *call)
{
	g_clear_pointer (&call->numbers, g_free);
	uid_set_clear (&call->all);
	call->n_numbers = call->checked = 0;
	call->renumbered = FALSE;
}

/* Evidence of all messages by their numbers: the UIDs, which cost a sixth of it, were told before in ranges. No number changes while no
 * command runs, nor within a FETCH (RFC 9051 7.5.1); three UIDs asked for at the end show that none has. Deflated it is shortest in this order. */
static gboolean
evidence_ask_numbered (ImapSession *s, EvidenceCall *call, gboolean *answered_out, GError **error)
{
	*answered_out = FALSE;
	evidence_forget_numbers (call);
	guint64 asked = call->uids ? uid_set_count (call->uids) : 0;
	if ((call->uids && asked < NUMBERS_PAY) || call->from > 1 || call->level != EVIDENCE_SIZE || !imap_session_can (s, "ESEARCH"))
		return TRUE;
	imap_session_send (s, "UID SEARCH RETURN (ALL) ALL", numbers_hear, NULL, call);
	if (!imap_session_settle (s, 0, error))
		return FALSE;
	guint64 n = uid_set_count (&call->all);
	if (call->renumbered || n <= DEFLATE_MESSAGES || n > NAMED_LIMIT || (call->uids && asked * 10 < n * 9))
		return TRUE;
	UidIter it = {0};
	call->numbers = g_new (guint32, n);
	while (uid_set_next (&call->all, &it, &call->numbers[call->n_numbers]))
		call->n_numbers++;
	g_autofree char *text = g_strdup_printf ("FETCH 1:%u (INTERNALDATE RFC822.SIZE FLAGS)", call->n_numbers);
	g_autofree char *check = g_strdup_printf ("FETCH 1,%u,%u (UID)", call->n_numbers / 2, call->n_numbers);
	imap_session_send (s, text, evidence_hear, evidence_answered, call);
	imap_session_send (s, check, evidence_hear, NULL, call);
	if (!imap_session_settle (s, 0, error))
		return FALSE;
	*answered_out = !call->renumbered && !call->refused && call->checked >= NUMBERS_CHECKED;
	return TRUE;
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

static void
evidence_begin (EvidenceCall *call)
{
	g_clear_pointer (&call->evidence, g_array_unref);
	call->evidence = remote_evidence_new ();
	uid_set_clear (&call->seen);
	g_clear_error (&call->refused);
}

static gboolean
evidence_attempt (ImapEndpoint *e, gpointer data, guint tries, GError **error)
{
	EvidenceCall *call = data;
	ImapSession *s = endpoint_session (e, error);
	gboolean answered;
	evidence_begin (call);
	gboolean much = !call->uids || uid_set_count (call->uids) > DEFLATE_MESSAGES;
	if (!s || (much && e->settings.far && !imap_session_start_deflate (s, error)) ||
	    !endpoint_select (e, s, call->name, call->uidvalidity, FALSE, error))
		return FALSE;
	/* the folder may have been selected long ago: what others put there must be seen */
	imap_session_send (s, "NOOP", NULL, NULL, NULL);
	if (!evidence_ask_numbered (s, call, &answered, error))
		return FALSE;
	if (!answered) {
		evidence_forget_numbers (call);
		evidence_begin (call);
		if (!evidence_ask (s, call, error))
			return FALSE;
	}
	if (!call->refused)
		return TRUE;
	g_propagate_error (error, g_steal_pointer (&call->refused));
	return FALSE;
}

gboolean
imap_evidence (Endpoint *endpoint, const char *name, guint32 uidvalidity, const UidSet *uids, guint32 from, EvidenceLevel level,
               GArray **evidence_out, GError **error)
{
	EvidenceCall call = {.name = name, .uidvalidity = uidvalidity, .uids = uids, .from = uids ? 0 : from, .level = level};
	gboolean ok = (uids && uid_set_is_empty (uids)) ? (call.evidence = remote_evidence_new ()) != NULL
	                                               : endpoint_try ((ImapEndpoint *) endpoint, evidence_attempt, &call, error);
	if (ok) {
		g_array_sort (call.evidence, evidence_order);
		*evidence_out = g_steal_pointer (&call.evidence);
	}
	g_clear_pointer (&call.evidence, g_array_unref);
	evidence_forget_numbers (&call);
	uid_set_clear (&call.seen);
	g_clear_error (&call.refused);
	return ok;
}
