"""Full collections and what they need not look at."""

import subprocess
import sys

# In a process of its own: what is kept is kept by the whole process.
_SCRIPT = """
import gc, weakref
from boxfleet.kit import pauses

class Knot:
    def __init__(self):
        self.me = self

gc.disable()
before = weakref.ref(Knot())
kept = [Knot() for _ in range(100)]
pauses.settle()
assert before() is None, "what was garbage is kept for ever"
looked_at = {id(one) for one in gc.get_objects()}
assert not looked_at & {id(one) for one in kept}, "what is kept is still looked at"
after = weakref.ref(Knot())
gc.collect()
assert after() is None, "later garbage is not freed"
"""


def test_what_is_kept_is_looked_at_no_more_and_garbage_is_still_freed() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
