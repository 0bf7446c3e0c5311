"""An address is one Pod's until nothing of that runs."""

from boxfleet.agent import observer
from boxfleet.kit import clock
from boxfleet.ports import runtime
from boxfleet.testing import runtime as memory

ADDRESS = "10.88.0.7"


def sandbox(uid: str, *, ip: str) -> runtime.SandboxStatus:
    return runtime.SandboxStatus(
        id=f"sandbox-of-{uid}", name=uid, namespace="default", uid=uid, attempt=0, ready=False, created_at=1, ip=ip
    )


def test_the_sandbox_of_another_pod_holds_its_address_until_its_network_is_gone() -> None:
    engine = memory.MemoryRuntime(memory.MemoryImages())
    watcher = observer.Observer(engine, clock=clock.SystemClock(), relist=60)
    assert watcher.holder_of(ADDRESS, besides="new") == ""
    left = sandbox("old", ip=ADDRESS)
    watcher.sandboxes[left.id] = left
    assert watcher.holder_of(ADDRESS, besides="new") == "default/old"
    assert watcher.holder_of(ADDRESS, besides="old") == ""
    watcher.sandboxes[left.id] = sandbox("old", ip="")
    assert watcher.holder_of(ADDRESS, besides="new") == ""
