"""What each part may load: fast commands never load the heavy libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "nnsight", "dowhy", "statsmodels", "matplotlib", "pandas")
CALL = """
import sys
sys.argv = ["causal-sae", {words}]
from causal_sae.cli import main
try:
    main()
except SystemExit as left:
    assert not left.code, left.code
"""


def loaded_by(code: str) -> set[str]:
    told = "import sys\n" + code + "\nprint('LOADED', *sorted(set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("LOADED ")[2].split()) & set(HEAVY)


@pytest.mark.parametrize("code", ["import causal_sae", "import causal_sae; dir(causal_sae)"])
def test_importing_the_package_loads_nothing_heavy(code):
    assert loaded_by(code) == set()


@pytest.mark.parametrize("words", ["'--help'", "'run', '--help'", "'schema'"])
def test_help_loads_nothing_heavy(words):
    assert loaded_by(CALL.format(words=words)) == set()


def test_validate_loads_nothing_heavy(trial_folder):
    assert loaded_by(CALL.format(words=f"'validate', {str(trial_folder())!r}")) == set()


def test_estimate_and_report_never_load_the_model_libraries(finished, tmp_path):
    file = tmp_path / "table.csv"
    columns = ["unit_id", "arm", "outcome", "value"]
    finished.observations[columns].to_csv(file, index=False)
    words = ["estimate", "--trial", finished.folder.trial_file, "--observations", file]
    words += ["--out", tmp_path / "made"]
    code = CALL.format(words=", ".join(repr(str(word)) for word in words))
    assert loaded_by(code) & {"torch", "transformers", "nnsight"} == set()


def test_power_never_loads_the_model_libraries(trial_folder):
    path = str(trial_folder(power={"effect": 0.5}))
    code = CALL.format(words=f"'power', {path!r}, '--repetitions', '20', '--out', {path + 'd'!r}")
    assert loaded_by(code) & {"torch", "transformers", "nnsight", "dowhy"} == set()


def test_every_public_name_is_where_the_package_says(tmp_path):
    import causal_sae

    for name in causal_sae.__all__:
        assert getattr(causal_sae, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        causal_sae.nonsense  # noqa: B018
