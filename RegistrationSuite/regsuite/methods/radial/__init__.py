r"""Quantitative slices around an axis, brought to the volume they belong to.

Hip qMRI radial 2D slices to 3D volume registration. WBIR 2022, chapter 23.

Slices k = 1..K share an axis and stand 180/K degrees apart; a header tells the axis alone. With A_k the plane of slice
k in the fan's frame, F that frame in the scanner's space and P the rigid map from there to the volume V,

    B(P F A_k u) ≈ S_k(u)                       silhouettes S_k and the bone B: which A_k, and roughly which P
    max over P, q   I(S; V(P exp(q_k) F A_k u)) brightness S and emulated slices: P, and small motions q_k of each slice

The paper arranges slices by hand and leaves its search and its reconstruction open: here the arrangement is found
(``solvers.arranging``, ``arrange``), the solid is made (``solvers.hull``), the search is the paper's (2.2) in six
numbers (``solvers.slice_fit``), and descent follows.
"""

from __future__ import annotations

from regsuite.catalog.radial import HipQmriParameters
from regsuite.methods.radial.run import Inputs, Run
from regsuite.progress import Context
from regsuite.registration import Registration


def run_hip_qmri(inputs: Inputs, parameters: HipQmriParameters, context: Context) -> Registration:
    """Roles as the catalog declares them."""
    return Run(inputs, parameters, context).registration()
