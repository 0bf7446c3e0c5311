"""What a server that was started here lacks: certificate, room, audit log, clock, and whether it answers.

Like the doctor's other checks these change nothing. On a machine where no server ever ran there are none.
"""

import asyncio
import datetime
import os
import pathlib
import shutil

from cryptography import x509

from boxfleet.api import lease, node, roles
from boxfleet.app import access, credentials, doctor, locks, objects, paths, settings
from boxfleet.client import client, errors, plain
from boxfleet.planning import health

# The server renews its certificate long before; one that is this near its end was not renewed.
_CERTIFICATE_DAYS = 30
# Below the second the store may stop taking writes at any moment.
_STORE_POOR = 2**30
_STORE_BAD = 64 * 2**20
# Clocks of machines and of file systems on the network differ by a little.
_CLOCK_SLACK = datetime.timedelta(minutes=5)
# How long the server may be silent, in seconds.
_PATIENCE = 5.0


def examine(known: settings.All, *, now: datetime.datetime) -> list[doctor.Finding]:
    """Run every check."""
    where = paths.of(known)
    if os.geteuid() != 0 or not where.server_certificate.exists():
        return []
    return [
        check_certificate(where, now=now),
        check_clock(where, now=now),
        check_store(known),
        check_audit(where),
        *check_answers(known),
    ]


def check_certificate(where: paths.Paths, *, now: datetime.datetime) -> doctor.Finding:
    """The server's certificate, of which clients think nothing good once it has ended."""
    try:
        certificate = x509.load_pem_x509_certificate(where.server_certificate.read_bytes())
    except (OSError, ValueError) as error:
        remedy = f"remove {where.server_certificate} and run boxfleet up: another is made"
        return doctor.Finding("certificate", doctor.Grade.BAD, f"{where.server_certificate}: {error}", remedy)
    days = (certificate.not_valid_after_utc - now).days
    if days < 0:
        return doctor.Finding("certificate", doctor.Grade.BAD, f"ended {-days} days ago", "boxfleet up renews it")
    grade = doctor.Grade.POOR if days < _CERTIFICATE_DAYS else doctor.Grade.GOOD
    remedy = "boxfleet up renews it; a server that runs does so by itself" if grade is doctor.Grade.POOR else ""
    return doctor.Finding("certificate", grade, f"{days} days left", remedy)


def check_clock(where: paths.Paths, *, now: datetime.datetime) -> doctor.Finding:
    """The clock must not be behind what has happened already."""
    newest = max((_changed(path) for path in (where.server_certificate, where.store, where.audit)), default=now)
    if newest > now + _CLOCK_SLACK:
        words = f"it is {now:%Y-%m-%d %H:%M} by the clock, but files here were written at {newest:%Y-%m-%d %H:%M} (UTC)"
        return doctor.Finding(
            "clock", doctor.Grade.POOR, words, "set the clock, and keep it by chrony or systemd-timesyncd"
        )
    return doctor.Finding("clock", doctor.Grade.GOOD, f"{now:%Y-%m-%d %H:%M} UTC")


def check_store(known: settings.All) -> doctor.Finding:
    """The store's size and the room that it has left."""
    place = objects.place(known)
    if not isinstance(place, pathlib.Path):
        return doctor.Finding("store", doctor.Grade.GOOD, str(place))
    size = sum(path.stat().st_size for path in place.parent.glob(f"{place.name}*") if path.is_file())
    free = shutil.disk_usage(place.parent if place.parent.exists() else known.state).free
    words = f"{size / 2**20:.1f} MiB in {place}, {free / 2**30:.1f} GiB free"
    if free >= _STORE_POOR:
        return doctor.Finding("store", doctor.Grade.GOOD, words)
    grade = doctor.Grade.BAD if free < _STORE_BAD else doctor.Grade.POOR
    return doctor.Finding("store", grade, words, f"make room on the file system of {place.parent}")


def check_audit(where: paths.Paths) -> doctor.Finding:
    """Without an audit log writes are refused."""
    if not where.audit.exists():
        return doctor.Finding("audit", doctor.Grade.GOOD, "nothing is recorded yet")
    if not os.access(where.audit, os.W_OK | os.X_OK):
        words = f"{where.audit} cannot be written, so writes are refused"
        return doctor.Finding("audit", doctor.Grade.BAD, words, "mount its file system for writing; it belongs to root")
    # Beside what is hidden: a reserve that is given back when the disk is full.
    files = [path for path in where.audit.rglob("[!.]*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return doctor.Finding("audit", doctor.Grade.GOOD, f"{size / 2**20:.1f} MiB in {where.audit}")


def check_answers(known: settings.All) -> list[doctor.Finding]:
    """A server that runs must be reached, say that it is ready, and know who leads."""
    where = paths.of(known)
    if not locks.holder(where.server_lock):
        return [doctor.Finding("server", doctor.Grade.GOOD, "not running: start it with boxfleet up")]
    try:
        return asyncio.run(_asked(known))
    except errors.ApiError as error:
        see = f"see {where.logs / 'server' / 'current'}"
        return [doctor.Finding("server", doctor.Grade.BAD, f"runs, but does not answer: {error.message}", see)]


async def _asked(known: settings.All) -> list[doctor.Finding]:
    where = paths.of(known)
    token = credentials.token_of(where.admin_kubeconfig)
    way = plain.Plain(access.url_of(known), authority=where.ca_certificate, token=token, patience=_PATIENCE)
    api = client.Client(way)
    try:
        answer = await way.request("GET", "/readyz", query={"verbose": "true"})
        office = await api.find(lease.Lease, roles.OFFICE, namespace="kube-system") if answer.status == 200 else None
        host = await api.find(node.Node, known.node) if answer.status == 200 else None
    finally:
        await api.close()
    failing = [line for line in answer.body.decode(errors="replace").splitlines() if line.startswith("[-]")]
    if answer.status != 200:
        words = "; ".join(failing) or f"/readyz answers {answer.status}"
        see = f"see {where.logs / 'server' / 'current'}"
        return [doctor.Finding("server", doctor.Grade.BAD, f"runs at {access.url_of(known)}, not ready: {words}", see)]
    found = [doctor.Finding("server", doctor.Grade.GOOD, f"ready at {access.url_of(known)}")]
    # Where one server is alone, it leads without saying so.
    if office is not None:
        found.append(doctor.Finding("leader", doctor.Grade.GOOD, office.spec.holderIdentity or "nobody just now"))
    return found + (check_host(host) if host is not None else [])


def check_host(subject: node.Node) -> list[doctor.Finding]:
    """What the agent says of this machine by conditions of its Node; nothing while all is well."""
    return [
        doctor.Finding("host", doctor.Grade.POOR, f"{each.reason}: {each.message}", each.advice)
        for each in health.of_node(subject, []).troubles
    ]


def _changed(path: pathlib.Path) -> datetime.datetime:
    try:
        return datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    except OSError:
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)
