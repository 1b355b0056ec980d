/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the engine share. */
#pragma once
#include "imap-command.h"
#include "imap-set.h"
#include "imap-write.h"
#include "imapd.h"
#include "store.h"

/* ---- The mailbox: connections to the store, views (imapd-mailbox.c) ---- */

/* A folder as it is at one number of the change sequence. Immutable, counted. */
typedef struct {
	gint64 folder;
	guint64 modseq; /* HIGHESTMODSEQ */
	guint32 uidvalidity, uidnext, count;
	UidSet uids;
	guint32 *before; /* messages before each range of uids */
	char **keywords; /* sorted, NULL-terminated: those in use, and those that once were since the server started */
} View;
View *view_ref (View *v);
void view_unref (View *v); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (View, view_unref)
/* Sequence number of @uid, 0 none; UID of @number, 0 none. */
guint32 view_number (const View *v, guint32 uid);
guint32 view_uid (const View *v, guint32 number);
/* Adds the UIDs of sequence numbers. */
void view_uids_of (const View *v, const UidSet *numbers, UidSet *uids_out);
/* Adds the sequence numbers of @uids, which are all the view's. */
void view_numbers_of (const View *v, const UidSet *uids, UidSet *numbers_out);
/* The @from-th to @to-th of @set, from its end where they are below 0 (RFC 9394). */
void uids_partial (const UidSet *set, gint64 from, gint64 to, UidSet *out);
/* @v with the UIDs of @uids instead; takes @uids' ranges. */
View *view_with (const View *v, UidSet *uids);

/* All folders at one number of the change sequence. Immutable, counted. */
typedef struct {
	guint64 modseq;
	GPtrArray *folders; /* of Folder */
} Tree;
void tree_unref (Tree *t); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Tree, tree_unref)
/* The newest, in a read transaction of its own. */
Tree *mailbox_tree (ImapdMailbox *m, Store *s, GError **error);

/* A connection, for one command. */
Store *mailbox_take_store (ImapdMailbox *m, GError **error);
void mailbox_give_store (ImapdMailbox *m, Store *s); /* NULL is allowed */
/* Placements of @folder that have one of @uids, by UID; as store_list_range. */
gboolean list_uids (Store *s, gint64 folder, const UidSet *uids, ListingDepth depth, ListingFn fn, gpointer data, GError **error);
/* The newest view of @folder, in a read transaction of @s that the caller has begun. NOT_FOUND. */
View *mailbox_view (ImapdMailbox *m, Store *s, gint64 folder, GError **error);
void mailbox_changed (ImapdMailbox *m);
/* The connection that changes of messages are committed on, for one at a time (imapd-commit.c sees to that). */
typedef struct CommitQueue CommitQueue;
CommitQueue *mailbox_commits (ImapdMailbox *m);
Store *mailbox_take_writer (ImapdMailbox *m, GError **error);
void mailbox_give_writer (ImapdMailbox *m, Store *s); /* NULL is allowed */
typedef struct KeysCache KeysCache; /* imapd-keys.h */
KeysCache *mailbox_keys (ImapdMailbox *m);

/* ---- Changes that share a commit (imapd-commit.c) ---- */

CommitQueue *commit_queue_new (void);
void commit_queue_free (CommitQueue *q); /* when nobody waits in it */

/* ---- The session ---- */

typedef enum { STATE_NEW, STATE_LOGGED_ON, STATE_SELECTED, STATE_RELAYED, STATE_ENDED } SessionState;
typedef enum { EXPECT_COMMAND, EXPECT_SASL, EXPECT_DONE } Expected;

typedef struct Upload Upload; /* imapd-append.c */
void upload_free (Upload *u);

typedef struct Notify Notify; /* imapd-notify.c */
void notify_free (Notify *n); /* NULL is allowed */
/* Tells what changed in other folders since it was told last. s->notify is set. */
void notify_tell (ImapdSession *s, Store *store);
/* The session leaves the folder of @v, of which the client knows what @v has: what was passed over since, as it was selected, is told by the next notify_tell. */
void notify_left (Notify *n, const View *v);
gboolean notify_has_left (const Notify *n);
/* Changes of the selected folder are to be told while no command is open; *expunge_out: removals, too. */
gboolean notify_selected (const Notify *n, gboolean *expunge_out);

struct ImapdSession {
	const ImapdSettings *settings;
	ImapdPeer peer;
	gpointer exchange; /* of settings->sasl; NULL: none goes on */
	gpointer relay;    /* of settings->relay; NULL: it is served here */
	char *originating; /* peer.address, by who is another server; NULL */
	gboolean follows;  /* the client goes where it is told */
	gboolean resumed;  /* begun at another server, and not told yet what is new since */
	ImapdMailbox *mailbox;
	ImapdSend send;
	gpointer send_data;
	ImapCommand *command;
	ImapWriter out;
	guint64 sent; /* octets of it that are gone */
	SessionState state;
	Expected expected;
	gboolean is_private, encrypted, starting_tls;
	gboolean deflated, starting_deflate; /* starting: it was agreed to, and is not taken yet */
	char *tag; /* of the command that waits for a line (AUTHENTICATE, IDLE) */
	guint refusals;
	guint pause;
	gboolean condstore, qresync, rev2, uidonly; /* enabled; out.utf8: IMAP4rev2 or UTF8=ACCEPT */

	/* selected */
	View *view;
	char *folder; /* its path then */
	gboolean read_only;
	UidSet saved; /* "$" */
	Notify *notify; /* NULL: none was asked for */

	/* of the command */
	Store *store;
	Upload *upload;
	gint64 told; /* monotonic: when its progress was told last; 0: not yet looked at */
	guint64 own_from, own_to; /* numbers of the sequence that the command took: what is told of already */
	const char *word;         /* of the answer */
	GString *code, *text;     /* empty: none, the usual one */
};

/* The command's connection; NULL, with the answer set. */
Store *session_store (ImapdSession *s);
guint64 session_message_max (const ImapdSession *s);
/* Sets the answer. Always FALSE. */
gboolean session_no (ImapdSession *s, const char *code, const char *format, ...) G_GNUC_PRINTF (3, 4);
gboolean session_bad (ImapdSession *s, const char *format, ...) G_GNUC_PRINTF (2, 3);
gboolean session_fail (ImapdSession *s, GError *error); /* takes @error */
/* Sends what is written, if it is much or @now. */
void session_flush (ImapdSession *s, gboolean now);
gboolean session_is_dead (const ImapdSession *s);
/* @done of the @total messages that the command looks at: tells the client now and then (RFC 9585), where nothing is half written. FALSE: the client is gone. */
gboolean session_progress (ImapdSession *s, guint64 done, guint64 total);
/* Between store_begin and the commit: everything done is the session's own. FALSE, rolled back, with the answer set from *@error. */
gboolean session_begin (ImapdSession *s, Store *store);
gboolean session_commit (ImapdSession *s, Store *store, gboolean ok, GError **error);
/* The same with what others do at the same time, in one transaction: @fn is run on any thread, while this one waits, on another connection, and perhaps again, after a
 * rollback. Outside a transaction; @octets: about what it adds. TRUE: it is durable. FALSE with the answer set. */
typedef gboolean (*ChangeFn) (Store *store, gpointer data, GError **error);
gboolean session_change (ImapdSession *s, guint64 octets, ChangeFn fn, gpointer data);
/* Sets the answer to a log-on that failed with @error, which it takes. */
void session_refuse_log_on (ImapdSession *s, GError *error);
/* Ends a log-on, on to @m or (NULL) with the answer that is set. */
void session_answer_log_on (ImapdSession *s, const char *tag, ImapdMailbox *m);
/* A folder's name as it came, in UTF-8; NULL: it can't be one. */
char *session_name (const ImapdSession *s, const ImapNode *n);
/* The folder of that name. NULL with the answer set; @code of the answer where there is none (TRYCREATE, NONEXISTENT). */
Folder *session_folder (ImapdSession *s, Store *store, const ImapNode *n, const char *code);
/* The same where it can be selected. */
Folder *session_selectable (ImapdSession *s, Store *store, const ImapNode *n, const char *code);
/* The UIDs of the view that @n means, as UIDs or sequence numbers. FALSE with the answer set. @set, if not NULL, gets what was written. */
gboolean session_uids (ImapdSession *s, const ImapNode *n, gboolean uid, UidSet *uids_out);
/* CONDSTORE is used from now on (RFC 7162 3.1). */
void session_use_condstore (ImapdSession *s);
void session_set_view (ImapdSession *s, View *v); /* takes @v */
void session_set_folder (ImapdSession *s, const char *path); /* NULL: none is selected any more */
void session_unselect (ImapdSession *s);
/* Tells what has changed since the view, and goes on to the newer one. @expunge: removals may be told. */
void session_announce (ImapdSession *s, Store *store, gboolean expunge);
/* BAD [UIDREQUIRED]: sequence numbers are no longer used (RFC 9586 section 3). Always FALSE. */
gboolean session_wants_uids (ImapdSession *s);
/* "* 3 FETCH (", or "* 7 UIDFETCH (" where UIDs are all that is used. FALSE, with nothing written: the view does not have it. */
gboolean session_open_fetch (ImapdSession *s, guint32 uid);
/* "* 3 FETCH (UID 7 FLAGS (...) MODSEQ (9))" */
void session_write_flags (ImapdSession *s, const Placement *p, gboolean modseq);
/* FLAGS, where there are keywords that the client was not told of. */
void session_write_known_flags (ImapdSession *s);

/* Keywords and flags of a list or a single word; FALSE with the answer set. *keywords_out is sorted. */
gboolean flags_parse (ImapdSession *s, const ImapNode *n, guint *flags_out, char **keywords_out);

/* ---- What SEARCH and SORT share (imapd-search.c) ---- */

typedef struct {
	gboolean extended, min, max, count, all, save;
	gint64 from, to; /* PARTIAL; 0: none */
} SearchReturn;
/* RETURN (...), if it stands at *@at, which then goes on. FALSE with the answer set, as all of these. */
gboolean search_take_return (ImapdSession *s, const ImapNode **at, SearchReturn *w);
gboolean search_take_charset (ImapdSession *s, const ImapNode **at); /* CHARSET and a name, if they stand there */
gboolean search_check_charset (ImapdSession *s, const ImapNode *name);
/* The UIDs of the view that the keys from @keys on find. *modseq_out: their highest number if MODSEQ was among the keys, else 0. */
gboolean search_find (ImapdSession *s, Store *store, const ImapNode *keys, UidSet *found_out, guint64 *modseq_out);
void search_save (ImapdSession *s, const SearchReturn *w, const UidSet *found);

/* ---- Mechanisms of several messages (imapd-sasl.c) ---- */

void sasl_write_capabilities (const ImapdSession *s, GString *to);
/* The name of @mechanism if it is offered here, else NULL. */
const char *sasl_offers (const ImapdSession *s, const ImapNode *mechanism);
/* AUTHENTICATE, and each further line of the client: all of them answer by themselves. */
void sasl_begin (ImapdSession *s, const char *tag, const char *name, const ImapNode *initial);
void sasl_line (ImapdSession *s, const char *tag, Slice line);
void sasl_end (ImapdSession *s);

/* ---- Quota (imapd-quota.c) ---- */

typedef struct {
	ImapdQuota limit;
	StoreUsage before;
} Quota;
/* Outside a transaction. FALSE with the answer set. */
gboolean quota_begin (ImapdSession *s, Store *store, Quota *q);
/* Octets that may still be added; G_MAXUINT64: no limit. */
guint64 quota_room (const Quota *q);
/* Behind what was done, within its transaction: OVER_QUOTA if it made too much of it. */
gboolean quota_check (Store *store, const Quota *q, GError **error);

/* What the session is in the midst of, as the command by which another server goes on with it; NULL: it can't (imapd-resume.c). */
char *session_resume_text (const ImapdSession *s);

/* "* MYRIGHTS INBOX lrs..." (imapd-acl.c) */
void acl_write_rights (ImapdSession *s, const Folder *f);

/* ---- Commands, one function each ---- */

void run_list (ImapdSession *s);
void run_lsub (ImapdSession *s);
void run_status (ImapdSession *s);
void run_create (ImapdSession *s);
void run_delete (ImapdSession *s);
void run_rename (ImapdSession *s);
void run_subscribe (ImapdSession *s);
void run_unsubscribe (ImapdSession *s);
void run_namespace (ImapdSession *s);
void run_select (ImapdSession *s);
void run_examine (ImapdSession *s);
void run_close (ImapdSession *s);
void run_unselect (ImapdSession *s);
void run_fetch (ImapdSession *s);
void run_store (ImapdSession *s);
void run_expunge (ImapdSession *s);
void run_copy (ImapdSession *s);
void run_move (ImapdSession *s);
void run_search (ImapdSession *s);
void run_sort (ImapdSession *s);
void run_thread (ImapdSession *s);
void run_notify (ImapdSession *s);
void run_append (ImapdSession *s);
void run_replace (ImapdSession *s);
void run_resume (ImapdSession *s);
void run_getquota (ImapdSession *s);
void run_getquotaroot (ImapdSession *s);
void run_setquota (ImapdSession *s);
void run_myrights (ImapdSession *s);
void run_getacl (ImapdSession *s);
void run_listrights (ImapdSession *s);
void run_setacl (ImapdSession *s);
void run_deleteacl (ImapdSession *s);
void run_getmetadata (ImapdSession *s);
void run_setmetadata (ImapdSession *s);
/* A message is announced: FALSE, with the answer set, to refuse it. */
gboolean append_begin (ImapdSession *s);
gboolean append_octets (ImapdSession *s, Slice octets);

/* STATUS items of @f ("(MESSAGES UIDNEXT)"). FALSE with the answer set. */
gboolean status_write (ImapdSession *s, Store *store, const Folder *f, const ImapNode *items);
