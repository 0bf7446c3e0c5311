"""Reading what is delivered."""

import pathlib

import pytest

from boxfleet.app import manifests

BOX = """
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: a}
spec: {units: {x: {template: {spec: {containers: [{name: m, image: boxfleet.local/mine:2}]}}}}}
"""
RECIPE = 'apiVersion: boxfleet.dev/v1\nkind: ImageRecipe\nname: {name}\ntag: "2"\n'


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
    assert box.kind.KIND.kind == "Box" and "blue" in str(box.body)


def test_where_both_are_the_box_counts(tmp_path: pathlib.Path) -> None:
    write(tmp_path, compose="services: {web: {image: x}}\n", box=BOX)
    assert [str(each) for each in read(tmp_path).manifests] == ["box default/a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is not YAML"),
        ("a: 1\na: 2\n", "'a' is there twice"),
        ("metadata: {name: a}", "document 1 is no object: it needs apiVersion and kind"),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}", "does not serve apps/v1 Deployment"),
        ("apiVersion: v1\nkind: ConfigMap", "ConfigMap needs metadata.name"),
        ("", "no object in"),
        ("services: {web: {}}", "cannot be delivered"),
    ],
)
def test_what_cannot_be_delivered_says_where_and_why(tmp_path: pathlib.Path, text: str, words: str) -> None:
    write(tmp_path, bad=text)
    with pytest.raises(manifests.ManifestError, match=words):
        read(tmp_path / "bad.yaml")


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


@pytest.mark.parametrize("bomb", [bomb("[%s]"), bomb("{<<: [%s]}"), "a: &a [*a]\n"], ids=["lists", "merges", "itself"])
def test_small_files_that_grow_without_end_are_refused(tmp_path: pathlib.Path, bomb: str) -> None:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n{bomb}"
    with pytest.raises(manifests.ManifestError, match="with its aliases written out"):
        read(write(tmp_path, bomb=text) / "bomb.yaml")


def test_files_nested_without_end_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(manifests.ManifestError, match="nested too deeply"):
        read(write(tmp_path, deep="a: " + "[" * 20_000 + "]" * 20_000) / "deep.yaml")


def test_ordinary_aliases_are_taken(tmp_path: pathlib.Path) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: &l {x: y}}\ndata: {<<: *l, z: w}\n"
    (found,) = read(write(tmp_path, map=text) / "map.yaml").manifests
    assert found.body["data"] == {"x": "y", "z": "w"}
