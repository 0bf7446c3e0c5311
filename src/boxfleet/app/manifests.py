"""Reading what is delivered: files of objects, Compose files, and folders of either."""

import dataclasses
import os
import pathlib
from typing import Any

import yaml

from boxfleet.api import catalog, meta, recipe, wellknown
from boxfleet.planning import compose

_SUFFIXES = (".yaml", ".yml", ".json")
# Parts of a YAML document; the server takes 3 MiB of JSON for an object.
_PARTS_LIMIT = 1_000_000
_COMPOSE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


class ManifestError(Exception):
    """A file cannot be delivered; the text names file, document and field."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One object to deliver, where it was written, and its kind."""

    origin: str
    kind: type[meta.Object]
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace; empty for kinds without."""
        return str(self.body["metadata"].get("namespace", "")) if self.kind.KIND.namespaced else ""

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind.KIND.kind.lower()} {place}{self.name}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Everything that one delivery brings."""

    manifests: list[Manifest]
    recipes: list[pathlib.Path]
    warnings: list[str]


def read(place: pathlib.Path, *, namespace: str) -> Bundle:
    """Read a file or a folder; `namespace` is for objects that name none. Raises ManifestError."""
    if place.is_dir():
        files = sorted(path for path in place.iterdir() if path.suffix in _SUFFIXES and path.is_file())
        # Where a folder has both, the Box is the newer form of the same thing.
        boxes = [path for path in files if path.name not in _COMPOSE_NAMES]
        files = boxes or files[:1]
        folder = place
        if not files:
            raise ManifestError(f"there is nothing to deliver in {place}: no file ends in {', '.join(_SUFFIXES)}")
    elif place.is_file():
        files, folder = [place], place.absolute().parent
    else:
        raise ManifestError(f"there is no {place}")
    manifests: list[Manifest] = []
    warnings: list[str] = []
    for path in files:
        found, said = _read_file(path, namespace=namespace)
        manifests += found
        warnings += said
    if not manifests:
        raise ManifestError(f"there is no object in {place}")
    images = folder / "images"
    recipes = sorted(images.glob("*.y*ml")) if images.is_dir() else []
    used = {image for each in manifests for image in _images(each.body)}
    return Bundle(manifests=manifests, recipes=[path for path in recipes if _makes(path) in used], warnings=warnings)


def _read_file(path: pathlib.Path, *, namespace: str) -> tuple[list[Manifest], list[str]]:
    try:
        documents = [each for each in yaml.load_all(path.read_bytes(), Loader=_Loader) if each is not None]
    except yaml.YAMLError as error:
        raise ManifestError(f"{path} is not YAML: {error}") from None
    except RecursionError:
        raise ManifestError(f"{path} is nested too deeply") from None
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from None
    warnings: list[str] = []
    if len(documents) == 1 and compose.is_compose(documents[0]):
        imported = _compose(path, documents[0])
        documents, warnings = list(imported.manifests), [f"{path}: {words}" for words in imported.warnings]
    items: list[Any] = []
    for document in documents:
        is_list = isinstance(document, dict) and document.get("kind") == "List"
        items += document.get("items") or [] if is_list else [document]
    found = [_manifest(each, f"{path}, document {number}", namespace) for number, each in enumerate(items, start=1)]
    return [each for each in found if each is not None], warnings


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice: YAML forbids it, and one of the two would be lost without a word.

    Also a document that is small only because its aliases repeat it (a "billion laughs").
    """

    def construct_document(self, node: yaml.Node) -> Any:
        """As inherited, when its size with all aliases written out is bearable."""
        if _written_out(node, {}) > _PARTS_LIMIT:
            raise yaml.constructor.ConstructorError(
                None, None, f"with its aliases written out it has more than {_PARTS_LIMIT} parts", node.start_mark
            )
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """As inherited, with the check."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag != "tag:yaml.org,2002:merge":
                key = key_node.value if isinstance(key_node.value, str) else str(key_node.value)
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} is there twice", key_node.start_mark
                    )
                seen.add(key)
        return dict(super().construct_mapping(node, deep=deep))


def _written_out(node: yaml.Node, known: dict[int, int]) -> int:
    """How many parts a node has when each alias is written out; one that holds itself has no end."""
    if id(node) not in known:
        known[id(node)] = _PARTS_LIMIT + 1
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            inner = node.value
        elif isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_written_out(part, known) for part in inner)
    return known[id(node)]


def _compose(path: pathlib.Path, document: dict[str, Any]) -> compose.Imported:
    folder = path.absolute().parent
    environment = {**_dotenv(folder / ".env"), **os.environ}
    files = {}
    for name in compose.wanted_files(document, environment=environment):
        try:
            files[name] = (folder / name).read_text()
        except OSError as error:
            raise ManifestError(f"{path} names the file {name}, which cannot be read: {error.strerror}") from None
    try:
        return compose.convert(
            document, project=folder.name, directory=str(folder), environment=environment, files=files
        )
    except compose.InvalidComposeError as error:
        lines = "".join(f"\n  {each.field}: {each.message}" for each in error.errors)
        raise ManifestError(f"{path} cannot be delivered:{lines}") from None


def _dotenv(path: pathlib.Path) -> dict[str, str]:
    """Variables of a .env file beside a Compose file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = [line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {name.strip(): value.strip().strip("'\"") for name, sign, value in pairs if sign}


def _manifest(document: Any, origin: str, namespace: str) -> Manifest | None:
    if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
        raise ManifestError(f"{origin} is no object: it needs apiVersion and kind")
    version, name = str(document["apiVersion"]), str(document["kind"])
    if (version, name) == (recipe.API_VERSION, recipe.KIND):
        return None
    kind = next((each for each in catalog.TYPES if (each.KIND.api_version, each.KIND.kind) == (version, name)), None)
    if kind is None:
        served = ", ".join(sorted(each.KIND.kind for each in catalog.TYPES))
        raise ManifestError(f"{origin}: Boxfleet does not serve {version} {name}; it serves {served}")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise ManifestError(f"{origin}: {name} needs metadata.name")
    if kind.KIND.namespaced:
        metadata.setdefault("namespace", namespace)
    return Manifest(origin=origin, kind=kind, body=document)


def _images(value: Any) -> set[str]:
    """Every text under a key `image`, at any depth."""
    if isinstance(value, dict):
        here = {value["image"]} if isinstance(value.get("image"), str) else set()
        return here.union(*(_images(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(_images(each) for each in value))
    return set()


def _makes(path: pathlib.Path) -> str:
    """The name of the image that a recipe makes; empty when the file is none."""
    try:
        body = yaml.safe_load(path.read_text())
        if body.get("kind") == recipe.KIND:
            return f"{wellknown.REPOSITORY}/{body['name']}:{body.get('tag', 'latest')}"
    except (OSError, yaml.YAMLError, AttributeError, KeyError):
        pass
    return ""
