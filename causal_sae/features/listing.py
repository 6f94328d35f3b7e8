"""Features in an order."""

from __future__ import annotations

import pandas as pd

from causal_sae.errors import DataError, Place, did_you_mean
from causal_sae.feature_tables import FeatureStore


def listed(
    store: FeatureStore, sort: str, ascending: bool, group: str | None, at_least: int
) -> tuple[pd.DataFrame, str]:
    """The features that fired often enough, sorted; and by what.

    Parameters
    ----------
    store:
        The store.
    sort, ascending:
        The column, and whether its smallest come first.
    group:
        Sort by the AUROC of this group instead, surest first: by the interval's lower limit.
    at_least:
        Fewer positions leave a feature out; told only where the store says how many there were.

    Raises
    ------
    DataError
        The store knows no such group.
    """
    table = store.features
    positions = store.manifest.get("positions")
    if positions is not None:
        table = table[table["density"] * float(positions) >= at_least - 0.5]
    else:
        table = table[~table["dead"].fillna(False).astype(bool)]
    if group is None and table[sort].isna().all():
        raise DataError(
            f"the store does not tell the {sort} of its features; make it anew with "
            "`causal-sae features extract`.",
            Place(store.path, field="--sort"),
        )
    if group is None:
        return table.sort_values(sort, ascending=ascending, kind="stable"), sort
    groups = store.companion("groups")
    known = sorted(groups["group"].dropna().unique())
    if group not in known:
        what = did_you_mean(group, known) if known else "It was made without --label."
        raise DataError(
            f"the store must know the group {group!r}; {what}", Place(store.path, field="--group")
        )
    own = groups[groups["group"] == group].set_index("feature")
    low = table["feature"].map(own["auroc_low"])
    order = low.sort_values(ascending=ascending, kind="stable").index
    return table.loc[order], f"the lower limit of the AUROC of {group}"
