/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "sync-private.h"

/* Of a plan that has folders which are gone at home and new ones: which of them are the same by their messages, as FolderPair, is added to
 * @recognised. Reads only, at most 100 sizes and 20 headers of each new folder. */
gboolean sync_recognise_folders (SyncRun *run, const GPtrArray *bindings, const GArray *steps, GArray *recognised, GError **error);
