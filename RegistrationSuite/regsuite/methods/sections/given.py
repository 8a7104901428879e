"""Where the user says a section lies, to start from: a plate, a pose, or an anchoring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.catalog.sections import AtlasSliceParameters
from regsuite.errors import InputError
from regsuite.io.anchoring import AnchoredSection, matrix_of
from regsuite.learning.encoder import TrainedEncoder
from regsuite.methods.sections.prepared import Prepared
from regsuite.methods.sections.views import View
from regsuite.spatial import Grid
from regsuite.spatial.plates import POSE, Plates

_ANCHORING = 9


@dataclass(frozen=True)
class Given:
    """view: how the section is looked at; starts: (1, 9), the pose in it."""

    view: View
    starts: Tensor


def started_view(
    chosen: AtlasSliceParameters, section: Prepared, trained: TrainedEncoder, view: View, atlas: Grid
) -> Given | None:
    """None where the user leaves it to the encoder. InputError where what was given cannot be."""
    plates = trained.anatomy.plates
    if any(chosen.anchoring) or len(chosen.anchoring) > 1:
        return _anchored(chosen.anchoring, section, trained, view, atlas)
    if any(chosen.pose) or len(chosen.pose) > 1:
        if len(chosen.pose) != len(POSE):
            raise InputError(f"A pose has {len(POSE)} numbers ({', '.join(POSE)}), not {len(chosen.pose)}.")
        return _split(torch.tensor(chosen.pose, dtype=torch.float64), trained, view.pixel_known)
    if chosen.plate:
        if not 1 <= chosen.plate <= plates.count:
            raise InputError(f"There is no plate {chosen.plate:g}: the atlas has {plates.count}, from 1 on.")
        start = torch.zeros(1, len(POSE))
        start[0, 0] = float((chosen.plate - 1 - (plates.count - 1) / 2) * plates.spacing)
        return Given(view, start)
    return None


def sees_the_back(chosen: AtlasSliceParameters, section: Prepared, atlas: Grid, plates: Plates) -> bool:
    """Whether an anchoring that was given shows the section mirrored."""
    if len(chosen.anchoring) != _ANCHORING:
        return False
    try:
        linear = plates.frame.T @ _matrix(chosen.anchoring, section, atlas)[:3, :2]
    except ValueError:
        return False
    return float(np.cross(linear[:, 0], linear[:, 1])[2]) < 0


def _matrix(anchoring: tuple[float, ...], section: Prepared, atlas: Grid) -> np.ndarray:
    """(4, 4) from the section's flat mm to the atlas's RAS mm. ValueError where the anchoring has no area."""
    height, width = section.picture.shape[2:]
    anchored = AnchoredSection("", 0, width, height, anchoring)  # type: ignore[arg-type]
    # The picture's corner pixel is where an anchoring's section begins, whatever the section's place in space.
    return matrix_of(anchored, (section.pixel, section.pixel), atlas) @ np.linalg.inv(section.file_to_flat)


def _anchored(
    anchoring: tuple[float, ...], section: Prepared, trained: TrainedEncoder, view: View, atlas: Grid
) -> Given:
    if len(anchoring) != _ANCHORING:
        raise InputError(f"An anchoring has nine numbers (o, u, v), not {len(anchoring)}: copy all of them.")
    try:
        pose = trained.anatomy.plates.pose_of(torch.from_numpy(_matrix(anchoring, section, atlas)))
    except ValueError:
        raise InputError(
            "The anchoring shows the section across the plates or without an area: check that it is of this atlas and "
            "section."
        ) from None
    return _split(pose, trained, view.pixel_known)


def _split(pose: Tensor, trained: TrainedEncoder, pixel_known: bool) -> Given:
    """A pose (9,) float64 of the section's flat plane: a view, which is its similarity, and the little that is left."""
    plates = trained.anatomy.plates
    flat = pose.clone()
    flat[3:] = 0
    plane = torch.linalg.inv(plates.matrices(flat[None])[0]) @ plates.matrices(pose[None])[0]
    similarity = torch.eye(4, dtype=torch.float64)
    scale, cos, sin = torch.exp(pose[4:6].mean()), torch.cos(pose[3]), torch.sin(pose[3])
    similarity[:2, :2] = scale * torch.stack([cos, -sin, sin, cos]).reshape(2, 2)
    similarity[:2, 3] = plane[:2, 3]
    left = torch.eye(4, dtype=torch.float64)
    left[:2] = (plane @ torch.linalg.inv(similarity))[:2]
    start = plates.pose_of(plates.matrices(flat[None])[0] @ left)
    return Given(View(torch.linalg.inv(similarity).float(), pixel_known), start[None].float())
