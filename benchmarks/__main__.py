"""python -m benchmarks: measure, print, and with --write keep the table in benchmarks/README.md."""

import argparse
import gc
import json
import os
import sys
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.machine import ROOT, commit, cpu_time, machine, stolen_share
from benchmarks.measures import MEASURES, Measure
from benchmarks.places import NoServer
from benchmarks.workloads import W1_COMMANDS, Measured, Workload, flow, w1

README = ROOT / "benchmarks" / "README.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def main() -> int:
    """Measure as the command line says and return the exit code."""
    options = _options()
    workloads = [w1(options.commands)]
    if options.flow:
        workloads.append(flow(Path(options.flow)))
    names = options.only or list(MEASURES)
    report = {
        "machine": machine(),
        "commit": commit(),
        "runs": options.runs,
        "results": _measure(names, workloads, options.runs),
    }
    print(json.dumps(report, indent=2) if options.json else _table(report))
    if options.write:
        _write(report)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="repeatable")
    parser.add_argument("--runs", type=int, default=5, help="runs of each; the median counts")
    parser.add_argument("--commands", type=int, default=W1_COMMANDS, help="length of W1")
    parser.add_argument(
        "--flow", default=os.environ.get("FOLDEX_FLOW_DATA"), help="a recorded order flow, too"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    return parser.parse_args()


def _measure(names: list[str], workloads: list[Workload], runs: int) -> list[dict[str, Any]]:
    """Run everything in turn, `runs` times over, so that a busy minute does not hit only one."""
    measured: dict[tuple[str, str], list[Measured]] = {}
    for run in range(runs):
        for workload in workloads:
            for name in names:
                try:
                    one = _measure_once(MEASURES[name][1], workload)
                except NoServer as error:
                    print(f"{name} skipped: {error}", file=sys.stderr)
                    continue
                measured.setdefault((name, workload.name), []).append(one)
        print(f"run {run + 1} of {runs} done", file=sys.stderr)
    return [_row(name, workload, each) for (name, workload), each in measured.items()]


def _measure_once(measure: Measure, workload: Workload) -> Measured:
    gc.collect()
    gc.freeze()
    gc.disable()
    before = cpu_time()
    try:
        measured = measure(workload)
        return msgspec.structs.replace(measured, stolen=stolen_share(before, cpu_time()))
    finally:
        gc.enable()
        gc.unfreeze()


def _row(name: str, workload: str, runs: list[Measured]) -> dict[str, Any]:
    rates = [run.per_second for run in runs]
    row = {
        "measure": name,
        "workload": workload,
        "unit": f"{MEASURES[name][0]}/s",
        "median": round(median(rates)),
        "lowest": round(min(rates)),
        "highest": round(max(rates)),
    }
    if runs[0].latencies_s:
        for percent in (50, 99):
            row[f"p{percent}_ms"] = round(median(run.latency_ms(percent) for run in runs), 2)
    row["stolen_percent"] = round(100 * median(run.stolen for run in runs), 1)
    return row


def _table(report: dict[str, Any]) -> str:
    on = report["machine"]
    title = (
        f"{on['cpu']}, {on['cores']} cores; Python {on['python']}; Linux {on['kernel']}; "
        f"commit {report['commit']}; median (lowest to highest) of {report['runs']} runs"
    )
    lines = [
        title,
        "",
        "| measure | workload | median | lowest – highest | unit | p50 | p99 | stolen |",
        "|---|---|---:|---:|---|---:|---:|---:|",
    ]
    lines += [
        f"| {row['measure']} | {row['workload']} | {row['median']:,} "
        f"| {row['lowest']:,} – {row['highest']:,} | {row['unit']} "
        + "".join(f"| {row[name]} ms " if name in row else "| " for name in ("p50_ms", "p99_ms"))
        + f"| {row['stolen_percent']} % |"
        for row in report["results"]
    ]
    return "\n".join(lines)


def _write(report: dict[str, Any]) -> None:
    """Replace what stands between the markers."""
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n{_table(report)}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
