/* SPDX-License-Identifier: Apache-2.0 */
#include "introspection.h"
#include "net-curl.h"
#include "sasl.h"
#include <string.h>

#define WAIT_MS 5000L
#define ANSWER_MAX (64u << 10) /* octets */
#define SECRET_MAX 1024u

struct Introspection {
	const Host *host;
	const NetCurl *curl;
	char *secret; /* NULL: none */
};

static gboolean
is_safe (const char *url)
{
	static const char *const starts[] = {"https://", "http://127.0.0.1:", "http://127.0.0.1/", "http://[::1]:", "http://[::1]/", "http://localhost:", "http://localhost/"};
	for (guint i = 0; i < G_N_ELEMENTS (starts); i++)
		if (g_str_has_prefix (url, starts[i]))
			return strpbrk (url, " @\r\n") == NULL;
	return FALSE;
}

static gboolean
read_secret (Introspection *i, GError **error)
{
	g_autoptr (GError) local = NULL;
	gsize size;
	if (!i->host->introspection_secret)
		return TRUE;
	if (!g_file_get_contents (i->host->introspection_secret, &i->secret, &size, &local))
		return error_fail (error, ERROR_USAGE, "%s", local->message);
	g_strchomp (i->secret);
	return (*i->secret && size <= SECRET_MAX) || error_fail (error, ERROR_USAGE, "%s must hold a secret, of at most %u octets", i->host->introspection_secret, SECRET_MAX);
}

Introspection *
introspection_new (const Host *h, GError **error)
{
	if (!is_safe (h->introspection)) {
		error_fail (error, ERROR_USAGE, "%s/outpostd.conf: [oauth] introspection must begin with https://, as tokens are sent there", h->folder);
		return NULL;
	}
	Introspection *i = g_new0 (Introspection, 1);
	i->host = h;
	i->curl = net_curl ();
	if (i->curl ? read_secret (i, error) : error_fail (error, ERROR_USAGE, "[oauth] introspection wants libcurl: apt-get install libcurl3-gnutls"))
		return i;
	introspection_free (i);
	return NULL;
}

void
introspection_free (Introspection *i)
{
	if (!i)
		return;
	sasl_wipe (i->secret);
	g_free (i);
}

static size_t
collect (char *data, size_t one, size_t size, void *answer)
{
	GString *text = answer;
	if (text->len + size > ANSWER_MAX)
		return 0;
	g_string_append_len (text, data, (gssize) size);
	return size;
}

/* No redirection and no proxy: the token is for nobody else. FALSE: *code_out says why, or there was an answer other than 200. */
static gboolean
post (const Introspection *i, CURL *easy, const char *form, GString *answer, CURLcode *code_out)
{
	const NetCurl *c = i->curl;
	long status = 0;
	c->setopt (easy, CURLOPT_URL, i->host->introspection);
	c->setopt (easy, CURLOPT_PROTOCOLS_STR, "http,https");
	c->setopt (easy, CURLOPT_PROXY, "");
	c->setopt (easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	c->setopt (easy, CURLOPT_FAILONERROR, 1L);
	c->setopt (easy, CURLOPT_NOSIGNAL, 1L);
	c->setopt (easy, CURLOPT_TIMEOUT_MS, WAIT_MS);
	c->setopt (easy, CURLOPT_WRITEFUNCTION, collect);
	c->setopt (easy, CURLOPT_WRITEDATA, answer);
	c->setopt (easy, CURLOPT_POSTFIELDS, form);
	if (i->host->introspection_ca)
		c->setopt (easy, CURLOPT_CAINFO, i->host->introspection_ca);
	if (i->host->introspection_client) {
		c->setopt (easy, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
		c->setopt (easy, CURLOPT_USERNAME, i->host->introspection_client);
		c->setopt (easy, CURLOPT_PASSWORD, i->secret ? i->secret : "");
	}
	*code_out = c->perform (easy);
	return *code_out == CURLE_OK && c->getinfo (easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200;
}

json_t *
introspection_ask (const Introspection *i, const char *token, GError **error)
{
	g_autoptr (GString) answer = g_string_new (NULL);
	char *escaped = g_uri_escape_string (token, NULL, FALSE), *form = g_strconcat ("token_type_hint=access_token&token=", escaped, NULL);
	CURL *easy = i->curl->init ();
	CURLcode code = CURLE_OUT_OF_MEMORY;
	gboolean ok = easy && post (i, easy, form, answer, &code);
	if (easy)
		i->curl->cleanup (easy);
	sasl_wipe (escaped);
	sasl_wipe (form);
	json_t *said = ok ? json_loadb (answer->str, answer->len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (json_is_object (said))
		return said;
	json_decref (said);
	error_fail (error, ERROR_TEMPORARY, "asking %s about a token: %s (%d of curl)", i->host->introspection, code == CURLE_OK ? "its answer is no JSON object" : "no answer", (int) code);
	return NULL;
}
