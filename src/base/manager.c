/* SPDX-License-Identifier: Apache-2.0 */
/* By hand, as sd_notify(3) allows: linking libsystemd would cost every start of the program more than these lines. */
#include "manager.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */
#define HANDED_MAX 64

typedef union {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
} Address;

/* ---- Telling ---- */

/* @fd -1: none. */
static gboolean
tell (const char *state, int fd)
{
	const char *path = g_getenv ("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (!path || (*path != '/' && *path != '@') || strlen (path) >= sizeof to.sun_path)
		return FALSE;
	memcpy (to.sun_path, path, strlen (path));
	if (*path == '@')
		to.sun_path[0] = '\0';
	struct iovec text = {(char *) state, strlen (state)};
	union {
		struct cmsghdr header;
		char octets[CMSG_SPACE (sizeof (int))];
	} control = {0};
	struct msghdr message = {.msg_name = &to, .msg_namelen = (socklen_t) (G_STRUCT_OFFSET (struct sockaddr_un, sun_path) + strlen (path)), .msg_iov = &text,
	                         .msg_iovlen = 1};
	if (fd >= 0) {
		message.msg_control = control.octets;
		message.msg_controllen = sizeof control.octets;
		control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN (sizeof (int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy (CMSG_DATA (&control.header), &fd, sizeof fd);
	}
	int by = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	gboolean ok = by >= 0 && sendmsg (by, &message, MSG_NOSIGNAL) >= 0;
	if (!ok)
		g_debug ("the service manager does not listen: %s", g_strerror (errno));
	if (by >= 0)
		close (by);
	return ok;
}

void
manager_tell (const char *state)
{
	tell (state, -1);
}

/* ---- Addresses ---- */

static gboolean
is_bound_to (int fd, const struct sockaddr *wanted)
{
	const Address *w = (const Address *) wanted;
	Address a = {0};
	socklen_t size = sizeof a;
	if (getsockname (fd, &a.any, &size) != 0 || a.any.sa_family != wanted->sa_family)
		return FALSE;
	if (a.any.sa_family == AF_INET)
		return a.in.sin_port == w->in.sin_port && a.in.sin_addr.s_addr == w->in.sin_addr.s_addr;
	if (a.any.sa_family == AF_INET6)
		return a.in6.sin6_port == w->in6.sin6_port && memcmp (&a.in6.sin6_addr, &w->in6.sin6_addr, sizeof a.in6.sin6_addr) == 0;
	return a.any.sa_family == AF_UNIX && strncmp (a.un.sun_path, w->un.sun_path, sizeof a.un.sun_path) == 0;
}

/* The same for the same address, and no ':' in it. */
static char *
name_of (int fd)
{
	Address a = {0};
	socklen_t size = sizeof a;
	if (getsockname (fd, &a.any, &size) != 0)
		return NULL;
	g_autofree char *name = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) &a, size);
	return g_strdup_printf ("listen-%.32s", name);
}

gboolean
manager_keep (int fd)
{
	g_autofree char *name = name_of (fd);
	g_autofree char *state = g_strdup_printf ("FDSTORE=1\nFDNAME=%s", name ? name : "listen");
	return tell (state, fd);
}

/* ---- What was handed over ---- */

static int
handed_over (void)
{
	const char *pid = g_getenv ("LISTEN_PID"), *count = g_getenv ("LISTEN_FDS");
	guint64 number;
	if (!pid || !count || !g_ascii_string_to_unsigned (pid, 10, 1, G_MAXINT, &number, NULL) || (pid_t) number != getpid () ||
	    !g_ascii_string_to_unsigned (count, 10, 0, HANDED_MAX, &number, NULL))
		return 0;
	return (int) number;
}

static gboolean taken[HANDED_MAX];

int
manager_take (const struct sockaddr *address)
{
	int n = handed_over ();
	for (int i = 0; i < n; i++)
		if (!taken[i] && is_bound_to (FIRST_FD + i, address)) {
			taken[i] = TRUE;
			fcntl (FIRST_FD + i, F_SETFD, FD_CLOEXEC);
			fcntl (FIRST_FD + i, F_SETFL, fcntl (FIRST_FD + i, F_GETFL) | O_NONBLOCK);
			return FIRST_FD + i;
		}
	return -1;
}

void
manager_drop_rest (void)
{
	int n = handed_over ();
	const char *names = g_getenv ("LISTEN_FDNAMES");
	g_auto (GStrv) all = g_strsplit (names ? names : "", ":", HANDED_MAX);
	guint named = g_strv_length (all);
	for (int i = 0; i < n; i++) {
		if (taken[i])
			continue;
		g_autofree char *state = (guint) i < named ? g_strdup_printf ("FDSTOREREMOVE=1\nFDNAME=%s", all[i]) : NULL;
		if (state)
			manager_tell (state);
		taken[i] = TRUE;
		close (FIRST_FD + i);
	}
}
