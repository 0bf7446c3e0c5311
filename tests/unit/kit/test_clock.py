import datetime

from boxfleet.kit import clock

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)


def test_stamps_are_kubernetes_times_and_read_back() -> None:
    assert clock.stamp(MOMENT) == "2026-01-02T03:04:05Z"
    assert clock.micro_stamp(MOMENT) == "2026-01-02T03:04:05.678901Z"
    assert clock.parse(clock.micro_stamp(MOMENT)) == MOMENT


def test_other_time_zones_become_utc() -> None:
    there = MOMENT.astimezone(datetime.timezone(datetime.timedelta(hours=5)))
    assert clock.stamp(there) == clock.stamp(MOMENT)


def test_each_second_has_its_own_stamp() -> None:
    for seconds, text in ((0.4, "2026-01-02T03:04:06Z"), (0.2, "2026-01-02T03:04:05Z"), (-6, "2026-01-02T03:03:59Z")):
        assert clock.stamp(MOMENT + datetime.timedelta(seconds=seconds)) == text
    # The same time of another day.
    assert clock.stamp(MOMENT + datetime.timedelta(days=365)) == "2027-01-02T03:04:05Z"
    assert clock.stamp(MOMENT) == "2026-01-02T03:04:05Z"
    assert (
        clock.stamp(datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=datetime.UTC)) == "1969-12-31T23:59:59Z"
    )
