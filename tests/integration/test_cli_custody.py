"""The commands that people run when something is wrong with custody, on a real chain and signer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.__main__ import app
from api.deployment import deployment_of
from tests.custody.ethereum_run import EthereumRun, run_with_a_deposit
from wallet.journal_memory import JournalMemory
from wallet.signer.messages import JournalMark

DIFFERENT = 1
USAGE = 2
STORE = 3


class Hands:
    """A chain with a deposit, and the commands; `forget` is a ledger that lost it."""

    def __init__(self, run: EthereumRun) -> None:
        self.run = run
        settings = run.chain.settings
        self.settings = settings.model_copy(update={"data": run.data})
        self._env = {
            "FOLDEX_DATA": str(run.data),
            "FOLDEX_ETHEREUM_URL": settings.ethereum_url,
            "FOLDEX_SIGNER": str(settings.signer),
            "FOLDEX_WALLET_CONFIG": str(settings.wallet_config),
        }

    def __call__(self, *words: str, code: int = 0) -> str:
        result: Result = CliRunner().invoke(app, ["wallet", *words], env=self._env)
        assert result.exit_code == code, result.output
        self.run.custody.book.catch_up()
        return result.output


@pytest.fixture
def hands(tmp_path: Path) -> Iterator[Hands]:
    with run_with_a_deposit(tmp_path) as run:
        hands = Hands(run)
        with deployment_of(hands.settings).open_store(create=True, for_writing=True):
            pass
        yield hands


def test_a_difference_is_named_pauses_and_stays_in_sight_after_resuming(hands: Hands) -> None:
    shown = hands("reconcile", code=DIFFERENT)
    assert "DIFFERENT: deposit eip155:" in shown
    assert "books 200000000, other 0" in shown
    assert "1 differences" in shown
    state = hands("status")
    assert "PAUSED by custody itself: RECONCILIATION_FAILED: 1 differences" in state
    assert "DIFFERENT: deposit" in state
    assert "Missing option" in hands("resume", code=USAGE)
    why = ("resume", "--reason", "the ledger is being restored")
    assert "DIFFERENCES_NOT_ACCEPTED: 1 differences are recorded" in hands(*why, code=STORE)
    mark = state.partition("--accept ")[2].strip()
    resumed = hands(*why, "--accept", mark)
    assert resumed.startswith("resumed")
    assert "still different: deposit" in resumed
    hands("reconcile", code=DIFFERENT)
    assert "PAUSED" not in hands("status")
    hands("pause", "--reason", "a drill")
    assert "PAUSED by command line: a drill" in hands("status")


def test_what_cannot_be_cancelled_or_bumped_is_said_in_one_line(hands: Hands) -> None:
    assert "there is no withdrawal 7" in hands("cancel", "7", "--reason", "why", code=USAGE)
    assert "BAD_REQUEST: there is no payment withdrawal-7" in hands(
        "bump", "withdrawal-7", code=STORE
    )


def test_a_journal_that_is_behind_is_accepted_by_people_only(hands: Hands) -> None:
    book = hands.run.custody.book
    JournalMemory(book, writes=True).saw(JournalMark(10**6, b"x" * 32))
    assert hands.run.signer.memory is not None
    told = hands("accept-journal", "--reason", "the machine is gone; compared with the books")
    assert "still paused" in told
    assert JournalMemory(book, writes=False).known() is None
    hands.run.settle(1)
