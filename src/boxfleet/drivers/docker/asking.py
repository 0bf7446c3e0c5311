"""One look at a container, for probes and hooks: exec, HTTP or TCP."""

import asyncio

import msgspec

from boxfleet.api import pod as pods
from boxfleet.drivers.docker import connection, execs
from boxfleet.kit import http_get
from boxfleet.planning import probing
from boxfleet.ports import cluster


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it is well, and what it said when not."""

    success: bool
    message: str = ""


async def ask(
    link: connection.Connection,
    container_id: str,
    container: pods.Container,
    handler: pods.Probe | pods.LifecycleHandler,
    *,
    ip: str,
    seconds: float,
    patience: float | None = None,
) -> Answer:
    """Look once. Raises only `cluster.Unreachable`: then nothing is known.

    `patience` is the part of the seconds that a connection may take.
    """
    patience = seconds if patience is None else min(patience, seconds)
    try:
        if handler.exec is not None:
            outcome = await execs.run(link, container_id, handler.exec.command, seconds=seconds)
            return Answer(success=outcome.exit_code == 0, message=outcome.said or f"exit code {outcome.exit_code}")
        if handler.httpGet is not None:
            get = handler.httpGet
            code, said = await http_get.get(
                host=get.host or ip,
                port=probing.port(container, get.port),
                path=get.path,
                scheme=get.scheme,
                headers=[(header.name, header.value) for header in get.httpHeaders],
                timeout=seconds,
                patience=patience,
            )
            good = 200 <= code < 400
            return Answer(success=good, message="" if good else f"HTTP status {code} {said[:256]}".strip())
        if handler.tcpSocket is not None:
            port = probing.port(container, handler.tcpSocket.port)
            await http_get.connect(host=handler.tcpSocket.host or ip, port=port, timeout=patience)
            return Answer(success=True)
        if isinstance(handler, pods.LifecycleHandler) and handler.sleep is not None:
            await asyncio.sleep(handler.sleep.seconds)
        return Answer(success=True)
    except TimeoutError:
        return Answer(success=False, message=f"no answer within {seconds:g} s")
    except cluster.Unreachable:
        raise
    except (OSError, ValueError, cluster.ClusterFault) as error:
        return Answer(success=False, message=str(error))
