from boxfleet.api import box, labels, meta, pod, unit
from boxfleet.planning import box as boxes
from boxfleet.planning import dependencies, facts, instances, manifest, unit_status

NOW = "2026-01-01T00:00:00Z"


def made(name: str = "b-db", *, replicas: int = 2, policy: str = "Always", **spec: object) -> unit.Unit:
    template = {"spec": {"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]}}
    return unit.Unit(
        metadata=meta.ObjectMeta(name=name, namespace="ns", uid="u", generation=3),
        spec=unit.UnitSpec(**({"box": "b", "replicas": replicas, "template": template} | spec)),  # type: ignore[arg-type]
    )


def status(
    subject: unit.Unit,
    existing: list[instances.Instance],
    *,
    updated: int | None = None,
    policy: str = "Always",
    blocked: dependencies.Blocked | None = None,
    error: facts.RenderError | None = None,
) -> unit.UnitStatus:
    return unit_status.compute(
        subject,
        existing=existing,
        updated=len(existing) if updated is None else updated,
        revision="r",
        restart_policy=policy,
        blocked=blocked,
        render_error=error,
        now=NOW,
    )


def instance(ordinal: int, **fields: object) -> instances.Instance:
    base = {"name": f"b-db-{ordinal}", "uid": str(ordinal), "ordinal": ordinal}
    return instances.Instance(**(base | fields))  # type: ignore[arg-type]


def said(found: unit.UnitStatus | box.BoxStatus, type: str) -> tuple[str, str, str]:
    condition = meta.find_condition(found.conditions, type)
    return (condition.status, condition.reason, condition.message) if condition is not None else ("", "", "")


def test_ready_when_all_are() -> None:
    found = status(made(), [instance(0, ready=True, started=True), instance(1, ready=True, started=True)])
    assert said(found, "Ready") == ("True", "AllReady", "2 of 2 instances ready")
    assert said(found, "Started")[0] == "True"
    assert said(found, "Progressing") == (
        "False", "RolloutComplete", "2 of 2 instances are of the newest revision",
    )  # fmt: skip
    assert (found.readyReplicas, found.observedGeneration, found.selector) == (2, 3, f"{labels.UNIT}=b-db")
    assert found.domain == "db.b.ns.fleet.internal"


def test_what_is_wrong_is_named() -> None:
    found = status(made(), [instance(0, problem="ImagePullBackOff")])
    assert said(found, "Ready") == (
        "False", "InstancesNotReady", "0 of 2 instances ready (b-db-0: ImagePullBackOff, 1 not made yet)",
    )  # fmt: skip
    many = status(made(replicas=5), [instance(each, problem="starting") for each in range(5)])
    assert said(many, "Ready")[2].endswith("b-db-2: starting, 2 more)")


def test_a_wrong_template_does_not_make_what_runs_unready() -> None:
    error = facts.RenderError(where="spec.env[A]", cause="no such thing")
    found = status(made(env={"A": "x"}), [instance(0, ready=True), instance(1, ready=True)], error=error)
    assert said(found, "Ready")[0] == "True"
    assert said(found, "FilesRendered") == ("False", "TemplateError", "spec.env[A]: no such thing")
    assert said(found, "Progressing")[1] == "FilesNotRendered"


def test_running_to_the_end() -> None:
    found = status(made(policy="Never"), [instance(0, succeeded=True), instance(1, succeeded=True)], policy="Never")
    assert said(found, "Completed")[0] == "True"
    assert said(found, "Ready")[:2] == ("True", "Completed")
    half = status(made(policy="Never"), [instance(0, succeeded=True), instance(1, problem="Error")], policy="Never")
    assert said(half, "Completed") == ("False", "InstancesNotReady", "1 of 2 instances completed (b-db-1: Error)")


def test_times_move_with_the_status_only() -> None:
    subject = made()
    subject.status = status(subject, [instance(0, problem="starting")])
    subject.status.conditions = [*subject.status.conditions]
    later = unit_status.compute(
        subject, existing=[instance(0, problem="Error")], updated=1, revision="r", restart_policy="Always",
        blocked=None, render_error=None, now="2027-01-01T00:00:00Z",
    )  # fmt: skip
    condition = meta.find_condition(later.conditions, "Ready")
    assert condition is not None and condition.lastTransitionTime == NOW


def test_what_passes_is_told_from_what_turns() -> None:
    subject = made(replicas=3)
    begun = status(subject, [instance(0, problem="starting")])
    subject.status = begun
    more = status(subject, [instance(0, ready=True, started=True), instance(1, problem="starting")])
    assert more != begun
    assert unit_status.is_passing(begun, more)
    whole = status(subject, [instance(each, ready=True, started=True) for each in range(3)])
    assert not unit_status.is_passing(more, whole)
    blocked = dependencies.Blocked("QuotaExceeded", "no room")
    assert not unit_status.is_passing(more, status(subject, [instance(0)], blocked=blocked))
    subject.metadata.generation += 1
    assert not unit_status.is_passing(more, status(subject, [instance(0)]))


def test_dependencies_name_what_is_waited_for() -> None:
    need = unit.Dependency(unit="db")
    subject = made("b-web", dependsOn=[need])
    db = made()

    def wait(other: unit.Unit | None) -> str:
        found = dependencies.waits_for(subject, {"db": other}.get)
        return found.message if found is not None else ""

    assert wait(None) == "waits for Unit db to be Ready: there is no such Unit yet"
    assert "newest change" in wait(db)
    db.status = status(db, [instance(0, problem="ImagePullBackOff")])
    assert wait(db).startswith("waits for Unit db to be Ready: 0 of 2 instances ready (b-db-0: ImagePullBackOff")
    db.status = status(db, [instance(0, ready=True), instance(1, ready=True)])
    assert wait(db) == ""
    need.condition = unit.DependsOnCondition.COMPLETED
    assert "never end by themselves" in wait(db)


def test_problems_of_pods() -> None:
    def problem(**fields: object) -> str:
        subject = pod.Pod(spec=pod.PodSpec(nodeName="n"), status=pod.PodStatus(**fields))  # type: ignore[arg-type]
        return instances.problem_of(subject)

    def container(**state: object) -> pod.ContainerStatus:
        return pod.ContainerStatus(name="c", state=pod.ContainerState(**state))  # type: ignore[arg-type]

    assert problem(phase="Failed", reason="Evicted") == "Evicted"
    waiting = container(waiting=pod.ContainerStateWaiting(reason="CrashLoopBackOff"))
    assert problem(phase="Running", containerStatuses=[waiting]) == "CrashLoopBackOff"
    ended = container(terminated=pod.ContainerStateTerminated(exitCode=137, reason="OOMKilled"))
    assert problem(phase="Running", containerStatuses=[ended]) == "OOMKilled (exit code 137)"
    assert problem(phase="Pending") == "starting"
    unbound = pod.Pod(
        status=pod.PodStatus(conditions=[meta.Condition(type="PodScheduled", status="False", message="full")])
    )
    assert instances.problem_of(unbound) == "not scheduled: full"


def owner(**units: unit.UnitTemplate) -> box.Box:
    return box.Box(
        metadata=meta.ObjectMeta(name="b", namespace="ns", uid="box", generation=1), spec=box.BoxSpec(units=units)
    )


def test_scaling_a_unit_by_hand_stays_until_the_box_changes() -> None:
    template = unit.UnitTemplate(template={}, replicas=2)
    subject = owner(db=template)
    first = boxes.wanted_unit(subject, "db")
    assert (first.metadata.name, first.spec.replicas, first.spec.box) == ("b-db", 2, "b")
    first.spec.replicas = 5
    assert boxes.wanted_unit(subject, "db", current=first).spec.replicas == 5
    template.replicas = 3
    assert boxes.wanted_unit(subject, "db", current=first).spec.replicas == 3


def test_a_box_says_which_units_are_not_ready_and_why() -> None:
    db = made(replicas=1)
    db.status = status(db, [instance(0, problem="ImagePullBackOff")])
    subject = owner(db=unit.UnitTemplate(template={}), web=unit.UnitTemplate(template={}))
    found = boxes.status(subject, {"db": db, "web": None}, conflicts=[], now=NOW)
    assert found.ready == "0/2"
    assert said(found, "Ready")[2] == (
        "0 of 2 Units ready; db: 0 of 1 instances ready (b-db-0: ImagePullBackOff); web: being made"
    )
    assert [each.reason for each in found.units] == ["InstancesNotReady", "NotMadeYet"]


def test_someone_elses_unit_is_a_conflict() -> None:
    subject, other = owner(), made()
    assert "no Box" in str(boxes.conflict_of(subject, "db", other))
    # One that a Box of this name left behind is none.
    other.metadata.labels = boxes.own_labels(subject, "db")
    assert boxes.conflict_of(subject, "db", other) is None
    other.spec.box = "another"
    assert "no Box" in str(boxes.conflict_of(subject, "db", other))
    other.metadata.ownerReferences = [meta.owner_of(subject)]
    assert boxes.conflict_of(subject, "db", other) is None
    other.metadata.ownerReferences[0].uid = "another"
    assert "belongs to Box b" in str(boxes.conflict_of(subject, "db", other))


def test_the_pod_of_an_instance() -> None:
    files = [unit.File(path="/etc/a.conf", content="x", mode="0600"), unit.File(path="/opt/a.conf", content="y")]
    subject = made(files=files, volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {}}])
    container = subject.spec.template["spec"]["containers"][0]
    container["env"] = [{"name": "OWN", "value": "$(A)"}, {"name": "B", "value": "mine"}]
    rendered = facts.Rendered({"A": "1", "B": "2"}, {"/etc/a.conf": "x", "/opt/a.conf": "y"})
    body = manifest.pod(subject, ordinal=0, cluster="local", address="10.88.0.2", rendered=rendered, revision="r")
    main = body["spec"]["containers"][0]
    assert [each["name"] for each in main["env"]] == ["A", "OWN", "B"]
    assert [each["mountPath"] for each in main["volumeMounts"]] == ["/etc/a.conf", "/opt/a.conf"]
    volumes = {each["name"]: each for each in body["spec"]["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "data-b-db-0"}
    items = volumes[manifest.FILES_VOLUME]["configMap"]["items"]
    assert [each["mode"] for each in items] == [0o600, 0o644]
    made_files = manifest.files(subject, ordinal=0, rendered=rendered)
    assert made_files is not None and sorted(made_files.data) == sorted(each["key"] for each in items)
    # The Unit's own template is left as it is.
    assert "volumes" not in subject.spec.template["spec"]


def test_the_revision_leaves_out_content_that_changes_in_place() -> None:
    def revision(**spec: object) -> str:
        return manifest.revision(made(**spec).spec)

    plain = revision(files=[unit.File(path="/a", content="x")])
    assert plain == revision(files=[unit.File(path="/a", content="y")])
    assert plain != revision(files=[unit.File(path="/b", content="x")])
    assert plain != revision(files=[unit.File(path="/a", content="x")], env={"A": "1"})
