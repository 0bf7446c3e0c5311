"""Whether Pods of a benchmark lie as they ask to."""

from benchmarks import scheduling

SPREAD = scheduling.VARIANTS["spread over zones"]
APART = scheduling.VARIANTS["apart by host"]


def test_pods_of_one_app_may_not_share_a_node() -> None:
    # The first and the last are of different apps.
    assert APART.is_kept([(0, 7), (1, 8), (600, 7)])
    assert not APART.is_kept([(0, 7), (1, 7)])


def test_zones_without_a_pod_count() -> None:
    # Nodes lie in zones by their last digit.
    evenly = [(number, number % 10) for number in range(100)]
    assert SPREAD.is_kept(evenly)
    assert SPREAD.is_kept([(number, 3) for number in range(5)])
    assert not SPREAD.is_kept([(number, 13) for number in range(6)])
    assert not SPREAD.is_kept([*evenly, *((100 + number, 3) for number in range(6))])
