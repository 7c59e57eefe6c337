#!/usr/bin/env python3
"""Curves of several runs in one picture: does one setting differ from another by more than seeds do?

usage: plot_seeds.py OUT TITLE COLUMN FIRST LABEL=RUN,RUN... [LABEL=RUN,RUN...]

RUN is a folder with the curves.csv of `mebench train`. Writes OUT.csv (a column for each run) and OUT.svg (COLUMN from step
FIRST on, logarithmic, a colour for each label). Needs no package.
"""
import csv
import math
import sys

COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd"]
LEFT, RIGHT, TOP, BOTTOM = 60, 700, 20, 360


def read(run, column):
    with open(f"{run}/curves.csv") as f:
        return {int(row["step"]): float(row[column]) for row in csv.DictReader(f)}


def main():
    out, title, column, first = sys.argv[1:5]
    groups = [(label, [read(r, column) for r in runs.split(",")])
              for label, runs in (g.split("=", 1) for g in sys.argv[5:])]
    steps = sorted(s for s in groups[0][1][0] if s >= int(first))
    with open(out + ".csv", "w") as f:
        names = [f"{label}_{i + 1}" for label, runs in groups for i in range(len(runs))]
        print(",".join(["step", *names]), file=f)
        for s in steps:
            print(",".join([str(s), *(f"{r[s]:.6g}" for _, runs in groups for r in runs)]), file=f)
    values = [math.log10(r[s]) for _, runs in groups for r in runs for s in steps]
    low, high = min(values), max(values)

    def x(step):
        return LEFT + (RIGHT - LEFT) * (step - steps[0]) / (steps[-1] - steps[0])

    def y(value):
        return BOTTOM - (BOTTOM - TOP) * (math.log10(value) - low) / (high - low)

    with open(out + ".svg", "w") as f:
        print('<svg xmlns="http://www.w3.org/2000/svg" width="720" height="400" font-family="sans-serif" font-size="12">'
              '<rect width="720" height="400" fill="white"/>', file=f)
        for i in range(6):
            v = 10 ** (low + (high - low) * i / 5)
            print(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="#ddd"/>'
                  f'<text x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.3g}</text>', file=f)
            s = steps[0] + (steps[-1] - steps[0]) * i // 5
            print(f'<text x="{x(s):.1f}" y="378" text-anchor="middle">{s}</text>', file=f)
        for (label, runs), colour in zip(groups, COLOURS):
            for r in runs:
                points = " ".join(f"{x(s):.1f},{y(r[s]):.1f}" for s in steps)
                print(f'<polyline fill="none" stroke="{colour}" stroke-width="1.2" points="{points}"/>', file=f)
        for i, ((label, runs), colour) in enumerate(zip(groups, COLOURS)):
            print(f'<text x="560" y="{40 + 18 * i}" fill="{colour}">{label}, {len(runs)} seeds</text>', file=f)
        print(f'<text x="380" y="395" text-anchor="middle">{title}</text></svg>', file=f)


main()
