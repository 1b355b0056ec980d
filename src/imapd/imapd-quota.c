/* SPDX-License-Identifier: Apache-2.0 */
/* QUOTA (RFC 9208). A mailbox has one quota root, or none where nothing limits it. What counts are its messages, each wherever it lies; not those that
 * were removed and can still be restored. */
#include "imapd-private.h"

#define ROOT "mailbox"

/* The limits; no limit where there is nobody who sets them. FALSE with the answer set. */
static gboolean
read_limit (ImapdSession *s, ImapdQuota *out)
{
	GError *error = NULL;
	*out = (ImapdQuota){0};
	return !s->settings->quota || s->settings->quota (s->settings->data, s->mailbox, out, &error) || session_fail (s, error);
}

gboolean
quota_begin (ImapdSession *s, Store *store, Quota *q)
{
	GError *error = NULL;
	*q = (Quota){0};
	return read_limit (s, &q->limit) && ((!q->limit.octets && !q->limit.messages) || store_usage (store, &q->before, &error) || session_fail (s, error));
}

guint64
quota_room (const Quota *q)
{
	return !q->limit.octets ? G_MAXUINT64 : q->limit.octets > q->before.octets ? q->limit.octets - q->before.octets : 0;
}

/* Who had too much already may still do what does not add to it. */
gboolean
quota_check (Store *store, const Quota *q, GError **error)
{
	StoreUsage now;
	if (!q->limit.octets && !q->limit.messages)
		return TRUE;
	if (!store_usage (store, &now, error))
		return FALSE;
	if (q->limit.octets && now.octets > MAX (q->limit.octets, q->before.octets)) {
		g_autofree char *limit = g_format_size_full (q->limit.octets, G_FORMAT_SIZE_IEC_UNITS);
		return error_fail (error, ERROR_OVER_QUOTA, "there is no room for it: the mailbox may hold %s; remove something first", limit);
	}
	return !q->limit.messages || now.messages <= MAX (q->limit.messages, q->before.messages) ||
	       error_fail (error, ERROR_OVER_QUOTA, "there is no room for it: the mailbox may hold %" G_GUINT64_FORMAT " messages; remove some first",
	                   q->limit.messages);
}

/* ---- Commands ---- */

static void
write_resource (ImapWriter *w, const char *name, guint64 usage, guint64 limit)
{
	if (!limit)
		return;
	imap_write_word (w, name);
	imap_write_number (w, usage);
	imap_write_number (w, limit);
}

/* Storage in units of 1024 octets (RFC 9208 section 5.1). */
static void
write_quota (ImapdSession *s, const Quota *q)
{
	imap_write_untagged (&s->out, "QUOTA");
	imap_write_astring (&s->out, (Slice){ROOT, sizeof ROOT - 1});
	imap_write_open (&s->out);
	write_resource (&s->out, "STORAGE", (q->before.octets + 1023) / 1024, (q->limit.octets + 1023) / 1024);
	write_resource (&s->out, "MESSAGE", q->before.messages, q->limit.messages);
	imap_write_close (&s->out);
	imap_write_end (&s->out);
}

static gboolean
is_offered (ImapdSession *s)
{
	return s->settings->quota || session_bad (s, "quotas are not offered here");
}

void
run_getquota (ImapdSession *s)
{
	const ImapNode *root = imap_command_arg (s->command, 0);
	Quota q;
	if (!is_offered (s))
		return;
	if (node_count (imap_command_args (s->command)) != 1 || !node_is_astring (root)) {
		session_bad (s, "GETQUOTA wants a quota root");
		return;
	}
	Store *store = session_store (s);
	if (!store || !quota_begin (s, store, &q))
		return;
	if (!slice_equals (node_text (root), ROOT) || (!q.limit.octets && !q.limit.messages))
		session_no (s, "NONEXISTENT", "there is no such quota root");
	else
		write_quota (s, &q);
}

/* The folder need not exist (RFC 9208 section 4.1.2). */
void
run_getquotaroot (ImapdSession *s)
{
	const ImapNode *arg = imap_command_arg (s->command, 0);
	g_autofree char *name = node_is_astring (arg) ? session_name (s, arg) : NULL;
	Quota q;
	if (!is_offered (s))
		return;
	if (node_count (imap_command_args (s->command)) != 1 || !name) {
		session_bad (s, "GETQUOTAROOT wants a folder's name");
		return;
	}
	Store *store = session_store (s);
	if (!store || !quota_begin (s, store, &q))
		return;
	gboolean limited = q.limit.octets || q.limit.messages;
	imap_write_untagged (&s->out, "QUOTAROOT");
	imap_write_mailbox (&s->out, g_ascii_strcasecmp (name, "INBOX") == 0 ? "INBOX" : name);
	if (limited)
		imap_write_astring (&s->out, (Slice){ROOT, sizeof ROOT - 1});
	imap_write_end (&s->out);
	if (limited)
		write_quota (s, &q);
}

void
run_setquota (ImapdSession *s)
{
	if (is_offered (s))
		session_no (s, "NOPERM", "what a mailbox may hold is set by the administrator (outpostctl mailbox quota)");
}
