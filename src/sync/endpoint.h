/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint contract: how the engine talks to a home. One implementation a folder under src/endpoint.
 *
 * Calls block (they pump the network themselves), are made from one thread, and stop within a second of the Cancel given to open.
 * They take whole sets, so that an implementation can pipeline: a call costs a fixed number of flights, not one a folder. All memory
 * belongs to the caller unless said otherwise. Names of folders are the home's own octets (NUL-terminated).
 * Errors of the call itself reach the whole mailbox (TEMPORARY: connection lost after the implementation's own retries; NO_PERMISSION; UNTRUSTED;
 * PROTOCOL; CANCELLED). What reaches a folder or a message only is put into that request's `error` and the call goes on; a call about one folder
 * fails with it (UNAVAILABLE: the folder can't be had now, the others can). */
#pragma once
#include <glib.h>
#include "cancel.h"
#include "error.h"
#include "uid-set.h"

typedef enum {
	ENDPOINT_MODSEQ = 1 << 0,    /* CONDSTORE: flag changes since a number */
	ENDPOINT_VANISHED = 1 << 1,  /* QRESYNC: removals since a number */
	ENDPOINT_UIDPLUS = 1 << 2,
	ENDPOINT_MOVE = 1 << 3,
	ENDPOINT_OBJECTID = 1 << 4,  /* folders and messages have ids */
	ENDPOINT_PUSH = 1 << 5,      /* NOTIFY: events for all folders */
	ENDPOINT_LIST_STATUS = 1 << 6,
	ENDPOINT_SEARCH = 1 << 7,    /* search_flags */
} EndpointAbility;

/* A folder as the home lists it. */
typedef struct {
	char *name;        /* on the wire */
	char *parent;      /* on the wire; NULL at the top of the personal namespace */
	char *leaf;        /* UTF-8, one level; the namespace prefix ("INBOX.") is not part of it */
	char delimiter;    /* 0: flat */
	char *role;        /* as in Folder.role, from SPECIAL-USE/XLIST or the usual names; NULL */
	char *id;          /* MAILBOXID; NULL */
	gboolean selectable, subscribed;
	gboolean unfit; /* its name can't be said to the home again: listed only to be told of, @name and @leaf printable, not selectable */
	gboolean has_status; /* the four below are known */
	guint32 messages, uidnext, uidvalidity;
	guint64 highestmodseq; /* 0: none */
} RemoteFolder;
void remote_folder_free (RemoteFolder *f);

typedef struct {
	guint32 uid;
	guint flags; /* StoreFlags bits: 1 seen, 2 answered, 4 flagged, 8 deleted, 16 draft */
	char *keywords; /* canonical (sorted, one space between), NULL none; \Recent never */
	guint64 modseq; /* 0 unknown */
} RemoteState;

typedef enum {
	QUERY_UIDS,    /* which UIDs are there (all_uids); for a folder never synchronised */
	QUERY_CHANGES, /* what changed since highestmodseq/uidnext: by QRESYNC, CONDSTORE, or all UIDs with flags */
} QueryKind;

/* One folder's question and answer. The caller fills the first group and zeroes the rest; folder_query_done frees the rest. */
typedef struct {
	const char *name;
	QueryKind kind;
	guint32 uidvalidity;   /* expected; 0: never seen */
	guint64 highestmodseq; /* of the base; 0 none */
	const UidSet *known;   /* bound UIDs: lets QRESYNC answer about them only. May be NULL */
	const UidSet *canaries;/* a few UIDs whose size and date are to be told in the same flight. NULL: none */

	/* answers */
	guint32 uidvalidity_now, uidnext_now, messages_now;
	guint32 removed_since;     /* removals told after messages_now was; they are among the answers, too */
	guint64 highestmodseq_now; /* 0 none */
	char *id_now;
	gboolean keywords_told; /* `keywords_now` is every keyword that a message of the folder may have */
	char *keywords_now;     /* canonical; NULL none */
	gboolean few_keywords;  /* only `keywords_kept` are kept beyond the session (PERMANENTFLAGS without \*) */
	char *keywords_kept;    /* canonical; NULL none */
	gboolean changed_identity; /* UIDVALIDITY differs from a non-zero expected one: nothing else is filled */
	gboolean all_states;       /* `states` has every message (no MODSEQ at the home) */
	GArray *states;            /* RemoteState of changed and new messages, ascending UID */
	gboolean has_all_uids;     /* `all_uids` is the complete set; otherwise `vanished` tells the removals */
	UidSet all_uids, vanished;
	GArray *canary_evidence; /* RemoteEvidence (EVIDENCE_SIZE) of the canaries that are there; NULL without any */
	gboolean canaries_told;  /* all that are there are in it */
	GError *error;
} FolderQuery;
void folder_query_done (FolderQuery *q);

/* A message as it arrives. Everything is borrowed for the time of the call. */
typedef struct {
	guint request; /* index into the requests */
	RemoteState state;
	gint64 received;
	int zone;
	guint64 remote_size; /* RFC822.SIZE as the home says it */
	const char *email_id; /* EMAILID, or NULL */
	GBytes *octets;       /* NULL: in @fd (over the spool limit, 1 MiB) */
	int fd;
	guint64 size; /* of the octets really received */
} FetchedMessage;
typedef gboolean (*FetchSink) (gpointer data, const FetchedMessage *m, GError **error); /* FALSE stops the call */

typedef struct {
	const char *name;
	guint32 uidvalidity; /* if the folder's differs now: error CONFLICT */
	UidSet uids;         /* fetched from the highest down, in blocks; owned by the caller */

	UidSet missing; /* answer: what the home did not give although asked (expunged meanwhile) */
	gboolean done;
	GError *error; /* with `done`: of some messages only, the others were given */
} FetchRequest;
void fetch_request_done (FetchRequest *r); /* frees `uids` too */

/* Evidence of a message: which one it is, for finding a push whose answer never came, for re-binding, and for checks before removal. */
typedef enum {
	EVIDENCE_SIZE,   /* uid, size, date; flags and keywords */
	EVIDENCE_HEADER, /* message_id and digest, too */
	EVIDENCE_CHANGE, /* as EVIDENCE_SIZE, and modseq, for homes and folders that have it */
} EvidenceLevel;
typedef struct {
	guint32 uid;
	guint64 size;
	gint64 received;
	int zone;
	char *message_id; /* without angle brackets; NULL none */
	guint64 digest;   /* message_evidence_digest of store.h */
	gboolean has_header; /* the two above were read */
	guint flags;
	char *keywords;
	guint64 modseq;
} RemoteEvidence;

/* Which messages of @from..@to have a flag, or only how many. */
typedef struct {
	guint flag;          /* one StoreFlags bit; 0: */
	const char *keyword;
	guint32 from, to;
	gboolean names;      /* their UIDs are to be told, too */

	guint64 count; /* answers */
	UidSet uids;
} FlagSearch;

typedef gboolean (*OctetSource) (gpointer data, gsize offset, gsize size, GBytes **octets_out, GError **error);
typedef struct {
	OctetSource source;
	gpointer data;
	guint64 size;
	guint flags;
	const char *keywords;
	gint64 received;
	int zone;

	guint32 uid; /* answers: 0: accepted, UID not told */
	guint32 uidvalidity;
	GError *error; /* REFUSED, OVER_QUOTA, TOO_BIG: for this message only */
} AppendRequest;

typedef struct {
	UidSet uids;
	guint add, remove;
	const char *add_keywords, *remove_keywords;

	GArray *states; /* answer: RemoteState where the home told the new state */
	GError *error;
} FlagRequest;

typedef struct {
	guint32 from, to;
} UidPair;

typedef struct {
	guint64 octets_in, octets_out; /* on the wire */
	guint flights;                 /* times we wrote and then waited, after log-on */
} EndpointTraffic;

typedef struct Endpoint Endpoint;
typedef struct {
	/* Connects and logs on. Idempotent. */
	gboolean (*open) (Endpoint *e, Cancel *cancel, GError **error);
	/* Says good-bye if that costs no waiting, closes. */
	void (*close) (Endpoint *e);
	void (*free) (Endpoint *e);
	guint (*abilities) (Endpoint *e); /* EndpointAbility bits; after open */
	EndpointTraffic (*traffic) (Endpoint *e);

	/* All folders of the personal namespace with their state, INBOX first; GPtrArray of RemoteFolder. One flight where the home can.
	 * An empty result is PROTOCOL: a mailbox has an INBOX. */
	gboolean (*list) (Endpoint *e, GPtrArray **folders_out, GError **error);
	guint (*shared) (Endpoint *e); /* folders with messages that the last list left out: other users', or public */
	gboolean (*query) (Endpoint *e, FolderQuery *queries, guint n, GError **error);
	gboolean (*fetch) (Endpoint *e, FetchRequest *requests, guint n, FetchSink sink, gpointer data, GError **error);
	/* Evidence of @uids, or of all UIDs >= @from if @uids is NULL; GArray of RemoteEvidence, ascending. CONFLICT if UIDVALIDITY differs.
	 * Deflated where the home can and much follows. */
	gboolean (*evidence) (Endpoint *e, const char *name, guint32 uidvalidity, const UidSet *uids, guint32 from, EvidenceLevel level,
	                      GArray **evidence_out, GError **error);

	/* Only with ENDPOINT_SEARCH. CONFLICT if UIDVALIDITY differs. *answered_out FALSE: not every search was, or can be, answered. */
	gboolean (*search_flags) (Endpoint *e, const char *name, guint32 uidvalidity, FlagSearch *searches, guint n, gboolean *answered_out,
	                          GError **error);

	/* Appends in order; MULTIAPPEND or pipelined. The error of one doesn't stop the others. */
	gboolean (*append) (Endpoint *e, const char *name, AppendRequest *requests, guint n, GError **error);
	gboolean (*store_flags) (Endpoint *e, const char *name, guint32 uidvalidity, FlagRequest *requests, guint n, GError **error);
	/* Copies, or with @move moves where the home has ENDPOINT_MOVE: where it has not, the caller is to expunge the origins. *pairs_out is
	 * a GArray of UidPair (may be short or empty where the home doesn't tell). What the home said yes to is added to @copied: some of
	 * @uids may be refused in a call that succeeds. TRYCREATE is NOT_FOUND. */
	gboolean (*copy) (Endpoint *e, const char *from, guint32 uidvalidity, const UidSet *uids, const char *to, gboolean move,
	                  GArray **pairs_out, guint32 *to_uidvalidity_out, UidSet *copied, GError **error);
	/* Removes exactly @uids, nobody else's \Deleted messages. *left_out: those it could only mark (no UIDPLUS and others marked). */
	gboolean (*expunge) (Endpoint *e, const char *name, guint32 uidvalidity, const UidSet *uids, UidSet *left_out, GError **error);

	/* What is done to folders: an error says why, and not of which folder.
	 * @role may be NULL (CREATE-SPECIAL-USE where possible). *name_out gets the wire name made of @parent (wire name, NULL top) and
	 * @leaf, as the home lists it, which may fold letters. That it is there already is no error. */
	gboolean (*folder_create) (Endpoint *e, const char *parent, const char *leaf, const char *role, char **name_out, GError **error);
	gboolean (*folder_rename) (Endpoint *e, const char *name, const char *new_parent, const char *new_leaf, char **name_out,
	                           GError **error);
	gboolean (*folder_delete) (Endpoint *e, const char *name, GError **error); /* NOT_FOUND: it may have another name by now */

	/* Waits until something changed at home, at most @timeout_ms. @names: folders that matter most, for IDLE. Returns with the wire
	 * names of changed folders (GPtrArray of char *, may be empty on time-out; a NULL array means "look at everything"). Returns early,
	 * as if timed out, when @wake_fd (-1: none) becomes readable; the caller drains it. */
	gboolean (*watch) (Endpoint *e, const char *const *names, guint n, gint64 timeout_ms, int wake_fd, GPtrArray **changed_out,
	                   GError **error);
} EndpointClass;

struct Endpoint {
	const EndpointClass *class;
};
void endpoint_free (Endpoint *e);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Endpoint, endpoint_free)
void remote_evidence_done (RemoteEvidence *e);
GArray *remote_states_new (void);   /* of RemoteState, frees keywords */
GArray *remote_evidence_new (void); /* of RemoteEvidence, frees contents */
