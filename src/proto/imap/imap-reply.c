/* SPDX-License-Identifier: Apache-2.0 */
#include "imap-reply.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_LIMIT 32
#define NODES_LIMIT 200000
#define TEXT_LIMIT (4u << 20)
#define SPOOL_LIMIT (1u << 20)
#define LITERAL_LIMIT (G_GUINT64_CONSTANT (4) << 30)
#define FILES_LIMIT 16
#define RANGES_LIMIT 1000000

typedef struct {
	int fd;
	guint64 size;
} SpoolFile;

struct ImapReply {
	GString *text;         /* the response so far; literals in place, those in files as their announcement only */
	gsize scanned;         /* no line end before here */
	guint64 literal_left;  /* octets of a literal still to come */
	gboolean spooling;
	gboolean whole;
	SpoolFile files[FILES_LIMIT];
	guint n_files, n_files_read;

	GArray *nodes; /* ImapNode; the first is the list of arguments */
	gsize at;      /* parser's place in text */
	ReplyKind kind;
	Slice tag, name;
	guint32 number;
	char *code, *code_args, *human;
};

guint
node_count (const ImapNode *n)
{
	return n && n->kind == NODE_LIST ? n->count : 0;
}

const ImapNode *
node_first (const ImapNode *list)
{
	return list && list->kind == NODE_LIST && list->first ? &g_array_index (list->reply->nodes, ImapNode, list->first) : NULL;
}

const ImapNode *
node_next (const ImapNode *n)
{
	return n && n->next ? &g_array_index (n->reply->nodes, ImapNode, n->next) : NULL;
}

const ImapNode *
node_at (const ImapNode *list, guint i)
{
	const ImapNode *n = node_first (list);
	while (n && i-- > 0)
		n = node_next (n);
	return n;
}

Slice
node_text (const ImapNode *n)
{
	return n && (n->kind == NODE_ATOM || n->kind == NODE_STRING) ? n->text : (Slice) {"", 0};
}

gboolean
node_is_nil (const ImapNode *n)
{
	return !n || (n->kind == NODE_ATOM && slice_equals_ascii_case (n->text, "NIL"));
}

static guint64
slice_number (Slice s)
{
	guint64 number = 0;
	for (gsize i = 0; i < s.size; i++) {
		if (!g_ascii_isdigit (s.data[i]) || number > G_MAXUINT64 / 10 - 1)
			return 0;
		number = number * 10 + (s.data[i] - '0');
	}
	return number;
}

guint64
node_number (const ImapNode *n)
{
	if (node_count (n) == 1) /* MODSEQ (12) */
		n = node_first (n);
	return slice_number (node_text (n));
}

ImapReply *
imap_reply_new (void)
{
	ImapReply *r = g_new0 (ImapReply, 1);
	r->text = g_string_new (NULL);
	r->nodes = g_array_new (FALSE, TRUE, sizeof (ImapNode));
	return r;
}

static void
reply_reset (ImapReply *r)
{
	g_string_truncate (r->text, 0);
	for (guint i = 0; i < r->n_files; i++)
		close (r->files[i].fd);
	g_array_set_size (r->nodes, 0);
	g_clear_pointer (&r->code, g_free);
	g_clear_pointer (&r->code_args, g_free);
	g_clear_pointer (&r->human, g_free);
	r->scanned = r->at = 0;
	r->n_files = r->n_files_read = 0;
	r->whole = r->spooling = FALSE;
}

void
imap_reply_free (ImapReply *r)
{
	if (!r)
		return;
	reply_reset (r);
	g_string_free (r->text, TRUE);
	g_array_unref (r->nodes);
	g_free (r);
}

/* {N} or {N+} or ~{N} at the end of the line that ends before @end; -1: none. */
static gint64
literal_announced (const ImapReply *r, gsize end)
{
	const char *line = r->text->str;
	if (end < 3 || line[end - 1] != '}')
		return -1;
	gsize start = end - 1 - (line[end - 2] == '+');
	gsize digits = start;
	while (digits > 0 && g_ascii_isdigit (line[digits - 1]))
		digits--;
	if (digits == start || digits == 0 || line[digits - 1] != '{' || start - digits > 18)
		return -1;
	return (gint64) slice_number ((Slice) {line + digits, start - digits});
}

static gboolean
spool_open (ImapReply *r, guint64 size, GError **error)
{
	const char *directory = g_getenv ("TMPDIR");
	directory = directory && *directory ? directory : "/var/tmp";
	if (r->n_files == FILES_LIMIT)
		return error_fail (error, ERROR_TOO_BIG, "a response with more than %d big literals", FILES_LIMIT);
	int fd = open (directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		g_autofree char *name = g_build_filename (directory, "outpost-XXXXXX", NULL);
		fd = g_mkstemp_full (name, O_RDWR | O_CLOEXEC, 0600);
		if (fd >= 0)
			unlink (name);
	}
	if (fd < 0)
		return error_set_errno (error, errno, "can't make a temporary file in %s", directory);
	r->files[r->n_files++] = (SpoolFile) {fd, size};
	r->spooling = TRUE;
	return TRUE;
}

static gboolean
literal_begin (ImapReply *r, guint64 size, GError **error)
{
	if (size > LITERAL_LIMIT)
		return error_fail (error, ERROR_TOO_BIG, "the server announces a literal of %" G_GUINT64_FORMAT " octets", size);
	r->literal_left = size;
	r->spooling = FALSE;
	return size <= SPOOL_LIMIT || spool_open (r, size, error);
}

static gboolean
spool_write (ImapReply *r, const char *data, gsize size, GError **error)
{
	while (size > 0) {
		ssize_t written = write (r->files[r->n_files - 1].fd, data, size);
		if (written < 0 && errno != EINTR)
			return error_set_errno (error, errno, "can't write a big message to a temporary file");
		data += MAX (written, 0);
		size -= MAX (written, 0);
	}
	return TRUE;
}

static gboolean
reply_take_literal (ImapReply *r, Slice input, gsize *used, GError **error)
{
	gsize part = MIN (r->literal_left, input.size);
	if (r->spooling ? !spool_write (r, input.data, part, error) : FALSE)
		return FALSE;
	if (!r->spooling)
		g_string_append_len (r->text, input.data, part);
	r->literal_left -= part;
	r->scanned = r->text->len;
	*used = part;
	return TRUE;
}

/* Up to and with the next line end, which is then judged. */
static gboolean
reply_take_line (ImapReply *r, Slice input, gsize *used, GError **error)
{
	const char *end = memchr (input.data, '\n', input.size);
	gsize part = end ? (gsize) (end - input.data) + 1 : input.size;
	g_string_append_len (r->text, input.data, part);
	*used = part;
	if (r->text->len > TEXT_LIMIT)
		return error_fail (error, ERROR_TOO_BIG, "the server sent a response over %u octets", TEXT_LIMIT);
	if (!end)
		return TRUE;
	gsize line_end = r->text->len - 1;
	if (line_end > r->scanned && r->text->str[line_end - 1] == '\r')
		line_end--;
	gint64 literal = literal_announced (r, line_end);
	if (literal >= 0)
		return literal_begin (r, (guint64) literal, error);
	g_string_truncate (r->text, line_end);
	r->whole = TRUE;
	return TRUE;
}

static char
peek (const ImapReply *r)
{
	return r->at < r->text->len ? r->text->str[r->at] : '\0';
}

static Slice
word_take (ImapReply *r)
{
	const char *start = r->text->str + r->at;
	gsize size = 0;
	while (r->at + size < r->text->len && start[size] != ' ')
		size++;
	r->at += size;
	if (peek (r) == ' ')
		r->at++;
	return (Slice) {start, size};
}

static gboolean
parse_fail (const ImapReply *r, GError **error, const char *why)
{
	g_autofree char *near_by = slice_to_utf8 ((Slice) {r->text->str, r->text->len}, 60);
	return error_fail (error, ERROR_PROTOCOL, "the server sent a response that can't be read (%s, octet %zu): %s", why, r->at, near_by);
}

static gboolean
parse_quoted (ImapReply *r, ImapNode *n, GError **error)
{
	char *start = r->text->str + ++r->at, *to = start;
	for (; r->at < r->text->len && peek (r) != '"'; r->at++) {
		if (peek (r) == '\\' && r->at + 1 < r->text->len)
			r->at++;
		*to++ = r->text->str[r->at];
	}
	if (r->at >= r->text->len)
		return parse_fail (r, error, "no closing quote");
	r->at++;
	n->kind = NODE_STRING;
	n->text = (Slice) {start, to - start};
	return TRUE;
}

static gboolean
parse_literal (ImapReply *r, ImapNode *n, GError **error)
{
	const char *start = r->text->str + r->at;
	const char *line = memchr (start, '\n', r->text->len - r->at);
	gint64 size = line ? literal_announced (r, line - r->text->str - (line[-1] == '\r')) : -1;
	if (size < 0)
		return parse_fail (r, error, "bad literal");
	r->at = line + 1 - r->text->str;
	if (size > SPOOL_LIMIT) {
		n->kind = NODE_FILE;
		n->fd = r->files[r->n_files_read].fd;
		n->size = r->files[r->n_files_read++].size;
		return TRUE;
	}
	n->kind = NODE_STRING;
	n->text = (Slice) {r->text->str + r->at, (gsize) size};
	r->at += size;
	return r->at <= r->text->len || parse_fail (r, error, "short literal");
}

/* Brackets belong to the atom with all they hold: BODY[HEADER.FIELDS (X)]<0>. */
static gboolean
parse_atom (ImapReply *r, ImapNode *n, GError **error)
{
	gsize start = r->at;
	guint brackets = 0;
	for (char c; r->at < r->text->len; r->at++) {
		c = peek (r);
		if (c == '[')
			brackets++;
		else if (c == ']' && brackets > 0)
			brackets--;
		else if (!brackets && (c == ' ' || c == '(' || c == ')'))
			break;
	}
	n->kind = NODE_ATOM;
	n->text = (Slice) {r->text->str + start, r->at - start};
	return r->at > start || parse_fail (r, error, "empty word");
}

static gboolean
parse_list (ImapReply *r, guint list, guint depth, GError **error)
{
	guint previous = 0;
	for (;;) {
		while (peek (r) == ' ')
			r->at++;
		if (r->at >= r->text->len || peek (r) == ')')
			return TRUE;
		guint index = r->nodes->len;
		if (index >= NODES_LIMIT || depth >= DEPTH_LIMIT)
			return parse_fail (r, error, "too much of it");
		g_array_set_size (r->nodes, index + 1);
		ImapNode *n = &g_array_index (r->nodes, ImapNode, index);
		n->reply = r;
		char c = peek (r);
		if (c == '(') {
			n->kind = NODE_LIST;
			r->at++;
			if (!parse_list (r, index, depth + 1, error))
				return FALSE;
			if (peek (r) != ')')
				return parse_fail (r, error, "no closing parenthesis");
			r->at++;
		} else if (c == '"' ? !parse_quoted (r, n, error)
		                    : c == '{' || (c == '~' && r->text->str[r->at + 1] == '{') ? !parse_literal (r, n, error)
		                                                                            : !parse_atom (r, n, error))
			return FALSE;
		ImapNode *nodes = &g_array_index (r->nodes, ImapNode, 0);
		nodes[list].count++;
		*(previous ? &nodes[previous].next : &nodes[list].first) = index;
		previous = index;
	}
}

static void
parse_status (ImapReply *r)
{
	const char *rest = r->text->str + r->at;
	if (*rest == '[') {
		/* the code ends at the last bracket that closes it: BADCHARSET and PERMANENTFLAGS hold none */
		const char *end = strchr (rest, ']');
		if (end) {
			g_autofree char *code = g_strndup (rest + 1, end - rest - 1);
			gsize size = strcspn (code, " ");
			r->code = g_ascii_strup (code, size);
			r->code_args = g_strdup (code[size] ? code + size + 1 : "");
			rest = end + 1 + (end[1] == ' ');
		}
	}
	r->human = slice_to_utf8 ((Slice) {rest, strlen (rest)}, 400);
}

gboolean
reply_is_status (const ImapResponse *r)
{
	static const char *const names[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
	for (guint i = 0; i < G_N_ELEMENTS (names); i++)
		if (reply_is (r, names[i]))
			return TRUE;
	return FALSE;
}

static gboolean
reply_parse (ImapReply *r, GError **error)
{
	r->name = (Slice) {"", 0};
	r->number = 0;
	g_array_set_size (r->nodes, 1);
	g_array_index (r->nodes, ImapNode, 0) = (ImapNode) {.kind = NODE_LIST, .reply = r};
	r->tag = word_take (r);
	r->kind = slice_equals (r->tag, "*") ? REPLY_UNTAGGED : slice_equals (r->tag, "+") ? REPLY_CONTINUATION : REPLY_TAGGED;
	if (r->kind == REPLY_CONTINUATION) {
		r->human = g_strdup (r->text->str + MIN (r->at, r->text->len));
		return TRUE;
	}
	r->name = word_take (r);
	if (r->name.size && g_ascii_isdigit (r->name.data[0])) {
		r->number = slice_number (r->name);
		r->name = word_take (r);
	}
	if (reply_is_status (r)) {
		parse_status (r);
		return TRUE;
	}
	if (r->kind == REPLY_TAGGED)
		return parse_fail (r, error, "neither OK, NO nor BAD");
	if (!parse_list (r, 0, 0, error))
		return FALSE;
	return r->at >= r->text->len || parse_fail (r, error, "more behind the end");
}

gboolean
imap_reply_feed (ImapReply *r, Slice input, gsize *used_out, gboolean *complete_out, GError **error)
{
	*used_out = 0;
	*complete_out = FALSE;
	if (r->whole)
		reply_reset (r);
	while (*used_out < input.size && !r->whole) {
		Slice rest = {input.data + *used_out, input.size - *used_out};
		gsize used = 0;
		if (r->literal_left ? !reply_take_literal (r, rest, &used, error) : !reply_take_line (r, rest, &used, error))
			return FALSE;
		*used_out += used;
	}
	*complete_out = r->whole;
	return !r->whole || reply_parse (r, error);
}

ReplyKind
reply_kind (const ImapResponse *r)
{
	return r->kind;
}

Slice
reply_tag (const ImapResponse *r)
{
	return r->tag;
}

gboolean
reply_is (const ImapResponse *r, const char *name)
{
	return slice_equals_ascii_case (r->name, name);
}

guint32
reply_number (const ImapResponse *r)
{
	return r->number;
}

const ImapNode *
reply_arg (const ImapResponse *r, guint i)
{
	return node_at (&g_array_index (r->nodes, ImapNode, 0), i);
}

Slice
reply_text (const ImapResponse *r, guint i)
{
	return node_text (reply_arg (r, i));
}

const char *
reply_code (const ImapResponse *r)
{
	return r->code ? r->code : "";
}

const char *
reply_code_args (const ImapResponse *r)
{
	return r->code_args ? r->code_args : "";
}

guint64
reply_code_number (const ImapResponse *r)
{
	return g_ascii_strtoull (reply_code_args (r), NULL, 10);
}

char *
reply_code_id (const ImapResponse *r)
{
	const char *args = reply_code_args (r);
	return *args == '(' ? g_strndup (args + 1, strcspn (args + 1, ")")) : g_strdup (args);
}

gboolean
reply_code_has (const ImapResponse *r, const char *word)
{
	return strstr (reply_code_args (r), word) != NULL;
}

const char *
reply_human (const ImapResponse *r)
{
	return r->human ? r->human : "";
}

static void
set_take_text (UidSet *set, Slice text)
{
	g_autofree char *copy = slice_dup (text);
	g_auto (UidSet) more = UID_SET_INIT;
	uid_set_parse (&more, copy, RANGES_LIMIT);
	uid_set_add_set (set, &more);
}

void
reply_take_vanished (const ImapResponse *r, UidSet *set)
{
	const ImapNode *first = reply_arg (r, 0);
	set_take_text (set, node_text (first && first->kind == NODE_LIST ? node_next (first) : first));
}

void
reply_take_search (const ImapResponse *r, UidSet *set)
{
	gboolean extended = reply_is (r, "ESEARCH");
	for (const ImapNode *n = reply_arg (r, 0); n; n = node_next (n))
		if (!extended && n->kind == NODE_ATOM)
			uid_set_add (set, node_number (n));
		else if (extended && slice_equals_ascii_case (node_text (n), "ALL"))
			set_take_text (set, node_text (node_next (n)));
}
