"""Garbage collection must not stop a process that watches devices: long-lived objects are kept out of it.

Python's full collection walks every object of the process and stops all its threads: about 200 000 objects after the
imports and the preparation of guidance, 0.1 to 0.2 s, as long as a watched pressure may stay unread.
"""

from __future__ import annotations

import gc


def settle_heap() -> int:
    """Collect once, now, and leave what has survived out of every later collection; returns how many objects that are.

    To be called when everything is loaded and no device is watched yet. Objects are still freed when nobody refers to
    them; cycles among them stay until the next call.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return gc.get_freeze_count()
