"""nst.deploy.doctor: its findings on good and bad machines, and on this one."""

import json
import re
from types import SimpleNamespace

import pytest

from nst import machine, memory, weights
from nst.commands import main
from nst.deploy import doctor
from nst.page import limits, studio
from nst.page.studio import Studio
from nst.settings import Settings
from nst.transfer import StyleTransfer
from tests import toy

GB = 10**9


def by_name(findings) -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def good(monkeypatch, tmp_path):
    """A machine without problems."""
    file = tmp_path / "vgg19.h5"
    file.touch()
    monkeypatch.setenv("NST_VGG19", str(file))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "made" / "later"))
    monkeypatch.delenv("NST_NETWORK", raising=False)
    monkeypatch.setattr(memory, "available", lambda: 15 * GB)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setattr(machine, "gpus", lambda: [])
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=30 * GB))
    monkeypatch.setattr("nst.catalogue.missing", lambda: ())
    monkeypatch.setattr(limits, "current", limits.current.__wrapped__)


def test_a_good_machine_needs_no_advice(good):
    findings = by_name(doctor.check_machine())
    assert [name for name, finding in findings.items() if finding.advice] == []
    assert findings["memory"].fact == "15.0 GB are free"
    assert findings["page"].fact == "up to 1024 pixels and 2000 steps for each visitor"
    assert findings["VGG-19"].fact.endswith("vgg19.h5")
    assert re.search(r"2 cores .* tensorflow \d", findings["machine"].fact)


def test_painters_of_a_cluster_are_told(good, monkeypatch):
    assert "painters" not in by_name(doctor.check_machine())
    monkeypatch.setenv("NST_CLUSTER", "nowhere")
    assert by_name(doctor.check_machine())["painters"].fatal
    monkeypatch.setattr("nst.cluster.pool", lambda: "2 on Ray (auto), 1 GPU each")
    assert by_name(doctor.check_machine())["painters"].fact == "2 on Ray (auto), 1 GPU each"


@pytest.mark.parametrize(
    ("change", "name", "advice"),
    [
        (lambda patch: patch.setattr(machine, "cores", lambda: 1), "machine", "second core"),
        (lambda patch: patch.setattr(memory, "available", lambda: 2 * GB), "memory", "Below 3 GB"),
        (lambda patch: patch.setattr("os.access", lambda *_: False), "cache", "Set HOME to"),
        (lambda patch: patch.setattr("os.access", lambda *_: False), "pictures", "Set GRADIO_TEMP_DIR to"),
        (lambda patch: patch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=GB)), "cache", "Free some"),
        (lambda patch: patch.setattr("nst.catalogue.missing", lambda: ("wave",)), "examples", "examples --fetch"),
        (lambda patch: patch.setenv("NST_VGG19", "gone.h5"), "VGG-19", "NST_VGG19 is gone.h5, which is no file"),
        (lambda patch: patch.setenv("NST_NETWORK", "vgg16"), "NST_NETWORK", "auto, compact or vgg19"),
    ],
)
def test_each_problem_comes_with_what_to_do(good, monkeypatch, change, name, advice):
    change(monkeypatch)
    assert advice in by_name(doctor.check_machine())[name].advice


def test_without_weights_it_tells_how_to_get_them(good, monkeypatch):
    monkeypatch.delenv("NST_VGG19")
    monkeypatch.setattr(weights, "KERAS_CACHE", "nowhere/vgg19.h5")
    assert "--network vgg19" in by_name(doctor.check_machine())["VGG-19"].advice
    monkeypatch.setenv("SPACE_ID", "me/it")
    assert "when the Space starts" in by_name(doctor.check_machine())["VGG-19"].advice


@pytest.fixture
def toy_studio(monkeypatch):
    """A studio with a toy network, whose layers all runs use."""
    for module in (doctor, studio):
        monkeypatch.setattr(module, "Settings", lambda **given: Settings(**{**toy.LAYERS, **given}))
    return Studio(lambda _: StyleTransfer(toy.network(reason="A toy.")))


def test_what_paints_is_told_with_its_pace(good, toy_studio):
    findings = by_name(doctor.check_painting(toy_studio))
    assert findings["network"].fact.endswith(". A toy.") and findings["network"].fact.startswith("toy, ")
    assert (findings["GPU"].fact, findings["arithmetic"].fact) == ("none", "float32")
    assert "1.5 times as long" in findings["arithmetic"].advice
    assert re.search(r"at 512 pixels takes about \d+ seconds", findings["speed"].fact)


def test_a_gpu_that_tensorflow_does_not_use(good, toy_studio, monkeypatch):
    monkeypatch.setattr(machine, "gpus", lambda: [("A100", 80 * GB)])
    finding = by_name(doctor.check_painting(toy_studio))["GPU"]
    assert finding.fact == "A100, 80 GB: TensorFlow does not use it" and "and-cuda" in finding.advice


def test_what_cannot_paint_is_told_in_a_sentence(good):
    def broken(_):
        raise OSError("libcudart\n is missing")

    (finding,) = doctor.check_painting(Studio(broken))
    assert finding.fact == "cannot paint: OSError: libcudart is missing"
    assert finding.fatal and "pip install" in finding.advice


def test_an_error_that_tells_what_to_do_needs_no_advice(good):
    def refuse(_):
        raise ValueError("correct the file")

    (finding,) = doctor.check_painting(Studio(refuse))
    assert finding.fatal and (finding.fact, finding.advice) == ("cannot paint: correct the file", "")


def test_the_command(monkeypatch, capsys):
    fine, bad = doctor.Finding("memory", "much"), doctor.Finding("network", "broken", "Mend it.", fatal=True)
    monkeypatch.setattr(doctor, "check_machine", lambda: iter([fine]))
    monkeypatch.setattr(doctor, "check_painting", lambda _: iter([bad]))
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out == "memory      much\nnetwork     broken\n            → Mend it.\n"
    monkeypatch.setattr(doctor, "check_painting", lambda _: iter([]))
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "memory", "fact": "much", "advice": "", "fatal": False}
