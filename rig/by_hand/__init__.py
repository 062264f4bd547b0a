"""Work by hand: an opened bench at a prompt or in a notebook, for looking and trying, never for a verdict."""

from rig.by_hand.opened_rig import OpenedRig, close_all, open_rig

__all__ = ["OpenedRig", "close_all", "open_rig"]
