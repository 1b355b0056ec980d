/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"
#include "imapd.h"
#include <jansson.h>
#include <string.h>

#define QUESTION_MAX 1000
#define KICKED "an administrator ended this session"

typedef struct {
	Control *control;
	ServerSend send;
	gpointer to;
	GString *input;
	gboolean alive;
} Session;

/* ---- Lines of JSON ---- */

/* Takes @line. */
static void
say (Session *s, json_t *line)
{
	char *text = json_dumps (line, JSON_COMPACT);
	g_autofree char *whole = g_strconcat (text ? text : "{}", "\n", NULL);
	s->alive = s->alive && s->send (s->to, whole, strlen (whole));
	free (text);
	json_decref (line);
}

static json_t *
text_or_null (const char *text)
{
	json_t *value = text ? json_string (text) : NULL;
	return value ? value : json_null ();
}

static json_t *
time_text (gint64 seconds)
{
	g_autoptr (GDateTime) t = g_date_time_new_from_unix_utc (seconds);
	g_autofree char *text = t ? g_date_time_format (t, "%Y-%m-%dT%H:%M:%SZ") : NULL;
	return text_or_null (text);
}

static json_t *
texts (const GPtrArray *all)
{
	json_t *list = json_array ();
	for (guint i = 0; i < all->len; i++)
		json_array_append_new (list, text_or_null (all->pdata[i]));
	return list;
}

/* ---- status ---- */

typedef struct {
	json_t *sessions;
	gint64 logged_on;
} Count;

static void
count_one (gpointer data, const ServerConnection *c)
{
	Count *count = data;
	json_int_t n = json_integer_value (json_object_get (count->sessions, c->service));
	json_object_set_new (count->sessions, c->service, json_integer (n + 1));
	count->logged_on += c->topic != NULL;
}

static gboolean
status (Session *s, const char *argument, GError **error)
{
	Control *c = s->control;
	Count count = {json_object (), 0};
	server_each (c->server, count_one, &count);
	say (s, json_pack ("{s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "version", OUTPOST_VERSION, "since", time_text (c->since), "folder",
	                   text_or_null (c->host->folder), "name", text_or_null (c->host->name), "sessions", count.sessions, "loggedOn",
	                   (json_int_t) count.logged_on, "deliveries", (json_int_t) metrics_deliveries (c->metrics), "listening", texts (c->listening)));
	return TRUE;
}

/* ---- who ---- */

/* The mailbox id in the path of its store. */
static const char *
id_of (gconstpointer mailbox)
{
	const char *path = mailbox ? imapd_mailbox_path (mailbox) : NULL, *slash = path ? strrchr (path, '/') : NULL;
	return slash ? slash + 1 : NULL;
}

/* "user" is the mailbox's id for now. */
static void
describe (gpointer sessions, const ServerConnection *c)
{
	gint64 idle = MAX (g_get_real_time () / G_USEC_PER_SEC - c->since, 0);
	json_array_append_new (sessions, json_pack ("{s:I, s:o, s:o, s:s, s:o, s:I, s:o, s:b, s:b}", "id", (json_int_t) c->id, "user",
	                                            text_or_null (id_of (c->topic)), "address", text_or_null (c->address), "protocol", c->service, "since",
	                                            time_text (c->began), "idle", (json_int_t) idle, "folder", text_or_null (c->label), "tls", c->encrypted,
	                                            "busy", c->busy));
}

/* As it is called now; its id if it has gone. */
static json_t *
address_of (Directory *d, GHashTable *known, const char *id)
{
	const char *address = g_hash_table_lookup (known, id);
	if (!address) {
		g_autoptr (DirectoryMailbox) m = directory_mailbox (d, id, NULL);
		address = g_strdup (m ? m->address : id);
		g_hash_table_insert (known, g_strdup (id), (gpointer) address);
	}
	return text_or_null (address);
}

static gboolean
who (Session *s, const char *argument, GError **error)
{
	Directory *d = host_directory (s->control->host, error);
	if (!d)
		return FALSE;
	g_autoptr (GHashTable) known = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
	json_t *sessions = json_array (), *one;
	size_t i;
	server_each (s->control->server, describe, sessions); /* answers, which may have to wait, are sent without the server's lock */
	json_array_foreach (sessions, i, one) {
		const char *id = json_string_value (json_object_get (one, "user"));
		if (id)
			json_object_set_new (one, "user", address_of (d, known, id));
		say (s, json_incref (one));
	}
	json_decref (sessions);
	return TRUE;
}

/* ---- kick ---- */

typedef struct {
	const char *id;
	GArray *connections; /* of guint64 */
} Of;

static void
collect (gpointer data, const ServerConnection *c)
{
	Of *of = data;
	if (c->topic && g_strcmp0 (id_of (c->topic), of->id) == 0)
		g_array_append_val (of->connections, c->id);
}

static gint64
kick_user (Control *c, const char *user, GError **error)
{
	Directory *d = host_directory (c->host, error);
	g_autoptr (DirectoryMailbox) m = d ? directory_mailbox (d, user, error) : NULL;
	if (!m)
		return -1;
	g_autoptr (GArray) connections = g_array_new (FALSE, FALSE, sizeof (guint64));
	Of of = {m->id, connections};
	gint64 n = 0;
	server_each (c->server, collect, &of);
	for (guint i = 0; i < connections->len; i++)
		n += server_end_one (c->server, g_array_index (connections, guint64, i), KICKED);
	if (n == 0)
		error_fail (error, ERROR_NOT_FOUND, "%s has no session", m->address);
	return n ? n : -1;
}

static gint64
kick_one (Control *c, guint64 id, GError **error)
{
	if (server_end_one (c->server, id, KICKED))
		return 1;
	error_fail (error, ERROR_NOT_FOUND, "there is no session %" G_GUINT64_FORMAT ": outpostctl who lists them", id);
	return -1;
}

static gboolean
kick (Session *s, const char *argument, GError **error)
{
	guint64 id;
	gboolean is_id = g_ascii_string_to_unsigned (argument, 10, 0, G_MAXUINT64, &id, NULL);
	gint64 n = is_id ? kick_one (s->control, id, error) : kick_user (s->control, argument, error);
	if (n < 0)
		return FALSE;
	g_message ("control: kicked %s, %" G_GINT64_FORMAT " session(s)", argument, n);
	say (s, json_pack ("{s:I}", "kicked", (json_int_t) n));
	return TRUE;
}

/* ---- reload ---- */

ServerLimits
control_limits (const Host *h)
{
	return (ServerLimits){.connections = (guint) h->connections, .per_address = (guint) h->per_address, .per_topic = (guint) h->per_user,
	                      .log_on = (guint) h->log_on_timeout, .silent = (guint) h->idle_timeout};
}

/* With the lock. NULL, or what changed. */
static GPtrArray *
read_again (Control *c, GPtrArray **restart_out, GError **error)
{
	g_autoptr (Host) now = host_open (c->host->folder, error);
	g_autoptr (ServerTls) tls = now ? server_tls_new (now->certificate, now->key, error) : NULL;
	if (!tls)
		return NULL;
	const ServerLimits limits = control_limits (now);
	GPtrArray *in_use = host_differences (c->reloaded ? c->reloaded : c->host, now, TRUE);
	*restart_out = host_differences (c->host, now, FALSE);
	server_set_tls (c->server, tls);
	server_set_limits (c->server, &limits);
	backoff_set_longest (c->backoff, (guint) now->log_on_delay_max);
	host_free (c->reloaded);
	c->reloaded = g_steal_pointer (&now);
	return in_use;
}

static gboolean
reload (Session *s, const char *argument, GError **error)
{
	Control *c = s->control;
	GPtrArray *waiting = NULL;
	g_mutex_lock (&c->lock);
	g_autoptr (GPtrArray) in_use = read_again (c, &waiting, error);
	g_mutex_unlock (&c->lock);
	g_autoptr (GPtrArray) restart = waiting;
	if (!in_use)
		return FALSE;
	g_message ("control: reloaded, %u setting(s) changed, %u wait for a restart", in_use->len, restart->len);
	say (s, json_pack ("{s:o, s:o}", "inUse", texts (in_use), "restart", texts (restart)));
	return TRUE;
}

/* ---- Questions ---- */

static const struct {
	const char *word;
	gboolean argument;
	gboolean (*run) (Session *s, const char *argument, GError **error);
} questions[] = {
	{"status", FALSE, status}, {"who", FALSE, who}, {"kick", TRUE, kick}, {"reload", FALSE, reload},
};

static void
say_failure (Session *s, const char *what, const char *kind)
{
	say (s, json_pack ("{s:b, s:o, s:s}", "ok", FALSE, "error", text_or_null (what), "kind", kind));
}

static gboolean
run (Session *s, const char *line, GError **error)
{
	g_auto (GStrv) words = g_strsplit (line, " ", 2);
	for (guint i = 0; i < G_N_ELEMENTS (questions); i++)
		if (g_strcmp0 (words[0], questions[i].word) == 0 && questions[i].argument == (words[1] && *words[1]))
			return questions[i].run (s, words[1], error);
	return error_fail (error, ERROR_USAGE, "'%s' is no question that this server understands", line);
}

static void
answer (Session *s, const char *line)
{
	g_autoptr (GError) error = NULL;
	if (!g_utf8_validate (line, -1, NULL))
		error_fail (&error, ERROR_USAGE, "a question is UTF-8");
	else if (run (s, line, &error)) {
		say (s, json_pack ("{s:b}", "ok", TRUE));
		return;
	}
	const char *kind = error_is (error, ERROR_NOT_FOUND) ? "not-found" : error_is (error, ERROR_USAGE) ? "usage" : "failed";
	say_failure (s, error->message, kind);
}

static gboolean
feed (gpointer session, Slice input)
{
	Session *s = session;
	g_string_append_len (s->input, input.data, (gssize) input.size);
	const char *end;
	while (s->alive && (end = memchr (s->input->str, '\n', s->input->len))) {
		g_autofree char *line = g_strndup (s->input->str, (gsize) (end - s->input->str));
		g_string_erase (s->input, 0, end + 1 - s->input->str);
		answer (s, line);
	}
	if (s->input->len <= QUESTION_MAX)
		return s->alive;
	say_failure (s, "a question has at most 1000 octets", "usage");
	return FALSE;
}

static gpointer
open_session (gpointer data, const ServerPeer *peer, ServerSend send, gpointer to)
{
	Session *s = g_new0 (Session, 1);
	*s = (Session){.control = data, .send = send, .to = to, .input = g_string_new (NULL), .alive = TRUE};
	return s;
}

static void
close_session (gpointer session)
{
	Session *s = session;
	g_string_free (s->input, TRUE);
	g_free (s);
}

static void
bye (gpointer session, const char *why)
{
	say_failure (session, why, "failed");
}

const ServerProtocol server_control = {.open = open_session, .free = close_session, .feed = feed, .bye = bye,
                                       .refusal = "{\"ok\":false,\"error\":\"%s\",\"kind\":\"failed\"}\n"};
