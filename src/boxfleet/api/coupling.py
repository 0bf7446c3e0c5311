"""Memory that instances on one host share: what a Unit says of it, and how its Pods ask for it.

A Pod asks by a volume of a driver of Boxfleet's own, so that all that is said stands in the Pod itself.
"""

import posixpath
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final

import msgspec

from boxfleet.api import fields, kind, meta, names
from boxfleet.kit import quantity

PREFIX: Final = "ipc/"
# The CSI driver that such volumes name, and its attributes.
DRIVER: Final = "ipc.boxfleet.dev"
NAME, ROLE, EXCLUSIVE, SIZE = "name", "role", "exclusive", "size"
PROVIDES, CONSUMES = "provides", "consumes"
# As Docker's /dev/shm.
USUAL_SIZE: Final = "64Mi"
# With what stands before it in the name of a volume, at most a label's 63 characters.
_LONGEST = 48


class Provided(meta.Model):
    """A memory that instances offer on their host."""

    name: Annotated[str, msgspec.Meta(description="ipc/NAME; one and the same in a Namespace, on each host apart.")]
    exclusive: Annotated[
        bool, msgspec.Meta(description="At most one consumer for each ready instance of the provider on a host.")
    ] = False
    size: Annotated[str, msgspec.Meta(description="How much it holds, such as 64Mi.")] = USUAL_SIZE
    path: Annotated[
        str,
        msgspec.Meta(
            description="Where its containers see it; /dev/shm/NAME when empty. /dev/shm is for programs that use "
            "shm_open and sem_open."
        ),
    ] = ""


class Consumed(meta.Model):
    """A memory without which instances do not run."""

    name: Annotated[str, msgspec.Meta(description="ipc/NAME, which a Unit of the same Namespace provides.")]
    exclusive: Annotated[
        bool, msgspec.Meta(description="No other consumer at the same ready instance of the provider.")
    ] = False
    path: Annotated[str, msgspec.Meta(description="Where its containers see it; /dev/shm/NAME when empty.")] = ""


def short(name: str) -> str:
    """The NAME of ipc/NAME."""
    return name.removeprefix(PREFIX)


def path_of(said: Provided | Consumed) -> str:
    """Where containers see it."""
    return said.path or f"/dev/shm/{short(said.name)}"  # noqa: S108


def volume_name(name: str) -> str:
    """The volume of a Pod that stands for it."""
    return f"boxfleet-ipc-{short(name)}"


def variable(name: str) -> str:
    """The environment variable that says where it is."""
    return f"BOXFLEET_IPC_{short(name).upper().replace('-', '_')}"


def validate(found: Mapping[str, Any], path: str) -> list[kind.FieldError]:
    """What a Unit provides and consumes, as JSON data."""
    errors: list[kind.FieldError] = []
    seen: dict[str, str] = {}
    taken = _mounted(found)
    for part in (PROVIDES, CONSUMES):
        for index, each in enumerate(found.get(part) or ()):
            at = f"{path}.{part}[{index}]"
            name = each.get("name", "")
            if fault := _name_fault(name):
                errors.append(fields.invalid(f"{at}.name", name, fault))
                continue
            if seen.get(name) == part:
                errors.append(fields.duplicate(f"{at}.name", name))
            elif name in seen:
                detail = "the Unit provides it itself: its own containers see it already, so remove it from consumes"
                errors.append(fields.invalid(f"{at}.name", name, detail))
            seen[name] = part
            where = each.get("path") or f"/dev/shm/{short(name)}"  # noqa: S108
            errors += _path(where, f"{at}.path", taken)
            taken.add(where)
            errors += _size(each.get("size") or USUAL_SIZE, f"{at}.size")
    return errors


def attributes(found: Mapping[str, Any], path: str) -> list[kind.FieldError]:
    """The attributes of a volume of our driver: a Pod may ask without a Unit."""
    errors: list[kind.FieldError] = []
    if fault := _name_fault(name := found.get(NAME, "")):
        errors.append(fields.invalid(f"{path}.{NAME}", name, fault))
    errors += fields.one_of(f"{path}.{ROLE}", found.get(ROLE, ""), (PROVIDES, CONSUMES))
    return errors + _size(found.get(SIZE, USUAL_SIZE), f"{path}.{SIZE}")


def _name_fault(name: str) -> str | None:
    if not name.startswith(PREFIX):
        return "must be ipc/NAME, for example ipc/orders"
    if len(short(name)) > _LONGEST:
        return f"must have at most {_LONGEST} characters after {PREFIX}"
    return names.label(short(name))


def _path(where: str, at: str, taken: Collection[str]) -> list[kind.FieldError]:
    if not where.startswith("/") or where == "/" or posixpath.normpath(where) != where or set(where) & {":", "\0"}:
        return [fields.invalid(at, where, "must be the absolute path of a folder, for example /dev/shm")]
    if where in taken:
        return [fields.invalid(at, where, "something is mounted there already: choose another path")]
    return []


def _size(size: str, at: str) -> list[kind.FieldError]:
    if not quantity.is_quantity(size) or quantity.whole(size) <= 0:
        return [fields.invalid(at, size, "must be an amount of memory such as 64Mi")]
    return []


def _mounted(found: Mapping[str, Any]) -> set[str]:
    spec = (found.get("template") or {}).get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    mounts = (mount for each in containers for mount in each.get("volumeMounts") or ())
    return {posixpath.normpath(mount.get("mountPath") or "/") for mount in mounts} | {
        file.get("path", "") for file in found.get("files") or ()
    }
