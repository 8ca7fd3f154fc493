"""`keys`: create, list and revoke API keys. Works beside a running exchange, too."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_output import (
    DataOption,
    JsonOption,
    clear_errors,
    examples,
    say,
    say_json,
    settings_for,
)

if TYPE_CHECKING:
    from api.keys import KeyStore

app = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.")


@app.command(
    epilog=examples(
        "foldex keys create --account alice --scope read --scope trade",
        "foldex keys create --scope operate --scope audit --label 'night shift'",
    )
)
def create(
    scope: Annotated[
        list[str],
        typer.Option(help="read, trade, withdraw (of an account); operate, audit (without one)."),
    ],
    account: Annotated[str, typer.Option(help="Whose key it is; none for operators.")] = "",
    label: Annotated[str, typer.Option(help="What you call it.")] = "",
    data: DataOption = "",
    as_json: JsonOption = False,
) -> None:
    """Create an API key. Its secret is shown this once and never again."""
    with _keys(data) as keys:
        key_id, secret = keys.create(account, scope, label)
        if as_json:
            say_json({"key_id": key_id, "secret": secret})
        else:
            say(f"key     {key_id}")
            say(f"secret  {secret}")
            say("Keep the secret: it is not shown again. How to sign with it: docs/api.md")


@app.command("list", epilog=examples("foldex keys list --data data"))
def list_keys(data: DataOption = "", as_json: JsonOption = False) -> None:
    """List the API keys, without their secrets."""
    with _keys(data) as keys:
        rows = keys.rows()
        if as_json:
            say_json({"keys": rows})
            return
        for row in rows:
            state = "revoked" if row.revoked else "in force"
            say(
                f"{row.key_id}  {state:8}  {row.account or '(staff)':16}  {','.join(row.scopes)}"
                f"  {row.label}"
            )


@app.command(epilog=examples("foldex keys revoke fdxk_0123456789abcdef0123456789abcdef"))
def revoke(key_id: str, data: DataOption = "") -> None:
    """End an API key. A running exchange refuses it within a second."""
    with _keys(data) as keys:
        keys.revoke(key_id)
        say(f"{key_id} is revoked.")


@contextmanager
def _keys(data: str) -> "Iterator[KeyStore]":
    with clear_errors():
        from api.deployment import deployment_of

        with closing(deployment_of(settings_for(data)).open_keys()) as keys:
            yield keys
