"""Tokens as people can read them."""

from __future__ import annotations

MARKS = {"\n": "⏎", "\r": "␍", "\t": "⇥", "\u200b": "∅"}


def visible(token: str) -> str:
    """A token with its leading space and line breaks shown, markup of the terminal defused."""
    shown = "".join(MARKS.get(sign, sign) for sign in token)
    shown = "".join(sign if sign.isprintable() else "�" for sign in shown)
    if shown.startswith(" "):
        shown = f"·{shown[1:]}"
    return (shown or "∅").replace("[", "\\[")


def flat(text: str) -> str:
    """A text on one line."""
    shown = "".join(MARKS.get(sign, sign) for sign in text)
    return "".join(sign if sign.isprintable() else "�" for sign in shown)
