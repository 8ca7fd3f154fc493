"""The command line: `python3 -m deploy.services --help`."""

import argparse
import json
import os
import shlex
import sys

from deploy.services import control
from deploy.services.clone import Clone
from deploy.services.process import ServiceError

DOWN = 3
SETTINGS = {
    "postgres": "FOLDEX_DATABASE_URL",
    "kafka": "FOLDEX_KAFKA",
    "ethereum": "FOLDEX_ETHEREUM_URL",
}


def main() -> int:
    """Return the exit status: 1 when a server cannot be had, 3 from `status` when one is down."""
    os.umask(0o022)  # The user that PostgreSQL runs as must be able to read its programs.
    options = _parser().parse_args()
    try:
        return _do(Clone(), options)
    except ServiceError as error:
        print(f"services: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _do(clone: Clone, options: argparse.Namespace) -> int:
    match options.action:
        case "start":
            _print(control.start(clone, options.names, keep=True))
        case "stop":
            control.stop(clone, options.names, wipe=options.wipe)
        case "status":
            return _print_status(clone, as_json=options.json)
        case "env":
            _print_settings(control.status(clone))
        case "crash":
            control.crash(clone, options.name)
        case "restart-after-crash":
            control.restart_after_crash(clone, options.name)
        case _:
            command = options.command[1:] if options.command[:1] == ["--"] else options.command
            return control.run(clone, command)
    return 0


def _print(addresses: dict[str, str]) -> None:
    for name, address in addresses.items():
        print(f"{name:<9} {address}")


def _print_status(clone: Clone, *, as_json: bool) -> int:
    found = control.status(clone)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        for name, facts in found.items():
            print(f"{name:<9} {facts['state']:<5} {facts['address']}")
    return DOWN if any(facts["state"] == "down" for facts in found.values()) else 0


def _print_settings(found: dict[str, dict[str, str | int | None]]) -> None:
    """Print lines for a shell: the settings of Foldex that use the servers."""
    for name, setting in SETTINGS.items():
        if found[name]["state"] == "down":
            raise ServiceError(f"{name} is down: run `make services`")
        print(f"export {setting}={shlex.quote(str(found[name]['address']))}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deploy.services", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    start = actions.add_parser("start", help="install and start what is missing")
    _add_names(start)
    stop = actions.add_parser("stop", help="stop them")
    _add_names(stop)
    stop.add_argument("--wipe", action="store_true", help="and delete their data")
    status = actions.add_parser("status", help=f"show them; exit status {DOWN} when one is down")
    status.add_argument("--json", action="store_true")
    actions.add_parser("env", help='settings of Foldex for them, to load: eval "$(… env)"')
    for name, what in (
        ("crash", "end a server as a crash does"),
        ("restart-after-crash", "the same, and start it again on the same port and data"),
    ):
        actions.add_parser(name, help=what).add_argument("name", choices=control.NAMES)
    run = actions.add_parser("run", help="run a command while they run: run -- COMMAND …")
    run.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def _add_names(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(control.NAMES)
    parser.add_argument(
        "names", nargs="*", type=_name, default=control.NAMES, help=f"{names}; all when left out"
    )


def _name(text: str) -> str:
    if text not in control.NAMES:
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(control.NAMES)}")
    return text


if __name__ == "__main__":
    sys.exit(main())
