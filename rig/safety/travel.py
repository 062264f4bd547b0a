"""Travel of the needle beyond the last place at which its tip was known."""

from __future__ import annotations

from hal.errors import LimitViolation


class NeedleTravel:
    """Follows the feed of the tip, as calibrated.

    A track that was confirmed once may be travelled again; a new one begins at the skin.
    """

    def __init__(self, limit_mm: float) -> None:
        self.limit_mm = limit_mm
        self.feed_mm = 0.0
        self.confirmed_feed_mm = 0.0
        self.blind_mm = 0.0
        """Travel of this trial that lay beyond the limit (only possible where blind advance was allowed)."""
        self.clear_to_mm = 0.0
        """Feed of the tip up to which the path was declared free of bone; beyond it the needle goes slowly."""

    @property
    def since_confirmed_mm(self) -> float:
        return max(0.0, self.feed_mm - self.confirmed_feed_mm)

    @property
    def room_mm(self) -> float:
        """Distance that the tip may travel before it must be confirmed again."""
        return max(0.0, self.limit_mm - self.since_confirmed_mm)

    def reset(self) -> None:
        """Start a new trial."""
        self.feed_mm = self.confirmed_feed_mm = self.blind_mm = self.clear_to_mm = 0.0

    def allow_here(self) -> None:
        """Start counting here: the superficial layer, which no image shows, was crossed by feed alone."""
        self.confirmed_feed_mm = max(self.confirmed_feed_mm, self.feed_mm, 0.0)

    def confirm(self) -> None:
        """Note that the tip has just been confirmed here: by view, motion or fluid."""
        self.confirmed_feed_mm = max(0.0, self.feed_mm)

    def declare_clear(self, to_feed_mm: float) -> None:
        """Declare by the plan of this path that no bone is expected up to this feed."""
        self.clear_to_mm = max(0.0, to_feed_mm)

    def check_speed(self, feed_mm: float, speed_mm_s: float, bone_speed_mm_s: float) -> None:
        """Raise ``LimitViolation`` for a feed target beyond the declared part at more than the speed near bone."""
        if speed_mm_s > bone_speed_mm_s + 1e-9 and feed_mm > self.clear_to_mm + 1e-6:
            raise LimitViolation(
                "needle speed where bone may be met (mm/s)",
                speed_mm_s,
                f"{bone_speed_mm_s:g} mm/s beyond a feed of {self.clear_to_mm:.1f} mm",
            )

    def check(self, feed_mm: float) -> None:
        """Raise ``LimitViolation`` when a feed target lies beyond the range in which the tip is known."""
        beyond = feed_mm - max(0.0, self.confirmed_feed_mm)
        if beyond > self.limit_mm + 1e-6:
            limit = f"{self.limit_mm:g} mm: confirm first where the tip is (by hand: look, then needle.tip_seen)"
            raise LimitViolation("needle travel without confirmed tip (mm)", beyond, limit)

    def moved_to(self, feed_mm: float) -> None:
        """Note that the tip has arrived (by read-back of the feed)."""
        reach = self.confirmed_feed_mm + self.limit_mm
        self.blind_mm += max(0.0, feed_mm - max(self.feed_mm, reach))
        self.feed_mm = feed_mm
        if feed_mm <= 0.0:
            self.confirmed_feed_mm = 0.0
