"""Rendering the instances of a Unit beside everything else that the server does."""

import asyncio
import time

import pytest

from boxfleet.api import meta, unit
from boxfleet.controllers.unit import observe, render

pytestmark = pytest.mark.anyio

# Wants a million steps.
_LOOPS = "".join(f"{{% for a{depth} in l %}}" for depth in range(6))
_GREEDY = "{% set l = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] %}" + _LOOPS + "{{ a0 }}" + "{% endfor %}" * 6


def _situation(content: str, *, replicas: int) -> observe.Situation:
    subject = unit.Unit(
        metadata=meta.ObjectMeta(name="u", namespace="n", uid="1", generation=1),
        spec=unit.UnitSpec(
            replicas=replicas,
            template={"spec": {"containers": [{"name": "a", "image": "i"}]}},
            files=[unit.File(path="/f", content=content)],
        ),
    )
    return observe.Situation(
        unit=subject,
        template=subject.spec.pod_template(),
        instances=[],
        claims={},
        files={},
        shares=[],
        clusters={},
        foreign=frozenset(),
        siblings={"u": subject},
        declared=frozenset({"u"}),
    )


def _renderer() -> render.Renderer:
    return render.Renderer(addresses=lambda _: {}, suffix="fleet.internal")


async def test_templates_that_want_too_much_do_not_hold_the_server_up() -> None:
    turns = 0
    over = asyncio.Event()

    async def others() -> None:
        nonlocal turns
        while not over.is_set():
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    began = time.process_time()
    try:
        found = await _renderer().render(_situation(_GREEDY, replicas=1000))
    finally:
        over.set()
        await task
    spent = time.process_time() - began
    assert found.error is not None
    assert "too many steps" in str(found.error)
    # A thousand such instances would take minutes.
    assert spent < 10
    assert turns > 3


async def test_an_instance_with_a_wrong_template_does_not_stop_the_others() -> None:
    found = await _renderer().render(_situation("{{ {0: 'a', 2: 'c', 3: 'd'}[instance.ordinal] }}", replicas=4))
    assert (sorted(found.done), found.error is not None) == ([0, 2, 3], True)


async def test_a_line_for_each_of_many_members_is_no_large_template() -> None:
    content = "{% for m in unit.members %}server.{{ m.ordinal }}={{ m.domain }}:2888:3888\n{% endfor %}"
    found = await _renderer().render(_situation(content, replicas=300))
    assert found.error is None
    assert found.done[299].files["/f"].count("\n") == 300
