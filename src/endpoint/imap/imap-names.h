/* SPDX-License-Identifier: Apache-2.0 */
/* Folder names between the wire and the store's tree (RFC 3501 5.1, RFC 2342), and what a folder is for by its name. */
#pragma once
#include "endpoint.h"
#include "imap-role.h"

/* The personal namespace, and where those of others lie. @prefix ends in the delimiter ("INBOX.") or is empty. */
typedef struct {
	char *prefix; /* owned; NULL: not set */
	char delimiter; /* 0: flat */
	gboolean utf8;  /* names are UTF-8 on the wire (IMAP4rev2 alone), else modified UTF-7 */
	gboolean all_below_inbox; /* as listed, every folder but INBOX; and the server has no NAMESPACE to say so */
	gboolean below_inbox;     /* it refused a name at the top: new ones go below INBOX */
	GPtrArray *personal, *foreign; /* prefixes (owned), NULL none */
} NameSpace;
void name_space_set (NameSpace *space, const char *prefix, char delimiter);
/* Adds a prefix below which names are somebody else's, or (@personal) the user's own. */
void name_space_add (NameSpace *space, const char *prefix, gboolean personal);
void name_space_clear (NameSpace *space);
/* FALSE: @name belongs to other users, is shared, or only leads to a namespace's folders (@selectable FALSE). */
gboolean name_is_personal (const NameSpace *space, const char *name, gboolean selectable);

/* Fills parent, leaf and delimiter of @f from its wire name. */
void folder_place (RemoteFolder *f, const NameSpace *space, char delimiter);
/* The wire name of @leaf (UTF-8) below @parent (wire name, NULL: top of the personal namespace). Fails with REFUSED where the
 * leaf is empty, holds the delimiter or a control character, or the server is flat and @parent is not NULL. */
char *folder_wire_name (const NameSpace *space, const char *parent, const char *leaf, GError **error);
/* Whether a home that does not tell upper from lower case, or composed from decomposed letters, takes both for one name. */
gboolean folder_names_fold (const NameSpace *space, const char *a, const char *b);
/* The role that people and programs usually mean by @leaf, NULL. Static. */
const char *role_of_leaf (const char *leaf);
/* Gives roles by name to top-level folders, for roles that no folder of @folders (RemoteFolder) has. */
void roles_guess (GPtrArray *folders);
