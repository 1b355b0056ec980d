/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of the program share. A verb is a row of main.c's table and a function: its options are GOption entries, its
 * arguments what is left; it returns FALSE with an error that main prints and turns into the exit code. */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdio.h>
#include "cancel.h"
#include "error.h"
#include "profile.h"
#include "store.h"

typedef struct {
	char *profile_name; /* --profile; NULL: the only one */
	gboolean json, quiet, verbose;
	Cancel *cancel;
	Profile *profile; /* after cli_profile */
	Store *store;     /* after cli_store */
	gboolean changed; /* something was changed here that a running watcher should push */
	gboolean threads; /* given up but running: the process ends without the libraries' own clean-up, which they would run into */
	int exit_code;    /* for outcomes that are no errors: 0, EXIT_HELD_BACK, EXIT_ERROR after a run that could not do everything */
} Cli;

enum {
	EXIT_OK = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_HELD_BACK = 4,
	EXIT_TRY_LATER = 5,
	EXIT_NO_PERMISSION = 6,
	EXIT_DAMAGED = 7,
	EXIT_NO_SPACE = 8,
	EXIT_STOPPED = 130,
};

typedef enum {
	VERB_DASH_WORDS = 1 << 0, /* arguments like -from:bob are words, not options */
} VerbFlags;

typedef struct {
	const char *name;      /* "flag", "folder create" */
	const char *arguments; /* "MESSAGE... FLAG..." */
	const char *summary;   /* one line */
	const char *help;      /* the rest of --help, with an example */
	const GOptionEntry *options; /* NULL none */
	gboolean (*run) (Cli *cli, char **args, GError **error);
	VerbFlags flags;
} Verb;
extern const Verb verbs[];

/* The profile that the command line means; the store that belongs to it, open for reading or (@write) writing. Borrowed. */
Profile *cli_profile (Cli *cli, GError **error);
Store *cli_store (Cli *cli, gboolean write, GError **error);
/* The store that a profile names is not there: that is said before another one is made. */
void cli_say_new_store (const Cli *cli, const Profile *p);
/* Whose mail cli->store has, by which a later profile finds it: written where it is not. */
gboolean cli_note_account (Cli *cli, const Profile *p, GError **error);
/* @path's folder for its last part is made (0700). */
gboolean cli_make_parents (const char *path, GError **error);

/* USAGE unless there are at least @least and (@most > 0) at most @most arguments. */
gboolean cli_arguments (char **args, guint least, guint most, const char *expected, GError **error);
/* Placement ids of arguments that are numbers, "-" reading more from standard input, one a line; stops at the first that is none
 * when *rest_out is wanted, else USAGE. Array of gint64; empty only where standard input named none, which is said. */
GArray *cli_messages (const Cli *cli, char **args, char ***rest_out, GError **error);
/* The placement and its message; NOT_FOUND says where numbers come from. */
Placement *cli_placement (Cli *cli, gint64 id, GError **error);

/* ---- Output ---- */
/* One JSON value a line on standard output; takes the reference. */
void cli_print_json (json_t *value);
/* Arrays of any length without holding them: begin, items (taken), end. */
typedef struct {
	gboolean any;
} JsonArray;
void cli_json_item (JsonArray *a, json_t *item);
void cli_json_end (JsonArray *a);
/* USAGE if both JSON and what is written to @path want standard output ("-"). */
gboolean cli_json_apart (const Cli *cli, const char *path, GError **error);
/* A string, or null; what is not UTF-8 was made so by the store. */
json_t *cli_json_text (const char *text);
/* A line on standard output with everything that a terminal could take for a command replaced. */
void cli_print (const char *format, ...) G_GNUC_PRINTF (1, 2);
/* Progress and remarks: standard error, not with --quiet. */
void cli_note (const Cli *cli, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* Lines of text from outside: control characters but newline and tab become U+FFFD. */
void cli_print_text (FILE *to, const char *text);
/* @text in exactly @columns terminal columns: cut with an ellipsis, or filled. */
char *cli_fit (const char *text, guint columns);
guint cli_columns (void); /* of the terminal on standard output; 0: none */
char *cli_size (guint64 octets);   /* "12.3 MB" */
char *cli_count (guint64 n);       /* "12,345" */
char *cli_time (gint64 time);      /* "2026-11-24 10:11" local */
char *cli_iso_time (gint64 time);  /* "2026-11-24T10:11:12Z" */
/* "\Seen", ... and keywords as arrays of JSON strings. */
json_t *cli_json_flags (guint flags);
json_t *cli_json_keywords (const char *keywords);
/* A placement with its message as one JSON object, as `list`, `search` and `show` give it. */
json_t *cli_json_listing (Cli *cli, const Listing *l);
/* The same as one line of a table. */
void cli_print_listing (const Listing *l, const char *folder);

/* The running watcher of this profile is told that there is something to push. No error if there is none. */
void cli_poke (Cli *cli);

gboolean cmd_logon (Cli *cli, char **args, GError **error);
gboolean cmd_sync (Cli *cli, char **args, GError **error);
gboolean cmd_serve (Cli *cli, char **args, GError **error);
gboolean cmd_status (Cli *cli, char **args, GError **error);
gboolean cmd_log (Cli *cli, char **args, GError **error);
gboolean cmd_folders (Cli *cli, char **args, GError **error);
gboolean cmd_list (Cli *cli, char **args, GError **error);
gboolean cmd_show (Cli *cli, char **args, GError **error);
gboolean cmd_search (Cli *cli, char **args, GError **error);
gboolean cmd_save (Cli *cli, char **args, GError **error);
gboolean cmd_flag (Cli *cli, char **args, GError **error);
gboolean cmd_unflag (Cli *cli, char **args, GError **error);
gboolean cmd_move (Cli *cli, char **args, GError **error);
gboolean cmd_copy (Cli *cli, char **args, GError **error);
gboolean cmd_delete (Cli *cli, char **args, GError **error);
gboolean cmd_undelete (Cli *cli, char **args, GError **error);
gboolean cmd_add (Cli *cli, char **args, GError **error);
gboolean cmd_folder_create (Cli *cli, char **args, GError **error);
gboolean cmd_folder_rename (Cli *cli, char **args, GError **error);
gboolean cmd_folder_delete (Cli *cli, char **args, GError **error);
gboolean cmd_rebind (Cli *cli, char **args, GError **error);
gboolean cmd_resolve (Cli *cli, char **args, GError **error);
gboolean cmd_profile_list (Cli *cli, char **args, GError **error);
gboolean cmd_profile_show (Cli *cli, char **args, GError **error);
gboolean cmd_profile_delete (Cli *cli, char **args, GError **error);
gboolean cmd_store_list (Cli *cli, char **args, GError **error);
gboolean cmd_store_check (Cli *cli, char **args, GError **error);
gboolean cmd_store_compact (Cli *cli, char **args, GError **error);
gboolean cmd_store_export (Cli *cli, char **args, GError **error);
gboolean cmd_store_index (Cli *cli, char **args, GError **error);

extern const GOptionEntry logon_options[], sync_options[], serve_options[], log_options[], list_options[], show_options[], search_options[], save_options[],
        delete_options[], undelete_options[], add_options[], folder_create_options[], folder_delete_options[], resolve_options[], rebind_options[],
        profile_delete_options[], store_check_options[], store_export_options[], store_index_options[];
