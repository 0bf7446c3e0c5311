"""Records and questions as dnsmasq reads and answers them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxfleet.drivers.dnsmasq import records
from boxfleet.ports import network


def test_the_mark_is_last_and_carries_the_serial_number() -> None:
    text = records.hosts(
        [network.Record("b.fleet.test", "10.0.0.2"), network.Record("a.fleet.test", "10.0.0.1")],
        domain="fleet.test",
        serial=258,
    )
    assert text == "10.0.0.1 a.fleet.test\n10.0.0.2 b.fleet.test\n127.0.1.2 _published.fleet.test\n"
    assert records.serial_of(text, domain="fleet.test") == 258
    assert records.serial_of(text, domain="other.test") == 0


def test_serial_numbers_wrap() -> None:
    assert records.serial_at(records.mark_address(2**24 - 1)) == 2**24 - 1
    assert records.serial_at(records.mark_address(2**24)) == 0


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_record_is_one_line_or_refused(name: str, address: str) -> None:
    try:
        text = records.hosts([network.Record(name, address)], domain="fleet.test", serial=1)
    except network.NetworkFault:
        return
    assert len(text.splitlines()) == 2
    assert text.split(maxsplit=2)[1] == name


def test_answers_are_read() -> None:
    asked = records.question("a.fleet.test", number=7)
    answer = struct.pack(">6H", 7, 0x8580, 1, 2, 0, 0) + asked[12:]
    for last in (5, 6):
        answer += struct.pack(">3HIH", 0xC00C, 1, 1, 0, 4) + bytes([10, 0, 0, last])
    assert records.answers(answer, asked=asked) == ["10.0.0.5", "10.0.0.6"]
    assert records.answers(answer, asked=records.question("b.fleet.test", number=7)) is None
    assert records.answers(answer[:-3], asked=records.question("a.fleet.test", number=8)) is None


@given(st.binary(max_size=200))
def test_any_packet_can_come(noise: bytes) -> None:
    asked = records.question("a.fleet.test", number=7)
    assert records.answers(noise, asked=asked) is None
    records.answers(struct.pack(">6H", 7, 0x8580, 1, 60000, 0, 0) + asked[12:] + noise, asked=asked)


@pytest.mark.parametrize("address", ["", "10.0.0", "x", "10.0.0.1 b"])
def test_a_wrong_address_is_refused(address: str) -> None:
    with pytest.raises(network.NetworkFault, match="no address"):
        records.hosts([network.Record("a.fleet.test", address)], domain="fleet.test", serial=1)
