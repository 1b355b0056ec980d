/* SPDX-License-Identifier: Apache-2.0 */
#include "conversation.h"

const char conversation_message[] = "From: Ada <ada@example.org>\r\n"
                                    "To: bob@example.org\r\n"
                                    "Subject: two parts\r\n"
                                    "Date: Mon, 2 Mar 2026 23:30:00 -0500\r\n"
                                    "Message-ID: <one@example.org>\r\n"
                                    "MIME-Version: 1.0\r\n"
                                    "Content-Type: multipart/mixed; boundary=b\r\n"
                                    "\r\n"
                                    "--b\r\n"
                                    "Content-Type: text/plain\r\n"
                                    "\r\n"
                                    "hello world\r\n"
                                    "--b\r\n"
                                    "Content-Type: message/rfc822\r\n"
                                    "\r\n"
                                    "Subject: within\r\n"
                                    "\r\n"
                                    "inner\r\n"
                                    "--b--\r\n";

typedef struct {
	const Conversation *c;
	Fixture *f;
	ImapdPool *pool;
	ImapdSession *sessions[2];
	GString *out[2];
	guint changes;
	ImapdQuota quota;
} Talk;

static gboolean
take (gpointer data, const char *octets, gsize size)
{
	g_string_append_len ((GString *) data, octets, (gssize) size);
	return TRUE;
}

static gboolean
quota (gpointer data, const ImapdMailbox *m, ImapdQuota *out, GError **error)
{
	*out = ((Talk *) data)->quota;
	return TRUE;
}

static char *
owner (gpointer data, const ImapdMailbox *m, GError **error)
{
	return g_strdup ("alice@example.org");
}

static ImapdMailbox *
log_on (gpointer data, const ImapdPeer *peer, const char *user, const char *password, GError **error)
{
	Talk *t = data;
	if (strcmp (user, "alice") == 0 && strcmp (password, "wonder land\"") == 0)
		return imapd_pool_open (t->pool, t->f->path, error);
	if (strcmp (user, "moved") == 0 || strcmp (user, "away") == 0) {
		g_set_error (error, IMAPD_ELSEWHERE, 0, "%s id it is not here", strcmp (user, "moved") == 0 ? "imaps://b:993" : "-");
		return NULL;
	}
	error_fail (error, ERROR_NO_PERMISSION, "refused");
	return NULL;
}

/* A mechanism of two messages: "alice", then "wonderland". */
typedef struct {
	Talk *t;
	guint messages;
} TwoMessages;

static const char *const *
offered (gpointer data, const ImapdPeer *peer)
{
	static const char *const names[] = {"X-TWO", NULL};
	return names;
}

static gpointer
two_begin (gpointer data, const ImapdPeer *peer, const char *mechanism, GError **error)
{
	TwoMessages *two = g_new0 (TwoMessages, 1);
	two->t = data;
	assert_string_equal (mechanism, "X-TWO");
	return two;
}

static gboolean
two_step (gpointer exchange, Slice message, GString *answer, ImapdMailbox **mailbox_out, GError **error)
{
	TwoMessages *two = exchange;
	if (two->messages++ == 0) {
		g_string_append (answer, "and?");
		return slice_equals (message, "alice") || error_fail (error, ERROR_PROTOCOL, "who is that");
	}
	if (!slice_equals (message, "wonderland"))
		return error_fail (error, ERROR_NO_PERMISSION, "not for the client: wrong");
	*mailbox_out = imapd_pool_open (two->t->pool, two->t->f->path, error);
	return *mailbox_out != NULL;
}

static const ImapdSasl two_messages = {.offered = offered, .begin = two_begin, .step = two_step, .free = g_free};

static GPtrArray *
metadata (gpointer data, GError **error)
{
	static const char *const entries[] = {"/shared/comment", "a \"server\"", "/shared/vendor/x/a", "one", "/shared/vendor/x/a/b", "two two", "/shared/vendor/xy", "three"};
	GPtrArray *all = g_ptr_array_new_with_free_func (g_free);
	for (guint i = 0; i < G_N_ELEMENTS (entries); i++)
		g_ptr_array_add (all, g_strdup (entries[i]));
	return all;
}

static void
changed (gpointer data, ImapdMailbox *m)
{
	((Talk *) data)->changes++;
}

static void
put_text (Store *s, gint64 folder, const char *text, gint64 received, guint flags, const char *keywords)
{
	GError *e = NULL;
	gint64 message;
	g_autoptr (Prepared) p = message_of (text, received);
	must (store_add_message (s, p, folder, &message, &e) && store_place (s, folder, message, flags, keywords, FALSE, 0, NULL, &e), &e);
}

void
conversation_fill (Store *s)
{
	GError *e = NULL;
	begin (s);
	gint64 inbox = make_folder (s, "INBOX");
	make_folder (s, "Archive");
	gint64 old = make_folder (s, "Archive/Old"), sent = make_folder (s, "Sent");
	must (store_folder_set (s, sent, "sent", TRUE, TRUE, &e), &e);
	put_text (s, inbox, conversation_message, 1772512200, FLAG_SEEN, NULL);
	put_text (s, inbox, "Subject: second\r\nFrom: bob@example.org\r\n\r\nbudget report\r\n", 1772598600, FLAG_SEEN | FLAG_FLAGGED, "foo");
	put_text (s, inbox, "Subject: =?utf-8?q?M=C3=BCller?=\r\nFrom: Carl <carl@example.org>\r\n\r\nthird\r\n", 1772685000, 0, NULL);
	put_text (s, old, "Subject: old\r\n\r\nold one\r\n", 1577836800, 0, NULL);
	commit (s);
}

/* ---- What others do meanwhile ---- */

static gint64
folder_id (Store *s, const char *path)
{
	GError *e = NULL;
	g_autoptr (Folder) f = store_folder_by_path (s, path, &e);
	must (f != NULL, &e);
	return f->id;
}

static gint64
placement_id (Store *s, const char *uid)
{
	GError *e = NULL;
	g_autoptr (Placement) p = store_placement_by_uid (s, folder_id (s, "INBOX"), (guint32) g_ascii_strtoull (uid, NULL, 10), &e);
	must (p != NULL, &e);
	return p->id;
}

/* "remove 2", "flag 2 4", "add", "wake", "quota 5000 0" (octets, messages), "saved 2 1577836800" (0: not known) */
static void
behind (Talk *t, const char *what)
{
	GError *e = NULL;
	g_auto (GStrv) words = g_strsplit (what, " ", 3);
	Store *s = t->f->s;
	if (strcmp (words[0], "wake") == 0) {
		for (guint i = 0; i < 2; i++)
			if (t->sessions[i] && imapd_session_waits (t->sessions[i]))
				assert_true (imapd_session_wake (t->sessions[i]));
		return;
	}
	if (strcmp (words[0], "quota") == 0) {
		t->quota = (ImapdQuota){g_ascii_strtoull (words[1], NULL, 10), g_ascii_strtoull (words[2], NULL, 10)};
		return;
	}
	begin (s);
	if (strcmp (words[0], "remove") == 0)
		must (store_remove (s, placement_id (s, words[1]), "home", &e), &e);
	else if (strcmp (words[0], "flag") == 0)
		must (store_set_flags (s, placement_id (s, words[1]), (guint) atoi (words[2]), NULL, &e), &e);
	else if (strcmp (words[0], "saved") == 0) {
		g_autofree char *text = g_strdup_printf ("UPDATE placement SET saved = NULLIF (%s, 0) WHERE id = %" G_GINT64_FORMAT, words[2], placement_id (s, words[1]));
		sql (s, text);
	} else if (strcmp (words[0], "add") == 0)
		put_text (s, folder_id (s, "INBOX"), "Subject: new\r\n\r\nnew\r\n", 1772700000, 0, NULL);
	else
		fail_msg ("unknown: %s", what);
	commit (s);
}

/* ---- Playing ---- */

/* The first line of what has come, without its end; NULL: none. */
static char *
take_line (GString *out)
{
	const char *end = strstr (out->str, "\r\n");
	if (!end)
		return NULL;
	char *line = g_strndup (out->str, (gsize) (end - out->str));
	g_string_erase (out, 0, end + 2 - out->str);
	return line;
}

static void
expect_line (Talk *t, guint i, const char *pattern)
{
	g_autofree char *line = take_line (t->out[i]), *whole = g_strconcat ("^(?:", pattern, ")$", NULL);
	if (!line || !g_regex_match_simple (whole, line, G_REGEX_RAW, 0))
		fail_msg ("%s\n  expected: %s\n  came:     %s", t->c->title, pattern, line ? line : "nothing");
}

static void
expect_end (Talk *t, guint i)
{
	if (t->out[i]->len)
		fail_msg ("%s\n  came, but was not expected: %s", t->c->title, t->out[i]->str);
}

static ImapdSession *
session_of (Talk *t, const ImapdSettings *settings, guint i)
{
	if (t->sessions[i])
		return t->sessions[i];
	t->out[i] = g_string_new (NULL);
	const ImapdPeer peer = {.how = t->c->far ? 0 : IMAPD_PRIVATE, .address = "192.0.2.1"};
	t->sessions[i] = imapd_session_new (settings, NULL, &peer, take, t->out[i]);
	expect_line (t, i, "\\* OK \\[CAPABILITY IMAP4rev1 IMAP4rev2 [^]]*\\] outpost is ready");
	if (t->c->log_on) {
		static const char login[] = "login LOGIN alice \"wonder land\\\"\"\r\n";
		assert_true (imapd_session_feed (t->sessions[i], (Slice){login, strlen (login)}));
		expect_line (t, i, "login OK \\[CAPABILITY .*\\] logged on");
	}
	return t->sessions[i];
}

/* "\n" of a talk's line is CRLF within what is sent. */
static void
say (Talk *t, const ImapdSettings *settings, guint i, const char *text)
{
	g_auto (GStrv) parts = g_strsplit (text, "\\n", -1);
	g_autofree char *joined = g_strjoinv ("\r\n", parts), *line = g_strconcat (joined, "\r\n", NULL);
	imapd_session_feed (session_of (t, settings, i), (Slice){line, strlen (line)});
}

static void
play (Talk *t, const ImapdSettings *settings)
{
	guint i = 0;
	g_auto (GStrv) lines = g_strsplit (t->c->talk, "\n", -1);
	session_of (t, settings, 0);
	for (char **l = lines; *l; l++) {
		if (!**l)
			continue;
		const char *text = *l;
		if (g_ascii_isdigit (*text)) {
			expect_end (t, i);
			i = (guint) (*text - '1');
			text += 3;
			session_of (t, settings, i);
		}
		if (g_str_has_prefix (text, "C: ")) {
			expect_end (t, i);
			say (t, settings, i, text + 3);
		} else if (g_str_has_prefix (text, "X: "))
			behind (t, text + 3);
		else if (g_str_has_prefix (text, "S: "))
			expect_line (t, i, text + 3);
		else if (g_str_has_prefix (text, "E: ")) {
			expect_end (t, i);
			assert_true (imapd_session_wants_tls (t->sessions[i]));
			imapd_session_encrypted (t->sessions[i]);
		}
		else if (g_str_has_prefix (text, "D: ")) {
			expect_end (t, i);
			assert_true (imapd_session_takes_deflate (t->sessions[i]));
			assert_false (imapd_session_takes_deflate (t->sessions[i]));
		}
		else
			fail_msg ("%s: no line of a talk: %s", t->c->title, text);
	}
	for (i = 0; i < 2; i++)
		if (t->sessions[i])
			expect_end (t, i);
}

void
conversation_run (const Conversation *c)
{
	void *state;
	fixture_set_up (&state);
	Talk t = {.c = c, .f = state};
	conversation_fill (t.f->s);
	t.pool = imapd_pool_new (changed, &t, NULL);
	const ImapdSettings settings = {.log_on = log_on, .sasl = c->sasl ? &two_messages : NULL, .data = &t, .message_max = 5u << 20, .tls = c->far,
	                                .quota = c->bare ? NULL : quota, .owner = c->bare ? NULL : owner, .metadata = c->bare ? NULL : metadata, .deflate = !c->bare, .unauthenticate = !c->bare, .progress = c->slow ? -1 : 0};
	play (&t, &settings);
	for (guint i = 0; i < 2; i++) {
		imapd_session_free (t.sessions[i]);
		if (t.out[i])
			g_string_free (t.out[i], TRUE);
	}
	imapd_pool_free (t.pool);
	assert_clean (t.f->s);
	fixture_tear_down (&state);
}
