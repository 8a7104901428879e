"""Multi-organ point clouds: MO-BCPD, and plain BCPD beside it."""

from __future__ import annotations

from dataclasses import dataclass

from regsuite.catalog.declaration import Citation, Input, Method, Output, Preset, parameter

MO_BCPD = Citation(
    text="MO-BCPD: Multi-organ Bayesian Coherent Point Drift. WBIR 2022, LNCS 13386, chapter 9",
    doi="10.1007/978-3-031-11203-4_9",
    paper="mo-bcpd",
)
BCPD = Citation(
    text="Hirose O.: A Bayesian Formulation of Coherent Point Drift. IEEE TPAMI 43(7), 2021",
    doi="10.1109/TPAMI.2020.2971687",
    paper="bcpd",
)


def _deviation(default: float) -> float:
    return parameter(
        default,
        "Displacement",
        "How far points are expected to move beyond what moves everything, or their organ as a whole: standard "
        "deviation. Larger lets organs change more.",
        unit="mm",
        minimum=0.01,
        maximum=1000.0,
    )


def _range(default: float) -> float:
    return parameter(
        default,
        "Range",
        "How far apart two points of an organ may be and still move nearly alike. Larger keeps an organ's shape, "
        "smaller follows detail.",
        unit="mm",
        minimum=0.1,
        maximum=10000.0,
    )


@dataclass(frozen=True)
class BcpdParameters:
    """What one cloud of points needs."""

    points: int = parameter(
        600,
        "Points per organ",
        "How many points stand for the surface of each organ, spread evenly. More follow smaller detail and take "
        "longer.",
        minimum=12,
        maximum=50000,
    )
    deviation: float = _deviation(10.0)
    range: float = _range(30.0)
    outlier_rate: float = parameter(
        0.0,
        "Outliers",
        "Share of each target organ's points that have no counterpart, such as where a segmentation has run out or an "
        "organ has been cut off.",
        minimum=0.0,
        maximum=0.9,
    )
    refinement: str = parameter(
        "none",
        "Refinement",
        "A registration of the images that starts where the points have arrived: 'none', or 'lddmm', which follows "
        "intensities between and inside the organs. It needs both images, and takes minutes for large ones.",
        choices=("none", "lddmm"),
        advanced=True,
    )
    pose: str = parameter(
        "similarity",
        "Pose",
        "What may be done to everything at once, before organs move: a 'similarity' turns, shifts and scales, 'rigid' "
        "does not scale, 'none' trusts the positions in the scene.",
        choices=("similarity", "rigid", "none"),
    )
    resolution: float = parameter(
        0.0,
        "Field resolution",
        "Voxel size of the displacement field that the points' displacement is carried to; 0 takes a tenth of the "
        "smallest range, and never less than a voxel of the moving side.",
        unit="mm",
        minimum=0.0,
        maximum=50.0,
        automatic=True,
        advanced=True,
    )
    iterations: int = parameter(
        150, "Iterations", "Most iterations of a stage; fewer where it settles.", minimum=1, maximum=5000, advanced=True
    )
    rank_tolerance: float = parameter(
        0.001,
        "Low-rank tolerance",
        "Share of a point's variance that the low-rank form of the covariance may leave out; 0 takes all of it, which "
        "is slow.",
        minimum=0.0,
        maximum=0.5,
        advanced=True,
    )


@dataclass(frozen=True)
class MoBcpdParameters(BcpdParameters):
    """What several organs need as well."""

    deviation: float = _deviation(4.0)
    range: float = _range(40.0)
    organ_shift: float = parameter(
        20.0,
        "Shift of an organ",
        "How far an organ is expected to move as a whole, beyond what moves everything: standard deviation. 0 as in "
        "the paper, where only points move.",
        unit="mm",
        minimum=0.0,
        maximum=1000.0,
    )
    organ_strain: float = parameter(
        0.2,
        "Turn and growth of an organ",
        "How much an organ is expected to turn, grow and stretch as a whole, as a share: 0.2 is 20 % or some 11 "
        "degrees. 0 as in the paper.",
        minimum=0.0,
        maximum=2.0,
    )
    coherence: float = parameter(
        0.0,
        "Coherence between organs",
        "How much neighbouring organs move together: 0 each on its own way (OMC), 1 as one (GMC).",
        minimum=0.0,
        maximum=1.0,
    )
    label_errors: float = parameter(
        0.0,
        "Label errors",
        "Share of an organ's points that the segmentations give to one of the other organs by mistake.",
        minimum=0.0,
        maximum=0.5,
    )
    organs: tuple[tuple[str, str, float], ...] = parameter(
        (),
        "Organs of their own",
        "Organs that need other values than all the others: an organ's name, and which parameters it has of its own.",
        columns=("points", "deviation", "range", "organ_shift", "organ_strain", "outlier_rate"),
    )
    coherence_matrix: tuple[tuple[str, str, float], ...] = parameter(
        (),
        "Coherence matrix S",
        "Pairs of organs that move together more or less than the others: 0 each on its own way, 1 as one. Both "
        "directions are the same.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
        matrix="coherence",
    )
    transition_matrix: tuple[tuple[str, str, float], ...] = parameter(
        (),
        "Label matrix U",
        "For an organ (row) the share of its points that the fixed segmentation gives to another organ (column) by "
        "mistake. The organ itself gets the rest.",
        minimum=0.0,
        maximum=1.0,
        advanced=True,
        matrix="transition",
    )


_INPUTS = (
    Input("fixed_labels", "labels", "Fixed organs", "Segments of the organs to be met.", required=False),
    Input(
        "moving_labels",
        "labels",
        "Moving organs",
        "Segments of the organs that move. They are matched by terminology or name.",
        required=False,
        frame="moving",
    ),
    Input(
        "fixed_surfaces",
        "surfaces",
        "Fixed surfaces",
        "Models or markups of organs to be met, each an organ of its own: instead of segments, or beside them.",
        required=False,
    ),
    Input(
        "moving_surfaces",
        "surfaces",
        "Moving surfaces",
        "Models or markups of organs that move, called as those they are to meet.",
        required=False,
        frame="moving",
    ),
    Input(
        "fixed", "image", "Fixed image", "Says where results lie. Without it the organs do.", required=False
    ),
    Input(
        "moving", "image", "Moving image", "The image that is carried along.", required=False
    ),
)  # fmt: skip
_OUTPUTS = (
    Output("transform", "transform", "Transform", "From fixed to moving points; warps the moving image."),
    Output("inverse", "transform", "Inverse", "From moving to fixed points."),
    Output("warped", "image", "Warped image", "The moving image, on the fixed grid."),
    Output("warped_labels", "labels", "Warped organs", "The moving organs on the fixed grid."),
    Output(
        "organs_before", "surface", "Organs before", "Surfaces of the moving organs where they were.", frame="moving"
    ),
    Output(
        "organs_after",
        "surface",
        "Organs after",
        "The same where they have arrived; each point knows its distance from the fixed organ, mm.",
    ),
    Output("organs_target", "surface", "Organs to be met", "Surfaces of the fixed organs."),
    Output("jacobian", "image", "Jacobian", "Determinant of the transform: above 1 the moving tissue has shrunk."),
    Output("energy", "curve", "Fit", "Distance σ between the clouds over the iterations."),
    Output("overlap", "table", "Overlap", "Dice of each organ before and after."),
    Output("organs", "table", "Organs", "Points, distance between the surfaces, Dice and volume of each organ."),
    Output("fixed_labels_on_moving", "labels", "Fixed organs on the moving image", "By the inverse.", frame="moving"),
)
_PAPER = {"deviation": 10.0, "range": 30.0, "organ_shift": 0.0, "organ_strain": 0.0}
_TWO_PERSONS = Preset(
    "two-persons", "Two persons", "Organs lie elsewhere and differ in size and shape, each in its own way.", {}
)
_TWO_TIMES = Preset(
    "same-person",
    "One person, two times",
    "Organs move and fill, and change little else.",
    {"pose": "rigid", "organ_shift": 10.0, "organ_strain": 0.1},
)
_OMC = Preset("omc", "As in the paper: OMC", "Points move with those of their own organ alone.", _PAPER)
_GMC = Preset("gmc", "As in the paper: GMC", "Points move with all that are near.", {**_PAPER, "coherence": 1.0})
_ERRORS = Preset(
    "automatic-segmentation",
    "Automatic segmentations",
    "A tenth of the labels may be wrong between neighbours, and a twentieth of the surface has no counterpart.",
    {"label_errors": 0.1, "outlier_rate": 0.05},
)
_ONE_CLOUD = Preset("default", "Two persons", "Everything moves as one.", {})
_STIFF = Preset(
    "same-person", "One person, two times", "Size is kept.", {"pose": "rigid", "deviation": 6.0, "range": 40.0}
)

METHODS = (
    Method(
        name="mo-bcpd",
        title="Multi-organ point drift (MO-BCPD)",
        summary="Brings organs together by their surfaces, each on its own way, and carries that to the whole image.",
        citation=MO_BCPD,
        inputs=_INPUTS,
        parameters_type=MoBcpdParameters,
        outputs=_OUTPUTS,
        presets=(_TWO_PERSONS, _TWO_TIMES, _ERRORS, _OMC, _GMC),
        entry="regsuite.methods.organs:run_mo_bcpd",
    ),
    Method(
        name="bcpd",
        title="Bayesian coherent point drift (BCPD)",
        summary="Brings the surfaces of all organs together as one cloud of points that moves coherently.",
        citation=BCPD,
        inputs=_INPUTS,
        parameters_type=BcpdParameters,
        outputs=_OUTPUTS,
        presets=(_ONE_CLOUD, _STIFF),
        entry="regsuite.methods.organs:run_bcpd",
    ),
)
