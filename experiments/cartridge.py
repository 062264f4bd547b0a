"""One cartridge: its trials one after the other on one opened rig, recorded in a chain of its own.

This is what a worker process runs; everything it needs comes in as values and paths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from experiments.gel_block import GelBlock, ask_for_block, note_insertion, own_block
from experiments.leads import lead_of
from experiments.protocol.measure import Measure
from experiments.protocol.plan import PlannedCartridge, PlannedTrial
from experiments.protocol.technique import Technique
from experiments.put_aside import clear_unbegun, put_aside
from experiments.rebuild import Rebuilding, Relay
from experiments.steps import reassess, steps_of
from experiments.trial.device_fault import DEVICE_FAULT
from experiments.trial.needle_hand import ABOVE_SKIN_MM, OUT_MM_S, CarrierHand
from experiments.trial.stream_recorder import streaming
from experiments.trial.trial import HOLDS_IN_A_ROW_MAX_N, Anatomy, Lead, ProcedureFault, Trial, run_trial
from hal.clock import NS_PER_S, Clock, VirtualClock, WallClock
from hal.errors import DeviceError, LinkError, RecordError, RigError, SafetyStop
from hal.phantom.ledger import Ledger
from hal.phantom.nominal import load_phantom
from hal.types import Instruction, InstructionKind
from rig.calibration.certificates.in_force import InForce
from rig.config import RigConfig
from rig.control.controller import Controller
from rig.control.heap import settle_heap
from rig.devices import Rig
from rig.geometry.registration import make_surface
from rig.guidance.lumbar.dorsal_map import dorsal_map
from rig.instruments.jogs import depth_mm, move_needle
from rig.instruments.thermometer import gel_temperature
from rig.live.scene import LiveScene
from rig.record import Calibration, CartridgeRecord, DeviceRecord, TrialRecord
from rig.roles import CARRIER
from rig.safety.interrupt import held_off
from rig.safety.stop import HoldRequested
from rig.setup.opened import opened
from rig.setup.simulated import SimulatedBench, needs_bench, simulate

NO_CERTIFICATES = InForce()
STOPS_MAX_N = 2
"""Safety stops of one cartridge that a person may release; the next one ends the run."""
RELEASE_S = 1800.0
Progress = Callable[[str, str], None]
"""Called with (trial id, what happened)."""


@dataclass(frozen=True)
class Before:
    """State of a cartridge when its process ended."""

    closed: tuple[str, ...]
    """Trials that count, in order."""
    open: tuple[str, ...]
    """Trials that were begun and have to be begun again."""
    block: str = ""
    """The block of gel that was in; empty when nobody had said it yet."""
    ended: bool = False
    """Its chain was closed."""


@dataclass(frozen=True)
class CartridgeJob:
    """Everything one cartridge needs."""

    run: Path
    cartridge: PlannedCartridge
    techniques: dict[str, Technique]
    config: RigConfig
    phantom: str
    age_h: float
    """Age of the cartridge when the rig is opened for it."""
    calibrated: InForce = NO_CERTIFICATES
    """Certificates in place of what the rig file states; a simulated bench stands as the file states it."""
    ledgers: Path | None = None
    """Folder of a real bench's ledgers, which outlive the run; None: the ledger is the run folder's own."""
    before: Before | None = None
    """State of a cartridge that another process began."""
    level_shift: bool = False
    """A simulated cartridge may stand one level off."""
    measures: tuple[Measure, ...] = ()
    """Measures of the user's own procedures."""


@dataclass(frozen=True)
class CartridgeResult:
    """How it went."""

    cartridge_id: str
    completed_n: int
    devices: tuple[DeviceRecord, ...]
    failure: str = ""
    failure_kind: str = ""
    """safety, device, device_fault, procedure or empty."""
    virtual_s: float = 0.0
    faulted: tuple[str, ...] = ()
    """Trials that a device fault ended: each is to be repeated as a new one."""
    left: tuple[str, ...] = ()
    """Trials that were not begun because a device fault had ended the cartridge."""


@cache
def anatomy(phantom: str) -> Anatomy:
    """Nominal phantom prepared for guidance, once per process."""
    nominal = load_phantom(phantom)
    points, names = nominal.dorsal_bone_points(1.0)
    coarse, _ = nominal.dorsal_bone_points(1.5)
    return Anatomy(nominal, dorsal_map(points, np.asarray(names)), make_surface(coarse))


def run_cartridge(
    job: CartridgeJob,
    progress: Progress | None = None,
    clock: Clock | None = None,
    scene: LiveScene | None = None,
) -> CartridgeResult:
    """Run all trials of one cartridge; a safety stop or a device failure ends it and is reported, not raised.

    ``scene`` gets everything while it happens.
    """
    anatomy(job.phantom)
    leads = {name: lead_of(one, job.run, {m.name: m for m in job.measures}) for name, one in job.techniques.items()}
    config = job.config
    simulated_here = needs_bench(config)
    clock = clock or (VirtualClock() if simulated_here else WallClock())
    if not clock.virtual:  # simulated time waits for whoever tidies up
        settle_heap()
    needle = next(iter(job.techniques.values())).needle
    bench = None
    if simulated_here:
        bench = simulate(
            config, clock, cartridge_seed=job.cartridge.seed, phantom=job.phantom, needle=needle, age_h=job.age_h,
            # A certificate is of the bench that it was made on.
            bench_seed=None if job.calibrated.certificates else job.cartridge.bench_seed, level_shift=job.level_shift,
        )  # fmt: skip
    before = job.before
    to_do = [trial for trial in job.cartridge.trials if before is None or trial.trial_id not in before.closed]
    record = _record(job, clock)
    if not to_do:  # the process before ended between its last trial and its last word
        record.close()
        return CartridgeResult(job.cartridge.cartridge_id, len(job.cartridge.trials), ())
    config = job.calibrated.applied_to(config)
    completed, failure, kind = len(before.closed) if before else 0, "", ""
    devices: tuple[DeviceRecord, ...] = ()
    reason = "finished"
    again = [trial for trial in job.cartridge.trials if bench is not None and trial not in to_do]
    stops = 0
    faulted: list[str] = []
    left: tuple[str, ...] = ()
    try:
        with ExitStack() as stack:
            rebuilding = stack.enter_context(Rebuilding(job.run, record.cartridge_id, clock)) if again else None
            journal = Relay(rebuilding.record.journal if rebuilding else record.journal)
            controller = stack.enter_context(opened(config, clock, bench, journal))
            rig = controller.rig
            if scene is not None:
                scene.attach(rig)
            devices = tuple(DeviceRecord(identity, _worth(job, rig, role)) for role, identity in rig.identities.items())
            controller.self_test()
            block = _block(job, controller, rebuilding, to_do, poured=bench is not None)
            for planned in (*again, *to_do):
                rebuilt = rebuilding is not None and planned in again
                if rebuilding is not None and not rebuilt:
                    block = _rebuilt(job, rebuilding, record, controller)
                    journal.to, rebuilding = record.journal, None
                if progress is not None and not rebuilt:
                    progress(planned.trial_id, "started")
                writer = rebuilding.record if rebuilding is not None else record
                lead = leads[planned.technique]
                outcome, stop = _one(job, planned, controller, writer, bench, scene, block, lead)
                if not rebuilt:
                    completed += 1
                    if progress is not None:
                        progress(planned.trial_id, outcome)
                if outcome == DEVICE_FAULT and not rebuilt:
                    faulted.append(planned.trial_id)
                if stop is not None:
                    lives = isinstance(stop, SafetyStop) and stops < STOPS_MAX_N and _released(controller, stop)
                    if not lives:
                        if outcome != DEVICE_FAULT or rebuilt:
                            raise stop
                        # Nobody knows how the needle stands: the cartridge ends here, the study goes on.
                        failure, kind, reason = _with_record(stop), DEVICE_FAULT, "device fault"
                        left = tuple(t.trial_id for t in to_do[to_do.index(planned) + 1 :])
                        break
                    if bench is not None:
                        bench.witness.insertion_done()
                    stops += 1
    except SafetyStop as error:
        failure, kind, reason = _with_record(error), "safety", "stopped by safety"
    except (LinkError, DeviceError) as error:
        failure, kind, reason = _with_record(error), "device", "device failure"
    except RecordError:
        reason = "the record could not be written, or not be gone on with"
        raise
    except ProcedureFault as error:
        failure, kind, reason = _with_record(error), "procedure", "ended by a fault of its procedure"
    except RigError as error:
        # A limit or a stop rule that no step answered: the bench is safe, the cartridge ends here.
        failure, kind, reason = str(error), "safety", f"{type(error).__name__}"
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        raise
    finally:
        with held_off():
            if bench is not None:
                bench.close()
            record.close(reason)
    return CartridgeResult(
        job.cartridge.cartridge_id, completed, devices, failure, kind, clock.now_ns() / NS_PER_S, tuple(faulted), left
    )


def _record(job: CartridgeJob, clock: Clock) -> CartridgeRecord:
    """The cartridge's chain: a new one, or that of the process before, whose open trials are closed and set aside."""
    cartridge_id, before = job.cartridge.cartridge_id, job.before
    if before is None:
        return CartridgeRecord(job.run, cartridge_id, clock)
    record = CartridgeRecord.resume(
        job.run, cartridge_id, clock, {"cartridge_id": cartridge_id, "closed": before.closed, "open": before.open}
    )
    for trial_id in before.open:
        put_aside(job.run, trial_id, record.journal)
    for trial in job.cartridge.trials:
        clear_unbegun(job.run, trial.trial_id, record.journal)
    return record


def _block(
    job: CartridgeJob,
    controller: Controller,
    rebuilding: Rebuilding | None,
    to_do: Sequence[PlannedTrial],
    *,
    poured: bool,
) -> GelBlock:
    """The gel in the fixture, by the person who put it in where the rig has one; ``poured``: by this process."""
    ledger = rebuilding.ledger if rebuilding else _own_ledger(job)
    phantom = anatomy(job.phantom).phantom.spec.name
    if rebuilding is None and job.before is not None and poured:
        ledger.rebuild(controller.clock.now_ns(), ())
    if controller.rig.operator is None:
        return own_block(job.cartridge, phantom, ledger, controller.clock.now_ns(), job.age_h)
    return ask_for_block(
        controller, job.cartridge, job.ledgers or ledger, phantom=phantom, age_h=job.age_h,
        still_to_do=job.cartridge.trials if rebuilding else to_do,
        goes_on_with=job.before.block if job.before is not None and job.ledgers is not None else "",
    )  # fmt: skip


def _own_ledger(job: CartridgeJob) -> Ledger:
    return Ledger(job.run / "cartridges" / job.cartridge.cartridge_id / "ledger.jsonl")


def _rebuilt(job: CartridgeJob, rebuilding: Rebuilding, record: CartridgeRecord, controller: Controller) -> GelBlock:
    """The cartridge is as it was, without what was interrupted: shown by its rows and its ledger, which goes on."""
    assert job.before is not None
    ledger = _own_ledger(job)
    for trial_id in job.before.closed:
        rebuilding.compare(trial_id, ledger)
    ledger.rebuild(controller.clock.now_ns(), job.before.closed)
    record.journal.append("cartridge.rebuilt", {"trials": job.before.closed})
    return GelBlock(job.cartridge.cartridge_id, ledger.lot, ledger)


def _with_record(error: Exception) -> str:
    """The reason of the end, and what became of the record if that failed too."""
    lost = error.__cause__
    return f"{error}; and the record: {lost}" if isinstance(lost, RecordError) else str(error)


def _worth(job: CartridgeJob, rig: Rig, role: str) -> Calibration:
    """By certificate; the reference instrument else by what its rig file declares."""
    certified = job.calibrated.of(role) or Calibration()
    if role != "tracker" or rig.tracker is None or job.calibrated.qualification is not None:
        return certified
    bending = "sees" if rig.tracker.sees_bending else "does not see"
    u_mm = rig.tracker.tip_uncertainty_mm
    declared = f"u = {u_mm:g} mm per axis (k = 1), {bending} the needle bend; as declared"
    return replace(certified, uncertainty="; ".join(filter(None, (certified.uncertainty, declared))))


def _one(
    job: CartridgeJob,
    planned: PlannedTrial,
    controller: Controller,
    record: CartridgeRecord,
    bench: SimulatedBench | None,
    scene: LiveScene | None,
    block: GelBlock,
    lead: Lead,
) -> tuple[str, SafetyStop | LinkError | DeviceError | None]:
    """Run one trial; returns its outcome and the safety stop or the device's failure that ended it, if one did."""
    rig, technique = controller.rig, job.techniques[planned.technique]
    about: dict[str, object] = {
        "simulated": rig.simulated,
        "cartridge_id": planned.cartridge_id,
        "repeats": planned.repeats,
        "bench": job.cartridge.bench_id,
        "block": planned.block,
        "order_in_cartridge": planned.order_in_cartridge,
        "technique": technique.id,
        "approach": technique.approach(planned.side),
        "level": technique.level,
        "side": planned.side,
        "plane": technique.plane,
        "phantom_id": anatomy(job.phantom).phantom.spec.name,
        "age_h": job.age_h + controller.clock.now_ns() / NS_PER_S / 3600.0,
        "n_prior_tracks": block.ledger.n_prior_tracks,
    }
    # Before the trial begins: what stops the rig here is no trial's failure.
    temperature = gel_temperature(controller)
    about["temp_c"], about["temp_by"] = temperature.celsius, temperature.by or None
    trial_record: TrialRecord = record.trial(planned.trial_id, about | _placed(rig))
    witness = None if bench is None else bench.witness
    trial = Trial(planned, technique, anatomy(job.phantom), controller, trial_record, witness, scene=scene, about=about,
                  calibrated=job.calibrated)  # fmt: skip
    about["guidance"] = trial.hand.by
    if bench is not None:
        bench.hand_over(not isinstance(trial.hand, CarrierHand))
    block.ledger.begin(controller.clock.now_ns(), planned.level, planned.side, planned.trial_id)
    with streaming(controller, trial_record) as streams:
        try:
            return str(run_trial(trial, steps_of(trial), reassess, lead, streams.finish)["outcome"]), None
        except (SafetyStop, LinkError, DeviceError) as stop:
            return trial.log.ended, stop
        finally:
            note_insertion(block.ledger, trial)


def _placed(rig: Rig) -> dict[str, object]:
    """Placements that turn recorded axes into places: frames and needle mount in force, calibrated if certified."""
    placements = rig.config.frames
    given = {name: getattr(placements, name) for name in type(placements).model_fields}
    mount = rig.config.needle.mount
    return {
        "frames": {name: p.as_matrix().tolist() for name, p in given.items() if p is not None},
        "needle_mount": {"offset_mm": list(mount.offset_mm), "run_out_mm": list(mount.run_out_mm)},
    }


def _released(controller: Controller, stop: SafetyStop) -> bool:
    """After an interlock's stop a person looks at the bench and lets it go on; the needle then leaves the gel: by
    hand, or with the carrier that holds it.

    A stop that a person asked for is never released here.
    """
    operator = controller.rig.operator
    if operator is None or stop.source in ("operator", "estop") or controller.interrupt.count:
        return False
    controller.journal.append("release_asked", {"reason": stop.reason})
    if not controller.acknowledge():
        return False
    carrier = controller.rig.carrier
    how = "Needle out by hand" if carrier is None else "A needle in the carrier is withdrawn by it, any other by hand"
    text = f"the rig stopped: {stop.reason}. {how}; bench looked over: go on with the next trial?"
    instruction = Instruction(InstructionKind.CONFIRM, text, manner=("needle_out",))
    for attempt in range(HOLDS_IN_A_ROW_MAX_N):
        try:
            answer = controller.ask(instruction, RELEASE_S)
            break
        except HoldRequested as hold:  # a pedal, a contact: nothing moves here; the question is asked again
            controller.journal.append("hold", {"source": hold.source, "reason": hold.reason, "state": "released"})
            if attempt + 1 == HOLDS_IN_A_ROW_MAX_N:
                return False
    controller.journal.append("released", {"go_on": answer.done})
    if answer.done and carrier is not None:
        _withdraw(controller)
    return answer.done


def _withdraw(controller: Controller) -> None:
    """Take the carrier's needle out of the gel; a stop rule is reported once, withdrawal goes on."""
    for attempt in range(HOLDS_IN_A_ROW_MAX_N):
        try:
            pose = controller.read(CARRIER).pose
            above_mm = depth_mm(pose, controller.rig.config.needle.mount) + ABOVE_SKIN_MM
            if above_mm > 0.0:
                move_needle(controller, replace(pose, feed_mm=pose.feed_mm - above_mm), OUT_MM_S)
            return
        except HoldRequested as hold:
            controller.journal.append("hold", {"source": hold.source, "reason": hold.reason, "state": "released"})
            if attempt + 1 == HOLDS_IN_A_ROW_MAX_N:
                raise SafetyStop(f"a stop rule kept firing while the needle was withdrawn: {hold.reason}") from hold
