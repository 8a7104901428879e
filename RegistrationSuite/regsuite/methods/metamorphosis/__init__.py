r"""LDDMM, metamorphosis, weighted metamorphosis and cost-function masking.

François A., Maillard M., Oppenheim C., Pallud J., Bloch I., Gori P., Glaunès J.: Weighted Metamorphosis for
Registration of Images with Different Topologies. WBIR 2022.

A source S is taken to a target T by a velocity v_t and, where the weight M_t allows it, by adding intensity:

    İ_t = -<∇I_t, v_t> + γ M_t z_t,  I_0 = S                                        (1)
    J   = ∫ w (I_1 - T)² dx + λ ∫ ||v_t||²_V + γ <z_t, M_t z_t> dt                  (9, with the energy of 3)

    weighted metamorphosis  M_t a mask, constant or grown from a ball (section 2)    w = 1, or less inside the mask
    metamorphosis           M_t = 1                                                  w = 1
    LDDMM                   γ = 0                                                    w = 1
    cost-function masking   γ = 0                                                    w = 0 inside the mask

(w is also 0 where an image has no data.) ``solvers.geodesics`` holds the model and its discretisation. Two numbers
without unit set it: the regularity ρ, with λ = ρ / σ² for σ the widest of the kernel's widths, is the squared intensity
difference worth moving everything by σ; the penalty κ = λ/γ prices a change of intensity against leaving the
difference.
"""

from __future__ import annotations

from regsuite.catalog.metamorphosis import (
    MetamorphosisParameters,
    ShootingParameters,
    WeightedMetamorphosisParameters,
)
from regsuite.methods.metamorphosis.directions import run_masked
from regsuite.methods.metamorphosis.run import Inputs, Run
from regsuite.progress import Context
from regsuite.registration import Registration


def run_lddmm(inputs: Inputs, parameters: ShootingParameters, context: Context) -> Registration:
    """Deformation alone; shapes and roles as the catalog declares them."""
    return Run(inputs, parameters, context).registration()


def run_metamorphosis(inputs: Inputs, parameters: MetamorphosisParameters, context: Context) -> Registration:
    """Deformation, and intensity added anywhere."""
    return Run(inputs, parameters, context, paints=True).registration()


def run_weighted_metamorphosis(
    inputs: Inputs, parameters: WeightedMetamorphosisParameters, context: Context
) -> Registration:
    """Deformation, and intensity added inside the mask."""
    return run_masked(inputs, parameters, context, paints=True)


def run_cost_function_masking(inputs: Inputs, parameters: ShootingParameters, context: Context) -> Registration:
    """Deformation that does not see the inside of the mask."""
    return run_masked(inputs, parameters, context, paints=False)
