/* SPDX-License-Identifier: Apache-2.0 */
/* The directory: the organisation, its sites and servers; domains, mailboxes, aliases, password verifiers and roles; in one SQLite file.
 *
 * A Directory is used by one thread at a time; others may have theirs on the same file. Addresses are "local@domain" in UTF-8, at most 254 octets,
 * compared without letters' case, A-labels as U-labels, and shown as they were given. Errors: USAGE for what can't be an address, domain or
 * password; what can't be read is never NOT_FOUND or NO_PERMISSION, but CORRUPT, TEMPORARY, IO. */
#pragma once
#include <glib.h>
#include "bytes.h"
#include "error.h"

typedef struct Directory Directory;
/* @create: makes it if it is not there (0600); else NOT_FOUND. One of an older version is brought up to date: what it knows stays, and it becomes an
 * organisation without a name, with one site and no server. CORRUPT for another program's file or a newer version's. */
Directory *directory_open (const char *path, gboolean create, GError **error);
void directory_free (Directory *d); /* NULL is allowed */
/* Its file as it is at one moment. */
gboolean directory_octets (Directory *d, GBytes **octets_out, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Directory, directory_free)

/* ---- The organisation: sites, and servers in them. Names have 1 to 100 octets and are compared without letters' case ---- */

char *directory_organisation (Directory *d, GError **error); /* its name; "": it has none yet */
/* @first: EXISTS if it has a name already. */
gboolean directory_organisation_name (Directory *d, const char *name, gboolean first, GError **error);

typedef struct {
	char *id, *name;
} DirectorySite;
void directory_site_free (DirectorySite *s);
gboolean directory_site_add (Directory *d, const char *name, GError **error);                     /* EXISTS */
gboolean directory_site_rename (Directory *d, const char *name, const char *new, GError **error); /* NOT_FOUND, EXISTS */
GPtrArray *directory_sites (Directory *d, GError **error);                                        /* of DirectorySite *, by name */

typedef struct {
	char *id, *name, *site;
	char **addresses; /* "imaps://ex1.example.org:993", the preferred one first */
	char **past;      /* those that it has moved away from, the last one first */
	guint64 mailboxes; /* counted by directory_servers and directory_server_move; else 0 */
	char *folder; /* on this machine; NULL: it has not started yet */
} DirectoryServer;
void directory_server_free (DirectoryServer *s); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DirectoryServer, directory_server_free)
DirectoryServer *directory_server (Directory *d, const char *name, GError **error); /* by name or id. NOT_FOUND */
GPtrArray *directory_servers (Directory *d, GError **error);                       /* of DirectoryServer *, by site and name */
/* @id: its own; NULL: a fresh one. @addresses: NULL, or as above, at most 10, written as they are to be compared. EXISTS for an id, a name or an address that a
 * server has or had; NOT_FOUND for the site. */
gboolean directory_server_add (Directory *d, const char *id, const char *name, const char *site, const char *const *addresses, GError **error);
/* The server that reads this directory is there with its @id. One that the directory does not know is added, with @name and in the first site, where there is no
 * other; mailboxes that have no home are then at home there. NOT_FOUND beside others. */
gboolean directory_server_enrol (Directory *d, const char *id, const char *name, GError **error);

/* Where it is on the machine that the directory is on. */
gboolean directory_server_set_folder (Directory *d, const char *id, const char *folder, GError **error);

/* What Move Server changes; NULL: that stays. Addresses that are not among the new ones become past ones. */
typedef struct {
	const char *site, *name;
	const char *const *addresses;
} DirectoryServerMove;
/* In one transaction; no mailbox and no store has any part in it. *after_out is the server behind it. @rehearse: all of that, and nothing is kept. NOT_FOUND for
 * the server or the site, EXISTS for a name or an address of another server, be it a past one. */
gboolean directory_server_move (Directory *d, const char *name, const DirectoryServerMove *move, gboolean rehearse, DirectoryServer **after_out,
                                GError **error);
/* A past address is nobody's any more: another server may have it. NOT_FOUND. */
gboolean directory_address_forget (Directory *d, const char *address, GError **error);

/* ---- Domains: an address is of this organisation if its domain is one of these ---- */

gboolean directory_domain_add (Directory *d, const char *domain, GError **error);    /* EXISTS */
gboolean directory_domain_remove (Directory *d, const char *domain, GError **error); /* CONFLICT while mailboxes or aliases are in it */
GPtrArray *directory_domains (Directory *d, GError **error);                         /* of char *, sorted */

/* ---- Mailboxes ---- */

enum { DIRECTORY_ADMINISTRATOR = 1 };

typedef struct {
	char *id; /* the mailbox id, 32 hexadecimal digits; never changes */
	char *address;
	gint64 created, deleted; /* Unix seconds; deleted 0: it is not */
	gboolean disabled;       /* no log-on; mail is accepted all the same */
	guint roles;
	guint64 quota, quota_messages; /* octets; 0: none */
	gboolean has_password;
	char *server; /* its home: a server's id; NULL: made before there were servers, and no server has taken it (directory_server_enrol) */
	gint64 epoch; /* of that home: the next one's is higher */
} DirectoryMailbox;
void directory_mailbox_free (DirectoryMailbox *m); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DirectoryMailbox, directory_mailbox_free)

/* @id: that of its store. @server: the id of its home. EXISTS for an address that a mailbox or alias has, NOT_FOUND for a domain that is not ours, or a server
 * that there is not. */
gboolean directory_mailbox_add (Directory *d, const char *id, const char *address, const char *server, guint64 quota, guint roles, GError **error);
/* By address, by id (deleted ones by that only), or by the local part where there is one domain. NOT_FOUND. */
DirectoryMailbox *directory_mailbox (Directory *d, const char *name, GError **error);
/* Of DirectoryMailbox *, by address. */
GPtrArray *directory_mailboxes (Directory *d, gboolean deleted, GError **error);
/* The id stays; @keep: the old address becomes an alias of the new one. Aliases go along. */
gboolean directory_mailbox_rename (Directory *d, const char *name, const char *address, gboolean keep, GError **error);
gboolean directory_mailbox_set_disabled (Directory *d, const char *name, gboolean disabled, GError **error);
gboolean directory_mailbox_set_quota (Directory *d, const char *name, guint64 quota, guint64 messages, GError **error);
gboolean directory_mailbox_set_roles (Directory *d, const char *name, guint roles, GError **error);
/* Frees its address and those of aliases that lead, even through others, nowhere else; id, password and store stay until directory_purge. */
gboolean directory_mailbox_delete (Directory *d, const char *name, GError **error);
/* EXISTS if the address is another's by now. */
gboolean directory_mailbox_undelete (Directory *d, const char *id, GError **error);
/* Forgets those at home at @server that were deleted before @before (Unix seconds). Their ids (char *): their stores are to be removed. */
GPtrArray *directory_purge (Directory *d, const char *server, gint64 before, GError **error);

/* ---- Moves of mailboxes ---- */

/* Up to `fenced` a move can be cancelled, and the mailbox is at home at its source, as with `cancelling`; from `committed` on at its target. `done` and `cancelled` end it. */
typedef enum { MOVE_PREPARED, MOVE_COPYING, MOVE_CATCHING_UP, MOVE_FENCED, MOVE_COMMITTED, MOVE_DONE, MOVE_CANCELLING, MOVE_CANCELLED } DirectoryMoveState;
const char *directory_move_state_name (DirectoryMoveState state);
/* Where a move stops though it could go on: as soon as it can, or before nobody can write. */
typedef enum { MOVE_HOLD_NONE, MOVE_HOLD_NOW, MOVE_HOLD_READY } DirectoryMoveHold;
typedef struct {
	gint64 number;
	char *mailbox, *address; /* its id, and what it is called now */
	char *source, *target;   /* servers' ids */
	gint64 epoch;            /* of the home that it begins from */
	DirectoryMoveState state;
	gint64 began, ended;     /* Unix seconds; ended 0: it goes on */
	guint64 octets, copied;  /* of the store; copied: so far, as of a second ago */
	DirectoryMoveHold hold;
	gint64 fence;            /* microseconds for which nobody could write */
	char *sum;               /* of both sides; NULL: not there yet */
	char *error;             /* why it stopped last; NULL */
} DirectoryMove;
void directory_move_free (DirectoryMove *m); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DirectoryMove, directory_move_free)

/* `prepared`. NOT_FOUND; EXISTS if it is at home there, or being moved already; CONFLICT for a deleted one, and for a server that has never
 * been started. */
DirectoryMove *directory_move_begin (Directory *d, const char *mailbox, const char *target, GError **error);
DirectoryMove *directory_move (Directory *d, gint64 number, GError **error);          /* NOT_FOUND */
GPtrArray *directory_moves (Directory *d, gboolean open, GError **error);             /* of DirectoryMove *, by number; @open: those that go on */
/* @m goes on to @next, with its octets, fence and sum; durable. With `committed` the mailbox's home is the target, and its epoch one higher, in the same transaction.
 * CONFLICT if the move is in another state than @m says, or the mailbox not where it began: then nothing was changed. */
gboolean directory_move_enter (Directory *d, DirectoryMove *m, DirectoryMoveState next, GError **error);
/* CONFLICT from `fenced` on. */
gboolean directory_move_hold (Directory *d, const DirectoryMove *m, DirectoryMoveHold hold, GError **error);
/* Keeps @m's octets and copied. *hold_out is what is wanted of it now. */
gboolean directory_move_note_copied (Directory *d, const DirectoryMove *m, DirectoryMoveHold *hold_out, GError **error);
gboolean directory_move_note_error (Directory *d, const DirectoryMove *m, const char *text, GError **error);

/* ---- Aliases: an address that leads to mailboxes, or to other aliases ---- */

typedef struct {
	char *alias, *target;
} DirectoryAlias;
void directory_alias_free (DirectoryAlias *a);
/* EXISTS if a mailbox has that address or it is there already; NOT_FOUND for a domain that is not ours or a target that there is not. */
gboolean directory_alias_add (Directory *d, const char *alias, const char *target, GError **error);
gboolean directory_alias_remove (Directory *d, const char *alias, const char *target, GError **error); /* @target NULL: all. NOT_FOUND */
GPtrArray *directory_aliases (Directory *d, GError **error); /* of DirectoryAlias *, sorted */

/* ---- For servers ---- */

/* Whom mail for @address goes to: DirectoryMailbox *, each once; through aliases, at most 10 deep and 100 in all (CONFLICT beyond), and where
 * there is no such address without the detail behind the first '+' of the local part, which *detail_out then gives (else NULL). NOT_FOUND; its message
 * tells a domain that is not ours from an address that there is not. */
GPtrArray *directory_resolve (Directory *d, const char *address, char **detail_out, GError **error);

/* Whether the domain of @address is one of ours. */
gboolean directory_is_ours (Directory *d, const char *address, gboolean *ours_out, GError **error);

/* ---- Passwords ---- */

/* Keeps a yescrypt verifier and SCRAM keys, never the password. At most 511 octets (crypt(3)), before SASLprep (RFC 4013) and after. */
gboolean directory_set_password (Directory *d, const char *name, const char *password, GError **error);
/* The mailbox if the password is right and it may be logged on to. Else NO_PERMISSION, which takes as long whether the name, the password or the
 * state was wrong; the message tells which, and is for the log only. 20 to 100 ms of CPU and 16 MiB; some microseconds for a password that was right
 * within the last hour. */
DirectoryMailbox *directory_authenticate (Directory *d, const char *name, const char *password, GError **error);

/* The one form of @name, an address or a local part, however it is written and whether there is such a mailbox or not; "" for what can't be a name (a
 * mailbox id is one of its own). NULL only for what can't be read. */
char *directory_name_key (Directory *d, const char *name, GError **error);

typedef struct {
	char *id; /* the mailbox's; NULL, as the keys, for who may not log on */
	char *salt, *stored_key, *server_key; /* base64 */
	guint rounds;
} DirectoryScram;
void directory_scram_clear (DirectoryScram *s);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (DirectoryScram, directory_scram_clear)
/* @mechanism: "SCRAM-SHA-1" or "SCRAM-SHA-256". Who is unknown has a salt, always the same one however the name is written, and no keys (RFC 5802
 * section 9). */
gboolean directory_scram (Directory *d, const char *name, const char *mechanism, DirectoryScram *out, GError **error);
/* After SCRAM: the mailbox, as directory_authenticate. */
DirectoryMailbox *directory_may_log_on (Directory *d, const char *name, GError **error);

/* ---- SCRAM, the server's side (RFC 5802, RFC 7677) ---- */

/* One exchange, of one connection; used by one thread at a time, any one. Messages are without base64. */
typedef struct DirectoryLogOn DirectoryLogOn;
/* @mechanism: "SCRAM-SHA-1" or "SCRAM-SHA-256", with "-PLUS" where the connection has a binding: @unique (RFC 5929 section 3), @exporter (RFC 9266);
 * NULL: it has none of that kind. Both are copied. NOT_FOUND for another mechanism, and for "-PLUS" without a binding. */
DirectoryLogOn *directory_log_on_new (const char *mechanism, GBytes *unique, GBytes *exporter, GError **error);
void directory_log_on_free (DirectoryLogOn *l); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DirectoryLogOn, directory_log_on_free)
/* Takes a message of the client, and appends what it is to be sent to @answer: the first gets salt and rounds, the second, which proves the password, the
 * server's own proof, and behind the third, which is empty, *mailbox_out is set (else NULL) and nothing is to be sent. @d is the calling thread's.
 * Errors: PROTOCOL for what is no message of it; NO_PERMISSION as directory_authenticate, and before the second message only for what is wrong
 * whoever asks. After an error the exchange is over. */
gboolean directory_log_on_step (DirectoryLogOn *l, Directory *d, Slice message, GString *answer, DirectoryMailbox **mailbox_out, GError **error);
/* Whom the client says that it is; NULL before its first message was understood. Borrowed. */
const char *directory_log_on_name (const DirectoryLogOn *l);
