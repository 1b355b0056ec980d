/* SPDX-License-Identifier: Apache-2.0 */
/* Asking an issuer about a token (RFC 7662), by HTTPS. */
#pragma once
#include "host.h"
#include <jansson.h>

typedef struct Introspection Introspection;
/* USAGE for an address that is neither https:// nor of this machine; what is wrong with the file of the secret. */
Introspection *introspection_new (const Host *h, GError **error);
void introspection_free (Introspection *i); /* NULL is allowed */
/* What it says: an object, owned. TEMPORARY: it could not be asked, or said nothing that can be read; within 5 s. Thread-safe. */
json_t *introspection_ask (const Introspection *i, const char *token, GError **error);
