"""Options that several commands share, and the settings that they lead to."""

import enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from boxfleet.app import settings


class Format(enum.StrEnum):
    """How a command answers: words for people, or data for programs."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


class Lines(enum.StrEnum):
    """How many records are shown; jsonl is what the files hold."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    JSONL = "jsonl"


class Shell(enum.StrEnum):
    """Shells that can complete our words."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


State = Annotated[
    str | None, typer.Option("--state", help="Folder of what is kept; default /var/lib/boxfleet or $BOXFLEET_STATE.")
]
Run = Annotated[
    str | None, typer.Option("--run", help="Folder of sockets and services; default /run/boxfleet or $BOXFLEET_RUN.")
]
Kubeconfig = Annotated[
    str | None, typer.Option("--kubeconfig", help="Ask the API with this kubeconfig, also from elsewhere.")
]
Output = Annotated[Format, typer.Option("--output", "-o", help="Answer as text, json or yaml.")]


def known(state: str | None, run: str | None, **flags: Any) -> "settings.All":
    """The settings that these flags, the environment and the file add up to."""
    from boxfleet.app import settings

    return settings.load(settings.All, flags={"state": state, "run": run} | flags)
