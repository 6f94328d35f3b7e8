"""The pool of an enriched trial: read once, drawn from with known probabilities, kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causal_sae.run_folder import RunFolder
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.execution.backends.local import LocalBackend

#: What the assignment and the observations of an enriched trial say of each unit.
SAMPLING = ("sampling_probability", "stratum_share", "exposed")
#: The clean pass over the pool, kept so that a run that goes on need not repeat it.
POOL = "pool.parquet"


@dataclass(frozen=True)
class Pool:
    """The eligible prompts of an enriched trial's pool, and those that were drawn from them."""

    active: pd.Series[int]
    """For each prompt of the pool, at how many edited positions the feature fires."""
    drawn: pd.DataFrame
    """As :func:`causal_sae.randomization.draw_units` returns them."""

    def join(self, assignment: pd.DataFrame) -> pd.DataFrame:
        """The assignment with how each unit was drawn."""
        drawn = self.drawn.set_index("unit_id")
        units = assignment["unit_id"].astype(str)
        return assignment.assign(**{name: units.map(drawn[name]).array for name in SAMPLING})

    def table(self) -> pd.DataFrame:
        """What the run folder keeps: one row for each prompt of the pool."""
        table = self.active.reset_index()
        return table.assign(drawn=table["unit_id"].isin(self.drawn["unit_id"]))

    def counts(self) -> dict[str, int]:
        """The numbers of the flow diagram."""
        exposed = int(self.drawn["exposed"].sum())
        return {
            "eligible": len(self.active),
            "exposed": int((self.active > 0).sum()),
            "drawn_exposed": exposed,
            "drawn_unexposed": len(self.drawn) - exposed,
        }


def draw(
    trial: Trial, engine: LocalBackend, eligible: pd.Series[str], folder: RunFolder
) -> Pool | None:
    """Scan the pool and draw the trial's units from it; None where the trial takes every prompt."""
    from causal_sae.randomization import draw_units  # noqa: PLC0415

    enrich = trial.population.enrich if trial.population else None
    if enrich is None:
        return None
    active = _scanned(folder)
    if active is None or set(active.index) != set(eligible):
        active = engine.exposure(eligible)
    return Pool(active, draw_units(enrich, active > 0, trial.seed))


def _scanned(folder: RunFolder) -> pd.Series[int] | None:
    """What an earlier process of the same run found in the pool."""
    import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

    file = folder.path / POOL
    if not (folder.manifest and file.exists()):
        return None
    return pd.read_parquet(file).set_index("unit_id")["active_positions"]
