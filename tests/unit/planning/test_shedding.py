"""Who has to go when a host has too little."""

from boxfleet.planning import shedding

WHOLE = 1000


def one(uid: str, used: int, *, requested: int = 0, priority: int = 0) -> shedding.Candidate:
    return shedding.Candidate(uid=uid, used=used, requested=requested, priority=priority)


def victim(*candidates: shedding.Candidate, whole: int = WHOLE) -> str:
    chosen = shedding.victim(candidates, whole=whole)
    return chosen.uid if chosen is not None else ""


def test_first_who_uses_more_than_it_asked_for() -> None:
    assert victim(one("within", 900, requested=900), one("over", 20, requested=10, priority=1000)) == "over"


def test_then_the_least_important_and_the_one_most_above_it() -> None:
    important = one("important", 900, priority=10)
    assert victim(important, one("usual", 20), one("more", 300, requested=200)) == "more"
    assert victim(important, one("usual", 120), one("more", 300, requested=200)) == "usual"
    assert victim(important) == "important"
    # Of those that are within what they asked for, the one that is nearest to it.
    assert victim(one("a", 100, requested=200), one("b", 190, requested=200)) == "b"


def test_what_is_vital_never_goes_nor_what_would_bring_nothing() -> None:
    assert victim(one("node", 900, priority=2_000_001_000), one("cluster", 900, priority=2_000_000_000)) == ""
    assert victim(one("tiny", 1)) == ""
    assert victim(one("enough", 2)) == "enough"
    assert victim() == ""


def test_the_same_question_has_the_same_answer() -> None:
    assert victim(one("b", 100), one("a", 100)) == victim(one("a", 100), one("b", 100)) == "a"


def test_its_status_says_why() -> None:
    chosen = one("a", 300 * 2**20, requested=100 * 2**20)
    words = "The node was low on resource: memory. The instance used 300Mi, its request is 100Mi."
    assert shedding.message(chosen, "memory") == words
