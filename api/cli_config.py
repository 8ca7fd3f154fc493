"""`config`: what is set, where it comes from, and whether everything it points to works."""

from typing import TYPE_CHECKING

import typer

from api.cli_output import (
    EXIT_DIFFERENT,
    DataOption,
    JsonOption,
    clear_errors,
    examples,
    say,
    say_json,
    settings_for,
)

if TYPE_CHECKING:
    from api.config_check import Finding
    from api.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Show and check the settings.")

SECRET = "[secret]"
_MARKS = {"ok": "ok      ", "warning": "WARNING ", "error": "ERROR   "}


@app.command(epilog=examples("foldex config show", "foldex config show --json"))
def show(as_json: JsonOption = False) -> None:
    """Print every setting and where its value comes from; secrets stay hidden."""
    with clear_errors():
        from api.settings import variable
        from api.settings_sources import given, read_settings

        settings, origins = read_settings(), given()
        rows = [
            {
                "variable": variable(name),
                "value": _shown(settings, name),
                "origin": origins[name].origin if name in origins else "default",
            }
            for name in type(settings).model_fields
        ]
        if as_json:
            say_json({"settings": rows})
            return
        for row in rows:
            origin = "" if row["origin"] in ("default", row["variable"]) else f"  {row['origin']}"
            mark = " " if row["origin"] == "default" else "*"
            say(f"{mark} {row['variable']:28} {row['value']}{origin}".rstrip())
        say("* is set; all others are defaults. What they mean: docs/settings.md")


@app.command(epilog=examples("foldex config check", "foldex config check --data data --json"))
def check(data: DataOption = "", as_json: JsonOption = False) -> None:
    """Try everything that the settings point to; end with 1 when something does not work.

    Nothing is changed, and the exchange may run meanwhile.
    """
    with clear_errors():
        findings = _check(data)
        good = all(finding.level != "error" for finding in findings)
        if as_json:
            say_json({"ok": good, "checks": findings})
        else:
            for finding in findings:
                advice = f"; {finding.advice}" if finding.advice else ""
                say(f"{_MARKS[finding.level]}{finding.what:22} {finding.detail}{advice}")
        if not good:
            raise typer.Exit(EXIT_DIFFERENT)


def _check(data: str) -> "list[Finding]":
    import logging

    from api.config_check import Finding
    from api.config_check import check as run
    from api.settings_sources import BadSetting

    try:
        settings = settings_for(data)
    except BadSetting as error:
        return [Finding("error", "settings", str(error), "see docs/settings.md")]
    # What the parts would log is in the findings.
    logging.disable()
    try:
        return [Finding("ok", "settings", "each is in its range"), *run(settings)]
    finally:
        logging.disable(logging.NOTSET)


def _shown(settings: "Settings", name: str) -> str:
    from api.settings import is_secret

    value = getattr(settings, name)
    if is_secret(name):
        return SECRET if value else ""
    return str(value)
