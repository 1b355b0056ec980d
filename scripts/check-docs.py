#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the documents say exists: verbs, options, files, links and packages. Prints a line for each thing that does not.
usage: check-docs.py OUTPOST [TOP]"""
import glob
import os
import re
import subprocess
import sys


def ask(program, *words):
    return subprocess.run([program, *words, "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout


def options_of(text):
    return set(re.findall(r"(?m)^\s+(?:-\w, )?(--[a-z][a-z-]*)", text)) | set(re.findall(r"(?m)^\s+(-\w), --", text))


def read_program(program):
    """{verb: its options}"""
    section = ask(program).split("Verbs:\n", 1)[1].split("\n\n", 1)[0]
    names = [re.match(r"  (.{15})", line).group(1).strip() for line in section.split("\n")]
    return {name: options_of(ask(program, *name.split())) for name in names}


def options_of_scripts(top):
    found = set()
    for path in glob.glob(os.path.join(top, "bench", "*.py")):
        with open(path) as text:
            found |= set(re.findall(r'add_argument\("(--[a-z-]+)"', text.read()))
    return found


def commands(text, program):
    """Where @program is called: "outpost ..." as code, up to what the shell does with it."""
    spans = re.findall(r"`([^`]+)`", text) + re.findall(r"(?m)^    (?:\s*)(\S.*)$", text)
    for span in spans:
        for call in re.findall(r"(?:^|[|;&(] ?)" + program + r" ([^|;&#)]+)", span):
            yield re.sub(r"'[^']*'|\"[^\"]*\"", "x", call).split()


def check_command(words, verbs, say):
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in ("-p", "--profile") else 1:]
    if not words or not re.fullmatch(r"[a-z]+", words[0]):
        return
    known = {verb.split()[0] for verb in verbs if " " in verb}
    if words[0] in known and len(words) == 1:
        return
    verb = " ".join(words[:2]) if words[0] in known else words[0]
    if verb not in verbs:
        say(f"there is no verb: outpost {verb}")
        return
    for word in words[1:]:
        option = re.match(r"--[a-z][a-z-]*|-[a-z]$", word)
        if option and option.group() not in verbs[verb]:
            say(f"outpost {verb} has no option {option.group()}")


def read_server(program):
    """The commands of outpostctl, words and all; the options of it and of outpostd, by program."""
    folder = os.path.join(os.path.dirname(os.path.dirname(program)), "outpostd")
    ctl, daemon = os.path.join(folder, "outpostctl"), os.path.join(folder, "outpostd")
    section = ask(ctl).split("Commands:\n", 1)[1].split("\n\n", 1)[0]
    names = {re.match(r"[a-z]+( [a-z]+)?", line[2:42]).group() for line in section.split("\n")}
    return {"folder": folder, "commands": names, "options": {"outpostctl": options_of(ask(ctl)), "outpostd": options_of(ask(daemon)) | options_of(ask(daemon, "init"))}}


def check_server_commands(text, server, say):
    for program, options in server["options"].items():
        for words in commands(text, program):
            for word in words:
                if word.startswith("-") and word.split("=")[0] not in options:
                    say(f"{program} has no option {word}")
            rest = re.sub(r"(^| )(--dir|-d) \S+", "", " ".join(words)).split()
            if program == "outpostd" or not rest or not re.fullmatch("[a-z]+", rest[0]):
                continue
            nouns = {name.split()[0] for name in server["commands"] if " " in name}
            name = " ".join(rest[:2]) if rest[0] in nouns else rest[0]
            if name not in server["commands"] and rest != [rest[0]] * (rest[0] in nouns):
                say(f"there is no command: outpostctl {name}")


def check_server_manual(server, say):
    for program, options in server["options"].items():
        with open(os.path.join(server["folder"], program + ".8")) as page:
            told = re.sub(r"\\f[BIRP]", " ", page.read()).replace("\\-", "-")
        for option in sorted(options - {"--help", "-h"}):
            if not re.search(r"(?<![\w-])" + option + r"(?![\w-])", told):
                say(f"the man page of {program} does not have {option}")
        for name in sorted(server["commands"]) if program == "outpostctl" else ():
            if not re.search(f"(?m)^ {name}( |$)", told):
                say(f"the man page of outpostctl does not have the command: {name}")


def check_text(text, verbs, server, scripts, say):
    for words in commands(text, "outpost"):
        check_command(words, verbs, say)
    check_server_commands(text, server, say)
    anywhere = set().union(*verbs.values(), *server["options"].values()) | scripts
    for span in re.findall(r"`(-[^`]+)`", text):
        option = re.match(r"--[a-z][a-z-]*", span)
        if option and option.group() not in anywhere:
            say(f"no verb has an option {option.group()}")


def check_places(text, path, top, say):
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        place = target.split("#")[0]
        if place and not re.match(r"[a-z]+:", place) and not os.path.exists(os.path.join(os.path.dirname(path), place)):
            say(f"a link leads nowhere: {target}")
    for place in re.findall(r"`((?:src|scripts|tests|docs|fuzz|bench|completion|systemd)/[\w./-]+)`", text):
        if not os.path.exists(os.path.join(top, place)):
            say(f"there is no {place}")


def check_manual(program, verbs, say):
    path = os.path.join(os.path.dirname(program), "outpost.1")
    with open(path) as text:
        sections = re.split(r"(?m)^\.S[SH] ", re.sub(r"\\f[BIRP]", " ", text.read()).replace("\\-", "-"))
    told = {section.split("\n", 1)[0]: section for section in sections}
    for verb, options in verbs.items():
        if verb not in told:
            say(f"the man page does not have the verb: {verb}")
        for option in sorted(options - {"--help", "-h"}):
            if not re.search(r"(?m)^\.TP\n.*(?<![\w-])" + option + r"(?![\w-])", told.get(verb, "")):
                say(f"the man page does not have, in its table, {option} of {verb}")


def check_packages(top, say):
    with open(os.path.join(top, "scripts", "deps.sh")) as text:
        packages = [name for block in re.findall(r'(?ms)^(?:build|tests)="(.*?)"', text.read()) for name in block.split()]
    with open(os.path.join(top, "docs", "dependencies.md")) as text:
        told = set(re.findall(r"`([\w.+-]+)`", text.read()))
    for name in packages:
        if name not in told:
            say(f"docs/dependencies.md does not have the package {name}")


def main():
    program = os.path.abspath(sys.argv[1])
    top = sys.argv[2] if len(sys.argv) > 2 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    problems = []
    verbs, server, scripts = read_program(program), read_server(program), options_of_scripts(top)
    pages = sorted(glob.glob(os.path.join(top, "*.md")) + glob.glob(os.path.join(top, "docs", "**", "*.md"), recursive=True))
    if len(verbs) < 10 or not pages:
        sys.exit(f"check-docs: {len(verbs)} verbs and {len(pages)} pages: that can't be all")
    for path in pages:
        def say(what, name=os.path.relpath(path, top)):
            problems.append(f"{name}: {what}")
        with open(path) as page:
            text = page.read()
        check_text(text, verbs, server, scripts, say)
        check_places(text, path, top, say)
    check_manual(program, verbs, problems.append)
    check_server_manual(server, problems.append)
    check_packages(top, problems.append)
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


sys.exit(main())
