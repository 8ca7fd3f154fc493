"""What a client of the signer remembers of its journal, so that an older copy of it is noticed."""

from typing import Protocol

from wallet.errors import SignerRolledBack
from wallet.signer.messages import JournalMark


class Memory(Protocol):
    """Kept where whoever can write the signer's files cannot: it outlives this process."""

    def known(self) -> JournalMark | None:
        """Return how far the journal was seen; None while it never was."""

    def saw(self, mark: JournalMark) -> None:
        """Remember how far it is now. Raises: SignerRolledBack: others saw it further."""


def check_not_behind(mark: JournalMark, known: JournalMark | None) -> None:
    """Raises: SignerRolledBack: the journal is not the one, or behind the one, that was known."""
    if known is None or mark.count > known.count or mark == known:
        return
    raise SignerRolledBack(
        f"the signer's journal has {mark.count} records that end with {mark.seal.hex()[:16]};"
        f" {known.count} that end with {known.seal.hex()[:16]} were seen before"
    )
