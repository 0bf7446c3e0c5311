"""Where things lie: one place that names every file of a Boxfleet on a machine."""

import dataclasses
import pathlib

from boxfleet.app import settings


@dataclasses.dataclass(frozen=True, slots=True)
class Paths:
    """Files below STATE (kept) and RUN (gone after a reboot)."""

    state: pathlib.Path
    run: pathlib.Path

    @property
    def pki(self) -> pathlib.Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def ca_certificate(self) -> pathlib.Path:
        """What clients trust."""
        return self.pki / "ca.crt"

    @property
    def server_certificate(self) -> pathlib.Path:
        """What the server shows."""
        return self.pki / "server.crt"

    @property
    def server_key(self) -> pathlib.Path:
        """The key to it."""
        return self.pki / "server.key"

    @property
    def secret_keys(self) -> pathlib.Path:
        """The keys that Secrets lie under in the store."""
        return self.pki / "secrets.keys"

    @property
    def token_keys(self) -> pathlib.Path:
        """The keys that tokens of ServiceAccounts are signed with."""
        return self.pki / "tokens.keys"

    @property
    def authentication(self) -> pathlib.Path:
        """Which other issuers' users are let in."""
        return self.state / "authentication.yaml"

    @property
    def credentials(self) -> pathlib.Path:
        """Tokens and kubeconfigs."""
        return self.state / "credentials"

    @property
    def token_hashes(self) -> pathlib.Path:
        """What the server knows of tokens."""
        return self.credentials / "hashes.json"

    @property
    def store_password(self) -> pathlib.Path:
        """The database's password, where a server that was joined gave it."""
        return self.credentials / "store.password"

    @property
    def joining(self) -> pathlib.Path:
        """There while this machine joins another server: what its token is bound to."""
        return self.state / "joining.json"

    @property
    def joined(self) -> pathlib.Path:
        """By which token this machine joined last, as a server or as a host, as a hash."""
        return self.state / "joined.json"

    @property
    def agent_token(self) -> pathlib.Path:
        """How this machine's agent shows who it is before it has a certificate."""
        return self.credentials / "agent.token"

    @property
    def agent_certificate(self) -> pathlib.Path:
        """The agent's client certificate and its key."""
        return self.credentials / "agent.pem"

    @property
    def admin_kubeconfig(self) -> pathlib.Path:
        """How people reach the API from this machine."""
        return self.credentials / "admin.kubeconfig"

    @property
    def store(self) -> pathlib.Path:
        """The log on SQLite."""
        return self.state / "store" / "boxfleet.db"

    @property
    def audit(self) -> pathlib.Path:
        """Who did what: audit files, and below them recordings of sessions."""
        return self.state / "audit"

    @property
    def recordings(self) -> pathlib.Path:
        """Recorded sessions."""
        return self.audit / "sessions"

    @property
    def providers(self) -> pathlib.Path:
        """Programs that make machines for NodePools."""
        return self.state / "providers.d"

    @property
    def facts_scripts(self) -> pathlib.Path:
        """Programs that say more labels of this host."""
        return self.state / "facts.d"

    @property
    def agent(self) -> pathlib.Path:
        """The agent's wanted state, logs and volumes of instances."""
        return self.state / "agent"

    @property
    def containerd(self) -> pathlib.Path:
        """containerd's images and snapshots."""
        return self.state / "containerd"

    @property
    def images(self) -> pathlib.Path:
        """Archives of built images, by fingerprint."""
        return self.state / "images"

    @property
    def imported(self) -> pathlib.Path:
        """Which build of each own image the node has."""
        return self.state / "imported.json"

    @property
    def logs(self) -> pathlib.Path:
        """Rotated logs, a folder for each service."""
        return self.state / "logs"

    @property
    def found(self) -> pathlib.Path:
        """What `up` found on the machine, for `down --purge` to bring back."""
        return self.state / "found.yaml"

    @property
    def fixed(self) -> pathlib.Path:
        """The settings that the first start fixed."""
        return self.state / "fixed.yaml"

    @property
    def stopped(self) -> pathlib.Path:
        """Touched when all instances were stopped: what was said of them before is no longer so."""
        return self.state / "stopped"

    @property
    def packages(self) -> pathlib.Path:
        """Debian packages that `./run` installed, one a line."""
        return self.state / "packages"

    @property
    def services(self) -> pathlib.Path:
        """The folder that s6-svscan watches."""
        return self.run / "services"

    @property
    def scripts(self) -> pathlib.Path:
        """What s6 executes for each service."""
        return self.state / "services"

    @property
    def server_lock(self) -> pathlib.Path:
        """Held by the server process."""
        return self.run / "server.lock"

    @property
    def agent_lock(self) -> pathlib.Path:
        """Held by the agent process."""
        return self.run / "agent.lock"

    @property
    def fence(self) -> pathlib.Path:
        """Until when this host may run what, for the watchdog."""
        return self.run / "fence.json"

    @property
    def containerd_run(self) -> pathlib.Path:
        """containerd's sockets and the state of running containers."""
        return self.run / "containerd"


def of(known: settings.Instance) -> Paths:
    """The paths of one Boxfleet."""
    return Paths(pathlib.Path(known.state), pathlib.Path(known.run))


def make_private(folder: pathlib.Path) -> None:
    """Make a folder that only its owner enters; harmless when it is there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
