/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share. search/ may use store_db for reading and for its own table fts. */
#pragma once
#include "db.h"
#include "mail.h"
#include "store.h"
#include "store-binding.h"
#include <zstd.h>

#define CHUNK_SIZE (1u << 20)
#define STORE_SCHEMA_VERSION 7
#define STORE_APPLICATION_ID 0x6f757470 /* "outp" */
#define FOLDER_DEPTH_MAX 100
#define STORED_COUNTS "SELECT COUNT (*) AS n, IFNULL (SUM (size), 0) AS octets, IFNULL (SUM (length (data)), 0) + (SELECT IFNULL (SUM (length (data)), 0)" \
                      " FROM content_chunk) AS stored FROM content" /* what meta's contents, content_octets and stored_octets keep */

/* What a transaction has done in a folder and not yet written. */
typedef struct {
	gint64 folder;
	gboolean changed;
	gint64 total, unread, octets; /* differences */
	guint32 uidnext;      /* 0: not read yet */
	gint64 changed_modseq;
	UidSet removed;
	char *path; /* for rows of `removed`; NULL: not read yet */
} FolderDelta;

/* The same for the contents: differences. */
typedef struct {
	gboolean changed;
	gint64 contents, octets, stored;
} ContentDelta;

/* A dictionary made ready for compressing; counted (g_atomic_rc_box). */
typedef struct {
	gint64 id;
	ZSTD_CDict *cdict;
} Dictionary;

struct Store {
	Db *db;
	char *path;
	Id128 mailbox_id;
	gboolean home; /* role */
	gboolean reading, for_repair;
	int lock_fd; /* -1: no synchronisation lock */

	/* of the transaction */
	guint64 modseq, began; /* began: as it was when the transaction was begun */
	gboolean modseq_changed;
	GHashTable *deltas; /* gint64 * -> FolderDelta */
	ContentDelta contents;
	gint64 next_message, next_content; /* 0: not read yet */

	/* compression; lazily made, forgotten by a rollback, which may take a dictionary with it */
	ZSTD_CCtx *compressor;
	ZSTD_DCtx *decompressor;
	GMutex dictionary_lock; /* around the pointer, which packers on other threads read */
	Dictionary *dictionary; /* the newest; NULL: none */
	gboolean dictionary_looked, untrainable;
	GHashTable *ddicts; /* id -> ZSTD_DDict */
	guint added;        /* contents, by this connection */

	/* the chunk read last; by message, since those ids are never used again */
	gint64 cached_message;
	guint64 cached_chunk;
	GBytes *cached_octets;
};

Db *store_db (Store *s);
/* Watchers (store_watch_open) are told that a change was committed. */
void store_tell (const Store *s);
/* The next number of the change sequence; written at commit. */
guint64 store_next_modseq (Store *s);
FolderDelta *store_delta (Store *s, gint64 folder);
/* Writes what the deltas collected; called by commit and by whatever reads folder rows inside a transaction. */
gboolean store_flush (Store *s, GError **error);
gboolean store_flush_for_reading (Store *s, GError **error); /* no-op outside a transaction */
/* UIDs that are left out where a folder's numbers stop to be another server's; room for them there must be. */
#define UID_AHEAD (1u << 20)
#define UID_AHEAD_MAX (G_MAXUINT32 - 2 * UID_AHEAD)
/* The first UID of a transaction is taken by who brings nothing from another server (store-import.h). */
void store_import_close (Store *s, gint64 folder, FolderDelta *d);
guint32 store_take_uid (Store *s, gint64 folder, GError **error); /* 0 on error */
const char *store_folder_path (Store *s, gint64 folder, GError **error); /* borrowed until the commit */

/* Writes the file anew from what can be read of it (store-rebuild.c). *damaged_out: tables of which something may be lost. */
gboolean store_rebuild (Store *s, Cancel *cancel, guint *damaged_out, GError **error);
/* How the schema differs from the built-in one (store-schema.c). */
typedef struct {
	char *name, *text;
	char *mend;          /* SQL; NULL: it can't be mended so */
	gboolean essential;  /* rules can't be asked before it is mended */
	gboolean full_text;  /* of the full-text index: a rebuilt file has it */
} SchemaDifference;
void schema_difference_free (SchemaDifference *d);
/* Adds to @differences, of SchemaDifference *. */
gboolean schema_differences (Store *s, GPtrArray *differences, GError **error);
/* One transaction. @d has got a mend. */
gboolean schema_mend (Store *s, const SchemaDifference *d, GError **error);
guint64 store_file_octets (const Store *s); /* with the write-ahead log */

#define OCTETS_OF_FOLDER "(SELECT IFNULL (SUM (m.size), 0) FROM placement p JOIN message m ON m.id = p.message WHERE p.folder = folder.id)"

/* Content: rows of `content` and `content_chunk`. */
void content_forget (Store *s); /* what a rollback undoes */
void content_done (Store *s);
/* @new_out: it was not there. */
gboolean content_add (Store *s, const Prepared *p, gint64 *content_out, gboolean *new_out, GError **error);
/* Chunk @chunk of a content of @size octets: whole when @size <= CHUNK_SIZE. */
GBytes *content_chunk (Store *s, gint64 content, guint64 size, guint64 chunk, GError **error);
/* Writes a content of one frame anew with the newest dictionary, if that makes it smaller. */
gboolean content_recompress (Store *s, gint64 content, guint64 size, GError **error);
void dictionary_unref (Dictionary *d); /* NULL is none */
/* Deletes what no message has. */
gboolean content_sweep (Store *s, GError **error);
/* @content, @size and hash of its row decompressed and compared; CORRUPT when they differ. */
gboolean content_verify (Store *s, gint64 content, GError **error);

#define THREAD_KEYS_MAX 32

struct Prepared {
	GBytes *octets; /* NULL: in fd */
	GBytes *frame;  /* octets compressed by a packer; NULL: not yet */
	Dictionary *frame_dictionary;
	int fd;         /* -1: in octets */
	guint64 size;
	gint64 received;
	int zone;
	guint8 hash[DIGEST_SIZE];
	char *message_id, *subject, *sender, *recipients;
	gboolean attachment, has_sent;
	gint64 sent;
	guint64 digest;
	GBytes *structure; /* NULL: none */
	gint64 thread_keys[THREAD_KEYS_MAX];
	guint n_thread_keys;
};
/* Octets offset..offset+size of what is being stored; IO when the file is shorter than it was said to be. */
GBytes *prepared_read (const Prepared *p, guint64 offset, gsize size, GError **error);
/* Fills the fields that come from the header; @head is the message or its first CHUNK_SIZE octets. */
void prepared_scan (Prepared *p, const char *head, gsize size);
/* Fills what comes from the structure; @scanner, which is freed, was fed the whole message. */
void prepared_set_structure (Prepared *p, MailScanner *scanner);

/* Placements. */
Placement placement_view (DbQuery *q); /* of PLACEMENT_COLUMNS; keywords are borrowed from the statement */
#define PLACEMENT_COLUMNS "p.id, p.folder, p.uid, p.message, p.flags, p.keywords, p.modseq, IFNULL (p.saved, 0)"
#define PLACEMENT_COLUMNS_N 8
/* Of LISTING_COLUMNS, from placement p and message m; texts are borrowed from the statement. */
Listing listing_view (DbQuery *q);
#define LISTING_COLUMNS PLACEMENT_COLUMNS ", m.content, m.received, m.zone, m.size, m.sent, m.message_id, m.subject, m.sender, m.recipients, m.attachment," \
                        " m.thread, m.object_id"
