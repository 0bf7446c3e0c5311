"""What an import has to say: every error with its field, every warning, and names that fit."""

import contextlib
import dataclasses
import difflib
import re
from collections.abc import Collection, Iterator

from boxfleet.api import kind


@dataclasses.dataclass(slots=True)
class Report:
    """Errors and warnings as they are found."""

    errors: list[kind.FieldError] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    # Pairs of services of which the first does without the second.
    optional: set[tuple[str, str]] = dataclasses.field(default_factory=set)

    def refuse(self, at: str, message: str, *, reason: kind.Reason = kind.Reason.INVALID) -> None:
        """Something that cannot be imported."""
        self.errors.append(kind.FieldError(at, message, reason))

    def warn(self, at: str, message: str) -> None:
        """Something that is left out or changed; the import goes on."""
        self.warnings.append(f"{at}: {message}")

    def unknown(self, at: str, key: str, known: Collection[str]) -> None:
        """A key that Compose does not have."""
        near = difflib.get_close_matches(key, known, n=1)
        advice = f"did you mean {near[0]}?" if near else "remove it, or start it with x- if it is yours"
        self.refuse(at, f"is not known: {advice}", reason=kind.Reason.NOT_SUPPORTED)

    @contextlib.contextmanager
    def catching(self, at: str) -> Iterator[None]:
        """Take a value that the block cannot read as an error of that field."""
        try:
            yield
        except ValueError as error:
            self.refuse(at, str(error))
        except (AttributeError, KeyError, IndexError, TypeError):
            # A map, a list or a text where Compose has another: each reader trusts the shape it knows.
            self.refuse(at, "is not of the form that Compose gives it", reason=kind.Reason.TYPE)


def label(name: str) -> str:
    """The nearest DNS label: small letters, digits and single dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-")
