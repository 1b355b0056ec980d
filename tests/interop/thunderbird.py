#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Thunderbird, without its windows, on `outpost serve` or outpostd: what a person at it does, by its own code (marionette, chrome context).
The INBOX must have mail. Not part of make check: Thunderbird is large.
  apt-get install thunderbird && tests/interop/thunderbird.py [--tls | --starttls] [--submission PORT] HOST PORT USER PASSWORD"""
import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HELPERS = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const done = arguments[arguments.length - 1];
const [input] = arguments;
const NAME = "interop";
const server = () => MailServices.accounts.accounts.map(a => a.incomingServer).find(s => s.type == "imap");
const root = () => server().rootFolder;
const inbox = () => root().getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const named = name => root().descendants.find(f => f.name == name);
const messages = folder => [...folder.messages];
const wait = ms => new Promise(r => { const t = Cc["@mozilla.org/timer;1"].createInstance(Ci.nsITimer); t.initWithCallback(() => { void t; r(); }, ms, 0); });
async function until(what, true_now) {
  for (let n = 0; n < 600; n++) { if (true_now()) return; await wait(50); }
  throw new Error("not within 30 s: " + what);
}
const listening = start => new Promise((resolve, reject) => start({
  QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
  OnStartRunningUrl() {}, OnStopRunningUrl(url, code) { Components.isSuccessCode(code) ? resolve() : reject(new Error("0x" + code.toString(16))); } }));
const update = folder => listening(l => folder.QueryInterface(Ci.nsIMsgImapMailFolder).updateFolderWithListener(null, l));
async function seen(folder, what, true_now) {
  for (let n = 0; n < 60; n++) { await update(folder); if (true_now()) return; await wait(500); }
  throw new Error("not within 30 s: " + what + ", but " + messages(folder).map(h => h.subject).join());
}
(async () => { %s })().then(result => done({ result: result === undefined ? null : result }), error => done({ error: String(error) + "\\n" + error.stack }));
"""

STEPS = [
    ("an account is made, and logs on", """
        const s = MailServices.accounts.createIncomingServer(input.user, input.host, "imap");
        s.port = input.port; s.socketType = input.socket; s.authMethod = Ci.nsMsgAuthMethod.passwordCleartext; s.password = input.password;
        s.valid = true;
        const identity = MailServices.accounts.createIdentity();
        identity.email = input.user.includes("@") ? input.user : input.user + "@example.org"; identity.fullName = "A Person";
        const account = MailServices.accounts.createAccount();
        account.incomingServer = s; account.addIdentity(identity);
        if (input.certificate) {
            const db = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
            const cert = db.constructX509FromBase64(input.certificate);
            const o = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
            for (const port of [input.port, input.submission].filter(p => p)) o.rememberValidityOverride(input.host, port, {}, cert, false);
        }
        s.performExpand(null);
        await until("folders", () => inbox());
        await update(inbox());
        await until("messages", () => messages(inbox()).length > 0);
        return messages(inbox()).length + " messages in INBOX of " + root().descendants.length + " folders";"""),
    ("folders have their roles", """
        const flags = Ci.nsMsgFolderFlags, found = {};
        for (const [role, flag] of Object.entries({ Drafts: flags.Drafts, Sent: flags.SentMail, Trash: flags.Trash, Junk: flags.Junk, Archive: flags.Archive }))
            found[role] = root().getFolderWithFlags(flag)?.name ?? null;
        return found;"""),
    ("all folders are taken offline, with every message", """
        const all = root().descendants.filter(f => !f.noSelect);
        for (const f of all) { f.setFlag(Ci.nsMsgFolderFlags.Offline); await update(f); }
        let n = 0, octets = 0;
        for (const f of all) {
            if (!messages(f).length) continue;
            await listening(l => f.downloadAllForOffline(l, null));
            for (const h of messages(f)) { n++; octets += h.messageSize; if (!f.hasMsgOffline(h.messageKey)) throw new Error("not offline: " + f.name + " " + h.messageKey); }
        }
        return n + " messages, " + octets + " octets";"""),
    ("a message is read and shown", """
        const { MsgHdrToMimeMessage } = ChromeUtils.importESModule("resource:///modules/gloda/MimeMessage.sys.mjs");
        const header = messages(inbox())[0];
        const mime = await new Promise(resolve => MsgHdrToMimeMessage(header, null, (h, m) => resolve(m), true));
        if (!mime) throw new Error("no message");
        return header.mime2DecodedSubject;"""),
    ("flags, tags and their removal reach the server", """
        const header = messages(inbox())[0];
        inbox().markMessagesRead([header], true);
        inbox().markMessagesFlagged([header], true);
        inbox().addKeywordsToMessages([header], "$label1");
        await wait(1000);
        await update(inbox());
        return header.isRead && header.isFlagged && header.getStringProperty("keywords").includes("$label1") ? "read, flagged, important" : (() => { throw new Error("lost"); })();"""),
    ("a folder is made and renamed", """
        root().createSubfolder(NAME, null);
        await until("it is listed", () => named(NAME));
        named(NAME).rename("Öl & Wasser", null);
        await until("it is renamed", () => named("Öl & Wasser"));"""),
    ("messages are copied and moved there, and one back", """
        const to = named("Öl & Wasser"), some = messages(inbox()).slice(0, 3), before = messages(inbox()).length;
        MailServices.copy.copyMessages(inbox(), some.slice(0, 2), to, false, null, null, false);
        await seen(to, "two were copied", () => messages(to).length == 2);
        MailServices.copy.copyMessages(inbox(), some.slice(2), to, true, null, null, false);
        await seen(to, "one more was moved", () => messages(to).length == 3);
        await seen(inbox(), "it went", () => messages(inbox()).length == before - 1);
        MailServices.copy.copyMessages(to, [messages(to)[2]], inbox(), true, null, null, false);
        await seen(inbox(), "one came back", () => messages(inbox()).length == before);
        await seen(to, "and went there", () => messages(to).length == 2);"""),
    ("a draft is put in", """
        const file = Services.dirsvc.get("TmpD", Ci.nsIFile); file.append("interop-draft.eml");
        await IOUtils.writeUTF8(file.path, "From: a@example.org\\r\\nTo: b@example.org\\r\\nSubject: draft of Thunderbird\\r\\nMessage-ID: <draft@interop>\\r\\nDate: Mon, 30 Nov 2026 10:00:00 +0000\\r\\n\\r\\nGrüße\\r\\n");
        const to = named("Öl & Wasser");
        MailServices.copy.copyFileMessage(file, to, null, true, 0, "", null, null);
        await seen(to, "it is there", () => messages(to).some(h => h.subject == "draft of Thunderbird"));"""),
    ("the server searches", """
        const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
        const term = session.createTerm(); const value = term.value;
        term.attrib = Ci.nsMsgSearchAttrib.Subject; value.attrib = term.attrib; value.str = "draft of Thunderbird"; term.value = value;
        term.op = Ci.nsMsgSearchOp.Contains; term.booleanAnd = false;
        session.appendTerm(term); session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, named("Öl & Wasser"));
        const hits = await new Promise((resolve, reject) => { let n = 0; session.registerListener({
            onSearchHit() { n++; }, onSearchDone(code) { Components.isSuccessCode(code) ? resolve(n) : reject(new Error("0x" + code.toString(16))); }, onNewSearch() {} });
            session.search(null); });
        if (hits != 1) throw new Error(hits + " hits");"""),
    ("messages are deleted, the folder emptied", """
        const to = named("Öl & Wasser");
        to.deleteMessages(messages(to), null, true, false, null, false);
        await seen(to, "none is left", () => messages(to).length == 0);"""),
    ("mail that somebody else puts in is announced", "", "append"),
    ("a message is sent by the submission server, and arrives", """
        if (!input.submission) return "not tried: no --submission";
        const out = MailServices.outgoingServer.createServer("smtp");
        out.QueryInterface(Ci.nsISmtpServer);
        out.hostname = input.host; out.port = input.submission; out.socketType = 2; out.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
        out.username = input.user; out.password = input.password;
        MailServices.outgoingServer.defaultServer = out;
        const account = MailServices.accounts.accounts.find(a => a.incomingServer.type == "imap");
        account.defaultIdentity.smtpServerKey = out.key;
        const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
        fields.from = account.defaultIdentity.email; fields.to = input.user; fields.subject = "sent by Thunderbird"; fields.body = "Grüße\\n";
        const params = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
        params.composeFields = fields; params.identity = account.defaultIdentity; params.format = Ci.nsIMsgCompFormat.PlainText;
        const compose = Cc["@mozilla.org/messengercompose/compose;1"].createInstance(Ci.nsIMsgCompose);
        compose.initialize(params, null, null);
        await compose.sendMsg(Ci.nsIMsgSend.nsMsgDeliverNow, account.defaultIdentity, account.key, null, null);
        await until("it arrived", () => { inbox().getNewMessages(null, null); return messages(inbox()).some(h => h.subject == "sent by Thunderbird"); });
        const sent = root().getFolderWithFlags(Ci.nsMsgFolderFlags.SentMail);
        if (!sent) return "arrived; no copy";
        await update(sent);
        return messages(sent).some(h => h.subject == "sent by Thunderbird") ? "arrived, and a copy is in " + sent.name : "arrived";"""),
    ("the folder is removed", """
        const folder = named("Öl & Wasser"), trash = root().getFolderWithFlags(Ci.nsMsgFolderFlags.Trash);
        folder.parent.propagateDelete(folder, true);
        if (trash && named("Öl & Wasser")?.parent == trash) trash.propagateDelete(named("Öl & Wasser"), true);
        await until("it is gone", () => !named("Öl & Wasser"));"""),
]


class Marionette:
    def __init__(self, port):
        for _ in range(600):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
                break
            except OSError:
                time.sleep(0.1)
        else:
            sys.exit("Thunderbird did not open its port within a minute")
        self.file = self.socket.makefile("rb")
        self.read()
        self.n = 0

    def read(self):
        size = b""
        while not size.endswith(b":"):
            size += self.file.read(1)
        return json.loads(self.file.read(int(size[:-1])))

    def call(self, name, **arguments):
        self.n += 1
        text = json.dumps([0, self.n, name, arguments]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        _, _, error, result = self.read()
        if error:
            raise RuntimeError(error["message"])
        return result


def append(host, port, user, password, context, starttls):
    import imaplib
    client = (imaplib.IMAP4_SSL(host, port, ssl_context=context) if context and not starttls else imaplib.IMAP4(host, port))
    if starttls:
        client.starttls(context)
    client.login(user, password)
    client.append("INBOX", None, None, b"From: somebody@example.org\r\nSubject: news\r\nMessage-ID: <news@interop>\r\n\r\n.\r\n")
    client.logout()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tls", action="store_true")
    p.add_argument("--starttls", action="store_true")
    p.add_argument("--submission", type=int, default=0, help="port of the submission server, with STARTTLS")
    p.add_argument("--certificate", help="file of the server's certificate, to be trusted")
    for name in ("host", "port", "user", "password"):
        p.add_argument(name)
    a = p.parse_args()
    a.port = int(a.port)
    context = None
    given = {"host": a.host, "port": a.port, "user": a.user, "password": a.password, "socket": 3 if a.tls else 2 if a.starttls else 0, "submission": a.submission}
    if a.certificate:
        import ssl
        context = ssl.create_default_context(cafile=a.certificate)
        pem = open(a.certificate).read()
        given["certificate"] = "".join(pem.split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0].split())
    folder = tempfile.mkdtemp(prefix="thunderbird-")
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    with open(os.path.join(folder, "prefs.js"), "w") as prefs:
        for name, value in {"marionette.port": port, "mail.rights.version": 1, "app.donation.eoy.version.viewed": 99, "mail.provider.suppress_dialog_on_startup": True,
                            "datareporting.policy.dataSubmissionEnabled": False, "app.update.enabled": False, "mailnews.start_page.enabled": False,
                            "network.online": True, "offline.autoDetect": False, "mail.server.default.check_all_folders_for_new": False, "mail.biff.play_sound": False}.items():
            prefs.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
    process = subprocess.Popen(["thunderbird", "--headless", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=dict(os.environ, HOME=folder), start_new_session=True)
    failed = 0
    try:
        m = Marionette(port)
        m.call("WebDriver:NewSession", capabilities={})
        m.call("Marionette:SetContext", value="chrome")
        m.call("WebDriver:SetTimeouts", script=120000)

        def run(script):
            answer = m.call("WebDriver:ExecuteAsyncScript", script=HELPERS % script, args=[given], newSandbox=True, sandbox="system")["value"]
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer["result"]

        for name, script, *how in STEPS:
            try:
                if how:
                    before = run("inbox().getNewMessages(null, null); await wait(1500); return messages(inbox()).length;")
                    append(a.host, a.port, a.user, a.password, context, a.starttls)
                    start = time.monotonic()
                    run(f"await until('it is announced', () => messages(inbox()).length == {before} + 1);")
                    result = f"after {1000 * (time.monotonic() - start):.0f} ms"
                else:
                    result = run(script)
                print("ok", name, "" if result is None else result, flush=True)
            except RuntimeError as error:
                failed += 1
                print("FAIL", name, error, flush=True)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(STEPS) - failed} of {len(STEPS)} steps")
    sys.exit(1 if failed else 0)


main()
