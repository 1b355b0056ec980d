/* SPDX-License-Identifier: Apache-2.0 */
/* What SORT and THREAD go by: keys of the messages of a folder, computed once and shared by the sessions of the
 * mailbox. A message never changes and a UID names one message for ever, so a key that is known stays true; new
 * messages add theirs. Each kind is computed when it is first asked for. */
#pragma once
#include "imapd-private.h"

typedef enum {
	KEY_ARRIVAL,
	KEY_CC,
	KEY_DATE,
	KEY_FROM,
	KEY_SIZE,
	KEY_SUBJECT,
	KEY_TO,
	KEY_DISPLAYFROM,
	KEY_DISPLAYTO, /* in SORT's order of names */
	KEY_ID,        /* mail_thread_id of the Message-ID */
	KEY_REPLY,     /* whether the subject says that it is an answer */
	KEY_FAMILY,    /* the store's thread, under which all that are related here have one number */
	N_KEYS
} KeyKind;

/* Which of them is right goes by the kind: texts are CC, FROM, SUBJECT, TO, DISPLAYFROM, DISPLAYTO, folded, the same
 * pointer for the same text. */
typedef union {
	gint64 number;
	const char *text;
} Key;

/* The newest of all mailboxes, in a limited room. Thread-safe. */
KeysCache *keys_cache_new (void);
void keys_cache_free (KeysCache *c);
void keys_cache_forget (KeysCache *c, const ImapdMailbox *m);

/* A folder's. Counted; texts live as long. */
typedef struct Keys Keys;
void keys_unref (Keys *k); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Keys, keys_unref)

/* The keys of the session's folder, with the kinds of @wanted (bits, 1 << kind) known for all of @found; @parents: and
 * who the messages of @found that are related to another one refer to. Tells of its progress. NULL with the answer set.
 */
Keys *keys_take (ImapdSession *s, Store *store, const UidSet *found, guint wanted, gboolean parents);
/* Calls @fn for those of @found that the session's view has and whose @wanted kinds are known, by UID, with a lock of
 * the folder's keys held: keys_get and keys_parents are for @fn alone. */
typedef void (*KeysFn) (gpointer data, const Keys *k, guint32 uid, guint row);
void keys_each (Keys *k, const ImapdSession *s, const UidSet *found, guint wanted, KeysFn fn, gpointer data);
Key keys_get (const Keys *k, KeyKind kind, guint row);
/* mail_thread_id of each, the oldest first. Borrowed. */
const guint64 *keys_parents (const Keys *k, guint row, guint *n_out);
