# SPDX-License-Identifier: Apache-2.0
"""The completions name every verb and option, and the check of the documents finds what is wrong in them."""
import os
import re
import shutil
import subprocess

import pytest

import corpus
from outpost import find_binary

BINARY = os.path.abspath(os.environ.get("OUTPOST") or find_binary())
SERVER = os.path.join(os.path.dirname(os.path.dirname(BINARY)), "outpostd")
ZSH = r"""
_describe () { print -rl -- ${(P)2%%:*}; }
compadd () { [[ $1 == -a ]] && print -rl -- ${(P)2} || print -rl -- $@; }
compdef () { : }
source completion/_outpost
words=("$@") CURRENT=$#
_outpost
"""
BASH = r"""
complete () { :; }
source completion/outpost.bash
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_outpost
printf '%s\n' "${COMPREPLY[@]}"
"""
SHELLS = {"bash": ["bash", "-c", BASH, "bash"], "zsh": ["zsh", "-fc", ZSH, "zsh"]}


def told(*words):
    return subprocess.run([BINARY, *words, "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout


def verbs():
    section = told().split("Verbs:\n", 1)[1].split("\n\n", 1)[0]
    return [line[2:17].strip() for line in section.split("\n")]


def complete(shell, *words):
    return complete_with(shell, "outpost", *words)


def complete_with(shell, program, *words):
    path = ":".join([os.path.dirname(BINARY), SERVER, os.environ["PATH"]])
    how = [*SHELLS[shell][:2], re.sub(r"\b(_?)outpost\b", rf"\1{program}", SHELLS[shell][2]), shell]
    run = subprocess.run([*how, program, *words], cwd=corpus.REPOSITORY, env=dict(os.environ, PATH=path), check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stderr == ""
    return set(run.stdout.split("\n")) - {""}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_every_verb(shell):
    assert complete(shell, "") == {verb.split()[0] for verb in verbs()}
    for group in ("folder", "profile", "store"):
        assert complete(shell, group, "") == {verb.split()[1] for verb in verbs() if verb.startswith(group + " ")}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_options(shell):
    for verb in ("sync", "folder delete", "store export"):
        options = set(re.findall(r"(?m)^\s+(?:-\w, )?(--[a-z][a-z-]*)", told(*verb.split())))
        assert complete(shell, *verb.split(), "--") == options, verb


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_what_an_administrator_types(shell, made):
    def told_by_ctl():
        return subprocess.run([os.path.join(SERVER, "outpostctl"), "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = told_by_ctl().split("Commands:\n", 1)[1].split("\n\n", 1)[0].split("\n")
    names = {re.match(r"[a-z]+( [a-z]+)?", line[2:42]).group() for line in lines}
    assert complete_with(shell, "outpostctl", "") == {name.split()[0] for name in names}
    for noun in ("mailbox", "queue", "server"):
        assert complete_with(shell, "outpostctl", "--dir", "/srv/mail", noun, "") == {name.split()[1] for name in names if name.startswith(noun + " ")}
    assert complete_with(shell, "outpostctl", "--") == set(re.findall(r"(?m)^\s+(?:-\w, )?(--[a-z][a-z-]*)", told_by_ctl()))
    assert complete_with(shell, "outpostctl", "--dir", made.folder, "mailbox", "show", "") >= {"alice@example.org", "bob@example.org"}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_behind_a_profile(shell):
    for words in (["--profile", "me"], ["-p", "me"], ["--profile=me"] if shell == "zsh" else ["--profile", "=", "me"]):
        assert complete(shell, *words, "") == {verb.split()[0] for verb in verbs()}, words
        assert complete(shell, *words, "folder", "") == {"create", "rename", "delete"}
        assert complete(shell, *words, "flag", "12", "") == {"seen", "answered", "flagged", "draft"}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_folders_as_it_reads_them(shell, server, program, monkeypatch):
    for name, value in program.environment.items():
        if name.startswith("XDG_"):
            monkeypatch.setenv(name, value)
    program.logon(server.url, sync=True)
    for name in ('quo"te', "back\\slash", "two words", "Müller"):
        program.ok("folder", "create", name)
    quoted = {"INBOX", 'quo\\"te', "back\\\\slash", "two\\ words", "Müller"}
    names = {"INBOX", 'quo"te', "back\\slash", "two words", "Müller"}
    for words in (["list", ""], ["--profile", program.ADDRESS, "move", "12", ""]):
        assert complete(shell, *words) == (quoted if shell == "bash" else names)
    if shell == "bash":  # zsh itself compares and quotes
        assert complete(shell, "list", "quo\\\"") == {'quo\\"te'}
        assert complete(shell, "list", "'two w") == {"two words"}


WRONG = {
    "Try `outpost fetch`.": "README.md: there is no verb: outpost fetch",
    "    outpost store shrink --now": "README.md: there is no verb: outpost store shrink",
    "`outpost sync --everything`": "README.md: outpost sync has no option --everything",
    "    printf x | outpost delete -z -": "README.md: outpost delete has no option -z",
    "`outpostctl mailbox burn you@example.org`": "README.md: there is no command: outpostctl mailbox burn",
    "    outpostctl --dir /srv/mail restart": "README.md: there is no command: outpostctl restart",
    "`outpostctl mailbox create --size=10G`": "README.md: outpostctl has no option --size=10G",
    "    outpostd init --there /srv/mail": "README.md: outpostd has no option --there",
    "Or give `--frobnicate`.": "README.md: no verb has an option --frobnicate",
    "[this](docs/absent.md#part)": "README.md: a link leads nowhere: docs/absent.md#part",
    "See `src/absent.c`.": "README.md: there is no src/absent.c",
}


def check_docs(top):
    run = subprocess.run([os.path.join(corpus.REPOSITORY, "scripts", "check-docs.py"), BINARY, str(top)], stdout=subprocess.PIPE, text=True)
    return run.returncode, run.stdout.strip()


def test_the_check_of_the_documents_finds_what_is_wrong(tmp_path):
    os.makedirs(tmp_path / "docs")
    os.makedirs(tmp_path / "scripts")
    (tmp_path / "docs" / "dependencies.md").write_text("`gcc`, `meson`, `python3`\n")
    (tmp_path / "scripts" / "deps.sh").write_text('build="gcc meson"\ntests="python3"\n')
    good = "# x\n\n    outpost -p me search 'a --b' | outpost flag - seen\n\n`outpost store check --deep`, `outpost folder`, [d](docs/dependencies.md)\n\n"
    (tmp_path / "README.md").write_text(good)
    assert check_docs(tmp_path) == (0, "")
    (tmp_path / "README.md").write_text(good + "\n\n".join(WRONG) + "\n")
    (tmp_path / "scripts" / "deps.sh").write_text('build="gcc libfoo-dev"\ntests="python3"\n')
    code, said = check_docs(tmp_path)
    assert code == 1
    assert sorted(said.split("\n")) == sorted([*WRONG.values(), "docs/dependencies.md does not have the package libfoo-dev"])


def test_the_manual_has_to_have_every_verb(tmp_path):
    for folder in (os.path.dirname(BINARY), SERVER):
        shutil.copytree(folder, tmp_path / os.path.basename(folder), ignore=shutil.ignore_patterns("*.p", "*.a"))
    cli, server = tmp_path / os.path.basename(os.path.dirname(BINARY)), tmp_path / "outpostd"
    page = cli / "outpost.1"
    page.write_text(page.read_text().replace(".SS resolve\n", ".SS other\n"))
    run = subprocess.run([os.path.join(corpus.REPOSITORY, "scripts", "check-docs.py"), cli / "outpost"], stdout=subprocess.PIPE, text=True)
    assert run.returncode == 1 and run.stdout == "the man page does not have the verb: resolve\n" + "".join(
        line for line in run.stdout.splitlines(True)[1:] if line.endswith(" of resolve\n"))
    page.write_text(page.read_text().replace(".SS other\n", ".SS resolve\n"))
    page = server / "outpostctl.8"
    page.write_text(page.read_text().replace("mailbox quota", "mailbox x").replace("\\-\\-keep\\-alias", ""))
    run = subprocess.run([os.path.join(corpus.REPOSITORY, "scripts", "check-docs.py"), cli / "outpost"], stdout=subprocess.PIPE, text=True)
    assert run.returncode == 1 and run.stdout.splitlines() == ["the man page of outpostctl does not have --keep-alias",
                                                               "the man page of outpostctl does not have the command: mailbox quota"]
