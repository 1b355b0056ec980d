#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes outpostd.8 or outpostctl.8 from what the program says of itself, and from the configuration that it makes. usage: man-server.py PROGRAM VERSION"""
import os
import re
import subprocess
import sys
import tempfile

from man import ask, options, roff

OUTPOSTD = r'''.TH OUTPOSTD 8 "" "outpost %s" "System Manager's Manual"
.SH NAME
outpostd \- mailbox server: IMAP, LMTP, submission
.SH SYNOPSIS
.B outpostd
[\fB\-\-dir\fR \fIDIR\fR]
.br
.B outpostd init
[\fB\-\-dir\fR \fIDIR\fR] \fB\-\-domain\fR \fIDOMAIN\fR [\fIOPTION\fR...]
.SH DESCRIPTION
outpostd serves the mailboxes in one folder: by IMAP to mail programs, by LMTP to the mail transfer agent that delivers, by submission to users who send.
.B outpostd init
makes such a folder;
.BR outpostctl (8)
makes mailboxes in it, whether the server runs or not. It serves in the foreground until SIGTERM or SIGINT, and logs a line an event to standard error, without
contents and passwords. A systemd unit, outpostd.service, is installed.
.PP
Started by root it becomes the user that the configuration names once its sockets are open. Then it enters a sandbox (seccomp) in which it can start no
programs. A service manager that keeps file descriptors (systemd's FileDescriptorStoreMax) keeps the listening sockets, so that a restart refuses no
connection; sockets that it hands over (LISTEN_FDS) are used where the configuration names their addresses.
'''
OUTPOSTD_TAIL = r'''.SH EXIT STATUS
.TP
.B 0
Stopped on request.
.TP
.B 1
It could not serve: the message on standard error names the thing and the next step.
.TP
.B 2
Wrong usage, or a configuration that is wrong.
.SH FILES
.TP
.I DIR/outpostd.conf
The configuration.
.TP
.I DIR/directory.db
Domains, mailboxes, aliases, verifiers of passwords.
.TP
.I DIR/mail/ID
The store of a mailbox, an SQLite file.
.TP
.I DIR/queue.db
Mail on its way out.
.TP
.I DIR/control.sock
Where outpostctl asks the running server.
.TP
.I share/doc/outpost/docs/outpostd.md
All of it at more length.
.SH ENVIRONMENT
NOTIFY_SOCKET, LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES are the service manager's.
.SH SEE ALSO
.BR outpostctl (8),
.BR outpost (1),
.BR systemctl (1)
'''
OUTPOSTCTL = r'''.TH OUTPOSTCTL 8 "" "outpost %s" "System Manager's Manual"
.SH NAME
outpostctl \- administer a mailbox server
.SH SYNOPSIS
.B outpostctl
[\fB\-\-dir\fR \fIDIR\fR] \fICOMMAND\fR [\fIOPTION\fR...] [\fIARGUMENT\fR...]
.SH DESCRIPTION
outpostctl makes and changes what is in the folder of
.BR outpostd (8),
whether the server runs or not; status, who, kick and reload ask the running one. Started by root it becomes the user that the configuration names.
.SH COMMANDS
'''
OUTPOSTCTL_TAIL = r'''.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
An error: the message on standard error names the thing and the next step.
.TP
.B 2
Wrong usage.
.TP
.B 3
No such mailbox, domain, alias, server or message.
.SH EXAMPLES
.nf
outpostctl mailbox create you@example.org \-\-quota 10G
outpostctl mailbox import you@example.org \-\-from imaps://old.example.org \-\-user you
outpostctl alias add sales@example.org you@example.org
outpostctl kick you@example.org
.fi
.SH SEE ALSO
.BR outpostd (8)
'''


def of_options(text):
    table = re.search(r"Application Options:\n(.*?)(?:\n\n|\Z)", text, re.S)
    for names, meaning in options(table[1].rstrip("\n")) if table else ():
        yield f".TP\n\\fB{roff(names)}\\fR\n{roff(meaning)}.\n"


def configuration(program):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mail")
        subprocess.run([program, "init", "--dir", path, "--domain", "example.org", "--name", "mail.example.org"], check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(path, "outpostd.conf")) as conf:
            return conf.read()


def commands(program):
    """(words, what they do), in columns as the program prints them."""
    for line in ask(program).split("Commands:\n", 1)[1].split("\n\n", 1)[0].split("\n"):
        yield line[2:42].strip(), line[43:].strip()


def main():
    program, version = os.path.abspath(sys.argv[1]), sys.argv[2]
    if os.path.basename(program) == "outpostd":
        page = [OUTPOSTD % version, ".SH OPTIONS\n", *of_options(ask(program)), ".SH OPTIONS OF INIT\n", *of_options(ask(program, "init")),
                ".SH CONFIGURATION\nThis is what init writes. A line behind # is what holds without it; for listen and relay an example, as nothing is served or sent there without it.\n.PP\n.nf\n",
                roff(configuration(program).strip()), "\n.fi\n", OUTPOSTD_TAIL]
    else:
        page = [OUTPOSTCTL % version, *(f".TP\n\\fB{roff(words)}\\fR\n{roff(what)}.\n" for words, what in commands(program)),
                ".SH OPTIONS\n", *of_options(ask(program)), OUTPOSTCTL_TAIL]
    sys.stdout.write("".join(page))


main()
