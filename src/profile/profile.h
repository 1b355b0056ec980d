/* SPDX-License-Identifier: Apache-2.0 */
/* A profile: which mailbox, on which server, with which secret's source and which store. One small key file each,
 * $XDG_CONFIG_HOME/outpost/profiles/NAME.profile (0600, directory 0700), in GLib's key file syntax: profiles are written by the
 * program and only seldom by hand, so that GLib's reader, which is loaded anyway, does; unknown keys are refused by name. No secret
 * is ever in the file. Not thread-safe per Profile. */
#pragma once
#include <glib.h>
#include "error.h"
#include "net-conn.h"

#define PROFILE_MAX 1000 /* listed at most */
#define PROFILE_EARLIER_MAX 3

typedef enum { SECRET_KEYRING, SECRET_COMMAND, SECRET_PROMPT } SecretSource;

typedef struct {
	char *name;      /* [A-Za-z0-9._@+-], 1..100, not starting with "." or "-" */
	char *address;   /* user@domain */
	char *host;      /* without brackets */
	guint16 port;
	gboolean tls;    /* imaps: from the first octet; imap: STARTTLS, unless `insecure` or loopback */
	char *user;      /* to log in as */
	char *auth;      /* the only SASL mechanism to use; NULL: the best */
	SecretSource source;
	char *command;   /* for SECRET_COMMAND */
	gboolean secret_is_token; /* what the source gives is an OAuth 2 access token */
	char *ca_file, *pin;      /* as in NetTarget; NULL */
	gboolean insecure;        /* plain text is accepted */
	gboolean tunnel;          /* @host is this machine, and the server behind it is not */
	char *store;     /* absolute path of the store */
	char *earlier;   /* locations that the server has moved away from, the last one first, with blanks between; NULL */
} Profile;

Profile *profile_new (const char *name);
void profile_free (Profile *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Profile, profile_free)

/* Reads [imaps://|imap://][user[%40domain]@]host[:port][/] into host, port, tls and, if given, user; no scheme means imaps; IPv6
 * literals in brackets. Ports default to 993 and 143. USAGE otherwise, naming what is wrong; @p is then unchanged. A password (a colon
 * before the "@"; one in a user name is written %3A) is refused and not repeated. */
gboolean profile_set_location (Profile *p, const char *location, GError **error);
/* The server has moved to @location, which is as above: the one until now becomes the first of p->earlier, of at most PROFILE_EARLIER_MAX. */
gboolean profile_follow (Profile *p, const char *location, GError **error);
/* "imaps://host:port", without the user. */
char *profile_location (const Profile *p);

/* Everything needed is there and makes sense. USAGE otherwise. */
gboolean profile_check (const Profile *p, GError **error);
/* Whether the log-in may go over @c as it stands: TLS, loopback, or `insecure`. NO_PERMISSION otherwise, with what to do. */
gboolean profile_check_privacy (const Profile *p, const NetConn *c, GError **error);
/* Fills @target with borrowed strings of @p. */
void profile_target (const Profile *p, NetTarget *target_out);

/* Writes @p atomically and durably, replacing one of the same name. profile_check is asked first. */
gboolean profile_save (const Profile *p, GError **error);
/* NOT_FOUND (naming the profiles there are), CORRUPT with the file and the key, or NO_PERMISSION. */
Profile *profile_load (const char *name, GError **error);
/* A file beside that of profile @name: its path with @suffix in place of ".profile". */
char *profile_file (const char *name, const char *suffix);
/* Removes the file; neither the store nor the secret. */
gboolean profile_delete (const char *name, GError **error);
/* All names, sorted; empty without any. NULL-terminated, g_strfreev. */
char **profile_list (GError **error);
/* @name, or the only profile there is if @name is NULL: NOT_FOUND if there is none, USAGE if there are several. */
Profile *profile_load_default (const char *name, GError **error);
/* $XDG_DATA_HOME/outpost/stores/NAME; nothing is created. */
char *profile_default_store (const char *name);
