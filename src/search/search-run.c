/* SPDX-License-Identifier: Apache-2.0 */
/* Running a query: first every set of messages it names; from those the messages that can match at all. If they are few, each is
 * looked up and they are sorted. If they are many, all messages are walked from the newest on until there are enough. Where conditions
 * on placements turn most of them away, the walk is interrupted once to sift the rest by a pass over the table. */
#include "search-private.h"
#include <string.h>

/* Looking one up costs about as much as walking over 15. */
#define DIRECT_MAX 2500u
/* So many a walk looks up before it sifts: common matches are found by then, and rare ones have not waited long. */
#define LOOK_UPS_BEFORE_SIFTING 400u
/* A folder's placements are found by an index if it holds at most this part of all. */
#define FOLDER_SHARE 4
#define STEPS_A_CHECK 256u

typedef struct {
	Store *s;
	Db *db;
	const SearchQuery *q;
	Bits **sets;      /* by slot */
	Bits **undecided; /* by slot: of messages whose text is not read; NULL: none */
	GPtrArray *texts; /* borrowed nodes: sets of text */
	gboolean asks_placements;
	Cancel *cancel;
	guint steps, left; /* left: listings still to give */
	ListingFn fn;
	gpointer data;
	gboolean stopped;
} Search;

enum { KNOW_TEXT = 1, KNOW_PLACEMENT = 2, KNOW_ROW = 4 };

/* What is known of a placement, or of a message and none of its placements. */
typedef struct {
	guint known;
	gint64 message, placement, folder, received, size;
	guint flags;
	const char *keywords;
	gboolean attachment;
} Row;

static gboolean
go_on (Search *r, GError **error)
{
	return ++r->steps % STEPS_A_CHECK || cancel_check (r->cancel, error);
}

/* ---- Asking the tree ---- */

static gboolean
has_keyword (const char *keywords, const char *wanted)
{
	gsize n = strlen (wanted);
	while (keywords && *keywords) {
		gsize size = strcspn (keywords, " ");
		if (size == n && g_ascii_strncasecmp (keywords, wanted, n) == 0)
			return TRUE;
		keywords += size + (keywords[size] == ' ');
	}
	return FALSE;
}

static Answer
ask_set (const Search *r, const Node *n, const Row *row)
{
	if (n->match && !(row->known & KNOW_TEXT))
		return MAYBE;
	if (bits_has (r->sets[n->slot], row->message))
		return YES;
	return bits_has (r->undecided[n->slot], row->message) ? MAYBE : NO;
}

static Answer
ask_leaf (const Search *r, const Node *n, const Row *row)
{
	gboolean of_row = n->type == NODE_RECEIVED || n->type == NODE_SIZE || n->type == NODE_ATTACHMENT;
	if (!(row->known & (of_row ? KNOW_ROW : KNOW_PLACEMENT)))
		return MAYBE;
	switch (n->type) {
	case NODE_FOLDER:
		return bits_has (r->sets[n->slot], row->folder) ? YES : NO;
	case NODE_FLAGS:
		return (row->flags & n->mask) == n->value ? YES : NO;
	case NODE_KEYWORD:
		return has_keyword (row->keywords, n->text) ? YES : NO;
	case NODE_RECEIVED:
		return row->received >= n->lo && row->received < n->hi ? YES : NO;
	case NODE_SIZE:
		return row->size >= n->lo && row->size < n->hi ? YES : NO;
	default:
		return row->attachment ? YES : NO;
	}
}

static Answer
ask (const Search *r, const Node *n, const Row *row)
{
	Answer answer = n->type == NODE_AND ? YES : NO;
	switch (n->type) {
	case NODE_AND:
		for (guint i = 0; i < n->children->len && answer != NO; i++)
			answer = MIN (answer, ask (r, n->children->pdata[i], row));
		return answer;
	case NODE_OR:
		for (guint i = 0; i < n->children->len && answer != YES; i++)
			answer = MAX (answer, ask (r, n->children->pdata[i], row));
		return answer;
	case NODE_NOT:
		return YES - ask (r, n->children->pdata[0], row);
	case NODE_ALL:
		return YES;
	case NODE_SET:
		return ask_set (r, n, row);
	default:
		return ask_leaf (r, n, row);
	}
}

/* ---- Sets ---- */

/* Adds the first column of all rows. */
static gboolean
collect (Search *r, DbQuery *q, Bits *into, GError **error)
{
	int step;
	while ((step = db_step (r->db, q, error)) > 0) {
		bits_add (into, db_int (q, 0));
		if (!go_on (r, error)) {
			db_reset (q);
			return FALSE;
		}
	}
	return step == 0;
}

static gboolean
fill_set (Search *r, const Node *n, GError **error)
{
	Bits *into = r->sets[n->slot];
	if (n->match) {
		g_ptr_array_add (r->texts, (gpointer) n);
		return collect (r, db_query (r->db, "SELECT rowid FROM fts WHERE fts MATCH ?1", "s", n->match), into, error);
	}
	if (n->text)
		return collect (r, db_query (r->db, "SELECT id FROM message WHERE message_id = ?1", "s", n->text), into, error);
	return collect (r, db_query (r->db, "SELECT id FROM message WHERE thread = (SELECT thread FROM message WHERE id = (SELECT message FROM"
	                                    " placement WHERE id = ?1))", "i", n->placement), into, error);
}

static const char *
role_of (const char *name)
{
	static const struct {
		const char *name, *role;
	} aliases[] = {{"spam", "junk"}, {"bin", "trash"}, {"draft", "drafts"}, {"starred", "flagged"}};
	for (gsize i = 0; i < G_N_ELEMENTS (aliases); i++)
		if (strcmp (name, aliases[i].name) == 0)
			return aliases[i].role;
	return name;
}

typedef enum { BY_NAME, BY_LAST_LEVELS } FolderMatch;

/* Folders called @wanted (folded) and those below, but below the inbox, where some servers keep everything. */
static guint
add_folders (Bits *into, const GPtrArray *folders, const char *wanted, FolderMatch how)
{
	guint n = 0;
	g_autofree char *below = g_strconcat (wanted, "/", NULL), *last = g_strconcat ("/", wanted, NULL), *inside = g_strconcat ("/", below, NULL);
	gboolean inbox = strcmp (wanted, "inbox") == 0;
	for (guint i = 0; i < folders->len; i++) {
		const Folder *f = folders->pdata[i];
		g_autofree char *path = words_fold_name (f->path);
		gboolean fits = how == BY_NAME ? strcmp (path, wanted) == 0 || g_strcmp0 (f->role, role_of (wanted)) == 0 ||
		                                 (!inbox && g_str_has_prefix (path, below))
		                               : g_str_has_suffix (path, last) || strstr (path, inside) != NULL;
		if (fits) {
			bits_add (into, f->id);
			n++;
		}
	}
	return n;
}

static gboolean
fill_folders (Search *r, const Node *n, GError **error)
{
	Bits *into = r->sets[n->slot];
	g_autoptr (GPtrArray) folders = store_folders (r->s, error);
	g_autofree char *wanted = words_fold_name (n->text);
	gsize size = strlen (wanted);
	if (!folders)
		return FALSE;
	if (size > 1 && wanted[size - 1] == '/')
		wanted[size - 1] = '\0';
	if (add_folders (into, folders, wanted, BY_NAME) || add_folders (into, folders, wanted, BY_LAST_LEVELS) || n->optional)
		return TRUE;
	g_autoptr (Folder) f = store_folder_by_path (r->s, n->text, error);
	if (f)
		bits_add (into, f->id);
	return f != NULL;
}

static gboolean
fill (Search *r, const Node *n, GError **error)
{
	r->asks_placements |= n->type == NODE_FOLDER || n->type == NODE_FLAGS || n->type == NODE_KEYWORD;
	if (n->type == NODE_SET || n->type == NODE_FOLDER) {
		r->sets[n->slot] = bits_new ();
		return n->type == NODE_SET ? fill_set (r, n, error) : fill_folders (r, n, error);
	}
	for (guint i = 0; n->children && i < n->children->len; i++)
		if (!fill (r, n->children->pdata[i], error))
			return FALSE;
	return TRUE;
}

/* ---- Placements of one message ---- */

/* Newest first: "received DESC, message DESC, placement DESC" is the order everywhere. Walked with next_placement. */
static DbQuery *
placements_of (Search *r, gint64 message)
{
	return db_query (r->db, "SELECT p.id, p.folder, p.flags, p.keywords, m.received, m.size, m.attachment FROM message m"
	                        " JOIN placement p ON p.message = m.id WHERE m.id = ?1 ORDER BY p.id DESC", "i", message);
}

static int
next_placement (Search *r, DbQuery *q, gint64 message, guint known, Row *row, GError **error)
{
	int step = db_step (r->db, q, error);
	if (step > 0)
		*row = (Row){.known = known | KNOW_PLACEMENT | KNOW_ROW, .message = message, .placement = db_int (q, 0), .folder = db_int (q, 1),
		             .flags = (guint) db_int (q, 2), .keywords = db_text (q, 3), .received = db_int (q, 4), .size = db_int (q, 5),
		             .attachment = db_int (q, 6) != 0};
	return step;
}

/* ---- The tail beyond the index ---- */

static void
note_answers (Search *r, const Doc *d, gint64 message)
{
	for (guint i = 0; i < r->texts->len; i++) {
		const Node *n = r->texts->pdata[i];
		Answer answer = doc_ask (d, n->children->pdata[0]);
		if (answer == MAYBE && !r->undecided[n->slot])
			r->undecided[n->slot] = bits_new ();
		if (answer != NO)
			bits_add (answer == YES ? r->sets[n->slot] : r->undecided[n->slot], message);
	}
}

/* Whether its text can make a difference. */
static gboolean
is_open (Search *r, gint64 message, gboolean *open_out, GError **error)
{
	DbQuery *q = placements_of (r, message);
	Row row;
	int step;
	*open_out = FALSE;
	while (!*open_out && (step = next_placement (r, q, message, 0, &row, error)) != 0) {
		if (step < 0)
			return FALSE;
		*open_out = ask (r, r->q->root, &row) != NO;
	}
	db_reset (q);
	return TRUE;
}

static gboolean
read_tail_message (Search *r, gint64 id, gboolean whole, GError **error)
{
	gboolean open;
	if (!is_open (r, id, &open, error))
		return FALSE;
	if (!open)
		return TRUE;
	g_autoptr (Message) m = store_message (r->s, id, error);
	g_autoptr (Doc) d = !m ? NULL : whole ? doc_read (r->s, m, error) : doc_of_row (m);
	if (d)
		note_answers (r, d, id);
	return d != NULL;
}

/* Newest first, whatever the order in which they came here: a first synchronisation brings old mail last. The plus keeps SQLite from
 * walking all messages by time to find the few. */
static gboolean
read_tail (Search *r, GError **error)
{
	DbQuery *q = db_query (r->db, "SELECT id FROM message WHERE id > (SELECT indexed_message FROM meta) ORDER BY +received DESC, id DESC", "");
	int step = 0;
	for (guint n = 0; r->texts->len && (step = db_step (r->db, q, error)) > 0; n++)
		if (!cancel_check (r->cancel, error) || !read_tail_message (r, db_int (q, 0), n < SEARCH_TAIL_MAX, error)) {
			step = -1;
			break;
		}
	db_reset (q);
	return step == 0;
}

/* ---- Candidates ---- */

static void
unite (Search *r, const Node *n, Bits *into)
{
	if (n->type == NODE_SET) {
		bits_add_all (into, r->sets[n->slot]);
		if (r->undecided[n->slot])
			bits_add_all (into, r->undecided[n->slot]);
		return;
	}
	for (guint i = 0; n->children && i < n->children->len; i++)
		unite (r, n->children->pdata[i], into);
}

/* The messages that can match by the sets alone; NULL: any can, since one that is in no set can. */
static Bits *
candidates (Search *r)
{
	Row row = {.known = KNOW_TEXT, .message = -1};
	if (ask (r, r->q->root, &row) != NO)
		return NULL;
	g_autoptr (Bits) united = bits_new ();
	unite (r, r->q->root, united);
	if (r->q->root->type == NODE_SET)
		return g_steal_pointer (&united);
	Bits *found = bits_new ();
	for (row.message = 0; bits_next (united, &row.message);)
		if (ask (r, r->q->root, &row) != NO)
			bits_add (found, row.message);
	return found;
}

/* What every match must be: flags, which the database compares quicker than ask, and folder (NULL: any). */
typedef struct {
	guint mask, value;
	const Bits *folders;
} Needs;

static void
find_needs (const Search *r, const Node *n, Needs *needs)
{
	if (n->type == NODE_FLAGS) {
		needs->mask |= n->mask;
		needs->value |= n->value;
	} else if (n->type == NODE_FOLDER)
		needs->folders = r->sets[n->slot];
	for (guint i = 0; n->type == NODE_AND && i < n->children->len; i++)
		find_needs (r, n->children->pdata[i], needs);
}

static gboolean
are_small (Search *r, const Bits *folders)
{
	gint64 total = 0;
	for (gint64 id = 0; bits_next (folders, &id);)
		total += db_number (r->db, "SELECT total FROM folder WHERE id = ?1", 0, "i", id);
	return total * FOLDER_SHARE <= db_number (r->db, "SELECT SUM (total) FROM folder", 0, "");
}

/* Adds those of @among (NULL: of all) that can match by the placements of @q. */
static gboolean
sift_rows (Search *r, DbQuery *q, const Bits *among, Bits *found, GError **error)
{
	int step;
	while ((step = db_step (r->db, q, error)) > 0) {
		Row row = {.known = KNOW_TEXT | KNOW_PLACEMENT, .message = db_int (q, 0)};
		if (!go_on (r, error)) {
			db_reset (q);
			return FALSE;
		}
		if (among && !bits_has (among, row.message))
			continue;
		row.folder = db_int (q, 1);
		row.flags = (guint) db_int (q, 2);
		row.keywords = db_text (q, 3);
		if (ask (r, r->q->root, &row) != NO)
			bits_add (found, row.message);
	}
	return step == 0;
}

/* Those of @among that can match by their placements. NULL: error. */
static Bits *
sift (Search *r, const Bits *among, GError **error)
{
	g_autoptr (Bits) found = bits_new ();
	Needs needs = {0};
	gboolean ok = TRUE;
	find_needs (r, r->q->root, &needs);
	if (needs.folders && are_small (r, needs.folders))
		for (gint64 id = 0; ok && bits_next (needs.folders, &id);)
			ok = sift_rows (r, db_query (r->db, "SELECT message, folder, flags, keywords FROM placement WHERE (flags & ?1) = ?2 AND folder = ?3",
			                             "iii", (gint64) needs.mask, (gint64) needs.value, id), among, found, error);
	else
		ok = sift_rows (r, db_query (r->db, "SELECT message, folder, flags, keywords FROM placement WHERE (flags & ?1) = ?2", "ii",
		                             (gint64) needs.mask, (gint64) needs.value), among, found, error);
	return ok ? g_steal_pointer (&found) : NULL;
}

/* ---- Giving ---- */

static gboolean
give (Search *r, gint64 placement, GError **error)
{
	DbQuery *q = db_query (r->db, "SELECT " LISTING_COLUMNS " FROM placement p JOIN message m ON m.id = p.message WHERE p.id = ?1", "i", placement);
	int step = db_step (r->db, q, error);
	if (step > 0) {
		Listing l = listing_view (q);
		r->stopped = !r->fn (r->data, &l) || --r->left == 0; /* no limit: 0, which wraps around */
	}
	db_reset (q);
	return step >= 0;
}

static gboolean
give_message (Search *r, gint64 message, GError **error)
{
	DbQuery *q = placements_of (r, message);
	Row row;
	int step = 0;
	while (!r->stopped && (step = next_placement (r, q, message, KNOW_TEXT, &row, error)) > 0)
		if (ask (r, r->q->root, &row) == YES && !give (r, row.placement, error)) {
			step = -1;
			break;
		}
	db_reset (q);
	return step >= 0;
}

typedef struct {
	gint64 received, message, placement;
} Found;

static int
newest_first (gconstpointer a, gconstpointer b)
{
	const Found *x = a, *y = b;
	if (x->received != y->received)
		return x->received > y->received ? -1 : 1;
	if (x->message != y->message)
		return x->message > y->message ? -1 : 1;
	return x->placement > y->placement ? -1 : 1;
}

static gboolean
look_up (Search *r, gint64 message, GArray *found, GError **error)
{
	DbQuery *q = placements_of (r, message);
	Row row;
	int step;
	while ((step = next_placement (r, q, message, KNOW_TEXT, &row, error)) > 0)
		if (ask (r, r->q->root, &row) == YES) {
			Found f = {row.received, row.message, row.placement};
			g_array_append_val (found, f);
		}
	return step == 0;
}

/* What comes after @last (NULL: all). */
static gboolean
give_few (Search *r, const Bits *few, const Found *last, GError **error)
{
	g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (Found));
	for (gint64 id = 0; bits_next (few, &id);)
		if (!go_on (r, error) || !look_up (r, id, found, error))
			return FALSE;
	g_array_sort (found, newest_first);
	for (guint i = 0; i < found->len && !r->stopped; i++) {
		const Found *f = &g_array_index (found, Found, i);
		if ((!last || newest_first (last, f) < 0) && !give (r, f->placement, error))
			return FALSE;
	}
	return TRUE;
}

/* The times that the whole query is limited to. */
static void
limits (const Node *n, gint64 *lo, gint64 *hi)
{
	if (n->type == NODE_RECEIVED) {
		*lo = MAX (*lo, n->lo);
		*hi = MIN (*hi, n->hi);
	}
	for (guint i = 0; n->type == NODE_AND && i < n->children->len; i++)
		limits (n->children->pdata[i], lo, hi);
}

/* One step of a walk. *looked_up counts messages. */
static gboolean
walk_row (Search *r, const Row *row, const Bits *among, guint *looked_up, GError **error)
{
	if (!go_on (r, error))
		return FALSE;
	if ((among && !bits_has (among, row->message)) || ask (r, r->q->root, row) == NO)
		return TRUE;
	++*looked_up;
	return give_message (r, row->message, error);
}

/* @among NULL: all. */
static gboolean
walk (Search *r, const Bits *among, GError **error)
{
	gint64 lo = G_MININT64, hi = G_MAXINT64;
	guint looked_up = 0;
	g_autoptr (Bits) sifted = NULL;
	limits (r->q->root, &lo, &hi);
	DbQuery *q = db_query (r->db, "SELECT id, received, size, attachment FROM message WHERE received >= ?1 AND"
	                              " received < ?2 ORDER BY received DESC, id DESC", "ii", lo, hi);
	int step = 0;
	while (!r->stopped && (step = db_step (r->db, q, error)) > 0) {
		Row row = {.known = KNOW_TEXT | KNOW_ROW, .message = db_int (q, 0), .received = db_int (q, 1), .size = db_int (q, 2),
		           .attachment = db_int (q, 3) != 0};
		gboolean ok = walk_row (r, &row, sifted ? sifted : among, &looked_up, error);
		if (ok && !r->stopped && !sifted && r->asks_placements && looked_up == LOOK_UPS_BEFORE_SIFTING) {
			sifted = sift (r, among, error);
			ok = sifted != NULL;
			if (ok && bits_count (sifted) <= DIRECT_MAX) {
				Found last = {row.received, row.message, 0}; /* it comes after all its placements */
				step = give_few (r, sifted, &last, error) ? 0 : -1;
				break;
			}
		}
		if (!ok) {
			step = -1;
			break;
		}
	}
	db_reset (q);
	return step >= 0;
}

static gboolean
give_all (Search *r, GError **error)
{
	g_autoptr (Bits) among = candidates (r);
	return among && bits_count (among) <= DIRECT_MAX ? give_few (r, among, NULL, error) : walk (r, among, error);
}

/* ---- From outside ---- */

static void
search_done (Search *r)
{
	for (guint i = 0; i < r->q->n_slots; i++) {
		bits_free (r->sets[i]);
		bits_free (r->undecided[i]);
	}
	g_free (r->sets);
	g_free (r->undecided);
	g_ptr_array_unref (r->texts);
}

static gboolean
search_begin (Search *r, gboolean *own_out, GError **error)
{
	gboolean own = !r->s->reading && !store_in_transaction (r->s);
	r->sets = g_new0 (Bits *, r->q->n_slots);
	r->undecided = g_new0 (Bits *, r->q->n_slots);
	r->texts = g_ptr_array_new ();
	*own_out = own && cancel_check (r->cancel, error) && store_read_begin (r->s, error);
	return (!own || *own_out) && cancel_check (r->cancel, error) && fill (r, r->q->root, error) && read_tail (r, error);
}

static void
search_end (Search *r, gboolean own)
{
	search_done (r);
	if (own)
		store_read_end (r->s);
}

gboolean
search_run (Store *s, const SearchQuery *q, guint limit, Cancel *cancel, ListingFn fn, gpointer data, GError **error)
{
	Search r = {.s = s, .db = store_db (s), .q = q, .cancel = cancel, .left = limit, .fn = fn, .data = data};
	gboolean own;
	gboolean ok = search_begin (&r, &own, error) && give_all (&r, error);
	search_end (&r, own);
	return ok;
}

/* ---- One folder's UIDs ---- */

/* @row: a placement. What it leaves open, the message's row decides. */
static gboolean
matches (Search *r, Row *row)
{
	Answer answer = ask (r, r->q->root, row);
	if (answer != MAYBE)
		return answer == YES;
	DbQuery *q = db_query (r->db, "SELECT received, size, attachment FROM message WHERE id = ?1", "i", row->message);
	if (db_step (r->db, q, NULL) > 0) {
		row->known |= KNOW_ROW;
		row->received = db_int (q, 0);
		row->size = db_int (q, 1);
		row->attachment = db_int (q, 2) != 0;
	}
	db_reset (q);
	return ask (r, r->q->root, row) == YES;
}

static gboolean
take_uids (Search *r, DbQuery *q, gint64 folder, const Bits *among, UidSet *uids_out, GError **error)
{
	int step;
	while ((step = db_step (r->db, q, error)) > 0) {
		Row row = {.known = KNOW_TEXT | KNOW_PLACEMENT, .folder = folder, .message = db_int (q, 1)};
		if (!go_on (r, error)) {
			db_reset (q);
			return FALSE;
		}
		if (among && !bits_has (among, row.message))
			continue;
		row.flags = (guint) db_int (q, 2);
		row.keywords = db_text (q, 3);
		if (matches (r, &row))
			uid_set_add (uids_out, (guint32) db_int (q, 0));
	}
	return step == 0;
}

/* A few are looked for, for many the folder is walked. */
static gboolean
find_uids (Search *r, gint64 folder, UidSet *uids_out, GError **error)
{
	g_autoptr (Bits) among = candidates (r);
	if (!among || bits_count (among) > DIRECT_MAX)
		return take_uids (r, db_query (r->db, "SELECT uid, message, flags, keywords FROM placement WHERE folder = ?1 ORDER BY uid", "i", folder), folder,
		                  among, uids_out, error);
	for (gint64 id = 0; bits_next (among, &id);)
		if (!take_uids (r, db_query (r->db, "SELECT uid, message, flags, keywords FROM placement WHERE message = ?1 AND folder = ?2", "ii", id,
		                             folder), folder, NULL, uids_out, error))
			return FALSE;
	return TRUE;
}

gboolean
search_uids (Store *s, const SearchQuery *q, gint64 folder, Cancel *cancel, UidSet *uids_out, GError **error)
{
	Search r = {.s = s, .db = store_db (s), .q = q, .cancel = cancel};
	gboolean own;
	gboolean ok = search_begin (&r, &own, error) && find_uids (&r, folder, uids_out, error);
	search_end (&r, own);
	return ok;
}
