/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"
#include "digest.h"
#include "introspection.h"
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#define KEYS_MAX 100
#define KEYS_FILE_MAX (1 << 20)
#define RSA_BITS_MIN 2048
#define HMAC_KEY_MIN 32
#define CLOCK_SKEW 30          /* seconds */
#define REMEMBERED 60          /* seconds for which an answer of the issuer holds */
#define REMEMBERED_MAX 1000
#define ASKED_AT_ONCE 4        /* each has a worker wait */

typedef enum { KEY_RSA, KEY_EC, KEY_OCTETS, N_KEYS } KeyKind;

/* One way for each kind of key: what a token says of itself chooses nothing. */
static const struct {
	const char *type, *algorithm;
} kinds[N_KEYS] = {{"RSA", "RS256"}, {"EC", "ES256"}, {"oct", "HS256"}};

typedef struct {
	KeyKind kind;
	char *id; /* NULL: it has none */
	gnutls_pubkey_t public;
	guint8 *secret; /* of KEY_OCTETS */
	gsize secret_size;
} Key;

typedef struct {
	char *user;
	gint64 until;
} Remembered;

struct Tokens {
	const Host *host;
	Introspection *introspection; /* NULL: only JSON Web Tokens */
	GMutex lock; /* around all that follows */
	GPtrArray *keys; /* NULL: none */
	struct stat keys_file;
	GHashTable *remembered; /* of introspection: digest as text -> Remembered */
	guint asked;
};

/* ---- JSON and base64url ---- */

static void
wipe (guint8 *octets, gsize size)
{
	if (octets)
		explicit_bzero (octets, size);
	g_free (octets);
}

/* Base64url without padding (RFC 7515 section 2); NULL: it is none. */
static guint8 *
decode (Slice text, gsize *size_out)
{
	if (text.size % 4 == 1)
		return NULL;
	for (gsize i = 0; i < text.size; i++)
		if (!g_ascii_isalnum (text.data[i]) && text.data[i] != '-' && text.data[i] != '_')
			return NULL;
	g_autofree char *plain = g_malloc (text.size + 4);
	gsize n = text.size;
	memcpy (plain, text.data ? text.data : "", n);
	while (n % 4)
		plain[n++] = '=';
	plain[n] = '\0';
	guint8 *octets = g_base64_decode (g_strdelimit (g_strdelimit (plain, "-", '+'), "_", '/'), size_out);
	explicit_bzero (plain, n);
	return octets;
}

static json_t *
decode_object (Slice text)
{
	gsize size = 0;
	guint8 *octets = decode (text, &size);
	json_t *object = octets ? json_loadb ((const char *) octets, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
	wipe (octets, size);
	if (json_is_object (object))
		return object;
	json_decref (object);
	return NULL;
}

static const char *
text_of (const json_t *object, const char *name)
{
	return json_string_value (json_object_get (object, name));
}

static guint8 *
octets_of (const json_t *object, const char *name, gsize *size_out)
{
	const char *text = text_of (object, name);
	return text ? decode ((Slice){text, strlen (text)}, size_out) : NULL;
}

/* ---- Keys ---- */

static void
key_free (gpointer data)
{
	Key *k = data;
	if (k->public)
		gnutls_pubkey_deinit (k->public);
	wipe (k->secret, k->secret_size);
	g_free (k->id);
	g_free (k);
}

static gboolean
import (Key *k, const json_t *from)
{
	const char *first = k->kind == KEY_RSA ? "n" : "x", *second = k->kind == KEY_RSA ? "e" : "y", *curve = text_of (from, "crv");
	gsize one_size = 0, two_size = 0;
	g_autofree guint8 *one = octets_of (from, first, &one_size), *two = octets_of (from, second, &two_size);
	const gnutls_datum_t a = {one, (unsigned) one_size}, b = {two, (unsigned) two_size};
	unsigned bits = 0;
	if (!one || !two || gnutls_pubkey_init (&k->public) < 0)
		return FALSE;
	if (k->kind == KEY_EC)
		return g_strcmp0 (curve, "P-256") == 0 && gnutls_pubkey_import_ecc_raw (k->public, GNUTLS_ECC_CURVE_SECP256R1, &a, &b) >= 0;
	return gnutls_pubkey_import_rsa_raw (k->public, &a, &b) >= 0 && gnutls_pubkey_get_pk_algorithm (k->public, &bits) >= 0 && bits >= RSA_BITS_MIN;
}

/* NULL: it is for something else, or of a kind that we don't take; *bad_out: it should be one, and is not. */
static Key *
read_key (const json_t *from, gboolean *bad_out)
{
	const char *type = text_of (from, "kty"), *algorithm = text_of (from, "alg"), *use = text_of (from, "use");
	guint kind = 0;
	while (kind < N_KEYS && g_strcmp0 (kinds[kind].type, type) != 0)
		kind++;
	if (kind == N_KEYS || (algorithm && strcmp (algorithm, kinds[kind].algorithm) != 0) || (use && strcmp (use, "sig") != 0))
		return NULL;
	Key *k = g_new0 (Key, 1);
	k->kind = (KeyKind) kind;
	k->id = g_strdup (text_of (from, "kid"));
	if (kind == KEY_OCTETS)
		k->secret = octets_of (from, "k", &k->secret_size);
	*bad_out = kind == KEY_OCTETS ? !k->secret || k->secret_size < HMAC_KEY_MIN : !import (k, from);
	if (*bad_out)
		key_free (g_steal_pointer (&k));
	return k;
}

static GPtrArray *
parse_keys (const json_t *set, const char *path, GError **error)
{
	const json_t *all = json_object_get (set, "keys");
	g_autoptr (GPtrArray) keys = g_ptr_array_new_with_free_func (key_free);
	if (!json_is_array (all) || json_array_size (all) > KEYS_MAX) {
		error_fail (error, ERROR_USAGE, "%s is no set of keys (JWKS), of %d at most", path, KEYS_MAX);
		return NULL;
	}
	for (gsize i = 0; i < json_array_size (all); i++) {
		gboolean bad = FALSE;
		Key *k = read_key (json_array_get (all, i), &bad);
		if (bad) {
			error_fail (error, ERROR_USAGE, "%s: key %" G_GSIZE_FORMAT " is no RSA key of %d bits or more, none on P-256, and no secret of %d octets or more", path, i + 1, RSA_BITS_MIN,
			            HMAC_KEY_MIN);
			return NULL;
		}
		if (k)
			g_ptr_array_add (keys, k);
	}
	if (keys->len)
		return g_steal_pointer (&keys);
	error_fail (error, ERROR_USAGE, "%s has no key for RS256, ES256 or HS256", path);
	return NULL;
}

static GPtrArray *
read_keys (const char *path, GError **error)
{
	struct stat st;
	if (stat (path, &st) != 0) {
		error_set_errno (error, errno, "reading the keys in %s", path);
		return NULL;
	}
	if (!S_ISREG (st.st_mode) || st.st_size > KEYS_FILE_MAX) {
		error_fail (error, ERROR_USAGE, "%s is no file of at most %d octets", path, KEYS_FILE_MAX);
		return NULL;
	}
	json_error_t where;
	json_t *set = json_load_file (path, JSON_REJECT_DUPLICATES, &where);
	if (!set)
		error_fail (error, ERROR_USAGE, "%s, line %d: no JSON", path, where.line); /* its text quotes what may be secret */
	GPtrArray *keys = set ? parse_keys (set, path, error) : NULL;
	json_decref (set);
	return keys;
}

/* Within the lock. The issuer changes them at any time: a file that is wrong changes nothing. */
static void
look_after_keys (Tokens *t)
{
	struct stat st;
	g_autoptr (GError) error = NULL;
	if (!t->keys || stat (t->host->token_keys, &st) != 0 ||
	    (st.st_ino == t->keys_file.st_ino && st.st_size == t->keys_file.st_size && st.st_mtim.tv_sec == t->keys_file.st_mtim.tv_sec &&
	     st.st_mtim.tv_nsec == t->keys_file.st_mtim.tv_nsec))
		return;
	t->keys_file = st;
	GPtrArray *fresh = read_keys (t->host->token_keys, &error);
	if (!fresh) {
		g_message ("log-on: the keys stay as they were: %s", error->message);
		return;
	}
	g_ptr_array_unref (t->keys);
	t->keys = fresh;
}

/* ---- Signatures ---- */

static gboolean
fits_hmac (const Key *k, Slice text, const gnutls_datum_t *signature)
{
	guint8 sum[DIGEST_SIZE];
	return signature->size == sizeof sum && gnutls_hmac_fast (GNUTLS_MAC_SHA256, k->secret, k->secret_size, text.data, text.size, sum) == 0 &&
	       gnutls_memcmp (sum, signature->data, sizeof sum) == 0;
}

/* RFC 7518 section 3.4: two numbers of 32 octets. */
static gboolean
fits_ecdsa (const Key *k, const gnutls_datum_t *text, const gnutls_datum_t *signature)
{
	const gnutls_datum_t r = {signature->data, 32}, s = {signature->data + 32, 32};
	gnutls_datum_t der;
	if (signature->size != 64 || gnutls_encode_rs_value (&der, &r, &s) < 0)
		return FALSE;
	gboolean fits = gnutls_pubkey_verify_data2 (k->public, GNUTLS_SIGN_ECDSA_SHA256, 0, text, &der) >= 0;
	gnutls_free (der.data);
	return fits;
}

static gboolean
fits (const Key *k, Slice text, const gnutls_datum_t *signature)
{
	const gnutls_datum_t data = {(unsigned char *) text.data, (unsigned) text.size};
	if (k->kind == KEY_OCTETS)
		return fits_hmac (k, text, signature);
	if (k->kind == KEY_EC)
		return fits_ecdsa (k, &data, signature);
	return gnutls_pubkey_verify_data2 (k->public, GNUTLS_SIGN_RSA_SHA256, 0, &data, signature) >= 0;
}

static gboolean
is_signed (Tokens *t, const char *algorithm, const char *id, Slice text, Slice signature)
{
	gsize size = 0;
	guint8 *octets = decode (signature, &size);
	const gnutls_datum_t sum = {octets, (unsigned) size};
	gboolean found = FALSE;
	g_mutex_lock (&t->lock);
	look_after_keys (t);
	for (guint i = 0; octets && size && !found && i < t->keys->len; i++) {
		const Key *k = t->keys->pdata[i];
		found = strcmp (kinds[k->kind].algorithm, algorithm) == 0 && (!id || !k->id || strcmp (id, k->id) == 0) && fits (k, text, &sum);
	}
	g_mutex_unlock (&t->lock);
	wipe (octets, size);
	return found;
}

/* ---- Claims ---- */

static gboolean
refuse (GError **error, const char *why)
{
	return error_fail (error, ERROR_NO_PERMISSION, "token: %s", why);
}

/* @value is one of the words of a text, or one of the texts of an array. */
static gboolean
has_word (const json_t *words, const char *value, gboolean whole)
{
	if (json_is_string (words)) {
		g_auto (GStrv) parts = g_strsplit (json_string_value (words), whole ? "" : " ", whole ? 1 : 100);
		return whole ? strcmp (json_string_value (words), value) == 0 : g_strv_contains ((const char *const *) parts, value);
	}
	for (gsize i = 0; json_is_array (words) && i < json_array_size (words); i++)
		if (g_strcmp0 (json_string_value (json_array_get (words, i)), value) == 0)
			return TRUE;
	return FALSE;
}

/* A time that is not there is fine unless it is a must; one that is no number never is. */
static gboolean
read_time (const json_t *claims, const char *name, gint64 *out)
{
	const json_t *value = json_object_get (claims, name);
	double seconds = json_number_value (value);
	*out = value && seconds > -1e15 && seconds < 1e15 ? (gint64) seconds : 0;
	return !value || (json_is_number (value) && *out > 0);
}

static gboolean
check_times (const json_t *claims, gint64 now, gboolean must_end, gint64 *end_out, GError **error)
{
	gint64 from, made;
	if (!read_time (claims, "exp", end_out) || !read_time (claims, "nbf", &from) || !read_time (claims, "iat", &made))
		return refuse (error, "a time of it is no number");
	if (!*end_out && must_end)
		return refuse (error, "it does not say when it ends");
	if (*end_out && *end_out + CLOCK_SKEW <= now)
		return refuse (error, "it has ended");
	return (from <= now + CLOCK_SKEW && made <= now + CLOCK_SKEW) || refuse (error, "it does not hold yet");
}

/* @own: signed, and nobody else has looked at it. */
static char *
check_claims (const Host *h, const json_t *claims, gboolean own, gint64 now, gint64 *end_out, GError **error)
{
	const char *issuer = text_of (claims, "iss"), *user = text_of (claims, h->token_user);
	const json_t *audience = json_object_get (claims, "aud"), *scope = json_object_get (claims, "scope");
	gboolean ok = check_times (claims, now, own, end_out, error);
	if (ok && h->token_issuer && (own || json_object_get (claims, "iss")) && g_strcmp0 (issuer, h->token_issuer) != 0)
		ok = refuse (error, "it is of another issuer");
	if (ok && h->token_audience && !has_word (audience, h->token_audience, TRUE))
		ok = refuse (error, "it is for another audience");
	if (ok && h->token_scope && !has_word (scope ? scope : json_object_get (claims, "scp"), h->token_scope, FALSE))
		ok = refuse (error, "it has not the scope that is wanted");
	if (ok && (!user || !*user))
		ok = refuse (error, "it does not say whose it is");
	/* anybody may call himself so where the issuer has not looked */
	if (ok && strcmp (h->token_user, "email") == 0 && json_is_false (json_object_get (claims, "email_verified")))
		ok = refuse (error, "its address is not verified");
	return ok ? g_strdup (user) : NULL;
}

/* ---- JSON Web Tokens ---- */

static gboolean
check_header (const json_t *header, GError **error)
{
	const char *type = text_of (header, "typ"), *algorithm = text_of (header, "alg");
	if (!algorithm || json_object_get (header, "crit"))
		return refuse (error, "its header asks for what is not known here");
	if (json_object_get (header, "typ") && (!type || (g_ascii_strcasecmp (type, "JWT") != 0 && g_ascii_strcasecmp (type, "at+jwt") != 0 &&
	                                                 g_ascii_strcasecmp (type, "application/at+jwt") != 0)))
		return refuse (error, "it is another kind of token");
	const json_t *id = json_object_get (header, "kid");
	return !id || json_is_string (id) || refuse (error, "its header is wrong");
}

static char *
check_signed (Tokens *t, Slice head, Slice body, Slice signature, gint64 now, GError **error)
{
	json_t *header = decode_object (head), *claims = NULL;
	char *user = NULL;
	gint64 end;
	Slice text = {head.data, (gsize) (slice_end (body) - head.data)};
	gboolean ok = header ? check_header (header, error) : refuse (error, "its header can't be read");
	if (ok && !is_signed (t, text_of (header, "alg"), text_of (header, "kid"), text, signature))
		ok = refuse (error, "no key of ours has signed it");
	if (ok && !(claims = decode_object (body)))
		ok = refuse (error, "its claims can't be read");
	if (ok)
		user = check_claims (t->host, claims, TRUE, now, &end, error);
	json_decref (header);
	json_decref (claims);
	return user;
}

/* ---- Tokens that the issuer is asked about ---- */

static void
remembered_free (gpointer data)
{
	Remembered *r = data;
	g_free (r->user);
	g_free (r);
}

static gboolean
is_over (gpointer key, gpointer value, gpointer now)
{
	return ((const Remembered *) value)->until <= *(const gint64 *) now;
}

static void
remember (Tokens *t, const char *digest, const char *user, gint64 until, gint64 now)
{
	Remembered *r = g_new (Remembered, 1);
	*r = (Remembered){g_strdup (user), until};
	g_mutex_lock (&t->lock);
	if (g_hash_table_size (t->remembered) >= REMEMBERED_MAX)
		g_hash_table_foreach_remove (t->remembered, is_over, &now);
	if (g_hash_table_size (t->remembered) >= REMEMBERED_MAX)
		g_hash_table_remove_all (t->remembered);
	g_hash_table_replace (t->remembered, g_strdup (digest), r);
	g_mutex_unlock (&t->lock);
}

/* What is remembered of it, or (NULL) the right to ask, which is to be given back; *ask_out FALSE: too many do. */
static char *
recall (Tokens *t, const char *digest, gint64 now, gboolean *ask_out)
{
	g_mutex_lock (&t->lock);
	const Remembered *r = g_hash_table_lookup (t->remembered, digest);
	char *user = r && r->until > now ? g_strdup (r->user) : NULL;
	*ask_out = !user && t->asked < ASKED_AT_ONCE;
	t->asked += *ask_out;
	g_mutex_unlock (&t->lock);
	return user;
}

static char *
ask_issuer (Tokens *t, const char *token, const char *digest, gint64 now, GError **error)
{
	json_t *claims = introspection_ask (t->introspection, token, error);
	char *user = NULL;
	gint64 end = 0;
	if (claims && !json_is_true (json_object_get (claims, "active")))
		refuse (error, "the issuer says that it does not hold");
	else if (claims)
		user = check_claims (t->host, claims, FALSE, now, &end, error);
	json_decref (claims);
	if (user)
		remember (t, digest, user, end ? MIN (end, now + REMEMBERED) : now + REMEMBERED, now);
	return user;
}

static char *
check_opaque (Tokens *t, const char *token, gint64 now, GError **error)
{
	guint8 sum[DIGEST_SIZE];
	gboolean ask;
	digest_of (token, strlen (token), sum);
	g_autofree char *digest = g_base64_encode (sum, sizeof sum), *user = recall (t, digest, now, &ask);
	if (user)
		return g_steal_pointer (&user);
	if (!ask) {
		error_fail (error, ERROR_REFUSED, "too many tokens are being looked at: try again later");
		return NULL;
	}
	user = ask_issuer (t, token, digest, now, error);
	g_mutex_lock (&t->lock);
	t->asked--;
	g_mutex_unlock (&t->lock);
	return g_steal_pointer (&user);
}

/* ---- The public functions ---- */

static gboolean
check_settings (const Host *h, GError **error)
{
	if (h->token_keys && (!h->token_issuer || !h->token_audience))
		return error_fail (error, ERROR_USAGE, "%s/outpostd.conf: [oauth] keys wants issuer and audience, too: else tokens for others would do here", h->folder);
	return TRUE;
}

Tokens *
tokens_new (const Host *h, GError **error)
{
	if ((!h->token_keys && !h->introspection) || !check_settings (h, error))
		return NULL;
	g_autoptr (Tokens) t = g_new0 (Tokens, 1);
	g_mutex_init (&t->lock);
	t->host = h;
	t->remembered = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, remembered_free);
	if (h->token_keys && stat (h->token_keys, &t->keys_file) != 0) {
		error_set_errno (error, errno, "reading the keys in %s", h->token_keys);
		return NULL;
	}
	if ((h->token_keys && !(t->keys = read_keys (h->token_keys, error))) || (h->introspection && !(t->introspection = introspection_new (h, error))))
		return NULL;
	return g_steal_pointer (&t);
}

void
tokens_free (Tokens *t)
{
	if (!t)
		return;
	introspection_free (t->introspection);
	g_clear_pointer (&t->keys, g_ptr_array_unref);
	g_hash_table_unref (t->remembered);
	g_mutex_clear (&t->lock);
	g_free (t);
}

char *
tokens_check (Tokens *t, const char *token, gint64 now, GError **error)
{
	const char *first = strchr (token, '.'), *second = first ? strchr (first + 1, '.') : NULL;
	gboolean is_signed = second && !strchr (second + 1, '.');
	if (t->keys && is_signed)
		return check_signed (t, (Slice){token, (gsize) (first - token)}, (Slice){first + 1, (gsize) (second - first - 1)}, (Slice){second + 1, strlen (second + 1)}, now,
		                     error);
	if (t->introspection)
		return check_opaque (t, token, now, error);
	refuse (error, "it is no JSON Web Token");
	return NULL;
}

/* ---- Messages of clients ---- */

/* RFC 6750 section 2.1: nothing that means something in a URL, a header or JSON. */
static gboolean
is_token (Slice text)
{
	gsize end = text.size;
	while (end && text.data[end - 1] == '=')
		end--;
	for (gsize i = 0; i < end; i++)
		if (!g_ascii_isalnum (text.data[i]) && (!text.data[i] || !strchr ("-._~+/", text.data[i])))
			return FALSE;
	return end > 0 && text.size <= TOKEN_MAX;
}

/* Up to the next ^A, which is passed over. FALSE: there is none. */
static gboolean
next_part (Slice *rest, Slice *part)
{
	const char *end = rest->size ? memchr (rest->data, '\001', rest->size) : NULL;
	if (!end)
		return FALSE;
	*part = (Slice){rest->data, (gsize) (end - rest->data)};
	*rest = (Slice){end + 1, rest->size - part->size - 1};
	return TRUE;
}

static gboolean
starts_with (Slice text, const char *word)
{
	gsize n = strlen (word);
	return text.size >= n && g_ascii_strncasecmp (text.data, word, n) == 0;
}

/* "n,,", "n,a=user," or the same with "y" (RFC 5801 section 4): nothing is bound. "=2C" and "=3D" stand for what would end the name. */
static gboolean
read_gs2 (Slice part, char **user_out)
{
	g_auto (GStrv) fields = NULL;
	g_autofree char *text = slice_dup (part);
	fields = g_strsplit (text, ",", 4);
	if (g_strv_length (fields) != 3 || (strcmp (fields[0], "n") != 0 && strcmp (fields[0], "y") != 0) || *fields[2])
		return FALSE;
	if (!*fields[1])
		return TRUE;
	if (!g_str_has_prefix (fields[1], "a=") || !fields[1][2])
		return FALSE;
	g_autoptr (GString) user = g_string_new (fields[1] + 2);
	g_string_replace (user, "=2C", ",", 0);
	g_string_replace (user, "=3D", "=", 0);
	*user_out = g_strdup (user->str);
	return TRUE;
}

static gboolean
read_user (Slice part, gboolean x, char **user_out)
{
	if (!x)
		return read_gs2 (part, user_out);
	if (!starts_with (part, "user="))
		return FALSE;
	*user_out = part.size > 5 ? g_strndup (part.data + 5, part.size - 5) : NULL;
	return TRUE;
}

gboolean
token_message_read (Slice message, gboolean x, char **user_out, char **token_out)
{
	static const char scheme[] = "auth=Bearer ";
	Slice rest = message, part;
	char *token = NULL;
	*user_out = *token_out = NULL;
	gboolean ok = message.size && !memchr (message.data, '\0', message.size) && next_part (&rest, &part) && read_user (part, x, user_out);
	while (ok && next_part (&rest, &part) && part.size) {
		Slice value = starts_with (part, scheme) ? (Slice){part.data + strlen (scheme), part.size - strlen (scheme)} : (Slice){NULL, 0};
		if (!starts_with (part, "auth="))
			continue; /* host, port and what else may come */
		ok = !token && is_token (value);
		if (ok)
			token = slice_dup (value);
	}
	if (ok && token && rest.size == 0 && part.size == 0) {
		*token_out = token;
		return TRUE;
	}
	if (token)
		explicit_bzero (token, strlen (token));
	g_free (token);
	g_clear_pointer (user_out, g_free);
	return FALSE;
}

char *
token_refusal (const Host *h, gboolean x)
{
	json_t *said = json_object ();
	json_object_set_new (said, "status", json_string (x ? "401" : "invalid_token"));
	if (x)
		json_object_set_new (said, "schemes", json_string ("bearer"));
	if (h->token_scope)
		json_object_set_new (said, "scope", json_string (h->token_scope));
	char *text = json_dumps (said, JSON_COMPACT), *copy = g_strdup (text);
	free (text);
	json_decref (said);
	return copy;
}
