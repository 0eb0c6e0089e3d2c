"""Add what people say of cells and slides, the mean colour of each cell, and indexes for lists of many slides.

Revision: 0003.
"""

# ruff: noqa: S608 (all parts of the statements are written here)

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# The effective call of each counted image: the newest one of a person, else the automatic one.
REVIEWED_CALLS = """
SELECT calls.slide_id,
       calls.image_id,
       COALESCE(NULLIF(reviews.cell_class, 'unidentified'), calls.cell_class) AS cell_class,
       CASE WHEN reviews.cell_class IS NULL THEN calls.identified
            ELSE reviews.cell_class <> 'unidentified' END AS identified,
       calls.cell_class AS automatic_class,
       calls.identified AS automatic_identified,
       calls.confidence,
       calls.model_id,
       reviews.cell_class AS reviewed_class,
       reviews.id AS review_id,
       reviews.reviewer,
       reviews.reason,
       reviews.reviewed_at
FROM automatic_calls AS calls
LEFT JOIN reviews ON reviews.image_id = calls.image_id
     AND NOT EXISTS (SELECT 1 FROM reviews AS newer WHERE newer.image_id = reviews.image_id AND newer.id > reviews.id)
"""

# The signature of each slide that has one; see `SlideEventRow`.
SIGNATURES = """
SELECT slides.id AS slide_id, events.id AS event_id, events.reviewer AS signed_by, events.at AS signed_at
FROM slides
JOIN slide_events AS events ON events.slide_id = slides.id
     AND events.kind = 'sign-off'
     AND events.completed_at = slides.completed_at
WHERE NOT EXISTS (
    SELECT 1 FROM slide_events AS later
    WHERE later.slide_id = events.slide_id AND later.kind <> 'comment' AND later.id > events.id
)
"""

WBC = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil", "ig")
CLASSES = (*WBC, "erythroblast", "platelet")


def _each(form: str, classes: tuple[str, ...] = CLASSES, between: str = ",\n       ") -> str:
    """Return `form` once for each class, with the class's name in the place of the braces."""
    return between.join(form.replace("{}", name) for name in classes)


_IDENTIFIED = "CASE WHEN reviews.cell_class IS NULL THEN calls.identified ELSE reviews.cell_class <> 'unidentified' END"
_CLASS = "COALESCE(reviews.cell_class, calls.cell_class)"

# One row per slide, with all numbers beside each other. It selects from tables, not from the views above, and sums up once:
# otherwise SQLite would read all slides when it is asked for one.
SLIDE_CELLS = f"""
SELECT inboxes.name AS inbox,
       slides.name AS slide,
       slides.id AS slide_id,
       {_each("SUM(CASE WHEN calls.identified AND calls.cell_class = '{}' THEN 1 ELSE 0 END) AS {}")},
       SUM(CASE WHEN calls.identified THEN 0 WHEN calls.id IS NULL THEN 0 ELSE 1 END) AS unidentified,
       {_each(f"SUM(CASE WHEN {_CLASS} = '{{}}' AND {_IDENTIFIED} THEN 1 ELSE 0 END) AS reviewed_{{}}")},
       SUM(CASE WHEN {_IDENTIFIED} THEN 0 WHEN calls.id IS NULL THEN 0 ELSE 1 END) AS reviewed_unidentified,
       COUNT(reviews.cell_class) AS reviewed_cells,
       MAX(calls.model_id) AS model_id,
       slides.first_image_at,
       slides.completed_at
FROM slides
JOIN inboxes ON inboxes.id = slides.inbox_id
LEFT JOIN images ON images.slide_id = slides.id AND images.state = 'done'
LEFT JOIN classifications AS calls ON calls.image_id = images.id
     AND NOT EXISTS (
         SELECT 1 FROM classifications AS newer WHERE newer.image_id = calls.image_id AND newer.id > calls.id
     )
LEFT JOIN reviews ON reviews.image_id = images.id
     AND NOT EXISTS (SELECT 1 FROM reviews AS newer WHERE newer.image_id = reviews.image_id AND newer.id > reviews.id)
GROUP BY inboxes.name, slides.name, slides.id, slides.first_image_at, slides.completed_at
"""

# The columns of the first migration, followed by the reviewed numbers.
SLIDE_DIFFERENTIAL = f"""
SELECT numbers.inbox,
       numbers.slide,
       numbers.class,
       CAST(numbers.count AS BIGINT) AS count,
       CASE WHEN numbers.is_wbc = 1
            THEN CAST(100.0 AS DOUBLE PRECISION) * numbers.count / NULLIF(numbers.wbc, 0) END AS percent,
       CAST(numbers.reviewed_count AS BIGINT) AS reviewed_count,
       CASE WHEN numbers.is_wbc = 1
            THEN CAST(100.0 AS DOUBLE PRECISION) * numbers.reviewed_count / NULLIF(numbers.reviewed_wbc, 0)
            END AS reviewed_percent
FROM (
    SELECT cells.inbox,
           cells.slide,
           classes.name AS class,
           classes.is_wbc,
           CASE classes.name {_each("WHEN '{}' THEN cells.{}", between=" ")} END AS count,
           CASE classes.name {_each("WHEN '{}' THEN cells.reviewed_{}", between=" ")} END AS reviewed_count,
           {_each("cells.{}", WBC, " + ")} AS wbc,
           {_each("cells.reviewed_{}", WBC, " + ")} AS reviewed_wbc
    FROM slide_cells AS cells
    CROSS JOIN (
        SELECT 'neutrophil' AS name, 1 AS is_wbc UNION ALL SELECT 'lymphocyte', 1 UNION ALL SELECT 'monocyte', 1
        UNION ALL SELECT 'eosinophil', 1 UNION ALL SELECT 'basophil', 1 UNION ALL SELECT 'ig', 1
        UNION ALL SELECT 'erythroblast', 0 UNION ALL SELECT 'platelet', 0
    ) AS classes
) AS numbers
"""

SLIDE_SUMMARY = f"""
SELECT numbers.inbox,
       numbers.slide,
       CASE WHEN numbers.completed_at IS NULL THEN 'counting' ELSE 'complete' END AS status,
       CAST(numbers.wbc AS BIGINT) AS wbc_counted,
       CAST(100.0 AS DOUBLE PRECISION) * numbers.erythroblast / NULLIF(numbers.wbc, 0) AS nrbc_per_100_wbc,
       CAST(numbers.platelet AS BIGINT) AS platelets,
       CAST(numbers.unidentified AS BIGINT) AS unidentified,
       (SELECT COUNT(*) FROM images WHERE images.slide_id = numbers.slide_id AND images.state IN ('pending', 'queued'))
            AS pending,
       (SELECT COUNT(*) FROM images WHERE images.slide_id = numbers.slide_id AND images.state = 'quarantined')
            AS quarantined,
       (SELECT COUNT(*) FROM images WHERE images.slide_id = numbers.slide_id AND images.state = 'duplicate')
            AS duplicates,
       models.name AS model_name,
       models.version AS model_version,
       models.sha256 AS model_sha256,
       numbers.first_image_at,
       numbers.completed_at,
       CAST(numbers.reviewed_cells AS BIGINT) AS reviewed_cells,
       CAST(numbers.reviewed_wbc AS BIGINT) AS reviewed_wbc_counted,
       CAST(100.0 AS DOUBLE PRECISION) * numbers.reviewed_erythroblast / NULLIF(numbers.reviewed_wbc, 0)
            AS reviewed_nrbc_per_100_wbc,
       CAST(numbers.reviewed_platelet AS BIGINT) AS reviewed_platelets,
       CAST(numbers.reviewed_unidentified AS BIGINT) AS reviewed_unidentified,
       sign_off.reviewer AS signed_by,
       sign_off.at AS signed_at
FROM (
    SELECT slide_cells.*,
           {_each("{}", WBC, " + ")} AS wbc,
           {_each("reviewed_{}", WBC, " + ")} AS reviewed_wbc
    FROM slide_cells
) AS numbers
LEFT JOIN models ON models.id = numbers.model_id
LEFT JOIN slide_events AS sign_off ON sign_off.slide_id = numbers.slide_id
     AND sign_off.kind = 'sign-off'
     AND sign_off.completed_at = numbers.completed_at
     AND NOT EXISTS (
         SELECT 1 FROM slide_events AS later
         WHERE later.slide_id = sign_off.slide_id AND later.kind <> 'comment' AND later.id > sign_off.id
     )
"""


def upgrade() -> None:
    """Add the columns, tables and indexes, and make the views anew."""
    for colour in ("red", "green", "blue"):
        op.add_column("classifications", sa.Column(colour, sa.Float(53), nullable=True))
    _make_tables()
    op.create_index("ix_slides_first_image", "slides", ["first_image_at", "id"], unique=False)
    op.create_index("ix_slides_completed", "slides", ["completed_at"], unique=False)
    op.create_index(
        "ix_images_quarantined",
        "images",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'quarantined'"),
        postgresql_where=sa.text("state = 'quarantined'"),
    )
    op.execute(f"CREATE VIEW reviewed_calls AS {REVIEWED_CALLS}")
    op.execute(f"CREATE VIEW signatures AS {SIGNATURES}")
    op.execute(f"CREATE VIEW slide_cells AS {SLIDE_CELLS}")
    _replace_view("slide_differential", SLIDE_DIFFERENTIAL)
    _replace_view("slide_summary", SLIDE_SUMMARY)


def _replace_view(name: str, query: str) -> None:
    """Give a view more columns; on PostgreSQL, views that a site built on it and grants on it stay."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")
    else:
        op.execute(f"DROP VIEW {name}")
        op.execute(f"CREATE VIEW {name} AS {query}")


def _make_tables() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", KEY, nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("image_id", KEY, nullable=False),
        sa.Column("slide_id", KEY, nullable=False),
        sa.Column("cell_class", sa.String(length=16), nullable=True),
        sa.Column("was", sa.String(length=16), nullable=False),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undoes", KEY, nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"]),
        sa.ForeignKeyConstraint(["slide_id"], ["slides.id"]),
        sa.ForeignKeyConstraint(["undoes"], ["reviews.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_reviews_image", "reviews", ["image_id", "id"], unique=False)
    op.create_index("ix_reviews_slide", "reviews", ["slide_id", "id"], unique=False)
    op.create_index("ix_reviews_at", "reviews", ["reviewed_at"], unique=False)
    op.create_index(
        "uq_reviews_undoes",
        "reviews",
        ["undoes"],
        unique=True,
        sqlite_where=sa.text("undoes IS NOT NULL"),
        postgresql_where=sa.text("undoes IS NOT NULL"),
    )
    op.create_table(
        "slide_events",
        sa.Column("id", KEY, nullable=False),
        sa.Column("slide_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("counted", sa.Integer(), nullable=True),
        sa.Column("model_ids", sa.JSON(), nullable=True),
        sa.Column("last_review_id", KEY, nullable=True),
        sa.ForeignKeyConstraint(["slide_id"], ["slides.id"]),
        sa.ForeignKeyConstraint(["last_review_id"], ["reviews.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_slide_events_slide", "slide_events", ["slide_id", "id"], unique=False)
    op.create_index("ix_slide_events_at", "slide_events", ["at"], unique=False)
