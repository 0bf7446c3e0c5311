"""An image for tests, made from this machine's own programs: sh, sleep, cat, and perl as server and client.

Debian's base system has them all, so nothing is fetched. The result is one layer with the programs and the
libraries that they need.
"""

import functools
import pathlib
import re
import subprocess
from collections.abc import Mapping
from typing import Any

from boxfleet.drivers.containerd import oci

IMAGE = "boxfleet.local/tools:1"
CONFIG: Mapping[str, Any] = {"Entrypoint": ["/bin/sh"], "Env": ["PATH=/bin:/usr/bin"]}
Files = oci.Files
_PROGRAMS = (
    "/bin/sh",
    "/bin/cat",
    "/bin/sleep",
    "/bin/echo",
    "/bin/kill",
    "/usr/bin/env",
    "/usr/bin/id",
    "/usr/bin/perl",
)

# Answers each HTTP request with the address it came from.
SERVER = """
use IO::Socket::INET;
my $s = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 5, ReuseAddr => 1) or die;
while (my $c = $s->accept) {
  my $line = <$c>;
  while ($line = <$c>) { last if $line =~ /^\\r?\\n$/ }
  my $p = $c->peerhost . "\\n";
  print $c "HTTP/1.0 200 OK\\r\\nContent-Length: " . length($p) . "\\r\\n\\r\\n$p";
  close $c;
}
"""
# Prints what such a server says.
CLIENT = """
use IO::Socket::INET;
my $c = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1], Timeout => 5) or die "cannot connect: $!";
print $c "GET / HTTP/1.0\\r\\n\\r\\n";
local $/;
print ((split /\\r\\n\\r\\n/, <$c>)[1]);
"""


def server(port: int) -> list[str]:
    """The command of a server on that port."""
    return ["perl", "-e", SERVER, str(port)]


def client(address: str, port: int) -> list[str]:
    """The command that asks such a server."""
    return ["perl", "-e", CLIENT, address, str(port)]


@functools.cache
def archive() -> bytes:
    """The image as an OCI archive."""
    return oci.archive(files(), config=CONFIG, name=IMAGE)


@functools.cache
def files(*further: str) -> Files:
    """All files of the image, and perhaps further programs by their paths."""
    files: dict[str, tuple[bytes, int]] = {}
    for program in (*_PROGRAMS, *further):
        _add(files, pathlib.Path(program))
        for library in _libraries(program):
            _add(files, library)
    for base in pathlib.Path("/usr/lib").glob("*/perl-base"):
        for file in sorted(base.rglob("*")):
            if file.is_file():
                _add(files, file)
    return files


def _add(files: dict[str, tuple[bytes, int]], path: pathlib.Path) -> None:
    files[str(path).lstrip("/")] = (path.read_bytes(), 0o755)


def _libraries(program: str) -> list[pathlib.Path]:
    listed = subprocess.run(["ldd", program], capture_output=True, check=True, text=True).stdout
    return [pathlib.Path(path) for path in re.findall(r"(/\S+) \(0x", listed)]
