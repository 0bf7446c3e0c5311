"""ImageRecipe: the file that says how an image is made from Debian packages. A file format, not a served kind."""

import difflib
import enum
import re
from typing import Annotated

import msgspec

from boxfleet.api import kind, wellknown

API_VERSION = f"{kind.GROUP}/{kind.VERSION}"
KIND = "ImageRecipe"


class InvalidRecipeError(ValueError):
    """A recipe cannot be used; `errors` has every field that is wrong and what to do about it."""

    def __init__(self, errors: list[kind.FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class Variant(enum.StrEnum):
    """How much of Debian comes along, in mmdebstrap's words."""

    # Just the named packages' files: no dpkg, no maintainer scripts.
    EXTRACT = "extract"
    # Essential packages and the named ones; the usual choice.
    ESSENTIAL = "essential"
    # The same with apt, to install more inside.
    APT = "apt"
    # With all packages of priority required.
    MINBASE = "minbase"


class _Model(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Base: a field that is not known is an error, since a recipe is written by hand."""


class File(_Model, frozen=True):
    """A file put into the image: `content` as it stands, or `source`, a path relative to the recipe."""

    path: str
    content: str | None = None
    source: str = ""
    mode: str = "0644"
    # USER:GROUP by name or number, as known in the image.
    owner: str = "0:0"


class Recipe(_Model, frozen=True):
    """How one image is made."""

    apiVersion: str
    kind: str
    name: str
    tag: str = "latest"
    # Debian suite; empty for the machine's own.
    suite: str = ""
    variant: Variant = Variant.ESSENTIAL
    packages: list[str] = []
    files: list[File] = []
    # Shell commands in the image, in order, without network.
    run: list[str] = []
    # Every time stamp in the image is at most this (seconds since the epoch); the suite's release date when absent.
    sourceDate: Annotated[int, msgspec.Meta(ge=1, le=2**33)] | None = None
    user: str = ""
    workdir: str = ""
    env: dict[str, str] = {}
    entrypoint: list[str] = []
    cmd: list[str] = []
    # PORT or PORT/PROTOCOL.
    expose: list[str] = []
    stopSignal: str = ""
    volumes: list[str] = []
    labels: dict[str, str] = {}

    @property
    def reference(self) -> str:
        """The full name of the image, ``boxfleet.local/NAME:TAG``."""
        return f"{wellknown.REPOSITORY}/{self.name}:{self.tag}"


_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_SUITE = re.compile(r"[a-z][a-z0-9-]*")
# Debian policy 5.6.1, with apt's :ARCH and =VERSION.
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?(?:=[A-Za-z0-9.+:~-]+)?")
_MODE = re.compile(r"[0-7]{3,4}")
_OWNER = re.compile(r"[a-z0-9_][a-z0-9_-]*:[a-z0-9_][a-z0-9_-]*")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PORT = re.compile(r"(\d{1,5})(?:/(?:tcp|udp|sctp))?")
_SIGNAL = re.compile(r"SIG[A-Z0-9+-]+|\d{1,2}")
_PATH_IN_ERROR = re.compile(r"^(.*?)(?: - at `(?:key in )?\$(.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")


def decode(document: object) -> Recipe:
    """The recipe in a parsed YAML document; raises InvalidRecipeError."""
    if not isinstance(document, dict):
        raise InvalidRecipeError([kind.FieldError("", "a recipe is a mapping of fields", kind.Reason.TYPE)])
    try:
        recipe = msgspec.convert(document, Recipe)
    except msgspec.ValidationError as error:
        raise InvalidRecipeError([_explain(str(error))]) from None
    errors = validate(recipe)
    if errors:
        raise InvalidRecipeError(errors)
    return recipe


def validate(recipe: Recipe) -> list[kind.FieldError]:
    """Everything wrong with a recipe beyond its types."""
    errors: list[kind.FieldError] = []

    def check(holds: bool, field: str, message: str) -> None:  # noqa: FBT001
        if not holds:
            errors.append(kind.FieldError(field, message))

    def check_path(path: str, field: str) -> None:
        clean = path.startswith("/") and path != "/" and not {"", ".", ".."} & set(path[1:].split("/"))
        check(clean and path.isprintable(), field, f"{path!r} is not an absolute path without '..': write it as /a/b")

    check(recipe.apiVersion == API_VERSION, "apiVersion", f"must be {API_VERSION}")
    check(recipe.kind == KIND, "kind", f"must be {KIND}")
    check(
        bool(_NAME.fullmatch(recipe.name)) and len(recipe.name) <= 128,
        "name",
        f"{recipe.name!r} is not an image name: use small letters, digits and single - . _ between them",
    )
    check(bool(_TAG.fullmatch(recipe.tag)), "tag", f"{recipe.tag!r} is not a tag: use letters, digits and _ . -")
    check(
        not recipe.suite or bool(_SUITE.fullmatch(recipe.suite)),
        "suite",
        f"{recipe.suite!r} is not a suite: use a code name such as bookworm, or leave it out for the machine's own",
    )
    for index, package in enumerate(recipe.packages):
        check(bool(_PACKAGE.fullmatch(package)), f"packages[{index}]", f"{package!r} is not a package name")
    seen: set[str] = set()
    for index, file in enumerate(recipe.files):
        at = f"files[{index}]"
        check_path(file.path, f"{at}.path")
        check(file.path not in seen, f"{at}.path", f"{file.path} is there twice: keep one of them")
        seen.add(file.path)
        check((file.content is None) == bool(file.source), at, "set exactly one of content and source")
        check(
            not file.source or not (file.source.startswith("/") or ".." in file.source.split("/")),
            f"{at}.source",
            f"{file.source!r} must lie beside the recipe or below: copy the file there",
        )
        check(bool(_MODE.fullmatch(file.mode)), f"{at}.mode", f"{file.mode!r} is not octal bits such as '0644'")
        check(bool(_OWNER.fullmatch(file.owner)), f"{at}.owner", f"{file.owner!r} is not of the form USER:GROUP")
    for index, command in enumerate(recipe.run):
        check(bool(command.strip()) and "\0" not in command, f"run[{index}]", "the command is empty: remove it")
    for name in recipe.env:
        check(bool(_ENV.fullmatch(name)), f"env[{name}]", f"{name!r} is not a variable name: use letters, digits, _")
    for index, port in enumerate(recipe.expose):
        match = _PORT.fullmatch(port)
        good = match is not None and 1 <= int(match[1]) <= 65535
        check(good, f"expose[{index}]", f"{port!r} is not a port: write 80 or 53/udp, in quotes")
    for index, volume in enumerate(recipe.volumes):
        check_path(volume, f"volumes[{index}]")
    if recipe.workdir:
        check_path(recipe.workdir, "workdir")
    check(
        not recipe.stopSignal or bool(_SIGNAL.fullmatch(recipe.stopSignal)),
        "stopSignal",
        f"{recipe.stopSignal!r} is not a signal: write it as SIGTERM",
    )
    return errors


def _explain(message: str) -> kind.FieldError:
    """A msgspec error as a field and words that say what to do."""
    match = _PATH_IN_ERROR.match(message)
    text, path = (match[1], (match[2] or "").lstrip(".")) if match else (message, "")
    unknown = _UNKNOWN.match(text)
    if unknown:
        known = [field.name for field in msgspec.structs.fields(File if path.startswith("files") else Recipe)]
        near = difflib.get_close_matches(unknown[1], known, n=1)
        advice = f"did you mean {near[0]}?" if near else f"remove it, or use one of {', '.join(sorted(known))}"
        return kind.FieldError(
            f"{path}.{unknown[1]}".lstrip("."), f"unknown field: {advice}", kind.Reason.NOT_SUPPORTED
        )
    if text.startswith("Object missing required field"):
        name = text.split("`")[1]
        return kind.FieldError(f"{path}.{name}".lstrip("."), "is missing: add it", kind.Reason.REQUIRED)
    if text.startswith("Invalid enum value"):
        return kind.FieldError(
            path, f"{text[0].lower()}{text[1:]}: use one of {', '.join(Variant)}", kind.Reason.NOT_SUPPORTED
        )
    advice = ": put the value in quotes" if "Expected `str" in text and ("`int`" in text or "`float`" in text) else ""
    return kind.FieldError(path, f"{text[0].lower()}{text[1:]}{advice}", kind.Reason.TYPE)
