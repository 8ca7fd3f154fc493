"""The journal: it comes back whole, or the signer does not start."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.signer_world import ETHER, World, new_contents, withdrawal
from wallet.signer import journal
from wallet.signer.journal import (
    Journal,
    JournalDamaged,
    JournalError,
    JournalInUse,
    NoJournal,
    Position,
    read_head,
    records,
)
from wallet.vault.contents import Contents, Key, Seed
from wallet.vault.document import Role


@pytest.fixture
def stopped(tmp_path: Path) -> World:
    """Return a world whose signer signed three payments and has ended."""
    world = World(tmp_path)
    for number in range(3):
        world.signer.sign(world.request(withdrawal(f"w{number}", ETHER // 10), nonce=number))
    world.journal.close()
    return world


def lines(world: World) -> list[bytes]:
    return (world.directory / journal.FILE).read_bytes().splitlines(keepends=True)


def write(world: World, content: list[bytes]) -> None:
    (world.directory / journal.FILE).write_bytes(b"".join(content))


def test_a_restart_remembers_everything(stopped: World) -> None:
    stopped.start()
    assert stopped.signer.position.count == 5
    assert [record.time_ms for record, _ in records(stopped.directory)] == [stopped.now_ms] * 5
    assert read_head(stopped.directory, stopped.keyring.authenticate) == stopped.signer.position
    stopped.journal.close()


Damage = Callable[[list[bytes]], list[bytes]]
DAMAGES: dict[str, Damage] = {
    "the last record cut off": lambda found: found[:-1],
    "two records cut off": lambda found: found[:-2],
    "everything cut off": lambda found: [],
    "the first record gone": lambda found: found[1:],
    "a record in the middle gone": lambda found: found[:2] + found[3:],
    "two records swapped": lambda found: [found[0], found[2], found[1], *found[3:]],
    "a record twice": lambda found: [*found[:2], *found[1:]],
    "an amount changed": lambda found: [line.replace(b'"100000', b'"900000') for line in found],
    "another slot": lambda found: [line.replace(b':0"', b':9"') for line in found],
    "an empty line": lambda found: [found[0], b"\n", *found[1:]],
    "the last record torn": lambda found: [*found[:-1], found[-1][:-5]],
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_journal_that_was_changed_or_cut_is_refused(stopped: World, what: str) -> None:
    before = lines(stopped)
    write(stopped, DAMAGES[what](before))
    with pytest.raises(JournalDamaged, match="bring back its newest copy"):
        stopped.start()
    write(stopped, before)
    stopped.start()
    stopped.journal.close()


def test_a_journal_written_anew_with_right_hashes_is_refused(stopped: World) -> None:
    """The chain alone could be computed by anyone; the head needs the vault's key."""
    position, forged = journal.START, []
    for line in lines(stopped)[:-1]:
        data = line[:-1].partition(b" ")[2].replace(b"w1", b"x1")
        position = position.following(data)
        forged.append(position.hash.hex().encode() + b" " + data + b"\n")
    write(stopped, forged)
    with pytest.raises(JournalDamaged, match="not the ones that its head names"):
        stopped.start()
    stranger = new_contents().keyring().authenticate
    (stopped.directory / journal.HEAD).write_bytes(journal._head_line(position, stranger))
    with pytest.raises(JournalDamaged, match="not authentic"):
        stopped.start()


def test_one_record_more_than_the_head_knows_is_what_a_crash_leaves(stopped: World) -> None:
    head = stopped.directory / journal.HEAD
    old = head.read_bytes()
    stopped.start()
    stopped.journal.close()
    head.write_bytes(old)
    stopped.start()
    assert stopped.signer.position.count == 6
    stopped.journal.close()
    head.write_bytes(old)
    with pytest.raises(JournalDamaged, match="not from the signer"):
        stopped.start()


def test_half_a_record_that_a_power_cut_left_is_dropped(stopped: World) -> None:
    content = lines(stopped)
    write(stopped, [*content, content[-1][:-7]])
    stopped.start()
    assert stopped.signer.position.count == len(content) + 1
    stopped.restart()
    stopped.journal.close()


def test_a_torn_head_falls_back_to_the_one_before(stopped: World) -> None:
    path = stopped.directory / journal.HEAD
    head = bytearray(path.read_bytes())
    newest = read_head(stopped.directory, stopped.keyring.authenticate).count % 2
    head[newest * journal.HEAD_BYTES + 30] ^= 1
    path.write_bytes(head)
    stopped.start()
    assert stopped.signer.position.count == 5
    stopped.journal.close()


@pytest.mark.parametrize("missing", [journal.FILE, journal.HEAD])
def test_a_signer_never_starts_with_half_a_memory(stopped: World, missing: str) -> None:
    (stopped.directory / missing).unlink()
    with pytest.raises((NoJournal, JournalDamaged), match="forget"):
        stopped.start()
    with pytest.raises(JournalError, match="already"):
        Journal.create(stopped.directory, stopped.keyring.authenticate)


def test_two_signers_do_not_share_a_journal(stopped: World) -> None:
    stopped.start()
    with pytest.raises(JournalInUse):
        Journal(stopped.directory, stopped.keyring.authenticate)
    stopped.journal.close()
    Journal(stopped.directory, stopped.keyring.authenticate).close()


def test_the_journal_is_of_one_vault_and_its_newest_copy(stopped: World) -> None:
    contents = stopped.contents
    stopped.contents = new_contents()
    stopped.keyring = stopped.contents.keyring()
    with pytest.raises(JournalDamaged, match="another vault"):
        stopped.start()
    stopped.keyring = contents.changed().keyring()
    stopped.start()
    stopped.journal.close()
    stopped.keyring = contents.keyring()
    with pytest.raises(JournalError, match="old copy"):
        stopped.start()


def test_a_key_that_was_exchanged_is_noticed(stopped: World) -> None:
    contents = stopped.contents
    stranger = Key.of_seed(Role.HOT, Seed.new(os.urandom))
    keys = tuple(stranger if key.role is Role.HOT else key for key in contents.keys)
    stopped.keyring = _with(contents, keys).keyring()
    with pytest.raises(JournalError, match="key of hot"):
        stopped.start()


def _with(contents: Contents, keys: tuple[Key, ...]) -> Contents:
    return contents.changed(keys)


def test_a_signer_that_cannot_write_signs_nothing_more(
    stopped: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped.start()
    request = stopped.request(withdrawal("w9", ETHER // 10), nonce=9)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", full)
        with pytest.raises(JournalError, match="No space"):
            stopped.signer.sign(request)
    with pytest.raises(JournalError, match="restart"):
        stopped.signer.sign(request)
    stopped.restart()
    first = stopped.signer.sign(request)
    assert stopped.signer.sign(request) == first
    stopped.journal.close()


def test_only_the_owner_can_read_it(stopped: World) -> None:
    for name in (journal.FILE, journal.HEAD):
        assert (stopped.directory / name).stat().st_mode & 0o777 == 0o600


def test_positions_follow_each_other() -> None:
    assert Position(1, b"x").following(b"data").count == 2
    assert Position(1, b"x").following(b"a") != Position(1, b"y").following(b"a")
