/* SPDX-License-Identifier: Apache-2.0 */
/* A set of row ids. Blocks of 65,536 ids take 8 KiB when one of them is a member, so that memory follows the ids in use. */
#pragma once
#include <glib.h>

typedef struct Bits Bits;
Bits *bits_new (void);
void bits_free (Bits *b); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Bits, bits_free)
void bits_add (Bits *b, gint64 id);
void bits_add_all (Bits *b, const Bits *other);
gboolean bits_has (const Bits *b, gint64 id); /* FALSE for NULL */
guint64 bits_count (const Bits *b);
/* The lowest member above *id; start with 0, as row ids are positive. */
gboolean bits_next (const Bits *b, gint64 *id);
