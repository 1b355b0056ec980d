/* SPDX-License-Identifier: Apache-2.0 */
/* Fills a store from lines of standard input and exports it, for the tests that look at the result with other programs.
 * usage: export-tool STORE maildir|mbox|tar TARGET < LINES
 * A line: folder path, flags (number), keywords, received, file, separated by tabs; without a file it only makes the folder. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "export.h"

static void
must (gboolean ok, GError *error)
{
	if (!ok) {
		fprintf (stderr, "export-tool: %s\n", error ? error->message : "failed");
		exit (1);
	}
}

static gint64
folder_at (Store *s, const char *path)
{
	GError *e = NULL;
	gint64 id;
	g_autoptr (Folder) f = store_folder_by_path (s, path, NULL);
	if (f)
		return f->id;
	must (store_folder_create_path (s, path, &id, &e), e);
	return id;
}

static void
take_line (Store *s, const char *line)
{
	g_auto (GStrv) fields = g_strsplit (line, "\t", 5);
	GError *e = NULL;
	gint64 message, folder = folder_at (s, fields[0]);
	if (g_strv_length (fields) < 5)
		return;
	char *octets;
	gsize size;
	must (g_file_get_contents (fields[4], &octets, &size, &e), e);
	g_autoptr (GBytes) bytes = g_bytes_new_take (octets, size);
	g_autoptr (Prepared) p = prepare_bytes (bytes, g_ascii_strtoll (fields[3], NULL, 10), 0);
	must (store_add_message (s, p, folder, &message, &e), e);
	must (store_place (s, folder, message, (guint) atoi (fields[1]), *fields[2] ? fields[2] : NULL, FALSE, 0, NULL, &e), e);
}

int
main (int argc, char **argv)
{
	static const char *const names[] = {"maildir", "mbox", "tar"};
	GError *e = NULL;
	guint64 messages;
	int format = 0;
	if (argc != 4)
		return 2;
	while (format < 2 && strcmp (argv[2], names[format]) != 0)
		format++;
	g_autoptr (Store) s = store_open (argv[1], STORE_CREATE, &e);
	must (s && store_begin (s, &e), e);
	char *line = NULL;
	size_t room = 0;
	while (getline (&line, &room, stdin) > 0) {
		line[strcspn (line, "\n")] = '\0';
		take_line (s, line);
	}
	free (line);
	must (store_commit (s, &e), e);
	must (export_store (s, (ExportFormat) format, argv[3], NULL, NULL, NULL, NULL, &messages, NULL, &e), e);
	fprintf (stderr, "%" G_GUINT64_FORMAT " messages\n", messages);
	return 0;
}
