#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Mail for bench-search on standard output: size and newline, then the octets, again and again.
usage: bench-mail.py generated COUNT | corpus"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import corpus
import genmail


def octets(kind, count):
    if kind == "corpus":
        for _, message in corpus.messages():
            yield corpus.as_imap(message)
    else:
        for message, _, _ in genmail.Generator(1).messages(count):
            yield message


for message in octets(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0):
    sys.stdout.buffer.write(b"%d\n" % len(message) + message)
