#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sums up what scripts/check.sh ran. Fails, too, when something that should have run did not."""
import glob
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree

ALLOWED_SKIPS = ("corpus absent", "Cyrus cannot be installed", "Postfix cannot be run", "the npm registry cannot be reached")


def count_shell(results, total, problems):
    for path in sorted(glob.glob(os.path.join(results, "*.sh-result"))):
        with open(path) as result:
            good = result.read().strip() == "pass"
        total["passed" if good else "failed"] += 1
        if not good:
            problems.append(os.path.basename(path).replace(".sh-result", "") + " failed")


def read_log(build):
    path = os.path.join(build, "meson-logs", "testlog.json")
    if not os.path.exists(path):
        return []
    with open(path) as log:
        return [json.loads(line) for line in log if line.strip()]


def defined_tests(build):
    told = subprocess.run(["meson", "introspect", "--tests", build], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return [test["name"] for test in json.loads(told.stdout)] if told.returncode == 0 else []


def count_cmocka(build, total, problems):
    tests = read_log(build)
    if not tests:
        problems.append("no unit test was run")
    # The log names a test "project:suite / name".
    run = {test["name"].rsplit(" / ", 1)[-1] for test in tests}
    for name in defined_tests(build):
        if name not in run:
            problems.append(f"{name}: defined, but not run")
    for test in tests:
        text = (test.get("stdout") or "") + (test.get("stderr") or "")
        passed = sum(int(n) for n in re.findall(r"^\[  PASSED  \] (\d+) test", text, re.M))
        failed = sum(int(n) for n in re.findall(r"^\[  FAILED  \] (\d+) test", text, re.M))
        skipped = sum(int(n) for n in re.findall(r"^\[  SKIPPED \] (\d+) test", text, re.M))
        code = test.get("returncode", 1)
        if code == 77 or skipped:
            reason = next((r for r in ALLOWED_SKIPS if r in text), None)
            skipped = skipped or 1
            if not reason:
                problems.append(f"{test['name']}: skipped without an allowed reason")
        elif code != 0 and not failed:
            # A crash or a report of a sanitizer: nothing was counted as failed, yet it is.
            failed = 1
            problems.append(f"{test['name']}: ended with {code} ({test.get('result')})")
        elif not passed and not failed:
            failed = 1
            problems.append(f"{test['name']}: ran no test")
        total["passed"] += passed
        total["failed"] += failed
        total["skipped"] += skipped


def count_pytest(results, total, problems):
    path = os.path.join(results, "pytest.xml")
    if not os.path.exists(path):
        problems.append("pytest left no results")
        return
    cases = list(xml.etree.ElementTree.parse(path).getroot().iter("testcase"))
    if not cases:
        problems.append("no system test was run")
    for case in cases:
        skip = case.find("skipped")
        if skip is not None:
            total["skipped"] += 1
            reason = skip.get("message") or ""
            allowed = ALLOWED_SKIPS + (() if os.getuid() == 0 else ("needs root",))
            if not any(a in reason for a in allowed):
                problems.append(f"{case.get('name')}: skipped without an allowed reason: {reason}")
        elif case.find("failure") is not None or case.find("error") is not None:
            total["failed"] += 1
        else:
            total["passed"] += 1


def main():
    build = sys.argv[1]
    total, problems = {"passed": 0, "failed": 0, "skipped": 0}, []
    count_shell(os.path.join(build, "results"), total, problems)
    count_cmocka(build, total, problems)
    count_pytest(os.path.join(build, "results"), total, problems)
    for problem in problems:
        print("check: " + problem)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**total))
    return 1 if problems or total["failed"] or not total["passed"] else 0


sys.exit(main())
