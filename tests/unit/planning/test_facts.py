import pytest

from boxfleet.api import meta, unit
from boxfleet.planning import facts


def made(name: str, *, box: str = "zoo", replicas: int = 1, host: bool = False, ports: int = 0) -> unit.Unit:
    container = {"name": "main", "image": "x", "ports": [{"name": "client", "containerPort": ports}] if ports else []}
    return unit.Unit(
        metadata=meta.ObjectMeta(name=name, namespace="default"),
        spec=unit.UnitSpec(
            box=box, replicas=replicas, template={"spec": {"containers": [container], "hostNetwork": host}}
        ),
    )


def render(
    own: unit.Unit, others: list[unit.Unit], env: dict[str, str], *, addresses: dict[str, str], ordinal: int = 0
):  # type: ignore[no-untyped-def]
    peers = [facts.peer_of(each, addresses=addresses) for each in (own, *others)]
    shared = facts.build(own=peers[0], namespace="default", box=own.spec.box, peers=peers, declared={"db", "late"})
    each = facts.for_instance(shared, own=peers[0], namespace="default", ordinal=ordinal)
    spec = unit.UnitTemplate(template={}, env=env, files=[])
    return facts.render(spec, each).env


def test_an_ensemble_knows_its_members() -> None:
    own = made("zoo-keeper", replicas=3)
    addresses = {f"zoo-keeper-{each}": f"10.88.0.{each + 2}" for each in range(3)}
    text = "{% for m in unit.members %}server.{{ m.ordinal + 1 }}={{ m.address }} {% endfor %}"
    assert render(own, [], {"X": text}, addresses=addresses) == {
        "X": "server.1=10.88.0.2 server.2=10.88.0.3 server.3=10.88.0.4 "
    }


def test_peers_ports_domains_and_own_identity() -> None:
    own, db = made("zoo-web"), made("zoo-db", ports=3306)
    env = {
        "DB": "{{ units.db.domain }}:{{ units.db.ports.client }}",
        "ME": "{{ instance.name }} {{ instance.ordinal }} {{ box.name }} {{ instance.domain }}",
    }
    assert render(own, [db], env, addresses={}) == {
        "DB": "db.zoo.default.fleet.internal:3306",
        "ME": "zoo-web-0 0 zoo zoo-web-0.web.zoo.default.fleet.internal",
    }


def test_only_addresses_that_are_used_are_waited_for() -> None:
    own = made("zoo-web", replicas=2)
    assert render(own, [], {"N": "{{ unit.members | length }}"}, addresses={}) == {"N": "2"}
    with pytest.raises(facts.FactPending, match="the address of instance zoo-web-1"):
        render(own, [], {"A": "{{ unit.members[1].address }}"}, addresses={"zoo-web-0": "10.88.0.2"})
    with pytest.raises(facts.FactPending, match="zoo-web-0"):
        render(own, [], {"A": "{{ unit.members | map(attribute='address') | join(',') }}"}, addresses={})


def test_a_declared_unit_that_is_not_made_is_waited_for() -> None:
    with pytest.raises(facts.FactPending, match="Unit late to be made"):
        render(made("zoo-web"), [], {"A": "{{ units.late.domain }}"}, addresses={})


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{{ units.nobody.domain }}", "nobody"),
        ("{{ instance.colour }}", "colour"),
        ("{{ unit.ports.none }}", "none"),
        ("{{ oops", "spec.env"),
        ("{{ 1 / 0 }}", "division"),
    ],
)
def test_wrong_references_name_the_template_and_the_cause(source: str, says: str) -> None:
    with pytest.raises(facts.RenderError, match=says) as caught:
        render(made("zoo-web"), [], {"A": source}, addresses={})
    assert caught.value.where == "spec.env[A]"


def test_the_hosts_network_has_no_address_of_its_own() -> None:
    with pytest.raises(facts.RenderError, match="on its host's network"):
        render(made("zoo-web", host=True), [], {"A": "{{ instance.address }}"}, addresses={})


def test_a_unit_of_its_own_has_no_box() -> None:
    own = made("web", box="")
    assert render(own, [], {"A": "{{ unit.domain }}"}, addresses={}) == {"A": "web.default.fleet.internal"}
    with pytest.raises(facts.RenderError, match="box"):
        render(own, [], {"A": "{{ box.name }}"}, addresses={})
