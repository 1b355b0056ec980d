/* SPDX-License-Identifier: Apache-2.0 */
#include "mailbox.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "search.h"

#define PLAIN "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
#define DAY 86400

typedef struct {
	const char *name, *folder, *date; /* date: yyyy-mm-dd, received at noon UTC */
	guint flags;
	const char *keywords, *head, *body;
} Mail;

/* In the order of mailbox_names, which is not that of their dates. */
static const Mail mails[] = {
	{"budget", "INBOX", "2024-05-01", 0, NULL,
	 "From: Ada Berg <ada@example.org>\r\nTo: Bob Stone <bob@example.net>, carol@example.com\r\nSubject: Budget for the third quarter\r\n",
	 PLAIN "Dear Bob,\r\n\r\nplease find the annual report attached. The meeting is on Thursday at 10:30.\r\nOrder 4711-A, EUR 1,234.56.\r\n"},
	{"reply", "INBOX", "2024-05-02", FLAG_SEEN | FLAG_ANSWERED, "receipts",
	 "From: bob@example.net\r\nTo: ada@example.org\r\nCc: Dan <dan@elsewhere.test>\r\nSubject: Re: Budget for the third quarter\r\n"
	 "In-Reply-To: <budget@test>\r\nReferences: <budget@test>\r\n",
	 PLAIN "Report is annual, isn't it? Don't wait.\r\n> please find the annual\r\n> report attached\r\n"},
	{"german", "Archive", "2023-11-20", FLAG_SEEN, "$Work receipts",
	 "From: =?iso-8859-1?Q?J=F6rg_M=FCller?= <joerg@example.de>\r\nTo: ada@example.org\r\nSubject: =?UTF-8?B?R3LDvMOfZSBhdXMgTcO8bmNoZW4=?=\r\n",
	 "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	 "Die Stra=DFe zur =DCbersicht ist gesperrt. Sch=F6ne Gr=FC=DFe!\r\n"},
	{"french", "Archive/2023", "2023-01-15", FLAG_SEEN | FLAG_FLAGGED, NULL,
	 "From: Chloe <chloe@example.fr>\r\nTo: liste@example.fr\r\nSubject: Ordre du jour\r\nList-Id: Amis <amis.lists.example.fr>\r\n",
	 PLAIN "L'été dernier, nous avons décidé d'attendre à côté de l'hôtel. Œuvre inachevée.\r\n"},
	{"russian", "INBOX", "2024-03-10", 0, NULL,
	 "From: =?koi8-r?B?5M3J1NLJyg==?= <dmitri@example.ru>\r\nTo: ada@example.org\r\nSubject: =?koi8-r?B?88/Xxd3BzsnF?=\r\n",
	 "Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	 "8M/WwczVytPUwSwg0NLJ28zJ1MUgzs/X2cogz9Teo9QgzyDCwMTWxdTFLgo=\r\n"},
	{"greek", "INBOX", "2024-03-11", FLAG_SEEN, NULL, "From: nikos@example.gr\r\nTo: ada@example.org\r\nSubject: Συνάντηση\r\n",
	 PLAIN "Η συνάντηση για τον προϋπολογισμό μεταφέρεται. Οι Έλληνες ΟΔΟΣ.\r\n"},
	{"hebrew", "INBOX", "2024-03-12", FLAG_SEEN, NULL, "From: dana@example.il\r\nTo: ada@example.org\r\nSubject: =?UTF-8?B?16TXkg==?=\r\n =?UTF-8?B?15nXqdeU?=\r\n",
	 PLAIN "הפגישה על התקציב נדחית. שָׁלוֹם לכולם\r\n"},
	{"arabic", "INBOX", "2024-03-13", FLAG_SEEN, NULL, "From: omar@example.eg\r\nTo: ada@example.org\r\nSubject: اجتماع\r\n",
	 PLAIN "السلام عليكم، الاجتماع يوم ٢٥ مُحَمَّد وأحمد.\r\n"},
	{"chinese", "INBOX", "2024-03-14", 0, NULL, "From: wei@example.cn\r\nTo: ada@example.org\r\nSubject: =?gb2312?B?1KTL47vh0uk=?=\r\n",
	 PLAIN "请带上下个季度的预\r\n算数字，会议室在二楼。COVID疫苗已到。\r\n"},
	{"japanese", "INBOX", "2024-03-15", FLAG_SEEN, NULL,
	 "From: =?iso-2022-jp?B?GyRCOjRGIzJWO1IbKEI=?= <hanako@example.jp>\r\nTo: ada@example.org\r\nSubject: =?iso-2022-jp?B?GyRCTT07OzJxNUQbKEI=?=\r\n",
	 PLAIN "東京のサーバーは明日停止します。ご確認ください。\r\n"},
	{"korean", "INBOX", "2024-03-16", FLAG_SEEN, NULL, "From: min@example.kr\r\nTo: ada@example.org\r\nSubject: 예산 회의\r\n",
	 PLAIN "다음 주 회의에서 예산안을 검토합니다.\r\n"},
	{"thai", "INBOX", "2024-03-17", FLAG_SEEN, NULL, "From: somchai@example.th\r\nTo: ada@example.org\r\nSubject: การประชุม\r\n",
	 PLAIN "การประชุมงบประมาณเลื่อนไปวันพฤหัสบดี\r\n"},
	{"html", "INBOX", "2024-04-01", FLAG_SEEN, NULL, "From: shop@example.com\r\nTo: ada@example.org\r\nSubject: Your order\r\n",
	 "Content-Type: text/html; charset=utf-8\r\n\r\n<html><head><style>p{color:invisible}</style><title>Shop</title></head><body><p>Your "
	 "par<b>cel</b> has&nbsp;shipped&#33;</p><script>var scripted=1;</script><p>Caf&eacute; cr&egrave;me</p></body></html>\r\n"},
	{"files", "Sent", "2024-04-15", FLAG_SEEN, "$Forwarded", "From: ada@example.org\r\nTo: bob@example.net\r\nSubject: Documents\r\n",
	 "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" PLAIN "See both files.\r\n--b\r\nContent-Type: application/pdf\r\n"
	 "Content-Disposition: attachment; filename*=UTF-8''%C3%9Cbersicht%202024.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b\r\n"
	 "Content-Type: text/plain; name=notes.txt\r\nContent-Disposition: attachment; filename=notes.txt\r\n\r\nhidden treasure map\r\n--b--\r\n"},
	{"forward", "Sent", "2024-04-16", FLAG_SEEN, NULL, "From: ada@example.org\r\nTo: carol@example.com\r\nSubject: Fwd: news\r\n",
	 "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" PLAIN "For you.\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
	 "From: Edna Vale <edna@inner.test>\r\nSubject: Lighthouse keepers\r\n\r\nThe lamp was replaced.\r\n--b--\r\n"},
	{"draft", "Entwürfe", "2024-05-03", FLAG_SEEN | FLAG_DRAFT, NULL, "From: ada@example.org\r\nBcc: eve@secret.test\r\nSubject: \r\n", PLAIN "unfinished\r\n"},
	{"radio", "Projects/Ham Radio", "2022-07-04", FLAG_SEEN, NULL, "From: carol@example.com\r\nTo: ada@example.org\r\nSubject: Antenna (73)\r\n",
	 PLAIN "The dipole is up. The meeting was fun.\r\n"},
	{"big", "Archive", "2022-01-01", FLAG_SEEN, NULL, "From: list@example.com\r\nTo: ada@example.org\r\nSubject: Log\r\n", NULL},
	{"empty", "INBOX", "2021-01-01", FLAG_SEEN | FLAG_DELETED, NULL, "", "\r\n"},
	{"raw", "INBOX", "2021-02-01", FLAG_SEEN, NULL, "From: r@example.com\r\nSubject: caf\351 au lait\r\n", "Content-Type: text/plain\r\n\r\n\377\376 \1x binary\r\n"},
};

const char *const mailbox_names[] = {
	"budget", "reply", "german", "french", "russian", "greek", "hebrew", "arabic", "chinese", "japanese", "korean", "thai", "html", "files",
	"forward", "draft", "radio", "big", "empty", "raw", NULL,
};

static void
must (gboolean ok, GError *error)
{
	if (!ok)
		fail_msg ("%s", error ? error->message : "failed");
}

static gint64
noon (const char *date)
{
	g_autofree char *text = g_strconcat (date, "T12:00:00Z", NULL);
	g_autoptr (GDateTime) t = g_date_time_new_from_iso8601 (text, NULL);
	return g_date_time_to_unix (t);
}

/* Over SEARCH_TEXT_MAX of text, so that its end is not searched, and over one chunk of the store. */
static char *
big_body (void)
{
	GString *text = g_string_new (PLAIN "firstword ");
	while (text->len < SEARCH_TEXT_MAX * 5 / 4)
		g_string_append (text, "filler line of a long log that goes on and on\r\n");
	g_string_append (text, "lastword\r\n");
	return g_string_free (text, FALSE);
}

static void
add (Store *s, const Mail *m)
{
	GError *e = NULL;
	gint64 folder, message;
	g_autofree char *body = m->body ? g_strdup (m->body) : big_body ();
	g_autofree char *text = g_strdup_printf ("%sMessage-ID: <%s@test>\r\n%s", m->head, m->name, body);
	g_autoptr (GBytes) octets = g_bytes_new (text, strlen (text));
	g_autoptr (Prepared) p = prepare_bytes (octets, noon (m->date), 0);
	g_autoptr (Folder) f = store_folder_by_path (s, m->folder, &e);
	must (f != NULL, e);
	folder = f->id;
	must (store_begin (s, &e) && store_add_message (s, p, folder, &message, &e) &&
	      store_place (s, folder, message, m->flags, m->keywords, FALSE, 0, NULL, &e) && store_commit (s, &e), e);
}

static void
make_folder (Store *s, const char *path, const char *role)
{
	GError *e = NULL;
	gint64 id;
	must (store_begin (s, &e) && store_folder_create_path (s, path, &id, &e) && store_folder_set (s, id, role, TRUE, TRUE, &e) &&
	      store_commit (s, &e), e);
}

Store *
mailbox_make (const char *path, guint index_after)
{
	static const char *const folders[][2] = {{"INBOX", "inbox"}, {"Archive", NULL}, {"Archive/2023", NULL}, {"Sent", "sent"},
	                                         {"Projects/Ham Radio", NULL}, {"Entwürfe", "drafts"}};
	GError *e = NULL;
	Store *s = store_open (path, STORE_CREATE, &e);
	must (s != NULL, e);
	for (gsize i = 0; i < G_N_ELEMENTS (folders); i++)
		make_folder (s, folders[i][0], folders[i][1]);
	for (guint i = 0; i < G_N_ELEMENTS (mails); i++) {
		assert_string_equal (mails[i].name, mailbox_names[i]);
		add (s, &mails[i]);
		if (i + 1 == index_after)
			must (search_index (s, NULL, NULL, NULL, NULL, &e), e);
	}
	return s;
}
