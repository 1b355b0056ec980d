/* SPDX-License-Identifier: Apache-2.0 */
/* resolve: what waits for a decision, what each would do, and taking one back. */
#include "cli-sync.h"
#include "store-binding.h"
#include <string.h>

#define SHOWN 20
#define NOT_GIVEN (-1)

static gboolean all_option, rehearse_option, undo_option, settled_option;
static int limit_option = NOT_GIVEN;

const GOptionEntry resolve_options[] = {
	{"all", 'a', 0, G_OPTION_ARG_NONE, &all_option, "Settle everything that waits in this way", NULL},
	{"dry-run", 0, 0, G_OPTION_ARG_NONE, &rehearse_option, "Show in numbers what it would do, and to which messages; do nothing", NULL},
	{"undo", 0, 0, G_OPTION_ARG_NONE, &undo_option, "Undo the last decision, or the last about FOLDER, within 30 days", NULL},
	{"settled", 0, 0, G_OPTION_ARG_NONE, &settled_option, "List the decisions that can be undone", NULL},
	{"limit", 'n', 0, G_OPTION_ARG_INT, &limit_option, "Show at most N messages (20; with --json all); 0: all", "N"},
	{NULL},
};

static gboolean
is (const char *a, const char *b)
{
	return strcmp (a, b) == 0;
}

static gboolean
is_here (const Hold *h)
{
	return is (h->side, "here");
}

static gboolean
is_other_mail (const Hold *h)
{
	return is (h->kind, "identity");
}

/* ---- Words ---- */

/* What a decision does to the messages. */
static const char *
effect_of (const Hold *h, HoldDecision decision)
{
	gboolean apply = decision == HOLD_APPLY;
	if (is_other_mail (h))
		return apply ? "removed here (outpost undelete restores them for 30 days); the server's are fetched in their place"
		             : "kept here, and sent to the server beside what it has there, which is fetched";
	if (is_here (h))
		return apply ? "removed here too (outpost undelete restores them for 30 days)" : "kept here, and sent to the server again";
	return apply ? "removed from the server too" : "left at the server, and fetched from it again";
}

static const char *
effect_of_undo (const Hold *h)
{
	if (!h->settled)
		return "left as they are: no sync has acted on the decision, and it waits again";
	if (h->decision == HOLD_APPLY)
		return "put back here, and sent to the server";
	return is_here (h) ? "kept here, and removed from the server where they were sent to it; the question stands again"
	                   : "removed here again; the next sync asks about them again";
}

typedef struct {
	guint64 removed_here, sent, removed_there, fetched, restored;
} Numbers;

static Numbers
numbers_of (const Hold *h, HoldDecision decision, gboolean undo, guint64 n)
{
	gboolean apply = decision == HOLD_APPLY, here = is_here (h);
	guint64 there = is_other_mail (h) && h->there > 0 ? (guint64) h->there : 0;
	if (undo && !h->settled)
		return (Numbers){0};
	if (undo && apply)
		return (Numbers){.restored = n, .sent = n};
	if (undo)
		return here ? (Numbers){.removed_there = n} : (Numbers){.removed_here = n};
	if (here)
		return apply ? (Numbers){.removed_here = n, .fetched = there} : (Numbers){.sent = n, .fetched = there};
	return apply ? (Numbers){.removed_there = n} : (Numbers){.fetched = n};
}

/* By the side that still has the messages. */
static gboolean
decision_of (const Hold *h, const char *word, HoldDecision *decision_out, GError **error)
{
	gboolean here = is_here (h);
	if (is (word, "apply"))
		*decision_out = HOLD_APPLY;
	else if (is (word, "keep") || is (word, "both"))
		*decision_out = HOLD_KEEP;
	else if (is (word, "server"))
		*decision_out = here ? HOLD_APPLY : HOLD_KEEP;
	else if (!is (word, "mine"))
		return error_fail (error, ERROR_USAGE, "say both, server or mine (or apply, keep), not '%s': outpost resolve shows what each does", word);
	else if (is_other_mail (h))
		return error_fail (error, ERROR_USAGE, "%" G_GINT64_FORMAT " can't be settled by 'mine': what the server has there may be another person's mail, "
		                   "and outpost does not remove it; say 'server', or 'both' to send yours beside it", h->id);
	else
		*decision_out = here ? HOLD_KEEP : HOLD_APPLY;
	return TRUE;
}

static const char *const words[] = {"server", "mine", "both"};

static gboolean
may_say (const Hold *h, const char *word)
{
	return h->decision == HOLD_WAITS && !(is_other_mail (h) && is (word, "mine"));
}

static const char *
path_of (const Hold *h)
{
	return h->path ? h->path : "a folder that is gone";
}

/* ---- Lists ---- */

json_t *
cli_json_hold (const Hold *h)
{
	static const char *const decisions[] = {NULL, "apply", "keep", NULL};
	g_autofree char *when = cli_iso_time (h->created), *decided = h->decided ? cli_iso_time (h->decided) : NULL;
	g_autofree char *acted = h->settled ? cli_iso_time (h->settled) : NULL;
	json_t *choices = json_array ();
	for (guint i = 0; i < G_N_ELEMENTS (words); i++)
		if (may_say (h, words[i]))
			json_array_append_new (choices, json_string (words[i]));
	return json_pack ("{s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "id", (json_int_t) h->id, "kind",
	                  cli_json_text (h->kind), "side", cli_json_text (h->side), "folder", cli_json_text (h->path), "messages",
	                  (json_int_t) h->messages, "here", h->here < 0 ? json_null () : json_integer (h->here), "there",
	                  h->there < 0 ? json_null () : json_integer (h->there), "detail", cli_json_text (h->detail), "created", cli_json_text (when),
	                  "settled", h->decision != HOLD_WAITS, "decision", cli_json_text (decisions[h->decision]), "decided", cli_json_text (decided),
	                  "actedOn", cli_json_text (acted), "choices", choices);
}

static char *
both_sides (const Hold *h)
{
	GString *text = g_string_new (NULL);
	if (h->here >= 0)
		g_string_append_printf (text, ", %" G_GINT64_FORMAT " here", h->here);
	if (h->there >= 0)
		g_string_append_printf (text, ", %" G_GINT64_FORMAT " at the server", h->there);
	return g_string_free (text, FALSE);
}

static void
print_hold (const Hold *h)
{
	g_autofree char *when = cli_time (h->created), *sides = both_sides (h);
	cli_print ("%4" G_GINT64_FORMAT "  %s: %s", h->id, path_of (h), h->detail);
	cli_print ("      since %s%s", when, sides);
	if (h->decision != HOLD_WAITS)
		cli_print ("      settled, they will be %s: outpost sync", effect_of (h, h->decision));
	for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
		HoldDecision decision;
		if (may_say (h, words[i]) && decision_of (h, words[i], &decision, NULL))
			cli_print ("      outpost resolve %" G_GINT64_FORMAT " %-6s  %u %s", h->id, words[i], h->messages, effect_of (h, decision));
	}
}

static void
print_decision (const Hold *h)
{
	g_autofree char *when = cli_time (h->decided);
	const char *word = h->decision == HOLD_APPLY ? is_here (h) ? "server" : "mine" : is_here (h) ? "both" : "server";
	cli_print ("%4" G_GINT64_FORMAT "  %s: settled on %s (%s): %s", h->id, path_of (h), when, word, h->detail);
	cli_print ("      outpost resolve --undo %" G_GINT64_FORMAT "  %u %s", h->id, h->messages, effect_of_undo (h));
}

static gboolean
print_all (Cli *cli, const GPtrArray *holds, void (*print) (const Hold *), const char *none)
{
	JsonArray array = {0};
	for (guint i = 0; i < holds->len; i++)
		if (cli->json)
			cli_json_item (&array, cli_json_hold (holds->pdata[i]));
		else
			print (holds->pdata[i]);
	if (cli->json)
		cli_json_end (&array);
	else if (holds->len == 0)
		cli_note (cli, "%s", none);
	else if (print == print_hold)
		cli_note (cli, "--dry-run shows what each would do, and to which messages; --undo takes a decision back.");
	return TRUE;
}

/* ---- Rehearsing ---- */

typedef struct {
	Cli *cli;
	json_t *items;
	guint64 limit, count;
} Preview;

static gboolean
count_one (gpointer data, const HeldMessage *m)
{
	((Preview *) data)->count++;
	return TRUE;
}

static gboolean
show_one (gpointer data, const HeldMessage *m)
{
	Preview *p = data;
	if (p->limit && p->count++ >= p->limit)
		return FALSE;
	if (p->cli->json) {
		json_array_append_new (p->items, json_pack ("{s:I, s:o, s:o}", "id", (json_int_t) m->placement, "from", cli_json_text (m->sender), "subject",
		                                            cli_json_text (m->subject)));
		return TRUE;
	}
	g_autofree char *from = cli_fit (m->sender ? m->sender : "", 24);
	cli_print ("%10" G_GINT64_FORMAT " %s %s", m->placement, from, m->subject ? m->subject : "");
	return TRUE;
}

/* What is pushed from the folder whatever is decided. */
typedef struct {
	guint appends, flags, removals;
} Beside;

static gboolean
count_flags (gpointer data, const Placement *here, const PlacementBinding *base)
{
	((Beside *) data)->flags++;
	return TRUE;
}

static gboolean
count_removals (gpointer data, const PlacementBinding *b)
{
	((Beside *) data)->removals++;
	return TRUE;
}

static gboolean
count_beside (Store *s, const Hold *h, Beside *b, GError **error)
{
	g_autoptr (GPtrArray) pendings = store_pendings (s, h->folder, error);
	if (!pendings || !store_gone_bindings (s, h->folder, count_removals, b, error))
		return FALSE;
	b->appends = pendings->len;
	b->removals = is_here (h) ? b->removals : 0; /* they are what is held */
	g_autoptr (FolderBinding) bound = store_folder_binding (s, h->folder, error);
	return !bound || store_flag_changes (s, h->folder, bound->pushed_modseq, count_flags, b, error);
}

static json_t *
json_preview (const Hold *h, const char *effect, const Numbers *n, const Beside *b)
{
	json_t *o = cli_json_hold (h);
	json_object_set_new (o, "effect", cli_json_text (effect));
	json_object_update_new (o, json_pack ("{s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I}}", "removedHere", (json_int_t) n->removed_here, "sent",
	                                      (json_int_t) n->sent, "removedThere", (json_int_t) n->removed_there, "fetched", (json_int_t) n->fetched,
	                                      "restored", (json_int_t) n->restored, "pending", "new", (json_int_t) b->appends, "flags",
	                                      (json_int_t) b->flags, "removed", (json_int_t) b->removals));
	return o;
}

static void
print_numbers (const Hold *h, const char *effect, guint64 messages, const Numbers *n, const Beside *b)
{
	const struct {
		guint64 n;
		const char *text;
	} parts[] = {{n->removed_here, "removed here"}, {n->sent, "sent to the server"}, {n->removed_there, "removed from the server"},
	             {n->fetched, "fetched from the server"}, {n->restored, "put back here"}};
	GString *line = g_string_new (NULL);
	for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
		if (parts[i].n)
			g_string_append_printf (line, "%s%" G_GUINT64_FORMAT " %s", line->len ? ", " : "", parts[i].n, parts[i].text);
	cli_print ("%4" G_GINT64_FORMAT "  %s: %" G_GUINT64_FORMAT " message(s) would be %s", h->id, path_of (h), messages, effect);
	cli_print ("      %s", line->len ? line->str : "nothing to do");
	if (b->appends + b->flags + b->removals)
		cli_print ("      pending beside that, and pushed as always: %u new or moved, %u changed, %u removed", b->appends, b->flags, b->removals);
	g_string_free (line, TRUE);
}

static gboolean
preview (Cli *cli, const Hold *h, HoldDecision decision, JsonArray *array, GError **error)
{
	const char *effect = undo_option ? effect_of_undo (h) : effect_of (h, decision);
	Beside beside = {0};
	Preview p = {.cli = cli};
	if (!count_beside (cli->store, h, &beside, error) || !store_each_held (cli->store, h, count_one, &p, error))
		return FALSE;
	guint64 messages = p.count || undo_option ? p.count : h->messages; /* a hold of an older outpost has its messages noted by the next run */
	Numbers n = numbers_of (h, decision, undo_option, messages);
	p = (Preview){cli, cli->json ? json_array () : NULL, limit_option >= 0 ? (guint64) limit_option : cli->json ? 0 : SHOWN, 0};
	if (!cli->json)
		print_numbers (h, effect, messages, &n, &beside);
	gboolean ok = store_each_held (cli->store, h, show_one, &p, error);
	if (ok && cli->json) {
		json_t *o = json_preview (h, effect, &n, &beside);
		json_object_set (o, "items", p.items);
		cli_json_item (array, o);
	} else if (ok && p.limit && messages > p.limit)
		cli_note (cli, "(the first %" G_GUINT64_FORMAT "; -n 0 shows all)", p.limit);
	json_decref (p.items);
	return ok;
}

/* ---- Which ---- */

static gboolean
is_path (const Hold *h, const char *what)
{
	return h->path && (is (h->path, what) || (is (h->path, "INBOX") && g_ascii_strcasecmp (what, "INBOX") == 0));
}

/* Another hold of @all that has the number @what for its folder's name. */
static const Hold *
other_of_that_name (const GPtrArray *all, const GPtrArray *chosen_ones, const char *what)
{
	const Hold *one = chosen_ones->len == 1 ? chosen_ones->pdata[0] : NULL;
	for (guint i = 0; one && !is_path (one, what) && i < all->len; i++)
		if (is_path (all->pdata[i], what))
			return all->pdata[i];
	return NULL;
}

/* Those of @all that @what, a number (also with '#') or a folder's path, means; NULL what: all. Borrowed. */
static GPtrArray *
chosen (const GPtrArray *all, const char *what)
{
	GPtrArray *list = g_ptr_array_new ();
	const char *digits = what && *what == '#' ? what + 1 : what;
	gint64 id = digits && *digits && strspn (digits, "0123456789") == strlen (digits) ? g_ascii_strtoll (digits, NULL, 10) : 0;
	for (guint i = 0; i < all->len; i++) {
		Hold *h = all->pdata[i];
		if (!what || h->id == id)
			g_ptr_array_add (list, h);
	}
	gboolean numbered = list->len > 0;
	for (guint i = 0; what && !numbered && i < all->len; i++) {
		Hold *h = all->pdata[i];
		if (is_path (h, what))
			g_ptr_array_add (list, h);
	}
	return list;
}

/* ---- Deciding ---- */

static gboolean
settle_one (Cli *cli, const Hold *h, const char *word, gint64 when, JsonArray *array, GError **error)
{
	HoldDecision decision;
	if (!decision_of (h, word, &decision, error))
		return FALSE;
	return rehearse_option ? preview (cli, h, decision, array, error) : store_settle_hold (cli->store, h->id, decision, when, error);
}

static gboolean
settle (Cli *cli, const GPtrArray *list, const char *word, GError **error)
{
	JsonArray array = {0};
	gint64 now = g_get_real_time () / G_USEC_PER_SEC;
	for (guint i = 0; i < list->len; i++)
		if (!settle_one (cli, list->pdata[i], word, now, &array, error))
			return FALSE;
	if (rehearse_option && cli->json)
		cli_json_end (&array);
	return TRUE;
}

static gboolean
is_word (const char *word, GError **error)
{
	static const Hold any = {.side = (char *) "here", .kind = (char *) "rebind"};
	HoldDecision decision;
	return decision_of (&any, word, &decision, error);
}

static gboolean
decide (Cli *cli, const GPtrArray *holds, char **args, GError **error)
{
	guint expected = all_option ? 1 : 2;
	if (!cli_arguments (args, expected, expected, all_option ? "--all both|server|mine" : "FOLDER both|server|mine", error) ||
	    !is_word (args[expected - 1], error))
		return FALSE;
	g_autoptr (GPtrArray) list = chosen (holds, all_option ? NULL : args[0]);
	if (list->len == 0 && !all_option)
		return error_fail (error, ERROR_NOT_FOUND, "nothing with the number or in the folder '%s' waits for a decision: outpost resolve lists what does",
		                   args[0]);
	if (list->len == 0)
		return error_fail (error, ERROR_NOT_FOUND, "nothing waits for a decision");
	const Hold *other = all_option ? NULL : other_of_that_name (holds, list, args[0]);
	if (other)
		return error_fail (error, ERROR_USAGE, "'%s' is a number of the list and a folder's name: say '#%s' for the number, '#%" G_GINT64_FORMAT
		                   "' for what is held of the folder", args[0], args[0], other->id);
	if (rehearse_option)
		return settle (cli, list, args[expected - 1], error);
	gboolean ok = store_begin (cli->store, error) && settle (cli, list, args[expected - 1], error) && store_commit (cli->store, error);
	store_rollback (cli->store);
	cli->changed = ok;
	if (ok)
		cli_note (cli, "The next sync acts on it. Until then, and for 30 days after, outpost resolve --undo takes it back.");
	return ok;
}

/* ---- Taking back ---- */

/* What was said last, at once, of those that are meant. */
static GPtrArray *
last_of (const GPtrArray *decisions, const char *what)
{
	GPtrArray *list = chosen (decisions, what);
	gint64 decided = list->len ? ((Hold *) list->pdata[0])->decided : 0;
	for (guint i = list->len; i-- > 0;)
		if (((Hold *) list->pdata[i])->decided != decided)
			g_ptr_array_remove_index (list, i);
	return list;
}

typedef struct {
	guint done, missing, unacted;
} Undone;

static gboolean
undo_all (Cli *cli, const GPtrArray *list, Undone *u, JsonArray *array, GError **error)
{
	for (guint i = 0; i < list->len; i++) {
		const Hold *h = list->pdata[i];
		guint done = 0, missing = 0;
		if (rehearse_option ? !preview (cli, h, h->decision, array, error) : !store_undo_decision (cli->store, h->id, &done, &missing, error))
			return FALSE;
		u->done += done;
		u->missing += missing;
		u->unacted += !h->settled;
	}
	return TRUE;
}

static void
tell_undone (Cli *cli, guint decisions, const Undone *u)
{
	if (cli->json)
		cli_print_json (json_pack ("{s:I, s:I, s:I, s:I}", "decisions", (json_int_t) decisions, "waitAgain", (json_int_t) u->unacted, "done",
		                           (json_int_t) u->done, "missing", (json_int_t) u->missing));
	else if (u->unacted == decisions)
		cli_note (cli, "It waits again: no sync had acted on it.");
	else if (u->missing)
		cli_note (cli, "Undone for %u message(s); %u are not where they were. The next sync tells the server.", u->done, u->missing);
	else
		cli_note (cli, "Undone for %u message(s). The next sync tells the server.", u->done);
}

static gboolean
undo (Cli *cli, char **args, GError **error)
{
	Undone u = {0};
	JsonArray array = {0};
	if (!cli_arguments (args, 0, 1, "--undo [FOLDER]", error) || !cli_store (cli, !rehearse_option, error))
		return FALSE;
	g_autoptr (GPtrArray) decisions = store_decisions (cli->store, error);
	if (!decisions)
		return FALSE;
	g_autoptr (GPtrArray) list = last_of (decisions, *args);
	if (list->len == 0)
		return error_fail (error, ERROR_NOT_FOUND, "there is no decision%s%s%s to undo: outpost resolve --settled lists those that can be",
		                   *args ? " about '" : "", *args ? *args : "", *args ? "'" : "");
	if (rehearse_option) {
		gboolean shown = undo_all (cli, list, &u, &array, error);
		if (shown && cli->json)
			cli_json_end (&array);
		return shown;
	}
	gboolean ok = store_begin (cli->store, error) && undo_all (cli, list, &u, &array, error) && store_commit (cli->store, error);
	store_rollback (cli->store);
	cli->changed = ok;
	if (ok)
		tell_undone (cli, list->len, &u);
	return ok;
}

static gboolean
list_settled (Cli *cli, char **args, GError **error)
{
	if (!cli_arguments (args, 0, 0, "--settled", error) || !cli_store (cli, FALSE, error))
		return FALSE;
	g_autoptr (GPtrArray) decisions = store_decisions (cli->store, error);
	return decisions && print_all (cli, decisions, print_decision, "there is no decision that could be undone");
}

gboolean
cmd_resolve (Cli *cli, char **args, GError **error)
{
	if (limit_option < 0 && limit_option != NOT_GIVEN)
		return error_fail (error, ERROR_USAGE, "%d is no number of messages: say 1 or more, or 0 for all", limit_option);
	if (undo_option + all_option + settled_option > 1)
		return error_fail (error, ERROR_USAGE, "say one of --undo, --all and --settled");
	if (settled_option)
		return list_settled (cli, args, error);
	if (undo_option)
		return undo (cli, args, error);
	gboolean decides = *args || all_option;
	if (!cli_store (cli, decides && !rehearse_option, error))
		return FALSE;
	g_autoptr (GPtrArray) holds = store_holds (cli->store, error);
	if (!holds)
		return FALSE;
	return decides ? decide (cli, holds, args, error) : print_all (cli, holds, print_hold, "nothing waits for a decision");
}
