"""Files in YAML as plain JSON values, read as Kubernetes' clients read them: YAML 1.1, times stay text.

Keys are texts, as they are written. What has no form in JSON is refused, with the field named.
"""

import io
import math
import pathlib
import sys
from typing import Any, BinaryIO

import yaml

from boxfleet.kit import yaml_nodes

# Bytes of a file. The server takes 3 MiB of JSON for an object; a file may hold many.
SIZE_LIMIT = 16 * 2**20
# Parts of a YAML document with all aliases written out.
PARTS_LIMIT = 1_000_000
_MEBI = 2**20
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"


class FileError(Exception):
    """A file cannot be read; the text names it, and the place in it."""


def content(place: pathlib.Path) -> bytes:
    """What a file, a pipe or a device holds. Raises FileError, also when it is too large."""
    try:
        with place.open("rb") as file:
            return _limited(file, str(place))
    except OSError as error:
        raise FileError(f"cannot read {place}: {error.strerror}") from None


def standard_input(name: str) -> bytes:
    """What is piped into the command; `name` is what errors call it. Raises FileError."""
    if sys.stdin is None:
        raise FileError(f"cannot read {name}: it is closed")
    try:
        return _limited(sys.stdin.buffer, name)
    except OSError as error:
        raise FileError(f"cannot read {name}: {error.strerror}") from None


def _limited(file: BinaryIO, name: str) -> bytes:
    found = file.read(SIZE_LIMIT + 1)
    if len(found) > SIZE_LIMIT:
        raise FileError(
            f"{name} is too large: a file may have {SIZE_LIMIT // _MEBI} MiB, and an object in it 3 MiB; split it"
        )
    return found


def text(data: bytes, name: str) -> str:
    """What a text file says. Raises FileError when it is no UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileError(f"{name} is not UTF-8: see line {line}") from None


def documents(data: bytes, name: str) -> list[Any]:
    """The documents of a file that are not empty; `name` is what errors call it. Raises FileError."""
    try:
        loader = _Loader(_Named(data, name))
        found: list[Any] = []
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                found.append(_Values(loader, f"{name}, document {len(found) + 1}").of(node))
    except yaml.YAMLError as error:
        raise FileError(f"{name} is not YAML: {error}") from None
    except RecursionError:
        raise FileError(f"{name} is nested too deeply") from None
    return [each for each in found if each is not None]


class _Named(io.BytesIO):
    """Bytes that YAML's errors call by a file's name."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


class _Loader(yaml_nodes.Loader):
    """Stops at a document of too many parts before they fill the memory."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self._parts = 0

    def compose_document(self) -> yaml.Node | None:
        self._parts = 0
        return super().compose_document()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._parts += 1
        if self._parts > PARTS_LIMIT:
            event = self.peek_event()
            mark: Any = None if event is None else event.start_mark
            raise yaml.constructor.ConstructorError(None, None, f"it has more than {PARTS_LIMIT} parts", mark)
        return super().compose_node(parent, index)


class _Values:
    """Makes plain values of one document's nodes."""

    def __init__(self, loader: yaml_nodes.Loader, origin: str) -> None:
        self._loader = loader
        self._origin = origin
        self._made: dict[int, Any] = {}

    def of(self, document: yaml.Node) -> Any:
        if _written_out(document, {}) > PARTS_LIMIT:
            words = f"with its aliases written out it has more than {PARTS_LIMIT} parts"
            raise yaml.constructor.ConstructorError(None, None, words, document.start_mark)
        return self._value(document, "")

    def _value(self, node: yaml.Node, at: str) -> Any:
        # By node: what aliases repeat is made once.
        if id(node) not in self._made:
            if isinstance(node, yaml.MappingNode):
                made: Any = self._mapping(node, at)
            elif isinstance(node, yaml.SequenceNode):
                self._check_tag(node, at, "seq")
                made = [self._value(item, f"{at}[{index}]") for index, item in enumerate(node.value)]
            else:
                assert isinstance(node, yaml.ScalarNode)
                made = self._scalar(node, at)
            self._made[id(node)] = made
        return self._made[id(node)]

    def _mapping(self, node: yaml.MappingNode, at: str) -> dict[str, Any]:
        self._check_tag(node, at, "map")
        self._loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key_node, item in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._fault(at, "a key must be a text")
            key: str = key_node.value
            found[key] = self._value(item, f"{at}.{key}".lstrip("."))
        return found

    def _scalar(self, node: yaml.ScalarNode, at: str) -> Any:
        kind = node.tag.removeprefix(_TAG)
        words: str = node.value
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return self._loader.construct_yaml_bool(node)
            # Parts of 60 (1:30) are texts to Kubernetes.
            if kind == "int" and ":" not in words:
                number = self._loader.construct_yaml_int(node)
                return number if -(2**63) <= number < 2**64 else float(number)
            if kind == "float" and ":" not in words:
                value = self._loader.construct_yaml_float(node)
                if not math.isfinite(value):
                    raise self._fault(at, f"{words} is no number in JSON: put it in quotes if it is a text")
                return value
        except (ValueError, KeyError, OverflowError):
            raise self._fault(at, f"{words[:40]!r} is no {kind} that JSON has") from None
        self._check_tag(node, at, "str", "timestamp", "value", "int", "float")
        return words

    def _check_tag(self, node: yaml.Node, at: str, *known: str) -> None:
        if node.tag.removeprefix(_TAG) not in known:
            tag = node.tag.replace(_TAG, "!!")
            raise self._fault(at, f"the tag {tag} has no meaning in JSON: write a plain text, number, list or map")

    def _fault(self, at: str, words: str) -> FileError:
        return FileError(f"{self._origin}, {at or 'the whole'}: {words}")


def _written_out(node: yaml.Node, known: dict[int, int]) -> int:
    """How many parts a node has when each alias is written out; one that holds itself has no end.

    Refuses a key that is there twice: YAML forbids it, and one of the two would be lost without a word.
    """
    if id(node) not in known:
        known[id(node)] = PARTS_LIMIT + 1
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            inner = node.value
        elif isinstance(node, yaml.MappingNode):
            _refuse_doubles(node)
            inner = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_written_out(part, known) for part in inner)
    return known[id(node)]


def _refuse_doubles(node: yaml.MappingNode) -> None:
    seen = set()
    for key_node, _ in node.value:
        if isinstance(key_node, yaml.ScalarNode) and key_node.tag != _MERGE:
            if key_node.value in seen:
                words = f"the key {key_node.value!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, words, key_node.start_mark)
            seen.add(key_node.value)
