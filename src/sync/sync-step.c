/* SPDX-License-Identifier: Apache-2.0 */
#include "sync.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static GMutex lock; /* guards what follows: the writer's thread takes steps, too */
static int steps, die_at;
static pid_t counted; /* a child process counts for itself */

static void
print_steps (void)
{
	fprintf (stderr, "steps: %d\n", steps);
}

static void
begin_counting (void)
{
	const char *at = g_getenv ("OUTPOST_DIE_AT");
	steps = 0;
	die_at = at ? atoi (at) : 0;
	if (!counted && g_getenv ("OUTPOST_COUNT_STEPS"))
		atexit (print_steps);
	counted = getpid ();
}

void
sync_step (void)
{
	g_mutex_lock (&lock);
	if (counted != getpid ())
		begin_counting ();
	gboolean die = ++steps == die_at;
	g_mutex_unlock (&lock);
	if (die)
		_exit (137);
}
