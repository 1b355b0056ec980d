/* SPDX-License-Identifier: Apache-2.0 */
/* Drives the endpoint, or a whole run, against a server: drive PORT COMMAND [ARGUMENT...]. For the system tests and for looking into
 * a server by hand. OUTPOST_TRACE=1 shows the conversation; user and password are those of tests/lib/dovecot.py.
 *
 *   list | query NAME [VALIDITY MODSEQ] | fetch NAME VALIDITY SET | evidence NAME VALIDITY SET|FROM:
 *   append NAME FILE... | flags NAME VALIDITY SET +|- FLAGS [KEYWORDS] | copy|move NAME VALIDITY SET TO | expunge NAME VALIDITY SET
 *   create PARENT|- LEAF [ROLE] | rename NAME PARENT|- LEAF | delete NAME | watch SECONDS NAME... | sync STORE */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "imap-endpoint.h"
#include "store.h"
#include "sync.h"

typedef struct {
	Endpoint *e;
	char **args;
	guint n;
} Drive;

static const char *
arg (const Drive *d, guint i)
{
	if (i >= d->n) {
		fprintf (stderr, "an argument is missing\n");
		exit (2);
	}
	return d->args[i];
}

static guint32
number (const Drive *d, guint i)
{
	return (guint32) strtoul (arg (d, i), NULL, 10);
}

static const char *
parent (const Drive *d, guint i)
{
	return strcmp (arg (d, i), "-") == 0 ? NULL : arg (d, i);
}

static UidSet
set (const Drive *d, guint i)
{
	UidSet s = UID_SET_INIT;
	if (!uid_set_parse (&s, arg (d, i), 100000))
		exit (2);
	return s;
}

static void
print_set (const char *what, const UidSet *s)
{
	g_autoptr (GString) text = g_string_new (NULL);
	uid_set_format (s, text);
	printf ("%s %s\n", what, text->str);
}

static void
print_states (const GArray *states)
{
	for (guint i = 0; i < states->len; i++) {
		const RemoteState *s = &g_array_index (states, RemoteState, i);
		printf ("state %u %u %s %" G_GUINT64_FORMAT "\n", s->uid, s->flags, s->keywords ? s->keywords : "-", s->modseq);
	}
}

static gboolean
print_error (GError *e)
{
	if (!e)
		return FALSE;
	printf ("error %d %s\n", e->code, e->message);
	return TRUE;
}

static gboolean
do_list (Drive *d, GError **error)
{
	g_autoptr (GPtrArray) folders = NULL;
	if (!d->e->class->list (d->e, &folders, error))
		return FALSE;
	for (guint i = 0; i < folders->len; i++) {
		RemoteFolder *f = folders->pdata[i];
		printf ("folder %s parent=%s leaf=%s role=%s select=%d sub=%d messages=%u uidnext=%u validity=%u modseq=%" G_GUINT64_FORMAT " id=%s\n",
		        f->name, f->parent ? f->parent : "-", f->leaf, f->role ? f->role : "-", f->selectable, f->subscribed, f->messages,
		        f->uidnext, f->uidvalidity, f->highestmodseq, f->id ? f->id : "-");
	}
	return TRUE;
}

static gboolean
do_query (Drive *d, GError **error)
{
	FolderQuery q = {.name = arg (d, 0), .kind = d->n > 1 ? QUERY_CHANGES : QUERY_UIDS};
	if (d->n > 2) {
		q.uidvalidity = number (d, 1);
		q.highestmodseq = strtoull (arg (d, 2), NULL, 10);
	}
	if (!d->e->class->query (d->e, &q, 1, error))
		return FALSE;
	if (!print_error (q.error)) {
		printf ("folder validity=%u uidnext=%u messages=%u modseq=%" G_GUINT64_FORMAT " changed=%d\n", q.uidvalidity_now, q.uidnext_now,
		        q.messages_now, q.highestmodseq_now, q.changed_identity);
		print_states (q.states);
		print_set ("uids", &q.all_uids);
		print_set ("vanished", &q.vanished);
	}
	folder_query_done (&q);
	return TRUE;
}

static gboolean
got_message (gpointer data, const FetchedMessage *m, GError **error)
{
	g_autofree char *digest = m->octets ? g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, m->octets) : g_strdup ("(file)");
	printf ("message %u size=%" G_GUINT64_FORMAT " remote=%" G_GUINT64_FORMAT " flags=%u received=%" G_GINT64_FORMAT " zone=%d %s\n",
	        m->state.uid, m->size, m->remote_size, m->state.flags, m->received, m->zone, digest);
	return TRUE;
}

static gboolean
do_fetch (Drive *d, GError **error)
{
	FetchRequest r = {.name = arg (d, 0), .uidvalidity = number (d, 1), .uids = set (d, 2)};
	gboolean ok = d->e->class->fetch (d->e, &r, 1, got_message, NULL, error);
	print_set ("missing", &r.missing);
	print_error (r.error);
	fetch_request_done (&r);
	return ok;
}

static gboolean
do_evidence (Drive *d, GError **error)
{
	g_autoptr (GArray) evidence = NULL;
	gboolean from = g_str_has_suffix (arg (d, 2), ":");
	UidSet uids = UID_SET_INIT;
	if (!from)
		uids = set (d, 2);
	gboolean ok = d->e->class->evidence (d->e, arg (d, 0), number (d, 1), from ? NULL : &uids, number (d, 2), EVIDENCE_HEADER, &evidence, error);
	uid_set_clear (&uids);
	for (guint i = 0; ok && i < evidence->len; i++) {
		RemoteEvidence *v = &g_array_index (evidence, RemoteEvidence, i);
		printf ("evidence %u size=%" G_GUINT64_FORMAT " received=%" G_GINT64_FORMAT " id=%s flags=%u\n", v->uid, v->size, v->received,
		        v->message_id ? v->message_id : "-", v->flags);
	}
	return ok;
}

static gboolean
read_file (gpointer data, gsize offset, gsize size, GBytes **octets_out, GError **error)
{
	*octets_out = g_bytes_new_from_bytes (data, offset, size);
	return TRUE;
}

static gboolean
do_append (Drive *d, GError **error)
{
	guint n = d->n - 1;
	g_autofree AppendRequest *r = g_new0 (AppendRequest, n);
	for (guint i = 0; i < n; i++) {
		GMappedFile *file = g_mapped_file_new (arg (d, i + 1), FALSE, error);
		if (!file)
			return FALSE;
		GBytes *octets = g_mapped_file_get_bytes (file);
		g_mapped_file_unref (file);
		r[i] = (AppendRequest) {.source = read_file, .data = octets, .size = g_bytes_get_size (octets), .flags = 1, .keywords = "drive",
		                        .received = 1000000000 + i, .zone = -90};
	}
	gboolean ok = d->e->class->append (d->e, arg (d, 0), r, n, error);
	for (guint i = 0; i < n; i++) {
		if (!print_error (r[i].error))
			printf ("appended %u %u\n", r[i].uidvalidity, r[i].uid);
		g_clear_error (&r[i].error);
		g_bytes_unref (r[i].data);
	}
	return ok;
}

static gboolean
do_flags (Drive *d, GError **error)
{
	FlagRequest r = {.uids = set (d, 2)};
	const char *keywords = d->n > 5 ? arg (d, 5) : NULL;
	gboolean add = *arg (d, 3) == '+';
	*(add ? &r.add : &r.remove) = number (d, 4);
	*(add ? &r.add_keywords : &r.remove_keywords) = keywords;
	gboolean ok = d->e->class->store_flags (d->e, arg (d, 0), number (d, 1), &r, 1, error);
	if (ok && !print_error (r.error))
		print_states (r.states);
	g_clear_error (&r.error);
	g_clear_pointer (&r.states, g_array_unref);
	uid_set_clear (&r.uids);
	return ok;
}

static gboolean
do_copy (Drive *d, gboolean move, GError **error)
{
	g_autoptr (GArray) pairs = NULL;
	guint32 validity;
	UidSet uids = set (d, 2);
	g_auto (UidSet) copied = UID_SET_INIT;
	gboolean ok = d->e->class->copy (d->e, arg (d, 0), number (d, 1), &uids, arg (d, 3), move, &pairs, &validity, &copied, error);
	uid_set_clear (&uids);
	for (guint i = 0; ok && i < pairs->len; i++)
		printf ("pair %u %u %u\n", validity, g_array_index (pairs, UidPair, i).from, g_array_index (pairs, UidPair, i).to);
	return ok;
}

static gboolean
do_expunge (Drive *d, GError **error)
{
	UidSet uids = set (d, 2), left = UID_SET_INIT;
	gboolean ok = d->e->class->expunge (d->e, arg (d, 0), number (d, 1), &uids, &left, error);
	print_set ("left", &left);
	uid_set_clear (&uids);
	uid_set_clear (&left);
	return ok;
}

static gboolean
do_create (Drive *d, GError **error)
{
	g_autofree char *name = NULL;
	gboolean ok = d->e->class->folder_create (d->e, parent (d, 0), arg (d, 1), d->n > 2 ? arg (d, 2) : NULL, &name, error);
	printf ("name %s\n", name ? name : "-");
	return ok;
}

static gboolean
do_rename (Drive *d, GError **error)
{
	g_autofree char *name = NULL;
	gboolean ok = d->e->class->folder_rename (d->e, arg (d, 0), parent (d, 1), arg (d, 2), &name, error);
	printf ("name %s\n", name ? name : "-");
	return ok;
}

static gboolean
do_watch (Drive *d, GError **error)
{
	g_autoptr (GPtrArray) folders = NULL;
	gint64 end = g_get_monotonic_time () + number (d, 0) * G_USEC_PER_SEC;
	while (g_get_monotonic_time () < end) {
		g_autoptr (GPtrArray) changed = NULL;
		g_clear_pointer (&folders, g_ptr_array_unref);
		if (!d->e->class->list (d->e, &folders, error))
			return FALSE;
		printf ("waiting\n");
		fflush (stdout);
		if (!d->e->class->watch (d->e, (const char *const *) d->args + 1, d->n - 1, (end - g_get_monotonic_time ()) / 1000, -1, &changed, error))
			return FALSE;
		printf ("%.3f changed", (double) g_get_real_time () / 1e6);
		for (guint i = 0; changed && i < changed->len; i++)
			printf (" %s", (char *) changed->pdata[i]);
		printf ("%s\n", changed ? "" : " (all)");
		fflush (stdout);
	}
	return TRUE;
}

static void
print_line (gpointer data, gint64 time, gboolean detail, const char *text)
{
	printf ("%s%s\n", detail ? "      " : "", text);
}

static gboolean
do_sync (Drive *d, GError **error)
{
	g_autoptr (Store) store = store_open (arg (d, 0), STORE_CREATE, error);
	SyncOptions options = SYNC_OPTIONS_INIT;
	SyncResult result;
	options.line = print_line;
	return store && store_lock_sync (store, error) && sync_run (store, d->e, &options, NULL, &result, error);
}

static gboolean
act (Drive *d, const char *command, GError **error)
{
	static const struct {
		const char *name;
		gboolean (*run) (Drive *d, GError **error);
	} commands[] = {{"list", do_list}, {"query", do_query}, {"fetch", do_fetch}, {"evidence", do_evidence}, {"append", do_append},
	                {"flags", do_flags}, {"expunge", do_expunge}, {"create", do_create}, {"rename", do_rename}, {"watch", do_watch},
	                {"sync", do_sync}};
	for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
		if (strcmp (commands[i].name, command) == 0)
			return commands[i].run (d, error);
	if (strcmp (command, "copy") == 0 || strcmp (command, "move") == 0)
		return do_copy (d, *command == 'm', error);
	if (strcmp (command, "delete") == 0)
		return d->e->class->folder_delete (d->e, arg (d, 0), error);
	fprintf (stderr, "no such command\n");
	exit (2);
}

static char *
secret (gpointer data, GError **error)
{
	return g_strdup ("wonderland");
}

static void
trace (gpointer data, char direction, const char *line)
{
	fprintf (stderr, "%.3f %c %s\n", (double) (g_get_monotonic_time () % 100000000) / 1e6, direction, line);
}

int
main (int argc, char **argv)
{
	if (argc < 3)
		return 2;
	ImapSettings settings = {.host = "127.0.0.1", .port = (guint16) atoi (argv[1]), .plain = TRUE, .user = "alice", .secret = secret,
	                         .trace = g_getenv ("OUTPOST_TRACE") ? trace : NULL, .known_capabilities = g_getenv ("OUTPOST_KNOWN")};
	g_autoptr (Endpoint) e = imap_endpoint_new (&settings);
	g_autoptr (GError) error = NULL;
	Drive d = {e, argv + 3, (guint) argc - 3};
	gboolean ok = e->class->open (e, NULL, &error) && act (&d, argv[2], &error);
	EndpointTraffic t = e->class->traffic (e);
	struct rusage usage;
	getrusage (RUSAGE_SELF, &usage);
	fprintf (stderr, "in %" G_GUINT64_FORMAT " out %" G_GUINT64_FORMAT " flights %u rss %ld kB\n", t.octets_in, t.octets_out, t.flights, usage.ru_maxrss);
	if (!ok)
		printf ("failed %d %s\n", error->code, error->message);
	return !ok;
}
