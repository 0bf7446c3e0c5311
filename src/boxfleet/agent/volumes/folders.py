"""The folders of one Pod on this host: volumes, hosts file, last words."""

import pathlib
import shutil

from boxfleet.agent.volumes import mounting

# Kubernetes keeps this much of a container's last words (bytes).
MESSAGE_LIMIT = 4096


class PodFolder:
    """Everything below STATE/pods/UID."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root

    def volume(self, name: str) -> pathlib.Path:
        """Where a volume of that name is."""
        return self.root / "volumes" / name

    def subpath(self, container: str, index: int) -> pathlib.Path:
        """Where the subPath of a container's mount is bound."""
        return self.root / "subpaths" / container / str(index)

    @property
    def hosts(self) -> pathlib.Path:
        """The Pod's /etc/hosts."""
        return self.root / "hosts"

    def message(self, container: str, *, attempt: int) -> pathlib.Path:
        """Where a container leaves its last words."""
        return self.root / "messages" / f"{container}-{attempt}"

    def hooked(self, container: str, *, attempt: int) -> pathlib.Path:
        """There when the postStart hook of that attempt is over."""
        return self.root / "hooks" / f"{container}-{attempt}"

    def read_message(self, container: str, *, attempt: int) -> str:
        """A container's last words; empty when it left none."""
        try:
            with self.message(container, attempt=attempt).open("rb") as stream:
                return stream.read(MESSAGE_LIMIT).decode(errors="replace")
        except OSError:
            return ""

    def forget(self, container: str, *, attempt: int) -> None:
        """Remove what is kept for one attempt of a container."""
        self.message(container, attempt=attempt).unlink(missing_ok=True)
        self.hooked(container, attempt=attempt).unlink(missing_ok=True)

    def remove(self) -> None:
        """Take all away. Nothing is deleted while anything is still mounted below: it could be somebody's data."""
        mounting.clear(self.root)
        left = mounting.below(self.root)
        if left:
            raise OSError(16, f"cannot remove the pod's folder: still mounted: {', '.join(left)}", str(self.root))
        shutil.rmtree(self.root, ignore_errors=True)
