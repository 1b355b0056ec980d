/* SPDX-License-Identifier: Apache-2.0 */
/* SCRAM is gsasl's work. The other mechanisms are one or two strings and are made here; gsasl knows no OAuth. */
#include "net-sasl.h"
#include <gsasl.h>
#include <string.h>

#define CHALLENGE_MAX 65536
/* A server may choose the cost of PBKDF2 for us; 2 million rounds are about two seconds. */
#define ROUNDS_MAX 2000000
#define SECRET_MAX 65536
#define FAILURE_MAX 500

typedef enum { KIND_SCRAM, KIND_OAUTHBEARER, KIND_XOAUTH2, KIND_PLAIN, KIND_LOGIN } Kind;

/* In the order of preference. */
static const struct {
	const char *name;
	Kind kind;
	gboolean binds, for_token, shows_secret;
} mechanisms[] = {
	{"SCRAM-SHA-256-PLUS", KIND_SCRAM, TRUE, FALSE, FALSE}, {"SCRAM-SHA-1-PLUS", KIND_SCRAM, TRUE, FALSE, FALSE},
	{"SCRAM-SHA-256", KIND_SCRAM, FALSE, FALSE, FALSE},     {"SCRAM-SHA-1", KIND_SCRAM, FALSE, FALSE, FALSE},
	{"OAUTHBEARER", KIND_OAUTHBEARER, FALSE, TRUE, TRUE},   {"XOAUTH2", KIND_XOAUTH2, FALSE, TRUE, TRUE},
	{"PLAIN", KIND_PLAIN, FALSE, FALSE, TRUE},              {"LOGIN", KIND_LOGIN, FALSE, FALSE, TRUE},
};

struct NetSasl {
	guint which; /* index into mechanisms */
	guint step;
	char *initial; /* not yet sent; decoded */
	gsize initial_size;
	char *user, *secret; /* of LOGIN only */
	Gsasl *gsasl;
	Gsasl_session *session;
	gboolean done; /* the server has proved itself */
	char *failure;
};

void
net_sasl_wipe (char *text)
{
	if (text)
		explicit_bzero (text, strlen (text));
	g_free (text);
}

static void
wipe_block (char *data, gsize size)
{
	if (data)
		explicit_bzero (data, size);
	g_free (data);
}

void
net_sasl_free (NetSasl *s)
{
	if (!s)
		return;
	wipe_block (s->initial, s->initial_size);
	net_sasl_wipe (s->user);
	net_sasl_wipe (s->secret);
	if (s->session)
		gsasl_finish (s->session);
	if (s->gsasl)
		gsasl_done (s->gsasl);
	g_free (s->failure);
	g_free (s);
}

static gboolean
is_offered (const char *name, const char *const *offered)
{
	for (; *offered; offered++)
		if (g_ascii_strcasecmp (*offered, name) == 0)
			return TRUE;
	return FALSE;
}

/* The binding of this connection in base64; NULL none. */
static char *
binding (const NetConn *conn, Gsasl_property *property_out)
{
	static const struct {
		const char *kind;
		Gsasl_property property;
	} kinds[] = {{"tls-unique", GSASL_CB_TLS_UNIQUE}, {"tls-exporter", GSASL_CB_TLS_EXPORTER}};
	/* Before TLS 1.3 servers expect tls-unique unless told otherwise (RFC 5802, 6.1); in 1.3 there is none. */
	for (guint i = 0; conn && i < G_N_ELEMENTS (kinds); i++) {
		g_autoptr (GBytes) data = net_conn_channel_binding (conn, kinds[i].kind);
		*property_out = kinds[i].property;
		if (data)
			return g_base64_encode (g_bytes_get_data (data, NULL), g_bytes_get_size (data));
	}
	return NULL;
}

static gboolean
usable (guint i, const NetSaslSettings *set, const char *const *offered, gboolean can_bind)
{
	return is_offered (mechanisms[i].name, offered) && (!set->only || !g_ascii_strcasecmp (set->only, mechanisms[i].name)) &&
	       (can_bind || !mechanisms[i].binds) && (set->plain_allowed || !mechanisms[i].shows_secret) &&
	       !set->secret_is_token == !mechanisms[i].for_token;
}

static gboolean
choose (NetSasl *s, const NetSaslSettings *set, const char *const *offered, gboolean can_bind, GError **error)
{
	for (s->which = 0; s->which < G_N_ELEMENTS (mechanisms); s->which++)
		if (usable (s->which, set, offered, can_bind))
			return TRUE;
	g_autofree char *list = g_strjoinv (" ", (char **) offered);
	g_autofree char *seen = slice_to_utf8 ((Slice){list, strlen (list)}, FAILURE_MAX);
	return error_fail (error, ERROR_NOT_FOUND, "the server offers no log-in method that can be used here (it offers: %s%s%s)%s",
	                   *seen ? seen : "none", set->only ? "; wanted: " : "", set->only ? set->only : "",
	                   set->plain_allowed ? "" : ": use TLS, so that the password may be sent");
}

static gboolean
start_scram (NetSasl *s, const NetSaslSettings *set, Gsasl_property property, const char *bound, GError **error)
{
	const char *name = mechanisms[s->which].name;
	if (gsasl_init (&s->gsasl) != GSASL_OK || gsasl_client_start (s->gsasl, name, &s->session) != GSASL_OK)
		return error_fail (error, ERROR_NOT_FOUND, "this system cannot do %s", name);
	if (gsasl_property_set (s->session, GSASL_AUTHID, set->user) != GSASL_OK ||
	    gsasl_property_set (s->session, GSASL_PASSWORD, set->secret) != GSASL_OK ||
	    (mechanisms[s->which].binds && gsasl_property_set (s->session, property, bound) != GSASL_OK))
		return error_fail (error, ERROR_IO, "%s cannot be set up", name);
	return TRUE;
}

/* RFC 7628 3.1: the user name is a gs2 authzid, "," and "=" escaped. */
static char *
bearer_text (const NetSaslSettings *set)
{
	GString *user = g_string_new (NULL);
	for (const char *p = set->user; *p; p++)
		if (*p == ',' || *p == '=')
			g_string_append (user, *p == ',' ? "=2C" : "=3D");
		else
			g_string_append_c (user, *p);
	g_autofree char *escaped = g_string_free (user, FALSE);
	g_autofree char *host = set->host ? g_strdup_printf ("host=%s\001port=%u\001", set->host, set->port) : g_strdup ("");
	return g_strdup_printf ("n,a=%s,\001%sauth=Bearer %s\001\001", escaped, host, set->secret);
}

static void
make_initial (NetSasl *s, const NetSaslSettings *set)
{
	gsize user = strlen (set->user), secret = strlen (set->secret);
	switch (mechanisms[s->which].kind) {
	case KIND_PLAIN:
		s->initial_size = user + secret + 2;
		s->initial = g_malloc0 (s->initial_size);
		memcpy (s->initial + 1, set->user, user);
		memcpy (s->initial + user + 2, set->secret, secret);
		break;
	case KIND_OAUTHBEARER:
		s->initial = bearer_text (set);
		s->initial_size = strlen (s->initial);
		break;
	case KIND_XOAUTH2:
		s->initial = g_strdup_printf ("user=%s\001auth=Bearer %s\001\001", set->user, set->secret);
		s->initial_size = strlen (s->initial);
		break;
	case KIND_LOGIN:
		s->user = g_strdup (set->user);
		s->secret = g_strdup (set->secret);
		break;
	case KIND_SCRAM:
		break;
	}
}

NetSasl *
net_sasl_new (const NetSaslSettings *set, const char *const *offered, GError **error)
{
	gboolean control = set->secret_is_token && strpbrk (set->secret, "\001\r\n");
	if (!g_utf8_validate (set->user, -1, NULL) || strpbrk (set->user, "\001\r\n") || strlen (set->user) > SECRET_MAX ||
	    !g_utf8_validate (set->secret, -1, NULL) || control || strlen (set->secret) > SECRET_MAX) {
		error_fail (error, ERROR_USAGE, "the user name or the secret is too long, not UTF-8 or has control characters");
		return NULL;
	}
	g_autoptr (NetSasl) s = g_new0 (NetSasl, 1);
	Gsasl_property property = GSASL_CB_TLS_UNIQUE;
	g_autofree char *bound = binding (set->conn, &property);
	if (!choose (s, set, offered, bound != NULL, error))
		return NULL;
	if (mechanisms[s->which].kind == KIND_SCRAM && !start_scram (s, set, property, bound, error))
		return NULL;
	make_initial (s, set);
	return g_steal_pointer (&s);
}

const char *
net_sasl_mechanism (const NetSasl *s)
{
	return mechanisms[s->which].name;
}

static gboolean
scram_step (NetSasl *s, const char *data, gsize size, char **response_out, GError **error)
{
	char *out = NULL;
	size_t out_size = 0;
	int code = gsasl_step (s->session, data, size, &out, &out_size);
	if (code == GSASL_OK || code == GSASL_NEEDS_MORE) {
		*response_out = g_base64_encode ((guchar *) out, out_size);
		gsasl_free (out);
		s->done = code == GSASL_OK;
		return TRUE;
	}
	if (code == GSASL_AUTHENTICATION_ERROR)
		return error_fail (error, ERROR_NO_PERMISSION, "the server could not prove that it knows the password");
	return error_fail (error, ERROR_PROTOCOL, "%s: %s", net_sasl_mechanism (s), gsasl_strerror (code));
}

char *
net_sasl_initial (NetSasl *s)
{
	g_assert (s->step == 0);
	if (mechanisms[s->which].kind == KIND_LOGIN)
		return NULL;
	char *response = NULL;
	if (!net_sasl_step (s, "", &response, NULL))
		return NULL;
	return response;
}

/* The server-first message of SCRAM carries ",i=ROUNDS". */
static gboolean
check_rounds (const char *data, gsize size, GError **error)
{
	const char *i = g_strstr_len (data, (gssize) size, ",i=");
	if (!i || g_ascii_strtoull (i + 3, NULL, 10) <= ROUNDS_MAX)
		return TRUE;
	return error_fail (error, ERROR_PROTOCOL, "the server asks for more than %d rounds of password hashing", ROUNDS_MAX);
}

static gboolean
login_step (NetSasl *s, char **response_out, GError **error)
{
	const char *answer = s->step == 0 ? s->user : s->secret;
	if (s->step > 1)
		return error_fail (error, ERROR_PROTOCOL, "LOGIN: the server asks a third question");
	*response_out = g_base64_encode ((const guchar *) answer, strlen (answer));
	return TRUE;
}

/* OAuth servers tell a failure as a challenge; the client answers with \001 (OAUTHBEARER) or nothing and then gets NO. */
static void
oauth_step (NetSasl *s, const char *data, gsize size, char **response_out)
{
	gboolean bearer = mechanisms[s->which].kind == KIND_OAUTHBEARER;
	g_free (s->failure);
	s->failure = slice_to_utf8 ((Slice){data, size}, FAILURE_MAX);
	*response_out = g_strdup (bearer ? "AQ==" : "");
}

static gboolean
step_decoded (NetSasl *s, const char *data, gsize size, char **response_out, GError **error)
{
	Kind kind = mechanisms[s->which].kind;
	if (kind == KIND_LOGIN)
		return login_step (s, response_out, error);
	if (kind == KIND_SCRAM)
		return check_rounds (data, size, error) && scram_step (s, data, size, response_out, error);
	if (s->step == 0) {
		*response_out = g_base64_encode ((guchar *) s->initial, s->initial_size);
		wipe_block (g_steal_pointer (&s->initial), s->initial_size);
		return TRUE;
	}
	if (kind == KIND_PLAIN || s->step > 1)
		return error_fail (error, ERROR_PROTOCOL, "%s: unexpected challenge", net_sasl_mechanism (s));
	oauth_step (s, data, size, response_out);
	return TRUE;
}

gboolean
net_sasl_step (NetSasl *s, const char *challenge, char **response_out, GError **error)
{
	char *data = NULL;
	size_t size = 0, length = strlen (challenge);
	if (length > CHALLENGE_MAX || (length && gsasl_base64_from (challenge, length, &data, &size) != GSASL_OK))
		return error_fail (error, ERROR_PROTOCOL, "%s: the server's challenge is not base64", net_sasl_mechanism (s));
	gboolean good = step_decoded (s, data ? data : "", size, response_out, error);
	if (data)
		gsasl_free (data);
	s->step++;
	return good;
}

gboolean
net_sasl_finish (NetSasl *s, GError **error)
{
	if (mechanisms[s->which].kind != KIND_SCRAM || s->done)
		return TRUE;
	return error_fail (error, ERROR_NO_PERMISSION, "the server let us in without proving that it knows the password: it may be a "
	                   "false one");
}

const char *
net_sasl_failure (const NetSasl *s)
{
	return s->failure;
}
