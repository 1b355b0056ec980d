-- SPDX-License-Identifier: Apache-2.0
-- The directory, version 1; directory.c has what makes the later ones of it. Keys of addresses are case-folded; what is shown is as it was given.
CREATE TABLE meta (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	secret BLOB NOT NULL                           -- makes answers about users that there are not
) STRICT;
CREATE TABLE domain (name TEXT PRIMARY KEY) STRICT;    -- lower case
CREATE TABLE mailbox (
	number INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,                       -- the mailbox id, 32 hexadecimal digits: identity
	address TEXT NOT NULL,
	key TEXT UNIQUE,                               -- NULL: deleted, the address is free
	domain TEXT NOT NULL,
	created INTEGER NOT NULL,                      -- Unix seconds, as deleted
	deleted INTEGER NOT NULL DEFAULT 0,
	disabled INTEGER NOT NULL DEFAULT 0,
	roles INTEGER NOT NULL DEFAULT 0,
	quota INTEGER NOT NULL DEFAULT 0,              -- octets; 0: none
	server TEXT,                                   -- its home; NULL: made by version 1, and nobody has taken it
	epoch INTEGER NOT NULL DEFAULT 1,              -- of that home
	CHECK ((key IS NULL) = (deleted > 0))
) STRICT;
CREATE INDEX mailbox_domain ON mailbox (domain);
CREATE TABLE verifier (
	mailbox INTEGER NOT NULL REFERENCES mailbox ON DELETE CASCADE,
	kind TEXT NOT NULL,                            -- 'crypt', 'SCRAM-SHA-1', 'SCRAM-SHA-256'
	value TEXT NOT NULL,
	PRIMARY KEY (mailbox, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE alias (
	key TEXT NOT NULL,
	alias TEXT NOT NULL,
	domain TEXT NOT NULL,
	target_key TEXT NOT NULL,
	target TEXT NOT NULL,
	PRIMARY KEY (key, target_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_target ON alias (target_key);
