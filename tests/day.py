"""A log of random commands, for tests of what is folded from it."""

from domain.exchange import Exchange
from eventstore.store import Store
from tests.model.chance import Chance
from tests.model.side_by_side import SideBySide

COMMANDS_PER_COMMIT = 7


class Day:
    """A log of random commands, and the exchange that decided them."""

    def __init__(self, store: Store, seed: int = 11) -> None:
        self.log = store.log
        self._pair = SideBySide()
        self._chance = Chance(seed)
        self._stored = 0
        self._store()

    @property
    def exchange(self) -> Exchange:
        return self._pair.exchange

    def go_on(self, commands: int) -> None:
        """Append what so many more commands cause, a few commands in a commit."""
        for number in range(commands):
            self._pair.do(self._chance.command(self._pair.naive))
            if number % COMMANDS_PER_COMMIT == 0:
                self._store()
        self._store()

    def _store(self) -> None:
        events = self._pair.events[self._stored :]
        if events:
            self.log.append(events, events[-1].time_ms)
            self._stored += len(events)
