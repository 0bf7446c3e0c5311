"""What to do about the troubles that statuses and events name: a reason in, a remedy out."""

import re

# By reason. {namespace} and {name} are the object's; reasons are Kubernetes' where it has one.
_BY_REASON = {
    "ErrImagePull": "image",
    "ImagePullBackOff": "image",
    "InvalidImageName": "correct `image` in the pod template: NAME:TAG or HOST/NAME:TAG",
    "ErrImageNeverPull": "image",
    "CrashLoopBackOff": "read its last words: kubectl -n {namespace} logs {name}{container} --previous",
    "Error": "read its last words: kubectl -n {namespace} logs {name}{container} --previous",
    "BackOff": "read its last words: kubectl -n {namespace} logs {name}{container} --previous",
    "OOMKilled": "it needs more memory: raise resources.limits.memory, or find out what it does with it",
    "CreateContainerConfigError": "make the ConfigMap or Secret that it names, or correct the name",
    "PostStartHookError": "correct the hook `lifecycle.postStart`, which has to end with 0 each time it starts",
    "RunContainerError": "correct `command`: the program must be in the image and executable",
    "StartError": "correct `command`: the program must be in the image and executable",
    "Unhealthy": "see whether it listens where the probe looks: kubectl -n {namespace} logs {name}; "
    "kubectl -n {namespace} describe pod {name}",
    "ReadinessProbeFailed": "see whether it listens where the probe looks: kubectl -n {namespace} logs {name}",
    "Failed": "read its last words: kubectl -n {namespace} logs {name}; a Pod of its own stays until it is deleted",
    "NoNode": "a deleted Node comes back with its agent's start: boxfleet up; else read STATE/logs/agent/current",
    "NoAddressPool": "make one named default: `kubectl explain addresspool.spec` has its fields",
    "AddressPoolFull": "delete what is not needed, or make room: kubectl edit addresspools (cidr, start, end, exclude)",
    "FailedScheduling": "free resources, add a host, or lower what the template requests, selects or tolerates",
    "Unschedulable": "free resources, add a host, or lower what the template requests, selects or tolerates",
    "WaitingForDependency": "nothing to do here: mend the Unit that it waits for",
    "FilesNotRendered": "correct the templates in `env` and `files` of the Unit",
    "TemplateError": "correct the templates in `env` and `files` of the Unit",
    "WaitingForClaim": "delete the Pods that still use the claim; the Unit makes it again when it is gone",
    "NameConflict": "rename the Box or the Unit, or delete the one that has the name",
    "HostPortConflict": "port",
    "MemoryPressure": "see what uses it: kubectl top pods -A; give large instances limits, or add a host",
    "DiskPressure": "make room in the state folder's file system: what is not Boxfleet's, then Boxes that nobody needs",
    "PIDPressure": "see what makes so many processes: ps -eLf | wc -l, systemd-cgtop",
    "IOPressure": "see what uses the disk: iotop, cat /proc/pressure/io",
    "DiskProblem": "read what the kernel says: dmesg; replace the disk, or check its file system (fsck) unmounted",
    "ReadOnlyProblem": "read why the kernel made it so: dmesg; check the file system, then mount it again or reboot",
    "ClockProblem": "let the clocks of hosts and servers follow one time: timedatectl set-ntp true, or chrony",
    "RuntimeProblem": "read STATE/logs/containerd.log on that host",
    "FactsProblem": "correct the script that is named, or take it out of its folder",
    "ClusterUnreachable": "see whether it runs and its address is reached from here; instances with failover start "
    "elsewhere meanwhile",
    "ClusterDenied": "put fresh keys into its Secret: kubectl -n boxfleet-clusters edit secret",
    "NodeNotReady": "look after the node: boxfleet status on it; its agent's log is in STATE/logs/agent",
}
_IMAGE = (
    "build it (boxfleet image build DIR), import it (boxfleet image import FILE), or correct its name; "
    "boxfleet image list shows what is there"
)
_PORT = (
    "find who has the port (ss -ltnp, or another instance: kubectl get pods -A) and stop it, or choose another hostPort"
)
_CLAIM = "make the PersistentVolumeClaim, or correct `claimName`"
_PORT_WORDS = re.compile(r"address already in use|port is already|hostport.{0,40}(taken|in use)|bind:", re.IGNORECASE)
# Where a message of `pull_words` has a remedy that fits better than another way to bring the image.
_REGISTRY_WORDS = re.compile(r"wants a password|refuses the name and password|hosts\.toml|see whether the registry")
_REFUSED = re.compile(r"Cluster \S+ cannot take it: ")
_LACKS_PORT = re.compile(r"free (host )?ports?|hostPort", re.IGNORECASE)


def of(reason: str, message: str = "", *, namespace: str = "", name: str = "", container: str = "") -> str:
    """What a person can do; empty when nothing better is known than to read the message."""
    if _PORT_WORDS.search(message) or (reason in ("FailedScheduling", "Unschedulable") and _LACKS_PORT.search(message)):
        return _PORT
    if reason in ("FailedScheduling", "Unschedulable") and message.startswith("persistentvolumeclaim "):
        return _CLAIM
    if _REFUSED.match(message):
        # The driver says by itself what to change.
        return ""
    text = _BY_REASON.get(reason, "")
    if text == "image":
        return "" if _REGISTRY_WORDS.search(message) else _IMAGE
    if text == "port":
        return _PORT
    return text.format(namespace=namespace or "default", name=name, container=f" -c {container}" if container else "")
