/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds the files of folders to a fuzz target in an ordinary build: what a fuzzer once found stays found.
 * usage: replay FOLDER... */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <glib.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static gboolean
replay_file (const char *path)
{
	g_autofree char *contents = NULL;
	g_autoptr (GError) error = NULL;
	gsize size;
	if (!g_file_get_contents (path, &contents, &size, &error)) {
		fprintf (stderr, "replay: %s\n", error->message);
		return FALSE;
	}
	/* of its very size, so that a sanitizer sees a read beyond it */
	g_autofree uint8_t *data = g_malloc (MAX (size, 1));
	memcpy (data, contents, size);
	fprintf (stderr, "%s\n", path);
	LLVMFuzzerTestOneInput (data, size);
	return TRUE;
}

static gboolean
replay_folder (const char *path, guint *n)
{
	g_autoptr (GError) error = NULL;
	g_autoptr (GDir) folder = g_dir_open (path, 0, &error);
	if (!folder) {
		fprintf (stderr, "replay: %s\n", error->message);
		return FALSE;
	}
	for (const char *name; (name = g_dir_read_name (folder)); (*n)++) {
		g_autofree char *file = g_build_filename (path, name, NULL);
		if (!replay_file (file))
			return FALSE;
	}
	return TRUE;
}

int
main (int argc, char **argv)
{
	guint n = 0;
	for (int i = 1; i < argc; i++)
		if (!replay_folder (argv[i], &n))
			return 1;
	if (n == 0) {
		fprintf (stderr, "replay: no file to feed\n");
		return 1;
	}
	printf ("[  PASSED  ] %u test(s).\n", n);
	return 0;
}
