"""How much each model has been used, and what the workers' time went into."""

from dataclasses import dataclass

from sqlalchemy import func, select

from smearcount.db.engine.database import Database
from smearcount.db.records import TimeSpent
from smearcount.db.schema import Classification, Model, Work
from smearcount.differential.model import ModelIdentity


@dataclass(frozen=True)
class ModelUse:
    """A model and the number of its calls, over all thresholds and preprocessings."""

    model: ModelIdentity
    calls: int


def cells_per_model(database: Database) -> list[ModelUse]:
    """Return the models that have made calls, the one that was used first coming first; this counts all calls."""
    calls = select(Classification.model_id, func.count().label("calls")).group_by(Classification.model_id).subquery()
    query = (
        select(Model.name, Model.version, Model.sha256, func.sum(calls.c.calls))
        .join(calls, calls.c.model_id == Model.id)
        .group_by(Model.name, Model.version, Model.sha256)
        .order_by(func.min(Model.id))
    )
    with database.reading() as connection:
        return [
            ModelUse(ModelIdentity(name, version, sha256), int(count))
            for name, version, sha256, count in connection.execute(query)
        ]


def time_spent(database: Database) -> TimeSpent:
    """Return what the time of all batches of all workers went into, in seconds."""
    columns = (Work.images, Work.reading_seconds, Work.decoding_seconds, Work.network_seconds)
    with database.reading() as connection:
        images, *seconds = connection.execute(select(*(func.coalesce(func.sum(column), 0) for column in columns))).one()
    reading, decoding, network = map(float, seconds)
    return TimeSpent(int(images), reading, decoding, network)
