/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint-case.h"

int case_silence_ms = 1500;

guint case_share = 0, case_shares = 1;

#define CALM_MS 5000      /* silence where nobody is silent */
#define DISTURBED_MS 8000 /* a call takes no longer, whatever the server does */

static char *
secret (gpointer data, GError **error)
{
	return g_strdup ("secret");
}

Endpoint *
case_endpoint (const FakeServer *server)
{
	ImapSettings settings = {.host = "127.0.0.1", .port = fake_server_port (server), .plain = TRUE, .user = "me", .secret = secret};
	imap_silence_ms = case_silence_ms;
	imap_retry_pause_ms = 10;
	return imap_endpoint_new (&settings);
}

const char *
error_name (const GError *error)
{
	static const char *const names[] = {"NOT_FOUND", "EXISTS", "NO_PERMISSION", "TOO_BIG", "OVER_QUOTA", "CONFLICT", "TEMPORARY", "UNAVAILABLE", "CORRUPT",
	                                    "PROTOCOL", "REFUSED", "NO_SPACE", "CANCELLED", "HELD", "STALE_STORE", "USAGE", "IO", "UNTRUSTED"};
	assert_true (error->domain == OUTPOST_ERROR && (guint) error->code < G_N_ELEMENTS (names));
	return names[error->code];
}

static char *
told (Endpoint *e, gboolean ok, GError *error, GString *text)
{
	assert_true (ok ? !error : error != NULL);
	if (!ok) {
		g_string_printf (text, "error %s", error_name (error));
		g_error_free (error);
	}
	return g_string_free (text, FALSE);
}

static void
tell_error (GString *text, GError **error)
{
	g_string_append_printf (text, " error %s", error_name (*error));
	g_clear_error (error);
}

static void
tell_set (GString *text, const char *what, const UidSet *set)
{
	g_string_append_printf (text, " %s=", what);
	uid_set_format (set, text);
}

char *
call_list (Endpoint *e)
{
	g_autoptr (GPtrArray) folders = NULL;
	GString *text = g_string_new ("");
	GError *error = NULL;
	gboolean ok = e->class->list (e, &folders, &error);
	for (guint i = 0; ok && i < folders->len; i++) {
		RemoteFolder *f = folders->pdata[i];
		g_string_append_printf (text, "%s%s<%s|%s|%s%s%s", i ? "; " : "", f->name, f->parent ? f->parent : "", f->leaf, f->role ? f->role : "",
		                        f->selectable ? "" : " noselect", f->subscribed ? " sub" : "");
		if (f->has_status)
			g_string_append_printf (text, " %u/%u/%u/%" G_GUINT64_FORMAT, f->messages, f->uidnext, f->uidvalidity, f->highestmodseq);
		if (f->id)
			g_string_append_printf (text, " id %s", f->id);
	}
	return told (e, ok, error, text);
}

char *
call_list_who (Endpoint *e)
{
	g_autofree char *folders = call_list (e);
	const char *software = imap_endpoint_software (e);
	return g_strdup_printf ("%s of %s", folders, software ? software : "-");
}

char *
call_list_server (Endpoint *e)
{
	g_autofree char *folders = call_list (e);
	const ImapServer *s = imap_endpoint_server (e, NULL);
	g_autofree char *addresses = s ? g_strjoinv ("+", s->addresses) : NULL;
	return s ? g_strdup_printf ("%s, %s %s in %s at %s", folders, s->id, s->name, s->site, addresses) : g_strdup_printf ("%s, nowhere", folders);
}

static void
tell_states (GString *text, const GArray *states)
{
	for (guint i = 0; states && i < states->len; i++) {
		const RemoteState *s = &g_array_index (states, RemoteState, i);
		g_string_append_printf (text, " %u(%u%s%s %" G_GUINT64_FORMAT ")", s->uid, s->flags, s->keywords ? " " : "",
		                        s->keywords ? s->keywords : "", s->modseq);
	}
}

static char *
call_query (Endpoint *e, FolderQuery *q, guint n)
{
	GString *text = g_string_new ("");
	GError *error = NULL;
	gboolean ok = e->class->query (e, q, n, &error);
	for (guint i = 0; i < n; i++) {
		g_string_append_printf (text, "%s%s", i ? "; " : "", q[i].name);
		if (q[i].error)
			tell_error (text, &q[i].error);
		else if (q[i].changed_identity)
			g_string_append_printf (text, " other %u", q[i].uidvalidity_now);
		else {
			g_string_append_printf (text, " %u/%u/%u/%" G_GUINT64_FORMAT, q[i].messages_now, q[i].uidnext_now, q[i].uidvalidity_now,
			                        q[i].highestmodseq_now);
			tell_states (text, q[i].states);
			if (q[i].all_states)
				g_string_append (text, " all-states");
			if (q[i].has_all_uids)
				tell_set (text, "all", &q[i].all_uids);
			if (!uid_set_is_empty (&q[i].vanished))
				tell_set (text, "vanished", &q[i].vanished);
			for (guint k = 0; q[i].canary_evidence && k < q[i].canary_evidence->len; k++) {
				const RemoteEvidence *v = &g_array_index (q[i].canary_evidence, RemoteEvidence, k);
				g_string_append_printf (text, " canary=%u:%" G_GUINT64_FORMAT, v->uid, v->size);
			}
			if (q[i].canaries && !q[i].canaries_told)
				g_string_append (text, " canaries unknown");
		}
		folder_query_done (&q[i]);
	}
	return told (e, ok, error, text);
}

char *
call_query_uids (Endpoint *e)
{
	FolderQuery q = {.name = "INBOX", .kind = QUERY_UIDS};
	return call_query (e, &q, 1);
}

char *
call_query_changes (Endpoint *e)
{
	FolderQuery q = {.name = "INBOX", .kind = QUERY_CHANGES, .uidvalidity = 7, .highestmodseq = 10};
	return call_query (e, &q, 1);
}

char *
call_query_plain (Endpoint *e)
{
	FolderQuery q = {.name = "INBOX", .kind = QUERY_CHANGES, .uidvalidity = 7};
	return call_query (e, &q, 1);
}

char *
call_query_three (Endpoint *e)
{
	static const char *const names[] = {"INBOX", "A", "B"};
	FolderQuery q[3];
	for (guint i = 0; i < 3; i++)
		q[i] = (FolderQuery) {.name = names[i], .kind = QUERY_CHANGES, .uidvalidity = 7, .highestmodseq = 10};
	return call_query (e, q, 3);
}

char *
call_query_canaries (Endpoint *e)
{
	g_auto (UidSet) canaries = UID_SET_INIT;
	uid_set_add_range (&canaries, 1, 2);
	FolderQuery q[] = {{.name = "INBOX", .kind = QUERY_CHANGES, .uidvalidity = 7, .highestmodseq = 10, .canaries = &canaries},
	                   {.name = "A", .kind = QUERY_CHANGES, .uidvalidity = 7, .highestmodseq = 10, .canaries = &canaries}};
	return call_query (e, q, 2);
}

static gboolean
take_message (gpointer data, const FetchedMessage *m, GError **error)
{
	g_string_append_printf (data, " %u(%u%s%s %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " @%" G_GINT64_FORMAT "%+d%s%s%s)", m->state.uid,
	                        m->state.flags, m->state.keywords ? " " : "", m->state.keywords ? m->state.keywords : "", m->size, m->remote_size,
	                        m->received, m->zone, m->email_id ? " id " : "", m->email_id ? m->email_id : "", m->octets ? "" : " file");
	return TRUE;
}

char *
call_fetch (Endpoint *e)
{
	FetchRequest r = {.name = "INBOX", .uidvalidity = 7};
	GString *text = g_string_new ("got");
	GError *error = NULL;
	uid_set_add_range (&r.uids, 1, 3);
	gboolean ok = e->class->fetch (e, &r, 1, take_message, text, &error);
	if (r.done)
		tell_set (text, "missing", &r.missing);
	if (r.error)
		tell_error (text, &r.error);
	fetch_request_done (&r);
	return told (e, ok, error, text);
}

char *
call_evidence (Endpoint *e)
{
	g_autoptr (GArray) evidence = NULL;
	GString *text = g_string_new ("evidence");
	GError *error = NULL;
	gboolean ok = e->class->evidence (e, "INBOX", 7, NULL, 2, EVIDENCE_HEADER, &evidence, &error);
	for (guint i = 0; ok && i < evidence->len; i++) {
		RemoteEvidence *v = &g_array_index (evidence, RemoteEvidence, i);
		g_string_append_printf (text, " %u(%" G_GUINT64_FORMAT " %s %u)", v->uid, v->size, v->message_id ? v->message_id : "-", v->flags);
	}
	return told (e, ok, error, text);
}

char *
call_evidence_all (Endpoint *e)
{
	g_autoptr (GArray) evidence = NULL;
	GString *text = g_string_new ("evidence");
	GError *error = NULL;
	gboolean ok = e->class->evidence (e, "INBOX", 7, NULL, 1, EVIDENCE_SIZE, &evidence, &error);
	for (guint i = 0; ok && i < evidence->len; i += MAX (evidence->len - 1, 1)) {
		RemoteEvidence *v = &g_array_index (evidence, RemoteEvidence, i);
		g_string_append_printf (text, " %u of %u is %u(%" G_GUINT64_FORMAT " %u)", i, evidence->len, v->uid, v->size, v->flags);
	}
	return told (e, ok, error, text);
}

char *
call_search (Endpoint *e)
{
	FlagSearch searches[] = {{.flag = 1, .from = 1, .to = 9, .names = TRUE}, {.keyword = "foo", .from = 1, .to = 9}};
	GString *text = g_string_new ("search");
	GError *error = NULL;
	gboolean answered = FALSE;
	gboolean ok = e->class->search_flags (e, "INBOX", 7, searches, 2, &answered, &error);
	for (guint i = 0; ok && answered && i < 2; i++) {
		g_string_append_printf (text, " %" G_GUINT64_FORMAT "(", searches[i].count);
		uid_set_format (&searches[i].uids, text);
		g_string_append_c (text, ')');
	}
	for (guint i = 0; i < 2; i++)
		uid_set_clear (&searches[i].uids);
	return told (e, ok, error, text);
}

typedef struct {
	const char *octets;
	gsize size;
	gsize fails_at; /* 0 never */
} Octets;

static gboolean
read_octets (gpointer data, gsize offset, gsize size, GBytes **octets_out, GError **error)
{
	Octets *o = data;
	if (o->fails_at && offset + size > o->fails_at)
		return error_fail (error, ERROR_CORRUPT, "damaged");
	*octets_out = g_bytes_new (o->octets + offset, size);
	return TRUE;
}

static char *
append (Endpoint *e, Octets *octets, guint n)
{
	AppendRequest r[3] = {0};
	GString *text = g_string_new ("appended");
	GError *error = NULL;
	for (guint i = 0; i < n; i++)
		r[i] = (AppendRequest) {.source = read_octets, .data = &octets[i], .size = octets[i].size, .flags = i == 0 ? 1 : 0,
		                        .keywords = i == 1 ? "blue" : NULL, .received = 1700000000, .zone = 60};
	gboolean ok = e->class->append (e, "A", r, n, &error);
	for (guint i = 0; i < n; i++) {
		g_string_append_printf (text, " %u/%u", r[i].uidvalidity, r[i].uid);
		if (r[i].error)
			tell_error (text, &r[i].error);
	}
	return told (e, ok, error, text);
}

char *
call_append (Endpoint *e)
{
	Octets o[] = {{"one\r\n", 5, 0}, {"two!\r\n", 6, 0}, {"three\r\n", 7, 0}};
	return append (e, o, 3);
}

char *
call_append_one (Endpoint *e)
{
	Octets o[] = {{"one\r\n", 5, 0}};
	return append (e, o, 1);
}

char *
call_append_nul (Endpoint *e)
{
	Octets o[] = {{"one\r\n", 5, 0}, {"t\0wo\r\n", 6, 0}};
	return append (e, o, 2);
}

char *
call_append_big (Endpoint *e)
{
	g_autofree char *big = g_strnfill (5000, 'x');
	memcpy (big + 4998, "\r\n", 2);
	Octets o[] = {{big, 5000, 0}};
	return append (e, o, 1);
}

char *
call_append_cut (Endpoint *e)
{
	g_autofree char *big = g_strnfill (400000, 'x');
	for (gsize i = 1000; i < 400000; i += 1000)
		memcpy (big + i - 2, "\r\n", 2);
	Octets o[] = {{"one\r\n", 5, 0}, {big, 400000, 300000}, {"three\r\n", 7, 0}};
	return append (e, o, 3);
}

char *
call_flags (Endpoint *e)
{
	FlagRequest r[2] = {{.add = 1, .add_keywords = "foo"}, {.remove = 4}};
	GString *text = g_string_new ("stored");
	GError *error = NULL;
	uid_set_add_range (&r[0].uids, 1, 2);
	uid_set_add (&r[1].uids, 3);
	gboolean ok = e->class->store_flags (e, "INBOX", 7, r, 2, &error);
	for (guint i = 0; i < 2; i++) {
		tell_states (text, r[i].states);
		if (r[i].error)
			tell_error (text, &r[i].error);
		g_clear_pointer (&r[i].states, g_array_unref);
		uid_set_clear (&r[i].uids);
	}
	return told (e, ok, error, text);
}

static char *
copy (Endpoint *e, gboolean move)
{
	g_autoptr (GArray) pairs = NULL;
	g_auto (UidSet) uids = UID_SET_INIT, copied = UID_SET_INIT;
	GString *text = g_string_new ("pairs");
	GError *error = NULL;
	guint32 validity = 0;
	uid_set_add_range (&uids, 1, 2);
	uid_set_add (&uids, 5);
	gboolean ok = e->class->copy (e, "INBOX", 7, &uids, "A", move, &pairs, &validity, &copied, &error);
	for (guint i = 0; ok && i < pairs->len; i++)
		g_string_append_printf (text, " %u>%u", g_array_index (pairs, UidPair, i).from, g_array_index (pairs, UidPair, i).to);
	if (ok)
		g_string_append_printf (text, " in %u", validity);
	return told (e, ok, error, text);
}

char *
call_copy (Endpoint *e)
{
	return copy (e, FALSE);
}

char *
call_move (Endpoint *e)
{
	return copy (e, TRUE);
}

char *
call_expunge (Endpoint *e)
{
	g_auto (UidSet) uids = UID_SET_INIT, left = UID_SET_INIT;
	GString *text = g_string_new ("expunged");
	GError *error = NULL;
	uid_set_add_range (&uids, 1, 2);
	gboolean ok = e->class->expunge (e, "INBOX", 7, &uids, &left, &error);
	if (!uid_set_is_empty (&left))
		tell_set (text, "left", &left);
	return told (e, ok, error, text);
}

static char *
create (Endpoint *e, const char *parent, const char *leaf, const char *role)
{
	g_autofree char *name = NULL;
	GString *text = g_string_new ("created ");
	GError *error = NULL;
	gboolean ok = e->class->folder_create (e, parent, leaf, role, &name, &error);
	g_string_append (text, name ? name : "-");
	return told (e, ok, error, text);
}

char *
call_create (Endpoint *e)
{
	return create (e, NULL, "Büro", "archive");
}

char *
call_create_below (Endpoint *e)
{
	return create (e, "A", "kid", NULL);
}

char *
call_rename (Endpoint *e)
{
	g_autofree char *name = NULL;
	GString *text = g_string_new ("renamed ");
	GError *error = NULL;
	gboolean ok = e->class->folder_rename (e, "A", NULL, "B", &name, &error);
	g_string_append (text, name ? name : "-");
	return told (e, ok, error, text);
}

char *
call_delete (Endpoint *e)
{
	GString *text = g_string_new ("deleted");
	GError *error = NULL;
	gboolean ok = e->class->folder_delete (e, "A", &error);
	return told (e, ok, error, text);
}

static gint
name_order (gconstpointer a, gconstpointer b)
{
	return strcmp (*(char *const *) a, *(char *const *) b);
}

char *
call_watch (Endpoint *e)
{
	static const char *const names[] = {"INBOX", "A"};
	g_autoptr (GPtrArray) folders = NULL, changed = NULL;
	GString *text = g_string_new ("changed");
	GError *error = NULL;
	gboolean ok = e->class->list (e, &folders, &error) && e->class->watch (e, names, 2, 300, -1, &changed, &error);
	if (changed)
		g_ptr_array_sort (changed, name_order);
	for (guint i = 0; changed && i < changed->len; i++)
		g_string_append_printf (text, " %s", (char *) changed->pdata[i]);
	if (ok && !changed)
		g_string_append (text, " all");
	return told (e, ok, error, text);
}

/* ---- */

static char *
case_play (const EndpointCase *c, const FakeTalk *talks, guint n, gboolean trickle, guint *flights_out, char **trouble_out)
{
	FakeServer *server = fake_server_new (talks, n, trickle);
	Endpoint *e = case_endpoint (server);
	GError *error = NULL;
	char *text = e->class->open (e, NULL, &error) ? c->call (e) : told (e, FALSE, error, g_string_new (""));
	*flights_out = e->class->traffic (e).flights;
	endpoint_free (e);
	*trouble_out = fake_server_free (server);
	return text;
}

static guint
case_talks (const EndpointCase *c)
{
	guint n = 0;
	while (n < G_N_ELEMENTS (c->talks) && c->talks[n])
		n++;
	return n;
}

void
case_check (const EndpointCase *c, gboolean trickle)
{
	guint flights;
	g_autofree char *trouble = NULL, *text = case_play (c, c->talks, case_talks (c), trickle, &flights, &trouble);
	g_autofree char *pattern = c->told ? g_strdup_printf ("^(?:%s)$", c->told) : NULL;
	gboolean as_told = !pattern || g_regex_match_simple (pattern, text, 0, 0);
	gboolean few = !c->flights || flights <= c->flights;
	if (as_told && few && !trouble)
		return;
	fail_msg ("%s%s:\n  told:     %s\n  expected: %s\n  flights %u of %u; %s", c->name, trickle ? " (octet by octet)" : "", text,
	          c->told ? c->told : "anything", flights, c->flights, trouble ? trouble : "the conversation was as written");
}

/* ---- Disturbances ---- */

#define NOISE "* OK [ALERT] the moon is full\r\n* FLAGS (\\Seen strange)\r\n* 0 RECENT\r\n* CAPABILITIES\r\n* X-NEW (a (b) \"c\") {3}\r\nxyz\r\n" \
	"* STATUS \"Elsewhere\" (MESSAGES 3 UIDNEXT 4)\r\n* OK Still here\r\n"

typedef enum { SAY_NO, SAY_BAD, SAY_UNAVAILABLE, SAY_BYE, SAY_NOTHING, SAY_END, SAY_HALF, SAY_NOISE, N_SAYINGS } Saying;

static char *
disturbed_reply (const FakeRow *row, Saying saying)
{
	switch (saying) {
	case SAY_NO:
		return g_strdup ("%T NO not now\r\n");
	case SAY_BAD:
		return g_strdup ("%T BAD what?\r\n");
	case SAY_UNAVAILABLE:
		return g_strdup ("%T NO [UNAVAILABLE] later\r\n");
	case SAY_BYE:
		return g_strdup ("* BYE going down\r\n");
	case SAY_NOTHING:
		return g_strdup ("");
	case SAY_HALF:
		return g_strndup (row->reply, strlen (row->reply) / 2);
	case SAY_NOISE:
		return g_strconcat (NOISE, row->reply, NULL);
	default:
		return NULL;
	}
}

static guint
talk_rows (FakeTalk talk)
{
	guint n = 0;
	while (talk[n].expect || talk[n].reply)
		n++;
	return n;
}

static void
case_disturb_at (const EndpointCase *c, guint row, Saying saying, const char *undisturbed)
{
	guint n = talk_rows (c->talks[0]), flights;
	g_autofree FakeRow *rows = g_new0 (FakeRow, n + 1);
	memcpy (rows, c->talks[0], n * sizeof *rows);
	g_autofree char *reply = disturbed_reply (&rows[row], saying);
	rows[row] = (FakeRow) {rows[row].expect, reply, saying == SAY_NOISE && rows[row].size ? rows[row].size + strlen (NOISE) : 0};
	if (saying == SAY_HALF)
		rows[row + 1] = (FakeRow) {NULL, NULL};
	FakeTalk talks[] = {rows};
	gint64 start = g_get_monotonic_time ();
	g_autofree char *trouble = NULL, *text = case_play (c, talks, 1, FALSE, &flights, &trouble);
	if (g_get_monotonic_time () - start > DISTURBED_MS * 1000)
		fail_msg ("%s: with saying %d at row %u the call took %d ms", c->name, saying, row, (int) ((g_get_monotonic_time () - start) / 1000));
	if (saying == SAY_NOISE && strcmp (text, undisturbed) != 0)
		fail_msg ("%s: with noise before row %u:\n  told: %s\n  else: %s\n  %s", c->name, row, text, undisturbed, trouble ? trouble : "");
}

void
case_disturb (const EndpointCase *c)
{
	guint flights;
	static guint count;
	FakeTalk talks[] = {c->talks[0]};
	int silence = case_silence_ms;
	case_silence_ms = CALM_MS;
	g_autofree char *trouble = NULL, *text = case_play (c, talks, 1, FALSE, &flights, &trouble);
	for (guint row = 2; row < talk_rows (c->talks[0]); row++)
		for (Saying saying = 0; saying < N_SAYINGS; saying++) {
			case_silence_ms = saying == SAY_NOISE ? CALM_MS : silence;
			if (c->talks[0][row].reply && !(saying == SAY_HALF && c->talks[0][row].size) && count++ % case_shares == case_share)
				case_disturb_at (c, row, saying, text);
		}
	case_silence_ms = silence;
}
