"""Python's collector of cycles in a process that answers many requests for long."""

import gc

# A request makes hundreds of objects, which go as soon as it is answered. With Python's own 700 many of them are looked
# at while they are in use, and those that live on lead to looks at everything.
_YOUNG = 10_000
_MIDDLE = 20
_OLD = 50


def settle() -> None:
    """Look no more at what is there now, for it stays until the end, and less often at what comes.

    A server holds some 80,000 such objects (modules, types, routes, schemas), and a full collection went through them
    each time, while everything waited: 60 ms on the machine of the benchmarks.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
