/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint object: settings, the pool of connections, repetition after a lost connection. */
#include "imap-private.h"
#include <string.h>

#define DEFAULT_CONNECTIONS 4
#define TRIES_LIMIT 3
#define FURTHER_PAUSE_S 600 /* after the server wanted no further connection */

int imap_retry_pause_ms = 1000;

static void
traffic_add (EndpointTraffic *sum, EndpointTraffic t)
{
	sum->octets_in += t.octets_in;
	sum->octets_out += t.octets_out;
	sum->flights += t.flights;
}

void
endpoint_session_drop (ImapEndpoint *e, guint i)
{
	if (!e->sessions[i])
		return;
	traffic_add (&e->past, imap_session_traffic (e->sessions[i]));
	g_clear_pointer (&e->sessions[i], imap_session_free);
	if (i == 0)
		e->notify_on = FALSE;
}

ImapSession *
endpoint_session (ImapEndpoint *e, GError **error)
{
	if (e->sessions[0] && imap_session_is_dead (e->sessions[0]))
		endpoint_session_drop (e, 0);
	if (e->sessions[0])
		return e->sessions[0];
	ImapSession *s = imap_session_open (&e->settings, e->known, e->cancel, error);
	if (!s)
		return NULL;
	e->sessions[0] = s;
	imap_session_set_observer (s, endpoint_observe, e);
	g_free (e->known);
	e->known = g_strdup (imap_session_capabilities (s));
	return s;
}

ImapSession *
endpoint_session_further (ImapEndpoint *e, guint i)
{
	if (i >= MIN (e->settings.connections, IMAP_CONNECTIONS_LIMIT))
		return NULL;
	if (e->sessions[i] && imap_session_is_dead (e->sessions[i]))
		endpoint_session_drop (e, i);
	gint64 now = g_get_monotonic_time ();
	if (e->sessions[i] || (e->further_failed && now - e->further_failed < FURTHER_PAUSE_S * G_USEC_PER_SEC))
		return e->sessions[i];
	/* the reason does not matter: one connection does it all, only slower */
	e->sessions[i] = imap_session_open (&e->settings, e->known, e->cancel, NULL);
	e->further_failed = e->sessions[i] ? 0 : now;
	return e->sessions[i];
}

gboolean
endpoint_retry (ImapEndpoint *e, guint *tries, GError **error)
{
	if (!(error_is (*error, ERROR_TEMPORARY) || error_is (*error, ERROR_UNAVAILABLE)) || ++*tries >= TRIES_LIMIT || cancel_is_triggered (e->cancel))
		return FALSE;
	for (guint i = 0; i < IMAP_CONNECTIONS_LIMIT; i++)
		endpoint_session_drop (e, i);
	int wait_ms = (*tries == 1 ? 0 : imap_retry_pause_ms) + g_random_int_range (0, 1 + imap_retry_pause_ms / 4);
	if (net_wait (NULL, 0, NULL, 0, wait_ms, e->cancel, NULL) < 0)
		return FALSE;
	g_clear_error (error);
	return TRUE;
}

gboolean
endpoint_try (ImapEndpoint *e, EndpointAttempt attempt, gpointer call, GError **error)
{
	g_autoptr (GError) local = NULL;
	for (guint tries = 0; !attempt (e, call, tries, &local);)
		if (!endpoint_retry (e, &tries, &local)) {
			g_propagate_error (error, g_steal_pointer (&local));
			return FALSE;
		}
	return TRUE;
}

static gboolean
imap_open (Endpoint *endpoint, Cancel *cancel, GError **error)
{
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	e->cancel = cancel;
	return endpoint_session (e, error) != NULL;
}

static void
imap_close (Endpoint *endpoint)
{
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	for (guint i = 0; i < IMAP_CONNECTIONS_LIMIT; i++) {
		if (e->sessions[i])
			imap_session_logout (e->sessions[i]);
		endpoint_session_drop (e, i);
	}
	e->cancel = NULL;
}

static void
imap_free (Endpoint *endpoint)
{
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	imap_close (endpoint);
	g_free ((char *) e->settings.host);
	g_free ((char *) e->settings.user);
	g_free ((char *) e->settings.mechanism);
	g_free ((char *) e->settings.tls_ca_file);
	g_free ((char *) e->settings.tls_pin);
	g_free (e->known);
	g_free (e->software);
	name_space_clear (&e->space);
	g_hash_table_unref (e->folder_marks);
	g_free (e);
}

static guint
imap_abilities (Endpoint *endpoint)
{
	static const struct {
		const char *capability;
		guint abilities;
	} table[] = {
		{"CONDSTORE", ENDPOINT_MODSEQ}, {"QRESYNC", ENDPOINT_MODSEQ | ENDPOINT_VANISHED},
		{"UIDPLUS", ENDPOINT_UIDPLUS}, {"MOVE", ENDPOINT_MOVE},
		{"OBJECTID", ENDPOINT_OBJECTID}, {"NOTIFY", ENDPOINT_PUSH},
		{"LIST-STATUS", ENDPOINT_LIST_STATUS}, {"ESEARCH", ENDPOINT_SEARCH},
	};
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	guint abilities = 0;
	for (guint i = 0; e->sessions[0] && i < G_N_ELEMENTS (table); i++)
		if (imap_session_can (e->sessions[0], table[i].capability))
			abilities |= table[i].abilities;
	return abilities;
}

static EndpointTraffic
imap_traffic (Endpoint *endpoint)
{
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	EndpointTraffic sum = e->past;
	for (guint i = 0; i < IMAP_CONNECTIONS_LIMIT; i++)
		if (e->sessions[i])
			traffic_add (&sum, imap_session_traffic (e->sessions[i]));
	return sum;
}

static guint
imap_shared (Endpoint *endpoint)
{
	return ((ImapEndpoint *) endpoint)->shared;
}

static const EndpointClass imap_class = {
	.open = imap_open,
	.close = imap_close,
	.free = imap_free,
	.abilities = imap_abilities,
	.traffic = imap_traffic,
	.list = imap_list,
	.shared = imap_shared,
	.query = imap_query,
	.fetch = imap_fetch,
	.evidence = imap_evidence,
	.search_flags = imap_search_flags,
	.append = imap_append,
	.store_flags = imap_store_flags,
	.copy = imap_copy,
	.expunge = imap_expunge,
	.folder_create = imap_folder_create,
	.folder_rename = imap_folder_rename,
	.folder_delete = imap_folder_delete,
	.watch = imap_watch,
};

Endpoint *
imap_endpoint_new (const ImapSettings *settings)
{
	ImapEndpoint *e = g_new0 (ImapEndpoint, 1);
	e->base.class = &imap_class;
	e->settings = *settings;
	e->settings.host = g_strdup (settings->host);
	e->settings.user = g_strdup (settings->user);
	e->settings.mechanism = g_strdup (settings->mechanism);
	e->settings.tls_ca_file = g_strdup (settings->tls_ca_file);
	e->settings.tls_pin = g_strdup (settings->tls_pin);
	e->settings.known_capabilities = NULL;
	if (!e->settings.connections)
		e->settings.connections = DEFAULT_CONNECTIONS;
	e->known = g_strdup (settings->known_capabilities);
	e->folder_marks = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
	return &e->base;
}

const char *
imap_endpoint_capabilities (Endpoint *endpoint)
{
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	return e->sessions[0] ? imap_session_capabilities (e->sessions[0]) : e->known;
}

const char *
imap_endpoint_software (Endpoint *endpoint)
{
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	if (e->sessions[0] && imap_session_software (e->sessions[0])) {
		g_free (e->software);
		e->software = g_strdup (imap_session_software (e->sessions[0]));
	}
	return e->software;
}

const ImapServer *
imap_endpoint_server (Endpoint *endpoint, GError **error)
{
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	if (!e->sessions[0] || imap_session_is_dead (e->sessions[0]))
		return NULL;
	return imap_session_settle (e->sessions[0], 0, error) ? imap_session_server (e->sessions[0]) : NULL;
}

void
imap_endpoint_set_place (Endpoint *endpoint, const ImapSettings *settings)
{
	ImapEndpoint *e = (ImapEndpoint *) endpoint;
	g_free ((char *) e->settings.host);
	e->settings.host = g_strdup (settings->host);
	e->settings.port = settings->port;
	e->settings.implicit_tls = settings->implicit_tls;
	e->settings.plain = settings->plain;
	e->settings.far = settings->far;
}
