"""``causal-sae doctor``: what is here, what is missing, and the command that gets it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

NAME = "doctor"

NEEDED = ("torch", "transformers", "nnsight", "statsmodels", "pingouin", "dowhy", "pandas")
EXTRAS = {
    "sae-lens": "causal-sae[saelens]",
    "ray": "causal-sae[ray]",
    "vaderSentiment": "causal-sae[text]",
    "openpyxl": "causal-sae[excel]",
}


def command() -> None:
    """Say which versions, devices, models and SAEs are here, and how to get what is missing.

    Example: [bold]causal-sae doctor[/bold]
    """
    console = Console()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for package in ("causal-sae", *NEEDED):
        found = _version(package)
        table.add_row(package, found or f"[red]missing[/red]: pip install {package}")
    for package, extra in EXTRAS.items():
        found = _version(package)
        table.add_row(package, found or f"[dim]optional[/dim]: pip install '{escape(extra)}'")
    table.add_row("devices", ", ".join(devices()) if find_spec("torch") else "none")
    table.add_row(
        "models",
        ", ".join(converted_models()) or "[dim]none in the cache[/dim]: causal-sae fetch TRIAL",
    )
    table.add_row("hub cache", _hub())
    table.add_row("SAEs", ", ".join(packs()) or "[dim]none under packs/[/dim]")
    console.print(table)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def devices() -> list[str]:
    """The torch devices of this machine."""
    from causal_sae.execution.model import available_devices

    return available_devices()


def converted_models() -> list[str]:
    """The models in the user's cache."""
    from causal_sae.execution.model_source import cache_folder

    return sorted(p.name for p in (cache_folder() / "models").glob("*") if p.is_dir())


def _hub() -> str:
    """The repositories of the hub that need no network, and whether it is shut off."""
    from huggingface_hub import constants

    from causal_sae.execution.model_source import hub_cache

    found = ", ".join(hub_cache()) or "[dim]empty[/dim]: causal-sae fetch TRIAL"
    shut = "; HF_HUB_OFFLINE is set: nothing else is fetched"
    return f"{found}{shut if constants.HF_HUB_OFFLINE else ''}"


def packs() -> list[str]:
    """The SAEs under ``packs/`` of the current directory."""
    return sorted(str(p.parent) for p in Path("packs").glob("*/sae_weights.safetensors"))
