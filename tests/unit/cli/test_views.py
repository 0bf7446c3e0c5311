"""What people see: the tree, the status screen, the progress, the doctor's list."""

from typing import Any

import msgspec

from boxfleet.app import doctor
from boxfleet.cli import doctor as doctor_view
from boxfleet.cli import progress, report, tree_view
from boxfleet.planning import family, health, sites
from boxfleet.testing import views


def shop() -> dict[str, Any]:
    """A Box of two Units, one of them ready."""
    return {
        "boxes": [views.a_box(views.condition("False", "UnitsNotReady"), "db", "web")],
        "units": [
            views.a_unit("db", views.condition("True")),
            views.a_unit("web", views.condition("False", "InstancesNotReady"), replicas=2),
        ],
        "pods": [
            views.ready_pod("shop-db-0", containerStatuses=[{"name": "main", "restartCount": 3}]),
            views.a_pod("shop-web-10", of="shop-web", containerStatuses=[views.waiting("CrashLoopBackOff")]),
            views.ready_pod("shop-web-2", of="shop-web"),
            views.ready_pod("alone", of=""),
        ],
    }


def test_the_tree_shows_boxes_units_and_instances() -> None:
    lines = [line for line, _ in tree_view.lines(family.grow(**shop(), now=views.NOW))]
    assert lines[0].split() == ["STATUS", "NODE", "ADDRESS", "AGE", "RESTARTS", "DOMAIN"]
    assert lines[1].split() == ["default/shop", "UnitsNotReady"]
    names = [line.split("  ")[0].strip() for line in lines[2:]]
    assert names[0] == "├─ shop-db 0/1" and "└─ shop-db-0" in lines[3]
    assert "shop-db-0.db.shop.default.fleet.internal" in lines[3]
    assert lines[3].split()[2:8] == ["shop-db-0", "Ready", "one", "10.88.0.9", "5m", "3"]
    # Ordinals count: 2 comes before 10.
    assert [word in line for word, line in zip(("shop-web-2", "shop-web-10"), lines[5:7], strict=True)] == [True, True]
    assert "CrashLoopBackOff" in lines[6]
    assert lines[7].startswith("default, no Box") and "alone" in lines[8]


def test_the_tree_is_data_as_well() -> None:
    trees = msgspec.to_builtins(family.grow(**shop(), now=views.NOW))
    assert trees[0]["units"][0]["members"][0]["restarts"] == 3


def test_status_gives_reason_and_remedy_below_what_is_not_well() -> None:
    parts = health.examine(health.World(**shop()), now=views.NOW)
    lines = [line for line, _ in report.lines(parts, sites={"default/shop": ["http://10.88.0.9:8080/"]})]
    text = "\n".join(lines)
    assert "box default/shop   not well  0/2 Units ready  http://10.88.0.9:8080/" in text
    assert "    pod default/shop-web-10: CrashLoopBackOff" in text
    assert "      -> read its last words: kubectl -n default logs shop-web-10 --previous" in text
    assert report.verdict(parts)[0] == "1 of 2 not well"
    assert report.verdict([])[0] == "all is well"


def test_sites_are_ready_instances_with_a_named_port() -> None:
    world = shop()
    assert sites.of_box(world["boxes"][0], world["units"], world["pods"]) == ["http://10.88.0.9:8080/"]
    assert sites.of_box(world["boxes"][0], world["units"], []) == []


def test_progress_in_a_pipe_says_each_thing_once() -> None:
    said: list[str] = []
    part = health.Part(kind="box", name="n/b", level=health.Level.WAITING, summary="0/1 Units ready")
    done = health.Part(kind="box", name="n/b", level=health.Level.WELL, summary="1/1 Units ready")
    with progress.view(live=False, say=said.append) as show:
        for each in (part, part, done, done):
            show([each])
    assert said == ["box n/b: 0/1 Units ready", "box n/b: 1/1 Units ready"]


def test_progress_in_a_pipe_does_not_count() -> None:
    said: list[str] = []
    with progress.view(live=False, say=said.append) as show:
        for times in ("", " (2 times)", " (3 times)"):
            trouble = health.Trouble(subject="pod n/a", reason="Unhealthy", message=f"Readiness probe failed{times}")
            show([health.Part(kind="box", name="n/b", level=health.Level.BAD, summary="0/1", troubles=[trouble])])
    assert said == ["box n/b: 0/1", "pod n/a: Unhealthy: Readiness probe failed"]


def test_the_doctor_shows_remedies() -> None:
    bad = doctor.Finding("port", doctor.Grade.BAD, "127.0.0.1:7443: in use", "use another")
    lines = [line for line, _ in doctor_view.lines([doctor.Finding("root", doctor.Grade.GOOD, "yes"), bad])]
    assert lines == ["root  good  yes", "port  bad   127.0.0.1:7443: in use", "    -> use another"]
