"""Slices that stand around one axis, and the volume they belong to."""

from __future__ import annotations

from dataclasses import dataclass

from regsuite.catalog.declaration import Citation, Input, Method, Output, Preset, parameter

HIP_QMRI = Citation(
    text="Hip qMRI radial 2D slices to 3D volume registration. WBIR 2022, LNCS 13386, chapter 23",
    doi="10.1007/978-3-031-11203-4_23",
    paper="hip-qmri",
)

STEPS = ("segmentation", "arrangement", "reconstruction", "initialisation", "refinement")
"""Of the chain."""
SIMILARITIES = (
    "mutual information",
    "normalised mutual information",
    "correlation ratio",
    "local correlation",
    "gradient fields",
)
"""Of slices and what the volume shows there."""


@dataclass(frozen=True)
class HipQmriParameters:
    """Of the whole chain, in the order of its steps."""

    until: str = parameter(
        "refinement",
        "Last step",
        "Where the chain ends, so that what a step found can be looked at, and corrected, before the next one is run "
        "from it.",
        choices=STEPS,
    )
    bone: int = parameter(
        0,
        "Bone",
        "Which label of the volume's segmentation the slices' segmentation shows. Automatic takes the one of the same "
        "name, or number where there are no names, or else the largest.",
        minimum=0,
        maximum=100000,
        automatic=True,
    )
    volume_segmentation: str = parameter(
        "given",
        "Volume's segmentation",
        "Taken as it is given; or painted on a few parallel slices of the volume, two or more, of which a random "
        "forest learns to segment the others.",
        choices=("given", "forest"),
    )
    arrangement: str = parameter(
        "automatic",
        "Arrangement",
        "Which slice stands where around the axis. Automatic believes the headers where they tell slices apart, and "
        "finds it where they do not; 'found' always finds it; 'as given' takes slices in their order, unflipped.",
        choices=("automatic", "found", "as given"),
    )
    places: tuple[float, ...] = parameter(
        (0.0,),
        "Places",
        "The place of each slice around the axis, counted from 1, in the order of the slices; negative where the slice "
        "is mirrored. They come before Arrangement; automatic leaves them to it.",
        automatic=True,
        advanced=True,
    )
    turned: tuple[float, ...] = parameter(
        (0.0,),
        "Turned slices",
        "Numbers of the slices, counted from 1, whose rows run against the axis, where places are given.",
        automatic=True,
        advanced=True,
    )
    axis: str = parameter(
        "slice",
        "Axis",
        "What the one pose says that all headers share: that of a 'slice', whose middle column is the axis, or that of "
        "the 'localizer', on which the axis stands.",
        choices=("slice", "localizer"),
        advanced=True,
    )
    reconstruction: str = parameter(
        "radial",
        "Reconstruction",
        "The solid that is made of the silhouettes: by mixing outlines around the axis, or the visual hull of the "
        "paper.",
        choices=("radial", "visual hull"),
    )
    similarity: str = parameter(
        "mutual information",
        "Similarity",
        "What search and descent make as large as can be between the slices and what the volume shows there. The "
        "contrasts may differ; 'local correlation' wants brightness that follows the other's within some millimetres, "
        "or its inverse.",
        choices=SIMILARITIES,
        advanced=True,
    )
    turn: float = parameter(
        15.0, "Turn", "How far the search turns the slices at first.", unit="°", minimum=0.0, maximum=45.0
    )
    shift: float = parameter(
        8.0, "Shift", "How far the search shifts the slices at first.", unit="mm", minimum=0.0, maximum=50.0
    )
    finest: float = parameter(
        0.8,
        "Finest step",
        "Where the search stops and descent begins, degrees and millimetres.",
        minimum=0.05,
        maximum=10.0,
        advanced=True,
    )
    motion: float = parameter(
        1.0,
        "Own motion",
        "How far a slice is expected to be from where it should be, as patients move: standard deviation, in mm and in "
        "degrees. 0 keeps the slices together.",
        unit="mm",
        minimum=0.0,
        maximum=20.0,
    )
    thickness: float = parameter(
        0.0,
        "Slice thickness",
        "Automatic takes what the headers say.",
        unit="mm",
        minimum=0.0,
        maximum=50.0,
        automatic=True,
        advanced=True,
    )
    spread: float = parameter(
        0.0,
        "Point spread",
        "Full width at half maximum, in the plane. Automatic takes a pixel.",
        unit="mm",
        minimum=0.0,
        maximum=20.0,
        automatic=True,
        advanced=True,
    )


METHODS = (
    Method(
        name="hip-qmri",
        title="Radial slices to volume",
        summary="Finds how quantitative slices around an axis stand to each other and where they lie in a volume.",
        citation=HIP_QMRI,
        inputs=(
            Input("fixed", "image", "Volume", "A 3D image of the joint."),
            Input(
                "fixed_labels",
                "labels",
                "Volume's segmentation",
                "The bone in the volume, and other regions; needed unless a network segments the volume.",
                required=False,
            ),
            Input(
                "slices",
                "slices",
                "Slices",
                "Slices around an axis, each with any number of maps: a folder of DICOM, or a stack for each map.",
            ),
            Input(
                "slice_labels",
                "labels",
                "Slices' segmentation",
                "The same bone in the slices: a stack of labels in their order, or one for each. Where only some are "
                "painted, two or more and best some that look different, a random forest learns of them to segment "
                "the others; none is needed where a network segments slices.",
                required=False,
                frame="slices",
            ),
            Input(
                "network",
                "weights",
                "Network",
                "Weights of a UNet of MONAI that segments the bone, a .safetensors, .pt or .pth file: a 2D one "
                "segments the slices that are not painted, from the image that is compared or from all maps; a 3D one "
                "segments the volume.",
                required=False,
            ),
        ),
        parameters_type=HipQmriParameters,
        outputs=(
            Output("transform", "transform", "Transform", "From the volume to where the scanner says the slices are."),
            Output("inverse", "transform", "Inverse", "From the scanner's space of the slices to the volume."),
            Output("warped", "image", "Slices in the volume", "Each voxel by the pixel of the nearest slice."),
            Output("slices", "sequence", "Placed slices", "The slices that were compared, where they belong."),
            Output("emulated", "sequence", "Emulated slices", "What the volume would show there."),
            Output("solid", "labels", "Reconstruction", "The bone made of the silhouettes, on the volume's grid."),
            Output(
                "segmented_volume", "labels", "Volume's segmentation", "That was used: given, or made from what was."
            ),
            Output(
                "segmented_slices",
                "labels",
                "Slices' segmentation",
                "That was used, a stack in the slices' order.",
                frame="slices",
            ),
            Output("surface", "surface", "Reconstructed surface", "The same as a surface."),
            Output("arrangement", "table", "Arrangement", "Place, flips, own motion and similarity of each slice."),
            Output("regions", "table", "Regions", "What each map measures in each region."),
            Output("search", "curve", "Search", "Similarity after every round."),
        ),
        presets=(
            Preset("hip", "Hip, radial slices", "Six slices or more around one axis.", {}),
            Preset("still", "Patient did not move", "All slices move together.", {"motion": 0.0}),
            Preset("near", "Already near", "Small corrections, slices in known order.", {"turn": 4.0, "shift": 3.0}),
        ),
        entry="regsuite.methods.radial:run_hip_qmri",
        dimensions=(3,),
    ),
)
