"""Whatever is asked, in whatever order, the exchange does what the naive one does."""

import os
import time

import pytest

from tests.model.chance import Chance
from tests.model.side_by_side import SideBySide

COMMANDS_PER_RUN = 2_000
SAMPLE_EVERY = 50
SHORT_RUNS = 10
SEEDS_THAT_FAILED = (20_261_134,)  # A market order by amount traded past a better price.
SOAK_COMMANDS = 1_000_000


def run(seed: int, commands: int = COMMANDS_PER_RUN) -> SideBySide:
    """Run commands drawn from a seed on both exchanges."""
    chance = Chance(seed)
    pair = SideBySide()
    restart = chance.random.randrange(commands)
    snapshot = chance.random.randrange(commands)
    try:
        for number in range(commands):
            pair.do(chance.command(pair.naive), sample=number % SAMPLE_EVERY == 0)
            if number == snapshot:
                pair.keep_snapshot()
            if number == restart:
                pair.check_replay()
                pair.go_on_from_snapshot()
        pair.check_replay()
    except AssertionError as failure:
        raise AssertionError(f"seed {seed}, command {pair.commands}: {failure}") from failure
    return pair


@pytest.mark.parametrize("seed", [*range(SHORT_RUNS), *SEEDS_THAT_FAILED])
def test_the_exchange_agrees_with_the_naive_one_after_every_command(seed: int) -> None:
    run(seed)


def test_the_same_commands_give_the_same_events() -> None:
    first, second = run(77, 500), run(77, 500)
    assert first.events == second.events


@pytest.mark.soak
def test_the_exchange_agrees_with_the_naive_one_for_a_million_commands() -> None:
    first = int(os.environ.get("FOLDEX_SEED", str(time.time_ns() % 1_000_000_000)))
    total = int(os.environ.get("FOLDEX_SOAK_COMMANDS", str(SOAK_COMMANDS)))
    print(f"\nfirst seed {first} (repeat with FOLDEX_SEED={first})", flush=True)
    done = 0
    for seed in range(first, first + -(-total // COMMANDS_PER_RUN)):
        done += run(seed).commands
        if done % 100_000 == 0:
            print(f"{done:,} commands agree", flush=True)
    assert done >= total
