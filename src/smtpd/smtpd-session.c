/* SPDX-License-Identifier: Apache-2.0 */
/* A session: what comes in is a command's line, a message's text or a chunk; a row of the table says when a command may be given. */
#include "digest.h"
#include "sasl.h"
#include "smtpd-private.h"
#include <string.h>
#include <time.h>

#define FLUSH_AT (64u << 10)
#define LINE_MAX_OCTETS 4096u /* its CRLF among them */
#define AUTH_MAX_OCTETS 12290u /* RFC 4954 section 4 */
#define RECIPIENTS_MAX 1000u
#define IDLE_MAX 100u         /* commands in a row that bring no delivery nearer */
#define BAD_MAX 20u
#define RECEIVED_MAX 100u
#define MESSAGE_MAX (G_GUINT64_CONSTANT (128) << 20)

/* ---- States ---- */

#define IN(state) (1u << STATE_##state)
static const unsigned moves[] = {
	[STATE_GREETED] = IN (GREETED) | IN (READY) | IN (ENDED),
	[STATE_READY] = IN (GREETED) | IN (READY) | IN (SENDER) | IN (ENDED),
	[STATE_SENDER] = IN (RECIPIENTS) | IN (READY) | IN (ENDED),
	[STATE_RECIPIENTS] = IN (RECIPIENTS) | IN (TEXT) | IN (CHUNKS) | IN (READY) | IN (ENDED),
	[STATE_TEXT] = IN (READY) | IN (ENDED),
	[STATE_CHUNKS] = IN (CHUNKS) | IN (READY) | IN (ENDED),
	[STATE_ENDED] = IN (ENDED),
};

void
session_enter (SmtpdSession *s, SessionState next)
{
	g_assert (moves[s->state] & (1u << next));
	s->state = next;
}

static void
forget_parameters (SmtpdSession *s)
{
	s->utf8 = FALSE;
	g_clear_pointer (&s->ret, g_free);
	g_clear_pointer (&s->envid, g_free);
}

static void
forget_message (SmtpdSession *s)
{
	g_clear_pointer (&s->sender, g_free);
	g_clear_pointer (&s->message, smtpd_message_free);
	for (guint i = 0; i < s->recipients->len; i++)
		if (s->recipients->pdata[i] && s->settings->recipient_free)
			s->settings->recipient_free (s->recipients->pdata[i]);
	g_ptr_array_set_size (s->recipients, 0);
	g_ptr_array_set_size (s->addresses, 0);
	g_ptr_array_set_size (s->notify, 0);
	g_ptr_array_set_size (s->orcpt, 0);
	forget_parameters (s);
}

/* ---- Replies ---- */

static void
flush (SmtpdSession *s)
{
	if (s->out->len && s->state != STATE_ENDED && !s->send (s->send_data, s->out->str, s->out->len))
		session_enter (s, STATE_ENDED);
	if (s->out->allocated_len > FLUSH_AT) {
		g_string_free (s->out, TRUE);
		s->out = g_string_new (NULL);
	} else
		g_string_truncate (s->out, 0);
}

void
session_reply (SmtpdSession *s, const char *code, const char *text)
{
	g_string_append_printf (s->out, "%s %s\r\n", code, text);
	if (s->out->len >= FLUSH_AT)
		flush (s);
}

/* Answers what is no right command, or the last of too many. */
void
session_refuse (SmtpdSession *s, const char *code, const char *text)
{
	if (++s->bad < BAD_MAX)
		session_reply (s, code, text);
	else
		smtpd_session_bye (s, "too many bad commands");
}

/* Answers what leaves it unknown where the next command begins. */
static void
refuse_and_end (SmtpdSession *s, const char *code, const char *text)
{
	session_reply (s, code, text);
	flush (s);
	session_enter (s, STATE_ENDED);
}

typedef struct {
	const char *code, *text;
} Words;

/* Of submission: told as it stands, as it is about what the client asked for. */
static gboolean
words_of_submission (const GError *error, Words *out)
{
	if (error_is (error, ERROR_NO_PERMISSION))
		*out = (Words){"550 5.7.1", error->message};
	else if (error_is (error, ERROR_REFUSED))
		*out = (Words){"450 4.7.1", error->message};
	else if (error_is (error, ERROR_PROTOCOL))
		*out = (Words){"554 5.6.0", error->message};
	else
		return FALSE;
	return TRUE;
}

static Words
words_of_error (const SmtpdSession *s, const GError *error)
{
	Words told;
	if (s->submission && words_of_submission (error, &told))
		return told;
	static const Words words[] = {
		[ERROR_NOT_FOUND] = {"550 5.1.1", "there is no such mailbox"}, [ERROR_NO_PERMISSION] = {"550 5.7.1", "mail to it is not accepted"},
		[ERROR_TOO_BIG] = {"552 5.3.4", "the message is too big for it"}, [ERROR_OVER_QUOTA] = {"452 4.2.2", "the mailbox is full"},
		[ERROR_NO_SPACE] = {"452 4.3.1", "the disk is full, try again later"},
	};
	guint i = error->domain == OUTPOST_ERROR ? (guint) error->code : G_N_ELEMENTS (words);
	if (i < G_N_ELEMENTS (words) && words[i].code)
		return words[i];
	g_message ("smtpd: %s", error->message);
	return (Words){"451 4.3.0", "it can't be served now, try again later"};
}

static Words
words_of_failure (Failure failure)
{
	static const Words words[] = {
		[FAILURE_NONE] = {"250 2.0.0", "taken"}, [FAILURE_TOO_BIG] = {"552 5.3.4", "the message is too big"},
		[FAILURE_NO_SPACE] = {"452 4.3.1", "the disk is full, try again later"}, [FAILURE_LOCAL] = {"451 4.3.0", "it can't be kept now, try again later"},
	};
	return words[failure];
}

static void
reply_for (SmtpdSession *s, guint recipient, Words words)
{
	g_autofree char *text = g_strdup_printf ("<%s> %s", (char *) s->addresses->pdata[recipient], words.text);
	session_reply (s, words.code, text);
}

/* ---- The message ---- */

/* RFC 5322 section 3.3; strftime's names are the locale's. */
char *
smtpd_date_now (void)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = time (NULL);
	struct tm t;
	gmtime_r (&now, &t);
	return g_strdup_printf ("%s, %d %s %d %02d:%02d:%02d +0000", days[t.tm_wday], t.tm_mday, months[t.tm_mon], 1900 + t.tm_year, t.tm_hour, t.tm_min,
	                        t.tm_sec);
}

static const char *
protocol_of (const SmtpdSession *s)
{
	if (!s->submission)
		return "LMTP";
	return s->utf8 ? (s->peer.encrypted ? "SMTPSA" : "SMTPA") : s->peer.encrypted ? "ESMTPSA" : "ESMTPA";
}

/* RFC 5321 section 4.4; "with": RFC 3848, RFC 6531 section 4.3. Of several recipients none is named to the others. */
static char *
trace_of (const SmtpdSession *s, const char *id)
{
	g_autofree char *date = smtpd_date_now ();
	g_autofree char *from = *s->address ? g_strdup_printf ("%s ([%s%s])", s->client, strchr (s->address, ':') ? "IPv6:" : "", s->address) : g_strdup (s->client);
	g_autofree char *to = s->addresses->len == 1 ? g_strdup_printf ("\r\n\tfor <%s>", (char *) s->addresses->pdata[0]) : g_strdup ("");
	g_autofree char *path = s->submission ? g_strdup ("") : g_strdup_printf ("Return-Path: <%s>\r\n", s->sender);
	return g_strdup_printf ("%sReceived: from %s\r\n\tby %s with %s%s id %s%s;\r\n\t%s\r\n", path, from, s->settings->host, s->utf8 ? "UTF8" : "",
	                        protocol_of (s), id, to, date);
}

static guint64
message_max (const SmtpdSession *s)
{
	return s->settings->message_max ? s->settings->message_max : MESSAGE_MAX;
}

static guint
recipients_max (const SmtpdSession *s)
{
	return s->submission && s->submission->recipients_max ? s->submission->recipients_max : RECIPIENTS_MAX;
}

static void
begin_message (SmtpdSession *s)
{
	Id128 id = id128_random ();
	char text[ID_TEXT_SIZE];
	id128_text (&id, text);
	s->message = message_new (s->sender, text, s->settings->folder, message_max (s));
	g_autofree char *trace = trace_of (s, text);
	message_put_before (s->message, trace);
	s->idle = 0;
}

/* One reply for each recipient (RFC 2033 section 4.2); in submission one for all. */
static void
reply_to_all (SmtpdSession *s, Words words)
{
	if (s->submission) {
		session_reply (s, words.code, words.text);
		return;
	}
	for (guint i = 0; i < s->addresses->len; i++)
		reply_for (s, i, words);
}

static void
hand_over (SmtpdSession *s)
{
	g_autoptr (GError) error = NULL;
	const SmtpdEnvelope envelope = {s->who, s->utf8, s->ret, s->envid, (char *const *) s->addresses->pdata, (char *const *) s->notify->pdata,
	                                (char *const *) s->orcpt->pdata};
	message_set_envelope (s->message, &envelope);
	s->settings->deliver (s->settings->data, s->message, s->recipients->pdata, s->recipients->len, &error);
	g_autofree char *text = g_strdup_printf ("queued as %s", smtpd_message_id (s->message));
	reply_to_all (s, error ? words_of_error (s, error) : (Words){"250 2.0.0", text});
	if (!error)
		s->bad = 0;
}

static void
deliver (SmtpdSession *s)
{
	guint n = s->recipients->len;
	g_autofree GError **results = g_new0 (GError *, n);
	s->settings->deliver (s->settings->data, s->message, s->recipients->pdata, n, results);
	for (guint i = 0; i < n; i++) {
		reply_for (s, i, results[i] ? words_of_error (s, results[i]) : (Words){"250 2.0.0", "delivered"});
		g_clear_error (&results[i]);
	}
	s->bad = 0;
}

static gboolean
is_loop (const SmtpdMessage *m)
{
	gsize size;
	const char *octets = g_bytes_get_data (smtpd_message_octets (m), &size);
	return message_count_received ((Slice){octets, size}) > RECEIVED_MAX + 1; /* ours is one */
}

static void
end_message (SmtpdSession *s)
{
	Failure failure = message_end (s->message);
	if (failure)
		reply_to_all (s, words_of_failure (failure));
	else if (is_loop (s->message))
		reply_to_all (s, (Words){"554 5.4.6", "the message goes round in a loop: too many Received fields"});
	else if (s->submission)
		hand_over (s);
	else
		deliver (s);
	forget_message (s);
	if (s->state != STATE_ENDED)
		session_enter (s, STATE_READY);
}

/* ---- Commands ---- */

static gboolean
is_greeted (SmtpdSession *s, Slice args)
{
	if (!path_is_host (args)) {
		session_refuse (s, "501 5.5.4", s->submission ? "EHLO wants the client's name" : "LHLO wants the client's name");
		return FALSE;
	}
	g_free (s->client);
	s->client = slice_dup (args);
	forget_message (s);
	session_enter (s, STATE_READY);
	return TRUE;
}

static void
run_hello (SmtpdSession *s, Slice args)
{
	if (!is_greeted (s, args))
		return;
	g_string_append_printf (s->out, "250-%s\r\n250-PIPELINING\r\n250-SIZE %" G_GUINT64_FORMAT "\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n",
	                        s->settings->host, message_max (s));
	if (s->submission) {
		g_string_append (s->out, "250-DSN\r\n");
		auth_write_offers (s, s->out);
	}
	g_string_append (s->out, "250 ENHANCEDSTATUSCODES\r\n");
}

static void
run_helo (SmtpdSession *s, Slice args)
{
	if (is_greeted (s, args))
		session_reply (s, "250", s->settings->host);
}

/* RFC 2033 section 4.1 */
static void
run_wrong_hello (SmtpdSession *s, Slice args)
{
	session_refuse (s, "500 5.5.1", s->submission ? "this is SMTP: say EHLO" : "this is LMTP: say LHLO");
}

/* FALSE: *rest does not begin with @word, in any case. */
static gboolean
take_word (Slice *rest, const char *word)
{
	gsize n = strlen (word);
	if (rest->size < n || g_ascii_strncasecmp (rest->data, word, n) != 0)
		return FALSE;
	*rest = (Slice){rest->data + n, rest->size - n};
	return TRUE;
}

/* Parameters as rows; what is no row is refused. What RFC 3461 has is for who sends reports of delivery: of LMTP that is whoever speaks to us. */
typedef struct {
	const char *keyword;
	const Words *(*set) (SmtpdSession *s, Slice value); /* NULL: right, else the answer */
} Parameter;

static const Words bad_parameter = {"501 5.5.4", "a parameter is wrong"}, unknown_parameter = {"555 5.5.4", "there is no such parameter"};
static const Words too_big = {"552 5.3.4", "the message is too big"}, needs_utf8 = {"553 5.6.7", "such an address needs SMTPUTF8"};

static const Words *
set_size (SmtpdSession *s, Slice value)
{
	guint64 size;
	if (!number_parse (value, &size))
		return &bad_parameter;
	return size > message_max (s) ? &too_big : NULL;
}

static const Words *
set_body (SmtpdSession *s, Slice value)
{
	return slice_equals_ascii_case (value, "7BIT") || slice_equals_ascii_case (value, "8BITMIME") ? NULL : &bad_parameter;
}

static const Words *
set_utf8 (SmtpdSession *s, Slice value)
{
	s->utf8 = TRUE;
	return value.data ? &bad_parameter : NULL;
}

/* A value of RFC 3461 is kept as it came, for who is next; of one that came before in this command the first stays until it is refused. */
static const Words *
keep (char **to, Slice value)
{
	g_free (*to);
	*to = slice_dup (value);
	return NULL;
}

static const Words *
set_ret (SmtpdSession *s, Slice value)
{
	if (!value.data)
		return &bad_parameter;
	if (!s->submission)
		return NULL;
	return slice_equals_ascii_case (value, "FULL") || slice_equals_ascii_case (value, "HDRS") ? keep (&s->ret, value) : &bad_parameter;
}

static const Words *
set_envid (SmtpdSession *s, Slice value)
{
	if (!value.data)
		return &bad_parameter;
	return !s->submission ? NULL : xtext_is_right (value, ENVID_MAX) ? keep (&s->envid, value) : &bad_parameter;
}

static const Words *
set_notify (SmtpdSession *s, Slice value)
{
	if (!value.data)
		return &bad_parameter;
	return !s->submission ? NULL : notify_is_right (value) ? keep (&s->rcpt_notify, value) : &bad_parameter;
}

static const Words *
set_orcpt (SmtpdSession *s, Slice value)
{
	const char *semicolon = value.data ? memchr (value.data, ';', value.size) : NULL;
	if (!value.data)
		return &bad_parameter;
	if (!s->submission)
		return NULL;
	Slice address = semicolon ? (Slice){semicolon + 1, (gsize) (slice_end (value) - semicolon - 1)} : (Slice){NULL, 0};
	return semicolon && semicolon > value.data && xtext_is_right (address, ORCPT_MAX) ? keep (&s->rcpt_orcpt, value) : &bad_parameter;
}

/* RFC 4954 section 5: what is asserted is taken from nobody. */
static const Words *
set_auth (SmtpdSession *s, Slice value)
{
	return value.data && s->submission && xtext_is_right (value, ORCPT_MAX) ? NULL : s->submission ? &bad_parameter : &unknown_parameter;
}

static const Parameter mail_parameters[] = {
	{"SIZE", set_size}, {"BODY", set_body}, {"SMTPUTF8", set_utf8}, {"RET", set_ret}, {"ENVID", set_envid}, {"AUTH", set_auth}, {NULL},
};
static const Parameter rcpt_parameters[] = {{"ORCPT", set_orcpt}, {"NOTIFY", set_notify}, {NULL}};

static guint
row_of_parameter (const Parameter *known, Slice keyword)
{
	guint i = 0;
	while (known[i].keyword && !slice_equals_ascii_case (keyword, known[i].keyword))
		i++;
	return i;
}

static const Words *
set_parameters (SmtpdSession *s, const Parameter *known, Slice rest)
{
	Slice keyword, value;
	guint seen = 0;
	while (rest.size) {
		if (!parameter_take (&rest, &keyword, &value))
			return &bad_parameter;
		guint i = row_of_parameter (known, keyword);
		if (!known[i].keyword)
			return &unknown_parameter;
		const Words *wrong = seen & (1u << i) ? &bad_parameter : known[i].set (s, value);
		if (wrong)
			return wrong;
		seen |= 1u << i;
	}
	return NULL;
}

static void
refuse_parameters (SmtpdSession *s, const Words *wrong)
{
	if (wrong == &too_big)
		session_reply (s, wrong->code, wrong->text);
	else
		session_refuse (s, wrong->code, wrong->text);
}

static gboolean
may_send (SmtpdSession *s, const char *address)
{
	g_autoptr (GError) error = NULL;
	if (!s->submission || s->submission->may_send_as (s->settings->data, s->who, address, &error))
		return TRUE;
	Words words = words_of_error (s, error);
	session_refuse (s, words.code, words.text);
	return FALSE;
}

static void
run_mail (SmtpdSession *s, Slice args)
{
	if (s->submission && !s->who) {
		session_refuse (s, "530 5.7.0", s->peer.is_private ? "log on first (AUTH)" : "start TLS and log on first");
		return;
	}
	g_autofree char *address = NULL;
	PathKind kind = take_word (&args, "FROM:") ? path_take (&args, &address) : PATH_BAD;
	if (kind == PATH_BAD || kind == PATH_LOCAL) {
		session_refuse (s, "501 5.1.7", "MAIL wants FROM:<address>");
		return;
	}
	const Words *wrong = set_parameters (s, mail_parameters, args);
	if (wrong)
		refuse_parameters (s, wrong);
	else if (!s->utf8 && !g_str_is_ascii (address))
		session_reply (s, needs_utf8.code, needs_utf8.text);
	else if (may_send (s, address)) {
		s->sender = g_steal_pointer (&address);
		session_enter (s, STATE_SENDER);
		session_reply (s, "250 2.1.0", "sender ok");
		return;
	}
	forget_parameters (s);
}

static void
add_recipient (SmtpdSession *s, char *address)
{
	g_autoptr (GError) error = NULL;
	gpointer recipient = NULL;
	if (!s->settings->find (s->settings->data, address, &recipient, &error)) {
		Words words = words_of_error (s, error);
		session_reply (s, words.code, words.text);
		g_free (address);
		return;
	}
	g_ptr_array_add (s->addresses, address);
	g_ptr_array_add (s->recipients, recipient);
	g_ptr_array_add (s->notify, g_steal_pointer (&s->rcpt_notify));
	g_ptr_array_add (s->orcpt, g_steal_pointer (&s->rcpt_orcpt));
	session_enter (s, STATE_RECIPIENTS);
	session_reply (s, "250 2.1.5", "recipient ok");
}

static void
run_rcpt (SmtpdSession *s, Slice args)
{
	g_autofree char *address = NULL;
	PathKind kind = take_word (&args, "TO:") ? path_take (&args, &address) : PATH_BAD;
	if (kind == PATH_BAD || kind == PATH_NULL || (kind == PATH_LOCAL && g_ascii_strcasecmp (address, "postmaster") != 0)) {
		session_refuse (s, "501 5.1.3", "RCPT wants TO:<address>");
		return;
	}
	s->idle = 0;
	g_clear_pointer (&s->rcpt_notify, g_free);
	g_clear_pointer (&s->rcpt_orcpt, g_free);
	const Words *wrong = set_parameters (s, rcpt_parameters, args);
	if (wrong)
		refuse_parameters (s, wrong);
	else if (kind == PATH_LITERAL)
		session_reply (s, "550 5.1.2", "mail to address literals is not accepted");
	else if (!s->utf8 && !g_str_is_ascii (address))
		session_reply (s, needs_utf8.code, needs_utf8.text);
	else if (s->addresses->len >= recipients_max (s))
		session_reply (s, "452 4.5.3", "too many recipients");
	else
		add_recipient (s, g_steal_pointer (&address));
}

static void
run_data (SmtpdSession *s, Slice args)
{
	begin_message (s);
	session_enter (s, STATE_TEXT);
	s->text = TEXT_LINE_START;
	session_reply (s, "354", "go on, end with <CRLF>.<CRLF>");
}

static void end_chunk (SmtpdSession *s);

/* Its octets come in any case, so it may be given at any time and is refused behind them. One that can't be read ends the session: what would
 * follow is a message, not commands. */
static void
run_bdat (SmtpdSession *s, Slice args)
{
	Slice last = {NULL, 0}, size = args;
	const char *blank = args.size ? memchr (args.data, ' ', args.size) : NULL;
	if (blank) {
		size.size = (gsize) (blank - args.data);
		last = (Slice){blank + 1, args.size - size.size - 1};
	}
	if (!number_parse (size, &s->chunk_size) || (blank && !slice_equals_ascii_case (last, "LAST"))) {
		refuse_and_end (s, "501 5.5.4", "BDAT wants a size and, with the last chunk, LAST");
		return;
	}
	s->in_chunk = TRUE;
	s->chunk_left = s->chunk_size;
	s->chunk_last = blank != NULL;
	s->chunk_refused = s->state != STATE_RECIPIENTS && s->state != STATE_CHUNKS;
	if (s->state == STATE_RECIPIENTS)
		begin_message (s);
	if (!s->chunk_refused)
		session_enter (s, STATE_CHUNKS);
	if (s->chunk_left == 0)
		end_chunk (s);
}

static void
end_chunk (SmtpdSession *s)
{
	s->in_chunk = FALSE;
	if (s->chunk_refused)
		session_refuse (s, "503 5.5.1", "there is no recipient for it");
	else if (s->chunk_last)
		end_message (s);
	else {
		Words words = words_of_failure (message_failure (s->message));
		session_reply (s, words.code, words.text);
	}
	if (s->chunk_size && !s->chunk_refused)
		s->idle = 0;
}

static void
run_rset (SmtpdSession *s, Slice args)
{
	forget_message (s);
	if (s->state != STATE_GREETED)
		session_enter (s, STATE_READY);
	session_reply (s, "250 2.0.0", "forgotten");
}

static void
run_noop (SmtpdSession *s, Slice args)
{
	session_reply (s, "250 2.0.0", "ok");
}

static void
run_vrfy (SmtpdSession *s, Slice args)
{
	if (args.size)
		session_reply (s, "252 2.0.0", "say RCPT, and it will be known");
	else
		session_refuse (s, "501 5.5.4", "VRFY wants an address");
}

static void
run_help (SmtpdSession *s, Slice args)
{
	session_reply (s, "214 2.0.0", s->submission ? "EHLO AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT; see RFC 6409" : "LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT; see RFC 2033");
}

static void
run_unimplemented (SmtpdSession *s, Slice args)
{
	session_refuse (s, "502 5.5.1", "this is not offered");
}

static void
run_quit (SmtpdSession *s, Slice args)
{
	refuse_and_end (s, "221 2.0.0", "see you");
}

static void
run_starttls (SmtpdSession *s, Slice args)
{
	if (!s->submission->tls || s->peer.encrypted)
		session_refuse (s, "502 5.5.1", "TLS is on already, or not offered");
	else {
		session_reply (s, "220 2.0.0", "go on with TLS");
		s->starting_tls = TRUE;
	}
}

static void
run_auth (SmtpdSession *s, Slice args)
{
	if (s->who)
		session_refuse (s, "503 5.5.1", "you are logged on already");
	else
		auth_begin (s, args);
}

/* ---- The table ---- */

#define NO_ARGS (1u << 16)
#define LMTP (1u << 17) /* of these protocols only */
#define SUBMISSION (1u << 18)
#define ANY (IN (GREETED) | IN (READY) | IN (SENDER) | IN (RECIPIENTS) | IN (CHUNKS))
static const struct {
	const char *name;
	void (*run) (SmtpdSession *s, Slice args);
	guint rules;       /* the states it may be given in, and the above */
	const char *early; /* behind LHLO, in another state */
} commands[] = {
	{"LHLO", run_hello, ANY | LMTP},
	{"EHLO", run_hello, ANY | SUBMISSION},
	{"HELO", run_helo, ANY | SUBMISSION},
	{"STARTTLS", run_starttls, IN (GREETED) | IN (READY) | NO_ARGS | SUBMISSION, "say RSET first"},
	{"AUTH", run_auth, IN (READY) | SUBMISSION, "say RSET first"},
	{"MAIL", run_mail, IN (READY), "there is a sender already: say RSET first"},
	{"RCPT", run_rcpt, IN (SENDER) | IN (RECIPIENTS), "a sender (MAIL) comes first, chunks (BDAT) last"},
	{"DATA", run_data, IN (RECIPIENTS) | NO_ARGS, "it wants a recipient, and no BDAT before"},
	{"BDAT", run_bdat, ANY},
	{"RSET", run_rset, ANY | NO_ARGS},
	{"NOOP", run_noop, ANY},
	{"VRFY", run_vrfy, ANY},
	{"HELP", run_help, ANY},
	{"QUIT", run_quit, ANY | NO_ARGS},
	{"HELO", run_wrong_hello, ANY | LMTP},
	{"EHLO", run_wrong_hello, ANY | LMTP},
	{"LHLO", run_wrong_hello, ANY | SUBMISSION},
	{"EXPN", run_unimplemented, ANY},
};

static guint
row_of (const SmtpdSession *s, Slice name)
{
	guint i = 0, other = s->submission ? LMTP : SUBMISSION;
	while (i < G_N_ELEMENTS (commands) && (commands[i].rules & other || !slice_equals_ascii_case (name, commands[i].name)))
		i++;
	return i;
}

static void
refuse_unknown (SmtpdSession *s)
{
	if (s->state == STATE_GREETED)
		smtpd_session_bye (s, s->submission ? "this is SMTP" : "this is LMTP");
	else
		session_refuse (s, "500 5.5.1", "there is no such command");
}

static void
execute (SmtpdSession *s, Slice line)
{
	while (line.size && line.data[line.size - 1] == ' ')
		line.size--;
	const char *blank = line.size ? memchr (line.data, ' ', line.size) : NULL;
	Slice name = {line.data, blank ? (gsize) (blank - line.data) : line.size};
	Slice args = blank ? (Slice){blank + 1, line.size - name.size - 1} : (Slice){"", 0};
	guint row = row_of (s, name);
	if (row == G_N_ELEMENTS (commands))
		refuse_unknown (s);
	else if (!(commands[row].rules & (1u << s->state)))
		session_refuse (s, "503 5.5.1", s->state != STATE_GREETED ? commands[row].early : s->submission ? "say EHLO first" : "say LHLO first");
	else if (commands[row].rules & NO_ARGS && args.size)
		session_refuse (s, "501 5.5.4", "this command has no arguments");
	else if (s->idle++ >= IDLE_MAX)
		smtpd_session_bye (s, "too many commands and no recipient");
	else
		commands[row].run (s, args);
}

/* ---- Feeding ---- */

static void
line_came (SmtpdSession *s, Slice line)
{
	if (s->line_too_long && s->auth) {
		auth_end (s);
		session_refuse (s, "500 5.5.6", "the line is too long");
	} else if (s->line_too_long)
		session_refuse (s, "500 5.5.2", "the line is too long");
	else if (line.size && (memchr (line.data, '\0', line.size) || memchr (line.data, '\r', line.size)))
		session_refuse (s, "500 5.5.2", "the line has a NUL or a CR that does not end it");
	else if (s->auth)
		auth_line (s, line);
	else
		execute (s, line);
}

/* Of a line that is too long only what tells its end is kept. */
static void
keep_line (SmtpdSession *s, Slice piece)
{
	sasl_append (&s->line, piece);
	if (s->line->len > (s->submission ? AUTH_MAX_OCTETS : LINE_MAX_OCTETS)) {
		s->line_too_long = TRUE;
		g_string_erase (s->line, 0, (gssize) s->line->len - 2);
	}
}

static gsize
feed_line (SmtpdSession *s, Slice input)
{
	const char *end = memchr (input.data, '\n', input.size);
	gsize used = end ? (gsize) (end + 1 - input.data) : input.size;
	keep_line (s, (Slice){input.data, used});
	if (!end)
		return used;
	if (s->line->len < 2 || s->line->str[s->line->len - 2] != '\r') {
		refuse_and_end (s, "500 5.5.2", "a line ends with CRLF, not with LF alone");
		return used;
	}
	GString *line = g_steal_pointer (&s->line);
	s->line = g_string_new (NULL);
	line_came (s, (Slice){line->str, line->len - 2});
	s->line_too_long = FALSE;
	if (s->submission) /* a password may be in it */
		explicit_bzero (line->str, line->allocated_len);
	g_string_free (line, TRUE);
	return used;
}

/* RFC 5321 section 4.5.2. Only CRLF begins a line, and only CRLF "." CRLF ends the message. */
static gsize
feed_text (SmtpdSession *s, Slice input)
{
	const char *from = input.data, *at = input.data, *end = slice_end (input);
	while (at < end) {
		char c = *at;
		switch (s->text) {
		case TEXT_MIDDLE:
			at = memchr (at, '\r', (gsize) (end - at));
			if (!at)
				at = end;
			else {
				at++;
				s->text = TEXT_CR;
			}
			break;
		case TEXT_CR:
			s->text = c == '\n' ? TEXT_LINE_START : c == '\r' ? TEXT_CR : TEXT_MIDDLE;
			at++;
			break;
		case TEXT_LINE_START:
			if (c == '.') {
				message_add (s->message, from, (gsize) (at - from));
				from = at + 1;
			}
			s->text = c == '.' ? TEXT_DOT : c == '\r' ? TEXT_CR : TEXT_MIDDLE;
			at++;
			break;
		case TEXT_DOT: /* stuffed, if anything but CRLF follows */
			s->text = c == '\r' ? TEXT_DOT_CR : TEXT_MIDDLE;
			at++;
			if (c == '\r')
				from = at;
			break;
		case TEXT_DOT_CR:
			if (c == '\n') {
				end_message (s);
				return (gsize) (at + 1 - input.data);
			}
			message_add (s->message, "\r", 1);
			from = at;
			s->text = TEXT_CR;
			break;
		}
	}
	message_add (s->message, from, (gsize) (end - from));
	return input.size;
}

static gsize
feed_chunk (SmtpdSession *s, Slice input)
{
	gsize n = (gsize) MIN (input.size, s->chunk_left);
	if (!s->chunk_refused)
		message_add (s->message, input.data, n);
	s->chunk_left -= n;
	if (s->chunk_left == 0)
		end_chunk (s);
	return n;
}

gboolean
smtpd_session_feed (SmtpdSession *s, Slice input)
{
	while (input.size > 0 && s->state != STATE_ENDED && !s->starting_tls) {
		gsize used = s->in_chunk ? feed_chunk (s, input) : s->state == STATE_TEXT ? feed_text (s, input) : feed_line (s, input);
		input = (Slice){input.data + used, input.size - used};
	}
	flush (s);
	/* what came behind STARTTLS came unprotected and would be taken for protected (CVE-2011-0411) */
	if (s->starting_tls && input.size > 0 && s->state != STATE_ENDED)
		session_enter (s, STATE_ENDED);
	return s->state != STATE_ENDED;
}

gpointer
smtpd_session_who (const SmtpdSession *s)
{
	return s->who;
}

guint
smtpd_session_pause (SmtpdSession *s)
{
	guint pause = s->pause;
	s->pause = 0;
	return pause;
}

gboolean
smtpd_session_wants_tls (const SmtpdSession *s)
{
	return s->starting_tls;
}

/* What the client said before is forgotten (RFC 3207 section 4.2). */
void
smtpd_session_encrypted (SmtpdSession *s)
{
	s->starting_tls = FALSE;
	s->peer.encrypted = s->peer.is_private = TRUE;
	forget_message (s);
	g_clear_pointer (&s->client, g_free);
	session_enter (s, STATE_GREETED);
}

void
smtpd_session_bye (SmtpdSession *s, const char *why)
{
	if (s->state == STATE_ENDED)
		return;
	g_string_append_printf (s->out, "421 4.3.2 %s %s\r\n", s->settings->host, why);
	flush (s);
	if (s->state != STATE_ENDED)
		session_enter (s, STATE_ENDED);
}

/* ---- Beginning and end ---- */

SmtpdSession *
smtpd_session_new (const SmtpdSettings *settings, const SmtpdPeer *peer, SmtpdSend send, gpointer data)
{
	SmtpdSession *s = g_new0 (SmtpdSession, 1);
	s->settings = settings;
	s->send = send;
	s->send_data = data;
	s->submission = settings->submission;
	s->peer = *peer;
	s->peer.address = s->address = g_strdup (peer->address);
	s->out = g_string_new (NULL);
	s->line = g_string_new (NULL);
	s->addresses = g_ptr_array_new_with_free_func (g_free);
	s->recipients = g_ptr_array_new ();
	s->notify = g_ptr_array_new_with_free_func (g_free);
	s->orcpt = g_ptr_array_new_with_free_func (g_free);
	g_string_append_printf (s->out, "220 %s %s outpost is ready\r\n", settings->host, s->submission ? "ESMTP" : "LMTP");
	flush (s);
	return s;
}

void
smtpd_session_free (SmtpdSession *s)
{
	if (!s)
		return;
	forget_message (s);
	auth_end (s);
	if (s->who)
		s->submission->who_free (s->who);
	g_ptr_array_unref (s->recipients);
	g_ptr_array_unref (s->addresses);
	g_ptr_array_unref (s->notify);
	g_ptr_array_unref (s->orcpt);
	g_free (s->rcpt_notify);
	g_free (s->rcpt_orcpt);
	g_string_free (s->line, TRUE);
	g_string_free (s->out, TRUE);
	g_free (s->address);
	g_free (s->client);
	g_free (s);
}
