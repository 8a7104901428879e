"""The parts of the benchmark of MO-BCPD that could be wrong quietly, on the phantom and on shapes made by hand."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from regsuite.phantoms import organ_case
from regsuite.solvers.drift.solve import Cloud
from regsuite.spatial import Grid, LabelImage

TESTING = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTING))

from Benchmarks import label_pairs, lung_clouds, mo_bcpd, organ_cases, organ_patients, point_clouds, pycpd_peer  # noqa: E402
from Benchmarks.organ_ways import BCPD, GMC, OMC, OURS  # noqa: E402
from Benchmarks.workshop import Missing, Workshop  # noqa: E402


def test_the_ways_are_those_of_the_paper() -> None:
    paper = {"deviation": 10.0, "range": 30.0, "organ_shift": 0.0, "organ_strain": 0.0}
    assert (OMC.parameters(), GMC.parameters()) == (paper, {**paper, "coherence": 1.0})
    assert (BCPD.method, BCPD.parameters(), OURS.parameters()) == ("bcpd", {}, {})


def test_groups_of_both_forms() -> None:
    with Workshop() as workshop:
        claims = [[f"{claim}, {data}" for claim, data, _ in mo_bcpd.groups(workshop, full)] for full in (False, True)]
    assert len(set(claims[1])) == len(claims[1]) > len(claims[0])
    assert "landmarks of organs, 50 simulated patients" in claims[1]


def test_landmarks_of_a_patient(tmp_path: Path) -> None:
    """Every organ of its own arrives nearer than all as one, and nearer than it lay."""
    file = tmp_path / "patient.pickle"
    file.write_bytes(pickle.dumps(organ_case(6.0, seed=2)))
    start = organ_cases.before([str(file)])[0]
    ours, one = (organ_cases.errors([str(file)], name, {"points": 60})[0] for name in ("mo-bcpd", "bcpd"))
    assert set(ours["organs"]) == {"Liver", "Spleen", "Left kidney", "Right kidney", "Bladder"}
    assert ours["error_mm"] < one["error_mm"] < start["error_mm"]
    assert ours["points"] <= 5 * 60


def test_points_with_the_label_of_their_neighbour() -> None:
    x = torch.tensor([[0.0, 0, 0], [4, 0, 0], [5, 0, 0], [20, 0, 0]])
    cloud = Cloud(x, torch.tensor([0, 0, 1, 1]))
    assert organ_cases.mislabelled(cloud, "border", 0.5).organs.tolist() == [0, 1, 0, 1]
    assert organ_cases.mislabelled(cloud, "anywhere", 1.0).organs.tolist() == [1, 1, 0, 0]
    assert organ_cases.mislabelled(cloud, "border", 0.0).organs.tolist() == [0, 0, 1, 1]


def test_vertices_of_a_mesh(tmp_path: Path) -> None:
    points = np.arange(12, dtype="<f4").reshape(4, 3)
    header = b"ply\nformat binary_little_endian 1.0\nelement vertex 4\nproperty float x\nend_header\n"
    (tmp_path / "mesh.ply").write_bytes(header + points.tobytes() + b"faces")
    assert (point_clouds.read_mesh(tmp_path / "mesh.ply") == points).all()


def test_a_peers_points_carry_the_others(tmp_path: Path) -> None:
    """In the unit of the points, whatever the peer was given."""
    rng = np.random.default_rng(0)
    x, y = 50 + 30 * rng.normal(size=(2, 80, 3))
    point_clouds.keep(str(tmp_path / "clouds.npz"), x, y)
    with np.load(tmp_path / "clouds.npz") as given:
        assert np.square(given["x"]).sum(axis=1).mean() == pytest.approx(1)
        np.save(tmp_path / "moved.npy", given["y"] + 6 / given["scale"])
    moved = point_clouds.spread(str(tmp_path / "clouds.npz"), str(tmp_path / "moved.npy"), y[:9] + 0.5)
    assert np.allclose(moved, y[:9] + 6.5)


def test_the_distance_of_two_clouds_is_the_mean_of_both_ways() -> None:
    one, other = np.zeros((1, 3)), np.array([[3.0, 0, 0], [0, 5, 0]])
    assert point_clouds.surface_distance(one, other) == pytest.approx(0.5 * (3 + 4))


def test_structures_of_a_pair() -> None:
    """Made of one label or of several; what is the same on both sides has Dice 1."""
    data = np.zeros((12, 12, 12), dtype=np.int32)
    data[2:6, 2:6, 2:6], data[6:9, 2:6, 2:6], data[2:6, 8:11, 2:6] = 3, 4, 9
    labels = LabelImage.from_array(data, Grid.regular(data.shape))
    taken = label_pairs._taken(labels, {"both": [3, 4], "other": [9]})
    assert [int((taken.data == value).sum()) for value in (1, 2)] == [112, 48]
    pair = label_pairs.LabelPair(taken, taken, taken, label_pairs._shifted(taken, np.array([1.0, 0, 0])))
    judged = label_pairs._judged(pair, label_pairs.identity(3))
    assert judged["used"] == {"both": [1.0, 0.0], "other": [1.0, 0.0]}
    assert judged["others"]["both"][0] == pytest.approx(0.75)
    assert 0 < judged["others"]["both"][1] < 1


def test_lungs_lie_in_their_own_voxels(tmp_path: Path) -> None:
    import SimpleITK as sitk

    mask = np.zeros((20, 24, 28), dtype=np.uint8)
    mask[5:15, 6:18, 7:21] = 1
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(tmp_path / "copd07_exp_lungmask.nii.gz"))
    (tmp_path / "copd07_exp_corrfield.csv").write_text("i,j,k,corr_i,corr_j,corr_k\n10,11,12,0,0,0\n12,10,11,0,0,0\n")
    found = lung_clouds.cloud(str(tmp_path), 7, "exp", keypoints=True)
    assert found.points[found.organs == lung_clouds.KEYPOINTS].tolist() == [[17.5, 11, 15], [21, 10, 13.75]]
    surface = found.points[found.organs == lung_clouds.SURFACE].numpy()
    assert np.abs(surface.mean(axis=0) - [13.5 * 1.75, 11.5, 9.5 * 1.25]).max() < 0.3


def test_without_the_peer_its_rows_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pycpd_peer.INTERPRETER, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Missing, match="pycpd is not installed"):
        pycpd_peer.interpreter()


class Answers(Workshop):
    """Gives errors that are set here: of each way, right labels first."""

    def run(self, function: str, *, python: str = sys.executable, **arguments: Any) -> Any:
        if function == "organ_cases:make":
            return [str(seed) for seed in arguments["seeds"]]
        parameters = arguments.get("parameters", {})
        error = 20.0 if arguments.get("method") == "bcpd" else 13.0 if "deviation" in parameters else 5.0
        if arguments.get("wrong") and not parameters["label_errors"]:
            error *= 1.2
        if parameters.get("coherence"):
            error += 4
        return [{"organs": {"liver": error}, "error_mm": error, "seconds": 1.0} for _ in arguments["cases"]]


def test_rows_of_patients_follow_from_their_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "abdomen_totalseg").mkdir()
    monkeypatch.setenv("REGSUITE_DATA", str(tmp_path))
    with Answers() as workshop:
        patients = organ_patients.Patients(workshop, full=False)
        assert [each["met"] for each in patients.landmarks(3)] == [False, True, True, True]
        assert [each["met"] for each in patients.labels(2)] == [True] * 8
        tables = workshop.tables
    assert tables["simulated patients"]["rows"][0] == ["liver", *([x, 0.0] for x in (5.0, 20.0, 17.0, 13.0, 5.0))]
    assert tables["wrong labels"]["rows"][0] == ["OMC, border", [13.0, 0.0], [15.6, 0.0], [13.0, 0.0]]
