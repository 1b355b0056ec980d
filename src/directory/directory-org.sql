-- SPDX-License-Identifier: Apache-2.0
-- The organisation, from version 3 on. Ids are random and never change; everything else is an attribute, and nothing that a client keeps is made of one.
-- Keys of names are case-folded. mailbox.server (a server's id) and mailbox.epoch are the row of truth of where a mailbox is at home.
CREATE TABLE organisation (
	number INTEGER PRIMARY KEY CHECK (number = 1),
	id TEXT NOT NULL,
	name TEXT NOT NULL                             -- '': not named yet
) STRICT;
CREATE TABLE site (
	number INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL,
	key TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE server (
	number INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,                       -- what the server's folder knows itself by, and clients know it by
	name TEXT NOT NULL,
	key TEXT NOT NULL UNIQUE,
	site INTEGER NOT NULL REFERENCES site
) STRICT;
CREATE INDEX server_site ON server (site);
CREATE TABLE server_address (
	address TEXT PRIMARY KEY,                      -- "imaps://ex1.example.org:993"; one server's, also after it has moved away from it
	server INTEGER NOT NULL REFERENCES server,
	rank INTEGER NOT NULL,                         -- the lowest is told first
	past INTEGER NOT NULL DEFAULT 0                -- Unix seconds since when it only forwards; 0: in use
) STRICT, WITHOUT ROWID;
CREATE INDEX server_address_server ON server_address (server);
CREATE INDEX mailbox_server ON mailbox (server) WHERE key IS NOT NULL;
