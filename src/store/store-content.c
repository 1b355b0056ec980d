/* SPDX-License-Identifier: Apache-2.0 */
/* Octets: stored once for each distinct value, zstd-compressed, in chunks of 1 MiB when longer. A dictionary is trained once, when
 * enough messages are here to learn from; rows name theirs for ever (0: none). */
#include "store-private.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#define ZDICT_STATIC_LINKING_ONLY /* fastCover with given parameters, without a search for the best ones */
#include <zdict.h>

#define LEVEL 1 /* 3 takes a third more of the CPU time of a first synchronisation, and saves 4 % of the octets */
#define DICTIONARY_SIZE (112u << 10)
#define TRAIN_AT 1000      /* contents */
#define TRAIN_CONTENTS 2000
#define TRAIN_SAMPLE 16384 /* octets of each at most */
#define TRAIN_OCTETS (10u << 20) /* of all: some hundred times the dictionary's size teach all there is */
#define TRAIN_K 1024       /* length of the pieces that a dictionary is made of */
#define MANY 256           /* contents added by one connection: it is importing */
#define CACHE_IMPORT 16384 /* KiB */
#define CHECKPOINT_IMPORT 1024 /* pages */

struct Packer {
	Store *store;
	ZSTD_CCtx *compressor;
};

static void
dictionary_clear (gpointer d)
{
	ZSTD_freeCDict (((Dictionary *) d)->cdict);
}

void
dictionary_unref (Dictionary *d)
{
	if (d)
		g_atomic_rc_box_release_full (d, dictionary_clear);
}

/* Takes @d. */
static void
set_dictionary (Store *s, Dictionary *d)
{
	g_mutex_lock (&s->dictionary_lock);
	Dictionary *old = s->dictionary;
	s->dictionary = d;
	g_mutex_unlock (&s->dictionary_lock);
	dictionary_unref (old);
}

void
content_forget (Store *s)
{
	set_dictionary (s, NULL);
	s->dictionary_looked = FALSE;
	g_hash_table_remove_all (s->ddicts);
	g_clear_pointer (&s->cached_octets, g_bytes_unref);
}

void
content_done (Store *s)
{
	content_forget (s);
	g_clear_pointer (&s->compressor, ZSTD_freeCCtx);
	g_clear_pointer (&s->decompressor, ZSTD_freeDCtx);
}

/* ---- Dictionaries ---- */

static GBytes *
dictionary_data (Store *s, gint64 id, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT data FROM dictionary WHERE id = ?1", "i", id);
	int r = db_step (s->db, q, error);
	if (r == 0)
		error_fail (error, ERROR_CORRUPT, "the store %s lacks its dictionary %" G_GINT64_FORMAT ": run 'outpost store check'", s->path, id);
	if (r <= 0)
		return NULL;
	gsize size;
	const void *data = db_blob (q, 0, &size);
	GBytes *bytes = g_bytes_new (data, size);
	db_reset (q);
	return bytes;
}

static ZSTD_DDict *
ddict_of (Store *s, gint64 id, GError **error)
{
	ZSTD_DDict *d = g_hash_table_lookup (s->ddicts, GSIZE_TO_POINTER ((gsize) id));
	if (d)
		return d;
	g_autoptr (GBytes) data = dictionary_data (s, id, error);
	if (!data)
		return NULL;
	d = ZSTD_createDDict (g_bytes_get_data (data, NULL), g_bytes_get_size (data));
	g_hash_table_insert (s->ddicts, GSIZE_TO_POINTER ((gsize) id), d);
	return d;
}

typedef struct {
	GByteArray *octets;
	gsize sizes[TRAIN_CONTENTS];
	unsigned n;
} Samples;

static gboolean
collect_samples (Store *s, Samples *samples, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT id, size FROM content WHERE data IS NOT NULL ORDER BY id DESC LIMIT ?1", "I", TRAIN_CONTENTS);
	int r = 0;
	while (samples->octets->len + TRAIN_SAMPLE <= TRAIN_OCTETS && (r = db_step (s->db, q, error)) > 0) {
		g_autoptr (GBytes) octets = content_chunk (s, db_int (q, 0), (guint64) db_int (q, 1), 0, error);
		if (!octets) {
			db_reset (q);
			return FALSE;
		}
		gsize size = MIN (g_bytes_get_size (octets), (gsize) TRAIN_SAMPLE);
		if (size < 8)
			continue;
		g_byte_array_append (samples->octets, g_bytes_get_data (octets, NULL), (guint) size);
		samples->sizes[samples->n++] = size;
	}
	db_reset (q);
	return r >= 0;
}

/* Contents that teach nothing (a few very small ones, noise) are no error: the store goes on without. */
static gboolean
train (Store *s, gint64 *id_out, GError **error)
{
	g_autofree Samples *samples = g_new0 (Samples, 1);
	g_autoptr (GByteArray) octets = g_byte_array_sized_new (TRAIN_OCTETS);
	g_autofree char *dictionary = g_malloc (DICTIONARY_SIZE);
	samples->octets = octets;
	*id_out = 0;
	if (!collect_samples (s, samples, error))
		return FALSE;
	ZDICT_fastCover_params_t how = {.k = TRAIN_K, .d = 8, .f = 20, .accel = 1, .zParams.compressionLevel = LEVEL};
	size_t size = ZDICT_trainFromBuffer_fastCover (dictionary, DICTIONARY_SIZE, octets->data, samples->sizes, samples->n, how);
	s->untrainable = ZDICT_isError (size);
	if (s->untrainable)
		return TRUE;
	gboolean ok = db_run (s->db, "INSERT INTO dictionary (data) VALUES (?1)", error, "b", dictionary, (gsize) size);
	*id_out = db_last_id (s->db);
	return ok;
}

static gboolean
use_dictionary (Store *s, gint64 id, GError **error)
{
	g_autoptr (GBytes) data = dictionary_data (s, id, error);
	if (!data)
		return FALSE;
	ZSTD_CDict *cdict = ZSTD_createCDict (g_bytes_get_data (data, NULL), g_bytes_get_size (data), LEVEL);
	if (cdict) {
		Dictionary *d = g_atomic_rc_box_new0 (Dictionary);
		*d = (Dictionary){id, cdict};
		set_dictionary (s, d);
	}
	return cdict || error_fail (error, ERROR_CORRUPT, "the dictionary %" G_GINT64_FORMAT " of the store %s is damaged: run 'outpost store check'",
	                               id, s->path);
}

/* Before content number @next is added: the newest dictionary, looked for once a transaction, or one trained now. */
static gboolean
look_for_dictionary (Store *s, gint64 next, GError **error)
{
	gint64 id = 0;
	if (s->dictionary)
		return TRUE;
	if (!s->dictionary_looked)
		id = db_number (s->db, "SELECT MAX (id) FROM dictionary", 0, "");
	s->dictionary_looked = TRUE;
	if (!id && next > TRAIN_AT && !s->untrainable && !train (s, &id, error))
		return FALSE;
	return !id || use_dictionary (s, id, error);
}

/* ---- Frames ---- */

static gsize
compress_with (ZSTD_CCtx *compressor, const Dictionary *d, const void *octets, gsize size, char *frame, gsize room)
{
	size_t n = d ? ZSTD_compress_usingCDict (compressor, frame, room, octets, size, d->cdict)
	             : ZSTD_compressCCtx (compressor, frame, room, octets, size, LEVEL);
	g_assert (!ZSTD_isError (n)); /* the room is ZSTD_compressBound */
	return n;
}

static gsize
compress (Store *s, const void *octets, gsize size, char *frame, gsize room)
{
	if (!s->compressor)
		s->compressor = ZSTD_createCCtx ();
	return compress_with (s->compressor, s->dictionary, octets, size, frame, room);
}

static GBytes *
decompress (Store *s, const void *frame, gsize size, gint64 dictionary, gsize expected, GError **error)
{
	ZSTD_DDict *d = dictionary ? ddict_of (s, dictionary, error) : NULL;
	if (dictionary && !d)
		return NULL;
	if (!s->decompressor)
		s->decompressor = ZSTD_createDCtx ();
	char *octets = g_malloc (expected + 1);
	size_t n = d ? ZSTD_decompress_usingDDict (s->decompressor, octets, expected, frame, size, d)
	             : ZSTD_decompressDCtx (s->decompressor, octets, expected, frame, size);
	if (!ZSTD_isError (n) && n == expected)
		return g_bytes_new_take (octets, n);
	g_free (octets);
	error_fail (error, ERROR_CORRUPT, "the content of a message in the store %s is damaged: run 'outpost store check'", s->path);
	return NULL;
}

/* ---- Packing ---- */

Packer *
packer_new (Store *s)
{
	Packer *packer = g_new0 (Packer, 1);
	packer->store = s;
	packer->compressor = ZSTD_createCCtx ();
	return packer;
}

void
packer_free (Packer *packer)
{
	if (!packer)
		return;
	ZSTD_freeCCtx (packer->compressor);
	g_free (packer);
}

static Dictionary *
ref_dictionary (Store *s)
{
	g_mutex_lock (&s->dictionary_lock);
	Dictionary *d = s->dictionary ? g_atomic_rc_box_acquire (s->dictionary) : NULL;
	g_mutex_unlock (&s->dictionary_lock);
	return d;
}

void
packer_pack (Packer *packer, Prepared *p)
{
	if (!p->octets || p->frame || p->size > CHUNK_SIZE)
		return;
	gsize room = ZSTD_compressBound ((gsize) p->size);
	char *frame = g_malloc (room);
	p->frame_dictionary = ref_dictionary (packer->store);
	gsize n = compress_with (packer->compressor, p->frame_dictionary, g_bytes_get_data (p->octets, NULL), (gsize) p->size, frame, room);
	p->frame = g_bytes_new_take (g_realloc (frame, n), n);
}

/* ---- Adding ---- */

static gint64
dictionary_id (const Store *s)
{
	return s->dictionary ? s->dictionary->id : 0;
}

static gboolean
add_chunks (Store *s, const Prepared *p, gint64 content, GError **error)
{
	gsize room = ZSTD_compressBound (CHUNK_SIZE);
	g_autofree char *frame = g_malloc (room);
	for (guint64 chunk = 0; chunk * CHUNK_SIZE < p->size; chunk++) {
		g_autoptr (GBytes) octets = prepared_read (p, chunk * CHUNK_SIZE, CHUNK_SIZE, error);
		if (!octets)
			return FALSE;
		gsize n = compress (s, g_bytes_get_data (octets, NULL), g_bytes_get_size (octets), frame, room);
		if (!db_run (s->db, "INSERT INTO content_chunk VALUES (?1, ?2, ?3)", error, "iib", content, (gint64) chunk, frame, n))
			return FALSE;
		s->contents.stored += (gint64) n;
	}
	return TRUE;
}

static gboolean
add_big (Store *s, const Prepared *p, gint64 id, GError **error)
{
	return db_run (s->db, "INSERT INTO content (id, hash, size, dictionary, data) VALUES (?1, ?2, ?3, ?4, NULL)", error, "ibii", id, p->hash,
	               (gsize) DIGEST_SIZE, (gint64) p->size, dictionary_id (s)) &&
	       add_chunks (s, p, id, error);
}

/* A frame packed with another dictionary, or none, is made anew: the one used then may be gone by a rollback, and the new one is
 * better. */
static GBytes *
frame_of (Store *s, const Prepared *p, GError **error)
{
	if (p->frame && p->frame_dictionary == s->dictionary)
		return g_bytes_ref (p->frame);
	g_autoptr (GBytes) octets = prepared_read (p, 0, (gsize) p->size, error);
	if (!octets)
		return NULL;
	gsize room = ZSTD_compressBound ((gsize) p->size);
	char *frame = g_malloc (room);
	gsize n = compress (s, g_bytes_get_data (octets, NULL), (gsize) p->size, frame, room);
	return g_bytes_new_take (frame, n);
}

static gboolean
add_small (Store *s, const Prepared *p, gint64 id, GError **error)
{
	g_autoptr (GBytes) frame = frame_of (s, p, error);
	if (!frame)
		return FALSE;
	gsize n = g_bytes_get_size (frame);
	s->contents.stored += (gint64) n;
	return db_run (s->db, "INSERT INTO content (id, hash, size, dictionary, data) VALUES (?1, ?2, ?3, ?4, ?5)", error, "ibiib", id, p->hash,
	               (gsize) DIGEST_SIZE, (gint64) p->size, dictionary_id (s), g_bytes_get_data (frame, NULL), n);
}

gboolean
content_add (Store *s, const Prepared *p, gint64 *content_out, gboolean *new_out, GError **error)
{
	*content_out = db_number (s->db, "SELECT id FROM content WHERE hash = ?1", 0, "b", p->hash, (gsize) DIGEST_SIZE);
	*new_out = *content_out == 0;
	if (!*new_out)
		return TRUE;
	if (!s->next_content)
		s->next_content = db_number (s->db, "SELECT IFNULL (MAX (id), 0) + 1 FROM content", 1, "");
	*content_out = s->next_content++;
	if (++s->added == MANY) {
		db_cache (s->db, CACHE_IMPORT);
		db_checkpoint_at (s->db, CHECKPOINT_IMPORT);
	}
	s->contents.changed = TRUE;
	s->contents.contents++;
	s->contents.octets += (gint64) p->size;
	return look_for_dictionary (s, *content_out, error) &&
	       (p->size > CHUNK_SIZE ? add_big (s, p, *content_out, error) : add_small (s, p, *content_out, error));
}

/* ---- Removing ---- */

#define UNUSED "FROM content WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.content = content.id)"

gboolean
content_sweep (Store *s, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT COUNT (*), IFNULL (SUM (size), 0), IFNULL (SUM (IFNULL (length (data), (SELECT SUM (length (k.data)) FROM"
	                              " content_chunk k WHERE k.content = content.id))), 0) " UNUSED, "");
	if (db_step (s->db, q, error) <= 0)
		return FALSE;
	gint64 contents = db_int (q, 0);
	s->contents.changed |= contents > 0;
	s->contents.contents -= contents;
	s->contents.octets -= db_int (q, 1);
	s->contents.stored -= db_int (q, 2);
	db_reset (q);
	return contents == 0 || db_run (s->db, "DELETE " UNUSED, error, "");
}

/* ---- Reading ---- */

static GBytes *
decompress_row (Store *s, DbQuery *q, gsize expected, GError **error)
{
	int r = db_step (s->db, q, error);
	if (r == 0)
		error_fail (error, ERROR_CORRUPT, "a part of a message is missing in the store %s: run 'outpost store check'", s->path);
	if (r <= 0)
		return NULL;
	gsize n;
	const void *frame = db_blob (q, 1, &n);
	GBytes *octets = decompress (s, frame, n, db_int (q, 0), expected, error);
	db_reset (q);
	return octets;
}

GBytes *
content_chunk (Store *s, gint64 content, guint64 size, guint64 chunk, GError **error)
{
	if (size <= CHUNK_SIZE)
		return decompress_row (s, db_query (s->db, "SELECT dictionary, data FROM content WHERE id = ?1", "i", content), (gsize) size, error);
	DbQuery *q = db_query (s->db, "SELECT c.dictionary, k.data FROM content_chunk k JOIN content c ON c.id = k.content"
	                              " WHERE k.content = ?1 AND k.seq = ?2", "ii", content, (gint64) chunk);
	return decompress_row (s, q, (gsize) MIN (size - chunk * CHUNK_SIZE, (guint64) CHUNK_SIZE), error);
}

static gboolean
hash_of_content (Store *s, gint64 content, guint64 size, guint8 hash_out[DIGEST_SIZE], GError **error)
{
	Digest *d = digest_new ();
	gboolean ok = TRUE;
	guint64 chunk = 0;
	do {
		g_autoptr (GBytes) octets = content_chunk (s, content, size, chunk, error);
		ok = octets != NULL;
		if (ok)
			digest_feed (d, g_bytes_get_data (octets, NULL), g_bytes_get_size (octets));
	} while (ok && ++chunk * CHUNK_SIZE < size);
	digest_end (d, hash_out);
	return ok;
}

gboolean
content_verify (Store *s, gint64 content, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT size, hash FROM content WHERE id = ?1", "i", content);
	guint8 expected[DIGEST_SIZE], hash[DIGEST_SIZE];
	int r = db_step (s->db, q, error);
	if (r == 0)
		error_fail (error, ERROR_NOT_FOUND, "there is no content %" G_GINT64_FORMAT, content);
	if (r <= 0)
		return FALSE;
	gsize n;
	const void *stored = db_blob (q, 1, &n);
	guint64 size = (guint64) db_int (q, 0);
	if (n == DIGEST_SIZE)
		memcpy (expected, stored, DIGEST_SIZE);
	db_reset (q);
	if (!hash_of_content (s, content, size, hash, error))
		return FALSE;
	return (n == DIGEST_SIZE && memcmp (hash, expected, DIGEST_SIZE) == 0) ||
	       error_fail (error, ERROR_CORRUPT, "content %" G_GINT64_FORMAT " of the store %s does not have its hash: run 'outpost store check'", content,
	                   s->path);
}

gboolean
content_recompress (Store *s, gint64 content, guint64 size, GError **error)
{
	g_autoptr (GBytes) octets = content_chunk (s, content, size, 0, error);
	if (!octets || !look_for_dictionary (s, 0, error) || !s->dictionary)
		return octets && s->dictionary;
	gsize room = ZSTD_compressBound ((gsize) size);
	g_autofree char *frame = g_malloc (room);
	gsize n = compress (s, g_bytes_get_data (octets, NULL), (gsize) size, frame, room);
	gint64 now = db_number (s->db, "SELECT length (data) FROM content WHERE id = ?1", 0, "i", content);
	if ((gint64) n >= now)
		return TRUE;
	s->contents.changed = TRUE;
	s->contents.stored += (gint64) n - now;
	return db_run (s->db, "UPDATE content SET dictionary = ?2, data = ?3 WHERE id = ?1", error, "iib", content, dictionary_id (s), frame, n);
}

static gboolean
content_of_message (Store *s, gint64 message, gint64 *content_out, guint64 *size_out, GError **error)
{
	DbQuery *q = db_query (s->db, "SELECT content, size FROM message WHERE id = ?1", "i", message);
	int r = db_step (s->db, q, error);
	if (r == 0)
		error_fail (error, ERROR_NOT_FOUND, "there is no message %" G_GINT64_FORMAT, message);
	if (r <= 0)
		return FALSE;
	*content_out = db_int (q, 0);
	*size_out = (guint64) db_int (q, 1);
	db_reset (q);
	return TRUE;
}

static GBytes *
cached_chunk (Store *s, gint64 message, gint64 content, guint64 size, guint64 chunk, GError **error)
{
	if (s->cached_octets && s->cached_message == message && s->cached_chunk == chunk)
		return g_bytes_ref (s->cached_octets);
	GBytes *octets = content_chunk (s, content, size, chunk, error);
	if (octets) {
		g_clear_pointer (&s->cached_octets, g_bytes_unref);
		s->cached_octets = g_bytes_ref (octets);
		s->cached_message = message;
		s->cached_chunk = chunk;
	}
	return octets;
}

GBytes *
store_read (Store *s, gint64 message, guint64 offset, gsize size, GError **error)
{
	gint64 content;
	guint64 total;
	if (!content_of_message (s, message, &content, &total, error))
		return NULL;
	if (offset >= total || size == 0)
		return g_bytes_new (NULL, 0);
	guint64 end = size < total - offset ? offset + size : total;
	g_autofree char *out = NULL;
	for (guint64 chunk = offset / CHUNK_SIZE; chunk * CHUNK_SIZE < end; chunk++) {
		g_autoptr (GBytes) octets = cached_chunk (s, message, content, total, chunk, error);
		if (!octets)
			return NULL;
		guint64 start = chunk * CHUNK_SIZE, from = MAX (offset, start), to = MIN (end, start + CHUNK_SIZE);
		if (from == offset && to == end)
			return g_bytes_new_from_bytes (octets, (gsize) (from - start), (gsize) (to - from));
		if (!out && !(out = g_try_malloc (end - offset))) {
			error_fail (error, ERROR_TOO_BIG, "there is no memory for %" G_GUINT64_FORMAT " octets of a message", end - offset);
			return NULL;
		}
		memcpy (out + (from - offset), (const char *) g_bytes_get_data (octets, NULL) + (from - start), (gsize) (to - from));
	}
	return g_bytes_new_take (g_steal_pointer (&out), (gsize) (end - offset));
}

gboolean
store_stream (Store *s, gint64 message, StoreSink sink, gpointer data, GError **error)
{
	gint64 content;
	guint64 total;
	if (!content_of_message (s, message, &content, &total, error))
		return FALSE;
	for (guint64 chunk = 0; chunk * CHUNK_SIZE < total; chunk++) {
		g_autoptr (GBytes) octets = content_chunk (s, content, total, chunk, error);
		if (!octets || !sink (data, g_bytes_get_data (octets, NULL), g_bytes_get_size (octets), error))
			return FALSE;
	}
	return TRUE;
}
