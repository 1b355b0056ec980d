#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes outpost.1 from what the program says of itself, so that the page can't lag behind. usage: man.py OUTPOST VERSION"""
import os
import re
import subprocess
import sys

HEAD = r'''.TH OUTPOST 1 "" "outpost %s" "User Commands"
.SH NAME
outpost \- keep a whole mailbox offline, in step with its server
.SH SYNOPSIS
.B outpost
[\fB\-\-profile\fR \fINAME\fR] \fIVERB\fR [\fIOPTION\fR...] [\fIARGUMENT\fR...]
.SH DESCRIPTION
outpost keeps a copy of a whole mailbox in one file on this machine, in step with any IMAP server, both ways. Mail is read, searched and
changed here without a network; the next synchronisation tells the server. When the server changes (another name, other software, new
numbers for every message), the messages are recognised: nothing is fetched twice, and pending changes go to the right ones.
.PP
Messages are named by the number in the first column of
.B outpost list
and
.BR "outpost search" ;
a moved message has a new one. A lone \- reads numbers from standard input; where that has none, there is nothing to do. Folders are named by their path, levels joined by "/".
.SH VERBS
'''

TAIL = r'''.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
An error that has no number of its own; also a synchronisation that went on to its end without a folder that could not be read, or a change
that the server refused: see
.BR "outpost log" .
.TP
.B 2
Wrong usage.
.TP
.B 3
No such profile, folder, message or file.
.TP
.B 4
Something is held back and waits for a decision: see
.BR "outpost resolve" .
.TP
.B 5
Try later: no network, or the server is away or busy.
.TP
.B 6
Refused: wrong password, a certificate that can't be trusted, no permission.
.TP
.B 7
The offline store is damaged: see
.BR "outpost store check" .
.TP
.B 8
The disk is full.
.TP
.B 130
Stopped on request (Ctrl\-C). The next run goes on where it was. A watcher ends with 0 then.
.SH FILES
.TP
.I $XDG_CONFIG_HOME/outpost/profiles/NAME.profile
A profile: server, user, where the password comes from. Never the password.
.TP
.I $XDG_DATA_HOME/outpost/stores/NAME
An offline store, an SQLite file. With \-wal, \-shm and .lock beside it while it is open.
.TP
.I $XDG_RUNTIME_DIR/outpost/NAME.sock
Where a watcher listens for the other commands.
.TP
.I share/doc/outpost/docs
json.md: the keys that \-\-json prints; search.md: the query language; moves.md: what happens when the mailbox moves.
.SH ENVIRONMENT
XDG_CONFIG_HOME, XDG_DATA_HOME and XDG_RUNTIME_DIR say where files are kept; NOTIFY_SOCKET is the service manager's.
.SH SEE ALSO
.BR mbsync (1),
.BR notmuch (1),
.BR systemctl (1)
'''


def ask(program, *words):
    return subprocess.run([program, *words, "--help"], check=True, stdout=subprocess.PIPE, text=True, encoding="utf-8",
                          env=dict(os.environ, LC_ALL="C.UTF-8")).stdout


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.split("\n"))


def paragraphs(text):
    """Text that is filled, but for what is indented: tables and examples stay as they are."""
    lines, kept = [], False
    for line in text.split("\n"):
        if line.startswith("  ") != kept:
            kept = not kept
            lines.append(".nf" if kept else ".fi")
        lines.append(roff(line) if line else ".PP")
    return lines + [".fi"] * kept


def verbs(program):
    section = ask(program).split("Verbs:\n", 1)[1].split("\n\n", 1)[0]
    return [re.match(r"  ((?:\S+ )?\S+)\s{1,}(\S.*)", line[:18].rstrip() + "  " + line[18:]).groups()
            for line in section.split("\n")]


def options(table):
    for line in table.split("\n"):
        names, meaning = re.match(r"\s+(\S.*?)\s{2,}(\S.*)", line).groups()
        yield names, meaning


def describe(program, name, summary):
    head, table = re.split(r"\n\n(?:Application )?Options:\n", ask(program, *name.split()))
    table, _, rest = table.rstrip("\n").partition("\n\n")
    usage = re.search(r"Usage:\n\s+outpost (.*)", head).group(1).replace("[OPTION…]", "[OPTION...]")
    lines = [f".SS {roff(name)}", f".B outpost\n{roff(usage)}", ".PP", roff(summary) + "."]
    if not rest.startswith("Example"):
        lines.append(".PP")
    more, example, examples = re.split(r"(?m)^(Examples?:\n)", rest, maxsplit=1)
    lines += paragraphs(more.strip("\n"))
    for names, meaning in options(table):
        lines += [".TP", f"\\fB{roff(names)}\\fR", roff(meaning)]
    return "\n".join(lines + [".PP", roff(example.strip()), *paragraphs(examples.rstrip("\n"))]) + "\n"


def main():
    program, version = sys.argv[1:3]
    sys.stdout.write(HEAD % version)
    for name, summary in verbs(program):
        sys.stdout.write(describe(program, name, summary))
    sys.stdout.write(TAIL)


if __name__ == "__main__":
    main()
