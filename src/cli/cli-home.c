/* SPDX-License-Identifier: Apache-2.0 */
#include "cli-home.h"
#include "cli-sync.h"
#include "secret.h"
#include <string.h>

static char *
give_secret (gpointer data, GError **error)
{
	Home *h = data;
	if (h->secret && !h->profile->secret_is_token)
		return g_strdup (h->secret);
	home_forget_secret (h);
	if (h->profile->source == SECRET_PROMPT)
		cli_erase_line (h->cli);
	h->secret = secret_get (h->profile, h->cli->cancel, error);
	return g_strdup (h->secret);
}

static void
show_trace (gpointer data, char direction, const char *line)
{
	g_autofree char *text = slice_to_utf8 ((Slice){line, strlen (line)}, 4096);
	fprintf (stderr, "%c %s\n", direction, text);
}

static void
show_alert (gpointer data, const char *text)
{
	Home *h = data;
	cli_note (h->cli, "The server says: %s", text);
}

static void
take_referral (gpointer data, const char *address)
{
	Home *h = data;
	g_free (h->referral);
	h->referral = g_strdup (address);
}

static ImapSettings
settings_of (Home *h, const char *known)
{
	Profile *p = h->profile;
	gboolean loopback = strcmp (p->host, "localhost") == 0 || g_str_has_prefix (p->host, "127.") || strcmp (p->host, "::1") == 0;
	/* whoever names a certificate wants TLS on this machine, too */
	h->plain = !p->tls && loopback && !p->ca_file && !p->pin;
	return (ImapSettings){
		.host = p->host,
		.port = p->port,
		.implicit_tls = p->tls,
		.plain = h->plain || (!p->tls && p->insecure),
		.tls_ca_file = p->ca_file,
		.tls_pin = p->pin,
		.user = p->user,
		.mechanism = p->auth,
		.secret_is_token = p->secret_is_token,
		.far = !loopback || p->tunnel,
		.secret = give_secret,
		.secret_data = h,
		.trace = h->cli->verbose ? show_trace : NULL,
		.trace_data = h,
		.alert = show_alert,
		.alert_data = h,
		.referral = take_referral,
		.referral_data = h,
		.known_capabilities = known,
	};
}

Home *
home_new (Cli *cli, Profile *p, const char *known)
{
	Home *h = g_new0 (Home, 1);
	h->cli = cli;
	h->profile = p;
	const ImapSettings settings = settings_of (h, known);
	h->endpoint = imap_endpoint_new (&settings);
	return h;
}

void
home_set_place (Home *h)
{
	const ImapSettings settings = settings_of (h, NULL);
	imap_endpoint_set_place (h->endpoint, &settings);
}

void
home_set_secret (Home *h, const char *secret)
{
	home_forget_secret (h);
	h->secret = g_strdup (secret);
}

void
home_forget_secret (Home *h)
{
	secret_free (h->secret);
	h->secret = NULL;
}

void
home_free (Home *h)
{
	if (!h)
		return;
	endpoint_free (h->endpoint);
	home_forget_secret (h);
	g_free (h->referral);
	g_free (h);
}

static gboolean
remember (Store *s, const char *name, const char *value, gboolean *begun, GError **error)
{
	g_autofree char *old = store_setting (s, name);
	if (!value || g_strcmp0 (old, value) == 0)
		return TRUE;
	if (!*begun && !store_begin (s, error))
		return FALSE;
	*begun = TRUE;
	return store_set_setting (s, name, value, error);
}

gboolean
home_remember (Home *h, Store *s, GError **error)
{
	gboolean begun = FALSE;
	const ImapServer *server = imap_endpoint_server (h->endpoint, NULL);
	gboolean ok = remember (s, "server", server ? server->id : NULL, &begun, error) && remember (s, "capabilities", imap_endpoint_capabilities (h->endpoint), &begun, error) &&
	              remember (s, "software", imap_endpoint_software (h->endpoint), &begun, error) && (!begun || store_commit (s, error));
	store_rollback (s);
	return ok;
}
