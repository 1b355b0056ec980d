#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Moves a mailbox in every way it can be moved, and judges what a mail client makes of it. See README.md."""
import argparse
import importlib.util
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]

from cases import CASES, Bench, Servers, Unmakeable, chosen  # noqa: E402
from clients import CLIENTS  # noqa: E402
from judge import in_words  # noqa: E402


def load_client(name):
    """A client of clients.py, or FILE.py:CLASS."""
    if name in CLIENTS:
        return CLIENTS[name]
    path, _, class_name = name.rpartition(":")
    if not path or not os.path.exists(path):
        sys.exit(f"run.py: no client {name}: one of {', '.join(CLIENTS)}, or FILE.py:CLASS")
    spec = importlib.util.spec_from_file_location("added_client", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, class_name)


def run(client, server="dovecot", names=(), folder="INBOX", told=lambda text: None):
    """Result for each case of @names, in order; a case that cannot be made has "skipped" only."""
    servers = Servers(server)
    if client.missing() or servers.missing():
        raise Unmakeable(client.missing() or servers.missing())
    bench, results = Bench(client, servers, folder), []
    try:
        for name in names or CASES:
            start = time.monotonic()
            try:
                result = CASES[name].run(bench)
            except Unmakeable as reason:
                result = {"case": name, "skipped": str(reason)}
            results.append(result)
            told(f"{name:18} {result.get('verdict', 'skipped'):10} {time.monotonic() - start:5.1f} s")
    finally:
        bench.close()
    return results


def rows_of(cells):
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "| " + " | ".join("---" for _ in cells[0]) + " |"] + lines[1:])


def table(results):
    """All that was counted, for one client."""
    cells = [("case", "verdict", "exit", "what went wrong", "changes sent", "bodies again", "kB down, up", "a human")]
    for r in results:
        if "skipped" in r:
            cells.append((r["case"], "not run", "", r["skipped"], "", "", "", ""))
            continue
        codes = "; ".join(" ".join("killed" if c is None else str(c) for c in stage) for stage in r["codes"])
        cells.append((r["case"], r["verdict"], codes, in_words(r), f"{r['applied']} of {r['pending']}" if r["pending"] else "",
                      "deflated" if r["bodies"] is None else str(r["bodies"]), f"{r['octetsDown'] / 1000:.0f}, {r['octetsUp'] / 1000:.0f}",
                      "yes" if r["human"] else ""))
    return rows_of(cells)


def comparison(runs):
    """One client beside another: [(title, results)]."""
    cells = [("case", "new home", *(title for title, _ in runs))]
    for number, first in enumerate(runs[0][1]):
        said = []
        for _, results in runs:
            r = results[number]
            words = [r["skipped"]] if "skipped" in r else [w for w in [in_words(r)] if w]
            if not words and r["human"]:
                words = [f"exit status {r['codes'][-1][-1]}"]
            said.append(": ".join([r.get("verdict", "not run")] + words))
        cells.append((first["case"], CASES[first["case"]].text, *said))
    return rows_of(cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", default="outpost", help=", ".join(CLIENTS) + ", or FILE.py:CLASS; several with commas are compared")
    parser.add_argument("--server", default="dovecot", choices=("dovecot", "cyrus"))
    parser.add_argument("--folder", default="INBOX", help="where the 200 messages are, e.g. Work/Deep")
    parser.add_argument("--case", default="", help="M1,M7-older-copy,...; M1 is M1-new-mail, too; all if not given")
    parser.add_argument("--json", action="store_true", help="everything that was counted, and what the client printed")
    parser.add_argument("-v", "--verbose", action="store_true", help="what the client printed, for each case")
    parser.add_argument("--list", action="store_true", help="list the cases, run none")
    options = parser.parse_args()
    names, unknown = chosen([name for name in options.case.split(",") if name])
    if unknown:
        parser.error(f"no case {unknown[0]}: {', '.join(CASES)}")
    if options.list:
        print("\n".join(f"{name:18} {CASES[name].text}" for name in names))
        return 0
    runs = []
    for client in [load_client(name) for name in options.client.split(",")]:
        try:
            results = run(client, options.server, names, options.folder, lambda text: print(text, file=sys.stderr, flush=True))
        except Unmakeable as reason:
            print(f"run.py: {reason}", file=sys.stderr)
            return 77
        runs.append((f"{client.name} {client.version()}", results))
    where = {"server": options.server, "folder": options.folder, "date": time.strftime("%Y-%m-%d")}
    followed = all(r.get("verdict", "follows") == "follows" for _, results in runs for r in results)
    if options.json:
        print(json.dumps({**where, "clients": [{"client": title, "results": results} for title, results in runs]}, indent=1))
        return 0 if followed else 1
    print(", ".join(where.values()) + "\n")
    for title, results in runs:
        print(f"## {title}\n\n{table(results)}\n")
        for result in results if options.verbose else ():
            print(f"== {result['case']}\n" + "\n--\n".join(result.get("texts", ())) + "\n")
    if len(runs) > 1:
        print("## Compared\n\n" + comparison(runs))
    return 0 if followed else 1


if __name__ == "__main__":
    sys.exit(main())
