/* SPDX-License-Identifier: Apache-2.0 */
/* SCRAM is gsasl's work, from the keys that are kept. Which binding a client must, may or must not use is decided here: what gsasl checks of
 * it has changed with its versions. */
#include "directory.h"
#include <gnutls/crypto.h>
#include <gsasl.h>
#include <string.h>

#define MESSAGE_MAX 4096 /* octets; the longest that is right has a name, a nonce and a binding */
#define PLUS "-PLUS"

typedef enum { STEP_FIRST, STEP_FINAL, STEP_CONFIRM, STEP_OVER } Step;

struct DirectoryLogOn {
	Gsasl *gsasl;
	Gsasl_session *session;
	char *mechanism; /* without "-PLUS" */
	gboolean plus, can_bind;
	Step step;
	DirectoryScram keys;

	/* of the call */
	Directory *d;
	GError *error;
};

/* Keys that nobody has the password of. */
static char *
random_key (const DirectoryLogOn *l)
{
	guint8 key[GSASL_HASH_MAX_SIZE];
	gsize size = gsasl_hash_length (strcmp (l->mechanism, "SCRAM-SHA-1") == 0 ? GSASL_HASH_SHA1 : GSASL_HASH_SHA256);
	return gnutls_rnd (GNUTLS_RND_KEY, key, size) >= 0 ? g_base64_encode (key, size) : NULL;
}

static gboolean
set_keys (const DirectoryLogOn *l)
{
	char rounds[16];
	g_snprintf (rounds, sizeof rounds, "%u", l->keys.rounds);
	return gsasl_property_set (l->session, GSASL_SCRAM_ITER, rounds) == GSASL_OK &&
	       gsasl_property_set (l->session, GSASL_SCRAM_SALT, l->keys.salt) == GSASL_OK &&
	       gsasl_property_set (l->session, GSASL_SCRAM_STOREDKEY, l->keys.stored_key) == GSASL_OK &&
	       gsasl_property_set (l->session, GSASL_SCRAM_SERVERKEY, l->keys.server_key) == GSASL_OK;
}

/* Whom the client says that it is, is known by now. */
static gboolean
find_keys (DirectoryLogOn *l)
{
	const char *name = gsasl_property_fast (l->session, GSASL_AUTHID);
	if (!name || !directory_scram (l->d, name, l->mechanism, &l->keys, &l->error))
		return FALSE;
	g_autofree char *stored = random_key (l), *server = random_key (l); /* for everybody, as they take time */
	if (!stored || !server)
		return error_fail (&l->error, ERROR_IO, "the system gives no random numbers");
	if (!l->keys.stored_key) {
		l->keys.stored_key = g_steal_pointer (&stored);
		l->keys.server_key = g_steal_pointer (&server);
	}
	return set_keys (l) || error_fail (&l->error, ERROR_IO, "%s can't be set up", l->mechanism);
}

static int
asked (Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
	DirectoryLogOn *l = gsasl_session_hook_get (session);
	if (property != GSASL_SCRAM_ITER || l->step != STEP_FIRST || l->keys.salt)
		return GSASL_NO_CALLBACK;
	return find_keys (l) ? GSASL_OK : GSASL_AUTHENTICATION_ERROR;
}

static gboolean
bind_to (DirectoryLogOn *l, Gsasl_property property, GBytes *binding)
{
	if (!binding)
		return TRUE;
	g_autofree char *text = g_base64_encode (g_bytes_get_data (binding, NULL), g_bytes_get_size (binding));
	l->can_bind = TRUE;
	return gsasl_property_set (l->session, property, text) == GSASL_OK;
}

DirectoryLogOn *
directory_log_on_new (const char *mechanism, GBytes *unique, GBytes *exporter, GError **error)
{
	static const char *const known[] = {"SCRAM-SHA-1", "SCRAM-SHA-1" PLUS, "SCRAM-SHA-256", "SCRAM-SHA-256" PLUS, NULL};
	g_autoptr (DirectoryLogOn) l = g_new0 (DirectoryLogOn, 1);
	l->plus = g_str_has_suffix (mechanism, PLUS);
	l->mechanism = g_strndup (mechanism, strlen (mechanism) - (l->plus ? strlen (PLUS) : 0));
	if (!g_strv_contains (known, mechanism) || (l->plus && !unique && !exporter)) {
		error_fail (error, ERROR_NOT_FOUND, "%s is not offered", mechanism);
		return NULL;
	}
	if (gsasl_init (&l->gsasl) != GSASL_OK || gsasl_server_start (l->gsasl, mechanism, &l->session) != GSASL_OK ||
	    !bind_to (l, GSASL_CB_TLS_UNIQUE, unique) || !bind_to (l, GSASL_CB_TLS_EXPORTER, exporter)) {
		error_fail (error, ERROR_IO, "%s can't be set up", mechanism);
		return NULL;
	}
	gsasl_callback_set (l->gsasl, asked);
	gsasl_session_hook_set (l->session, l);
	return g_steal_pointer (&l);
}

void
directory_log_on_free (DirectoryLogOn *l)
{
	if (!l)
		return;
	if (l->session)
		gsasl_finish (l->session);
	if (l->gsasl)
		gsasl_done (l->gsasl);
	directory_scram_clear (&l->keys);
	g_free (l->mechanism);
	g_free (l);
}

/* The flag at the start of the client's first message (RFC 5802 sections 5.1, 6). "y": it could bind, but believes that the server can't, so that
 * somebody between has taken -PLUS from what is offered. */
static gboolean
binding_fits (const DirectoryLogOn *l, Slice message)
{
	char flag = message.size ? message.data[0] : '\0';
	return l->plus ? flag == 'p' : flag == 'n' || (flag == 'y' && !l->can_bind);
}

static gboolean
is_for_oneself (const DirectoryLogOn *l)
{
	const char *as = gsasl_property_fast (l->session, GSASL_AUTHZID), *name = gsasl_property_fast (l->session, GSASL_AUTHID);
	return !as || !*as || g_strcmp0 (as, name) == 0;
}

/* Of what gsasl says of a message. */
static gboolean
judge (DirectoryLogOn *l, int code, GError **error)
{
	if (l->error) {
		g_propagate_error (error, g_steal_pointer (&l->error));
		return FALSE;
	}
	if (l->step == STEP_FINAL ? code == GSASL_OK && l->keys.id : code == GSASL_NEEDS_MORE) /* OK: it is proved */
		return TRUE;
	if (code == GSASL_MECHANISM_PARSE_ERROR || code == GSASL_BASE64_ERROR)
		return error_fail (error, ERROR_PROTOCOL, "this is no message of %s", l->mechanism);
	if (code != GSASL_AUTHENTICATION_ERROR)
		return error_fail (error, ERROR_IO, "%s: %s", l->mechanism, gsasl_strerror (code));
	const char *name = gsasl_property_fast (l->session, GSASL_AUTHID);
	return error_fail (error, ERROR_NO_PERMISSION, l->keys.id ? "the password for %s is not proved" : "there is no mailbox %s that may be logged on to",
	                   name ? name : "of this name");
}

static gboolean
feed (DirectoryLogOn *l, Directory *d, Slice message, GString *answer, GError **error)
{
	char *out = NULL;
	size_t size = 0;
	l->d = d;
	int code = gsasl_step (l->session, message.data, message.size, &out, &size);
	l->d = NULL;
	gboolean ok = judge (l, code, error);
	if (ok && l->step == STEP_FIRST && !is_for_oneself (l))
		ok = error_fail (error, ERROR_NO_PERMISSION, "%s wanted to act for another", gsasl_property_fast (l->session, GSASL_AUTHID));
	if (ok)
		g_string_append_len (answer, out, (gssize) size);
	gsasl_free (out);
	return ok;
}

gboolean
directory_log_on_step (DirectoryLogOn *l, Directory *d, Slice message, GString *answer, DirectoryMailbox **mailbox_out, GError **error)
{
	Step step = l->step;
	*mailbox_out = NULL;
	l->step = STEP_OVER; /* unless all is well */
	if (step == STEP_OVER || message.size > MESSAGE_MAX || (message.size && memchr (message.data, '\0', message.size)))
		return error_fail (error, ERROR_PROTOCOL, "this is no message of %s", l->mechanism);
	if (step == STEP_CONFIRM) {
		if (message.size)
			return error_fail (error, ERROR_PROTOCOL, "nothing was expected behind the proof");
		*mailbox_out = directory_may_log_on (d, l->keys.id, error); /* by the id: the name may be another's by now */
		return *mailbox_out != NULL;
	}
	if (step == STEP_FIRST && !binding_fits (l, message))
		return error_fail (error, message.size ? ERROR_NO_PERMISSION : ERROR_PROTOCOL, "the client binds to no channel, or to one that it should not");
	l->step = step; /* for the callback */
	gboolean ok = feed (l, d, message, answer, error);
	l->step = ok ? step + 1 : STEP_OVER;
	return ok;
}

const char *
directory_log_on_name (const DirectoryLogOn *l)
{
	return gsasl_property_fast (l->session, GSASL_AUTHID);
}
