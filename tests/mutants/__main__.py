"""``python -m tests.mutants SEED``: what ``phantomrig test --mutants SEED`` runs."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from dataclasses import asdict
from multiprocessing.context import ForkProcess
from pathlib import Path

from tests.mutants.campaign import Area, Mutant, campaign, draw, equivalents
from tests.mutants.shadow import Shadow
from tests.mutants.sites import Site
from tests.mutants.testrun import load_libraries

ROOT = Path(__file__).resolve().parents[2]
WANTED = 0.90
"""Share of the faults, equivalents apart, that must be noticed."""


def main() -> int:
    """Run one campaign; 0 when enough was noticed, 1 when not."""
    parser = argparse.ArgumentParser(prog="phantomrig test --mutants", description=__doc__)
    parser.add_argument("seed", type=int, help="which sample is drawn")
    parser.add_argument("--count", type=int, default=300, help="how many faults are drawn")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help="only the files whose path holds this text")
    parser.add_argument("--again", type=Path, help="only those that survived in this file of an earlier --out")
    parser.add_argument("--out", type=Path, help="one JSON line per fault")
    asked = parser.parse_args()
    if asked.count < 1 or asked.workers < 1:
        parser.error("--count and --workers are at least 1")
    sample = [(a, s) for a, s in draw(ROOT, asked.seed, asked.count) if asked.only in s.file]
    if asked.again is not None:
        lines = [json.loads(line) for line in asked.again.read_text().splitlines()]
        alive = {_key(line) for line in lines if not line["killed_by"] and not line["equivalent"]}
        sample = [(a, s) for a, s in sample if _key(asdict(Mutant(s, "", 0.0))) in alive]
    load_libraries()
    began = time.perf_counter()
    mutants = _share_out(sample, asked.workers, asked.out)
    return _tell(mutants, time.perf_counter() - began)


def _key(line: dict[str, object]) -> str:
    site = line["site"]
    assert isinstance(site, dict)
    return json.dumps([site[name] for name in ("file", "function", "was", "becomes")])


def _share_out(sample: list[tuple[Area, Site]], workers: int, out: Path | None) -> list[Mutant]:
    """Each process takes the files that come next; the order of the answer is that of the sample, in ``out`` that in
    which they were judged."""
    context = multiprocessing.get_context("fork")
    by_file: dict[str, list[tuple[Area, Site]]] = {}
    for area, site in sample:
        by_file.setdefault(site.file, []).append((area, site))
    order = {str(site): i for i, (_, site) in enumerate(sample)}
    jobs, results = context.Queue(), context.Queue()
    for part in sorted(by_file.values(), key=len, reverse=True):
        jobs.put(part)
    for _ in range(workers):
        jobs.put(None)
    if out is not None:
        out.write_text("")
    with tempfile.TemporaryDirectory(prefix="phantomrig-mutants-") as place:
        (Path(place) / "listened").mkdir()
        mutants = _gather(
            [context.Process(target=_work, args=(Path(place), k, jobs, results)) for k in range(workers)], results, out,
            len(sample),
        )  # fmt: skip
    if len(mutants) < len(sample):
        raise SystemExit(f"only {len(mutants)} of {len(sample)} faults were judged")
    return sorted(mutants, key=lambda m: order[str(m.site)])


def _gather(
    running: list[ForkProcess], results: multiprocessing.Queue[Mutant | str | None], out: Path | None, whole: int
) -> list[Mutant]:
    for process in running:
        process.start()
    mutants: list[Mutant] = []
    ended = 0
    while ended < len(running):
        result = results.get(timeout=3600)
        if result is None:
            ended += 1
        elif isinstance(result, str):
            print(result, file=sys.stderr, flush=True)
        else:
            mutants.append(result)
            if out is not None:
                with out.open("a") as file:
                    file.write(json.dumps(asdict(result)) + "\n")
            print(f"{len(mutants)} of {whole}  {_word(result)}  {result.site}", file=sys.stderr, flush=True)
    for process in running:
        process.join()
    return mutants


def _work(
    place: Path,
    number: int,
    jobs: multiprocessing.Queue[list[tuple[Area, Site]] | None],
    results: multiprocessing.Queue[Mutant | str | None],
) -> None:
    """One process after another, a file each: what a file's tests load stays with it."""
    context = multiprocessing.get_context("fork")
    shadow = Shadow(ROOT, place / f"tree-{number}", place / "listened")
    while (part := jobs.get()) is not None:
        process = context.Process(target=campaign, args=(shadow, part, results.put))
        process.start()
        process.join()
        if process.exitcode:
            results.put(f"the campaign of {part[0][1].file} ended with {process.exitcode}")
    results.put(None)


def _word(mutant: Mutant) -> str:
    if mutant.equivalent:
        return "equivalent"
    return f"noticed in {mutant.seconds:.0f} s" if mutant.killed_by else "SURVIVED"


def _tell(mutants: list[Mutant], seconds: float) -> int:
    judged = [m for m in mutants if not m.equivalent]
    alive = [m for m in judged if not m.killed_by]
    print(f"{'place':44s} faults  noticed  equivalent")
    for file in sorted({m.site.file for m in mutants}):
        here = [m for m in mutants if m.site.file == file]
        print(
            f"{file:44s} {len(here):6d}  {sum(bool(m.killed_by) for m in here):7d}  "
            f"{sum(bool(m.equivalent) for m in here):10d}"
        )
    for mutant in alive:
        print(f"survived: {mutant.site}")
    share = 1.0 - len(alive) / len(judged) if judged else 1.0
    print(
        f"{len(judged) - len(alive)} of {len(judged)} faults noticed ({100 * share:.1f} %, wanted {100 * WANTED:.0f}), "
        f"{len(mutants) - len(judged)} equivalent ({len(equivalents())} are listed), {seconds / 60:.1f} min"
    )
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
