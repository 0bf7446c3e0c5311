"""``boxfleet doctor``: what this machine lacks, and the command that mends it."""

import datetime
from collections.abc import Iterable, Iterator

import msgspec

from boxfleet.app import doctor, server_doctor, settings
from boxfleet.cli import options, output

_STYLES = {doctor.Grade.GOOD: "", doctor.Grade.POOR: "yellow", doctor.Grade.BAD: "bold red"}


def run(known: settings.All, form: options.Format) -> int:
    """Examine this machine; 1 when something keeps Boxfleet from running."""
    findings = doctor.examine(doctor.Machine(known))
    findings += server_doctor.examine(known, now=datetime.datetime.now(datetime.UTC))
    able = all(finding.grade is not doctor.Grade.BAD for finding in findings)
    if form is not options.Format.TEXT:
        output.data({"able": able, "findings": msgspec.to_builtins(findings)}, form)
    else:
        for line, style in lines(findings):
            output.say(line, style=style)
        output.say("this machine can run Boxfleet" if able else "this machine cannot run Boxfleet yet")
    return 0 if able else 1


def lines(findings: Iterable[doctor.Finding]) -> Iterator[tuple[str, str]]:
    """Each line with its style."""
    shown = list(findings)
    rows = output.columns([(each.name, each.grade.value, each.detail) for each in shown])
    for each, line in zip(shown, rows, strict=True):
        yield line, _STYLES[each.grade]
        if each.remedy:
            yield f"    -> {each.remedy}", "cyan"
