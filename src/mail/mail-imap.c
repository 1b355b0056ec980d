/* SPDX-License-Identifier: Apache-2.0 */
#include "mail-imap.h"
#include "mail-private.h"
#include <string.h>

#define QUOTED_MAX 1000u

static gboolean
may_be_quoted (Slice text)
{
	for (gsize i = 0; i < text.size; i++)
		if (text.data[i] < ' ' || text.data[i] >= 127)
			return FALSE;
	return text.size <= QUOTED_MAX;
}

static void
append_quoted (GString *out, Slice text)
{
	g_string_append_c (out, '"');
	for (gsize i = 0; i < text.size; i++) {
		if (text.data[i] == '"' || text.data[i] == '\\')
			g_string_append_c (out, '\\');
		g_string_append_c (out, text.data[i]);
	}
	g_string_append_c (out, '"');
}

/* No literal may hold a NUL (RFC 9051 section 9, CHAR8). */
static void
append_literal (GString *out, Slice text)
{
	g_autoptr (GString) clean = g_string_sized_new (text.size);
	for (gsize i = 0; i < text.size; i++)
		if (text.data[i])
			g_string_append_c (clean, text.data[i]);
	g_string_append_printf (out, "{%" G_GSIZE_FORMAT "}\r\n", clean->len);
	g_string_append_len (out, clean->str, (gssize) clean->len);
}

void
mail_imap_string (GString *out, Slice text)
{
	if (!text.data)
		g_string_append (out, "NIL");
	else if (may_be_quoted (text))
		append_quoted (out, text);
	else
		append_literal (out, text);
}

static void
append_text (GString *out, const char *text)
{
	mail_imap_string (out, text ? slice_of (text, strlen (text)) : (Slice){0});
}

/* The value of a field with its line ends taken out (RFC 5322 section 2.2.3), NIL when it is not there. */
static void
append_value (GString *out, Slice value)
{
	g_autoptr (GString) unfolded = g_string_new (NULL);
	value = value.data ? mail_trim (value) : value;
	for (gsize i = 0; value.data && i < value.size; i++)
		if (value.data[i] != '\r' && value.data[i] != '\n')
			g_string_append_c (unfolded, value.data[i] == '\t' ? ' ' : value.data[i]);
	mail_imap_string (out, value.data ? slice_of (unfolded->str, unfolded->len) : value);
}

/* The same for texts that people read: blanks are squeezed as well. */
static void
append_squeezed (GString *out, Slice value)
{
	g_autoptr (GString) squeezed = g_string_new (NULL);
	if (value.data)
		mail_header_unfold (squeezed, value);
	mail_imap_string (out, value.data ? slice_of (squeezed->str, squeezed->len) : value);
}

/* ---- Envelope ---- */

typedef enum { DATE, SUBJECT, FROM, SENDER, REPLY_TO, TO, CC, BCC, IN_REPLY_TO, MESSAGE_ID, N_FIELDS } Field;
static const char *const names[N_FIELDS] = {"date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id"};

typedef struct {
	GString *out;
	gboolean any;
} Addresses;

static void
append_address (gpointer data, AddressKind kind, const RawAddress *a)
{
	Addresses *to = data;
	GString *out = to->out;
	if (!to->any)
		g_string_append_c (out, '(');
	to->any = TRUE;
	g_string_append_c (out, '(');
	append_squeezed (out, kind == ADDRESS_ONE && a->name ? slice_of (a->name, strlen (a->name)) : (Slice){0});
	g_string_append_c (out, ' ');
	append_text (out, a->route);
	g_string_append_c (out, ' ');
	/* NIL has a meaning of its own here: what an address lacks is empty (RFC 9051 section 7.5.2). */
	append_text (out, kind == ADDRESS_ONE ? a->mailbox ? a->mailbox : "" : kind == ADDRESS_GROUP_START ? a->name : NULL);
	g_string_append_c (out, ' ');
	append_text (out, kind == ADDRESS_ONE ? a->host ? a->host : "" : NULL);
	g_string_append_c (out, ')');
}

static gboolean
append_addresses (GString *out, const GString *list)
{
	Addresses to = {out, FALSE};
	mail_addresses_each (slice_of (list->str, list->len), append_address, &to);
	if (to.any)
		g_string_append_c (out, ')');
	return to.any;
}

/* All fields that are called so: some senders write a field an address. */
static GString *
address_list (Slice header, Field f)
{
	GString *list = g_string_new (NULL);
	FieldReader r;
	Slice name, value;
	field_reader_init (&r, header);
	while (field_reader_next (&r, &name, &value)) {
		if (!slice_equals_ascii_case (name, names[f]))
			continue;
		if (list->len)
			g_string_append_c (list, ',');
		g_string_append_len (list, value.data, (gssize) value.size);
	}
	return list;
}

void
mail_imap_envelope (GString *out, Slice header)
{
	Slice fields[N_FIELDS];
	g_autoptr (GString) from = address_list (header, FROM);
	mail_header_find_all (header, FALSE, names, fields, N_FIELDS);
	g_string_append_c (out, '(');
	for (int f = 0; f < N_FIELDS; f++) {
		gboolean is_address = f >= FROM && f <= BCC, has_default = f == SENDER || f == REPLY_TO;
		g_autoptr (GString) list = is_address && fields[f].data ? address_list (header, (Field) f) : g_string_new (NULL);
		if (f)
			g_string_append_c (out, ' ');
		if (f == SUBJECT)
			append_squeezed (out, fields[f]);
		else if (!is_address)
			append_value (out, fields[f]);
		else if (!append_addresses (out, list) && !(has_default && append_addresses (out, from)))
			g_string_append (out, "NIL");
	}
	g_string_append_c (out, ')');
}

/* ---- Body ---- */

typedef struct {
	GString *out;
	const MailStructure *m;
	gboolean extended;
	MailReader reader;
	gpointer data;
	GError **error;
} Writer;

typedef enum { CONTENT_TYPE, CONTENT_ID, DESCRIPTION, MD5, DISPOSITION, LANGUAGE, LOCATION, N_PART_FIELDS } PartField;
static const char *const part_names[N_PART_FIELDS] = {"content-type", "content-id", "content-description", "content-md5",
                                                      "content-disposition", "content-language", "content-location"};

typedef struct {
	GBytes *octets;
	Slice header;
	Slice fields[N_PART_FIELDS];
} PartHeader;

static gboolean
read_header (Writer *w, const MailPart *p, PartHeader *h)
{
	gsize size = (gsize) MIN (p->body - p->header, (guint64) MAIL_HEADER_MAX);
	h->octets = size ? w->reader (w->data, p->header, size, w->error) : g_bytes_new (NULL, 0);
	if (!h->octets)
		return FALSE;
	const char *data = g_bytes_get_data (h->octets, &size);
	h->header = slice_of (data ? data : "", size);
	mail_header_find_all (h->header, FALSE, part_names, h->fields, N_PART_FIELDS);
	return TRUE;
}

static void
header_done (PartHeader *h)
{
	g_clear_pointer (&h->octets, g_bytes_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (PartHeader, header_done)

static void
append_parameters (GString *out, GPtrArray *parameters)
{
	if (!parameters->len) {
		g_string_append (out, "NIL");
		return;
	}
	for (guint i = 0; i < parameters->len; i++) {
		g_string_append_c (out, i ? ' ' : '(');
		append_text (out, parameters->pdata[i]);
	}
	g_string_append_c (out, ')');
}

static gboolean
has_parameter (GPtrArray *parameters, const char *name)
{
	for (guint i = 0; i < parameters->len; i += 2)
		if (strcmp (parameters->pdata[i], name) == 0)
			return TRUE;
	return FALSE;
}

/* Those of the Content-Type, if that is what the part is taken for. */
static void
append_type_parameters (Writer *w, const MailPart *p, const PartHeader *h)
{
	g_autoptr (GPtrArray) parameters = g_ptr_array_new_with_free_func (g_free);
	g_autofree char *main = NULL, *type = g_strdup_printf ("%s/%s", p->type, p->subtype);
	if (h->fields[CONTENT_TYPE].data)
		mail_parameters_parse (h->fields[CONTENT_TYPE], &main, parameters);
	if (g_strcmp0 (main, type) != 0)
		g_ptr_array_set_size (parameters, 0);
	if (strcmp (p->type, "text") == 0 && !has_parameter (parameters, "charset") && !has_parameter (parameters, "charset*")) {
		g_ptr_array_add (parameters, g_strdup ("charset")); /* RFC 2045 section 5.2 */
		g_ptr_array_add (parameters, g_strdup ("us-ascii"));
	}
	append_parameters (w->out, parameters);
}

static void
append_disposition (GString *out, Slice value)
{
	g_autoptr (GPtrArray) parameters = g_ptr_array_new_with_free_func (g_free);
	g_autofree char *main = NULL;
	if (value.data)
		mail_parameters_parse (value, &main, parameters);
	if (!main || !*main) {
		g_string_append (out, "NIL");
		return;
	}
	g_string_append_c (out, '(');
	append_text (out, main);
	g_string_append_c (out, ' ');
	append_parameters (out, parameters);
	g_string_append_c (out, ')');
}

static void
append_languages (GString *out, Slice value)
{
	g_autoptr (GPtrArray) languages = g_ptr_array_new_with_free_func (g_free);
	while (value.size) {
		const char *comma = memchr (value.data, ',', value.size);
		gsize size = comma ? (gsize) (comma - value.data) : value.size;
		Slice word = mail_trim (slice_of (value.data, size));
		if (word.size && languages->len < PARAMETERS_MAX)
			g_ptr_array_add (languages, slice_dup (word));
		value = slice_of (value.data + size + (comma != NULL), value.size - size - (comma != NULL));
	}
	append_parameters (out, languages);
}

static void
append_extension (Writer *w, const PartHeader *h)
{
	g_string_append_c (w->out, ' ');
	append_disposition (w->out, h->fields[DISPOSITION]);
	g_string_append_c (w->out, ' ');
	append_languages (w->out, h->fields[LANGUAGE]);
	g_string_append_c (w->out, ' ');
	append_value (w->out, h->fields[LOCATION]);
}

static guint
index_of (const Writer *w, const MailPart *p)
{
	return (guint) (p - mail_structure_part (w->m, 0));
}

static gboolean append_part (Writer *w, guint i);

static gboolean
append_multipart (Writer *w, const MailPart *p, const PartHeader *h)
{
	guint self = index_of (w, p);
	for (guint i = self + 1; i < mail_structure_count (w->m) && mail_structure_part (w->m, i)->depth > p->depth; i++)
		if (mail_structure_part (w->m, i)->parent == self && !append_part (w, i))
			return FALSE;
	g_string_append_c (w->out, ' ');
	append_text (w->out, p->subtype);
	if (!w->extended)
		return TRUE;
	g_string_append_c (w->out, ' ');
	append_type_parameters (w, p, h);
	append_extension (w, h);
	return TRUE;
}

/* Envelope, body and lines of the message within. */
static gboolean
append_message (Writer *w, const MailPart *p)
{
	guint i = index_of (w, p) + 1;
	g_auto (PartHeader) h = {0};
	if (!read_header (w, mail_structure_part (w->m, i), &h))
		return FALSE;
	g_string_append_c (w->out, ' ');
	mail_imap_envelope (w->out, h.header);
	g_string_append_c (w->out, ' ');
	if (!append_part (w, i))
		return FALSE;
	g_string_append_printf (w->out, " %" G_GUINT64_FORMAT, p->lines);
	return TRUE;
}

/* A message within that can't be read in place has no envelope to tell: it is called what it is to its reader, a file. */
static gboolean
is_sealed_message (const MailPart *p)
{
	return strcmp (p->type, "message") == 0 && !p->is_message && (strcmp (p->subtype, "rfc822") == 0 || strcmp (p->subtype, "global") == 0);
}

static gboolean
append_leaf (Writer *w, const MailPart *p, const PartHeader *h)
{
	GString *out = w->out;
	if (is_sealed_message (p)) {
		g_string_append (out, "\"application\" \"octet-stream\" ");
	} else {
		append_text (out, p->type);
		g_string_append_c (out, ' ');
		append_text (out, p->subtype);
		g_string_append_c (out, ' ');
	}
	append_type_parameters (w, p, h);
	g_string_append_c (out, ' ');
	append_value (out, h->fields[CONTENT_ID]);
	g_string_append_c (out, ' ');
	append_squeezed (out, h->fields[DESCRIPTION]);
	g_string_append_c (out, ' ');
	append_text (out, p->encoding);
	g_string_append_printf (out, " %" G_GUINT64_FORMAT, p->end - p->body);
	if (strcmp (p->type, "text") == 0)
		g_string_append_printf (out, " %" G_GUINT64_FORMAT, p->lines);
	if (p->is_message && !append_message (w, p))
		return FALSE;
	if (!w->extended)
		return TRUE;
	g_string_append_c (out, ' ');
	append_value (out, h->fields[MD5]);
	append_extension (w, h);
	return TRUE;
}

static gboolean
append_part (Writer *w, guint i)
{
	const MailPart *p = mail_structure_part (w->m, i);
	g_auto (PartHeader) h = {0};
	if (!read_header (w, p, &h))
		return FALSE;
	g_string_append_c (w->out, '(');
	gboolean ok = p->is_multipart ? append_multipart (w, p, &h) : append_leaf (w, p, &h);
	g_string_append_c (w->out, ')');
	return ok;
}

gboolean
mail_imap_body (GString *out, const MailStructure *m, gboolean extended, MailReader reader, gpointer data, GError **error)
{
	Writer w = {out, m, extended, reader, data, error};
	return append_part (&w, 0);
}
