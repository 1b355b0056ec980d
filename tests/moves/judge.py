# SPDX-License-Identifier: Apache-2.0
"""Judges a client by what the server and the local copy hold before and after, and by what came over the wire.

Both sides are multisets of (folder, message, flags): Counter. A message is known by its Message-ID, else by its octets, line ends and
the headers that clients add to what they send aside. Here all folders are one, since a client may name them as it likes."""
import collections
import hashlib
import re

from imapclient import ImapClient
from outpost import flag_set

ADDED_HEADERS = re.compile(rb"(?im)^(x-tuid|x-offlineimap): .*\n")
SYSTEM_FLAGS = frozenset(["seen", "answered", "flagged", "deleted", "draft"])
SHORTEST = 24  # a body of fewer octets may be found anywhere

Sides = collections.namedtuple("Sides", "there here folders")
# pending: what shall be seen of each change; optional: idents that the server may have, too; foreign: the mailbox is another person's;
# told: the exit status must say that not all is well.
Expected = collections.namedtuple("Expected", "there here pending optional foreign told", defaults=(frozenset(), False, False))
# Pending: flag is None for a removal or a new message; count is how many of the folder's messages of this ident then have it.
Pending = collections.namedtuple("Pending", "folder ident flag count")

HARM = ("lostHere", "lostThere", "wrongFlagsThere", "wrongFlagsHere", "foreignThere", "doubledHere", "doubledThere")


def ident(octets):
    octets = octets.replace(b"\r\n", b"\n")
    match = re.search(rb"^message-id:\s*<([^>]*)>", octets.split(b"\n\n", 1)[0], re.I | re.M)
    return match.group(1).decode() if match else hashlib.sha256(ADDED_HEADERS.sub(b"", octets)).hexdigest()


def count_mails(folder, mails):
    return collections.Counter((folder, ident(m.octets), flag_set(m.flags)) for m in mails)


def read_server(port, user):
    """(Counter, set of folders)"""
    found, octets = collections.Counter(), {}
    with ImapClient(port, user) as client:
        folders = client.folders()
        for folder in folders:
            for m in client.read_folder(folder, keep=octets):
                found[folder, ident(octets[m.sha256]), flag_set(m.flags)] += 1
    return found, frozenset(folders)


def read_client(client):
    return collections.Counter(("", ident(m.octets), flag_set(m.flags)) for m in client.messages())


def observe(port, user, client):
    there, folders = read_server(port, user)
    return Sides(there, read_client(client), folders)


def without_keywords(counter):
    out = collections.Counter()
    for (folder, name, flags), n in counter.items():
        out[folder, name, flags & SYSTEM_FLAGS] += n
    return out


def as_here(counter):
    """What is @counter at the server, as one local folder."""
    out = collections.Counter()
    for (_, name, flags), n in counter.items():
        out["", name, flags] += n
    return out


def by_message(counter):
    out = collections.defaultdict(collections.Counter)
    for (folder, name, flags), n in counter.items():
        out[folder, name][flags] += n
    return out


def compare(before, after, expected, allowed):
    """(lost, never came, more than there should be by ident, wrong flags). @allowed: flags that are no fault, too."""
    b, a, e, also = by_message(before), by_message(after), by_message(expected), by_message(allowed)
    lost = absent = wrong = 0
    extra = collections.Counter()
    for key in set(b) | set(a) | set(e):
        nb, na, ne = sum(b[key].values()), sum(a[key].values()), sum(e[key].values())
        lost += max(0, min(nb, ne) - na)
        absent += max(0, ne - max(na, nb))
        more = max(0, na - max(nb, ne))
        if more:
            extra[key[1]] += more
        wrong += max(0, sum((a[key] - (b[key] | e[key] | also[key])).values()) - more)
    return lost, absent, extra, wrong


def is_applied(pending, there):
    flags = by_message(there)[pending.folder, pending.ident]
    if pending.flag is None:
        return sum(flags.values()) == pending.count
    return sum(n for f, n in flags.items() if pending.flag in f) == pending.count and sum(flags.values()) > 0


def bodies_fetched(mails, streams):
    """How many of @mails came down the wire again; the octets of a literal are those of the message."""
    bodies = set()
    for m in mails:
        body = m.octets.split(b"\r\n\r\n", 1)[-1]
        bodies.add(body if len(body) >= SHORTEST else m.octets)
    return sum(1 for body in bodies if len(body) >= SHORTEST and any(body in stream for stream in streams))


def judge(before, after, expected, code, keywords, own):
    """One stage. @code: the last exit status; @own: idents of all that is the user's, so that an upload of it is at the worst a copy."""
    here_after, here_expected, here_before = after.here, expected.here, before.here
    news = as_here(before.there)  # what the server says of a flag may be believed
    if not keywords:
        here_after, here_expected, here_before, news = map(without_keywords, (here_after, here_expected, here_before, news))
    lost_there, _, extra_there, flags_there = compare(before.there, after.there, expected.there, collections.Counter())
    lost_here, absent_here, extra_here, flags_here = compare(here_before, here_after, here_expected, news)
    due = {name for _, name, _ in list(expected.there) + list(before.there)}
    if expected.foreign:
        foreign_there, doubled_there, foreign_here, doubled_here = sum(extra_there.values()), 0, sum(extra_here.values()), 0
    else:
        foreign_there = sum(n for name, n in extra_there.items() if name not in own | due)
        doubled_there = sum(n for name, n in extra_there.items() if name in due)
        foreign_here, doubled_here = 0, sum(extra_here.values())
    optional = collections.Counter({key: n for key, n in after.there.items() if key[1] in expected.optional})
    return {
        "lostHere": lost_here, "lostThere": lost_there, "wrongFlagsHere": flags_here, "wrongFlagsThere": flags_there,
        "foreignHere": foreign_here, "foreignThere": foreign_there, "doubledHere": doubled_here, "doubledThere": doubled_there,
        "absentHere": absent_here, "folders": len(after.folders ^ before.folders), "notTold": expected.told and not code,
        "pending": len(expected.pending), "applied": sum(is_applied(p, after.there) for p in expected.pending),
        "complete": not (after.there - expected.there - optional or expected.there - after.there)
        and here_after == here_expected and after.folders == before.folders}


def combine(stages):
    """What was lost at any stage was lost, though another migration brings it back; what is complete is judged at the end."""
    total = dict(stages[-1])
    for key in HARM + ("foreignHere", "folders", "notTold"):
        total[key] = max(stage[key] for stage in stages)
    return total


def verdict(result):
    """follows: all as promised. fetches: so, but mail was downloaded again. incomplete: no harm, but something is not as it should be.
    harm: mail was lost or doubled, or something wrong was written."""
    if any(result[key] for key in HARM):
        return "harm"
    if not result["complete"] or result["foreignHere"] or result["notTold"] or result["ownCheck"]:
        return "incomplete"
    return "fetches" if result["bodies"] else "follows"


WORDS = (("lostThere", "{} removed there by mistake"), ("wrongFlagsThere", "flags of {} wrong there"),
         ("foreignThere", "{} sent to where it does not belong"), ("doubledThere", "{} doubled there"),
         ("folders", "{} folders made or removed there"),
         ("lostHere", "{} lost here"), ("doubledHere", "{} doubled here"), ("wrongFlagsHere", "flags of {} wrong here"),
         ("foreignHere", "{} of another person's here"), ("absentHere", "{} never fetched"))


def in_words(result):
    """All that was not as it should be; "" when nothing was."""
    said = [text.format(result[key]) for key, text in WORDS if result[key]]
    if result["applied"] < result["pending"]:
        said.append(f"{result['applied']} of {result['pending']} changes sent")
    if result["bodies"]:
        said.append(f"{result['bodies']} fetched again")
    if result["notTold"]:
        said.append("exit status 0")
    if result["ownCheck"]:
        said.append("its own check fails")
    if result["verdict"] == "incomplete" and not said:
        said.append("flags differ")
    return ", ".join(said)
