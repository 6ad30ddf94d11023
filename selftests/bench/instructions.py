#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guest instructions of an exchange between pods, path by path.

QEMU counts instructions and calls each a nanosecond of the guest (-icount shift=0,sleep=off, one processor): CPU time
there is a count, which repeats within a percent whatever else the machine does. It knows nothing of caches and locks.

limits.tsv holds what each path of Margay may need, as a ratio to a reference in the same guest: three hundredths more than
was measured when the row was written, so that a regression fails `make check-kernels`, which measures on LIMITS_KERNEL.

    instructions.py RESULT      inside a guest: measures, writes "mode<TAB>path<TAB>instructions" lines
"""
import csv
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "selftests", name) for name in ("net", "bench", "kernels")]

import guest  # noqa: E402
import paths  # noqa: E402

MODES = ("tcp_rr", "udp_rr", "crr")
MILLISECONDS = 20  # of the guest: 20 million instructions, some hundred exchanges
ICOUNT = ("--qemu-opts=-icount shift=0,sleep=off",)
PATIENCE = 1000  # while a guest waits for the machine its clock leaps from timer to timer
BARE = "bare veth pair"
LIMITS = os.path.join(TOP, "selftests", "bench", "limits.tsv")
LIMITS_KERNEL = "6.12"
MARGIN = 1.03


def boot(image, out, limit=guest.LIMIT):
    """{mode: {path: instructions}} from a guest with this kernel; None where it did not come to its end."""
    result = os.path.join(out, "instructions.tsv")
    guest.run_inside(image, out, f"NET_PATIENCE={PATIENCE} python3 selftests/bench/instructions.py {result} > {out}/log 2>&1", ICOUNT, limit,
                     guest.PLAIN)
    if not os.path.exists(result):
        return None
    found = {}
    with open(result) as file:
        for mode, path, count in (line.rstrip("\n").split("\t") for line in file):
            found.setdefault(mode, {})[path] = float(count)
    return found


def ratios(found):
    """(mode, path, reference, ratio) of each path of Margay and of what it is compared with."""
    for mode, counts in found.items():
        for path, others in paths.REFERENCE.items():
            for other in (*others, BARE):
                yield mode, path, other, counts[path] / counts[other]


def judge(found):
    """[(case, "pass" | "fail", detail)] by limits.tsv."""
    with open(LIMITS) as file:
        limits = {tuple(row[:3]): float(row[3]) for row in list(csv.reader(file, delimiter="\t"))[1:]}
    cases = []
    for mode, path, other, ratio in ratios(found):
        limit = limits.get((mode, path, other))
        detail = f"{ratio:.3f} of {other}, limit {limit}"
        cases.append((f"{mode}, {path} / {other}", "pass" if limit and ratio <= limit else "fail", detail))
    return cases


def write_limits(found):
    with open(LIMITS, "w") as file:
        file.write("mode\tpath\treference\tlimit\n")
        file.writelines(f"{mode}\t{path}\t{other}\t{ratio * MARGIN:.3f}\n" for mode, path, other, ratio in ratios(found))


def programs():
    """What the guest needs beside the product."""
    return [os.path.join(guest.BUILD, "selftests", "bench", name) for name in ("rr", "peer.o")]


def inside(result):
    with paths.Pair() as made:
        made.start()
        found = paths.all_paths(made, guest.BUILD)
        with open(result + ".new", "w") as file:
            for number, mode in enumerate(MODES):
                for name, path in found.items():
                    count = paths.exchange(guest.BUILD, mode, path, paths.PORT + number, MILLISECONDS)
                    file.write(f"{mode}\t{name}\t{count:.0f}\n")
        os.replace(result + ".new", result)


if __name__ == "__main__":
    inside(sys.argv[1])
