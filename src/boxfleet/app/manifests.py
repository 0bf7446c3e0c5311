"""Reading what is delivered: files of objects, Compose files, and folders of either."""

import dataclasses
import os
import pathlib
from typing import Any

from boxfleet.api import catalog, meta, recipe, wellknown
from boxfleet.app import served, yaml_files
from boxfleet.planning import compose

_SUFFIXES = (".yaml", ".yml", ".json")
# Where a file's name stands otherwise.
PIPED = "-"
_COMPOSE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


class ManifestError(Exception):
    """A file cannot be delivered; the text names file, document and field."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One object to deliver and where it was written.

    `kind` is its type when it is of one of Boxfleet's kinds, in whatever version. `resource` is where the server
    keeps it; None until the server was asked. `space` is its Namespace when it names none.
    """

    origin: str
    body: dict[str, Any]
    kind: type[meta.Object] | None
    resource: served.Resource | None
    space: str

    @property
    def api_version(self) -> str:
        """Group and version."""
        return str(self.body["apiVersion"])

    @property
    def kind_name(self) -> str:
        """The kind as it is written."""
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace; empty for kinds without, and where nobody knows yet."""
        namespaced = self.resource is not None and self.resource.namespaced
        return str(self.body["metadata"].get("namespace", "")) if namespaced else ""

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind_name.lower()} {place}{self.name}"

    def at(self, resource: served.Resource) -> "Manifest":
        """The same, now that it is known where it goes."""
        body = self.body
        if resource.namespaced:
            body = body | {"metadata": {"namespace": self.space} | body["metadata"]}
        return dataclasses.replace(self, resource=resource, body=body)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Everything that one delivery brings."""

    manifests: list[Manifest]
    recipes: list[pathlib.Path]
    warnings: list[str]


def read(place: str | pathlib.Path, *, namespace: str) -> Bundle:
    """Read a file, a folder, or standard input for `-`; `namespace` is for objects that name none.

    What is piped is read as if it were a file in the current folder. Raises ManifestError.
    """
    if not str(place):
        raise ManifestError("the name of what to deliver is empty; the current folder is .")
    try:
        return _read(pathlib.Path(place), namespace=namespace)
    except yaml_files.FileError as error:
        raise ManifestError(str(error)) from None
    except OSError as error:
        raise ManifestError(f"cannot read {place}: {error.strerror}") from None


def _read(place: pathlib.Path, *, namespace: str) -> Bundle:
    if str(place) == PIPED:
        name, folder = "standard input", pathlib.Path.cwd()
        sources = {name: yaml_files.standard_input(name)}
    elif place.is_dir():
        name, folder = str(place), place
        sources = {str(path): yaml_files.content(path) for path in _files(folder)}
    elif place.exists():
        # A pipe (/dev/stdin, <(...)) lies nowhere.
        name, folder = str(place), place.absolute().parent if place.is_file() else pathlib.Path.cwd()
        sources = {name: yaml_files.content(place)}
    else:
        raise ManifestError(f"there is no {place}")
    manifests: list[Manifest] = []
    warnings: list[str] = []
    for origin, data in sources.items():
        found, said = _of_file(data, origin, folder, namespace=namespace)
        manifests += found
        warnings += said
    if not manifests:
        raise ManifestError(f"there is no object in {name}")
    used = {image for each in manifests for image in _images(each.body)}
    recipes, said = _recipes(folder / "images", used)
    return Bundle(manifests=manifests, recipes=recipes, warnings=warnings + said)


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
    if not files:
        raise ManifestError(f"there is nothing to deliver in {folder}: no file ends in {', '.join(_SUFFIXES)}")
    # Where a folder has both, the Box is the newer form of the same thing.
    boxes = [path for path in files if path.name not in _COMPOSE_NAMES]
    return boxes or files[:1]


def _of_file(data: bytes, origin: str, folder: pathlib.Path, *, namespace: str) -> tuple[list[Manifest], list[str]]:
    """The objects in one file, which lies in `folder`, and what is to be said of them."""
    documents = yaml_files.documents(data, origin)
    warnings: list[str] = []
    if len(documents) == 1 and compose.is_compose(documents[0]):
        imported = _compose(origin, folder, documents[0])
        documents, warnings = list(imported.manifests), [f"{origin}: {words}" for words in imported.warnings]
    items: list[Any] = []
    for number, document in enumerate(documents, start=1):
        if not isinstance(document, dict) or document.get("kind") != "List":
            items.append(document)
        elif isinstance(document.get("items") or [], list):
            items += document.get("items") or []
        else:
            raise ManifestError(f"{origin}, document {number}: items of a List must be a list")
    found = [_manifest(each, f"{origin}, document {number}", namespace) for number, each in enumerate(items, start=1)]
    return [each for each in found if each is not None], warnings


def _compose(origin: str, folder: pathlib.Path, document: dict[str, Any]) -> compose.Imported:
    folder = folder.absolute()
    environment = {**_dotenv(folder / ".env"), **os.environ}
    files = {}
    for name in compose.wanted_files(document, environment=environment):
        try:
            files[name] = yaml_files.text(yaml_files.content(folder / name), str(folder / name))
        except yaml_files.FileError as error:
            raise ManifestError(f"{origin} names the file {name}: {error}") from None
    try:
        return compose.convert(
            document, project=folder.name, directory=str(folder), environment=environment, files=files
        )
    except compose.InvalidComposeError as error:
        lines = "".join(f"\n  {each.field}: {each.message}" for each in error.errors)
        raise ManifestError(f"{origin} cannot be delivered:{lines}") from None


def _dotenv(path: pathlib.Path) -> dict[str, str]:
    """Variables of a .env file beside a Compose file."""
    if not path.is_file():
        return {}
    lines = yaml_files.text(yaml_files.content(path), str(path)).splitlines()
    pairs = [line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {name.strip(): value.strip().strip("'\"") for name, sign, value in pairs if sign}


def _manifest(document: Any, origin: str, namespace: str) -> Manifest | None:
    if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
        raise ManifestError(f"{origin} is no object: it needs apiVersion and kind")
    version, name = str(document["apiVersion"]), str(document["kind"])
    if (version, name) == (recipe.API_VERSION, recipe.KIND):
        return None
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise ManifestError(f"{origin}: {name} needs metadata.name")
    group = served.group_of(version)
    kind = next((each for each in catalog.TYPES if (each.KIND.group, each.KIND.kind) == (group, name)), None)
    found = Manifest(origin=origin, kind=kind, body=document, resource=None, space=namespace)
    # What we know ourselves need not be asked of the server.
    return found if kind is None or kind.KIND.api_version != version else found.at(served.known(kind))


def _images(value: Any) -> set[str]:
    """Every text under a key `image`, at any depth."""
    if isinstance(value, dict):
        here = {value["image"]} if isinstance(value.get("image"), str) else set()
        return here.union(*(_images(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(_images(each) for each in value))
    return set()


def _recipes(images: pathlib.Path, used: set[str]) -> tuple[list[pathlib.Path], list[str]]:
    """The recipes in a folder that make what is used, and what is to be said of files that cannot be read."""
    found: list[pathlib.Path] = []
    warnings: list[str] = []
    for path in sorted(images.glob("*.y*ml")) if images.is_dir() else ():
        try:
            made = [_makes(each) for each in yaml_files.documents(yaml_files.content(path), str(path))]
        except yaml_files.FileError as error:
            warnings.append(f"no image is made of a file: {error}")
            continue
        if used.intersection(made):
            found.append(path)
    return found, warnings


def _makes(body: Any) -> str:
    """The name of the image that a recipe makes; empty when it is none."""
    if not isinstance(body, dict) or body.get("kind") != recipe.KIND or "name" not in body:
        return ""
    return f"{wellknown.REPOSITORY}/{body['name']}:{body.get('tag', 'latest')}"
