"""Reading what is delivered."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys

import pytest

from boxfleet.app import manifests, yaml_files

BOX = """
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: a}
spec: {units: {x: {template: {spec: {containers: [{name: m, image: boxfleet.local/mine:2}]}}}}}
"""
RECIPE = 'apiVersion: boxfleet.dev/v1\nkind: ImageRecipe\nname: {name}\ntag: "2"\n'


MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}"


def write(folder: pathlib.Path, **files: str) -> pathlib.Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def read(place: pathlib.Path) -> manifests.Bundle:
    return manifests.read(place, namespace="default")


def test_a_folder_brings_its_objects_and_the_recipes_that_they_need(tmp_path: pathlib.Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    write(images, mine=RECIPE.format(name="mine"), other=RECIPE.format(name="other"))
    write(tmp_path, box=BOX, more="apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n")
    bundle = read(tmp_path)
    assert [str(each) for each in bundle.manifests] == ["box default/a", "namespace n"]
    assert [path.name for path in bundle.recipes] == ["mine.yaml"]
    assert [path.name for path in read(tmp_path / "box.yaml").recipes] == ["mine.yaml"]


def test_documents_lists_and_given_namespaces(tmp_path: pathlib.Path) -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: other}}\n---\n---\n" + BOX
    )
    write(tmp_path, many=text)
    assert [str(each) for each in read(tmp_path / "many.yaml").manifests] == ["configmap other/c", "box default/a"]


def test_a_compose_file_becomes_a_box(tmp_path: pathlib.Path) -> None:
    write(tmp_path, compose="services: {web: {image: 'boxfleet.local/mine:2', environment: {A: $COLOUR}}}\n")
    (tmp_path / ".env").write_text("# colours\nCOLOUR='blue'\n")
    box = read(tmp_path).manifests[-1]
    assert box.kind_name == "Box" and "blue" in str(box.body)


def test_where_both_are_the_box_counts(tmp_path: pathlib.Path) -> None:
    write(tmp_path, compose="services: {web: {image: x}}\n", box=BOX)
    assert [str(each) for each in read(tmp_path).manifests] == ["box default/a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is not YAML"),
        ("a: 1\na: 2\n", "'a' is there twice"),
        ("metadata: {name: a}", "document 1 is no object: it needs apiVersion and kind"),
        ("apiVersion: v1\nkind: ConfigMap", "ConfigMap needs metadata.name"),
        ("", "no object in"),
        (f"{MAP}\ndata: {{a: [1, .nan]}}", r"bad.yaml, document 1, data.a\[1\]: .nan is no number"),
        (f"{MAP}\ndata: {{a: -.inf}}", "data.a: -.inf is no number"),
        (f"{MAP}\ndata: {{a: !!binary aGk=}}", "data.a: the tag !!binary has no meaning"),
        (f"{MAP}\ndata: {{a: !!int x}}", "data.a: 'x' is no int"),
        (f"{MAP}\ndata: !!set {{a}}", "data: the tag !!set has no meaning"),
        (f"{MAP}\ndata: {{[a]: b}}", "data: a key must be a text"),
        ("apiVersion: v1\nkind: List\nitems: 5", "document 1: items of a List must be a list"),
        ("services: {web: {}}", "cannot be delivered"),
    ],
)
def test_what_cannot_be_delivered_says_where_and_why(tmp_path: pathlib.Path, text: str, words: str) -> None:
    write(tmp_path, bad=text)
    with pytest.raises(manifests.ManifestError, match=words):
        read(tmp_path / "bad.yaml")


def test_faults_are_in_the_file_that_is_named(tmp_path: pathlib.Path) -> None:
    for text in (b"a: [", b"a: \xff", b"a: *b", b"a: 1\na: 2"):
        (tmp_path / "bad.yaml").write_bytes(text)
        with pytest.raises(manifests.ManifestError, match=f'in "{tmp_path}/bad.yaml"'):
            read(tmp_path / "bad.yaml")


def test_yaml_is_read_as_kubernetes_reads_it(tmp_path: pathlib.Path) -> None:
    write(
        tmp_path, map=f"{MAP}\ndata: {{when: 2026-01-01, at: 2026-01-01 10:00:00, ports: 22:22, 1: x, on: yes, n: 010}}"
    )
    (found,) = read(tmp_path / "map.yaml").manifests
    expected = {"when": "2026-01-01", "at": "2026-01-01 10:00:00", "ports": "22:22", "1": "x", "on": True, "n": 8}
    assert found.body["data"] == expected


@pytest.mark.parametrize("name", [".env", "web.env"])
def test_compose_files_are_beside_texts(tmp_path: pathlib.Path, name: str) -> None:
    write(tmp_path, compose="services: {web: {image: x, env_file: web.env}}\n")
    (tmp_path / "web.env").write_text("A=b\n")
    (tmp_path / name).write_bytes(b"A=b\nB=\xff\n")
    with pytest.raises(manifests.ManifestError, match=f"{name} is not UTF-8: see line 2"):
        read(tmp_path)


def test_recipes_that_cannot_be_read_are_warned_of(tmp_path: pathlib.Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "latin.yaml").write_bytes(b"name: \xff\n")
    write(images, list="- a\n", broken="a: [")
    bundle = read(write(tmp_path, box=BOX))
    assert bundle.recipes == []
    assert [("latin.yaml" in words, "broken.yaml" in words) for words in bundle.warnings] == [
        (False, True),
        (True, False),
    ]


def test_files_that_are_too_large_are_refused_unread(tmp_path: pathlib.Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"#" * (yaml_files.SIZE_LIMIT + 1))
    with pytest.raises(manifests.ManifestError, match=r"large.yaml is too large: a file may have 16 MiB"):
        read(tmp_path / "large.yaml")


READ = "import sys; from boxfleet.app import manifests as m; b = m.read(sys.argv[1], namespace='n')"


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_what_is_piped_is_read_as_a_file_of_the_current_folder(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "web.env").write_text("A=b\n")
    (tmp_path / "images").mkdir()
    write(tmp_path / "images", mine=RECIPE.format(name="mine"))
    compose = "services: {web: {image: boxfleet.local/mine:2, env_file: web.env}}"
    program = [sys.executable, "-c", f"{READ}; print(b.manifests[0], b.recipes[0].name)", name]
    done = subprocess.run(program, input=compose, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == f"box n/{tmp_path.name.replace('_', '-')} mine.yaml\n"
    done = subprocess.run(program, input="a: [", capture_output=True, text=True, check=False, cwd=tmp_path)
    assert f"{'standard input' if name == '-' else name} is not YAML" in done.stderr


def test_a_named_pipe_is_read(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with concurrent.futures.ThreadPoolExecutor() as threads:
        written = threads.submit((tmp_path / "pipe").write_text, BOX)
        assert [str(each) for each in read(tmp_path / "pipe").manifests] == ["box default/a"]
    assert written.result()


def test_no_name_is_not_the_current_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path, box=BOX))
    with pytest.raises(manifests.ManifestError, match="is empty"):
        manifests.read("", namespace="default")
    with pytest.raises(manifests.ManifestError, match="cannot read"):
        manifests.read("x" * 300, namespace="default")
    assert manifests.read(".", namespace="default").manifests


def test_missing_places_are_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(manifests.ManifestError, match="nothing to deliver"):
        read(tmp_path)
    with pytest.raises(manifests.ManifestError, match="there is no"):
        read(tmp_path / "nowhere.yaml")


def bomb(form: str) -> str:
    """Nine lines, each ten times the one before; `form` says how a line repeats the one before."""
    names = "bcdefghij"
    lines = [f"{name}: &{name} {form % ', '.join(['*' + chr(ord(name) - 1)] * 10)}" for name in names]
    return "\n".join(["a: &a {x: y}", *lines, ""])


def test_files_of_very_many_parts_are_refused_before_they_are_kept(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_files, "PARTS_LIMIT", 100)
    # The alias at the end shows that it is not read so far.
    with pytest.raises(manifests.ManifestError, match=r"more than 100 parts\s.*line 100,"):
        read(write(tmp_path, many="- a\n" * 101 + "- *nowhere\n") / "many.yaml")


@pytest.mark.parametrize("bomb", [bomb("[%s]"), bomb("{<<: [%s]}"), "a: &a [*a]\n"], ids=["lists", "merges", "itself"])
def test_small_files_that_grow_without_end_are_refused(tmp_path: pathlib.Path, bomb: str) -> None:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n{bomb}"
    with pytest.raises(manifests.ManifestError, match="with its aliases written out"):
        read(write(tmp_path, bomb=text) / "bomb.yaml")


def test_files_nested_without_end_are_refused(tmp_path: pathlib.Path) -> None:
    for text in ("a: " + "[" * 20_000 + "]" * 20_000, "- " * 200_000):
        with pytest.raises(manifests.ManifestError, match="nested too deeply"):
            read(write(tmp_path, deep=text) / "deep.yaml")


def test_ordinary_aliases_are_taken(tmp_path: pathlib.Path) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: &l {x: y}}\ndata: {<<: *l, z: w}\n"
    (found,) = read(write(tmp_path, map=text) / "map.yaml").manifests
    assert found.body["data"] == {"x": "y", "z": "w"}
