"""Create the first tables, and the views for people who query with SQL.

Revision: 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# The automatic call of each counted image: that of the newest model that classified it.
AUTOMATIC_CALLS = """
CREATE VIEW automatic_calls AS
SELECT images.slide_id, images.id AS image_id, c.cell_class, c.confidence, c.identified, c.model_id
FROM images
JOIN classifications AS c ON c.image_id = images.id
WHERE images.state = 'done'
  AND NOT EXISTS (SELECT 1 FROM classifications AS newer WHERE newer.image_id = c.image_id AND newer.id > c.id)
"""

# One row per slide and class. Percent is of the WBC counted; it is NULL for classes that are no WBC and for slides
# without any WBC.
SLIDE_DIFFERENTIAL = """
CREATE VIEW slide_differential AS
SELECT inboxes.name AS inbox,
       slides.name AS slide,
       classes.name AS class,
       CAST(COALESCE(SUM(CASE WHEN calls.cell_class = classes.name THEN calls.cells END), 0) AS BIGINT) AS count,
       CASE WHEN classes.is_wbc = 1 AND SUM(calls.wbc) > 0
            THEN CAST(100.0 AS DOUBLE PRECISION)
                 * COALESCE(SUM(CASE WHEN calls.cell_class = classes.name THEN calls.cells END), 0)
                 / SUM(calls.wbc) END AS percent
FROM slides
JOIN inboxes ON inboxes.id = slides.inbox_id
CROSS JOIN (
    SELECT 'neutrophil' AS name, 1 AS is_wbc UNION ALL SELECT 'lymphocyte', 1 UNION ALL SELECT 'monocyte', 1
    UNION ALL SELECT 'eosinophil', 1 UNION ALL SELECT 'basophil', 1 UNION ALL SELECT 'ig', 1
    UNION ALL SELECT 'erythroblast', 0 UNION ALL SELECT 'platelet', 0
) AS classes
LEFT JOIN (
    SELECT slide_id, cell_class, COUNT(*) AS cells,
           CASE WHEN cell_class NOT IN ('erythroblast', 'platelet') THEN COUNT(*) ELSE 0 END AS wbc
    FROM automatic_calls
    WHERE identified
    GROUP BY slide_id, cell_class
) AS calls ON calls.slide_id = slides.id
GROUP BY inboxes.name, slides.id, slides.name, classes.name, classes.is_wbc
"""

# One row per slide.
SLIDE_SUMMARY = """
CREATE VIEW slide_summary AS
SELECT inboxes.name AS inbox,
       slides.name AS slide,
       CASE WHEN slides.completed_at IS NULL THEN 'counting' ELSE 'complete' END AS status,
       CAST(COALESCE(calls.wbc, 0) AS BIGINT) AS wbc_counted,
       CASE WHEN calls.wbc > 0 THEN CAST(100.0 AS DOUBLE PRECISION) * calls.nrbc / calls.wbc END AS nrbc_per_100_wbc,
       CAST(COALESCE(calls.platelets, 0) AS BIGINT) AS platelets,
       CAST(COALESCE(calls.unidentified, 0) AS BIGINT) AS unidentified,
       CAST(COALESCE(files.pending, 0) AS BIGINT) AS pending,
       CAST(COALESCE(files.quarantined, 0) AS BIGINT) AS quarantined,
       CAST(COALESCE(files.duplicates, 0) AS BIGINT) AS duplicates,
       models.name AS model_name,
       models.version AS model_version,
       models.sha256 AS model_sha256,
       slides.first_image_at,
       slides.completed_at
FROM slides
JOIN inboxes ON inboxes.id = slides.inbox_id
LEFT JOIN (
    SELECT slide_id,
           SUM(CASE WHEN identified AND cell_class NOT IN ('erythroblast', 'platelet') THEN 1 ELSE 0 END) AS wbc,
           SUM(CASE WHEN identified AND cell_class = 'erythroblast' THEN 1 ELSE 0 END) AS nrbc,
           SUM(CASE WHEN identified AND cell_class = 'platelet' THEN 1 ELSE 0 END) AS platelets,
           SUM(CASE WHEN identified THEN 0 ELSE 1 END) AS unidentified,
           MAX(model_id) AS model_id
    FROM automatic_calls
    GROUP BY slide_id
) AS calls ON calls.slide_id = slides.id
LEFT JOIN (
    SELECT slide_id,
           SUM(CASE WHEN state IN ('pending', 'queued') THEN 1 ELSE 0 END) AS pending,
           SUM(CASE WHEN state = 'quarantined' THEN 1 ELSE 0 END) AS quarantined,
           SUM(CASE WHEN state = 'duplicate' THEN 1 ELSE 0 END) AS duplicates
    FROM images
    GROUP BY slide_id
) AS files ON files.slide_id = slides.id
LEFT JOIN models ON models.id = calls.model_id
"""


def upgrade() -> None:
    """Create the tables, their indexes and the views."""
    op.create_table(
        "inboxes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("watched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scanned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("arriving", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("preprocessing", sa.String(), nullable=False),
        sa.Column("threshold", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sha256", "preprocessing", "threshold"),
    )
    op.create_table(
        "slides",
        sa.Column("id", KEY, nullable=False),
        sa.Column("inbox_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("first_image_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_image_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["inbox_id"],
            ["inboxes.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("inbox_id", "name"),
    )
    op.create_index(
        "ix_slides_counting",
        "slides",
        ["last_image_at"],
        unique=False,
        sqlite_where=sa.text("completed_at IS NULL"),
        postgresql_where=sa.text("completed_at IS NULL"),
    )
    op.create_index("ix_slides_name", "slides", ["name"], unique=False)
    op.create_table(
        "images",
        sa.Column("id", KEY, nullable=False),
        sa.Column("inbox_id", sa.Integer(), nullable=False),
        sa.Column("slide_id", KEY, nullable=True),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("analyzer_label", sa.String(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("duplicate_of", KEY, nullable=True),
        sa.Column("reason_code", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["duplicate_of"],
            ["images.id"],
        ),
        sa.ForeignKeyConstraint(
            ["inbox_id"],
            ["inboxes.id"],
        ),
        sa.ForeignKeyConstraint(
            ["slide_id"],
            ["slides.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_images_duplicate_of",
        "images",
        ["duplicate_of"],
        unique=False,
        sqlite_where=sa.text("duplicate_of IS NOT NULL"),
        postgresql_where=sa.text("duplicate_of IS NOT NULL"),
    )
    op.create_index("ix_images_finished", "images", ["finished_at"], unique=False)
    op.create_index(
        "ix_images_open",
        "images",
        ["state", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('pending', 'queued')"),
        postgresql_where=sa.text("state IN ('pending', 'queued')"),
    )
    op.create_index("ix_images_slide", "images", ["slide_id", "state"], unique=False)
    op.create_index(
        "uq_images_counted",
        "images",
        ["slide_id", "sha256"],
        unique=True,
        sqlite_where=sa.text("state = 'done'"),
        postgresql_where=sa.text("state = 'done'"),
    )
    op.create_index(
        "uq_images_current",
        "images",
        ["inbox_id", "folder", "filename"],
        unique=True,
        sqlite_where=sa.text("state <> 'superseded'"),
        postgresql_where=sa.text("state <> 'superseded'"),
    )
    op.create_table(
        "classifications",
        sa.Column("id", KEY, nullable=False),
        sa.Column("image_id", KEY, nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("cell_class", sa.String(length=16), nullable=False),
        sa.Column("confidence", sa.Float(precision=53), nullable=False),
        sa.Column("probabilities", sa.JSON(), nullable=False),
        sa.Column("identified", sa.Boolean(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("classified_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["images.id"],
        ),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["models.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("image_id", "model_id"),
    )
    for view in (AUTOMATIC_CALLS, SLIDE_DIFFERENTIAL, SLIDE_SUMMARY):
        op.execute(view)
