/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and random 128-bit ids. */
#pragma once
#include <glib.h>

#define DIGEST_SIZE 32
#define ID_SIZE 16
#define ID_TEXT_SIZE (2 * ID_SIZE + 1)

typedef struct {
	guint8 bytes[ID_SIZE];
} Id128;

/* SHA-256 (FIPS 180-4) of @size octets. */
void digest_of (const void *data, gsize size, guint8 digest_out[DIGEST_SIZE]);

/* The same in pieces; digest_end frees @d. */
typedef struct Digest Digest;
Digest *digest_new (void);
void digest_feed (Digest *d, const void *data, gsize size);
void digest_end (Digest *d, guint8 digest_out[DIGEST_SIZE]);

/* A fresh random id from the kernel. Thread-safe; never fails (the process ends if the kernel has no randomness). */
Id128 id128_random (void);
/* @id as 32 lower-case hexadecimal digits and NUL. */
void id128_text (const Id128 *id, char text_out[ID_TEXT_SIZE]);
