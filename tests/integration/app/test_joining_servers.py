"""A further server gets everything by one line that the first one prints, and nobody else gets anything."""

import asyncio
import base64
import dataclasses
import os
import pathlib
import random
import shlex
import shutil
import subprocess
import sys

import pytest
from cryptography import x509
from tests.integration.app import servers_bed as beds
from tests.integration.app import test_lifecycle

import boxfleet
from boxfleet.api import config, lease, node, servers
from boxfleet.app import further, handing_over, lifecycle, paths, pki, secret_keys, settings, token_keys
from boxfleet.client import errors
from boxfleet.kit import clock as clocks
from boxfleet.testing import fleet as fleets
from boxfleet.testing import postgres

pytestmark = pytest.mark.anyio
cluster = beds.cluster
machine = test_lifecycle.machine

_KILLS = int(os.environ.get("FAULT_ROUNDS", "3"))


def command(known: settings.All, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "boxfleet", *words, "--state", known.state, "--run", known.run],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


async def line(one: beds.Server, *words: str) -> further.Other:
    """What `boxfleet server token` says, taken apart as a shell does."""
    said, note, end = (await asyncio.to_thread(command, one.known, "server", "token", *words)).split("\n")
    assert "no other machine reaches https://127.0.0.1:" in note and end == ""
    echo, token, bar, *rest = shlex.split(said)
    assert (echo, bar, rest[:2], rest[-2:]) == ("echo", "|", ["boxfleet", "up"], ["--token-file", "-"])
    given = dict(zip(rest[2::2], rest[3::2], strict=True))
    assert token not in " ".join(rest)
    return further.Other(url=given["--join"], authority=given["--authority"], token=token)


async def join(known: settings.All, other: further.Other) -> settings.All:
    return await further.join(known, other, say=lambda words: None)


def content(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def secret(one: beds.Server, name: str) -> str:
    data = (await one.api.get(config.Secret, name, namespace="default")).data
    return base64.b64decode(data["word"]).decode()


async def write(one: beds.Server, name: str) -> None:
    body = {"metadata": {"name": name, "namespace": "default"}, "stringData": {"word": name}}
    await one.api.create_raw(config.Secret, body)


@pytest.fixture
def homes(short_dir: pathlib.Path) -> list[pathlib.Path]:
    made = [short_dir / "one", short_dir / "two"]
    for home in made:
        home.mkdir()
    return made


@pytest.fixture
def url(cluster: postgres.Cluster) -> str:
    """A database that a password opens."""
    cluster.make_user("fleet", password="open-sesame")
    return cluster.url().replace("boxfleet@", "fleet@")


@pytest.fixture
def first(homes: list[pathlib.Path], url: str) -> settings.All:
    file = homes[0] / "password"
    file.write_text("open-sesame\n")
    file.chmod(0o600)
    return dataclasses.replace(beds.settings_of(homes[0], url), store_password_file=str(file))


async def test_a_second_server_gets_all_that_it_needs(homes: list[pathlib.Path], first: settings.All) -> None:
    fresh = beds.settings_of(homes[1], "")
    async with beds.started(homes[0], first) as one:
        issuers = paths.of(first).authentication
        issuers.write_text("apiVersion: apiserver.config.k8s.io/v1beta1\nkind: AuthenticationConfiguration\njwt: []\n")
        await write(one, "before")
        other = await line(one)
        known = await join(fresh, other)
        own = paths.of(known)
        assert known.store == first.store and not own.joining.exists()
        assert own.authentication.read_text() == issuers.read_text()
        for path in own.state.rglob("*"):
            mode = 0o700 if path.is_dir() else 0o600
            assert path.name in ("ca.crt", settings.FILE) or path.stat().st_mode & 0o777 == mode, path
        # Cut off before it started, and called again.
        assert await join(known, other) == known
        async with beds.started(homes[1], known) as two:
            assert await secret(two, "before") == "before"
            await write(two, "after")
            assert await secret(one, "after") == "after"
            # The administrator is the same to both, and so are tokens of accounts.
            assert (own.credentials / "hashes.json").exists()
            account = await one.api.call(
                "POST", "/api/v1/namespaces/default/serviceaccounts/default/token", body={"spec": {}}
            )
            review = await two.api.call(
                "POST",
                "/apis/authentication.k8s.io/v1/tokenreviews",
                body={"spec": {"token": account["status"]["token"]}},
            )
            assert review["status"]["authenticated"], review
            shown = x509.load_pem_x509_certificate(own.server_certificate.read_bytes())
            assert "two" in pki.names_of(shown) and "one" not in pki.names_of(shown)

            await _rotated(one, two, homes)
        words = "".join(path.read_text() for path in [home / "log" for home in homes])
        words += "".join(path.read_text() for home in homes for path in (home / "state" / "audit").glob("*.jsonl"))
        assert "serverkeys" in words and "servertokens" in words
        for told in (other.token.partition(".")[2], "open-sesame", "PRIVATE KEY"):
            assert told not in words


async def _rotated(one: beds.Server, two: beds.Server, homes: list[pathlib.Path]) -> None:
    """The keys of the first are changed; the second fetches them again by the same command."""
    # What is newer here is not given up for what is older there.
    now = clocks.SystemClock().now()
    mine = paths.of(two.known)
    kept = content(mine.pki)
    secret_keys.add(mine.secret_keys, now=now)
    before = content(mine.state)
    with pytest.raises(further.JoinError, match="run boxfleet up --join there"):
        await join(two.known, await line(one))
    assert content(mine.state) == before
    mine.secret_keys.write_bytes(kept["secrets.keys"])

    theirs = paths.of(one.known)
    secret_keys.add(theirs.secret_keys, now=now)
    token_keys.rotate(theirs.token_keys, now=now, revoke=False)
    pki.begin_rotation(theirs.pki)
    one.kill()
    await one.process.wait()
    async with beds.started(homes[0], one.known) as again:
        await write(again, "rotated")
        changed = await join(two.known, await line(again))
        two.kill()
        await two.process.wait()
        async with beds.started(homes[1], changed) as newer:
            assert await secret(newer, "rotated") == "rotated"
            assert mine.ca_certificate.read_bytes() == theirs.ca_certificate.read_bytes()
        pki.finish_rotation(theirs.pki)
        await join(changed, await line(again))
        assert not (mine.pki / "ca-next.key").exists()
        assert (mine.pki / "ca.key").read_bytes() == (theirs.pki / "ca.key").read_bytes()


async def test_nothing_is_changed_where_it_cannot_be(
    homes: list[pathlib.Path], first: settings.All, cluster: postgres.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, change = homes[1], dataclasses.replace
    fresh = beds.settings_of(home, "")

    async def refused(other: further.Other, words: str, known: settings.All = fresh) -> None:
        before = content(home)
        with pytest.raises(further.JoinError, match=words):
            await join(known, other)
        assert content(home) == before

    async with beds.started(homes[0], first) as one:
        good = await line(one)
        other_end = "0" if good.token[-1] != "0" else "1"
        await refused(change(good, token=good.token[:-1] + other_end), "does not know this token")
        await refused(change(good, token="server-bbbbbbbb." + "0" * 64), "wrong, or has ended")
        await refused(change(good, token="abcdef." + "0" * 64), "not a token of boxfleet server token")
        await refused(change(good, authority="sha256:" + "0" * 64), "has another authority")
        await refused(change(good, authority="0" * 64), "known by a hash")
        await refused(change(good, url="http://127.0.0.1:1"), "not the URL")
        await refused(change(good, url="https://127.0.0.1:1"), "cannot reach https://127.0.0.1:1: Connection refused")
        await refused(change(good, url=good.url.replace("127.0.0.1", "127.0.0.2")), "cannot reach")
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as mute:
            port = mute.sockets[0].getsockname()[1]
            await refused(change(good, url=f"https://127.0.0.1:{port}"), f"cannot reach https://127.0.0.1:{port}")
        await refused(good, "which is the name of this server's", change(fresh, node="one"))
        with monkeypatch.context() as older:
            older.setattr(boxfleet, "__version__", "0.0.9")
            await refused(good, "the machine that joins is 0.0.9: install the same version there")
        # Who may do everything gets nothing without a token, and nobody in another's name.
        wish = {"version": boxfleet.__version__, "node": "two", "claim": "mine"}
        with pytest.raises(errors.ApiError, match="only a token"):
            await one.api.call("POST", handing_over.KEYS_PATH, body=wish)
        # Until here it was good; now it is used.
        await refused(good, "domain is other.internal here", change(fresh, domain="other.internal"))
        await refused(good, "used already")
        assert list(home.iterdir()) == []

        elsewhere = change(fresh, store=cluster.make_database("empty"))
        await refused(await line(one), "there is no store", elsewhere)
        assert cluster.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'boxfleet'", database="empty") == "0"
        gone = change(fresh, store="postgresql://fleet@127.0.0.1:1/postgres")
        await refused(await line(one), "must be reached from this machine", gone)
        assert list(home.iterdir()) == []

        # Stores of its own, in a file and in a database, are not given up.
        async with beds.started(home, beds.settings_of(home, "")) as own:
            said = await asyncio.to_thread(command, own.known, "server", "token", code=1)
            assert "boxfleet store move" in said
        await refused(await line(one), "has a Boxfleet of its own", own.known)
        shutil.rmtree(home / "state")
        async with beds.started(home, beds.settings_of(home, cluster.make_database("own"))) as own:
            pass
        await refused(await line(one), "is not the database that the other server uses", own.known)


async def test_killed_anywhere_the_same_line_completes_it(homes: list[pathlib.Path], first: settings.All) -> None:
    dice = random.Random(4)
    program = (
        "import asyncio, sys; from boxfleet.app import further, settings; "
        "flags = {'state': sys.argv[1], 'run': sys.argv[2], 'node': 'two'}; "
        "known = settings.load(settings.All, flags=flags, environ={}); "
        "other = further.Other(url=sys.argv[3], authority=sys.argv[4], token=sys.stdin.readline().strip()); "
        "print('begun', flush=True); asyncio.run(further.join(known, other, say=print))"
    )
    async with beds.started(homes[0], first) as one:
        for turn in range(_KILLS):
            home = homes[1] / str(turn)
            known = dataclasses.replace(beds.settings_of(home, ""), node="two")
            other = await line(one)
            process = subprocess.Popen(
                [sys.executable, "-c", program, known.state, known.run, other.url, other.authority],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(other.token.encode() + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"begun\n"
            await asyncio.sleep(dice.random() * 0.3)
            process.kill()
            process.communicate()
            own = paths.of(known)
            if own.joining.exists():
                with pytest.raises(lifecycle.LifecycleError, match="run boxfleet up --join again"):
                    lifecycle.start(known, say=print)
            joined = await join(settings.load(settings.All, flags=flags(known), environ={}), other)
            assert joined.store == first.store and not own.joining.exists()
            theirs = content(paths.of(first).pki)
            assert content(own.pki) == {name: theirs[name] for name in content(own.pki)}
            assert {"ca.key", "ca.crt", "secrets.keys", "tokens.keys"} == set(content(own.pki))


async def test_an_answer_that_is_lost_is_asked_for_again(homes: list[pathlib.Path], first: settings.All) -> None:
    known = beds.settings_of(homes[1], "")
    async with beds.started(homes[0], first) as one:
        good = await line(one)
        relays: list[asyncio.Task[None]] = []

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Pass everything on; but of the second connection, what follows the request."""
            task = asyncio.current_task()
            assert task is not None
            relays.append(task)
            cut = len(relays) == 2
            from_server, to_server = await asyncio.open_connection("127.0.0.1", first.port)
            asked = asyncio.Event()

            async def there() -> None:
                said = 0
                while data := await reader.read(65536):
                    to_server.write(data)
                    # A hello, the end of the handshake, and then the request.
                    said += len(data)
                    if cut and said > 1000:
                        asked.set()
                to_server.close()

            async def back() -> None:
                while (data := await from_server.read(65536)) and not asked.is_set():
                    writer.write(data)
                writer.close()

            await asyncio.gather(there(), back())
            for each in (writer, to_server):
                each.close()
                await each.wait_closed()

        async with await asyncio.start_server(relay, "127.0.0.1", 0) as between:
            port = between.sockets[0].getsockname()[1]
            cut = dataclasses.replace(good, url=f"https://127.0.0.1:{port}")
            with pytest.raises(further.JoinError, match="run the same command again"):
                await join(known, cut)
            await asyncio.gather(*relays, return_exceptions=True)
        assert len(relays) == 2
        assert list(content(homes[1])) == ["state/joining.json"]
        assert (await join(known, good)).store == first.store


@pytest.mark.machine
@pytest.mark.timeout(240)
async def test_one_command_on_the_other_machine(
    homes: list[pathlib.Path], first: settings.All, machine: test_lifecycle.Command
) -> None:
    """The whole of `boxfleet up --join`, beside a server that has no agent."""
    pool = {"cidr": machine.environment["BOXFLEET_CIDR"], "bridge": machine.environment["BOXFLEET_BRIDGE"]}
    async with beds.started(homes[0], dataclasses.replace(first, **pool)) as one:
        other = await line(one)
        words = ["up", "--join", other.url, "--authority", other.authority, "--token-file", "-"]
        for said in (["keys of", "shares its store"], ["has joined by this token already"]):
            process = await asyncio.create_subprocess_exec(
                *machine.words,
                *words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=os.environ | machine.environment,
            )
            assert process.stdin is not None
            process.stdin.write(other.token.encode() + b"\n")
            process.stdin.close()
            telling = asyncio.create_task(process.communicate())
            while not telling.done():
                assert not await asyncio.to_thread(fleets.processes, marks=(other.token, "open-sesame"))
                await asyncio.sleep(0.1)
            told = (await telling)[0].decode()
            assert process.returncode == 0 and all(each in told for each in said), told
            assert other.token not in told and "admin token" not in told
        seen = (await asyncio.to_thread(machine.kubectl, "get", "nodes", "-o", "name")).stdout.split()
        assert seen == [f"node/{each.metadata.name}" for each in (await one.api.list(node.Node)).items] != []
        leases = (await one.api.list(lease.Lease, namespace=servers.NAMESPACE, labels=servers.SELECTOR)).items
        port = machine.environment["BOXFLEET_PORT"]
        assert set(servers.addresses(leases)) == {f"https://127.0.0.1:{first.port}", f"https://127.0.0.1:{port}"}
        await asyncio.to_thread(machine.boxfleet, "down")


def flags(known: settings.All) -> dict[str, object]:
    return {"state": known.state, "run": known.run, "node": known.node, "port": known.port}
