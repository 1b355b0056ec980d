/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of control.h: asks, and prints for people or (--json) what came. */
#include "ctl.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_S 60

/* ---- Asking ---- */

static int
no_server (const Ctl *c, int err, GError **error)
{
	if (err == ENOENT || err == ECONNREFUSED)
		error_fail (error, ERROR_NOT_FOUND, "no server is running in %s: `outpostd --dir %s` starts it", c->host->folder, c->host->folder);
	else if (err == EACCES)
		error_fail (error, ERROR_NO_PERMISSION, "the server in %s answers only its own user and root", c->host->folder);
	else
		error_set_errno (error, err, "asking the server at %s", c->host->control);
	return -1;
}

static int
reach (const Ctl *c, GError **error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = ANSWER_S};
	if (!c->host->control || strlen (c->host->control) >= sizeof address.sun_path) {
		error_fail (error, ERROR_USAGE, "section [control] of %s/outpostd.conf names no socket to ask the server at", c->host->folder);
		return -1;
	}
	g_strlcpy (address.sun_path, c->host->control, sizeof address.sun_path);
	int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
	    connect (fd, (const struct sockaddr *) &address, sizeof address) != 0) {
		int err = errno;
		if (fd >= 0)
			close (fd);
		return no_server (c, err, error);
	}
	return fd;
}

/* The last line of an answer: TRUE if it says that all is well. */
static gboolean
is_well (const json_t *last, GError **error)
{
	const char *text = json_string_value (json_object_get (last, "error")), *kind = json_string_value (json_object_get (last, "kind"));
	if (json_is_true (json_object_get (last, "ok")))
		return TRUE;
	OutpostError code = g_strcmp0 (kind, "not-found") == 0 ? ERROR_NOT_FOUND : g_strcmp0 (kind, "usage") == 0 ? ERROR_USAGE : ERROR_REFUSED;
	return error_fail (error, code, "%s", text ? text : "the server says what can't be understood");
}

typedef void (*Print) (const json_t *line);

/* TRUE: it was the last. */
static gboolean
take_line (const Ctl *c, const char *text, Print print, gboolean *ok_out, GError **error)
{
	json_t *line = json_loads (text, 0, NULL);
	gboolean last = !line || json_object_get (line, "ok");
	if (last)
		*ok_out = is_well (line, error);
	else if (c->json)
		printf ("%s", text);
	else
		print (line);
	json_decref (line);
	return last;
}

static gboolean
ask (const Ctl *c, const char *question, Print print, GError **error)
{
	g_autofree char *line = g_strconcat (question, "\n", NULL);
	int fd = reach (c, error);
	if (fd < 0)
		return FALSE;
	FILE *answer = fdopen (fd, "r");
	char *text = NULL;
	size_t size = 0;
	gboolean ok = FALSE, last = FALSE;
	if (send (fd, line, strlen (line), MSG_NOSIGNAL) == (ssize_t) strlen (line))
		while (!last && getline (&text, &size, answer) > 0)
			last = take_line (c, text, print, &ok, error);
	free (text);
	fclose (answer);
	return last ? ok : error_fail (error, ERROR_TEMPORARY, "the server in %s has not answered", c->host->folder);
}

/* ---- Printing ---- */

static const char *
text_of (const json_t *line, const char *key)
{
	const char *text = json_string_value (json_object_get (line, key));
	return text ? text : "-";
}

static gint64
number_of (const json_t *line, const char *key)
{
	return json_integer_value (json_object_get (line, key));
}

static void
print_list (const json_t *line, const char *key, const char *title)
{
	const json_t *list = json_object_get (line, key);
	for (size_t i = 0; i < json_array_size (list); i++)
		printf ("%s%s\n", title, json_string_value (json_array_get (list, i)));
}

static void
print_status (const json_t *line)
{
	const char *kind;
	json_t *n;
	printf ("outpostd %s, %s, in %s, up since %s\n", text_of (line, "version"), text_of (line, "name"), text_of (line, "folder"), text_of (line, "since"));
	print_list (line, "listening", "listening: ");
	json_object_foreach (json_object_get (line, "sessions"), kind, n)
		printf ("sessions:  %s %" JSON_INTEGER_FORMAT "\n", kind, json_integer_value (n));
	printf ("logged on: %" G_GINT64_FORMAT "\ndelivered: %" G_GINT64_FORMAT "\n", number_of (line, "loggedOn"), number_of (line, "deliveries"));
}

/* "12s", "5m", "3h". */
static char *
short_time (gint64 seconds)
{
	return seconds < 60 ? g_strdup_printf ("%" G_GINT64_FORMAT "s", seconds) : seconds < 3600 ? g_strdup_printf ("%" G_GINT64_FORMAT "m", seconds / 60)
	                    : g_strdup_printf ("%" G_GINT64_FORMAT "h", seconds / 3600);
}

static void
print_session (const json_t *line)
{
	g_autofree char *idle = short_time (number_of (line, "idle"));
	const char *address = text_of (line, "address");
	printf ("%-8" G_GINT64_FORMAT " %-30s %-24s %-6s %-4s %s %5s  %s\n", number_of (line, "id"), text_of (line, "user"), *address ? address : "this machine",
	        text_of (line, "protocol"), json_is_true (json_object_get (line, "tls")) ? "TLS" : "-", text_of (line, "since"), idle, text_of (line, "folder"));
}

static void
print_kicked (const json_t *line)
{
	gint64 n = number_of (line, "kicked");
	printf ("%" G_GINT64_FORMAT " session%s ended.\n", n, n == 1 ? "" : "s");
}

static void
print_reloaded (const json_t *line)
{
	printf ("The certificate was read again.\n");
	print_list (line, "inUse", "In use from now on: ");
	print_list (line, "restart", "Needs a restart: ");
}

static void
print_nothing (const json_t *line)
{
}

/* ---- Verbs ---- */

gboolean
server_status (Ctl *c, GError **error)
{
	return ask (c, "status", print_status, error);
}

gboolean
server_who (Ctl *c, GError **error)
{
	if (!c->json)
		printf ("%-8s %-30s %-24s %-6s %-4s %-20s %5s  %s\n", "ID", "USER", "ADDRESS", "BY", "TLS", "SINCE", "IDLE", "FOLDER");
	return ask (c, "who", print_session, error);
}

gboolean
server_kick (Ctl *c, GError **error)
{
	g_autofree char *question = g_strconcat ("kick ", c->args[0], NULL);
	if (strlen (question) > 900 || strchr (question, '\n') || !g_utf8_validate (question, -1, NULL))
		return error_fail (error, ERROR_USAGE, "'%s' is neither a session nor a user", c->args[0]);
	return ask (c, question, print_kicked, error);
}

gboolean
server_end_sessions (Ctl *c, const DirectoryMailbox *m, GError **error)
{
	g_autofree char *question = g_strconcat ("kick ", m->id, NULL);
	GError *failure = NULL;
	if (!c->host->control || ask (c, question, print_nothing, &failure))
		return TRUE;
	if (error_is (failure, ERROR_NOT_FOUND)) {
		g_error_free (failure);
		return TRUE;
	}
	g_propagate_prefixed_error (error, failure, "it is done, but who is logged on to %s may still be (outpostctl kick %s): ", m->address, m->id);
	return FALSE;
}

gboolean
server_reload (Ctl *c, GError **error)
{
	return ask (c, "reload", print_reloaded, error);
}
