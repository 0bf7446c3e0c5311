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
