/* SPDX-License-Identifier: Apache-2.0 */
/* A store: one replica of one mailbox in one SQLite file (schema.sql is the definition).
 *
 * A Store is one connection, used by one thread at a time; any number of Stores, threads and processes may have the same file open:
 * one writes, many read. Every function that changes something must be called between store_begin and store_commit (asserted).
 * What is read inside a transaction is the transaction's own view. Everything returned is owned by the caller unless said otherwise.
 * Errors: NOT_FOUND, EXISTS, NO_SPACE (disk full: the transaction is rolled back, the store stays as it was), CORRUPT (damaged
 * file: the text names `outpost store check`), TEMPORARY (another process writes for over 30 s), IO. */
#pragma once
#include <glib.h>
#include "bytes.h"
#include "cancel.h"
#include "digest.h"
#include "error.h"
#include "uid-set.h"

typedef struct Store Store;

typedef enum {
	STORE_READ_ONLY = 1 << 0,
	STORE_CREATE = 1 << 1, /* make it if absent or empty; EXISTS is no error */
	STORE_HOME = 1 << 3,   /* a new one is a mailbox's home: nothing in it is ever pending */
	STORE_FOR_REPAIR = 1 << 2, /* also with a damaged identity (else only for reading): for store_check */
} StoreOpen;

/* Opens the store at @path; migrates an older schema (unless read-only: then an older one is CONFLICT); refuses a newer one. A file
 * that is empty is CORRUPT without STORE_CREATE: something was in it. A new store gets a fresh mailbox id and role 'replica' (STORE_HOME: 'home'). File mode 0600. */
Store *store_open (const char *path, StoreOpen flags, GError **error);
void store_close (Store *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Store, store_close)
const char *store_path (const Store *s); /* borrowed */
Id128 store_mailbox_id (const Store *s);

/* Write transactions (BEGIN IMMEDIATE, durable on commit: WAL with synchronous=FULL). store_rollback without one is a no-op. UNAVAILABLE for a home that has moved
 * away (store-copy.h). */
gboolean store_begin (Store *s, GError **error);
gboolean store_commit (Store *s, GError **error);
void store_rollback (Store *s);
gboolean store_in_transaction (const Store *s);
/* Read snapshot over several calls: begin/end a deferred read transaction. */
gboolean store_read_begin (Store *s, GError **error);
void store_read_end (Store *s);

/* Takes the exclusive right to run a synchronisation (a lock beside the file, released by close or death of the process).
 * UNAVAILABLE with the holder's pid in the text when another process has it. */
gboolean store_lock_sync (Store *s, GError **error);
gboolean store_is_synchronising (Store *s); /* somebody holds that lock */

char *store_setting (Store *s, const char *name);                                                /* NULL when unset */
/* The settings called WHAT-ID, ID being a folder's: their values by that id (gint64). NULL: failed. */
GHashTable *store_folder_settings (Store *s, const char *what, GError **error);
gboolean store_set_setting (Store *s, const char *name, const char *value, GError **error); /* NULL unsets */

guint64 store_modseq (Store *s); /* the counter */

/* Tells when any connection of any process has committed a change to one of many stores that took a number of the sequence; what was
 * committed can then be read. A file system of another machine tells of changes made on this one only. One thread at a time takes what
 * was told (fd, next); any may add and remove. */
typedef struct StoreWatch StoreWatch;
StoreWatch *store_watch_new (GError **error);
void store_watch_free (StoreWatch *w); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StoreWatch, store_watch_free)
int store_watch_fd (const StoreWatch *w); /* readable when there is something to take */
/* A number above 0 for the file at @path, by which it is told of; the same for a file that is watched already. -1 with error. */
int store_watch_add (StoreWatch *w, const char *path, GError **error);
void store_watch_remove (StoreWatch *w, int number);
#define STORE_WATCH_ALL (-1) /* too much happened to be told: any of them may have changed */
/* The next thing that happened; FALSE: nothing more. *there_out FALSE: the file is no longer the one at its path (replaced, removed); what is told
 * behind that of the same number has no meaning. */
gboolean store_watch_next (StoreWatch *w, int *number_out, gboolean *there_out);

/* ---- Folders ---- */
typedef struct {
	gint64 id, parent; /* parent 0 at the top */
	Id128 object_id;
	char *name, *path, *role; /* path: names joined by '/'; role may be NULL */
	gboolean subscribed, selectable, local_only;
	guint32 uidvalidity, uidnext, total, unread;
	guint64 modseq, changed_modseq, octets; /* octets: of its messages, each counted wherever it lies */
} Folder;
void folder_free (Folder *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Folder, folder_free)

/* All folders, parents before children, INBOX first, then by path. GPtrArray of Folder. */
GPtrArray *store_folders (Store *s, GError **error);
gboolean store_has_folder (Store *s, gint64 id, gboolean *there_out, GError **error);
Folder *store_folder (Store *s, gint64 id, GError **error);
/* Its changed_modseq alone, for who asks often. 0: there is none of that id, or it can't be read. */
guint64 store_folder_modseq (Store *s, gint64 id);
/* By path; INBOX in any case. NOT_FOUND names near misses. */
Folder *store_folder_by_path (Store *s, const char *path, GError **error);
Folder *store_folder_by_role (Store *s, const char *role, GError **error); /* NULL without error when there is none */
/* The child of @parent (0: top) called @name, 0 if there is none. INBOX is INBOX in any case (RFC 9051 section 5.1). */
gint64 store_folder_child (Store *s, gint64 parent, const char *name);
/* The path that a folder had when it was removed here; NULL: it was not, or that is forgotten. Owned by the caller. */
gboolean store_folder_last_path (Store *s, gint64 folder, char **path_out, GError **error);
typedef struct {
	gint64 parent;
	const char *name, *role;
	gboolean subscribed, selectable, local_only;
} NewFolder;
/* EXISTS when the parent has a child of that name. UIDVALIDITY is minted rising. */
gboolean store_folder_create (Store *s, const NewFolder *n, gint64 *id_out, GError **error);
/* Creates all missing levels of @path; EXISTS when none is missing, TOO_BIG over 100 levels, USAGE for an empty level. */
gboolean store_folder_create_path (Store *s, const char *path, gint64 *id_out, GError **error);
gboolean store_folder_rename (Store *s, gint64 id, gint64 parent, const char *name, GError **error);
gboolean store_folder_set (Store *s, gint64 id, const char *role, gboolean subscribed, gboolean selectable, GError **error);
/* Removes the folder and its placements (into `removed`, with @cause). CONFLICT when it has children. Bindings stay, marked gone. */
gboolean store_folder_delete (Store *s, gint64 id, const char *cause, GError **error);

/* ---- Annotations: what clients keep with a folder, or with the mailbox (@folder 0); gone with the folder ---- */
/* @name in lower case. NULL: there is none, or (with error) it can't be read. */
GBytes *store_annotation (Store *s, gint64 folder, const char *name, GError **error);
gboolean store_set_annotation (Store *s, gint64 folder, const char *name, GBytes *value, GError **error); /* NULL unsets */
/* By name. */
typedef void (*AnnotationFn) (gpointer data, const char *name, const void *value, gsize size);
gboolean store_each_annotation (Store *s, gint64 folder, AnnotationFn fn, gpointer data, GError **error);

/* ---- Content and messages ---- */
typedef enum {
	FLAG_SEEN = 1,
	FLAG_ANSWERED = 2,
	FLAG_FLAGGED = 4,
	FLAG_DELETED = 8,
	FLAG_DRAFT = 16,
} StoreFlags;

/* A message made ready for storing: scanned, hashed, header fields read. Needs no store and no lock, so any thread may do it. */
typedef struct Prepared Prepared;
/* @octets whole in memory (a reference is taken), or a file to be mapped piecewise; received in seconds, zone in minutes. */
Prepared *prepare_bytes (GBytes *octets, gint64 received, int zone);
Prepared *prepare_file (int fd, guint64 size, gint64 received, int zone, GError **error); /* dups fd */
void prepared_free (Prepared *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Prepared, prepared_free)
guint64 prepared_size (const Prepared *p);
const char *prepared_message_id (const Prepared *p); /* may be NULL */
const guint8 *prepared_hash (const Prepared *p);     /* DIGEST_SIZE octets */
/* Compresses on a thread of its own what another thread is going to store in @s, which must outlive it. Only a saving: what was not
 * packed, or with a dictionary that the store no longer takes, is compressed when it is stored. */
typedef struct Packer Packer;
Packer *packer_new (Store *s);
void packer_free (Packer *packer);
void packer_pack (Packer *packer, Prepared *p);
/* Evidence of which message this is, from a header (what follows it is ignored): the first 8 octets, big-endian, of SHA-256 over
 * "name:value\n" of the first From, To, Date, Subject and Message-ID in this order; names in lower case, values unfolded and their
 * blanks squeezed, absent fields left out. Only LF ends lines, as for the server that is asked for the same fields. Of a header over
 * 1 MiB the first MiB counts. */
guint64 message_evidence_digest (const void *header, gsize size);

/* Stores it, or finds the message with equal octets and equal received time that has no placement in @folder (0: any) and returns
 * that. Content with equal octets is stored once in any case. Trains the store's dictionary when due. */
gboolean store_add_message (Store *s, Prepared *p, gint64 folder, gint64 *message_out, GError **error);

/* Whether a message with equal octets is kept anywhere; whether one of that id (without brackets) is in @folder. */
gboolean store_has_octets (Store *s, const Prepared *p, gboolean *has_out, GError **error);
gboolean store_folder_has_id (Store *s, gint64 folder, const char *message_id, gboolean *has_out, GError **error);

typedef struct {
	gint64 id, content, received, sent, thread;
	int zone;
	guint64 size;
	Id128 object_id;
	char *message_id, *subject, *sender, *recipients; /* may be NULL */
	gboolean attachment, has_sent;
	guint64 digest;
	GBytes *structure; /* empty: not read yet */
} Message;
void message_free (Message *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Message, message_free)
Message *store_message (Store *s, gint64 id, GError **error);

/* Octets offset..offset+size of a message (fewer at its end). Decompresses only the chunks that are needed. */
GBytes *store_read (Store *s, gint64 message, guint64 offset, gsize size, GError **error);
/* The whole message piecewise, at most 1 MiB at a time. @sink returns FALSE with error to stop. */
typedef gboolean (*StoreSink) (gpointer data, const void *octets, gsize size, GError **error);
gboolean store_stream (Store *s, gint64 message, StoreSink sink, gpointer data, GError **error);

/* ---- Placements ---- */
typedef struct {
	gint64 id, folder, message;
	guint32 uid;
	guint flags;
	char *keywords; /* sorted, one space between; NULL when none */
	guint64 modseq;
	gint64 saved; /* when it was placed there, Unix seconds; 0: not known */
} Placement;
void placement_done (Placement *p); /* frees the contents only */
void placement_free (Placement *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Placement, placement_free)

/* Puts @message into @folder under a new UID. With @pending the home is to be told (a row in `pending`, copied from @origin if not
 * 0); without, the caller binds it. */
gboolean store_place (Store *s, gint64 folder, gint64 message, guint flags, const char *keywords, gboolean pending, gint64 origin,
                      gint64 *placement_out, GError **error);
gboolean store_set_flags (Store *s, gint64 placement, guint flags, const char *keywords, GError **error);
/* Removes it (kept in `removed` with @cause 'here' or 'home'). A binding it has is marked gone (cause 'here') or deleted ('home');
 * a pending row is deleted. */
gboolean store_remove (Store *s, gint64 placement, const char *cause, GError **error);
/* A local move: place in @folder with pending, remove the old one without a `removed` row; ids of both in the pending row. */
gboolean store_move (Store *s, gint64 placement, gint64 folder, gint64 *placement_out, GError **error);

Placement *store_placement (Store *s, gint64 id, GError **error);
Placement *store_placement_by_uid (Store *s, gint64 folder, guint32 uid, GError **error);
/* Placements of @folder with modseq > @since, ascending by modseq... 0 gives all, by UID. @fn returns FALSE to stop. */
typedef gboolean (*PlacementFn) (gpointer data, const Placement *p);
gboolean store_each_placement (Store *s, gint64 folder, guint64 since, PlacementFn fn, gpointer data, GError **error);
/* UIDs removed from @folder after @since. */
gboolean store_removed_uids (Store *s, gint64 folder, guint64 since, UidSet *uids_out, GError **error);
/* Keyword text helpers: sorts and removes doubles; set operations on canonical texts (NULL = none). Results owned. */
char *keywords_canonical (const char *const *words, gsize n);
gboolean keywords_equal (const char *a, const char *b);
/* Three-way merge: here + (home's changes against base). */
char *keywords_merge (const char *base, const char *here, const char *home);
/* Those of @a that are not in @b. */
char *keywords_less (const char *a, const char *b);
/* Those of @a that are in @b, too. */
char *keywords_of_both (const char *a, const char *b);
/* Those of @more are in *@keywords, too. */
void keywords_add (char **keywords, const char *more);

/* For lists: placement with its message's listing fields, newest first. @limit 0 = all. */
typedef struct {
	Placement placement;
	Message message; /* structure NULL */
} Listing;
typedef gboolean (*ListingFn) (gpointer data, const Listing *l);
gboolean store_list (Store *s, gint64 folder, guint limit, ListingFn fn, gpointer data, GError **error);
/* Placements of @folder with @lo <= UID <= @hi, by UID, with as much of their messages as @depth says; what is not asked for is zero.
 * The listing, the structure too, is borrowed for the call. */
typedef enum { LISTING_PLACEMENT, LISTING_MESSAGE, LISTING_STRUCTURE } ListingDepth;
gboolean store_list_range (Store *s, gint64 folder, guint32 lo, guint32 hi, ListingDepth depth, ListingFn fn, gpointer data, GError **error);
/* Adds the UIDs that @folder has. */
gboolean store_uids (Store *s, gint64 folder, UidSet *uids_out, GError **error);
/* Of the messages of @thread that are there. */
gboolean store_thread_uids (Store *s, gint64 folder, gint64 thread, UidSet *uids_out, GError **error);
/* The keywords of @folder's messages that changed after @since, each distinct text of a message once: @words gets them as keys (owned). */
gboolean store_folder_keywords (Store *s, gint64 folder, guint64 since, GHashTable *words, GError **error);
/* Placements of one message, as GPtrArray of Placement. */
GPtrArray *store_placements_of (Store *s, gint64 message, GError **error);

/* Removed and restorable, newest first; restoring takes the removal back if the home has not heard of it, and else places the message again
 * as a pending one. */
typedef struct {
	gint64 id, message, removed;
	char *folder_path, *subject, *sender, *cause;
} RemovedMessage;
void removed_message_free (RemovedMessage *r);
GPtrArray *store_removed_messages (Store *s, guint limit, GError **error);
/* Whether any is of a folder that had this path. */
gboolean store_has_removed_of (Store *s, const char *path, gboolean *any_out, GError **error);
gboolean store_undelete (Store *s, gint64 removed, gint64 *placement_out, GError **error);
/* Drops `removed` rows and decisions older than @before, then messages and content that nothing holds. */
gboolean store_sweep (Store *s, gint64 before, guint64 *messages_out, GError **error);

/* ---- Full-text rows: written by search/ ---- */
gint64 store_indexed_message (Store *s);
gboolean store_set_indexed_message (Store *s, gint64 message, GError **error);

/* ---- The log ---- */
typedef struct {
	gint64 id, started, ended; /* ended 0: running or died */
	char *result, *error, *facts;
} Run;
void run_free (Run *r);
gboolean store_run_begin (Store *s, gint64 now, gint64 *run_out, GError **error);
gboolean store_run_line (Store *s, gint64 run, gint64 time, gboolean detail, const char *text, GError **error);
gboolean store_run_end (Store *s, gint64 run, gint64 now, const char *result, const char *err, const char *facts, GError **error);
/* The last run ended now once more with the same outcome and nothing to tell: only its end and facts are renewed, if it is of @result and
 * @err (NULL: none) and its lines are @lines in number. *repeated_out FALSE: it is not, and nothing was done. */
gboolean store_run_repeat (Store *s, gint64 now, const char *result, const char *err, guint lines, const char *facts, gboolean *repeated_out,
                           GError **error);
GPtrArray *store_runs (Store *s, guint limit, GError **error); /* newest first */
typedef void (*RunLineFn) (gpointer data, gint64 time, gboolean detail, const char *text);
gboolean store_run_lines (Store *s, gint64 run, RunLineFn fn, gpointer data, GError **error);

/* ---- Whole store ---- */
/* None of these inside a transaction, but store_statistics. */

/* Verifies the invariants of schema.sql and SQLite's own; every finding is one line to @report that names the object, at most 20 of a
 * kind. *findings_out counts them all. With @deep every content is decompressed and compared with its hash and with what is kept of its
 * header (memory does not grow with the store). With @repair what can be mended without losing a message is, each mending told in a
 * line "mended: ..." or "not mended: ...", and *findings_out counts what is left; UNAVAILABLE when a synchronisation runs. */
typedef void (*CheckReport) (gpointer data, const char *finding);
gboolean store_check (Store *s, gboolean deep, gboolean repair, CheckReport report, gpointer data, Cancel *cancel, guint64 *findings_out,
                      GError **error);
/* Sweeps what nothing holds, compresses anew what was stored before the dictionary, merges the full-text index, gives free pages back.
 * Sizes in octets, with the write-ahead log. NO_SPACE before anything is rewritten when the disk has no room for that. May be killed
 * at any time. TEMPORARY when another process writes. */
gboolean store_compact (Store *s, guint64 *before_out, guint64 *after_out, GError **error);
/* What its messages have together, each counted wherever it lies; also within a transaction. Costs a row a folder. */
typedef struct {
	guint64 octets, messages;
} StoreUsage;
gboolean store_usage (Store *s, StoreUsage *out, GError **error);
/* Quick, however big the store. content_octets: of the messages as they came, each distinct one once; stored_octets: what they take;
 * index_octets: of the full-text index, an estimate (its pages, taken as full). */
typedef struct {
	guint64 folders, messages, placements, pending, contents, content_octets, stored_octets, file_octets, index_octets;
} StoreStatistics;
gboolean store_statistics (Store *s, StoreStatistics *out, GError **error);
