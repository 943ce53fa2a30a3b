"""Asks a language model behind an OpenAI-compatible chat endpoint. The text engines call it.

Which endpoint is the operator's own choice, so it may be a private address. What it answers is not trusted: it is bounded
in size and time, read by a model of its form, and never quoted in an error. The key leaves this module in one header only.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx
import structlog
from pydantic import SecretStr, ValidationError

from genfleet.egress import SafeTransport
from genfleet.errors import PermanentError, TaskError, TransientError
from genfleet_workers.engines.model.chat import Answer, Dialect, Message, Question, Reply, Schema

log = structlog.get_logger(__name__)

PAUSES_S = (1.0, 4.0)
"""Between three tries, where the endpoint asks for no other pause."""
LIMIT_BYTES = 4_000_000
"""Of one answer, with all that is around its text."""
_PASSING_STATUS = {408, 409, 425, 429}
_REJECTED_STATUS = {400, 404, 415, 422, 501}
"""The request itself is not taken; another form of it may be."""


class NoAnswer(Exception):
    """The model gave none. `cause` is a phrase for the person who submitted the task.

    `passing` is whether another try may succeed, `retry_after` the seconds that the endpoint asks to wait before it.
    """

    def __init__(self, cause: str, *, passing: bool, tokens: int = 0, retry_after: float | None = None) -> None:
        super().__init__(cause)
        self.cause, self.passing, self.tokens, self.retry_after = cause, passing, tokens, retry_after

    def as_task_error(self) -> TaskError:
        """The failure of the task, for a type that cannot do without an answer."""
        kind = TransientError if self.passing else PermanentError
        return kind(f"The model did not answer: {self.cause}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model is and how it is asked."""

    url: str
    name: str
    key: SecretStr | None = None
    timeout: float = 60
    """Seconds for one try."""
    max_tokens: int = 1_500
    temperature: float = 0.2


class Model:
    """A model that can be asked. Remembers which form of request its server takes."""

    def __init__(self, endpoint: Endpoint, pauses: Sequence[float] = PAUSES_S) -> None:
        self.name = endpoint.name
        self._endpoint, self._pauses = endpoint, pauses
        self._dialect = Dialect()

    def ask(self, messages: Sequence[Message], *, within: float, schema: Schema | None = None) -> Answer:
        """Its answer, within so many seconds, repeated tries included. Raises NoAnswer."""
        deadline, dialect, end = time.monotonic() + within, self._dialect, self._endpoint
        question = Question(end.name, messages, end.max_tokens, end.temperature, schema)
        while True:
            try:
                answer = self._persistently(dialect.body(question), deadline)
            except _Rejected as rejected:
                other = dialect.after(rejected.said, structured=schema is not None)
                if other is None:
                    raise NoAnswer(f"AI service refused the request ({rejected.status})", passing=False) from _answered(
                        rejected.status
                    )
                dialect = other
            else:
                self._dialect = dialect
                return answer

    def _persistently(self, body: bytes, deadline: float) -> Answer:
        for pause in self._pauses:
            try:
                return self._once(body, deadline)
            except NoAnswer as none:
                wait = pause if none.retry_after is None else none.retry_after
                if not none.passing or time.monotonic() + wait >= deadline:
                    raise
                log.warning("model_asked_again", cause=none.cause, after=wait)
            time.sleep(wait)
        return self._once(body, deadline)

    def _once(self, body: bytes, deadline: float) -> Answer:
        try:
            status, headers, content = self._post(body, deadline)
        except httpx.TimeoutException as error:
            raise NoAnswer("AI service timeout", passing=True) from error
        except httpx.HTTPError as error:
            raise NoAnswer(f"AI service unreachable ({type(error).__name__})", passing=True) from error
        if status == 200:
            return _answer(content)
        if (status >= 500 and status != 501) or status in _PASSING_STATUS:
            raise NoAnswer(_cause(status), passing=True, retry_after=_retry_after(headers)) from _answered(status)
        if status in _REJECTED_STATUS:
            raise _Rejected(status, content[:4_000].decode(errors="replace").lower())
        raise NoAnswer(_cause(status), passing=False) from _answered(status)

    def _post(self, body: bytes, deadline: float) -> tuple[int, httpx.Headers, bytes]:
        now, end = time.monotonic(), self._endpoint
        seconds = min(end.timeout, deadline - now)
        if seconds <= 0:
            raise httpx.ReadTimeout("no time left")
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "genfleet"}
        if end.key:
            headers["Authorization"] = f"Bearer {end.key.get_secret_value()}"
        # Also a server that sends a byte now and then has to be done by the deadline.
        transport = SafeTransport(allow_private=True, deadline=now + seconds)
        with (
            httpx.Client(transport=transport, trust_env=False, timeout=seconds) as client,
            client.stream("POST", f"{end.url}/chat/completions", content=body, headers=headers) as response,
        ):
            return response.status_code, response.headers, _bounded(response)


class _Rejected(Exception):
    """The server does not take this form of request. `said` is for choosing another, and is not passed on."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(status)
        self.status, self.said = status, said


def _answer(content: bytes) -> Answer:
    try:
        answer = Reply.model_validate_json(content).answer()
    except ValidationError:
        raise NoAnswer("AI service gave an answer that cannot be read", passing=True) from None
    if answer.declined:
        raise NoAnswer("AI service declined to answer", passing=False, tokens=answer.tokens)
    return answer


def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > LIMIT_BYTES:
            raise NoAnswer("AI service sent too much", passing=False)
    return bytes(body)


def _answered(status: int) -> httpx.HTTPStatusError:
    """What httpx would raise, without what was asked and answered: it is for counting by cause."""
    asked = httpx.Request("POST", "http://model/")
    return httpx.HTTPStatusError(str(status), request=asked, response=httpx.Response(status, request=asked))


def _cause(status: int) -> str:
    match status:
        case 401 | 403:
            return f"AI service refused the credentials ({status})"
        case 408:
            return "AI service timeout"
        case 429:
            return "AI service rate limit reached"
        case _:
            return f"AI service error ({status})"


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds that the server asks to wait. A date is compared with the server's own, so no clock of ours matters."""
    asked = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", asked):
        return float(asked)
    try:
        waits = parsedate_to_datetime(asked) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return max(waits.total_seconds(), 0)
