"""The command line, `./foldex`. Each command imports what it needs when it runs: help is quick."""

import typer

from api import (
    cli_approve,
    cli_bus,
    cli_cold,
    cli_config,
    cli_contracts,
    cli_export,
    cli_flow,
    cli_keys,
    cli_payments,
    cli_processes,
    cli_refill,
    cli_serve,
    cli_signer,
    cli_store,
    cli_tokens,
    cli_vault,
    cli_views,
    cli_wallet,
)
from api.cli_output import EXIT_DIFFERENT, clear_errors, examples, say

app = typer.Typer(
    name="foldex",
    help="Foldex: a crypto exchange whose state is a fold of its events.",
    epilog=examples("foldex demo", "foldex serve --data data", "foldex verify --data data"),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def main() -> None:
    """Foldex: a crypto exchange whose state is a fold of its events."""


app.command(epilog=examples("foldex serve --data data --port 8000"))(cli_serve.serve)
app.command(epilog=examples("foldex demo", "foldex demo --port 8001 --data /tmp/demo"))(
    cli_serve.demo
)
app.command(epilog=examples("foldex sandbox", "foldex sandbox /tmp/sandbox"))(cli_serve.sandbox)
app.command(epilog=examples("foldex migrate", "foldex migrate --json"))(cli_processes.migrate)
app.command(epilog=examples("foldex engine", "foldex engine --host 0.0.0.0 --port 7420"))(
    cli_processes.engine
)
app.command(epilog=examples("FOLDEX_ENGINE=127.0.0.1:7420 foldex api", "foldex api --port 8001"))(
    cli_processes.api
)
app.command(
    epilog=examples(
        "foldex project",
        "foldex project --only accounts --only events",
        "foldex project --from kafka",
    )
)(cli_processes.project)
app.command(epilog=examples("FOLDEX_KAFKA=127.0.0.1:9092 foldex publish"))(cli_processes.publish)
app.add_typer(cli_flow.app, name="flow")
app.command(
    epilog=examples(
        "foldex replay --data data",
        "foldex replay --data data --no-snapshot --json",
        "foldex replay --data data --until 1000",
    )
)(cli_store.replay)
app.command(epilog=examples("foldex verify --data data", "foldex verify --data data --json"))(
    cli_store.verify
)
app.command(epilog=examples("foldex rebuild --data data"))(cli_store.rebuild)
app.command(epilog=examples("foldex compare data copy", "foldex compare data env --json"))(
    cli_views.compare
)
app.add_typer(cli_views.app, name="candles")
app.command(epilog=examples("foldex snapshot --data data"))(cli_store.snapshot)
app.add_typer(cli_keys.app, name="keys")
app.add_typer(cli_config.app, name="config")
app.add_typer(cli_wallet.app, name="wallet")
cli_wallet.app.add_typer(cli_tokens.app, name="token")
cli_wallet.app.command(epilog=examples("foldex wallet rescan 4000 --id before-usdc --wait"))(
    cli_tokens.rescan
)
cli_wallet.app.command(epilog=examples("foldex wallet rescans --json"))(cli_tokens.rescans)
cli_wallet.app.command(
    epilog=examples('foldex wallet deploy erc20 --id t1 --args \'["T", "T", 6, "1000"]\'')
)(cli_contracts.deploy)
cli_wallet.app.command(
    epilog=examples("foldex wallet transact erc20 0x5FbD… transfer --id x1 --args '[…]'")
)(cli_contracts.transact)
cli_wallet.app.command(
    epilog=examples("foldex wallet call erc20 0x5FbD… balanceOf --args '[\"0x7099…\"]'")
)(cli_contracts.call)
cli_wallet.app.command(
    epilog=examples("foldex wallet contracts", "foldex wallet contracts --json")
)(cli_contracts.contracts)
cli_wallet.app.command(epilog=examples("foldex wallet approve contract-t1 ann:17952…:MEUC…"))(
    cli_contracts.approve
)
cli_wallet.app.command(epilog=examples("foldex wallet cancel 7 --reason 'the client asked'"))(
    cli_payments.cancel
)
cli_wallet.app.command(epilog=examples("foldex wallet bump withdrawal-7"))(cli_payments.bump)
cli_wallet.app.add_typer(cli_refill.app, name="refill")
cli_wallet.app.command(
    epilog=examples(
        'foldex wallet command \'{"type":"create_account","meta":{"account":"alice"}}\''
    )
)(cli_bus.command)
cli_wallet.app.command(
    epilog=examples("foldex wallet messages transaction", "foldex wallet messages errors")
)(cli_bus.messages)
app.add_typer(cli_export.app, name="export")
cli_vault.app.command(
    epilog=examples(
        "foldex vault approve --key ann.key --intent withdrawal.json",
        "foldex vault approve --key ann.key --intent call.json --contract token.json",
    )
)(cli_approve.approve)
cli_vault.app.command(
    epilog=examples("foldex vault sign refill.json --out signed.json --vault cold")
)(cli_cold.sign)
app.add_typer(cli_vault.app, name="vault")
app.add_typer(cli_signer.app, name="signer")


@app.command(epilog=examples("foldex docs", "foldex docs --check"))
def docs(
    check: bool = typer.Option(False, "--check", help="Write nothing; 1 when a page is stale."),
) -> None:
    """Write the generated pages of docs/ from the code."""
    with clear_errors():
        from api.catalogue import stale_pages, write_pages

        stale = stale_pages() if check else write_pages()
        for path in stale:
            say(f"{'stale' if check else 'written'}: {path}")
        if check and stale:
            raise typer.Exit(EXIT_DIFFERENT)


if __name__ == "__main__":
    app(prog_name="foldex")
