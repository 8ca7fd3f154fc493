"""What can go wrong with the store. Each error has a stable code and says what to do."""

from typing import ClassVar


class StoreError(Exception):
    """The store cannot do what was asked. `code` never changes; `detail` is for people."""

    code: ClassVar[str] = "store_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class StoreDamaged(StoreError):
    """The log is not what was written. `position`: the first event that cannot be trusted."""

    code = "store_damaged"

    def __init__(self, position: int, detail: str) -> None:
        super().__init__(f"the log is damaged from event {position} on: {detail}")
        self.position = position
        self.reason = detail


class StoreTooNew(StoreError):
    """A newer Foldex wrote this; this one would misread it. Upgrade, or run the newer one."""

    code = "store_too_new"


class NoStore(StoreError):
    """There is no Foldex store at the place named, or something else is there."""

    code = "no_store"


class StoreLocked(StoreError):
    """Another process has the store open for writing."""

    code = "store_locked"


class Fenced(StoreError):
    """Another writer appended the commit this one was about to; recover before writing again."""

    code = "fenced"


class AppendFailed(StoreError):
    """The commit was not stored, and the store has been asked: memory is ahead of the log."""

    code = "append_failed"


class AppendOutcomeUnknown(Exception):
    """Nobody can say whether the commit was stored: the store could not be asked. Recover.

    Not a StoreError, all of which mean that nothing was stored.
    """

    code: ClassVar[str] = "append_outcome_unknown"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
