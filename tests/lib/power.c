/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded: keeps a record of all that a program does to the files below POWER_DIR, of what it makes durable, and of what it tells its clients,
 * in the order in which that happened, in POWER_LOG. power.py makes of it what a disk may hold after the power failed at any moment. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) static __typeof__ (name) *real; if (!real) real = (__typeof__ (name) *) dlsym (RTLD_NEXT, #name)
#define FDS 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[FDS]; /* NULL: not below POWER_DIR */
static int log_fd = -1;
static const char *below;

static ssize_t
put (const void *data, size_t n)
{
	static ssize_t (*real) (int, const void *, size_t);
	if (!real)
		real = (ssize_t (*) (int, const void *, size_t)) dlsym (RTLD_NEXT, "write");
	return real (log_fd, data, n);
}

/* What is done between both is one step of the record, among processes, too. */
static void
begin (void)
{
	int saved = errno;
	pthread_mutex_lock (&lock);
	if (log_fd < 0 && getenv ("POWER_LOG")) {
		int (*real) (const char *, int, ...) = (int (*) (const char *, int, ...)) dlsym (RTLD_NEXT, "open");
		log_fd = real (getenv ("POWER_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
		below = getenv ("POWER_DIR");
	}
	flock (log_fd, LOCK_EX);
	errno = saved;
}

static void
end (void)
{
	int saved = errno;
	flock (log_fd, LOCK_UN);
	pthread_mutex_unlock (&lock);
	errno = saved;
}

static void
record (char kind, const char *path, uint64_t at, const void *data, size_t n)
{
	struct {
		uint32_t path, data;
		uint64_t at;
		char kind, rest[7];
	} head = {(uint32_t) strlen (path), (uint32_t) n, at, kind, ""};
	int saved = errno;
	struct iovec all[] = {{&head, sizeof head}, {(void *) path, head.path}, {(void *) data, n}};
	for (int i = 0; i < 3; i++)
		if (all[i].iov_len && put (all[i].iov_base, all[i].iov_len) != (ssize_t) all[i].iov_len)
			abort ();
	errno = saved;
}

static const char *
path_of (int fd)
{
	return fd >= 0 && fd < FDS ? paths[fd] : NULL;
}

static int
is_below (const char *path)
{
	return below && strncmp (path, below, strlen (below)) == 0;
}

static void
absolute (int at, const char *path, char out[PATH_MAX])
{
	char from[64], top[PATH_MAX];
	snprintf (from, sizeof from, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
	ssize_t n = readlink (from, top, sizeof top - 1);
	top[n > 0 ? n : 0] = '\0';
	if (snprintf (out, PATH_MAX, *path == '/' ? "%.0s%s" : "%s/%s", top, path) >= PATH_MAX)
		abort ();
}

static int
opened (int at, const char *path, int flags, int fd, int was_there)
{
	char name[PATH_MAX];
	absolute (at, path, name);
	if (fd < 0 || fd >= FDS)
		return fd;
	free (paths[fd]);
	paths[fd] = is_below (name) ? strdup (name) : NULL;
	if (paths[fd] && !was_there)
		record ('C', name, 0, NULL, 0);
	if (paths[fd] && was_there && flags & O_TRUNC)
		record ('T', name, 0, NULL, 0);
	return fd;
}

#define OPEN(name)                                                     \
	int name (const char *path, int flags, ...)                        \
	{                                                                  \
		REAL (name);                                                   \
		va_list args;                                                  \
		va_start (args, flags);                                        \
		int mode = flags & O_CREAT ? va_arg (args, int) : 0;           \
		va_end (args);                                                 \
		begin ();                                                      \
		int there = access (path, F_OK) == 0 || !(flags & O_CREAT);    \
		int fd = opened (AT_FDCWD, path, flags, real (path, flags, mode), there); \
		end ();                                                        \
		return fd;                                                     \
	}
#define OPENAT(name)                                                   \
	int name (int at, const char *path, int flags, ...)                \
	{                                                                  \
		REAL (name);                                                   \
		va_list args;                                                  \
		va_start (args, flags);                                        \
		int mode = flags & O_CREAT ? va_arg (args, int) : 0;           \
		va_end (args);                                                 \
		begin ();                                                      \
		int there = faccessat (at, path, F_OK, 0) == 0 || !(flags & O_CREAT); \
		int fd = opened (at, path, flags, real (at, path, flags, mode), there); \
		end ();                                                        \
		return fd;                                                     \
	}
#undef open
#undef open64
#undef openat
#undef openat64
OPEN (open)
OPEN (open64)
OPENAT (openat)
OPENAT (openat64)

int
close (int fd)
{
	REAL (close);
	pthread_mutex_lock (&lock);
	if (fd >= 0 && fd < FDS) {
		free (paths[fd]);
		paths[fd] = NULL;
	}
	int r = real (fd);
	pthread_mutex_unlock (&lock);
	return r;
}

#define PWRITE(name, offset)                                           \
	ssize_t name (int fd, const void *data, size_t n, offset at)       \
	{                                                                  \
		REAL (name);                                                   \
		if (!path_of (fd))                                             \
			return real (fd, data, n, at);                             \
		begin ();                                                      \
		ssize_t r = real (fd, data, n, at);                            \
		if (r > 0)                                                     \
			record ('W', paths[fd], (uint64_t) at, data, (size_t) r);  \
		end ();                                                        \
		return r;                                                      \
	}
#undef pwrite
#undef pwrite64
PWRITE (pwrite, off_t)
PWRITE (pwrite64, off64_t)

static int
is_socket (int fd)
{
	struct stat st;
	return fstat (fd, &st) == 0 && S_ISSOCK (st.st_mode);
}

static void
tell (int fd, const void *data, size_t n)
{
	char name[32];
	snprintf (name, sizeof name, "%d:%d", (int) getpid (), fd);
	begin ();
	record ('A', name, 0, data, n);
	end ();
}

ssize_t
write (int fd, const void *data, size_t n)
{
	REAL (write);
	if (!path_of (fd)) {
		if (getenv ("POWER_LOG") && is_socket (fd))
			tell (fd, data, n);
		return real (fd, data, n);
	}
	begin ();
	off_t at = lseek (fd, 0, fcntl (fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
	ssize_t r = real (fd, data, n);
	if (r > 0)
		record ('W', paths[fd], (uint64_t) at, data, (size_t) r);
	end ();
	return r;
}

ssize_t
send (int fd, const void *data, size_t n, int flags)
{
	REAL (send);
	tell (fd, data, n);
	return real (fd, data, n, flags);
}

ssize_t
sendto (int fd, const void *data, size_t n, int flags, const struct sockaddr *to, socklen_t size)
{
	REAL (sendto);
	tell (fd, data, n);
	return real (fd, data, n, flags, to, size);
}

/* Of GnuTLS: what is told before it is encrypted. */
ssize_t gnutls_record_send (void *session, const void *data, size_t n);
ssize_t
gnutls_record_send (void *session, const void *data, size_t n)
{
	REAL (gnutls_record_send);
	if (data)
		tell (-1, data, n);
	return real (session, data, n);
}

static void
tell_all (int fd, const struct iovec *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tell (fd, v[i].iov_base, v[i].iov_len);
}

ssize_t
sendmsg (int fd, const struct msghdr *m, int flags)
{
	REAL (sendmsg);
	tell_all (fd, m->msg_iov, m->msg_iovlen);
	return real (fd, m, flags);
}

ssize_t
writev (int fd, const struct iovec *v, int n)
{
	REAL (writev);
	if (path_of (fd))
		abort (); /* nobody does, so far */
	if (getenv ("POWER_LOG") && is_socket (fd))
		tell_all (fd, v, (size_t) n);
	return real (fd, v, n);
}

#define TRUNCATE(name, offset)                                         \
	int name (int fd, offset size)                                     \
	{                                                                  \
		REAL (name);                                                   \
		begin ();                                                      \
		int r = real (fd, size);                                       \
		if (r == 0 && path_of (fd))                                    \
			record ('T', paths[fd], (uint64_t) size, NULL, 0);         \
		end ();                                                        \
		return r;                                                      \
	}
#undef ftruncate
#undef ftruncate64
TRUNCATE (ftruncate, off_t)
TRUNCATE (ftruncate64, off64_t)

/* Recorded when it is done: what was written until it began is durable then, as all else waits. */
#define SYNC(name)                                                     \
	int name (int fd)                                                  \
	{                                                                  \
		begin ();                                                      \
		if (path_of (fd))                                              \
			record ('S', paths[fd], 0, NULL, 0);                       \
		end ();                                                        \
		return 0; /* the disk is not waited for: a test is quick */    \
	}
SYNC (fsync)
SYNC (fdatasync)

static int
gone (int at, const char *path, int r)
{
	char name[PATH_MAX];
	absolute (at, path, name);
	if (r == 0 && is_below (name))
		record ('U', name, 0, NULL, 0);
	return r;
}

int
unlink (const char *path)
{
	REAL (unlink);
	begin ();
	int r = gone (AT_FDCWD, path, real (path));
	end ();
	return r;
}

int
unlinkat (int at, const char *path, int flags)
{
	REAL (unlinkat);
	begin ();
	int r = gone (at, path, real (at, path, flags));
	end ();
	return r;
}

int
rmdir (const char *path)
{
	REAL (rmdir);
	begin ();
	int r = gone (AT_FDCWD, path, real (path));
	end ();
	return r;
}

static int
renamed (const char *from, const char *to, int r)
{
	char a[PATH_MAX], b[PATH_MAX];
	absolute (AT_FDCWD, from, a);
	absolute (AT_FDCWD, to, b);
	if (r == 0 && is_below (b))
		record ('R', a, 0, b, strlen (b));
	return r;
}

int
rename (const char *from, const char *to)
{
	REAL (rename);
	begin ();
	int r = renamed (from, to, real (from, to));
	end ();
	return r;
}

int
link (const char *from, const char *to)
{
	REAL (link);
	begin ();
	int r = real (from, to);
	char name[PATH_MAX], old[PATH_MAX];
	absolute (AT_FDCWD, to, name);
	absolute (AT_FDCWD, from, old);
	if (r == 0 && is_below (name))
		record ('L', old, 0, name, strlen (name));
	end ();
	return r;
}

int
mkdir (const char *path, mode_t mode)
{
	REAL (mkdir);
	begin ();
	int r = real (path, mode);
	char name[PATH_MAX];
	absolute (AT_FDCWD, path, name);
	if (r == 0 && is_below (name))
		record ('M', name, 0, NULL, 0);
	end ();
	return r;
}
