/* SPDX-License-Identifier: Apache-2.0 */
/* Between the grammar (search-query.c) and the fields (search-fields.c). */
#pragma once
#include "search-private.h"

typedef struct {
	const char *text, *at;
	gint64 now;
	guint depth, terms;
	char closer; /* of the innermost group; 0: none */
	guint columns;
	GError **error;
} Parser;

typedef enum { TEXT, FOLDER, IS, HAS, TAG, LABEL, SINCE, BEFORE, PERIOD, OLDER, NEWER, LARGER, SMALLER, SIZE, THREAD, ID } FieldKind;

typedef struct {
	const char *name;
	FieldKind kind;
	guint columns;
	gboolean common; /* misspelling it is told */
} Field;

/* Sets *error with the place of @at. Always FALSE. */
gboolean parser_fail (Parser *p, const char *at, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* *field_out: the field whose name and colon stand at p->at, *size_out octets together, or NULL. FALSE: a misspelt one. */
gboolean parser_at_field (Parser *p, const Field **field_out, gsize *size_out);
/* The condition that a field other than TEXT makes of @value, which stands at @at. */
gboolean field_condition (Parser *p, const char *at, const Field *f, const char *value, Node **out);
