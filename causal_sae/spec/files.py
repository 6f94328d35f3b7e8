"""Whether the files that a trial names are there and fit it; for ``validate``, before any model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from causal_sae.errors import InputError, SpecError
from causal_sae.spec.loading import TrialFile
from causal_sae.spec.prompts import PromptsSummary, check_prompts_file
from causal_sae.spec.rules.enrichment import enrichment_errors
from causal_sae.spec.sources import PathSource
from causal_sae.spec.trial import Trial


def check_files(declared: TrialFile) -> PromptsSummary | None:
    """Check the prompts, how they are drawn, and that models, SAEs and pilots given by path exist.

    Files inside packages and on the hub are not looked for: they may be fetched when needed.

    Returns
    -------
    PromptsSummary or None
        ``None`` if the trial declares no population.

    Raises
    ------
    InputError
        The first problem, at its line of the trial file or the table, with the others.
    """
    problems: list[InputError] = [
        SpecError(
            f"there must be a file or folder {str(declared.folder / path)!r}; paths start at the "
            "trial's folder: correct the path, or fetch what it names.",
            declared.place(field),
        )
        for field, path in _named_paths(declared.trial)
        if not (declared.folder / path).exists()
    ]
    problems += [at_home(error, declared) for error in enrichment_errors(declared.trial)]
    summary = None
    try:
        if declared.trial.population is not None:
            summary = check_prompts_file(declared.trial, declared.folder)
    except InputError as error:
        problems.append(at_home(error, declared))
    if problems:
        first, *others = problems
        raise type(first)(first.message, first.place, (*first.others, *others))
    return summary


def at_home(error: InputError, declared: TrialFile) -> InputError:
    """An error that names only a field, with the field's place in the trial file."""
    place = error.place
    if place.file is not None or place.field is None:
        return error
    others = [at_home(other, declared) for other in error.others]
    return type(error)(error.message, declared.place(place.field), others)


def _named_paths(trial: Trial) -> Iterator[tuple[str, Path]]:
    if trial.model is not None and isinstance(trial.model.source, PathSource):
        yield "model.source.path", trial.model.source.path
    if trial.sae is not None and isinstance(trial.sae.source, PathSource):
        yield "sae.source.path", trial.sae.source.path
    for i, outcome in enumerate(trial.outcomes):
        sae = getattr(outcome, "sae", None)
        if sae is not None and isinstance(sae.source, PathSource):
            yield f"outcomes[{i}].sae.source.path", sae.source.path
    if trial.power is not None and trial.power.pilot is not None:
        yield "power.pilot", trial.power.pilot
