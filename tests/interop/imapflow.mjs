// SPDX-License-Identifier: Apache-2.0
// imapflow against `outpost serve`, or any IMAP server: every call of it that a mail program makes, on a mailbox whose INBOX has mail.
// It adds and removes a message and a folder. In make check: tests/system/test_programs.py. By hand, with what package-lock.json pins:
//   npm ci --prefix tests/interop && node tests/interop/imapflow.mjs 127.0.0.1 1143 USER PASSWORD
import { ImapFlow } from 'imapflow';

const [host, port, user, pass] = process.argv.slice(2);
const settings = { host, port: Number(port), secure: false, auth: { user, pass }, logger: false };
let failed = 0;

async function connected(extra) {
  const client = new ImapFlow({ ...settings, ...extra });
  await client.connect();
  return client;
}

function check(what, text) {
  if (!what) throw new Error(text);
}

async function step(name, run) {
  try {
    await run();
    console.log('ok', name);
  } catch (error) {
    failed++;
    console.log('FAIL', name, error.message, error.responseText ?? '');
  }
}

const client = await connected({ disableAutoIdle: true });
const folder = 'Interop/Öl & Wasser';
await step('list with status', async () => {
  const list = await client.list({ statusQuery: { messages: true, unseen: true, uidNext: true, highestModseq: true } });
  check(list.some(one => one.specialUse === '\\Inbox' && one.status.messages > 0), 'no INBOX with mail');
});
await step('create, subscribe, rename', async () => {
  check((await client.mailboxCreate('Interop/Ü')).mailboxId, 'no mailbox id');
  check(await client.mailboxSubscribe('Interop/Ü'), 'not subscribed');
  await client.mailboxRename('Interop/Ü', folder);
});
await step('open', async () => {
  const box = await client.mailboxOpen('INBOX');
  check(box.exists > 0 && box.highestModseq && box.permanentFlags.has('\\*'), 'INBOX is not as expected');
});
await step('search', async () => {
  check((await client.search({ all: true }, { uid: true })).length === client.mailbox.exists, 'not all found');
  await client.search({ seen: false, since: new Date('2024-01-01') }, { uid: true });
  await client.search({ body: 'budget', header: { subject: 'Re' } }, { uid: true });
  await client.search({ or: [{ from: 'ada' }, { to: 'eva' }] });
  check((await client.search({ modseq: 1n })).length === client.mailbox.exists, 'MODSEQ finds not all');
});
await step('fetch of all', async () => {
  let n = 0;
  const items = { uid: true, flags: true, envelope: true, bodyStructure: true, internalDate: true, size: true, threadId: true, headers: ['subject'] };
  for await (const message of client.fetch('1:*', items)) {
    n++;
    check(message.envelope && message.bodyStructure && message.emailId && message.threadId && message.headers, `message ${n} is incomplete`);
  }
  check(n === client.mailbox.exists, `${n} fetched`);
});
await step('source and parts', async () => {
  const last = await client.fetchOne('*', { source: true, size: true });
  check(last.source.length === last.size, 'size and source differ');
  const { content } = await client.download('1', '1');
  for await (const piece of content) check(piece.length, 'an empty piece');
  check((await client.downloadMany('1', ['1']))['1'], 'no part');
});
await step('append, flags, copy, move, delete', async () => {
  const added = await client.append('INBOX', 'Subject: interop\r\n\r\nhi\r\n', ['\\Seen', '$Work'], new Date('2020-02-02'));
  check(added.uid && added.uidValidity, 'APPENDUID is missing');
  check(await client.messageFlagsAdd(String(added.uid), ['\\Flagged', 'custom'], { uid: true }), 'not flagged');
  check(await client.messageFlagsSet(String(added.uid), ['\\Answered'], { uid: true }), 'not set');
  check(await client.messageFlagsRemove(String(added.uid), ['\\Answered'], { uid: true, unchangedSince: 999999999n }), 'not removed');
  check((await client.messageCopy(String(added.uid), folder, { uid: true })).uidMap.size === 1, 'COPYUID is missing');
  check((await client.messageMove(String(added.uid), folder, { uid: true })).uidMap.size === 1, 'COPYUID of MOVE is missing');
  const lock = await client.getMailboxLock(folder);
  check(client.mailbox.exists === 2 && (await client.messageDelete('1:*')), 'not deleted');
  lock.release();
});
await step('IDLE hears of a new message', async () => {
  await client.mailboxOpen('INBOX');
  const heard = new Promise(resolve => client.once('exists', resolve));
  client.idle();
  const other = await connected();
  const added = await other.append('INBOX', 'Subject: wake up\r\n\r\n.\r\n');
  const told = await heard;
  check(told.count === told.prevCount + 1, 'another number of new messages');
  await other.mailboxOpen('INBOX');
  check(await other.messageDelete(String(added.uid), { uid: true }), 'not deleted');
  await other.logout();
});
await step('delete folders', async () => {
  await client.mailboxDelete(folder);
  await client.mailboxDelete('Interop');
});
await client.logout();
await step('QRESYNC', async () => {
  const one = await connected({ qresync: true });
  await one.mailboxOpen('INBOX');
  check(one.enabled.has('QRESYNC'), 'not enabled');
  await one.logout();
});
await step('a wrong password', async () => {
  const error = await connected({ auth: { user, pass: pass + '!' } }).catch(e => e);
  check(error.authenticationFailed, 'it was taken');
});
console.log(failed ? `${failed} failed` : 'all is well');
process.exit(failed ? 1 : 0);
