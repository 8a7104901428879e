"""A healthy brain registered to one with a tumour, from nothing to pictures: ``python -m RegistrationSuiteLib.demo``.

Another person is made of the MNI152 template that nilearn's package carries, and a tumour grown in that one, so that
the true deformation is known. Everything the run leaves is in the output folder; ``report.html`` shows it.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regsuite import cli, wording

if TYPE_CHECKING:
    from regsuite.phantoms import TumourCase
    from regsuite.pictures import Picture
    from regsuite.registration import Registration
    from regsuite.spatial import LabelImage

METHOD = "weighted-metamorphosis"
SEED = 2
TRUTH = "truth.h5"
SHOWN = ("report.html", "report.json", "scene.mrb", "transform.h5", "inverse.h5", "warped.nii.gz")


def main(words: Sequence[str] | None = None) -> int:
    """Run the demonstration; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m RegistrationSuiteLib.demo", description=__doc__)
    parser.add_argument("--out", metavar="DIR", default="out/demo", help="folder for the results (out/demo)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: a GPU where there is one (auto)")
    chosen = parser.parse_args(words)
    return cli.exit_code(lambda: _run(Path(chosen.out), chosen.device))


def _run(folder: Path, device: str) -> None:
    from regsuite.phantoms import tumour_brain

    clock = time.perf_counter()
    print("Making another person of the MNI152 template and growing a tumour ...", flush=True)
    case = tumour_brain(seed=SEED)
    registration = demonstrate(case, folder, device)
    _tell(registration, folder, time.perf_counter() - clock)


def demonstrate(case: TumourCase, folder: Path, device: str = "auto", **parameters: Any) -> Registration:
    """Register a case whose truth is known and leave files, scene and report in ``folder``: all of it or nothing."""
    from regsuite import io, jobs, results
    from regsuite.console import ConsoleProgress

    from RegistrationSuiteLib import run_headless, samples, standalone
    from RegistrationSuiteLib.gallery import Gallery
    from RegistrationSuiteLib.logic import Request

    standalone.boot()
    given = samples.case_nodes(case, "Brain")
    request = Request(METHOD, given, parameters=parameters, device=device)
    with results.result_folder(folder, overwrite=True) as draft:
        job = request.job()
        with contextlib.closing(ConsoleProgress()) as progress:
            registration = jobs.run(job, progress)
        print("Writing results and drawing pictures ...", flush=True)
        registration.metrics |= _against_truth(registration, case)
        made = request.add(registration)
        with Gallery(given, made, _middle(case.mask)) as gallery:
            pictures = [_error_picture(registration, case), gallery.picture()]
            inputs = {"lesion" if role == "mask" else role: node for role, node in given.items()}
            files = run_headless.save_nodes({**inputs, **made}, draft)
        io.write_transform(draft / TRUTH, case.truth)
        results.write_documents(registration, draft, job.inputs, {**files, "truth": TRUTH}, pictures)
    return registration


def _against_truth(registration: Registration, case: TumourCase) -> dict[str, float]:
    """Metrics that need the truth, and the demonstration's name for the overlap by deformation alone."""
    from regsuite.transforms import identity

    before, after = case.error_mm(identity(case.truth.dim)), case.error_mm(registration.transform)
    return {
        "dice_ventricles_deformation": registration.metrics["dice_ventricles_after"],
        "true_deformation_error_before_mm": float(before.mean()),
        "true_deformation_error_mm": float(after.mean()),
        "true_deformation_error_95_mm": float(after.quantile(0.95)),
    }


def _error_picture(registration: Registration, case: TumourCase) -> Picture:
    from regsuite.pictures import Subject, error_map

    subject = Subject(registration, case.fixed, case.moving, case.mask, case.fixed_labels, case.moving_labels)
    return error_map(subject, case.truth, case.valid)


def _middle(mask: LabelImage) -> Sequence[float]:
    """RAS mm: the middle of the lesion."""
    return mask.grid.points()[mask.mask()].mean(dim=0).tolist()


def _tell(registration: Registration, folder: Path, seconds: float) -> None:
    metrics, record = registration.metrics, registration.record
    old, new = metrics["dice_ventricles_before"], metrics["dice_ventricles_deformation"]
    print(f"Ventricles: Dice {old:.2f} before, {new:.2f} by deformation alone")
    before, after = metrics["true_deformation_error_before_mm"], metrics["true_deformation_error_mm"]
    print(f"Distance to the true deformation: {before:.2f} mm before, {after:.2f} mm after (mean outside the tumour)")
    print(wording.shape_line(metrics))
    print(f"Folded voxels: {metrics['folded_fraction']:.2%}")
    print(f"Registered in {record['seconds']:.0f} s on {record['device']}, all in {seconds:.0f} s")
    for name in SHOWN:
        print(f"  {folder / name}")
    cli.tell_notes(registration)


if __name__ == "__main__":
    sys.exit(main())
