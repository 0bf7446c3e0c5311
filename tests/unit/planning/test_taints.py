"""Which taints drive an instance away, and when."""

from hypothesis import given
from hypothesis import strategies as st

from boxfleet.api import node, pod_affinity
from boxfleet.planning import taints

KEYS = ("", "a", "b")
VALUES = ("", "x", "y")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

some_taints = st.lists(
    st.builds(
        node.Taint, key=st.sampled_from(KEYS[1:]), value=st.sampled_from(VALUES), effect=st.sampled_from(EFFECTS)
    ),
    max_size=4,
)
tolerations = st.lists(
    st.builds(
        pod_affinity.Toleration,
        key=st.sampled_from(KEYS),
        operator=st.sampled_from(("", "Equal", "Exists")),
        value=st.sampled_from(VALUES),
        effect=st.sampled_from(("", *EFFECTS)),
        tolerationSeconds=st.none() | st.integers(min_value=-5, max_value=1000),
    ),
    max_size=4,
)


def tolerate(key: str, *, seconds: int | None = None) -> pod_affinity.Toleration:
    return pod_affinity.Toleration(key=key, operator="Exists", effect="NoExecute", tolerationSeconds=seconds)


def ends(*keys: str, tolerations: list[pod_affinity.Toleration], since: float = 100.0) -> float | None:
    found = taints.evicting(node.Taint(key=key, effect="NoExecute") for key in keys)
    return taints.deadline(dict.fromkeys(found, since), found, tolerations)


def test_who_goes_and_when() -> None:
    assert ends(tolerations=[]) is None
    assert ends("a", tolerations=[]) == 100
    assert ends("a", tolerations=[tolerate("b")]) == 100
    assert ends("a", tolerations=[tolerate("a")]) is None
    assert ends("a", tolerations=[tolerate("a", seconds=30)]) == 130
    assert ends("a", tolerations=[tolerate("a", seconds=-1)]) == 100
    assert ends("a", "b", tolerations=[tolerate("a", seconds=30), tolerate("b", seconds=20)]) == 120
    assert ends("a", "b", tolerations=[tolerate("a", seconds=30), tolerate("b")]) == 130
    assert ends("a", "b", tolerations=[tolerate("a")]) == 100
    # The first that fits counts, as in Kubernetes.
    assert ends("a", tolerations=[tolerate("a"), tolerate("a", seconds=5)]) is None


@given(some_taints, tolerations, st.floats(min_value=0, max_value=1000))
def test_rules_that_always_hold(some: list[node.Taint], known: list[pod_affinity.Toleration], moment: float) -> None:
    found = taints.evicting(some)
    since = dict.fromkeys(found, moment)
    end = taints.deadline(since, found, known)
    lasting = [each for each in some if each.effect == "NoExecute"]
    untolerated = [each for each in lasting if not any(taints.tolerates(one, each) for one in known)]
    # At once when a single taint is not tolerated, never before it was seen, and never without a taint.
    assert (end == moment) if untolerated else (end is None or end >= moment)
    assert lasting or end is None
    # Whoever puts up with everything stays, and one taint more never gives anybody more time.
    assert taints.deadline(since, found, [pod_affinity.Toleration(operator="Exists")]) is None
    for mark in found:
        fewer = {each: taint for each, taint in found.items() if each != mark}
        before = taints.deadline(since, fewer, known)
        assert end is None or before is None or end <= before
        assert before is None or end is not None
