"""Records of the standard kinds, read from the text of the lightkube models.

The models are read, not imported: importing them costs 14 MiB and a third of a second for classes that nobody
makes instances of, and the field descriptions are in their docstrings anyway.
"""

import dataclasses
import importlib.util
import pathlib
import re

from boxfleet.apiserver.schema import nodes, standard

_CLASS = re.compile(r"^class (\w+)\(DictMixin\):$", re.MULTILINE)
_FIELD = re.compile(r"^    (\w+): '([^']*)'(?: = (.*))?$", re.MULTILINE)
_JSON_NAME = re.compile(r'"json": "([\w$-]+)"')
_PARAMETER = re.compile(r"^      \* \*\*([\w$-]+)\*\* ``.*?``(?: - )?", re.MULTILINE)

# Named types that are no classes in the models.
_ALIASES: dict[str, nodes.Node] = {
    "meta_v1.Time": nodes.Scalar(type="string", format="date-time"),
    "meta_v1.MicroTime": nodes.Scalar(type="string", format="date-time"),
    "meta_v1.FieldsV1": nodes.Anything(object_only=True),
    "runtime.RawExtension": nodes.Anything(object_only=True),
    "resource.Quantity": nodes.Quantity(),
    "util_intstr.IntOrString": nodes.IntOrString(),
    "apiextensions_v1.JSON": nodes.Anything(),
    "apiextensions_v1.JSONSchemaPropsOrArray": nodes.RefOr("io.k8s.api.apiextensions.v1.JSONSchemaProps", list),
    "apiextensions_v1.JSONSchemaPropsOrBool": nodes.RefOr("io.k8s.api.apiextensions.v1.JSONSchemaProps", bool),
    "apiextensions_v1.CustomResourceSubresourceStatus": nodes.Anything(object_only=True),
}
_PLAIN: dict[str, nodes.Node] = {
    "str": nodes.Scalar(type="string"),
    "bool": nodes.Scalar(type="boolean"),
    "float": nodes.Scalar(type="number", format="double"),
}
_INT32 = nodes.Scalar(type="integer", format="int32")
_INT64 = nodes.Scalar(type="integer", format="int64")
_STRING_MAP = nodes.Mapping(values=nodes.Scalar(type="string"))
_QUANTITY_MAP = nodes.Mapping(values=nodes.Quantity())
_LIST_MAP = nodes.Mapping(values=nodes.Array(items=nodes.Scalar(type="string")))
_BYTE_MAP = nodes.Mapping(values=nodes.Scalar(type="string", format="byte"))


class ModelError(LookupError):
    """A standard model is not there, or not in the form that this module reads."""


def component(model: str) -> str:
    """The OpenAPI component name of a model: ``core_v1.Pod`` is ``io.k8s.api.core.v1.Pod``."""
    module, _, name = model.partition(".")
    group, _, version = module.rpartition("_")
    if group == "meta":
        return f"io.k8s.apimachinery.pkg.apis.meta.{version}.{name}"
    return f"io.k8s.api.{group}.{version}.{name}"


def is_standard(component_name: str) -> bool:
    """Whether a component is one of the models; groups of custom kinds may end in k8s.io too."""
    return component_name.startswith(("io.k8s.api.", "io.k8s.apimachinery."))


class Library:
    """The models' text, held while records are read from it; drop it afterwards."""

    def __init__(self) -> None:
        # find_spec of a top-level package does not import it.
        spec = importlib.util.find_spec("lightkube")
        if spec is None or not spec.submodule_search_locations:
            raise ModelError("the package lightkube-models is not installed")
        self._folders = [pathlib.Path(path) / "models" for path in spec.submodule_search_locations]
        self._classes: dict[str, dict[str, str]] = {}

    def record(self, model: str, *, describe: bool) -> nodes.Record:
        """One model by its name; descriptions only when wanted, since they are most of the text."""
        module, _, name = model.partition(".")
        try:
            body = self._module(module)[name]
        except KeyError:
            raise ModelError(f"the lightkube models have no {model}") from None
        head, _, tail = body.partition('"""')
        if tail:
            doc, _, tail = tail.partition('"""')
        else:
            doc, tail = "", head
        summary, descriptions = _describe(doc) if describe else ("", {})
        fields: dict[str, nodes.Field] = {}
        for match in _FIELD.finditer(tail):
            attribute, text, default = match.groups()
            renamed = _JSON_NAME.search(default or "")
            key = renamed.group(1) if renamed else attribute
            strategy, merge_key = standard.MERGE_KEYS.get((name, key), ("", ""))
            node = _node(text, module=module, owner=name, field=key)
            fields[key] = nodes.Field(
                node=_typed(node, owner=name, field=key, strategy=strategy, merge_key=merge_key),
                required=not text.startswith("Optional["),
                lenient=name in standard.LENIENT,
                description=descriptions.get(attribute, ""),
                default=standard.DEFAULTS.get((name, key)),
                strategy=strategy,
                merge_key=merge_key,
            )
        map_type = nodes.ATOMIC if (name, "") in standard.ATOMIC_MAPS else ""
        return nodes.Record(name=component(model), description=summary, fields=fields, map_type=map_type)

    def _module(self, module: str) -> dict[str, str]:
        """The bodies of a module's classes by name."""
        found = self._classes.get(module)
        if found is None:
            path = next((path for folder in self._folders if (path := folder / f"{module}.py").is_file()), None)
            if path is None:
                raise ModelError(f"the lightkube models have no module {module}")
            text = path.read_text(encoding="utf-8")
            starts = list(_CLASS.finditer(text))
            ends = [match.start() for match in starts[1:]] + [len(text)]
            found = {match.group(1): text[match.end() : end] for match, end in zip(starts, ends, strict=True)}
            self._classes[module] = found
        return found


def model_of(component_name: str) -> str:
    """The model behind a standard component name: the inverse of `component`."""
    group, version, name = component_name.rsplit(".", 3)[1:]
    return f"{group}_{version}.{name}"


def _node(text: str, *, module: str, owner: str, field: str) -> nodes.Node:
    if text.startswith("Optional["):
        return _node(text[9:-1], module=module, owner=owner, field=field)
    if text.startswith("List["):
        return nodes.Array(items=_node(text[5:-1], module=module, owner=owner, field=field))
    if text == "int":
        return _INT64 if field in standard.INT64 else _INT32
    if text == "dict":
        if (owner, field) in standard.BYTE_MAPS:
            return _BYTE_MAP
        if (owner, field) in standard.LIST_MAPS:
            return _LIST_MAP
        if (owner, field) in standard.RECORD_MAPS:
            return nodes.Mapping(values=nodes.Ref(component(standard.RECORD_MAPS[owner, field])))
        if (owner, field) in standard.FREE_MAPS:
            return nodes.Mapping(values=nodes.Anything())
        return _QUANTITY_MAP if field in standard.QUANTITY_MAPS else _STRING_MAP
    if text in _PLAIN:
        enum = standard.ENUMS.get((owner, field))
        return nodes.Scalar(type="string", enum=enum, advisory=True) if enum else _PLAIN[text]
    full = text if "." in text else f"{module}.{text}"
    return _ALIASES.get(full) or nodes.Ref(component(full))


def _typed(node: nodes.Node, *, owner: str, field: str, strategy: str, merge_key: str) -> nodes.Node:
    """A list or map with what server-side apply must know of it."""
    if isinstance(node, nodes.Array):
        said = standard.LIST_TYPES.get((owner, field))
        if said is None and strategy.startswith(nodes.MERGE):
            said = (merge_key,) if merge_key else nodes.SET
        if isinstance(said, tuple):
            return dataclasses.replace(node, list_type=nodes.MAP, map_keys=said)
        return dataclasses.replace(node, list_type=said or nodes.ATOMIC)
    if isinstance(node, nodes.Mapping) and (owner, field) in standard.ATOMIC_MAPS:
        return dataclasses.replace(node, map_type=nodes.ATOMIC)
    return node


def _describe(doc: str) -> tuple[str, dict[str, str]]:
    """A class docstring as its summary and the description of each field."""
    summary, _, parameters = doc.partition("**parameters**")
    matches = list(_PARAMETER.finditer(parameters))
    ends = [match.start() for match in matches[1:]] + [len(parameters)]
    described = {match.group(1): _flow(parameters[match.end() : end]) for match, end in zip(matches, ends, strict=True)}
    return _flow(summary), described


def _flow(text: str) -> str:
    """Undo the wrapping at 80 columns: a blank line, a list item or an indent starts a new line."""
    lines: list[str] = []
    for raw in text.strip().split("\n"):
        line = raw.strip()
        if not line:
            lines.append("")
        elif not lines or not lines[-1] or line.startswith(("- ", "* ")) or raw.startswith(" " * 10):
            lines.append(line)
        else:
            lines[-1] += " " + line
    return "\n".join(lines).strip()
