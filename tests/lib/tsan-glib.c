/* SPDX-License-Identifier: Apache-2.0 */
/* Tells ThreadSanitizer what GLib's locks and threads order: GLib is not built with it and locks by futex, so that every use of a GMutex
 * looks like a race. Preloaded by scripts/tsan.sh. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <glib.h>

void __tsan_acquire (void *where);
void __tsan_release (void *where);

#define REAL(name) static __typeof__ (name) *real; if (!real) real = (__typeof__ (name) *) dlsym (RTLD_NEXT, #name)

#undef g_mutex_lock
void
g_mutex_lock (GMutex *m)
{
	REAL (g_mutex_lock);
	real (m);
	__tsan_acquire (m);
}

gboolean
g_mutex_trylock (GMutex *m)
{
	REAL (g_mutex_trylock);
	gboolean got = real (m);
	if (got)
		__tsan_acquire (m);
	return got;
}

void
g_mutex_unlock (GMutex *m)
{
	REAL (g_mutex_unlock);
	__tsan_release (m);
	real (m);
}

void
g_cond_wait (GCond *c, GMutex *m)
{
	REAL (g_cond_wait);
	__tsan_release (m);
	real (c, m);
	__tsan_acquire (m);
}

gboolean
g_cond_wait_until (GCond *c, GMutex *m, gint64 end)
{
	REAL (g_cond_wait_until);
	__tsan_release (m);
	gboolean woken = real (c, m, end);
	__tsan_acquire (m);
	return woken;
}

typedef struct {
	GThreadFunc function;
	gpointer data;
} Start;

static gpointer
begin (gpointer start)
{
	Start s = *(Start *) start;
	__tsan_acquire (start);
	gpointer result = s.function (s.data);
	__tsan_release (g_thread_self ());
	return result;
}

GThread *
g_thread_new (const char *name, GThreadFunc function, gpointer data)
{
	REAL (g_thread_new);
	Start *start = g_new (Start, 1); /* never freed: the thread may read it at any time */
	*start = (Start){function, data};
	__tsan_release (start);
	return real (name, begin, start);
}

gpointer
g_thread_join (GThread *thread)
{
	REAL (g_thread_join);
	gpointer result = real (thread);
	__tsan_acquire (thread);
	return result;
}

/* The last one to release may clear: what the others did to it came before. */
static _Thread_local GDestroyNotify clear_boxed;

static void
clear_after_all (gpointer boxed)
{
	__tsan_acquire (boxed);
	if (clear_boxed)
		clear_boxed (boxed);
}

void
g_atomic_rc_box_release_full (gpointer boxed, GDestroyNotify clear)
{
	REAL (g_atomic_rc_box_release_full);
	GDestroyNotify outer = clear_boxed;
	__tsan_release (boxed);
	clear_boxed = clear;
	real (boxed, clear_after_all);
	clear_boxed = outer;
}

/* What is pushed to a pool is ordered before the work on it. */
typedef struct {
	GFunc function;
	gpointer data;
} Pool;
static char pushed;

static void
work (gpointer item, gpointer pool)
{
	__tsan_acquire (&pushed);
	((Pool *) pool)->function (item, ((Pool *) pool)->data);
	__tsan_release (&pushed);
}

GThreadPool *
g_thread_pool_new (GFunc function, gpointer data, gint most, gboolean exclusive, GError **error)
{
	REAL (g_thread_pool_new);
	Pool *pool = g_new (Pool, 1); /* never freed, as the pool's threads may still end */
	*pool = (Pool){function, data};
	return real (work, pool, most, exclusive, error);
}

gboolean
g_thread_pool_push (GThreadPool *pool, gpointer item, GError **error)
{
	REAL (g_thread_pool_push);
	__tsan_release (&pushed);
	return real (pool, item, error);
}

void
g_thread_pool_free (GThreadPool *pool, gboolean immediate, gboolean wait)
{
	REAL (g_thread_pool_free);
	real (pool, immediate, wait);
	__tsan_acquire (&pushed);
}
