/* SPDX-License-Identifier: Apache-2.0 */
/* The organisation as an administrator sees and changes it. Nothing here touches a store. */
#include "ctl.h"
#include "profile.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* ---- Addresses ---- */

/* As the directory keeps it: in one form, so that it can be compared. */
static char *
read_address (const char *given, GError **error)
{
	g_autoptr (Profile) p = profile_new ("x");
	if (!profile_set_location (p, given, error))
		return NULL;
	if (p->user) {
		error_fail (error, ERROR_USAGE, "'%s' names a user: an address of a server is all users'", given);
		return NULL;
	}
	g_autofree char *location = profile_location (p);
	return g_ascii_strdown (location, -1);
}

/* @given and *out: NULL for none. */
static gboolean
read_addresses (char **given, char ***out, GError **error)
{
	g_autoptr (GStrvBuilder) all = g_strv_builder_new ();
	for (char **a = given; a && *a; a++) {
		g_autofree char *address = read_address (*a, error);
		if (!address)
			return FALSE;
		g_strv_builder_add (all, address);
	}
	*out = given ? g_strv_builder_end (all) : NULL;
	return TRUE;
}

/* ---- Organisation and sites ---- */

gboolean
org_init (Ctl *c, GError **error)
{
	return host_enrol (c->host, error) && directory_organisation_name (c->d, c->args[0], TRUE, error);
}

gboolean
org_rename (Ctl *c, GError **error)
{
	return directory_organisation_name (c->d, c->args[0], FALSE, error);
}

gboolean
site_create (Ctl *c, GError **error)
{
	return directory_site_add (c->d, c->args[0], error);
}

gboolean
site_rename (Ctl *c, GError **error)
{
	return directory_site_rename (c->d, c->args[0], c->args[1], error);
}

gboolean
site_list (Ctl *c, GError **error)
{
	g_autoptr (GPtrArray) sites = directory_sites (c->d, error);
	for (guint i = 0; sites && i < sites->len; i++)
		printf ("%s\n", ((DirectorySite *) sites->pdata[i])->name);
	return sites != NULL;
}

/* ---- Servers ---- */

static void
print_server (const Ctl *c, const DirectoryServer *s, const char *indent)
{
	printf ("%s%s, %" G_GUINT64_FORMAT " mailbox%s, %s%s\n", indent, s->name, s->mailboxes, s->mailboxes == 1 ? "" : "es", s->id,
	        g_strcmp0 (s->id, c->host->server) == 0 ? ", this one" : "");
	for (char **a = s->addresses; *a; a++)
		printf ("%s    %s\n", indent, *a);
	for (char **a = s->past; *a; a++)
		printf ("%s    %s  (past, forwards)\n", indent, *a);
}

gboolean
ctl_server_list (Ctl *c, GError **error)
{
	g_autoptr (GPtrArray) servers = host_enrol (c->host, error) ? directory_servers (c->d, error) : NULL;
	for (guint i = 0; servers && i < servers->len; i++)
		print_server (c, servers->pdata[i], "");
	return servers != NULL;
}

gboolean
ctl_server_add (Ctl *c, GError **error)
{
	g_auto (GStrv) addresses = NULL;
	if (!c->site)
		return error_fail (error, ERROR_USAGE, "server add wants --site SITE: `outpostctl site list` names them");
	if (!read_addresses (c->at, &addresses, error) || !host_enrol (c->host, error) ||
	    !directory_server_add (c->d, NULL, c->args[0], c->site, (const char *const *) addresses, error))
		return FALSE;
	printf ("The server %s is known. In its folder: outpostctl server adopt %s\n", c->args[0], c->args[0]);
	return TRUE;
}

static char *
joined (char **addresses)
{
	return *addresses ? g_strjoinv (" ", addresses) : g_strdup ("no address");
}

static void
print_difference (const char *what, const char *before, const char *after)
{
	if (strcmp (before, after) != 0)
		printf ("  %s: %s -> %s\n", what, before, after);
}

static void
report_move (const Ctl *c, const DirectoryServer *before, const DirectoryServer *after)
{
	g_autofree char *old = joined (before->addresses), *new = joined (after->addresses);
	printf ("The server %s (%s) %s:\n", before->name, before->id, c->dry_run ? "would be moved; nothing was changed" : "is moved");
	print_difference ("site", before->site, after->site);
	print_difference ("name", before->name, after->name);
	print_difference ("addresses", old, new);
	if (after->past[0]) {
		g_autofree char *past = joined (after->past);
		printf ("  forwards from: %s\n", past);
	}
	printf ("%" G_GUINT64_FORMAT " mailbox%s it, and no store, id or UID changes: clients have nothing to fetch.\n", after->mailboxes,
	        after->mailboxes == 1 ? " goes with" : "es go with");
}

gboolean
ctl_server_move (Ctl *c, GError **error)
{
	g_auto (GStrv) addresses = NULL;
	if (!c->to_site && !c->rename && !c->at)
		return error_fail (error, ERROR_USAGE, "server move wants --to-site SITE, --rename NAME or --at ADDRESS");
	if (!read_addresses (c->at, &addresses, error) || !host_enrol (c->host, error))
		return FALSE;
	const DirectoryServerMove move = {c->to_site, c->rename, (const char *const *) addresses};
	g_autoptr (DirectoryServer) before = directory_server (c->d, c->args[0], error), after = NULL;
	if (!before || !directory_server_move (c->d, before->id, &move, c->dry_run, &after, error))
		return FALSE;
	report_move (c, before, after);
	return TRUE;
}

gboolean
ctl_server_adopt (Ctl *c, GError **error)
{
	g_autoptr (DirectoryServer) s = directory_server (c->d, c->args[0], error);
	if (!s || !host_adopt (c->host, s->id, error))
		return FALSE;
	printf ("%s is the folder of the server %s (%s) from its next start on.\n", c->host->folder, s->name, s->id);
	return TRUE;
}

gboolean
ctl_server_forget (Ctl *c, GError **error)
{
	g_autofree char *address = read_address (c->args[0], error);
	return address && directory_address_forget (c->d, address, error);
}

/* ---- The tree ---- */

typedef struct {
	char *name;
	GPtrArray *sites, *servers, *domains;
} Tree;

static void
tree_clear (Tree *t)
{
	g_free (t->name);
	g_clear_pointer (&t->sites, g_ptr_array_unref);
	g_clear_pointer (&t->servers, g_ptr_array_unref);
	g_clear_pointer (&t->domains, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Tree, tree_clear)

static void
print_tree (const Ctl *c, const Tree *t)
{
	printf ("%s\n", *t->name ? t->name : "(no name yet: outpostctl org init NAME)");
	for (guint i = 0; i < t->domains->len; i++)
		printf ("  @%s\n", (char *) t->domains->pdata[i]);
	for (guint i = 0; i < t->sites->len; i++) {
		const DirectorySite *site = t->sites->pdata[i];
		printf ("  %s\n", site->name);
		for (guint j = 0; j < t->servers->len; j++)
			if (strcmp (((DirectoryServer *) t->servers->pdata[j])->site, site->name) == 0)
				print_server (c, t->servers->pdata[j], "    ");
	}
}

static json_t *
json_texts (char **texts)
{
	json_t *list = json_array ();
	for (; *texts; texts++)
		json_array_append_new (list, json_string (*texts));
	return list;
}

static json_t *
json_server (const DirectoryServer *s)
{
	return json_pack ("{s:s, s:s, s:o, s:o, s:I}", "id", s->id, "name", s->name, "addresses", json_texts (s->addresses), "past", json_texts (s->past),
	                  "mailboxes", (json_int_t) s->mailboxes);
}

static void
print_json (const Tree *t)
{
	json_t *domains = json_array (), *sites = json_array ();
	for (guint i = 0; i < t->domains->len; i++)
		json_array_append_new (domains, json_string (t->domains->pdata[i]));
	for (guint i = 0; i < t->sites->len; i++) {
		const DirectorySite *site = t->sites->pdata[i];
		json_t *servers = json_array ();
		for (guint j = 0; j < t->servers->len; j++)
			if (strcmp (((DirectoryServer *) t->servers->pdata[j])->site, site->name) == 0)
				json_array_append_new (servers, json_server (t->servers->pdata[j]));
		json_array_append_new (sites, json_pack ("{s:s, s:s, s:o}", "id", site->id, "name", site->name, "servers", servers));
	}
	json_t *all = json_pack ("{s:s, s:o, s:o}", "organisation", t->name, "domains", domains, "sites", sites);
	json_dumpf (all, stdout, JSON_COMPACT);
	putchar ('\n');
	json_decref (all);
}

/* A string of Graphviz. */
static void
print_quoted (const char *text)
{
	putchar ('"');
	for (; *text; text++)
		printf (*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	putchar ('"');
}

static void
print_node (const char *id, const char *label, const char *above)
{
	printf ("\t\"%s\" [label=", id);
	print_quoted (label);
	printf ("];\n");
	if (above)
		printf ("\t\"%s\" -> \"%s\";\n", above, id);
}

static void
print_dot (const Tree *t)
{
	printf ("digraph organisation {\n\tnode [shape=box];\n");
	print_node ("organisation", t->name, NULL);
	for (guint i = 0; i < t->sites->len; i++) {
		const DirectorySite *site = t->sites->pdata[i];
		print_node (site->id, site->name, "organisation");
		for (guint j = 0; j < t->servers->len; j++) {
			const DirectoryServer *s = t->servers->pdata[j];
			g_autofree char *label = g_strdup_printf ("%s: %" G_GUINT64_FORMAT, s->name, s->mailboxes);
			if (strcmp (s->site, site->name) == 0)
				print_node (s->id, label, site->id);
		}
	}
	printf ("}\n");
}

gboolean
org_show (Ctl *c, GError **error)
{
	g_auto (Tree) t = {0};
	if (!host_enrol (c->host, error) || !(t.name = directory_organisation (c->d, error)) || !(t.sites = directory_sites (c->d, error)) ||
	    !(t.servers = directory_servers (c->d, error)) || !(t.domains = directory_domains (c->d, error)))
		return FALSE;
	if (c->dot)
		print_dot (&t);
	else if (c->json)
		print_json (&t);
	else
		print_tree (c, &t);
	return TRUE;
}
