/* SPDX-License-Identifier: Apache-2.0 */
#include "search-bits.h"

#define BLOCK_SHIFT 16
#define WORDS_A_BLOCK ((1u << BLOCK_SHIFT) / 64)

typedef struct {
	gint64 number; /* id >> BLOCK_SHIFT */
	guint64 *words;
} Block;

struct Bits {
	GArray *blocks; /* ascending */
	gint64 last_number; /* of the block that was added to last; none when there are no blocks */
	guint64 *last_words;
};

static void
block_done (gpointer block)
{
	g_free (((Block *) block)->words);
}

Bits *
bits_new (void)
{
	Bits *b = g_new0 (Bits, 1);
	b->blocks = g_array_new (FALSE, FALSE, sizeof (Block));
	g_array_set_clear_func (b->blocks, block_done);
	return b;
}

void
bits_free (Bits *b)
{
	if (!b)
		return;
	g_array_unref (b->blocks);
	g_free (b);
}

/* Index of the first block of at least @number. */
static guint
block_at (const Bits *b, gint64 number)
{
	guint lo = 0, hi = b->blocks->len;
	if (hi && g_array_index (b->blocks, Block, hi - 1).number < number)
		return hi;
	while (lo < hi) {
		guint middle = (lo + hi) / 2;
		if (g_array_index (b->blocks, Block, middle).number < number)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo;
}

static const Block *
find_block (const Bits *b, gint64 number)
{
	guint i = block_at (b, number);
	const Block *block = i < b->blocks->len ? &g_array_index (b->blocks, Block, i) : NULL;
	return block && block->number == number ? block : NULL;
}

static guint64 *
make_block (Bits *b, gint64 number)
{
	if (b->blocks->len && b->last_number == number)
		return b->last_words;
	const Block *found = find_block (b, number);
	b->last_number = number;
	if (found)
		return b->last_words = found->words;
	Block new = {number, g_new0 (guint64, WORDS_A_BLOCK)};
	g_array_insert_val (b->blocks, block_at (b, number), new);
	return b->last_words = new.words;
}

void
bits_add (Bits *b, gint64 id)
{
	guint at = (guint) (id & ((1 << BLOCK_SHIFT) - 1));
	make_block (b, id >> BLOCK_SHIFT)[at / 64] |= (guint64) 1 << at % 64;
}

void
bits_add_all (Bits *b, const Bits *other)
{
	for (guint i = 0; i < other->blocks->len; i++) {
		const Block *from = &g_array_index (other->blocks, Block, i);
		guint64 *to = make_block (b, from->number);
		for (guint w = 0; w < WORDS_A_BLOCK; w++)
			to[w] |= from->words[w];
	}
}

gboolean
bits_has (const Bits *b, gint64 id)
{
	guint at = (guint) (id & ((1 << BLOCK_SHIFT) - 1));
	const Block *block = b ? find_block (b, id >> BLOCK_SHIFT) : NULL;
	return block && (block->words[at / 64] >> at % 64 & 1);
}

guint64
bits_count (const Bits *b)
{
	guint64 n = 0;
	for (guint i = 0; i < b->blocks->len; i++)
		for (guint w = 0; w < WORDS_A_BLOCK; w++)
			n += (guint) __builtin_popcountll (g_array_index (b->blocks, Block, i).words[w]);
	return n;
}

/* The lowest member of @block at @at or above, or -1. */
static int
next_in_block (const Block *block, guint at)
{
	for (guint w = at / 64; w < WORDS_A_BLOCK; w++) {
		guint64 word = block->words[w];
		if (w == at / 64)
			word &= ~(guint64) 0 << at % 64;
		if (word)
			return (int) (w * 64 + (guint) __builtin_ctzll (word));
	}
	return -1;
}

gboolean
bits_next (const Bits *b, gint64 *id)
{
	if (*id == G_MAXINT64)
		return FALSE;
	gint64 from = *id + 1;
	for (guint i = block_at (b, from >> BLOCK_SHIFT); i < b->blocks->len; i++) {
		const Block *block = &g_array_index (b->blocks, Block, i);
		guint at = block->number == from >> BLOCK_SHIFT ? (guint) (from & ((1 << BLOCK_SHIFT) - 1)) : 0;
		int found = next_in_block (block, at);
		if (found >= 0) {
			*id = block->number * (1 << BLOCK_SHIFT) + found;
			return TRUE;
		}
	}
	return FALSE;
}
