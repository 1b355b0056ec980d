-- SPDX-License-Identifier: Apache-2.0
-- Mail on its way. A message stays while it has recipients; a recipient goes when it is known what became of it.
CREATE TABLE message (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,                     -- for people and logs, as in its Received field
	sender TEXT NOT NULL,                          -- '': <>, of a report
	utf8 INTEGER NOT NULL,                         -- the sender said SMTPUTF8
	ret TEXT, envid TEXT,                          -- of DSN, as they came; NULL: not said
	queued INTEGER NOT NULL,                       -- Unix seconds
	size INTEGER NOT NULL,
	octets BLOB NOT NULL                           -- last: it is read only where it is asked for
) STRICT;
CREATE TABLE recipient (
	id INTEGER PRIMARY KEY,
	message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
	sent INTEGER NOT NULL,                         -- 1: no mail, but the copy for the folder of sent mail of this mailbox (its id)
	address TEXT NOT NULL,
	notify TEXT, orcpt TEXT,                       -- of DSN, as they came; NULL: not said
	tries INTEGER NOT NULL DEFAULT 0,
	next INTEGER NOT NULL,                         -- Unix seconds: not before
	said TEXT NOT NULL DEFAULT ''                  -- why it is still here
) STRICT;
CREATE INDEX recipient_next ON recipient (next);
CREATE INDEX recipient_message ON recipient (message);
