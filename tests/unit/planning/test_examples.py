"""The examples: accepted by the API's own rules, and complete."""

import json
import pathlib

import pytest
import yaml

from boxfleet.api import catalog, recipe
from boxfleet.planning import compose, delivery

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples"
KINDS = {(kind.KIND.api_version, kind.KIND.kind): kind for kind in catalog.TYPES}
FILES = sorted([*EXAMPLES.glob("*/box.yaml"), *EXAMPLES.glob("*/compose.yaml")])


def manifests(path: pathlib.Path) -> list[dict]:
    documents = list(yaml.safe_load_all(path.read_text()))
    if compose.is_compose(documents[0]):
        imported = compose.convert(documents[0], project="x", directory=str(path.parent), environment={})
        assert imported.warnings == []
        documents = imported.manifests
    return json.loads(json.dumps(documents))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_the_api_accepts_them(path):
    for manifest in manifests(path):
        manifest = delivery.with_generated(manifest, existing=(), random_text=lambda: "secret")
        kind = KINDS[manifest["apiVersion"], manifest["kind"]].KIND
        kind.default(manifest)
        assert kind.validate(manifest, None) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_their_images_have_recipes(path):
    built = {
        recipe.decode(yaml.safe_load(each.read_text())).reference for each in (path.parent / "images").glob("*.yaml")
    }
    (box,) = (manifest for manifest in manifests(path) if manifest["kind"] == "Box")
    for unit in box["spec"]["units"].values():
        assert {container["image"] for container in unit["template"]["spec"]["containers"]} <= built


def test_no_password_is_written_down():
    (secret,) = (
        manifest for manifest in manifests(EXAMPLES / "wordpress" / "box.yaml") if manifest["kind"] == "Secret"
    )
    assert delivery.generated_keys(secret) == ["password"]
    assert "data" not in secret
