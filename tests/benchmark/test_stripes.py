"""Hold the simulation of the engine's locks to what can be said without it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "stripes.py"


@pytest.fixture
def stripes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give the module of the simulation."""
    spec = importlib.util.spec_from_file_location("benchmark_stripes", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_one_core_takes_the_sum_of_the_costs(stripes: ModuleType) -> None:
    setting = stripes.Setting(cores=1, two_keys=0.0, jitter=0.0, handover_ns=0, unpark_us=0.0)
    cost = setting.cost
    per_update_ns = (
        25_000 + cost.take_ns + cost.begin_ns + cost.settle_ns + cost.leave_ns + cost.release_ns
    )  # what the poller does is on a core of its own
    assert stripes.simulate(setting).per_s == pytest.approx(1e9 / per_update_ns, rel=0.01)


def test_two_cores_with_work_enough_are_twice_as_fast_as_one(stripes: ModuleType) -> None:
    one, two = (stripes.simulate(stripes.Setting(cores=cores, work_us=250.0)).per_s for cores in (1, 2))
    assert two / one == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("is_sleeping", [False, True])
def test_one_stripe_is_worse_than_64_on_64_cores(stripes: ModuleType, is_sleeping: bool) -> None:
    one, many = (
        stripes.simulate(stripes.Setting(work_us=1.0, stripes=count, pollers=8, ring_cores=8, is_sleeping=is_sleeping))
        for count in (1, 64)
    )
    assert one.per_s < 0.8 * many.per_s
    assert one.shares["stripe"] > 2 * many.shares["stripe"]


def test_the_order_of_one_chat_leaves_one_core_at_work(stripes: ModuleType) -> None:
    setting = stripes.Setting(cores=8, chats=1, two_keys=0.0, updates=1000)
    assert stripes.simulate(setting).per_s < 1e6 / setting.work_us


def test_the_same_seed_gives_the_same_figures_and_another_does_not(stripes: ModuleType) -> None:
    first, again, other = (
        stripes.simulate(stripes.Setting(cores=4, zipf=0.8, updates=500, seed=seed)) for seed in (7, 7, 8)
    )
    assert first == again
    assert first.per_s != other.per_s


def test_no_share_is_outside_of_0_to_1(stripes: ModuleType) -> None:
    for layout in ({}, {"ring_cores": 8, "table_cores": 8, "pollers": 4}, {"is_sleeping": True}):
        shares = stripes.simulate(stripes.Setting(work_us=1.0, cores=32, updates=2000, **layout)).shares
        assert all(-0.001 <= share <= 1.001 for share in shares.values()), shares
