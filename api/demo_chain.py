"""The demo's own Ethereum: a chain in this process, a vault, a signer beside it, an officer.

All of it is made anew for each demo, under another chain number, as the chain itself is gone when
the process ends. Its secrets are worth nothing, and are kept in the demo's directory.
"""

import os
import secrets
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api import demo_token
from api.faucet import deploy_token, pay
from api.settings import Settings
from wallet.errors import WalletError
from wallet.ethereum.chain import EthereumChain
from wallet.ethereum.devnode.node import DevNode
from wallet.ethereum.devnode.server import DevNodeServer
from wallet.keys.secret import Secret
from wallet.signer.client import SignerClient
from wallet.signer.journal import Journal
from wallet.types import TokenId
from wallet.vault import vault
from wallet.vault.contents import Key, Seed
from wallet.vault.document import ONLINE_ROLES, Role
from wallet.vault.files import VAULT_FILE
from wallet.vault.officers import create_officer
from wallet.vault.protection import PassphraseProtection

OFFICER: Final = "ann"
COLD: Final = "cold"
"""The directory of the cold wallet's vault, beside that of the signer's."""
BLOCK_S: Final = 1.0
ETHER: Final = 10**18
HOT_ETHER: Final = 50
_TOKEN: Final = "token"
_MEMORY_KIB: Final = 8 * 1024
"""Of the passphrase's protection: the least, as it protects nothing here."""
_SIGNER_S_MAX: Final = 20.0
_ROOT: Final = Path(__file__).resolve().parents[1]

_POLICY: Final = """\
version = 1
stop_file = "{directory}/stop"

[[officers]]
name = "ann"
public_key = "{officer}"

[[chains]]
id = "{chain}"
gas_max = 3_000_000
gas_price_max = "500000000000"
fee_max = "500000000000000000"
fees_per_day = "5000000000000000000"
fee_share_bps_max = 1000

[[rules]]
chain = "{chain}"
kind = "withdrawal"
roles = ["hot"]
to = ["any"]
per_transaction = "20000000000000000000"
per_day = "200000000000000000000"
approvals = 1

[[rules]]
chain = "{chain}"
kind = "sweep"
roles = ["deposit", "hot"]
to = ["own:hot", "own:cold"]
per_transaction = "1000000000000000000000"
per_day = "100000000000000000000000"
approvals = 0

[[rules]]
chain = "{chain}"
kind = "deploy"
roles = ["hot"]
per_transaction = "1000000000000000000"
per_day = "5000000000000000000"
approvals = 1

[[rules]]
chain = "{chain}"
kind = "release"
roles = ["hot", "gas", "deposit"]
approvals = 0
"""

_CONFIG: Final = """\
chain = "{chain}"
fee_price_max = "300000000000"
fee_max = "300000000000000000"
payment_confirmations = 3
approvals = 1
start_height = 0

[[assets]]
asset = "ETH"
minimum = "0.001"
hot_low = "1"
hot_target = "100"
hot_high = "500"
sweep_from = "0.01"

[[confirmations]]
asset = "ETH"
at_least = "10"
blocks = 6

[[confirmations]]
blocks = 3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoChain:
    """A running chain, its node's URL, and the settings that let custody find everything.

    node: None where it is another process. token: an ERC-20 that is on it.
    """

    node: DevNode | None
    url: str
    directory: Path
    settings: Settings
    token: TokenId


def start_chain(
    settings: Settings,
    opened: ExitStack,
    *,
    block_s: float | None = BLOCK_S,
    more_policy: str = "",
    kept: Path | None = None,
) -> DemoChain:
    """Start chain and signer; `opened` ends them. block_s: None makes blocks only when asked to.

    more_policy: rules for the signer besides the demo's. kept: where the vault stays, for a chain
    that does; None makes a new one.
    With FOLDEX_ETHEREUM_URL the chain is the anvil there, which seals blocks as often meanwhile.
    Raises: OSError: the signer does not start. WalletError: no such node answers.
    """
    node, url = None, settings.ethereum_url
    if not url:
        node = DevNode(chain_id=1_000_000 + secrets.randbelow(1_000_000_000))
        url = opened.enter_context(DevNodeServer(node, interval_s=block_s)).url
    elif block_s is not None:
        _seal_blocks(url, block_s, opened)
    directory = _clean(settings) if kept is None else kept
    chain = EthereumChain.connect(url).id
    config, socket = directory / "custody.toml", directory / "signer.sock"
    is_new = not (directory / VAULT_FILE).exists()
    if is_new:
        token = deploy_token(url, demo_token.NAME, demo_token.ASSET)
        if node is not None:
            node.mine()
        rules = demo_token.RULES.format(chain=chain, token=token)
        _make_vault(directory, chain, rules + more_policy)
        config.write_text(_CONFIG.format(chain=chain), encoding="utf-8")
        (directory / _TOKEN).write_text(token, encoding="ascii")
    _start_signer(directory, socket, opened)
    if is_new:
        _fund(url, socket)
    token = TokenId((directory / _TOKEN).read_text(encoding="ascii"))
    changed = settings.model_copy(
        update={"ethereum_url": url, "signer": socket, "wallet_config": config}
    )
    return DemoChain(node=node, url=url, directory=directory, settings=changed, token=token)


def _seal_blocks(url: str, block_s: float, opened: ExitStack) -> None:
    """Have an anvil seal blocks by itself; afterwards one for each transaction again."""
    rpc = EthereumChain.connect(url).rpc
    rpc.call("anvil_setIntervalMining", max(1, round(block_s)))
    opened.callback(rpc.call, "evm_setAutomine", True)
    opened.callback(rpc.call, "anvil_setIntervalMining", 0)


def _clean(settings: Settings) -> Path:
    """Forget the books of an earlier demo; return a new directory for this one's secrets."""
    for name in ("wallet.sqlite", "wallet.sqlite-wal", "wallet.sqlite-shm"):
        (settings.data / name).unlink(missing_ok=True)
    directory = settings.data.absolute() / "custody" / secrets.token_hex(4)
    directory.mkdir(mode=0o700, parents=True)
    return directory


def _fund(url: str, socket: Path) -> None:
    client = SignerClient(socket)
    try:
        keys = client.keys()
    finally:
        client.close()
    for address, ether in ((keys.hot, HOT_ETHER), (keys.gas, 1)):
        pay(url, address, ether * ETHER)


def _make_vault(directory: Path, chain: str, more_policy: str) -> None:
    passphrase = secrets.token_urlsafe(24)
    file = directory / "passphrase"
    file.touch(mode=0o600)
    file.write_text(passphrase + "\n", encoding="ascii")
    protection = PassphraseProtection.new(Secret(passphrase), os.urandom, _MEMORY_KIB)
    cold = Key.of_seed(Role.COLD, Seed.new(os.urandom))
    keys = tuple(Key.of_seed(role, Seed.new(os.urandom)) for role in ONLINE_ROLES)
    [hot] = [key for key in keys if key.role is Role.HOT]
    # Elsewhere the cold wallet's vault is on a machine without a network.
    vault.create(directory / COLD, (cold, Key.watched(Role.HOT, hot.xpub)), protection, os.urandom)
    watched = Key.watched(Role.COLD, cold.xpub)
    contents = vault.create(directory, (*keys, watched), protection, os.urandom)
    Journal.create(directory / "journal", contents.keyring().authenticate)
    officer = create_officer(directory / f"{OFFICER}.key", OFFICER, protection, os.urandom)
    policy = _POLICY.format(directory=directory, officer=officer.public_key, chain=chain)
    (directory / "policy.toml").write_text(policy + more_policy, encoding="utf-8")


def _start_signer(directory: Path, socket: Path, opened: ExitStack) -> None:
    """Run `foldex signer`, a process of its own that alone can sign."""
    with (directory / "signer.log").open("wb") as log:
        command = [sys.executable, "-m", "api", "signer", "run", "--vault", str(directory)]
        process = subprocess.Popen(
            [*command, "--passphrase-file", str(directory / "passphrase")],
            cwd=_ROOT,
            env=os.environ | {"PYTHONPATH": str(_ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    opened.callback(process.wait)
    opened.callback(process.terminate)
    client = SignerClient(socket)
    opened.callback(client.close)
    give_up_s = time.monotonic() + _SIGNER_S_MAX
    while True:
        try:
            client.status()
        except WalletError:
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise OSError(0, f"the signer did not start: see {log.name}", log.name) from None
            time.sleep(0.05)
        else:
            return
