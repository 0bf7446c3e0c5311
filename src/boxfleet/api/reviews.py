"""Questions about rights and identity (authorization.k8s.io, authentication.k8s.io): answered, never stored."""

from typing import ClassVar

from boxfleet.api import kind, meta

AUTHORIZATION = "authorization.k8s.io"
AUTHENTICATION = "authentication.k8s.io"


def _question(group: str, name: str, *, version: str = "v1", namespaced: bool = False) -> kind.Kind:
    return kind.Kind(
        group=group,
        version=version,
        kind=name,
        plural=f"{name.lower()}s",
        singular=name.lower(),
        namespaced=namespaced,
        model=f"{group.partition('.')[0]}_v1.{name}",
        status=False,
        verbs=("create",),
    )


class SubjectAccessReview(meta.Object, kw_only=True):
    """May a user do something?"""

    KIND: ClassVar[kind.Kind] = _question(AUTHORIZATION, "SubjectAccessReview")


class LocalSubjectAccessReview(meta.Object, kw_only=True):
    """May a user do something in this namespace?"""

    KIND: ClassVar[kind.Kind] = _question(AUTHORIZATION, "LocalSubjectAccessReview", namespaced=True)


class SelfSubjectAccessReview(meta.Object, kw_only=True):
    """May I do something?"""

    KIND: ClassVar[kind.Kind] = _question(AUTHORIZATION, "SelfSubjectAccessReview")


class SelfSubjectRulesReview(meta.Object, kw_only=True):
    """What may I do in a namespace?"""

    KIND: ClassVar[kind.Kind] = _question(AUTHORIZATION, "SelfSubjectRulesReview")


class SelfSubjectReview(meta.Object, kw_only=True):
    """Who am I?"""

    KIND: ClassVar[kind.Kind] = _question(AUTHENTICATION, "SelfSubjectReview")


class SelfSubjectReviewV1Beta1(meta.Object, kw_only=True):
    """Who am I? As older clients ask."""

    KIND: ClassVar[kind.Kind] = _question(AUTHENTICATION, "SelfSubjectReview", version="v1beta1")


class TokenReview(meta.Object, kw_only=True):
    """Whose token is this?"""

    KIND: ClassVar[kind.Kind] = _question(AUTHENTICATION, "TokenReview")


TYPES: tuple[type[meta.Object], ...] = (
    SubjectAccessReview,
    LocalSubjectAccessReview,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SelfSubjectReview,
    SelfSubjectReviewV1Beta1,
    TokenReview,
)
