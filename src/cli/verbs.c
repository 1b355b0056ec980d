/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs and their help. man/outpost.1 says the same at length. */
#include "cli.h"

const Verb verbs[] = {
	{"logon", "ADDRESS", "Log on to a mailbox: makes a profile and an offline store, and starts the first synchronisation",
	 "The server is found by DNS (RFC 6186) and the provider's settings, unless --server names it. The password is kept in the\n"
	 "desktop's keyring; without one it comes from --password-command, or is asked for each time.\n\n"
	 "imap:// is encrypted by STARTTLS, and a server without it is refused. Only to this machine (localhost, 127.*, ::1) the connection is plain:\n"
	 "no certificate is made out to such an address. Where that is the near end of a tunnel to another machine, --tls-pin or --tls-ca has it\n"
	 "encrypted to the far end, and --tunnel makes the best of the long way.\n\n"
	 "Examples:\n  outpost logon alice@example.org\n  outpost logon alice@example.org --server imaps://mail.example.org --user alice\n"
	 "  outpost logon alice@example.org --password-command 'pass show mail/alice'\n"
	 "  outpost logon alice@gmail.com --token --password-command 'oauth2-token alice'",
	 logon_options, cmd_logon, 0},
	{"sync", "", "Bring the offline store and the server to the same state, both ways",
	 "With --watch it stays, and new mail is here within a second of the server having it. Ctrl-C stops cleanly; the next run goes on.\n"
	 "A watcher that was asked to stop has done its work, so it ends with 0, not 130. A lost connection is tried again after a second and later and\n"
	 "later, 5 minutes at most; so is a server that suddenly can't prove who it is (certificate, no TLS), to which no password is sent. A log-on that\n"
	 "is refused though one worked before is tried again after about 1, 5, 15 and 60 minutes; then the watcher ends. At the first log-on any of\n"
	 "these but a lost connection ends it.\n\n"
	 "Examples:\n  outpost sync\n  outpost sync --watch\n  systemctl --user enable --now outpost@alice@example.org",
	 sync_options, cmd_sync, 0},
	{"serve", "", "Serve the offline store to mail programs by IMAP, on this machine",
	 "Any mail program then reads and changes the offline mailbox at full speed, with or without a network; what it changes is pushed by the\n"
	 "next sync, as everything else that is changed here. Run outpost sync --watch beside it. Only addresses of this machine are served.\n"
	 "Log on as the profile's address with the password that --show-password prints; at the Unix socket nobody has to. docs/serve.md has\n"
	 "settings for mutt, Thunderbird and mbsync.\n\n"
	 "Examples:\n  outpost serve\n  outpost serve --show-password\n  outpost serve --socket ~/.outpost.sock",
	 serve_options, cmd_serve, 0},
	{"status", "", "What is in step, what is pending, how big it all is", "Example:\n  outpost status --json", NULL, cmd_status, 0},
	{"log", "", "The log of the last synchronisations", "Example:\n  outpost log -n 5", log_options, cmd_log, 0},
	{"folders", "", "List the folders", "Example:\n  outpost folders", NULL, cmd_folders, 0},
	{"list", "FOLDER", "List the messages of a folder, newest first",
	 "The first column is the message's number, which all other verbs take. N: unread, *: flagged, A: answered, D: draft, @: attachment.\n\n"
	 "Example:\n  outpost list INBOX -n 20",
	 list_options, cmd_list, 0},
	{"show", "MESSAGE...", "Show messages as text", "Examples:\n  outpost show 1234\n  outpost show 1234 --raw | less", show_options, cmd_show, 0},
	{"search", "QUERY", "Search the whole mailbox; no server is needed",
	 "Words must all occur; \"a phrase\"; from: to: subject: body: filename: in:FOLDER is:unread is:flagged tag:WORD has:attachment\n"
	 "before:2024-05-01 after:7d larger:1M; OR, -word, ( ). docs/search.md has it all.\n\n"
	 "Examples:\n  outpost search 'from:ada invoice after:2024'\n  outpost search --ids is:unread in:Lists | outpost flag - seen",
	 search_options, cmd_search, VERB_DASH_WORDS},
	{"save", "MESSAGE FILE", "Write a message, or one attachment of it, to a file; - is standard output",
	 "Examples:\n  outpost save 1234 message.eml\n  outpost save 1234 --part 2 report.pdf", save_options, cmd_save, 0},
	{"flag", "MESSAGE... FLAG...", "Set flags (seen, answered, flagged, draft) or keywords",
	 "Examples:\n  outpost flag 1234 1235 seen\n  outpost flag 1234 flagged receipts\n  outpost search --ids from:ada | outpost flag - seen", NULL,
	 cmd_flag, 0},
	{"unflag", "MESSAGE... FLAG...", "Take flags or keywords away", "Example:\n  outpost unflag 1234 seen", NULL, cmd_unflag, 0},
	{"move", "MESSAGE... FOLDER", "Move messages; they get new numbers, which --json tells", "Example:\n  outpost move 1234 1235 Archive/2026", NULL,
	 cmd_move, 0},
	{"copy", "MESSAGE... FOLDER", "Copy messages", "Example:\n  outpost copy 1234 Projects", NULL, cmd_copy, 0},
	{"delete", "MESSAGE...", "Remove messages; outpost undelete restores them for 30 days",
	 "Examples:\n  outpost delete 1234\n  outpost delete --trash 1234", delete_options, cmd_delete, 0},
	{"undelete", "[NUMBER...]", "List removed messages, or put some back where they were",
	 "Examples:\n  outpost undelete\n  outpost undelete 17", undelete_options, cmd_undelete, 0},
	{"add", "FOLDER FILE...", "Put messages from files into a folder; - is standard input", "Example:\n  outpost add Archive old/*.eml", add_options,
	 cmd_add, 0},
	{"folder create", "FOLDER", "Make a folder, with those above it", "Example:\n  outpost folder create Projects/2026", folder_create_options,
	 cmd_folder_create, 0},
	{"folder rename", "FOLDER NEW-PATH", "Rename or move a folder with all that is in it", "Example:\n  outpost folder rename Old Archive/Old", NULL,
	 cmd_folder_rename, 0},
	{"folder delete", "FOLDER", "Remove a folder", "Example:\n  outpost folder delete --with-messages Old", folder_delete_options, cmd_folder_delete, 0},
	{"resolve", "[FOLDER both|server|mine]", "Show what is held and waits for your decision, decide, or undo a decision",
	 "A run holds a folder that would lose an unusual share of its messages, and one whose messages are missing at the server, or are other\n"
	 "mail there. Nothing is removed on either side until you say (FOLDER, or the number that is shown):\n"
	 "  both    what only one side has goes to the other\n"
	 "  server  the offline store becomes what the server has\n"
	 "  mine    the server becomes what the offline store has; not where the server has other mail, which may be another person's\n"
	 "apply carries the held removals out, keep undoes them. The next sync acts on a decision. --undo takes the last one back for 30 days:\n"
	 "what was removed is put back here and sent to the server; what was sent is removed there, and what was fetched here, and the folder is\n"
	 "held again.\n\n"
	 "Examples:\n  outpost resolve\n  outpost resolve INBOX mine --dry-run\n  outpost resolve INBOX mine\n  outpost resolve --all both\n  outpost resolve --undo INBOX",
	 resolve_options, cmd_resolve, 0},
	{"rebind", "", "Follow the mailbox to another server, or rehearse that",
	 "outpost follows a mailbox that moved by itself. This verb says beforehand what would happen (--dry-run): which messages would be found\n"
	 "again, which are only on one side. Without --dry-run the profile names the new server from now on, and a sync follows.\n\n"
	 "Examples:\n  outpost rebind --dry-run --server imaps://new.example.org\n  outpost rebind --server imaps://new.example.org --user alice",
	 rebind_options, cmd_rebind, 0},
	{"profile list", "", "List the profiles", "Example:\n  outpost profile list", NULL, cmd_profile_list, 0},
	{"profile show", "[NAME]", "Show a profile", "Example:\n  outpost profile show alice@example.org", NULL, cmd_profile_show, 0},
	{"profile delete", "NAME", "Delete a profile; its offline store stays", "Example:\n  outpost profile delete alice@example.org",
	 profile_delete_options, cmd_profile_delete, 0},
	{"store list", "", "List the offline stores, those without a profile too", "Example:\n  outpost store list", NULL, cmd_store_list, 0},
	{"store check", "", "Check that the offline store is sound",
	 "Everything but the octets of the messages is checked; with --deep those are, too.\n\nExample:\n  outpost store check --deep", store_check_options, cmd_store_check,
	 0},
	{"store compact", "", "Give back space that is no longer used", "Example:\n  outpost store compact", NULL, cmd_store_compact, 0},
	{"store export", "PATH", "Write all mail as a Maildir, mbox files or a tar of .eml files",
	 "Examples:\n  outpost store export ~/Maildir-copy\n  outpost store export --format tar - | ssh backup 'cat > mail.tar'", store_export_options,
	 cmd_store_export, 0},
	{"store index", "", "Bring the search index up to date, or rebuild it", "Example:\n  outpost store index --rebuild", store_index_options,
	 cmd_store_index, 0},
	{NULL},
};
