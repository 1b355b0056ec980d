/* SPDX-License-Identifier: Apache-2.0 */
/* Folders made, renamed and removed at the home. What a bare NO means is settled by listing the folder in the same flight, so every
 * call may be repeated after a lost connection. Subscriptions go along: a server leaves them alone (RFC 9051 6.3.5, 6.3.6). */
#include "imap-private.h"
#include <string.h>

typedef struct {
	const char *name;
	const NameSpace *space; /* NULL: only this name counts */
	gboolean there;
	char *listed; /* owned; NULL: as @name */
} Presence;

static void
presence_clear (Presence *p)
{
	g_free (p->listed);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Presence, presence_clear)

static gboolean
has_attribute (const ImapResponse *r, const char *attribute)
{
	for (const ImapNode *n = node_first (reply_arg (r, 0)); n; n = node_next (n))
		if (slice_equals_ascii_case (node_text (n), attribute))
			return TRUE;
	return FALSE;
}

/* A folder that LIST tells of only because others lie below it, or because it is subscribed, is not there. */
static ImapHeard
presence_hear (gpointer data, const ImapResponse *r, GError **error)
{
	Presence *p = data;
	if (!reply_is (r, "LIST"))
		return IMAP_PASSED;
	Slice name = reply_text (r, 2);
	gboolean same = slice_equals (name, p->name) || (g_ascii_strcasecmp (p->name, "INBOX") == 0 && slice_equals_ascii_case (name, "INBOX"));
	g_autofree char *listed = !same && p->space && !p->there ? slice_dup (name) : NULL;
	if (!same && !(listed && folder_names_fold (p->space, listed, p->name)))
		return IMAP_PASSED;
	g_free (p->listed);
	p->listed = g_steal_pointer (&listed);
	p->there = !has_attribute (r, "\\NonExistent") && !has_attribute (r, "\\NoSelect");
	return IMAP_TAKEN;
}

static gboolean
answer_keep (gpointer data, const ImapAnswer *a, GError **error)
{
	ImapAnswer *kept = data;
	imap_answer_clear (kept);
	*kept = (ImapAnswer) {a->outcome, g_strdup (a->code), g_strdup (a->args), g_strdup (a->text)};
	return TRUE;
}

static void
send_named (ImapSession *s, const char *word, const char *name, const char *behind, ImapUntagged untagged, ImapDone done, gpointer data)
{
	g_autoptr (GString) text = g_string_new (word);
	text_add_name (text, name);
	g_string_append (text, behind);
	imap_session_send (s, text->str, untagged, done, data);
}

static void
send_presence (ImapSession *s, Presence *p)
{
	send_named (s, "LIST \"\" ", p->name, "", presence_hear, NULL, p);
}

static gboolean
learn_space (ImapEndpoint *e, ImapSession *s, GError **error)
{
	return e->space_known || (endpoint_learn_space (e, s, error) && imap_session_settle (s, 0, error));
}

/* A name at the top was refused, by a server that has all folders below INBOX: from now on they go there. */
static gboolean
goes_below_inbox (ImapEndpoint *e, const char *parent, const ImapAnswer *answer)
{
	NameSpace *space = &e->space;
	if (parent || space->below_inbox || !space->all_below_inbox || !space->delimiter || answer->outcome != IMAP_NO || imap_answer_is_temporary (answer) ||
	    strcmp (answer->code, "ALREADYEXISTS") == 0)
		return FALSE;
	space->below_inbox = TRUE;
	return TRUE;
}

/* ---- Creating ---- */

typedef struct {
	const char *parent, *leaf, *role;
	char *name;
} CreateCall;

static gboolean
create_named (ImapSession *s, CreateCall *call, const char *attribute, ImapAnswer *answer, Presence *p, GError **error)
{
	g_autofree char *use = attribute ? g_strdup_printf (" (USE (%s))", attribute) : g_strdup ("");
	send_named (s, "CREATE ", call->name, use, NULL, answer_keep, answer);
	send_named (s, "SUBSCRIBE ", call->name, "", NULL, NULL, NULL);
	send_presence (s, p);
	return imap_session_settle (s, 0, error);
}

static gboolean
create_attempt (ImapEndpoint *e, gpointer data, guint tries, GError **error)
{
	CreateCall *call = data;
	g_auto (ImapAnswer) answer = {0};
	ImapSession *s = endpoint_session (e, error);
	if (!s || !learn_space (e, s, error))
		return FALSE;
	g_free (call->name);
	call->name = folder_wire_name (&e->space, call->parent, call->leaf, error);
	if (!call->name)
		return FALSE;
	g_auto (Presence) p = {call->name, &e->space};
	const char *attribute = call->role && imap_session_can (s, "CREATE-SPECIAL-USE") ? role_attribute (call->role) : NULL;
	if (!create_named (s, call, attribute, &answer, &p, error))
		return FALSE;
	/* the use is taken, or not given to this client: the folder matters more */
	if (attribute && answer.outcome != IMAP_OK && !p.there && !imap_answer_is_temporary (&answer) &&
	    !create_named (s, call, NULL, &answer, &p, error))
		return FALSE;
	if (answer.outcome == IMAP_OK || strcmp (answer.code, "ALREADYEXISTS") == 0 || (p.there && !imap_answer_is_temporary (&answer))) {
		if (p.listed) {
			g_free (call->name);
			call->name = g_steal_pointer (&p.listed);
		}
		return TRUE;
	}
	if (goes_below_inbox (e, call->parent, &answer))
		return create_attempt (e, data, tries, error);
	return imap_answer_said (&answer, error);
}

gboolean
imap_folder_create (Endpoint *endpoint, const char *parent, const char *leaf, const char *role, char **name_out, GError **error)
{
	CreateCall call = {parent, leaf, role, NULL};
	gboolean ok = endpoint_try ((ImapEndpoint *) endpoint, create_attempt, &call, error);
	if (ok)
		*name_out = g_steal_pointer (&call.name);
	g_free (call.name);
	return ok;
}

/* ---- Renaming ---- */

typedef struct {
	const char *name, *new_parent, *new_leaf;
	char *new_name;
	char delimiter;
	GPtrArray *subscribed; /* wire names, the folder's own and those below */
} RenameCall;

static ImapHeard
subscribed_hear (gpointer data, const ImapResponse *r, GError **error)
{
	RenameCall *call = data;
	if (!reply_is (r, "LSUB") && !(reply_is (r, "LIST") && has_attribute (r, "\\Subscribed")))
		return IMAP_PASSED;
	g_autofree char *name = slice_dup (reply_text (r, 2));
	gsize size = strlen (call->name);
	if (strncmp (name, call->name, size) == 0 && (name[size] == '\0' || (call->delimiter && name[size] == call->delimiter)))
		g_ptr_array_add (call->subscribed, g_steal_pointer (&name));
	return IMAP_TAKEN;
}

static void
send_subscribed (ImapSession *s, RenameCall *call)
{
	gboolean extended = imap_session_can (s, "LIST-EXTENDED");
	const char *word = extended ? "LIST (SUBSCRIBED) \"\" " : "LSUB \"\" ";
	g_autofree char *below = g_strdup_printf ("%s%c*", call->name, call->delimiter);
	send_named (s, word, call->name, "", subscribed_hear, NULL, call);
	if (call->delimiter)
		send_named (s, word, below, "", subscribed_hear, NULL, call);
}

static gboolean
move_subscriptions (ImapSession *s, RenameCall *call, GError **error)
{
	for (guint i = 0; i < call->subscribed->len; i++) {
		const char *old = call->subscribed->pdata[i];
		g_autofree char *new = g_strconcat (call->new_name, old + strlen (call->name), NULL);
		send_named (s, "SUBSCRIBE ", new, "", NULL, NULL, NULL);
		send_named (s, "UNSUBSCRIBE ", old, "", NULL, NULL, NULL);
		if (!imap_session_settle (s, 50, error))
			return FALSE;
	}
	return imap_session_settle (s, 0, error);
}

/* Servers may refuse to rename or delete what is open, or end the sessions that have it open: nothing stays so at or below @name. */
static void
leave_folder (ImapEndpoint *e, const char *name)
{
	g_autoptr (GString) quoted = g_string_new (NULL);
	text_add_name (quoted, name);
	g_string_truncate (quoted, quoted->len - 1);
	for (guint i = 0; i < IMAP_CONNECTIONS_LIMIT; i++) {
		ImapSession *s = e->sessions[i];
		const char *opened = s ? imap_session_opened (s) : NULL;
		if (!opened || !g_str_has_prefix (opened, quoted->str))
			continue;
		if (i > 0)
			endpoint_session_drop (e, i);
		else /* CLOSE would expunge */
			imap_session_send (s, imap_session_can (s, "UNSELECT") ? "UNSELECT" : "EXAMINE \"INBOX\"", NULL, NULL, NULL);
	}
}

static void
rename_answered (ImapAnswer *answer, const Presence *from, const Presence *to, guint tries)
{
	if (answer->outcome == IMAP_OK || !to->there || imap_answer_is_temporary (answer))
		return;
	/* the answer to an earlier attempt was lost */
	if (tries > 0 && !from->there)
		answer->outcome = IMAP_OK;
	/* servers say so without a code (Cyrus 3.6) */
	else if (from->there && *answer->code == '\0') {
		g_free (answer->code);
		answer->code = g_strdup ("ALREADYEXISTS");
	}
}

static gboolean
rename_attempt (ImapEndpoint *e, gpointer data, guint tries, GError **error)
{
	RenameCall *call = data;
	g_auto (ImapAnswer) answer = {0};
	ImapSession *s = endpoint_session (e, error);
	if (!s || !learn_space (e, s, error))
		return FALSE;
	call->delimiter = e->space.delimiter;
	g_free (call->new_name);
	call->new_name = folder_wire_name (&e->space, call->new_parent, call->new_leaf, error);
	if (!call->new_name)
		return FALSE;
	leave_folder (e, call->name);
	if (strcmp (call->name, call->new_name) == 0)
		return TRUE;
	g_ptr_array_set_size (call->subscribed, 0);
	Presence from = {call->name}, to = {call->new_name};
	send_subscribed (s, call);
	g_autoptr (GString) text = g_string_new ("RENAME ");
	text_add_name (text, call->name);
	g_string_append_c (text, ' ');
	text_add_name (text, call->new_name);
	imap_session_send (s, text->str, NULL, answer_keep, &answer);
	send_presence (s, &from);
	send_presence (s, &to);
	if (!imap_session_settle (s, 0, error))
		return FALSE;
	rename_answered (&answer, &from, &to, tries);
	if (answer.outcome == IMAP_OK)
		return move_subscriptions (s, call, error);
	if (goes_below_inbox (e, call->new_parent, &answer))
		return rename_attempt (e, data, tries, error);
	return imap_answer_said (&answer, error);
}

gboolean
imap_folder_rename (Endpoint *endpoint, const char *name, const char *new_parent, const char *new_leaf, char **name_out, GError **error)
{
	if (g_ascii_strcasecmp (name, "INBOX") == 0) /* RFC 9051 6.3.6: it would move the messages and leave an empty one */
		return error_fail (error, ERROR_REFUSED, "it is the inbox");
	g_autoptr (GPtrArray) subscribed = g_ptr_array_new_with_free_func (g_free);
	RenameCall call = {.name = name, .new_parent = new_parent, .new_leaf = new_leaf, .subscribed = subscribed};
	gboolean ok = endpoint_try ((ImapEndpoint *) endpoint, rename_attempt, &call, error);
	if (ok)
		*name_out = g_steal_pointer (&call.new_name);
	g_free (call.new_name);
	return ok;
}

/* ---- Removing ---- */

static gboolean
delete_attempt (ImapEndpoint *e, gpointer data, guint tries, GError **error)
{
	const char *name = data;
	g_auto (ImapAnswer) answer = {0};
	Presence p = {name};
	ImapSession *s = endpoint_session (e, error);
	if (!s)
		return FALSE;
	leave_folder (e, name);
	send_named (s, "DELETE ", name, "", NULL, answer_keep, &answer);
	send_presence (s, &p);
	if (!imap_session_settle (s, 0, error))
		return FALSE;
	gboolean gone = answer.outcome == IMAP_OK || strcmp (answer.code, "NONEXISTENT") == 0 || (answer.outcome == IMAP_NO && !p.there);
	if (!gone || imap_answer_is_temporary (&answer))
		return imap_answer_said (&answer, error);
	send_named (s, "UNSUBSCRIBE ", name, "", NULL, NULL, NULL);
	return imap_session_settle (s, 0, error);
}

gboolean
imap_folder_delete (Endpoint *endpoint, const char *name, GError **error)
{
	if (g_ascii_strcasecmp (name, "INBOX") == 0)
		return error_fail (error, ERROR_REFUSED, "it is the inbox");
	return endpoint_try ((ImapEndpoint *) endpoint, delete_attempt, (gpointer) name, error);
}
