from typing import Any

import pytest

from boxfleet.api import box, box_rules, kind, unit

CONTAINER = {"name": "main", "image": "x:1", "ports": [{"containerPort": 3306, "name": "mysql"}]}


def a_unit(**changes: Any) -> dict[str, Any]:
    return {"template": {"spec": {"containers": [CONTAINER]}}} | changes


def a_box(name: str = "shop", **units: dict[str, Any]) -> dict[str, Any]:
    obj = {"metadata": {"name": name}, "spec": {"units": units}}
    box.Box.KIND.default(obj)
    return obj


def errors(obj: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, str]:
    return {error.field: error.message for error in box.Box.KIND.validate(obj, old)}


def after(*names: str) -> dict[str, Any]:
    return a_unit(dependsOn=[{"unit": name} for name in names])


def test_a_good_box() -> None:
    db = a_unit(
        replicas=3,
        volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}],
        template={"spec": {"containers": [CONTAINER | {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}},
    )
    web = after("db") | {
        "env": {
            "DB": "{{ units.db.domain }}:{{ units.db.ports.mysql }}",
            "ME": "{{ instance.name }} in {{ box.name }}",
        },
        "files": [{"path": "/etc/x", "content": "{% for m in units.db.members %}{{ m.address }}{% endfor %}"}],
    }
    obj = a_box(db=db, web=web)
    assert errors(obj) == {}
    stored = obj["spec"]["units"]["web"]
    # Lists stay as they were written, so that applying them again changes nothing.
    assert (stored["replicas"], stored["dependsOn"], stored["files"]) == (1, web["dependsOn"], web["files"])
    # The template stays as it was written.
    assert stored["template"] == {"spec": {"containers": [CONTAINER]}}


def test_a_box_has_units_with_good_names() -> None:
    assert errors(a_box()) == {"spec.units": "Required value: a Box has at least one Unit"}
    assert "DNS label" in errors(a_box(My_Unit=a_unit()))["spec.units"]


def test_names_of_instances_fit_into_a_host_name() -> None:
    assert errors(a_box("b" * 40, **{"u" * 20: a_unit()})) == {}
    found = errors(a_box("b" * 40, **{"u" * 20: a_unit(replicas=11)}))
    assert "shorten the name by 1" in found[f"spec.units[{'u' * 20}]"]


def test_templates_are_checked_as_pods() -> None:
    bad = a_unit(template={"spec": {"containers": [{"name": "main", "image": ""}]}, "metadata": {"labels": {"a": "!"}}})
    assert list(errors(a_box(db=bad))) == [
        "spec.units[db].template.metadata.labels[a]",
        "spec.units[db].template.spec.containers[0].image",
    ]
    assert list(errors(a_box(db={"template": {}}))) == ["spec.units[db].template.spec"]


@pytest.mark.parametrize(
    ("units", "field", "words"),
    [
        ({"a": after("b")}, "spec.units[a].dependsOn[0].unit", "the Units of this Box are: a"),
        ({"a": after("a")}, "spec.units[a].dependsOn[0].unit", "cannot wait for itself"),
        ({"a": after("b", "b"), "b": a_unit()}, "spec.units[a].dependsOn[1].unit", "Duplicate"),
        (
            {"a": a_unit(dependsOn=[{"unit": "b", "condition": "Completed"}]), "b": a_unit()},
            "spec.units[a].dependsOn[0].condition",
            "set it to OnFailure or Never",
        ),
        ({"a": after("b"), "b": after("a")}, "spec.units", "dependency cycle: a -> b -> a"),
        ({"z": after("a"), "a": after("b"), "b": after("c"), "c": after("a")}, "spec.units", "cycle: a -> b -> c -> a"),
    ],
)
def test_dependencies(units: dict[str, Any], field: str, words: str) -> None:
    found = errors(a_box(**units))
    assert list(found) == [field]
    assert words in found[field]


def test_cycles() -> None:
    assert box_rules.find_cycle({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}) == []
    assert box_rules.find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    long = {str(n): [str(n + 1)] for n in range(3000)} | {"3000": ["0"]}
    assert len(box_rules.find_cycle(long)) == 3002


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ units.dbb.domain }}", 'units.dbb.domain: no Unit "dbb" in this Box; it has: db, web'),
        ("{{ units.db.ports.http }}", 'Unit "db" has no port "http"; its named ports are: mysql'),
        ("{{ units.db.nope }}", 'a Unit has no "nope"; it has: name, domain, replicas, ports, members'),
        ("{{ unit.ports.x }}", 'Unit "web" has no port "x"'),
        ("{{ units.db.members[0].ip }}", 'a member has no "ip"'),
        ("{{ units.db.members.first }}", "members is a list"),
        ("{{ instance.ip }}", 'an instance has no "ip"; it has: name, ordinal, domain, address, namespace'),
        ("{{ box.owner }}", 'box has no "owner"'),
        ("{{ unts.db.domain }}", 'no "unts" is known to templates; they know instance, box, unit, units'),
        ("a\n{{ units.db.ports.x }}", "(line 2)"),
        ("{% if %}", "not a template: line 1"),
        ("{{ 'x'|center(10) }}", "center"),
        ("{{ 1/0 }}", "can never be rendered: division by zero"),
        ("{{ instance.name }}: {{ 'a' - 1 }}", "can never be rendered: '-' works on numbers only"),
    ],
)
def test_wrong_references_say_what_would_be_right(source: str, words: str) -> None:
    found = errors(a_box(db=a_unit(), web=a_unit(env={"A": source})))
    assert list(found) == ["spec.units[web].env[A]"]
    assert words in found["spec.units[web].env[A]"]
    found = errors(a_box(db=a_unit(), web=a_unit(files=[{"path": "/x", "content": source}])))
    assert list(found) == ["spec.units[web].files[0].content"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ units[box.name].domain }}",
        "{% for name, other in units.items() %}{{ name }}{{ other.domain }}{% endfor %}",
        "{% for name, port in unit.ports.items() %}{{ name }}={{ port }}{% endfor %}",
        "{{ units.db.members | map(attribute='address') | join(',') }}",
        "{{ units.db.members | length }}",
        "{{ units['db'].ports['mysql'] }}",
        "{% set d = units.db %}{{ d.anything }}",
    ],
)
def test_good_references(source: str) -> None:
    assert errors(a_box(db=a_unit(), web=a_unit(env={"A": source}))) == {}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"files": [{"path": "etc/x", "content": ""}]}, "files[0].path", "absolute path"),
        ({"files": [{"path": "/etc/../x", "content": ""}]}, "files[0].path", "without '..'"),
        ({"files": [{"path": "/etc/", "content": ""}]}, "files[0].path", "path of a file"),
        ({"files": [{"path": "/", "content": ""}]}, "files[0].path", "path of a file"),
        ({"files": [{"path": "/x", "content": ""}, {"path": "/x", "content": ""}]}, "files[1].path", "Duplicate"),
        (
            {"files": [{"path": "/x", "content": "", "containers": ["no"]}]},
            "files[0].containers[0]",
            "containers are: main",
        ),
        ({"env": {"A=B": ""}}, "env", "without '='"),
        (
            {"volumeClaimTemplates": [{"spec": {"resources": {"requests": {"storage": "1Gi"}}}}]},
            "volumeClaimTemplates[0].metadata.name",
            "mount the claim by this name",
        ),
        (
            {"volumeClaimTemplates": [{"metadata": {"name": "a"}}]},
            "volumeClaimTemplates[0].spec.resources.requests[storage]",
            "for example 1Gi",
        ),
        (
            {
                "volumeClaimTemplates": [
                    {"metadata": {"name": "a"}, "spec": {"resources": {"requests": {"storage": 0}}}}
                ]
            },
            "volumeClaimTemplates[0].spec.resources.requests[storage]",
            "greater than zero",
        ),
        (
            {"template": {"spec": {"containers": [CONTAINER], "nodeName": "n"}}},
            "template.spec.nodeName",
            "nodeSelector",
        ),
    ],
)
def test_parts_of_units(changes: dict[str, Any], field: str, words: str) -> None:
    found = errors(a_box(db=a_unit(**changes)))
    assert list(found) == [f"spec.units[db].{field}"]
    assert words in found[f"spec.units[db].{field}"]


def test_files_go_where_no_volume_is() -> None:
    container = CONTAINER | {"volumeMounts": [{"name": "v", "mountPath": "/etc/x"}]}
    spec = {"containers": [container], "volumes": [{"name": "v", "emptyDir": {}}]}
    found = errors(a_box(db=a_unit(template={"spec": spec}, files=[{"path": "/etc/x", "content": ""}])))
    assert "mounted there already" in found["spec.units[db].files[0].path"]


def test_an_unchanged_spec_is_not_checked_again() -> None:
    bad = a_box()
    assert errors(bad, bad) == {}


def unit_errors(obj: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, kind.FieldError]:
    unit.Unit.KIND.default(obj)
    return {error.field: error for error in unit.Unit.KIND.validate(obj, old)}


def test_units_of_a_box_leave_their_peers_to_the_controller() -> None:
    spec = after("db") | {"box": "shop", "env": {"A": "{{ units.db.ports.any }}{{ box.name }}{{ unit.ports.mysql }}"}}
    assert unit_errors({"metadata": {"name": "shop-web"}, "spec": spec}) == {}
    spec["env"] = {"A": "{{ units.db.nope }}"}
    assert list(unit_errors({"metadata": {"name": "shop-web"}, "spec": spec})) == ["spec.env[A]"]
    assert list(unit_errors({"metadata": {"name": "web"}, "spec": a_unit(box="shop")})) == ["metadata.name"]


def test_units_of_their_own_know_only_themselves() -> None:
    good = {"A": "{{ unit.domain }}{{ units.solo.ports.mysql }}{{ instance.address }}"}
    assert unit_errors({"metadata": {"name": "solo"}, "spec": a_unit(env=good)}) == {}
    found = unit_errors(
        {"metadata": {"name": "solo"}, "spec": a_unit(env={"A": "{{ units.db.domain }}", "B": "{{ box.name }}"})}
    )
    assert "belongs to no Box and knows: solo" in found["spec.env[A]"].message
    assert "belongs to no Box" in found["spec.env[B]"].message
    assert list(unit_errors({"metadata": {"name": "solo"}, "spec": after("db")})) == ["spec.dependsOn[0].unit"]


def test_units_stay_in_their_box() -> None:
    old = {"metadata": {"name": "shop-web"}, "spec": a_unit(box="shop")}
    new = {"metadata": {"name": "shop-web"}, "spec": a_unit(box="")}
    unit.Unit.KIND.default(old)
    assert "spec.box" in unit_errors(new, old)
