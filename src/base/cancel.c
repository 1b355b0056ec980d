/* SPDX-License-Identifier: Apache-2.0 */
#include "cancel.h"
#include "error.h"
#include <sys/eventfd.h>
#include <unistd.h>

struct Cancel {
	int fd;
	int triggered; /* atomic */
};

Cancel *
cancel_new (void)
{
	Cancel *c = g_new0 (Cancel, 1);
	c->fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
	return c;
}

void
cancel_free (Cancel *c)
{
	if (!c)
		return;
	close (c->fd);
	g_free (c);
}

void
cancel_trigger (Cancel *c)
{
	guint64 one = 1;
	g_atomic_int_set (&c->triggered, 1);
	if (write (c->fd, &one, sizeof one) < 0)
		return; /* the counter is full: already readable */
}

gboolean
cancel_is_triggered (const Cancel *c)
{
	return c && g_atomic_int_get (&c->triggered);
}

gboolean
cancel_check (const Cancel *c, GError **error)
{
	return !cancel_is_triggered (c) || error_fail (error, ERROR_CANCELLED, "stopped on request");
}

int
cancel_fd (const Cancel *c)
{
	return c ? c->fd : -1;
}
