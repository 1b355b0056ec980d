/* SPDX-License-Identifier: Apache-2.0 */
/* One folder on disk. Every line and number in its files is somebody else's: what is wrong in it is left out. */
#pragma once
#include "endpoint.h"

#define MAILDIR_MESSAGES_MAX 10000000u
#define MAILDIR_FILE_MAX (G_GUINT64_CONSTANT (2) << 30) /* octets of a message */

typedef struct {
	guint32 uid;
	char *file; /* "cur/NAME" as it was found; NULL: not there any more */
	guint flags;
	char *keywords; /* canonical; NULL none */
	gint64 received;
} MaildirMessage;

typedef struct {
	guint32 uidvalidity, uidnext;
	GArray *messages; /* MaildirMessage that are there, ascending */
	guint without_uid;
	char *keywords; /* canonical: all that the folder names */
} MaildirFolder;
void maildir_folder_free (MaildirFolder *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MaildirFolder, maildir_folder_free)
/* UNAVAILABLE with the next step where there is no dovecot-uidlist, or one that can't be read. */
MaildirFolder *maildir_folder_read (const char *path, GError **error);
MaildirMessage *maildir_folder_find (MaildirFolder *f, guint32 uid); /* NULL */
/* Its octets with CRLF. NOT_FOUND when it is gone. */
GBytes *maildir_message_octets (const char *path, const MaildirMessage *m, GError **error);
