"""Pictures for people: organs as clouds of points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from regsuite.pictures.draw import encoded

from Benchmarks.organ_cases import kept, mislabelled, run_of

_COLOURS = ("#8f4a87", "#d98a4b", "#e6b259", "#6a9a4a", "#b7613f", "#4a7fb5", "#888888")


def wrong_labels(case: str, parameters: dict[str, Any], share: float, file: str) -> None:
    """The moved points of a patient from the front, each in the colour of its organ, on lines from where it belongs.

    From left to right: right labels; labels wrong anywhere, not modelled; the same, modelled.
    """
    given = kept(case)
    run = run_of(given.inputs, "mo-bcpd", parameters)
    moving, fixed = run.cloud("moving"), run.cloud("fixed")
    wrong = mislabelled(fixed, "anywhere", share)
    organs, y = moving.organs.numpy(), moving.points.numpy()
    truth = np.concatenate([given.ways[value](y[organs == place]) for place, value in enumerate(run.values)])
    figure = Figure((15, 4.2), layout="constrained")
    pictures = zip(
        figure.subplots(1, 3, sharex=True, sharey=True),
        ((fixed, 0.0, "right labels"), (wrong, 0.0, "wrong labels"), (wrong, share, "wrong labels, modelled")),
        strict=True,
    )
    for axes, (cloud, rate, title) in pictures:
        found = run_of(given.inputs, "mo-bcpd", {**parameters, "label_errors": rate}).drifted(moving, cloud)
        moved = found.moved.double().numpy()
        for place, name in enumerate(run.names):
            own, colour = organs == place, _COLOURS[place % len(_COLOURS)]
            ends = np.stack([truth[own], moved[own]])
            axes.plot(ends[..., 0], ends[..., 2], color=colour, linewidth=0.6)
            axes.scatter(moved[own, 0], moved[own, 2], s=5, color=colour, label=name)
        error = np.linalg.norm(moved - truth, axis=1).mean()
        axes.set(title=f"{title}: {error:.1f} mm", aspect="equal", xlabel="R, mm", ylabel="S, mm")
        axes.invert_xaxis()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(run.values))
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(encoded(figure))
