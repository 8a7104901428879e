"""LDDMM, metamorphosis, weighted metamorphosis and cost-function masking, compared in one paper."""

from __future__ import annotations

from dataclasses import dataclass

from regsuite.catalog.declaration import Citation, Input, Method, Output, Preset, parameter

WEIGHTED_METAMORPHOSIS = Citation(
    text=(
        "François A., Maillard M., Oppenheim C., Pallud J., Bloch I., Gori P., Glaunès J.: Weighted Metamorphosis for "
        "Registration of Images with Different Topologies. WBIR 2022, LNCS 13386"
    ),
    doi="10.1007/978-3-031-11203-4_2",
    paper="weighted-metamorphosis",
)


@dataclass(frozen=True)
class ShootingParameters:
    """What all four methods need."""

    initial: str = parameter(
        "none",
        "Initial alignment",
        "How the moving image is brought near the fixed one first. 'none' trusts the images' positions in the scene.",
        choices=("none", "rigid", "affine"),
    )
    resolution: float = parameter(
        0.0,
        "Working resolution",
        "Voxel size of the finest scale; 0 takes the fixed image's own. The transform applies at any resolution.",
        unit="mm",
        minimum=0.0,
        maximum=50.0,
        automatic=True,
    )
    kernel_widths: tuple[float, ...] = parameter(
        (0.0,),
        "Smoothness widths",
        "Standard deviations of the deformation's smoothing kernels, which are summed: small ones follow detail, large "
        "ones move regions as a whole. 0 takes 4 % and 10 % of the images' extent (6 and 15 mm for a head).",
        unit="mm",
        minimum=0.0,
        maximum=500.0,
        automatic=True,
    )
    regularity: float = parameter(
        0.02,
        "Regularity",
        "Squared intensity difference (images scaled from 0 to 1) that is worth moving everything by a tenth of the "
        "images' extent: larger gives a smoother, smaller deformation.",
        minimum=1e-6,
        maximum=1e3,
    )
    levels: int = parameter(
        0,
        "Scales",
        "Number of scales, each twice as coarse as the next; 0 takes as many as leave ten voxels across the image.",
        minimum=0,
        maximum=8,
        advanced=True,
        automatic=True,
    )
    iterations: int = parameter(
        40,
        "Iterations per scale",
        "Most evaluations of the energy on a scale, half as many on the finest of several; fewer where it settles.",
        minimum=1,
        maximum=5000,
        advanced=True,
    )
    steps: int = parameter(
        8,
        "Time steps",
        "Integration steps from the moving image (t = 0) to the fixed one (t = 1).",
        minimum=2,
        maximum=200,
        advanced=True,
    )
    kernel: str = parameter(
        "gaussian",
        "Kernel",
        "Shape of the smoothing kernel: 'gaussian', or 'sobolev' with a sharper peak and longer tails.",
        choices=("gaussian", "sobolev"),
        advanced=True,
    )
    formulation: str = parameter(
        "path",
        "Formulation",
        "What is optimised: the whole 'path', which converges in fewer evaluations, or as in the paper its initial "
        "residual, from which the geodesic is 'shooting'. The energy is the same.",
        choices=("path", "shooting"),
        advanced=True,
    )
    optimiser: str = parameter(
        "lbfgs",
        "Optimiser",
        "'lbfgs' needs tens of evaluations; 'adadelta' is the paper's and needs hundreds.",
        choices=("lbfgs", "adadelta"),
        advanced=True,
    )
    bias_correction: bool = parameter(
        True,
        "Correct bias field",
        "Even out slow brightness changes (N4) of both images before they are compared. Results keep the original "
        "intensities.",
        advanced=True,
    )
    checkpointing: str = parameter(
        "auto",
        "Save memory",
        "Recompute steps for the gradient instead of keeping them: less memory where shooting, or where intensity is "
        "added everywhere, for a third more time. "
        "'auto' does so where keeping them would take over half of the free memory.",
        choices=("auto", "on", "off"),
        advanced=True,
    )


@dataclass(frozen=True)
class MetamorphosisParameters(ShootingParameters):
    """Shooting with intensity additions."""

    intensity_penalty: float = parameter(
        0.3,
        "Intensity penalty",
        "Price of changing intensity where that is allowed, against the price of leaving the difference: "
        "smaller paints more freely.",
        minimum=1e-6,
        maximum=1e6,
    )


@dataclass(frozen=True)
class WeightedMetamorphosisParameters(MetamorphosisParameters):
    """Intensity additions inside a mask."""

    mask_evolution: str = parameter(
        "growing",
        "Mask over time",
        "'growing' starts from a small ball inside the mask and lets it grow, so that tissue is pushed aside; "
        "'constant' keeps the whole mask.",
        choices=("growing", "constant"),
    )


_FIXED = Input("fixed", "image", "Fixed image", "The image to be matched, such as the patient's.")
_MOVING = Input("moving", "image", "Moving image", "The image that is deformed, such as a healthy template.")
_MASK = Input(
    "mask", "mask", "Lesion mask", "Where the fixed image holds what the moving one lacks: tumour with its oedema. "
    "On the fixed image's grid.",
)  # fmt: skip
_MOVING_LABELS = Input(
    "moving_labels", "labels", "Moving labels", "Structures of the moving image, carried along.", required=False
)
_FIXED_LABELS = Input(
    "fixed_labels", "labels", "Fixed labels", "The same structures in the fixed image, to measure the overlap (Dice).",
    required=False,
)  # fmt: skip

_GEOMETRIC_OUTPUTS = (
    Output("transform", "transform", "Transform", "From fixed to moving points; warps the moving image."),
    Output("inverse", "transform", "Inverse", "From moving to fixed points."),
    Output("warped", "image", "Warped image", "The moving image by deformation alone, on the fixed grid."),
    Output("warped_labels", "labels", "Warped labels", "The moving labels on the fixed grid."),
    Output("jacobian", "image", "Jacobian", "Determinant of the transform: above 1 the moving tissue has shrunk."),
    Output("evolution", "sequence", "Evolution", "The moving image on its way to the fixed one."),
    Output("energy", "curve", "Energy", "Image difference and regularity over the iterations."),
    Output("overlap", "table", "Overlap", "Dice of each label before and after."),
)
_MASK_OUTPUT = Output("mask", "sequence", "Mask over time", "Where intensity may be added, step by step.")
_INTENSITY_OUTPUTS = (
    Output("metamorphosed", "image", "Metamorphosed image", "The moving image deformed and with intensity added."),
    Output("intensity_added", "image", "Intensity added", "What was painted, signed, in the moving image's unit."),
)

_PRESETS = (
    Preset("brain-tumour", "Healthy brain to tumour patient", "T1 images of two heads, one with a tumour."),
    Preset(
        "fast",
        "Quick look",
        "Fewer scales, iterations and time steps, for a first impression.",
        {"levels": 2, "iterations": 15, "steps": 6},
    ),
    Preset(
        "toy-2d", "2D shapes", "Flat shapes without texture, a few hundred pixels wide.", {"bias_correction": False}
    ),
)


def _declare(name: str, title: str, summary: str, masked: bool, parameters_type: type, painted: bool) -> Method:
    return Method(
        name=name,
        title=title,
        summary=summary,
        citation=WEIGHTED_METAMORPHOSIS,
        inputs=(_FIXED, _MOVING, *([_MASK] if masked else []), _MOVING_LABELS, _FIXED_LABELS),
        parameters_type=parameters_type,
        outputs=(
            *_GEOMETRIC_OUTPUTS,
            *(_INTENSITY_OUTPUTS if painted else ()),
            *([_MASK_OUTPUT] if masked and painted else []),
        ),
        presets=_PRESETS,
        entry=f"regsuite.methods.metamorphosis:run_{name.replace('-', '_')}",
    )


METHODS = (
    _declare(
        "weighted-metamorphosis",
        "Weighted metamorphosis",
        "Deforms everywhere and adds intensity only inside the lesion mask: for a healthy brain and one with a tumour.",
        masked=True,
        parameters_type=WeightedMetamorphosisParameters,
        painted=True,
    ),
    _declare(
        "metamorphosis",
        "Metamorphosis",
        "Deforms and adds intensity anywhere: for changes of appearance whose place is not known.",
        masked=False,
        parameters_type=MetamorphosisParameters,
        painted=True,
    ),
    _declare(
        "lddmm",
        "LDDMM",
        "Large diffeomorphic deformation alone: for images with the same structures.",
        masked=False,
        parameters_type=ShootingParameters,
        painted=False,
    ),
    _declare(
        "cost-function-masking",
        "Cost-function masking",
        "LDDMM that leaves the lesion out of the comparison: simple, best for small lesions.",
        masked=True,
        parameters_type=ShootingParameters,
        painted=False,
    ),
)
