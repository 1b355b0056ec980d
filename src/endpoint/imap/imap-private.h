/* SPDX-License-Identifier: Apache-2.0 */
/* For this folder's own use: one connection (ImapSession), and the endpoint that has some of them. */
#pragma once
#include "endpoint.h"
#include "imap-endpoint.h"
#include "imap-names.h"
#include "imap-reply.h"
#include "imap-states.h"
#include "net-conn.h"

/* For tests, which have less time: silence of a server that counts as the connection's end; pause between tries. */
extern int imap_silence_ms, imap_retry_pause_ms;

typedef struct ImapSession ImapSession;
typedef struct ImapCommand ImapCommand;

typedef enum { IMAP_OPEN, IMAP_OK, IMAP_NO, IMAP_BAD } ImapOutcome;

/* The tagged answer. @code is the response code's atom in upper case ("TRYCREATE"), @args the text behind it; "" if there is none. */
typedef struct {
	ImapOutcome outcome;
	char *code, *args, *text;
} ImapAnswer;
void imap_answer_clear (ImapAnswer *a);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ImapAnswer, imap_answer_clear)
/* Sets what a NO or BAD means by its response code (RFC 5530); @what names the thing. Returns FALSE. */
gboolean imap_answer_fail (const ImapAnswer *a, GError **error, const char *what, ...) G_GNUC_PRINTF (3, 4);
gboolean imap_answer_said (const ImapAnswer *a, GError **error); /* the same; the caller's caller names the thing */
gboolean imap_answer_is_temporary (const ImapAnswer *a);

/* Sees the untagged responses that no older open command has taken. Several commands may be answered before the first of them gets
 * its tagged answer (Dovecot does so with all that it finds in its input), so a handler takes what is its own and passes the rest on;
 * what comes before the answer to a SELECT or EXAMINE is not shown to the commands behind it. IMAP_FAILED ends the call (not for a
 * server's mistakes that can be passed over). */
typedef enum { IMAP_FAILED, IMAP_PASSED, IMAP_TAKEN } ImapHeard;
typedef ImapHeard (*ImapUntagged) (gpointer data, const ImapResponse *r, GError **error);
typedef void (*ImapObserver) (gpointer data, const ImapResponse *r);
/* Sees the tagged answer. */
typedef gboolean (*ImapDone) (gpointer data, const ImapAnswer *a, GError **error);

/* Connects, logs on. @known: capability text of the last run, or NULL. */
ImapSession *imap_session_open (const ImapSettings *settings, const char *known, Cancel *cancel, GError **error);
void imap_session_free (ImapSession *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ImapSession, imap_session_free)
/* Sends LOGOUT without waiting for its answer. */
void imap_session_logout (ImapSession *s);

gboolean imap_session_can (const ImapSession *s, const char *capability);
/* IMAP4rev2 without IMAP4rev1: names of folders are UTF-8. */
gboolean imap_session_is_rev2_only (const ImapSession *s);
/* Sends ENABLE once a session, if it is worth it; nothing waits. */
void imap_session_enable (ImapSession *s);
gboolean imap_session_has_condstore (const ImapSession *s);
gboolean imap_session_has_qresync (const ImapSession *s); /* enabled, or not yet refused */
const char *imap_session_capabilities (const ImapSession *s);
const char *imap_session_software (const ImapSession *s);
const ImapServer *imap_session_server (const ImapSession *s);
NetConn *imap_session_conn (ImapSession *s);
EndpointTraffic imap_session_traffic (const ImapSession *s);

/* Queues "TAG @text CRLF"; nothing waits. Handlers may be NULL. */
void imap_session_send (ImapSession *s, const char *text, ImapUntagged untagged, ImapDone done, gpointer data);
/* Is @r the ESEARCH of the command with this number? One without a tag is the oldest open command's. */
gboolean imap_session_is_search_of (const ImapResponse *r, guint number);
/* The number of the command that was sent last, for the above. */
guint imap_session_last_number (const ImapSession *s);
/* For commands in pieces: begin, then write any octets through imap_session_conn. The command's first piece is @text, without CRLF. */
void imap_session_begin (ImapSession *s, const char *text, ImapUntagged untagged, ImapDone done, gpointer data);
/* The last SELECT's or EXAMINE's argument as it was sent, NULL after CLOSE, UNSELECT and at first. */
const char *imap_session_opened (const ImapSession *s);
/* UIDVALIDITY of the folder that endpoint_select has selected and that still is; 0 none. */
guint32 imap_session_selected_validity (const ImapSession *s);
void imap_session_note_selected (ImapSession *s, guint32 uidvalidity, gboolean writable);
gboolean imap_session_is_writable (const ImapSession *s);
/* Commands without their tagged answer. */
guint imap_session_open_commands (const ImapSession *s);
/* TRUE once a continuation request has arrived; it is then taken. */
gboolean imap_session_take_continuation (ImapSession *s);
/* Sends, waits for input of one of @n sessions at most @timeout_ms, and handles all that came. *got_out (may be NULL): something
 * came. A connection that ended, said BYE or was silent too long with a command open is TEMPORARY. */
gboolean imap_sessions_turn (ImapSession **sessions, guint n, struct pollfd *extra, guint n_extra, int timeout_ms, gboolean *got_out,
                             GError **error);
/* Turns until at most @commands are open. */
gboolean imap_session_settle (ImapSession *s, guint commands, GError **error);
/* Sends one command and waits for its answer. */
gboolean imap_session_run (ImapSession *s, const char *text, ImapUntagged untagged, gpointer data, ImapAnswer *answer_out, GError **error);
/* Sees every untagged response before its command does, and those that no command takes. NULL: nobody. */
void imap_session_set_observer (ImapSession *s, ImapObserver observer, gpointer data);
/* First word of the oldest open command, NULL if none is open. */
const char *imap_session_current (const ImapSession *s);
/* How long the server may be silent with a command open before the connection counts as dead; 0: for ever (IDLE), -1: as at first. */
void imap_session_set_silence (ImapSession *s, int ms);
gint64 imap_session_last_heard (const ImapSession *s); /* monotonic, microseconds */
gboolean imap_session_start_deflate (ImapSession *s, GError **error);
gboolean imap_session_is_dead (const ImapSession *s);
/* The server's limit for one appended message, G_MAXUINT64: none (RFC 7889). */
guint64 imap_session_append_limit (const ImapSession *s);

/* The endpoint. */
#define IMAP_CONNECTIONS_LIMIT 16
typedef struct {
	Endpoint base;
	ImapSettings settings; /* strings owned */
	char *known;
	char *software;
	Cancel *cancel; /* borrowed, of open */
	ImapSession *sessions[IMAP_CONNECTIONS_LIMIT]; /* the first is the one that all but fetch and watch use */
	guint n_sessions;
	EndpointTraffic past; /* of sessions that are gone */
	NameSpace space;
	guint shared; /* selectable folders outside the personal namespaces, as last listed */
	gboolean space_known;
	gint64 further_failed; /* monotonic; 0 never */
	/* watch */
	gboolean notify_on, notify_refused, idle_refused;
	gboolean tree_changed;    /* heard since the last list */
	gint64 refresh_ms;        /* an idle connection speaks this often */
	GHashTable *folder_marks; /* name -> FolderMark, see imap-watch.c */
} ImapEndpoint;

/* The first session, connected if need be. NULL with an error. */
ImapSession *endpoint_session (ImapEndpoint *e, GError **error);
/* A further one for fetch or watch; NULL without error if the server or the settings allow no more. */
ImapSession *endpoint_session_further (ImapEndpoint *e, guint i);
void endpoint_session_drop (ImapEndpoint *e, guint i);
/* After a call failed with @error: TRUE if it is worth one more try (@tries counts); the connection is then dropped, the wait done
 * and the error cleared. */
gboolean endpoint_retry (ImapEndpoint *e, guint *tries, GError **error);
/* Learns NAMESPACE if not known. */
gboolean endpoint_learn_space (ImapEndpoint *e, ImapSession *s, GError **error);

/* For watch: the state of folder @name that the caller was told by list or query. Zeroes: not known. */
typedef struct {
	guint32 messages, uidnext, uidvalidity;
	guint64 highestmodseq;
	gboolean has_messages;
} FolderState;
void endpoint_told (ImapEndpoint *e, const char *name, const FolderState *state);
/* What the server says by the way: if it is not what the caller was told, the next wait ends at once. */
void endpoint_heard (ImapEndpoint *e, const char *name, const FolderState *state);
/* The observer of every session of @endpoint. */
void endpoint_observe (gpointer endpoint, const ImapResponse *r);

/* Carries out @attempt, again after a lost connection. @tries: attempts before this one. For what may be done twice without harm. */
typedef gboolean (*EndpointAttempt) (ImapEndpoint *e, gpointer call, guint tries, GError **error);
gboolean endpoint_try (ImapEndpoint *e, EndpointAttempt attempt, gpointer call, GError **error);

/* Selects @name and waits, unless it is selected; CONFLICT if UIDVALIDITY is not @uidvalidity (0: any), NO_PERMISSION if @writing is
 * asked and the server gives it only to read. */
gboolean endpoint_select (ImapEndpoint *e, ImapSession *s, const char *name, guint32 uidvalidity, gboolean writing, GError **error);
/* Moves members of @rest to the text of a set (@text is emptied) that a command line can hold, and to *taken (may be NULL). */
void uids_take_text (UidSet *rest, GString *text, UidSet *taken);
/* " EMAILID" or what else the server calls a message's id, "" if it has none. */
const char *fetch_id_item (const ImapSession *s);
/* "(\\Seen foo)"; REFUSED if a keyword can't be said. */
gboolean text_add_flag_list (GString *text, guint flags, const char *keywords, GError **error);

/* What a FETCH response tells of size, date (0: nothing) and flags; FALSE without UID, size or flags. Contents are the caller's. */
gboolean evidence_of_fetch (const ImapResponse *r, RemoteEvidence *e_out);

gboolean imap_list (Endpoint *e, GPtrArray **folders_out, GError **error);
gboolean imap_query (Endpoint *e, FolderQuery *queries, guint n, GError **error);
gboolean imap_fetch (Endpoint *e, FetchRequest *requests, guint n, FetchSink sink, gpointer data, GError **error);
gboolean imap_evidence (Endpoint *e, const char *name, guint32 uidvalidity, const UidSet *uids, guint32 from, EvidenceLevel level,
                        GArray **evidence_out, GError **error);
gboolean imap_search_flags (Endpoint *e, const char *name, guint32 uidvalidity, FlagSearch *searches, guint n, gboolean *answered_out,
                            GError **error);
gboolean imap_append (Endpoint *e, const char *name, AppendRequest *requests, guint n, GError **error);
gboolean imap_store_flags (Endpoint *e, const char *name, guint32 uidvalidity, FlagRequest *requests, guint n, GError **error);
gboolean imap_copy (Endpoint *e, const char *from, guint32 uidvalidity, const UidSet *uids, const char *to, gboolean move,
                    GArray **pairs_out, guint32 *to_uidvalidity_out, UidSet *copied, GError **error);
gboolean imap_expunge (Endpoint *e, const char *name, guint32 uidvalidity, const UidSet *uids, UidSet *left_out, GError **error);
gboolean imap_folder_create (Endpoint *e, const char *parent, const char *leaf, const char *role, char **name_out, GError **error);
gboolean imap_folder_rename (Endpoint *e, const char *name, const char *new_parent, const char *new_leaf, char **name_out,
                             GError **error);
gboolean imap_folder_delete (Endpoint *e, const char *name, GError **error);
gboolean imap_watch (Endpoint *e, const char *const *names, guint n, gint64 timeout_ms, int wake_fd, GPtrArray **changed_out,
                     GError **error);
