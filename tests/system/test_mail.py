# SPDX-License-Identifier: Apache-2.0
"""The mail module over every message of the corpus, and beside two others who read mail: Python's email package and Dovecot."""
import email
import os
import re
import subprocess

import corpus
import pytest
from genmail import Generator
from imapclient import ImapClient
from outpost import find_binary

# Messages in which the parts are the same, of all. The rest are broken in ways that the three read differently; docs/mail.md says which.
PYTHON_AGREES, ENVELOPE_AGREES, BODY_AGREES = 0.996, 0.984, 0.984


def tool():
    """Of the build whose program is tested, else of the newest build."""
    program = find_binary()
    tops = [os.path.join(os.path.dirname(program), "..", "..")] if program else []
    tops += sorted((os.path.join(corpus.REPOSITORY, d) for d in os.listdir(corpus.REPOSITORY) if d.startswith("build")), key=os.path.getmtime,
                   reverse=True)
    for top in tops:
        path = os.path.join(top, "tests", "unit", "mail", "mail-tool")
        if os.access(path, os.X_OK):
            return path
    raise AssertionError("mail-tool is not built: make check builds it")


def run_tool(verb, messages):
    process = subprocess.run([tool(), verb], input=b"".join(b"%d\n" % len(m) + m for m in messages), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    assert process.returncode == 0, process.stderr.decode(errors="replace")[-3000:]
    assert not process.stderr, process.stderr.decode(errors="replace")[-3000:]
    return process.stdout.split(b"\n")[:-1]


@pytest.fixture(scope="module")
def messages():
    if not corpus.root():
        pytest.skip("corpus absent")
    return [octets for _, octets in corpus.messages()]


def test_every_message_has_a_sound_structure_and_texts(messages):
    run_tool("check", messages)
    assert len(messages) > 10000


def test_generated_messages_have_a_sound_structure_and_texts():
    run_tool("check", [octets for octets, _, _ in Generator(11).messages(500)])


# ---- Python ----

def their_type(part):
    kind = part.get_content_type()
    return kind.split()[0] if re.match(r"[^/]+/[^/]+", kind) else kind


def is_leaf(part):
    """Python also reads the paragraphs of a delivery status, and encoded messages within, as messages."""
    if not part.is_multipart():
        return True
    kind, encoding = part.get_content_type(), str(part.get("content-transfer-encoding", "")).strip().lower()
    return kind.startswith("message/") and (kind not in ("message/rfc822", "message/global") or
                                            encoding in ("base64", "quoted-printable"))


def parts_as_python_sees(octets):
    parts = []

    def walk(part, depth):
        kind, leaf = their_type(part), is_leaf(part)
        parts.append((depth, "text/plain" if leaf and kind.startswith("multipart/") else kind))
        for child in [] if leaf else part.get_payload():
            walk(child, depth + 1)
    walk(email.message_from_bytes(octets), 0)
    return parts


def test_parts_are_those_that_python_finds(messages):
    ours = [[] for _ in messages]
    for line in run_tool("structure", messages):
        fields = line.decode(errors="replace").split("\t")
        if len(fields) >= 11:
            ours[int(fields[0])].append((int(fields[2]), fields[4]))
    same = sum(parts_as_python_sees(octets) == parts for octets, parts in zip(messages, ours))
    print(f"python agrees on {same} of {len(messages)}")
    assert same >= PYTHON_AGREES * len(messages)


# ---- Dovecot ----

TOKEN = re.compile(rb'\(|\)|"((?:\\.|[^"\\])*)"|[^()" ]+')


def parse(pieces):
    """Text and literals in turn: lists, octet strings, None for NIL, atoms as (octets,)."""
    stack = [[]]
    for number, piece in enumerate(pieces):
        if number % 2:
            stack[-1].append(piece)
            continue
        for match in TOKEN.finditer(piece):
            word = match.group(0)
            if word == b"(":
                stack.append([])
            elif word == b")":
                done = stack.pop()
                stack[-1].append(done)
            elif word.startswith(b'"'):
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", match.group(1)))
            else:
                stack[-1].append(None if word == b"NIL" else (word,))
    assert len(stack) == 1
    return stack[0]


def parse_ours(line):
    text = re.sub(rb"\\(.)", lambda m: {b"n": b"\n", b"r": b"\r"}.get(m.group(1), m.group(1)), line)
    pieces = []
    while True:
        literal = re.search(rb"\{(\d+)\}\r\n", text)
        if not literal:
            return parse(pieces + [text])
        end = literal.end() + int(literal.group(1))
        pieces += [text[:literal.start()], text[literal.end():end]]
        text = text[end:]


def lower(value):
    return value.lower() if isinstance(value, bytes) else value


def plain_parameters(words):
    if words is None:
        return None
    pairs = zip(words[::2], words[1::2])
    return sorted((lower(name), lower(value) if lower(name) == b"charset" else value) for name, value in pairs)


def plain_disposition(words):
    return words and (lower(words[0]), plain_parameters(words[1]))


def plain_languages(words):
    return [words] if isinstance(words, bytes) else words


def plain_extension(words):
    return plain_disposition(words[0]), plain_languages(words[1]), words[2]


def plain_body(words):
    if isinstance(words[0], list):
        n = next(i for i, word in enumerate(words) if not isinstance(word, list))
        return ([plain_body(w) for w in words[:n]], lower(words[n]), plain_parameters(words[n + 1]), *plain_extension(words[n + 2:]))
    kind, rest = (lower(words[0]), lower(words[1])), words[7:]
    body = [kind, plain_parameters(words[2]), words[3], words[4], lower(words[5]), words[6]]
    if kind[0] == b"text":
        body, rest = body + rest[:1], rest[1:]
    elif kind[0] == b"message" and kind[1] in (b"rfc822", b"global") and isinstance(rest[0], list):
        body, rest = body + [plain_envelope(rest[0]), plain_body(rest[1]), rest[2]], rest[3:]
    return (*body, rest[0], *plain_extension(rest[1:]))


# What Dovecot puts where an address lacks something.
MISSING = (b"MISSING_DOMAIN", b"MISSING_MAILBOX", b"SYNTAX_ERROR")


def plain_envelope(words):
    addresses = [field and [[b"" if w in MISSING else w for w in address] for address in field] for field in words[2:8]]
    return [w and w.strip() for w in words[:2]] + addresses + [w and w.strip() for w in words[8:]]


def their_answers(server, messages):
    answers = []

    def each(pieces):
        if re.match(rb"\* \d+ FETCH ", pieces[0]):
            items = parse(pieces)[3]
            answers.append({items[i][0]: items[i + 1] for i in range(0, len(items), 2)})
    with ImapClient(server.port, timeout=300) as client:
        client.append_many("INBOX", ((octets, [], 1000000000) for octets in messages), window=50)
        client.select("INBOX")
        client.command("FETCH 1:* (ENVELOPE BODYSTRUCTURE)", each)
    return answers


def compare(server, messages):
    """The numbers of the messages whose envelope, and those whose body Dovecot tells otherwise."""
    ours = [parse_ours(line) for line in run_tool("imap", messages)]
    theirs = their_answers(server, messages)
    assert len(ours) == len(theirs) == len(messages)
    envelopes, bodies = [], []
    for number, (mine, other) in enumerate(zip(ours, theirs)):
        if plain_envelope(mine[0]) != plain_envelope(other[b"ENVELOPE"]):
            envelopes.append(number)
        if plain_body(mine[1]) != plain_body(other[b"BODYSTRUCTURE"]):
            bodies.append(number)
    return envelopes, bodies


def test_envelope_and_body_structure_are_what_dovecot_says(server, messages):
    some = [corpus.as_imap(octets) for octets in messages[::int(os.environ.get("OUTPOST_CORPUS_STEP", "8"))]]
    envelopes, bodies = compare(server, some)
    print(f"of {len(some)}: {len(envelopes)} envelopes and {len(bodies)} bodies differ")
    assert len(envelopes) <= (1 - ENVELOPE_AGREES) * len(some)
    assert len(bodies) <= (1 - BODY_AGREES) * len(some)


def test_well_formed_messages_are_what_dovecot_says(server):
    assert compare(server, [octets for octets, _, _ in Generator(12).messages(300)]) == ([], [])
