/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a directory of its own, and short ways to fill it. Everything here fails the test on an error that is not expected. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "store-private.h"

typedef struct {
	char *dir, *path;
	Store *s;
} Fixture;

int fixture_set_up (void **state);
int fixture_tear_down (void **state);
#define WITH_STORE(test) cmocka_unit_test_setup_teardown (test, fixture_set_up, fixture_tear_down)

Store *must_open (const char *path, StoreOpen flags);
void begin (Store *s);
void commit (Store *s);
/* @ok, or the test fails with the error's text. Frees and forgets *e. */
void must (gboolean ok, GError **e);
/* not @ok, with this code; @text, if not NULL, is in its message. */
void must_fail (gboolean ok, GError **e, OutpostError code, const char *text);

gint64 make_folder (Store *s, const char *path);
Prepared *message_of (const char *text, gint64 received);
gint64 add_text (Store *s, gint64 folder, const char *text, gint64 received);
/* A whole message "number N" placed in @folder (not pending); its placement. */
gint64 put (Store *s, gint64 folder, guint n);
/* The same with a binding under that remote UID; the folder is bound if it was not. */
gint64 put_bound (Store *s, gint64 folder, guint n, guint32 remote_uid);
void bind_folder (Store *s, gint64 folder, const char *name);
gint64 number (Store *s, const char *sql); /* first column of the first row */
void sql (Store *s, const char *text);     /* as it stands, foreign keys off: for planting damage */
void assert_octets (Store *s, gint64 message, const void *octets, gsize size);
/* Deep check; fails the test with the findings when there are any. */
void assert_clean (Store *s);
guint64 findings (Store *s, gboolean deep, gboolean repair, GString *text);
