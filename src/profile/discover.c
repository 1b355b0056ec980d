/* SPDX-License-Identifier: Apache-2.0 */
/* Every question (SRV, URL, guess) is a job in its own thread: neither the resolver nor libcurl's easy interface can be interrupted,
 * so that a job is left behind with what it needs when the caller stops waiting; its own time-out ends it.
 * The files are read with GLib's markup parser: it knows neither entities of the file's own nor external ones, so that there is
 * nothing to switch off, and libxml2 would load ICU at every start. libcurl is loaded when a URL is asked. */
#include "discover.h"
#include "net-conn.h"
#include "net-curl.h"
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define JOB_MS 5000
#define WAIT_MS 8000
#define DEPTH_MAX 32
#define TEXT_MAX 512

void
candidate_free (Candidate *c)
{
	g_free (c->host);
	g_free (c->user);
	g_free (c->origin);
	g_free (c);
}

gboolean
candidate_is_own (const Candidate *c, const char *address)
{
	const char *at = strrchr (address, '@');
	g_autofree char *domain = at ? g_hostname_to_ascii (at + 1) : NULL;
	gsize n = domain ? strlen (domain) : 0, length = strlen (c->host);
	return n > 0 && length >= n && g_ascii_strcasecmp (c->host + length - n, domain) == 0 && (length == n || c->host[length - n - 1] == '.');
}

static gboolean
host_is_good (const char *host)
{
	gsize n = strlen (host);
	return n >= 1 && n <= 253 && *host != '-' && *host != '.' &&
	       strspn (host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == n;
}

/* Adds a candidate unless it is nonsense, known already or one too many. */
static void
add_candidate (GPtrArray *candidates, const char *host, guint port, gboolean tls, const char *user, gboolean oauth,
               const char *origin)
{
	if (!host_is_good (host) || port == 0 || port > G_MAXUINT16 || candidates->len >= DISCOVER_MAX)
		return;
	for (guint i = 0; i < candidates->len; i++) {
		const Candidate *known = candidates->pdata[i];
		if (known->port == port && known->tls == tls && g_ascii_strcasecmp (known->host, host) == 0)
			return;
	}
	Candidate *c = g_new0 (Candidate, 1);
	*c = (Candidate){g_strdup (host), (guint16) port, tls, user && *user ? g_strdup (user) : NULL, oauth, g_strdup (origin)};
	g_ptr_array_add (candidates, c);
}

/* @template with the marks of autoconfig filled in; in URLs escaped. */
static char *
fill_in (const char *template, const char *address, gboolean url)
{
	const char *at = strrchr (address, '@');
	g_autofree char *local = g_strndup (address, (gsize) (at - address));
	const struct {
		const char *mark, *value;
	} marks[] = {{"%EMAILADDRESS%", address}, {"%EMAILLOCALPART%", local}, {"%EMAILDOMAIN%", at + 1}};
	GString *text = g_string_new (NULL);
	while (*template) {
		guint i = 0;
		while (i < G_N_ELEMENTS (marks) && !g_str_has_prefix (template, marks[i].mark))
			i++;
		if (i == G_N_ELEMENTS (marks)) {
			g_string_append_c (text, *template++);
			continue;
		}
		g_autofree char *value = url ? g_uri_escape_string (marks[i].value, NULL, FALSE) : g_strdup (marks[i].value);
		g_string_append (text, value);
		template += strlen (marks[i].mark);
	}
	return g_string_free (text, FALSE);
}

/* The <incomingServer type="imap"> being read. */
typedef struct {
	const char *address, *origin;
	GPtrArray *candidates;
	guint depth;
	gboolean is_config, in_server;
	GString *text;
	char *host, *port, *socket, *user;
	gboolean oauth, password;
} XmlState;

static void
server_clear (XmlState *x)
{
	g_clear_pointer (&x->host, g_free);
	g_clear_pointer (&x->port, g_free);
	g_clear_pointer (&x->socket, g_free);
	g_clear_pointer (&x->user, g_free);
	x->in_server = x->oauth = x->password = FALSE;
}

static void
xml_start (GMarkupParseContext *context, const char *name, const char **keys, const char **values, gpointer data, GError **error)
{
	XmlState *x = data;
	if (++x->depth > DEPTH_MAX)
		g_set_error_literal (error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT, "nested too deeply");
	if (x->depth == 1)
		x->is_config = strcmp (name, "clientConfig") == 0;
	g_string_truncate (x->text, 0);
	if (strcmp (name, "incomingServer") != 0)
		return;
	server_clear (x);
	for (guint i = 0; keys[i]; i++)
		if (strcmp (keys[i], "type") == 0)
			x->in_server = g_ascii_strcasecmp (values[i], "imap") == 0;
}

static void
server_done (XmlState *x)
{
	gboolean tls = g_strcmp0 (x->socket, "SSL") == 0;
	guint64 port = 0;
	if (!x->host || !x->port || (!tls && g_strcmp0 (x->socket, "STARTTLS") != 0) ||
	    !g_ascii_string_to_unsigned (x->port, 10, 1, G_MAXUINT16, &port, NULL))
		return;
	g_autofree char *host = fill_in (x->host, x->address, FALSE);
	g_autofree char *user = x->user ? fill_in (x->user, x->address, FALSE) : NULL;
	add_candidate (x->candidates, host, (guint) port, tls, user, x->oauth && !x->password, x->origin);
}

static void
xml_end (GMarkupParseContext *context, const char *name, gpointer data, GError **error)
{
	XmlState *x = data;
	const struct {
		const char *name;
		char **field;
	} fields[] = {{"hostname", &x->host}, {"port", &x->port}, {"socketType", &x->socket}, {"username", &x->user}};
	x->depth--;
	g_strstrip (x->text->str);
	for (guint i = 0; x->in_server && i < G_N_ELEMENTS (fields); i++)
		if (strcmp (name, fields[i].name) == 0) {
			g_free (*fields[i].field);
			*fields[i].field = g_strdup (x->text->str);
		}
	if (strcmp (name, "authentication") == 0) {
		x->oauth |= strcmp (x->text->str, "OAuth2") == 0;
		x->password |= g_str_has_prefix (x->text->str, "password-");
	}
	if (strcmp (name, "incomingServer") == 0 && x->in_server) {
		server_done (x);
		server_clear (x);
	}
	g_string_truncate (x->text, 0);
}

static void
xml_text (GMarkupParseContext *context, const char *text, gsize size, gpointer data, GError **error)
{
	XmlState *x = data;
	g_string_append_len (x->text, text, (gssize) MIN (size, TEXT_MAX - MIN (x->text->len, TEXT_MAX)));
}

gboolean
discover_parse_xml (const char *xml, gsize size, const char *address, const char *origin, GPtrArray *candidates, GError **error)
{
	static const GMarkupParser parser = {xml_start, xml_end, xml_text, NULL, NULL};
	XmlState x = {.address = address, .origin = origin, .candidates = candidates, .text = g_string_new (NULL)};
	g_autoptr (GMarkupParseContext) context = g_markup_parse_context_new (&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, &x, NULL);
	g_autoptr (GError) failure = NULL;
	if (size > DISCOVER_XML_MAX)
		error_fail (&failure, ERROR_TOO_BIG, "it is too big");
	else if (g_markup_parse_context_parse (context, xml, (gssize) size, &failure))
		g_markup_parse_context_end_parse (context, &failure);
	g_string_free (x.text, TRUE);
	server_clear (&x);
	if (!failure && x.is_config)
		return TRUE;
	return error_fail (error, ERROR_PROTOCOL, "%s is no autoconfig file: %s", origin,
	                   failure ? failure->message : "clientConfig is missing");
}

typedef struct {
	guint priority, weight, port;
	char host[NS_MAXDNAME];
} SrvRecord;

static int
compare_srv (gconstpointer a, gconstpointer b)
{
	const SrvRecord *x = a, *y = b;
	return x->priority != y->priority ? (x->priority < y->priority ? -1 : 1) : (int) y->weight - (int) x->weight;
}

static gboolean
read_srv (ns_msg *message, int i, GArray *records)
{
	ns_rr rr;
	SrvRecord r = {0};
	if (ns_parserr (message, ns_s_an, i, &rr) < 0)
		return FALSE;
	if (ns_rr_type (rr) != ns_t_srv)
		return TRUE;
	const guint8 *d = ns_rr_rdata (rr);
	if (ns_rr_rdlen (rr) < 7 || dn_expand (ns_msg_base (*message), ns_msg_end (*message), d + 6, r.host, sizeof r.host) < 0)
		return FALSE;
	r.priority = ns_get16 (d);
	r.weight = ns_get16 (d + 2);
	r.port = ns_get16 (d + 4);
	g_array_append_val (records, r);
	return TRUE;
}

gboolean
discover_parse_srv (const guint8 *data, gsize size, gboolean tls, const char *origin, GPtrArray *candidates,
                    gboolean *not_offered_out, GError **error)
{
	ns_msg message;
	g_autoptr (GArray) records = g_array_new (FALSE, FALSE, sizeof (SrvRecord));
	gboolean good = size <= NS_MAXMSG && ns_initparse (data, (int) size, &message) == 0;
	for (int i = 0; good && i < ns_msg_count (message, ns_s_an) && records->len < DISCOVER_MAX; i++)
		good = read_srv (&message, i, records);
	if (!good)
		return error_fail (error, ERROR_PROTOCOL, "the answer of the name server is damaged (%s)", origin);
	g_array_sort (records, compare_srv);
	*not_offered_out = FALSE;
	for (guint i = 0; i < records->len; i++) {
		const SrvRecord *r = &g_array_index (records, SrvRecord, i);
		if (!*r->host || strcmp (r->host, ".") == 0)
			*not_offered_out = records->len == 1;
		else
			add_candidate (candidates, r->host, r->port, tls, NULL, FALSE, origin);
	}
	return TRUE;
}

typedef enum { JOB_SRV, JOB_URL, JOB_GUESS } JobKind;

typedef struct {
	JobKind kind;
	gboolean tls;
	guint16 port;       /* of a guess */
	char *target;       /* domain, URL or host */
	char *address;
	GPtrArray *results; /* Candidate */
	gboolean answered;  /* of SRV: a name server said what there is, be it nothing */
	int done;           /* eventfd */
} Job;

static void
job_clear (gpointer data)
{
	Job *j = data;
	g_free (j->target);
	g_free (j->address);
	g_ptr_array_unref (j->results);
	close (j->done);
}

static void
job_unref (gpointer j)
{
	g_atomic_rc_box_release_full (j, job_clear);
}

static GPtrArray *
candidates_new (void)
{
	return g_ptr_array_new_with_free_func ((GDestroyNotify) candidate_free);
}

/* OUTPOST_SRV: what it says about @name. */
static void
srv_from_environment (const char *list, const char *name, gboolean tls, const char *origin, GPtrArray *results)
{
	g_auto (GStrv) entries = g_strsplit (list, " ", DISCOVER_MAX);
	for (guint i = 0; entries[i]; i++) {
		char *value = strchr (entries[i], '='), *colon = value ? strrchr (value, ':') : NULL;
		if (!colon || strlen (name) != (gsize) (value - entries[i]) || !g_str_has_prefix (entries[i], name))
			continue;
		*colon = '\0';
		add_candidate (results, value + 1, (guint) g_ascii_strtoull (colon + 1, NULL, 10), tls, NULL, FALSE, origin);
	}
}

static void
job_srv (Job *j)
{
	g_autofree char *name = g_strconcat (j->tls ? "_imaps._tcp." : "_imap._tcp.", j->target, NULL);
	g_autofree char *origin = g_strconcat ("SRV record ", name, NULL);
	const char *list = g_getenv ("OUTPOST_SRV");
	if (list) {
		srv_from_environment (list, name, j->tls, origin, j->results);
		j->answered = TRUE;
		return;
	}
	struct __res_state resolver = {0};
	g_autofree guint8 *answer = g_malloc (NS_MAXMSG);
	gboolean not_offered;
	if (res_ninit (&resolver) < 0)
		return;
	resolver.retrans = 2;
	resolver.retry = 2;
	int n = res_nquery (&resolver, name, ns_c_in, ns_t_srv, answer, NS_MAXMSG);
	j->answered = n >= 0 || resolver.res_h_errno != TRY_AGAIN;
	if (n > 0)
		discover_parse_srv (answer, (gsize) n, j->tls, origin, j->results, &not_offered, NULL);
	res_nclose (&resolver);
}

static size_t
collect (char *data, size_t one, size_t size, void *text)
{
	GString *body = text;
	if (body->len + size > DISCOVER_XML_MAX)
		return 0;
	g_string_append_len (body, data, (gssize) size);
	return size;
}

static void
job_url (Job *j)
{
	const NetCurl *curl = net_curl ();
	CURL *easy = curl ? curl->init () : NULL;
	if (!easy)
		return;
	const char *schemes = g_getenv ("OUTPOST_AUTOCONFIG_URL") ? "http,https" : "https";
	GString *body = g_string_new (NULL);
	curl->setopt (easy, CURLOPT_URL, j->target);
	curl->setopt (easy, CURLOPT_PROTOCOLS_STR, schemes);
	curl->setopt (easy, CURLOPT_REDIR_PROTOCOLS_STR, schemes);
	curl->setopt (easy, CURLOPT_FOLLOWLOCATION, 1L);
	curl->setopt (easy, CURLOPT_MAXREDIRS, 3L);
	curl->setopt (easy, CURLOPT_FAILONERROR, 1L);
	curl->setopt (easy, CURLOPT_NOSIGNAL, 1L);
	curl->setopt (easy, CURLOPT_TIMEOUT_MS, (long) JOB_MS);
	curl->setopt (easy, CURLOPT_WRITEFUNCTION, collect);
	curl->setopt (easy, CURLOPT_WRITEDATA, body);
	if (curl->perform (easy) == CURLE_OK)
		discover_parse_xml (body->str, body->len, j->address, j->target, j->results, NULL);
	curl->cleanup (easy);
	g_string_free (body, TRUE);
}

static void
job_guess (Job *j)
{
	NetTarget t = {.host = j->target, .port = j->port, .tls = j->tls, .timeout_ms = JOB_MS};
	g_autoptr (NetConn) c = net_conn_open (&t, NULL, NULL);
	if (c)
		add_candidate (j->results, j->target, j->port, j->tls, NULL, FALSE, "guess");
}

static gpointer
job_run (gpointer data)
{
	static void (*const kinds[]) (Job *) = {[JOB_SRV] = job_srv, [JOB_URL] = job_url, [JOB_GUESS] = job_guess};
	Job *j = data;
	guint64 one = 1;
	kinds[j->kind](j);
	if (write (j->done, &one, sizeof one) < 0)
		g_debug ("discover: an answer could not be reported");
	job_unref (j);
	return NULL;
}

static void
add_job (GPtrArray *jobs, JobKind kind, const char *target, guint16 port, gboolean tls, const char *address)
{
	Job *j = g_atomic_rc_box_new0 (Job);
	j->kind = kind;
	j->tls = tls;
	j->port = port;
	j->target = g_strdup (target);
	j->address = g_strdup (address);
	j->results = candidates_new ();
	j->done = eventfd (0, EFD_CLOEXEC);
	g_ptr_array_add (jobs, j);
}

/* Runs all, waits for as many as come in time, and moves their candidates in the order of the jobs. *answered: a name server did. */
static gboolean
run_jobs (GPtrArray *jobs, GPtrArray *candidates, gboolean *answered, Cancel *cancel, GError **error)
{
	gint64 deadline = g_get_monotonic_time () + WAIT_MS * (gint64) 1000;
	for (guint i = 0; i < jobs->len; i++) {
		g_autoptr (GThread) thread = g_thread_try_new ("discover", job_run, g_atomic_rc_box_acquire (jobs->pdata[i]), NULL);
		if (!thread)
			job_unref (jobs->pdata[i]);
	}
	for (guint i = 0; i < jobs->len; i++) {
		Job *j = jobs->pdata[i];
		struct pollfd wait = {j->done, POLLIN, 0};
		int left = (int) MAX (0, (deadline - g_get_monotonic_time ()) / 1000);
		int ready = net_wait (NULL, 0, &wait, 1, left, cancel, error);
		if (ready < 0)
			return FALSE;
		*answered |= ready > 0 && j->answered;
		for (guint k = 0; ready > 0 && k < j->results->len; k++) {
			const Candidate *c = j->results->pdata[k];
			add_candidate (candidates, c->host, c->port, c->tls, c->user, c->oauth, c->origin);
		}
	}
	return TRUE;
}

static GPtrArray *
questions (const char *address, const char *domain)
{
	static const char *const urls[] = {
		"https://autoconfig.%EMAILDOMAIN%/mail/config-v1.1.xml?emailaddress=%EMAILADDRESS%",
		"https://%EMAILDOMAIN%/.well-known/autoconfig/mail/config-v1.1.xml",
		"https://autoconfig.thunderbird.net/v1.1/%EMAILDOMAIN%",
	};
	const char *only = g_getenv ("OUTPOST_AUTOCONFIG_URL");
	GPtrArray *jobs = g_ptr_array_new_with_free_func (job_unref);
	add_job (jobs, JOB_SRV, domain, 0, TRUE, address);
	add_job (jobs, JOB_SRV, domain, 0, FALSE, address);
	for (guint i = 0; i < (only ? 1 : G_N_ELEMENTS (urls)); i++) {
		g_autofree char *url = fill_in (only ? only : urls[i], address, TRUE);
		add_job (jobs, JOB_URL, url, 0, TRUE, address);
	}
	return jobs;
}

static GPtrArray *
guesses (const char *address, const char *domain)
{
	static const char *const prefixes[] = {"imap.", "mail.", ""};
	GPtrArray *jobs = g_ptr_array_new_with_free_func (job_unref);
	for (guint i = 0; i < 2 * G_N_ELEMENTS (prefixes); i++) {
		gboolean tls = i < G_N_ELEMENTS (prefixes);
		g_autofree char *host = g_strconcat (prefixes[i % G_N_ELEMENTS (prefixes)], domain, NULL);
		add_job (jobs, JOB_GUESS, host, tls ? 993 : 143, tls, address);
	}
	return jobs;
}

GPtrArray *
discover (const char *address, Cancel *cancel, GError **error)
{
	const char *at = strrchr (address, '@');
	g_autofree char *domain = at && at > address ? g_hostname_to_ascii (at + 1) : NULL;
	if (!domain || !host_is_good (domain) || !g_utf8_validate (address, -1, NULL)) {
		error_fail (error, ERROR_USAGE, "\"%s\" is no mail address", address);
		return NULL;
	}
	g_autoptr (GPtrArray) candidates = candidates_new ();
	g_autoptr (GPtrArray) asked = questions (address, domain);
	gboolean answered = FALSE;
	if (!run_jobs (asked, candidates, &answered, cancel, error))
		return NULL;
	g_autoptr (GPtrArray) guessed = guesses (address, domain);
	if (candidates->len == 0 && !run_jobs (guessed, candidates, &answered, cancel, error))
		return NULL;
	if (candidates->len > 0)
		return g_steal_pointer (&candidates);
	if (!answered) {
		error_fail (error, ERROR_TEMPORARY, "no name server answers, so the mail server of %s can't be looked for: is there a network? Try again, or "
		            "say --server imaps://host:port", domain);
		return NULL;
	}
	error_fail (error, ERROR_NOT_FOUND, "no IMAP server was found for %s: ask the provider and say --server imaps://host:port", domain);
	return NULL;
}
