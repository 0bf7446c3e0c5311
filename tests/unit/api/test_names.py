import pytest

from boxfleet.api import names


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (names.label, ["a", "a-b", "0", "a" * 63], ["", "A", "-a", "a-", "a.b", "a" * 64, "ä", "a\n"]),
        (names.subdomain, ["a", "a.b-c.d", "a" * 253], ["", ".a", "a.", "a..b", "A", "a_b", "a" * 254]),
        (names.address, ["10.88.0.1"], ["10.88.0.01", "10.88.1", "x", "", "::1", "10.88.0.1 "]),
        (names.label_key, ["a", "A_b.c-d", "example.com/a", "a" * 63],
         ["", "-a", "a b", "/a", "a/", "A/a", "a/b/c", "a" * 64]),
        (names.label_value, ["", "a", "A_b.c-d"], ["-a", "a b", "a" * 64, "a/b"]),
        (names.config_key, ["a", ".a", "A_b.c-d", "a" * 253], ["", "..", ".", "..a", "a/b", "a b", "a" * 254]),
        (names.port, ["http", "a1", "1a", "a-b"], ["", "1", "A", "a--b", "-a", "a-", "a" * 16]),
        (names.variable, ["A", "a.b-c", "with space", "1"], ["", "A=B", "ä", "a\nb", "\x7f"]),
    ],
)  # fmt: skip
def test_names(check: names.Check, good: list[str], bad: list[str]) -> None:
    assert [name for name in good if check(name) is not None] == []
    assert [name for name in bad if check(name) is None] == []
