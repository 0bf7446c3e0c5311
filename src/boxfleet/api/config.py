"""ConfigMap and Secret: settings for instances, plain and confidential."""

from typing import ClassVar

from boxfleet.api import kind, meta


class ConfigMap(meta.Object, kw_only=True):
    """Settings as text (`data`) and base64 (`binaryData`)."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="ConfigMap",
        plural="configmaps",
        singular="configmap",
        short_names=("cm",),
        namespaced=True,
        model="core_v1.ConfigMap",
        status=False,
        strategic=True,
    )

    data: dict[str, str] = {}
    binaryData: dict[str, str] = {}
    immutable: bool | None = None


class Secret(meta.Object, kw_only=True):
    """Confidential settings; values are base64."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="Secret",
        plural="secrets",
        singular="secret",
        namespaced=True,
        model="core_v1.Secret",
        status=False,
        selectable=("type",),
        strategic=True,
    )

    data: dict[str, str] = {}
    stringData: dict[str, str] = {}
    type: str = ""
    immutable: bool | None = None

    def __repr__(self) -> str:
        """Name the Secret, never its values: reprs end up in logs."""
        return f"Secret({self.key}, keys={sorted(self.data)})"
