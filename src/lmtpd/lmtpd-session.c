/* SPDX-License-Identifier: Apache-2.0 */
/* A session: what comes in is a command's line, a message's text or a chunk; a row of the table says when a command may be given. */
#include "digest.h"
#include "lmtpd-private.h"
#include <string.h>
#include <time.h>

#define FLUSH_AT (64u << 10)
#define LINE_MAX_OCTETS 4096u /* its CRLF among them */
#define RECIPIENTS_MAX 1000u
#define IDLE_MAX 100u         /* commands in a row that bring no delivery nearer */
#define BAD_MAX 20u
#define RECEIVED_MAX 100u
#define MESSAGE_MAX (G_GUINT64_CONSTANT (128) << 20)

typedef enum {
	STATE_GREETED,    /* no LHLO yet */
	STATE_READY,
	STATE_SENDER,     /* MAIL was accepted */
	STATE_RECIPIENTS, /* so was a RCPT */
	STATE_TEXT,       /* behind DATA */
	STATE_CHUNKS,     /* behind a BDAT, before its LAST */
	STATE_ENDED,
} SessionState;

/* Where the text of DATA stands. A dot at the beginning of a line is kept back until it is known what it is. */
typedef enum { TEXT_LINE_START, TEXT_MIDDLE, TEXT_CR, TEXT_DOT, TEXT_DOT_CR } TextState;

struct LmtpdSession {
	const LmtpdSettings *settings;
	LmtpdSend send;
	gpointer send_data;
	char *peer, *client; /* its address; what it calls itself */
	SessionState state;
	GString *out;
	GString *line;       /* a command that is not complete */
	gboolean line_too_long;
	guint idle, bad;

	/* the message: */
	char *sender;
	gboolean utf8;
	GPtrArray *addresses;  /* as accepted */
	GPtrArray *recipients; /* the caller's; in step with the addresses */
	LmtpdMessage *message;
	TextState text;

	/* the chunk: */
	gboolean in_chunk, chunk_last, chunk_refused;
	guint64 chunk_size, chunk_left;
};

/* ---- States ---- */

#define IN(state) (1u << STATE_##state)
static const unsigned moves[] = {
	[STATE_GREETED] = IN (READY) | IN (ENDED),
	[STATE_READY] = IN (READY) | IN (SENDER) | IN (ENDED),
	[STATE_SENDER] = IN (RECIPIENTS) | IN (READY) | IN (ENDED),
	[STATE_RECIPIENTS] = IN (RECIPIENTS) | IN (TEXT) | IN (CHUNKS) | IN (READY) | IN (ENDED),
	[STATE_TEXT] = IN (READY) | IN (ENDED),
	[STATE_CHUNKS] = IN (CHUNKS) | IN (READY) | IN (ENDED),
	[STATE_ENDED] = IN (ENDED),
};

static void
session_enter (LmtpdSession *s, SessionState next)
{
	g_assert (moves[s->state] & (1u << next));
	s->state = next;
}

static void
forget_message (LmtpdSession *s)
{
	g_clear_pointer (&s->sender, g_free);
	g_clear_pointer (&s->message, lmtpd_message_free);
	for (guint i = 0; i < s->recipients->len; i++)
		if (s->recipients->pdata[i] && s->settings->recipient_free)
			s->settings->recipient_free (s->recipients->pdata[i]);
	g_ptr_array_set_size (s->recipients, 0);
	g_ptr_array_set_size (s->addresses, 0);
	s->utf8 = FALSE;
}

/* ---- Replies ---- */

static void
flush (LmtpdSession *s)
{
	if (s->out->len && s->state != STATE_ENDED && !s->send (s->send_data, s->out->str, s->out->len))
		session_enter (s, STATE_ENDED);
	if (s->out->allocated_len > FLUSH_AT) {
		g_string_free (s->out, TRUE);
		s->out = g_string_new (NULL);
	} else
		g_string_truncate (s->out, 0);
}

static void
reply (LmtpdSession *s, const char *code, const char *text)
{
	g_string_append_printf (s->out, "%s %s\r\n", code, text);
	if (s->out->len >= FLUSH_AT)
		flush (s);
}

/* Answers what is no right command, or the last of too many. */
static void
refuse (LmtpdSession *s, const char *code, const char *text)
{
	if (++s->bad < BAD_MAX)
		reply (s, code, text);
	else
		lmtpd_session_bye (s, "too many bad commands");
}

/* Answers what leaves it unknown where the next command begins. */
static void
refuse_and_end (LmtpdSession *s, const char *code, const char *text)
{
	reply (s, code, text);
	flush (s);
	session_enter (s, STATE_ENDED);
}

typedef struct {
	const char *code, *text;
} Words;

static Words
words_of_error (const GError *error)
{
	static const Words words[] = {
		[ERROR_NOT_FOUND] = {"550 5.1.1", "there is no such mailbox"}, [ERROR_NO_PERMISSION] = {"550 5.7.1", "mail to it is not accepted"},
		[ERROR_TOO_BIG] = {"552 5.3.4", "the message is too big for it"}, [ERROR_OVER_QUOTA] = {"452 4.2.2", "the mailbox is full"},
		[ERROR_NO_SPACE] = {"452 4.3.1", "the disk is full, try again later"},
	};
	guint i = error->domain == OUTPOST_ERROR ? (guint) error->code : G_N_ELEMENTS (words);
	if (i < G_N_ELEMENTS (words) && words[i].code)
		return words[i];
	g_message ("lmtpd: %s", error->message);
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
reply_for (LmtpdSession *s, guint recipient, Words words)
{
	g_autofree char *text = g_strdup_printf ("<%s> %s", (char *) s->addresses->pdata[recipient], words.text);
	reply (s, words.code, text);
}

/* ---- The message ---- */

/* RFC 5322 section 3.3; strftime's names are the locale's. */
static char *
date_now (void)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = time (NULL);
	struct tm t;
	gmtime_r (&now, &t);
	return g_strdup_printf ("%s, %d %s %d %02d:%02d:%02d +0000", days[t.tm_wday], t.tm_mday, months[t.tm_mon], 1900 + t.tm_year, t.tm_hour, t.tm_min,
	                        t.tm_sec);
}

/* RFC 5321 section 4.4; "with": RFC 3848, RFC 6531 section 4.3. Of several recipients none is named to the others. */
static char *
trace_of (const LmtpdSession *s, const char *id)
{
	g_autofree char *date = date_now ();
	g_autofree char *from = *s->peer ? g_strdup_printf ("%s ([%s%s])", s->client, strchr (s->peer, ':') ? "IPv6:" : "", s->peer) : g_strdup (s->client);
	g_autofree char *to = s->addresses->len == 1 ? g_strdup_printf ("\r\n\tfor <%s>", (char *) s->addresses->pdata[0]) : g_strdup ("");
	return g_strdup_printf ("Return-Path: <%s>\r\nReceived: from %s\r\n\tby %s with %s id %s%s;\r\n\t%s\r\n", s->sender, from, s->settings->host,
	                        s->utf8 ? "UTF8LMTP" : "LMTP", id, to, date);
}

static guint64
message_max (const LmtpdSession *s)
{
	return s->settings->message_max ? s->settings->message_max : MESSAGE_MAX;
}

static void
begin_message (LmtpdSession *s)
{
	Id128 id = id128_random ();
	char text[ID_TEXT_SIZE];
	id128_text (&id, text);
	s->message = message_new (s->sender, text, s->settings->folder, message_max (s));
	g_autofree char *trace = trace_of (s, text);
	message_put_before (s->message, trace);
	s->idle = 0;
}

/* One reply for each recipient (RFC 2033 section 4.2). */
static void
reply_to_all (LmtpdSession *s, Words words)
{
	for (guint i = 0; i < s->addresses->len; i++)
		reply_for (s, i, words);
}

static void
deliver (LmtpdSession *s)
{
	guint n = s->recipients->len;
	g_autofree GError **results = g_new0 (GError *, n);
	s->settings->deliver (s->settings->data, s->message, s->recipients->pdata, n, results);
	for (guint i = 0; i < n; i++) {
		reply_for (s, i, results[i] ? words_of_error (results[i]) : (Words){"250 2.0.0", "delivered"});
		g_clear_error (&results[i]);
	}
	s->bad = 0;
}

static gboolean
is_loop (const LmtpdMessage *m)
{
	gsize size;
	const char *octets = g_bytes_get_data (lmtpd_message_octets (m), &size);
	return message_count_received ((Slice){octets, size}) > RECEIVED_MAX + 1; /* ours is one */
}

static void
end_message (LmtpdSession *s)
{
	Failure failure = message_end (s->message);
	if (failure)
		reply_to_all (s, words_of_failure (failure));
	else if (is_loop (s->message))
		reply_to_all (s, (Words){"554 5.4.6", "the message goes round in a loop: too many Received fields"});
	else
		deliver (s);
	forget_message (s);
	if (s->state != STATE_ENDED)
		session_enter (s, STATE_READY);
}

/* ---- Commands ---- */

static void
run_lhlo (LmtpdSession *s, Slice args)
{
	if (!path_is_host (args)) {
		refuse (s, "501 5.5.4", "LHLO wants the client's name");
		return;
	}
	g_free (s->client);
	s->client = slice_dup (args);
	forget_message (s);
	session_enter (s, STATE_READY);
	g_string_append_printf (s->out,
	                        "250-%s\r\n250-PIPELINING\r\n250-SIZE %" G_GUINT64_FORMAT "\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250 "
	                        "ENHANCEDSTATUSCODES\r\n",
	                        s->settings->host, message_max (s));
}

/* RFC 2033 section 4.1 */
static void
run_helo (LmtpdSession *s, Slice args)
{
	refuse (s, "500 5.5.1", "this is LMTP: say LHLO");
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

/* Parameters as rows; what is no row is refused. What RFC 3461 has is for who sends reports of delivery, which is whoever speaks to us. */
typedef struct {
	const char *keyword;
	const Words *(*set) (LmtpdSession *s, Slice value); /* NULL: right, else the answer */
} Parameter;

static const Words bad_parameter = {"501 5.5.4", "a parameter is wrong"}, unknown_parameter = {"555 5.5.4", "there is no such parameter"};
static const Words too_big = {"552 5.3.4", "the message is too big"}, needs_utf8 = {"553 5.6.7", "such an address needs SMTPUTF8"};

static const Words *
set_size (LmtpdSession *s, Slice value)
{
	guint64 size;
	if (!number_parse (value, &size))
		return &bad_parameter;
	return size > message_max (s) ? &too_big : NULL;
}

static const Words *
set_body (LmtpdSession *s, Slice value)
{
	return slice_equals_ascii_case (value, "7BIT") || slice_equals_ascii_case (value, "8BITMIME") ? NULL : &bad_parameter;
}

static const Words *
set_utf8 (LmtpdSession *s, Slice value)
{
	s->utf8 = TRUE;
	return value.data ? &bad_parameter : NULL;
}

static const Words *
set_ignored (LmtpdSession *s, Slice value)
{
	return value.data ? NULL : &bad_parameter;
}

static const Parameter mail_parameters[] = {
	{"SIZE", set_size}, {"BODY", set_body}, {"SMTPUTF8", set_utf8}, {"RET", set_ignored}, {"ENVID", set_ignored}, {NULL},
};
static const Parameter rcpt_parameters[] = {{"ORCPT", set_ignored}, {"NOTIFY", set_ignored}, {NULL}};

static guint
row_of_parameter (const Parameter *known, Slice keyword)
{
	guint i = 0;
	while (known[i].keyword && !slice_equals_ascii_case (keyword, known[i].keyword))
		i++;
	return i;
}

static const Words *
set_parameters (LmtpdSession *s, const Parameter *known, Slice rest)
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
refuse_parameters (LmtpdSession *s, const Words *wrong)
{
	if (wrong == &too_big)
		reply (s, wrong->code, wrong->text);
	else
		refuse (s, wrong->code, wrong->text);
}

static void
run_mail (LmtpdSession *s, Slice args)
{
	g_autofree char *address = NULL;
	PathKind kind = take_word (&args, "FROM:") ? path_take (&args, &address) : PATH_BAD;
	if (kind == PATH_BAD || kind == PATH_LOCAL) {
		refuse (s, "501 5.1.7", "MAIL wants FROM:<address>");
		return;
	}
	const Words *wrong = set_parameters (s, mail_parameters, args);
	if (wrong)
		refuse_parameters (s, wrong);
	else if (!s->utf8 && !g_str_is_ascii (address))
		reply (s, needs_utf8.code, needs_utf8.text);
	else {
		s->sender = g_steal_pointer (&address);
		session_enter (s, STATE_SENDER);
		reply (s, "250 2.1.0", "sender ok");
		return;
	}
	s->utf8 = FALSE;
}

static void
add_recipient (LmtpdSession *s, char *address)
{
	g_autoptr (GError) error = NULL;
	gpointer recipient = NULL;
	if (!s->settings->find (s->settings->data, address, &recipient, &error)) {
		Words words = words_of_error (error);
		reply (s, words.code, words.text);
		g_free (address);
		return;
	}
	g_ptr_array_add (s->addresses, address);
	g_ptr_array_add (s->recipients, recipient);
	session_enter (s, STATE_RECIPIENTS);
	reply (s, "250 2.1.5", "recipient ok");
}

static void
run_rcpt (LmtpdSession *s, Slice args)
{
	g_autofree char *address = NULL;
	PathKind kind = take_word (&args, "TO:") ? path_take (&args, &address) : PATH_BAD;
	if (kind == PATH_BAD || kind == PATH_NULL || (kind == PATH_LOCAL && g_ascii_strcasecmp (address, "postmaster") != 0)) {
		refuse (s, "501 5.1.3", "RCPT wants TO:<address>");
		return;
	}
	s->idle = 0;
	const Words *wrong = set_parameters (s, rcpt_parameters, args);
	if (wrong)
		refuse_parameters (s, wrong);
	else if (kind == PATH_LITERAL)
		reply (s, "550 5.1.2", "mail to address literals is not accepted");
	else if (!s->utf8 && !g_str_is_ascii (address))
		reply (s, needs_utf8.code, needs_utf8.text);
	else if (s->addresses->len >= RECIPIENTS_MAX)
		reply (s, "452 4.5.3", "too many recipients");
	else
		add_recipient (s, g_steal_pointer (&address));
}

static void
run_data (LmtpdSession *s, Slice args)
{
	begin_message (s);
	session_enter (s, STATE_TEXT);
	s->text = TEXT_LINE_START;
	reply (s, "354", "go on, end with <CRLF>.<CRLF>");
}

static void end_chunk (LmtpdSession *s);

/* Its octets come in any case, so it may be given at any time and is refused behind them. One that can't be read ends the session: what would
 * follow is a message, not commands. */
static void
run_bdat (LmtpdSession *s, Slice args)
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
end_chunk (LmtpdSession *s)
{
	s->in_chunk = FALSE;
	if (s->chunk_refused)
		refuse (s, "503 5.5.1", "there is no recipient for it");
	else if (s->chunk_last)
		end_message (s);
	else {
		Words words = words_of_failure (message_failure (s->message));
		reply (s, words.code, words.text);
	}
	if (s->chunk_size && !s->chunk_refused)
		s->idle = 0;
}

static void
run_rset (LmtpdSession *s, Slice args)
{
	forget_message (s);
	if (s->state != STATE_GREETED)
		session_enter (s, STATE_READY);
	reply (s, "250 2.0.0", "forgotten");
}

static void
run_noop (LmtpdSession *s, Slice args)
{
	reply (s, "250 2.0.0", "ok");
}

static void
run_vrfy (LmtpdSession *s, Slice args)
{
	if (args.size)
		reply (s, "252 2.0.0", "say RCPT, and it will be known");
	else
		refuse (s, "501 5.5.4", "VRFY wants an address");
}

static void
run_help (LmtpdSession *s, Slice args)
{
	reply (s, "214 2.0.0", "LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT; see RFC 2033");
}

static void
run_unimplemented (LmtpdSession *s, Slice args)
{
	refuse (s, "502 5.5.1", "this is not offered");
}

static void
run_quit (LmtpdSession *s, Slice args)
{
	refuse_and_end (s, "221 2.0.0", "see you");
}

/* ---- The table ---- */

#define NO_ARGS (1u << 16)
#define ANY (IN (GREETED) | IN (READY) | IN (SENDER) | IN (RECIPIENTS) | IN (CHUNKS))
static const struct {
	const char *name;
	void (*run) (LmtpdSession *s, Slice args);
	guint rules;       /* the states it may be given in, and NO_ARGS */
	const char *early; /* behind LHLO, in another state */
} commands[] = {
	{"LHLO", run_lhlo, ANY},
	{"MAIL", run_mail, IN (READY), "there is a sender already: say RSET first"},
	{"RCPT", run_rcpt, IN (SENDER) | IN (RECIPIENTS), "a sender (MAIL) comes first, chunks (BDAT) last"},
	{"DATA", run_data, IN (RECIPIENTS) | NO_ARGS, "it wants a recipient, and no BDAT before"},
	{"BDAT", run_bdat, ANY},
	{"RSET", run_rset, ANY | NO_ARGS},
	{"NOOP", run_noop, ANY},
	{"VRFY", run_vrfy, ANY},
	{"HELP", run_help, ANY},
	{"QUIT", run_quit, ANY | NO_ARGS},
	{"HELO", run_helo, ANY},
	{"EHLO", run_helo, ANY},
	{"EXPN", run_unimplemented, ANY},
};

static guint
row_of (Slice name)
{
	guint i = 0;
	while (i < G_N_ELEMENTS (commands) && !slice_equals_ascii_case (name, commands[i].name))
		i++;
	return i;
}

static void
refuse_unknown (LmtpdSession *s)
{
	if (s->state == STATE_GREETED)
		lmtpd_session_bye (s, "this is LMTP");
	else
		refuse (s, "500 5.5.1", "there is no such command");
}

static void
execute (LmtpdSession *s, Slice line)
{
	while (line.size && line.data[line.size - 1] == ' ')
		line.size--;
	const char *blank = line.size ? memchr (line.data, ' ', line.size) : NULL;
	Slice name = {line.data, blank ? (gsize) (blank - line.data) : line.size};
	Slice args = blank ? (Slice){blank + 1, line.size - name.size - 1} : (Slice){"", 0};
	guint row = row_of (name);
	if (row == G_N_ELEMENTS (commands))
		refuse_unknown (s);
	else if (!(commands[row].rules & (1u << s->state)))
		refuse (s, "503 5.5.1", s->state == STATE_GREETED ? "say LHLO first" : commands[row].early);
	else if (commands[row].rules & NO_ARGS && args.size)
		refuse (s, "501 5.5.4", "this command has no arguments");
	else if (s->idle++ >= IDLE_MAX)
		lmtpd_session_bye (s, "too many commands and no recipient");
	else
		commands[row].run (s, args);
}

/* ---- Feeding ---- */

static void
line_came (LmtpdSession *s, Slice line)
{
	if (s->line_too_long)
		refuse (s, "500 5.5.2", "the line is too long");
	else if (line.size && (memchr (line.data, '\0', line.size) || memchr (line.data, '\r', line.size)))
		refuse (s, "500 5.5.2", "the line has a NUL or a CR that does not end it");
	else
		execute (s, line);
}

/* Of a line that is too long only what tells its end is kept. */
static void
keep_line (LmtpdSession *s, Slice piece)
{
	g_string_append_len (s->line, piece.data, (gssize) piece.size);
	if (s->line->len > LINE_MAX_OCTETS) {
		s->line_too_long = TRUE;
		g_string_erase (s->line, 0, (gssize) s->line->len - 2);
	}
}

static gsize
feed_line (LmtpdSession *s, Slice input)
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
	g_string_free (line, TRUE);
	return used;
}

/* RFC 5321 section 4.5.2. Only CRLF begins a line, and only CRLF "." CRLF ends the message. */
static gsize
feed_text (LmtpdSession *s, Slice input)
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
feed_chunk (LmtpdSession *s, Slice input)
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
lmtpd_session_feed (LmtpdSession *s, Slice input)
{
	while (input.size > 0 && s->state != STATE_ENDED) {
		gsize used = s->in_chunk ? feed_chunk (s, input) : s->state == STATE_TEXT ? feed_text (s, input) : feed_line (s, input);
		input = (Slice){input.data + used, input.size - used};
	}
	flush (s);
	return s->state != STATE_ENDED;
}

void
lmtpd_session_bye (LmtpdSession *s, const char *why)
{
	if (s->state == STATE_ENDED)
		return;
	g_string_append_printf (s->out, "421 4.3.2 %s %s\r\n", s->settings->host, why);
	flush (s);
	if (s->state != STATE_ENDED)
		session_enter (s, STATE_ENDED);
}

/* ---- Beginning and end ---- */

LmtpdSession *
lmtpd_session_new (const LmtpdSettings *settings, const char *peer, LmtpdSend send, gpointer data)
{
	LmtpdSession *s = g_new0 (LmtpdSession, 1);
	s->settings = settings;
	s->send = send;
	s->send_data = data;
	s->peer = g_strdup (peer);
	s->out = g_string_new (NULL);
	s->line = g_string_new (NULL);
	s->addresses = g_ptr_array_new_with_free_func (g_free);
	s->recipients = g_ptr_array_new ();
	g_string_append_printf (s->out, "220 %s LMTP outpost is ready\r\n", settings->host);
	flush (s);
	return s;
}

void
lmtpd_session_free (LmtpdSession *s)
{
	if (!s)
		return;
	forget_message (s);
	g_ptr_array_unref (s->recipients);
	g_ptr_array_unref (s->addresses);
	g_string_free (s->line, TRUE);
	g_string_free (s->out, TRUE);
	g_free (s->peer);
	g_free (s->client);
	g_free (s);
}
