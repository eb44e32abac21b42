"""Requirements and versions are read right, without anything installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from openmic_setup import requirements
from tests.support.setup_project import ROOT


def test_requirements_are_read_without_comments_and_with_markers(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(
        "# all\nAv>=14  # decoder\n\nuvicorn[standard]>=0.34,<1\n"
        'old==1; python_version < "3.0"\nnew==2; python_version >= "3.11"\n'
        f"here==3; sys_platform == '{sys.platform}'\nelsewhere==4; sys_platform != '{sys.platform}'\n"
    )
    expected = ["Av>=14", "uvicorn[standard]>=0.34,<1", "new==2", "here==3"]
    assert requirements.read_requirements(file) == expected
    file.write_text('odd==1; implementation_name == "x"\n')
    with pytest.raises(ValueError, match="implementation_name"):
        requirements.read_requirements(file)


def test_our_own_requirement_files_can_be_read() -> None:
    both = requirements.read_requirements(ROOT / "requirements.txt", ROOT / "requirements-test.txt")
    assert requirements.missing(both) == []
    assert requirements.missing(["openai-whisper==20240930", "no-such-package", "numpy<1"]) == [
        "openai-whisper==20240930",
        "no-such-package",
        "numpy<1",
    ]


@pytest.mark.parametrize(
    ("version", "specifier", "expected"),
    [
        ("2.11.0+cu128", ">=2.4,<2.14", True),
        ("2.14.0", ">=2.4,<2.14", False),
        ("2.13.1", "<2.14", True),
        ("2.9", ">=2.10", False),
        ("2.0", "==2", True),
        ("2.0.1", "==2.0", False),
        ("1.0rc1", ">=1", True),
        ("1.5.post2", "!=1.5", False),
        ("3", ">3", False),
        ("3", "<=3", True),
        ("anything", "", True),
    ],
)
def test_versions_and_specifiers(version: str, specifier: str, expected: bool) -> None:
    assert requirements.satisfies(version, specifier) is expected


@pytest.mark.parametrize(
    ("version", "requirement", "older"),
    [
        ("2.9.1+cu126", "torch>=2.10,<2.14", True),
        ("2.14.0", "torch>=2.10,<2.14", False),
        ("20240930", "openai-whisper==20250625", True),
        ("20260101", "openai-whisper==20250625", False),
        ("3", "x[y]>3", False),
        ("2", "x[y]!=2", False),
        ("2", "x<=1", False),
    ],
)
def test_too_old_or_too_new(version: str, requirement: str, older: bool) -> None:
    assert requirements.is_older(version, requirement) is older


def test_a_specifier_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="~=2"):
        requirements.satisfies("2", "~=2")
