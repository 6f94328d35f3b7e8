"""The terminal of ``steer``: two texts that grow side by side, and the commands between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from causal_sae.errors import CausalSAEError, SpecError
from causal_sae.progress import bar
from causal_sae.spec.naming import sources
from causal_sae.spec.outcomes import Generate
from causal_sae.steering.dose import Setting, parse_dose, parse_how
from causal_sae.steering.save import SWEPT, save_trial
from causal_sae.steering.session import Comparison, Session, Strand, open_session, openers
from causal_sae.steering.sweep import LADDER, Sweep, sweep

HELP = """\
PROMPT             continue it, untouched and steered
/dose 3q99         the dose: activation units, or a multiple of mean, q50, q90, q99 or max
/feature 12 40     the features, edited together
/how add           clamp, add or scale
/tokens 80         how many tokens are written
/temperature 0.7   0 is greedy
/sweep             try a ladder of doses
/save FOLDER       write a trial of this setting
/help  /quit"""


def open_desk(
    model: str, sae: str | None, hook: str | None, chat: bool, seed: int, console: Console
) -> Session:
    """Load what the command line names.

    Raises
    ------
    SpecError
        The SAE is not named, or a name cannot be understood.
    """
    model_spec, sae_spec, base = sources(model, sae, hook)
    return open_session(model_spec, sae_spec, base, chat=chat, seed=seed, console=console)


@dataclass
class Desk:
    """A session, and what is set on it."""

    console: Console
    session: Session
    setting: Setting
    generate: Generate
    keywords: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    """What was continued so far: it stays out of a trial that is saved."""
    base: Path = Path()

    def write(self, prompt: str) -> None:
        """Continue a prompt on both sides, token by token."""
        self.prompts = (*self.prompts, prompt)
        scale = self._scale()
        last: Comparison | None = None
        with Live(console=self.console, refresh_per_second=8, transient=False) as live:
            for last in self.session.write(prompt, self.setting, self.generate):
                live.update(self._panels(last, scale))
        if last is not None:
            self.console.print(_numbers(last), highlight=False)

    def _scale(self) -> float:
        """The activation that is coloured most: the features' 99th percentiles together."""
        table = self.session.statistics.set_index("feature")["q99"]
        scale = float(table.reindex(list(self.setting.features)).sum())
        return scale if scale > 0 else 1.0

    def _panels(self, comparison: Comparison, scale: float) -> RenderableType:
        width = max(30, (self.console.width - 1) // 2)
        titles = ("untouched", str(comparison.setting))
        panels = [
            Panel(_coloured(comparison.prompt, strand, scale), title=title, width=width)
            for title, strand in zip(titles, comparison.strands, strict=True)
        ]
        narrow = self.console.width < 70
        return Group(*panels) if narrow else Columns(panels, padding=0)

    def sweep(self, out: Path | None) -> None:
        """Try a ladder of doses, show what came of it, and write it down."""
        from causal_sae.reporting.figures.sweep import sweep_figure

        prompts = openers()[:SWEPT]
        self.prompts = (*self.prompts, *prompts)
        read = self.session.prompts(prompts)
        rows = len(LADDER) + 1
        total = rows * sum(len(p.tokens) + self.generate.max_new_tokens for p in read)
        err = Console(stderr=True)
        with bar(err, "writing", total, transient=True) as advance:
            found = sweep(
                self.session,
                self.setting,
                prompts,
                self.generate,
                self.keywords,
                advance=advance,
            )
        self.console.print(_ladder(found))
        self.console.print(found.sentence, highlight=False)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            found.table.to_csv(out / "sweep.csv", index=False)
            found.texts.to_csv(out / "texts.csv", index=False)
            named = ", ".join(str(feature) for feature in self.setting.features)
            title = f"Feature {named}, {self.setting.how}"
            figure = sweep_figure(found.table, found.recommended, title)
            for kind in ("png", "svg"):
                figure.savefig(out / f"sweep.{kind}", dpi=160)
            self.console.print(f"written to {out}", highlight=False)

    def save(self, folder: Path) -> None:
        """Write a trial of what is set."""
        file = save_trial(
            self.session,
            self.setting,
            self.generate,
            folder,
            self.session.laboratory.base,
            self.keywords,
            self.prompts,
        )
        self.console.print(f"[bold green]saved[/bold green]  {file}", highlight=False)
        self.console.print(f"look it over, then: causal-sae run {folder}", highlight=False)

    def talk(self) -> None:
        """Ask for prompts and commands until the user leaves."""
        self.console.print(f"{self.setting}; /help lists the commands", highlight=False)
        while True:
            try:
                line = self.console.input("[bold]> [/bold]").strip()
            except EOFError:
                return
            if line in {"/quit", "/exit", "/q"}:
                return
            try:
                self._obey(line)
            except CausalSAEError as error:
                self.console.print(Text.assemble(("error", "bold red"), " ", str(error)))

    def _obey(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if not line:
            return
        if not line.startswith("/"):
            self.write(line)
            return
        if name not in COMMANDS:
            raise SpecError(f"there is no command {name}; /help lists them")
        COMMANDS[name](self, rest.strip())
        if name in SETTINGS:
            self.console.print(str(self.setting), highlight=False)

    def _set(self, setting: Setting) -> None:
        self.session.treatment(setting)
        self.setting = setting

    def set_dose(self, rest: str) -> None:
        """``/dose``."""
        self._set(replace(self.setting, dose=parse_dose(rest)))

    def set_features(self, rest: str) -> None:
        """``/feature``."""
        words = rest.replace(",", " ").split()
        if not words or not all(word.isdigit() for word in words):
            raise SpecError(f"must be feature numbers, such as /feature 12 40; got {rest!r}")
        self._set(replace(self.setting, features=tuple(int(word) for word in words)))

    def set_how(self, rest: str) -> None:
        """``/how``."""
        self._set(replace(self.setting, how=parse_how(rest)))

    def set_tokens(self, rest: str) -> None:
        """``/tokens``."""
        if not rest.isdigit() or int(rest) < 1:
            raise SpecError(f"must be a whole number above 0, got {rest!r}")
        self.generate = self.generate.model_copy(update={"max_new_tokens": int(rest)})

    def set_temperature(self, rest: str) -> None:
        """``/temperature``."""
        try:
            value = float(rest)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise SpecError(f"must be a number from 0, got {rest!r}")
        self.generate = self.generate.model_copy(update={"temperature": value})

    def save_as(self, rest: str) -> None:
        """``/save``."""
        if not rest:
            raise SpecError("name a folder that does not exist yet: /save trials/NAME")
        self.save(Path(rest))


COMMANDS: dict[str, Callable[[Desk, str], None]] = {
    "/dose": Desk.set_dose,
    "/feature": Desk.set_features,
    "/how": Desk.set_how,
    "/tokens": Desk.set_tokens,
    "/temperature": Desk.set_temperature,
    "/sweep": lambda desk, rest: desk.sweep(Path(rest) if rest else None),
    "/save": Desk.save_as,
    "/help": lambda desk, _: desk.console.print(HELP, highlight=False),
}
SETTINGS = frozenset({"/dose", "/feature", "/how"})


def _coloured(prompt: str, strand: Strand, scale: float) -> Text:
    """The text, each token shaded by the features' activation on it."""
    text = Text(prompt, style="dim")
    for i, piece in enumerate(strand.pieces):
        share = strand.activations[i] / scale if i < len(strand.activations) else 0.0
        text.append(piece, style=_shade(share))
    return text


def _shade(share: float) -> str:
    """Black on ever deeper orange; no colour where nothing fires."""
    if share <= 0:
        return ""
    depth = min(share, 1.0)
    green, blue = round(240 - 100 * depth), round(220 - 190 * depth)
    return f"black on rgb(255,{green},{blue})"


def _numbers(comparison: Comparison) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), show_header=True, header_style="dim")
    for heading in ("", "perplexity", "KL from the untouched", "mean activation"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, strand in zip(("untouched", "steered"), comparison.strands, strict=True):
        known = strand.activations
        mean = sum(known) / len(known) if known else math.nan
        cells = (f"{strand.perplexity:.1f}", f"{strand.kl:.2f} nats", f"{mean:.2f}")
        table.add_row(name, *cells)
    return table


def _ladder(found: Sweep) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    headings = ("dose", "concept / q99", "keywords", "surprise (nats)", "repetition")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for _, row in found.table.iterrows():
        share = "" if math.isnan(row["keywords"]) else f"{row['keywords']:.0%}"
        style = "bold green" if row["text"] == found.recommended else ""
        table.add_row(
            str(row["text"]),
            f"{row['concept']:.2f}",
            share,
            f"{row['surprise']:.2f}",
            f"{row['repetition']:.2f}",
            style=style,
        )
    return table
