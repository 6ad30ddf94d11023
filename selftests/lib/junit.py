# SPDX-License-Identifier: Apache-2.0
"""What pytest said in its XML file."""
import os
import xml.etree.ElementTree as ET


def cases(path):
    """[(case, "pass" | "fail" | "skip", detail)]; none where the file is not there."""
    found = []
    for case in ET.parse(path).iter("testcase") if os.path.exists(path) else ():
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        skip = case.find("skipped")
        if bad is not None:
            found.append((case.get("name"), "fail", (bad.get("message") or "").split("\n")[0]))
        elif skip is not None:
            found.append((case.get("name"), "skip", skip.get("message") or ""))
        else:
            found.append((case.get("name"), "pass", ""))
    return found
