"""A throw-away vault with its signer, an officer and a token, to try custody's processes with."""

import signal
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from types import FrameType
from typing import Final

from api.cli_output import say
from api.demo_chain import BLOCK_S, start_chain
from api.demo_client import NAME, Client, exports_of, write_client
from api.deployment import deployment_of
from api.settings import Settings

_LABEL: Final = "foldex sandbox"


def run_sandbox(settings: Settings, directory: Path) -> int:
    """Run the signer until told to stop, beside the processes that the settings are of.

    Blocks come each second meanwhile. What it makes stays in `directory`, as the node's chain does;
    only the shell file is there while it runs.
    Raises: WalletError: there is no development node at FOLDEX_ETHEREUM_URL; StoreError,
    KeyStoreError: the database was not migrated; OSError: the signer does not start.
    """
    stop = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = directory.absolute() / NAME
    file.unlink(missing_ok=True)
    with ExitStack() as opened:
        keys = opened.enter_context(closing(deployment_of(settings).open_keys()))
        chain = start_chain(settings, opened, block_s=BLOCK_S, kept=directory.absolute())
        url = f"http://{settings.host}:{settings.port}"
        client = Client(url=url, chain=chain, exports=exports_of(chain), label=_LABEL)
        write_client(file, keys, client)
        opened.callback(file.unlink, missing_ok=True)
        say(f"The signer answers on {chain.settings.signer}. In another shell: . {file}")
        stop.wait()
    return 0
