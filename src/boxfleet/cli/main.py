"""The entry of the boxfleet command.

Commands import what they need when they run: `boxfleet status` answers before a person notices, and the services'
processes load neither the terminal's parts nor each other's.
"""

import sys

# Run by the supervisor, not by people.
SERVICES = ("server", "agent", "supervise", "renew")


def main() -> None:
    """Run the command that the arguments name; ends the process with 0 (done), 1 (failed) or 2 (wrong usage)."""
    if _is_service(sys.argv[1:]):
        from boxfleet.app import services

        sys.exit(services.main(sys.argv[1:]))
    from boxfleet.cli import stdout

    sys.exit(stdout.guarded(_command))


def _command() -> int:
    from boxfleet.cli import commands

    return commands.run()


def _is_service(words: list[str]) -> bool:
    """Whether the supervisor calls; people who say `server` mean the commands of that name."""
    if not words or words[0] not in SERVICES:
        return False
    return words[0] != "server" or (len(words) > 1 and words[1].startswith(("--state", "--run")))
