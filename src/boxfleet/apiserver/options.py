"""Options of requests: what stands in the query and in a DeleteOptions body (API types of meta/v1)."""

import dataclasses
import re

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults, route
from boxfleet.apiserver.apply import managers

_PROPAGATION = ("", "Background", "Foreground", "Orphan")
_VALIDATION = ("", "Ignore", "Warn", "Strict")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """CreateOptions, UpdateOptions and PatchOptions alike."""

    dry_run: bool = False
    # Ignore, Warn or Strict: what to do about fields that no schema names.
    validation: str = "Warn"
    # Who writes; empty when the request does not say.
    manager: str = ""
    # Server-side apply: take fields from their managers.
    force: bool = False


_UNSAID = WriteOptions()


class Preconditions(msgspec.Struct):
    """What must be true of the object for it to go."""

    uid: str | None = None
    resourceVersion: str | None = None


class DeleteOptions(msgspec.Struct):
    """How an object goes."""

    gracePeriodSeconds: int | None = None
    propagationPolicy: str | None = None
    orphanDependents: bool | None = None
    preconditions: Preconditions = msgspec.field(default_factory=Preconditions)
    dryRun: list[str] = []

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be written."""
        return bool(self.dryRun)

    @property
    def propagation(self) -> str:
        """The policy, also when it is said in the old way; empty when it is left to the server."""
        if self.orphanDependents is not None:
            return "Orphan" if self.orphanDependents else "Background"
        return self.propagationPolicy or ""


class _Body(msgspec.Struct):
    """DeleteOptions as they may come: every field may be null."""

    gracePeriodSeconds: int | None = None
    propagationPolicy: str | None = None
    orphanDependents: bool | None = None
    preconditions: Preconditions | None = None
    dryRun: list[str] | None = None


def for_write(call: route.Call, *, type_name: str, apply: bool = False) -> WriteOptions:
    """Read the options of a create, update or patch, `apply`: of a server-side apply; raises Fault 422."""
    if not call.query and not apply:
        return _UNSAID
    errors = []
    dry_run = call.query.get("dryRun", [])
    errors += _dry_run_errors([value for value in dry_run if value])
    validation = call.one("fieldValidation")
    if validation not in _VALIDATION:
        errors.append(
            kinds.FieldError(
                "fieldValidation",
                f'Unsupported value: {faults.shown(validation)}: supported values: "", "Ignore", "Strict", "Warn"',
                kinds.Reason.NOT_SUPPORTED,
            )
        )
    manager = call.one("fieldManager")
    if manager:
        errors += managers.name_errors("fieldManager", manager)
    elif apply:
        errors.append(kinds.FieldError("fieldManager", "is required for apply patch", kinds.Reason.REQUIRED))
    force = type_name == "PatchOptions" and call.flag("force")
    if type_name == "PatchOptions" and call.one("force") and not apply:
        errors.append(kinds.FieldError("force", "may not be specified for non-apply patch", kinds.Reason.FORBIDDEN))
    if errors:
        raise faults.invalid_options(type_name, errors)
    return WriteOptions(dry_run=any(dry_run), validation=validation or "Warn", manager=manager, force=force)


def for_delete(call: route.Call, body: bytes) -> DeleteOptions:
    """Read the options of a deletion from its body, or from the query when there is none."""
    if body.strip():
        try:
            given = msgspec.json.decode(body, type=_Body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise faults.bad_request(f"cannot read DeleteOptions: {error}") from None
        options = DeleteOptions(
            gracePeriodSeconds=given.gracePeriodSeconds,
            propagationPolicy=given.propagationPolicy,
            orphanDependents=given.orphanDependents,
            preconditions=given.preconditions or Preconditions(),
            dryRun=given.dryRun or [],
        )
    else:
        grace = call.one("gracePeriodSeconds")
        if grace and not re.fullmatch(r"-?\d{1,10}", grace):
            raise faults.bad_request(f"gracePeriodSeconds is {faults.shown(grace)}: it must be a number of seconds")
        options = DeleteOptions(
            gracePeriodSeconds=int(grace) if grace else None,
            propagationPolicy=call.one("propagationPolicy") or None,
            orphanDependents=call.flag("orphanDependents") if call.one("orphanDependents") else None,
            dryRun=[value for value in call.query.get("dryRun", []) if value],
        )
    _check_delete(options)
    return options


def integer(call: route.Call, name: str) -> int:
    """A whole number in the query, 0 when it is not there or below; raises Fault 400."""
    text = call.one(name)
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        raise faults.bad_request(f"invalid query parameter {name}: {faults.shown(text)} is not a whole number")
    return max(int(text), 0)


def _check_delete(options: DeleteOptions) -> None:
    errors = _dry_run_errors(options.dryRun)
    if options.propagationPolicy and options.orphanDependents is not None:
        errors.append(
            kinds.FieldError(
                "propagationPolicy",
                f"Invalid value: {faults.shown(options.propagationPolicy)}: orphanDependents and "
                "deletionPropagation cannot be both set",
            )
        )
    if (options.propagationPolicy or "") not in _PROPAGATION:
        errors.append(
            kinds.FieldError(
                "propagationPolicy",
                f"Unsupported value: {faults.shown(options.propagationPolicy)}: supported values: "
                '"Background", "Foreground", "Orphan"',
                kinds.Reason.NOT_SUPPORTED,
            )
        )
    if options.gracePeriodSeconds is not None and options.gracePeriodSeconds < 0:
        # Kubernetes takes a negative grace for the shortest one.
        options.gracePeriodSeconds = 1
    if errors:
        raise faults.invalid_options("DeleteOptions", errors)


def _dry_run_errors(values: list[str]) -> list[kinds.FieldError]:
    if all(value == "All" for value in values):
        return []
    listed = f"[{','.join(faults.shown(value) for value in values)}]"
    return [
        kinds.FieldError("dryRun", f'Unsupported value: {listed}: supported values: "All"', kinds.Reason.NOT_SUPPORTED)
    ]
