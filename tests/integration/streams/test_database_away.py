"""What people look into an instance with, while the server's database is away."""

import asyncio
import pathlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.integration.streams import bed as beds
from tests.integration.streams import test_forward

from boxfleet.api import pod as pods
from boxfleet.client import errors
from boxfleet.drivers.containerd import daemon
from boxfleet.store import where
from boxfleet.testing import postgres

pytestmark = [pytest.mark.anyio, pytest.mark.machine]


@pytest.fixture
def own() -> Iterator[postgres.Cluster]:
    """A database that the test stops."""
    if not postgres.installed():
        pytest.skip("this machine lacks PostgreSQL; ./run test installs it")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bf-streams-pg-", dir="/tmp"))
    try:
        with postgres.cluster(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=beds.WAYS)
async def bed(
    containerd: daemon.Daemon, own: postgres.Cluster, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> AsyncIterator[beds.Bed]:
    async with beds.bed(containerd, tmp_path, database=where.Postgres(own.url())) as made:
        yield made.speaking(request.param)


async def test_instances_are_looked_into_as_before(bed: beds.Bed, own: postgres.Cluster) -> None:
    port = beds.free_port()
    await bed.pod("p", ["perl", "-e", beds.SERVE, str(port)])
    while b"serving" not in (await bed.kubectl("logs", "p")).out:
        await asyncio.sleep(0.05)
    # What may be done is asked for once, while the server can tell the newest.
    assert (await bed.kubectl("exec", "p", "--", "echo", "before")).out == b"before\n"
    await asyncio.to_thread(own.stop)
    logs = await bed.kubectl("logs", "p")
    assert (logs.code, logs.out) == (0, b"serving\n")
    assert "Warning: this Pod is shown as it was known here last" in logs.err and " s old" in logs.err
    done = await bed.kubectl("exec", "-i", "p", "--", "cat", stdin=b"typed")
    assert (done.code, done.out) == (0, b"typed")
    attached = await bed.start("attach", "p")
    process, local = await test_forward.forwarding(bed, port)
    assert await test_forward.fetched(local) == 1_000_000
    assert attached.returncode is None
    for each in (attached, process):
        each.kill()
        await each.communicate()
    # Whoever may not, may not now; what is not known is not said to be missing, and nothing is written.
    refused = await bed.kubectl("logs", "p", "--as=nobody")
    assert (refused.code, refused.out) == (1, b"") and "Forbidden" in refused.err
    asked = [
        bed.api.admin.get(pods.Pod, "q", namespace="default"),
        bed.api.admin.list(pods.Pod),
        bed.api.admin.delete(pods.Pod, "p", namespace="default"),
    ]
    for each in asked:
        with pytest.raises(errors.Unavailable, match="cannot be reached"):
            await each
    await asyncio.to_thread(own.start)
    async with asyncio.timeout(30):
        while (await bed.kubectl("get", "pod", "p")).err:
            await asyncio.sleep(0.1)
