"""The kind CustomResourceDefinition itself, and what one says, read from its JSON."""

import dataclasses
from typing import Any, ClassVar

from boxfleet.api import kind as kinds
from boxfleet.api import meta
from boxfleet.apiserver.custom import definition_rules

JsonObject = dict[str, Any]

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class CustomResourceDefinition(meta.Object, kw_only=True):
    """A kind that a user adds."""

    KIND: ClassVar[kinds.Kind] = kinds.Kind(
        group="apiextensions.k8s.io",
        version="v1",
        kind="CustomResourceDefinition",
        plural="customresourcedefinitions",
        singular="customresourcedefinition",
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        namespaced=False,
        model="apiextensions_v1.CustomResourceDefinition",
        columns=(
            kinds.Column(
                name="Created At",
                type="date",
                path=".metadata.creationTimestamp",
                description="When the definition was made.",
            ),
        ),
        generations=True,
        default=definition_rules.default,
        validate=definition_rules.validate,
        strategic=True,
    )


KIND = CustomResourceDefinition.KIND


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a kind is called; within a group nobody else may be called so."""

    plural: str
    singular: str
    kind: str
    list_kind: str
    short_names: tuple[str, ...]
    categories: tuple[str, ...]

    @classmethod
    def read(cls, names: JsonObject) -> "Names":
        """From ``spec.names`` or ``status.acceptedNames``."""
        kind = names.get("kind") or ""
        return cls(
            plural=names.get("plural") or "",
            singular=names.get("singular") or kind.lower(),
            kind=kind,
            list_kind=names.get("listKind") or f"{kind}List",
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
        )

    def written(self) -> JsonObject:
        """As JSON, what is empty left out."""
        named = {
            "plural": self.plural,
            "singular": self.singular,
            "kind": self.kind,
            "listKind": self.list_kind,
            "shortNames": list(self.short_names),
            "categories": list(self.categories),
        }
        return {key: value for key, value in named.items() if value}


@dataclasses.dataclass(frozen=True, slots=True)
class Definition:
    """A stored CustomResourceDefinition."""

    obj: JsonObject

    @property
    def name(self) -> str:
        """PLURAL.GROUP."""
        return str(self.obj["metadata"]["name"])

    @property
    def group(self) -> str:
        """The API group."""
        return str(self.obj["spec"]["group"])

    @property
    def names(self) -> Names:
        """The wanted names."""
        return Names.read(self.obj["spec"]["names"])

    @property
    def accepted(self) -> Names:
        """The names that it has; empty ones where they were never free."""
        return Names.read((self.obj.get("status") or {}).get("acceptedNames") or {})

    @property
    def versions(self) -> list[JsonObject]:
        """All versions."""
        return list(self.obj["spec"]["versions"])

    @property
    def storage(self) -> str:
        """The version in which objects are stored."""
        return next(str(each["name"]) for each in self.versions if each.get("storage"))

    @property
    def webhook(self) -> JsonObject | None:
        """How versions are converted, when somebody else does it."""
        conversion = self.obj["spec"].get("conversion") or {}
        return conversion.get("webhook") if conversion.get("strategy") == "Webhook" else None

    @property
    def terminating(self) -> bool:
        """Whether it is being deleted."""
        return "deletionTimestamp" in self.obj["metadata"]

    def condition(self, type_: str) -> JsonObject | None:
        """One condition of its status."""
        listed = (self.obj.get("status") or {}).get("conditions") or []
        return next((each for each in listed if each.get("type") == type_), None)

    def is_true(self, type_: str) -> bool:
        """Whether a condition is there and True."""
        found = self.condition(type_)
        return found is not None and found.get("status") == "True"
