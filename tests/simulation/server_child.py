"""The real serving process, for a test to kill: DIRECTORY PORT.

The first start makes the market, the accounts and a trading key, whose id and secret it leaves in
DIRECTORY/trader.txt. It says "ready" once requests are taken.
"""

import sys
from pathlib import Path

from api.bootstrap import Foldex
from api.server import serve
from api.settings import Settings
from tests.given import OPENING


def main(directory: Path, port: int) -> int:
    """Serve until killed."""
    trader = directory / "trader.txt"

    def prepare(foldex: Foldex) -> None:
        if not trader.exists():
            if "alice" not in foldex.engine.exchange.accounts:
                for command in OPENING:
                    foldex.engine.execute(command)
            trader.write_text(" ".join(foldex.keys.create("alice", ["trade"])))

    return serve(
        Settings(data=directory, port=port, log_level="error"),
        prepare=prepare,
        on_ready=lambda _: print("ready", flush=True),
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
