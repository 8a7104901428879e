"""The pictures of the documentation, into Resources/Screenshots: ``python Docs/make_screenshots.py [DEMO]``.

The panel is grabbed from the simulation of Slicer's Qt widgets in Testing/Rig, the views are Slicer's own, drawn off
screen. DEMO: the folder that ``make demo`` wrote; the pictures of the brain come from it.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = ROOT / "Resources" / "Screenshots"
MODULES = ROOT / "RegistrationSuite"
sys.path.insert(0, str(ROOT / "Testing"))

LARGEST_BYTES = 300_000
PANEL_WIDTH = 460
SPACE = (400, 400)
SECTION, SMALL = (400, 300), (300, 225)
FROM_THE_FRONT = (0.3, 1.0, 0.25)
FROM_ABOVE = (0.8, 1.0, 0.5)
ALONG_THE_NECK = (-0.8, 0.5, 0.7)
DEPTHS = (-3.0, -1.6, -0.2, 1.2, 2.6)
"""Of a series of sections, mm."""
BRAIN = {"before-after": "brain-before-after", "slicer-views": "brain-views"}
"""Pictures of the demonstration, and their names here."""


def keep(picture: Image.Image, name: str) -> None:
    """Saves a picture as a PNG, with a palette where it would otherwise be too large a file."""
    picture = picture.convert("RGB")
    for each in (picture, dithered(picture, 256), dithered(picture, 128)):
        data = io.BytesIO()
        each.save(data, "PNG", optimize=True)
        if data.tell() < LARGEST_BYTES:
            break
    else:
        raise ValueError(f"{name} is too large a picture: {data.tell()} bytes")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"{name}.png").write_bytes(data.getvalue())


def dithered(picture: Image.Image, colours: int) -> Image.Image:
    """The picture in few colours, mixed dot by dot to look like more."""
    return picture.quantize(palette=picture.quantize(colours), dither=Image.Dither.FLOYDSTEINBERG)


def brain(demo: Path) -> None:
    """The pictures of the demonstration, smaller."""
    for source, name in BRAIN.items():
        with Image.open(demo / "pictures" / f"{source}.png") as picture:
            picture.thumbnail((920, 920), Image.Resampling.LANCZOS)
            keep(picture, name)


class Tour:
    """A module on the simulated Slicer, with a sample loaded through its sample data into the roles given."""

    def __init__(self, module: str, sample: str, *roles: str) -> None:
        from Rig import simulation

        simulation.start()
        import slicer

        self.app = slicer.app
        self.module = simulation.load_module(MODULES / module / f"{module}.py")
        source = next(
            each for each in slicer.modules.sampleDataSources["Registration Suite"] if each.sampleName == sample
        )
        self.nodes = dict(zip(roles, source.customDownloader(source), strict=True))
        self.window = self.module.widgetRepresentation()
        self.panel = self.window.self().panel

    def wait(self, condition: Callable[[], Any], seconds: float = 600) -> None:
        """Lets events and timers run until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(self.panel.ui.statusLabel.text)
            self.app.processEvents()
            time.sleep(0.01)

    def grab(self, name: str) -> None:
        """The panel, as tall as it wants to be."""
        window = self.window
        window.show()
        for _ in range(3):  # the height of wrapped texts follows from the width
            window.resize(PANEL_WIDTH, window.layout().totalHeightForWidth(PANEL_WIDTH))
            self.app.processEvents()
        file = SCREENSHOTS / f"{name}.png"
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        window.grab().save(str(file))
        with Image.open(file) as picture:
            keep(picture, name)

    def choose(self, method: str) -> None:
        """One of the panel's methods, by its name."""
        box = self.panel.ui.methodComboBox
        box.currentIndex = box.findData(method)

    def apply(self) -> None:
        """Runs the chosen method to its end."""
        self.panel.ui.applyButton.click()
        self.wait(lambda: not self.panel.runner.running)

    def sections(self, **opened: bool) -> None:
        """Opens and closes sections of the panel."""
        for name, is_open in opened.items():
            getattr(self.panel.ui, f"{name}Section").collapsed = not is_open


def tour() -> None:
    """The panel from its inputs to its results, and what its buttons show."""
    walk = Tour("TumourMetamorphosis", "TumourHead3D", "fixed", "moving", "mask", "fixed_labels", "moving_labels")
    panel, ui = walk.panel, walk.panel.ui
    for role, node in walk.nodes.items():
        panel.form.inputs[role].selector.setCurrentNode(node)
    walk.grab("panel")
    initial = next(each for each in panel.form.forms.fields if each.parameter.name == "initial")
    initial.widget.currentIndex = initial.parameter.choices.index("none")  # the sample's heads lie on each other
    walk.sections(advanced=True, outputs=True)
    walk.grab("panel-advanced")
    walk.sections(advanced=False, outputs=False)
    ui.applyButton.click()
    walk.wait(lambda: ui.progressBar.value > 600 and ui.energyLabel.text and not ui.previewLabel.pixmap.isNull())
    walk.sections(inputs=False, parameters=False)
    walk.grab("panel-running")
    walk.wait(lambda: not panel.runner.running)
    walk.sections(log=False)
    walk.grab("panel-results")
    views_of(ui, panel.results.nodes, walk)
    walk.module.close()


def organs() -> None:
    """Two abdomens in the panel of multi-organ point clouds, and their organs in 3D before and after."""
    from RegistrationSuiteLib import views

    walk = Tour("MultiOrganPointClouds", "Abdomens3D", "fixed", "moving", "fixed_labels", "moving_labels")
    panel, ui = walk.panel, walk.panel.ui
    for role in ("fixed_labels", "moving_labels"):
        panel.form.inputs[role].selector.setCurrentNode(walk.nodes[role])
        walk.nodes[role].GetDisplayNode().SetVisibility(False)
    walk.grab("organs-panel")
    ui.applyButton.click()
    walk.wait(lambda: not panel.runner.running)
    with views.ThreeDView("1", SPACE) as space:
        pictures = []
        for title, button in (("Organs before", ui.showBeforeButton), ("Organs after", ui.showAfterButton)):
            button.click()
            walk.app.processEvents()
            space.look_from(FROM_THE_FRONT)
            pictures.append((title, space.render()))
        ui.showErrorButton.click()
        walk.app.processEvents()
        pictures.append(("Point error", space.render()))
    save(views.panel([pictures]), "organs-3d")
    walk.module.close()


def atlas() -> None:
    """The panel of atlas slices, from the training of an encoder to a section and to a series of sections.

    The encoder is trained here, on the sample's atlas, for a minute: what is found is found with it.
    """
    walk = Tour("AtlasSliceIdentification", "AtlasSection", "fixed", "moving", "moving_labels")
    for role, node in walk.nodes.items():
        walk.panel.form.inputs[role].selector.setCurrentNode(node)
    with tempfile.TemporaryDirectory() as folder:
        train(walk, Path(folder) / "atlas.safetensors")
        section_of(walk)
        series_of(walk)
    walk.module.close()


def train(walk: Tour, file: Path) -> None:
    """For a minute; the panel then looks for sections with it."""
    walk.choose("atlas-encoder")
    walk.panel.form.outputs["checkpoint"].widget.currentPath = str(file)
    walk.panel.form.change({"minutes": "1"})
    walk.apply()


def section_of(walk: Tour) -> None:
    """One section: the panel with its candidates, what lies over it, and its plane in the atlas."""
    from RegistrationSuiteLib import views

    walk.choose("atlas-slice")
    walk.apply()
    walk.sections(inputs=False, parameters=False, log=False, outputs=False)
    walk.grab("atlas-panel")
    ui, plates = walk.panel.ui, walk.panel.results.plates_ui
    with views.SliceView("Axial", "Red", SECTION, letters=False) as view, views.ThreeDView("1", SECTION) as space:
        ui.showOverlayButton.click()
        view.fit()
        ui.fadeSlider.value = 0.0
        outlined = view.render()
        ui.fadeSlider.value = 0.6
        plates.turnSlider.value, plates.rightSlider.value = 8.0, 0.5
        moved = view.render()
        plates.adjustButton.click()
        plates.showSpaceButton.click()
        space.look_from(FROM_ABOVE)
        rows = [
            ("Regions on the section", outlined),
            ("Atlas moved by hand", moved),
            ("Section in the atlas", space.render()),
        ]
    save(views.panel([rows]), "atlas-views")


def series_of(walk: Tour) -> None:
    """Sections of one brain, the middle one torn: the panel with their table, and three of the others."""
    from RegistrationSuiteLib import scene, views
    from regsuite import phantoms

    case = phantoms.atlas_case()
    for number, depth in enumerate(DEPTHS):
        pose, kept = np.array([depth, 0.1, -0.07, 0, 0, 0, 0, 0, 0]), 0.7 if number == 2 else 1.0
        section = phantoms.section_of(case, pose, kept=kept)
        walk.panel.form.inputs["sections"].selector.check(scene.volume_from_image(section, f"brain_s{number + 1}"))
    walk.choose("atlas-series")
    walk.apply()
    walk.sections(log=False)
    walk.grab("atlas-series-panel")
    table = walk.panel.results.series.ui.sectionsTable
    with views.SliceView("Axial", "Red", SMALL, letters=False) as view, views.ThreeDView("1", SMALL) as space:
        space.look_from(FROM_ABOVE)
        flat, solid = [], []
        walk.panel.ui.fadeSlider.value = 0.0
        walk.panel.ui.showOverlayButton.click()
        walk.panel.ui.showLabelsButton.checked = True
        for row in (0, 3, 4):
            table.setCurrentCell(row, 0)
            view.fit()
            flat.append((table.item(row, 0).text(), view.render()))
            solid.append(("", space.render()))
    save(views.panel([flat, solid]), "atlas-series-views")


def hip() -> None:
    """Radial slices of a hip, step by step: the panel, and what the views show after some of the steps."""
    from RegistrationSuiteLib import fans, views
    from regsuite.pictures.fans import arrangement

    stacks = [f"slices {number}" for number in range(1, 5)]
    walk = Tour("HipQMRI", "RadialSlicesHip", "fixed", "fixed_labels", *stacks, "slice_labels")
    panel, ui = walk.panel, walk.panel.slices_ui
    for role in ("fixed", "fixed_labels", "slice_labels"):
        panel.form.inputs[role].selector.setCurrentNode(walk.nodes[role])
    for name in stacks:
        panel.form.inputs["slices"].selector.check(walk.nodes[name])
    with views.SliceView("Coronal", "Red", SMALL) as view, views.ThreeDView("1", SMALL) as space:

        def run(button: Any, title: str, shown: Any, way: Any = ALONG_THE_NECK) -> tuple[str, np.ndarray]:
            button.click()
            walk.wait(lambda: not panel.runner.running)
            space.look_from(way)
            return title, shown.render()

        top = [
            run(panel.planesButton, "In the order of the slices", space),
            run(ui.segmentButton, "Segment", view),
            run(ui.arrangeButton, "Arrange", space),
        ]
        walk.sections(inputs=True, parameters=False, log=False)
        walk.grab("hip-panel")
        below = [
            run(ui.reconstructButton, "Reconstruct", space, FROM_ABOVE),
            run(ui.initialiseButton, "Initialise", space),
            run(ui.refineButton, "Refine", view),
        ]
    save(views.panel([top, below]), "hip-steps")
    nodes, slices = panel.results.nodes, panel.choice.slices
    subject = fans.subject_of(nodes, walk.nodes["fixed"], walk.nodes[stacks[0]], slices)
    with Image.open(io.BytesIO(arrangement(subject).png)) as picture:
        picture.thumbnail((900, 900), Image.Resampling.LANCZOS)
        keep(picture, "hip-arrangement")
    walk.module.close()


def views_of(ui: Any, nodes: Mapping[str, Any], walk: Tour) -> None:
    """Slice views and the 3D view while buttons of the panel are pressed."""
    from RegistrationSuiteLib import display, views
    from RegistrationSuiteLib.gallery import Gallery

    with Gallery(walk.nodes, nodes, lesion_centre(walk.nodes["mask"])) as gallery:

        def row(title: str, space: bool = True) -> list[tuple[str, np.ndarray]]:
            walk.app.processEvents()
            shown = [(title, gallery.slices[0].render()), ("", gallery.slices[1].render())]
            return [*shown, ("", gallery.space.render())] if space else shown

        for view in gallery.slices:
            view.fit()
        save(views.panel([row("Overlay")]), "views-overlay")
        ui.showGridButton.click()
        save(views.panel([row("Grid")]), "views-grid")
        ui.showGridButton.click()
        ui.showJacobianButton.click()
        jacobian = row("Jacobian", space=False)
        ui.showJacobianButton.click()
        ui.showIntensityButton.click()
        save(views.panel([[*jacobian, *row("Intensity", space=False)]]), "views-maps")
        ui.showIntensityButton.click()
        ui.evolutionSlider.value = 0
        frames = []
        for number in (0, 2, 4, 6, 8):
            display.show_frame(nodes["evolution"], number)
            frames.append((f"Frame {number}", gallery.slices[0].render()))
        save(views.panel([frames]), "views-evolution")


def lesion_centre(mask: Any) -> list[float]:
    """RAS mm."""
    return list(mask.GetSegmentCenterRAS(mask.GetSegmentation().GetNthSegmentID(0)))


def save(picture: np.ndarray, name: str) -> None:
    shown = Image.fromarray(picture)
    shown.thumbnail((1200, 1200), Image.Resampling.LANCZOS)
    keep(shown, name)


def main() -> None:
    """Make every picture."""
    if len(sys.argv) > 1:
        brain(Path(sys.argv[1]))
    tour()
    organs()
    atlas()
    hip()


if __name__ == "__main__":
    main()
