/* SPDX-License-Identifier: Apache-2.0 */
/* show and save: one message to read, and its octets. */
#include "cli.h"
#include "mail.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOW_TEXT_MAX (4u << 20)
#define HEADER_READ_MAX (256u << 10)

static gboolean raw_option, headers_option, save_force;
static char *part_option;

const GOptionEntry show_options[] = {
	{"raw", 0, 0, G_OPTION_ARG_NONE, &raw_option, "The message's octets as they are", NULL},
	{"headers", 0, 0, G_OPTION_ARG_NONE, &headers_option, "All header fields as they stand", NULL},
	{NULL},
};
const GOptionEntry save_options[] = {
	{"part", 0, 0, G_OPTION_ARG_STRING, &part_option, "Only this part, decoded: an attachment, as `show` numbers them", "N"},
	{"force", 'f', 0, G_OPTION_ARG_NONE, &save_force, "Overwrite FILE", NULL},
	{NULL},
};

typedef struct {
	Store *store;
	gint64 message;
} Source;

static GBytes *
read_source (gpointer data, guint64 offset, gsize size, GError **error)
{
	Source *s = data;
	return store_read (s->store, s->message, offset, size, error);
}

static MailStructure *
structure_of (Source *source, const Message *m, GError **error)
{
	MailStructure *structure = m->structure && g_bytes_get_size (m->structure) ? mail_structure_unserialise (m->structure) : NULL;
	if (structure)
		return structure;
	g_autoptr (MailScanner) scanner = mail_scanner_new ();
	for (guint64 at = 0; at < m->size;) {
		g_autoptr (GBytes) piece = store_read (source->store, source->message, at, 1u << 20, error);
		if (!piece)
			return NULL;
		gsize size;
		const void *octets = g_bytes_get_data (piece, &size);
		if (size == 0)
			break;
		mail_scanner_feed (scanner, octets, size);
		at += size;
	}
	return mail_scanner_end (g_steal_pointer (&scanner));
}

static gboolean
write_stdout (gpointer data, const void *octets, gsize size, GError **error)
{
	return fwrite (octets, 1, size, stdout) == size || error_set_errno (error, errno, "writing the message");
}

static void
print_field (Slice header, const char *name)
{
	Slice value = mail_header_find (header, name);
	if (!value.data)
		return;
	g_autofree char *text = mail_header_decode (value, 65536);
	g_autofree char *label = g_strdup_printf ("%s:", name);
	cli_print ("%-9s %s", label, text);
}

static void
print_attachments (const MailStructure *structure)
{
	for (guint i = 0; i < mail_structure_count (structure); i++) {
		const MailPart *part = mail_structure_part (structure, i);
		if (!mail_part_is_attachment (structure, i))
			continue;
		g_autofree char *section = mail_part_section (structure, i);
		g_autofree char *size = cli_size (part->end - part->body);
		cli_print ("Attached: [%s] %s (%s/%s, %s)", section, part->filename ? part->filename : "without a name", part->type, part->subtype, size);
	}
}

static void
print_keywords (const Placement *p)
{
	g_autoptr (GString) text = g_string_new (NULL);
	static const char *const names[] = {"read", "answered", "flagged", "deleted", "draft"};
	for (guint i = 0; i < G_N_ELEMENTS (names); i++)
		if (p->flags & (1u << i))
			g_string_append_printf (text, "%s%s", text->len ? ", " : "", names[i]);
	if (p->keywords)
		g_string_append_printf (text, "%s%s", text->len ? ", " : "", p->keywords);
	if (text->len)
		cli_print ("Flags:    %s", text->str);
}

static gboolean
print_message (Cli *cli, const Placement *p, const Message *m, GError **error)
{
	static const char *const fields[] = {"From", "To", "Cc", "Date", "Subject"};
	Source source = {cli->store, m->id};
	g_autoptr (MailStructure) structure = structure_of (&source, m, error);
	g_autoptr (GBytes) head = structure ? store_read (cli->store, m->id, 0, HEADER_READ_MAX, error) : NULL;
	if (!head)
		return FALSE;
	gsize size;
	const char *octets = g_bytes_get_data (head, &size);
	Slice header = {octets, MIN (size, (gsize) mail_structure_part (structure, 0)->body)};
	if (headers_option) {
		g_autofree char *text = slice_to_utf8 (header, 4 * HEADER_READ_MAX);
		g_autoptr (GString) lines = g_string_new (text);
		g_string_replace (lines, "\r", "", 0);
		g_string_replace (lines, "\xef\xbf\xbd\n", "\n", 0);
		cli_print_text (stdout, lines->str);
	} else
		for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
			print_field (header, fields[i]);
	print_keywords (p);
	print_attachments (structure);
	g_autofree char *text = mail_text (structure, read_source, &source, SHOW_TEXT_MAX, error);
	if (!text)
		return FALSE;
	putchar ('\n');
	cli_print_text (stdout, text);
	if (*text && text[strlen (text) - 1] != '\n')
		putchar ('\n');
	return TRUE;
}

static json_t *
json_parts (const MailStructure *structure)
{
	json_t *array = json_array ();
	for (guint i = 0; i < mail_structure_count (structure); i++) {
		const MailPart *part = mail_structure_part (structure, i);
		g_autofree char *section = mail_part_section (structure, i);
		g_autofree char *type = g_strdup_printf ("%s/%s", part->type, part->subtype);
		json_array_append_new (array, json_pack ("{s:o, s:o, s:o, s:o, s:o, s:I, s:b}", "part", cli_json_text (section), "type",
		                                         cli_json_text (type), "charset", cli_json_text (part->charset), "filename",
		                                         cli_json_text (part->filename), "encoding", cli_json_text (part->encoding), "size",
		                                         (json_int_t) (part->end - part->body), "attachment",
		                                         (int) mail_part_is_attachment (structure, i)));
	}
	return array;
}

static gboolean
print_json (Cli *cli, const Placement *p, const Message *m, GError **error)
{
	Source source = {cli->store, m->id};
	g_autoptr (MailStructure) structure = structure_of (&source, m, error);
	g_autofree char *text = structure ? mail_text (structure, read_source, &source, SHOW_TEXT_MAX, error) : NULL;
	g_autoptr (Folder) f = text ? store_folder (cli->store, p->folder, error) : NULL;
	if (!f)
		return FALSE;
	Listing l = {*p, *m};
	json_t *o = cli_json_listing (cli, &l);
	json_object_set_new (o, "folder", cli_json_text (f->path));
	json_object_set_new (o, "parts", json_parts (structure));
	json_object_set_new (o, "text", cli_json_text (text));
	cli_print_json (o);
	return TRUE;
}

gboolean
cmd_show (Cli *cli, char **args, GError **error)
{
	if (raw_option && !cli_json_apart (cli, "-", error))
		return FALSE;
	g_autoptr (GArray) ids = cli_messages (cli, args, NULL, error);
	if (!ids || !cli_store (cli, FALSE, error))
		return FALSE;
	for (guint i = 0; i < ids->len; i++) {
		g_autoptr (Placement) p = cli_placement (cli, g_array_index (ids, gint64, i), error);
		g_autoptr (Message) m = p ? store_message (cli->store, p->message, error) : NULL;
		if (!m)
			return FALSE;
		if (i > 0 && !cli->json && !raw_option)
			puts ("\n----");
		if (raw_option ? !store_stream (cli->store, m->id, write_stdout, NULL, error)
		    : cli->json ? !print_json (cli, p, m, error)
		                : !print_message (cli, p, m, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
write_fd (gpointer data, const void *octets, gsize size, GError **error)
{
	int fd = *(int *) data;
	for (const char *at = octets; size > 0;) {
		ssize_t n = write (fd, at, size);
		if (n < 0 && errno != EINTR)
			return error_set_errno (error, errno, "writing the file");
		at += MAX (n, 0);
		size -= (gsize) MAX (n, 0);
	}
	return TRUE;
}

static gboolean
save_part (Cli *cli, const Message *m, int fd, GError **error)
{
	Source source = {cli->store, m->id};
	g_autoptr (MailStructure) structure = structure_of (&source, m, error);
	if (!structure)
		return FALSE;
	const MailPart *part = mail_structure_find (structure, part_option);
	if (!part)
		return error_fail (error, ERROR_NOT_FOUND, "the message has no part %s: outpost show numbers the attachments", part_option);
	return mail_part_stream (part, read_source, &source, write_fd, &fd, error);
}

static int
open_target (const char *path, GError **error)
{
	if (strcmp (path, "-") == 0)
		return dup (STDOUT_FILENO);
	int fd = open (path, O_WRONLY | O_CREAT | O_CLOEXEC | (save_force ? O_TRUNC : O_EXCL), 0666);
	if (fd < 0 && errno == EEXIST)
		error_fail (error, ERROR_EXISTS, "the file %s exists: choose another name, or say --force", path);
	else if (fd < 0)
		error_set_errno (error, errno, "making the file %s", path);
	return fd;
}

gboolean
cmd_save (Cli *cli, char **args, GError **error)
{
	if (!cli_arguments (args, 2, 2, "MESSAGE FILE", error) || !cli_json_apart (cli, args[1], error))
		return FALSE;
	char *one[] = {args[0], NULL};
	g_autoptr (GArray) ids = cli_messages (cli, one, NULL, error);
	if (!ids || !cli_store (cli, FALSE, error))
		return FALSE;
	if (ids->len == 0)
		return TRUE;
	if (ids->len > 1)
		return error_fail (error, ERROR_USAGE, "standard input names %u messages, and one file holds one: outpost store export writes many", ids->len);
	g_autoptr (Placement) p = cli_placement (cli, g_array_index (ids, gint64, 0), error);
	g_autoptr (Message) m = p ? store_message (cli->store, p->message, error) : NULL;
	int fd = m ? open_target (args[1], error) : -1;
	if (fd < 0)
		return FALSE;
	gboolean to_file = strcmp (args[1], "-") != 0;
	gboolean ok = part_option ? save_part (cli, m, fd, error) : store_stream (cli->store, m->id, write_fd, &fd, error);
	struct stat st;
	gboolean known = fstat (fd, &st) == 0;
	if ((close (fd) != 0 || !known) && ok)
		ok = error_set_errno (error, errno, "writing the file %s", args[1]);
	if (!ok && to_file)
		unlink (args[1]);
	if (ok && cli->json)
		cli_print_json (json_pack ("{s:o, s:I}", "file", cli_json_text (args[1]), "octets", (json_int_t) st.st_size));
	return ok;
}
