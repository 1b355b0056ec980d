/* SPDX-License-Identifier: Apache-2.0 */
/* The structure of a message in one pass (RFC 2046 section 5.1). The octets are cut into lines; of the lines of a body only those that
 * begin with "--" are looked at, of the lines of a header those fields that say what a part is. What is kept between two pieces is the
 * beginning of an unfinished line. The result depends on the octets alone, not on how they were cut:
 *   1. `offset` is the place of the first octet not yet taken; `line_at` that of the line it belongs to; `n_lines` counts line ends before.
 *   2. `open` are the parts that are not yet closed, each within the one before; the last is being read.
 *   3. `line` holds the first octets of the present line, unless `skip` says that the line means nothing.
 *
 * Choices where messages are broken:
 *   - A line matches the innermost open boundary that it equals, else the longest that it begins with (RFC 2046 section 5.1.1), also
 *     within a header. A part lacks its last boundary: it ends where the part around it does.
 *   - A header ends with an empty line. If no field follows a line that is none (for a part: no Content-* field), the body begins there.
 *   - What is called multipart but has no boundary or no part is a text; so is what is over a limit. */
#include "mail-private.h"
#include <string.h>

#define BOUNDARY_MAX 998u
#define BOUNDARY_LINE (BOUNDARY_MAX + 8) /* octets of a line that decide whether it is one */
#define GUESSES_MAX 8                    /* lines of one header that are tried as a boundary of its own */
#define STRINGS_MAX (1u << 20)           /* octets of names, parameters and such of one message */

typedef enum { CONTENT_TYPE, CONTENT_ENCODING, CONTENT_DISPOSITION, CONTENT_ID, N_FIELDS, NO_FIELD = N_FIELDS } Field;
static const char *const field_names[N_FIELDS] = {"content-type", "content-transfer-encoding", "content-disposition", "content-id"};

typedef struct {
	guint part;
	char *boundary; /* NULL: none, or the last one was seen */
	gsize boundary_size;
	guint64 lines; /* n_lines at its body's start */
} Open;

struct MailScanner {
	MailStructure *m;
	Open open[MAIL_DEPTH_MAX + 1];
	guint n_open, n_boundaries;
	gsize strings;

	/* lines */
	GByteArray *start; /* until the kind of line ends shows; NULL after that */
	LineEnds ends;
	guint64 offset, line_at, n_lines;
	guint last_eol; /* octets of the line end before line_at */
	char last;      /* the octet before `offset` */
	GString *line;
	gboolean skip, held_cr, begin_part;

	/* the header being read */
	gboolean in_header;
	GString *fields[N_FIELDS];
	gboolean seen[N_FIELDS];
	Field field;        /* that a continuation would belong to */
	gboolean has_bad;   /* the lines since bad_at are no fields */
	guint64 bad_at, bad_lines;
	guint guesses;
};

static MailPart *
part_of (const MailScanner *s, guint i)
{
	return &g_array_index (s->m->parts, MailPart, i);
}

static MailPart *
reading (const MailScanner *s)
{
	return part_of (s, s->open[s->n_open - 1].part);
}

/* ---- Parts ---- */

static void
open_part (MailScanner *s, guint64 at)
{
	guint parent = s->n_open ? s->open[s->n_open - 1].part : 0, i = s->m->parts->len;
	MailPart p = {.parent = parent, .depth = s->n_open, .header = at, .body = at, .end = at};
	if (s->n_open)
		p.number = ++part_of (s, parent)->n_children;
	g_array_append_val (s->m->parts, p);
	s->open[s->n_open++] = (Open){.part = i};
	for (int f = 0; f < N_FIELDS; f++) {
		g_string_truncate (s->fields[f], 0);
		s->seen[f] = FALSE;
	}
	s->in_header = TRUE;
	s->field = NO_FIELD;
	s->has_bad = FALSE;
	s->guesses = 0;
}

static void
forget_boundary (MailScanner *s, Open *o)
{
	if (o->boundary)
		s->n_boundaries--;
	g_clear_pointer (&o->boundary, g_free);
}

/* Closes the parts from @first inwards: they end at @end, before which there are @lines line ends. */
static void
close_parts (MailScanner *s, guint first, guint64 end, guint64 lines)
{
	while (s->n_open > first) {
		Open *o = &s->open[--s->n_open];
		MailPart *p = part_of (s, o->part);
		if (end < p->body) { /* its header's last line end is not the boundary's: nor is it for those around */
			end = p->body;
			lines = s->n_lines;
		}
		p->end = end;
		p->lines = end > p->body && lines > o->lines ? lines - o->lines : 0;
		forget_boundary (s, o);
	}
}

/* ---- What a header says ---- */

static char *
keep_string (MailScanner *s, const char *text)
{
	gsize size = text ? strlen (text) + 1 : 0;
	if (!text || s->strings + size > STRINGS_MAX)
		return NULL;
	s->strings += size;
	return mail_structure_string (s->m, text);
}

static Slice
field_value (const MailScanner *s, Field f)
{
	return s->seen[f] ? slice_of (s->fields[f]->str, s->fields[f]->len) : (Slice){0};
}

static gboolean
is_token (const char *text)
{
	return *text && strlen (text) <= 127 && text[strcspn (text, " \t\"\\()<>@,;:[]?=/")] == '\0';
}

/* "type/subtype", else text/plain, within a digest message/rfc822; @main is "" when it can't be read. */
static void
set_type (MailScanner *s, MailPart *p, char *main)
{
	const MailPart *around = part_of (s, p->parent);
	char *slash = strchr (main, '/');
	if (slash)
		*slash = '\0';
	if (slash && is_token (main) && is_token (slash + 1)) {
		p->type = keep_string (s, main);
		p->subtype = keep_string (s, slash + 1);
	} else if (strcmp (main, "text") != 0)
		*main = '\0';
	gboolean digest = p->depth && around->is_multipart && strcmp (around->subtype, "digest") == 0 && !s->seen[CONTENT_TYPE];
	if (!p->type || !p->subtype) {
		p->type = (char *) (digest ? "message" : "text");
		p->subtype = (char *) (digest ? "rfc822" : "plain");
	}
}

static char *
boundary_of (GPtrArray *parameters)
{
	g_ptr_array_add (parameters, NULL);
	char **all = (char **) parameters->pdata;
	const char *plain = mail_parameter (all, "boundary"), *extended = plain ? NULL : mail_parameter (all, "boundary*");
	char *boundary = extended ? mail_extended_value (extended, NULL) : g_strdup (plain);
	g_ptr_array_set_size (parameters, (gint) parameters->len - 1);
	if (boundary)
		g_strchomp (boundary); /* trailing blanks are lost in transport */
	if (boundary && *boundary && strlen (boundary) <= BOUNDARY_MAX)
		return boundary;
	g_free (boundary);
	return NULL;
}

static void
set_disposition (MailScanner *s, MailPart *p)
{
	g_autoptr (GPtrArray) parameters = g_ptr_array_new_with_free_func (g_free);
	g_autofree char *main = NULL, *filename = NULL;
	if (s->seen[CONTENT_DISPOSITION]) {
		mail_parameters_parse (field_value (s, CONTENT_DISPOSITION), &main, parameters);
		g_ptr_array_add (parameters, NULL);
		p->disposition = is_token (main) ? keep_string (s, main) : NULL;
		filename = mail_parameter_text ((char **) parameters->pdata, "filename");
	}
	if (!filename || !*filename) {
		g_free (filename);
		filename = mail_parameter_text (p->parameters, "name");
	}
	p->filename = filename && *filename ? keep_string (s, filename) : NULL;
}

static void
set_content_id (MailScanner *s, MailPart *p)
{
	Slice rest = field_value (s, CONTENT_ID), id;
	if (!rest.data)
		return;
	if (!mail_next_id (&rest, &id))
		id = mail_trim (field_value (s, CONTENT_ID));
	g_autofree char *text = slice_to_utf8 (id, 998);
	p->content_id = *text ? keep_string (s, text) : NULL;
}

static void
set_encoding (MailScanner *s, MailPart *p)
{
	g_autofree char *main = NULL;
	if (s->seen[CONTENT_ENCODING])
		mail_parameters_parse (field_value (s, CONTENT_ENCODING), &main, NULL);
	p->encoding = main && is_token (main) ? keep_string (s, main) : NULL;
	if (!p->encoding)
		p->encoding = (char *) "7bit";
}

static gsize
parameters_size (GPtrArray *parameters)
{
	gsize n = 0;
	for (guint i = 0; i < parameters->len; i++)
		n += strlen (parameters->pdata[i]) + 1;
	return n;
}

/* Reads the fields; returns the boundary if the part has parts, owned. */
static char *
read_fields (MailScanner *s, MailPart *p)
{
	g_autoptr (GPtrArray) parameters = g_ptr_array_new_with_free_func (g_free);
	g_autofree char *main = NULL, *boundary = NULL;
	if (s->seen[CONTENT_TYPE])
		mail_parameters_parse (field_value (s, CONTENT_TYPE), &main, parameters);
	set_type (s, p, main ? main : (main = g_strdup ("")));
	if (strcmp (p->type, "multipart") == 0)
		boundary = boundary_of (parameters);
	gsize size = parameters_size (parameters);
	if (s->strings + size <= STRINGS_MAX) {
		s->strings += size;
		mail_structure_set_parameters (s->m, p, parameters);
	}
	set_encoding (s, p);
	set_disposition (s, p);
	set_content_id (s, p);
	if (s->seen[CONTENT_TYPE] && !*main && (p->filename || mail_encoding_is (p, "base64"))) {
		p->type = (char *) "application";
		p->subtype = (char *) "octet-stream";
	}
	return g_steal_pointer (&boundary);
}

/* A message within whose octets are encoded can't be read in place. */
static gboolean
holds_message (const MailPart *p)
{
	return strcmp (p->type, "message") == 0 && (strcmp (p->subtype, "rfc822") == 0 || strcmp (p->subtype, "global") == 0) &&
	       !transfer_encoding_alters (p->encoding);
}

/* The header ends; the body begins at @body, before which there are @lines line ends. */
static void
end_header (MailScanner *s, guint64 body, guint64 lines)
{
	Open *o = &s->open[s->n_open - 1];
	MailPart *p = part_of (s, o->part);
	s->in_header = FALSE;
	p->body = s->has_bad ? s->bad_at : body;
	o->lines = s->has_bad ? s->bad_lines : lines;
	char *boundary = read_fields (s, p);
	gboolean room = s->n_open <= MAIL_DEPTH_MAX && s->m->parts->len < MAIL_PARTS_MAX;
	if (boundary && room) {
		p->is_multipart = TRUE;
		o->boundary = boundary;
		o->boundary_size = strlen (boundary);
		s->n_boundaries++;
		return;
	}
	g_free (boundary);
	if (room && holds_message (p)) {
		p->is_message = TRUE;
		open_part (s, p->body);
	}
}

/* ---- Boundaries ---- */

static Slice
without_line_end (const char *line, gsize size)
{
	while (size && (line[size - 1] == '\r' || line[size - 1] == ' ' || line[size - 1] == '\t'))
		size--;
	return slice_of (line, size);
}

static gboolean
begins_with (Slice text, const Open *o)
{
	return o->boundary && text.size >= o->boundary_size && memcmp (text.data, o->boundary, o->boundary_size) == 0;
}

/* Which open part's boundary the line "--@text" is, counted from 1; 0: none. *last_out: no part follows. */
static guint
find_boundary (const MailScanner *s, Slice text, gboolean whole, gboolean *last_out)
{
	guint best = 0;
	for (guint i = s->n_open; i > 0; i--) {
		const Open *o = &s->open[i - 1];
		if (!begins_with (text, o))
			continue;
		gboolean dashes = text.size >= o->boundary_size + 2 && memcmp (text.data + o->boundary_size, "--", 2) == 0;
		if (!best || o->boundary_size > s->open[best - 1].boundary_size) {
			best = i;
			*last_out = dashes;
		}
		if (whole && text.size == o->boundary_size + (dashes ? 2 : 0)) {
			*last_out = dashes;
			return i;
		}
	}
	return best;
}

/* A multipart's first boundary stands where its header should have ended. */
static gboolean
is_own_boundary (MailScanner *s, Slice text)
{
	g_autoptr (GPtrArray) parameters = g_ptr_array_new_with_free_func (g_free);
	g_autofree char *main = NULL;
	if (!s->seen[CONTENT_TYPE] || s->guesses++ >= GUESSES_MAX)
		return FALSE;
	mail_parameters_parse (field_value (s, CONTENT_TYPE), &main, parameters);
	g_autofree char *boundary = g_str_has_prefix (main, "multipart/") ? boundary_of (parameters) : NULL;
	return boundary && text.size >= strlen (boundary) && memcmp (text.data, boundary, strlen (boundary)) == 0;
}

/* The line at line_at begins with "--". TRUE: it was a boundary. */
static gboolean
try_boundary (MailScanner *s, const char *line, gsize size)
{
	gboolean whole = size < BOUNDARY_LINE, last = FALSE;
	Slice text = without_line_end (line + 2, MIN (size, BOUNDARY_LINE) - 2);
	if (s->in_header && is_own_boundary (s, text))
		end_header (s, s->line_at, s->n_lines);
	guint found = find_boundary (s, text, whole, &last);
	if (!found)
		return FALSE;
	while (s->in_header) /* one that ends may begin that of a message within */
		end_header (s, s->line_at, s->n_lines);
	/* The line end before belongs to the boundary. */
	close_parts (s, found, s->line_at - s->last_eol, s->n_lines ? s->n_lines - 1 : 0);
	s->in_header = FALSE;
	if (last)
		forget_boundary (s, &s->open[found - 1]);
	else
		s->begin_part = s->m->parts->len < MAIL_PARTS_MAX;
	return TRUE;
}

/* ---- Lines of a header ---- */

static Field
field_called (const char *name, gsize size)
{
	if (size < 10 || (*name != 'C' && *name != 'c'))
		return NO_FIELD;
	for (int f = 0; f < N_FIELDS; f++)
		if (slice_equals_ascii_case (slice_of (name, size), field_names[f]))
			return (Field) f;
	return NO_FIELD;
}

static void
append_to_field (MailScanner *s, const char *text, gsize size)
{
	GString *value = s->fields[s->field];
	g_string_append_len (value, text, (gssize) MIN (size, FIELD_MAX - value->len));
}

static void
note_bad_line (MailScanner *s)
{
	s->field = NO_FIELD;
	if (s->has_bad)
		return;
	s->has_bad = TRUE;
	s->bad_at = s->line_at;
	s->bad_lines = s->n_lines;
}

static gboolean
is_whole_message (const MailScanner *s, const MailPart *p)
{
	return p->depth == 0 || part_of (s, p->parent)->is_message;
}

/* A line that has a name and a colon, or goes on with the field before. */
static void
header_line (MailScanner *s, const char *line, gsize size)
{
	MailPart *p = reading (s);
	gboolean near = s->line_at - p->header < MAIL_HEADER_MAX;
	if (*line == ' ' || *line == '\t') {
		if (s->line_at == p->header)
			note_bad_line (s);
		else if (!s->has_bad && s->field != NO_FIELD && near)
			append_to_field (s, line, size);
		return;
	}
	gsize colon, name = mail_field_name (line, size, &colon);
	if (!name || (s->has_bad && !is_whole_message (s, p) && (name < 9 || g_ascii_strncasecmp (line, "content-", 8) != 0))) {
		note_bad_line (s);
		return;
	}
	s->has_bad = FALSE;
	s->field = near ? field_called (line, name) : NO_FIELD;
	if (s->field != NO_FIELD && s->seen[s->field])
		s->field = NO_FIELD; /* the first one counts */
	if (s->field == NO_FIELD)
		return;
	s->seen[s->field] = TRUE;
	append_to_field (s, line + colon + 1, size - colon - 1);
}

/* ---- Lines ---- */

static gsize
line_limit (const MailScanner *s)
{
	return s->in_header ? FIELD_MAX : BOUNDARY_LINE;
}

/* The whole line at line_at, at most line_limit() octets of it; with @eol octets of line end, 0 at the message's end. */
static void
take_line (MailScanner *s, const char *line, gsize size, guint eol)
{
	guint64 next = s->offset;
	gboolean boundary = size >= 2 && line[0] == '-' && line[1] == '-' && try_boundary (s, line, size);
	if (!boundary && s->in_header) {
		if (eol && without_line_end (line, size).size == 0 && (size == 0 || *line == '\r'))
			end_header (s, next, s->n_lines + 1);
		else if (size)
			header_line (s, line, size);
	}
}

static void
finish_line (MailScanner *s, guint eol)
{
	s->n_lines++;
	s->last_eol = eol;
	s->line_at = s->offset;
	s->skip = FALSE;
	g_string_truncate (s->line, 0);
}

static gboolean
means_nothing (const MailScanner *s, const char *line, gsize size)
{
	return !s->in_header && (!s->n_boundaries || (size > 0 && line[0] != '-') || (size > 1 && line[1] != '-'));
}

/* Keeps the beginning of a line that goes on in the next piece. */
static void
keep_line (MailScanner *s, const char *text, gsize size)
{
	gsize limit = line_limit (s);
	if (!s->skip && s->line->len < limit)
		g_string_append_len (s->line, text, (gssize) MIN (size, limit - s->line->len));
	if (!s->skip && means_nothing (s, s->line->str, s->line->len)) {
		s->skip = TRUE;
		g_string_truncate (s->line, 0);
	}
}

/* @text is the rest of the present line, the line end not counted; it has been counted into `offset` together with its end. */
static void
end_line (MailScanner *s, const char *text, gsize size, guint eol)
{
	if (s->line->len || s->skip) {
		keep_line (s, text, size);
		if (!s->skip)
			take_line (s, s->line->str, s->line->len, eol);
	} else if (!means_nothing (s, text, size))
		take_line (s, text, MIN (size, line_limit (s)), eol);
	finish_line (s, eol);
}

/* Octets of line end at @at, 0: it goes on in the next piece. */
static guint
eol_size (const MailScanner *s, const char *at, const char *end, char before)
{
	if (*at == '\n')
		return before == '\r' && s->ends == LINES_LF ? 2 : 1;
	if (at + 1 == end)
		return 0;
	return at[1] == '\n' ? 2 : 1;
}

/* NULL: none. Two searches for CR and LF would look through the same octets again for each line. */
static const char *
find_line_end (const MailScanner *s, const char *at, const char *end)
{
	if (s->ends == LINES_LF)
		return memchr (at, '\n', (gsize) (end - at));
	while (at < end && *at != '\r' && *at != '\n')
		at++;
	return at < end ? at : NULL;
}

static void
count_lines (MailScanner *s, const char *at, const char *end)
{
	guint64 n = 0;
	while (at < end && (at = memchr (at, '\n', (gsize) (end - at)))) {
		n++;
		at++;
	}
	s->n_lines += n;
}

/* Pieces after the kind of line ends is known. */
static void
feed_lines (MailScanner *s, const char *data, gsize size)
{
	const char *at = data, *end = data + size;
	guint64 base = s->offset;
	if (s->held_cr) {
		gboolean lf = *at == '\n';
		s->held_cr = FALSE;
		s->offset = base + lf;
		at += lf;
		end_line (s, "", 0, lf ? 2 : 1);
	}
	while (at < end) {
		if (s->begin_part) {
			s->begin_part = FALSE;
			open_part (s, s->line_at);
		}
		if (!s->in_header && !s->n_boundaries && s->ends == LINES_LF) {
			count_lines (s, at, end);
			break;
		}
		const char *stop = find_line_end (s, at, end);
		char before = stop ? (stop > data ? stop[-1] : s->last) : '\0';
		gboolean empty = stop && base + (guint64) (stop - data) == s->line_at;
		guint eol = stop ? eol_size (s, stop, end, empty ? '\0' : before) : 0;
		if (!eol) {
			keep_line (s, at, (gsize) ((stop ? stop : end) - at));
			s->held_cr = stop != NULL;
			break;
		}
		const char *next = *stop == '\n' ? stop + 1 : stop + eol;
		s->offset = base + (guint64) (next - data);
		end_line (s, at, (gsize) (stop - at), eol);
		at = next;
	}
	s->offset = base + size;
	s->last = end[-1];
}

/* ---- The whole ---- */

MailScanner *
mail_scanner_new (void)
{
	MailScanner *s = g_new0 (MailScanner, 1);
	s->m = mail_structure_new ();
	s->start = g_byte_array_new ();
	s->line = g_string_new (NULL);
	for (int f = 0; f < N_FIELDS; f++)
		s->fields[f] = g_string_new (NULL);
	open_part (s, 0);
	return s;
}

void
mail_scanner_free (MailScanner *s)
{
	if (!s)
		return;
	for (guint i = 0; i < s->n_open; i++)
		g_free (s->open[i].boundary);
	for (int f = 0; f < N_FIELDS; f++)
		g_string_free (s->fields[f], TRUE);
	g_string_free (s->line, TRUE);
	g_clear_pointer (&s->start, g_byte_array_unref);
	g_clear_pointer (&s->m, mail_structure_free);
	g_free (s);
}

void
mail_scanner_feed (MailScanner *s, const void *octets, gsize size)
{
	if (size == 0)
		return;
	if (!s->start) {
		feed_lines (s, octets, size);
		return;
	}
	if (s->start->len) {
		g_byte_array_append (s->start, octets, (guint) MIN (size, (gsize) 8192));
		s->ends = mail_line_ends ((const char *) s->start->data, s->start->len);
	} else
		s->ends = mail_line_ends (octets, size);
	if (s->ends == LINES_UNKNOWN) {
		if (!s->start->len)
			g_byte_array_append (s->start, octets, (guint) size); /* few, else they would tell */
		return;
	}
	g_autoptr (GByteArray) start = g_steal_pointer (&s->start);
	if (start->len) {
		gsize taken = MIN (size, (gsize) 8192);
		feed_lines (s, (const char *) start->data, start->len);
		octets = (const char *) octets + taken;
		size -= taken;
	}
	if (size)
		feed_lines (s, octets, size);
}

/* What is called multipart but has no parts is a text: people see its octets. */
static void
settle_types (MailStructure *m)
{
	for (guint i = 0; i < m->parts->len; i++) {
		MailPart *p = &g_array_index (m->parts, MailPart, i);
		if (p->n_children == 0)
			p->is_multipart = FALSE;
		if (p->n_children == 0 && strcmp (p->type, "multipart") == 0) {
			p->type = (char *) "text";
			p->subtype = (char *) "plain";
		}
	}
}

MailStructure *
mail_scanner_end (MailScanner *s)
{
	if (s->start) {
		g_autoptr (GByteArray) start = g_steal_pointer (&s->start);
		s->ends = LINES_LF;
		if (start->len)
			feed_lines (s, (const char *) start->data, start->len);
	}
	if (s->held_cr)
		end_line (s, "", 0, 1);
	if (s->line_at < s->offset && !s->skip && s->line->len)
		take_line (s, s->line->str, s->line->len, 0);
	while (s->in_header)
		end_header (s, s->offset, s->n_lines);
	close_parts (s, 0, s->offset, s->n_lines);
	settle_types (s->m);
	MailStructure *m = g_steal_pointer (&s->m);
	mail_scanner_free (s);
	return m;
}

MailStructure *
mail_scan (const void *octets, gsize size)
{
	MailScanner *s = mail_scanner_new ();
	mail_scanner_feed (s, octets, size);
	return mail_scanner_end (s);
}
