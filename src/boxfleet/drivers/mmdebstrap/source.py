"""A recipe read from disk, with the files beside it and the fingerprint of it all."""

import base64
import dataclasses
import pathlib

import msgspec
import yaml

from boxfleet.api import recipe
from boxfleet.drivers.mmdebstrap import faults
from boxfleet.kit import ids

# Part of every fingerprint: raise it when the same recipe would make another image.
LAYOUT = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Everything of an image that does not come from packages."""

    recipe: recipe.Recipe
    # Content of recipe.files, in their order.
    contents: tuple[bytes, ...]

    def fingerprint(self, *, suite: str, architecture: str) -> str:
        """Hex digits that are the same for the same wanted image."""
        contents = [base64.b64encode(content).decode() for content in self.contents]
        return ids.fingerprint(
            [LAYOUT, suite, architecture, msgspec.to_builtins(self.recipe), contents],
            length=16,
        )


def read(path: pathlib.Path) -> Source:
    """Read a recipe and the files it names; raises BuildError, or InvalidRecipeError for wrong fields."""
    try:
        document = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except OSError as error:
        raise faults.BuildError(f"cannot read recipe {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise faults.BuildError(f"cannot read recipe {path}: it is not YAML: {error}") from None
    wanted = recipe.decode(document)
    contents = []
    for index, file in enumerate(wanted.files):
        if file.content is not None:
            contents.append(file.content.encode())
            continue
        beside = path.parent / file.source
        if not beside.resolve().is_relative_to(path.parent.resolve()):
            raise faults.BuildError(f"{path}: files[{index}].source {file.source} leads out of the recipe's folder")
        try:
            contents.append(beside.read_bytes())
        except OSError as error:
            raise faults.BuildError(
                f"{path}: cannot read files[{index}].source {file.source}: {error.strerror}; it belongs at {beside}"
            ) from None
    return Source(recipe=wanted, contents=tuple(contents))
