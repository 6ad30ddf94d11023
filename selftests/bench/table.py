# SPDX-License-Identifier: Apache-2.0
"""Figures of one run of `make bench`: build/bench.tsv for machines, build/bench.md for people."""
import os
import platform
import statistics
import subprocess
import time


class Table:
    """Rows (group, what, unit, values, reference); a ratio is of values of the same round, pair by pair."""

    def __init__(self, top, build):
        self.top, self.build, self.rows, self.notes = top, build, [], []
        os.makedirs(build, exist_ok=True)

    def add(self, group, what, unit, values, reference=None):
        """reference: the values of what it is compared with, round by round."""
        values = [float(v) for v in values]
        ratios = [v / r for v, r in zip(values, reference)] if reference else []
        self.rows.append((group, what, unit, len(values), statistics.median(values), min(values), max(values),
                          percentile(values, 99),
                          statistics.median(ratios) if ratios else None, min(ratios, default=None),
                          max(ratios, default=None)))
        row = self.rows[-1]
        print(f"  {group:28} {what:42} {row[4]:12.4g} {unit:7} ({row[5]:.4g} to {row[6]:.4g}, p99 {row[7]:.4g}, {row[3]} of them)"
              + (f", {row[8]:.3f} ({row[9]:.3f} to {row[10]:.3f}) of the reference" if ratios else ""), flush=True)

    def note(self, text):
        self.notes.append(text)
        print("  " + text, flush=True)

    def machine(self):
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=self.top, capture_output=True,
                                text=True).stdout.strip()
        return (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, kernel {platform.release()}, "
                f"load {os.getloadavg()[0]:.1f}, commit {commit}")

    def write(self):
        with open(os.path.join(self.build, "bench.tsv"), "w") as tsv:
            tsv.write("group\twhat\tunit\tcount\tmedian\tmin\tmax\tp99\tratio\tratio_min\tratio_max\n")
            for row in self.rows:
                tsv.write("\t".join("" if v is None else f"{v:.6g}" if isinstance(v, float) else str(v)
                                    for v in row) + "\n")
        with open(os.path.join(self.build, "bench.md"), "w") as page:
            page.write(f"{self.machine()}\n")
            group = None
            for row in self.rows:
                if row[0] != group:
                    group = row[0]
                    page.write(f"\n### {group}\n| what | unit | median | min | max | p99 | ratio (min to max) | of |\n"
                               "|---|---|---|---|---|---|---|---|\n")
                ratio = f"{row[8]:.3f} ({row[9]:.3f} to {row[10]:.3f})" if row[8] is not None else ""
                page.write(f"| {row[1]} | {row[2]} | {row[4]:.4g} | {row[5]:.4g} | {row[6]:.4g} | {row[7]:.4g} | "
                           f"{ratio} | {row[3]} |\n")
            for note in self.notes:
                page.write(f"\n{note}\n")


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
