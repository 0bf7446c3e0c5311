"""How a page's promises are held against what was said."""

import pytest
from tests.docs import pages

PAGE = """
<!-- run -->
```sh
cat >x <<'END'
one
END
```

```sh
never run
```

<!-- exit 1 -->
```console
$ first
says 5s
...
$ second
```
"""


def test_steps_are_what_is_marked() -> None:
    found = pages.steps(PAGE)
    assert [(each.command, each.exit_code, each.output) for each in found] == [
        ("cat >x <<'END'\none\nEND\n", 0, None),
        ("first", 0, ["says 5s", "..."]),
        ("second", 1, []),
    ]
    assert [PAGE.splitlines()[each.line - 1] for each in found[1:]] == ["$ first", "$ second"]


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        (["a   5s  10.88.0.2"], ["a 2m10s 10.94.1.17"]),
        (["...", "end"], ["x", "y", "end", ""]),
        (["start", "..."], ["start"]),
        (["a", "...", "b", "...", "c"], ["a", "b", "x", "b", "c"]),
        (["agent  well  process 2871, up 4s"], ["agent well process 9, up 119s"]),
        (["pod: Broken: ..."], ["pod: Broken: because"]),
        (["x  1 (3s ago)", ""], ["x  1 (12m ago)"]),
    ],
)
def test_the_same_but_for_what_varies(wanted: list[str], got: list[str]) -> None:
    assert pages.match(wanted, got) is not None


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        (["2/2 Units ready"], ["1/2 Units ready"]),
        (["a"], ["a", "b"]),
        (["a", "b"], ["a"]),
        (["...", "end"], ["end", "more"]),
        ([], ["a"]),
        (["RESTARTS 0"], ["RESTARTS 1"]),
    ],
)
def test_what_counts_is_compared(wanted: list[str], got: list[str]) -> None:
    assert pages.match(wanted, got) is None


def test_addresses_are_learned_and_put_into_later_commands() -> None:
    pairs = pages.match(["site: http://10.88.0.4/"], ["site: http://10.94.0.9/"])
    assert pairs is not None
    known = pages.learn(pairs)
    folders = {"/run/boxfleet": "/run/other"}
    assert pages.localized("curl http://10.88.0.4/", known, folders) == "curl http://10.94.0.9/"
    assert pages.localized("ls /run/boxfleet/x /run/boxfleet-x", known, folders) == "ls /run/other/x /run/boxfleet-x"
