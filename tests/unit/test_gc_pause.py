"""The cycle collector is held back for a while, and left as it was found."""

import gc

import pytest

from eventstore.gc_pause import paused_gc


def test_the_collector_rests_and_goes_on() -> None:
    with paused_gc():
        assert not gc.isenabled()
        with paused_gc():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(LookupError), paused_gc():
        raise LookupError
    assert gc.isenabled()
