"""This file decides the one loop that trains every model.

A step takes a batch, computes it in parts, and moves the weights once: the loss is the mean over
the clips that count, whatever the split into parts (`where`, not multiplication: 0 * NaN). What
counts is known of a batch before it is computed: clips that could be read, and in each label column
those that have a label there; the losses of the columns add up.
"""

import math
import time
from copy import deepcopy
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from everest import checkpoint
from everest.clips import Clips
from everest.clock import Clock
from everest.convert.read import WeightsError
from everest.judging import judge_epoch
from everest.loop import Job, Loop
from everest.stopping import BrokenOff, Signals, Stopped

SAVE_SECONDS = 120.0  # between states within an epoch and across short ones
ESTIMATE_STEPS = 6  # after which the run's time is estimated
NON_FINITE_LIMIT = 10  # steps in a row


class NotFinite(ValueError):
    """Training that has gone astray: too many steps in a row without a finite gradient."""

    exit_code = 1  # the work had begun


def fit(job: Job, loop: Loop) -> Loop:
    """Trains from where `loop` stands to the last epoch, saving as it goes.

    Raises Stopped after saving when a signal came or `stop_after` is reached, NotFinite when
    training has gone astray.
    """
    saved = time.monotonic()
    estimated = False
    stop_at = job.epochs if job.stop_after is None else min(job.stop_after, job.epochs)
    with Signals() as signals:
        while loop.epoch < stop_at and not loop.ended:
            clock = Clock(job.batches.waited)
            job.model.train()
            for clips in job.batches.epoch(loop.epoch, job.batch, start=loop.step_in_epoch):
                figures = step(job, loop, clips)
                clock.count(len(clips.weight))
                if clock.steps == ESTIMATE_STEPS and not estimated:
                    estimated = True
                    left = job.epochs * job.steps_per_epoch - loop.step
                    peak = job.machine.peak_megabytes()
                    job.tell({"estimate": clock.each() * left, "peak_mb": peak})
                if loop.step % job.log_every == 0 and figures:
                    line = {"kind": "step", "step": loop.step, "epoch": loop.epoch, **figures}
                    job.folder.append("metrics.jsonl", line)
                if signals.stop is not None:
                    save(job, loop)
                    told = f"stopped at step {loop.step} and saved; go on with --resume"
                    raise Stopped(signals.stop, told)
                if signals.save or time.monotonic() - saved > SAVE_SECONDS:
                    signals.save = False
                    save(job, loop)
                    saved = time.monotonic()
            end_epoch_or_stop(job, loop, clock, signals)
            if time.monotonic() - saved > SAVE_SECONDS:
                save(job, loop)
                saved = time.monotonic()
            if signals.stop is not None:
                save(job, loop)
                told = f"stopped after epoch {loop.epoch} and saved; go on with --resume"
                raise Stopped(signals.stop, told)
    save(job, loop)
    if loop.epoch < job.epochs and not loop.ended:
        raise Stopped(0, f"stopped after epoch {loop.epoch} as asked; go on with --resume")
    return loop


def step(job: Job, loop: Loop, clips: Clips) -> dict[str, float]:
    """One batch; returns its figures, or nothing when the step was skipped."""
    counts = job.counts(clips)
    counted = max((float(count.sum()) for count in counts.values()), default=0.0)
    loop.unread += len(clips.weight) - int((clips.weight > 0).sum())
    rate = job.schedule.rate(loop.step)
    for group in job.optimizer.param_groups:
        group["lr"] = rate * group["scale"]
    job.optimizer.zero_grad(set_to_none=True)
    loss = clips.weight.new_zeros(())
    before = [(buffer, buffer.clone()) for buffer in job.buffers]
    if counted > 0:
        loss = backward(job, clips, counts)
        norm = norm_of(job)
        finite = bool(loss.isfinite()) and math.isfinite(norm)
        if finite:
            job.optimizer.step()
            if job.average is not None:
                job.average.step()
            loop.skipped_in_row = 0
            loop.loss_sum += loss.item() * counted
            loop.clip_sum += counted
        else:
            for buffer, value in before:
                buffer.copy_(value)
            loop.skipped += 1
            loop.skipped_in_row += 1
    loop.step += 1
    loop.step_in_epoch += 1
    if loop.skipped_in_row >= NON_FINITE_LIMIT:
        save(job, loop)
        raise NotFinite(
            f"{NON_FINITE_LIMIT} steps in a row gave no finite loss or gradient, up to step "
            f"{loop.step}; the weights before them are kept in {job.folder.state}. Try a lower "
            f"--optim.lr, --optim.clip-grad 1.0 or --precision float32"
        )
    if counted == 0 or loop.skipped_in_row:
        return {}
    return {"loss": loss.item(), "lr": rate, "gradient_norm": norm}


def backward(job: Job, clips: Clips, counts: dict[str, Tensor]) -> Tensor:
    """Gradients of the mean loss over the clips that count, the means of several losses added;
    returns that loss."""
    size = -(-len(clips.weight) // job.parts)  # with repeats, more clips than job.batch
    total = torch.zeros((), device=job.machine.device)
    sums = {name: float(count.sum()) for name, count in counts.items()}
    for start in range(0, len(clips.weight), size):
        part = job.machine.bring(clips.part(start, start + size))
        with job.machine.autocast():
            out = job.model(part)
        means = []
        for name, count in counts.items():
            if sums[name] > 0:
                own = count[start : start + size].to(job.machine.device)
                kept = torch.where(own > 0, out[name] * part.weight, 0.0)
                means.append(kept.sum() / sums[name])
        mean = torch.stack(means).sum()
        mean.backward()
        total += mean.detach()
    return total


def norm_of(job: Job) -> float:
    """The gradient's L2 norm; the gradient is scaled down to `clip_grad` where that is less."""
    parameters = [parameter for parameter in job.model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm([it.grad for it in parameters if it.grad is not None])
    if job.clip_grad is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, job.clip_grad, norm)
    return norm.item()


def end_epoch_or_stop(job: Job, loop: Loop, clock: Clock, signals: Signals) -> None:
    """Ends the epoch. Where the run is told to stop while it is judged, that is broken off and done
    when it goes on: Stopped is raised after saving where the last step stood."""
    before, size = deepcopy(loop), job.folder.size("metrics.jsonl")
    try:
        with signals.breaking_off():
            end_epoch(job, loop, clock)
    except BrokenOff:
        assert signals.stop is not None
        job.folder.cut("metrics.jsonl", size)
        job.model.train()
        save(job, before)
        told = f"stopped at step {before.step} and saved; go on with --resume"
        raise Stopped(signals.stop, told) from None


def end_epoch(job: Job, loop: Loop, clock: Clock) -> None:
    """Logs the epoch, and has it judged."""
    figures: dict[str, Any] = {
        "kind": "epoch",
        "step": loop.step,
        "epoch": loop.epoch + 1,
        "loss": loop.loss_sum / loop.clip_sum if loop.clip_sum else None,
        "lr": job.schedule.rate(max(loop.step - 1, 0)),
        "skipped": loop.skipped,
        "unread": loop.unread,
    }
    timing = clock.figures(job.batches.waited)
    loop.epoch += 1
    loop.step_in_epoch = 0
    loop.loss_sum = loop.clip_sum = 0.0
    job.folder.append("metrics.jsonl", figures)
    peak = job.machine.peak_megabytes()
    job.folder.append("timings.jsonl", {"epoch": loop.epoch, **timing, "peak_mb": peak})
    # Its own loss is told, not that of validation.
    job.tell({**judge_epoch(job, loop), **figures, **timing})


def save(job: Job, loop: Loop) -> None:
    for name in ("metrics.jsonl",):
        loop.sizes[name] = job.folder.size(name)
    loop.bad = job.batches.set_aside()
    average = None if job.average is None else job.average.values
    checkpoint.save_state(
        job.folder.state, loop.step, job.model, job.optimizer, asdict(loop), average
    )
    with job.averaged():
        job.model.save_pretrained(job.folder.weights("last"))  # type: ignore[operator]


def resumed(job: Job) -> Loop | None:
    """Puts the newest saved state in place; None where nothing was saved.

    Raises WeightsError when all states are damaged.
    """
    state = checkpoint.load_state(job.folder.state)
    if state is None:
        return None
    try:
        checkpoint.restore(state, job.model, job.optimizer)
        if job.average is not None:
            job.average.restore(state.average or {})
        loop = Loop(**state.loop)
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{job.folder.state}: saved by another version of everest ({error}); go on with that "
            f"one, or start anew with another --out"
        ) from error
    job.batches.restore(loop.bad)
    for name, size in loop.sizes.items():
        job.folder.cut(name, size)
    if state.warning:
        job.tell({"warning": state.warning})
    return loop
