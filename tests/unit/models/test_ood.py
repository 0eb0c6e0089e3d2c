"""What is far from every training image is noticed, and what was learnt survives being stored."""

import io
import zipfile

import numpy as np
import numpy.typing as npt
import pytest

from smearcount.models.errors import ModelInvalid, ModelsError
from smearcount.models.inference.ood import LIMIT_RULE, LIMIT_SHARE, OodModel, choose_limit, fit_ood_model

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
def model() -> OodModel:
    """The model learnt from `drawn`."""
    return fit_ood_model(*drawn())


def stored(**arrays: npt.NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=True, **arrays)
    return stream.getvalue()


def arrays_of(model: OodModel) -> dict[str, np.ndarray]:
    return {"whitening": model.whitening, "means": model.means, "typical": model.typical}


def test_a_typical_image_is_about_1_in_every_group(model: OodModel) -> None:
    features, groups = drawn(seed=5)
    scores = model.scores(features)
    assert scores.dtype == np.float64
    assert scores.shape == (len(features),)
    for group in range(GROUPS):
        assert np.median(scores[groups == group]) == pytest.approx(1, abs=0.1)


def test_what_is_far_away_is_more_unlike_than_any_training_image(model: OodModel) -> None:
    features, _ = drawn()
    farthest = model.scores(features).max()
    for far in (np.zeros(D), np.full(D, 100.0), features[0] * 3, features[0][::-1]):
        assert model.scores(far[np.newaxis])[0] > 1.5 * farthest


def test_how_features_vary_together_counts(model: OodModel) -> None:
    # the same step from the mean, along the direction that varies most and along the one that varies least
    roots = np.sqrt(drawn()[0][drawn()[1] == 0])
    variances, axes = np.linalg.eigh(np.cov(roots, rowvar=False))
    step = np.sqrt(variances[-1])
    most, least = model.scores((roots.mean(axis=0) + step * axes[:, [-1, 0]].T) ** 2)
    assert least > 3 * most


def test_a_group_that_varies_little_forgives_little(model: OodModel) -> None:
    features, groups = drawn()
    step = np.random.default_rng(1).normal(size=D)
    wide, narrow = (np.sqrt(features[groups == group]).mean(axis=0) + 0.1 * step for group in (0, 2))
    at_wide, at_narrow = model.scores(np.stack([wide, narrow]) ** 2)
    assert at_narrow == pytest.approx(3 * at_wide, rel=0.1)


def test_an_image_does_not_depend_on_its_neighbours(model: OodModel) -> None:
    features, _ = drawn(50)
    one_by_one = [model.scores(features[i : i + 1])[0] for i in range(len(features))]
    assert model.scores(features) == pytest.approx(one_by_one, rel=1e-12)
    assert model.scores(features[:0]).shape == (0,)


def test_noise_in_a_feature_that_hardly_varied_changes_little() -> None:
    # as an int8 network's features have it, of about 1 %
    features, groups = drawn()
    rng = np.random.default_rng(2)
    features[:, 3] = rng.normal(4, 1e-4, len(features))
    model = fit_ood_model(features, groups)
    before = model.scores(features)
    features[:, 3] = rng.normal(4, 0.04, len(features))
    assert model.scores(features) == pytest.approx(before, abs=1)
    assert model.scores(features).mean() == pytest.approx(before.mean(), abs=0.05)


def test_features_a_little_under_0_are_0(model: OodModel) -> None:
    features = np.zeros((1, D))
    assert model.scores(features - 0.01) == model.scores(features)


def test_a_feature_that_never_varies_does_no_harm() -> None:
    features, groups = drawn()
    features[:, 3] = 0.0
    assert np.median(fit_ood_model(features, groups).scores(features)) == pytest.approx(1, abs=0.1)


def test_the_names_of_the_groups_do_not_matter() -> None:
    features, groups = drawn()
    assert fit_ood_model(features, groups * 7 - 2).to_bytes() == fit_ood_model(features, groups).to_bytes()


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
        fit_ood_model(features, groups)


def test_it_survives_being_stored(model: OodModel) -> None:
    features, _ = drawn(100)
    content = model.to_bytes()
    again = OodModel.from_bytes(content)
    assert again.scores(features).tolist() == model.scores(features).tolist()
    assert again.to_bytes() == content


def test_the_bytes_hold_no_time(model: OodModel) -> None:
    with zipfile.ZipFile(io.BytesIO(model.to_bytes())) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def refusal_of(content: bytes) -> str:
    with pytest.raises(ModelInvalid) as refused:
        OodModel.from_bytes(content)
    return str(refused.value)


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04" + bytes(100), b"\x93NUMPY\x01\x00"])
def test_rubbish_is_refused(content: bytes) -> None:
    assert "export the model anew" in refusal_of(content)


def test_an_array_alone_is_refused() -> None:
    stream = io.BytesIO()
    np.save(stream, np.ones((3, 3), np.float32))
    assert "export the model anew" in refusal_of(stream.getvalue())


def test_a_pickle_is_refused(model: OodModel) -> None:
    pickled = np.array([{}], dtype=object)
    assert "export the model anew" in refusal_of(stored(**(arrays_of(model) | {"typical": pickled})))


@pytest.mark.parametrize("name", ["whitening", "means", "typical"])
def test_arrays_that_do_not_fit_are_refused(model: OodModel, name: str) -> None:
    arrays = arrays_of(model)
    array = arrays[name]
    spoilt = array.copy()
    spoilt.flat[-1] = np.nan
    wrong = [array[:-1], array[..., np.newaxis], array[:0], np.asarray(1, np.float32), array.astype(np.float64), spoilt]
    for other in wrong:
        assert "export the model anew" in refusal_of(stored(**(arrays | {name: other})))
    del arrays[name]
    assert "export the model anew" in refusal_of(stored(**arrays))


def test_a_typical_distance_of_0_is_refused(model: OodModel) -> None:
    refusal_of(stored(**(arrays_of(model) | {"typical": np.zeros_like(model.typical)})))


def test_damage_anywhere_in_the_numbers_is_noticed(model: OodModel) -> None:
    content = model.to_bytes()
    for name in ("whitening", "means", "typical"):
        number = arrays_of(model)[name].tobytes()[-4:]
        damaged = bytearray(content)
        damaged[content.index(number)] ^= 1
        refusal_of(bytes(damaged))
    refusal_of(content[:-30])


def test_the_limit_costs_no_more_than_the_share() -> None:
    scores = np.random.default_rng(6).gamma(20, 1 / 20, 10_000)
    limit = choose_limit(scores, 0.005)
    assert limit == pytest.approx(round(limit, 2))
    assert (scores > limit).sum() <= 50
    assert (scores > limit - 0.01).sum() > 50


@pytest.mark.parametrize(("share", "limit"), [(0.0, 10.0), (0.1, 9.0), (0.29, 8.0), (0.3, 7.0), (0.9, 1.0), (1.0, 0.0)])
def test_the_limit_by_hand(share: float, limit: float) -> None:
    assert choose_limit(np.arange(1.0, 11.0), share) == limit


def test_the_rule_in_words_names_the_share() -> None:
    assert f"{LIMIT_SHARE:.1%}" in LIMIT_RULE
