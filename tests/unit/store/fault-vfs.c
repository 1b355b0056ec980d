/* SPDX-License-Identifier: Apache-2.0 */
#include "fault-vfs.h"
#include <errno.h>
#include <sqlite3.h>
#include <string.h>

typedef struct {
	sqlite3_file base;
	sqlite3_file *inner; /* behind this struct */
} FaultFile;

static struct {
	guint kinds, at, count;
	gboolean for_ever, happened;
	int err;
} fault;

static sqlite3_vfs *inner_vfs;
static sqlite3_mem_methods inner_memory;

void
fault_at (guint kinds, guint n, gboolean for_ever, int err)
{
	fault.kinds = kinds;
	fault.at = n;
	fault.count = 0;
	fault.for_ever = for_ever;
	fault.happened = FALSE;
	fault.err = err;
}

guint
fault_count (void)
{
	return fault.count;
}

gboolean
fault_happened (void)
{
	return fault.happened;
}

static gboolean
fails (FaultKind kind)
{
	if (!(fault.kinds & kind))
		return FALSE;
	fault.count++;
	gboolean now = fault.at && (fault.count == fault.at || (fault.for_ever && fault.count > fault.at));
	fault.happened |= now;
	if (now && fault.err)
		errno = fault.err;
	return now;
}

/* ---- Files ---- */

#define INNER(f) (((FaultFile *) (f))->inner)

static int
file_close (sqlite3_file *f)
{
	return INNER (f)->pMethods ? INNER (f)->pMethods->xClose (INNER (f)) : SQLITE_OK;
}

static int
file_read (sqlite3_file *f, void *data, int n, sqlite3_int64 at)
{
	return fails (FAULT_READ) ? SQLITE_IOERR_READ : INNER (f)->pMethods->xRead (INNER (f), data, n, at);
}

/* A full disk takes part of what is written. */
static int
file_write (sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
	if (!fails (FAULT_WRITE))
		return INNER (f)->pMethods->xWrite (INNER (f), data, n, at);
	INNER (f)->pMethods->xWrite (INNER (f), data, n / 2, at);
	return fault.err == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int
file_truncate (sqlite3_file *f, sqlite3_int64 size)
{
	return fails (FAULT_WRITE) ? SQLITE_IOERR_TRUNCATE : INNER (f)->pMethods->xTruncate (INNER (f), size);
}

static int
file_sync (sqlite3_file *f, int flags)
{
	return fails (FAULT_SYNC) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int
file_size (sqlite3_file *f, sqlite3_int64 *size)
{
	return INNER (f)->pMethods->xFileSize (INNER (f), size);
}

static int
file_lock (sqlite3_file *f, int kind)
{
	return INNER (f)->pMethods->xLock (INNER (f), kind);
}

static int
file_unlock (sqlite3_file *f, int kind)
{
	return INNER (f)->pMethods->xUnlock (INNER (f), kind);
}

static int
file_reserved (sqlite3_file *f, int *out)
{
	return INNER (f)->pMethods->xCheckReservedLock (INNER (f), out);
}

static int
file_control (sqlite3_file *f, int op, void *data)
{
	return INNER (f)->pMethods->xFileControl (INNER (f), op, data);
}

static int
file_sector (sqlite3_file *f)
{
	return INNER (f)->pMethods->xSectorSize (INNER (f));
}

static int
file_device (sqlite3_file *f)
{
	return INNER (f)->pMethods->xDeviceCharacteristics (INNER (f));
}

static int
file_shm_map (sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	return fails (FAULT_SHARED) ? SQLITE_IOERR_SHMSIZE : INNER (f)->pMethods->xShmMap (INNER (f), page, size, extend, out);
}

static int
file_shm_lock (sqlite3_file *f, int at, int n, int flags)
{
	return INNER (f)->pMethods->xShmLock (INNER (f), at, n, flags);
}

static void
file_shm_barrier (sqlite3_file *f)
{
	INNER (f)->pMethods->xShmBarrier (INNER (f));
}

static int
file_shm_unmap (sqlite3_file *f, int remove)
{
	return INNER (f)->pMethods->xShmUnmap (INNER (f), remove);
}

static const sqlite3_io_methods methods = {2, file_close, file_read, file_write, file_truncate, file_sync, file_size, file_lock, file_unlock,
                                           file_reserved, file_control, file_sector, file_device, file_shm_map, file_shm_lock, file_shm_barrier,
                                           file_shm_unmap, NULL, NULL};

/* ---- The VFS ---- */

static int
vfs_open (sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
	FaultFile *file = (FaultFile *) f;
	file->inner = (sqlite3_file *) (file + 1);
	file->inner->pMethods = NULL;
	f->pMethods = NULL;
	if (fails (FAULT_OPEN))
		return SQLITE_CANTOPEN;
	int r = inner_vfs->xOpen (inner_vfs, name, file->inner, flags, out);
	f->pMethods = file->inner->pMethods ? &methods : NULL;
	return r;
}

static int
vfs_delete (sqlite3_vfs *vfs, const char *name, int sync)
{
	return fails (FAULT_DELETE) ? SQLITE_IOERR_DELETE : inner_vfs->xDelete (inner_vfs, name, 0);
}

static int
vfs_access (sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	return inner_vfs->xAccess (inner_vfs, name, flags, out);
}

static int
vfs_full (sqlite3_vfs *vfs, const char *name, int n, char *out)
{
	return inner_vfs->xFullPathname (inner_vfs, name, n, out);
}

static int
vfs_random (sqlite3_vfs *vfs, int n, char *out)
{
	return inner_vfs->xRandomness (inner_vfs, n, out);
}

static int
vfs_sleep (sqlite3_vfs *vfs, int us)
{
	return inner_vfs->xSleep (inner_vfs, us);
}

static int
vfs_time (sqlite3_vfs *vfs, double *out)
{
	return inner_vfs->xCurrentTime (inner_vfs, out);
}

static int
vfs_error (sqlite3_vfs *vfs, int n, char *out)
{
	return fault.happened ? fault.err : inner_vfs->xGetLastError (inner_vfs, n, out);
}

static int
vfs_time_64 (sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	return inner_vfs->xCurrentTimeInt64 (inner_vfs, out);
}

static sqlite3_vfs fault_vfs = {.iVersion = 2, .zName = "fault", .xOpen = vfs_open, .xDelete = vfs_delete, .xAccess = vfs_access,
                                .xFullPathname = vfs_full, .xRandomness = vfs_random, .xSleep = vfs_sleep, .xCurrentTime = vfs_time,
                                .xGetLastError = vfs_error, .xCurrentTimeInt64 = vfs_time_64};

/* ---- Memory ---- */

static void *
memory_new (int n)
{
	return fails (FAULT_MEMORY) ? NULL : inner_memory.xMalloc (n);
}

static void *
memory_resize (void *p, int n)
{
	return fails (FAULT_MEMORY) ? NULL : inner_memory.xRealloc (p, n);
}

void
fault_install (void)
{
	sqlite3_config (SQLITE_CONFIG_GETMALLOC, &inner_memory);
	sqlite3_mem_methods memory = inner_memory;
	memory.xMalloc = memory_new;
	memory.xRealloc = memory_resize;
	sqlite3_config (SQLITE_CONFIG_MALLOC, &memory);
	sqlite3_initialize ();
	inner_vfs = sqlite3_vfs_find (NULL);
	fault_vfs.szOsFile = (int) sizeof (FaultFile) + inner_vfs->szOsFile;
	fault_vfs.mxPathname = inner_vfs->mxPathname;
	sqlite3_vfs_register (&fault_vfs, 1);
}
