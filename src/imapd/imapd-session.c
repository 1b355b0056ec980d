/* SPDX-License-Identifier: Apache-2.0 */
/* A session: what comes in becomes commands, a row of the table says when one may be given and what may be told behind it. */
#include "imapd-private.h"
#include "sasl.h"
#include "imap-text.h"
#include "imap-utf7.h"
#include <string.h>

#define FLUSH_AT (64u << 10)
#define IDLE_OUTPUT 1024 /* octets of buffer that a waiting session keeps */
#define REFUSALS_MAX 3
#define PAUSE_MS 2000
#define PROGRESS_US (10 * G_USEC_PER_SEC)
#define PROGRESS_ROWS 128 /* the clock is looked at behind so many: it may be slower than a message */
#define NAME_MAX_OCTETS 4000
#define RANGES_MAX 100000
#define MESSAGE_MAX (G_GUINT64_CONSTANT (128) << 20)

#define CAPABILITIES_BEFORE "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE"
#define CAPABILITIES                                                                                                                        \
	"IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE UIDPLUS MULTIAPPEND UNSELECT CHILDREN MOVE ESEARCH SEARCHRES WITHIN "    \
	"LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE STATUS=SIZE CONDSTORE QRESYNC OBJECTID UTF8=ACCEPT PARTIAL BINARY "            \
	"SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES PREVIEW REPLACE NOTIFY SAVEDATE METADATA CATENATE URL-PARTIAL UIDONLY INPROGRESS"

/* ---- States ---- */

#define TO(state) (1u << STATE_##state)
static const unsigned moves[] = {
	[STATE_NEW] = TO (LOGGED_ON) | TO (RELAYED) | TO (ENDED),
	[STATE_LOGGED_ON] = TO (SELECTED) | TO (NEW) | TO (RELAYED) | TO (ENDED),
	[STATE_SELECTED] = TO (SELECTED) | TO (LOGGED_ON) | TO (RELAYED) | TO (ENDED),
	[STATE_RELAYED] = TO (ENDED),
	[STATE_ENDED] = TO (ENDED),
};

static void
session_enter (ImapdSession *s, SessionState next)
{
	g_assert (moves[s->state] & (1u << next));
	s->state = next;
}

gboolean
session_is_dead (const ImapdSession *s)
{
	return s->state == STATE_ENDED;
}

void
session_set_view (ImapdSession *s, View *v)
{
	view_unref (s->view);
	s->view = v;
	session_enter (s, STATE_SELECTED);
}

void
session_set_folder (ImapdSession *s, const char *path)
{
	g_free (s->folder);
	s->folder = g_strdup (path);
}

void
session_unselect (ImapdSession *s)
{
	session_set_folder (s, NULL);
	if (s->notify && s->view)
		notify_left (s->notify, s->view);
	g_clear_pointer (&s->view, view_unref);
	uid_set_clear (&s->saved);
	s->read_only = FALSE;
	session_enter (s, STATE_LOGGED_ON);
}

/* ---- Answers ---- */

void
session_flush (ImapdSession *s, gboolean now)
{
	if (s->out.text->len == 0 || (!now && s->out.text->len < FLUSH_AT))
		return;
	if (s->state != STATE_ENDED && !s->send (s->send_data, s->out.text->str, s->out.text->len))
		session_enter (s, STATE_ENDED);
	s->sent += s->out.text->len;
	if (s->out.text->allocated_len > (now ? IDLE_OUTPUT : 4 * FLUSH_AT)) {
		g_string_free (s->out.text, TRUE);
		s->out.text = g_string_new (NULL);
	} else
		g_string_truncate (s->out.text, 0);
}

static gboolean G_GNUC_PRINTF (4, 0)
set_answer (ImapdSession *s, const char *word, const char *code, const char *format, va_list args)
{
	s->word = word;
	g_string_assign (s->code, code ? code : "");
	g_string_vprintf (s->text, format, args);
	return FALSE;
}

gboolean
session_no (ImapdSession *s, const char *code, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	set_answer (s, "NO", code, format, args);
	va_end (args);
	return FALSE;
}

gboolean
session_bad (ImapdSession *s, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	set_answer (s, "BAD", NULL, format, args);
	va_end (args);
	return FALSE;
}

gboolean
session_wants_uids (ImapdSession *s)
{
	session_bad (s, "messages are named by UIDs only");
	g_string_assign (s->code, "UIDREQUIRED");
	return FALSE;
}

/* Errors of ours as response codes (RFC 9051 section 7.1, RFC 5530). */
gboolean
session_fail (ImapdSession *s, GError *error)
{
	static const char *const codes[] = {
		[ERROR_NOT_FOUND] = "NONEXISTENT", [ERROR_EXISTS] = "ALREADYEXISTS", [ERROR_NO_PERMISSION] = "NOPERM", [ERROR_TOO_BIG] = "LIMIT",
		[ERROR_OVER_QUOTA] = "OVERQUOTA", [ERROR_CONFLICT] = "CANNOT", [ERROR_TEMPORARY] = "UNAVAILABLE", [ERROR_UNAVAILABLE] = "UNAVAILABLE",
		[ERROR_CORRUPT] = "CORRUPTION", [ERROR_PROTOCOL] = "SERVERBUG", [ERROR_REFUSED] = "CANNOT", [ERROR_NO_SPACE] = "OVERQUOTA",
		[ERROR_CANCELLED] = "UNAVAILABLE", [ERROR_HELD] = "UNAVAILABLE", [ERROR_STALE_STORE] = "UNAVAILABLE", [ERROR_USAGE] = "CANNOT",
		[ERROR_IO] = "SERVERBUG",           [ERROR_UNTRUSTED] = "UNAVAILABLE",
	};
	session_no (s, error->domain == OUTPOST_ERROR ? codes[error->code] : "SERVERBUG", "%s", error->message);
	g_error_free (error);
	return FALSE;
}

static void
answer (ImapdSession *s, const char *tag)
{
	g_autofree char *usual = g_strdup_printf ("%s%s completed", imap_command_is_uid (s->command) ? "UID " : "", imap_command_name (s->command));
	imap_write_status (&s->out, tag, s->word, s->code->len ? s->code->str : NULL, s->text->len ? s->text->str : usual);
}

static void
command_begin (ImapdSession *s)
{
	s->word = "OK";
	g_string_truncate (s->code, 0);
	g_string_truncate (s->text, 0);
	s->own_from = s->own_to = 0;
	s->told = 0;
}

gboolean
session_progress (ImapdSession *s, guint64 done, guint64 total)
{
	gint64 every = s->settings->progress ? s->settings->progress : PROGRESS_US;
	if (every > 0 && done % PROGRESS_ROWS)
		return s->state != STATE_ENDED;
	gint64 now = g_get_monotonic_time ();
	if (!s->told)
		s->told = now;
	if (now - s->told < every)
		return s->state != STATE_ENDED;
	s->told = now;
	g_autofree char *tag = slice_dup (imap_command_tag (s->command));
	g_autofree char *code = g_strdup_printf ("INPROGRESS (\"%s\" %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT ")", tag, done, total);
	imap_write_status (&s->out, NULL, "OK", code, "still at it");
	session_flush (s, TRUE);
	return s->state != STATE_ENDED;
}

/* ---- What commands need ---- */

Store *
session_store (ImapdSession *s)
{
	GError *error = NULL;
	if (!s->store)
		s->store = mailbox_take_store (s->mailbox, &error);
	if (!s->store)
		session_fail (s, error);
	return s->store;
}

gboolean
session_begin (ImapdSession *s, Store *store)
{
	GError *error = NULL;
	if (!store_begin (store, &error))
		return session_fail (s, error);
	s->own_from = store_modseq (store) + 1;
	return TRUE;
}

gboolean
session_commit (ImapdSession *s, Store *store, gboolean ok, GError **error)
{
	guint64 last = store_modseq (store);
	ok = ok && store_commit (store, error);
	store_rollback (store);
	s->own_to = ok ? last : 0;
	if (ok && last >= s->own_from)
		mailbox_changed (s->mailbox);
	return ok || session_fail (s, g_steal_pointer (error));
}

char *
session_name (const ImapdSession *s, const ImapNode *n)
{
	Slice wire = node_text (n);
	if (wire.size == 0 || wire.size > NAME_MAX_OCTETS || memchr (wire.data, '\0', wire.size))
		return NULL;
	if (s->out.utf8)
		return g_utf8_validate_len (wire.data, wire.size, NULL) ? slice_dup (wire) : NULL;
	return utf7_decode (wire, FALSE);
}

Folder *
session_folder (ImapdSession *s, Store *store, const ImapNode *n, const char *code)
{
	GError *error = NULL;
	g_autofree char *name = session_name (s, n);
	Folder *f = name ? store_folder_by_path (store, name, &error) : NULL;
	if (f)
		return f;
	if (!name || error_is (error, ERROR_NOT_FOUND)) {
		session_no (s, code, "%s", error ? error->message : "this can't be a folder's name");
		g_clear_error (&error);
	} else
		session_fail (s, error);
	return NULL;
}

Folder *
session_selectable (ImapdSession *s, Store *store, const ImapNode *n, const char *code)
{
	g_autoptr (Folder) f = session_folder (s, store, n, code);
	if (f && !f->selectable) {
		session_no (s, "CANNOT", "folder '%s' holds only folders, no messages", f->path);
		return NULL;
	}
	return g_steal_pointer (&f);
}

gboolean
session_uids (ImapdSession *s, const ImapNode *n, gboolean uid, UidSet *uids_out)
{
	g_auto (ImapSet) set = {0};
	g_auto (UidSet) numbers = {0};
	if (!n || !node_is (n, WORD_SET) || !imap_set_parse (&set, node_text (n), RANGES_MAX))
		return session_bad (s, "a set of message numbers is expected");
	if (set.saved) {
		g_auto (UidSet) gone = {0};
		uid_set_copy (uids_out, &s->saved);
		uid_set_copy (&gone, &s->saved);
		uid_set_remove_set (&gone, &s->view->uids);
		uid_set_remove_set (uids_out, &gone);
		return TRUE;
	}
	if (!uid && s->uidonly)
		return session_wants_uids (s);
	if (!uid) {
		imap_set_resolve (&set, s->view->count, NULL, &numbers);
		if (s->view->count == 0 && imap_set_has_star (&set))
			return TRUE; /* 1:* of nothing, which many send without having looked */
		if (uid_set_max (&numbers) > s->view->count)
			return session_bad (s, "the folder has %u messages", s->view->count);
		view_uids_of (s->view, &numbers, uids_out);
		return TRUE;
	}
	/* UIDs that there are not are passed over. What is in both is what is left of the view without what is not asked for. */
	g_auto (UidSet) other = {0};
	imap_set_resolve (&set, uid_set_max (&s->view->uids), NULL, &numbers);
	uid_set_copy (&other, &s->view->uids);
	uid_set_remove_set (&other, &numbers);
	uid_set_copy (uids_out, &s->view->uids);
	uid_set_remove_set (uids_out, &other);
	return TRUE;
}

void
session_use_condstore (ImapdSession *s)
{
	if (s->condstore)
		return;
	s->condstore = TRUE;
	if (s->view) {
		imap_write_status_begin (&s->out, NULL, "OK", "HIGHESTMODSEQ");
		imap_write_number (&s->out, s->view->modseq);
		imap_write_status_end (&s->out, "changes are numbered");
	}
}

guint64
session_message_max (const ImapdSession *s)
{
	return s->settings->message_max ? s->settings->message_max : MESSAGE_MAX;
}

/* ---- Commands of any state ---- */

static gboolean
may_start_tls (const ImapdSession *s)
{
	return s->settings->tls && !s->encrypted;
}

static gboolean
may_deflate (const ImapdSession *s)
{
	return s->settings->deflate && !s->deflated;
}

/* RFC 8437 section 4.1 wants compression to end at different octets each way, which a client that compresses may well do by a new connection. */
static gboolean
may_log_off (const ImapdSession *s)
{
	return s->settings->unauthenticate && !s->deflated && !(s->peer.how & IMAPD_SERVER);
}

static char *
capabilities (const ImapdSession *s)
{
	if (s->state == STATE_NEW) {
		GString *text = g_string_new ("CAPABILITY " CAPABILITIES_BEFORE);
		g_string_append (text, may_start_tls (s) ? " STARTTLS" : "");
		if (s->is_private)
			sasl_write_capabilities (s, text);
		g_string_append (text, s->is_private ? " AUTH=PLAIN" : " LOGINDISABLED");
		return g_string_free (text, FALSE);
	}
	return g_strdup_printf ("CAPABILITY " CAPABILITIES "%s%s%s%s%s APPENDLIMIT=%" G_GUINT64_FORMAT, may_deflate (s) ? " COMPRESS=DEFLATE" : "",
	                        may_log_off (s) ? " UNAUTHENTICATE" : "",
	                        s->settings->quota ? " QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE" : "",
	                        s->settings->owner ? " ACL RIGHTS=texk LIST-MYRIGHTS" : "",
	                        s->settings->metadata ? " METADATA-SERVER" : "", session_message_max (s));
}

static void
run_capability (ImapdSession *s)
{
	g_autofree char *text = capabilities (s);
	g_string_append_printf (s->out.text, "* %s\r\n", text);
}

static void
run_noop (ImapdSession *s)
{
}

static void
run_logout (ImapdSession *s)
{
	imap_write_status (&s->out, NULL, "BYE", NULL, "see you");
}

/* Of who asks by ID. */
static void
take_pair (ImapdSession *s, Slice name, Slice value)
{
	g_autofree char *text = memchr (value.data, '\0', value.size) ? NULL : slice_dup (value);
	if (text && s->settings->refer && slice_equals_ascii_case (name, "name"))
		s->follows = g_strv_contains ((const char *const *) s->settings->refer, text);
	if (text && s->state == STATE_NEW && s->peer.how & IMAPD_SERVER && slice_equals_ascii_case (name, "x-originating-ip")) {
		g_free (s->originating);
		s->peer.address = s->originating = g_steal_pointer (&text);
	}
}

static void
run_id (ImapdSession *s)
{
	const Slice pairs[] = {{"name", 4}, {"outpost", 7}, {"version", 7}, {OUTPOST_VERSION, strlen (OUTPOST_VERSION)}};
	const ImapNode *list = imap_command_arg (s->command, 0);
	if (!list || (!node_is_nil (list) && list->kind != NODE_LIST) || node_count (list) > 60) {
		session_bad (s, "ID wants NIL or a list of at most 30 pairs");
		return;
	}
	for (const ImapNode *n = node_first (list), *value; n && (value = node_next (n)); n = node_next (value))
		if (node_is_astring (n) && node_is_astring (value))
			take_pair (s, node_text (n), node_text (value));
	imap_write_untagged (&s->out, "ID");
	imap_write_pairs (&s->out, pairs, G_N_ELEMENTS (pairs));
	imap_write_end (&s->out);
}

static void
run_starttls (ImapdSession *s)
{
	if (!may_start_tls (s))
		session_bad (s, s->encrypted ? "the connection is encrypted already" : "TLS is not offered here");
	else
		s->starting_tls = TRUE;
}

/* RFC 4978 section 3. GnuTLS does not compress, so that no other layer can be in its way. */
static void
run_compress (ImapdSession *s)
{
	if (!may_deflate (s))
		session_bad (s, s->deflated ? "the connection is compressed already" : "compression is not offered here");
	else if (node_count (imap_command_args (s->command)) != 1 || !node_is_word (imap_command_arg (s->command, 0), "DEFLATE"))
		session_bad (s, "COMPRESS wants DEFLATE");
	else
		s->starting_deflate = s->deflated = TRUE;
}

/* ---- Logging on ---- */

static void
log_on_as (ImapdSession *s, ImapdMailbox *m)
{
	s->mailbox = m;
	session_enter (s, STATE_LOGGED_ON);
	ImapCommandLimits limits = imap_limits_logged_on;
	limits.stream = session_message_max (s);
	imap_command_set_limits (s->command, &limits);
}

/* The limits can't be changed while a command is looked at: log_on_as is called behind it. */
static ImapdMailbox *
try_log_on (ImapdSession *s, const char *user, const char *password)
{
	if (!s->is_private) { /* RFC 9051 section 6.2.3 */
		session_no (s, "PRIVACYREQUIRED", "start TLS first: the password would go in plain text");
		return NULL;
	}
	GError *error = NULL;
	ImapdMailbox *m = s->settings->log_on ? s->settings->log_on (s->settings->data, &s->peer, user, password, &error) : NULL;
	if (!m)
		session_refuse_log_on (s, error);
	return m;
}

G_DEFINE_QUARK (imapd-elsewhere, imapd_elsewhere)

/* As a warning: to a tagged REFERRAL (RFC 2221) those who don't know it do what they do about a wrong password. */
static void
refer (ImapdSession *s, char **message)
{
	gboolean known = strcmp (message[0], "-") != 0 && !strpbrk (message[0], "]\r\n");
	g_autofree char *code = known ? g_strconcat ("REFERRAL ", message[0], NULL) : NULL;
	if (code)
		imap_write_status (&s->out, NULL, "NO", code, "the mailbox is there");
	session_no (s, "UNAVAILABLE", "%s", message[2]);
}

/* From one server to the next only: where two take each other for the home, nobody is sent round. */
static gboolean
may_relay (const ImapdSession *s)
{
	return s->settings->relay && !s->follows && !(s->peer.how & IMAPD_SERVER);
}

/* The answer is set either way: with s->relay it is that of the log-on. */
static void
pass_on (ImapdSession *s, const char *elsewhere)
{
	g_auto (GStrv) parts = g_strsplit (elsewhere, " ", 3);
	g_autofree char *code = NULL;
	GError *error = NULL;
	g_assert (g_strv_length (parts) == 3);
	if (may_relay (s) && (s->relay = s->settings->relay->open (s->settings->data, &s->peer, parts[1], NULL, s->send, s->send_data, &code, &error))) {
		g_string_assign (s->code, code);
		g_string_assign (s->text, "logged on");
		return;
	}
	s->refusals++;
	if (error && error_is (error, ERROR_TOO_BIG))
		session_no (s, "LIMIT", "%s", error->message);
	else
		refer (s, parts);
	if (error)
		g_message ("imapd: %s", error->message);
	g_clear_error (&error);
}

void
session_refuse_log_on (ImapdSession *s, GError *error)
{
	if (error && error->domain == IMAPD_ELSEWHERE) {
		pass_on (s, error->message);
	} else if (error && (error_is (error, ERROR_TOO_BIG) || error_is (error, ERROR_REFUSED))) {
		s->refusals++;
		session_no (s, error_is (error, ERROR_TOO_BIG) ? "LIMIT" : "UNAVAILABLE", "%s", error->message);
	} else if (error && !error_is (error, ERROR_NO_PERMISSION)) {
		g_message ("imapd: %s", error->message); /* not for somebody whom we don't know yet */
		session_no (s, "UNAVAILABLE", "the mailbox can't be opened now: try again later");
	} else {
		s->refusals++;
		s->pause = PAUSE_MS * s->refusals;
		session_no (s, "AUTHENTICATIONFAILED", "the name or the password is wrong");
	}
	g_clear_error (&error);
}

static char *
secret_of (Slice s)
{
	return memchr (s.data, '\0', s.size) ? NULL : slice_dup (s);
}

void
session_answer_log_on (ImapdSession *s, const char *tag, ImapdMailbox *m)
{
	if (m) {
		log_on_as (s, m);
		g_autofree char *text = capabilities (s);
		g_string_assign (s->code, text);
		g_string_assign (s->text, "logged on");
	}
	imap_write_status (&s->out, tag, s->word, s->code->len ? s->code->str : NULL, s->text->str);
	if (s->relay)
		session_enter (s, STATE_RELAYED);
	else if (s->refusals >= REFUSALS_MAX)
		imapd_session_bye (s, "too many log-ons that failed");
}

static void
do_login (ImapdSession *s, const char *tag)
{
	const ImapNode *user = imap_command_arg (s->command, 0), *password = imap_command_arg (s->command, 1);
	ImapdMailbox *m = NULL;
	if (node_count (imap_command_args (s->command)) != 2 || !node_is_astring (user) || !node_is_astring (password))
		session_bad (s, "LOGIN wants a name and a password");
	else {
		char *u = secret_of (node_text (user)), *p = secret_of (node_text (password));
		m = u && p ? try_log_on (s, u, p) : NULL;
		if (!u || !p)
			session_no (s, "AUTHENTICATIONFAILED", "the name or the password is wrong");
		sasl_wipe (u);
		sasl_wipe (p);
	}
	session_answer_log_on (s, tag, m);
}

static void
plain_response (ImapdSession *s, const char *tag, Slice text)
{
	ImapdMailbox *m = NULL;
	char *user = NULL, *password = NULL;
	if (slice_equals (text, "*"))
		session_bad (s, "the log-on was given up");
	else
		switch (sasl_plain_read (text, &user, &password)) {
		case SASL_PLAIN_BAD:
			session_bad (s, "this is no answer of PLAIN");
			break;
		case SASL_PLAIN_FOR_ANOTHER:
			session_no (s, "AUTHORIZATIONFAILED", "nobody may act for another here");
			break;
		case SASL_PLAIN_RIGHT:
			m = try_log_on (s, user, password);
		}
	g_free (user);
	sasl_wipe (password);
	session_answer_log_on (s, tag, m);
}

static void
do_authenticate (ImapdSession *s, const char *tag)
{
	const ImapNode *mechanism = imap_command_arg (s->command, 0), *initial = imap_command_arg (s->command, 1);
	const char *of_several = sasl_offers (s, mechanism);
	if (of_several)
		sasl_begin (s, tag, of_several, initial);
	else if (!node_is_word (mechanism, "PLAIN")) {
		session_no (s, "CANNOT", "the mechanisms that are offered here are told by CAPABILITY");
		session_answer_log_on (s, tag, NULL);
	} else if (initial)
		plain_response (s, tag, node_text (initial));
	else {
		g_string_append (s->out.text, "+ \r\n");
		s->tag = g_strdup (tag);
		s->expected = EXPECT_SASL;
	}
}

/* These two answer by themselves. */
static void
run_login (ImapdSession *s)
{
	g_autofree char *tag = slice_dup (imap_command_tag (s->command));
	do_login (s, tag);
	s->word = NULL;
}

static void
run_authenticate (ImapdSession *s)
{
	g_autofree char *tag = slice_dup (imap_command_tag (s->command));
	do_authenticate (s, tag);
	s->word = NULL;
}

/* All that a client has said since its log-on is forgotten (RFC 8437 section 3, 4.1), and the limits of before are back. Answers by itself. */
static void
run_unauthenticate (ImapdSession *s)
{
	if (!may_log_off (s) || node_count (imap_command_args (s->command)) > 0) {
		session_bad (s, may_log_off (s) ? "UNAUTHENTICATE takes no arguments" : "logging off is not offered here");
		return;
	}
	g_autofree char *tag = slice_dup (imap_command_tag (s->command));
	if (s->state == STATE_SELECTED)
		session_unselect (s);
	uid_set_clear (&s->saved);
	g_clear_pointer (&s->notify, notify_free);
	s->condstore = s->qresync = s->rev2 = s->uidonly = s->out.utf8 = FALSE;
	g_clear_pointer (&s->mailbox, imapd_mailbox_unref);
	session_enter (s, STATE_NEW);
	imap_command_set_limits (s->command, &imap_limits_before_log_on);
	g_autofree char *code = capabilities (s);
	imap_write_status (&s->out, tag, "OK", code, "logged off");
	s->word = NULL;
}

static void
run_enable (ImapdSession *s)
{
	GString *enabled = g_string_new (NULL);
	for (const ImapNode *n = node_first (imap_command_args (s->command)); n; n = node_next (n)) {
		if (node_is_word (n, "CONDSTORE") || node_is_word (n, "QRESYNC"))
			session_use_condstore (s);
		if (node_is_word (n, "QRESYNC"))
			s->qresync = TRUE;
		if (node_is_word (n, "IMAP4REV2") || node_is_word (n, "UTF8=ACCEPT"))
			s->out.utf8 = TRUE;
		s->rev2 |= node_is_word (n, "IMAP4REV2");
		s->uidonly |= node_is_word (n, "UIDONLY");
		static const char *const known[] = {"CONDSTORE", "QRESYNC", "IMAP4rev2", "UTF8=ACCEPT", "UIDONLY"};
		for (guint i = 0; i < G_N_ELEMENTS (known); i++)
			if (node_is_word (n, known[i]))
				g_string_append_printf (enabled, " %s", known[i]);
	}
	g_string_append_printf (s->out.text, "* ENABLED%s\r\n", enabled->str);
	g_string_free (enabled, TRUE);
}

static void
run_idle (ImapdSession *s)
{
	Store *store = s->state == STATE_SELECTED ? session_store (s) : NULL;
	if (store)
		session_announce (s, store, TRUE);
	s->tag = slice_dup (imap_command_tag (s->command));
	s->expected = EXPECT_DONE;
	imap_write_continuation (&s->out, "waiting for DONE");
	s->word = NULL;
}

/* ---- The table ---- */

enum {
	IN_NEW = 1,
	IN_LOGGED_ON = 2, /* or selected */
	IN_SELECTED = 4,
	UID_TOO = 8,      /* may be a UID command */
	NO_EXPUNGE = 16,  /* without UID, removals must not be told during it (RFC 9051 section 7.5.1) */
	LEAVES = 32,      /* the selected folder: nothing is told behind it */
	ENDS = 64,
	NUMBERS = 128,    /* without UID it takes or tells sequence numbers */
};

static const struct {
	const char *name;
	void (*run) (ImapdSession *s);
	guint rules;
} commands[] = {
	{"CAPABILITY", run_capability, IN_NEW | IN_LOGGED_ON},
	{"NOOP", run_noop, IN_NEW | IN_LOGGED_ON},
	{"LOGOUT", run_logout, IN_NEW | IN_LOGGED_ON | LEAVES | ENDS},
	{"ID", run_id, IN_NEW | IN_LOGGED_ON},
	{"STARTTLS", run_starttls, IN_NEW},
	{"LOGIN", run_login, IN_NEW},
	{"AUTHENTICATE", run_authenticate, IN_NEW},
	{"ENABLE", run_enable, IN_LOGGED_ON},
	{"COMPRESS", run_compress, IN_LOGGED_ON},
	{"UNAUTHENTICATE", run_unauthenticate, IN_LOGGED_ON | LEAVES},
	{"IDLE", run_idle, IN_LOGGED_ON},
	{"NOTIFY", run_notify, IN_LOGGED_ON},
	{"NAMESPACE", run_namespace, IN_LOGGED_ON},
	{"LIST", run_list, IN_LOGGED_ON},
	{"LSUB", run_lsub, IN_LOGGED_ON},
	{"STATUS", run_status, IN_LOGGED_ON},
	{"CREATE", run_create, IN_LOGGED_ON},
	{"DELETE", run_delete, IN_LOGGED_ON},
	{"RENAME", run_rename, IN_LOGGED_ON},
	{"SUBSCRIBE", run_subscribe, IN_LOGGED_ON},
	{"UNSUBSCRIBE", run_unsubscribe, IN_LOGGED_ON},
	{"APPEND", run_append, IN_LOGGED_ON},
	{"XRESUME", run_resume, IN_LOGGED_ON | LEAVES},
	{"GETQUOTA", run_getquota, IN_LOGGED_ON},
	{"GETQUOTAROOT", run_getquotaroot, IN_LOGGED_ON},
	{"SETQUOTA", run_setquota, IN_LOGGED_ON},
	{"MYRIGHTS", run_myrights, IN_LOGGED_ON},
	{"GETACL", run_getacl, IN_LOGGED_ON},
	{"LISTRIGHTS", run_listrights, IN_LOGGED_ON},
	{"SETACL", run_setacl, IN_LOGGED_ON},
	{"DELETEACL", run_deleteacl, IN_LOGGED_ON},
	{"GETMETADATA", run_getmetadata, IN_LOGGED_ON},
	{"SETMETADATA", run_setmetadata, IN_LOGGED_ON},
	{"SELECT", run_select, IN_LOGGED_ON | LEAVES},
	{"EXAMINE", run_examine, IN_LOGGED_ON | LEAVES},
	{"CLOSE", run_close, IN_SELECTED | LEAVES},
	{"UNSELECT", run_unselect, IN_SELECTED | LEAVES},
	{"CHECK", run_noop, IN_SELECTED},
	{"EXPUNGE", run_expunge, IN_SELECTED | UID_TOO},
	{"FETCH", run_fetch, IN_SELECTED | UID_TOO | NUMBERS | NO_EXPUNGE},
	{"STORE", run_store, IN_SELECTED | UID_TOO | NUMBERS | NO_EXPUNGE},
	{"SEARCH", run_search, IN_SELECTED | UID_TOO | NUMBERS | NO_EXPUNGE},
	{"SORT", run_sort, IN_SELECTED | UID_TOO | NUMBERS | NO_EXPUNGE},
	{"THREAD", run_thread, IN_SELECTED | UID_TOO | NUMBERS | NO_EXPUNGE},
	{"REPLACE", run_replace, IN_SELECTED | UID_TOO | NUMBERS},
	{"COPY", run_copy, IN_SELECTED | UID_TOO | NUMBERS | NO_EXPUNGE},
	{"MOVE", run_move, IN_SELECTED | UID_TOO | NUMBERS},
};

static guint
row_of (const ImapdSession *s)
{
	guint i = 0;
	while (i < G_N_ELEMENTS (commands) && !imap_command_is (s->command, commands[i].name))
		i++;
	return i;
}

static gboolean
may_run (ImapdSession *s, guint row)
{
	if (row == G_N_ELEMENTS (commands) || (imap_command_is_uid (s->command) && !(commands[row].rules & UID_TOO)))
		return session_bad (s, "there is no command %s%s", imap_command_is_uid (s->command) ? "UID " : "", imap_command_name (s->command));
	guint now = s->state == STATE_NEW ? IN_NEW : s->state == STATE_LOGGED_ON ? IN_LOGGED_ON : IN_LOGGED_ON | IN_SELECTED;
	if (commands[row].rules & now)
		return !s->uidonly || !(commands[row].rules & NUMBERS) || imap_command_is_uid (s->command) || session_wants_uids (s);
	return s->state == STATE_NEW ? session_bad (s, "log on first")
	       : commands[row].rules & IN_NEW ? session_bad (s, "you are logged on already") : session_bad (s, "select a folder first");
}

/* Behind whatever was asked: what others did meanwhile. */
static void
announce_behind (ImapdSession *s, guint rules)
{
	if (s->state != STATE_SELECTED || rules & LEAVES)
		return;
	GError *error = NULL;
	if (!s->store)
		s->store = mailbox_take_store (s->mailbox, &error);
	if (s->store)
		session_announce (s, s->store, !(rules & NO_EXPUNGE) || imap_command_is_uid (s->command));
	g_clear_error (&error);
}

/* The command's, if it has one; or for a folder that was left, which nobody may be woken for any more. */
static Store *
notify_store (ImapdSession *s)
{
	GError *error = NULL;
	if (!s->store && notify_has_left (s->notify))
		s->store = mailbox_take_store (s->mailbox, &error);
	g_clear_error (&error);
	return s->store;
}

static void
command_end (ImapdSession *s)
{
	if (s->mailbox)
		mailbox_give_store (s->mailbox, g_steal_pointer (&s->store));
	g_clear_pointer (&s->upload, upload_free);
}

static void
execute (ImapdSession *s)
{
	guint row = row_of (s), rules = row < G_N_ELEMENTS (commands) ? commands[row].rules : 0;
	gint64 began = s->settings->ran ? g_get_monotonic_time () : 0;
	command_begin (s);
	if (may_run (s, row))
		commands[row].run (s);
	if (s->word) {
		g_autofree char *tag = slice_dup (imap_command_tag (s->command));
		announce_behind (s, rules);
		if (s->notify && s->state != STATE_ENDED && notify_store (s))
			notify_tell (s, s->store);
		answer (s, tag);
	}
	if (rules & ENDS && s->word && strcmp (s->word, "OK") == 0) {
		session_flush (s, TRUE);
		session_enter (s, STATE_ENDED);
	}
	command_end (s);
	if (s->settings->ran)
		s->settings->ran (s->settings->data, row < G_N_ELEMENTS (commands) ? commands[row].name : "unknown", g_get_monotonic_time () - began);
	imap_command_forget (s->command); /* the client may wait for long now */
}

/* ---- Feeding ---- */

static void
refuse (ImapdSession *s)
{
	g_autofree char *tag = slice_dup (imap_command_tag (s->command));
	answer (s, tag);
	imap_command_refuse (s->command);
	command_end (s);
}

static void
message_announced (ImapdSession *s)
{
	command_begin (s);
	guint row = row_of (s);
	if (!may_run (s, row) || !append_begin (s))
		refuse (s);
	else if (imap_command_accept (s->command))
		imap_write_continuation (&s->out, "go on");
}

static void
lost (ImapdSession *s)
{
	imapd_session_bye (s, "too much that can't be understood");
}

static gsize
feed_command (ImapdSession *s, Slice input)
{
	gsize used;
	switch (imap_command_feed (s->command, input, &used)) {
	case COMMAND_MORE:
		break;
	case COMMAND_CONTINUE:
		imap_write_continuation (&s->out, "go on");
		break;
	case COMMAND_LITERAL:
		message_announced (s);
		break;
	case COMMAND_OCTETS:
		append_octets (s, imap_command_octets (s->command));
		break;
	case COMMAND_DONE:
		execute (s);
		break;
	case COMMAND_BAD: {
		g_autofree char *tag = slice_dup (imap_command_tag (s->command));
		imap_write_status (&s->out, strcmp (tag, "*") == 0 ? NULL : tag, "BAD", imap_command_is_too_big (s->command) ? "TOOBIG" : NULL,
		                   imap_command_fault (s->command));
		command_end (s);
		break;
	}
	case COMMAND_LOST:
		lost (s);
		break;
	}
	return used;
}

static void
line_came (ImapdSession *s, Slice line)
{
	g_autofree char *tag = g_steal_pointer (&s->tag);
	Expected expected = s->expected;
	s->expected = EXPECT_COMMAND;
	command_begin (s);
	if (expected == EXPECT_SASL && s->exchange) {
		sasl_line (s, tag, line);
		return;
	}
	if (expected == EXPECT_SASL) {
		plain_response (s, tag, line);
		return;
	}
	gboolean done = slice_equals_ascii_case (line, "DONE");
	imap_write_status (&s->out, tag, done ? "OK" : "BAD", NULL, done ? "IDLE completed" : "DONE was expected");
}

static gsize
feed_line (ImapdSession *s, Slice input)
{
	gsize used;
	Slice line;
	switch (imap_command_feed_line (s->command, input, &used, &line)) {
	case COMMAND_DONE:
		line_came (s, line);
		break;
	case COMMAND_BAD: /* too long: nothing that can be understood */
		line_came (s, (Slice){"!", 1});
		break;
	case COMMAND_LOST:
		lost (s);
		break;
	default:
		break;
	}
	return used;
}

/* What comes next is of another form. */
static gboolean
is_switching (const ImapdSession *s)
{
	return s->starting_tls || s->starting_deflate;
}

gboolean
imapd_session_follow (ImapdSession *s)
{
	g_autofree char *resume = s->settings->relay && s->mailbox ? session_resume_text (s) : NULL, *code = NULL;
	g_autofree char *id = resume ? g_path_get_basename (imapd_mailbox_path (s->mailbox)) : NULL;
	g_autoptr (GError) error = NULL;
	if (!id)
		return FALSE;
	s->relay = s->settings->relay->open (s->settings->data, &s->peer, id, resume, s->send, s->send_data, &code, &error);
	if (!s->relay) {
		g_message ("imapd: a session can't go along with its mailbox: %s", error->message);
		return FALSE;
	}
	g_clear_pointer (&s->mailbox, imapd_mailbox_unref);
	g_clear_pointer (&s->view, view_unref);
	session_set_folder (s, NULL);
	session_enter (s, STATE_RELAYED);
	return TRUE;
}

static gboolean
feed_relay (ImapdSession *s, Slice input)
{
	session_flush (s, TRUE); /* the answer to the log-on, which is this server's */
	if (s->state == STATE_RELAYED && !s->settings->relay->feed (s->relay, input))
		session_enter (s, STATE_ENDED);
	return s->state == STATE_RELAYED;
}

gboolean
imapd_session_take (ImapdSession *s)
{
	if (s->state == STATE_RELAYED && !s->settings->relay->take (s->relay))
		session_enter (s, STATE_ENDED);
	return s->state != STATE_ENDED;
}

gboolean
imapd_session_feed (ImapdSession *s, Slice input)
{
	while (input.size > 0 && s->state != STATE_ENDED && !is_switching (s)) {
		if (s->state == STATE_RELAYED)
			return feed_relay (s, input);
		gsize used = s->expected == EXPECT_COMMAND ? feed_command (s, input) : feed_line (s, input);
		input = (Slice){input.data + used, input.size - used};
		session_flush (s, FALSE);
	}
	if (s->resumed) {
		s->resumed = FALSE;
		imapd_session_wake (s); /* in IDLE: what came since */
	}
	session_flush (s, TRUE);
	/* What came behind STARTTLS came unprotected and would be taken for protected (CVE-2011-0411); behind COMPRESS nothing may come (RFC 4978 section 3). */
	if (is_switching (s) && input.size > 0)
		session_enter (s, STATE_ENDED);
	return s->state != STATE_ENDED;
}

/* Whether changes of the selected folder are told now: in IDLE, and where NOTIFY asks for it. */
static gboolean
tells_selected (const ImapdSession *s, gboolean *expunge_out)
{
	*expunge_out = TRUE;
	return s->state == STATE_SELECTED && (s->expected == EXPECT_DONE || notify_selected (s->notify, expunge_out));
}

gboolean
imapd_session_waits (const ImapdSession *s)
{
	gboolean expunge;
	return s->state == STATE_RELAYED || (s->state != STATE_ENDED && (s->notify || tells_selected (s, &expunge)));
}

gboolean
imapd_session_wake (ImapdSession *s)
{
	gboolean expunge;
	if (s->state == STATE_RELAYED || !imapd_session_waits (s) || s->upload) /* in the midst of an APPEND it is told behind it */
		return s->state != STATE_ENDED;
	GError *error = NULL;
	s->own_from = s->own_to = 0;
	s->store = mailbox_take_store (s->mailbox, &error);
	if (s->store && tells_selected (s, &expunge))
		session_announce (s, s->store, expunge);
	if (s->store && s->notify && s->state != STATE_ENDED)
		notify_tell (s, s->store);
	g_clear_error (&error);
	command_end (s);
	session_flush (s, TRUE);
	return s->state != STATE_ENDED;
}

ImapdMailbox *
imapd_session_mailbox (const ImapdSession *s)
{
	return s->mailbox;
}

const char *
imapd_session_folder (const ImapdSession *s)
{
	return s->folder;
}

gboolean
imapd_session_is_logged_on (const ImapdSession *s)
{
	return s->state == STATE_LOGGED_ON || s->state == STATE_SELECTED || s->state == STATE_RELAYED;
}

guint
imapd_session_pause (ImapdSession *s)
{
	guint pause = s->pause;
	s->pause = 0;
	return pause;
}

gboolean
imapd_session_wants_tls (const ImapdSession *s)
{
	return s->starting_tls;
}

void
imapd_session_encrypted (ImapdSession *s)
{
	s->starting_tls = FALSE;
	s->encrypted = s->is_private = TRUE;
}

gboolean
imapd_session_takes_deflate (ImapdSession *s)
{
	gboolean takes = s->starting_deflate;
	s->starting_deflate = FALSE;
	return takes;
}

void
imapd_session_bye (ImapdSession *s, const char *why)
{
	if (s->state == STATE_ENDED)
		return;
	if (s->state != STATE_RELAYED) /* there it could be in the midst of another server's answer, or of DEFLATE */
		imap_write_status (&s->out, NULL, "BYE", NULL, why);
	session_flush (s, TRUE);
	session_enter (s, STATE_ENDED);
}

/* ---- Beginning and end ---- */

ImapdSession *
imapd_session_new (const ImapdSettings *settings, ImapdMailbox *mailbox, const ImapdPeer *peer, ImapdSend send, gpointer data)
{
	ImapdSession *s = g_new0 (ImapdSession, 1);
	s->peer = *peer;
	s->is_private = peer->how & IMAPD_PRIVATE;
	s->encrypted = peer->how & IMAPD_ENCRYPTED;
	s->settings = settings;
	s->send = send;
	s->send_data = data;
	s->command = imap_command_new (&imap_limits_before_log_on);
	imap_command_allow_utf8 (s->command, TRUE);
	imap_writer_init (&s->out, LITERALS_SERVER);
	s->code = g_string_new (NULL);
	s->text = g_string_new (NULL);
	if (mailbox)
		log_on_as (s, mailbox);
	g_autofree char *code = capabilities (s);
	imap_write_status (&s->out, NULL, mailbox ? "PREAUTH" : "OK", code, "outpost is ready");
	session_flush (s, TRUE);
	return s;
}

void
imapd_session_free (ImapdSession *s)
{
	if (!s)
		return;
	command_end (s);
	sasl_end (s);
	if (s->relay)
		s->settings->relay->free (s->relay);
	g_free (s->originating);
	imapd_mailbox_unref (s->mailbox);
	view_unref (s->view);
	g_free (s->folder);
	uid_set_clear (&s->saved);
	notify_free (s->notify);
	imap_command_free (s->command);
	imap_writer_clear (&s->out);
	g_string_free (s->code, TRUE);
	g_string_free (s->text, TRUE);
	g_free (s->tag);
	g_free (s);
}
