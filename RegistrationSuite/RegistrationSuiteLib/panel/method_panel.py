"""The panel of a module: its form, its state in the scene, and the run of a job."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import qt
import slicer
import slicer.util
from regsuite.errors import InputError, JobFailed

from RegistrationSuiteLib import dependencies
from RegistrationSuiteLib.logic import Request
from RegistrationSuiteLib.panel.form import MethodForm
from RegistrationSuiteLib.panel.live import LiveView
from RegistrationSuiteLib.panel.results import ResultsView
from RegistrationSuiteLib.runner import JobRunner
from RegistrationSuiteLib.state import PanelState

if TYPE_CHECKING:
    from regsuite.jobs import Message
    from regsuite.registration import Result

POLL_MS = 60
UI_FILE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "Resources", "UI", "MethodPanel.ui")


class MethodPanel(slicer.util.VTKObservationMixin):
    """A panel for some methods of the catalog; ``widget`` goes into the module's layout.

    packages: what its methods need beside the suite's own, module names and requirements.
    """

    packages: Mapping[str, str] = dependencies.NONE

    def __init__(self, module_name: str, title: str, method_names: Iterable[str]) -> None:
        super().__init__()
        self.title = title
        self._scene_changes = False
        self.state = PanelState(module_name)
        self.runner = JobRunner()
        self.widget = slicer.util.loadUI(UI_FILE)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.form = MethodForm(self.ui, method_names, self.onChanged)
        self.live = LiveView(self.ui)
        self.results = self._results_view()
        self.timer = qt.QTimer()
        self.timer.interval = POLL_MS
        self.timer.connect("timeout()", self.onPoll)
        self.ui.applyButton.connect("clicked()", self.onApply)
        self._observe_scene()
        self.show_state()

    def _results_view(self) -> ResultsView:
        """What shows the results; other panels show more."""
        return ResultsView(self.ui, self.state, self.form.methods)

    def _observe_scene(self) -> None:
        # The selectors observe the scene since before this, so that they know its nodes when the panel is told.
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneCloses)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneChanges)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneChanged)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneImported)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved)

    def warm_up(self) -> None:
        """Starts the worker while the user still chooses; where packages are missing, Apply asks for them first."""
        if dependencies.complete(self.needed()):
            with self._failures("The worker could not start"):
                self.runner.warm_up()

    def close(self) -> None:
        """Ends the running job and the worker, and lets go of the scene."""
        self.timer.stop()
        self.results.close()
        self.form.close()
        self.runner.close()
        self.removeObservers()

    def needed(self) -> Mapping[str, str]:
        """The packages for what is chosen."""
        return self.packages

    # --- state ---

    def show_state(self) -> None:
        """Shows what the scene keeps; defaults where it keeps nothing."""
        state, form = self.state, self.form
        form.set_method(state.text("method", form.methods[0].name))
        form.set_machine(state.text("device", "auto"), int(state.text("seed", "0")))
        for field in (*form.inputs.values(), *form.outputs.values()):
            field.recall(state)
        for method in form.methods:
            forms = form.parameters[method.name]
            forms.choose(state.text(f"{method.name}.preset"))
            forms.set_texts({each.name: state.text(f"{method.name}.{each.name}") for each in method.parameters})
        form.show_preset()
        form.show_organs()
        self.results.refresh()
        self.refresh_apply()

    def save_state(self) -> None:
        """Keeps what is shown in the scene."""
        state, form = self.state, self.form
        state.set_text("method", form.method.name)
        state.set_text("device", form.device)
        state.set_text("seed", str(form.seed))
        for field in (*form.inputs.values(), *form.outputs.values()):
            field.keep(state)
        for name, text in form.forms.texts().items():
            state.set_text(f"{form.method.name}.{name}", text)
        state.set_text(f"{form.method.name}.preset", form.forms.preset.name if form.forms.preset else "")

    def onChanged(self) -> None:
        """The user changed something in the form. While a scene closes or loads it is the scene that changes it."""
        if not self._scene_changes:
            self.save_state()
            self.refresh_apply()

    def onSceneCloses(self, _caller: Any, _event: Any) -> None:
        self._scene_changes = True
        if self.runner.running:
            self.cancel()
        else:
            self.runner.cancel()  # and with it the idle worker

    def onSceneChanges(self, _caller: Any, _event: Any) -> None:
        self._scene_changes = True

    def onSceneChanged(self, _caller: Any, _event: Any) -> None:
        self.show_state()
        self._scene_changes = False

    def onSceneImported(self, caller: Any, event: Any) -> None:
        """What was loaded may have closed the scene before, and the worker with it."""
        self.onSceneChanged(caller, event)
        if self.widget.visible:
            self.warm_up()

    def onNodeRemoved(self, _caller: Any, _event: Any) -> None:
        if not self._scene_changes:
            self.results.node_removed()

    # --- the run ---

    def request(self) -> Request:
        """What the form asks for."""
        form = self.form
        return Request(
            method=form.method.name,
            inputs={role: field.node for role, field in form.shown_inputs().items() if field.node},
            segments={role: field.segment for role, field in form.shown_inputs().items() if field.segment},
            parameters=form.forms.asked(),
            seed=form.seed,
            device=form.device,
            outputs={name: output.node for name, output in form.shown_outputs().items() if output.node},
        )

    def refresh_apply(self) -> None:
        """Apply where a job can start, Cancel while one runs."""
        button, missing = self.ui.applyButton, self.form.missing_input()
        running = self.runner.running
        button.text = "Cancel" if running else "Apply"
        button.enabled = running or not missing
        button.toolTip = "Stop the run; the scene stays as it is." if running else self.form.method.summary
        if missing and not running:
            button.toolTip = f"Select the {missing.lower()} first."
        for frame in (self.ui.methodFrame, self.ui.inputsFrame, self.ui.outputsFrame, self.ui.machineFrame):
            frame.enabled = not running
        for frame in (self.ui.presetFrame, self.ui.parametersFrame, self.ui.advancedFrame):
            frame.enabled = not running

    def onApply(self) -> None:
        if self.runner.running:
            self.cancel()
        else:
            self.start()

    def start(self) -> None:
        """Hands the job over; a sentence in the status line where that cannot be."""
        self.save_state()
        self.live.begin()
        with self._failures("The run could not start"):
            dependencies.ensure(self.title, self.needed())
            self.runner.start(self.request())
            self.ui.logSection.collapsed = False
            self.timer.start()
        self.refresh_apply()

    @contextmanager
    def _failures(self, what: str) -> Iterator[None]:
        """Shows what goes wrong inside as a sentence; an error of the suite's own is passed on to the console too."""
        try:
            yield
        except (InputError, JobFailed) as error:
            self._stop(str(error))
        except Exception as error:
            self._stop(f"{what} because of an error of the suite ({type(error).__name__}): see the Python console.")
            raise

    def _stop(self, sentence: str) -> None:
        self.timer.stop()
        self.live.end(sentence)
        self.refresh_apply()

    def cancel(self) -> None:
        self.runner.cancel()
        self._stop("Cancelled: the scene is as it was.")

    def onPoll(self) -> None:
        """Takes the news of the running job."""
        with self._failures("The result could not be shown"):
            for message in self.runner.poll():
                self._take(message)

    def _take(self, message: Message) -> None:
        if message.kind == "progress":
            self.live.step(message.fraction, message.text)
        elif message.kind == "log":
            self.live.log(message.text)
        elif message.kind == "curve":
            self.live.curve(message.name, message.x, message.values)
        elif message.kind == "preview" and message.image is not None:
            self.live.preview(message.image)
        elif message.kind in ("done", "failed"):
            self._finish(message)

    def _finish(self, message: Message) -> None:
        if message.result is None:
            self._stop(message.text)
        else:
            self._stop(summary(message.result))
            self.results.take(self.runner)


def summary(result: Result) -> str:
    """One sentence about a result, and a second one that points to its notes where there are any."""
    record, metrics = result.record, result.metrics
    words = [f"Done in {record['seconds']:.0f} s on {record['device']}"]
    if "dice_after" in metrics:
        words.append(f"mean Dice {metrics['dice_before']:.2f} before and {metrics['dice_after']:.2f} after")
    if "plate" in metrics:
        words.append(f"plate {metrics['plate']:.1f}")
    if "confidence" in metrics:
        words.append(f"{100 * metrics['confidence']:.0f} % sure")
    if metrics.get("settled") == 0:
        words.append("stopped at the limit of iterations")
    if metrics.get("folded_fraction") == 0:
        words.append("no folded voxels")
    elif "folded_fraction" in metrics:
        words.append(f"{100 * metrics['folded_fraction']:.2g} % folded voxels")
    notes = {0: "", 1: " Read the note under Results."}.get(len(result.notes), " Read the notes under Results.")
    return ", ".join(words) + "." + notes
