"""ServiceAccount: the identity of what runs in an instance."""

from typing import ClassVar

from boxfleet.api import kind, meta


class ServiceAccount(meta.Object, kw_only=True):
    """An identity for instances."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="ServiceAccount",
        plural="serviceaccounts",
        singular="serviceaccount",
        short_names=("sa",),
        namespaced=True,
        model="core_v1.ServiceAccount",
        status=False,
        strategic=True,
    )
