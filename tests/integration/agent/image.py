"""A small image out of the host's own tools: every Debian has them, so nothing is fetched."""

import pathlib
import shutil
import subprocess

from boxfleet.drivers.containerd import oci

NAME = "boxfleet.local/agent-test:1"
_TOOLS = (
    "dash",
    "cat",
    "sleep",
    "id",
    "env",
    "touch",
    "mkdir",
    "ls",
    "stat",
    "head",
    "rm",
    "dd",
    "perl",
    "readlink",
    "tar",
    "echo",
)
_SERVE = rb"""
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 16, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
    my $line = <$client>;
    my $status = -e "/tmp/sick" ? "503 Sick" : "200 OK";
    print $client "HTTP/1.1 $status\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
    close $client;
}
"""


def archive() -> bytes:
    """The image as an OCI archive: /bin/sh, some tools, and `perl /serve PORT`, a web server."""
    files: dict[str, tuple[bytes, int]] = {"serve": (_SERVE, 0o644), "tmp/.keep": (b"", 0o666)}
    for tool in _TOOLS:
        path = pathlib.Path(shutil.which(tool) or f"/usr/bin/{tool}")
        files[f"bin/{tool}"] = (path.read_bytes(), 0o755)
        listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
        for word in listed.split():
            if word.startswith("/"):
                files[word.lstrip("/")] = (pathlib.Path(word).read_bytes(), 0o755)
    files["bin/sh"] = files["bin/dash"]
    for folder in pathlib.Path("/usr/lib").glob("*/perl-base"):
        for path in folder.rglob("*"):
            if path.is_file() and (path.suffix in (".pm", ".pl", ".so") or "IO" in path.parts):
                files[str(path).lstrip("/")] = (path.read_bytes(), 0o644)
    passwd = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
    files["etc/passwd"] = (passwd, 0o644)
    return oci.archive(files, config={"Env": ["PATH=/bin"], "Cmd": ["/bin/sleep", "100000"]}, name=NAME)
