"""How much of a log is folded at a time."""

from domain.events import AccountOpened
from eventstore.commit import GENESIS
from eventstore.memory import open_memory
from projections.batches import EVENTS_PER_BATCH, EVENTS_PER_BATCH_MIN, Batches

EVENTS_PER_COMMIT = 500


def test_batches_grow_until_the_end_of_the_log_and_leave_nothing_out() -> None:
    with open_memory() as store:
        for number in range(400):
            names = [f"a{number}-{each}" for each in range(EVENTS_PER_COMMIT)]
            store.log.append([AccountOpened(1, name) for name in names], 1)
        batches, head, sizes = Batches(store.log), GENESIS, []
        while batch := batches.after(head):
            assert batch[0].number == head.number + 1
            head = batch[-1].head
            sizes.append(head.position - batch[0].first_position + 1)
        assert head == store.log.head
        assert sizes[:4] == [EVENTS_PER_BATCH_MIN * 2**n for n in range(4)]
        assert max(sizes) == EVENTS_PER_BATCH
        store.log.append([AccountOpened(2, "late")], 2)
        assert [each.number for each in batches.after(head)] == [401]


def test_small_commits_are_read_many_at_a_time() -> None:
    with open_memory() as store:
        for number in range(EVENTS_PER_BATCH_MIN + 10):
            store.log.append([AccountOpened(1, f"a{number}")], 1)
        assert len(Batches(store.log).after(GENESIS)) == EVENTS_PER_BATCH_MIN
