"""Rows of an engine as the plain lists that answers are compared in."""

DAYS = 30


def column(at):
    """One number a row, in the order of the rows."""
    return lambda rows: [int(row[at]) for row in rows]


def days(rows):
    """(day, number) rows; days without any are 0."""
    figures = [0] * DAYS
    for day, number in rows:
        figures[int(day)] = int(number)
    return figures


def by_text(rows):
    """(text, day, number) rows, as a list of numbers per text, texts in order."""
    texts = {}
    for text, day, number in rows:
        texts.setdefault(text, [0] * DAYS)[int(day)] = int(number)
    return [[text, texts[text]] for text in sorted(texts)]


def lists(rows):
    """One row of lists."""
    return [[int(number) for number in cell] for cell in rows[0]]


def columns(rows):
    """Columns of rows, but the first, which is the order."""
    return [[int(row[at]) for row in rows] for at in range(1, len(rows[0]))]


def steps(rows):
    """One row: people by step."""
    return [int(number) for number in rows[0]]


def steps_by_text(rows):
    return [[row[0], [int(number) for number in row[1:]]] for row in sorted(rows)]


def triangle(rows):
    """(cohort, list) rows: each cohort up to the last day there is."""
    return [[int(n) for n in cells[: DAYS - int(cohort)]] for cohort, cells in rows]


def triangle_of_cells(rows):
    """(cohort, offset, number) rows likewise."""
    cohorts = {}
    for cohort, offset, number in rows:
        cohorts.setdefault(int(cohort), [0] * (DAYS - int(cohort)))[int(offset)] = int(number)
    return [cohorts[cohort] for cohort in sorted(cohorts)]


def ranked(rows):
    """Texts, then numbers."""
    whole = lambda cell: cell if isinstance(cell, str) else int(cell)
    return [[whole(cell) for cell in row] for row in rows]


def money(rows):
    """(variant, persons, converted, sum, sum of squares): the sum in cents. Without squares there is no interval."""
    return [[v, int(n), int(c), round(float(total) * 100)] for v, n, c, total, _ in rows]
