/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libsecret/secret.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define WAIT_MS 60000
#define SAID_MAX 4096

void
secret_free (char *secret)
{
	if (secret)
		explicit_bzero (secret, strlen (secret));
	g_free (secret);
}

/* A block that never moves, so that no copy of a secret is left behind by growing. */
typedef struct {
	int fd;
	char *data; /* owned, @max + 1 octets */
	gsize size, max;
	gboolean ended;
} Reader;

static void
reader_open (Reader *r, int fd, gsize max)
{
	*r = (Reader){fd, g_malloc0 (max + 1), 0, max, FALSE};
	fcntl (fd, F_SETFL, O_NONBLOCK);
}

static void
reader_clear (Reader *r)
{
	if (r->data)
		explicit_bzero (r->data, r->max + 1);
	g_free (r->data);
	if (r->fd >= 0)
		close (r->fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Reader, reader_clear)

/* Takes what is there; what is over the limit is read and dropped. */
static void
reader_take (Reader *r)
{
	char spare[512];
	gboolean full = r->size == r->max;
	gssize n = full ? read (r->fd, spare, sizeof spare) : read (r->fd, r->data + r->size, r->max - r->size);
	if (n > 0 && !full)
		r->size += (gsize) n;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		r->ended = TRUE;
	if (full)
		explicit_bzero (spare, sizeof spare);
}

static char *
reader_line (const Reader *r)
{
	gsize n = strcspn (r->data, "\r\n");
	return n ? g_strndup (r->data, n) : NULL;
}

/* Until both readers ended. */
static gboolean
read_both (Reader readers[2], gint64 deadline, Cancel *cancel, GError **error)
{
	while (!readers[0].ended || !readers[1].ended) {
		struct pollfd fds[2];
		for (guint i = 0; i < 2; i++)
			fds[i] = (struct pollfd){readers[i].ended ? -1 : readers[i].fd, POLLIN, 0};
		gint64 left = MAX (0, (deadline - g_get_monotonic_time ()) / 1000);
		int n = net_wait (NULL, 0, fds, 2, (int) left, cancel, error);
		if (n == 0)
			error_fail (error, ERROR_TEMPORARY, "the command for the secret took too long");
		if (n <= 0)
			return FALSE;
		for (guint i = 0; i < 2; i++)
			if (fds[i].revents)
				reader_take (&readers[i]);
	}
	return TRUE;
}

static gboolean
check_status (int status, const Reader *said, GError **error)
{
	if (WIFEXITED (status) && WEXITSTATUS (status) == 0)
		return TRUE;
	g_autofree char *line = reader_line (said);
	g_autofree char *text = line ? slice_to_utf8 ((Slice){line, strlen (line)}, 300) : g_strdup ("it said nothing");
	return error_fail (error, ERROR_NO_PERMISSION, "the command for the secret ended with %s %d: %s",
	                   WIFEXITED (status) ? "status" : "signal", WIFEXITED (status) ? WEXITSTATUS (status) : WTERMSIG (status), text);
}

char *
secret_from_command (const char *command, guint timeout_ms, Cancel *cancel, GError **error)
{
	const char *argv[] = {"/bin/sh", "-c", command, NULL};
	Reader readers[2] = {{-1}, {-1}};
	g_autoptr (GError) failure = NULL;
	GPid pid;
	int out, err, status = 0;
	/* with these flags GLib needs no fork, which is dear: all our descriptors are O_CLOEXEC */
	const GSpawnFlags flags = G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_LEAVE_DESCRIPTORS_OPEN | G_SPAWN_CLOEXEC_PIPES;
	if (!g_spawn_async_with_pipes (NULL, (char **) argv, NULL, flags, NULL, NULL, &pid, NULL, &out, &err, &failure)) {
		error_fail (error, ERROR_IO, "the command for the secret cannot be started: %s", failure->message);
		return NULL;
	}
	reader_open (&readers[0], out, SECRET_SIZE_MAX);
	reader_open (&readers[1], err, SAID_MAX);
	gboolean good = read_both (readers, g_get_monotonic_time () + timeout_ms * (gint64) 1000, cancel, error);
	if (!good)
		kill (pid, SIGKILL);
	while (waitpid (pid, &status, 0) < 0 && errno == EINTR)
		continue;
	good = good && check_status (status, &readers[1], error);
	char *secret = good ? reader_line (&readers[0]) : NULL;
	if (good && !secret)
		error_fail (error, ERROR_NOT_FOUND, "the command for the secret printed nothing");
	reader_clear (&readers[0]);
	reader_clear (&readers[1]);
	return secret;
}

static char *
read_answer (int fd, Cancel *cancel, GError **error)
{
	g_auto (Reader) r = {-1};
	reader_open (&r, dup (fd), SECRET_SIZE_MAX);
	while (!r.ended && !memchr (r.data, '\n', r.size)) {
		struct pollfd wait = {r.fd, POLLIN, 0};
		if (net_wait (NULL, 0, &wait, 1, -1, cancel, error) < 0)
			return NULL;
		reader_take (&r);
	}
	char *line = reader_line (&r);
	if (!line)
		error_fail (error, ERROR_NOT_FOUND, "no password was given");
	return line;
}

static char *
ask_at_terminal (const char *question, gboolean echo, Cancel *cancel, GError **error)
{
	int fd = open ("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct termios before, quiet;
	if (fd < 0 || tcgetattr (fd, &before) < 0) {
		if (fd >= 0)
			close (fd);
		error_fail (error, ERROR_USAGE, echo ? "there is no terminal to ask at" : "there is no terminal to ask for the password: use the keyring or a command");
		return NULL;
	}
	int flags = fcntl (fd, F_GETFL);
	quiet = before;
	if (!echo)
		quiet.c_lflag &= ~(tcflag_t) (ECHO | ECHOE | ECHOK | ECHONL);
	tcsetattr (fd, TCSAFLUSH, &quiet);
	if (write (fd, question, strlen (question)) < 0)
		g_debug ("secret: the question could not be shown");
	char *secret = read_answer (fd, cancel, error);
	tcsetattr (fd, TCSAFLUSH, &before);
	fcntl (fd, F_SETFL, flags);
	if (!echo && write (fd, "\n", 1) < 0)
		g_debug ("secret: the terminal is gone");
	close (fd);
	return secret;
}

char *
secret_from_prompt (const char *question, Cancel *cancel, GError **error)
{
	return ask_at_terminal (question, FALSE, cancel, error);
}

gboolean
confirm_at_terminal (const char *question, gboolean *yes_out, Cancel *cancel, GError **error)
{
	g_autoptr (GError) local = NULL;
	g_autofree char *answer = ask_at_terminal (question, TRUE, cancel, &local);
	if (!answer && !error_is (local, ERROR_NOT_FOUND)) {
		g_propagate_error (error, g_steal_pointer (&local));
		return FALSE;
	}
	*yes_out = answer && g_ascii_tolower (*answer) == 'y';
	return TRUE;
}

static const SecretSchema schema = {
	"org.outpost.Mailbox", SECRET_SCHEMA_NONE,
	{{"user", SECRET_SCHEMA_ATTRIBUTE_STRING}, {"host", SECRET_SCHEMA_ATTRIBUTE_STRING},
	 {"port", SECRET_SCHEMA_ATTRIBUTE_STRING}, {NULL, 0}}};

typedef enum { KEYRING_GET, KEYRING_STORE, KEYRING_DELETE } KeyringVerb;

/* The keyring may ask the user to unlock it, for as long as the user likes, and its calls cannot be interrupted by us: one runs in a
 * thread, which is left behind with its job when the caller stops waiting. */
typedef struct {
	KeyringVerb verb;
	char *user, *host, *port, *secret;
	int done; /* eventfd */
	GError *failure;
} KeyringJob;

static void
job_clear (gpointer data)
{
	KeyringJob *j = data;
	g_free (j->user);
	g_free (j->host);
	g_free (j->port);
	secret_free (j->secret);
	g_clear_error (&j->failure);
	close (j->done);
}

static void
job_unref (KeyringJob *j)
{
	g_atomic_rc_box_release_full (j, job_clear);
}
typedef KeyringJob KeyringJobRef;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KeyringJobRef, job_unref)

typedef struct {
	__typeof__ (secret_password_lookup_sync) *lookup;
	__typeof__ (secret_password_store_sync) *store;
	__typeof__ (secret_password_clear_sync) *clear;
	__typeof__ (secret_password_free) *free;
} Keyring;

/* Loaded once and never unloaded: GObject types cannot be. */
static const Keyring *
keyring_load (GError **error)
{
	static Keyring loaded;
	if (loaded.free)
		return &loaded;
	void *lib = dlopen ("libsecret-1.so.0", RTLD_NOW | RTLD_NODELETE);
	loaded.lookup = lib ? (__typeof__ (loaded.lookup)) dlsym (lib, "secret_password_lookup_sync") : NULL;
	loaded.store = lib ? (__typeof__ (loaded.store)) dlsym (lib, "secret_password_store_sync") : NULL;
	loaded.clear = lib ? (__typeof__ (loaded.clear)) dlsym (lib, "secret_password_clear_sync") : NULL;
	if (loaded.lookup && loaded.store && loaded.clear)
		loaded.free = (__typeof__ (loaded.free)) dlsym (lib, "secret_password_free");
	if (loaded.free)
		return &loaded;
	error_fail (error, ERROR_NOT_FOUND, "the keyring needs libsecret, which is not installed: install it or use a command");
	return NULL;
}

static void
keyring_do (KeyringJob *j, const Keyring *k)
{
	GError *failure = NULL;
	g_autofree char *label = g_strdup_printf ("Mail of %s on %s", j->user, j->host);
	if (j->verb == KEYRING_GET) {
		char *found = k->lookup (&schema, NULL, &failure, "user", j->user, "host", j->host, "port", j->port, NULL);
		j->secret = g_strdup (found);
		k->free (found);
	} else if (j->verb == KEYRING_STORE) {
		k->store (&schema, NULL, label, j->secret, NULL, &failure, "user", j->user, "host", j->host, "port", j->port, NULL);
	} else {
		k->clear (&schema, NULL, &failure, "user", j->user, "host", j->host, "port", j->port, NULL);
	}
	if (failure)
		error_fail (&j->failure, ERROR_NO_PERMISSION, "the keyring refused: %s", failure->message);
	g_clear_error (&failure);
}

static gpointer
job_run (gpointer data)
{
	g_autoptr (KeyringJobRef) j = data;
	const Keyring *k = keyring_load (&j->failure);
	if (k)
		keyring_do (j, k);
	guint64 one = 1;
	if (write (j->done, &one, sizeof one) < 0)
		g_debug ("secret: the keyring's answer could not be reported");
	return NULL;
}

static KeyringJob *
job_new (const Profile *p, KeyringVerb verb, const char *secret)
{
	KeyringJob *j = g_atomic_rc_box_new0 (KeyringJob);
	j->verb = verb;
	j->user = g_strdup (p->user);
	j->host = g_strdup (p->host);
	j->port = g_strdup_printf ("%u", p->port);
	j->secret = g_strdup (secret);
	j->done = eventfd (0, EFD_CLOEXEC);
	return j;
}

/* *secret_out may be NULL for verbs without a result. */
static gboolean
keyring_call (const Profile *p, KeyringVerb verb, const char *secret, Cancel *cancel, char **secret_out, GError **error)
{
	g_autoptr (KeyringJobRef) j = job_new (p, verb, secret);
	g_autoptr (GThread) thread = g_thread_try_new ("keyring", job_run, g_atomic_rc_box_acquire (j), NULL);
	if (!thread) {
		job_unref (j);
		return error_fail (error, ERROR_IO, "no thread for the keyring");
	}
	struct pollfd wait = {j->done, POLLIN, 0};
	int n = net_wait (NULL, 0, &wait, 1, WAIT_MS, cancel, error);
	if (n == 0)
		error_fail (error, ERROR_TEMPORARY, "the keyring did not answer: unlock it, then try again");
	if (n <= 0)
		return FALSE;
	if (j->failure) {
		g_propagate_error (error, g_steal_pointer (&j->failure));
		return FALSE;
	}
	if (secret_out)
		*secret_out = g_steal_pointer (&j->secret);
	return TRUE;
}

static char *
secret_from_keyring (const Profile *p, Cancel *cancel, GError **error)
{
	char *secret = NULL;
	if (keyring_call (p, KEYRING_GET, NULL, cancel, &secret, error) && !secret)
		error_fail (error, ERROR_NOT_FOUND, "the keyring has no password for %s on %s: store it first", p->user, p->host);
	return secret;
}

char *
secret_get (const Profile *p, Cancel *cancel, GError **error)
{
	if (p->source == SECRET_KEYRING)
		return secret_from_keyring (p, cancel, error);
	if (p->source == SECRET_COMMAND)
		return secret_from_command (p->command, WAIT_MS, cancel, error);
	g_autofree char *question = g_strdup_printf ("Password of %s on %s: ", p->user, p->host);
	return secret_from_prompt (question, cancel, error);
}

gboolean
secret_store (const Profile *p, const char *secret, GError **error)
{
	return keyring_call (p, KEYRING_STORE, secret, NULL, NULL, error);
}

gboolean
secret_delete (const Profile *p, GError **error)
{
	return keyring_call (p, KEYRING_DELETE, NULL, NULL, NULL, error);
}
