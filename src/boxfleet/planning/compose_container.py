"""Keys of a Compose service that say what is run, as whom and with which rights."""

import math
import posixpath
from collections.abc import Mapping
from typing import Any

from boxfleet.planning import compose_draft, compose_values

_PULL = {"always": "Always", "never": "Never", "missing": "IfNotPresent", "if_not_present": "IfNotPresent"}


def _image(service: compose_draft.Service, value: Any, at: str) -> None:
    service.container["image"] = compose_values.scalar(value)


def _command(service: compose_draft.Service, value: Any, at: str) -> None:
    service.container["args"] = [word.replace("$(", "$$(") for word in compose_values.words(value)]


def _entrypoint(service: compose_draft.Service, value: Any, at: str) -> None:
    command = [word.replace("$(", "$$(") for word in compose_values.words(value)]
    if not command:
        raise ValueError("cannot be empty: write out the whole command in `entrypoint`")
    service.container["command"] = command


def _environment(service: compose_draft.Service, value: Any, at: str) -> None:
    for name, text in compose_values.mapping(value).items():
        if text is not None:
            service.env[name] = text
        elif name in service.environment:
            service.env[name] = service.environment[name]
        else:
            service.report.warn(f"{at}.{name}", "is not set in your environment and left out")


def _env_file(service: compose_draft.Service, value: Any, at: str) -> None:
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        path = item.get("path", "") if isinstance(item, dict) else item
        required = compose_values.flag(item.get("required", True)) if isinstance(item, dict) else True
        if path in service.files:
            service.env_files |= compose_values.env_file(service.files[path])
        elif required:
            service.report.refuse(f"{at}[{index}]", f"{path} cannot be read: put it beside the Compose file")


def _healthcheck(service: compose_draft.Service, value: Any, at: str) -> None:
    """A startup probe that never gives up, then a readiness probe: as in Compose, nothing is restarted by it."""
    known = {"test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"}
    unknown = {key for key in set(value) - known if not key.startswith("x-")}
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]} is not known: use {', '.join(sorted(known))}")
    test = value.get("test")
    if compose_values.flag(value.get("disable", False)) or test in ("NONE", ["NONE"]):
        return
    if not test:
        raise ValueError("has no test: health checks inside images are not read, so write the test here")
    if isinstance(test, str):
        command = ["/bin/sh", "-c", test]
    elif test[0] == "CMD":
        command = compose_values.texts(test[1:])
    elif test[0] == "CMD-SHELL":
        command = ["/bin/sh", "-c", " ".join(compose_values.texts(test[1:]))]
    else:
        raise ValueError(f"test starts with {test[0]!r}: use CMD, CMD-SHELL or NONE")
    interval = compose_values.duration(value.get("interval", 30))
    timeout = max(1, math.ceil(compose_values.duration(value.get("timeout", 30))))
    start = compose_values.duration(value.get("start_interval", min(5, interval)))
    service.container["startupProbe"] = {
        "exec": {"command": command},
        "timeoutSeconds": timeout,
        "periodSeconds": max(1, math.ceil(start)),
        "failureThreshold": 2**31 - 1,
    }
    service.container["readinessProbe"] = {
        "exec": {"command": list(command)},
        "timeoutSeconds": timeout,
        "periodSeconds": max(1, math.ceil(interval)),
        "failureThreshold": max(1, compose_values.whole(value.get("retries", 3))),
    }


def _user(service: compose_draft.Service, value: Any, at: str) -> None:
    user, _, group = compose_values.scalar(value).partition(":")
    numbers = {"root": "0"}
    for text, field in ((user, "runAsUser"), (group, "runAsGroup")):
        number = numbers.get(text, text)
        if number.isdigit():
            service.security()[field] = int(number)
        elif text:
            raise ValueError(f"{text!r} is a name, which only the image knows: write the number, such as 1000:1000")


def _capabilities(field: str) -> compose_draft.Reader:
    def reader(service: compose_draft.Service, value: Any, at: str) -> None:
        names = [name.upper().removeprefix("CAP_") for name in compose_values.texts(value)]
        service.security().setdefault("capabilities", {})[field] = names

    return reader


def _security_opt(service: compose_draft.Service, value: Any, at: str) -> None:
    for option in compose_values.texts(value):
        if option.replace("=", ":") in ("no-new-privileges", "no-new-privileges:true"):
            service.security()["allowPrivilegeEscalation"] = False
        else:
            service.report.warn(at, f"{option} has no effect")


def _security_flag(field: str) -> compose_draft.Reader:
    def reader(service: compose_draft.Service, value: Any, at: str) -> None:
        if compose_values.flag(value):
            service.security()[field] = True

    return reader


def _groups(service: compose_draft.Service, value: Any, at: str) -> None:
    context = service.pod.setdefault("securityContext", {})
    context["supplementalGroups"] = [compose_values.whole(group) for group in compose_values.texts(value)]


def _sysctls(service: compose_draft.Service, value: Any, at: str) -> None:
    context = service.pod.setdefault("securityContext", {})
    context["sysctls"] = [{"name": name, "value": text or ""} for name, text in compose_values.mapping(value).items()]


def _pull_policy(service: compose_draft.Service, value: Any, at: str) -> None:
    if value not in _PULL:
        raise ValueError(f"{value!r} is not supported: use one of {', '.join(_PULL)}")
    service.container["imagePullPolicy"] = _PULL[value]


def _flag(field: str) -> compose_draft.Reader:
    def reader(service: compose_draft.Service, value: Any, at: str) -> None:
        if compose_values.flag(value):
            service.container[field] = True

    return reader


def _init(service: compose_draft.Service, value: Any, at: str) -> None:
    if compose_values.flag(value):
        # The sandbox's first process then reaps what the program leaves.
        service.pod["shareProcessNamespace"] = True


def _working_dir(service: compose_draft.Service, value: Any, at: str) -> None:
    path = compose_values.scalar(value)
    if not posixpath.isabs(path):
        raise ValueError(f"{path!r} is not an absolute path")
    service.container["workingDir"] = path


def _grace(service: compose_draft.Service, value: Any, at: str) -> None:
    service.pod["terminationGracePeriodSeconds"] = math.ceil(compose_values.duration(value))


def _namespace_mode(field: str) -> compose_draft.Reader:
    def reader(service: compose_draft.Service, value: Any, at: str) -> None:
        if value == "host":
            service.pod[field] = True
        elif value not in ("private", "shareable"):
            raise ValueError(f"{value!r} is not supported: use host, or leave it out")

    return reader


READERS: Mapping[str, compose_draft.Reader] = {
    "cap_add": _capabilities("add"),
    "cap_drop": _capabilities("drop"),
    "command": _command,
    "entrypoint": _entrypoint,
    "env_file": _env_file,
    "environment": _environment,
    "group_add": _groups,
    "healthcheck": _healthcheck,
    "image": _image,
    "init": _init,
    "ipc": _namespace_mode("hostIPC"),
    "pid": _namespace_mode("hostPID"),
    "privileged": _security_flag("privileged"),
    "pull_policy": _pull_policy,
    "read_only": _security_flag("readOnlyRootFilesystem"),
    "security_opt": _security_opt,
    "stdin_open": _flag("stdin"),
    "stop_grace_period": _grace,
    "sysctls": _sysctls,
    "tty": _flag("tty"),
    "user": _user,
    "working_dir": _working_dir,
}
