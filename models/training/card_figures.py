"""What a model card states of scores and colours, rounded. Pure functions."""

from smearcount.differential.classes import CellClass
from smearcount.models.card import Colour, Confusion, Metrics
from smearcount.models.evaluation.scores import Scores
from smearcount.models.inference.colour import mean_colours
from smearcount.models.preprocessing import Pixels

#: Confusions that a card names at most.
_CONFUSIONS = 8


def metrics_of(scores: Scores) -> Metrics:
    """Return the scores that a card states; shares (0-1) are rounded to four decimals."""

    def rounded(share: float | None) -> float | None:
        return None if share is None else round(share, 4)

    return Metrics(
        images=scores.images,
        accuracy=round(scores.accuracy, 4),
        macro_recall=round(scores.macro_recall, 4),
        recall={label: round(of_class.recall or 0.0, 4) for label, of_class in scores.classes.items()},
        expected_calibration_error=round(scores.expected_calibration_error, 4),
        unidentified=round(scores.unidentified, 4),
        errors_among_unidentified=rounded(scores.errors_among_unidentified),
        errors_unidentified=rounded(scores.errors_unidentified),
        accuracy_of_identified=rounded(scores.accuracy_of_identified),
    )


def confusions_of(scores: Scores) -> tuple[Confusion, ...]:
    """Return the most frequent kinds of wrong calls, at most eight, the most frequent first."""
    pairs = [
        Confusion(truth=truth, called=called, images=images)
        for truth, row in zip(CellClass, scores.confusion, strict=True)
        for called, images in zip(CellClass, row, strict=True)
        if truth != called and images
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.images)[:_CONFUSIONS])


def colour_of(pixels: Pixels) -> Colour:
    """Return the mean colour of n >= 1 images and how much it varies among them (standard deviation), to one decimal.

    Args:
        pixels: uint8, shape (n, 128, 128, 3), RGB, 0-255.
    """
    colours = mean_colours(pixels)
    red, green, blue = colours.mean(axis=0).round(1).tolist()
    red_spread, green_spread, blue_spread = colours.std(axis=0).round(1).tolist()
    return Colour(mean=(red, green, blue), spread=(red_spread, green_spread, blue_spread))
