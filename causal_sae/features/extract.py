"""From a corpus to a feature store: one pass through the model, the rest from what it left."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from causal_sae.errors import DataError, Place
from causal_sae.execution.harvest import Cutter, harvest
from causal_sae.execution.logit_effects import extreme_tokens, lens_of
from causal_sae.feature_tables import MANIFEST, NAME, FeatureStore, write_features
from causal_sae.features.desk import LIMIT, Desk
from causal_sae.features.examples import write_examples
from causal_sae.manifest import now, versions
from causal_sae.progress import bar
from causal_sae.run_folder import RunFolder, RunStopped
from causal_sae.saes.features.contexts import context_vectors, random_places, windows
from causal_sae.saes.features.examples import BINS, Wanted
from causal_sae.saes.features.groups import by_group
from causal_sae.saes.features.neighbours import neighbours
from causal_sae.saes.features.parts import FOLDER, Parts
from causal_sae.saes.features.quality import (
    best_match,
    bimodality,
    cohesion,
    kurtosis,
    sharpness,
)
from causal_sae.saes.features.quality.absorption import typical
from causal_sae.saes.features.statistics import LOWEST, WIDTH, FeatureStatistics
from causal_sae.saes.features.tally import Tally, second_look, tally
from causal_sae.saes.sae import SAE
from causal_sae.spec.corpus import Corpus
from causal_sae.tables import GROUPS, HISTOGRAMS, LOGITS, NEIGHBOURS

Floats = NDArray[np.float64]
CONTEXT = 128
TOKENS, NEIGHBOUR_COUNT, RANDOM_CONTEXTS = 10, 10, 400
BARS = 40
"""Bars of the histogram that a card shows."""


@dataclass(frozen=True)
class Options:
    """How a corpus is read, and what is kept of it."""

    context: int | None = None
    """Tokens in a sequence, the beginning-of-sequence token included; None: 128, or what the model
    takes."""
    most: int | None = None
    """Stop after this many tokens."""
    wanted: Wanted = field(default_factory=Wanted)
    alpha: float = 0.05
    replicate: SAE | None = None
    """Another SAE of the same activations, to see which features are found again."""
    discard: bool = False
    """Remove the activations when the tables are made."""
    resume: bool = False
    replace: bool = False


def extract(
    desk: Desk, corpus: Corpus, out: Path, options: Options, console: Console
) -> FeatureStore:
    """Make a feature store.

    Parameters
    ----------
    desk:
        The model and the SAE.
    corpus:
        The text.
    out:
        The folder of the store. Its tables appear together, when all are made.
    options:
        How.
    console:
        Where progress is shown.

    Raises
    ------
    DataError
        The folder is taken, or the corpus cannot be read.
    """
    require_free(out, options)
    if options.replicate is not None:
        _check_replicate(desk.sae, options.replicate)
    context = options.context or min(CONTEXT, desk.model.context)
    cutter = Cutter.of(desk.model, desk.sae, context)
    manifest: dict[str, Any] = {
        "status": "reading",
        "started": now(),
        "model": desk.model.name,
        "hashes": desk.identity,
        "corpus": corpus.root.name,
        "label": corpus.label,
        "context": context,
        "versions": versions(),
    }
    folder = RunFolder(out)
    begun = time.perf_counter()
    if not options.replace:
        folder.write_text(MANIFEST, _json(manifest))
    try:
        parts = _read(desk, cutter, corpus, out, options, console)
    except KeyboardInterrupt:
        raise RunStopped(folder) from None
    manifest |= {"seconds_reading": round(time.perf_counter() - begun, 1)}
    summary = reduce(desk, parts, out, options, len(_front(cutter)), console)
    if options.discard:
        shutil.rmtree(out / FOLDER)
    manifest |= summary | {"status": "done", "finished": now()}
    manifest |= {"seconds": round(time.perf_counter() - begun, 1)}
    folder.write_text(MANIFEST, _json(manifest))
    return FeatureStore(out)


def require_free(out: Path, options: Options) -> None:
    """Pass when a store may be made at ``out``.

    Raises
    ------
    DataError
        It holds a store, or half of one: says by which option to go on.
    """
    place = Place(field="--out")
    if (out / NAME).exists() and not options.replace:
        raise DataError(
            f"{out} holds a feature store; add --replace to make it anew, or choose another folder",
            place,
        )
    unfinished = (out / FOLDER).exists() and not (out / NAME).exists()
    if unfinished and not options.resume and not options.replace:
        raise DataError(
            f"{out} holds a store that was not finished; add --resume to go on with it, or choose "
            "another folder",
            place,
        )
    if options.resume and not (out / FOLDER).exists():
        raise DataError(
            f"{out} holds nothing that could go on; leave out --resume", Place(field="--resume")
        )


def _front(cutter: Cutter) -> tuple[int, ...]:
    return () if cutter.first is None else (cutter.first,)


def _check_replicate(sae: SAE, other: SAE) -> None:
    if other.config.d_in != sae.config.d_in:
        raise DataError(
            f"the other SAE must read activations of width {sae.config.d_in}, as this one does; "
            f"its width is {other.config.d_in}.",
            Place(field="--replicate"),
        )


def _read(
    desk: Desk, cutter: Cutter, corpus: Corpus, out: Path, options: Options, console: Console
) -> Parts:
    by_tokens = options.most is not None
    total = options.most if options.most is not None else -(-corpus.size // 1000)
    done = 0
    unit = "tokens" if by_tokens else "kB of text"
    identity = json.dumps([desk.identity, cutter.context], sort_keys=True)
    with bar(console, "reading", total, unit=unit) as advance:

        def told(tokens: int, read: int) -> None:
            nonlocal done
            now_done = min(done + tokens, total) if by_tokens else read // 1000
            advance(now_done - done)
            done = now_done

        return harvest(
            desk.host,
            desk.sae,
            cutter.cut(corpus, options.most),
            out / FOLDER,
            identity,
            LIMIT,
            told,
        )


def reduce(
    desk: Desk, parts: Parts, out: Path, options: Options, skip: int, console: Console
) -> dict[str, object]:
    """Make the tables of a store from its parts; returns what the manifest tells.

    Parameters
    ----------
    desk, options, console:
        As for :func:`extract`.
    parts:
        What the pass left.
    out:
        Where the tables go.
    skip:
        How many tokens at the beginning of each sequence are not text.
    """
    d_sae, vocabulary = desk.sae.config.d_sae, int(desk.model.text_config.vocab_size)
    with bar(console, "counting", len(parts), unit="parts", transient=True) as advance:
        counted = tally(parts, d_sae, vocabulary, advance)
    statistics = counted.statistics
    if not statistics.positions:
        raise DataError("no position of the corpus counts: it has too little text")
    with bar(console, "examples", len(parts), unit="parts", transient=True) as advance:
        examples, powers = second_look(parts, counted, options.wanted, advance)
    with writing(out) as folder:
        decoder = desk.sae.decoder.detach().cpu().double().numpy()
        active = statistics.active.numpy()
        with bar(console, "neighbours", d_sae, unit="features", transient=True) as advance:
            near, hint, by = neighbours(
                parts,
                active,
                statistics.positions,
                decoder,
                typical(counted.fires, counted.occurs),
                NEIGHBOUR_COUNT,
                advance,
            )
        NEIGHBOURS.conform(near).to_parquet(folder / "neighbours.parquet", index=False)
        chosen = examples.table()
        with bar(console, "contexts", len(chosen), unit="examples", transient=True) as advance:
            write_examples(folder, parts, chosen, desk.model.tokenizer, skip, advance)
        _write_groups(folder, parts, d_sae, options, console)
        HISTOGRAMS.conform(histograms(statistics)).to_parquet(
            folder / "histograms.parquet", index=False
        )
        table = statistics.table(desk.sae.decoder_norm)
        count = active.astype(np.float64)
        table["sharpness"] = sharpness(counted.mass, counted.log_mass, counted.contexts)
        table["kurtosis"], table["bimodality"] = kurtosis(count, powers), bimodality(count, powers)
        table["cohesion"] = _cohesion(desk, parts, chosen, counted, skip)
        table["absorption"] = hint
        table["absorbed_by"] = pd.array(np.where(by >= 0, by, 0), "Int64")
        table.loc[by < 0, "absorbed_by"] = pd.NA
        table["fires_on"], table["token_focus"] = _fires_on(counted, desk.model.tokenizer)
        _add_logits(table, desk, folder)
        if options.replicate is not None:
            other = options.replicate.decoder.detach().cpu().double().numpy()
            table["stability"], table["twin"] = best_match(decoder, other)
        write_features(table, folder)
    return {
        "documents": len({n for part in parts for n in part.sources}),
        "sequences": counted.contexts,
        "tokens": int(sum(len(part.tokens) for part in parts)),
        "positions": statistics.positions,
        "active_per_position": round(float(active.sum() / statistics.positions), 2),
        "dead": int((active == 0).sum()),
        "bins": {
            name: int(options.wanted.top if name == "top" else options.wanted.others)
            for name in BINS
        },
    }


@contextmanager
def writing(out: Path) -> Iterator[Path]:
    """A folder whose files move to ``out`` when all are there; the features table goes last."""
    folder = out / ".making"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        for stale in ("groups", "logits"):
            (out / f"{stale}.parquet").unlink(missing_ok=True)
        for file in sorted(folder.iterdir(), key=lambda path: path.name == NAME):
            file.replace(out / file.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_groups(
    folder: Path, parts: Parts, d_sae: int, options: Options, console: Console
) -> None:
    with bar(console, "groups", d_sae, unit="features", transient=True) as advance:
        table = by_group(parts, d_sae, options.alpha, advance)
    if not table.empty:
        GROUPS.conform(table).to_parquet(folder / "groups.parquet", index=False)


def histograms(statistics: FeatureStatistics) -> pd.DataFrame:
    """Bars of equal width from 0 to each living feature's largest activation; empty ones left out.

    Counts come from logarithmic bins two per cent wide, each of which falls into the bar of its
    middle.
    """
    counts, largest = statistics.histogram.numpy(), statistics.largest.numpy()
    feature, cell = counts.nonzero()
    middle = np.minimum(LOWEST * np.exp((cell + 0.5) * WIDTH), largest[feature])
    place = np.minimum((middle / largest[feature] * BARS).astype(np.int64), BARS - 1)
    keys, at = np.unique(feature * BARS + place, return_inverse=True)
    total = np.bincount(at, counts[feature, cell])
    own, number = keys // BARS, keys % BARS
    width = largest[own] / BARS
    return pd.DataFrame(
        {
            "feature": own,
            "low": number * width,
            "high": (number + 1) * width,
            "positions": total.astype(np.int64),
        }
    )


def _cohesion(desk: Desk, parts: Parts, chosen: pd.DataFrame, counted: Tally, skip: int) -> Floats:
    """The cohesion of every feature's top contexts, by the model's own token embeddings."""
    embedding = desk.model.network.get_input_embeddings().weight.detach().float().cpu().numpy()
    share = counted.occurs / max(int(counted.occurs.sum()), 1)
    weight = np.where(share > 0, -np.log(np.where(share > 0, share, 1.0)), 0.0)
    anywhere = random_places(parts, RANDOM_CONTEXTS, 0)
    random = context_vectors(windows(parts, anywhere, skip).tokens, embedding, weight)
    centre = random.mean(axis=0)
    d_sae = desk.sae.config.d_sae
    result = np.full(d_sae, np.nan)
    top = chosen[chosen["bin"] == "top"]
    for start in range(0, d_sae, 2048):
        block = top[top["feature"].between(start, start + 2047)]
        vectors = context_vectors(windows(parts, block, skip).tokens, embedding, weight)
        size = min(2048, d_sae - start)
        owner = block["feature"].to_numpy(np.int64) - start
        result[start : start + size] = cohesion(vectors - centre, owner, size, random - centre)
    return result


def _fires_on(counted: Tally, tokenizer: Any, count: int = 8) -> tuple[list[str | None], Floats]:
    """The tokens that carry most of each feature's activation, and the share of the first."""
    weight = counted.weight
    said: list[str | None] = []
    focus = np.full(weight.shape[0], np.nan)
    for feature in range(weight.shape[0]):
        begin, end = weight.indptr[feature], weight.indptr[feature + 1]
        own, ids = weight.data[begin:end], weight.indices[begin:end]
        if not len(own):
            said.append(None)
            continue
        best = np.argsort(-own, kind="stable")[:count]
        focus[feature] = float(own[best[0]] / own.sum())
        said.append(" | ".join(tokenizer.decode([int(i)]) for i in ids[best]))
    return said, focus


def _add_logits(table: pd.DataFrame, desk: Desk, folder: Path) -> None:
    """The tokens whose logits each decoder row moves most; nothing where there is no lens."""
    lens = lens_of(desk.model, desk.host.hook)
    if lens is None:
        return
    names: dict[int, str] = {}

    def name(token: int) -> str:
        if token not in names:
            names[token] = desk.model.tokenizer.decode([token])
        return names[token]

    rows: list[dict[str, object]] = []
    raised, lowered = [], []
    for feature, both in enumerate(extreme_tokens(lens, desk.sae, name, TOKENS)):
        raised.append(" | ".join(token for token, _ in both[0]))
        lowered.append(" | ".join(token for token, _ in both[1]))
        for kind, tokens in zip(("boosted", "suppressed"), both, strict=True):
            rows += [
                {"feature": feature, "kind": kind, "rank": r, "token": token, "logit": logit}
                for r, (token, logit) in enumerate(tokens, start=1)
            ]
    table["top_tokens"], table["suppressed_tokens"] = raised, lowered
    LOGITS.conform(pd.DataFrame(rows)).to_parquet(folder / "logits.parquet", index=False)


def _json(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, indent=2, sort_keys=True, default=str) + "\n"
