"""The unit that starts Boxfleet at boot where systemd runs; it only boots s6-svscan, which looks after the rest."""

import hashlib
import pathlib
import shlex
import subprocess

from boxfleet.app import paths, settings
from boxfleet.kit import cgroup, durable

FOLDER = pathlib.Path("/etc/systemd/system")
_TEMPLATE = """\
# Written by `boxfleet up`, removed by `boxfleet down --purge`.
[Unit]
Description=Boxfleet control plane and agent
# The node tells its address once, when it starts.
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command}
SyslogIdentifier=boxfleet
# Instances outlive the services that look after them.
KillMode=process
Delegate=yes
Restart=on-failure
TasksMax=infinity
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
"""


def is_booted() -> bool:
    """Whether systemd is this machine's init (sd_booted(3))."""
    return cgroup.BOOTED.is_dir()


def unit_name(where: paths.Paths) -> str:
    """One unit for each Boxfleet of a machine."""
    if str(where.state) == settings.Instance().state:
        return "boxfleet.service"
    return f"boxfleet-{hashlib.sha256(str(where.state).encode()).hexdigest()[:8]}.service"


def unit_text(command: list[str]) -> str:
    """The unit that runs a command line; systemd's own characters in it are escaped."""
    return _TEMPLATE.format(command=shlex.join(command).replace("%", "%%").replace("$", "$$"))


def start(where: paths.Paths, command: list[str]) -> None:
    """Write the unit, enable it for the next boot and start it. Raises CalledProcessError."""
    path = FOLDER / unit_name(where)
    text = unit_text(command)
    if not path.exists() or path.read_text() != text:
        durable.write(path, text.encode())
        _systemctl("daemon-reload")
    _systemctl("enable", "--quiet", path.name)
    _systemctl("start", path.name)


def forget(where: paths.Paths, *, remove: bool) -> None:
    """Not at the next boot; with `remove`, take the unit away. Harmless when it is not there."""
    path = FOLDER / unit_name(where)
    if not path.exists():
        return
    _systemctl("disable", "--quiet", path.name)
    _systemctl("stop", path.name)
    if remove:
        path.unlink()
        _systemctl("daemon-reload")


def _systemctl(*words: str) -> None:
    subprocess.run(["systemctl", *words], check=True, capture_output=True)
