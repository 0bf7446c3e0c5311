"""Programs of the host, run in its network namespace."""

import asyncio
import pathlib
import subprocess
from collections.abc import Sequence

from boxfleet.kit import daemon
from boxfleet.ports import network


class Commands:
    """Runs `ip`, `iptables` and the like; `space` is the path of a network namespace, None the machine's own."""

    def __init__(self, space: pathlib.Path | None) -> None:
        self._space = space

    async def run(self, *words: str, stdin: str = "") -> str:
        """The output of a command; raises NetworkFault when it fails."""
        status, stdout, stderr = await self._run(words, stdin)
        if status != 0:
            raise network.NetworkFault(f"cannot run `{' '.join(words)}`: {stderr.strip() or f'exit status {status}'}")
        return stdout

    async def succeeds(self, *words: str) -> bool:
        """Whether a command exits with 0."""
        return (await self._run(words, ""))[0] == 0

    async def sysctl(self, name: str, value: str | None = None) -> str:
        """Read or write a setting of the network namespace, such as net/ipv4/ip_forward; returns what it was."""
        file = f"/proc/sys/{name}"
        was = (await self.run("cat", file)).strip()
        if value is not None and value != was:
            await self.run("tee", file, stdin=value)
        return was

    async def _run(self, words: Sequence[str], stdin: str) -> tuple[int, str, str]:
        try:
            process = await asyncio.create_subprocess_exec(
                *daemon.inside(self._space),
                *words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError:
            raise network.NetworkFault(f"cannot run `{words[0]}`: it is not installed") from None
        try:
            stdout, stderr = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, stdout.decode(errors="replace"), stderr.decode(errors="replace")
