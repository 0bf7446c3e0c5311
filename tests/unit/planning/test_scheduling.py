from hypothesis import given
from hypothesis import strategies as st

from boxfleet.api import labels, meta, node, pod, pod_affinity
from boxfleet.planning import resources, scheduling

GI = 2**30


def place(name: str = "n1", **fields: object) -> scheduling.Place:
    offers = {"cpu": 4000, "memory": 20 * GI, "pods": 110}
    return scheduling.Place(**({"name": name, "offers": offers, "cluster": "local"} | fields))  # type: ignore[arg-type]


def ask(**fields: object) -> scheduling.Ask:
    return scheduling.Ask(**({"requests": {"cpu": 100, "pods": 1}} | fields))  # type: ignore[arg-type]


def why(question: scheduling.Ask, *places: scheduling.Place) -> str:
    return scheduling.choose(question, places).why_not


def test_too_little_memory_says_what_is_asked_and_what_is_free() -> None:
    text = why(ask(requests={"memory": 64 * GI, "pods": 1}), place())
    assert text == "0/1 nodes are available: 1 Insufficient memory (asks 64Gi, free 20Gi)."


def test_reasons_are_counted_over_all_nodes() -> None:
    full = place("n2", used={"pods": 110})
    cordoned = place("n3", unschedulable=True)
    text = why(ask(selector={}), full, cordoned)
    assert text == "0/2 nodes are available: 1 Too many pods, 1 node(s) were unschedulable (cordoned)."


def test_no_nodes_at_all() -> None:
    assert "no nodes are available" in why(ask())


def test_taints_and_tolerations() -> None:
    tainted = place(taints=(node.Taint(key="gpu", value="yes", effect="NoSchedule"),))
    assert "untolerated taint {gpu: yes}" in why(ask(), tainted)
    for toleration in (
        pod_affinity.Toleration(key="gpu", value="yes", effect="NoSchedule"),
        pod_affinity.Toleration(key="gpu", operator="Exists"),
        pod_affinity.Toleration(operator="Exists"),
    ):
        assert not scheduling.obstacles(ask(tolerations=(toleration,)), tainted)
    assert scheduling.obstacles(ask(tolerations=(pod_affinity.Toleration(key="gpu", value="no"),)), tainted)


def test_selectors_and_required_affinity() -> None:
    here = place(labels={"disk": "ssd", "cores": "8"})
    assert "affinity/selector" in why(ask(selector={"disk": "hdd"}), here)

    def fits(operator: str, key: str, *values: str) -> bool:
        rule = pod_affinity.NodeSelectorRequirement(key=key, operator=operator, values=list(values))
        terms = pod_affinity.NodeSelector(nodeSelectorTerms=[pod_affinity.NodeSelectorTerm(matchExpressions=[rule])])
        return not scheduling.obstacles(ask(affinity=terms), here)

    assert fits("In", "disk", "ssd", "nvme") and not fits("In", "disk", "hdd")
    assert fits("NotIn", "disk", "hdd") and not fits("NotIn", "disk", "ssd")
    assert fits("Exists", "disk") and not fits("Exists", "zone")
    assert fits("DoesNotExist", "zone")
    assert fits("Gt", "cores", "4") and fits("Lt", "cores", "9") and not fits("Gt", "disk", "1")
    assert scheduling.obstacles(
        ask(affinity=pod_affinity.NodeSelector(nodeSelectorTerms=[pod_affinity.NodeSelectorTerm()])), here
    )


def test_host_ports_clash_by_protocol_number_and_address() -> None:
    here = place()
    here.take(ask(ports=(("0.0.0.0", "TCP", 80),)))
    assert "host port 80" in why(ask(ports=(("127.0.0.1", "TCP", 80),)), here)
    assert not why(ask(ports=(("0.0.0.0", "UDP", 80),)), here)
    here.take(ask(ports=(("0.0.0.0", "TCP", 80),)), sign=-1)
    assert not why(ask(ports=(("0.0.0.0", "TCP", 80),)), here)


def test_members_of_a_unit_are_spread() -> None:
    crowded, busy = place("a"), place("b")
    crowded.take(ask(group="default/web"))
    busy.take(ask(requests={"cpu": 2000, "pods": 1}))
    assert scheduling.choose(ask(group="default/web"), [crowded, busy]).place == "b"


def test_an_image_that_is_there_tips_the_scale() -> None:
    assert scheduling.choose(ask(images=("x",)), [place("a"), place("b", images=frozenset({"x"}))]).place == "b"


def test_storage_and_cluster_pin() -> None:
    assert scheduling.choose(ask(pinned="b"), [place("a"), place("b")]).place == "b"
    assert "the data is on c" in why(ask(pinned="c"), place("a"))
    assert "didn't belong to cluster east" in why(ask(cluster="east"), place("a"))


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 8)), max_size=40))
def test_a_burst_never_overcommits(asks: list[tuple[int, int]]) -> None:
    places = {name: place(name) for name in "abc"}
    for cpu, memory in asks:
        question = ask(requests={"cpu": cpu, "memory": memory * GI, "pods": 1})
        chosen = scheduling.choose(question, places.values()).place
        if chosen:
            places[chosen].take(question)
    for each in places.values():
        assert all(each.used.get(name, 0) <= amount for name, amount in each.offers.items())


def test_requests_follow_kubernetes_rule_for_init_containers_and_sidecars() -> None:
    def container(cpu: str, **more: str) -> pod.Container:
        return pod.Container(name="c", resources=pod.ResourceRequirements(requests={"cpu": cpu}), **more)  # type: ignore[arg-type]

    spec = pod.PodSpec(
        containers=[container("100m"), container("200m")],
        initContainers=[container("50m", restartPolicy="Always"), container("1")],
    )
    assert resources.requests_of(spec) == {"cpu": 1050, "pods": 1}
    limits = pod.Container(name="c", resources=pod.ResourceRequirements(limits={"memory": "1Gi"}))
    assert resources.requests_of(pod.PodSpec(containers=[limits])) == {"memory": GI, "pods": 1}


def test_the_ask_of_a_pod() -> None:
    subject = pod.Pod(
        metadata=meta.ObjectMeta(name="w-0", namespace="ns", labels={labels.UNIT: "w", labels.CLUSTER: "local"}),
        spec=pod.PodSpec(
            containers=[pod.Container(name="c", image="i", ports=[pod.ContainerPort(containerPort=80, hostPort=8080)])]
        ),
    )
    found = scheduling.ask_of(subject)
    assert (found.group, found.cluster, found.images, found.ports) == (
        "ns/w", "local", ("i",), (("0.0.0.0", "TCP", 8080),),
    )  # fmt: skip
