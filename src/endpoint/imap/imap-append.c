/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to the home. Small ones go many a command (RFC 3502) or at least many a flight (RFC 7888); the octets come from the
 * caller in pieces while the connection takes them, so that a message needs no memory of its size.
 *
 * Which messages may have arrived is known at any time: a message counts as sent from the end of its command on. After a lost
 * connection the call goes on only if no answer is outstanding; otherwise the caller has to look before it repeats. */
#include "imap-private.h"
#include <string.h>

#define PIECE (256u << 10)
#define QUEUE_LIMIT (512u << 10) /* octets queued before the source is asked for more */
#define ASK_FIRST (1u << 20)     /* from this size on the server may refuse before the octets are on their way */
#define LITERAL_MINUS_LIMIT 4096u
#define GROUP_MESSAGES 50
#define GROUP_OCTETS (2u << 20)
#define COMMANDS_IN_FLIGHT 16
#define QUEUE_WAIT_MS 100

typedef enum { ITEM_WAITING, ITEM_SENT, ITEM_DONE } ItemState;

typedef struct {
	AppendRequest *r;
	ItemState state;
	gboolean alone;  /* was refused with others: tried by itself */
	gboolean binary; /* holds NUL */
	GBytes *first;   /* read already */
} Item;

typedef struct {
	ImapEndpoint *e;
	ImapSession *s;
	const char *name;
	Item *items;
	guint n;
	gboolean cut; /* a source failed within a literal: the connection is gone */
	GError *folder_error; /* the folder takes nothing: the rest is not sent */
} Appending;

/* One command. */
typedef struct {
	Appending *a;
	guint items[GROUP_MESSAGES], n;
	gboolean answered;
} Group;

static gboolean
item_done (Item *item, OutpostError code, const char *why)
{
	error_fail (&item->r->error, code, "%s", why);
	item->state = ITEM_DONE;
	return FALSE;
}

/* The source's own error: its message can't be sent, or all is over. */
static gboolean
item_source_failed (Item *item, GError *failure, GError **error)
{
	if (error_is (failure, ERROR_CANCELLED) || error_is (failure, ERROR_NO_SPACE)) {
		g_propagate_error (error, failure);
		return FALSE;
	}
	g_clear_error (&item->r->error);
	item->r->error = failure;
	item->state = ITEM_DONE;
	return TRUE;
}

static GBytes *
item_read (Item *item, guint64 offset, GError **error)
{
	GBytes *octets = NULL;
	gsize size = (gsize) MIN (item->r->size - offset, PIECE);
	if (!item->r->source (item->r->data, (gsize) offset, size, &octets, error))
		return NULL;
	if (g_bytes_get_size (octets) == size)
		return octets;
	g_bytes_unref (octets);
	error_fail (error, ERROR_CORRUPT, "a message is shorter than its size says: run 'outpost store check'");
	return NULL;
}

/* A literal of the ordinary kind can't hold NUL (RFC 9051 4.3), and which kind it is stands before it. */
static gboolean
item_scan (Item *item, GError **error)
{
	for (guint64 offset = 0; offset < item->r->size && !item->binary; offset += PIECE) {
		g_autoptr (GBytes) octets = item_read (item, offset, error);
		if (!octets)
			return FALSE;
		item->binary = memchr (g_bytes_get_data (octets, NULL), '\0', g_bytes_get_size (octets)) != NULL;
		if (offset == 0)
			item->first = g_steal_pointer (&octets);
	}
	return TRUE;
}

/* TRUE: @item can be sent. Otherwise it is done with an error, or *error is set. */
static gboolean
item_prepare (Appending *a, Item *item, GError **error)
{
	GError *failure = NULL;
	guint64 limit = imap_session_append_limit (a->s);
	g_clear_pointer (&item->first, g_bytes_unref);
	item->binary = FALSE;
	if (item->r->size == 0)
		return item_done (item, ERROR_REFUSED, "a message without any octet can't be sent");
	if (item->r->size > limit) {
		g_autofree char *why = g_strdup_printf ("the message has %" G_GUINT64_FORMAT " octets, the server takes %" G_GUINT64_FORMAT
		                                        " at most", item->r->size, limit);
		return item_done (item, ERROR_TOO_BIG, why);
	}
	if (!item_scan (item, &failure)) {
		item_source_failed (item, failure, error);
		return FALSE;
	}
	if (item->binary && !imap_session_can (a->s, "BINARY"))
		return item_done (item, ERROR_REFUSED, "the message holds NUL octets, and the server takes none (it has no BINARY)");
	return TRUE;
}

static void
group_take_uids (Group *g, const ImapAnswer *answer)
{
	char *end;
	guint64 validity = g_ascii_strtoull (answer->args, &end, 10);
	g_auto (UidSet) uids = UID_SET_INIT;
	if (strcmp (answer->code, "APPENDUID") != 0 || validity > G_MAXUINT32 || *end != ' ' || !uid_set_parse (&uids, end + 1, g->n) ||
	    uid_set_count (&uids) != g->n)
		return; /* accepted, UID not told */
	for (guint i = 0; i < g->n; i++) {
		AppendRequest *r = g->a->items[g->items[i]].r;
		r->uid = uid_set_nth (&uids, i);
		r->uidvalidity = (guint32) validity;
	}
}

static gboolean
group_refused (Group *g, const ImapAnswer *answer, GError **error)
{
	g_autoptr (GError) failure = NULL;
	imap_answer_fail (answer, &failure, g->n > 1 ? "messages can't be added to folder '%s'" : "the message can't be added to folder '%s'",
	                  g->a->name);
	if (failure->code == ERROR_UNAVAILABLE) {
		g_propagate_error (error, g_steal_pointer (&failure));
		return FALSE;
	}
	gboolean folder = failure->code == ERROR_NOT_FOUND || failure->code == ERROR_NO_PERMISSION;
	for (guint i = 0; i < g->n; i++) {
		Item *item = &g->a->items[g->items[i]];
		item->state = g->n == 1 && !folder ? ITEM_DONE : ITEM_WAITING;
		item->alone = TRUE;
	}
	GError **to = folder ? &g->a->folder_error : g->n == 1 ? &g->a->items[g->items[0]].r->error : NULL;
	if (to && !*to)
		*to = g_steal_pointer (&failure);
	return TRUE;
}

static gboolean
group_answered (gpointer data, const ImapAnswer *answer, GError **error)
{
	Group *g = data;
	g->answered = TRUE;
	for (guint i = 0; i < g->n; i++)
		g->a->items[g->items[i]].state = ITEM_WAITING;
	if (answer->outcome != IMAP_OK)
		return group_refused (g, answer, error);
	for (guint i = 0; i < g->n; i++)
		g->a->items[g->items[i]].state = ITEM_DONE;
	group_take_uids (g, answer);
	return TRUE;
}

/* "+" as far as the server lets literals come unasked. */
static gboolean
literal_goes_unasked (ImapSession *s, guint64 size)
{
	if (imap_session_can (s, "LITERAL+"))
		return size < ASK_FIRST;
	return imap_session_can (s, "LITERAL-") && size <= LITERAL_MINUS_LIMIT;
}

/* *go_on_out: the server wants the octets. Otherwise it has refused the command. */
static gboolean
group_await_go_ahead (Group *g, gboolean *go_on_out, GError **error)
{
	ImapSession *s = g->a->s;
	*go_on_out = FALSE;
	while (!g->answered && !*go_on_out) {
		if (!imap_sessions_turn (&s, 1, NULL, 0, -1, NULL, error))
			return FALSE;
		*go_on_out = !g->answered && imap_session_take_continuation (s);
	}
	return TRUE;
}

static gboolean
queue_is_low (ImapSession *s, GError **error)
{
	NetConn *conn = imap_session_conn (s);
	if (net_conn_pending (conn) < QUEUE_LIMIT)
		return TRUE;
	if (!net_conn_flush (conn, NULL))
		return imap_sessions_turn (&s, 1, NULL, 0, 0, NULL, error); /* which says what happened */
	while (net_conn_pending (conn) >= QUEUE_LIMIT)
		if (!imap_sessions_turn (&s, 1, NULL, 0, QUEUE_WAIT_MS, NULL, error))
			return FALSE;
	return TRUE;
}

static gboolean
item_send_octets (Appending *a, Item *item, GError **error)
{
	for (guint64 offset = 0; offset < item->r->size; offset += PIECE) {
		GError *failure = NULL;
		g_autoptr (GBytes) octets = offset == 0 && item->first ? g_steal_pointer (&item->first) : item_read (item, offset, &failure);
		if (!octets) {
			a->cut = item_source_failed (item, failure, error);
			return FALSE;
		}
		gsize size;
		gconstpointer data = g_bytes_get_data (octets, &size);
		net_conn_write (imap_session_conn (a->s), data, size);
		if (!queue_is_low (a->s, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean
item_describe (Item *item, gboolean unasked, GString *text)
{
	g_string_append_c (text, ' ');
	if (item->r->flags || (item->r->keywords && *item->r->keywords)) {
		if (!text_add_flag_list (text, item->r->flags, item->r->keywords, &item->r->error)) {
			item->state = ITEM_DONE;
			return FALSE;
		}
		g_string_append_c (text, ' ');
	}
	if (item->r->received >= 0 && item->r->received < 253402214400) { /* RFC 9051 date-time has four digits for the year */
		text_add_date (text, item->r->received, item->r->zone);
		g_string_append_c (text, ' ');
	}
	g_string_append_printf (text, "%s{%" G_GUINT64_FORMAT "%s}\r\n", item->binary ? "~" : "", item->r->size, unasked ? "+" : "");
	return TRUE;
}

/* *go_on_out: the command is still open behind it. */
static gboolean
group_send_item (Group *g, Item *item, const char *description, gboolean unasked, gboolean *go_on_out, GError **error)
{
	ImapSession *s = g->a->s;
	*go_on_out = TRUE;
	while (!unasked && imap_session_open_commands (s) == 1 && imap_session_take_continuation (s))
		; /* one that nobody asked for */
	net_conn_write (imap_session_conn (s), description, strlen (description));
	if (!unasked && !group_await_go_ahead (g, go_on_out, error))
		return FALSE;
	return !*go_on_out || item_send_octets (g->a, item, error);
}

/* Chooses what goes into one command, beginning with the first item that waits. FALSE without an error: nothing waits. */
static gboolean
group_choose (Group *g, GError **error)
{
	guint64 octets = 0;
	GError *failure = NULL;
	gboolean many = imap_session_can (g->a->s, "MULTIAPPEND");
	for (guint i = 0; i < g->a->n && g->n < GROUP_MESSAGES; i++) {
		Item *item = &g->a->items[i];
		if (item->state != ITEM_WAITING)
			continue;
		gboolean single = !many || item->alone || item->r->size >= ASK_FIRST;
		if (g->n > 0 && (single || octets + item->r->size > GROUP_OCTETS))
			break;
		if (!item_prepare (g->a, item, &failure)) {
			if (!failure)
				continue;
			g_propagate_error (error, failure);
			return FALSE;
		}
		g->items[g->n++] = i;
		octets += item->r->size;
		if (single)
			break;
	}
	return g->n > 0;
}

static gboolean
group_send (Group *g, GError **error)
{
	Appending *a = g->a;
	gboolean open = TRUE;
	guint kept = 0;
	g_autoptr (GPtrArray) descriptions = g_ptr_array_new_with_free_func (g_free);
	for (guint i = 0; i < g->n; i++) {
		g_autoptr (GString) text = g_string_new (NULL);
		Item *item = &a->items[g->items[i]];
		if (!item_describe (item, literal_goes_unasked (a->s, item->r->size), text))
			continue;
		g->items[kept++] = g->items[i];
		g_ptr_array_add (descriptions, g_strdup (text->str));
	}
	g->n = kept;
	if (g->n == 0) {
		g->answered = TRUE;
		return TRUE;
	}
	g_autoptr (GString) text = g_string_new ("APPEND ");
	text_add_name (text, a->name);
	imap_session_begin (a->s, text->str, NULL, group_answered, g);
	for (guint i = 0; i < g->n && open; i++) {
		Item *item = &a->items[g->items[i]];
		if (!group_send_item (g, item, descriptions->pdata[i], literal_goes_unasked (a->s, item->r->size), &open, error))
			return FALSE;
		g_clear_pointer (&item->first, g_bytes_unref);
	}
	if (!open)
		return TRUE;
	net_conn_write (imap_session_conn (a->s), "\r\n", 2);
	for (guint i = 0; i < g->n && !g->answered; i++)
		a->items[g->items[i]].state = ITEM_SENT;
	return TRUE;
}

/* A literal that can't be completed leaves no way on but another connection; the commands before it get their answers first. */
static gboolean
append_after_cut (Appending *a, GError **error)
{
	gboolean ok = imap_session_settle (a->s, 1, error);
	endpoint_session_drop (a->e, 0);
	a->cut = FALSE;
	return ok;
}

static gboolean
any_in_state (const Appending *a, ItemState state)
{
	for (guint i = 0; i < a->n; i++)
		if (a->items[i].state == state)
			return TRUE;
	return FALSE;
}

/* All that waits, as far as it goes; refusals may leave some for another pass. */
static gboolean
append_pass (Appending *a, GPtrArray *groups, GError **error)
{
	while (!a->folder_error) {
		GError *failure = NULL;
		Group *g = g_new0 (Group, 1);
		g->a = a;
		g_ptr_array_add (groups, g);
		if (!group_choose (g, &failure)) {
			if (!failure)
				break;
			g_propagate_error (error, failure);
			return FALSE;
		}
		if (!group_send (g, error) || !imap_session_settle (a->s, COMMANDS_IN_FLIGHT, error))
			return FALSE;
	}
	return imap_session_settle (a->s, 0, error);
}

static gboolean
append_passes (Appending *a, GPtrArray *groups, GError **error)
{
	while (!a->folder_error && any_in_state (a, ITEM_WAITING))
		if (!append_pass (a, groups, error))
			return FALSE;
	if (!a->folder_error)
		return TRUE;
	g_propagate_error (error, g_steal_pointer (&a->folder_error));
	return FALSE;
}

static gboolean
append_attempt (ImapEndpoint *e, gpointer data, guint tries, GError **error)
{
	Appending *a = data;
	for (;;) {
		g_autoptr (GPtrArray) groups = g_ptr_array_new_with_free_func (g_free);
		a->s = endpoint_session (e, error);
		if (!a->s)
			return FALSE;
		if (append_passes (a, groups, error))
			return TRUE;
		if (!a->cut) {
			/* open commands know their groups, which end here */
			if (imap_session_open_commands (a->s) > 0)
				endpoint_session_drop (e, 0);
			return FALSE;
		}
		if (!append_after_cut (a, error))
			return FALSE;
	}
}

/* Repeats while no answer is outstanding. */
static gboolean
append_until_unsure (Appending *a, GError **error)
{
	g_autoptr (GError) local = NULL;
	for (guint tries = 0; !append_attempt (a->e, a, tries, &local);) {
		if (any_in_state (a, ITEM_SENT) || !endpoint_retry (a->e, &tries, &local)) {
			g_propagate_error (error, g_steal_pointer (&local));
			return FALSE;
		}
	}
	return TRUE;
}

gboolean
imap_append (Endpoint *endpoint, const char *name, AppendRequest *requests, guint n, GError **error)
{
	g_autofree Item *items = g_new0 (Item, MAX (n, 1));
	Appending a = {.e = (ImapEndpoint *) endpoint, .name = name, .items = items, .n = n};
	for (guint i = 0; i < n; i++)
		items[i].r = &requests[i];
	gboolean ok = n == 0 || append_until_unsure (&a, error);
	for (guint i = 0; i < n; i++)
		g_clear_pointer (&items[i].first, g_bytes_unref);
	g_clear_error (&a.folder_error);
	return ok;
}
