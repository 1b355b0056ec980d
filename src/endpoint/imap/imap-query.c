/* SPDX-License-Identifier: Apache-2.0 */
/* What changed in folders: QRESYNC answers it within SELECT (RFC 7162), CONDSTORE with CHANGEDSINCE, a bare server by listing all.
 * The first flight holds the SELECTs of all folders. */
#include "imap-private.h"
#include "imap-states.h"
#include "store.h"
#include <string.h>

#define FOLDERS_IN_FLIGHT 100
#define SET_TEXT_LIMIT 7000
#define NAMED_LIMIT 20000000u /* messages of a folder, ranges of UIDs: more than any folder, less than what memory can't hold */
#define DEFLATE_MESSAGES 200
#define SEARCH_BLOCK 50000 /* UIDs that a server without ESEARCH names in one line */

typedef struct Inquiry Inquiry;
/* One folder's way through the flights. */
typedef struct {
	Inquiry *inquiry;
	FolderQuery *q;
	guint32 exists;       /* now */
	guint32 at_select;    /* EXISTS then */
	guint32 expunged;     /* since */
	gboolean searched;    /* the server has answered a search */
	gboolean plain;       /* the server understands no parameter of SELECT, whatever it announced */
	guint64 uidnext;
	gboolean nomodseq, selected;
	gboolean done; /* all answers are in */
	gboolean failed;
	gboolean all_uids, all_states; /* what the commands sent will tell */
	guint32 max_uid;
} Asked;

struct Inquiry {
	ImapEndpoint *e;
	ImapSession *s;
	Asked *asked;
	guint n;
	Asked *open; /* whose SELECT was the last that was sent */
};

/* What was told belongs to another folder, or to a moment that is past. Evidence of canaries has a command of its own, and stays. */
static void
asked_reset (Asked *a)
{
	FolderQuery *q = a->q;
	GArray *canaries = g_steal_pointer (&q->canary_evidence);
	folder_query_done (q);
	q->canary_evidence = canaries;
	q->uidvalidity_now = q->uidnext_now = q->messages_now = q->removed_since = 0;
	q->highestmodseq_now = 0;
	q->changed_identity = q->all_states = q->has_all_uids = q->keywords_told = q->few_keywords = FALSE;
	q->states = remote_states_new ();
	a->exists = a->max_uid = a->at_select = a->expunged = 0;
	a->searched = FALSE;
	a->uidnext = 0;
	a->nomodseq = a->selected = a->failed = FALSE;
}

/* "(\Seen $Junk)"; none at all are those of a folder that can only be read. */
static void
asked_take_permanent (FolderQuery *q, const ImapResponse *r)
{
	g_auto (GStrv) words = g_strsplit_set (reply_code_args (r), "() ", -1);
	g_autoptr (GPtrArray) kept = g_ptr_array_new ();
	gboolean any = FALSE;
	for (guint i = 0; words[i]; i++) {
		any |= *words[i] != '\0';
		if (*words[i] && *words[i] != '\\')
			g_ptr_array_add (kept, words[i]);
	}
	g_free (q->keywords_kept);
	q->few_keywords = any && !reply_code_has (r, "\\*");
	q->keywords_kept = keywords_canonical ((const char *const *) kept->pdata, kept->len);
}

static void
asked_take_code (Asked *a, const ImapResponse *r)
{
	FolderQuery *q = a->q;
	const char *code = reply_code (r);
	guint64 number = reply_code_number (r);
	if (strcmp (code, "UIDVALIDITY") == 0)
		q->uidvalidity_now = number;
	else if (strcmp (code, "UIDNEXT") == 0)
		a->uidnext = number;
	else if (strcmp (code, "HIGHESTMODSEQ") == 0)
		q->highestmodseq_now = number;
	else if (strcmp (code, "NOMODSEQ") == 0)
		a->nomodseq = TRUE;
	else if (strcmp (code, "MAILBOXID") == 0 && !q->id_now)
		q->id_now = reply_code_id (r);
	else if (strcmp (code, "PERMANENTFLAGS") == 0)
		asked_take_permanent (q, r);
}

static void
asked_take_state (Asked *a, const ImapResponse *r)
{
	RemoteState state;
	if (!state_of_fetch (r, &state))
		return;
	a->max_uid = MAX (a->max_uid, state.uid);
	g_array_append_val (a->q->states, state);
}

static void
asked_take_expunges (Asked *a, guint64 n)
{
	a->exists -= (guint32) MIN (n, a->exists);
	a->expunged += (guint32) n;
}

/* RFC 7162 3.2.10: with EARLIER it is about the past, and no longer counted in EXISTS. */
static void
asked_take_vanished (Asked *a, const ImapResponse *r)
{
	g_auto (UidSet) uids = UID_SET_INIT;
	reply_take_vanished (r, &uids);
	uid_set_add_set (&a->q->vanished, &uids);
	if (reply_arg (r, 0) && reply_arg (r, 0)->kind != NODE_LIST)
		asked_take_expunges (a, uid_set_count (&uids));
}

static ImapHeard
asked_hear (gpointer data, const ImapResponse *r, GError **error)
{
	Asked *a = data;
	FolderQuery *q = a->q;
	if (reply_is_status (r)) {
		if (strcmp (reply_code (r), "CLOSED") == 0) {
			/* RFC 7162 3.2.11: until here it was the folder before */
			asked_reset (a);
		} else
			asked_take_code (a, r);
	} else if (reply_is (r, "FLAGS")) {
		g_free (q->keywords_now);
		q->keywords_now = keywords_of_list (reply_arg (r, 0));
		q->keywords_told = TRUE;
	} else if (reply_is (r, "EXISTS"))
		a->exists = MIN (reply_number (r), NAMED_LIMIT + 1);
	else if (reply_is (r, "EXPUNGE"))
		asked_take_expunges (a, 1);
	else if (reply_is (r, "FETCH"))
		asked_take_state (a, r);
	else if (reply_is (r, "VANISHED"))
		asked_take_vanished (a, r);
	else if (reply_is (r, "SEARCH") || reply_is (r, "ESEARCH")) {
		a->searched = TRUE;
		reply_take_search (r, &q->all_uids);
	} else
		return IMAP_PASSED;
	if (q->states->len <= NAMED_LIMIT && q->all_uids.n_ranges <= NAMED_LIMIT && q->vanished.n_ranges <= NAMED_LIMIT)
		return IMAP_TAKEN;
	error_fail (error, ERROR_PROTOCOL, "the server names ever more messages of folder '%s'", q->name);
	return IMAP_FAILED;
}

static gboolean
asked_selected (gpointer data, const ImapAnswer *answer, GError **error)
{
	Asked *a = data;
	FolderQuery *q = a->q;
	a->failed = answer->outcome != IMAP_OK;
	if (answer->outcome == IMAP_BAD && !a->plain && imap_session_has_condstore (a->inquiry->s)) {
		a->failed = FALSE;
		a->plain = TRUE;
		return TRUE;
	}
	if (a->failed) {
		g_clear_error (&q->error);
		imap_answer_fail (answer, &q->error, "folder '%s' can't be opened", q->name);
		if (q->error->code == ERROR_REFUSED && answer->outcome == IMAP_NO && !*answer->code)
			q->error->code = ERROR_NOT_FOUND;
		return TRUE;
	}
	if (a->exists > NAMED_LIMIT) {
		a->failed = TRUE;
		g_clear_error (&q->error);
		error_fail (&q->error, ERROR_REFUSED, "the server says that folder '%s' has more than %u messages: so many are not read", q->name,
		            NAMED_LIMIT);
		return TRUE;
	}
	if (!q->uidvalidity_now) { /* RFC 9051 section 2.3.1.1: then it has no UIDs that last */
		a->failed = TRUE;
		g_clear_error (&q->error);
		error_fail (&q->error, ERROR_PROTOCOL, "the server gives folder '%s' no UIDVALIDITY, without which its messages can't be told apart", q->name);
		return TRUE;
	}
	a->selected = TRUE;
	q->messages_now = a->at_select = a->exists;
	q->changed_identity = q->uidvalidity && q->uidvalidity != q->uidvalidity_now;
	return TRUE;
}

static gboolean
asked_answered (gpointer data, const ImapAnswer *answer, GError **error)
{
	Asked *a = data;
	if (answer->outcome != IMAP_OK && !a->q->error)
		imap_answer_fail (answer, &a->q->error, "folder '%s' can't be read", a->q->name);
	return TRUE;
}

/* RFC 7162 3.1.2.2: one folder may have none where others do. Then nothing is told since anything. */
static gboolean
asked_has_modseq (const Asked *a)
{
	return !a->nomodseq && a->q->highestmodseq_now;
}

static gboolean
asked_by_qresync (const Asked *a)
{
	return !a->plain && a->q->kind == QUERY_CHANGES && a->q->uidvalidity && a->q->highestmodseq && imap_session_has_qresync (a->inquiry->s);
}

static void
asked_send_select (Asked *a)
{
	ImapSession *s = a->inquiry->s;
	g_autoptr (GString) text = g_string_new ("SELECT ");
	text_add_name (text, a->q->name);
	if (asked_by_qresync (a)) {
		g_string_append_printf (text, " (QRESYNC (%u %" G_GUINT64_FORMAT, a->q->uidvalidity, a->q->highestmodseq);
		gsize size = text->len;
		if (a->q->known && !uid_set_is_empty (a->q->known)) {
			g_string_append_c (text, ' ');
			uid_set_format (a->q->known, text);
			if (text->len - size > SET_TEXT_LIMIT) /* the answer is then about more than we know, which does no harm */
				g_string_truncate (text, size);
		}
		g_string_append (text, "))");
	} else if (imap_session_has_condstore (s) && !a->plain)
		g_string_append (text, " (CONDSTORE)");
	a->selected = a->failed = FALSE;
	a->inquiry->open = a;
	imap_session_send (s, text->str, asked_hear, asked_selected, a);
}

/* Evidence of a few known UIDs; what else comes meanwhile is the folder's news as ever. */
static ImapHeard
canary_hear (gpointer data, const ImapResponse *r, GError **error)
{
	Asked *a = data;
	RemoteEvidence e;
	if (!reply_is (r, "FETCH") || !fetch_item (r, "INTERNALDATE") || !evidence_of_fetch (r, &e))
		return asked_hear (data, r, error);
	if (!a->q->canary_evidence)
		a->q->canary_evidence = remote_evidence_new ();
	g_array_append_val (a->q->canary_evidence, e);
	return IMAP_TAKEN;
}

/* A refusal tells nothing; SELECT's own answer does. */
static gboolean
canary_answered (gpointer data, const ImapAnswer *answer, GError **error)
{
	((Asked *) data)->q->canaries_told = answer->outcome == IMAP_OK;
	return TRUE;
}

static void
asked_send_canaries (Asked *a)
{
	if (!a->q->canaries || uid_set_is_empty (a->q->canaries))
		return;
	g_autoptr (GString) text = g_string_new ("UID FETCH ");
	uid_set_format (a->q->canaries, text);
	g_string_append (text, " (UID FLAGS INTERNALDATE RFC822.SIZE)");
	imap_session_send (a->inquiry->s, text->str, canary_hear, canary_answered, a);
}

static void
asked_send_search (Asked *a, const char *what)
{
	g_autofree char *text = g_strconcat ("UID SEARCH ", what, NULL);
	a->all_uids = TRUE;
	imap_session_send (a->inquiry->s, text, asked_hear, asked_answered, a);
}

/* All UIDs. Without ESEARCH they come one by one, and a line should not grow without bound. */
static void
asked_send_searches (Asked *a)
{
	if (imap_session_can (a->inquiry->s, "ESEARCH")) {
		asked_send_search (a, "RETURN (ALL) ALL");
		return;
	}
	if (a->exists <= SEARCH_BLOCK)
		asked_send_search (a, "ALL");
	for (guint32 from = 1; a->exists > SEARCH_BLOCK && from <= a->exists; from += SEARCH_BLOCK) {
		g_autofree char *block = g_strdup_printf ("%u:%u", from, MIN (from + SEARCH_BLOCK - 1, a->exists));
		asked_send_search (a, block);
	}
}

/* SELECT has told it all. */
static gboolean
asked_is_complete (const Asked *a)
{
	return a->failed || a->q->changed_identity || (a->all_uids && a->selected) || (asked_by_qresync (a) && asked_has_modseq (a));
}

/* What SELECT left open, when @a's folder is the selected one. */
static void
asked_send_rest (Asked *a)
{
	ImapSession *s = a->inquiry->s;
	FolderQuery *q = a->q;
	gboolean since = q->kind == QUERY_CHANGES && q->highestmodseq && asked_has_modseq (a);
	g_array_set_size (q->states, 0);
	uid_set_clear (&q->all_uids);
	a->all_uids = TRUE;
	a->all_states = q->kind == QUERY_CHANGES && !since;
	if (a->exists == 0)
		return;
	if (since) {
		g_autofree char *text = g_strdup_printf ("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %" G_GUINT64_FORMAT ")", q->highestmodseq);
		imap_session_send (s, text, asked_hear, asked_answered, a);
	} else if (q->kind == QUERY_CHANGES)
		imap_session_send (s, asked_has_modseq (a) ? "UID FETCH 1:* (FLAGS MODSEQ)" : "UID FETCH 1:* (FLAGS)", asked_hear,
		                   asked_answered, a);
	if (!a->all_states)
		asked_send_searches (a);
}

/* The server named fewer messages than there are: what it did not name would count as removed. Removals that it had not told by then
 * explain it, and so do those it never tells within a command; a second look, with a NOOP behind, leaves them no room. */
static gboolean
asked_is_short (Asked *a)
{
	FolderQuery *q = a->q;
	if (!a->all_uids || a->failed || q->changed_identity || q->error)
		return FALSE;
	if (a->all_states)
		states_sort (q->states);
	guint64 named = a->all_states ? q->states->len : uid_set_count (&q->all_uids);
	return named + a->expunged < a->at_select || (a->at_select > a->expunged && !a->all_states && !a->searched);
}

static void
asked_finish (Asked *a)
{
	FolderQuery *q = a->q;
	a->done = TRUE;
	if (a->failed || q->error)
		return;
	if (q->changed_identity) {
		g_array_set_size (q->states, 0);
		uid_set_clear (&q->vanished);
		uid_set_clear (&q->all_uids);
		return;
	}
	states_sort (q->states);
	q->removed_since = a->expunged;
	q->has_all_uids = a->all_uids;
	q->all_states = a->all_states;
	if (q->all_states)
		for (guint i = 0; i < q->states->len; i++)
			uid_set_add (&q->all_uids, g_array_index (q->states, RemoteState, i).uid);
	if (a->nomodseq)
		q->highestmodseq_now = 0;
	guint32 max = MAX (uid_set_max (&q->all_uids), a->max_uid);
	q->uidnext_now = a->uidnext ? a->uidnext : max < G_MAXUINT32 ? max + 1 : max;
	FolderState state = {q->messages_now, q->uidnext_now, q->uidvalidity_now, q->highestmodseq_now, TRUE};
	endpoint_told (a->inquiry->e, q->name, &state);
}

/* The flags of every message follow: a flight for the command is worth it. */
static gboolean
inquiry_deflate (Inquiry *all, const Asked *a, GError **error)
{
	gboolean much = a->q->kind == QUERY_CHANGES && !(a->q->highestmodseq && asked_has_modseq (a)) && a->exists > DEFLATE_MESSAGES;
	return !much || a->failed || !all->e->settings.far || imap_session_start_deflate (all->s, error);
}

/* Folders whose SELECT was not enough are selected again, this time with all their commands behind it; first the one that still is. */
static gboolean
inquiry_rest (Inquiry *all, GError **error)
{
	Asked *open = all->open && all->open->selected ? all->open : NULL;
	guint first = open ? (guint) (open - all->asked) : 0;
	for (guint k = 0; k < all->n; k++) {
		Asked *a = &all->asked[(first + k) % all->n];
		if (a->done || asked_is_complete (a))
			continue;
		guint32 exists = a->exists;
		gboolean known = a->selected;
		if (a != open)
			asked_send_select (a);
		a->exists = exists;
		if ((!known && !imap_session_settle (all->s, 0, error)) || !inquiry_deflate (all, a, error))
			return FALSE;
		if (!a->failed && !a->q->changed_identity)
			asked_send_rest (a);
		if (!imap_session_settle (all->s, FOLDERS_IN_FLIGHT, error))
			return FALSE;
	}
	return imap_session_settle (all->s, 0, error);
}

static gboolean
inquiry_select (Inquiry *all, GError **error)
{
	gboolean esearch = imap_session_can (all->s, "ESEARCH");
	for (guint i = 0; i < all->n; i++) {
		Asked *a = &all->asked[i];
		if (a->done)
			continue;
		asked_reset (a);
		g_clear_pointer (&a->q->canary_evidence, g_array_unref);
		a->q->canaries_told = FALSE;
		a->all_uids = a->all_states = FALSE;
		asked_send_select (a);
		asked_send_canaries (a);
		if (a->q->kind == QUERY_UIDS && esearch) /* needs nothing from SELECT's answer */
			asked_send_searches (a);
		if (!imap_session_settle (all->s, FOLDERS_IN_FLIGHT, error))
			return FALSE;
	}
	return imap_session_settle (all->s, 0, error);
}

static gboolean
inquiry_second_look (Inquiry *all, GError **error)
{
	for (guint i = 0; i < all->n; i++) {
		Asked *a = &all->asked[i];
		if (a->done || !asked_is_short (a))
			continue;
		asked_reset (a);
		asked_send_select (a);
		if (!imap_session_settle (all->s, 0, error))
			return FALSE;
		if (a->failed || a->q->changed_identity)
			continue;
		asked_send_rest (a);
		imap_session_send (all->s, "NOOP", asked_hear, NULL, a);
		if (!imap_session_settle (all->s, 0, error))
			return FALSE;
		if (asked_is_short (a))
			error_fail (&a->q->error, ERROR_REFUSED, "the server says that folder '%s' has %u messages and names only some of them", a->q->name,
			            a->at_select);
	}
	return TRUE;
}

static gboolean
query_once (ImapEndpoint *e, Asked *asked, guint n, GError **error)
{
	Inquiry all = {e, endpoint_session (e, error), asked, n, NULL};
	if (!all.s)
		return FALSE;
	imap_session_enable (all.s);
	for (guint i = 0; i < n; i++)
		asked[i].inquiry = &all;
	if (!inquiry_select (&all, error) || !inquiry_rest (&all, error) || !inquiry_second_look (&all, error))
		return FALSE;
	for (guint i = 0; i < n; i++)
		if (!asked[i].done)
			asked_finish (&asked[i]);
	return TRUE;
}

gboolean
imap_query (Endpoint *endpoint, FolderQuery *queries, guint n, GError **error)
{
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	g_autofree Asked *asked = g_new0 (Asked, MAX (n, 1));
	g_autoptr (GError) local = NULL;
	for (guint i = 0; i < n; i++) {
		asked[i].q = &queries[i];
	}
	for (guint tries = 0; n > 0 && !query_once (e, asked, n, &local);)
		if (!endpoint_retry (e, &tries, &local)) {
			g_propagate_error (error, g_steal_pointer (&local));
			return FALSE;
		}
	return TRUE;
}
