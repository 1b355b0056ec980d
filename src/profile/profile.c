/* SPDX-License-Identifier: Apache-2.0 */
#include "profile.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP "profile"
#define SUFFIX ".profile"
#define FILE_MAX 65536
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@+-"

static const char *const sources[] = {"keyring", "command", "prompt"};

/* The text keys; the others have their own lines in read_keys and write_keys. */
static const struct {
	const char *key;
	gsize offset;
} texts[] = {
	{"address", G_STRUCT_OFFSET (Profile, address)}, {"user", G_STRUCT_OFFSET (Profile, user)},
	{"auth", G_STRUCT_OFFSET (Profile, auth)},       {"command", G_STRUCT_OFFSET (Profile, command)},
	{"tls-ca", G_STRUCT_OFFSET (Profile, ca_file)},  {"tls-pin", G_STRUCT_OFFSET (Profile, pin)},
	{"store", G_STRUCT_OFFSET (Profile, store)},     {"earlier", G_STRUCT_OFFSET (Profile, earlier)},
};
static const char *const other_keys[] = {"location", "secret", "secret-is-token", "insecure", "tunnel"};

static char **
text_of (const Profile *p, guint i)
{
	return G_STRUCT_MEMBER_P (p, texts[i].offset);
}

static gboolean
name_is_good (const char *name)
{
	gsize n = strlen (name);
	return n >= 1 && n <= 100 && strspn (name, NAME_CHARS) == n && *name != '.' && *name != '-';
}

static gboolean
check_name (const char *name, GError **error)
{
	return name_is_good (name) || error_fail (error, ERROR_USAGE, "\"%s\" cannot be a profile's name: use 1 to 100 letters, digits "
	                                          "and . _ @ + -, the first a letter or digit", name);
}

Profile *
profile_new (const char *name)
{
	Profile *p = g_new0 (Profile, 1);
	p->name = g_strdup (name);
	return p;
}

void
profile_free (Profile *p)
{
	if (!p)
		return;
	for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
		g_free (*text_of (p, i));
	g_free (p->name);
	g_free (p->host);
	g_free (p);
}

static gboolean
parse_port (const char *text, guint16 *port_out)
{
	guint64 port;
	if (!g_ascii_string_to_unsigned (text, 10, 1, G_MAXUINT16, &port, NULL))
		return FALSE;
	*port_out = (guint16) port;
	return TRUE;
}

/* "host", "host:port", "[v6]", "[v6]:port". @text is cut up; *host_out points into it. */
static gboolean
parse_host_port (char *text, char **host_out, guint16 *port_out)
{
	char *end;
	*host_out = text;
	if (*text == '[') {
		end = strchr (text, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return FALSE;
		*host_out = text + 1;
		*end++ = '\0';
		return strspn (*host_out, "0123456789abcdefABCDEF:.") == strlen (*host_out) && strchr (*host_out, ':') &&
		       (*end == '\0' || parse_port (end + 1, port_out));
	}
	end = strchr (text, ':');
	if (end)
		*end++ = '\0';
	return *text && strlen (text) <= 255 && !strpbrk (text, " \t\r\n/@[]\"\\%") && (!end || parse_port (end, port_out));
}

gboolean
profile_set_location (Profile *p, const char *location, GError **error)
{
	gboolean tls = g_ascii_strncasecmp (location, "imap://", 7) != 0;
	gsize skip = !tls ? 7 : g_ascii_strncasecmp (location, "imaps://", 8) == 0 ? 8 : 0;
	g_autofree char *rest = g_strdup (location + skip);
	gsize n = strlen (rest);
	if (n && rest[n - 1] == '/')
		rest[n - 1] = '\0';
	char *at = strrchr (rest, '@'), *host = at ? at + 1 : rest;
	guint16 port = tls ? 993 : 143;
	if (at)
		*at = '\0';
	if (at && strchr (rest, ':'))
		return error_fail (error, ERROR_USAGE, "the server's location holds a password: leave it out, it is asked for or comes from "
		                   "--password-command (a colon in a user name is written %%3A)");
	g_autofree char *user = at ? g_uri_unescape_string (rest, NULL) : NULL;
	if ((at && (!user || !*user)) || !parse_host_port (host, &host, &port))
		return error_fail (error, ERROR_USAGE, "\"%s\" is no server location: write imaps://host or imap://user@host:port",
		                   location);
	g_free (p->host);
	p->host = g_strdup (host);
	p->port = port;
	p->tls = tls;
	if (user) {
		g_free (p->user);
		p->user = g_steal_pointer (&user);
	}
	return TRUE;
}

char *
profile_location (const Profile *p)
{
	const char *scheme = p->tls ? "imaps" : "imap";
	return g_strdup_printf (strchr (p->host, ':') ? "%s://[%s]:%u" : "%s://%s:%u", scheme, p->host, p->port);
}

gboolean
profile_follow (Profile *p, const char *location, GError **error)
{
	g_autofree char *before = profile_location (p);
	if (!profile_set_location (p, location, error))
		return FALSE;
	g_autofree char *now = profile_location (p);
	g_auto (GStrv) old = g_strsplit (p->earlier ? p->earlier : "", " ", PROFILE_EARLIER_MAX + 1);
	GString *text = g_string_new (strcmp (before, now) == 0 ? "" : before);
	for (guint i = 0, n = text->len > 0; old[i] && n < PROFILE_EARLIER_MAX; i++)
		if (*old[i] && !strchr (old[i], ' ') && strcmp (old[i], now) != 0 && strcmp (old[i], before) != 0) {
			g_string_append_printf (text, "%s%s", text->len ? " " : "", old[i]);
			n++;
		}
	g_free (p->earlier);
	p->earlier = g_string_free (text, text->len == 0);
	return TRUE;
}

static gboolean
address_is_good (const char *address)
{
	const char *at = strrchr (address, '@');
	return at && at > address && at[1] && g_utf8_validate (address, -1, NULL) && !strpbrk (address, " \t\r\n<>\":");
}

gboolean
profile_check (const Profile *p, GError **error)
{
	if (!p->name || !check_name (p->name, error))
		return FALSE;
	if (!p->address || !address_is_good (p->address))
		return error_fail (error, ERROR_USAGE, "profile %s: \"%s\" is no mail address", p->name, p->address ? p->address : "");
	if (!p->host || !p->port)
		return error_fail (error, ERROR_USAGE, "profile %s: the server is missing: give imaps://host:port", p->name);
	if (!p->user || !*p->user)
		return error_fail (error, ERROR_USAGE, "profile %s: the user name is missing", p->name);
	if ((p->source == SECRET_COMMAND) != (p->command && *p->command))
		return error_fail (error, ERROR_USAGE, "profile %s: a command belongs to the secret's source \"command\" and only to it",
		                   p->name);
	if (!p->store || !g_path_is_absolute (p->store))
		return error_fail (error, ERROR_USAGE, "profile %s: the store needs an absolute path", p->name);
	return TRUE;
}

gboolean
profile_check_privacy (const Profile *p, const NetConn *c, GError **error)
{
	if (net_conn_is_encrypted (c) || net_conn_is_loopback (c) || p->insecure)
		return TRUE;
	return error_fail (error, ERROR_NO_PERMISSION, "the connection to %s is not encrypted, so that no password is sent: use imaps:// or "
	                   "a server with STARTTLS", net_conn_name (c));
}

void
profile_target (const Profile *p, NetTarget *target_out)
{
	*target_out = (NetTarget){.host = p->host, .port = p->port, .tls = p->tls, .ca_file = p->ca_file, .pin = p->pin};
}

static char *
profiles_dir (void)
{
	const char *set = g_getenv ("XDG_CONFIG_HOME");
	const char *config = set && g_path_is_absolute (set) ? set : g_get_user_config_dir ();
	return g_build_filename (config, "outpost", "profiles", NULL);
}

char *
profile_file (const char *name, const char *suffix)
{
	g_autofree char *dir = profiles_dir ();
	g_autofree char *file = g_strconcat (name, suffix, NULL);
	return g_build_filename (dir, file, NULL);
}

static char *
profile_path (const char *name)
{
	return profile_file (name, SUFFIX);
}

char *
profile_default_store (const char *name)
{
	const char *set = g_getenv ("XDG_DATA_HOME");
	const char *data = set && g_path_is_absolute (set) ? set : g_get_user_data_dir ();
	return g_build_filename (data, "outpost", "stores", name, NULL);
}

static char *
file_text (const Profile *p, gsize *size_out)
{
	g_autoptr (GKeyFile) file = g_key_file_new ();
	g_autofree char *location = profile_location (p);
	g_key_file_set_string (file, GROUP, "location", location);
	g_key_file_set_string (file, GROUP, "secret", sources[p->source]);
	for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
		if (*text_of (p, i))
			g_key_file_set_string (file, GROUP, texts[i].key, *text_of (p, i));
	if (p->secret_is_token)
		g_key_file_set_boolean (file, GROUP, "secret-is-token", TRUE);
	if (p->insecure)
		g_key_file_set_boolean (file, GROUP, "insecure", TRUE);
	if (p->tunnel)
		g_key_file_set_boolean (file, GROUP, "tunnel", TRUE);
	return g_key_file_to_data (file, size_out, NULL);
}

static gboolean
sync_dir (const char *dir, GError **error)
{
	int fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gboolean good = fd >= 0 && fsync (fd) == 0;
	int err = errno;
	if (fd >= 0)
		close (fd);
	return good || error_set_errno (error, err, "%s", dir);
}

gboolean
profile_save (const Profile *p, GError **error)
{
	if (!profile_check (p, error))
		return FALSE;
	g_autofree char *dir = profiles_dir ();
	g_autofree char *path = profile_path (p->name);
	if (g_mkdir_with_parents (dir, 0700) < 0)
		return error_set_errno (error, errno, "%s", dir);
	gsize size;
	g_autofree char *text = file_text (p, &size);
	g_autoptr (GError) failure = NULL;
	if (!g_file_set_contents_full (path, text, (gssize) size, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
	                               &failure))
		return error_fail (error, ERROR_IO, "profile %s was not saved: %s", p->name, failure->message);
	return sync_dir (dir, error);
}

static gboolean
key_is_known (const char *key)
{
	for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
		if (strcmp (key, texts[i].key) == 0)
			return TRUE;
	for (guint i = 0; i < G_N_ELEMENTS (other_keys); i++)
		if (strcmp (key, other_keys[i]) == 0)
			return TRUE;
	return FALSE;
}

static gboolean
check_keys (GKeyFile *file, GError **error)
{
	g_auto (GStrv) keys = g_key_file_get_keys (file, GROUP, NULL, NULL);
	if (!keys)
		return error_fail (error, ERROR_CORRUPT, "there is no [" GROUP "] group");
	for (guint i = 0; keys[i]; i++)
		if (!key_is_known (keys[i]))
			return error_fail (error, ERROR_CORRUPT, "the key \"%s\" is unknown", keys[i]);
	return TRUE;
}

static gboolean
read_flag (GKeyFile *file, const char *key, gboolean *flag_out, GError **error)
{
	g_autoptr (GError) failure = NULL;
	*flag_out = g_key_file_has_key (file, GROUP, key, NULL) && g_key_file_get_boolean (file, GROUP, key, &failure);
	return !failure || error_fail (error, ERROR_CORRUPT, "\"%s\" must be true or false", key);
}

static gboolean
read_source (GKeyFile *file, SecretSource *source_out, GError **error)
{
	g_autofree char *word = g_key_file_get_string (file, GROUP, "secret", NULL);
	for (guint i = 0; i < G_N_ELEMENTS (sources); i++)
		if (g_strcmp0 (word, sources[i]) == 0) {
			*source_out = (SecretSource) i;
			return TRUE;
		}
	return error_fail (error, ERROR_CORRUPT, "\"secret\" must be keyring, command or prompt");
}

static gboolean
read_keys (Profile *p, GKeyFile *file, GError **error)
{
	if (!check_keys (file, error) || !read_source (file, &p->source, error) ||
	    !read_flag (file, "secret-is-token", &p->secret_is_token, error) || !read_flag (file, "insecure", &p->insecure, error) ||
	    !read_flag (file, "tunnel", &p->tunnel, error))
		return FALSE;
	for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
		*text_of (p, i) = g_key_file_get_string (file, GROUP, texts[i].key, NULL);
	g_autofree char *location = g_key_file_get_string (file, GROUP, "location", NULL);
	return profile_set_location (p, location ? location : "", error) && profile_check (p, error);
}

static gboolean
fail_missing (const char *name, GError **error)
{
	g_auto (GStrv) names = profile_list (NULL);
	g_autofree char *list = names && *names ? g_strjoinv (", ", names) : NULL;
	return error_fail (error, ERROR_NOT_FOUND, list ? "there is no profile \"%s\", but %s" : "there is no profile \"%s\"", name,
	                   list);
}

Profile *
profile_load (const char *name, GError **error)
{
	if (!check_name (name, error))
		return NULL;
	g_autofree char *path = profile_path (name);
	g_autoptr (GKeyFile) file = g_key_file_new ();
	g_autoptr (GError) failure = NULL;
	struct stat about;
	if (stat (path, &about) < 0) {
		errno == ENOENT ? fail_missing (name, error) : error_set_errno (error, errno, "%s", path);
		return NULL;
	}
	g_autoptr (Profile) p = profile_new (name);
	if (about.st_size > FILE_MAX)
		error_fail (&failure, ERROR_CORRUPT, "the file is too big");
	else if (g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &failure) && read_keys (p, file, &failure))
		return g_steal_pointer (&p);
	OutpostError code = g_error_matches (failure, G_FILE_ERROR, G_FILE_ERROR_ACCES) ? ERROR_NO_PERMISSION : ERROR_CORRUPT;
	error_fail (error, code, "%s: %s", path, failure->message);
	return NULL;
}

gboolean
profile_delete (const char *name, GError **error)
{
	if (!check_name (name, error))
		return FALSE;
	g_autofree char *path = profile_path (name);
	if (unlink (path) == 0)
		return TRUE;
	return errno == ENOENT ? fail_missing (name, error) : error_set_errno (error, errno, "%s", path);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
	return strcmp (*(char *const *) a, *(char *const *) b);
}

char **
profile_list (GError **error)
{
	g_autofree char *path = profiles_dir ();
	g_autoptr (GError) failure = NULL;
	g_autoptr (GDir) dir = g_dir_open (path, 0, &failure);
	if (!dir && !g_error_matches (failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		error_fail (error, ERROR_IO, "%s", failure->message);
		return NULL;
	}
	GPtrArray *names = g_ptr_array_new ();
	const char *file;
	while (dir && names->len < PROFILE_MAX && (file = g_dir_read_name (dir))) {
		g_autofree char *name = g_strdup (file);
		if (!g_str_has_suffix (name, SUFFIX))
			continue;
		name[strlen (name) - strlen (SUFFIX)] = '\0';
		if (name_is_good (name))
			g_ptr_array_add (names, g_steal_pointer (&name));
	}
	g_ptr_array_sort (names, compare_names);
	g_ptr_array_add (names, NULL);
	return (char **) g_ptr_array_free (names, FALSE);
}

Profile *
profile_load_default (const char *name, GError **error)
{
	if (name)
		return profile_load (name, error);
	g_auto (GStrv) names = profile_list (error);
	if (!names)
		return NULL;
	if (names[0] && !names[1])
		return profile_load (names[0], error);
	g_autofree char *list = g_strjoinv (", ", names);
	if (names[0])
		error_fail (error, ERROR_USAGE, "there are several profiles (%s): name one with --profile NAME", list);
	else
		error_fail (error, ERROR_NOT_FOUND, "there is no profile yet: outpost logon you@example.org makes one");
	return NULL;
}
