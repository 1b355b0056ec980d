/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a password: a yescrypt hash for those who send it, SCRAM keys (RFC 5802) for those who only prove that they know it. */
#include "directory-private.h"
#include <crypt.h>
#include <gnutls/crypto.h>
#include <gsasl.h>
#include <string.h>

#define PASSWORD_MAX (CRYPT_MAX_PASSPHRASE_SIZE - 1)
#define SALT_SIZE 16
#define ROUNDS 10000
/* Of nobody: what a wrong name is compared with, so that it takes as long. */
#define NOBODY "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$zH0/Z4.ssZLtfn1A0d2vq/hHx3mB6gM7TNmgT545491"

static void
wipe (char *secret)
{
	if (secret)
		explicit_bzero (secret, strlen (secret));
	free (secret);
}

/* Of what SASLprep (RFC 4013) leaves as it is. */
static gboolean
is_plain (const char *password)
{
	while (g_ascii_isprint (*password))
		password++;
	return !*password;
}

/* As SASL compares passwords; to be freed by wipe. The library leaves copies behind: what need not go through it does not. */
static char *
prepare (const char *password)
{
	char *out = NULL;
	if (*password && strlen (password) <= PASSWORD_MAX && is_plain (password))
		return strdup (password);
	gboolean right = *password && strlen (password) <= PASSWORD_MAX && g_utf8_validate (password, -1, NULL) &&
	                 gsasl_saslprep (password, GSASL_ALLOW_UNASSIGNED, &out, NULL) == GSASL_OK && *out &&
	                 strlen (out) <= PASSWORD_MAX;
	if (right)
		return out;
	wipe (out);
	return NULL;
}

/* ---- Setting ---- */

static gboolean
keep (Directory *d, gint64 number, const char *kind, const char *value, GError **error)
{
	return db_run (d->db, "INSERT INTO verifier (mailbox, kind, value) VALUES (?1, ?2, ?3) ON CONFLICT (mailbox, kind) DO UPDATE SET value = excluded.value",
	               error, "iss", number, kind, value);
}

static gboolean
keep_crypt (Directory *d, gint64 number, const char *prepared, GError **error)
{
	struct crypt_data data = {0};
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *hash = crypt_gensalt_rn ("$y$", 0, NULL, 0, setting, sizeof setting) ? crypt_r (prepared, setting, &data) : NULL;
	gboolean ok = hash && *hash != '*' ? keep (d, number, "crypt", hash, error) : error_fail (error, ERROR_IO, "the password can't be hashed");
	explicit_bzero (&data, sizeof data);
	return ok;
}

static gboolean
keep_scram (Directory *d, gint64 number, const char *kind, Gsasl_hash hash, const char *prepared, GError **error)
{
	guint8 salt[SALT_SIZE], salted[GSASL_HASH_MAX_SIZE], client[GSASL_HASH_MAX_SIZE], server[GSASL_HASH_MAX_SIZE], stored[GSASL_HASH_MAX_SIZE];
	gsize size = gsasl_hash_length (hash);
	if (gnutls_rnd (GNUTLS_RND_NONCE, salt, sizeof salt) < 0 ||
	    gsasl_scram_secrets_from_password (hash, prepared, ROUNDS, (char *) salt, sizeof salt, (char *) salted, (char *) client, (char *) server,
	                                       (char *) stored) != GSASL_OK)
		return error_fail (error, ERROR_IO, "the password can't be hashed");
	g_autofree char *salt_text = g_base64_encode (salt, sizeof salt), *stored_text = g_base64_encode (stored, size),
	                *server_text = g_base64_encode (server, size);
	g_autofree char *value = g_strdup_printf ("%d %s %s %s", ROUNDS, salt_text, stored_text, server_text);
	explicit_bzero (salted, sizeof salted);
	explicit_bzero (client, sizeof client);
	return keep (d, number, kind, value, error);
}

gboolean
directory_set_password (Directory *d, const char *name, const char *password, GError **error)
{
	gint64 number = need_mailbox (d, name, error);
	if (!number)
		return FALSE;
	char *prepared = prepare (password);
	if (!prepared)
		return error_fail (error, ERROR_USAGE, "a password must have 1 to %d octets of UTF-8 without control characters", PASSWORD_MAX);
	gboolean ok = db_begin (d->db, error) && keep_crypt (d, number, prepared, error) &&
	              keep_scram (d, number, "SCRAM-SHA-1", GSASL_HASH_SHA1, prepared, error) &&
	              keep_scram (d, number, "SCRAM-SHA-256", GSASL_HASH_SHA256, prepared, error) && db_commit (d->db, error);
	db_rollback (d->db);
	wipe (prepared);
	return ok;
}

/* ---- Asking ---- */

/* NULL: none. FALSE for what can't be read. */
static gboolean
verifier (Directory *d, gint64 number, const char *kind, char **value_out, GError **error)
{
	DbQuery *q = db_query (d->db, "SELECT value FROM verifier WHERE mailbox = ?1 AND kind = ?2", "is", number, kind);
	int row = db_step (d->db, q, error);
	*value_out = row > 0 ? db_dup (q, 0) : NULL;
	db_reset (q);
	return row >= 0;
}

static gboolean
matches (const char *prepared, const char *hash)
{
	struct crypt_data data = {0};
	const char *mine = crypt_r (prepared, hash, &data);
	gsize size = strlen (hash);
	gboolean same = mine && *mine != '*' && strlen (mine) == size && gnutls_memcmp (mine, hash, size) == 0;
	explicit_bzero (&data, sizeof data);
	return same;
}

static DirectoryMailbox *
may_log_on (Directory *d, const char *name, gint64 number, GError **error)
{
	g_autoptr (GError) none = NULL;
	g_autoptr (DirectoryMailbox) m = mailbox_by_number (d, number, number ? error : &none); /* of nobody, too: it takes time */
	if (!number)
		error_fail (error, ERROR_NO_PERMISSION, "there is no mailbox %s", name);
	else if (m && m->deleted)
		error_fail (error, ERROR_NO_PERMISSION, "the mailbox %s is deleted", name);
	else if (m && m->disabled)
		error_fail (error, ERROR_NO_PERMISSION, "the mailbox %s is disabled", name);
	else
		return g_steal_pointer (&m);
	return NULL;
}

DirectoryMailbox *
directory_may_log_on (Directory *d, const char *name, GError **error)
{
	gint64 number;
	return mailbox_number (d, name, &number, error) ? may_log_on (d, name, number, error) : NULL;
}

DirectoryMailbox *
directory_authenticate (Directory *d, const char *name, const char *password, GError **error)
{
	gint64 number;
	g_autofree char *hash = NULL;
	if (!mailbox_number (d, name, &number, error) || !verifier (d, number, "crypt", &hash, error))
		return NULL;
	char *prepared = prepare (password);
	gboolean known = hash && prepared && verified_is (number, hash, prepared);
	gboolean right = known || (matches (prepared ? prepared : "x", hash ? hash : NOBODY) && hash && prepared);
	if (right && !known)
		verified_note (number, hash, prepared);
	wipe (prepared);
	/* By the number: the name may be another's by now. */
	g_autoptr (DirectoryMailbox) m = may_log_on (d, name, number, error);
	if (!m || right)
		return g_steal_pointer (&m);
	error_fail (error, ERROR_NO_PERMISSION, hash ? "the password for %s is wrong" : "the mailbox %s has no password: `outpostctl mailbox passwd` sets one", name);
	return NULL;
}

void
directory_scram_clear (DirectoryScram *s)
{
	g_free (s->id);
	g_free (s->salt);
	g_free (s->stored_key);
	g_free (s->server_key);
	*s = (DirectoryScram){0};
}

/* One for all that a name can be written as, another for the other mechanism: as if it were kept. */
static char *
made_up_salt (Directory *d, const char *name, const char *mechanism, GError **error)
{
	guint8 digest[32];
	gsize size;
	char *salt = NULL;
	g_autofree char *key = name_key (d, name, error), *text = key ? g_strconcat (mechanism, " ", key, NULL) : NULL;
	DbQuery *q = db_query (d->db, "SELECT secret FROM meta", "");
	int row = text ? db_step (d->db, q, error) : -1;
	if (row > 0) {
		const void *secret = db_blob (q, 0, &size);
		if (gnutls_hmac_fast (GNUTLS_MAC_SHA256, secret, size, text, strlen (text), digest) == 0)
			salt = g_base64_encode (digest, SALT_SIZE);
	}
	db_reset (q);
	if (row >= 0 && !salt)
		error_fail (error, ERROR_CORRUPT, "the directory %s has lost its secret", db_path (d->db));
	return salt;
}

gboolean
directory_scram (Directory *d, const char *name, const char *mechanism, DirectoryScram *out, GError **error)
{
	gint64 number;
	g_autofree char *value = NULL;
	*out = (DirectoryScram){0};
	if (!g_utf8_validate (name, -1, NULL))
		return error_fail (error, ERROR_NO_PERMISSION, "this is no name");
	if (!mailbox_number (d, name, &number, error) || !verifier (d, number, mechanism, &value, error))
		return FALSE;
	g_autoptr (GError) no = NULL;
	g_autofree char *made_up = made_up_salt (d, name, mechanism, error); /* for everybody, as it takes time */
	g_autoptr (DirectoryMailbox) m = made_up ? may_log_on (d, name, number, &no) : NULL;
	if (!made_up)
		return FALSE;
	if (!m && !error_is (no, ERROR_NO_PERMISSION)) {
		g_propagate_error (error, g_steal_pointer (&no));
		return FALSE;
	}
	g_auto (GStrv) parts = m && value ? g_strsplit (value, " ", 4) : NULL;
	if (parts && g_strv_length (parts) == 4) {
		*out = (DirectoryScram){g_strdup (m->id), g_strdup (parts[1]), g_strdup (parts[2]), g_strdup (parts[3]),
		                        (guint) g_ascii_strtoull (parts[0], NULL, 10)};
		return TRUE;
	}
	*out = (DirectoryScram){.salt = g_steal_pointer (&made_up), .rounds = ROUNDS};
	return TRUE;
}
