"""What the host takes of the machine is told beside each figure."""

from benchmarks.machine import CpuTime, cpu_time, stolen_share


def test_the_share_is_of_the_time_between() -> None:
    assert stolen_share(CpuTime(10, 1_000), CpuTime(60, 2_000)) == 0.05
    assert stolen_share(CpuTime(10, 1_000), CpuTime(10, 2_000)) == 0


def test_where_the_kernel_does_not_say_nothing_is_stolen() -> None:
    assert stolen_share(CpuTime(0, 0), CpuTime(0, 0)) == 0


def test_the_kernels_count_goes_on() -> None:
    before = cpu_time()
    assert 0 <= before.stolen <= before.all <= cpu_time().all
