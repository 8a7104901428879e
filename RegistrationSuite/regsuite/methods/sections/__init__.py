r"""Sections identified in an atlas, by an encoder that was trained on the atlas, or by mutual information.

Antanavicius J., Leiras R., Selvan R.: Identifying Partial Mouse Brain Microscopy Images from the Allen Reference Atlas
Using a Contrastively Learned Semantic Space. WBIR 2022.

S_θ takes a picture I to an embedding h in R^64 (``networks.siamese``). A section F and the plates M are ranked by

    d(M, F) = |S_θ(I_M) - S_θ(I_F)|                                            section 2

and S_θ is learned from sections that are made of the atlas (``learning.synthesis``) by a contrastive or triplet loss,
(1) and (2), or by one that takes plates for neighbouring classes (``losses.embedding``). Beyond the paper the atlas is
cut at any angle: embeddings of oblique plates say where to start, and slicing the atlas (``solvers.slicing``) finds
depth, angles and the affine map in the plane, then a deformation fits the plate to the section.
"""

from __future__ import annotations

from regsuite.catalog.sections import (
    AtlasSeriesParameters,
    AtlasSliceParameters,
    EncoderParameters,
    MutualInformationParameters,
)
from regsuite.methods.sections.baseline import by_information
from regsuite.methods.sections.run import Run
from regsuite.methods.sections.telling import Inputs
from regsuite.progress import Context
from regsuite.registration import Registration, Series, Training


def run_atlas_slice(inputs: Inputs, parameters: AtlasSliceParameters, context: Context) -> Registration:
    """By an encoder; shapes and roles as the catalog declares them."""
    return Run(inputs, parameters, context).registration()


def run_mutual_information(inputs: Inputs, parameters: MutualInformationParameters, context: Context) -> Registration:
    """By mutual information with every plate."""
    return by_information(inputs, parameters, context)


def run_atlas_series(inputs: Inputs, parameters: AtlasSeriesParameters, context: Context) -> Series:
    """Several sections of one brain, together."""
    from regsuite.methods.sections.series import series_of

    return series_of(inputs, parameters, context)


def run_atlas_encoder(inputs: Inputs, parameters: EncoderParameters, context: Context) -> Training:
    """The training of an encoder."""
    from regsuite.methods.sections.teaching import training

    return training(inputs, parameters, context)
