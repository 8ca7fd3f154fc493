"""A refill from cold by hand: export, sign off line, import, on a real chain and real vaults."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.__main__ import app
from api.demo_chain import COLD, start_chain
from api.faucet import pay
from api.settings import Settings
from tests.custody.ethereum_run import EthereumRun, Own
from wallet.types import IntentId

ETHER = 10**18


class Hands:
    """A chain whose hot wallet is below its band, and the commands that people run."""

    def __init__(self, run: EthereumRun, directory: Path) -> None:
        self.run = run
        self.directory = directory
        self.vault = run.chain.directory / COLD
        settings = run.chain.settings
        self._online = {
            "FOLDEX_DATA": str(run.data),
            "FOLDEX_ETHEREUM_URL": settings.ethereum_url,
            "FOLDEX_SIGNER": str(settings.signer),
            "FOLDEX_WALLET_CONFIG": str(settings.wallet_config),
        }

    def online(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["wallet", *words], env=self._online)

    def offline(self, *words: str, answer: str = "") -> Result:
        """Run a command of the cold wallet's machine, which knows nothing of the others."""
        options = ["--vault", str(self.vault), "--chain", self.run.custody.chain.id]
        options += ["--passphrase-file", str(self.run.chain.directory / "passphrase")]
        return CliRunner().invoke(app, ["vault", "sign", *words, *options], input=answer)

    def file(self, name: str) -> str:
        return str(self.directory / name)


@pytest.fixture
def hands(tmp_path: Path) -> Iterator[Hands]:
    with ExitStack() as opened:
        chain = start_chain(Settings(data=tmp_path / "data"), opened, block_s=None)
        assert chain.node is not None
        config = chain.settings.wallet_config
        assert config is not None
        text = config.read_text().replace('hot_low = "1"', 'hot_low = "60"')
        config.write_text(text.replace('hot_target = "100"', 'hot_target = "62.5"'))
        run = EthereumRun(chain, Own(chain.node), tmp_path / "data", 1)
        opened.callback(run.stop)
        pay(chain.url, run.custody.keys.cold, 20 * ETHER)
        run.settle(4)
        yield Hands(run, tmp_path)


def test_a_refill_is_exported_signed_off_line_imported_and_mined(hands: Hands) -> None:
    run, keys = hands.run, hands.run.custody.keys
    assert "asks for 12500000000000000000 base units of ETH" in hands.online("status").output
    exported = hands.online("refill", "export", hands.file("refill.json"))
    assert exported.exit_code == 0
    assert "refill-1: 12.5 ETH from the cold wallet" in exported.output
    written = json.loads(Path(hands.file("refill.json")).read_text())
    [item] = written["transactions"]
    assert (written["chain"], item["to"], item["sender"]) == (
        run.custody.chain.id, keys.hot, keys.cold,
    )  # fmt: skip

    files = (hands.file("refill.json"), "--out", hands.file("signed.json"))
    refused = hands.offline(*files, answer="n\n")
    assert refused.exit_code == 1
    for shown in (keys.hot, keys.cold, item["amount"], run.custody.chain.id, "nonce    0"):
        assert shown in refused.stderr
    assert not Path(hands.file("signed.json")).exists()
    assert hands.offline(*files, answer="y\n").exit_code == 0

    before = run.custody.chain.balances([keys.hot], None)[keys.hot]
    imported = hands.online("refill", "import", hands.file("signed.json"))
    assert imported.output.startswith("refill-1: signed, 0x")
    run.settle(1)
    assert run.custody.chain.balances([keys.hot], None)[keys.hot] == before + 125 * ETHER // 10
    assert run.custody.book.chain_record.refills == {}
    run.settle(4)
    payment = run.custody.book.payment(IntentId("refill-1"))
    assert payment is not None
    assert payment.status == "paid"
    again = hands.online("refill", "import", hands.file("signed.json"))
    assert again.output.startswith("refill-1: paid, 0x")
    nothing = hands.online("refill", "export", hands.file("other.json"))
    assert nothing.output == "nothing is asked for, or all of it is signed\n"
    run.check()


def test_a_file_that_was_changed_on_its_way_is_refused_on_either_side(hands: Hands) -> None:
    assert hands.online("refill", "export", hands.file("refill.json")).exit_code == 0
    path = Path(hands.file("refill.json"))
    honest = path.read_text()
    thief = hands.run.custody.keys.gas
    path.write_text(honest.replace(hands.run.custody.keys.hot[2:].lower(), thief[2:].lower()))
    refused = hands.offline(hands.file("refill.json"), "--out", hands.file("signed.json"), "--yes")
    assert refused.exit_code == 2
    assert "payee" in refused.stderr

    path.write_text(honest)
    signed = hands.file("signed.json")
    assert hands.offline(hands.file("refill.json"), "--out", signed, "--yes").exit_code == 0
    over = hands.offline(hands.file("refill.json"), "--out", signed, "--yes")
    assert over.exit_code != 0
    changed = json.loads(Path(signed).read_text())
    changed["transactions"][0]["raw"] = "0x" + "00" * 60
    Path(hands.file("changed.json")).write_text(json.dumps(changed))
    refused = hands.online("refill", "import", hands.file("changed.json"))
    assert (refused.exit_code, refused.stderr[:20]) == (3, "foldex: BAD_REQUEST:")
    nonsense = hands.online("refill", "import", hands.file("refill.json"))
    assert nonsense.exit_code == 2
    hands.run.custody.book.catch_up()
    [open_] = hands.run.custody.refills.open()
    assert open_.status == "slotted"
