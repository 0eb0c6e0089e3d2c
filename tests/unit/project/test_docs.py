"""The documentation names every command, setting, flag and column, and none that does not exist."""

import re
from pathlib import Path

import pytest

from smearcount.cli.main import COMMANDS
from smearcount.cli.variables import SETTINGS, is_deprecated, variable
from smearcount.differential.flags import FLAG_MEANINGS
from smearcount.differential.review_rules import REVIEW_RULES
from smearcount.differential.schema import counts_schema
from smearcount.differential.settings import CountSettings
from smearcount.models.card import load_card
from smearcount.models.settings import SHIPPED_MODEL

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "docs" / "reference.md").read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert f"`smearcount {command}" in REFERENCE


@pytest.mark.parametrize("name", [variable(name) for kind in SETTINGS for name in kind.model_fields])
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in REFERENCE


def test_the_table_of_deprecated_settings_holds_those_and_no_others() -> None:
    table = REFERENCE.partition("\n### Deprecated\n")[2].partition("\n### ")[0]
    deprecated = {variable(name) for kind in SETTINGS for name in kind.model_fields if is_deprecated(kind, name)}
    assert set(re.findall(r"^\| `(SMEARCOUNT_[A-Z_]+)`", table, re.MULTILINE)) == deprecated
    assert all(REFERENCE.count(f"\n| `{name}` |") == 1 for name in deprecated)


def test_no_setting_is_documented_that_does_not_exist() -> None:
    known = {variable(name) for kind in SETTINGS for name in kind.model_fields}
    known |= {"SMEARCOUNT_TEST_POSTGRESQL", "SMEARCOUNT_TEST_BROKER", "SMEARCOUNT_TEST_IMAGES"}
    known |= {"SMEARCOUNT_TEST_CHROMIUM", "SMEARCOUNT_TEST_ARTEFACTS"}
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        assert set(re.findall(r"SMEARCOUNT_[A-Z0-9_]+[A-Z0-9]", page.read_text())) <= known, page


@pytest.mark.parametrize("code", FLAG_MEANINGS)
def test_every_flag_is_documented(code: str) -> None:
    assert f"`{code}`" in REFERENCE


@pytest.mark.parametrize("code", REVIEW_RULES)
def test_every_review_rule_is_documented_with_its_setting(code: str) -> None:
    rules = REFERENCE.partition("\n### Review rules\n")[2].partition("\n## ")[0]
    assert f"\n| `{code}` |" in rules
    assert variable(f"review_{code.replace('-', '_')}") in {variable(name) for name in CountSettings.model_fields}


@pytest.mark.parametrize("name", counts_schema()["properties"])
def test_every_property_of_the_json_is_documented(name: str) -> None:
    assert f"`{name}`" in REFERENCE


def test_every_link_within_the_documentation_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_reason_for_refusing_an_image_is_documented() -> None:
    sources = [path.read_text() for room in ("models", "watcher", "worker") for path in (ROOT / room).rglob("*.py")]
    codes = set(re.findall(r'(?:Refusal|ImageRefused|_refused)\(\s*(?:item, )?"([a-z-]+)"', "\n".join(sources)))
    codes |= set(
        re.findall(r'^[A-Z_]+ = "([a-z-]+)"$', (ROOT / "db" / "ingest" / "visibility.py").read_text(), re.MULTILINE)
    )
    assert len(codes) > 13
    for code in codes:
        assert f"`{code}`" in REFERENCE, code


def test_the_readme_states_the_figures_of_the_shipped_models_card() -> None:
    card = load_card(SHIPPED_MODEL)
    figures = card.validation
    assert card.ood is not None
    for shown in (
        f"{card.name} {card.version}",
        f"{figures.images:,} real cells",
        f"{figures.accuracy:.2%}".replace("%", " %"),
        f"{figures.macro_recall:.2%}".replace("%", " %"),
        f"{figures.expected_calibration_error:.1%}".replace("%", " %"),
        f"{figures.unidentified:.1%}".replace("%", " % of the cells go to review"),
        f"{figures.errors_unidentified:.0%}".replace("%", " % of the errors are among them"),
        f"{figures.accuracy_of_identified:.1%}".replace("%", " %"),
        f"{card.parameters:,} parameters, {card.bytes / 1e6:.1f} MB",
        f"threshold {card.threshold:g}",
    ):
        assert shown in README, shown
