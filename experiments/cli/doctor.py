"""``phantomrig doctor``: what is wrong with this installation and with a rig file."""

from __future__ import annotations

from experiments.doctor import Finding


def show(findings: list[Finding]) -> None:
    """Print the findings for a person, on stderr, the worst last."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    mark = {"ok": "[green]ok[/]     ", "warning": "[yellow]warning[/]", "error": "[red]ERROR[/]  "}
    for level in ("ok", "warning", "error"):
        for finding in findings:
            if finding.level == level:
                advice = f" - {escape(finding.advice)}" if finding.advice else ""
                console.print(f"{mark[level]} {escape(finding.what)}: {escape(finding.text)}{advice}")
