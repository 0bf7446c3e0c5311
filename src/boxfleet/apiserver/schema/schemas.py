"""The schemas of all kinds, read and compiled when first needed."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from boxfleet.api import kind, meta
from boxfleet.apiserver.schema import checks, models, nodes, strategic, structs


class Checked(msgspec.Struct, frozen=True, gc=False):
    """What a check found.

    `errors` are faults of the client; `unknown` are paths of fields that no schema names (``spec.bogus``);
    `prunable` says that `Schemas.prune` would change the object (unknown fields or nulls).
    """

    errors: list[kind.FieldError]
    unknown: list[str]
    prunable: bool


class Custom(Protocol):
    """The schema of a kind that came at run time."""

    # The component name of whole objects, all records below it, and the schema as its definition states it.
    root: str
    records: dict[str, nodes.Record]
    stated: dict[str, Any]

    def prune(self, obj: dict[str, Any]) -> list[str]:
        """Take out what the schema does not know, in place; gives the paths of what went, but for nulls."""


_META = models.component("meta_v1.ObjectMeta")


class Schemas:
    """Checks, prunes and merges plain JSON objects of the kinds it was made for."""

    def __init__(self, types: Sequence[type[meta.Object]]) -> None:
        self._names = {
            type_.KIND: models.component(type_.KIND.model) if type_.KIND.model else structs.component(type_)
            for type_ in types
        }
        self._own = {structs.component(type_): type_ for type_ in types if not type_.KIND.model}
        self._records: dict[str, nodes.Record] = {}
        self._compiler = checks.Compiler(self.record)
        self._library: models.Library | None = None
        self._roots: dict[str, checks.Check] = {}
        self._custom: dict[kind.Kind, Custom] = {}

    def add_older(self, older: kind.Older) -> None:
        """Know the schema of an older version of an own kind."""
        if older.model:
            self._names[older.served] = models.component(older.model)
            return
        name = structs.component(older.type, version=older.version)
        self._names[older.served] = name
        for record in structs.records(older.type, version=older.version):
            self._records[record.name] = record

    def add(self, kind: kind.Kind, custom: Custom) -> None:
        """Know the schema of a further kind."""
        self._custom[kind] = custom
        self._names[kind] = custom.root
        self._records.update(custom.records)

    def remove(self, kind: kind.Kind) -> None:
        """Forget a kind that was added."""
        del self._names[kind]
        for name in self._custom.pop(kind).records:
            self._records.pop(name, None)

    def custom(self, kind: kind.Kind) -> Custom | None:
        """The schema of a kind that was added."""
        return self._custom.get(kind)

    def root(self, kind: kind.Kind) -> str:
        """The component name of a kind: ``io.k8s.api.core.v1.Pod``, ``dev.boxfleet.v1.Box``."""
        name = self._names.get(kind)
        if name is None and kind.model:
            # Of a standard kind that is a part of others: a Scale.
            name = self._names[kind] = models.component(kind.model)
        return self._names[kind] if name is None else name

    def record(self, name: str) -> nodes.Record:
        """A record by its component name, without descriptions of standard fields."""
        found = self._records.get(name)
        if found is not None:
            return found
        own = self._own.get(name)
        if own is not None:
            for record in structs.records(own):
                self._records.setdefault(record.name, record)
        else:
            library = self._library or models.Library()
            self._records[name] = library.record(models.model_of(name), describe=False)
        return self._records[name]

    def described(self, name: str, library: models.Library) -> nodes.Record:
        """A record with the descriptions of its fields, read anew: they are most of the text."""
        if not models.is_standard(name):
            return self.record(name)
        return library.record(models.model_of(name), describe=True)

    def check(self, kind: kind.Kind, obj: dict[str, Any]) -> Checked:
        """Hold an object against the schema of its kind.

        Objects of custom kinds are pruned at once; what is wrong with their values is found by their kind's validation.
        """
        custom = self._custom.get(kind)
        if custom is not None:
            return self._check_custom(custom, obj)
        return _checked(self._check_of(self.root(kind))(obj))

    def prune(self, kind: kind.Kind, obj: dict[str, Any]) -> None:
        """Take unknown fields and nulls out, in place; a null in a map of strings becomes an empty string.

        That is what decoding into Kubernetes' own types does.
        """
        if kind in self._custom:
            return
        root = self.root(kind)
        self._check_of(root)
        _prune_record(self.record(root), obj, self)

    def strategic_merge(self, kind: kind.Kind, current: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
        """`current` with a strategic merge patch applied; neither is changed.

        Raises PatchError when the patch makes no sense, or when the kind is not a standard one: own kinds take merge
        patches, as custom resources do.
        """
        if not kind.strategic:
            raise strategic.PatchError(
                f"strategic merge patch is not supported for {kind.qualified}: use application/merge-patch+json"
            )
        root = self.root(kind)
        self._check_of(root)
        return strategic.merge(self.record, root, current, patch)

    def _check_custom(self, custom: Custom, obj: dict[str, Any]) -> Checked:
        metadata = obj.get("metadata")
        if metadata is None:
            metadata = obj["metadata"] = {}
        check = self._check_of(_META)
        if not isinstance(metadata, dict):
            found: list[checks.Finding] | None = checks.wrong_type(metadata, "an object")
        else:
            found = check(metadata)
        checked = _checked([finding._replace(path=f".metadata{finding.path}") for finding in found or ()] or None)
        if checked.prunable and not checked.errors:
            _prune_record(self.record(_META), metadata, self)
        unknown = checked.unknown + custom.prune(obj)
        return Checked(checked.errors, unknown, prunable=False)

    def _check_of(self, root: str) -> checks.Check:
        """The compiled check of a whole kind; all its records are loaded afterwards."""
        check = self._roots.get(root)
        if check is None:
            # The models' text is large: hold it only while a whole kind is compiled.
            self._library = models.Library()
            try:
                check = self._roots[root] = self._compiler.record(root)
            finally:
                self._library = None
        return check


def _checked(findings: list[checks.Finding] | None) -> Checked:
    if findings is None:
        return Checked([], [], prunable=False)
    errors: list[kind.FieldError] = []
    unknown: list[str] = []
    for finding in findings:
        # Findings are relative to the object: each path begins with a dot.
        path = finding.path.removeprefix(".")
        if finding.reason is not None:
            errors.append(kind.FieldError(path, finding.message, finding.reason))
        elif finding.message != checks.NULL:
            unknown.append(path)
    return Checked(errors, unknown, prunable=len(errors) < len(findings))


def _prune_record(record: nodes.Record, obj: dict[str, Any], schemas: Schemas) -> None:
    for key in [key for key, item in obj.items() if item is None or key not in record.fields]:
        del obj[key]
    for key, item in obj.items():
        _prune(record.fields[key].node, item, schemas)


def _prune(node: nodes.Node, value: Any, schemas: Schemas) -> None:
    match node:
        case nodes.Ref() | nodes.RefOr() if isinstance(value, dict):
            _prune_record(schemas.record(node.name), value, schemas)
        case nodes.Array() if isinstance(value, list):
            for item in value:
                _prune(node.items, item, schemas)
        case nodes.Mapping() if isinstance(value, dict):
            for key in [key for key, item in value.items() if item is None]:
                if isinstance(node.values, nodes.Scalar) and node.values.type == "string":
                    value[key] = ""
                else:
                    del value[key]
            for item in value.values():
                _prune(node.values, item, schemas)
