/* SPDX-License-Identifier: Apache-2.0 */
/* What is written is what the RFCs show, and is read back as the same: whole and octet by octet, by client and server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "imap-text.h"
#include "imap-utf7.h"
#include "imap-write.h"
#include "tree-text.h"

static Slice
slice (const char *text)
{
	return (Slice) {text, text ? strlen (text) : 0};
}

static void
expect_text (ImapWriter *w, const char *want)
{
	assert_string_equal (w->text->str, want);
	g_string_truncate (w->text, 0);
}

/* One response, with its CRLF; read in one piece and in many it is the same, and no error. */
static void
expect_response (ImapWriter *w, const char *want)
{
	Slice text = {w->text->str, w->text->len};
	g_autofree char *whole = replies_text (text, text.size), *pieces = replies_text (text, 1);
	assert_string_equal (whole, pieces);
	assert_int_not_equal (whole[0], '!');
	assert_null (strchr (whole, '\n'));
	expect_text (w, want);
}

static ImapWriter
server (void)
{
	ImapWriter w;
	imap_writer_init (&w, LITERALS_SERVER);
	return w;
}

static void
status_responses (void **state)
{
	g_auto (ImapWriter) w = server ();
	g_auto (ImapSet) from = {0}, to = {0};
	imap_write_status (&w, NULL, "OK", NULL, "ready");
	expect_response (&w, "* OK ready\r\n");
	imap_write_status (&w, "a1", "NO", "TRYCREATE", "No such folder");
	expect_response (&w, "a1 NO [TRYCREATE] No such folder\r\n");
	imap_write_status (&w, NULL, "BYE", NULL, "");
	expect_response (&w, "* BYE -\r\n");
	imap_write_status (&w, "a", "BAD", NULL, "[ALERT] a\r\nb OK c\001\377");
	expect_response (&w, "a BAD (ALERT] a\357\277\275 b OK c\357\277\275\357\277\275\r\n");
	imap_write_continuation (&w, "OK");
	expect_response (&w, "+ OK\r\n");
	imap_write_status_begin (&w, NULL, "OK", "UIDNEXT");
	imap_write_number (&w, 4392);
	imap_write_status_end (&w, "Predicted next UID");
	expect_response (&w, "* OK [UIDNEXT 4392] Predicted next UID\r\n");
	imap_write_status_begin (&w, NULL, "OK", "PERMANENTFLAGS");
	imap_write_flags (&w, 8 | 1, "$Junk \\*");
	imap_write_status_end (&w, "Limited");
	expect_response (&w, "* OK [PERMANENTFLAGS (\\Seen \\Deleted $Junk \\*)] Limited\r\n");
	assert_true (imap_set_parse (&from, slice ("304,319:320"), 9) && imap_set_parse (&to, slice ("3956:3958"), 9));
	imap_write_copyuid (&w, "A003", 38505, &from, &to, "Done");
	expect_response (&w, "A003 OK [COPYUID 38505 304,319:320 3956:3958] Done\r\n");
	imap_write_copyuid (&w, NULL, 38505, &from, &to, "Moved");
	expect_response (&w, "* OK [COPYUID 38505 304,319:320 3956:3958] Moved\r\n");
	imap_write_appenduid (&w, "A003", 38505, &to, "Done");
	expect_response (&w, "A003 OK [APPENDUID 38505 3956:3958] Done\r\n");
}

static void
folder_responses (void **state)
{
	g_auto (ImapWriter) w = server ();
	static const char *const attributes[] = {"\\HasChildren", "\\Sent", NULL}, *const none[] = {NULL}, *const info[] = {"SUBSCRIBED", NULL};
	static const ImapSpace personal[] = {{"", '/'}, {"#mh/", '/'}}, shared[] = {{"B\303\266x.", '.'}};
	static const ImapStatusItem items[] = {{"MESSAGES", 231, NULL, FALSE}, {"UIDNEXT", 44292, NULL, FALSE}, {"MAILBOXID", 0, "F22", FALSE},
	                                       {"APPENDLIMIT", 0, NULL, TRUE}, {"HIGHESTMODSEQ", G_MAXINT64, NULL, FALSE}};
	imap_write_listed (&w, "LIST", &(ImapListed) {attributes, '/', "Sent", NULL, NULL});
	expect_response (&w, "* LIST (\\HasChildren \\Sent) \"/\" Sent\r\n");
	imap_write_listed (&w, "LSUB", &(ImapListed) {none, 0, "a b", NULL, NULL});
	expect_response (&w, "* LSUB () NIL \"a b\"\r\n");
	imap_write_listed (&w, "LIST", &(ImapListed) {none, '\\', "\303\251&\"[]", NULL, NULL});
	expect_response (&w, "* LIST () \"\\\\\" \"&AOk-&-\\\"[]\"\r\n");
	imap_write_listed (&w, "LIST", &(ImapListed) {none, '/', "Foo", info, "nil"});
	expect_response (&w, "* LIST () \"/\" Foo (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (\"nil\"))\r\n");
	imap_write_status_items (&w, "blurdybloop", items, G_N_ELEMENTS (items));
	expect_response (&w, "* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292 MAILBOXID (F22) APPENDLIMIT NIL HIGHESTMODSEQ 9223372036854775807)\r\n");
	imap_write_untagged (&w, "NAMESPACE");
	imap_write_spaces (&w, personal, 2);
	imap_write_spaces (&w, NULL, 0);
	imap_write_spaces (&w, shared, 1);
	imap_write_end (&w);
	expect_response (&w, "* NAMESPACE ((\"\" \"/\")(\"#mh/\" \"/\")) NIL ((\"B&APY-x.\" \".\"))\r\n");
	w.utf8 = TRUE;
	imap_write_listed (&w, "LIST", &(ImapListed) {none, '/', "\303\251&", NULL, "\360\237\230\200"});
	expect_response (&w, "* LIST () \"/\" \"\303\251&\" (\"OLDNAME\" (\"\360\237\230\200\"))\r\n");
}

static void
message_responses (void **state)
{
	g_auto (ImapWriter) w = server ();
	g_auto (UidSet) uids = UID_SET_INIT, empty = UID_SET_INIT;
	static const guint32 numbers[] = {5, 3, 4};
	static const char *const fields[] = {"DATE", "X Y", NULL};
	uid_set_add_range (&uids, 41, 43);
	uid_set_add (&uids, 116);
	imap_write_vanished (&w, TRUE, &uids);
	expect_response (&w, "* VANISHED (EARLIER) 41:43,116\r\n");
	imap_write_vanished (&w, FALSE, &uids);
	expect_response (&w, "* VANISHED 41:43,116\r\n");
	imap_write_esearch (&w, &(ImapEsearch) {.tag = "A282", .min = 2, .has_count = TRUE, .count = 3});
	expect_response (&w, "* ESEARCH (TAG \"A282\") MIN 2 COUNT 3\r\n");
	imap_write_esearch (&w, &(ImapEsearch) {.tag = "a", .uid = TRUE, .max = 9, .all = &uids, .has_count = TRUE, .modseq = 1236});
	expect_response (&w, "* ESEARCH (TAG \"a\") UID MAX 9 ALL 41:43,116 COUNT 0 MODSEQ 1236\r\n");
	imap_write_esearch (&w, &(ImapEsearch) {.uid = TRUE, .partial_from = -1, .partial_to = -100, .partial = &empty});
	expect_response (&w, "* ESEARCH UID PARTIAL (-1:-100 NIL)\r\n");
	imap_write_esearch (&w, &(ImapEsearch) {.all = &empty, .partial_from = 1, .partial_to = 500, .partial = &uids});
	expect_response (&w, "* ESEARCH PARTIAL (1:500 41:43,116)\r\n");
	imap_write_numbers (&w, "SORT", numbers, 3, 0);
	expect_response (&w, "* SORT 5 3 4\r\n");
	imap_write_numbers (&w, "SEARCH", numbers, 3, 917162500);
	expect_response (&w, "* SEARCH 5 3 4 (MODSEQ 917162500)\r\n");
	imap_write_numbers (&w, "SEARCH", NULL, 0, 0);
	expect_response (&w, "* SEARCH\r\n");
	imap_write_numbered (&w, 23, "EXISTS");
	imap_write_end (&w);
	expect_response (&w, "* 23 EXISTS\r\n");
	imap_write_numbered (&w, 7, "FETCH");
	imap_write_open (&w);
	imap_write_word (&w, "UID");
	imap_write_number (&w, 9);
	imap_write_word (&w, "FLAGS");
	imap_write_flags (&w, 0, "$a no(atom \"x");
	imap_write_modseq (&w, 12);
	imap_write_word (&w, "INTERNALDATE");
	imap_write_date (&w, 760689784, -480);
	imap_write_object_id (&w, "EMAILID", "M1");
	imap_write_object_id (&w, "THREADID", NULL);
	imap_write_section (&w, "BODY", "2.1", "HEADER.FIELDS", fields, "0");
	imap_write_string (&w, slice ("a\r\nb"));
	imap_write_section (&w, "BINARY", "1", "", NULL, NULL);
	imap_write_literal (&w, 3, TRUE);
	g_string_append_len (w.text, "a\0b", 3);
	imap_write_close (&w);
	imap_write_end (&w);
	static const char want[] = "* 7 FETCH (UID 9 FLAGS ($a) MODSEQ (12) INTERNALDATE \" 7-Feb-1994 22:43:04 -0800\" EMAILID (M1) "
	                           "THREADID NIL BODY[2.1.HEADER.FIELDS (DATE \"X Y\")]<0> {4}\r\na\r\nb BINARY[1] ~{3}\r\na\0b)\r\n";
	g_autofree char *read = replies_text ((Slice) {w.text->str, w.text->len}, 1);
	assert_string_equal (read, "* 7 FETCH (UID 9 FLAGS ($a) MODSEQ (12) INTERNALDATE \" 7-Feb-1994 22:43:04 -0800\" EMAILID (M1) THREADID "
	                           "NIL BODY[2.1.HEADER.FIELDS (DATE \"X Y\")]<0> \"a\\x0d\\x0ab\" BINARY[1] ~\"a\\x00b\")");
	assert_int_equal (w.text->len, sizeof want - 1);
	assert_memory_equal (w.text->str, want, sizeof want - 1);
}

static void
other_responses (void **state)
{
	g_auto (ImapWriter) w = server ();
	const Slice id[] = {slice ("name"), slice ("outpost"), slice ("os"), slice (NULL)};
	imap_write_untagged (&w, "ID");
	imap_write_pairs (&w, id, 4);
	imap_write_end (&w);
	expect_response (&w, "* ID (\"name\" \"outpost\" \"os\" NIL)\r\n");
	imap_write_untagged (&w, "ID");
	imap_write_pairs (&w, NULL, 0);
	imap_write_end (&w);
	expect_response (&w, "* ID NIL\r\n");
	imap_write_untagged (&w, "THREAD");
	imap_write_open (&w);
	imap_write_number (&w, 2);
	imap_write_close (&w);
	imap_write_join (&w);
	imap_write_open (&w);
	imap_write_number (&w, 3);
	imap_write_open (&w);
	imap_write_number (&w, 4);
	imap_write_close (&w);
	imap_write_join (&w);
	imap_write_open (&w);
	imap_write_number (&w, 44);
	imap_write_close (&w);
	imap_write_close (&w);
	imap_write_end (&w);
	expect_response (&w, "* THREAD (2)(3 (4)(44))\r\n");
}

static void
envelopes (void **state)
{
	g_auto (ImapWriter) w = server ();
	const ImapAddress gray = {slice ("Terry Gray"), slice (NULL), slice ("gray"), slice ("cac.washington.edu")};
	const ImapAddress to[] = {{slice (NULL), slice (NULL), slice ("Group"), slice (NULL)},
	                          {slice ("A \"B\""), slice (NULL), slice ("imap"), slice ("x")},
	                          {slice (NULL), slice (NULL), slice (NULL), slice (NULL)}};
	const ImapEnvelope e = {.date = slice ("Wed, 17 Jul 1996"), .subject = slice ("Gr\374\337e\r\n x"), .from = {&gray, 1}, .to = {to, 3},
	                        .message_id = slice ("<B27397@x>")};
	imap_write_numbered (&w, 1, "FETCH");
	imap_write_open (&w);
	imap_write_word (&w, "ENVELOPE");
	imap_write_envelope (&w, &e);
	imap_write_close (&w);
	imap_write_end (&w);
	expect_response (&w, "* 1 FETCH (ENVELOPE (\"Wed, 17 Jul 1996\" {9}\r\nGr\374\337e\r\n x ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	                     "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	                     "((NIL NIL \"Group\" NIL)(\"A \\\"B\\\"\" NIL \"imap\" \"x\")(NIL NIL NIL NIL)) NIL NIL NIL \"<B27397@x>\"))\r\n");
	imap_write_envelope (&w, &(ImapEnvelope) {0});
	expect_text (&w, " (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)" + 1);
}

static void
body_structures (void **state)
{
	g_auto (ImapWriter) w = server ();
	const Slice charset[] = {slice ("CHARSET"), slice ("US-ASCII")}, boundary[] = {slice ("BOUNDARY"), slice ("x")};
	const Slice filename[] = {slice ("FILENAME"), slice ("a.png")}, languages[] = {slice ("EN"), slice ("DE")};
	const ImapBody text = {.type = slice ("TEXT"), .subtype = slice ("PLAIN"), .parameters = {charset, 2}, .octets = 3028, .lines = 92};
	const ImapBody image = {.type = slice ("IMAGE"), .subtype = slice ("PNG"), .id = slice ("<i@x>"), .encoding = slice ("BASE64"), .octets = 9,
	                        .md5 = slice ("Q2hl"), .disposition = slice ("ATTACHMENT"), .disposition_parameters = {filename, 2},
	                        .languages = {languages, 2}, .location = slice ("http://x/")};
	const ImapEnvelope envelope = {.subject = slice ("s")};
	const ImapBody empty = {.subtype = slice ("MIXED"), .is_multipart = TRUE};
	const ImapBody message = {.type = slice ("MESSAGE"), .subtype = slice ("RFC822"), .octets = 50, .lines = 4, .envelope = &envelope,
	                          .children = &empty, .n_children = 1};
	const ImapBody parts[] = {text, image, message};
	const ImapBody mixed = {.subtype = slice ("MIXED"), .parameters = {boundary, 2}, .languages = {languages, 1}, .children = parts,
	                        .n_children = 3, .is_multipart = TRUE};
	imap_write_body (&w, &text, FALSE);
	expect_text (&w, "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92)");
	imap_write_join (&w);
	imap_write_body (&w, &text, TRUE);
	expect_text (&w, "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92 NIL NIL NIL NIL)");
	imap_write_join (&w);
	imap_write_numbered (&w, 1, "FETCH");
	imap_write_open (&w);
	imap_write_word (&w, "BODYSTRUCTURE");
	imap_write_body (&w, &mixed, TRUE);
	imap_write_close (&w);
	imap_write_end (&w);
	expect_response (&w, "* 1 FETCH (BODYSTRUCTURE ((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92 NIL NIL NIL NIL)"
	                     "(\"IMAGE\" \"PNG\" NIL \"<i@x>\" NIL \"BASE64\" 9 \"Q2hl\" (\"ATTACHMENT\" (\"FILENAME\" \"a.png\")) (\"EN\" \"DE\") "
	                     "\"http://x/\")(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 50 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) "
	                     "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0 NIL NIL NIL NIL) \"MIXED\" NIL NIL NIL NIL) 4 NIL NIL NIL NIL) \"MIXED\" "
	                     "(\"BOUNDARY\" \"x\") NIL \"EN\" NIL))\r\n");
	imap_write_body (&w, &mixed, FALSE);
	expect_text (&w, "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92)(\"IMAGE\" \"PNG\" NIL \"<i@x>\" NIL \"BASE64\" 9)"
	                 "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 50 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) ((\"TEXT\" \"PLAIN\" NIL NIL NIL "
	                 "\"7BIT\" 0 0) \"MIXED\") 4) \"MIXED\")");
}

static void
strings_take_the_form_that_the_peer_can_read (void **state)
{
	static const struct {
		ImapLiterals literals;
		gboolean utf8, binary;
		const char *text;
		gsize size;
		const char *want;
		guint stops;
	} rows[] = {
		{LITERALS_WAIT, FALSE, FALSE, "", 0, "\"\"", 0},
		{LITERALS_WAIT, FALSE, FALSE, "a\"\\b", 4, "\"a\\\"\\\\b\"", 0},
		{LITERALS_WAIT, FALSE, FALSE, "\t\001", 2, "\"\t\001\"", 0},
		{LITERALS_WAIT, FALSE, FALSE, "a\r", 2, "{2}\r\na\r", 1},
		{LITERALS_SERVER, FALSE, FALSE, "a\n", 2, "{2}\r\na\n", 0},
		{LITERALS_PLUS, FALSE, FALSE, "a\n", 2, "{2+}\r\na\n", 0},
		{LITERALS_MINUS, FALSE, FALSE, "a\n", 2, "{2+}\r\na\n", 0},
		{LITERALS_WAIT, FALSE, FALSE, "\303\251", 2, "{2}\r\n\303\251", 1},
		{LITERALS_WAIT, TRUE, FALSE, "\303\251", 2, "\"\303\251\"", 0},
		{LITERALS_SERVER, TRUE, FALSE, "\351", 1, "{1}\r\n\351", 0},
		{LITERALS_SERVER, FALSE, FALSE, "a\0b", 3, "{3}\r\na\200b", 0},
		{LITERALS_PLUS, FALSE, TRUE, "a\0b", 3, "~{3+}\r\na", 0},
		{LITERALS_PLUS, FALSE, TRUE, "a\n", 2, "{2+}\r\na\n", 0},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_auto (ImapWriter) w;
		imap_writer_init (&w, rows[i].literals);
		w.utf8 = rows[i].utf8;
		w.binary = rows[i].binary;
		imap_write_string (&w, (Slice) {rows[i].text, rows[i].size});
		assert_string_equal (w.text->str, rows[i].want);
		assert_int_equal (w.stops->len, rows[i].stops);
	}
}

static void
long_strings_are_literals (void **state)
{
	static const struct {
		ImapLiterals literals;
		gsize size;
		const char *start;
	} rows[] = {
		{LITERALS_SERVER, 1000, "\"x"}, {LITERALS_SERVER, 1001, "{1001}\r\nx"}, {LITERALS_PLUS, 1001, "{1001+}\r\nx"},
		{LITERALS_WAIT, 4000, "\"x"},   {LITERALS_WAIT, 4001, "{4001}\r\nx"},   {LITERALS_MINUS, 4096, "{4096+}\r\nx"},
		{LITERALS_MINUS, 4097, "{4097}\r\nx"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_auto (ImapWriter) w;
		g_autofree char *text = g_strnfill (rows[i].size, 'x');
		imap_writer_init (&w, rows[i].literals);
		imap_write_string (&w, (Slice) {text, rows[i].size});
		assert_true (g_str_has_prefix (w.text->str, rows[i].start));
	}
}

static void
astrings_are_bare_where_nobody_can_mistake_them (void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"INBOX", "INBOX"}, {"a.b/c-d_e", "a.b/c-d_e"}, {"", "\"\""}, {"NIL", "\"NIL\""}, {"nil", "\"nil\""}, {"NILS", "NILS"},
		{"a b", "\"a b\""}, {"a*", "\"a*\""}, {"a%", "\"a%\""}, {"[a", "\"[a\""}, {"a]", "\"a]\""}, {"\\a", "\"\\\\a\""}, {"a(", "\"a(\""},
		{"{5}", "\"{5}\""}, {"~{5}", "\"~{5}\""}, {"a\"b", "\"a\\\"b\""}, {"123", "123"}, {"$", "$"},
	};
	for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
		g_auto (ImapWriter) w = server ();
		imap_write_astring (&w, slice (rows[i].text));
		expect_text (&w, rows[i].want);
	}
	g_auto (ImapWriter) w = server ();
	imap_write_pattern (&w, "a/%*");
	imap_write_pattern (&w, "\303\251 *");
	imap_write_mailbox (&w, "a*");
	expect_text (&w, "a/%* \"&AOk- *\" \"a*\"");
}

static void
commands_are_written_and_stop_where_the_client_must_wait (void **state)
{
	g_auto (ImapWriter) w;
	g_auto (ImapSet) set = {0};
	imap_writer_init (&w, LITERALS_WAIT);
	imap_write_command (&w, "a1", "LOGIN");
	imap_write_astring (&w, slice ("al\303\251"));
	imap_write_string (&w, slice ("pass word\n"));
	imap_write_end (&w);
	assert_int_equal (w.stops->len, 2);
	assert_int_equal (g_array_index (w.stops, gsize, 0), strlen ("a1 LOGIN {4}\r\n"));
	assert_int_equal (g_array_index (w.stops, gsize, 1), strlen ("a1 LOGIN {4}\r\nal\303\251 {10}\r\n"));
	expect_text (&w, "a1 LOGIN {4}\r\nal\303\251 {10}\r\npass word\n\r\n");
	assert_true (imap_set_parse (&set, slice ("5:*,1"), 9));
	imap_write_command (&w, "a2", "UID SEARCH");
	imap_write_word (&w, "SINCE");
	imap_write_day (&w, 8797);
	imap_write_word (&w, "UID");
	imap_write_set (&w, &set);
	imap_write_end (&w);
	expect_text (&w, "a2 UID SEARCH SINCE 1-Feb-1994 UID 5:*,1\r\n");
}

/* ---- Random values: written and read, they are the same. ---- */

typedef struct {
	GRand *random;
	ImapWriter *w;
	GString *want; /* as tree-text.h says it */
} Maker;

static Slice
random_octets (GRand *random, GString *to)
{
	static const char *const alphabets[] = {"abcXYZ019", "a \"\\(){}[]%*~+", "\r\n\t\001 {3}", "\303\251\351\377\200a", "a\0b"};
	guint alphabet = (guint) g_rand_int_range (random, 0, G_N_ELEMENTS (alphabets));
	gint32 n = g_rand_int_range (random, 0, 100) ? g_rand_int_range (random, 0, 20) : g_rand_int_range (random, 900, 5000);
	gint32 size = alphabet == 4 ? 3 : (gint32) strlen (alphabets[alphabet]);
	g_string_truncate (to, 0);
	for (; n > 0; n--)
		g_string_append_c (to, alphabets[alphabet][g_rand_int_range (random, 0, size)]);
	return (Slice) {to->str, to->len};
}

static void
make_string (Maker *m)
{
	g_autoptr (GString) octets = g_string_new (NULL);
	Slice text = random_octets (m->random, octets);
	gboolean nul = text.size > 0 && memchr (text.data, '\0', text.size);
	imap_write_string (m->w, text);
	for (gsize i = 0; i < octets->len && !m->w->binary; i++)
		octets->str[i] = octets->str[i] ? octets->str[i] : (char) 0x80;
	ImapNode n = {.kind = NODE_STRING, .literal8 = nul && m->w->binary, .text = {octets->str, octets->len}};
	tree_text_add (m->want, &n);
}

static void
make_word (Maker *m)
{
	static const char *const words[] = {"a", "NIL", "\\Seen", "1:*", "$x", "a]", "%", "X-Y.Z", "18446744073709551615", "\\*", "[", "#$&'+,-./:;<=>?@^_`|}~"};
	const char *word = words[g_rand_int_range (m->random, 0, G_N_ELEMENTS (words))];
	imap_write_word (m->w, word);
	g_string_append (m->want, word);
}

static void
make_values (Maker *m, guint depth)
{
	for (gint32 n = g_rand_int_range (m->random, 0, 6), i = 0; i < n; i++) {
		g_string_append (m->want, i ? " " : "");
		gint32 kind = g_rand_int_range (m->random, 0, depth < 5 ? 4 : 3);
		if (kind == 3) {
			imap_write_open (m->w);
			g_string_append_c (m->want, '(');
			make_values (m, depth + 1);
			imap_write_close (m->w);
			g_string_append_c (m->want, ')');
		} else if (kind == 2)
			make_word (m);
		else
			make_string (m);
	}
}

static void
random_trees_survive_as_responses (void **state)
{
	g_autoptr (GRand) random = g_rand_new_with_seed (11);
	for (guint round = 0; round < 4000; round++) {
		g_auto (ImapWriter) w = server ();
		g_autoptr (GString) want = g_string_new ("* 7 FETCH (UID ");
		w.utf8 = g_rand_boolean (random);
		w.binary = g_rand_boolean (random);
		imap_write_numbered (&w, 7, "FETCH");
		imap_write_open (&w);
		imap_write_word (&w, "UID");
		imap_write_open (&w);
		g_string_append_c (want, '(');
		make_values (&(Maker) {random, &w, want}, 0);
		imap_write_close (&w);
		imap_write_close (&w);
		imap_write_end (&w);
		g_string_append (want, "))");
		Slice text = {w.text->str, w.text->len};
		g_autofree char *whole = replies_text (text, text.size), *pieces = replies_text (text, 1);
		assert_string_equal (whole, want->str);
		assert_string_equal (pieces, want->str);
	}
}

/* Sent up to each stop the parser says CONTINUE, and nowhere else. */
static void
check_stops (const ImapWriter *w)
{
	g_autoptr (ImapCommand) c = imap_command_new (&imap_limits_logged_on);
	imap_command_allow_utf8 (c, w->utf8);
	gsize at = 0, used;
	for (guint i = 0; i < w->stops->len; i++, at += used) {
		assert_int_equal (imap_command_feed (c, (Slice) {w->text->str + at, g_array_index (w->stops, gsize, i) - at}, &used), COMMAND_CONTINUE);
		assert_int_equal (at + used, g_array_index (w->stops, gsize, i));
	}
	assert_int_equal (imap_command_feed (c, (Slice) {w->text->str + at, w->text->len - at}, &used), COMMAND_DONE);
	assert_int_equal (at + used, w->text->len);
}

static void
random_trees_survive_as_commands (void **state)
{
	g_autoptr (GRand) random = g_rand_new_with_seed (12);
	for (guint round = 0; round < 4000; round++) {
		g_auto (ImapWriter) w;
		g_autoptr (GString) want = g_string_new ("a1 UID XTRY");
		imap_writer_init (&w, (ImapLiterals) g_rand_int_range (random, LITERALS_WAIT, LITERALS_PLUS + 1));
		w.utf8 = g_rand_boolean (random);
		w.binary = g_rand_boolean (random);
		imap_write_command (&w, "a1", "UID XTRY");
		g_string_append_c (want, ' ');
		make_values (&(Maker) {random, &w, want}, 0);
		imap_write_end (&w);
		if (want->str[want->len - 1] == ' ')
			g_string_truncate (want, want->len - 1);
		for (guint i = 0; i < w.stops->len; i++)
			g_string_prepend (want, "+\n");
		Slice text = {w.text->str, w.text->len};
		g_autofree char *whole = commands_text (text, text.size, &imap_limits_logged_on, w.utf8);
		g_autofree char *pieces = commands_text (text, 1, &imap_limits_logged_on, w.utf8);
		assert_string_equal (whole, want->str);
		assert_string_equal (pieces, want->str);
		check_stops (&w);
	}
}

static void
random_names_survive_in_both_forms (void **state)
{
	g_autoptr (GRand) random = g_rand_new_with_seed (13);
	g_autoptr (ImapReply) r = imap_reply_new ();
	static const char *const none[] = {NULL};
	for (guint round = 0; round < 5000; round++) {
		g_auto (ImapWriter) w = server ();
		g_autoptr (GString) name = g_string_new (NULL);
		for (gint n = g_rand_int_range (random, 1, 15); n > 0; n--) {
			gunichar c = (gunichar) g_rand_int_range (random, ' ', g_rand_boolean (random) ? 0x7f : 0x3000);
			g_string_append_unichar (name, c == 0x7f ? '&' : c);
		}
		w.utf8 = g_rand_boolean (random);
		imap_write_listed (&w, "LIST", &(ImapListed) {none, '/', name->str, NULL, name->str});
		gsize used;
		gboolean complete;
		assert_true (imap_reply_feed (r, (Slice) {w.text->str, w.text->len}, &used, &complete, NULL) && complete);
		g_autofree char *wire = slice_dup (reply_text (r, 2));
		g_autofree char *read = w.utf8 ? g_strdup (wire) : utf7_decode (slice (wire), TRUE);
		assert_string_equal (read, name->str);
		assert_true (slice_equals (node_text (node_at (node_at (reply_arg (r, 3), 1), 0)), wire));
	}
}

static void
random_sets_and_states_survive (void **state)
{
	g_autoptr (GRand) random = g_rand_new_with_seed (14);
	g_autoptr (ImapReply) r = imap_reply_new ();
	for (guint round = 0; round < 3000; round++) {
		g_auto (ImapWriter) w = server ();
		g_auto (UidSet) uids = UID_SET_INIT, search = UID_SET_INIT, vanished = UID_SET_INIT;
		g_auto (ImapSet) ordered = {0}, from = {0}, to = {0};
		for (gint n = g_rand_int_range (random, 1, 50); n > 0; n--) {
			uid_set_add (&uids, (guint32) g_rand_int_range (random, 1, 100));
			imap_set_append (&ordered, (guint32) g_rand_int_range (random, 1, 10));
		}
		guint flags = (guint) g_rand_int_range (random, 0, 32), uidvalidity = g_rand_int (random) | 1;
		guint64 modseq = (guint64) g_rand_int (random) << 31;
		gint64 time, date = g_rand_int (random);
		int zone, east = g_rand_int_range (random, -700, 700);
		imap_write_vanished (&w, FALSE, &uids);
		imap_write_esearch (&w, &(ImapEsearch) {.tag = "a", .uid = TRUE, .all = &uids, .modseq = modseq});
		imap_write_copyuid (&w, "a", uidvalidity, &ordered, &ordered, "x");
		imap_write_numbered (&w, 3, "FETCH");
		imap_write_open (&w);
		imap_write_word (&w, "FLAGS");
		imap_write_flags (&w, flags, NULL);
		imap_write_word (&w, "INTERNALDATE");
		imap_write_date (&w, date, east);
		imap_write_close (&w);
		imap_write_end (&w);
		gsize at = 0, used;
		for (gboolean complete; at < w.text->len; at += used) {
			assert_true (imap_reply_feed (r, (Slice) {w.text->str + at, MIN (w.text->len - at, 7)}, &used, &complete, NULL));
			if (!complete)
				continue;
			if (reply_is (r, "VANISHED"))
				reply_take_vanished (r, &vanished);
			else if (reply_is (r, "ESEARCH")) {
				reply_take_search (r, &search);
				assert_true (reply_search_modseq (r) == modseq && slice_equals (reply_esearch_tag (r), "a"));
			} else if (reply_is_status (r)) {
				guint32 validity;
				assert_true (imap_copyuid_parse (reply_code_args (r), &validity, &from, &to, 100) && validity == uidvalidity);
			} else {
				guint got = 0;
				for (const ImapNode *n = node_first (node_at (reply_arg (r, 0), 1)); n; n = node_next (n))
					got |= flag_bit (node_text (n));
				assert_int_equal (got, flags);
				assert_true (date_parse (node_text (node_at (reply_arg (r, 0), 3)), &time, &zone) && time == date && zone == east);
			}
		}
		assert_true (search.n_ranges == uids.n_ranges && vanished.n_ranges == uids.n_ranges);
		assert_memory_equal (search.ranges, uids.ranges, uids.n_ranges * sizeof *uids.ranges);
		assert_memory_equal (vanished.ranges, uids.ranges, uids.n_ranges * sizeof *uids.ranges);
		assert_true (from.n_ranges == ordered.n_ranges && to.n_ranges == ordered.n_ranges);
		assert_memory_equal (from.ranges, ordered.ranges, from.n_ranges * sizeof *from.ranges);
	}
}

int
main (void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test (status_responses),
		cmocka_unit_test (folder_responses),
		cmocka_unit_test (message_responses),
		cmocka_unit_test (other_responses),
		cmocka_unit_test (envelopes),
		cmocka_unit_test (body_structures),
		cmocka_unit_test (strings_take_the_form_that_the_peer_can_read),
		cmocka_unit_test (long_strings_are_literals),
		cmocka_unit_test (astrings_are_bare_where_nobody_can_mistake_them),
		cmocka_unit_test (commands_are_written_and_stop_where_the_client_must_wait),
		cmocka_unit_test (random_trees_survive_as_responses),
		cmocka_unit_test (random_trees_survive_as_commands),
		cmocka_unit_test (random_names_survive_in_both_forms),
		cmocka_unit_test (random_sets_and_states_survive),
	};
	return cmocka_run_group_tests (tests, NULL, NULL);
}
