/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "sync-gather.h"

/* Of a plan that has folders which are gone at home and new ones: which of them are the same by their messages, as FolderPair, is added to
 * @recognised. Reads only, at most 100 sizes and 20 headers of each new folder. */
gboolean sync_recognise_folders (SyncRun *run, const GPtrArray *bindings, const GArray *steps, GArray *recognised, GError **error);
/* Of the mail of each of @bindings (FolderBinding), about how many messages (added to @known, one number each) are in folders of the home that
 * have other names, by size, date and header: all of the newest 50, else by a sample of 50 more. *there_out: messages of all folders of the home. */
gboolean sync_find_elsewhere (SyncRun *run, const GPtrArray *bindings, guint *known, guint64 *there_out, GError **error);
/* Folders under whose names at home other mail was found (FolderBinding and Gathered, one of each): to[i] is the one in whose place the mail of
 * the i-th is, -1: none surely. Those that are none are closed: they exchanged their names among themselves. */
gboolean sync_find_exchanged (SyncRun *run, const GPtrArray *bindings, const GPtrArray *gathered, gint *to, GError **error);
