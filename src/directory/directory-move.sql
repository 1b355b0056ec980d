-- SPDX-License-Identifier: Apache-2.0
-- Move Mailbox, from version 4 on. A move is a row that says how far it is, and so what is to be done if whoever does it dies. mailbox.server changes with 'committed',
-- in the same transaction, and at no other time.
ALTER TABLE server ADD COLUMN folder TEXT;            -- where it is on this machine; NULL: it has not started yet
CREATE TABLE move (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	mailbox INTEGER NOT NULL REFERENCES mailbox ON DELETE CASCADE,
	source TEXT NOT NULL,                          -- servers' ids
	target TEXT NOT NULL,
	epoch INTEGER NOT NULL,                        -- of the home that it begins from
	state INTEGER NOT NULL,                        -- DirectoryMoveState
	began INTEGER NOT NULL,                        -- Unix seconds, as ended
	ended INTEGER NOT NULL DEFAULT 0,              -- 0: it goes on
	octets INTEGER NOT NULL DEFAULT 0,             -- of the store
	fence INTEGER NOT NULL DEFAULT 0,              -- microseconds for which nobody could write
	sum TEXT,                                      -- of both sides
	error TEXT                                     -- why it stopped last
) STRICT;
CREATE UNIQUE INDEX move_open ON move (mailbox) WHERE ended = 0;
