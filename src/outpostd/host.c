/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"
#include "digest.h"
#include "relay.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define CERTIFICATE_DAYS 3650

/* ---- Configuration ---- */

typedef enum { TEXT, PATH, NUMBER, SWITCH /* yes or no: a number, 1 or 0 */ } SettingKind;

/* Every setting there is. */
static const struct {
	const char *group, *key;
	SettingKind kind;
	gsize offset;
	gboolean live; /* a running server can change it */
	const char *otherwise; /* of a text that is not there; one that is empty is NULL */
	guint64 number, max;   /* of a number that is not there, and the highest; the lowest is 1 */
} settings[] = {
	{"server", "name", TEXT, offsetof (Host, name)},
	{"server", "user", TEXT, offsetof (Host, user)},
	{"server", "connections", NUMBER, offsetof (Host, connections), TRUE, NULL, 10000, 1000000},
	{"server", "connections-per-address", NUMBER, offsetof (Host, per_address), TRUE, NULL, 100, 1000000},
	{"server", "connections-per-user", NUMBER, offsetof (Host, per_user), TRUE, NULL, 50, 1000000},
	{"server", "log-on-timeout", NUMBER, offsetof (Host, log_on_timeout), TRUE, NULL, 60, 3600},
	{"server", "idle-timeout", NUMBER, offsetof (Host, idle_timeout), TRUE, NULL, 1800, 7 * 86400},
	{"server", "log-on-delay-max", NUMBER, offsetof (Host, log_on_delay_max), TRUE, NULL, 300, 86400},
	{"server", "message-max", NUMBER, offsetof (Host, message_max), FALSE, NULL, 64u << 20, 2u << 30},
	{"imap", "listen", TEXT, offsetof (Host, imap)},
	{"imap", "elsewhere", TEXT, offsetof (Host, elsewhere), FALSE, "proxy"},
	{"imap", "refer-clients", TEXT, offsetof (Host, refer_clients)},
	{"imap", "unauthenticate", SWITCH, offsetof (Host, unauthenticate)},
	{"imaps", "listen", TEXT, offsetof (Host, imaps)},
	{"lmtp", "listen", TEXT, offsetof (Host, lmtp)},
	{"directory", "at", PATH, offsetof (Host, directory), FALSE, "directory.db"},
	{"submission", "listen", TEXT, offsetof (Host, submission)},
	{"submission", "relay", TEXT, offsetof (Host, relay)},
	{"submission", "relay-user", TEXT, offsetof (Host, relay_user)},
	{"submission", "relay-password-file", PATH, offsetof (Host, relay_password)},
	{"submission", "relay-ca", PATH, offsetof (Host, relay_ca)},
	{"submission", "recipients", NUMBER, offsetof (Host, recipients_max), FALSE, NULL, 100, 1000},
	{"submission", "recipients-per-hour", NUMBER, offsetof (Host, recipients_per_hour), FALSE, NULL, 1000, 1000000},
	{"submission", "file-sent", SWITCH, offsetof (Host, file_sent)},
	{"submission", "file-sent-delay", NUMBER, offsetof (Host, file_sent_delay), FALSE, NULL, 60, 3600},
	{"submission", "retry-first", NUMBER, offsetof (Host, retry_first), FALSE, NULL, 60, 86400},
	{"submission", "retry-longest", NUMBER, offsetof (Host, retry_longest), FALSE, NULL, 4 * 3600, 86400},
	{"submission", "give-up", NUMBER, offsetof (Host, give_up), FALSE, NULL, 5 * 86400, 30 * 86400},
	{"submissions", "listen", TEXT, offsetof (Host, submissions)},
	{"control", "listen", PATH, offsetof (Host, control), FALSE, "control.sock"},
	{"metrics", "listen", TEXT, offsetof (Host, metrics)},
	{"oauth", "keys", PATH, offsetof (Host, token_keys)},
	{"oauth", "issuer", TEXT, offsetof (Host, token_issuer)},
	{"oauth", "audience", TEXT, offsetof (Host, token_audience)},
	{"oauth", "scope", TEXT, offsetof (Host, token_scope)},
	{"oauth", "user-claim", TEXT, offsetof (Host, token_user), FALSE, "email"},
	{"oauth", "introspection", TEXT, offsetof (Host, introspection)},
	{"oauth", "introspection-client", TEXT, offsetof (Host, introspection_client)},
	{"oauth", "introspection-secret-file", PATH, offsetof (Host, introspection_secret)},
	{"oauth", "introspection-ca", PATH, offsetof (Host, introspection_ca)},
	{"tls", "certificate", PATH, offsetof (Host, certificate), TRUE, "tls/certificate.pem"},
	{"tls", "key", PATH, offsetof (Host, key), TRUE, "tls/key.pem"},
};

static char **
text_at (const Host *h, guint i)
{
	return (char **) ((char *) h + settings[i].offset);
}

static guint64 *
number_at (const Host *h, guint i)
{
	return (guint64 *) ((char *) h + settings[i].offset);
}

static gboolean
is_known (const char *group, const char *key)
{
	for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
		if (strcmp (settings[i].group, group) == 0 && (!key || strcmp (settings[i].key, key) == 0))
			return TRUE;
	return FALSE;
}

static gboolean
check_names (GKeyFile *file, const char *path, GError **error)
{
	g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);
	for (char **g = groups; *g; g++) {
		if (!is_known (*g, NULL))
			return error_fail (error, ERROR_USAGE, "%s: there is no section [%s]", path, *g);
		g_auto (GStrv) keys = g_key_file_get_keys (file, *g, NULL, NULL);
		for (char **k = keys; *k; k++)
			if (!is_known (*g, *k))
				return error_fail (error, ERROR_USAGE, "%s: section [%s] knows no '%s'", path, *g, *k);
	}
	return TRUE;
}

static gboolean
read_setting (Host *h, GKeyFile *file, const char *path, guint i, GError **error)
{
	g_autofree char *given = g_key_file_get_string (file, settings[i].group, settings[i].key, NULL), *text = given ? g_strdup (g_strstrip (given)) : NULL;
	if (settings[i].kind == NUMBER) {
		*number_at (h, i) = settings[i].number;
		return !text || !*text || g_ascii_string_to_unsigned (text, 10, 1, settings[i].max, number_at (h, i), NULL) ||
		       error_fail (error, ERROR_USAGE, "%s: %s must be a number from 1 to %" G_GUINT64_FORMAT ", not '%s'", path, settings[i].key,
		                   settings[i].max, text);
	}
	if (settings[i].kind == SWITCH) {
		*number_at (h, i) = text && strcmp (text, "yes") == 0;
		return !text || !*text || *number_at (h, i) || strcmp (text, "no") == 0 ||
		       error_fail (error, ERROR_USAGE, "%s: %s must be yes or no, not '%s'", path, settings[i].key, text);
	}
	if (!text)
		text = g_strdup (settings[i].otherwise);
	if (!text || !*text)
		return TRUE;
	/* a path is relative to the folder */
	*text_at (h, i) = settings[i].kind == TEXT || g_path_is_absolute (text) ? g_steal_pointer (&text) : g_build_filename (h->folder, text, NULL);
	return TRUE;
}

static gboolean
read_configuration (Host *h, GError **error)
{
	g_autofree char *path = g_build_filename (h->folder, "outpostd.conf", NULL);
	g_autoptr (GKeyFile) file = g_key_file_new ();
	g_autoptr (GError) local = NULL;
	if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local)) {
		if (g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			return error_fail (error, ERROR_NOT_FOUND, "there is no %s: `outpostd init --dir %s --domain DOMAIN` makes a server there", path, h->folder);
		return error_fail (error, ERROR_USAGE, "%s: %s", path, local->message);
	}
	gboolean ok = check_names (file, path, error);
	for (guint i = 0; ok && i < G_N_ELEMENTS (settings); i++)
		ok = read_setting (h, file, path, i, error);
	if (ok && strcmp (h->elsewhere, "proxy") != 0 && strcmp (h->elsewhere, "refer") != 0)
		return error_fail (error, ERROR_USAGE, "%s: elsewhere must be proxy or refer, not '%s'", path, h->elsewhere);
	return ok && (!h->relay || relay_parse (h->relay, NULL, error)) && (h->name || error_fail (error, ERROR_USAGE, "%s: [server] must say its name", path)) &&
	       ((h->certificate && h->key) || error_fail (error, ERROR_USAGE, "%s: [tls] must name a certificate and its key", path));
}

Host *
host_open (const char *folder, GError **error)
{
	g_autoptr (Host) h = g_new0 (Host, 1);
	h->folder = g_canonicalize_filename (folder, NULL);
	return read_configuration (h, error) ? g_steal_pointer (&h) : NULL;
}

void
host_free (Host *h)
{
	if (!h)
		return;
	for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
		if (settings[i].kind == TEXT || settings[i].kind == PATH)
			g_free (*text_at (h, i));
	g_free (h->folder);
	g_free (h->server);
	g_free (h);
}

static char *
setting_text (const Host *h, guint i)
{
	if (settings[i].kind == NUMBER)
		return g_strdup_printf ("%" G_GUINT64_FORMAT, *number_at (h, i));
	if (settings[i].kind == SWITCH)
		return g_strdup (*number_at (h, i) ? "yes" : "no");
	return g_strdup (*text_at (h, i) ? *text_at (h, i) : "nothing");
}

GPtrArray *
host_differences (const Host *running, const Host *now, gboolean live)
{
	GPtrArray *all = g_ptr_array_new_with_free_func (g_free);
	for (guint i = 0; i < G_N_ELEMENTS (settings); i++) {
		g_autofree char *old = setting_text (running, i), *new = setting_text (now, i);
		if (settings[i].live == live && strcmp (old, new) != 0)
			g_ptr_array_add (all, g_strdup_printf ("[%s] %s: %s -> %s", settings[i].group, settings[i].key, old, new));
	}
	return all;
}

gboolean
host_become_user (const Host *h, GError **error)
{
	if (!h->user || geteuid () != 0)
		return TRUE;
	const struct passwd *p = getpwnam (h->user);
	if (!p)
		return error_fail (error, ERROR_USAGE, "%s/outpostd.conf: there is no user %s", h->folder, h->user);
	return (initgroups (h->user, p->pw_gid) == 0 && setgid (p->pw_gid) == 0 && setuid (p->pw_uid) == 0) ||
	       error_set_errno (error, errno, "becoming %s", h->user);
}

/* ---- The directory ---- */

static void
close_directory (gpointer d)
{
	directory_free (d);
}

Directory *
host_directory (Host *h, GError **error)
{
	static GPrivate mine = G_PRIVATE_INIT (close_directory); /* a process serves one host */
	Directory *d = g_private_get (&mine);
	if (!d) {
		d = directory_open (h->directory, FALSE, error);
		g_private_set (&mine, d);
	}
	return d;
}

static char *
queue_path (const Host *h)
{
	return g_build_filename (h->folder, "queue.db", NULL);
}

static void
close_queue (gpointer q)
{
	queue_close (q);
}

Queue *
host_queue (Host *h, gboolean create, GError **error)
{
	static GPrivate mine = G_PRIVATE_INIT (close_queue);
	Queue *q = g_private_get (&mine);
	if (!q) {
		g_autofree char *path = queue_path (h);
		q = queue_open (path, create, error);
		g_private_set (&mine, q);
	}
	return q;
}

gboolean
host_has_queue (const Host *h)
{
	g_autofree char *path = queue_path (h);
	return g_file_test (path, G_FILE_TEST_EXISTS);
}

/* ---- Which server this is ---- */

static char *
id_path (const Host *h)
{
	return g_build_filename (h->folder, "server.id", NULL);
}

/* NULL without error: there is none yet. */
static char *
read_id (const Host *h, GError **error)
{
	g_autofree char *path = id_path (h), *text = NULL;
	g_autoptr (GError) local = NULL;
	if (!g_file_get_contents (path, &text, NULL, &local)) {
		if (!g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			error_fail (error, ERROR_IO, "%s", local->message);
		return NULL;
	}
	g_strstrip (text);
	if (strlen (text) == ID_TEXT_SIZE - 1 && strspn (text, "0123456789abcdef") == ID_TEXT_SIZE - 1)
		return g_steal_pointer (&text);
	error_fail (error, ERROR_CORRUPT, "%s must hold the server's id, 32 hexadecimal digits: `outpostctl server adopt NAME` writes it", path);
	return NULL;
}

/* Where another process has just made one, that is it. */
static gboolean
make_id (const Host *h, GError **error)
{
	char id[ID_TEXT_SIZE];
	Id128 fresh = id128_random ();
	g_autofree char *path = id_path (h), *temporary = g_strconcat (path, ".XXXXXX", NULL);
	id128_text (&fresh, id);
	int fd = g_mkstemp_full (temporary, O_RDWR | O_CLOEXEC, 0640);
	gboolean ok = fd >= 0 && write (fd, id, ID_TEXT_SIZE - 1) == ID_TEXT_SIZE - 1 && fsync (fd) == 0 && (link (temporary, path) == 0 || errno == EEXIST);
	int err = errno;
	if (fd >= 0) {
		close (fd);
		g_unlink (temporary);
	}
	return ok || error_set_errno (error, err, "writing %s", path);
}

gboolean
host_enrol (Host *h, GError **error)
{
	g_autoptr (GError) local = NULL;
	Directory *d = host_directory (h, error);
	g_free (h->server);
	h->server = d ? read_id (h, &local) : NULL;
	if (d && !h->server && !local && make_id (h, &local))
		h->server = read_id (h, &local);
	if (local)
		g_propagate_error (error, g_steal_pointer (&local));
	if (!h->server)
		return FALSE;
	if (directory_server_enrol (d, h->server, h->name, &local) && directory_server_set_folder (d, h->server, h->folder, &local))
		return TRUE;
	gboolean strange = error_is (local, ERROR_NOT_FOUND);
	g_propagate_error (error, g_steal_pointer (&local));
	if (strange)
		g_prefix_error (error, "which server is in %s? `outpostctl server adopt NAME` says it: ", h->folder);
	return FALSE;
}

gboolean
host_adopt (Host *h, const char *id, GError **error)
{
	g_autofree char *path = id_path (h);
	g_autoptr (GError) local = NULL;
	if (!g_file_set_contents_full (path, id, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0640, &local))
		return error_fail (error, ERROR_IO, "%s", local->message);
	g_free (h->server);
	h->server = g_strdup (id);
	return TRUE;
}

gboolean
host_is_home (Host *h, const DirectoryMailbox *m, char **address_out, GError **error)
{
	if (address_out)
		*address_out = NULL;
	if (g_strcmp0 (m->server, h->server) == 0)
		return TRUE;
	Directory *d = host_directory (h, error);
	g_autoptr (DirectoryServer) s = d && m->server ? directory_server (d, m->server, error) : NULL;
	if (error && *error)
		return FALSE;
	if (address_out && s)
		*address_out = g_strdup (s->addresses[0]);
	return error_fail (error, ERROR_UNAVAILABLE, "the mailbox %s is at home at %s%s%s, not here", m->address, s ? s->name : "no server",
	                   s && *s->addresses ? ", " : "", s && *s->addresses ? *s->addresses : "");
}

char *
host_store_path (const Host *h, const char *id)
{
	return g_build_filename (h->folder, "mail", id, NULL);
}

/* ---- Mailboxes ---- */

static gboolean
make_folders (Store *s, GError **error)
{
	static const NewFolder folders[] = {
		{.name = "INBOX", .role = "inbox"}, {.name = "Drafts", .role = "drafts"}, {.name = "Sent Items", .role = "sent"},
		{.name = "Deleted Items", .role = "trash"}, {.name = "Junk", .role = "junk"}, {.name = "Archive", .role = "archive"},
	};
	gboolean ok = store_begin (s, error);
	for (guint i = 0; ok && i < G_N_ELEMENTS (folders); i++) {
		NewFolder n = folders[i];
		gint64 id;
		n.subscribed = n.selectable = TRUE;
		ok = store_folder_create (s, &n, &id, error);
	}
	ok = ok && store_commit (s, error);
	store_rollback (s);
	return ok;
}

static void
remove_store (const char *path)
{
	for (const char *const *end = (const char *const[]){"", "-wal", "-shm", ".lock", NULL}; *end; end++) {
		g_autofree char *file = g_strconcat (path, *end, NULL);
		g_unlink (file);
	}
}

void
host_remove_store (const Host *h, const char *id)
{
	g_autofree char *path = host_store_path (h, id);
	remove_store (path);
}

/* The store first: a row of the directory without one would be a mailbox that can't be opened, one without a row is nobody's. */
gboolean
host_create_mailbox (Host *h, const char *address, guint64 quota, guint64 messages, guint roles, GError **error)
{
	Directory *d = h->server || host_enrol (h, error) ? host_directory (h, error) : NULL;
	g_autofree char *fresh = host_store_path (h, "new-XXXXXX");
	int fd = d ? g_mkstemp_full (fresh, O_RDWR | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return d ? error_set_errno (error, errno, "making a store in %s/mail", h->folder) : FALSE;
	close (fd);
	g_autoptr (Store) s = store_open (fresh, STORE_CREATE | STORE_HOME, error);
	if (!s || !make_folders (s, error)) {
		g_clear_pointer (&s, store_close);
		remove_store (fresh);
		return FALSE;
	}
	char id[ID_TEXT_SIZE];
	Id128 mailbox = store_mailbox_id (s);
	id128_text (&mailbox, id);
	g_clear_pointer (&s, store_close);
	g_autofree char *path = host_store_path (h, id);
	gboolean ok = rename (fresh, path) == 0 || error_set_errno (error, errno, "making the store %s", path);
	ok = ok && directory_mailbox_add (d, id, address, h->server, quota, roles, error) && (!messages || directory_mailbox_set_quota (d, id, quota, messages, error));
	if (!ok) {
		remove_store (path);
		remove_store (fresh);
	}
	return ok;
}

gboolean
host_has_room (const DirectoryMailbox *m, const StoreUsage *now, GError **error)
{
	gboolean has = (!m->quota || now->octets <= m->quota) && (!m->quota_messages || now->messages <= m->quota_messages);
	return has || error_fail (error, ERROR_OVER_QUOTA, "the mailbox %s is full", m->address);
}

/* ---- The first set-up ---- */

static gboolean
tls_failed (int code, GError **error)
{
	return code >= 0 || error_fail (error, ERROR_IO, "making a certificate: %s", gnutls_strerror (code));
}

static gboolean
write_pem (const char *folder, const char *name, gnutls_datum_t *pem, guint mode, GError **error)
{
	g_autofree char *path = g_build_filename (folder, name, NULL);
	g_autoptr (GError) local = NULL;
	gboolean ok = g_file_set_contents_full (path, (const char *) pem->data, pem->size, G_FILE_SET_CONTENTS_CONSISTENT, (int) mode, &local);
	gnutls_free (pem->data);
	return ok || error_fail (error, ERROR_IO, "%s", local->message);
}

static gboolean
sign (gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *name, GError **error)
{
	guint8 serial[16];
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	gnutls_rnd (GNUTLS_RND_NONCE, serial, sizeof serial);
	serial[0] &= 0x7f;
	return tls_failed (gnutls_x509_privkey_generate (key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0), error) &&
	       tls_failed (gnutls_x509_crt_set_version (crt, 3), error) && tls_failed (gnutls_x509_crt_set_serial (crt, serial, sizeof serial), error) &&
	       tls_failed (gnutls_x509_crt_set_activation_time (crt, now - 3600), error) &&
	       tls_failed (gnutls_x509_crt_set_expiration_time (crt, now + CERTIFICATE_DAYS * G_GINT64_CONSTANT (86400)), error) &&
	       tls_failed (gnutls_x509_crt_set_dn_by_oid (crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned) strlen (name)), error) &&
	       tls_failed (gnutls_x509_crt_set_subject_alt_name (crt, GNUTLS_SAN_DNSNAME, name, (unsigned) strlen (name), GNUTLS_FSAN_SET), error) &&
	       tls_failed (gnutls_x509_crt_set_basic_constraints (crt, 0, -1), error) &&
	       tls_failed (gnutls_x509_crt_set_key_purpose_oid (crt, GNUTLS_KP_TLS_WWW_SERVER, 0), error) &&
	       tls_failed (gnutls_x509_crt_set_key (crt, key), error) && tls_failed (gnutls_x509_crt_sign2 (crt, crt, key, GNUTLS_DIG_SHA256, 0), error);
}

static gboolean
make_certificate (const char *folder, const char *name, GError **error)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	gnutls_datum_t key_pem = {0}, crt_pem = {0};
	if (gnutls_x509_privkey_init (&key) < 0 || gnutls_x509_crt_init (&crt) < 0)
		return error_fail (error, ERROR_IO, "no memory for a certificate");
	gboolean ok = sign (crt, key, name, error) && tls_failed (gnutls_x509_privkey_export2_pkcs8 (key, GNUTLS_X509_FMT_PEM, NULL, 0, &key_pem), error) &&
	              tls_failed (gnutls_x509_crt_export2 (crt, GNUTLS_X509_FMT_PEM, &crt_pem), error) &&
	              write_pem (folder, "key.pem", &key_pem, 0600, error) && write_pem (folder, "certificate.pem", &crt_pem, 0644, error);
	gnutls_x509_crt_deinit (crt);
	gnutls_x509_privkey_deinit (key);
	return ok;
}

static gboolean
write_configuration (const HostInit *i, GError **error)
{
	g_autoptr (GError) local = NULL;
	g_autofree char *path = g_build_filename (i->folder, "outpostd.conf", NULL), *join = i->join ? g_canonicalize_filename (i->join, NULL) : NULL;
	g_autofree char *text = g_strdup_printf (
		"# The configuration of outpostd(8). A relative path is below this folder.\n\n"
		"[server]\n# As in the certificate, and as mail servers see it.\nname = %s\n"
		"# At once: of all, of one address, and of those who are logged on to one mailbox.\n"
		"#connections = 10000\n#connections-per-address = 100\n#connections-per-user = 50\n"
		"# Seconds: until a log-on, of silence behind it, and the longest wait of who sends wrong passwords.\n"
		"#log-on-timeout = 60\n#idle-timeout = 1800\n#log-on-delay-max = 300\n"
		"# Octets of a message that is delivered or appended.\n#message-max = 67108864\n"
		"# Who the server becomes after its sockets are open, when root starts it.\n%suser = %s\n\n"
		"# With STARTTLS; a password is taken in plain from this machine only.\n"
		"# Several addresses have commas between them.\n[imap]\nlisten = 0.0.0.0:143\n"
		"# A proxy may log off and use the connection for another user (yes); here and with TLS at once.\n#unauthenticate = no\n"
		"# Whose mailbox is at home at another server is passed on there (proxy) or told where it is (refer); told are also clients with these names, which go there by\n"
		"# themselves: their IDs, with commas between.\n#elsewhere = proxy\n#refer-clients =\n\n"
		"[imaps]\nlisten = 0.0.0.0:993\n\n"
		"# Where the mail transfer agent delivers: a socket, or an address of this machine.\n[lmtp]\nlisten = lmtp.sock\n\n"
		"# Where users send mail: with STARTTLS, and with TLS at once. It goes to mailboxes here, and else to the relay: smtp:// (STARTTLS, unless it is\n"
		"# this machine) or smtps://, with a user and a file that holds the password where it wants them.\n"
		"[submission]\n#listen = 0.0.0.0:587\n#relay = smtp://127.0.0.1:25\n#relay-user = outpost\n#relay-password-file = relay.password\n"
		"#relay-ca = tls/relay.pem\n#recipients = 100\n#recipients-per-hour = 1000\n"
		"# A copy into the folder of sent mail, unless the mail program has put it there within so many seconds.\n#file-sent = no\n#file-sent-delay = 60\n"
		"# Seconds: until what could not be sent is tried again, at first and at most, and until it is given up.\n"
		"#retry-first = 60\n#retry-longest = 14400\n#give-up = 432000\n\n"
		"[submissions]\n#listen = 0.0.0.0:465\n\n"
		"# Where outpostctl asks the running server: only its own user and root may.\n[control]\nlisten = control.sock\n\n"
		"# Counters for Prometheus, by HTTP at an address of this machine: http://127.0.0.1:9143/metrics\n[metrics]\n#listen = 127.0.0.1:9143\n\n"
		"# Log-ons by OAuth tokens: JSON Web Tokens by the issuer's keys (a JWKS file, read again when it changes), and others by asking it (RFC 7662). The claim\n"
		"# that says whose mailbox it is; a scope that is wanted.\n[oauth]\n#keys = issuer.jwks\n#issuer = https://id.example.org\n#audience = outpost\n#scope = mail\n"
		"#user-claim = email\n#introspection = https://id.example.org/introspect\n#introspection-client = outpost\n#introspection-secret-file = introspection.secret\n"
		"#introspection-ca = tls/issuer.pem\n\n"
		"# Of several servers of this machine the same.\n[directory]\nat = %s\n\n"
		"[tls]\ncertificate = tls/certificate.pem\nkey = tls/key.pem\n",
		i->name, i->user ? "" : "#", i->user ? i->user : "outpostd", join ? join : "directory.db");
	return g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0640, &local) || error_fail (error, ERROR_IO, "%s", local->message);
}

static gboolean
give_to (const char *folder, const struct passwd *owner, GError **error)
{
	static const char *const names[] = {"", "outpostd.conf", "server.id", "directory.db", "directory.db-wal", "directory.db-shm", "tls", "tls/key.pem",
	                                    "tls/certificate.pem", "mail"};
	for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
		g_autofree char *path = g_build_filename (folder, names[i], NULL);
		if (chown (path, owner->pw_uid, owner->pw_gid) != 0 && errno != ENOENT)
			return error_set_errno (error, errno, "giving %s to %s", path, owner->pw_name);
	}
	return TRUE;
}

static gboolean
make_directory (const HostInit *i, GError **error)
{
	g_autofree char *path = g_build_filename (i->folder, "directory.db", NULL);
	g_autoptr (Directory) d = directory_open (path, TRUE, error);
	g_autoptr (GError) local = NULL;
	if (d && (directory_domain_add (d, i->domain, &local) || error_is (local, ERROR_EXISTS)))
		return TRUE;
	if (local)
		g_propagate_error (error, g_steal_pointer (&local));
	return FALSE;
}

static gboolean
join_directory (const HostInit *i, GError **error)
{
	g_autoptr (Directory) d = directory_open (i->join, FALSE, error);
	g_autoptr (DirectoryServer) s = d ? directory_server (d, i->server, error) : NULL;
	Host here = {.folder = (char *) i->folder};
	gboolean ok = s && host_adopt (&here, s->id, error);
	g_free (here.server);
	return ok;
}

gboolean
host_init (const HostInit *i, GError **error)
{
	g_autofree char *tls = g_build_filename (i->folder, "tls", NULL), *mail = g_build_filename (i->folder, "mail", NULL);
	g_autofree char *conf = g_build_filename (i->folder, "outpostd.conf", NULL);
	const struct passwd *owner = i->user ? getpwnam (i->user) : NULL;
	if (i->user && !owner)
		return error_fail (error, ERROR_USAGE, "there is no user %s: `adduser --system --group %s` makes one", i->user, i->user);
	if (g_file_test (conf, G_FILE_TEST_EXISTS))
		return error_fail (error, ERROR_EXISTS, "there is a server in %s already", i->folder);
	if (g_mkdir_with_parents (i->folder, 0750) != 0 || g_mkdir_with_parents (tls, 0700) != 0 || g_mkdir_with_parents (mail, 0700) != 0)
		return error_set_errno (error, errno, "making the folder %s", i->folder);
	/* the configuration last: with it, it is a server */
	return (i->join ? join_directory (i, error) : make_directory (i, error)) && make_certificate (tls, i->name, error) && write_configuration (i, error) &&
	       (!owner || give_to (i->folder, owner, error));
}
