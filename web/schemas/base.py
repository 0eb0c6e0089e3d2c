"""What all answers share."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

#: The largest whole number that every reader of JSON keeps as it is, JavaScript included.
LARGEST_ID = 2**53 - 1


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("Input should be a number")  # noqa: TRY004 (what pydantic makes an error of the request of)
    return value


#: An id in a body, where neither true nor "1" is a number.
Id = Annotated[int, Field(ge=1, le=LARGEST_ID), BeforeValidator(_number)]

#: An id, or 0 for none.
IdOrNone = Annotated[int, Field(ge=0, le=LARGEST_ID), BeforeValidator(_number)]

#: A moment; written in UTC.
Moment = Annotated[datetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class Answer(BaseModel):
    """Something that the API answers with; `class` is a word of Python's own, so such fields have another name here."""

    model_config = ConfigDict(frozen=True, serialize_by_alias=True)


class Question(BaseModel):
    """Something that is sent to the API; what it does not know is refused, since it may be a misspelling."""

    model_config = ConfigDict(frozen=True, extra="forbid")
