/* SPDX-License-Identifier: Apache-2.0 */
/* A home in shared memory, for tests: it survives the death of the process that synchronises with it. */
#pragma once
#include "sync.h"

#define HOME_FOLDERS 24
#define HOME_MESSAGES 400

typedef struct {
	guint32 uid; /* 0: free */
	guint flags;
	char keywords[64];
	guint64 modseq;
	gint64 received;
	guint32 body; /* number of the text */
	char octets[600];
	guint32 size;
} HomeMessage;

typedef struct {
	gboolean used;
	char name[64]; /* '/' between levels; "All" has role "all" */
	guint32 uidvalidity, uidnext;
	guint32 id;
	guint64 highest;
	HomeMessage messages[HOME_MESSAGES];
	struct {
		guint32 uid;
		guint64 modseq;
	} vanished[4 * HOME_MESSAGES];
	guint n_vanished;
} HomeFolder;

typedef struct {
	guint abilities;
	gboolean tells_uids; /* COPYUID, APPENDUID */
	gboolean wrong_sizes, loses_dates, no_headers; /* of messages that are put in; none in evidence */
	guint refuses; /* the n-th message of a copy; 0: none */
	guint64 modseq;
	guint32 next_validity, next_id;
	HomeFolder folders[HOME_FOLDERS];
	guint fetched; /* bodies given out, ever */
	guint searched; /* questions about flags, ever */
	guint looked;   /* questions for evidence, ever */
	guint writes;  /* appends, stores, copies, expunges, folder changes, ever */
	guint appended; /* messages that were sent, ever */
	char refuses_to_open[64]; /* a folder; empty: none */
	OutpostError shut;    /* how each connection fails; 0: it does not */
	gboolean drops_waits; /* each wait loses the connection at once */
	guint32 keeps_back; /* UID of a message that is never given out; 0: none */
	gint fail_at;  /* the n-th call fails with TEMPORARY; 0 never */
	gint calls;
	gint arrive_at; /* before the n-th call is answered a message of body @arrive_body comes into @arrive_in; 0 never */
	guint32 arrive_body;
	char arrive_in[64];
	/* Called before and after each question and each command of a run: at a moment when nothing is locked. */
	void (*meanwhile) (gpointer data, guint moment); /* NULL: nobody is */
	gpointer meanwhile_data;
	guint moment;        /* the number of the last one, from 1 on */
	guint lost_answer; /* the answer to what was carried out before this moment is lost (TEMPORARY); 0 none */
} Home;

Home *home_new (guint abilities, gboolean tells_uids); /* MAP_SHARED */
void home_free (Home *h);
Endpoint *home_endpoint (Home *h);

/* Where a store that synchronises with it can lie: a name in a directory of its own, which goes with the store and all its files. */
char *home_store_path (void);
void home_store_remove (char *path); /* frees @path */
/* One run of that store, which is made if it is not there. */
gboolean home_sync (Home *h, const char *path, const SyncOptions *o, SyncResult *r, GError **error);
/* The same in a process that is killed at the @step-th step of the run. FALSE: it ended before. */
gboolean home_sync_and_die (Home *h, const char *path, const SyncOptions *o, guint step);

HomeFolder *home_folder (Home *h, const char *name);
HomeFolder *home_create (Home *h, const char *name);
gboolean home_rename (Home *h, const char *from, const char *to); /* with what is below it; FALSE: a name is taken */
void home_delete (Home *h, const char *name);
HomeMessage *home_add (Home *h, HomeFolder *f, guint32 body, guint flags, const char *keywords);
void home_set_flags (Home *h, HomeFolder *f, HomeMessage *m, guint flags, const char *keywords);
void home_remove (Home *h, HomeFolder *f, HomeMessage *m);
/* The text of body number @n, and its date. */
char *home_text (guint32 n);
gint64 home_date (guint32 n);

/* What a migration, a restored backup or another server makes of a folder. */
typedef enum { ORDER_SAME_UIDS, ORDER_KEPT, ORDER_REVERSED, ORDER_SHUFFLED, ORDER_ABOVE } HomeOrder;
typedef struct {
	gboolean new_validity;
	HomeOrder order;    /* of the new UIDs, from 1 on; ORDER_ABOVE: kept, and all but the first have numbers that were never used */
	guint keep;         /* only the first so many; 0: all */
	gboolean empty;
	gboolean add_header, lose_dates, lose_flags;
	gboolean lower_modseq; /* its counter begins again */
	gboolean jump;         /* its numbers go on far ahead, and what is not kept is told as removed (with ORDER_SAME_UIDS) */
} HomeChange;
void home_change (Home *h, HomeFolder *f, const HomeChange *c);
