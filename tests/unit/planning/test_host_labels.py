"""Labels that a host says: their values, what scripts may say, and whose a label is."""

import pytest

from boxfleet.api import labels
from boxfleet.planning import host_labels

SAID = labels.HOST_SAID


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz", "Intel-R-Xeon-R-Gold-6130-CPU-2.10GHz"),
        ("  PowerEdge R740 ", "PowerEdge-R740"),
        ("-_.", ""),
        ("x" * 80, "x" * 63),
        ("y" * 62 + "(z)", "y" * 62),
    ],
)
def test_any_text_becomes_a_value_that_a_label_may_have(text: str, value: str) -> None:
    assert host_labels.value(text) == value


def test_facts_get_the_hosts_prefix_and_unknown_ones_are_left_out() -> None:
    found = host_labels.of_facts({"cpu.model": "A B", "vendor": "", labels.ZONE: "z"})
    assert found == {"host.boxfleet.dev/cpu.model": "A-B", "topology.kubernetes.io/zone": "z"}


def test_scripts_say_lines_or_json() -> None:
    prefix = "local.host.boxfleet.dev/"
    lines, faults = host_labels.parse("# where it stands\nrack=12\n\n row = b \nempty=\n")
    assert (lines, faults) == ({f"{prefix}rack": "12", f"{prefix}row": "b", f"{prefix}empty": ""}, [])
    said, faults = host_labels.parse('{"rack": 12, "ups": true, "row": "b"}')
    assert (said, faults) == ({f"{prefix}rack": "12", f"{prefix}ups": "true", f"{prefix}row": "b"}, [])
    assert host_labels.parse("") == ({}, [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rack=1\nnonsense\n", "line 2: not name=value"),
        ("rack=1\na b=2\n", "line 2: 'a b' cannot be a label"),
        ("rack=1\nrow=no spaces\n", "line 2: 'no spaces' cannot be a label's value"),
        ("rack=1\nnode-role.kubernetes.io/master=x\n", "line 2: 'node-role.kubernetes.io/master' has a prefix"),
        ('{"rack": "1", "row": [2]}', "'row': 'row' is neither text nor"),
        ('{"rack": "1", "load": 1.5}', "'load': 'load' is neither text nor"),
    ],
)
def test_what_a_script_says_wrongly_is_named_and_the_rest_counts(text: str, words: str) -> None:
    found, (fault,) = host_labels.parse(text)
    assert fault.startswith(words)
    assert found == {"local.host.boxfleet.dev/rack": "1"}


def test_broken_json_and_floods_say_nothing() -> None:
    found, (fault,) = host_labels.parse('{"rack": 1,\n oh}')
    assert (found, fault.partition(":")[0]) == ({}, "line 2")
    found, (fault,) = host_labels.parse("\n".join(f"l{number}=x" for number in range(65)))
    assert (found, fault) == ({}, "says 65 labels; 64 are the most")


def apply(present: dict[str, str], change: dict[str, dict[str, str | None]]) -> dict[str, str]:
    merged = present | change["labels"]
    return {name: text for name, text in merged.items() if text is not None}


def test_labels_follow_the_host_and_those_of_people_stay() -> None:
    mine = {"host.boxfleet.dev/a": "1", "host.boxfleet.dev/b": "1", labels.ZONE: "z1"}
    change = host_labels.change({"team": "x", labels.ZONE: "by-hand"}, mine, {})
    assert change is not None
    there = apply({"team": "x", labels.ZONE: "by-hand"}, change)
    assert there == {
        "team": "x", labels.ZONE: "by-hand", "host.boxfleet.dev/a": "1", "host.boxfleet.dev/b": "1",
    }  # fmt: skip
    said = host_labels.said_before(change["annotations"])
    assert said == {"host.boxfleet.dev/a": "1", "host.boxfleet.dev/b": "1"}
    assert host_labels.change(there, mine, said) is None
    # One fact is gone, one has changed; one was overwritten by hand, and one that was never ours has our prefix.
    there |= {"host.boxfleet.dev/own": "me"}
    change = host_labels.change(there, {"host.boxfleet.dev/a": "2"}, said)
    assert change is not None
    assert change["labels"] == {"host.boxfleet.dev/a": "2", "host.boxfleet.dev/b": None}
    there["host.boxfleet.dev/a"] = "by-hand"
    change = host_labels.change(there, {"host.boxfleet.dev/a": "2", "host.boxfleet.dev/b": "1"}, said)
    assert change is not None
    assert (change["labels"], host_labels.said_before(change["annotations"])) == ({}, {"host.boxfleet.dev/b": "1"})


def test_a_label_that_was_taken_away_by_hand_is_said_again() -> None:
    change = host_labels.change({}, {"host.boxfleet.dev/a": "1"}, {"host.boxfleet.dev/a": "1"})
    assert change is not None
    assert change["labels"] == {"host.boxfleet.dev/a": "1"}


def test_labels_of_scripts_stay_while_one_fails() -> None:
    name = "local.host.boxfleet.dev/rack"
    assert host_labels.change({name: "1"}, {}, {name: "1"}, keep=labels.HOST_SCRIPTS) is None
    change = host_labels.change({name: "1"}, {}, {name: "1"})
    assert change is not None
    assert change["labels"] == {name: None}


def test_a_note_that_cannot_be_read_is_none() -> None:
    assert host_labels.said_before({SAID: "["}) == {}
    assert host_labels.said_before({}) == {}
