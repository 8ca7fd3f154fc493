"""`replay`, `verify`, `rebuild` and `snapshot`: what is done to a store."""

from contextlib import closing
from typing import Annotated

import typer

from api.cli_output import (
    EXIT_DIFFERENT,
    DataOption,
    JsonOption,
    clear_errors,
    progress_bar,
    say,
    say_json,
    settings_for,
)

Until = Annotated[
    int | None,
    typer.Option("--until", metavar="POSITION", min=0, help="Stop after this event; 0 is empty."),
]
NoSnapshot = Annotated[
    bool, typer.Option("--no-snapshot", help="Replay from the first event, without a snapshot.")
]


def replay(
    data: DataOption = "",
    no_snapshot: NoSnapshot = False,
    until: Until = None,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the exchange from its log, as of the end or of any event, and print its hash.

    The log is only read; a running exchange is not disturbed.
    """
    with clear_errors():
        from api.deployment import deployment_of
        from audit.replay import replay as run

        with (
            deployment_of(settings_for(data)).open_store() as store,
            progress_bar("Replaying") as progress,
        ):
            report = run(
                store, use_snapshot=not no_snapshot, until_position=until, progress=progress
            )
        if as_json:
            say_json(report)
            return
        source = f"a snapshot at {report.from_snapshot_position:,}"
        say(f"position    {report.position:,}")
        say(f"state hash  {report.state_hash}")
        say(
            f"replayed    {report.events:,} events in {report.seconds:.2f} s, from "
            + (source if report.from_snapshot_position else "the beginning")
        )


def verify(data: DataOption = "", as_json: JsonOption = False) -> None:
    """Prove a store: every seal, number and position, the state it folds to, every snapshot.

    Ends with 1, and names the first bad position, when anything was altered, removed or swapped.
    """
    with clear_errors():
        from api.deployment import deployment_of
        from audit.verify import verify as run

        with (
            deployment_of(settings_for(data)).open_store() as store,
            progress_bar("Verifying") as progress,
        ):
            report = run(store, progress=progress)
        if as_json:
            say_json(
                {
                    "ok": report.ok,
                    "first_bad_position": report.first_bad_position,
                    "commits": report.commits,
                    "events": report.events,
                    "seal": report.head.seal.hex(),
                    "state_hash": report.state_hash,
                    "snapshots": report.snapshots,
                    "ignored_snapshots": report.ignored,
                    "seconds": round(report.seconds, 3),
                    "problems": report.problems,
                }
            )
        else:
            say(f"good        {report.commits:,} commits, {report.events:,} events")
            say(f"last seal   {report.head.seal.hex()}")
            say(f"state hash  {report.state_hash}")
            for position in report.ignored:
                detail = "of another version, to be made anew"
                say(f"ignored     the snapshot at event {position:,}: {detail}")
            for problem in report.problems:
                where = f"event {problem.position:,}: " if problem.position else ""
                say(f"PROBLEM     {where}{problem.detail}")
            say("verified" if report.ok else "NOT verified")
        if not report.ok:
            raise typer.Exit(EXIT_DIFFERENT)


def rebuild(data: DataOption = "", as_json: JsonOption = False) -> None:
    """Build all views anew from the log beside the live ones, and swap them in when done.

    A running exchange goes on serving the old ones until then.
    """
    with clear_errors():
        from api.deployment import deployment_of
        from projections.runner import rebuild as run

        there = deployment_of(settings_for(data))
        with (
            there.open_store() as store,
            closing(there.open_views()) as views,
            progress_bar("Rebuilding") as progress,
        ):
            position = run(store.log, views, progress)
        if as_json:
            say_json({"position": position})
        else:
            say(f"The views are rebuilt, up to event {position:,}.")


def snapshot(data: DataOption = "", as_json: JsonOption = False) -> None:
    """Keep the state at the end of the log, so that the next start replays less.

    A running exchange is not disturbed: this process follows the log by itself.
    """
    with clear_errors():
        from api.deployment import deployment_of
        from domain.snapshot import dump
        from eventstore.recovery import recover
        from eventstore.snapshots import snapshot_of

        with (
            deployment_of(settings_for(data)).open_store() as store,
            progress_bar("Replaying") as progress,
        ):
            found = recover(store.log, store.snapshots, progress=progress)
            kept = snapshot_of(found.exchange.position, found.head, dump(found.exchange))
            if found.exchange.position > found.snapshot_position:
                store.snapshots.save(kept)
        if as_json:
            say_json({"position": kept.position, "state_hash": kept.state_hash})
        else:
            say(f"A snapshot is kept at event {kept.position:,}: {kept.state_hash}")
