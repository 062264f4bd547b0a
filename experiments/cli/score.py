"""``phantomrig score``: the figures of guidance on unseen phantoms as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BONE_ROWS = {
    "facing": "facing probe",
    "facing_sure": "confidence > 0.5",
    "all_with_bone": "all with bone",
}
TITLES = {
    "needle": "Needle tip in plane",
    "crossing": "Needle tip out of plane",
    "fluid": "Needle tip in plane by a test injection",
}


def show(result: dict[str, Any]) -> None:
    """Print the figures for a person, on stderr."""
    from rich.console import Console

    seeds = result["seeds"]
    console = Console(stderr=True)
    for part, figures in result["parts"].items():
        if part == "bone":
            table = _bone_table(figures)
        elif part == "level":
            table = _level_table(figures)
        else:
            table = _tip_table(part, figures)
        table.caption = (
            f"simulated; phantomrig {result['version']}; {result['over']}, seeds {seeds[0]}-{seeds[-1]}; "
            "says nothing about other spines"
        )
        console.print(table)


def _table(title: str, head: Sequence[str]) -> Any:
    from rich.table import Table

    table = Table(title=title)
    for k, name in enumerate(head):
        table.add_column(name, justify="right" if k else "left")
    return table


def _percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def _mm(*values: float | None) -> str:
    return " / ".join("-" if v is None else f"{v:.2f}" for v in values)


def _bone_table(bone: dict[str, Any]) -> Any:
    none = bone["without_bone"]
    false = f"bone on {none['found_n']} of {none['lines_n']} lines without bone"
    table = _table(
        f"Bone surface (mm), {bone['frames_n']} frames; {false}",
        ("lines", "n", "found", "median", "RMSE < 2", "RMSE", "> 1 mm", "> 2 mm"),
    )
    for key, name in BONE_ROWS.items():
        row = bone[key]
        table.add_row(
            name, str(row["lines_n"]), _percent(row["found_share"]), _mm(row["median_error_mm"]),
            _mm(row["rmse_below_2mm_mm"]), _mm(row["rmse_mm"]), _percent(row["over_1mm_share"]),
            _percent(row["over_2mm_share"]),
        )  # fmt: skip
    return table


def _level_table(level: dict[str, Any]) -> Any:
    table = _table(
        f"Level: {level['answered_n']} of {level['phantoms_n']} answered, {level['wrong_n']} wrong "
        f"(upper bound {_percent(level['wrong_share_upper_95'])}), {level['registered_n']} registered",
        ("root", "n", "global: median / p95 (mm)", "n local", "local: median / p95 (mm)"),
    )
    for name, fits in level["roots"].items():
        whole, local = fits["global"], fits["local"]
        table.add_row(name, str(whole["n"]), _mm(whole["median_mm"], whole["p95_mm"]), str(local["n"]),
                      _mm(local["median_mm"], local["p95_mm"]))  # fmt: skip
    return table


def _tip_table(part: str, figures: dict[str, Any]) -> Any:
    table = _table(
        f"{TITLES[part]}; errors median / p95; false: confirmed, over 2 mm off; bound: one-sided 95 %",
        ("method", "kind", "n", "found", "image (mm)", "conf.", "3-D (mm)", "false", "bound"),
    )  # fmt: skip
    for method, kinds in figures["methods"].items():
        for number, (kind, row) in enumerate(kinds.items()):
            table.add_row(
                "" if number else method, kind, str(row["scenes_n"]), str(row["found_n"]),
                _mm(row["image_error_median_mm"], row["image_error_p95_mm"]), str(row["confirmed_n"]),
                _mm(row["error_3d_median_mm"], row["error_3d_p95_mm"]), str(row["false_n"]),
                _percent(row["false_share_upper_95"]),
            )  # fmt: skip
    return table
