/* SPDX-License-Identifier: Apache-2.0 */
/* Texts lie in chunks that never move, nodes in blocks that never move: so nodes point at both. What is open is a stack of frames, so
 * that depth costs no C stack and reading can stop after any line. */
#include "imap-tree.h"
#include "sasl.h"
#include <string.h>

#define BLOCK_NODES 64u

/* A server has thousands of idle connections, a client few that carry all the mail: what a reset leaves is small there, warm here. */
static const struct {
	gsize chunk, kept;
	guint blocks;
} memory[2] = {{64u << 10, 2u << 20, 32}, {2048, 0, 0}}; /* tolerant, strict */

/* Of octets, besides ImapWord: what a word is read up to. */
enum { IN_TOLERANT = 128, IN_STRICT = 256, IN_SECTION = 512, WORDS = IN_TOLERANT - 1 };

typedef struct Chunk Chunk;
struct Chunk {
	Chunk *next;
	gsize size, used;
	char data[];
};

typedef struct {
	ImapNode *list, *last;
	const char *start;   /* of what of the section's text is not in ImapTree.section */
	gboolean is_section;
} Frame;

struct ImapTree {
	gboolean strict, utf8;
	TreeLimits limits;
	GPtrArray *blocks; /* of BLOCK_NODES nodes */
	Frame *frames;     /* limits.depth + 1 */

	/* until a reset */
	Chunk *chunks; /* the first is filled */
	GString *pending;
	gsize text_size;
	guint values;
	guint depth;
	gboolean after_value;
	GString *section;          /* text of a section that goes over a literal; NULL */
	ImapNode *section_literal; /* its last, not yet in the text */
	ImapNode root;
	const char *fault;

	/* within a line */
	const char *line, *at, *end;
	gboolean sections;
};

static guint16 octets[256];

static void
octets_init (void)
{
	static gsize done;
	if (!g_once_init_enter (&done))
		return;
	for (guint c = 0; c < 256; c++) {
		guint16 kinds = c == ' ' || c == '(' || c == ')' ? 0 : IN_TOLERANT | (c != ']' && c != '"' ? IN_SECTION : 0);
		if (c > ' ' && c < 0x7f && !strchr ("(){\"\\", (int) c)) {
			kinds |= IN_STRICT | WORD_PATTERN;
			if (!strchr ("%*", (int) c))
				kinds |= WORD_ASTRING | (c != '+' ? WORD_TAG : 0) | (c != ']' ? WORD_ATOM | WORD_FLAG : 0);
			if (g_ascii_isdigit (c))
				kinds |= WORD_NUMBER;
			if (g_ascii_isdigit (c) || strchr (":,*$", (int) c))
				kinds |= WORD_SET;
		}
		octets[c] = kinds;
	}
	g_once_init_leave (&done, 1);
}

/* ---- Memory ---- */

static char *
text_take (ImapTree *t, gsize size)
{
	Chunk *c = t->chunks;
	if (!c || c->size - c->used < size) {
		gsize step = memory[t->strict].chunk, whole = (size + step - 1) / step * step;
		c = g_malloc (sizeof *c + whole);
		*c = (Chunk) {NULL, whole, 0};
		/* a big literal goes behind a chunk that still has room for the lines to come */
		if (t->chunks && size > step / 2 && t->chunks->size - t->chunks->used > 256) {
			c->next = t->chunks->next;
			t->chunks->next = c;
		} else {
			c->next = t->chunks;
			t->chunks = c;
		}
	}
	char *text = c->data + c->used;
	c->used += size;
	return text;
}

/* The biggest chunk of bearable size is kept. */
static void
text_reset (ImapTree *t, gsize keep)
{
	Chunk *kept = NULL;
	for (Chunk *c = t->chunks, *next; c; c = next) {
		next = c->next;
		if (t->limits.secret)
			explicit_bzero (c->data, c->used);
		if (c->size <= keep && (!kept || c->size > kept->size)) {
			g_free (kept);
			kept = c;
		} else
			g_free (c);
	}
	if (kept)
		*kept = (Chunk) {NULL, kept->size, 0};
	t->chunks = kept;
	t->text_size = 0;
}

static ImapNode *
node_new (ImapTree *t, NodeKind kind)
{
	guint block = t->values / BLOCK_NODES;
	if (block == t->blocks->len)
		g_ptr_array_add (t->blocks, g_new (ImapNode, BLOCK_NODES));
	ImapNode *n = (ImapNode *) t->blocks->pdata[block] + t->values++ % BLOCK_NODES;
	*n = (ImapNode) {.kind = kind, .fd = -1};
	return n;
}

ImapTree *
imap_tree_new (gboolean strict)
{
	octets_init ();
	ImapTree *t = g_new0 (ImapTree, 1);
	t->strict = strict;
	t->blocks = g_ptr_array_new_with_free_func (g_free);
	t->pending = g_string_new (NULL);
	imap_tree_set_limits (t, &(TreeLimits) {0});
	imap_tree_reset (t);
	return t;
}

void
imap_tree_free (ImapTree *t)
{
	if (!t)
		return;
	imap_tree_reset (t);
	text_reset (t, 0);
	g_string_free (t->pending, TRUE);
	g_ptr_array_unref (t->blocks);
	g_free (t->frames);
	g_free (t);
}

void
imap_tree_set_limits (ImapTree *t, const TreeLimits *limits)
{
	g_assert (t->depth == 0 && limits->depth <= TREE_DEPTH_MAX);
	t->limits = *limits;
	t->frames = g_renew (Frame, t->frames, limits->depth + 1);
	t->frames[0] = (Frame) {.list = &t->root};
}

void
imap_tree_allow_utf8 (ImapTree *t, gboolean allow)
{
	t->utf8 = allow;
}

void
imap_tree_reset (ImapTree *t)
{
	text_reset (t, memory[t->strict].kept);
	if (t->limits.secret)
		explicit_bzero (t->pending->str, t->pending->allocated_len);
	if (t->pending->allocated_len > memory[t->strict].kept) {
		g_string_free (t->pending, TRUE);
		t->pending = g_string_new (NULL);
	}
	g_string_truncate (t->pending, 0);
	if (t->blocks->len > memory[t->strict].blocks)
		g_ptr_array_set_size (t->blocks, (gint) memory[t->strict].blocks);
	if (t->section)
		g_string_free (g_steal_pointer (&t->section), TRUE);
	t->section_literal = NULL;
	t->values = t->depth = 0;
	t->after_value = FALSE;
	t->root = (ImapNode) {.kind = NODE_LIST, .fd = -1};
	t->frames[0] = (Frame) {.list = &t->root};
	t->fault = NULL;
}

/* ---- Lines ---- */

gboolean
imap_tree_take_line (ImapTree *t, Slice input, gsize *used_out, Slice *line_out)
{
	const char *end = memchr (input.data, '\n', input.size);
	if (!end) {
		if (t->limits.secret)
			sasl_append (&t->pending, input);
		else
			g_string_append_len (t->pending, input.data, (gssize) input.size);
		*used_out = input.size;
		return FALSE;
	}
	*used_out = (gsize) (end - input.data) + 1;
	gsize size = t->pending->len + (gsize) (end - input.data);
	char *line = text_take (t, size + 1);
	if (t->pending->len)
		memcpy (line, t->pending->str, t->pending->len);
	if (end > input.data)
		memcpy (line + t->pending->len, input.data, (gsize) (end - input.data));
	g_string_truncate (t->pending, 0);
	t->text_size += size;
	if (size > 0 && line[size - 1] == '\r')
		size--;
	line[size] = '\0';
	*line_out = (Slice) {line, size};
	return TRUE;
}

Slice
imap_tree_pending (const ImapTree *t)
{
	return (Slice) {t->pending->str, t->pending->len};
}

gsize
imap_tree_text_size (const ImapTree *t)
{
	return t->text_size + t->pending->len;
}

/* Where the announcement begins that ends at @end; NULL: there is none. */
static const char *
literal_find (const char *start, const char *end, TreeLiteral *literal_out)
{
	if (end - start < 3 || end[-1] != '}')
		return NULL;
	gboolean waits = end[-2] != '+';
	const char *last = end - (waits ? 1 : 2), *first = last;
	while (first > start && g_ascii_isdigit (first[-1]))
		first--;
	if (first == last || first == start || first[-1] != '{')
		return NULL;
	*literal_out = (TreeLiteral) {.waits = waits, .literal8 = first - 1 > start && first[-2] == '~'};
	/* a number beyond 64 bits is beyond every limit too */
	if (!slice_to_number ((Slice) {first, (gsize) (last - first)}, &literal_out->size))
		literal_out->size = G_MAXUINT64;
	return first - 1 - literal_out->literal8;
}

gboolean
imap_literal_at_end (Slice line, TreeLiteral *literal_out)
{
	return literal_find (line.data, slice_end (line), literal_out) != NULL;
}

/* ---- Values ---- */

static TreeStep
tree_fail (ImapTree *t, const char *why)
{
	t->fault = why;
	return TREE_BAD;
}

static ImapNode *
value_add (ImapTree *t, NodeKind kind)
{
	Frame *frame = &t->frames[t->depth];
	if (t->values >= t->limits.values) {
		t->fault = "too many values";
		return NULL;
	}
	if (t->strict && t->after_value) {
		t->fault = "a blank is missing";
		return NULL;
	}
	ImapNode *n = node_new (t, kind);
	*(frame->last ? &frame->last->next : &frame->list->first) = n;
	frame->last = n;
	frame->list->count++;
	t->after_value = TRUE;
	return n;
}

static TreeStep
frame_open (ImapTree *t, ImapNode *list, const char *section)
{
	if (t->depth >= t->limits.depth)
		return tree_fail (t, "too many levels");
	t->frames[++t->depth] = (Frame) {.list = list, .start = section, .is_section = section != NULL};
	t->after_value = FALSE;
	return TREE_END;
}

static TreeStep
list_open (ImapTree *t)
{
	ImapNode *n = value_add (t, NODE_LIST);
	if (!n)
		return TREE_BAD;
	t->at++;
	return frame_open (t, n, NULL);
}

static TreeStep
list_close (ImapTree *t)
{
	if (t->depth == 0 || t->frames[t->depth].is_section)
		return tree_fail (t, "a closing parenthesis too many");
	t->at++;
	t->depth--;
	t->after_value = TRUE;
	return TREE_END;
}

static guint16
octets_pass (ImapTree *t, guint16 upto)
{
	guint16 kinds = G_MAXUINT16;
	for (; t->at < t->end && octets[(guchar) *t->at] & upto; t->at++)
		kinds &= octets[(guchar) *t->at];
	return kinds;
}

/* The words that have a section, bracket included: its length; 0: none of them here. In a response they are items of the one list
 * and nothing deeper: there may be a keyword of such a name. */
static gsize
section_stem (const ImapTree *t)
{
	static const char *const stems[] = {"BODY[", "BODY.PEEK[", "BINARY[", "BINARY.PEEK[", "BINARY.SIZE["};
	if ((*t->at | 0x20) != 'b' || (!t->strict && t->depth != 1))
		return 0;
	for (guint i = 0; i < G_N_ELEMENTS (stems); i++) {
		gsize size = strlen (stems[i]);
		if ((gsize) (t->end - t->at) >= size && g_ascii_strncasecmp (t->at, stems[i], size) == 0)
			return size;
	}
	return 0;
}

static TreeStep
section_open (ImapTree *t, gsize stem)
{
	ImapNode *n = value_add (t, NODE_ATOM);
	if (!n)
		return TREE_BAD;
	const char *start = t->at;
	n->section = TRUE;
	t->at += stem;
	return frame_open (t, n, start);
}

static Frame *
section_frame (const ImapTree *t)
{
	guint depth = t->depth;
	while (depth > 0 && !t->frames[depth].is_section)
		depth--;
	return depth > 0 ? &t->frames[depth] : NULL;
}

/* Before a literal: the section's text can't stay in its line. */
static void
section_gather (ImapTree *t)
{
	Frame *frame = section_frame (t);
	if (!frame)
		return;
	if (!t->section)
		t->section = g_string_new (NULL);
	g_string_append_len (t->section, frame->start, t->at - frame->start);
}

/* After it: the literal is put into the section's text as a quoted string. */
static void
section_resume (ImapTree *t)
{
	if (!t->section)
		return;
	section_frame (t)->start = t->line;
	Slice text = node_text (g_steal_pointer (&t->section_literal));
	g_string_append_c (t->section, '"');
	for (gsize i = 0; i < text.size; i++) {
		if (text.data[i] == '"' || text.data[i] == '\\')
			g_string_append_c (t->section, '\\');
		g_string_append_c (t->section, text.data[i]);
	}
	g_string_append_c (t->section, '"');
}

/* Behind the bracket the word goes on: <0.100>. */
static TreeStep
section_close (ImapTree *t)
{
	Frame *frame = &t->frames[t->depth];
	t->at++;
	octets_pass (t, t->strict ? IN_STRICT : IN_TOLERANT);
	if (t->section) {
		section_gather (t);
		char *text = text_take (t, t->section->len);
		memcpy (text, t->section->str, t->section->len);
		frame->list->text = (Slice) {text, t->section->len};
		t->text_size += t->section->len;
		g_string_free (g_steal_pointer (&t->section), TRUE);
	} else
		frame->list->text = (Slice) {frame->start, (gsize) (t->at - frame->start)};
	t->depth--;
	t->after_value = TRUE;
	return TREE_END;
}

static gboolean
word_may_end (const ImapTree *t)
{
	return t->at == t->end || *t->at == ' ' || *t->at == '(' || *t->at == ')' || (*t->at == ']' && t->frames[t->depth].is_section);
}

/* Of a word with a backslash before what has @kinds. */
static guint16
flag_words (Slice word, guint16 kinds)
{
	return (word.size > 1 && kinds & WORD_FLAG) || slice_equals (word, "\\*") ? WORD_FLAG : 0;
}

static TreeStep
read_word (ImapTree *t)
{
	gsize stem = t->sections && !t->frames[t->depth].is_section ? section_stem (t) : 0;
	if (stem)
		return section_open (t, stem);
	ImapNode *n = value_add (t, NODE_ATOM);
	if (!n)
		return TREE_BAD;
	const char *start = t->at;
	gboolean is_flag = *t->at == '\\';
	t->at += is_flag;
	guint16 kinds = octets_pass (t, t->frames[t->depth].is_section ? IN_SECTION : t->strict ? IN_STRICT : IN_TOLERANT);
	if (is_flag)
		kinds = flag_words ((Slice) {start, (gsize) (t->at - start)}, kinds);
	n->words = kinds & WORDS;
	n->text = (Slice) {start, (gsize) (t->at - start)};
	if (n->text.size == 0 || (t->strict && (!word_may_end (t) || n->words == 0)))
		return tree_fail (t, "an octet that no word may hold");
	return TREE_END;
}

/* From @start up to the closing quote at t->at; without its backslashes if there are any. */
static Slice
quoted_text (ImapTree *t, const char *start, gboolean escaped)
{
	gsize size = (gsize) (t->at - start);
	if (!escaped)
		return (Slice) {start, size};
	char *text = text_take (t, size), *to = text;
	t->text_size += size;
	for (const char *c = start; c < t->at; c++) {
		c += *c == '\\';
		*to++ = *c;
	}
	return (Slice) {text, (gsize) (to - text)};
}

static const char *
quoted_fault (const ImapTree *t, Slice raw, gboolean eight_bit)
{
	if (memchr (raw.data, '\0', raw.size) || memchr (raw.data, '\r', raw.size))
		return "NUL or CR in a quoted string";
	for (const char *c = raw.data, *end = slice_end (raw); (c = memchr (c, '\\', (gsize) (end - c))); c += 2)
		if (c[1] != '"' && c[1] != '\\')
			return "a backslash in a quoted string that escapes neither \" nor \\";
	if (eight_bit && !t->utf8)
		return "8-bit octets in a quoted string";
	return eight_bit && !g_utf8_validate_len (raw.data, raw.size, NULL) ? "a quoted string that is not UTF-8" : NULL;
}

static TreeStep
read_quoted (ImapTree *t)
{
	ImapNode *n = value_add (t, NODE_STRING);
	if (!n)
		return TREE_BAD;
	const char *start = ++t->at;
	gboolean escaped = FALSE;
	guchar all = 0;
	for (; t->at < t->end && *t->at != '"'; t->at++) {
		all |= (guchar) *t->at;
		if (*t->at == '\\') {
			escaped = TRUE;
			t->at += t->at + 1 < t->end;
		}
	}
	if (t->at == t->end)
		return tree_fail (t, "a quoted string does not end");
	const char *why = t->strict ? quoted_fault (t, (Slice) {start, (gsize) (t->at - start)}, all & 0x80) : NULL;
	if (why)
		return tree_fail (t, why);
	n->text = quoted_text (t, start, escaped);
	t->at++;
	return TREE_END;
}

/* Its node follows by imap_tree_keep or imap_tree_pass. */
static TreeStep
read_literal (ImapTree *t)
{
	if (t->strict && t->after_value)
		return tree_fail (t, "a blank is missing");
	section_gather (t);
	return TREE_LITERAL;
}

static TreeStep
read_value (ImapTree *t, TreeLiteral *literal_out)
{
	switch (*t->at) {
	case ' ':
		t->at++;
		t->after_value = FALSE;
		return TREE_END;
	case '(':
		return list_open (t);
	case ')':
		return list_close (t);
	case '"':
		return read_quoted (t);
	case ']':
		return t->frames[t->depth].is_section ? section_close (t) : read_word (t);
	case '{':
	case '~':
		return literal_find (t->at, t->end, literal_out) == t->at ? read_literal (t) : read_word (t);
	default:
		return read_word (t);
	}
}

TreeStep
imap_tree_read (ImapTree *t, Slice line, gboolean sections, TreeLiteral *literal_out)
{
	t->line = t->at = line.data;
	t->end = slice_end (line);
	t->sections = sections;
	section_resume (t);
	while (t->at < t->end) {
		TreeStep step = read_value (t, literal_out);
		if (step != TREE_END)
			return step;
	}
	return t->depth == 0 ? TREE_END : tree_fail (t, "a closing parenthesis is missing");
}

char *
imap_tree_keep (ImapTree *t, const TreeLiteral *literal)
{
	gsize used = imap_tree_text_size (t);
	if (literal->size > t->limits.text || used > t->limits.text - literal->size) {
		t->fault = "literals that are too big together";
		return NULL;
	}
	ImapNode *n = value_add (t, NODE_STRING);
	if (!n)
		return NULL;
	char *text = text_take (t, literal->size + 1);
	text[literal->size] = '\0';
	t->text_size += literal->size;
	n->text = (Slice) {text, literal->size};
	n->literal8 = literal->literal8;
	if (t->section)
		t->section_literal = n;
	return text;
}

ImapNode *
imap_tree_pass (ImapTree *t, const TreeLiteral *literal, NodeKind kind)
{
	ImapNode *n = value_add (t, kind);
	if (!n)
		return NULL;
	n->size = literal->size;
	n->literal8 = literal->literal8;
	return n;
}

const ImapNode *
imap_tree_root (const ImapTree *t)
{
	return &t->root;
}

const ImapNode *
imap_tree_open (const ImapTree *t, guint *depth_out, const ImapNode **last_out)
{
	*depth_out = t->depth;
	*last_out = t->frames[t->depth].last;
	return t->frames[t->depth].list;
}

const char *
imap_tree_fault (const ImapTree *t, gsize *at_out)
{
	*at_out = t->at ? (gsize) (t->at - t->line) : 0;
	return t->fault;
}

/* ---- Looking at nodes ---- */

guint
node_count (const ImapNode *n)
{
	return n && n->kind == NODE_LIST ? n->count : 0;
}

const ImapNode *
node_first (const ImapNode *list)
{
	return list && list->kind == NODE_LIST ? list->first : NULL;
}

const ImapNode *
node_next (const ImapNode *n)
{
	return n ? n->next : NULL;
}

const ImapNode *
node_at (const ImapNode *list, guint i)
{
	const ImapNode *n = node_first (list);
	while (n && i-- > 0)
		n = n->next;
	return n;
}

Slice
node_text (const ImapNode *n)
{
	return n && (n->kind == NODE_ATOM || n->kind == NODE_STRING) ? n->text : (Slice) {"", 0};
}

gboolean
node_is_word (const ImapNode *n, const char *word)
{
	return n && n->kind == NODE_ATOM && slice_equals_ascii_case (n->text, word);
}

gboolean
node_is_nil (const ImapNode *n)
{
	return !n || node_is_word (n, "NIL");
}

guint
slice_words (Slice s)
{
	gboolean is_flag = s.size > 0 && *s.data == '\\';
	guint16 kinds = s.size > 0 ? G_MAXUINT16 : 0;
	octets_init ();
	for (gsize i = is_flag; i < s.size; i++)
		kinds &= octets[(guchar) s.data[i]];
	return (is_flag ? flag_words (s, kinds) : kinds) & WORDS;
}

gboolean
slice_to_number (Slice s, guint64 *number_out)
{
	guint64 number = 0;
	for (gsize i = 0; i < s.size; i++) {
		guint digit = (guint) (guchar) s.data[i] - '0';
		if (digit > 9 || number > (G_MAXUINT64 - digit) / 10)
			return FALSE;
		number = number * 10 + digit;
	}
	*number_out = number;
	return s.size > 0;
}

guint64
node_number (const ImapNode *n)
{
	guint64 number;
	if (node_count (n) == 1)
		n = n->first;
	return slice_to_number (node_text (n), &number) ? number : 0;
}

gboolean
node_is (const ImapNode *n, ImapWord kind)
{
	return n && n->kind == NODE_ATOM && n->words & kind;
}

gboolean
node_is_astring (const ImapNode *n)
{
	return n && (n->kind == NODE_STRING || node_is (n, WORD_ASTRING));
}

gboolean
node_is_pattern (const ImapNode *n)
{
	return n && (n->kind == NODE_STRING || node_is (n, WORD_PATTERN));
}

gboolean
node_is_nstring (const ImapNode *n)
{
	return n && (n->kind == NODE_STRING || node_is_nil (n));
}

gboolean
node_has_section (const ImapNode *n)
{
	return n && n->section;
}

Slice
node_stem (const ImapNode *n)
{
	Slice text = node_text (n);
	if (node_has_section (n))
		text.size = (gsize) ((const char *) memchr (text.data, '[', text.size) - text.data);
	return text;
}

const ImapNode *
node_section (const ImapNode *n)
{
	return node_has_section (n) ? n->first : NULL;
}

gboolean
node_partial (const ImapNode *n, guint32 *from_out, guint32 *size_out)
{
	Slice text = node_text (n);
	const char *bracket = node_has_section (n) ? memrchr (text.data, ']', text.size) : NULL;
	if (!bracket)
		return FALSE;
	const char *start = bracket + 1;
	gsize left = text.size - (gsize) (start - text.data);
	if (left < 3 || start[0] != '<' || start[left - 1] != '>')
		return FALSE;
	const char *end = start + left;
	const char *dot = memchr (start, '.', (gsize) (end - start));
	guint64 from, size = 0;
	if (!slice_to_number ((Slice) {start + 1, (gsize) ((dot ? dot : end - 1) - start - 1)}, &from) || from > G_MAXUINT32)
		return FALSE;
	if (dot && (!slice_to_number ((Slice) {dot + 1, (gsize) (end - 1 - dot - 1)}, &size) || size > G_MAXUINT32))
		return FALSE;
	*from_out = (guint32) from;
	*size_out = (guint32) size;
	return TRUE;
}
