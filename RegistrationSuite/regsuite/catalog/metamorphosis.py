"""LDDMM, metamorphosis, weighted metamorphosis and cost-function masking, compared in one paper."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
        "ones move regions as a whole. 0 takes 4.5 % and 13 % of the images' extent (7 and 21 mm for a head).",
        unit="mm",
        minimum=0.0,
        maximum=500.0,
        automatic=True,
    )
    similarity: str = parameter(
        "lncc",
        "Similarity",
        "What makes two images alike: 'lncc' intensities related linearly, in every neighbourhood in its own way; "
        "'ssd' the same intensity, for flat shapes; 'ngf' edges in the same place and 'mind' the same likeness to what "
        "is near, for images of different contrast.",
        choices=("lncc", "ssd", "ngf", "mind"),
    )
    regularity: float = parameter(
        0.0,
        "Regularity",
        "Squared intensity difference (images scaled from 0 to 1) that is worth moving everything by the widest "
        "smoothness width: larger gives a smoother, smaller deformation. 0 takes 0.0015 for volumes and 0.0045 for "
        "slices, which cut two heads in places that never quite correspond.",
        minimum=0.0,
        maximum=1e6,
        automatic=True,
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
        50,
        "Iterations per scale",
        "Most evaluations of the energy on a scale; fewer where it settles.",
        minimum=1,
        maximum=5000,
        advanced=True,
    )
    steps: int = parameter(
        0,
        "Time steps",
        "Integration steps from the moving image (t = 0) to the fixed one (t = 1); 0 takes 8, and more where one of "
        "them would strain the tissue by half.",
        minimum=0,
        maximum=200,
        advanced=True,
        automatic=True,
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
    intensity_matching: str = parameter(
        "none",
        "Intensity matching",
        "'histogram' brings the moving image's intensities to the fixed one's by their distributions outside the mask, "
        "before they are compared: for two scanners, one contrast. Transformed images keep their own intensities.",
        choices=("none", "histogram"),
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
        0.0,
        "Intensity penalty",
        "Price of changing intensity where that is allowed, against the price of leaving the difference: "
        "smaller paints more freely. 0 takes, inside a mask, what leaves no more of the lesion unpainted than the "
        "image has noise, and 0.3 elsewhere.",
        minimum=0.0,
        maximum=1e6,
        automatic=True,
    )


@dataclass(frozen=True)
class WeightedMetamorphosisParameters(MetamorphosisParameters):
    """Intensity additions inside a mask."""

    mask_evolution: str = parameter(
        "growing",
        "Mask over time",
        "'growing' starts from a small ball inside the mask, or from the seeds, and lets it grow, so that tissue is "
        "pushed aside; 'tissue' grows as well, slowly across the edges of the moving image; 'constant' keeps the whole "
        "mask.",
        choices=("growing", "tissue", "constant"),
    )
    lesion_weight: float = parameter(
        0.1,
        "Lesion weight",
        "How much the comparison counts inside the lesion while the deformation is sought: 1 as much as elsewhere, as "
        "in the paper; less keeps the lesion's brightness from pulling at the tissue. Then the lesion is painted in "
        "full. Of no effect when shooting, where one residual sets both.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
    )


_FIXED = Input("fixed", "image", "Fixed image", "The image to be matched, such as the patient's.")
_MOVING = Input("moving", "image", "Moving image", "The image that is deformed, such as a healthy template.")
_MASK = Input(
    "mask",
    "mask",
    "Lesion mask",
    "Where the fixed image holds what the moving one lacks: tumour with its oedema. On the fixed image's grid.",
    required=False,
)
_MOVING_MASK = Input(
    "moving_mask",
    "mask",
    "Moving lesion mask",
    "Where the moving image holds what the fixed one lacks, on the moving image's grid: alone for patient to template, "
    "with the other mask for a lesion over time.",
    required=False,
    frame="moving",
)
_SEEDS = Input(
    "seeds",
    "mask",
    "Growth seeds",
    "Where the lesion began, drawn inside the lesion mask; without them growth starts at the mask's deepest place.",
    required=False,
)
_MOVING_LABELS = Input(
    "moving_labels", "labels", "Moving labels", "Structures of the moving image, carried along.", required=False,
    frame="moving",
)  # fmt: skip
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
    Output("fixed_labels_on_moving", "labels", "Fixed labels on the moving image", "By the inverse.", frame="moving"),
)
_MASKED_OUTPUTS = (
    Output("mask_on_moving", "labels", "Lesion on the moving image", "The mask, by the inverse.", frame="moving"),
    Output("mask_on_fixed", "labels", "Moving lesion on the fixed image", "The moving mask, by the transform."),
)
_MASK_OUTPUT = Output("mask", "sequence", "Mask over time", "Where intensity may be added, step by step.")
_INTENSITY_OUTPUTS = (
    Output("metamorphosed", "image", "Metamorphosed image", "The moving image deformed and with intensity added."),
    Output("intensity_added", "image", "Intensity added", "What was painted, signed, in the moving image's unit."),
    Output("spending", "curve", "Spending", "Energy of deformation and of painting over time."),
)

_PRESETS = (
    Preset(
        "template-to-patient",
        "Healthy template to patient",
        "Moving: a healthy brain. Fixed: a patient's.",
        {"initial": "affine"},
    ),
    Preset(
        "patient-to-template",
        "Patient to healthy template",
        "Moving: a patient's brain. Fixed: a healthy one.",
        {"initial": "affine"},
    ),
    Preset(
        "lesion-over-time",
        "Lesion over time",
        "Moving: an earlier visit. Fixed: a later one of the same person.",
        {"initial": "rigid"},
    ),
    Preset(
        "fast",
        "Quick look",
        "Fewer scales, iterations and time steps, for a first impression.",
        {"levels": 2, "iterations": 15, "steps": 6},
    ),
    Preset(
        "toy-2d",
        "2D shapes",
        "Flat shapes without texture or noise, a few hundred pixels wide.",
        {"bias_correction": False, "similarity": "ssd", "regularity": 0.035},
    ),
)
_WHICH_MASK = {
    "template-to-patient": " Give the lesion mask, drawn on the patient's image.",
    "patient-to-template": " Give the moving lesion mask, drawn on the patient's image, and no lesion mask.",
    "lesion-over-time": " Give both lesion masks, each drawn on its own image.",
}
_TOY_PENALTY = {"intensity_penalty": 0.1}
"""Without noise nothing tells how much of a difference to leave."""
_TOY_WEIGHT = {"lesion_weight": 1.0}
"""Without texture it is what grows in the mask that pushes the shapes around it aside."""


def _presets(masked: bool, painted: bool) -> tuple[Preset, ...]:
    """Those of a method that has masks, or that adds intensity, or that does neither."""
    helps = [each.help + (_WHICH_MASK.get(each.name, "") if masked else "") for each in _PRESETS]
    presets = [replace(each, help=text) for each, text in zip(_PRESETS, helps, strict=True)]
    toy_values = (_TOY_PENALTY if painted else {}) | (_TOY_WEIGHT if painted and masked else {})
    toy = replace(presets[-1], values={**presets[-1].values, **toy_values})
    return (*presets[:-1], toy)


def _declare(name: str, title: str, summary: str, masked: bool, parameters_type: type, painted: bool) -> Method:
    seeds = [_SEEDS] if masked and painted else []
    return Method(
        name=name,
        title=title,
        summary=summary,
        citation=WEIGHTED_METAMORPHOSIS,
        inputs=(_FIXED, _MOVING, *([_MASK, _MOVING_MASK] if masked else []), *seeds, _MOVING_LABELS, _FIXED_LABELS),
        parameters_type=parameters_type,
        outputs=(
            *_GEOMETRIC_OUTPUTS,
            *(_MASKED_OUTPUTS if masked else ()),
            *(_INTENSITY_OUTPUTS if painted else ()),
            *([_MASK_OUTPUT] if masked and painted else []),
        ),
        presets=_presets(masked, painted),
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
