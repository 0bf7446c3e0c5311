"""Bodies in YAML, which only server-side apply takes; clients mostly send JSON under that name.

Read into plain JSON values, as Kubernetes does: YAML 1.1 with texts for keys; times stay text.
"""

import math
from typing import Any

import yaml

from boxfleet.apiserver import bodies, faults
from boxfleet.kit import yaml_nodes

# YAML is read about a hundred times slower than JSON.
SIZE_LIMIT = 512 * 1024
_TAG = "tag:yaml.org,2002:"


def decode(body: bytes) -> tuple[Any, list[str]]:
    """The value of a body in JSON or YAML, and the paths of fields that it says twice; raises Fault 400 and 413."""
    if body.lstrip()[:1] == b"{":
        try:
            return bodies.decode_strictly(body)
        except faults.Fault:
            # Flow style looks alike.
            if len(body) > SIZE_LIMIT:
                raise
    if len(body) > SIZE_LIMIT:
        raise faults.too_large(SIZE_LIMIT)
    return _Reader().read(body)


class _Reader:
    """Makes plain values from YAML's nodes."""

    def __init__(self) -> None:
        self._doubled: list[str] = []
        self._seen: set[int] = set()

    def read(self, body: bytes) -> tuple[Any, list[str]]:
        try:
            loader = self._loader = yaml_nodes.Loader(body)
            node = loader.get_single_node()
            value = self._value(node, "", 0) if node is not None else None
        except RecursionError:
            raise bodies.too_deep() from None
        except (yaml.YAMLError, ValueError) as error:
            text = " ".join(str(error).split())[:200]
            raise faults.bad_request(f"error decoding YAML: {text}") from None
        return value, self._doubled

    def _value(self, node: yaml.Node, path: str, depth: int) -> Any:
        if depth > bodies.DEPTH_LIMIT:
            raise bodies.too_deep()
        if id(node) in self._seen:
            # A few of them could make very much of little.
            raise ValueError(f"{path}: aliases are not taken: write it out")
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, item in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == f"{_TAG}merge":
                raise ValueError(f"{path or 'the document'}: a key must be a text")
            key = self._scalar(key_node)
            name = key if isinstance(key, str) else key_node.value
            here = f"{path}.{name}".lstrip(".")
            if name in result:
                self._doubled.append(here)
            result[name] = self._value(item, here, depth + 1)
        return result

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.removeprefix(_TAG)
        text: str = node.value
        if kind == "null":
            return None
        if kind == "bool":
            return self._loader.construct_yaml_bool(node)
        if kind == "int" and ":" not in text:
            number = self._loader.construct_yaml_int(node)
            return number if -(2**63) <= number < 2**64 else float(number)
        if kind == "float" and ":" not in text:
            value = self._loader.construct_yaml_float(node)
            if not math.isfinite(value):
                raise ValueError(f"{text} is no number in JSON")
            return value
        if kind not in ("str", "timestamp", "value", "int", "float"):
            raise ValueError(f"the tag {node.tag} is not understood")
        return text
