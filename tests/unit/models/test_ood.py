"""What is far from every training image is noticed, and what was learnt survives being stored."""

import io
import zipfile

import numpy as np
import pytest

from smearcount.models.errors import ModelInvalid, ModelsError
from smearcount.models.inference.ood import LIMIT_RULE, LIMIT_SHARE, Likeness, choose_limit, fit_likeness

D, GROUPS = 12, 3


def drawn(n: int = 3_000, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Draw correlated features of three groups, the last of which varies three times less than the others."""
    rng = np.random.default_rng(seed)
    structure = np.random.default_rng(0)
    means, mixing = structure.uniform(2, 4, (GROUPS, D)), structure.normal(size=(D, D)) / D
    groups = rng.integers(0, GROUPS, n)
    spread = np.array([1.0, 1.0, 1 / 3])[groups, np.newaxis]
    return (means[groups] + spread * (rng.normal(size=(n, D)) @ mixing)) ** 2, groups


@pytest.fixture(scope="module")
def likeness() -> Likeness:
    """The likeness learnt from `drawn`."""
    return fit_likeness(*drawn())


def stored(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def arrays_of(likeness: Likeness) -> dict[str, np.ndarray]:
    return {"whitening": likeness.whitening, "means": likeness.means, "typical": likeness.typical}


def test_a_typical_image_is_about_1_in_every_group(likeness: Likeness) -> None:
    features, groups = drawn(seed=5)
    unlikeness = likeness.unlikeness(features)
    assert unlikeness.dtype == np.float64
    assert unlikeness.shape == (len(features),)
    for group in range(GROUPS):
        assert np.median(unlikeness[groups == group]) == pytest.approx(1, abs=0.1)


def test_what_is_far_away_is_more_unlike_than_any_training_image(likeness: Likeness) -> None:
    features, _ = drawn()
    farthest = likeness.unlikeness(features).max()
    for far in (np.zeros(D), np.full(D, 100.0), features[0] * 3, features[0][::-1]):
        assert likeness.unlikeness(far[np.newaxis])[0] > 1.5 * farthest


def test_how_features_vary_together_counts(likeness: Likeness) -> None:
    # the same step from the mean, along the direction that varies most and along the one that varies least
    roots = np.sqrt(drawn()[0][drawn()[1] == 0])
    variances, axes = np.linalg.eigh(np.cov(roots, rowvar=False))
    step = np.sqrt(variances[-1])
    most, least = likeness.unlikeness((roots.mean(axis=0) + step * axes[:, [-1, 0]].T) ** 2)
    assert least > 3 * most


def test_a_group_that_varies_little_forgives_little(likeness: Likeness) -> None:
    features, groups = drawn()
    step = np.random.default_rng(1).normal(size=D)
    wide, narrow = (np.sqrt(features[groups == group]).mean(axis=0) + 0.1 * step for group in (0, 2))
    at_wide, at_narrow = likeness.unlikeness(np.stack([wide, narrow]) ** 2)
    assert at_narrow == pytest.approx(3 * at_wide, rel=0.1)


def test_an_image_does_not_depend_on_its_neighbours(likeness: Likeness) -> None:
    features, _ = drawn(50)
    one_by_one = [likeness.unlikeness(features[i : i + 1])[0] for i in range(len(features))]
    assert likeness.unlikeness(features) == pytest.approx(one_by_one, rel=1e-12)
    assert likeness.unlikeness(features[:0]).shape == (0,)


def test_noise_in_a_feature_that_hardly_varied_changes_little() -> None:
    # as an int8 network's features have it, of about 1 %
    features, groups = drawn()
    rng = np.random.default_rng(2)
    features[:, 3] = rng.normal(4, 1e-4, len(features))
    likeness = fit_likeness(features, groups)
    before = likeness.unlikeness(features)
    features[:, 3] = rng.normal(4, 0.04, len(features))
    assert likeness.unlikeness(features) == pytest.approx(before, abs=1)
    assert likeness.unlikeness(features).mean() == pytest.approx(before.mean(), abs=0.05)


def test_features_a_little_under_0_are_0(likeness: Likeness) -> None:
    features = np.zeros((1, D))
    assert likeness.unlikeness(features - 0.01) == likeness.unlikeness(features)


def test_a_feature_that_never_varies_does_no_harm() -> None:
    features, groups = drawn()
    features[:, 3] = 0.0
    assert np.median(fit_likeness(features, groups).unlikeness(features)) == pytest.approx(1, abs=0.1)


def test_the_names_of_the_groups_do_not_matter() -> None:
    features, groups = drawn()
    assert fit_likeness(features, groups * 7 - 2).to_bytes() == fit_likeness(features, groups).to_bytes()


@pytest.mark.parametrize(
    ("features", "groups"),
    [
        (np.ones(30), np.zeros(30, int)),
        (np.ones((30, 2)), np.zeros(29, int)),
        (np.full((30, 2), np.nan), np.zeros(30, int)),
        (np.ones((30, 2)), np.zeros(30, int)),
        (np.empty((0, 2)), np.zeros(0, int)),
        (np.random.default_rng(0).random((30, 2)), np.arange(30) // 21),
    ],
    ids=["one image", "lengths", "not a number", "all the same", "none", "small group"],
)
def test_what_nothing_can_be_learnt_from_is_refused(features: np.ndarray, groups: np.ndarray) -> None:
    with pytest.raises(ModelsError):
        fit_likeness(features, groups)


def test_it_survives_being_stored(likeness: Likeness) -> None:
    features, _ = drawn(100)
    content = likeness.to_bytes()
    again = Likeness.from_bytes(content)
    assert again.unlikeness(features).tolist() == likeness.unlikeness(features).tolist()
    assert again.to_bytes() == content


def test_the_bytes_hold_no_time(likeness: Likeness) -> None:
    with zipfile.ZipFile(io.BytesIO(likeness.to_bytes())) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def refusal_of(content: bytes) -> str:
    with pytest.raises(ModelInvalid) as refused:
        Likeness.from_bytes(content)
    return str(refused.value)


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04" + bytes(100), b"\x93NUMPY\x01\x00"])
def test_rubbish_is_refused(content: bytes) -> None:
    assert "export the model anew" in refusal_of(content)


def test_an_array_alone_is_refused() -> None:
    stream = io.BytesIO()
    np.save(stream, np.ones((3, 3), np.float32))
    assert "export the model anew" in refusal_of(stream.getvalue())


def test_a_pickle_is_refused(likeness: Likeness) -> None:
    pickled = np.array([{}], dtype=object)
    assert "export the model anew" in refusal_of(stored(**(arrays_of(likeness) | {"typical": pickled})))


@pytest.mark.parametrize("name", ["whitening", "means", "typical"])
def test_arrays_that_do_not_fit_are_refused(likeness: Likeness, name: str) -> None:
    arrays = arrays_of(likeness)
    array = arrays[name]
    spoilt = array.copy()
    spoilt.flat[-1] = np.nan
    wrong = [array[:-1], array[..., np.newaxis], array[:0], np.float32(1), array.astype(np.float64), spoilt]
    for other in wrong:
        assert "export the model anew" in refusal_of(stored(**(arrays | {name: other})))
    del arrays[name]
    assert "export the model anew" in refusal_of(stored(**arrays))


def test_a_typical_distance_of_0_is_refused(likeness: Likeness) -> None:
    refusal_of(stored(**(arrays_of(likeness) | {"typical": np.zeros_like(likeness.typical)})))


def test_damage_anywhere_in_the_numbers_is_noticed(likeness: Likeness) -> None:
    content = likeness.to_bytes()
    for name in ("whitening", "means", "typical"):
        number = arrays_of(likeness)[name].tobytes()[-4:]
        damaged = bytearray(content)
        damaged[content.index(number)] ^= 1
        refusal_of(bytes(damaged))
    refusal_of(content[:-30])


def test_the_limit_costs_no_more_than_the_share() -> None:
    unlikeness = np.random.default_rng(6).gamma(20, 1 / 20, 10_000)
    limit = choose_limit(unlikeness, 0.005)
    assert limit == pytest.approx(round(limit, 2))
    assert (unlikeness > limit).sum() <= 50
    assert (unlikeness > limit - 0.01).sum() > 50


@pytest.mark.parametrize(("share", "limit"), [(0.0, 10.0), (0.1, 9.0), (0.29, 8.0), (0.3, 7.0), (0.9, 1.0), (1.0, 0.0)])
def test_the_limit_by_hand(share: float, limit: float) -> None:
    assert choose_limit(np.arange(1.0, 11.0), share) == limit


def test_the_rule_in_words_names_the_share() -> None:
    assert f"{LIMIT_SHARE:.1%}" in LIMIT_RULE
