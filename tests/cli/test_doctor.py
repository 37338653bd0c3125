"""The doctor reports what is there, says what to do, and never falls ill itself."""

import json
import sys
from importlib import metadata

import pytest

from mmreason.audit import doctor
from mmreason.cli import main
from mmreason.video import Video


def test_this_machine_passes_what_the_tests_need() -> None:
    checks = {check.name: check for check in doctor.run_checks()}
    for name in ("Python", "torch", "av", "codecs", "attention: sdpa"):
        assert checks[name].status == "ok", checks[name]
    assert checks["torch"].found == metadata.version("torch")
    self_test = checks["self-test: write and read a clip"]
    assert self_test.status == "ok", self_test
    assert "3 frames read back" in self_test.found


def test_self_test_notices_wrong_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Video.frames_at

    def two_later(self: Video, times_s, size_px=None):
        return real(self, [min(t + 0.08, 1.97) for t in times_s], size_px)

    monkeypatch.setattr(Video, "frames_at", two_later)
    status, found, advice = doctor._self_test()
    assert status == "fail" and "expected" in found and advice


def test_a_missing_package_fails_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "timm":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    checks = {check.name: check for check in doctor._packages()}
    assert (checks["timm"].status, checks["timm"].advice) == ("fail", "pip install timm")
    assert checks["numpy"].status == "ok"


def test_an_optional_package_may_be_missing_but_not_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = doctor._optional_package("no-such-thing", "train")
    assert missing.status == "ok"
    assert missing.advice == 'optional; in the clone of mmreason: pip install ".[train]"'
    monkeypatch.setattr(metadata, "version", lambda _: "1.0")
    monkeypatch.setitem(sys.modules, "decord", None)
    check = doctor._optional_package("decord", "decord")
    assert (check.status, check.found[:4]) == ("warn", "1.0:")


def test_two_flavours_of_opencv_are_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "4.0" if name == "opencv-python" else real(name)
    )
    status, found, advice = doctor._opencv()
    assert status == "warn" and "opencv-python 4.0" in found and "uninstall" in advice


def test_torchvision_of_another_torch_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: ["numpy", "torch==1.0.0"])
    status, found, advice = doctor._torchvision()
    assert status == "warn" and "torch==1.0.0" in found and "together" in advice
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)
    assert doctor._torchvision()[0] == "fail"


def test_a_check_that_raises_is_a_finding() -> None:
    def broken() -> tuple[doctor.Status, str, str]:
        raise OSError("libfoo.so:\n missing")

    check = doctor._guarded("foo", broken)
    assert (check.status, check.found) == ("fail", "OSError: libfoo.so: missing")
    assert check.advice


def test_doctor_verb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    good = doctor.DoctorCheck(name="a", status="ok", found="1.0")
    warn = doctor.DoctorCheck(name="b", status="warn", found="old", advice="renew it")
    fail = doctor.DoctorCheck(name="c", status="fail", found="gone")
    monkeypatch.setattr(doctor, "run_checks", lambda: [good, warn])
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "ok    a: 1.0\nwarn  b: old (renew it)\n"
    monkeypatch.setattr(doctor, "run_checks", lambda: [good, fail])
    assert main(["doctor", "--json"]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert checks == [good.to_dict(), fail.to_dict()]
