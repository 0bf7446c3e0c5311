"""ServiceAccount: the identity of what runs in an instance."""

import datetime
from typing import ClassVar

from boxfleet.api import cells, kind, meta
from boxfleet.api import pod as pods


def _secrets(obj: kind.JsonObject, now: datetime.datetime) -> int:
    return len(obj.get("secrets") or ())


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
        columns=(
            kind.Column(name="Secrets", type="integer", cell=_secrets, description="How many Secrets it lists."),
            cells.AGE,
        ),
        strategic=True,
    )

    # Whether Pods that do not say it themselves get a token; None is yes.
    automountServiceAccountToken: bool | None = None
    # For Pods that name none of their own.
    imagePullSecrets: list[pods.LocalObjectReference] = []
