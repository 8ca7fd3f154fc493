"""The command line: `./foldex COMMAND`. Exit codes: 0 good; 1 a difference or problem was found;
2 wrong usage or input; 3 the store cannot be used; 4 another process is writing to it.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from api.console import EXIT_DIFFERENCE, EXIT_USAGE, clear_errors, err, fail, out, progress, show

app = typer.Typer(
    help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown"
)
flow = typer.Typer(help="Run recorded or synthetic order flow.", no_args_is_help=True)
keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
app.add_typer(flow, name="flow")
app.add_typer(keys, name="keys")

Data = Annotated[Path, typer.Option(help="Data directory.", show_default="./data")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
DATA = Path("data")


class ExportWhat(StrEnum):
    EVENTS = "events"
    TRADES = "trades"
    STATEMENT = "statement"


class ExportFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


@app.command(epilog="Example: `./foldex serve --data ./data --port 8000`")
def serve(
    data: Data = DATA,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
) -> None:
    """Run the exchange and its HTTP API until SIGTERM or Ctrl-C, which lose nothing."""
    from api.server import serve as run  # noqa: PLC0415

    with clear_errors():
        settings = _settings(data, host, port)
        if host not in ("127.0.0.1", "localhost", "::1"):
            err.print("warning: requests are not encrypted; put a TLS proxy in front")
        code = run(settings, on_ready=lambda _: out.print(f"ready: http://{host}:{port}"))
    raise typer.Exit(code)


@app.command(epilog="Example: `./foldex demo --port 8000`")
def demo(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    data: Annotated[
        Path | None, typer.Option(help="Data directory; default: a new temporary one.")
    ] = None,
) -> None:
    """Run a small exchange with simulated traders, and print what to try next."""
    from api.demo import run_demo  # noqa: PLC0415

    with clear_errors():
        code = run_demo(port=port, data=data)
    raise typer.Exit(code)


@app.command(
    epilog="Example: `FOLDEX_KEY=… FOLDEX_SECRET=… ./foldex call POST /v1/orders '{…}'`"
)
def call(
    method: Annotated[str, typer.Argument(help="GET, POST, PATCH or DELETE.")],
    path: Annotated[str, typer.Argument(help="Path and query, such as /v1/balances.")],
    body: Annotated[str, typer.Argument(help="JSON body, sent byte for byte.")] = "",
    url: Annotated[str, typer.Option(help="Where the exchange is.")] = "http://127.0.0.1:8000",
    idempotency_key: Annotated[
        str, typer.Option(help="Makes sending the command again safe.")
    ] = "",
) -> None:
    """Send one request, signed with the API key in FOLDEX_KEY and FOLDEX_SECRET."""
    from api.client import send  # noqa: PLC0415

    try:
        status, answer = send(method, url, path, body, idempotency_key)
    except (OSError, ValueError) as error:
        fail(f"no answer: {error}", EXIT_USAGE)
    typer.echo(answer)
    raise typer.Exit(0 if status < 400 else EXIT_DIFFERENCE)


@flow.command("run", epilog="Example: `./foldex flow run flow.csv.gz --data ./replayed --json`")
def flow_run(
    file: Annotated[Path, typer.Argument(help="A flow, see docs/flow-format.md.")],
    data: Annotated[Path, typer.Option(help="An empty or new data directory.")],
    tick: Annotated[str, typer.Option(help="Price step of the market.")] = "0.01",
    lot: Annotated[str, typer.Option(help="Quantity step of the market.")] = "1",
    candles: Annotated[
        Path | None, typer.Option(help="One-minute candles to compare with, as CSV.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Feed a flow into a fresh exchange and compare every fill; exit 1 on any difference."""
    from api.flow import run_flow  # noqa: PLC0415

    with clear_errors(), progress("commands") as shown:
        report = run_flow(file, data, tick=tick, lot=lot, candles=candles, progress=shown)
    show(msgspec.structs.asdict(report), as_json=as_json)
    if report.mismatches:
        if not as_json:
            for difference in report.differences:
                err.print(difference, highlight=False)
        raise typer.Exit(EXIT_DIFFERENCE)


@flow.command(
    "generate", epilog="Example: `./foldex flow generate --seed 7 --commands 20000 flow.csv.gz`"
)
def flow_generate(
    file: Annotated[Path, typer.Argument(help="Where to write it; gzipped if it ends in .gz.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same flow.")] = 1,
    commands: Annotated[int, typer.Option(help="How many.", min=1, max=10_000_000)] = 20_000,
) -> None:
    """Make synthetic flow, with the fills that a simple matcher of its own gives it."""
    from api.flow_generator import generate  # noqa: PLC0415

    try:
        with progress("commands") as shown:
            generate(file, seed=seed, commands=commands, progress=shown)
    except OSError as error:
        fail(f"cannot write {file}: {error.strerror}", EXIT_USAGE)
    err.print(f"{commands:,} commands in {file}", highlight=False)


@app.command(epilog="Example: `./foldex replay --data ./data --until 1000 --json`")
def replay(
    data: Data = DATA,
    snapshot: Annotated[bool, typer.Option(help="Start from the newest snapshot.")] = True,
    until: Annotated[int | None, typer.Option(help="Stop after this position.", min=0)] = None,
    as_json: Json = False,
) -> None:
    """Rebuild the state from the log and print its hash: the live exchange's, always."""
    from audit.replay import replay as run  # noqa: PLC0415

    with clear_errors(), _store(data) as store, progress("events") as shown:
        report = run(store, use_snapshot=snapshot, until_position=until, progress=shown)
    show(_plain(report), as_json=as_json)


@app.command(epilog="Example: `./foldex verify --data ./data && echo sound`")
def verify(data: Data = DATA, as_json: Json = False) -> None:
    """Check every seal, position, state and snapshot; exit 1 and name the first bad event."""
    from audit.verify import verify as run  # noqa: PLC0415

    with clear_errors(), _store(data) as store, progress("events") as shown:
        report = run(store, progress=shown)
    result = {
        "ok": report.ok,
        "first_bad_position": report.first_bad_position,
        "commits": report.commits,
        "events": report.events,
        "state_hash": report.state_hash,
        "snapshots": report.snapshots,
        "seconds": f"{report.seconds:.3f}",
        "problems": [msgspec.structs.asdict(each) for each in report.problems],
    }
    show(result, as_json=as_json)
    if not report.ok:
        if not as_json:
            for problem in report.problems:
                err.print(f"event {problem.position}: {problem.detail}", highlight=False)
        raise typer.Exit(EXIT_DIFFERENCE)


@app.command(epilog="Example: `./foldex rebuild --data ./data`")
def rebuild(data: Data = DATA, as_json: Json = False) -> None:
    """Build all views from the log, beside the live ones, and swap them in; also while serving."""
    from projections.runner import rebuild as run  # noqa: PLC0415

    with clear_errors(), _store(data) as store, progress("events") as shown:
        position = run(store.log, data, shown)
    show({"position": position}, as_json=as_json)


@app.command(epilog="Example: `./foldex snapshot --data ./data`")
def snapshot(data: Data = DATA, as_json: Json = False) -> None:
    """Keep a snapshot of the state as of now, for a quicker start; also while serving."""
    from domain.snapshot import dump  # noqa: PLC0415
    from eventstore.recovery import recover  # noqa: PLC0415
    from eventstore.snapshots import snapshot_of  # noqa: PLC0415

    with clear_errors(), _store(data) as store, progress("events") as shown:
        last = store.log.stored_head().position
        found = recover(store.log, store.snapshots, until_position=last, progress=shown)
        position = found.exchange.position
        if position:
            store.snapshots.save(snapshot_of(position, found.head, dump(found.exchange)))
    show({"position": position}, as_json=as_json)


@app.command(
    epilog="Example: `./foldex export statement --account alice --format csv --output alice.csv`"
)
def export(
    what: Annotated[ExportWhat, typer.Argument(help="What to export.")],
    data: Data = DATA,
    output: Annotated[Path, typer.Option(help="File, or - for standard output.")] = Path("-"),
    form: Annotated[ExportFormat, typer.Option("--format", help="How.")] = ExportFormat.CSV,
    market: Annotated[str | None, typer.Option(help="Only of this market.")] = None,
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
) -> None:
    """Export events, trades or an account's statement, from views that are current."""
    from audit.export import UnknownExport, rows, write  # noqa: PLC0415
    from projections.views import Views  # noqa: PLC0415

    with clear_errors():
        _current_views(data)
        views = Views(data)
        try:
            found = rows(views, what.value, market=market, account=account)
            if output == Path("-"):
                count = write(found, sys.stdout.buffer, form.value)
            else:
                with output.open("wb") as file:
                    count = write(found, file, form.value)
        except UnknownExport as error:
            fail(str(error), EXIT_USAGE)
        except OSError as error:
            fail(f"cannot write {output}: {error.strerror}", EXIT_USAGE)
        finally:
            views.close()
    err.print(f"{count:,} rows", highlight=False)


@keys.command(
    "create",
    epilog="Example: `./foldex keys create --account alice --scope read --scope trade`",
)
def keys_create(
    scope: Annotated[list[str], typer.Option(help="read, trade, withdraw, operate or audit.")],
    account: Annotated[str, typer.Option(help="Whose; none for operators and auditors.")] = "",
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Make an API key and print its secret, this once."""
    with clear_errors(), _keys(data) as store:
        key_id, secret = store.create(account, scope, label)
    show({"key": key_id, "secret": secret}, as_json=as_json)


@keys.command("revoke", epilog="Example: `./foldex keys revoke KEY`")
def keys_revoke(key: Annotated[str, typer.Argument(help="Its id.")], data: Data = DATA) -> None:
    """Make a key useless, at once and for good."""
    with clear_errors(), _keys(data) as store:
        store.revoke(key)


@app.command(epilog="Example: `./foldex docs`")
def docs() -> None:
    """Write the generated pages of docs/ again."""
    from api.catalogue import write_pages  # noqa: PLC0415

    for path in write_pages():
        err.print(str(path), highlight=False)


def _settings(data: Path, host: str, port: int) -> Any:
    from dataclasses import replace  # noqa: PLC0415

    from api.settings import Settings  # noqa: PLC0415

    return replace(Settings.from_environment(), data=data, host=host, port=port)


def _store(data: Path) -> Any:
    from eventstore.sqlite import open_sqlite  # noqa: PLC0415

    return open_sqlite(data, create=False)


def _keys(data: Path) -> Any:
    from contextlib import closing  # noqa: PLC0415

    from api.keys import KeyStore  # noqa: PLC0415
    from api.settings import Settings  # noqa: PLC0415

    data.mkdir(parents=True, exist_ok=True)
    return closing(KeyStore(data, Settings.from_environment().master_key))


def _current_views(data: Path) -> None:
    """Bring the views to the end of the log, unless a running exchange does so."""
    from eventstore.errors import StoreLocked  # noqa: PLC0415
    from eventstore.lock import WriterLock  # noqa: PLC0415
    from projections.runner import catch_up  # noqa: PLC0415

    with _store(data) as store:
        try:
            lock = WriterLock(data)
        except StoreLocked:
            return
        try:
            with progress("events") as shown:
                catch_up(store.log, data, shown)
        finally:
            lock.release()


if __name__ == "__main__":
    app(prog_name="./foldex")
