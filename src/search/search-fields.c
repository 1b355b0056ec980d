/* SPDX-License-Identifier: Apache-2.0 */
/* What stands before a colon, and the conditions made of what stands behind it. */
#include "search-query-private.h"
#include <string.h>

gboolean
parser_fail (Parser *p, const char *at, const char *format, ...)
{
	va_list args;
	va_start (args, format);
	g_autofree char *what = g_strdup_vprintf (format, args);
	va_end (args);
	return error_fail (p->error, ERROR_USAGE, "the query is not understood at character %ld: %s", g_utf8_pointer_to_offset (p->text, at) + 1,
	                   what);
}

/* ---- Fields ---- */

#define BIT(column) (1u << (column))

static const Field fields[] = {
	{"from", TEXT, BIT (COLUMN_SENDER), TRUE}, {"to", TEXT, BIT (COLUMN_RECIPIENTS)}, {"cc", TEXT, BIT (COLUMN_RECIPIENTS)},
	{"bcc", TEXT, BIT (COLUMN_RECIPIENTS)}, {"list", TEXT, BIT (COLUMN_RECIPIENTS)}, {"subject", TEXT, BIT (COLUMN_SUBJECT), TRUE},
	{"body", TEXT, BIT (COLUMN_BODY), TRUE}, {"text", TEXT, COLUMNS_ALL}, {"filename", TEXT, BIT (COLUMN_ATTACHMENT), TRUE},
	{"attachment", TEXT, BIT (COLUMN_ATTACHMENT), TRUE}, {"in", FOLDER}, {"folder", FOLDER}, {"is", IS}, {"has", HAS}, {"tag", TAG},
	{"keyword", TAG}, {"label", LABEL}, {"after", SINCE, 0, TRUE}, {"since", SINCE}, {"newer", SINCE}, {"before", BEFORE, 0, TRUE},
	{"until", BEFORE}, {"older", BEFORE}, {"date", PERIOD}, {"on", PERIOD}, {"older_than", OLDER}, {"newer_than", NEWER},
	{"larger", LARGER, 0, TRUE}, {"larger_than", LARGER}, {"smaller", SMALLER, 0, TRUE}, {"smaller_than", SMALLER}, {"size", SIZE},
	{"thread", THREAD, 0, TRUE}, {"id", ID}, {"mid", ID}, {"msgid", ID}, {"rfc822msgid", ID},
};

static const Field *
field_named (Slice name)
{
	for (gsize i = 0; i < G_N_ELEMENTS (fields); i++)
		if (slice_equals_ascii_case (name, fields[i].name))
			return &fields[i];
	return NULL;
}

/* One slip of the fingers apart: two letters exchanged, one missing, one too many; in longer names one letter wrong. */
static gboolean
is_slip (Slice typed, const char *name)
{
	gsize n = strlen (name), same = 0;
	while (same < n && same < typed.size && g_ascii_tolower (typed.data[same]) == name[same])
		same++;
	Slice rest = {typed.data + same, typed.size - same};
	const char *wanted = name + same;
	if (rest.size > 1 && strlen (wanted) > 1 && g_ascii_tolower (rest.data[0]) == wanted[1] && g_ascii_tolower (rest.data[1]) == wanted[0])
		return slice_equals_ascii_case ((Slice){rest.data + 2, rest.size - 2}, wanted + 2);
	if (*wanted && slice_equals_ascii_case (rest, wanted + 1))
		return TRUE;
	if (rest.size == 0)
		return FALSE;
	Slice less = {rest.data + 1, rest.size - 1};
	return slice_equals_ascii_case (less, wanted) || (n > 5 && *wanted && slice_equals_ascii_case (less, wanted + 1));
}

static const Field *
misspelt_field (Slice name)
{
	for (gsize i = 0; i < G_N_ELEMENTS (fields); i++)
		if (fields[i].common && is_slip (name, fields[i].name))
			return &fields[i];
	return NULL;
}

gboolean
parser_at_field (Parser *p, const Field **field_out, gsize *size_out)
{
	gsize n = 0;
	while (g_ascii_isalnum (p->at[n]) || p->at[n] == '_')
		n++;
	*field_out = NULL;
	if (!n || p->at[n] != ':')
		return TRUE;
	*size_out = n + 1;
	*field_out = field_named ((Slice){p->at, n});
	const Field *meant = *field_out ? NULL : misspelt_field ((Slice){p->at, n});
	return !meant || parser_fail (p, p->at, "there is no '%.*s:', but '%s:' (to search for the words themselves, put them into quotes)", (int) n,
	                          p->at, meant->name);
}

/* ---- Values ---- */

static Node *
flags_node (guint mask, guint value)
{
	Node *n = node_new (NODE_FLAGS);
	n->mask = mask;
	n->value = value;
	return n;
}

static Node *
named_node (NodeType type, const char *text)
{
	Node *n = node_new (type);
	n->text = g_strdup (text);
	return n;
}

static Node *
range_node (NodeType type, gint64 lo, gint64 hi)
{
	Node *n = node_new (type);
	n->lo = lo;
	n->hi = hi;
	return n;
}

static Node *
folder_node (const char *path)
{
	if (g_ascii_strcasecmp (path, "anywhere") == 0 || g_ascii_strcasecmp (path, "all") == 0)
		return node_new (NODE_ALL);
	return named_node (NODE_FOLDER, path);
}

/* What is:, tag: and label: have in common; NULL: something else. */
static Node *
state_node (const char *name)
{
	static const struct {
		const char *name;
		guint mask, value;
	} states[] = {
		{"unread", FLAG_SEEN, 0}, {"unseen", FLAG_SEEN, 0}, {"read", FLAG_SEEN, FLAG_SEEN}, {"seen", FLAG_SEEN, FLAG_SEEN},
		{"flagged", FLAG_FLAGGED, FLAG_FLAGGED}, {"starred", FLAG_FLAGGED, FLAG_FLAGGED}, {"unflagged", FLAG_FLAGGED, 0},
		{"answered", FLAG_ANSWERED, FLAG_ANSWERED}, {"replied", FLAG_ANSWERED, FLAG_ANSWERED}, {"unanswered", FLAG_ANSWERED, 0},
		{"draft", FLAG_DRAFT, FLAG_DRAFT}, {"deleted", FLAG_DELETED, FLAG_DELETED},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (states); i++)
		if (g_ascii_strcasecmp (name, states[i].name) == 0)
			return flags_node (states[i].mask, states[i].value);
	if (g_ascii_strcasecmp (name, "forwarded") == 0)
		return named_node (NODE_KEYWORD, "$Forwarded");
	return NULL;
}

static gboolean
is_value (Parser *p, const char *at, const char *value, Node **out)
{
	*out = state_node (value);
	return *out || parser_fail (p, at, "is: knows unread, read, flagged, answered, unanswered, draft, deleted and forwarded, not '%s'", value);
}

static gboolean
has_value (Parser *p, const char *at, const char *value, Node **out)
{
	static const char *const names[] = {"attachment", "attachments", "file", "files"};
	for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
		if (g_ascii_strcasecmp (value, names[i]) == 0) {
			*out = node_new (NODE_ATTACHMENT);
			return TRUE;
		}
	return parser_fail (p, at, "has: knows attachment, not '%s' (for a keyword there is tag:)", value);
}

/* Roles that a tag can name, as those of notmuch and the labels of Gmail do. */
static Node *
role_node (const char *name)
{
	static const char *const roles[] = {"inbox", "sent", "drafts", "trash", "junk", "spam", "archive"};
	for (gsize i = 0; i < G_N_ELEMENTS (roles); i++)
		if (g_ascii_strcasecmp (name, roles[i]) == 0)
			return folder_node (name);
	return NULL;
}

static Node *
tag_node (const char *value, gboolean folders)
{
	Node *n = state_node (value);
	if (!n && g_ascii_strcasecmp (value, "attachment") == 0)
		n = node_new (NODE_ATTACHMENT);
	if (n)
		return n;
	Node *folder = folders ? folder_node (value) : role_node (value);
	n = named_node (NODE_KEYWORD, value);
	if (folder) {
		folder->optional = TRUE;
		node_join (&n, NODE_OR, folder);
	}
	return n;
}

#define DATE_WANTED "a date is wanted, such as 2024, 2024-05, 2024-05-31, yesterday, monday, last-week or 7d"

static gboolean
date_value (Parser *p, const char *at, const Field *f, const char *value, Node **out)
{
	gint64 start, end;
	if (!value_period (value, p->now, &start, &end))
		return parser_fail (p, at, DATE_WANTED ", not '%s'", value);
	*out = f->kind == SINCE ? range_node (NODE_RECEIVED, start, G_MAXINT64) : range_node (NODE_RECEIVED, G_MININT64, start);
	return TRUE;
}

/* date:A..B, each of both may be missing; otherwise one period. */
static gboolean
period_value (Parser *p, const char *at, const char *value, Node **out)
{
	gint64 lo = G_MININT64, hi = G_MAXINT64, unused;
	const char *dots = strstr (value, "..");
	g_autofree char *first = g_strndup (value, dots ? (gsize) (dots - value) : strlen (value));
	const char *last = dots ? dots + 2 : "";
	gboolean good = dots ? (!*first || value_period (first, p->now, &lo, &unused)) && (!*last || value_period (last, p->now, &unused, &hi)) &&
	                       (*first || *last)
	                     : value_period (first, p->now, &lo, &hi);
	if (!good)
		return parser_fail (p, at, DATE_WANTED ", or two with .. between, not '%s'", value);
	*out = range_node (NODE_RECEIVED, lo, hi);
	return TRUE;
}

static gboolean
age_value (Parser *p, const char *at, const Field *f, const char *value, Node **out)
{
	gint64 since;
	if (!value_age (value, p->now, &since))
		return parser_fail (p, at, "%s: wants an age such as 7d, 2w, 3m or 1y, not '%s'", f->name, value);
	*out = f->kind == NEWER ? range_node (NODE_RECEIVED, since, G_MAXINT64) : range_node (NODE_RECEIVED, G_MININT64, since);
	return TRUE;
}

static gboolean
size_value (Parser *p, const char *at, const Field *f, const char *value, Node **out)
{
	gint64 lo = 0, hi = G_MAXINT64;
	const char *dots = f->kind == SIZE ? strstr (value, "..") : NULL;
	g_autofree char *first = g_strndup (value, dots ? (gsize) (dots - value) : strlen (value));
	if (!value_size (first, &lo) || (dots && !value_size (dots + 2, &hi)))
		return parser_fail (p, at, "%s: wants a size such as 500, 10k or 1.5M, not '%s'", f->name, value);
	if (f->kind == SMALLER)
		*out = range_node (NODE_SIZE, 0, lo);
	else
		*out = range_node (NODE_SIZE, f->kind == LARGER ? lo + 1 : lo, dots ? hi + 1 : hi);
	return TRUE;
}

static gboolean
thread_value (Parser *p, const char *at, const char *value, Node **out)
{
	char *end;
	gint64 number = g_ascii_isdigit (*value) ? g_ascii_strtoll (value, &end, 10) : 0;
	if (number <= 0 || *end)
		return parser_fail (p, at, "thread: wants the number of a message, not '%s'", value);
	*out = node_new (NODE_SET);
	(*out)->placement = number;
	return TRUE;
}

static Node *
id_node (const char *value)
{
	Node *n = node_new (NODE_SET);
	gsize size = strlen (value);
	gboolean bracketed = size > 2 && value[0] == '<' && value[size - 1] == '>';
	n->text = bracketed ? g_strndup (value + 1, size - 2) : g_strdup (value);
	return n;
}

gboolean
field_condition (Parser *p, const char *at, const Field *f, const char *value, Node **out)
{
	switch (f->kind) {
	case FOLDER:
		*out = g_ascii_strcasecmp (value, "starred") == 0 ? state_node (value) : folder_node (value);
		return TRUE;
	case IS:
		return is_value (p, at, value, out);
	case HAS:
		return has_value (p, at, value, out);
	case TAG:
	case LABEL:
		*out = tag_node (value, f->kind == LABEL);
		return TRUE;
	case SINCE:
	case BEFORE:
		return date_value (p, at, f, value, out);
	case PERIOD:
		return period_value (p, at, value, out);
	case OLDER:
	case NEWER:
		return age_value (p, at, f, value, out);
	case THREAD:
		return thread_value (p, at, value, out);
	case ID:
		*out = id_node (value);
		return TRUE;
	default:
		return size_value (p, at, f, value, out);
	}
}
