"""Compose files as Boxes, on files as people write them."""

import base64
import json
import pathlib
import textwrap
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from boxfleet.api import box, pod
from boxfleet.planning import compose, compose_service

EXAMPLE = pathlib.Path(__file__).parents[3] / "examples" / "guestbook" / "compose.yaml"


def convert(text: str, **options: Any) -> compose.Imported:
    document = yaml.safe_load(textwrap.dedent(text))
    settings = {"project": "Shop", "directory": "/srv/shop", "environment": {}} | options
    imported = compose.convert(document, **settings)
    # Whatever comes out is a Box that our own code reads, and plain JSON.
    msgspec.convert(json.loads(json.dumps(imported.manifests[-1])), box.Box)
    for unit in imported.manifests[-1]["spec"]["units"].values():
        msgspec.convert(unit["template"], pod.PodTemplateSpec)
    return imported


def one(body: str, **options: Any) -> dict[str, Any]:
    """The Unit of a file with one service `a`, whose body is given."""
    text = "services:\n  a:\n    image: x\n" + textwrap.indent(textwrap.dedent(body), "    ")
    return convert(text, **options).manifests[-1]["spec"]["units"]["a"]


def container(body: str, **options: Any) -> dict[str, Any]:
    return one(body, **options)["template"]["spec"]["containers"][0]


def errors(text: str, **options: Any) -> dict[str, str]:
    with pytest.raises(compose.InvalidComposeError) as caught:
        convert(text, **options)
    return {error.field: error.message for error in caught.value.errors}


def service_error(body: str, field: str) -> str:
    found = errors("services:\n  a:\n    image: x\n" + textwrap.indent(textwrap.dedent(body), "    "))
    return found[f"services.a.{field}"]


def test_the_example():
    imported = convert(EXAMPLE.read_text())
    assert imported.warnings == []
    (made,) = imported.manifests
    assert made["metadata"]["name"] == "guestbook"
    units = made["spec"]["units"]
    assert units["web"]["dependsOn"] == [{"unit": "redis", "condition": "Ready"}]
    web = units["web"]["template"]["spec"]["containers"][0]
    assert web["ports"] == [{"containerPort": 8080, "protocol": "TCP", "name": "http"}]
    assert {"name": "TITLE", "value": "Guestbook"} in web["env"]
    assert units["redis"]["volumeClaimTemplates"][0]["metadata"]["name"] == "entries"


SHOP = """
version: "3.8"
x-common: &common
  restart: unless-stopped
  logging: {driver: json-file}
services:
  proxy:
    <<: *common
    image: nginx:${NGINX:-1.27}
    ports: ["80:80", "443:443", "127.0.0.1:8081:8081"]
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro", "certs:/certs"]
    depends_on: [api]
    networks: [front]
  api:
    <<: *common
    image: shop/api
    command: ["serve", "--token", "$$(TOKEN)"]
    environment:
      DATABASE_URL: postgres://shop:${DB_PASSWORD}@db/shop
      WORKERS: 4
      HOME_REGION:
    env_file: .env
    deploy:
      replicas: 3
      resources:
        limits: {cpus: "1.5", memory: 512M}
        reservations: {memory: 128M}
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
      cache: {condition: service_started, required: false}
    networks: [front, back]
    secrets: [api_key]
    configs:
      - {source: settings, target: /etc/api.toml, mode: 0440}
  migrate:
    image: shop/api
    command: migrate --all "two words"
    depends_on: {db: {condition: service_healthy}}
  db:
    image: postgres:16
    user: "999:999"
    shm_size: 128mb
    stop_grace_period: 1m
    volumes: [{type: volume, source: pg_data, target: /var/lib/postgresql/data}]
    healthcheck:
      test: pg_isready -U shop
      interval: 10s
      timeout: 5s
      retries: 5
  cache:
    image: redis:7
    profiles: [fast]
  mailhog:
    image: mailhog
    profiles: [debug]
volumes:
  certs:
  pg_data: {driver: local}
networks: {front: {}, back: {internal: true}}
secrets:
  api_key: {file: ./key.txt}
configs:
  settings: {content: "a = 1"}
"""


def test_a_shop():
    environment = {"DB_PASSWORD": "p", "HOME_REGION": "eu"}
    imported = convert(SHOP, environment=environment, files={".env": "LEVEL=info\nWORKERS=1\n", "./key.txt": "k"})
    config, secret, made = imported.manifests
    assert (config["kind"], config["metadata"]["name"]) == ("ConfigMap", "shop-settings")
    assert config["data"] == {"content": "a = 1"}
    assert base64.b64decode(secret["data"]["content"]) == b"k"
    units = made["spec"]["units"]
    assert set(units) == {"proxy", "api", "migrate", "db"}
    api = units["api"]
    assert api["replicas"] == 3
    assert api["dependsOn"] == [{"unit": "db", "condition": "Ready"}, {"unit": "migrate", "condition": "Completed"}]
    main = api["template"]["spec"]["containers"][0]
    assert main["args"] == ["serve", "--token", "$$(TOKEN)"]
    assert {entry["name"]: entry["value"] for entry in main["env"]} == {
        "LEVEL": "info",
        "WORKERS": "4",
        "DATABASE_URL": "postgres://shop:p@db/shop",
        "HOME_REGION": "eu",
    }
    assert main["resources"] == {
        "limits": {"cpu": "1500m", "memory": "536870912"},
        "requests": {"memory": "134217728"},
    }
    assert [mount["mountPath"] for mount in main["volumeMounts"]] == ["/etc/api.toml", "/run/secrets/api_key"]
    assert api["template"]["spec"]["volumes"][0]["configMap"]["items"][0]["mode"] == 0o440
    assert units["migrate"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert units["migrate"]["template"]["spec"]["containers"][0]["args"] == ["migrate", "--all", "two words"]
    db = units["db"]["template"]["spec"]
    assert db["terminationGracePeriodSeconds"] == 60
    assert db["containers"][0]["securityContext"] == {"runAsUser": 999, "runAsGroup": 999}
    assert db["containers"][0]["readinessProbe"] == {
        "exec": {"command": ["/bin/sh", "-c", "pg_isready -U shop"]},
        "timeoutSeconds": 5,
        "periodSeconds": 10,
        "failureThreshold": 5,
    }
    assert "livenessProbe" not in db["containers"][0]
    assert units["db"]["volumeClaimTemplates"][0]["metadata"]["name"] == "pg-data"
    assert db["containers"][0]["volumeMounts"][-1]["name"] == "pg-data"
    proxy = units["proxy"]["template"]["spec"]
    assert proxy["containers"][0]["image"] == "nginx:1.27"
    assert [port["name"] for port in proxy["containers"][0]["ports"]] == ["http", "https", "tcp-8081"]
    assert proxy["volumes"][0]["hostPath"] == {"path": "/srv/shop/nginx.conf"}
    warned = "\n".join(imported.warnings)
    for words in ("profile debug", "/srv/shop/nginx.conf is taken from the node", "share one network", "logging"):
        assert words in warned


def test_profiles_are_chosen():
    imported = convert(SHOP, environment={"DB_PASSWORD": "p"}, files={".env": "", "./key.txt": ""}, profiles=["fast"])
    api = imported.manifests[-1]["spec"]["units"]["api"]
    assert {"unit": "cache", "condition": "Started"} in api["dependsOn"]


def test_which_files_are_wanted():
    assert compose.wanted_files(yaml.safe_load(SHOP), environment={}) == [".env", "./key.txt"]


def test_unset_variables_are_warned_about():
    imported = convert("services: {a: {image: 'x:$TAG', environment: [LEFT]}}")
    assert any(warning.startswith("TAG:") for warning in imported.warnings)
    assert any("LEFT" in warning for warning in imported.warnings)


@pytest.mark.parametrize(
    ("body", "path", "value"),
    [
        ("entrypoint: /run -x", "command", ["/run", "-x"]),
        ("command: [a, '$$(B)']", "args", ["a", "$$(B)"]),
        ("working_dir: /w", "workingDir", "/w"),
        ("tty: true", "tty", True),
        ("stdin_open: true", "stdin", True),
        ("pull_policy: missing", "imagePullPolicy", "IfNotPresent"),
        ("mem_limit: 1g", "resources", {"limits": {"memory": "1073741824"}}),
        ("cpus: 0.5", "resources", {"limits": {"cpu": "500m"}}),
        ("privileged: true", "securityContext", {"privileged": True}),
        ("read_only: true", "securityContext", {"readOnlyRootFilesystem": True}),
        ("cap_add: [NET_ADMIN]", "securityContext", {"capabilities": {"add": ["NET_ADMIN"]}}),
        ("cap_drop: [ALL]", "securityContext", {"capabilities": {"drop": ["ALL"]}}),
        ("security_opt: ['no-new-privileges:true']", "securityContext", {"allowPrivilegeEscalation": False}),
        ("user: root", "securityContext", {"runAsUser": 0}),
        ("tmpfs: /run:size=64m", "volumeMounts", [{"name": "memory-0", "mountPath": "/run"}]),
        ("environment: [A=b=c, 'D=']", "env", [{"name": "A", "value": "b=c"}, {"name": "D", "value": ""}]),
        ("healthcheck: {disable: true}", "readinessProbe", None),
        ("healthcheck: {test: [NONE]}", "readinessProbe", None),
    ],
)
def test_keys_of_the_container(body, path, value):
    assert container(body).get(path) == value


@pytest.mark.parametrize(
    ("body", "path", "value"),
    [
        ("hostname: web1", "hostname", "web1"),
        ("network_mode: host", "hostNetwork", True),
        ("pid: host", "hostPID", True),
        ("init: true", "shareProcessNamespace", True),
        ("restart: 'no'", "restartPolicy", "Never"),
        ("restart: no", "restartPolicy", "Never"),
        ("restart: on-failure:3", "restartPolicy", "OnFailure"),
        ("restart: always", "restartPolicy", None),
        ("deploy: {restart_policy: {condition: none}}", "restartPolicy", "Never"),
        ("extra_hosts: ['db:10.0.0.1']", "hostAliases", [{"ip": "10.0.0.1", "hostnames": ["db"]}]),
        (
            "sysctls: {net.core.somaxconn: 1024}",
            "securityContext",
            {"sysctls": [{"name": "net.core.somaxconn", "value": "1024"}]},
        ),
        ("platform: linux/arm64", "nodeSelector", {"kubernetes.io/arch": "arm64"}),
        ("dns: 10.0.0.2", "dnsConfig", {"nameservers": ["10.0.0.2"]}),
        ("tmpfs: [/run]", "volumes", [{"name": "memory-0", "emptyDir": {"medium": "Memory"}}]),
        ("volumes: [/cache]", "volumes", [{"name": "scratch-0", "emptyDir": {}}]),
        ("volumes: ['/etc/x:/x']", "volumes", [{"name": "host-0", "hostPath": {"path": "/etc/x"}}]),
    ],
)
def test_keys_of_the_pod(body, path, value):
    assert one(body)["template"]["spec"].get(path) == value


def test_labels_become_annotations():
    assert one("labels: {com.example/a: b, c: 1}")["template"]["metadata"] == {
        "annotations": {"com.example/a": "b", "c": "1"}
    }


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ("build: .", "build", "boxfleet image build"),
        ("extends: {service: b}", "extends", "write the service out"),
        ("imgae: y", "imgae", "did you mean image"),
        ("nonsense: y", "nonsense", "x-"),
        ("devices: [/dev/kvm]", "devices", "not supported"),
        ("environment: {A: true}", "environment", "put it in quotes"),
        ("ports: [http]", "ports[0]", "is not a port"),
        ("ports: [{published: 80}]", "ports[0]", "target is missing"),
        ("user: postgres", "user", "write the number"),
        ("restart: sometimes", "restart", "unless-stopped"),
        ("network_mode: none", "network_mode", "not supported"),
        ("healthcheck: {interval: 5s}", "healthcheck", "write the test here"),
        ("healthcheck: {test: [RUN, x]}", "healthcheck", "CMD-SHELL"),
        ("depends_on: [b]", "depends_on.b", "no such service"),
        ("depends_on: {b: {condition: ready}}", "depends_on", "service_healthy"),
        ("volumes: ['data:/data']", "volumes[0]", "not declared"),
        ("volumes: ['a:b:c:d']", "volumes[0]", "is not a volume"),
        ("volumes: [{type: npipe, target: /x}]", "volumes[0]", "use volume, bind or tmpfs"),
        ("secrets: [key]", "secrets[0]", "not declared"),
        ("env_file: missing.env", "env_file[0]", "missing.env cannot be read"),
        ("deploy: {mode: global}", "deploy.mode", "replicated"),
        ("deploy: {replica: 3}", "deploy.replica", "did you mean replicas"),
        ("extra_hosts: ['h:host-gateway']", "extra_hosts", "IP address"),
        ("networks: {default: {aliases: [other]}}", "networks", "would not resolve"),
        ("stop_grace_period: soon", "stop_grace_period", "is not a duration"),
        ("command: 'unclosed \"'", "command", "write it as a list"),
    ],
)
def test_what_is_refused(body, field, words):
    assert words in service_error(body, field)


def test_whole_files_that_are_refused():
    assert "at least one service" in errors("version: '3'")["services"]
    assert "one by one" in errors("include: [b.yaml]\nservices: {a: {image: x}}")["include"]
    assert "did you mean services" in errors("service: {a: {image: x}}\nservices: {a: {image: x}}")["service"]
    assert "is missing" in errors("services: {a: {}}")["services.a.image"]
    assert "expected a map" in errors("services: {a: nginx}")["services.a"]
    assert "variable TAG is not set: say which" in errors("services: {a: {image: 'x:${TAG:?say which}'}}")["services.a"]


def test_a_cycle_is_named():
    found = errors("services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}")
    assert any("a -> b -> a" in message for message in found.values())


def test_what_is_asked_for_by_a_link_is_said_there():
    assert "no such service" in errors("services: {a: {image: x, links: [b]}}")["services.a.links.b"]
    assert "a -> a" in errors("services: {a: {image: x, links: [a]}}")["services.a.links.a"]


def test_healthy_needs_a_health_check():
    found = errors("services: {a: {image: x, depends_on: {b: {condition: service_healthy}}}, b: {image: x}}")
    assert "give b one" in found["services.a.depends_on.b"]


def test_completed_needs_an_end():
    waits = "{image: x, depends_on: {b: {condition: service_completed_successfully}}}"
    text = f"services: {{a: {waits}, b: {{image: x, restart: always}}}}"
    assert "never completes" in errors(text)["services.a.depends_on.b"]


def test_shared_and_outside_volumes_are_refused():
    text = "services: {a: {image: x, volumes: ['d:/d']}, b: {image: x, volumes: ['d:/d']}}\nvolumes: {d: }"
    assert "used by a and b" in errors(text)["services.b.volumes[0]"]
    text = "services: {a: {image: x, volumes: ['d:/d']}}\nvolumes: {d: {external: true}}"
    assert "copy the data in" in errors(text)["volumes.d.external"]


def test_names_that_must_change():
    imported = convert("services: {my_db: {image: x}}")
    assert list(imported.manifests[-1]["spec"]["units"]) == ["my-db"]
    assert "only that name resolves" in imported.warnings[0]
    assert "rename one" in errors("services: {my_db: {image: x}, my-db: {image: x}}")["services.my-db"]


def test_what_a_compose_file_is():
    assert compose.is_compose({"services": {}})
    assert not compose.is_compose({"apiVersion": "v1", "kind": "List", "services": {}})
    assert not compose.is_compose([])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 70000)
    | st.floats(0, 9)
    | st.sampled_from(["", "a", "80", "a:/b", "1s"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "test", "source", "target", "condition", "limits", "path"]), inner)
    ),
    max_leaves=6,
)


@given(key=st.sampled_from(sorted(compose_service._READERS)), value=VALUES)
def test_any_value_is_taken_or_refused_with_its_field(key, value):
    document = {"services": {"a": {"image": "x", key: value}}}
    try:
        compose.convert(document, project="p", environment={})
    except compose.InvalidComposeError as error:
        assert all(each.field.startswith(f"services.a.{key}") for each in error.errors)
    compose.wanted_files(document, environment={})


@given(
    section=st.sampled_from(["services", "volumes", "networks", "configs", "secrets", "name", "version"]), value=VALUES
)
def test_any_section_is_taken_or_refused(section, value):
    document = {"services": {"a": {"image": "x", "volumes": ["a:/a"], "secrets": ["a"]}}} | {section: value}
    try:
        compose.convert(document, project="p", environment={})
    except compose.InvalidComposeError as error:
        assert error.errors
    compose.wanted_files(document, environment={})
