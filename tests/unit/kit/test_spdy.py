import struct
import zlib

import hypothesis
import pytest
from hypothesis import strategies as st

from boxfleet.kit import spdy

NAMES = st.text(alphabet="abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
VALUES = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=5)


def deliver(frames: bytes, to: spdy.Connection, *, cut: int | None = None) -> list[spdy.Event]:
    """Hand bytes over in pieces of `cut` bytes."""
    events: list[spdy.Event] = []
    for start in range(0, len(frames), cut or max(1, len(frames))):
        events += to.receive(frames[start : start + (cut or len(frames))])
    return events


def joined(events: list[spdy.Event]) -> dict[int, bytes]:
    data: dict[int, bytes] = {}
    for event in events:
        if isinstance(event, spdy.Data):
            data[event.stream] = data.get(event.stream, b"") + event.data
    return data


def pair() -> tuple[spdy.Connection, spdy.Connection]:
    return spdy.Connection(client=True), spdy.Connection(client=False)


def test_dictionary_is_the_protocols() -> None:
    # The DICTID that every SPDY/3 peer sends in its first header block.
    assert len(spdy.DICTIONARY) == 1423
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


def test_wire_form_of_a_stream() -> None:
    client, _ = pair()
    assert client.open({"streamType": "error"}, fin=True) == 1
    frame = client.outbox()
    assert frame[:8] == struct.pack("!HHI", 0x8003, 1, 0x01 << 24 | len(frame) - 8)
    assert frame[8:18] == struct.pack("!IIH", 1, 0, 0)
    block = zlib.decompressobj(zdict=spdy.DICTIONARY).decompress(frame[18:])
    assert block == struct.pack("!II", 1, 10) + b"streamtype" + struct.pack("!I", 5) + b"error"
    client.send(1, b"hi", fin=True)
    assert client.outbox() == struct.pack("!II", 1, 0x01000002) + b"hi"


@hypothesis.given(blocks=st.lists(HEADERS, min_size=1, max_size=4), cut=st.integers(1, 50))
def test_headers_survive_any_cut(blocks: list[dict[str, str]], cut: int) -> None:
    client, server = pair()
    numbers = [client.open(headers) for headers in blocks]
    events = deliver(client.outbox(), server, cut=cut)
    assert events == [spdy.Opened(n, h, fin=False) for n, h in zip(numbers, blocks, strict=True)]
    for number, headers in zip(numbers, blocks, strict=True):
        server.reply(number, headers)
    answers = deliver(server.outbox(), client, cut=cut)
    assert answers == [spdy.Replied(n, h, fin=False) for n, h in zip(numbers, blocks, strict=True)]


@hypothesis.given(
    pieces=st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=300)), max_size=20), cut=st.integers(1, 400)
)
def test_data_survives_any_cut(pieces: list[tuple[int, bytes]], cut: int) -> None:
    client, server = pair()
    numbers = [client.open({}) for _ in range(3)]
    for index, data in pieces:
        client.send(numbers[index], data)
    for number in numbers:
        client.send(number, b"", fin=True)
    events = deliver(client.outbox(), server, cut=cut)
    wanted = {n: b"".join(data for index, data in pieces if numbers[index] == n) for n in numbers}
    assert joined(events) == wanted
    assert [e.stream for e in events if isinstance(e, spdy.Data) and e.fin] == numbers


@hypothesis.given(rubbish=st.binary(max_size=200))
def test_rubbish_is_an_error_or_nothing(rubbish: bytes) -> None:
    server = spdy.Connection(client=False)
    try:
        server.receive(rubbish)
    except spdy.ProtocolError as error:
        assert str(error)


def test_data_is_passed_on_before_its_frame_is_whole() -> None:
    client, server = pair()
    client.open({})
    server.receive(client.outbox())
    client.send(1, b"x" * 100_000, fin=True)
    frame = client.outbox()
    assert server.receive(frame[:50_008]) == [spdy.Data(1, b"x" * 50_000, fin=False)]
    assert server.receive(frame[50_008:]) == [spdy.Data(1, b"x" * 50_000, fin=True)]


def test_frames_larger_than_the_length_field_are_split() -> None:
    client, server = pair()
    data = bytes(range(256)) * 70_000
    client.send(1, data, fin=True)
    events = server.receive(client.outbox())
    assert joined(events) == {1: data}
    assert [event.fin for event in events if isinstance(event, spdy.Data)] == [False, True]


def test_pings_are_answered() -> None:
    client, server = pair()
    number = client.ping()
    assert server.receive(client.outbox()) == []
    assert client.receive(server.outbox()) == [spdy.Ponged(number)]


def test_resets_and_farewell() -> None:
    client, server = pair()
    client.open({})
    server.receive(client.outbox())
    server.reset(1, spdy.REFUSED_STREAM)
    server.go_away()
    assert client.receive(server.outbox()) == [spdy.Reset(1, spdy.REFUSED_STREAM), spdy.GoneAway(1, 0)]


def test_settings_and_windows_are_passed_over() -> None:
    server = spdy.Connection(client=False)
    settings = struct.pack("!HHII", 0x8003, 4, 4, 0)
    window = struct.pack("!HHIII", 0x8003, 9, 8, 1, 1000)
    assert server.receive(settings + window) == []


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (struct.pack("!HHI", 0x8002, 6, 4) + b"\0\0\0\1", "version 2"),
        (struct.pack("!HHI", 0x8003, 6, 0x100000), "more than"),
        (struct.pack("!HHI", 0x8003, 77, 0), "unknown control frame"),
        (struct.pack("!HHI", 0x8003, 6, 2) + b"\0\0", "at least"),
        (struct.pack("!II", 0, 1) + b"x", "stream 0"),
        (struct.pack("!HHIIIH", 0x8003, 1, 14, 1, 0, 0) + b"junk", "decompress"),
        (struct.pack("!HHIIIH", 0x8003, 1, 10, 2, 0, 0), "may not open"),
    ],
)
def test_what_is_not_spdy_is_refused(frame: bytes, words: str) -> None:
    with pytest.raises(spdy.ProtocolError, match=words):
        spdy.Connection(client=False).receive(frame)


def test_header_bombs_are_refused() -> None:
    compress = zlib.compressobj(zdict=spdy.DICTIONARY)
    bomb = compress.compress(struct.pack("!II", 1, 8_000_000) + b"\0" * 8_000_000) + compress.flush(zlib.Z_SYNC_FLUSH)
    frame = struct.pack("!HHIIIH", 0x8003, 1, 10 + len(bomb), 1, 0, 0) + bomb
    with pytest.raises(spdy.ProtocolError, match="larger than"):
        spdy.Connection(client=False).receive(frame)


def test_an_oversized_header_is_not_sent() -> None:
    client, _ = pair()
    with pytest.raises(ValueError, match="bytes of headers"):
        client.open({"a": "x" * 100_000})
