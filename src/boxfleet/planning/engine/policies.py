"""How much each part of a score counts."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Weights of the parts; each part is between 0 and 1."""

    # Free room after it; below zero fills places up.
    room: float = 1.0
    # Few of its own group. Members of one Unit stay apart while there is any room elsewhere.
    apart: float = 2.0
    images: float = 0.5
    # Preferred node affinity, taints that only prefer, preferred topology spread, preferred terms about other Pods.
    affinity: float = 2.0
    taints: float = 3.0
    topology: float = 2.0
    pods: float = 2.0
    # Few stranded GPUs (fragments.py).
    devices: float = 4.0


SPREAD = Policy()
PACK = Policy(room=-1.0, apart=0.0)
# GPUs are dear: nothing counts but that they stay usable.
DEVICES = Policy(room=0.0, apart=0.0, images=0.0, affinity=0.0, taints=0.0, topology=0.0, pods=0.0, devices=1.0)
