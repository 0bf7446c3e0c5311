"""What the engine tells of a container, as far as it is read (``GET /containers/ID/json``)."""

import datetime

import msgspec

from boxfleet.drivers.docker import marks

# How the engine writes that something never was.
_NEVER = "0001-01-01T00:00:00Z"


class State(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """How it is."""

    status: str = ""
    running: bool = False
    restarting: bool = False
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    exit_code: int = 0
    error: str = ""
    started_at: str = ""
    finished_at: str = ""


class Config(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What it was made of."""

    image: str = ""
    tty: bool = False
    open_stdin: bool = False
    stop_timeout: int = 10
    labels: dict[str, str] | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Its place in a network."""

    ip_address: str = msgspec.field(name="IPAddress", default="")


class Networks(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """All its places."""

    networks: dict[str, Endpoint] | None = None


class Container(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A container."""

    id: str
    name: str = ""
    created: str = ""
    # The image's id.
    image: str = ""
    restart_count: int = 0
    state: State = State()
    config: Config = Config()
    network_settings: Networks = Networks()

    @property
    def mark(self) -> marks.Mark:
        """What its labels say."""
        return marks.read(self.config.labels or {})

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return self.config.labels or {}

    @property
    def ip(self) -> str:
        """Its first address; empty when it runs not, or in somebody else's network."""
        return next((one.ip_address for one in (self.network_settings.networks or {}).values() if one.ip_address), "")

    @property
    def was_started(self) -> bool:
        """Whether it ran at least once."""
        return self.state.started_at not in ("", _NEVER)


def read(found: object) -> Container:
    """From the engine's JSON."""
    return msgspec.convert(found, Container)


def moment(text: str) -> datetime.datetime | None:
    """A time of the engine's, which has nanoseconds; None for never."""
    if not text or text == _NEVER:
        return None
    whole, _, rest = text.partition(".")
    if not rest:
        return datetime.datetime.fromisoformat(text)
    digits = rest.rstrip("Z")
    zone = "+00:00"
    for sign in ("+", "-"):
        if sign in digits:
            digits, zone = digits.partition(sign)[0], sign + digits.partition(sign)[2]
    return datetime.datetime.fromisoformat(f"{whole}.{digits[:6]:0<6}{zone}")
