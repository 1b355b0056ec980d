#!/usr/bin/python3
"""Writes the text file argv[1] as the C string constant argv[3] into argv[2]."""
import sys

source, target, name = sys.argv[1:]
with open(source, encoding="utf-8") as f, open(target, "w", encoding="utf-8") as out:
    out.write(f"/* made from {source.rsplit('/', 1)[-1]} */\nstatic const char {name}[] =\n")
    for line in f:
        text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"')
        out.write(f'"{text}\\n"\n')
    out.write(";\n")
