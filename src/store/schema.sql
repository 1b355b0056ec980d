-- The store's schema, version 7. One file holds one replica of one mailbox. docs/store-format.md tells the story; this file is the
-- definition. It is built into the program. Who changes it writes the way from the version before into store.c (migrations), and a new
-- version number once the one here was released. Tables marked TRUTH can't be rebuilt; those marked DERIVED can.
--
-- Invariants (store_check verifies them):
--   1. meta.modseq is the highest modseq anywhere; every change to a folder or a placement took the next number.
--   2. folder.uidnext is above every placement.uid and every removal.hi of that folder; a UID is never used again.
--   3. folder.total, folder.unread and folder.octets equal a count of its placements.
--   4. every message has its content; content.hash is the SHA-256 of the octets, content.size their number.
--   5. every placement_binding with a placement belongs to that placement's folder; remote UIDs are unique in a folder.
--   6. a message without a placement has a row in `removed` (it can still be restored) or is swept by the next compact.

-- TRUTH. One row. `role` is 'replica' (an offline store), 'home', or 'moved': a home that is elsewhere now, and takes no change.
CREATE TABLE meta (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	mailbox_id BLOB NOT NULL,             -- 16 octets, random at birth, for ever
	role TEXT NOT NULL,
	created INTEGER NOT NULL,             -- seconds since 1970, as all times here
	modseq INTEGER NOT NULL,              -- the change sequence's counter
	indexed_message INTEGER NOT NULL,     -- every message.id up to this one is in the full-text index
	contents INTEGER NOT NULL DEFAULT 0,  -- DERIVED: rows of content, the sum of their sizes, and of the octets that they and the
	content_octets INTEGER NOT NULL DEFAULT 0,-- chunks take
	stored_octets INTEGER NOT NULL DEFAULT 0
) STRICT;

-- TRUTH. Free settings: account, display name, capabilities last seen.
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- TRUTH.
CREATE TABLE folder (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	object_id BLOB NOT NULL UNIQUE,       -- 16 octets: MAILBOXID
	parent INTEGER REFERENCES folder (id),-- NULL at the top
	name TEXT NOT NULL,                   -- one level, UTF-8
	role TEXT,                            -- inbox, sent, drafts, trash, junk, archive, all, flagged, important; local-only ones: sync-issues
	subscribed INTEGER NOT NULL DEFAULT 1,
	selectable INTEGER NOT NULL DEFAULT 1,
	local_only INTEGER NOT NULL DEFAULT 0,-- never pushed (Sync Issues and below)
	uidvalidity INTEGER NOT NULL,
	uidnext INTEGER NOT NULL DEFAULT 1,
	total INTEGER NOT NULL DEFAULT 0,
	unread INTEGER NOT NULL DEFAULT 0,
	created_modseq INTEGER NOT NULL,
	modseq INTEGER NOT NULL,              -- of the last change to the folder's own fields
	changed_modseq INTEGER NOT NULL,      -- HIGHESTMODSEQ: of the last change to it or anything in it
	octets INTEGER NOT NULL DEFAULT 0     -- the sum of its messages' sizes
) STRICT;
CREATE UNIQUE INDEX folder_name ON folder (IFNULL (parent, 0), name);

-- TRUTH. Folders that are gone, for JMAP's and the engine's "what changed".
CREATE TABLE folder_removal (
	folder INTEGER PRIMARY KEY,
	object_id BLOB NOT NULL,
	path TEXT NOT NULL,
	modseq INTEGER NOT NULL
) STRICT;

-- TRUTH. zstd dictionaries: never changed, never deleted. 0 in content.dictionary means none.
CREATE TABLE dictionary (id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;

-- TRUTH. Octets, once for each distinct value. Big ones (over 1 MiB) are cut into content_chunk rows and have data NULL.
CREATE TABLE content (
	id INTEGER PRIMARY KEY,
	hash BLOB NOT NULL UNIQUE,            -- SHA-256 of the octets
	size INTEGER NOT NULL,                -- of the octets
	dictionary INTEGER NOT NULL,
	data BLOB                             -- a zstd frame
) STRICT;
CREATE TABLE content_chunk (
	content INTEGER NOT NULL REFERENCES content (id) ON DELETE CASCADE,
	seq INTEGER NOT NULL,                 -- chunk n holds octets n * 1 MiB and on
	data BLOB NOT NULL,                   -- a zstd frame
	PRIMARY KEY (content, seq)
) STRICT;

-- TRUTH (ids, content, received); the rest is DERIVED from the content and kept because listing needs it.
CREATE TABLE message (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	object_id BLOB NOT NULL,              -- 16 octets: EMAILID
	content INTEGER NOT NULL REFERENCES content (id),
	received INTEGER NOT NULL,            -- INTERNALDATE
	zone INTEGER NOT NULL,                -- its zone, minutes east of UTC
	size INTEGER NOT NULL,                -- = content.size
	thread INTEGER NOT NULL,              -- message.id of the thread's first member here
	sent INTEGER,                         -- Date:, NULL if absent or unreadable
	message_id TEXT,                      -- without angle brackets
	subject TEXT,                         -- decoded
	sender TEXT,                          -- From:, decoded, for display
	recipients TEXT,                      -- To: and Cc:, decoded, for display
	attachment INTEGER NOT NULL,          -- has one
	digest INTEGER NOT NULL,              -- first 8 octets of SHA-256 over the header's evidence fields (message_evidence_digest)
	structure BLOB NOT NULL               -- mail_structure_serialise; empty: not read yet
) STRICT;
CREATE INDEX message_content ON message (content);
CREATE INDEX message_thread ON message (thread);
CREATE INDEX message_received ON message (received, size, attachment); -- a search walks it alone, newest first
CREATE INDEX message_message_id ON message (message_id) WHERE message_id IS NOT NULL;

-- TRUTH. Ids that tie messages into threads (Message-ID, References, In-Reply-To), as 64-bit hashes.
CREATE TABLE thread_key (key INTEGER PRIMARY KEY, thread INTEGER NOT NULL) STRICT;

-- TRUTH. A message in a folder.
CREATE TABLE placement (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	folder INTEGER NOT NULL REFERENCES folder (id),
	uid INTEGER NOT NULL,
	message INTEGER NOT NULL REFERENCES message (id),
	flags INTEGER NOT NULL,               -- StoreFlags
	keywords TEXT,                        -- sorted, single spaces between; NULL when none
	modseq INTEGER NOT NULL,
	saved INTEGER                         -- when it was placed here; NULL: not known
) STRICT;
CREATE UNIQUE INDEX placement_uid ON placement (folder, uid);
CREATE INDEX placement_modseq ON placement (folder, modseq);
CREATE INDEX placement_message ON placement (message);

-- TRUTH. What clients keep with a folder, or with the mailbox (folder 0): IMAP's METADATA.
CREATE TABLE annotation (
	folder INTEGER NOT NULL,
	name TEXT NOT NULL,                   -- lower case
	value BLOB NOT NULL,
	PRIMARY KEY (folder, name)
) STRICT, WITHOUT ROWID;

-- TRUTH. Which UIDs were removed and when, for ever, as ranges.
CREATE TABLE removal (                        -- columns in the key's order: else integrity_check of SQLite 3.40 finds NULLs in hi
	folder INTEGER NOT NULL,
	modseq INTEGER NOT NULL,
	lo INTEGER NOT NULL,
	hi INTEGER NOT NULL,
	PRIMARY KEY (folder, modseq, lo)
) STRICT, WITHOUT ROWID;

-- TRUTH. Removed messages that can still be restored (outpost undelete), for 30 days.
CREATE TABLE removed (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	message INTEGER NOT NULL REFERENCES message (id),
	folder INTEGER NOT NULL,              -- may be gone itself
	folder_path TEXT NOT NULL,
	flags INTEGER NOT NULL,
	keywords TEXT,
	removed INTEGER NOT NULL,             -- when
	cause TEXT NOT NULL,                  -- 'here' or 'home'
	base_flags INTEGER,                   -- removed by home while flags differed from this base: the change goes on with the message if
	base_keywords TEXT                    -- it turns up elsewhere (a move seen as remove + add); base_flags NULL: nothing to carry
) STRICT;
CREATE INDEX removed_message ON removed (message);
CREATE INDEX removed_time ON removed (removed);
CREATE INDEX removed_change ON removed (message) WHERE base_flags IS NOT NULL;

-- TRUTH. What the home calls a folder, and the state last agreed with it (the base).
CREATE TABLE folder_binding (
	folder INTEGER PRIMARY KEY,           -- folder.id; may be gone here: then its removal is to be pushed
	remote_name BLOB NOT NULL UNIQUE,     -- the octets on the wire
	delimiter TEXT,                       -- NULL: flat
	remote_id TEXT,                       -- MAILBOXID, where the home has it
	base_parent INTEGER,                  -- folder.parent and name when last agreed
	base_name TEXT NOT NULL,
	uidvalidity INTEGER NOT NULL DEFAULT 0,  -- 0: never selected
	uidnext INTEGER NOT NULL DEFAULT 0,
	highestmodseq INTEGER NOT NULL DEFAULT 0,-- 0: the home has none
	messages INTEGER NOT NULL DEFAULT 0,
	complete INTEGER NOT NULL DEFAULT 0,  -- 1: every message up to uidnext is here
	pushed_modseq INTEGER NOT NULL DEFAULT 0, -- local changes up to this modseq are in the base
	selectable INTEGER NOT NULL DEFAULT 1
) STRICT;

-- TRUTH. What the home calls a placement, and the base of its flags. placement may be gone here: the removal is to be pushed.
CREATE TABLE placement_binding (
	placement INTEGER PRIMARY KEY,        -- below zero: gone, of a placement that is still here (the sending of it was undone)
	folder INTEGER NOT NULL,              -- folder.id
	remote_uid INTEGER NOT NULL,
	flags INTEGER NOT NULL,               -- base
	keywords TEXT,                        -- base
	modseq INTEGER NOT NULL DEFAULT 0,    -- the home's MODSEQ of the base, 0 unknown
	remote_size INTEGER,                  -- where the home's RFC822.SIZE differs from message.size
	gone INTEGER NOT NULL DEFAULT 0,      -- 1: the placement was removed here
	message INTEGER,                      -- then: which message it was, evidence for finding it again
	remote_received INTEGER,              -- where the home's INTERNALDATE differs from message.received
	settled INTEGER NOT NULL DEFAULT 0,   -- 1: gone, and nobody is to be asked: the home has it where it was moved to, or marked as deleted
	sent INTEGER NOT NULL DEFAULT 0       -- 1: gone, and the home may have removed it
) STRICT;
CREATE UNIQUE INDEX placement_binding_uid ON placement_binding (folder, remote_uid);
CREATE INDEX placement_binding_gone ON placement_binding (folder) WHERE gone = 1;

-- TRUTH. Placements not yet known to the home, and where the home can copy them from.
CREATE TABLE pending (
	placement INTEGER PRIMARY KEY,
	folder INTEGER NOT NULL,
	origin INTEGER,                       -- placement_binding.placement it was moved or copied from, or NULL; below zero: it was restored, and
	                                      -- nothing is known to bind it
	moved INTEGER NOT NULL DEFAULT 0,     -- 1: the origin is gone here (a move)
	watermark INTEGER NOT NULL DEFAULT 0, -- the target's UIDNEXT before a push was first sent; 0: never sent
	watermark_validity INTEGER NOT NULL DEFAULT 0,
	failures INTEGER NOT NULL DEFAULT 0,
	message INTEGER                       -- not NULL: the placement, of this message, was removed here after the sending began: if the home
	                                      -- has it, it is to be removed there
) STRICT;
CREATE INDEX pending_folder ON pending (folder);
CREATE INDEX pending_origin ON pending (origin) WHERE origin IS NOT NULL;

-- TRUTH. What waits for the user's decision, and, for 30 days, what was decided.
CREATE TABLE hold (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	folder INTEGER,
	side TEXT NOT NULL,                   -- 'here': removals at home not yet applied here; 'home': removals here not yet pushed
	kind TEXT NOT NULL,                   -- 'deletion-guard', 'rebind' (here, not at home since it changed), 'identity' (other mail)
	messages INTEGER NOT NULL,
	detail TEXT NOT NULL,
	created INTEGER NOT NULL,
	decision INTEGER NOT NULL DEFAULT 0,  -- HoldDecision; the next run acts on it
	there INTEGER,                        -- messages of the home's folder when it last said so; NULL unknown
	decided INTEGER,                      -- when the user said so; what was said at once has the same
	settled INTEGER,                      -- when a run acted on it; NULL: open
	newest INTEGER                        -- then: the highest placement.id there was
) STRICT;

-- TRUTH. The messages of a settled hold, and of an open one whose messages nothing else tells (removed at home, held here).
CREATE TABLE hold_message (
	hold INTEGER NOT NULL REFERENCES hold (id) ON DELETE CASCADE,
	placement INTEGER NOT NULL,           -- as in placement_binding; both may be gone
	message INTEGER NOT NULL,
	PRIMARY KEY (hold, placement)
) STRICT, WITHOUT ROWID;

-- TRUTH. The synchronisation log (design.md section 8): kept for the last 200 runs.
CREATE TABLE run (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	started INTEGER NOT NULL,
	ended INTEGER,
	result TEXT,                          -- 'done', 'failed', 'held', 'stopped'
	error TEXT,
	facts TEXT                            -- JSON object: counts, bytes, flights
) STRICT;
CREATE TABLE run_line (
	run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
	seq INTEGER NOT NULL,
	time INTEGER NOT NULL,
	detail INTEGER NOT NULL,              -- 1: an indented detail line
	text TEXT NOT NULL,
	PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

-- DERIVED. Full-text index, rowid = message.id. Contentless: rows of messages that are gone stay until the index is built anew and are
-- filtered by the join with message. Words come ready from search/ (search-words.h), folded, with blanks between: the tokenizer only
-- parts them there. Behind a column's words stand their beginnings of one and two letters (search-short.c). Body stands first because
-- the positions of the first column cost two octets less a word and message.
CREATE VIRTUAL TABLE fts USING fts5 (body, subject, sender, recipients, attachment, content='', columnsize=0, tokenize='ascii');
