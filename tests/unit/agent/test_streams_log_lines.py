import hypothesis
from hypothesis import strategies as st

from boxfleet.agent.streams import log_lines

T = "2026-01-02T03:04:05.123456789Z"


def joined(text: str, *, timestamps: bool = False, since: float = 0.0) -> str:
    joiner = log_lines.Joiner(timestamps=timestamps, since=since)
    return (joiner.feed(text.encode()) + joiner.finish()).decode()


def test_lines_lose_their_prefix() -> None:
    assert joined(f"{T} stdout F hello world\n{T} stderr F \n{T} stdout F  two\n") == "hello world\n\n two\n"


def test_partial_lines_are_joined() -> None:
    assert joined(f"{T} stdout P one \n{T} stdout P two \n{T} stdout F three\n") == "one two three\n"


def test_streams_never_run_into_each_other() -> None:
    log = f"{T} stdout P a\n{T} stderr P x\n{T} stdout F b\n{T} stderr F y\n{T} stdout F c\n"
    assert joined(log) == "ab\nxy\nc\n"


def test_a_line_that_never_ends_holds_nothing_back_for_good() -> None:
    held = "z" * 10_000
    log = f"{T} stdout P a\n" + f"{T} stderr F {held}\n" * 200
    joiner = log_lines.Joiner()
    assert held in joiner.feed(log.encode()).decode()
    assert joined(f"{T} stdout P a\n{T} stderr F b\n") == "a\nb\n"
    assert joined(f"{T} stdout P a\n") == "a"


def test_times_stand_at_the_beginning_of_joined_lines() -> None:
    assert joined(f"{T} stdout P a\n{T} stdout F b\n", timestamps=True) == f"{T} ab\n"


def test_since_drops_what_is_older() -> None:
    log = "2026-01-01T00:00:00.5Z stdout F old\n2026-01-01T02:00:01.000000001+02:00 stdout F new\n"
    assert joined(log, since=1767225601.0) == "new\n"
    assert joined(log, since=1767225600.0) == "old\nnew\n"
    assert joined(log, since=1767225602.0) == ""


def test_what_is_not_in_the_format_is_shown() -> None:
    assert joined("rubbish\n") == "rubbish\n"


LINE = st.text(alphabet=st.characters(codec="ascii", exclude_characters="\n\r"), max_size=20)


@hypothesis.given(lines=st.lists(LINE, max_size=15), piece=st.integers(1, 7), cut=st.integers(1, 100))
def test_joining_undoes_splitting(lines: list[str], piece: int, cut: int) -> None:
    log = ""
    for line in lines:
        pieces = [line[start : start + piece] for start in range(0, len(line), piece)] or [""]
        log += "".join(f"{T} stdout P {part}\n" for part in pieces[:-1]) + f"{T} stdout F {pieces[-1]}\n"
    joiner = log_lines.Joiner()
    data = log.encode()
    text = b"".join(joiner.feed(data[start : start + cut]) for start in range(0, len(data), cut)) + joiner.finish()
    assert text.decode() == "".join(line + "\n" for line in lines)
