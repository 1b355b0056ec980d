/* SPDX-License-Identifier: Apache-2.0 */
/* Tells ThreadSanitizer what GLib's locks and threads order: GLib is not built with it and locks by futex, so that every use of a GMutex
 * looks like a race. To be preloaded:
 *	meson setup build-tsan -Db_sanitize=thread -Db_lundef=false && ninja -C build-tsan
 *	cc -shared -fPIC -o tsan-glib.so tests/lib/tsan-glib.c $(pkg-config --cflags --libs glib-2.0) -ldl
 *	LD_PRELOAD="$(cc -print-file-name=libtsan.so) ./tsan-glib.so" build-tsan/tests/unit/sync/test-histories */
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
