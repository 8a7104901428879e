"""Images whose truth is known: brains with a tumour grown into them, abdomens, hips and their slices, small shapes."""

from regsuite.phantoms.atlas import AtlasCase, atlas_case, section_of
from regsuite.phantoms.brain import mni152, tumour_brain
from regsuite.phantoms.case import Case, TumourCase
from regsuite.phantoms.hip import Hip, hip
from regsuite.phantoms.organs import Motions, OrganCase, organ_case
from regsuite.phantoms.radial import RadialAcquisition, RadialRecipe, radial_acquisition
from regsuite.phantoms.shapes import shapes_2d, small_tumour_3d
from regsuite.phantoms.toy import toy_triangle
from regsuite.phantoms.tumour import Recipe, tumour_case

__all__ = [
    "AtlasCase",
    "Case",
    "Hip",
    "Motions",
    "OrganCase",
    "RadialAcquisition",
    "RadialRecipe",
    "Recipe",
    "TumourCase",
    "atlas_case",
    "hip",
    "mni152",
    "organ_case",
    "radial_acquisition",
    "section_of",
    "shapes_2d",
    "small_tumour_3d",
    "toy_triangle",
    "tumour_brain",
    "tumour_case",
]
