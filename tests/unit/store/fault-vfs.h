/* SPDX-License-Identifier: Apache-2.0 */
/* A VFS under SQLite that fails when it is told to, and an allocator that does. */
#pragma once
#include <glib.h>

typedef enum {
	FAULT_OPEN = 1,
	FAULT_READ = 2,
	FAULT_WRITE = 4, /* and truncating */
	FAULT_SYNC = 8,
	FAULT_SHARED = 16, /* the index of the write-ahead log */
	FAULT_DELETE = 32,
	FAULT_MEMORY = 64, /* SQLite's own allocations */
} FaultKind;

/* Makes it the default; before SQLite is used at all. Files are not really synchronised, so that tests are quick. */
void fault_install (void);
/* From now on the @n-th operation of these kinds (1: the next) fails with @err (ENOSPC, EIO), with @for_ever all after it, too. 0: none.
 * Counting begins anew. */
void fault_at (guint kinds, guint n, gboolean for_ever, int err);
/* Operations counted since fault_at, of the kinds named there. */
guint fault_count (void);
/* Whether one has failed since fault_at. */
gboolean fault_happened (void);
