/* SPDX-License-Identifier: Apache-2.0 */
/* Text to words, the same way for what is indexed and for what is asked. docs/search.md tells the user the rules:
 * compatibility forms (NFKC), case, accents, vowel points and kashida do not matter; digits of any script are digits; what is neither
 * letter nor digit separates words; a word is cut at WORD_MAX octets. Scripts without blanks give overlapping pairs of characters and,
 * at the end of a run, its last character, so that a pair's first character finds any character as a prefix. One line end inside
 * such a run does not end it. Linear in the size of the text; offsets are those of the text as it was given. */
#pragma once
#include <glib.h>

#define WORD_MAX 64 /* octets */

typedef enum {
	WORD_WHOLE, /* of a script with blanks */
	WORD_PAIR,
	WORD_LAST, /* the last character of a run: follows its pair if the run is longer than one */
} WordKind;

/* @word is UTF-8 without blanks, valid for the call; it came from octets start..end. */
typedef void (*WordFn) (gpointer data, const char *word, gsize size, WordKind kind, gsize start, gsize end);
/* What is not UTF-8 separates. */
void words_each (const char *text, gsize size, WordFn fn, gpointer data);

/* Appends the words of @text to @out, each followed by one blank. */
void words_append (GString *out, const char *text);

/* Equality of names (folders, keywords) by the same folding, but with everything that is no letter or digit kept; case and accents
 * only. Owned. */
char *words_fold_name (const char *name);
