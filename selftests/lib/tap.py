# SPDX-License-Identifier: Apache-2.0
"""What a cmocka program said in TAP: its cases, and whether all that it planned came."""
import re

CASE = re.compile(r"^(not )?ok \d+ (?:- )?(.*)$")
SKIP = re.compile(r"^(.*?) ?# SKIP ?(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)")
REASON = "# skip: "


def cases(text, status=0):
    """[(case, "pass" | "fail" | "skip", detail)]; a program that died or told nothing fails as a whole.

    cmocka prints a skipped case as "not ok 1 # SKIP name", without a reason: that is the line
    "# skip: ..." before it (sandbox.h), and where none is, the case fails: no skip goes unexplained.
    """
    found, planned, reason = [], 0, ""
    for line in text.split("\n"):
        if plan := PLAN.match(line):
            planned += int(plan[1])
        elif line.startswith(REASON):
            reason = line[len(REASON):]
        elif hit := CASE.match(line):
            skip = SKIP.match(hit[2])
            if skip:
                found.append((skip[1] or skip[2], "skip" if reason else "fail", reason or "skipped without a reason"))
            else:
                found.append((hit[2], "fail" if hit[1] else "pass", ""))
            reason = ""
    failed = any(result == "fail" for _, result, _ in found)
    if len(found) != planned or not found or (status != 0 and not failed):
        found.append(("whole program", "fail", f"status {status}, {len(found)} of {planned} cases"))
    return found
