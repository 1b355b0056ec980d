/* SPDX-License-Identifier: Apache-2.0 */
/* ACL (RFC 4314) of folders that have one owner and can't be shared: who asks is told so truthfully, and nothing can be changed. */
#include "imapd-private.h"
#include <string.h>

/* c and d are what RFC 2086 had in place of k, x and of t, e (RFC 4314 section 2.1.1). */
#define ALL_RIGHTS "lrswipkxtecda"

static const char *
rights_of (const Folder *f)
{
	if (f->local_only)
		return "lrsteda"; /* outpost's own reports */
	return g_ascii_strcasecmp (f->path, "INBOX") == 0 ? "lrswipktecda" : ALL_RIGHTS;
}

static void
write_name (ImapdSession *s, const char *response, const Folder *f)
{
	imap_write_untagged (&s->out, response);
	imap_write_mailbox (&s->out, g_ascii_strcasecmp (f->path, "INBOX") == 0 ? "INBOX" : f->path);
}

static void
write_text (ImapdSession *s, const char *text)
{
	imap_write_astring (&s->out, (Slice){text, strlen (text)});
}

void
acl_write_rights (ImapdSession *s, const Folder *f)
{
	write_name (s, "MYRIGHTS", f);
	write_text (s, rights_of (f));
	imap_write_end (&s->out);
}

/* Whose the mailbox is. NULL with the answer set. */
static char *
owner_of (ImapdSession *s)
{
	GError *error = NULL;
	char *owner = s->settings->owner ? s->settings->owner (s->settings->data, s->mailbox, &error) : NULL;
	if (!owner && error)
		session_fail (s, error);
	else if (!owner)
		session_bad (s, "access control lists are not offered here");
	return owner;
}

/* The arguments: a folder and @more strings. NULL with the answer set. */
static Folder *
take_folder (ImapdSession *s, guint more)
{
	const ImapNode *n = imap_command_arg (s->command, 0);
	gboolean ok = node_count (imap_command_args (s->command)) == more + 1;
	for (const ImapNode *one = n; ok && one; one = node_next (one))
		ok = node_is_astring (one);
	if (!ok) {
		session_bad (s, "%s wants a folder%s%s", imap_command_name (s->command), more > 0 ? ", and whom it is about" : "", more > 1 ? ", and rights" : "");
		return NULL;
	}
	Store *store = session_store (s);
	return store ? session_folder (s, store, n, "NONEXISTENT") : NULL;
}

void
run_myrights (ImapdSession *s)
{
	g_autofree char *owner = owner_of (s);
	g_autoptr (Folder) f = owner ? take_folder (s, 0) : NULL;
	if (f)
		acl_write_rights (s, f);
}

void
run_getacl (ImapdSession *s)
{
	g_autofree char *owner = owner_of (s);
	g_autoptr (Folder) f = owner ? take_folder (s, 0) : NULL;
	if (!f)
		return;
	write_name (s, "ACL", f);
	write_text (s, owner);
	write_text (s, rights_of (f));
	imap_write_end (&s->out);
}

static gboolean
is_owner (const char *owner, const ImapNode *identifier)
{
	return slice_equals_ascii_case (node_text (identifier), owner);
}

/* What somebody has in any case: the owner all, others nothing, and nothing can be added. */
void
run_listrights (ImapdSession *s)
{
	g_autofree char *owner = owner_of (s);
	g_autoptr (Folder) f = owner ? take_folder (s, 1) : NULL;
	const ImapNode *identifier = imap_command_arg (s->command, 1);
	if (!f)
		return;
	write_name (s, "LISTRIGHTS", f);
	imap_write_astring (&s->out, node_text (identifier));
	write_text (s, is_owner (owner, identifier) ? rights_of (f) : "");
	imap_write_end (&s->out);
}

/* "lrs", "+lrs", "-lrs" (RFC 4314 section 3.1): *takes_out, whether somebody has less behind it. */
static gboolean
take_rights (ImapdSession *s, const Folder *f, gboolean *takes_out)
{
	Slice text = node_text (imap_command_arg (s->command, 2));
	gboolean sign = text.size > 0 && (*text.data == '+' || *text.data == '-');
	g_autofree char *letters = slice_dup ((Slice){text.data + sign, text.size - sign});
	if (strlen (letters) != text.size - sign || letters[strspn (letters, ALL_RIGHTS)])
		return session_bad (s, "an unknown right: there are " ALL_RIGHTS);
	*takes_out = sign && *text.data == '-' ? *letters != '\0' : FALSE;
	for (const char *right = rights_of (f); !sign && *right; right++)
		*takes_out |= !strchr (letters, *right);
	return TRUE;
}

void
run_setacl (ImapdSession *s)
{
	g_autofree char *owner = owner_of (s);
	g_autoptr (Folder) f = owner ? take_folder (s, 2) : NULL;
	gboolean takes = FALSE;
	if (!f || !take_rights (s, f, &takes))
		return;
	if (!is_owner (owner, imap_command_arg (s->command, 1)))
		session_no (s, "CANNOT", "folders can't be shared here: only their owner has rights");
	else if (takes)
		session_no (s, "CANNOT", "the owner of a folder keeps all rights");
}

void
run_deleteacl (ImapdSession *s)
{
	g_autofree char *owner = owner_of (s);
	g_autoptr (Folder) f = owner ? take_folder (s, 1) : NULL;
	if (f && is_owner (owner, imap_command_arg (s->command, 1)))
		session_no (s, "CANNOT", "the owner of a folder keeps all rights");
}
