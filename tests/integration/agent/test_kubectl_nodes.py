"""kubectl cordon, drain, uncordon and taint on a host with a running agent, and what it means for instances."""

import json

import pytest
from tests.integration.agent import bed as beds
from tests.integration.agent import image, shell

from boxfleet.api import meta
from boxfleet.api import pod as pods
from boxfleet.testing import server

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

UNIT = f"""
apiVersion: boxfleet.dev/v1
kind: Unit
metadata: {{name: app}}
spec:
  replicas: 1
  template:
    metadata: {{labels: {{app: app}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: {image.NAME}
        volumeMounts: [{{name: scratch, mountPath: /scratch}}]
      volumes: [{{name: scratch, emptyDir: {{}}}}]
"""
BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: app}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: app}}
"""
DRAIN = ("drain", server.NODE, "--ignore-daemonsets", "--delete-emptydir-data")


def waits(pod: pods.Pod, words: str) -> bool:
    """Whether a Pod has no node, and why."""
    said = meta.find_condition(pod.status.conditions, "PodScheduled")
    return not pod.spec.nodeName and said is not None and said.status == "False" and words in said.message


async def test_drained_by_the_budget_and_back_with_name_and_address(bed: beds.Bed) -> None:
    async with shell.of(bed) as kubectl, shell.controlled(bed):
        await kubectl("apply", "-f", "-", stdin=UNIT + "---" + BUDGET)
        await kubectl("wait", "--for=condition=Ready", "unit/app", "--timeout=30s")
        before = await bed.ready("app-0")
        await kubectl("wait", "--for=jsonpath={.status.currentHealthy}=1", "pdb/app", "--timeout=20s")
        # A budget that is used up refuses, and the instance runs on.
        code, _, err = await kubectl.raw(*DRAIN, "--timeout=1s")
        assert code != 0
        assert "violate the pod's disruption budget" in err
        same = await bed.get("app-0")
        assert (same.metadata.uid, beds.is_ready(same)) == (before.metadata.uid, True)
        assert "SchedulingDisabled" in await kubectl("get", "nodes")
        # One that lets go: the instance ends, and its successor waits for a node.
        await kubectl("patch", "pdb", "app", "--type=merge", "-p", '{"spec":{"minAvailable":0}}')
        await kubectl("wait", "--for=jsonpath={.status.disruptionsAllowed}=1", "pdb/app", "--timeout=20s")
        await kubectl(*DRAIN, "--timeout=30s")
        await kubectl("wait", "--for=create", "pod/app-0", "--timeout=20s")
        waiting = await bed.until(lambda pod: waits(pod, "cordoned"), name="app-0")
        assert waiting.metadata.uid != before.metadata.uid
        assert waiting.status.phase == "Pending"
        assert await bed.host.containerd.runtime.list_sandboxes() == []
        told = await kubectl("events", "--for=pod/app-0")
        assert "FailedScheduling" in told
        assert "cordoned" in told
        addresses = json.loads(await kubectl("get", "addresses", "-o", "json"))["items"]
        [held] = [one["metadata"]["name"] for one in addresses if one["spec"].get("instance") == "app-0"]
        assert held == before.status.podIP
        await kubectl("uncordon", server.NODE)
        after = await bed.ready("app-0")
        assert after.metadata.uid == waiting.metadata.uid
        assert after.status.podIP == before.status.podIP
        await kubectl("delete", "unit", "app", "--wait")


async def test_a_taint_keeps_away_what_does_not_tolerate_it(bed: beds.Bed) -> None:
    async with shell.of(bed) as kubectl, shell.controlled(bed):
        await kubectl("wait", "--for=condition=Ready", f"node/{server.NODE}", "--timeout=30s")
        await kubectl("taint", "node", server.NODE, "for=others:NoSchedule")
        await kubectl("apply", "-f", "-", stdin=UNIT)
        await kubectl("wait", "--for=create", "pod/app-0", "--timeout=20s")
        await bed.until(lambda pod: waits(pod, "for"), name="app-0")
        await kubectl("taint", "node", server.NODE, "for=others:NoSchedule-")
        ready = await bed.ready("app-0")
        # What runs already stays when the taint comes back.
        await kubectl("taint", "node", server.NODE, "for=others:NoSchedule")
        same = await bed.get("app-0")
        assert (same.metadata.uid, beds.is_ready(same)) == (ready.metadata.uid, True)
        await kubectl("delete", "unit", "app", "--wait")
