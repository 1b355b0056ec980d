# SPDX-License-Identifier: Apache-2.0
"""Seeded mail that looks like mail: eight languages, threads, HTML alternatives, attachments, dates over years.

The same seed gives the same octets. Words come from short lists, so a body is not prose, but its length, its charsets and its
MIME shapes are those of real mailboxes (median about 3.5 KB)."""
import base64
import os
import quopri
import random
import time

WORDS = {
    "en": ("utf-8", "the meeting about our budget moves to Thursday please bring figures for next quarter and tell me whether "
           "that release can wait until after the review because two people are away we still need an answer from legal"),
    "de": ("iso-8859-1", "die Besprechung über den Haushalt verschiebt sich auf Donnerstag bitte bringen Sie die Zahlen für "
           "das nächste Quartal mit und schreiben mir ob die Veröffentlichung bis nach der Prüfung warten kann schöne Grüße"),
    "fr": ("iso-8859-15", "la réunion sur le budget est reportée à jeudi merci d'apporter les chiffres du prochain trimestre "
           "et de me dire si la livraison peut attendre après la vérification car deux collègues sont absents à bientôt"),
    "ru": ("koi8-r", "совещание по бюджету переносится на четверг пожалуйста принесите цифры за следующий квартал и сообщите "
           "может ли выпуск подождать до проверки потому что двое в отпуске нам всё ещё нужен ответ юристов"),
    "he": ("iso-8859-8", "הפגישה על התקציב נדחית ליום חמישי אנא הביאו את הנתונים לרבעון הבא וספרו לי אם ההוצאה יכולה לחכות "
           "עד אחרי הבדיקה כי שני אנשים בחופשה ואנחנו עדיין צריכים תשובה"),
    "ja": ("iso-2022-jp", "予算会議 は 木曜日 に 変更 します 次の 四半期 の 数字 を 持って きて ください 確認 の 後 まで 公開 を 待てる か 教えて "
           "ください 二人 が 休暇 中 です まだ 回答 が 必要 です"),
    "zh": ("gb2312", "预算 会议 改到 星期四 请 带上 下个 季度 的 数字 并 告诉 我 发布 能否 等到 审核 之后 因为 有 两位 同事 休假 我们 "
           "仍然 需要 法务 的 答复"),
    "el": ("iso-8859-7", "η συνάντηση για τον προϋπολογισμό μεταφέρεται την Πέμπτη παρακαλώ φέρτε τα στοιχεία για το επόμενο "
           "τρίμηνο και πείτε μου αν η έκδοση μπορεί να περιμένει μετά τον έλεγχο"),
}
WORDS = {code: (charset, text.split()) for code, (charset, text) in WORDS.items()}
WEIGHTED = ["en"] * 12 + ["de"] * 4 + ["fr"] * 2 + ["ru"] * 2 + ["he", "ja", "zh", "el"]
PEOPLE = ["Ada Berg", "Bruno Keller", "Chloé Martin", "Дмитрий Орлов", "Eva Lindqvist", "דנה לוי", "佐藤花子", "王伟",
          "Νίκος Παππάς", "Grace Okafor", "Hugo Weiß", "Ines Duarte"]
LETTERS = ["ada", "bruno", "chloe", "dmitri", "eva", "dana", "hanako", "wei", "nikos", "grace", "hugo", "ines"]
KEYWORDS = ["$Forwarded", "$MDNSent", "$Work", "receipts", "$label1"]
SYSTEM = {"\\Seen": "S", "\\Answered": "R", "\\Flagged": "F", "\\Draft": "D", "\\Deleted": "T"}
FOLDERS = ["INBOX", "Archive", "Sent", "Drafts", "Trash", "Junk", "Lists", "Lists/kernel", "Lists/ham radio", "Müller & Söhne",
           "Проекты", "仕事", "Receipts", "Travel", "Family"]
START = 1420070400
YEARS = 10 * 365 * 86400


def encoded_word(text, charset="utf-8"):
    if text.isascii():
        return text
    out, piece = [], ""
    for character in text + "\0":
        if character == "\0" or len((piece + character).encode(charset, "replace")) > 40:
            out.append("=?%s?B?%s?=" % (charset, base64.b64encode(piece.encode(charset, "replace")).decode()))
            piece = ""
        piece += character
    return "\r\n ".join(out)


class Generator:
    def __init__(self, seed=1, attachments=True):
        self.random = random.Random(seed)
        self.seed = seed
        self.number = 0
        self.attachments = attachments
        self.threads = []
        # Real attachments do not compress; one pool of noise, cut at random places, is quicker than making it each time.
        self.noise = base64.encodebytes(self.random.randbytes(600000)).replace(b"\n", b"\r\n")
        self.paragraphs = {code: [self.paragraph(code) for _ in range(120)] for code in WORDS}

    def paragraph(self, code):
        r = self.random
        words = r.choices(WORDS[code][1], k=r.randint(12, 70))
        lines, line = [], words[0].capitalize()
        for word in words[1:]:
            if len(line) + len(word) > 70:
                lines.append(line)
                line = word
            else:
                line += " " + word
        return "\r\n".join(lines + [line + "."])

    def text_part(self, code, size):
        r, charset = self.random, WORDS[code][0]
        pieces, length = [], 0
        while length < size:
            piece = r.choice(self.paragraphs[code])
            if r.random() < 0.25:
                piece = "> " + piece.replace("\r\n", "\r\n> ")
            pieces.append(piece)
            length += len(piece)
        text = "\r\n\r\n".join(pieces) + f"\r\n\r\n-- \r\nref {self.number:08d}\r\n"
        return text, charset

    def leaf(self, text, charset, subtype="plain"):
        octets = text.encode(charset, "replace")
        if charset == "iso-2022-jp":
            coding, body = "7bit", octets
        elif octets.isascii():
            charset, coding, body = "us-ascii", "7bit", octets
        elif self.number % 3 == 0:
            coding, body = "8bit", octets
        elif charset in ("koi8-r", "gb2312", "iso-8859-8", "iso-8859-7", "utf-8"):
            coding, body = "base64", base64.encodebytes(octets).replace(b"\n", b"\r\n")
        else:
            coding = "quoted-printable"
            body = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        return (f"Content-Type: text/{subtype}; charset={charset}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n"
                .encode() + body)

    def wrap(self, kind, parts):
        edge = f"=_{self.number:x}_{kind[:3]}_{self.random.getrandbits(64):016x}"
        out = [f'Content-Type: multipart/{kind}; boundary="{edge}"\r\n\r\n'.encode()]
        for part in parts:
            out.append(f"\r\n--{edge}\r\n".encode() + part)
        out.append(f"\r\n--{edge}--\r\n".encode())
        return b"".join(out)

    def attachment(self):
        r = self.random
        kind, name = r.choice([("application/pdf", "invoice.pdf"), ("image/jpeg", "IMG_2041.JPG"),
                               ("application/zip", "Übersicht.zip"), ("text/calendar", "invite.ics")])
        size = min(int(r.lognormvariate(9.3, 1.1)), 400000)
        start = r.randrange(0, len(self.noise) - size) // 78 * 78
        return (f"Content-Type: {kind}\r\nContent-Disposition: attachment;\r\n filename=\"{encoded_word(name)}\"\r\n"
                "Content-Transfer-Encoding: base64\r\n\r\n").encode() + self.noise[start:start + size // 78 * 78 + 78]

    def message(self):
        """(octets, flags, received seconds) of the next message."""
        r = self.random
        self.number += 1
        n = self.number
        when = START + int(YEARS * r.random())
        code = r.choice(WEIGHTED)
        who = r.randrange(len(PEOPLE))
        ident = f"<{n}.{self.seed}.{r.getrandbits(32):08x}@mail.example.org>"
        references = ""
        if self.threads and r.random() < 0.45:
            code, subject, chain = r.choice(self.threads[-60:])
            references = (f"In-Reply-To: {chain[-1]}\r\nReferences: " + "\r\n ".join(chain[-12:]) + "\r\n")
            chain.append(ident)
            if not subject.startswith("Re: "):
                subject = "Re: " + subject
        else:
            subject = " ".join(r.choices(WORDS[code][1], k=r.randint(2, 7)))
            self.threads.append((code, subject, [ident]))
            del self.threads[:-60]
        lists = ("List-Id: <project.lists.example.org>\r\nPrecedence: list\r\n" if n % 3 == 0 else "")
        stamp = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(when - r.randrange(90)))
        head = (f"Return-Path: <{LETTERS[who]}@example.net>\r\n"
                f"Received: from mx{r.randrange(9)}.example.net (mx.example.net [192.0.2.{r.randrange(1, 254)}])\r\n"
                f"\tby mail.example.org with ESMTPS id {r.getrandbits(48):012X}\r\n\tfor <alice@example.org>; {stamp}\r\n"
                "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=s1;\r\n"
                f"\th=from:to:subject:date:message-id; bh={r.getrandbits(256):064x};\r\n\tb={r.getrandbits(900):0225x}\r\n"
                f"From: {encoded_word(PEOPLE[who])} <{LETTERS[who]}@example.net>\r\nTo: Alice <alice@example.org>\r\n"
                f"Subject: {encoded_word(subject, WORDS[code][0] if n % 2 else 'utf-8')}\r\nDate: {stamp}\r\n"
                f"Message-ID: {ident}\r\n{references}{lists}MIME-Version: 1.0\r\n").encode()
        text, charset = self.text_part(code, min(int(r.lognormvariate(6.9, 0.9)), 60000))
        body = self.leaf(text, charset)
        if r.random() < 0.4:
            html = ("<html><body style=\"font-family:sans-serif\"><p>" +
                    text.replace("&", "&amp;").replace("<", "&lt;").replace("\r\n\r\n", "</p>\r\n<p>") +
                    "</p></body></html>\r\n")
            body = self.wrap("alternative", [body, self.leaf(html, "utf-8", "html")])
        if self.attachments and r.random() < 0.07:
            body = self.wrap("mixed", [body, self.attachment()])
        flags = []
        if r.random() < 0.8:
            flags.append("\\Seen")
        if r.random() < 0.2:
            flags.append("\\Answered")
        if r.random() < 0.05:
            flags.append("\\Flagged")
        if r.random() < 0.06:
            flags.append(r.choice(KEYWORDS))
        return head + body, flags, when

    def messages(self, count):
        for _ in range(count):
            yield self.message()


def folder_names(count):
    return [FOLDERS[i] if i < len(FOLDERS) else f"Projects {i:03d}" for i in range(count)]


def spread(generator, count, folders):
    """folder -> list of messages; the first folder gets a third, the others share the rest unevenly."""
    out = {name: [] for name in folders}
    weights = [len(folders)] + [1 + i % 4 for i in range(len(folders) - 1)]
    for name in generator.random.choices(folders, weights, k=count):
        out[name].append(generator.message())
    return out


def maildir_folder(top, folder):
    """Maildir++ path of a folder whose levels are split by '/'."""
    from imapclient import to_utf7
    return top if folder == "INBOX" else os.path.join(top, "." + to_utf7(folder).replace("/", "."))


def write_maildir(top, generator, count, folders):
    """Writes straight into a Maildir++ as Dovecot keeps it, keywords and all. Much quicker than APPEND."""
    weights = [len(folders)] + [1 + i % 4 for i in range(len(folders) - 1)]
    sequence = 0
    for folder in folders:
        path = maildir_folder(top, folder)
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(path, part), exist_ok=True)
        with open(os.path.join(path, "dovecot-keywords"), "w") as keywords:
            keywords.writelines(f"{i} {word}\n" for i, word in enumerate(KEYWORDS))
    with open(os.path.join(top, "subscriptions"), "w") as subscriptions:
        from imapclient import to_utf7
        subscriptions.write("V\t2\n\n" + "".join(to_utf7(f).replace("/", "\t") + "\n" for f in folders))
    for folder in generator.random.choices(folders, weights, k=count):
        octets, flags, when = generator.message()
        sequence += 1
        letters = "".join(sorted([SYSTEM[f] for f in flags if f in SYSTEM])) + "".join(
            sorted(chr(97 + KEYWORDS.index(f)) for f in flags if f in KEYWORDS))
        lines = octets.count(b"\n")
        # The names sort by delivery, so UIDs do too; S= and W= spare Dovecot reading every file.
        name = f"{START}.M{sequence:08d}P1.host,S={len(octets)},W={len(octets)}:2,{letters}"
        path = os.path.join(maildir_folder(top, folder), "cur", name)
        with open(path, "wb") as out:
            out.write(octets)
        os.utime(path, (when, when))
        assert lines
