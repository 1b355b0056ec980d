/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint.h"

void
remote_folder_free (RemoteFolder *f)
{
	if (!f)
		return;
	g_free (f->name);
	g_free (f->parent);
	g_free (f->leaf);
	g_free (f->role);
	g_free (f->id);
	g_free (f);
}

void
folder_query_done (FolderQuery *q)
{
	g_clear_pointer (&q->canary_evidence, g_array_unref);
	g_clear_pointer (&q->id_now, g_free);
	g_clear_pointer (&q->keywords_now, g_free);
	g_clear_pointer (&q->keywords_kept, g_free);
	g_clear_pointer (&q->states, g_array_unref);
	uid_set_clear (&q->all_uids);
	uid_set_clear (&q->vanished);
	g_clear_error (&q->error);
}

void
fetch_request_done (FetchRequest *r)
{
	uid_set_clear (&r->uids);
	uid_set_clear (&r->missing);
	g_clear_error (&r->error);
}

void
endpoint_free (Endpoint *e)
{
	if (e)
		e->class->free (e);
}

static void
state_done (gpointer state)
{
	g_free (((RemoteState *) state)->keywords);
}

void
remote_evidence_done (RemoteEvidence *e)
{
	g_clear_pointer (&e->message_id, g_free);
	g_clear_pointer (&e->keywords, g_free);
}

GArray *
remote_states_new (void)
{
	GArray *states = g_array_new (FALSE, TRUE, sizeof (RemoteState));
	g_array_set_clear_func (states, state_done);
	return states;
}

GArray *
remote_evidence_new (void)
{
	GArray *evidence = g_array_new (FALSE, TRUE, sizeof (RemoteEvidence));
	g_array_set_clear_func (evidence, (GDestroyNotify) remote_evidence_done);
	return evidence;
}
