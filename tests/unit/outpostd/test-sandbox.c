/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int (*Attempt) (void);

/* What @attempt comes to in a process within the sandbox: its errno, 0 where it succeeds, or the signal that ends it, negative. */
static int
outcome (Attempt attempt)
{
	pid_t pid = fork ();
	assert_true (pid >= 0);
	if (pid == 0) {
		if (!sandbox_enter (NULL))
			_exit (255);
		errno = 0;
		_exit (attempt () < 0 ? errno : 0);
	}
	int status;
	assert_int_equal (waitpid (pid, &status, 0), pid);
	return WIFSIGNALED (status) ? -WTERMSIG (status) : WEXITSTATUS (status);
}

static int
start_program (void)
{
	char name[] = "true", *const words[] = {name, NULL};
	return execv ("/bin/true", words);
}

static pthread_barrier_t entered;

static void *
wait_and_start (void *unused)
{
	pthread_barrier_wait (&entered);
	start_program ();
	return NULL;
}

static int
unshare_all (void)
{
	return unshare (CLONE_NEWUSER);
}

static int
become (void)
{
	return (int) syscall (SYS_setuid, getuid ());
}

static int
packet_socket (void)
{
	return socket (AF_PACKET, SOCK_RAW, 0);
}

static int
alg_socket (void)
{
	return socket (AF_ALG, SOCK_SEQPACKET, 0);
}

static int
writable_code (void)
{
	return mmap (NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int
code_of_data (void)
{
	void *page = mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED ? 0 : mprotect (page, 4096, PROT_READ | PROT_EXEC);
}

static int
ring (void)
{
	return (int) syscall (SYS_io_uring_setup, 1, NULL);
}

static void *
nothing (void *unused)
{
	return NULL;
}

/* Files, sockets, names and threads. */
static int
daily_work (void)
{
	char path[] = "/tmp/outpost-sandbox-XXXXXX";
	struct addrinfo *found = NULL;
	pthread_t thread;
	int fd = mkstemp (path);
	gboolean ok = fd >= 0 && write (fd, "x", 1) == 1 && fsync (fd) == 0 && unlink (path) == 0 && socket (AF_INET, SOCK_STREAM, 0) >= 0 &&
	              socket (AF_INET6, SOCK_STREAM, 0) >= 0 && socket (AF_UNIX, SOCK_STREAM, 0) >= 0 && getaddrinfo ("localhost", "25", NULL, &found) == 0 &&
	              pthread_create (&thread, NULL, nothing, NULL) == 0 && pthread_join (thread, NULL) == 0;
	if (found)
		freeaddrinfo (found);
	return ok ? 0 : -1;
}

static void
what_a_mail_server_never_does_is_refused_or_deadly (void **state)
{
	static const struct {
		Attempt attempt;
		int outcome;
	} rows[] = {
		{start_program, -SIGSYS}, {unshare_all, EPERM}, {become, EPERM}, {packet_socket, EAFNOSUPPORT}, {alg_socket, EAFNOSUPPORT},
		{writable_code, EPERM},   {code_of_data, EPERM}, {ring, EPERM},  {daily_work, 0},
	};
	for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
		assert_int_equal (outcome (rows[i].attempt), rows[i].outcome);
}

static void
threads_that_were_there_before_are_in_it_too (void **state)
{
	pid_t pid = fork ();
	assert_true (pid >= 0);
	if (pid == 0) {
		pthread_t thread;
		pthread_barrier_init (&entered, NULL, 2);
		if (pthread_create (&thread, NULL, wait_and_start, NULL) != 0 || !sandbox_enter (NULL))
			_exit (255);
		pthread_barrier_wait (&entered);
		pthread_join (thread, NULL);
		_exit (254);
	}
	int status;
	assert_int_equal (waitpid (pid, &status, 0), pid);
	assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGSYS);
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (what_a_mail_server_never_does_is_refused_or_deadly), cmocka_unit_test (threads_that_were_there_before_are_in_it_too),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
