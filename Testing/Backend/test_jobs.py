"""Jobs: in place, in a warm worker, cancelled, killed, orphaned."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stand_in_method
import torch
from regsuite import catalog, io, jobs, registration
from regsuite.errors import Cancelled, InputError, JobFailed
from regsuite.jobs import Job, Message, WorkerClient, device, session
from regsuite.jobs.message import Tail, append
from regsuite.progress import Progress
from regsuite.registration import Registration
from regsuite.spatial import Grid, LabelImage, PointSet, Surface, Surfaces
from regsuite.transforms import identity
from stand_in_method import SHIFT


class Heard(Progress):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, str]] = []
        self.logs: list[str] = []

    def step(self, fraction: float, message: str = "") -> None:
        self.steps.append((fraction, message))

    def log(self, text: str) -> None:
        self.logs.append(text)


@pytest.fixture
def client(stand_in: Any, temporary: Path) -> Iterator[WorkerClient]:
    client = WorkerClient(environment=stand_in.environment())
    yield client
    client.close()
    assert processes() == []
    assert list(temporary.iterdir()) == []


def processes() -> list[int]:
    """Workers and the stand-in's children that are alive, of this test process or of no one."""
    deadline = time.monotonic() + 5
    while (left := _own_processes()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _own_processes() -> list[int]:
    temporary = os.environ["TMPDIR"].encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment, state = (folder / "environ").read_bytes(), (folder / "stat").read_text().rpartition(")")[2]
        except OSError:
            continue
        if b"TMPDIR=" + temporary in environment and int(folder.name) != os.getpid() and state.split()[0] != "Z":
            found.append(int(folder.name))
    return found


def wait_for(client: WorkerClient, kind: str, seconds: float = 60) -> list[Message]:
    """All messages up to one of that kind."""
    messages: list[Message] = []
    deadline = time.monotonic() + seconds
    while not any(message.kind == kind for message in messages):
        assert time.monotonic() < deadline, [message.kind for message in messages]
        messages += client.poll()
        time.sleep(0.005)
    return messages


def job(inputs: dict[str, Any], **parameters: Any) -> Job:
    return Job("stand-in", inputs, parameters, device="cpu")


# In place


def test_result_and_record(stand_in: Any, pair: dict[str, Any]) -> None:
    heard = Heard()
    result = jobs.run(Job("stand-in", pair, {"factors": "1, 2"}, seed=7, device="cpu"), heard)
    assert np.allclose(result.transform.matrix[:-1, -1], SHIFT, atol=1e-3)
    record = json.loads(json.dumps(result.record))
    assert record["method"] == "stand-in"
    assert record["parameters"] == {"seconds": 0.0, "behaviour": "good", "initial": "none", "factors": [1.0, 2.0]}
    assert (record["seed"], record["device"], record["device_asked"]) == (7, "cpu", "cpu")
    assert record["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]  # +cpu, +cu130 ... or nothing
    assert {"regsuite", "numpy", "SimpleITK", "python"} <= set(record["versions"])
    assert record["inputs"]["moving"]["spacing"] == [2.0, 1.5, 1.0]
    assert record["seconds"] > 0
    assert heard.steps[-1][0] == 1.0


def test_peak_memory_is_that_of_the_run(stand_in: Any, pair: dict[str, Any]) -> None:
    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    before = resident()
    ballast = np.ones(40_000_000)
    during = resident()
    assert during - before > 300
    peak = jobs.run(job(pair)).record["peak_memory_mb"]
    assert during - 5 < peak < during + 150
    del ballast
    assert jobs.run(job(pair)).record["peak_memory_mb"] < during - 150


def test_seed_repeats_a_run_and_leaves_the_callers_randomness(stand_in: Any, pair: dict[str, Any]) -> None:
    torch.manual_seed(0)
    expected = torch.rand(2).tolist()
    torch.manual_seed(0)
    first = torch.rand(1).tolist()
    drawn = [jobs.run(Job("stand-in", pair, seed=seed)).metrics["random"] for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert first + torch.rand(1).tolist() == expected


def test_paths_are_read(stand_in: Any, pair: dict[str, Any], tmp_path: Path) -> None:
    for role, image in pair.items():
        io.write_image(tmp_path / f"{role}.nrrd", image)
    paths = {role: tmp_path / f"{role}.nrrd" for role in pair}
    result = jobs.run(job(paths))
    assert np.allclose(result.transform.matrix[:-1, -1], SHIFT, atol=1e-3)
    assert result.record["inputs"]["fixed"]["path"] == str(paths["fixed"])


def test_two_files_for_labels_are_one_too_many() -> None:
    paths = {"fixed_labels": ["a.nrrd", "b.nrrd"], "moving_labels": "c.nrrd"}
    with pytest.raises(InputError, match="'Fixed organs' takes one file, and 2 were given"):
        jobs.run(Job("mo-bcpd", paths))


def test_cancelled_in_place(stand_in: Any, pair: dict[str, Any]) -> None:
    class Impatient(Progress):
        def step(self, fraction: float, message: str = "") -> None:
            if fraction > 0:
                raise Cancelled

    with pytest.raises(Cancelled):
        jobs.run(job(pair, seconds=30.0), Impatient())


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        pytest.param(
            "cuda", "A GPU was asked for", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU")
        ),
        ("abacus", "There is no device 'abacus'"),
        ("cuda:99", "A GPU was asked for" if not torch.cuda.is_available() else "cannot be used"),
    ],
)
def test_absent_device(stand_in: Any, pair: dict[str, Any], wanted: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        jobs.run(Job("stand-in", pair, device=wanted))


def test_gpu_out_of_memory_falls_back(stand_in: Any, pair: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "choose", lambda wanted: "meta")  # a device that is not the CPU
    heard = Heard()
    result = jobs.run(Job("stand-in", pair, {"behaviour": "gpu-memory"}), heard)
    assert np.allclose(result.transform.matrix[:-1, -1], SHIFT, atol=1e-3)
    assert result.record["device"] == "cpu"
    assert "GPU's memory is too small" in result.record["log"][0]
    assert heard.logs == result.record["log"]


def test_out_of_memory_is_one_sentence(stand_in: Any, pair: dict[str, Any]) -> None:
    with pytest.raises(JobFailed, match=r"ran out of memory.*lower the resolution"):
        jobs.run(job(pair, behaviour="host-memory"))


def test_missing_package_is_one_sentence(stand_in: Any, pair: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "regsuite.checks", None)
    with pytest.raises(JobFailed, match=r"'regsuite.checks' is missing"):
        jobs.run(job(pair))


def test_a_method_s_own_error_is_not_hidden(stand_in: Any, pair: dict[str, Any]) -> None:
    with pytest.raises(KeyError, match="lost"):
        jobs.run(job(pair, behaviour="error"))


def test_importing_jobs_does_not_import_torch() -> None:
    code = "import sys, regsuite.jobs; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# In a worker


def test_same_result_in_worker_and_in_place(client: WorkerClient, pair: dict[str, Any]) -> None:
    values = pair["moving"].array() > 50
    labels = LabelImage.from_array(values, pair["moving"].grid, {1: "ball"}, {1: (1.0, 0.5, 0.0)})
    task = job({**pair, "moving_labels": labels, "mask": labels}, seconds=0.5)
    client.submit(task)
    assert client.running
    with pytest.raises(JobFailed, match="is running"):
        client.submit(task)
    messages = wait_for(client, "done")
    here = jobs.run(task)
    there = messages[-1].result
    assert there is not None
    assert not client.running
    assert torch.equal(there.transform.matrix, here.transform.matrix)
    assert torch.equal(there.warped.data, here.warped.data)
    assert torch.equal(there.warped_labels.data, here.warped_labels.data)
    assert there.warped_labels.names == {1: "ball"}
    carried = there.labels["mask_on_moving"]
    assert torch.equal(carried.data, here.labels["mask_on_moving"].data)
    assert carried.data.any()
    assert (carried.grid, carried.names, carried.colours) == (labels.grid, labels.names, labels.colours)
    assert there.notes == here.notes == [stand_in_method.NOTE]
    assert there.metrics == here.metrics
    assert {"progress", "curve", "preview", "done"} <= {message.kind for message in messages}
    curve = [message for message in messages if message.kind == "curve"]
    assert curve[0].name == "energy"
    assert [message.x for message in curve] == there.curves["energy"].x
    preview = next(message.image for message in messages if message.kind == "preview")
    assert torch.allclose(preview.data, pair["moving"].data)
    fractions = [message.fraction for message in messages if message.kind == "progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_worker_stays_warm(client: WorkerClient, pair: dict[str, Any]) -> None:
    client.start()
    client.submit(job(pair))
    wait_for(client, "done")
    worker = _own_processes()
    client.submit(job(pair))
    start = time.monotonic()
    wait_for(client, "done")
    assert _own_processes() == worker
    assert time.monotonic() - start < 10  # no second start of Python and torch


def test_failures_are_messages_and_the_worker_lives_on(client: WorkerClient, pair: dict[str, Any]) -> None:
    sentences = {
        "error": "The method stopped on its own error (KeyError: 'lost')",
        "host-memory": "The computer ran out of memory",
    }
    for behaviour, sentence in sentences.items():
        client.submit(job(pair, behaviour=behaviour))
        assert wait_for(client, "failed")[-1].text.startswith(sentence)
    worker = _own_processes()
    client.submit(job({"fixed": pair["fixed"]}))
    assert "needs the moving image" in wait_for(client, "failed")[-1].text
    client.submit(job({**pair, "moving": "/nowhere/image.nii.gz"}))
    assert "/nowhere/image.nii.gz" in wait_for(client, "failed")[-1].text
    with pytest.raises(InputError, match="no parameter 'speed'"):
        client.submit(job(pair, speed=3))
    client.submit(job(pair))
    wait_for(client, "done")
    assert _own_processes() == worker


@pytest.mark.parametrize(
    ("behaviour", "reason"), [("die", "killed, perhaps out of memory"), ("exit", "exit code 3; cannot go on")]
)
def test_worker_that_ends_by_itself(client: WorkerClient, pair: dict[str, Any], behaviour: str, reason: str) -> None:
    client.submit(job(pair, behaviour=behaviour))
    text = wait_for(client, "failed")[-1].text
    assert text.startswith(f"The worker process ended unexpectedly ({reason}): ")
    assert not client.running
    assert processes() == []


def test_interpreter_that_is_not_there(stand_in: Any, pair: dict[str, Any], temporary: Path) -> None:
    client = WorkerClient(python="/nowhere/python")
    with pytest.raises(JobFailed, match="'/nowhere/python' does not start"):
        client.submit(job(pair))
    assert list(temporary.iterdir()) == []
    assert not client.running


def test_children_and_temporary_files_go_with_the_worker(
    client: WorkerClient, pair: dict[str, Any], temporary: Path
) -> None:
    client.submit(job(pair, behaviour="litter"))
    wait_for(client, "done")
    assert list(temporary.rglob("tmp*"))
    client.submit(job(pair, behaviour="child"))
    wait_until(lambda: len(_own_processes()) == 2)
    client.cancel()
    assert processes() == []
    assert list(temporary.iterdir()) == []


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_cancels_at_random_moments(client: WorkerClient, pair: dict[str, Any], temporary: Path) -> None:
    """Most while Python, torch and the job start; every fifth while the method runs, saves or has just ended.

    The benchmarks do it a hundred times.
    """
    rng = random.Random(0)
    for count in range(15):
        client.submit(job(pair, seconds=0.3))
        if count % 5:
            time.sleep(10 ** rng.uniform(-3, 0))
        else:
            wait_for(client, "curve")
            time.sleep(rng.uniform(0, 0.6))
        client.cancel()
        assert not client.running
        assert client.poll() == []
        assert list(temporary.iterdir()) == []
    assert processes() == []
    client.submit(job(pair))
    assert np.allclose(wait_for(client, "done")[-1].result.transform.matrix[:-1, -1], SHIFT, atol=1e-3)


def test_killed_workers(client: WorkerClient, pair: dict[str, Any], temporary: Path) -> None:
    """Half while the job starts, half while the method runs; the benchmarks kill a hundred."""
    rng = random.Random(0)
    for count in range(6):
        client.submit(job(pair, seconds=20.0))
        if count % 2:
            time.sleep(10 ** rng.uniform(-2, 0))
        else:
            wait_for(client, "curve")
            time.sleep(rng.uniform(0, 0.1))
        (worker,) = _own_processes()
        os.kill(worker, signal.SIGKILL)
        messages = wait_for(client, "failed")
        assert messages[-1].text.startswith("The worker process ended unexpectedly (killed, perhaps out of memory)")
        assert not client.running
        assert list(temporary.iterdir()) == []
    client.submit(job(pair))
    wait_for(client, "done")


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, None])
@pytest.mark.parametrize("behaviour", ["good", "deaf"])
def test_worker_ends_with_its_client(
    stand_in: Any, temporary: Path, ending: signal.Signals | None, behaviour: str
) -> None:
    code = f"""
import sys, time
import stand_in_method
from regsuite.jobs import Job, WorkerClient
stand_in_method.register()
client = WorkerClient(environment=stand_in_method.environment())
inputs = {{"fixed": stand_in_method.ball((0, 0, 0)), "moving": stand_in_method.ball((1, 0, 0))}}
values = {{"seconds": 0.1 if {behaviour!r} == "deaf" else 60, "behaviour": {behaviour!r}}}
client.submit(Job("stand-in", inputs, values))
while not any(message.kind == "curve" for message in client.poll()):
    time.sleep(0.01)
time.sleep(0.2)
print("started", flush=True)
if {ending is not None}:
    time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": str(stand_in.FOLDER)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        if ending is not None:
            parent.send_signal(ending)
        parent.wait()
    assert processes() == []
    assert list(temporary.iterdir()) == []


# The session's folder


def test_sweep_takes_only_folders_of_the_dead(temporary: Path) -> None:
    code = "from regsuite.jobs.session import Session; import os; print(Session().folder, flush=True); os._exit(0)"
    dead = Path(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    living = session.Session()
    foreign = temporary / "regsuite-session-without-a-lock"
    foreign.mkdir()
    assert dead.exists()
    session.sweep()
    assert not dead.exists()
    assert living.folder.exists()
    assert foreign.exists()
    living.remove()
    assert not living.folder.exists()


def test_tail_waits_for_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "messages.jsonl"
    tail = Tail(file)
    assert tail.records() == []
    append(file, {"text": "één"})
    with file.open("ab") as stream:
        stream.write(b'{"text": "tw')
    assert tail.records() == [{"text": "één"}]
    with file.open("ab") as stream:
        stream.write('ö"}\n'.encode())
    assert tail.records() == [{"text": "twö"}]
    assert tail.records() == []


def test_points_travel(tmp_path: Path) -> None:
    from regsuite.jobs import job as carried

    points = PointSet.from_array(np.array([[1.0, 2.0, 3.0]]), ["apex"])
    carried.save(Job("stand-in", {"fixed": points, "moving": "image.nii"}), tmp_path)
    back = carried.load(tmp_path)
    assert torch.equal(back.inputs["fixed"].points, points.points)
    assert back.inputs["fixed"].names == ("apex",)
    assert back.inputs["moving"] == os.path.abspath("image.nii")


def surface(name: str, offset: float = 0.0) -> Surface:
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1 / 3]]).double() + offset
    values = {"distance, mm": torch.arange(4.0).double() / 7, "organ": torch.eye(4, 3).double()}
    return Surface(points, torch.tensor([[0, 1, 2], [1, 2, 3]]), name, values)


def assert_same(one: Surface, other: Surface) -> None:
    assert one.name == other.name
    assert torch.equal(one.points, other.points)
    assert torch.equal(one.triangles, other.triangles)
    assert one.values.keys() == other.values.keys()
    assert all(torch.equal(one.values[key], other.values[key]) for key in one.values)


def test_surfaces_and_lists_of_files_travel(tmp_path: Path) -> None:
    from regsuite.jobs import job as carried

    cloud = Surface(torch.rand(5, 3).double(), name="Milz, linke")
    inputs = {
        "fixed_surfaces": Surfaces([surface("Liver"), cloud]),
        "moving_surfaces": [Path("a.vtp"), "/elsewhere/b.stl"],
        "moving": "image.nii",
    }
    values = {"organs": (("Liver", "points", 50.0),), "coherence_matrix": '{"Liver": {"Spleen": 0.5}}'}
    carried.save(Job("mo-bcpd", inputs, values), tmp_path)
    back = carried.load(tmp_path)
    for one, other in zip(back.inputs["fixed_surfaces"].parts, inputs["fixed_surfaces"].parts, strict=True):
        assert_same(one, other)
    assert back.inputs["moving_surfaces"] == [os.path.abspath("a.vtp"), "/elsewhere/b.stl"]
    assert back.inputs["moving"] == os.path.abspath("image.nii")
    checked = [catalog.method("mo-bcpd").check_values(each) for each in (values, back.parameters)]
    assert checked[0] == checked[1]


def test_terms_of_labels_travel(tmp_path: Path) -> None:
    from regsuite.jobs import job as carried

    labels = LabelImage.from_array(np.ones((2, 3, 4)), Grid.regular((2, 3, 4)), {1: "Leber"}, None, {1: "SCT^10200004"})
    carried.save(Job("mo-bcpd", {"fixed_labels": labels}), tmp_path)
    assert carried.load(tmp_path).inputs["fixed_labels"].terms == {1: "SCT^10200004"}


def test_surfaces_of_a_result_are_kept(tmp_path: Path) -> None:
    grid = Grid.regular((3, 4, 5))
    cloud = Surface(torch.rand(5, 3).double())
    result = Registration(identity(3), identity(3), grid, surfaces={"after": surface("after"), "cloud": cloud})
    registration.save(result, tmp_path)
    back = registration.load(tmp_path)
    assert list(back.surfaces) == ["after", "cloud"]
    assert_same(back.surfaces["after"], result.surfaces["after"])
    assert_same(back.surfaces["cloud"], cloud)
    assert back.warped is None


def test_surfaces_are_read_from_one_path_or_several(tmp_path: Path) -> None:
    from regsuite.jobs import local

    paths = [tmp_path / f"{name}.vtp" for name in ("Liver", "Spleen")]
    for path in paths:
        io.write_surface(path, surface(path.stem))
    for given, names in ((paths, ["Liver", "Spleen"]), (str(paths[1]), ["Spleen"]), ((paths[0],), ["Liver"])):
        inputs = local.read_inputs(Job("mo-bcpd", {"fixed_surfaces": given}))
        assert [part.name for part in inputs["fixed_surfaces"].parts] == names


def test_record_of_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was registered, in what JSON can hold."""
    monkeypatch.setattr("regsuite.methods.organs.sides._ACROSS", 30)
    ball = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)).double()
    ball = 20 * ball / ball.norm(dim=1, keepdim=True)
    inputs = {
        "fixed_surfaces": Surfaces([Surface(ball, name="Liver")]),
        "moving_surfaces": Surfaces([Surface(ball[:150] + 3, name="Liver")]),
    }
    values = {"points": 150, "iterations": 60, "resolution": 8, "organs": {"Liver": {"points": 140}}}
    result = jobs.run(Job("mo-bcpd", inputs, values, device="cpu"))
    record = json.loads(json.dumps(result.record))
    assert record["inputs"]["fixed_surfaces"] == {"surfaces": {"Liver": 200}}
    assert record["inputs"]["moving_surfaces"] == {"surfaces": {"Liver": 150}}
    assert record["parameters"]["organs"] == [["Liver", "points", 140.0]]
    moved = result.inverse.points(torch.tensor([[3.0, 3, 3]]).double())
    assert float(moved.norm()) < 1.0
