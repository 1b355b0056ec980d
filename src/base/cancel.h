/* SPDX-License-Identifier: Apache-2.0 */
/* A request to stop, set from a signal handler or another thread and seen by everything that waits. */
#pragma once
#include <glib.h>

typedef struct Cancel Cancel;
Cancel *cancel_new (void);
void cancel_free (Cancel *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Cancel, cancel_free)
/* Async-signal-safe. */
void cancel_trigger (Cancel *c);
/* NULL is never triggered. */
gboolean cancel_is_triggered (const Cancel *c);
/* Sets ERROR_CANCELLED and returns FALSE when triggered, else TRUE. */
gboolean cancel_check (const Cancel *c, GError **error);
/* A descriptor that becomes and stays readable when triggered; -1 for NULL. Borrowed. */
int cancel_fd (const Cancel *c);
