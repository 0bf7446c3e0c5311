"""A real registry on a free port of loopback: Debian's docker-registry, filled by skopeo."""

import asyncio
import base64
import contextlib
import dataclasses
import json
import pathlib
import socket
import subprocess
from collections.abc import AsyncIterator

USER = "robot"
PASSWORD = "correct-horse-battery"  # opens registries of tests only
# Perl's crypt is the C library's, which makes the bcrypt hashes that the registry wants.
_HASH = "print crypt($ARGV[0], q($2y$05$abcdefghijklmnopqrstuu))"


@dataclasses.dataclass(kw_only=True)
class Registry:
    """One registry. It can be stopped and started again on its port, and keeps what it has."""

    folder: pathlib.Path
    port: int
    tls: bool = False
    password: bool = False
    process: asyncio.subprocess.Process | None = None

    @property
    def host(self) -> str:
        """As references name it."""
        return f"127.0.0.1:{self.port}"

    @property
    def authority(self) -> pathlib.Path:
        """The certificate of the authority that signed the registry's own."""
        return self.folder / "ca.crt"

    @property
    def log(self) -> str:
        """All that it has said, with a line for each request."""
        return (self.folder / "log").read_text()

    def asked(self, reference: str) -> int:
        """How often the tag was asked for."""
        path, _, tag = reference.removeprefix(f"{self.host}/").rpartition(":")
        return self.log.count(f'"HEAD /v2/{path}/manifests/{tag} HTTP')

    async def start(self) -> None:
        """Start it; returns when it answers."""
        with (self.folder / "log").open("ab") as log:
            command = ["docker-registry", "serve", str(self._configure())]
            self.process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
            self.process = None

    async def push(self, archive: pathlib.Path, name: str) -> str:
        """Put the image of an OCI archive there; the reference by which it can be pulled."""
        reference = f"{self.host}/{name}"
        flags = ["--dest-tls-verify=false"]
        if self.password:
            (self.folder / "auth.json").write_text(docker_config(self.host))
            flags.append(f"--authfile={self.folder / 'auth.json'}")
        command = ["skopeo", "--insecure-policy", "copy", "--quiet", *flags, f"oci-archive:{archive}"]
        process = await asyncio.create_subprocess_exec(*command, f"docker://{reference}")
        assert await process.wait() == 0
        return reference

    def _configure(self) -> pathlib.Path:
        http: dict[str, object] = {"addr": self.host}
        if self.tls:
            http["tls"] = {"certificate": str(self.folder / "tls.crt"), "key": str(self.folder / "tls.key")}
        config = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}},
            "http": http,
        }
        if self.password:
            hashed = subprocess.run(["perl", "-e", _HASH, PASSWORD], capture_output=True, text=True, check=True).stdout
            (self.folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(self.folder / "htpasswd")}}
        path = self.folder / "config.yml"
        # JSON is YAML.
        path.write_text(json.dumps(config))
        return path

    def certify(self) -> None:
        """Make an authority and a certificate signed by it."""
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        own = ["-x509", "-subj", "/CN=authority of tests", "-out", "ca.crt", "-keyout", "ca.key"]
        signed = ["-x509", "-CA", "ca.crt", "-CAkey", "ca.key", "-subj", "/CN=registry", "-out", "tls.crt"]
        leaf = ["-keyout", "tls.key", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
        for arguments in (own, [*signed, *leaf]):
            command = ["openssl", "req", *key, *arguments]
            subprocess.run(command, cwd=self.folder, check=True, capture_output=True)


def docker_config(host: str, *, password: str = PASSWORD) -> str:
    """What `docker login` writes, and a Secret of the type kubernetes.io/dockerconfigjson holds."""
    return json.dumps({"auths": {host: {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}}})


@contextlib.asynccontextmanager
async def running(folder: pathlib.Path, *, tls: bool = False, password: bool = False) -> AsyncIterator[Registry]:
    """A registry in a folder of its own."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Registry(folder=folder, port=port, tls=tls, password=password)
    if tls:
        made.certify()
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
