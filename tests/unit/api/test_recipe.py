"""Recipes: what is wrong is named with its field and the remedy."""

import pathlib

import pytest
import yaml

from boxfleet.api import recipe

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples"
GOOD = {"apiVersion": "boxfleet.dev/v1", "kind": "ImageRecipe", "name": "web"}


def errors(**fields: object) -> dict[str, str]:
    with pytest.raises(recipe.InvalidRecipeError) as caught:
        recipe.decode(GOOD | fields)
    return {error.field: error.message for error in caught.value.errors}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/images/*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_good(path):
    found = recipe.decode(yaml.safe_load(path.read_text()))
    assert found.reference.startswith("boxfleet.local/")
    assert all((path.parent / file.source).is_file() for file in found.files if file.source)


def test_defaults():
    found = recipe.decode(GOOD)
    assert found.reference == "boxfleet.local/web:latest"
    assert found.variant is recipe.Variant.ESSENTIAL


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"packges": []}, "packges", "did you mean packages"),
        ({"zzz": 1}, "zzz", "remove it, or use one of"),
        ({"files": [{"path": "/a", "contents": ""}]}, "files[0].contents", "did you mean content"),
        ({"files": [{"content": ""}]}, "files[0].path", "is missing"),
        ({"tag": 10.11}, "tag", "in quotes"),
        ({"tag": "a b"}, "tag", "not a tag"),
        ({"packages": "apache2"}, "packages", "expected `array`"),
        ({"packages": ["-o=x"]}, "packages[0]", "not a package name"),
        ({"packages": ["a,b"]}, "packages[0]", "not a package name"),
        ({"variant": "huge"}, "variant", "extract, essential, apt, minbase"),
        ({"suite": "../x"}, "suite", "not a suite"),
        ({"name": "Web"}, "name", "not an image name"),
        ({"kind": "Box"}, "kind", "must be ImageRecipe"),
        ({"files": [{"path": "a", "content": ""}]}, "files[0].path", "absolute path"),
        ({"files": [{"path": "/a/../b", "content": ""}]}, "files[0].path", "absolute path"),
        ({"files": [{"path": "/a"}]}, "files[0]", "exactly one of"),
        ({"files": [{"path": "/a", "content": "", "source": "b"}]}, "files[0]", "exactly one of"),
        ({"files": [{"path": "/a", "source": "../b"}]}, "files[0].source", "beside the recipe"),
        ({"files": [{"path": "/a", "content": "", "mode": "rwx"}]}, "files[0].mode", "octal"),
        ({"files": [{"path": "/a", "content": "", "owner": "root"}]}, "files[0].owner", "USER:GROUP"),
        ({"files": [{"path": "/a", "content": ""}, {"path": "/a", "content": ""}]}, "files[1].path", "twice"),
        ({"run": [" "]}, "run[0]", "empty"),
        ({"env": {"A-B": "x"}}, "env[A-B]", "not a variable name"),
        ({"expose": ["99999"]}, "expose[0]", "not a port"),
        ({"volumes": ["data"]}, "volumes[0]", "absolute path"),
        ({"workdir": "data"}, "workdir", "absolute path"),
        ({"stopSignal": "TERM"}, "stopSignal", "SIGTERM"),
    ],
)
def test_wrong_fields_are_named(fields, field, words):
    found = errors(**fields)
    assert words in found[field]


def test_a_list_is_no_recipe():
    with pytest.raises(recipe.InvalidRecipeError, match="mapping of fields"):
        recipe.decode([])
