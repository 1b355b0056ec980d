/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: commands queued, their answers found by tag, untagged responses offered to the open commands from the oldest on.
 *
 * RFC 9051 5.5 lets a server work on several commands at a time where the outcome can't differ. Dovecot holds back the tagged answers
 * of all commands it found in its input, so the oldest open command is not always the one that a response belongs to. */
#include "imap-private.h"
#include "imap-session-private.h"
#include <string.h>

#define TAG_PREFIX "o"
#define TURN_MS 10000 /* silence is looked at so often */

int imap_silence_ms = 120000;

struct ImapCommand {
	guint number;
	char *what; /* first word */
	ImapUntagged untagged;
	ImapDone done;
	gpointer data;
};

static void
command_free (ImapCommand *c)
{
	g_free (c->what);
	g_free (c);
}

void
imap_answer_clear (ImapAnswer *a)
{
	g_clear_pointer (&a->code, g_free);
	g_clear_pointer (&a->args, g_free);
	g_clear_pointer (&a->text, g_free);
	a->outcome = IMAP_OPEN;
}

gboolean
imap_answer_is_temporary (const ImapAnswer *a)
{
	return a->outcome == IMAP_NO && (strcmp (a->code, "UNAVAILABLE") == 0 || strcmp (a->code, "INUSE") == 0);
}

gboolean
imap_answer_said (const ImapAnswer *a, GError **error)
{
	static const struct {
		const char *code;
		OutpostError error;
	} codes[] = {
		{"UNAVAILABLE", ERROR_UNAVAILABLE},        {"INUSE", ERROR_UNAVAILABLE},
		{"NONEXISTENT", ERROR_NOT_FOUND},          {"TRYCREATE", ERROR_NOT_FOUND},
		{"ALREADYEXISTS", ERROR_EXISTS},           {"OVERQUOTA", ERROR_OVER_QUOTA},
		{"TOOBIG", ERROR_TOO_BIG},                 {"NOPERM", ERROR_NO_PERMISSION},
		{"AUTHENTICATIONFAILED", ERROR_NO_PERMISSION}, {"AUTHORIZATIONFAILED", ERROR_NO_PERMISSION},
		{"EXPIRED", ERROR_NO_PERMISSION},          {"PRIVACYREQUIRED", ERROR_NO_PERMISSION},
	};
	OutpostError code = ERROR_REFUSED;
	for (guint i = 0; i < G_N_ELEMENTS (codes); i++)
		if (strcmp (codes[i].code, a->code) == 0)
			code = codes[i].error;
	return error_fail (error, code, "the server said: %s", *a->text ? a->text : a->outcome == IMAP_BAD ? "BAD" : "NO");
}

gboolean
imap_answer_fail (const ImapAnswer *a, GError **error, const char *what, ...)
{
	va_list args;
	va_start (args, what);
	g_autofree char *thing = g_strdup_vprintf (what, args);
	va_end (args);
	(void) imap_answer_said (a, error);
	g_prefix_error (error, "%s: ", thing);
	return FALSE;
}

NetConn *
imap_session_conn (ImapSession *s)
{
	return s->conn;
}

const char *
imap_session_capabilities (const ImapSession *s)
{
	return s->capability_text->str;
}

const char *
imap_session_software (const ImapSession *s)
{
	return s->software;
}

const ImapServer *
imap_session_server (const ImapSession *s)
{
	return s->server.id ? &s->server : NULL;
}

gboolean
imap_session_can (const ImapSession *s, const char *capability)
{
	return g_hash_table_contains (s->capabilities, capability);
}

gboolean
imap_session_is_rev2_only (const ImapSession *s)
{
	return imap_session_can (s, "IMAP4REV2") && !imap_session_can (s, "IMAP4REV1");
}

static gboolean
enable_answered (gpointer data, const ImapAnswer *a, GError **error)
{
	((ImapSession *) data)->enable_refused = a->outcome != IMAP_OK;
	return TRUE;
}

void
imap_session_enable (ImapSession *s)
{
	if (s->enabled || !imap_session_can (s, "ENABLE") || !imap_session_has_condstore (s))
		return;
	s->enabled = TRUE;
	imap_session_send (s, imap_session_can (s, "QRESYNC") ? "ENABLE QRESYNC" : "ENABLE CONDSTORE", NULL, enable_answered, s);
}

gboolean
imap_session_has_condstore (const ImapSession *s)
{
	return imap_session_can (s, "CONDSTORE") || imap_session_can (s, "QRESYNC");
}

gboolean
imap_session_has_qresync (const ImapSession *s)
{
	return s->enabled && !s->enable_refused && imap_session_can (s, "QRESYNC");
}

guint64
imap_session_append_limit (const ImapSession *s)
{
	GHashTableIter it;
	gpointer name;
	g_hash_table_iter_init (&it, s->capabilities);
	while (g_hash_table_iter_next (&it, &name, NULL))
		if (g_str_has_prefix (name, "APPENDLIMIT="))
			return g_ascii_strtoull ((char *) name + strlen ("APPENDLIMIT="), NULL, 10);
	return G_MAXUINT64;
}

gboolean
imap_session_is_dead (const ImapSession *s)
{
	return s->broken || s->bye || net_conn_at_end (s->conn);
}

EndpointTraffic
imap_session_traffic (const ImapSession *s)
{
	NetStats n = net_conn_stats (s->conn);
	return (EndpointTraffic) {n.wire_in, n.wire_out, (guint) (n.flights - MIN (n.flights, s->log_on_flights))};
}

guint
imap_session_open_commands (const ImapSession *s)
{
	return s->commands.length;
}

const char *
imap_session_current (const ImapSession *s)
{
	ImapCommand *c = g_queue_peek_head ((GQueue *) &s->commands);
	return c ? c->what : NULL;
}

void
imap_session_set_observer (ImapSession *s, ImapObserver observer, gpointer data)
{
	s->observer = observer;
	s->observer_data = data;
}

void
imap_session_set_silence (ImapSession *s, int ms)
{
	s->silence_ms = ms < 0 ? imap_silence_ms : ms;
	s->last_heard = g_get_monotonic_time ();
}

gint64
imap_session_last_heard (const ImapSession *s)
{
	return s->last_heard;
}

gboolean
imap_session_take_continuation (ImapSession *s)
{
	gboolean had = s->continuations > 0;
	if (had)
		s->continuations--;
	return had;
}

/* Which folder a command of these words leaves open. */
static void
session_note_opened (ImapSession *s, const char *text)
{
	gboolean opens = g_str_has_prefix (text, "SELECT ") || g_str_has_prefix (text, "EXAMINE ");
	if (!opens && strcmp (text, "CLOSE") != 0 && strcmp (text, "UNSELECT") != 0)
		return;
	g_free (s->opened);
	s->opened = opens ? g_strdup (strchr (text, ' ') + 1) : NULL;
	s->selected_validity = 0;
	s->selected_writable = FALSE;
}

const char *
imap_session_opened (const ImapSession *s)
{
	return s->opened;
}

guint32
imap_session_selected_validity (const ImapSession *s)
{
	return s->selected_validity;
}

void
imap_session_note_selected (ImapSession *s, guint32 uidvalidity, gboolean writable)
{
	s->selected_validity = uidvalidity;
	s->selected_writable = writable;
}

gboolean
imap_session_is_writable (const ImapSession *s)
{
	return s->selected_writable;
}

void
imap_session_begin (ImapSession *s, const char *text, ImapUntagged untagged, ImapDone done, gpointer data)
{
	ImapCommand *c = g_new0 (ImapCommand, 1);
	c->number = ++s->last_tag;
	c->what = g_strndup (text, strcspn (text, " "));
	c->untagged = untagged;
	c->done = done;
	c->data = data;
	session_note_opened (s, text);
	char tag[16];
	net_conn_write (s->conn, tag, g_snprintf (tag, sizeof tag, TAG_PREFIX "%u ", c->number));
	net_conn_write (s->conn, text, strlen (text));
	if (g_queue_is_empty (&s->commands))
		s->last_heard = g_get_monotonic_time ();
	g_queue_push_tail (&s->commands, c);
}

guint
imap_session_last_number (const ImapSession *s)
{
	return s->last_tag;
}

gboolean
imap_session_is_search_of (const ImapResponse *r, guint number)
{
	char tag[16];
	g_snprintf (tag, sizeof tag, TAG_PREFIX "%u", number);
	Slice told = reply_is (r, "ESEARCH") ? reply_esearch_tag (r) : (Slice) {0};
	return reply_is (r, "ESEARCH") && (told.size == 0 || slice_equals_ascii_case (told, tag));
}

void
imap_session_send (ImapSession *s, const char *text, ImapUntagged untagged, ImapDone done, gpointer data)
{
	imap_session_begin (s, text, untagged, done, data);
	net_conn_write (s->conn, "\r\n", 2);
}

gboolean
session_break (ImapSession *s, GError **error)
{
	s->broken = TRUE;
	if (s->bye)
		return error_fail (error, ERROR_TEMPORARY, "the server %s ended the session: %s", net_conn_name (s->conn), s->bye);
	return net_conn_fail_at_end (s->conn, error);
}

static GList *
command_by_number (ImapSession *s, guint number)
{
	for (GList *l = s->commands.head; l; l = l->next)
		if (((ImapCommand *) l->data)->number == number)
			return l;
	return NULL;
}

/* The tagged answer @a with number @number. */
gboolean
session_answered (ImapSession *s, guint number, const ImapAnswer *a, GError **error)
{
	GList *link = command_by_number (s, number);
	if (!link) {
		s->broken = TRUE;
		return error_fail (error, ERROR_PROTOCOL, "the server %s answered a command that was not sent", net_conn_name (s->conn));
	}
	ImapCommand *c = link->data;
	g_queue_delete_link (&s->commands, link);
	gboolean ok = !c->done || c->done (c->data, a, error);
	command_free (c);
	return ok;
}

static gboolean
command_opens_folder (const ImapCommand *c)
{
	return strcmp (c->what, "SELECT") == 0 || strcmp (c->what, "EXAMINE") == 0;
}

gboolean
session_untagged (ImapSession *s, const ImapResponse *r, GError **error)
{
	if (s->observer)
		s->observer (s->observer_data, r);
	for (GList *l = s->commands.head; l; l = l->next) {
		ImapCommand *c = l->data;
		if (l->prev && command_opens_folder (c))
			break;
		ImapHeard heard = c->untagged ? c->untagged (c->data, r, error) : IMAP_PASSED;
		if (heard != IMAP_PASSED)
			return heard == IMAP_TAKEN;
		if (command_opens_folder (c))
			break;
	}
	return TRUE;
}

static gboolean
session_read (ImapSession *s, gboolean *got, GError **error)
{
	gsize before = net_conn_input (s->conn).size;
	if (!net_conn_read (s->conn, error)) {
		s->broken = TRUE;
		return FALSE;
	}
	if (net_conn_input (s->conn).size == before && !net_conn_at_end (s->conn))
		return TRUE;
	*got = TRUE;
	s->last_heard = g_get_monotonic_time ();
	if (!session_parse (s, error)) {
		/* what else was under way on this connection can't be told apart any more */
		s->broken = TRUE;
		return FALSE;
	}
	return !net_conn_at_end (s->conn) || session_break (s, error);
}

static gboolean
session_check_silence (ImapSession *s, GError **error)
{
	guint64 sent = net_conn_stats (s->conn).wire_out;
	if (sent != s->last_sent)
		s->last_heard = g_get_monotonic_time ();
	s->last_sent = sent;
	if (g_queue_is_empty (&s->commands) || !s->silence_ms ||
	    g_get_monotonic_time () - s->last_heard < s->silence_ms * G_GINT64_CONSTANT (1000))
		return TRUE;
	s->broken = TRUE;
	return error_fail (error, ERROR_TEMPORARY, "the server %s has not answered for %d seconds", net_conn_name (s->conn),
	                   s->silence_ms / 1000);
}

gboolean
imap_sessions_turn (ImapSession **sessions, guint n, struct pollfd *extra, guint n_extra, int timeout_ms, gboolean *got_out,
                    GError **error)
{
	NetConn *conns[IMAP_CONNECTIONS_LIMIT] = {NULL};
	g_assert (n <= G_N_ELEMENTS (conns));
	Cancel *cancel = NULL;
	int turn_ms = MIN (TURN_MS, imap_silence_ms);
	gboolean got = FALSE;
	for (guint i = 0; i < n; i++) {
		conns[i] = sessions[i] ? sessions[i]->conn : NULL;
		cancel = sessions[i] ? sessions[i]->cancel : cancel;
	}
	if (net_wait (conns, n, extra, n_extra, timeout_ms < 0 ? turn_ms : MIN (timeout_ms, turn_ms), cancel, error) < 0)
		return FALSE;
	for (guint i = 0; i < n; i++)
		if (sessions[i] && (!session_read (sessions[i], &got, error) || !session_check_silence (sessions[i], error)))
			return FALSE;
	if (got_out)
		*got_out = got;
	return TRUE;
}

gboolean
imap_session_settle (ImapSession *s, guint commands, GError **error)
{
	while (g_queue_get_length (&s->commands) > commands)
		if (!imap_sessions_turn (&s, 1, NULL, 0, -1, NULL, error))
			return FALSE;
	return TRUE;
}

static gboolean
answer_keep (gpointer data, const ImapAnswer *a, GError **error)
{
	ImapAnswer *kept = data;
	*kept = (ImapAnswer) {a->outcome, g_strdup (a->code), g_strdup (a->args), g_strdup (a->text)};
	return TRUE;
}

/* A command whose untagged responses and answer have different owners. */
typedef struct {
	ImapUntagged untagged;
	gpointer data;
	ImapAnswer *answer;
} Run;

static ImapHeard
run_untagged (gpointer data, const ImapResponse *r, GError **error)
{
	Run *run = data;
	return run->untagged ? run->untagged (run->data, r, error) : IMAP_PASSED;
}

static gboolean
run_done (gpointer data, const ImapAnswer *a, GError **error)
{
	return answer_keep (((Run *) data)->answer, a, error);
}

gboolean
imap_session_run (ImapSession *s, const char *text, ImapUntagged untagged, gpointer data, ImapAnswer *answer_out, GError **error)
{
	Run run = {untagged, data, answer_out};
	imap_session_send (s, text, run_untagged, run_done, &run);
	return imap_session_settle (s, 0, error);
}

gboolean
imap_session_start_deflate (ImapSession *s, GError **error)
{
	g_auto (ImapAnswer) answer = {0};
	if (net_conn_is_deflated (s->conn) || !imap_session_can (s, "COMPRESS=DEFLATE"))
		return TRUE;
	return imap_session_run (s, "COMPRESS DEFLATE", NULL, NULL, &answer, error) &&
	       (answer.outcome != IMAP_OK || net_conn_start_deflate (s->conn, error));
}

void
imap_session_logout (ImapSession *s)
{
	for (GList *l = s->commands.head; l; l = l->next)
		if (strcmp (((ImapCommand *) l->data)->what, "ID") != 0 && strcmp (((ImapCommand *) l->data)->what, "GETMETADATA") != 0)
			return; /* for the answers of those nobody waits */
	if (imap_session_is_dead (s))
		return;
	imap_session_send (s, "LOGOUT", NULL, NULL, NULL);
	net_conn_flush (s->conn, NULL);
}

void
imap_session_free (ImapSession *s)
{
	if (!s)
		return;
	g_queue_clear_full (&s->commands, (GDestroyNotify) command_free);
	session_parser_clear (s);
	net_conn_free (s->conn);
	g_hash_table_unref (s->capabilities);
	g_string_free (s->capability_text, TRUE);
	g_string_free (s->trace_in, TRUE);
	g_string_free (s->trace_out, TRUE);
	g_free (s->software);
	g_free (s->server.id);
	g_free (s->server.name);
	g_free (s->server.site);
	g_strfreev (s->server.addresses);
	g_free (s->greeting);
	g_free (s->opened);
	g_free (s->bye);
	g_free (s);
}
