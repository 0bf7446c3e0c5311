"""From an instance's name to what the runtime calls it."""

from boxfleet.ports import runtime, streams


async def sandbox(engine: runtime.Runtime, *, pod: str, uid: str) -> runtime.Sandbox:
    """The instance's sandbox, the newest if there are several; raises Refusal when none is up."""
    found = [one for one in await engine.list_sandboxes() if one.uid == uid and one.ready]
    if not found:
        raise streams.Refusal(f'pod "{pod}" does not run on this node now', code=404, reason="NotFound")
    return max(found, key=runtime.by_age)


async def containers(engine: runtime.Runtime, *, uid: str, name: str) -> list[runtime.Container]:
    """All that the runtime still has of an instance's container, oldest first."""
    sandboxes = {one.id for one in await engine.list_sandboxes() if one.uid == uid}
    found = [one for one in await engine.list_containers() if one.sandbox_id in sandboxes and one.name == name]
    return sorted(found, key=runtime.by_age)


async def running(engine: runtime.Runtime, *, uid: str, name: str) -> runtime.Container:
    """The container that runs; raises Refusal when none does."""
    found = [one for one in await containers(engine, uid=uid, name=name) if one.state is runtime.State.RUNNING]
    if not found:
        raise streams.Refusal(f'container not found ("{name}"): it does not run now', code=404, reason="NotFound")
    return found[-1]
