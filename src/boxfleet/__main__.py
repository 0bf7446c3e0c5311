"""``python -m boxfleet`` is the boxfleet command."""

from boxfleet.cli import main

main.main()
