"""The small notations of Compose files."""

import pytest

from boxfleet.planning import compose_values

ENVIRONMENT = {"A": "a", "EMPTY": "", "N": "3"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$A-${A}", "a-a"),
        ("$$A ${A}$$", "$A a$"),
        ("${NONE:-x}", "x"),
        ("${NONE-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NONE:-${A:-b}/c}", "a/c"),
        ("${NONE:-{json}}", "{json}"),
        ("${A:+set}${NONE:+set}${EMPTY+there}", "setthere"),
        ("${A:?needed}", "a"),
        ("${NONE}", ""),
    ],
)
def test_variables(text, result):
    assert compose_values.interpolate_text(text, ENVIRONMENT, missing=lambda name: None) == result


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${NONE:?set it}", "variable NONE is not set: set it"),
        ("${EMPTY:?}", "variable EMPTY is not set"),
        ("${A", "without its }"),
        ("${A!}", "is not a variable"),
        ("cost: $5", r"write \$\$"),
    ],
)
def test_wrong_variables(text, words):
    with pytest.raises(ValueError, match=words):
        compose_values.interpolate_text(text, ENVIRONMENT, missing=lambda name: None)


def test_unset_variables_are_told():
    told: list[str] = []
    compose_values.interpolate({"a": ["$X", "${Y:-1}"], "b": {"c": "${Z}"}}, {}, missing=told.append)
    assert told == ["X", "Z"]


@pytest.mark.parametrize(
    ("value", "seconds"), [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("1h5m", 3900), ("1.5s", 1.5), (5, 5.0)]
)
def test_durations(value, seconds):
    assert compose_values.duration(value) == seconds


@pytest.mark.parametrize(("value", "size"), [("512m", 2**29), ("1gb", 2**30), ("2GiB", 2**31), ("64k", 65536), (7, 7)])
def test_sizes(value, size):
    assert compose_values.size(value) == size


@pytest.mark.parametrize("value", ["", "soon", "5 minutes", True])
def test_what_is_no_duration(value):
    with pytest.raises(ValueError, match="is not a duration"):
        compose_values.duration(value)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", [{"containerPort": 80, "protocol": "TCP"}]),
        ("8080:80", [{"containerPort": 80, "protocol": "TCP", "hostPort": 8080}]),
        ("127.0.0.1:5432:5432", [{"containerPort": 5432, "protocol": "TCP", "hostPort": 5432, "hostIP": "127.0.0.1"}]),
        ("0.0.0.0:53:53/udp", [{"containerPort": 53, "protocol": "UDP", "hostPort": 53}]),
        ("127.0.0.1::80", [{"containerPort": 80, "protocol": "TCP"}]),
        (
            "9000-9001:90-91",
            [
                {"containerPort": 90, "protocol": "TCP", "hostPort": 9000},
                {"containerPort": 91, "protocol": "TCP", "hostPort": 9001},
            ],
        ),
    ],
)
def test_ports(text, ports):
    assert compose_values.port(text) == ports


@pytest.mark.parametrize("text", ["http", "0", "70000", "1-2:3", "80:90:100", "1-9999"])
def test_wrong_ports(text):
    with pytest.raises(ValueError, match="port"):
        compose_values.port(text)


def test_env_files():
    content = "# comment\nA=1\nexport B='two words'\nC=three # note\nD=\nE=a=b\n"
    assert compose_values.env_file(content) == {"A": "1", "B": "two words", "C": "three", "D": "", "E": "a=b"}
    with pytest.raises(ValueError, match="line 2"):
        compose_values.env_file("A=1\nnonsense\n")
