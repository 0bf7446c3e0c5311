"""containerd's configuration, from settings and from what this host can do."""

import dataclasses
import json
import pathlib
import subprocess
import tempfile

from boxfleet.kit import cgroup

SANDBOX_IMAGE = "boxfleet.local/pause:1"

# Everything that CRI does not need: less memory, fewer things that fail at start and fill the log.
_UNUSED = [
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.restart",
    "io.containerd.internal.v1.tracing",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
]
# Bytes. A longer line of output is split in the log; CRI marks the parts.
_LOG_LINE_LIMIT = 256 * 1024
_CAP_SYS_RESOURCE = 24


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a private containerd lives.

    `root` survives a restart of the machine, `state` need not. `socket` must stay under 100 characters. `cni_bin`
    and `cni_conf` are the folders that the network's driver fills. `registries` holds HOST:PORT/hosts.toml
    folders. `network` is a network namespace's path when this "host" is not the whole machine.
    """

    root: pathlib.Path
    state: pathlib.Path
    socket: pathlib.Path
    config_file: pathlib.Path
    log_file: pathlib.Path
    pid_file: pathlib.Path
    cni_bin: pathlib.Path
    cni_conf: pathlib.Path
    registries: pathlib.Path
    cgroup_parent: str = "/boxfleet"
    sandbox_image: str = SANDBOX_IMAGE
    network: pathlib.Path | None = None

    @property
    def noted_file(self) -> pathlib.Path:
        """What ran when the last containerd was started; see `orphans`."""
        return self.pid_file.with_suffix(".noted")

    @classmethod
    def below(
        cls,
        *,
        state: pathlib.Path,
        run: pathlib.Path,
        cni_bin: pathlib.Path,
        cni_conf: pathlib.Path,
        cgroup_parent: str = "/boxfleet",
        network: pathlib.Path | None = None,
    ) -> "Settings":
        """The usual places below Boxfleet's own two directories (/var/lib/boxfleet and /run/boxfleet)."""
        return cls(
            root=state / "containerd",
            state=run / "containerd",
            socket=run / "containerd.sock",
            config_file=run / "containerd.toml",
            log_file=state / "logs" / "containerd.log",
            pid_file=run / "containerd.pid",
            cni_bin=cni_bin,
            cni_conf=cni_conf,
            registries=state / "registries",
            cgroup_parent=cgroup_parent,
            network=network,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What this host can do, as far as containerd must be told.

    apparmor: profiles can be loaded. oom_restricted: the kernel refuses us negative OOM scores.
    systemd_cgroups: systemd owns the one cgroup tree (v2), so cgroups are asked of it.
    snapshotter: overlayfs, or native (whole copies) where the file system does not carry overlays.
    """

    apparmor: bool
    oom_restricted: bool
    systemd_cgroups: bool
    snapshotter: str


def detect(*, root: pathlib.Path) -> HostFacts:
    """Look at the host; the first time it tries an overlay mount below `root`."""
    enabled = pathlib.Path("/sys/module/apparmor/parameters/enabled")
    return HostFacts(
        apparmor=enabled.exists()
        and enabled.read_text().strip() == "Y"
        and pathlib.Path("/sys/kernel/security/apparmor").is_dir()
        and any(pathlib.Path(place, "apparmor_parser").exists() for place in ("/sbin", "/usr/sbin")),
        oom_restricted=not _capabilities() >> _CAP_SYS_RESOURCE & 1,
        systemd_cgroups=cgroup.is_systemds(),
        snapshotter=_snapshotter(root),
    )


def render(settings: Settings, facts: HostFacts) -> str:
    """The text of config.toml."""
    other = "native" if facts.snapshotter == "overlayfs" else "overlayfs"
    unused = [*_UNUSED, f"io.containerd.snapshotter.v1.{other}"]
    return f"""\
version = 2
root = {_text(settings.root)}
state = {_text(settings.state)}
disabled_plugins = {json.dumps(unused)}

[debug]
level = "warn"

[grpc]
address = {_text(settings.socket)}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = {_text(settings.sandbox_image)}
disable_apparmor = {_truth(not facts.apparmor)}
restrict_oom_score_adj = {_truth(facts.oom_restricted)}
netns_mounts_under_state_dir = true
max_container_log_line_size = {_LOG_LINE_LIMIT}
stream_server_address = "127.0.0.1"
stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {_text(settings.cni_bin)}
conf_dir = {_text(settings.cni_conf)}

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = {_text(settings.registries)}

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = {_text(facts.snapshotter)}
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = {_text(settings.state / "runc")}
SystemdCgroup = {_truth(facts.systemd_cgroups)}
"""


def _text(value: pathlib.Path | str) -> str:
    # A TOML basic string escapes as JSON does.
    return json.dumps(str(value))


def _truth(value: bool) -> str:  # noqa: FBT001  # a word for a value
    return "true" if value else "false"


def _capabilities() -> int:
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _snapshotter(root: pathlib.Path) -> str:
    """The one that is in use, else the one that works: a full disk must not take images and containers from sight."""
    for name in ("overlayfs", "native"):
        if (root / f"io.containerd.snapshotter.v1.{name}").is_dir():
            return name
    return "overlayfs" if _overlay_works(root) else "native"


def _overlay_works(root: pathlib.Path) -> bool:
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="overlay-") as place:
        parts = {name: pathlib.Path(place, name) for name in ("lower", "upper", "work", "merged")}
        for part in parts.values():
            part.mkdir()
        options = f"lowerdir={parts['lower']},upperdir={parts['upper']},workdir={parts['work']}"
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(parts["merged"])]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            return False
        subprocess.run(["umount", str(parts["merged"])], capture_output=True, check=True)
        return True
