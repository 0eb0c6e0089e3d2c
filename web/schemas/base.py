"""The base classes and common types of the schemas."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

#: The largest whole number that every reader of JSON keeps as it is, JavaScript included.
LARGEST_ID = 2**53 - 1


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("Input should be a number")  # noqa: TRY004 (pydantic reports a ValueError as an error of the request)
    return value


#: An id in a request's body; true and "1" are refused.
Id = Annotated[int, Field(ge=1, le=LARGEST_ID), BeforeValidator(_number)]

#: An id, or 0 for none.
IdOrNone = Annotated[int, Field(ge=0, le=LARGEST_ID), BeforeValidator(_number)]

#: A moment, which is written in UTC.
Moment = Annotated[datetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class Answer(BaseModel):
    """An answer of the API. A field `class` has another name here, because the word is reserved in Python."""

    model_config = ConfigDict(frozen=True, serialize_by_alias=True)


class Question(BaseModel):
    """A request to the API. Unknown fields are refused, because they may be misspelled."""

    model_config = ConfigDict(frozen=True, extra="forbid")
