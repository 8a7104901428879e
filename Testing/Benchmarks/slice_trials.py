"""Encoders trained, and sections cut from brains identified by them or by mutual information; in own processes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from regsuite import jobs
from regsuite.catalog import method as declared
from regsuite.jobs import Job
from regsuite.learning.checkpoint import read_checkpoint, write_checkpoint
from regsuite.methods.sections.baseline import ranked
from regsuite.methods.sections.identify import identify, pixel_is_known
from regsuite.methods.sections.prepared import Prepared, prepared
from regsuite.methods.sections.ranking import rank_errors
from regsuite.methods.sections.run import Run, answer_of, taken_out
from regsuite.progress import Context, Progress

from Benchmarks.cost import Cost
from Benchmarks.slice_volumes import Brains, Cut, cuts
from Benchmarks.workshop import Missing

Values = dict[str, Any]
Folders = dict[str, str]


def trained(folders: Folders, parameters: Values, file: str, device: str = "cpu") -> Values:
    """An encoder of the atlas, learned from the atlas alone, in ``file``; what that took, and how it does on sections
    made of the atlas.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise Missing("PyTorch finds no GPU here.")
    brains = Brains(folders)
    inputs: Values = {"moving": brains.template, "moving_labels": brains.labels}
    with Cost() as cost:
        result = jobs.train(Job("atlas-encoder", inputs, parameters, device=device))
    write_checkpoint(file, result.checkpoint)
    name = torch.cuda.get_device_name() if device == "cuda" else "processor"
    made = result.checkpoint.card["training"]["made"]
    table = result.tables["validation"]
    lines = [[str(cell) if isinstance(cell, str) else float(cell) for cell in line] for line in table.rows]
    return {**cost.figures, **result.metrics, "iterations": made, "device": name, "validation": lines}


def card(file: str) -> Values:
    """What an encoder's file says of its training."""
    if not Path(file).exists():
        raise Missing(f"There is no encoder '{file}'.")
    return dict(read_checkpoint(file).card)


def identified(
    folders: Folders, encoder: str, volume: str, skull: bool, oblique: bool, cut: str, every: int, seed: int
) -> list[Values]:
    """Figures of every section; cut: what the method is told, 'parallel' or 'oblique'."""
    brains = Brains(folders)
    trial = _Trial(brains, encoder, cut)
    trial.figures(next(cuts(brains, volume, skull, oblique, every, seed)))  # no first use is measured
    with Cost() as cost:
        found = [trial.figures(each) for each in cuts(brains, volume, skull, oblique, every, seed)]
    return [each | {"memory_mb": cost.figures["memory_mb"]} for each in found]


class _Trial:
    """The method, ready for one section after the other, without the fit, which changes no plate."""

    def __init__(self, brains: Brains, encoder: str, cut: str) -> None:
        some = next(cuts(brains, "microscopy", False, False, 1, 0)).image
        inputs: Values = {"fixed": some, "moving": brains.template, "moving_labels": brains.labels}
        parameters = declared("atlas-slice").check_values({"cut": cut, "deformation": "none"})
        self.run = Run({**inputs, "encoder": read_checkpoint(encoder)}, parameters, Context())

    def figures(self, section: Cut) -> Values:
        """Positions, from 0, of the true plate; errors of the found pose; seconds of each step."""
        run, started = self.run, time.perf_counter()
        shown = taken_out(prepared(section.image), run.trained, run.parameters)
        seconds = [time.perf_counter()]
        parallel = run.parameters.cut == "parallel"
        seen = identify(shown, run.trained, pixel_is_known(shown, run.trained), parallel)
        seconds.append(time.perf_counter())
        found, seen = run.placed(shown, seen)
        seconds.append(time.perf_counter())
        answer = answer_of(run.trained, shown, seen, found)
        pose, truth = found.found.pose, torch.tensor([section.plate])
        off = [abs(float(pose[place] - section.pose[place])) for place in range(3)]
        return {
            "plate": section.plate,
            "partial": section.partial,
            "embedding": int(rank_errors(answer.distances[None], truth)),
            "belief": int(rank_errors(-answer.belief[None], truth)),
            "plates_off": off[0] / run.plates.spacing,
            "angles_off": [float(torch.rad2deg(torch.tensor(each))) for each in off[1:]],
            "confidence": answer.confidence,
            "left_out": shown.left_out,
            "outline": _overlap(shown, section),
            "seconds_preparing": seconds[0] - started,
            "seconds_identifying": seconds[1] - seconds[0],
            "seconds_slicing": seconds[2] - seconds[1],
        }


def _overlap(shown: Prepared, section: Cut) -> float:
    """Dice of what is taken for tissue and what is."""
    found, truth = shown.tissue, section.tissue
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def by_information(
    folders: Folders, volume: str, skull: bool, every: int, chosen: int, seed: int, iterations: int
) -> list[Values]:
    """The baseline on every ``chosen``-th of the sections of :func:`identified`."""
    brains = Brains(folders)
    sections = list(cuts(brains, volume, skull, False, every, seed))[::chosen]
    with Cost() as cost:
        found = [_by_information(brains, section, iterations) for section in sections]
    return [each | {"memory_mb": cost.figures["memory_mb"]} for each in found]


def _by_information(brains: Brains, section: Cut, iterations: int) -> Values:
    started = time.perf_counter()
    shown = prepared(section.image)
    plates = ranked(shown.picture, shown.pixel, brains.template, brains.plates, iterations, Progress())
    rank = next(place for place, each in enumerate(plates) if each.plate == section.plate)
    seconds = time.perf_counter() - started
    off = abs(plates[0].plate - section.plate)
    found = {"plate": section.plate, "partial": section.partial, "information": rank, "plates_off": off}
    return {**found, "seconds": seconds}
