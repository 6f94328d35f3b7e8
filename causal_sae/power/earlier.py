"""Where a plan's pilot comes from: a run folder, or a table of observations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_sae.errors import DataError, Place
from causal_sae.power.cost import seconds_of_pass
from causal_sae.run_folder import RunFolder
from causal_sae.spec.loading import load_trial
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.power.pilot import Pilot


BLINDED = "pilot.parquet"
"""The table in a folder that ``causal-sae pilot`` made."""


@dataclass(frozen=True)
class Earlier:
    """A pilot and where it came from."""

    pilot: Pilot
    trial: Trial | None
    manifest: dict[str, Any]

    @classmethod
    def of(cls, trial: Trial, given: str | Path | pd.DataFrame | None) -> Earlier | None:
        """The pilot in a run folder, a file or a table; None where none is given."""
        from causal_sae.power.pilot import read_pilot  # noqa: PLC0415
        from causal_sae.run import load_run  # noqa: PLC0415

        if given is None:
            return None
        if not isinstance(given, str | Path):
            return cls(read_pilot(trial, given), None, {})
        path = Path(given)
        if (path / BLINDED).exists():
            manifest = RunFolder(path).manifest
            ran = load_trial(path)
            return cls(read_pilot(trial, _table(path / BLINDED)), ran, manifest)
        if path.is_dir():
            run = load_run(path)
            return cls(read_pilot(trial, run.observations), run.trial, run.folder.manifest)
        return cls(read_pilot(trial, _table(path)), None, {})

    def rate(self) -> tuple[float, str]:
        """Seconds of a forward pass as measured, and the device; NaN where it was not."""
        if self.trial is None:
            return np.nan, ""
        seconds = seconds_of_pass(self.trial, self.manifest, len(self.pilot))
        return seconds, "" if np.isnan(seconds) else str(self.manifest.get("device", ""))


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

    place = Place(file=path, field="--pilot")
    if not path.exists():
        raise DataError("there is no such run folder or table", place)
    if path.suffix not in {".csv", ".parquet"}:
        raise DataError("must be a run folder, or a table in .csv or .parquet", place)
    try:
        text = {"unit_id": str, "arm": str, "outcome": str}
        return pd.read_csv(path, dtype=text) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise DataError(f"cannot be read: {str(error).splitlines()[0]}", place) from None
