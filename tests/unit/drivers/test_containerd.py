"""What the containerd driver says, without a containerd."""

import io
import json
import pathlib
import tarfile
import tomllib

import pytest

from boxfleet.drivers.containerd import config, oci, pause, translate
from boxfleet.drivers.containerd.wire import cri_pb2, generate
from boxfleet.ports import runtime


def settings(place: pathlib.Path) -> config.Settings:
    return config.Settings.below(
        state=place / "state", run=place / "run", cni_bin=place / "bin", cni_conf=place / "conf"
    )


def facts(
    *, apparmor: bool = True, oom_restricted: bool = False, systemd_cgroups: bool = True, snapshotter: str = "overlayfs"
) -> config.HostFacts:
    return config.HostFacts(
        apparmor=apparmor, oom_restricted=oom_restricted, systemd_cgroups=systemd_cgroups, snapshotter=snapshotter
    )


def test_the_committed_messages_are_those_of_the_proto_files(tmp_path: pathlib.Path) -> None:
    generate.generate(into=tmp_path)
    committed = pathlib.Path(generate.__file__).parent
    made = sorted(file for file in tmp_path.rglob("*_pb2.py*"))
    assert len(made) == 2 * len(generate.SOURCES)
    for file in made:
        assert file.read_text() == committed.joinpath(file.name).read_text(), f"{file.name} is stale: run generate"


def test_an_ordinary_host_is_told_little() -> None:
    place = pathlib.Path('/srv/a "quoted" place')
    told = tomllib.loads(config.render(settings(place), facts()))
    cri = told["plugins"]["io.containerd.grpc.v1.cri"]
    assert told["root"] == str(place / "state/containerd")
    assert told["grpc"]["address"] == str(place / "run/containerd.sock")
    assert not cri["disable_apparmor"]
    assert not cri["restrict_oom_score_adj"]
    assert cri["stream_server_address"] == "127.0.0.1"
    assert cri["containerd"]["snapshotter"] == "overlayfs"
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"]
    assert "io.containerd.snapshotter.v1.native" in told["disabled_plugins"]


def test_a_restricted_host_is_respected(tmp_path: pathlib.Path) -> None:
    text = config.render(
        settings(tmp_path),
        facts(apparmor=False, oom_restricted=True, systemd_cgroups=False, snapshotter="native"),
    )
    told = tomllib.loads(text)
    cri = told["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["disable_apparmor"]
    assert cri["restrict_oom_score_adj"]
    assert cri["containerd"]["snapshotter"] == "native"
    assert not cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"]
    assert "io.containerd.snapshotter.v1.native" not in told["disabled_plugins"]


@pytest.mark.parametrize(
    ("path", "systemd", "wanted"),
    [
        ("/boxfleet", False, "/boxfleet"),
        ("/boxfleet/pods", False, "/boxfleet/pods"),
        ("/boxfleet", True, "boxfleet.slice"),
        ("/boxfleet/pods", True, "boxfleet-pods.slice"),
        # Not a part of boxfleet.slice, which is another Boxfleet's.
        ("/boxfleet-2", True, r"boxfleet\x2d2.slice"),
        ("boxfleet.slice", True, "boxfleet.slice"),
        ("", True, ""),
    ],
)
def test_cgroup_parents(path: str, systemd: bool, wanted: str) -> None:
    assert translate.cgroup_parent(path, systemd=systemd) == wanted


def test_an_ordinary_container_is_confined() -> None:
    made = translate.container_config(runtime.ContainerConfig(name="a", image="i")).linux.security_context
    assert made.seccomp.profile_type == cri_pb2.SecurityProfile.RuntimeDefault
    assert "/proc/kcore" in made.masked_paths
    assert "/proc/sysrq-trigger" in made.readonly_paths
    assert not made.HasField("run_as_user")
    made = translate.container_config(
        runtime.ContainerConfig(name="a", image="i", privileged=True, run_as_user=0)
    ).linux.security_context
    assert not made.masked_paths
    assert made.HasField("run_as_user")


def test_namespaces() -> None:
    config = runtime.SandboxConfig(name="a", namespace="n", uid="u", hostname="a", host_network=True)
    made = translate.sandbox_config(config, systemd=False)
    options = made.linux.security_context.namespace_options
    assert (options.network, options.pid, options.ipc) == (cri_pb2.NODE, cri_pb2.CONTAINER, cri_pb2.POD)
    # The host's own name holds there.
    assert made.hostname == ""
    config = runtime.SandboxConfig(name="a", namespace="n", uid="u", share_process_namespace=True)
    options = translate.sandbox_config(config, systemd=False).linux.security_context.namespace_options
    assert (options.network, options.pid) == (cri_pb2.POD, cri_pb2.POD)


def test_a_wrong_protocol_is_named() -> None:
    config = runtime.SandboxConfig(
        name="a", namespace="n", uid="u", ports=[runtime.PortMapping(container_port=1, host_port=2, protocol="tcp")]
    )
    with pytest.raises(runtime.RuntimeFault, match="'tcp' is not TCP, UDP or SCTP"):
        translate.sandbox_config(config, systemd=False)


def test_an_archive_is_an_oci_image() -> None:
    made = pause.archive(b"program", name="boxfleet.local/pause:1")
    assert made == pause.archive(b"program", name="boxfleet.local/pause:1")
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        index = json.loads(_content(tar, "index.json"))
        assert json.loads(_content(tar, "oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        entry = index["manifests"][0]
        assert entry["annotations"] == {"io.containerd.image.name": "boxfleet.local/pause:1"}
        manifest = json.loads(_blob(tar, entry["digest"]))
        configuration = json.loads(_blob(tar, manifest["config"]["digest"]))
        assert configuration["config"]["Entrypoint"] == ["/pause", "-P"]
        assert configuration["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
        with tarfile.open(fileobj=io.BytesIO(_blob(tar, manifest["layers"][0]["digest"]))) as layer:
            assert _content(layer, "pause") == b"program"
            assert layer.getmember("pause").mode == 0o755


def test_other_files_make_another_image() -> None:
    one = oci.archive({"a": (b"1", 0o644)}, config={}, name="n")
    assert one != oci.archive({"a": (b"2", 0o644)}, config={}, name="n")


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def _blob(tar: tarfile.TarFile, digest: str) -> bytes:
    return _content(tar, "blobs/sha256/" + digest.removeprefix("sha256:"))


@pytest.mark.parametrize("name", ["overlayfs", "native"])
def test_the_snapshotter_in_use_is_kept(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / f"io.containerd.snapshotter.v1.{name}").mkdir()
    assert config.detect(root=tmp_path).snapshotter == name
