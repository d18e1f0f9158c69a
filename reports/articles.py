"""The articles that the claims were taken from, sentence by sentence, with the verdicts of today
and of each version of torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.columns import Column
from reports.page import Cell, ClaimView, Page
from reports.words import ARTICLES


@dataclass(frozen=True)
class Sentence:
    """What an article says, as a claim, and how it stood on each subject."""

    view: ClaimView
    today: Cell
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Article:
    """An article with its sentences."""

    number: str
    title: str
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True)
class Articles:
    """All articles; `columns` are the subjects that were exercised, the oldest torch first."""

    articles: tuple[Article, ...]
    columns: tuple[Column, ...]
    today: Column | None


def articles(page: Page) -> Articles:
    """The articles by their claims; today is the newest torch of those that were exercised."""
    places = [n for n, column in enumerate(page.columns) if column.subject.status == "available"]
    if not places:
        return Articles((), (), None)
    today = places[-1]
    found = []
    for number, title in ARTICLES.items():
        sentences = tuple(
            Sentence(view, view.cells[today], tuple(view.cells[place] for place in places))
            for view in page.claims
            if number in view.claim.articles
        )
        if sentences:
            found.append(Article(number, title, sentences))
    columns = tuple(page.columns[place] for place in places)
    return Articles(tuple(found), columns, page.columns[today])
