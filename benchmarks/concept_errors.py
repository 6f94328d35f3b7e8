"""How often verdicts on labels err: ``python -m benchmarks.concept_errors``, some minutes.

Made-up studies of 40 claims on 24 texts. Half of the claims meet every requirement; the other half
fail one of the six effects, the same in a whole study. Outcomes are exponential and share a part
between the arms of a text.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from causal_sae.estimation.concepts import Limits, effects, verdicts
from causal_sae.spec.verdicts import EFFECTS

STUDIES, CLAIMS, TEXTS = 100, 40, 24
ARMS = ("ablate", "ablate_placebo", "ablate_random", "amplify", "amplify_placebo", "amplify_random")
SIZE = 1.5


def study(draw: np.random.Generator, broken: int) -> pd.DataFrame:
    """One study; ``broken`` is the requirement that the second half of the claims fails."""
    true = np.array([-SIZE, 0.0, 0.0, SIZE, 0.0, 0.0])
    false = true.copy()
    if broken % 3 == 0:
        false[broken : broken + 3] = 0.0
    else:
        false[broken] = true[broken - broken % 3]
    shift = np.where(np.arange(CLAIMS)[:, None] < CLAIMS // 2, true, false)
    noise = draw.exponential(size=(CLAIMS, TEXTS, 6)) - 1
    values = noise + draw.standard_normal((CLAIMS, TEXTS, 1)) / 2 + shift[:, None]
    claim, text, arm = np.indices(values.shape).reshape(3, -1)
    return pd.DataFrame(
        {
            "claim": claim,
            "text": text,
            "arm": np.array(ARMS)[arm],
            "concept": values.ravel(),
            "kl": draw.exponential(0.02, size=values.size),
            "nll": draw.normal(0.02, 0.05, size=values.size),
        }
    )


def main() -> None:
    """Print for each requirement how often failing it was not seen, and the power."""
    limits = Limits(0.05, "bh", 0.5, {"kl": 0.2, "nll": 0.2})
    good = np.arange(CLAIMS) < CLAIMS // 2
    for broken, one in enumerate(EFFECTS):
        draw = np.random.default_rng(broken)
        rates = []
        for _ in range(STUDIES):
            found = verdicts(effects(study(draw, broken), CLAIMS, limits), limits)["verdict"]
            upheld = (found == "upheld").to_numpy()
            rejected = (found == "not upheld").to_numpy()
            rates.append(
                (
                    (upheld & ~good).sum() / max(int(upheld.sum()), 1),
                    bool((upheld & ~good).any()),
                    upheld[good].mean(),
                    (rejected & good).sum() / max(int(rejected.sum()), 1),
                    rejected[~good].mean(),
                )
            )
        told = " | ".join(f"{value:.3f}" for value in np.mean(rates, axis=0))
        print(f"| {one.name} | {told} |", flush=True)


if __name__ == "__main__":
    main()
