"""``causal-sae fetch TRIAL``: bring the trial's model and SAE onto this machine."""

from __future__ import annotations

from rich.console import Console

from causal_sae.cli.options import TrialArgument

NAME = "fetch"


def command(trial: TrialArgument) -> None:
    """Fetch the trial's model, converted once into the user's cache, and its SAE.

    [bold]run[/bold] does this too; here it can be done ahead, where there is a network.

    Example: [bold]causal-sae fetch trials/scripture[/bold]
    """
    from causal_sae.errors import Place, SpecError
    from causal_sae.execution.model_source import fetch_from_hub, local_model
    from causal_sae.pipeline import located
    from causal_sae.saes.load import open_sae
    from causal_sae.spec.loading import load_trial_file
    from causal_sae.spec.sources import HubSource

    declared = load_trial_file(trial)
    if declared.trial.model is None:
        raise SpecError("declares no model to fetch", Place(file=declared.path, field="model"))
    source = declared.trial.model.source
    with located(declared):
        where = (
            fetch_from_hub(source)
            if isinstance(source, HubSource)
            else local_model(source, declared.folder, Console(stderr=True))
        )
    Console().print(f"[dim]model[/dim]  {where}", highlight=False, soft_wrap=True)
    if declared.trial.sae is None:
        return
    with located(declared):
        sae = open_sae(declared.trial.sae, declared.folder)
    read = f"{sae.config.architecture}, {sae.config.d_sae} features, reads {sae.config.hook}"
    Console().print(f"[dim]SAE[/dim]    {read}", highlight=False, soft_wrap=True)
