"""The picture of placement: true to its record; and the benchmark's own fleet does what it says."""

from benchmarks import engine

from boxfleet.planning.engine import table


def test_the_page_has_the_picture_of_the_newest_record() -> None:
    assert engine.PICTURE.read_text() == engine.draw()
    assert engine.PICTURE.name in engine.PICTURE.with_name("benchmarks.md").read_text()


def test_after_a_rate_the_fleet_is_as_before() -> None:
    fleet = table.Table(engine.nodes(20))
    before = list(fleet.values())
    for rule in ("plain", "spread over zones", "spread over hosts", "one on each host"):
        assert engine.rate_of(fleet, [engine.ask_of(rule, unit=rule)], 10) > 0
    assert [(one.used, one.groups.total()) for one in fleet.values()] == [(one.used, 0) for one in before]
