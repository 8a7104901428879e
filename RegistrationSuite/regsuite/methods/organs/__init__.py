r"""Organs brought together by the points on their surfaces: MO-BCPD, and BCPD beside it.

MO-BCPD: Multi-organ Bayesian Coherent Point Drift (WBIR 2022, chapter 9). Points y_m on the moving organs, of organs
l_m, are taken to where the points x_n of the fixed organs came from:

    T(y) = s R (y + v(y)) + t                                                                transformation
    x_n ~ N(T(y_m), σ² 1), its organ ~ u(· | l_m), or an outlier                             (1)
    v ~ GP(0, G),  G_ij = S(l_i, l_j) [Λ² exp(-|y_i - y_j|² / 2B²)                           (2, 3)
                          + τ² + ε² (y_i - m_i) · (y_j - m_j)]              m the organ's middle; not in the paper
    v(x) = G(x, y) G⁻¹ v                                                                     (5, 6)

    MO-BCPD, OMC    S = 1 for one organ, 0 for two      u = 1 for the same organ, 0 otherwise, or with errors
            GMC     S = 1                               the same
    BCPD            all points are one organ's

``solvers.drift`` holds the model and its updates. An image's voxels outside all organs have no organ in the paper;
here they follow the organs that are near, and farther away a mean of all displacements weighted by distance
(``field``), so that the whole image is carried.
"""

from __future__ import annotations

from regsuite.catalog.organs import BcpdParameters, MoBcpdParameters
from regsuite.methods.organs.run import Inputs, Run
from regsuite.progress import Context
from regsuite.registration import Registration


def run_mo_bcpd(inputs: Inputs, parameters: MoBcpdParameters, context: Context) -> Registration:
    """Every organ on its own way, as far as ``coherence`` lets it; roles as the catalog declares them."""
    return Run(inputs, parameters, context).registration()


def run_bcpd(inputs: Inputs, parameters: BcpdParameters, context: Context) -> Registration:
    """All organs as one cloud."""
    return Run(inputs, parameters, context).registration()
