"""Our narrow types must be a part of the standard ones: every field there, with a type that can hold it."""

import importlib
import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import msgspec.inspect
import pytest

from boxfleet.api import catalog, meta, pod

STANDARD = [type_ for type_ in catalog.TYPES if type_.KIND.model]


def model_of(name: str) -> Any:
    module, _, cls = name.partition(".")
    return getattr(importlib.import_module(f"lightkube.models.{module}"), cls)


def bare(hint: Any) -> Any:
    """A type without its `| None`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        return parts[0] if len(parts) == 1 else tuple(sorted(part.__name__ for part in parts))
    return hint


def differences(own: Any, standard: Any, path: str) -> Iterator[str]:
    """Where an own type says what the standard one does not."""
    own, standard = bare(own), bare(standard)
    if isinstance(own, type) and issubclass(own, msgspec.Struct):
        if not isinstance(standard, type) or not hasattr(standard, "__annotations__"):
            yield f"{path}: no object in the standard: {standard}"
            return
        hints = typing.get_type_hints(standard)
        for field in msgspec.structs.fields(own):
            if field.encode_name not in hints:
                yield f"{path}.{field.encode_name}: not in the standard"
            else:
                yield from differences(field.type, hints[field.encode_name], f"{path}.{field.encode_name}")
    elif typing.get_origin(own) is list:
        if typing.get_origin(standard) is not list:
            yield f"{path}: no list in the standard: {standard}"
        else:
            yield from differences(typing.get_args(own)[0], typing.get_args(standard)[0], f"{path}[]")
    elif typing.get_origin(own) is dict or own is dict:
        if (typing.get_origin(standard) or standard) is not dict:
            yield f"{path}: no map in the standard: {standard}"
    elif own is str and getattr(standard, "__name__", "") == "datetime":
        pass
    elif typing.get_origin(own) is typing.Annotated:
        yield from differences(typing.get_args(own)[0], standard, path)
    # A quantity is text in the models, and text or number in JSON.
    elif own != standard and (own, standard) != (("int", "str"), str):
        yield f"{path}: {own} here, {standard} in the standard"


@pytest.mark.parametrize("type_", STANDARD, ids=lambda type_: type_.__name__)
def test_every_field_is_in_the_standard(type_: Any) -> None:
    assert list(differences(type_, model_of(type_.KIND.model), type_.__name__)) == []


def test_the_pod_template_is_in_the_standard() -> None:
    assert list(differences(pod.PodTemplateSpec, model_of("core_v1.PodTemplateSpec"), "PodTemplateSpec")) == []


def test_differences_are_seen() -> None:
    class Wrong(meta.Model):
        nope: str = ""
        replicas: str = ""
        selector: list[str] = []

    assert len(list(differences(Wrong, model_of("core_v1.ReplicationControllerSpec"), "X"))) == 3
