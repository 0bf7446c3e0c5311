"""hostPath volumes: the checks and creations that their type asks for."""

import pathlib
import stat

from boxfleet.planning import pod_volumes

_TESTS = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def prepare(path: str, kind: str) -> pathlib.Path:
    """The path, checked; raises `pod_volumes.Missing` when it is not what the type says."""
    found = pathlib.Path(path)
    if kind == "DirectoryOrCreate":
        found.mkdir(mode=0o755, parents=True, exist_ok=True)
        kind = "Directory"
    elif kind == "FileOrCreate":
        if not found.exists():
            found.touch(mode=0o644)
        kind = "File"
    if not kind:
        return found
    if kind not in _TESTS:
        raise pod_volumes.Missing(f"hostPath type {kind!r} is unknown: use {', '.join(_TESTS)} or a ...OrCreate")
    test, words = _TESTS[kind]
    try:
        fits = test(found.stat().st_mode)
    except OSError as error:
        raise pod_volumes.Missing(f"hostPath type check failed: {path}: {error.strerror}") from None
    if not fits:
        raise pod_volumes.Missing(f"hostPath type check failed: {path} is not {words}")
    return found
