"""The first stretch below the skin lies outside any picture: advanced by feed alone, counted as unconfirmed travel."""

from __future__ import annotations

from experiments.steps.guide import Guide
from experiments.trial.trial import Trial


def advance_superficial(trial: Trial, guide: Guide) -> None:
    """To where the needle is looked for; as soon as enough shaft is in the picture, the picture decides."""
    goal = min(deepest_mm(trial), guide.seen_from_mm(trial), trial.path.plan.feed_mm - 10.0)
    start = trial.hand.feed_mm
    trial.hand.advance(goal - start, speed_mm_s(trial, goal), blind=True)
    _count(trial, goal - max(0.0, start))


def advance_deeper(trial: Trial, by_mm: float) -> None:
    """A little further when the needle is in no picture yet."""
    trial.hand.advance(by_mm, speed_mm_s(trial, trial.hand.feed_mm + by_mm), blind=True)
    _count(trial, by_mm)


def deepest_mm(trial: Trial) -> float:
    """Feed above which no probe position can show the tip."""
    return trial.technique.advance.superficial_mm / max(0.3, float(trial.path.plan.direction[2]))


def speed_mm_s(trial: Trial, to_feed_mm: float) -> float:
    """Fast only as far as the plan declares the path free of bone."""
    settings = trial.technique.advance
    return settings.speed_mm_s if to_feed_mm <= trial.controller.travel.clear_to_mm else settings.near_speed_mm_s


def _count(trial: Trial, unconfirmed_mm: float) -> None:
    trial.controller.travel.allow_here()
    trial.log.unconfirmed_mm += unconfirmed_mm
    trial.log.steps_n += 1
