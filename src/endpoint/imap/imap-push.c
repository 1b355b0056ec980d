/* SPDX-License-Identifier: Apache-2.0 */
/* Changes in one folder: flags, copies and moves, removals. Each call first makes sure that the folder is the expected one and only
 * then sends, so that no change hits another folder's messages. */
#include "imap-private.h"
#include <string.h>

#define COMMANDS_IN_FLIGHT 32

/* ---- Flags ---- */

typedef struct {
	FlagRequest *r;
	gboolean again; /* somebody expunged meanwhile and the server did only part of it (RFC 2180 4.2) */
} Storing;

typedef struct {
	const char *name;
	guint32 uidvalidity;
	Storing *storing;
	guint n;
} StoreCall;

static ImapHeard
storing_hear (gpointer data, const ImapResponse *r, GError **error)
{
	Storing *g = data;
	RemoteState state;
	if (!reply_is (r, "FETCH") || !state_of_fetch (r, &state))
		return IMAP_PASSED;
	if (uid_set_contains (&g->r->uids, state.uid)) {
		g_array_append_val (g->r->states, state);
		return IMAP_TAKEN;
	}
	g_free (state.keywords);
	return IMAP_PASSED;
}

static gboolean
storing_answered (gpointer data, const ImapAnswer *a, GError **error)
{
	Storing *g = data;
	if (imap_answer_is_temporary (a))
		return imap_answer_fail (a, error, "flags can't be changed now");
	if (a->outcome == IMAP_NO && strcmp (a->code, "EXPUNGEISSUED") == 0)
		g->again = TRUE;
	if (a->outcome != IMAP_OK && !g->r->error)
		imap_answer_fail (a, &g->r->error, "flags can't be changed");
	return TRUE;
}

static gboolean
storing_send_sign (ImapSession *s, Storing *g, char sign, GString *flags, GError **error)
{
	g_auto (UidSet) rest = UID_SET_INIT;
	g_autoptr (GString) set = g_string_new (NULL);
	uid_set_copy (&rest, &g->r->uids);
	while (!uid_set_is_empty (&rest)) {
		uids_take_text (&rest, set, NULL);
		g_autofree char *text = g_strdup_printf ("UID STORE %s %cFLAGS.SILENT %s", set->str, sign, flags->str);
		imap_session_send (s, text, storing_hear, storing_answered, g);
		if (!imap_session_settle (s, COMMANDS_IN_FLIGHT, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
storing_send (ImapSession *s, Storing *g, GError **error)
{
	FlagRequest *r = g->r;
	g_autoptr (GString) add = g_string_new (NULL), remove = g_string_new (NULL);
	g_clear_error (&r->error);
	g_clear_pointer (&r->states, g_array_unref);
	r->states = remote_states_new ();
	if (!text_add_flag_list (add, r->add, r->add_keywords, &r->error) ||
	    !text_add_flag_list (remove, r->remove, r->remove_keywords, &r->error))
		return TRUE;
	return (add->len == 2 || storing_send_sign (s, g, '+', add, error)) &&
	       (remove->len == 2 || storing_send_sign (s, g, '-', remove, error));
}

/* What was done in part is done once more, behind a NOOP that tells the server we may hear of removals. */
static gboolean
store_parts_again (ImapSession *s, StoreCall *call, GError **error)
{
	gboolean any = FALSE;
	for (guint i = 0; i < call->n; i++) {
		Storing *g = &call->storing[i];
		if (!g->again)
			continue;
		if (!any)
			imap_session_send (s, "NOOP", NULL, NULL, NULL);
		any = TRUE;
		if (!storing_send (s, g, error))
			return FALSE;
	}
	return imap_session_settle (s, 0, error);
}

static gboolean
store_attempt (ImapEndpoint *e, gpointer data, guint tries, GError **error)
{
	StoreCall *call = data;
	ImapSession *s = endpoint_session (e, error);
	if (!s || !endpoint_select (e, s, call->name, call->uidvalidity, TRUE, error))
		return FALSE;
	for (guint i = 0; i < call->n; i++)
		if (!storing_send (s, &call->storing[i], error))
			return FALSE;
	if (!imap_session_settle (s, 0, error) || !store_parts_again (s, call, error))
		return FALSE;
	for (guint i = 0; i < call->n; i++)
		states_sort (call->storing[i].r->states);
	return TRUE;
}

gboolean
imap_store_flags (Endpoint *endpoint, const char *name, guint32 uidvalidity, FlagRequest *requests, guint n, GError **error)
{
	g_autofree Storing *storing = g_new0 (Storing, MAX (n, 1));
	StoreCall call = {name, uidvalidity, storing, n};
	for (guint i = 0; i < n; i++)
		storing[i].r = &requests[i];
	return n == 0 || endpoint_try ((ImapEndpoint *) endpoint, store_attempt, &call, error);
}

/* ---- Removals ---- */

typedef struct {
	const char *name;
	guint32 uidvalidity;
	const UidSet *uids;
	UidSet *left_out;
	UidSet deleted; /* everybody's */
	gboolean searched;
	GError *refused;
} ExpungeCall;

static gboolean
expunge_answered (gpointer data, const ImapAnswer *a, GError **error)
{
	ExpungeCall *call = data;
	if (imap_answer_is_temporary (a))
		return imap_answer_fail (a, error, "messages of folder '%s' can't be removed now", call->name);
	/* somebody else removed some of them: what we wanted */
	if (a->outcome != IMAP_OK && strcmp (a->code, "EXPUNGEISSUED") != 0 && !call->refused)
		imap_answer_fail (a, &call->refused, "messages of folder '%s' can't be removed", call->name);
	return TRUE;
}

static ImapHeard
deleted_hear (gpointer data, const ImapResponse *r, GError **error)
{
	if (!reply_is (r, "SEARCH") && !reply_is (r, "ESEARCH"))
		return IMAP_PASSED;
	reply_take_search (r, &((ExpungeCall *) data)->deleted);
	((ExpungeCall *) data)->searched = TRUE;
	return IMAP_TAKEN;
}

static gboolean
expunge_send (ImapSession *s, ExpungeCall *call, const char *format_before, const char *format_behind, GError **error)
{
	g_auto (UidSet) rest = UID_SET_INIT;
	g_autoptr (GString) set = g_string_new (NULL);
	uid_set_copy (&rest, call->uids);
	while (!uid_set_is_empty (&rest)) {
		uids_take_text (&rest, set, NULL);
		g_autofree char *text = g_strconcat (format_before, set->str, format_behind, NULL);
		imap_session_send (s, text, NULL, expunge_answered, call);
		if (!imap_session_settle (s, COMMANDS_IN_FLIGHT, error))
			return FALSE;
	}
	return TRUE;
}

/* EXPUNGE removes all that is marked, by whomever: only when there is nothing of others'. */
static gboolean
expunge_all_marked (ImapSession *s, ExpungeCall *call, GError **error)
{
	uid_set_clear (&call->deleted);
	call->searched = FALSE;
	imap_session_send (s, "UID SEARCH DELETED", deleted_hear, expunge_answered, call);
	if (!imap_session_settle (s, 0, error))
		return FALSE;
	if (call->refused)
		return TRUE;
	if (!call->searched)
		return error_fail (error, ERROR_PROTOCOL, "the server did not say which messages of folder '%s' are marked as deleted", call->name);
	uid_set_remove_set (&call->deleted, call->uids);
	if (!uid_set_is_empty (&call->deleted)) {
		uid_set_copy (call->left_out, call->uids);
		return TRUE;
	}
	imap_session_send (s, "EXPUNGE", NULL, expunge_answered, call);
	return imap_session_settle (s, 0, error);
}

/* Marks and removes @call's messages in the selected folder. */
static gboolean
expunge_selected (ImapSession *s, ExpungeCall *call, GError **error)
{
	gboolean single = imap_session_can (s, "UIDPLUS");
	g_clear_error (&call->refused);
	uid_set_clear (call->left_out);
	/* Settled first: where others work in the folder, Dovecot's EXPUNGE in the same flight may not see the marks, and says OK. */
	if (!expunge_send (s, call, "UID STORE ", " +FLAGS.SILENT (\\Deleted)", error) || !imap_session_settle (s, 0, error))
		return FALSE;
	if (!call->refused && !(single ? expunge_send (s, call, "UID EXPUNGE ", "", error) && imap_session_settle (s, 0, error)
	                               : expunge_all_marked (s, call, error)))
		return FALSE;
	if (!call->refused)
		return TRUE;
	g_propagate_error (error, g_steal_pointer (&call->refused));
	return FALSE;
}

static gboolean
expunge_attempt (ImapEndpoint *e, gpointer data, guint tries, GError **error)
{
	ExpungeCall *call = data;
	ImapSession *s = endpoint_session (e, error);
	return s && endpoint_select (e, s, call->name, call->uidvalidity, TRUE, error) && expunge_selected (s, call, error);
}

gboolean
imap_expunge (Endpoint *endpoint, const char *name, guint32 uidvalidity, const UidSet *uids, UidSet *left_out, GError **error)
{
	ExpungeCall call = {.name = name, .uidvalidity = uidvalidity, .uids = uids, .left_out = left_out};
	gboolean ok = uid_set_is_empty (uids) || endpoint_try ((ImapEndpoint *) endpoint, expunge_attempt, &call, error);
	uid_set_clear (&call.deleted);
	g_clear_error (&call.refused);
	return ok;
}

/* ---- Copies and moves ---- */

typedef struct {
	const char *from, *to;
	guint32 uidvalidity;
	const UidSet *uids;
	gboolean move;
	GArray *pairs;
	guint32 to_uidvalidity;
	UidSet *copied;
	ImapSession *s;
	GError *refused;
} CopyCall;

/* One command of the call. */
typedef struct {
	CopyCall *call;
	UidSet uids;
	gboolean ok;
} CopyPart;

static void
copy_part_free (gpointer data)
{
	CopyPart *p = data;
	uid_set_clear (&p->uids);
	g_free (p);
}

/* The members of a set in the order in which it names them: source and target correspond by it (RFC 4315 section 3), and it need not
 * be ascending. NULL if the text is none or over @limit. */
static GArray *
set_in_order (const char *text, gsize size, guint64 limit)
{
	g_auto (GStrv) words = NULL;
	g_autofree char *copy = g_strndup (text, size);
	g_autoptr (GArray) members = g_array_new (FALSE, FALSE, sizeof (guint32));
	words = g_strsplit (copy, ",", -1);
	for (guint i = 0; words[i]; i++) {
		g_auto (UidSet) one = UID_SET_INIT;
		if (!uid_set_parse (&one, words[i], 1) || uid_set_count (&one) > limit - members->len)
			return NULL;
		for (guint64 uid = one.ranges[0].lo; uid <= one.ranges[0].hi; uid++) {
			guint32 member = (guint32) uid;
			g_array_append_val (members, member);
		}
	}
	return g_steal_pointer (&members);
}

/* COPYUID's "UIDVALIDITY from to". What is not this command's, or does not fit, is passed over: the caller then looks for itself. */
static gboolean
copy_take_pairs (CopyPart *p, const char *args)
{
	char *end;
	guint64 validity = g_ascii_strtoull (args, &end, 10);
	const char *from = *end == ' ' ? end + 1 : "", *space = strchr (from, ' ');
	if (!space || !validity || validity > G_MAXUINT32)
		return FALSE;
	guint64 limit = uid_set_count (&p->uids);
	g_autoptr (GArray) source = set_in_order (from, space - from, limit);
	g_autoptr (GArray) target = set_in_order (space + 1, strlen (space + 1), limit);
	if (!source || !target || source->len != target->len)
		return FALSE;
	for (guint i = 0; i < source->len; i++)
		if (!uid_set_contains (&p->uids, g_array_index (source, guint32, i)))
			return FALSE;
	p->call->to_uidvalidity = (guint32) validity;
	for (guint i = 0; i < source->len; i++) {
		UidPair pair = {g_array_index (source, guint32, i), g_array_index (target, guint32, i)};
		g_array_append_val (p->call->pairs, pair);
	}
	return TRUE;
}

/* MOVE tells it untagged, before the removals (RFC 6851 4.3). */
static ImapHeard
copy_hear (gpointer data, const ImapResponse *r, GError **error)
{
	gboolean own = reply_is_status (r) && strcmp (reply_code (r), "COPYUID") == 0 && copy_take_pairs (data, reply_code_args (r));
	return own ? IMAP_TAKEN : IMAP_PASSED;
}

static gboolean
copy_answered (gpointer data, const ImapAnswer *a, GError **error)
{
	CopyPart *p = data;
	CopyCall *call = p->call;
	p->ok = a->outcome == IMAP_OK;
	if (imap_answer_is_temporary (a))
		return imap_answer_fail (a, error, "messages of folder '%s' can't be copied now", call->from);
	if (strcmp (a->code, "COPYUID") == 0)
		copy_take_pairs (p, a->args);
	if (!p->ok && !call->refused)
		imap_answer_fail (a, &call->refused, "messages can't be %s from folder '%s' to folder '%s'", call->move ? "moved" : "copied",
		                  call->from, call->to);
	return TRUE;
}

static gboolean
copy_send (CopyCall *call, GPtrArray *parts, const char *word, GError **error)
{
	g_auto (UidSet) rest = UID_SET_INIT;
	g_autoptr (GString) set = g_string_new (NULL);
	uid_set_copy (&rest, call->uids);
	while (!uid_set_is_empty (&rest)) {
		CopyPart *p = g_new0 (CopyPart, 1);
		p->call = call;
		g_ptr_array_add (parts, p);
		uids_take_text (&rest, set, &p->uids);
		g_autoptr (GString) text = g_string_new (NULL);
		g_string_printf (text, "UID %s %s ", word, set->str);
		text_add_name (text, call->to);
		imap_session_send (call->s, text->str, copy_hear, copy_answered, p);
		if (!imap_session_settle (call->s, COMMANDS_IN_FLIGHT, error))
			return FALSE;
	}
	return imap_session_settle (call->s, 0, error);
}

static gboolean
copy_select (ImapEndpoint *e, gpointer data, guint tries, GError **error)
{
	CopyCall *call = data;
	call->s = endpoint_session (e, error);
	return call->s && endpoint_select (e, call->s, call->from, call->uidvalidity, call->move, error);
}

/* Not repeated: whether a copy whose answer is lost was made, the caller has to find out. */
static gboolean
copy_selected (CopyCall *call, GError **error)
{
	g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func (copy_part_free);
	gboolean move = call->move && imap_session_can (call->s, "MOVE");
	if (!copy_send (call, parts, move ? "MOVE" : "COPY", error))
		return FALSE;
	for (guint i = 0; i < parts->len; i++)
		if (((CopyPart *) parts->pdata[i])->ok)
			uid_set_add_set (call->copied, &((CopyPart *) parts->pdata[i])->uids);
	if (call->pairs->len > 0 || !uid_set_is_empty (call->copied))
		return TRUE;
	g_propagate_error (error, g_steal_pointer (&call->refused));
	return FALSE;
}

gboolean
imap_copy (Endpoint *endpoint, const char *from, guint32 uidvalidity, const UidSet *uids, const char *to, gboolean move,
           GArray **pairs_out, guint32 *to_uidvalidity_out, UidSet *copied, GError **error)
{
	g_autoptr (GArray) pairs = g_array_new (FALSE, FALSE, sizeof (UidPair));
	CopyCall call = {.from = from, .to = to, .uidvalidity = uidvalidity, .uids = uids, .move = move, .pairs = pairs,
	                 .copied = copied};
	gboolean ok = uid_set_is_empty (uids) ||
	              (endpoint_try ((ImapEndpoint *) endpoint, copy_select, &call, error) && copy_selected (&call, error));
	g_clear_error (&call.refused);
	if (!ok)
		return FALSE;
	*pairs_out = g_steal_pointer (&pairs);
	*to_uidvalidity_out = call.to_uidvalidity;
	return TRUE;
}
