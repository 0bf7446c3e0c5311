"""One look at a container: exec, HTTP or TCP."""

import asyncio

import msgspec

from boxfleet.api import pod as pods
from boxfleet.kit import http_get
from boxfleet.planning import probing
from boxfleet.ports import runtime


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The container that is looked at, and where it listens."""

    id: str
    container: pods.Container
    ip: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it is well, and what it said when not."""

    success: bool
    message: str = ""


async def ask(
    engine: runtime.Runtime,
    subject: Subject,
    handler: pods.Probe | pods.LifecycleHandler,
    *,
    timeout: float,
    patience: float | None = None,
) -> Answer:
    """Look once. Never raises but `runtime.Unavailable`: then nothing is known.

    `timeout` in seconds; `patience` is the part of it that a connection may take.
    """
    patience = timeout if patience is None else min(patience, timeout)
    try:
        if handler.exec is not None:
            result = await engine.exec_sync(subject.id, handler.exec.command, timeout=timeout)
            said = (result.stdout + result.stderr)[:1024].decode(errors="replace").strip()
            return Answer(success=result.exit_code == 0, message=said or f"exit code {result.exit_code}")
        if handler.httpGet is not None:
            get = handler.httpGet
            status, said = await http_get.get(
                host=get.host or subject.ip,
                port=probing.port(subject.container, get.port),
                path=get.path,
                scheme=get.scheme,
                headers=[(header.name, header.value) for header in get.httpHeaders],
                timeout=timeout,
                patience=patience,
            )
            good = 200 <= status < 400
            return Answer(success=good, message="" if good else f"HTTP status {status} {said[:256]}".strip())
        if handler.tcpSocket is not None:
            port = probing.port(subject.container, handler.tcpSocket.port)
            await http_get.connect(host=handler.tcpSocket.host or subject.ip, port=port, timeout=patience)
            return Answer(success=True)
        if isinstance(handler, pods.LifecycleHandler) and handler.sleep is not None:
            await asyncio.sleep(handler.sleep.seconds)
        return Answer(success=True)
    except TimeoutError:
        return Answer(success=False, message=f"no answer within {timeout:g} s")
    except (OSError, ValueError) as error:
        return Answer(success=False, message=str(error))
    except runtime.Unavailable:
        raise
    except runtime.RuntimeFault as error:
        return Answer(success=False, message=str(error))
