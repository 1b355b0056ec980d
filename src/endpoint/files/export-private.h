/* SPDX-License-Identifier: Apache-2.0 */
/* What the formats share. */
#pragma once
#include "export.h"

typedef struct Export Export;

/* One format. Messages come folder by folder, by UID; each folder's between `folder` and `folder_end`. */
typedef struct {
	gboolean (*begin) (Export *x, GError **error);
	gboolean (*folder) (Export *x, const Folder *f, GError **error);
	gboolean (*message) (Export *x, const Folder *f, const Placement *p, const Message *m, GError **error);
	gboolean (*folder_end) (Export *x, const Folder *f, GError **error);
	gboolean (*end) (Export *x, GError **error);
	void (*done) (Export *x); /* frees the format's own, after success or failure */
} Format;

struct Export {
	Store *store;
	const Format *format;
	const char *path;
	Cancel *cancel;
	ExportProgress progress;
	gpointer data;
	guint64 written, total, damaged;
	guint64 apart;       /* messages with keywords that the format has no place for, and that stand in a file of ours */
	char *first_damaged; /* what it is and why */
	GHashTable *names;   /* folder id -> its name in the format, relative to path */
	void *own;           /* of the format */
};

extern const Format format_maildir, format_mbox, format_tar;

/* The message's octets to @sink; stops when cancelled. */
gboolean export_stream (Export *x, const Message *m, StoreSink sink, gpointer data, GError **error);

/* Names for every folder of the store, so that they don't depend on the selection. */
void names_maildir (GHashTable *names, const GPtrArray *folders); /* "" for INBOX, ".A.B" for others */
void names_tree (GHashTable *names, const GPtrArray *folders);    /* "A", "A/B"; "A.mbox" beside them is free too */
const char *export_name (const Export *x, const Folder *f);

/* A file that is written to its end in order. */
typedef struct {
	int fd;
	char *path; /* for messages of errors */
	GByteArray *buffer;
	guint64 octets; /* written so far */
} Output;
gboolean output_open (Output *o, const char *path, GError **error); /* new, mode 0600; "-" is standard output */
gboolean output_write (Output *o, const void *octets, gsize size, GError **error);
gboolean output_text (Output *o, const char *text, GError **error);
gboolean output_flush (Output *o, GError **error);
/* Flushes and closes; @mtime is set if not NULL. */
gboolean output_close (Output *o, const gint64 *mtime, GError **error);
void output_abandon (Output *o);
gboolean output_sink (gpointer output, const void *octets, gsize size, GError **error); /* a StoreSink */
gboolean make_directory (const char *path, GError **error); /* mode 0700; EXISTS is no error */
