"""A finished run in memory: its tables, its figures, its page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from causal_sae.errors import DataError, Place
from causal_sae.flags import FLAGS
from causal_sae.run_folder import RunFolder
from causal_sae.spec.loading import parse_trial
from causal_sae.spec.trial import Trial
from causal_sae.tables import COMPANIONS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure  # noqa: TID251 - a name for the type checker only

    from causal_sae.reporting.record import TrialRecord


@dataclass(frozen=True)
class Run:
    """One run folder, read on demand. In a notebook it shows its table of effects."""

    folder: RunFolder

    @cached_property
    def trial(self) -> Trial:
        """The trial as it was run."""
        file = self.folder.trial_file
        return parse_trial(file.read_text(encoding="utf-8"), file).trial

    @cached_property
    def effects(self) -> pd.DataFrame:
        """One row for each outcome and contrast (:data:`causal_sae.tables.EFFECTS`)."""
        return self._table("effects.parquet")

    @cached_property
    def observations(self) -> pd.DataFrame:
        """One row for each unit, arm and outcome (:data:`causal_sae.tables.OBSERVATIONS`)."""
        import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

        parts = sorted(self.folder.observations.glob("*.parquet"))
        if not parts:
            raise DataError("holds no observations", Place(file=self.folder.observations))
        together = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
        keys = ["unit_id", "arm", "outcome"]
        return together.sort_values(keys, kind="stable", ignore_index=True)

    @cached_property
    def texts(self) -> pd.DataFrame:
        """What was generated: unit_id, arm, draw, sample, prompt, text, tokens; maybe no rows."""
        import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

        parts = sorted((self.folder.path / "texts").glob("*.parquet"))
        if not parts:
            columns = ["unit_id", "arm", "draw", "sample", "prompt", "text", "tokens"]
            return pd.DataFrame(columns=columns)
        together = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
        return together.sort_values(["unit_id", "arm", "sample"], kind="stable", ignore_index=True)

    @cached_property
    def assignment(self) -> pd.DataFrame | None:
        """Who got which arm; None for observations that came from elsewhere."""
        return self._table_or_none("assignment.parquet")

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables beside the effects that this run has, by name."""
        found = {name: self._table_or_none(f"tables/{name}.csv") for name in COMPANIONS}
        return {name: table for name, table in found.items() if table is not None}

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder.report

    @property
    def plot(self) -> Plots:
        """The figures."""
        return Plots(self)

    def record(self) -> TrialRecord:
        """Everything the report shows."""
        return self._record

    @cached_property
    def _record(self) -> TrialRecord:
        from causal_sae.reporting.record import (  # noqa: PLC0415 - brings pandas
            TrialRecord,
            assignment_of,
            count_flow,
        )

        manifest, text = self.folder.manifest, self.folder.path / "identification.txt"
        assignment = self.assignment
        if assignment is None:
            assignment = assignment_of(self.observations)
        excluded = manifest.get("excluded", {})
        return TrialRecord(
            trial=self.trial,
            assignment=assignment,
            observations=self.observations,
            effects=self.effects,
            flow=count_flow(
                self.trial, assignment, self.observations, excluded, manifest.get("pool")
            ),
            manifest=manifest,  # type: ignore[arg-type]
            diagnostics=self._table_or_none("diagnostics.csv"),
            balance=self._table_or_none("balance.csv"),
            refutations=self._table_or_none("refutations.csv"),
            identification=text.read_text(encoding="utf-8") if text.exists() else "",
            flag_meanings=FLAGS,
            companions=self.tables,
            trial_text=self.folder.trial_file.read_text(encoding="utf-8"),
            texts=self.texts,
        )

    def _repr_html_(self) -> str:
        from causal_sae.reporting import effects_html  # noqa: PLC0415

        return effects_html(self.effects)

    def _table(self, name: str) -> pd.DataFrame:
        table = self._table_or_none(name)
        if table is None:
            raise DataError(f"holds no {name}; is it a run folder?", Place(file=self.folder.path))
        return table

    def _table_or_none(self, name: str) -> pd.DataFrame | None:
        import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

        path = self.folder.path / name
        if not path.exists():
            return None
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


@dataclass(frozen=True)
class Plots:
    """A run's figures as matplotlib objects."""

    run: Run

    def forest(self) -> Figure:
        """Every effect with its interval."""
        from causal_sae.reporting import forest  # noqa: PLC0415 - loads matplotlib

        return forest(self.run.record())


def load_run(path: str | Path) -> Run:
    """Open a run folder.

    Raises
    ------
    DataError
        When it is not one.
    """
    folder = RunFolder(Path(path))
    if not folder.trial_file.exists():
        raise DataError("must be a run folder, which holds a trial.yaml", Place(file=folder.path))
    return Run(folder)
