"""The real serving process, for a test to kill."""

import sys
from multiprocessing.connection import Connection
from pathlib import Path

from api.bootstrap import Foldex
from api.server import serve
from api.settings import Settings
from tests.given import OPENING


def serve_until_killed(directory: Path, port: int, says_ready: Connection) -> None:
    """Serve a directory, and say "ready" once requests are taken.

    The first start makes the market, the accounts and a trading key, whose id and secret it leaves
    in DIRECTORY/trader.txt.
    """
    trader = directory / "trader.txt"

    def prepare(foldex: Foldex) -> None:
        if not trader.exists():
            if "alice" not in foldex.engine.exchange.accounts:
                for command in OPENING:
                    foldex.engine.execute(command)
            trader.write_text(" ".join(foldex.keys.create("alice", ["trade"])))

    sys.exit(
        serve(
            Settings(data=directory, port=port, log_level="error"),
            prepare=prepare,
            on_ready=lambda _: says_ready.send("ready"),
        )
    )
