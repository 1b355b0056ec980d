/* SPDX-License-Identifier: Apache-2.0 */
#include "imap-reply.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "imap-set.h"

struct ImapReply {
	ImapTree *tree;

	/* until the next response */
	gboolean started;     /* the first line was taken */
	gboolean whole;
	char *literal;        /* where the octets of a kept one go */
	guint64 literal_left; /* octets still to come */
	gboolean spooling;    /* they go to the last file */
	int files[IMAP_REPLY_FILES];
	guint n_files;
	ReplyKind kind;
	Slice tag, name;
	guint32 number;
	gboolean is_status;
	Slice numbers; /* text of SEARCH and SORT */
	char *code, *code_args, *human;
};

static const TreeLimits tree_limits = {IMAP_REPLY_TEXT, IMAP_REPLY_VALUES, IMAP_REPLY_DEPTH};

ImapReply *
imap_reply_new (void)
{
	ImapReply *r = g_new0 (ImapReply, 1);
	r->tree = imap_tree_new (FALSE);
	imap_tree_set_limits (r->tree, &tree_limits);
	return r;
}

static void
reply_reset (ImapReply *r)
{
	imap_tree_reset (r->tree);
	while (r->n_files > 0)
		close (r->files[--r->n_files]);
	g_clear_pointer (&r->code, g_free);
	g_clear_pointer (&r->code_args, g_free);
	g_clear_pointer (&r->human, g_free);
	r->started = r->whole = r->spooling = r->is_status = FALSE;
	r->literal_left = 0;
	r->number = 0;
	r->tag = r->name = r->numbers = (Slice) {"", 0};
}

void
imap_reply_free (ImapReply *r)
{
	if (!r)
		return;
	reply_reset (r);
	imap_tree_free (r->tree);
	g_free (r);
}

/* ---- Literals ---- */

static const char *
spool_directory (void)
{
	const char *directory = g_getenv ("TMPDIR");
	return directory && *directory ? directory : "/var/tmp";
}

static gboolean
spool_open (ImapReply *r, GError **error)
{
	const char *directory = spool_directory ();
	if (r->n_files == IMAP_REPLY_FILES)
		return error_fail (error, ERROR_TOO_BIG, "a response with more than %d big literals", IMAP_REPLY_FILES);
	int fd = open (directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		g_autofree char *name = g_build_filename (directory, "outpost-XXXXXX", NULL);
		fd = g_mkstemp_full (name, O_RDWR | O_CLOEXEC, 0600);
		if (fd >= 0)
			unlink (name);
	}
	if (fd < 0)
		return error_set_errno (error, errno, "can't make a temporary file in %s", directory);
	r->files[r->n_files++] = fd;
	return TRUE;
}

static gboolean
spool_write (ImapReply *r, const char *data, gsize size, GError **error)
{
	while (size > 0) {
		ssize_t written = write (r->files[r->n_files - 1], data, size);
		if (written < 0 && errno != EINTR)
			return error_set_errno (error, errno, "can't write a big message to a temporary file in %s", spool_directory ());
		data += MAX (written, 0);
		size -= (gsize) MAX (written, 0);
	}
	return TRUE;
}

static gboolean
reply_fail (const ImapReply *r, Slice line, GError **error)
{
	gsize at;
	const char *why = imap_tree_fault (r->tree, &at);
	g_autofree char *near_by = slice_to_utf8 (line, 60);
	gboolean big = strstr (why, "too ") != NULL;
	return error_fail (error, big ? ERROR_TOO_BIG : ERROR_PROTOCOL,
	                   "the server sent a response that can't be read (%s, octet %zu of the line): %s", why, at, near_by);
}

static gboolean
literal_begin (ImapReply *r, const TreeLiteral *literal, Slice line, GError **error)
{
	if (literal->size > IMAP_REPLY_LITERAL)
		return error_fail (error, ERROR_TOO_BIG, "the server announces a literal of %" G_GUINT64_FORMAT " octets", literal->size);
	r->literal_left = literal->size;
	r->spooling = literal->size > IMAP_REPLY_SPOOL;
	if (!r->spooling) {
		r->literal = imap_tree_keep (r->tree, literal);
		return r->literal || reply_fail (r, line, error);
	}
	ImapNode *n = imap_tree_pass (r->tree, literal, NODE_FILE);
	if (!n)
		return reply_fail (r, line, error);
	if (!spool_open (r, error))
		return FALSE;
	n->fd = r->files[r->n_files - 1];
	return TRUE;
}

static gboolean
reply_take_literal (ImapReply *r, Slice input, gsize *used, GError **error)
{
	gsize part = MIN (r->literal_left, input.size);
	if (r->spooling) {
		if (!spool_write (r, input.data, part, error))
			return FALSE;
	} else {
		memcpy (r->literal, input.data, part);
		r->literal += part;
	}
	r->literal_left -= part;
	*used = part;
	return TRUE;
}

/* ---- Lines ---- */

static Slice
word_take (Slice *rest)
{
	gsize size = 0;
	while (size < rest->size && rest->data[size] != ' ' && rest->data[size] != '(')
		size++;
	Slice word = {rest->data, size};
	while (size < rest->size && rest->data[size] == ' ')
		size++;
	*rest = (Slice) {rest->data + size, rest->size - size};
	return word;
}

static gboolean
name_is_one_of (Slice name, const char *const *names, guint n)
{
	for (guint i = 0; i < n; i++)
		if (slice_equals_ascii_case (name, names[i]))
			return TRUE;
	return FALSE;
}

static gboolean
name_is_status (Slice name)
{
	static const char *const names[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
	return name.size <= 7 && name_is_one_of (name, names, G_N_ELEMENTS (names));
}

/* Their arguments are numbers only, which need no nodes. */
static gboolean
name_is_numbers (Slice name)
{
	static const char *const names[] = {"SEARCH", "SORT"};
	return name.size <= 6 && name_is_one_of (name, names, G_N_ELEMENTS (names));
}

static gboolean
name_is_known (Slice name)
{
	static const char *const names[] = {"FETCH", "LIST", "LSUB", "XLIST", "STATUS", "FLAGS", "CAPABILITY", "ENABLED", "NAMESPACE", "ESEARCH",
	                                    "VANISHED", "EXISTS", "RECENT", "EXPUNGE", "ID"};
	return name_is_one_of (name, names, G_N_ELEMENTS (names));
}

/* How much text a response may have that begins with @line. */
static gsize
text_limit (Slice line)
{
	static const char *const names[] = {"SEARCH", "SORT", "ESEARCH", "VANISHED"};
	word_take (&line);
	return name_is_one_of (word_take (&line), names, G_N_ELEMENTS (names)) ? IMAP_REPLY_NUMBERS_TEXT : IMAP_REPLY_TEXT;
}

/* Where the code's closing bracket is: NULL none. A REFERRAL (RFC 2221) may hold the brackets of an IPv6 address. */
static const char *
code_end (Slice text)
{
	gboolean nests = text.size > 9 && g_ascii_strncasecmp (text.data, "REFERRAL ", 9) == 0, quoted = FALSE;
	guint depth = 0;
	for (const char *c = text.data, *end = slice_end (text); c < end; c++) {
		if (*c == '"')
			quoted = !quoted;
		else if (quoted)
			c += *c == '\\';
		else if (*c == '[' && nests)
			depth++;
		else if (*c == ']' && depth-- == 0)
			return c;
	}
	/* quotes that don't match: the first bracket it is */
	return text.size ? memchr (text.data, ']', text.size) : NULL;
}

static void
parse_status (ImapReply *r, Slice rest)
{
	const char *end = rest.size && *rest.data == '[' ? code_end ((Slice) {rest.data + 1, rest.size - 1}) : NULL;
	if (end) {
		Slice code = {rest.data + 1, (gsize) (end - rest.data) - 1};
		Slice word = {code.data, 0};
		while (word.size < code.size && code.data[word.size] != ' ')
			word.size++;
		gsize args = MIN (word.size + 1, code.size);
		r->code = g_ascii_strup (word.data, (gssize) word.size);
		r->code_args = g_strndup (code.data + args, code.size - args);
		gsize used = (gsize) (end - rest.data) + 1;
		used += used < rest.size && rest.data[used] == ' ';
		rest = (Slice) {rest.data + used, rest.size - used};
	}
	r->human = slice_to_utf8 (rest, 400);
}

static gboolean
parse_values (ImapReply *r, Slice line, GError **error)
{
	TreeLiteral literal;
	switch (imap_tree_read (r->tree, line, slice_equals_ascii_case (r->name, "FETCH"), &literal)) {
	case TREE_LITERAL:
		return literal_begin (r, &literal, line, error);
	case TREE_BAD:
		if (name_is_known (r->name))
			return reply_fail (r, line, error);
		break;
	case TREE_END:
		break;
	}
	r->whole = TRUE;
	return TRUE;
}

static void
parse_name (ImapReply *r, Slice *rest)
{
	guint64 number;
	r->name = word_take (rest);
	if (r->kind == REPLY_UNTAGGED && slice_to_number (r->name, &number)) {
		r->number = number <= G_MAXUINT32 ? (guint32) number : 0;
		r->name = word_take (rest);
	}
}

/* The first line: what kind of response it is decides how the rest is read. */
static gboolean
parse_first (ImapReply *r, Slice line, GError **error)
{
	Slice rest = line;
	r->tag = word_take (&rest);
	r->kind = slice_equals (r->tag, "*") ? REPLY_UNTAGGED : slice_equals (r->tag, "+") ? REPLY_CONTINUATION : REPLY_TAGGED;
	if (r->kind == REPLY_CONTINUATION) {
		r->human = slice_dup (rest);
		r->whole = TRUE;
		return TRUE;
	}
	parse_name (r, &rest);
	r->is_status = name_is_status (r->name);
	if (r->is_status)
		parse_status (r, rest);
	else if (r->kind == REPLY_TAGGED || r->name.size == 0) {
		g_autofree char *near_by = slice_to_utf8 (line, 60);
		return error_fail (error, ERROR_PROTOCOL, "the server sent what is no response: %s", near_by);
	} else if (name_is_numbers (r->name))
		r->numbers = rest;
	else
		return parse_values (r, rest, error);
	r->whole = TRUE;
	return TRUE;
}

static gboolean
reply_take_line (ImapReply *r, Slice input, gsize *used, GError **error)
{
	Slice line;
	gboolean is_line = imap_tree_take_line (r->tree, input, used, &line);
	gsize size = imap_tree_text_size (r->tree);
	if (size > IMAP_REPLY_TEXT && size > (r->started ? IMAP_REPLY_TEXT : text_limit (is_line ? line : imap_tree_pending (r->tree))))
		return error_fail (error, ERROR_TOO_BIG, "the server sent a response over %u MiB", IMAP_REPLY_TEXT >> 20);
	if (!is_line)
		return TRUE;
	while (line.size > 0 && line.data[line.size - 1] == '\r')
		line.size--;
	if (r->started)
		return parse_values (r, line, error);
	if (line.size == 0)
		return TRUE; /* an empty line between responses means nothing */
	r->started = TRUE;
	return parse_first (r, line, error);
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
		if (r->literal_left ? !reply_take_literal (r, rest, &used, error) : !reply_take_line (r, rest, &used, error)) {
			r->whole = TRUE;
			return FALSE;
		}
		*used_out += used;
	}
	*complete_out = r->whole;
	return TRUE;
}

/* ---- What a response says ---- */

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

Slice
reply_name (const ImapResponse *r)
{
	return r->name;
}

gboolean
reply_is (const ImapResponse *r, const char *name)
{
	return slice_equals_ascii_case (r->name, name);
}

gboolean
reply_is_status (const ImapResponse *r)
{
	return r->is_status;
}

guint32
reply_number (const ImapResponse *r)
{
	return r->number;
}

const ImapNode *
reply_arg (const ImapResponse *r, guint i)
{
	return node_at (imap_tree_root (r->tree), i);
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

gboolean
reply_vanished_earlier (const ImapResponse *r)
{
	return node_is_word (node_first (reply_arg (r, 0)), "EARLIER");
}

void
reply_take_vanished (const ImapResponse *r, UidSet *set)
{
	const ImapNode *first = reply_arg (r, 0);
	uid_set_take_text (set, node_text (first && first->kind == NODE_LIST ? node_next (first) : first), IMAP_REPLY_RANGES);
}

Slice
reply_numbers (const ImapResponse *r)
{
	return r->numbers;
}

gboolean
reply_next_number (Slice *rest, guint32 *n_out)
{
	const char *c = rest->data, *end = slice_end (*rest);
	guint64 n = 0;
	while (c < end && (*c == ' ' || g_ascii_isdigit (*c)) && n == 0) {
		for (; c < end && g_ascii_isdigit (*c); c++)
			n = n <= G_MAXUINT32 ? n * 10 + (guint64) (*c - '0') : n;
		if (n > G_MAXUINT32)
			n = 0;
		c += c < end && *c == ' ';
	}
	*rest = (Slice) {c, (gsize) (end - c)};
	*n_out = (guint32) n;
	return n > 0;
}

Slice
reply_esearch_tag (const ImapResponse *r)
{
	const ImapNode *n = reply_arg (r, 0);
	return node_is_word (node_first (n), "TAG") ? node_text (node_next (node_first (n))) : (Slice) {"", 0};
}

/* The correlator and UID come first, and a folder's MAILBOX and such (RFC 7377) within the correlator; then pairs. */
const ImapNode *
reply_esearch_item (const ImapResponse *r, const char *item)
{
	const ImapNode *n = reply_arg (r, 0);
	if (!reply_is (r, "ESEARCH"))
		return NULL;
	if (n && n->kind == NODE_LIST)
		n = node_next (n);
	if (node_is_word (n, "UID"))
		n = node_next (n);
	for (; n; n = node_next (node_next (n)))
		if (node_is_word (n, item))
			return node_next (n);
	return NULL;
}

guint64
reply_search_modseq (const ImapResponse *r)
{
	Slice text = r->numbers;
	if (text.size == 0)
		return node_number (reply_esearch_item (r, "MODSEQ"));
	const char *open = memrchr (text.data, '(', text.size);
	const char *close = open ? memchr (open, ')', (gsize) (slice_end (text) - open)) : NULL;
	guint64 modseq;
	if (!close || close - open < 9 || g_ascii_strncasecmp (open, "(MODSEQ ", 8) != 0)
		return 0;
	return slice_to_number ((Slice) {open + 8, (gsize) (close - open) - 8}, &modseq) ? modseq : 0;
}

static void
take_numbers (Slice rest, UidSet *set)
{
	g_auto (ImapSet) written = {0};
	for (guint32 n; reply_next_number (&rest, &n);)
		imap_set_append (&written, n);
	imap_set_resolve (&written, 0, NULL, set);
}

void
reply_take_search (const ImapResponse *r, UidSet *set)
{
	if (r->numbers.size > 0)
		take_numbers (r->numbers, set);
	uid_set_take_text (set, node_text (reply_esearch_item (r, "ALL")), IMAP_REPLY_RANGES);
	uid_set_take_text (set, node_text (node_at (reply_esearch_item (r, "PARTIAL"), 1)), IMAP_REPLY_RANGES);
}
