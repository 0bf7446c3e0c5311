"""Which fields the messages of Kubernetes' protobuf form have, as far as clients write them.

The tables are text, a message to a line: its name, and of each field the number, the JSON name and how it is read.
Behind that, ``*`` says that it repeats, ``{}`` that it is a map by texts, and ``&`` that the fields of its message are
fields of the one around it in JSON. How it is read, a text unless said otherwise:

- ``text``, ``int``, ``bool``, ``bytes``, ``time``, ``quantity``, ``number or text``, ``texts``, ``json``;
- ``value``, ``count`` and ``flag``: a text that counts also when it is empty, a number and a bool that do not when they
  are zero, which is how Go writes what is not set;
- or by the name of another message. One whose name begins with ``Unset`` is a status that nobody has set: nothing but
  zeros is taken, and it is left out.
"""

import dataclasses

from boxfleet.apiserver import protobuf_kinds, protobuf_pods


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A field's JSON name, how it is read, and its shape: ``*``, ``{}``, ``&`` or none of these."""

    name: str
    type: str = "text"
    shape: str = ""


Record = dict[int, Field]


def table(text: str) -> dict[str, Record]:
    """The messages of a text."""
    lines = text.replace("\n    ", " ").strip().splitlines()
    return {name: _record(fields) for name, _, fields in (line.partition(":") for line in lines)}


def _record(text: str) -> Record:
    return dict(_field(each.split()) for each in text.split(",") if each)


def _field(words: list[str]) -> tuple[int, Field]:
    number, name, said = words[0], words[1], " ".join(words[2:])
    shape = next((mark for mark in ("*", "{}", "&") if said.endswith(mark)), "")
    # Within lists and maps an empty text is one.
    return int(number), Field(name, said.removesuffix(shape) or ("value" if shape else "text"), shape)


RECORDS = table(protobuf_kinds.TABLE) | table(protobuf_pods.TABLE)
