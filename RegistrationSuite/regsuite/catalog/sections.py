"""Sections against an atlas: which plate is this, how was it cut, and what is where on it."""

from __future__ import annotations

from dataclasses import dataclass

from regsuite.catalog.declaration import Citation, Input, Method, Output, Preset, parameter

SIAMESE = Citation(
    text="Antanavicius J., Leiras R., Selvan R.: Identifying Partial Mouse Brain Microscopy Images from the Allen "
    "Reference Atlas Using a Contrastively Learned Semantic Space. WBIR 2022",
    doi="10.1007/978-3-031-11203-4_18",
    paper="siamese-slices",
)
_AXES = ("coronal", "sagittal", "horizontal")


def _spacing() -> float:
    return parameter(
        0.0,
        "Plate spacing",
        "Between two plates. Automatic takes a 132nd of the atlas's length, but no less than its voxels.",
        unit="mm",
        minimum=0.0,
        maximum=100.0,
        automatic=True,
    )


@dataclass(frozen=True)
class SectionParameters:
    """What every method that finds a section in an atlas lets a user choose."""

    pixel: float = parameter(
        0.0,
        "Pixel size",
        "Width of a pixel as the section's file has it. Automatic takes what the file says, or estimates it where "
        "the file says nothing that suits the atlas.",
        unit="µm",
        minimum=0.0,
        maximum=1000.0,
        automatic=True,
    )
    channel: int = parameter(
        0,
        "Channel",
        "Which channel shows the anatomy, counted from 1. Automatic takes the one with most structure; the colours of "
        "a photograph are taken together.",
        minimum=0,
        maximum=64,
        automatic=True,
    )
    candidates: int = parameter(5, "Candidates", "How many plates are proposed.", minimum=1, maximum=50)
    deformation: str = parameter(
        "smooth",
        "Deformation",
        "How the plate is fitted to the section once it is found: not at all (affine alone), or smoothly (LDDMM).",
        choices=("none", "smooth"),
    )


def _extraction() -> str:
    return parameter(
        "automatic",
        "Extraction",
        "Whether what is none of the atlas's tissue is left out where a section shows much of it: skull and muscle in "
        "a scan, for instance.",
        choices=("automatic", "none"),
        advanced=True,
    )


@dataclass(frozen=True)
class AtlasSliceParameters(SectionParameters):
    """Of the identification by an encoder."""

    cut: str = parameter(
        "oblique",
        "Cut",
        "Whether the section may be cut at an angle to the plates, or is parallel to them.",
        choices=("oblique", "parallel"),
    )
    side: str = parameter(
        "automatic",
        "Side",
        "Which side of the section is seen. From the back it shows the plate mirrored. Automatic finds it for sagittal "
        "plates and takes the front for others, where left and right look alike.",
        choices=("automatic", "front", "back"),
        advanced=True,
    )
    extraction: str = _extraction()
    largest_angle: float = parameter(
        20.0, "Largest angle", "Between section and plates.", unit="°", minimum=0.0, maximum=30.0, advanced=True
    )
    plate: float = parameter(
        0.0,
        "Plate",
        "Start from this plate, counted from 1, instead of the best candidate.",
        minimum=0.0,
        maximum=100000.0,
        automatic=True,
        advanced=True,
    )
    anchoring: tuple[float, ...] = parameter(
        (0.0,),
        "Anchoring",
        "Start from where QuickNII, VisuAlign or DeepSlice put the section: the nine numbers of its anchoring, in "
        "voxels of the atlas.",
        automatic=True,
        advanced=True,
    )
    pose: tuple[float, ...] = parameter(
        (0.0,),
        "Pose",
        "Start from this pose: depth (mm from the atlas's middle), pitch and yaw (rad), and what is turned, scaled, "
        "sheared and shifted in the plane, as a result's report gives it.",
        automatic=True,
        advanced=True,
    )


@dataclass(frozen=True)
class AtlasSeriesParameters(SectionParameters):
    """Of several sections together."""

    cut: str = parameter(
        "oblique",
        "Cut",
        "Whether the brain may have been cut at an angle to the plates, one for all sections, or parallel to them.",
        choices=("oblique", "parallel"),
    )
    order: str = parameter(
        "names",
        "Order",
        "Whether sections follow each other by the numbers in their names, or in an order that is to be found.",
        choices=("names", "unknown"),
    )
    extraction: str = _extraction()


@dataclass(frozen=True)
class MutualInformationParameters(SectionParameters):
    """Of the baseline."""

    axis: str = parameter("coronal", "Plates", "How the atlas is cut into plates.", choices=_AXES)
    spacing: float = _spacing()
    iterations: int = parameter(
        100, "Iterations", "Of each plate's affine registration, at each of three resolutions.", minimum=1, maximum=5000
    )


@dataclass(frozen=True)
class EncoderParameters:
    """Of the training."""

    axis: str = parameter("coronal", "Plates", "How the sections are cut, more or less.", choices=_AXES)
    spacing: float = _spacing()
    iterations: int = parameter(
        6000, "Iterations", "At most; each sees a new batch of sections.", minimum=10, maximum=1000000
    )
    minutes: float = parameter(
        0.0, "Time", "At most; automatic has no limit.", unit="min", minimum=0.0, maximum=10000.0, automatic=True
    )
    loss: str = parameter(
        "neighbours",
        "Loss",
        "What brings a section's embedding near its plate's: plates as neighbouring classes, triplets with semi-hard "
        "or hard negatives, or pairs (contrastive), the last three as in the paper.",
        choices=("neighbours", "semi-hard", "hard", "contrastive"),
    )
    backbone: str = parameter(
        "resnet10-narrow",
        "Network",
        "Larger ones learn more slowly, and are for a graphics card.",
        choices=("resnet10-narrow", "resnet18", "resnet34", "resnet50"),
        advanced=True,
    )
    batch: int = parameter(
        64, "Batch", "Sections an iteration, two of each plane.", minimum=4, maximum=1024, advanced=True
    )
    rate: float = parameter(
        0.002, "Learning rate", "Of Adam, at its largest.", minimum=1e-6, maximum=0.1, advanced=True
    )
    margin: float = parameter(
        0.7,
        "Margin",
        "m, between embeddings of what does not belong together.",
        minimum=0.01,
        maximum=10.0,
        advanced=True,
    )


_SECTION = Input("fixed", "section", "Section", "A microscopy section: one slice, grey, colour or of several channels.")
_SECTIONS = Input("sections", "sections", "Sections", "Sections of one brain: files, or a folder of them.")
_TEMPLATE = Input("moving", "image", "Atlas", "The atlas's template: a 3D image.")
_ANNOTATION = Input(
    "moving_labels",
    "labels",
    "Annotation",
    "The atlas's regions, with their names: carried onto the section.",
    required=False,
    frame="moving",
)
_ENCODER = Input(
    "encoder", "checkpoint", "Encoder", "What 'atlas-encoder' has learned of this atlas: a .safetensors file."
)
_WEIGHTS = Input(
    "weights",
    "weights",
    "Starting weights",
    "What the network starts from: an encoder of the same network, whose training then goes on, or torchvision's "
    "weights of resnet18, resnet34 or resnet50, whichever is chosen as network; a .safetensors, .pth or .pt file.",
    required=False,
)
_MARKUPS = Input(
    "fixed_points", "points", "Markups", "Points on the section, cells for instance, counted by region.", required=False
)

_OUTPUTS = (
    Output("transform", "transform", "Transform", "From the section to the atlas; warps the atlas onto the section."),
    Output("inverse", "transform", "Inverse", "From the atlas to the section."),
    Output("warped", "image", "Plate", "The atlas's template, on the section."),
    Output("warped_labels", "labels", "Regions", "The atlas's annotation, on the section."),
    Output("candidates", "sequence", "Candidates", "The plates that fit best, the best first."),
    Output("ranking", "table", "Ranking", "The candidates: plate, depth, angles, distance, probability."),
    Output("distances", "curve", "Distances", "Of every plate to the section: the smaller, the more alike."),
    Output("regions", "table", "Region table", "Area, mean brightness and count of markups of each region."),
)
_ENCODER_OUTPUTS = (
    Output("checkpoint", "checkpoint", "Encoder", "What was learned, with its card: a .safetensors file."),
    Output("training", "curve", "Training", "Losses over the iterations."),
    Output("validation", "table", "Validation", "How well sections that were made of the atlas are identified."),
)

METHODS = (
    Method(
        name="atlas-slice",
        title="Atlas slice identification",
        summary="Finds where in an atlas a section was cut, at what angle, and carries the atlas's regions onto it.",
        citation=SIAMESE,
        inputs=(_SECTION, _TEMPLATE, _ANNOTATION, _ENCODER, _MARKUPS),
        parameters_type=AtlasSliceParameters,
        outputs=_OUTPUTS,
        presets=(
            Preset("oblique", "Cut at any angle", "The usual case: angles are found with the depth.", {}),
            Preset("parallel", "Cut parallel to the plates", "Depth alone is found.", {"cut": "parallel"}),
            Preset(
                "identify", "Identify only", "Candidates and pose; the plate is not deformed.", {"deformation": "none"}
            ),
        ),
        entry="regsuite.methods.sections:run_atlas_slice",
        dimensions=(3,),
    ),
    Method(
        name="atlas-series",
        title="Atlas series identification",
        summary="Finds the places of a brain's sections in an atlas together: in order, evenly, and cut at one angle.",
        citation=SIAMESE,
        inputs=(_SECTIONS, _TEMPLATE, _ANNOTATION, _ENCODER),
        parameters_type=AtlasSeriesParameters,
        outputs=(
            Output("series", "table", "Series", "Each section's plate, depth, angles and probability, in their order."),
            Output("depths", "curve", "Depths", "Of the sections, alone and together, over their numbers."),
        ),
        presets=(
            Preset("series", "A series in order", "Numbers in the names say the order.", {"deformation": "none"}),
            Preset("fit", "Fitted too", "Every plate is also fitted smoothly to its section.", {}),
        ),
        entry="regsuite.methods.sections:run_atlas_series",
        dimensions=(3,),
        gives="series",
    ),
    Method(
        name="atlas-slice-mi",
        title="Atlas slice by mutual information",
        summary="Registers a section affinely with every plate of an atlas, and takes the plate that tells most of it.",
        citation=SIAMESE,
        inputs=(_SECTION, _TEMPLATE, _ANNOTATION, _MARKUPS),
        parameters_type=MutualInformationParameters,
        outputs=_OUTPUTS,
        presets=(Preset("default", "Three resolutions", "Slow: every plate is registered.", {}),),
        entry="regsuite.methods.sections:run_mutual_information",
        dimensions=(3,),
    ),
    Method(
        name="atlas-encoder",
        title="Encoder of an atlas",
        summary="Trains the network that identifies sections of one atlas, on sections made of the atlas itself.",
        citation=SIAMESE,
        inputs=(_TEMPLATE, _ANNOTATION, _WEIGHTS),
        parameters_type=EncoderParameters,
        outputs=_ENCODER_OUTPUTS,
        presets=(
            Preset("default", "Half an hour", "On two cores; a few minutes on a graphics card.", {}),
            Preset("quick", "A few minutes", "To try things out.", {"iterations": 1000}),
            Preset(
                "paper", "As in the paper", "Semi-hard triplets.", {"loss": "semi-hard", "margin": 0.3, "rate": 0.001}
            ),
        ),
        entry="regsuite.methods.sections:run_atlas_encoder",
        dimensions=(3,),
        gives="checkpoint",
    ),
)
