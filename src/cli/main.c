/* SPDX-License-Identifier: Apache-2.0 */
/* The program's edge: verbs, options, signals, errors to words and exit codes. */
#include "cli.h"
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static Cancel *interrupted;

/* The first signal asks to stop, which every wait sees; the second one does not ask. */
static void
on_signal (int number)
{
	if (cancel_is_triggered (interrupted))
		_exit (128 + number);
	cancel_trigger (interrupted);
}

static void
catch_signals (void)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigemptyset (&action.sa_mask);
	sigaction (SIGINT, &action, NULL);
	sigaction (SIGTERM, &action, NULL);
	sigaction (SIGHUP, &action, NULL);
	signal (SIGPIPE, SIG_DFL); /* `outpost list INBOX | head` ends quietly */
}

static int
exit_code_of (const GError *error)
{
	static const int codes[] = {
		[ERROR_NOT_FOUND] = EXIT_NOT_FOUND, [ERROR_EXISTS] = EXIT_ERROR,        [ERROR_NO_PERMISSION] = EXIT_NO_PERMISSION,
		[ERROR_TOO_BIG] = EXIT_ERROR,       [ERROR_OVER_QUOTA] = EXIT_ERROR,    [ERROR_CONFLICT] = EXIT_ERROR,
		[ERROR_TEMPORARY] = EXIT_TRY_LATER, [ERROR_UNAVAILABLE] = EXIT_TRY_LATER,
		[ERROR_CORRUPT] = EXIT_DAMAGED,     [ERROR_PROTOCOL] = EXIT_ERROR,
		[ERROR_REFUSED] = EXIT_ERROR,       [ERROR_NO_SPACE] = EXIT_NO_SPACE,   [ERROR_CANCELLED] = EXIT_STOPPED,
		[ERROR_HELD] = EXIT_HELD_BACK,      [ERROR_USAGE] = EXIT_USAGE,         [ERROR_IO] = EXIT_ERROR,
		[ERROR_STALE_STORE] = EXIT_ERROR,   [ERROR_UNTRUSTED] = EXIT_NO_PERMISSION,
	};
	return error->domain == OUTPOST_ERROR ? codes[error->code] : EXIT_USAGE;
}

static void
print_verbs (void)
{
	puts ("Usage: outpost [--profile NAME] VERB [OPTION...] [ARGUMENT...]\n\n"
	      "Keeps a whole mailbox on this machine, in step with its server.\n\nVerbs:");
	for (const Verb *v = verbs; v->name; v++)
		printf ("  %-15s %s\n", v->name, v->summary);
	puts ("\nStart with:   outpost logon you@example.org\n"
	      "Then:         outpost sync --watch    outpost search 'from:ada invoice'\n"
	      "Each verb:    outpost VERB --help     man outpost\n\n"
	      "Exit codes: 0 done, 1 error, or a sync that could not do everything, 2 usage, 3 not found, 4 held back (outpost resolve),\n"
	      "5 try later (network, server busy), 6 refused (password, certificate), 7 store damaged, 8 disk full, 130 stopped on request\n"
	      "(a watcher: 0).");
}

static gboolean
is_of_group (const Verb *v, const char *word)
{
	gsize size = strlen (word);
	return strncmp (v->name, word, size) == 0 && v->name[size] == ' ';
}

/* Help for a first word that wants a second one, with an example of each; FALSE: @word is none. */
static gboolean
print_group (const char *word)
{
	const Verb *first = verbs;
	while (first->name && !is_of_group (first, word))
		first++;
	if (!first->name)
		return FALSE;
	printf ("Usage: outpost %s VERB [OPTION...] [ARGUMENT...]\n\nVerbs:\n", word);
	for (const Verb *v = first; v->name && is_of_group (v, word); v++)
		printf ("  %-15s %s\n", v->name, v->summary);
	puts ("\nExamples:");
	for (const Verb *v = first; v->name && is_of_group (v, word); v++) {
		const char *example = strstr (v->help, "\n  outpost ") + 1;
		printf ("%.*s\n", (int) strcspn (example, "\n"), example);
	}
	printf ("\nEach verb:  outpost %s --help\n", first->name);
	return TRUE;
}

static gboolean
asks_for_help (const char *word)
{
	return g_strcmp0 (word, "--help") == 0 || g_strcmp0 (word, "-h") == 0;
}

/* The verb of the first one or two words; *used_out of them. */
static const Verb *
find_verb (char **words, guint *used_out)
{
	for (const Verb *v = verbs; v->name && words[0]; v++) {
		const char *second = strchr (v->name, ' ');
		gsize size = second ? (gsize) (second - v->name) : strlen (v->name);
		if (strlen (words[0]) != size || strncmp (words[0], v->name, size) != 0 ||
		    (second && g_strcmp0 (words[1], second + 1) != 0))
			continue;
		*used_out = second ? 2 : 1;
		return v;
	}
	return NULL;
}

static gboolean
fail_verb (char **words, GError **error)
{
	g_autoptr (GString) known = g_string_new (NULL);
	for (const Verb *v = verbs; v->name; v++)
		if (is_of_group (v, words[0]))
			g_string_append_printf (known, "%s%s", known->len ? ", " : "", v->name);
	if (known->len)
		return error_fail (error, ERROR_USAGE, "'%s' wants a second word: %s", words[0], known->str);
	return error_fail (error, ERROR_USAGE, "there is no verb '%s': outpost --help lists them", words[0]);
}

/* Words such as -from:bob are moved behind "--", where GOption leaves them alone. */
static void
shield_words (char **argv)
{
	g_autoptr (GPtrArray) front = g_ptr_array_new (), behind = g_ptr_array_new ();
	guint i = 0;
	for (; argv[i] && strcmp (argv[i], "--") != 0; i++) {
		gboolean word = argv[i][0] == '-' && argv[i][1] != '\0' && argv[i][1] != '-' && argv[i][2] != '\0' &&
		                !g_ascii_isdigit (argv[i][2]);
		gboolean option = argv[i][0] == '-' && !word;
		gboolean value = i > 1 && (strcmp (argv[i - 1], "-n") == 0 || strcmp (argv[i - 1], "-p") == 0 ||
		                           strcmp (argv[i - 1], "--profile") == 0);
		g_ptr_array_add (i == 0 || option || value ? front : behind, argv[i]);
	}
	gboolean dashes = argv[i] != NULL;
	if (!dashes && behind->len == 0)
		return;
	for (guint k = dashes ? i + 1 : i; argv[k]; k++)
		g_ptr_array_add (behind, argv[k]);
	guint n = 0;
	gboolean insert = FALSE;
	for (guint k = 0; k < behind->len; k++)
		insert |= ((char *) behind->pdata[k])[0] == '-';
	for (guint k = 0; k < front->len; k++)
		argv[n++] = front->pdata[k];
	static char separator[] = "--";
	if (insert || dashes)
		argv[n++] = separator;
	for (guint k = 0; k < behind->len; k++)
		argv[n++] = behind->pdata[k];
	argv[n] = NULL;
}

static GOptionContext *
make_context (Cli *cli, const Verb *v, gboolean *help)
{
	g_autofree char *arguments = g_strdup_printf ("%s", v->arguments);
	GOptionContext *context = g_option_context_new (arguments);
	GOptionEntry common[] = {
		{"json", 0, 0, G_OPTION_ARG_NONE, &cli->json, "Write JSON for programs", NULL},
		{"profile", 'p', 0, G_OPTION_ARG_STRING, &cli->profile_name, "The profile to use, when there are several", "NAME"},
		{"quiet", 'q', 0, G_OPTION_ARG_NONE, &cli->quiet, "Say nothing but errors", NULL},
		{"verbose", 'v', 0, G_OPTION_ARG_NONE, &cli->verbose, "Show what is said to the server and by it, secrets left out", NULL},
		{"help", 'h', 0, G_OPTION_ARG_NONE, help, "Show this", NULL},
		{NULL},
	};
	g_option_context_set_help_enabled (context, FALSE); /* which ends the program, whether it could be written or not */
	g_option_context_set_summary (context, v->summary);
	g_option_context_set_description (context, v->help);
	if (v->options)
		g_option_context_add_main_entries (context, v->options, NULL);
	g_option_context_add_main_entries (context, common, NULL);
	return context;
}

static gboolean
run_verb (Cli *cli, const Verb *v, char **words, GError **error)
{
	gboolean help = FALSE;
	g_autoptr (GOptionContext) context = make_context (cli, v, &help);
	g_autofree char *name = g_strdup_printf ("outpost %s", v->name);
	g_set_prgname (name);
	/* GOption wants the program's name first and moves pointers about, so it gets an array of its own. */
	guint n = g_strv_length (words);
	g_autofree char **argv = g_new0 (char *, n + 3);
	argv[0] = name;
	for (guint i = 0; i < n; i++)
		argv[i + 1] = words[i];
	if (v->flags & VERB_DASH_WORDS)
		shield_words (argv);
	int argc = (int) g_strv_length (argv);
	char **args = argv;
	if (!g_option_context_parse (context, &argc, &args, error))
		return FALSE;
	if (help) {
		g_autofree char *text = g_option_context_get_help (context, TRUE, NULL);
		fputs (text, stdout);
		return TRUE;
	}
	args++;
	if (*args && strcmp (*args, "--") == 0)
		args++;
	return v->run (cli, args, error);
}

/* Options before the verb; FALSE when the program is done. */
static gboolean
leading_options (Cli *cli, char ***words, GError **error)
{
	for (; **words && ***words == '-'; ++*words) {
		const char *w = **words;
		if (asks_for_help (w)) {
			print_verbs ();
			return FALSE;
		}
		if (strcmp (w, "--version") == 0) {
			puts ("outpost " OUTPOST_VERSION);
			return FALSE;
		}
		gboolean apart = strcmp (w, "--profile") == 0 || strcmp (w, "-p") == 0;
		if (!apart && !g_str_has_prefix (w, "--profile="))
			return error_fail (error, ERROR_USAGE, "'%s' is no option here: options of a verb stand behind it", w);
		if (apart && !(*words)[1])
			return error_fail (error, ERROR_USAGE, "%s wants a name", w);
		g_free (cli->profile_name);
		cli->profile_name = g_strdup (apart ? *++*words : w + strlen ("--profile="));
	}
	if (!**words)
		print_verbs ();
	return **words != NULL;
}

static gboolean
run (Cli *cli, char **words, GError **error)
{
	guint used = 0;
	GError *failure = NULL;
	if (!leading_options (cli, &words, &failure)) {
		if (failure)
			g_propagate_error (error, failure);
		return failure == NULL;
	}
	if (strcmp (words[0], "help") == 0) {
		const Verb *about = words[1] ? find_verb (words + 1, &used) : NULL;
		if (!about) {
			if (!words[1] || !print_group (words[1]))
				print_verbs ();
			return TRUE;
		}
		static char help[] = "--help";
		char *ask[] = {help, NULL};
		return run_verb (cli, about, ask, error);
	}
	if (asks_for_help (words[1]) && print_group (words[0]))
		return TRUE;
	const Verb *v = find_verb (words, &used);
	return v ? run_verb (cli, v, words + used, error) : fail_verb (words, error);
}

int
main (int argc, char **argv)
{
	setlocale (LC_ALL, "");
	g_autoptr (GError) error = NULL;
	Cli cli = {.cancel = cancel_new ()};
	interrupted = cli.cancel;
	catch_signals ();
	gboolean ok = run (&cli, argv + (argc > 0), &error);
	if (cli.changed)
		cli_poke (&cli);
	if ((fflush (stdout) != 0 || ferror (stdout)) && ok)
		ok = error_set_errno (&error, errno ? errno : EIO, "writing the output");
	int code = ok ? cli.exit_code : exit_code_of (error);
	if (!ok) /* the old error is known by its exact words */
		fprintf (stderr, "%s%s\n", error_is (error, ERROR_STALE_STORE) ? "" : "outpost: ", error->message);
	store_close (cli.store);
	profile_free (cli.profile);
	g_free (cli.profile_name);
	cancel_free (cli.cancel);
	if (cli.threads)
		_exit (code);
	return code;
}
