/* SPDX-License-Identifier: Apache-2.0 */
#include "imap-command.h"
#include <string.h>

#define NAME_SIZE 32
#define TAIL_SIZE 32 /* of a line that is passed over: enough for {N+} CR */

const ImapCommandLimits imap_limits_before_log_on = {
	.text = 16u << 10, .literal = 4096, .values = 100, .depth = 4, .stream = 0, .drain = 64u << 10, .secret = TRUE};
const ImapCommandLimits imap_limits_logged_on = {
	.text = 1u << 20, .literal = 256u << 10, .values = 20000, .depth = 50, .stream = 128u << 20, .drain = 128u << 20};

typedef enum {
	READ_LINE,
	READ_KEPT,     /* a literal into memory */
	READ_STREAM,   /* a literal to the caller */
	AWAIT_CALLER,  /* accept or refuse */
	DRAIN_LINE,
	DRAIN_LITERAL,
	WHOLE,
} CommandState;

struct ImapCommand {
	ImapCommandLimits limits;
	ImapTree *tree;

	/* until the next command */
	CommandState state;
	guint lines;
	Slice tag;
	char name[NAME_SIZE];
	gboolean is_uid, sections;
	TreeLiteral literal;
	char *kept;       /* where the next octets of a kept literal go */
	guint64 left;     /* octets of a literal still to come */
	guint64 drained;
	char tail[TAIL_SIZE];
	gsize tail_size;
	Slice octets;
	char *fault;
	gboolean is_too_big;
};

ImapCommand *
imap_command_new (const ImapCommandLimits *limits)
{
	ImapCommand *c = g_new0 (ImapCommand, 1);
	c->tree = imap_tree_new (TRUE);
	imap_command_set_limits (c, limits);
	return c;
}

static void
command_reset (ImapCommand *c)
{
	imap_tree_reset (c->tree);
	g_clear_pointer (&c->fault, g_free);
	*c = (ImapCommand) {.limits = c->limits, .tree = c->tree};
}

void
imap_command_free (ImapCommand *c)
{
	if (!c)
		return;
	command_reset (c);
	imap_tree_free (c->tree);
	g_free (c);
}

gboolean
imap_command_is_between (const ImapCommand *c)
{
	return c->state == WHOLE || (c->state == READ_LINE && imap_tree_text_size (c->tree) == 0);
}

void
imap_command_set_limits (ImapCommand *c, const ImapCommandLimits *limits)
{
	g_assert (imap_command_is_between (c));
	command_reset (c);
	c->limits = *limits;
	imap_tree_set_limits (c->tree, &(TreeLimits) {limits->text, limits->values, limits->depth, limits->secret});
}

void
imap_command_forget (ImapCommand *c)
{
	if (c->state == WHOLE)
		command_reset (c);
}

void
imap_command_allow_utf8 (ImapCommand *c, gboolean allow)
{
	imap_tree_allow_utf8 (c->tree, allow);
}

/* ---- Passing over what was refused ---- */

/* The client goes on with a literal that doesn't wait, and with the line behind it; otherwise this was the command's end. */
static void
drain_behind (ImapCommand *c, const TreeLiteral *literal)
{
	c->tail_size = 0;
	c->state = literal && !literal->waits ? DRAIN_LITERAL : WHOLE;
	c->left = literal ? literal->size : 0;
}

/* RFC 7888 section 4: a literal that doesn't wait is read and dropped, or the connection is closed. */
static CommandStep
drain (ImapCommand *c, gsize size)
{
	c->drained += size;
	return c->drained > c->limits.drain || (c->state == DRAIN_LITERAL && c->left > c->limits.drain - c->drained) ? COMMAND_LOST : COMMAND_MORE;
}

static CommandStep
drain_literal (ImapCommand *c, Slice input, gsize *used)
{
	*used = MIN (c->left, input.size);
	c->left -= *used;
	CommandStep step = drain (c, *used);
	if (c->left == 0)
		c->state = DRAIN_LINE;
	return step;
}

static void
tail_add (ImapCommand *c, Slice piece)
{
	gsize fresh = MIN (piece.size, TAIL_SIZE), old = MIN (c->tail_size, TAIL_SIZE - fresh);
	memmove (c->tail, c->tail + c->tail_size - old, old);
	memcpy (c->tail + old, slice_end (piece) - fresh, fresh);
	c->tail_size = old + fresh;
}

static CommandStep
drain_line (ImapCommand *c, Slice input, gsize *used)
{
	const char *end = memchr (input.data, '\n', input.size);
	gsize size = end ? (gsize) (end - input.data) : input.size;
	TreeLiteral literal;
	tail_add (c, (Slice) {input.data, size});
	*used = size + (end != NULL);
	CommandStep step = drain (c, *used);
	if (!end || step == COMMAND_LOST)
		return step;
	if (c->tail_size > 0 && c->tail[c->tail_size - 1] == '\r')
		c->tail_size--;
	gboolean announced = imap_literal_at_end ((Slice) {c->tail, c->tail_size}, &literal);
	drain_behind (c, announced ? &literal : NULL);
	return drain (c, 0);
}

/* ---- Faults ---- */

static CommandStep
command_fail (ImapCommand *c, const char *why, gsize at, gboolean too_big)
{
	c->fault = c->lines > 1 ? g_strdup_printf ("%s (line %u, octet %zu)", why, c->lines, at) : g_strdup_printf ("%s (octet %zu)", why, at);
	c->is_too_big = too_big;
	return COMMAND_BAD;
}

/* A whole line is wrong. */
static CommandStep
line_fail (ImapCommand *c, Slice line, const char *why, gsize at, gboolean too_big)
{
	TreeLiteral literal;
	drain_behind (c, imap_literal_at_end (line, &literal) ? &literal : NULL);
	return command_fail (c, why, at, too_big);
}

/* The line has not ended and is too long already. */
static CommandStep
pending_fail (ImapCommand *c)
{
	Slice pending = imap_tree_pending (c->tree), tag = {pending.data, 0};
	while (tag.size < pending.size && pending.data[tag.size] != ' ')
		tag.size++;
	if (c->lines == 0 && tag.size < pending.size && slice_words (tag) & WORD_TAG)
		c->tag = tag;
	c->state = DRAIN_LINE;
	c->tail_size = 0;
	tail_add (c, pending);
	c->lines++;
	return command_fail (c, "the command is too long", pending.size, TRUE);
}

/* ---- Literals ---- */

/* In CATENATE (TEXT {n} URL {n}) and UTF8 (~{n}) only the texts are messages. */
static gboolean
list_has_messages (const ImapCommand *c, const ImapNode *list, const ImapNode *last)
{
	const ImapNode *before = NULL;
	for (const ImapNode *n = node_first (imap_command_args (c)); n && n != list; n = node_next (n))
		before = n;
	return (node_is_word (before, "CATENATE") && node_is_word (last, "TEXT")) || (node_is_word (before, "UTF8") && !last);
}

static gboolean
literal_is_message (const ImapCommand *c)
{
	guint depth, mailbox = strcmp (c->name, "APPEND") == 0 ? 1 : strcmp (c->name, "REPLACE") == 0 ? 2 : 0;
	const ImapNode *last, *list = imap_tree_open (c->tree, &depth, &last);
	if (mailbox == 0 || node_count (imap_command_args (c)) < mailbox)
		return FALSE;
	return depth == 0 || (depth == 1 && list_has_messages (c, list, last));
}

static CommandStep
literal_announced (ImapCommand *c, Slice line)
{
	gboolean message = literal_is_message (c);
	if (c->literal.size > (message ? c->limits.stream : c->limits.literal))
		return line_fail (c, line, message ? "the message is too big" : "the literal is too big", line.size, TRUE);
	c->left = c->literal.size;
	if (message) {
		if (!imap_tree_pass (c->tree, &c->literal, NODE_STREAM))
			return line_fail (c, line, "too many values", line.size, TRUE);
		c->state = AWAIT_CALLER;
		return COMMAND_LITERAL;
	}
	c->kept = imap_tree_keep (c->tree, &c->literal);
	if (!c->kept)
		return line_fail (c, line, "the command is too big", line.size, TRUE);
	c->state = c->left ? READ_KEPT : READ_LINE;
	return c->literal.waits ? COMMAND_CONTINUE : COMMAND_MORE;
}

static CommandStep
read_kept (ImapCommand *c, Slice input, gsize *used)
{
	*used = MIN (c->left, input.size);
	memcpy (c->kept, input.data, *used);
	c->left -= *used;
	const char *nul = c->literal.literal8 ? NULL : memchr (c->kept, '\0', *used);
	c->kept += *used;
	if (nul) {
		c->state = c->left ? DRAIN_LITERAL : DRAIN_LINE;
		return command_fail (c, "NUL in a literal", c->literal.size - c->left - (gsize) (c->kept - nul), FALSE);
	}
	if (c->left == 0)
		c->state = READ_LINE;
	return COMMAND_MORE;
}

static CommandStep
read_stream (ImapCommand *c, Slice input, gsize *used)
{
	*used = MIN (c->left, input.size);
	c->left -= *used;
	c->octets = (Slice) {input.data, *used};
	if (c->left == 0)
		c->state = READ_LINE;
	return COMMAND_OCTETS;
}

/* ---- Lines ---- */

static Slice
word_take (Slice *rest)
{
	gsize size = 0;
	while (size < rest->size && rest->data[size] != ' ')
		size++;
	Slice word = {rest->data, size};
	while (size < rest->size && rest->data[size] == ' ')
		size++;
	*rest = (Slice) {rest->data + size, rest->size - size};
	return word;
}

static gboolean
name_take (ImapCommand *c, Slice *rest)
{
	Slice word = word_take (rest);
	if (word.size == 0 || word.size >= NAME_SIZE || !(slice_words (word) & WORD_ATOM))
		return FALSE;
	for (gsize i = 0; i < word.size; i++)
		c->name[i] = g_ascii_toupper (word.data[i]);
	c->name[word.size] = '\0';
	return TRUE;
}

static CommandStep
read_values (ImapCommand *c, Slice line, gsize before)
{
	gsize at;
	switch (imap_tree_read (c->tree, (Slice) {line.data + before, line.size - before}, c->sections, &c->literal)) {
	case TREE_LITERAL:
		return literal_announced (c, line);
	case TREE_BAD: {
		const char *why = imap_tree_fault (c->tree, &at);
		return line_fail (c, line, why, before + at, strstr (why, "too many ") != NULL);
	}
	case TREE_END:
		break;
	}
	c->state = WHOLE;
	return COMMAND_DONE;
}

static CommandStep
read_first (ImapCommand *c, Slice line)
{
	Slice rest = line, tag = word_take (&rest);
	if (line.size == 0)
		return line_fail (c, line, "an empty line", 0, FALSE);
	if (!(slice_words (tag) & WORD_TAG))
		return line_fail (c, line, "no tag", 0, FALSE);
	c->tag = tag;
	if (!name_take (c, &rest))
		return line_fail (c, line, "no command behind the tag", tag.size, FALSE);
	c->is_uid = strcmp (c->name, "UID") == 0;
	if (c->is_uid && !name_take (c, &rest))
		return line_fail (c, line, "no command behind UID", line.size - rest.size, FALSE);
	c->sections = strcmp (c->name, "FETCH") == 0 || strcmp (c->name, "NOTIFY") == 0;
	return read_values (c, line, line.size - rest.size);
}

/* TRUE: a line. Never takes more than one octet over the limit, wherever the input is cut. */
static gboolean
line_take (ImapCommand *c, Slice input, gsize *used, Slice *line_out, CommandStep *step_out)
{
	gsize room = c->limits.text + 1 - imap_tree_text_size (c->tree);
	if (imap_tree_take_line (c->tree, (Slice) {input.data, MIN (input.size, room)}, used, line_out))
		return TRUE;
	*step_out = imap_tree_text_size (c->tree) > c->limits.text ? pending_fail (c) : COMMAND_MORE;
	return FALSE;
}

static CommandStep
read_line (ImapCommand *c, Slice input, gsize *used)
{
	Slice line;
	CommandStep step;
	if (!line_take (c, input, used, &line, &step))
		return step;
	c->lines++;
	return c->lines == 1 ? read_first (c, line) : read_values (c, line, 0);
}

static CommandStep
command_step (ImapCommand *c, Slice input, gsize *used)
{
	switch (c->state) {
	case READ_LINE:
		return read_line (c, input, used);
	case READ_KEPT:
		return read_kept (c, input, used);
	case READ_STREAM:
		return read_stream (c, input, used);
	case DRAIN_LINE:
		return drain_line (c, input, used);
	case DRAIN_LITERAL:
		return drain_literal (c, input, used);
	case AWAIT_CALLER:
	case WHOLE:
		break;
	}
	g_assert_not_reached ();
}

CommandStep
imap_command_feed (ImapCommand *c, Slice input, gsize *used_out)
{
	*used_out = 0;
	g_assert (c->state != AWAIT_CALLER);
	CommandStep step = COMMAND_MORE;
	while (step == COMMAND_MORE && *used_out < input.size) {
		gsize used = 0;
		if (c->state == WHOLE)
			command_reset (c);
		step = command_step (c, (Slice) {input.data + *used_out, input.size - *used_out}, &used);
		*used_out += used;
	}
	return step;
}

static CommandStep
read_raw_line (ImapCommand *c, Slice input, gsize *used, Slice *line_out)
{
	CommandStep step;
	if (!line_take (c, input, used, line_out, &step))
		return step;
	c->state = WHOLE;
	return COMMAND_DONE;
}

CommandStep
imap_command_feed_line (ImapCommand *c, Slice input, gsize *used_out, Slice *line_out)
{
	*used_out = 0;
	CommandStep step = COMMAND_MORE;
	while (step == COMMAND_MORE && *used_out < input.size) {
		gsize used = 0;
		Slice rest = {input.data + *used_out, input.size - *used_out};
		if (c->state == WHOLE)
			command_reset (c);
		step = c->state == READ_LINE ? read_raw_line (c, rest, &used, line_out) : command_step (c, rest, &used);
		*used_out += used;
	}
	return step;
}

/* ---- What a command says ---- */

Slice
imap_command_tag (const ImapCommand *c)
{
	return c->tag.size ? c->tag : (Slice) {"*", 1};
}

const char *
imap_command_name (const ImapCommand *c)
{
	return c->name;
}

gboolean
imap_command_is (const ImapCommand *c, const char *name)
{
	return strcmp (c->name, name) == 0;
}

gboolean
imap_command_is_uid (const ImapCommand *c)
{
	return c->is_uid;
}

const ImapNode *
imap_command_args (const ImapCommand *c)
{
	return imap_tree_root (c->tree);
}

const ImapNode *
imap_command_arg (const ImapCommand *c, guint i)
{
	return node_at (imap_tree_root (c->tree), i);
}

guint64
imap_command_literal_size (const ImapCommand *c)
{
	return c->literal.size;
}

gboolean
imap_command_literal_is_binary (const ImapCommand *c)
{
	return c->literal.literal8;
}

gboolean
imap_command_accept (ImapCommand *c)
{
	g_assert (c->state == AWAIT_CALLER);
	c->state = c->left ? READ_STREAM : READ_LINE;
	return c->literal.waits;
}

void
imap_command_refuse (ImapCommand *c)
{
	g_assert (c->state == AWAIT_CALLER);
	drain_behind (c, &c->literal);
}

Slice
imap_command_octets (const ImapCommand *c)
{
	return c->octets;
}

const char *
imap_command_fault (const ImapCommand *c)
{
	return c->fault ? c->fault : "";
}

gboolean
imap_command_is_too_big (const ImapCommand *c)
{
	return c->is_too_big;
}
