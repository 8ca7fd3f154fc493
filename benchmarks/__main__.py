"""python -m benchmarks: measure, print, and with --write keep the table in benchmarks/README.md."""

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measures import MEASURES, Measure
from benchmarks.places import NoServer
from benchmarks.workloads import W1_COMMANDS, Measured, Workload, flow, w1

ROOT = Path(__file__).resolve().parent.parent
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
    try:
        return measure(workload)
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
    return row


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """Return the commit measured; with a plus sign when files were changed since."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _table(report: dict[str, Any]) -> str:
    on = report["machine"]
    title = (
        f"{on['cpu']}, {on['cores']} cores; Python {on['python']}; Linux {on['kernel']}; "
        f"commit {report['commit']}; median (lowest to highest) of {report['runs']} runs"
    )
    lines = [
        title,
        "",
        "| measure | workload | median | lowest – highest | unit | p50 | p99 |",
        "|---|---|---:|---:|---|---:|---:|",
    ]
    lines += [
        f"| {row['measure']} | {row['workload']} | {row['median']:,} "
        f"| {row['lowest']:,} – {row['highest']:,} | {row['unit']} "
        + "".join(f"| {row[name]} ms " if name in row else "| " for name in ("p50_ms", "p99_ms"))
        + "|"
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
