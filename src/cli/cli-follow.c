/* SPDX-License-Identifier: Apache-2.0 */
/* A server that has moved (docs/moves.md): the profile goes along, but only to where the same server proves to be. An address is where something is,
 * not what it is; the id is. */
#include "cli-home.h"
#include "secret.h"
#include <stdarg.h>
#include <string.h>

#define TRY_AGAIN_US (G_GINT64_CONSTANT (3600) * G_USEC_PER_SEC) /* of a watcher, after nothing was proved */
#define PLACES_MAX 3 /* that are tried */

/* @location as a place for this profile; NULL: it can't be one. */
static Profile *
profile_at (const Profile *p, const char *location, GError **error)
{
	g_autoptr (Profile) there = profile_load (p->name, error);
	if (!there || !profile_follow (there, location, error))
		return NULL;
	if (p->tls && !there->tls) {
		error_fail (error, ERROR_NO_PERMISSION, "%s would be less safe", location);
		return NULL;
	}
	return g_steal_pointer (&there);
}

/* The server at @there lets us in and is the one with @id (NULL: any). */
static gboolean
is_there (Home *h, Profile *there, const char *id, GError **error)
{
	g_autoptr (Home) other = home_new (h->cli, there, NULL);
	if (h->secret)
		home_set_secret (other, h->secret);
	gboolean in = other->endpoint->class->open (other->endpoint, h->cli->cancel, error);
	const ImapServer *server = in && id ? imap_endpoint_server (other->endpoint, error) : NULL;
	gboolean same = id ? server && strcmp (server->id, id) == 0 : in;
	if (!same && (!error || !*error))
		error_fail (error, ERROR_CONFLICT, "another server is there");
	other->endpoint->class->close (other->endpoint);
	return same;
}

static void
log_line (Store *s, gint64 run, const char *text)
{
	g_autoptr (GError) local = NULL;
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	gboolean fresh = run == 0;
	if (!store_begin (s, &local) || (fresh && !store_run_begin (s, now, &run, &local)) || !store_run_line (s, run, now, FALSE, text, &local) ||
	    (fresh && !store_run_end (s, run, now, "done", NULL, NULL, &local)) || !store_commit (s, &local))
		g_debug ("follow: %s", local->message);
	store_rollback (s);
}

static void
take_place (Profile *p, Profile *there)
{
	char *host = p->host, *earlier = p->earlier;
	p->host = g_steal_pointer (&there->host);
	p->earlier = g_steal_pointer (&there->earlier);
	p->port = there->port;
	p->tls = there->tls;
	g_free (host);
	g_free (earlier);
}

static gboolean
save (Home *h, const Profile *there, GError **error)
{
	return (there->source != SECRET_KEYRING || !h->secret || secret_store (there, h->secret, error)) && profile_save (there, error);
}

static gboolean
is_among (char **addresses, const char *location)
{
	for (; *addresses; addresses++)
		if (g_ascii_strcasecmp (*addresses, location) == 0)
			return TRUE;
	return FALSE;
}

/* Who could read or change what is said on this connection is believed in nothing. */
static gboolean
is_believed (const Home *h)
{
	return h->profile->tls || h->plain || !h->profile->insecure;
}

static void
take_over (Home *h, Store *s, gint64 run, Profile *there, const char *format, ...) G_GNUC_PRINTF (5, 6);

/* The profile is at @there from now on, and the log says so. */
static void
take_over (Home *h, Store *s, gint64 run, Profile *there, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	g_autofree char *text = g_strdup_vprintf (format, args);
	va_end (args);
	take_place (h->profile, there);
	home_set_place (h);
	log_line (s, run, text);
	cli_note (h->cli, "%s", text);
}

static gboolean
follow_to (Home *h, Store *s, gint64 run, const ImapServer *server, const char *address, GError **error)
{
	g_autofree char *before = profile_location (h->profile);
	g_autoptr (Profile) there = profile_at (h->profile, address, error);
	g_autofree char *after = there ? profile_location (there) : NULL;
	if (g_strcmp0 (before, after) == 0) /* another way to write it */
		return TRUE;
	if (!there || !is_there (h, there, server->id, error) || !save (h, there, error))
		return FALSE;
	take_over (h, s, run, there, "The server '%s' (site '%s') is at %s now: the profile follows it from %s", server->name, server->site, address, before);
	return TRUE;
}

void
home_follow (Home *h, Store *s, gint64 run)
{
	const ImapServer *server = imap_endpoint_server (h->endpoint, NULL);
	g_autofree char *here = profile_location (h->profile);
	gint64 now = g_get_monotonic_time ();
	if (!server || !*server->addresses || is_among (server->addresses, here) || !is_believed (h) || (h->followed && now - h->followed < TRY_AGAIN_US))
		return;
	h->followed = now;
	g_autoptr (GError) why = NULL;
	for (char **a = server->addresses; *a && a < server->addresses + PLACES_MAX; a++) {
		g_clear_error (&why);
		if (follow_to (h, s, run, server, *a, &why)) {
			h->followed = 0;
			return;
		}
	}
	g_autofree char *text = g_strdup_printf ("The server '%s' says that it is at %s, which does not prove true; the profile stays with %s: %s", server->name,
	                                         server->addresses[0], here, why ? why->message : "no address");
	log_line (s, run, text);
	cli_note (h->cli, "%s", text);
}

gboolean
home_look_back (Home *h, Store *s)
{
	g_autofree char *id = store_setting (s, "server");
	g_auto (GStrv) earlier = g_strsplit (h->profile->earlier ? h->profile->earlier : "", " ", PROFILE_EARLIER_MAX);
	for (char **e = earlier; id && *e; e++) {
		g_autoptr (GError) local = NULL;
		g_autoptr (Profile) there = **e ? profile_at (h->profile, *e, &local) : NULL;
		if (!there || !is_there (h, there, id, &local) || !save (h, there, &local))
			continue;
		take_over (h, s, 0, there, "The server is where it was before, at %s: the profile goes back", *e);
		return TRUE;
	}
	return FALSE;
}

gboolean
home_be_referred (Home *h, Store *s)
{
	g_autofree char *address = g_steal_pointer (&h->referral), *before = profile_location (h->profile);
	g_autoptr (GError) why = NULL;
	g_autoptr (Profile) there = address && is_believed (h) ? profile_at (h->profile, address, &why) : NULL;
	if (there && is_there (h, there, NULL, &why) && save (h, there, &why)) {
		take_over (h, s, 0, there, "The mailbox is at home at another server now: the profile follows it to %s from %s", address, before);
		return TRUE;
	}
	if (why)
		cli_note (h->cli, "The mailbox is said to be at %s, which does not let us in: %s", address, why->message);
	return FALSE;
}
