"""One MLflow store: opening it, and what goes wrong with it in one place."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from mergeline.errors import MergelineError, NotFoundError, TrackingError
from mergeline.system.locks import file_lock

_SQLITE = "sqlite:///"
_DATABASES = {"mssql", "mysql", "postgresql", "sqlite"}  # that MLflow opens by SQLAlchemy
_REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"}  # 401 and 403
_PATIENCE = 10  # seconds for a server to answer that it is there
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^\s/]+@")
T = TypeVar("T")


class Store:
    """One tracking store with its registry.

    Args:
        uri: as MLFLOW_TRACKING_URI has it; a SQLite file is made at first use.
        artifacts: folder for the artifacts of experiments made here, for a SQLite store.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri = uri
        self.artifacts = artifacts

    @property
    def is_file(self) -> bool:
        """Whether it is a SQLite file, which `alone` keeps other processes from."""
        return self._file is not None

    def absent(self) -> bool:
        """Whether it is a SQLite store that nobody has written to yet."""
        return self._file is not None and not self._file.exists()

    def alone(self) -> AbstractContextManager[object]:
        """Keep other processes of this machine from writing to the same SQLite file.

        Writers to a server are not kept apart: what they write must be right without a lock.
        """
        return self._locked("writing.lock")

    def retrying(self, write: Callable[[], T]) -> T:
        """Write, and try again: MLflow fails if two writers set a new alias or tag at once."""
        import tenacity
        from mlflow.exceptions import MlflowException

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(MlflowException),
            stop=tenacity.stop_after_attempt(4),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=1),
            reraise=True,
        )(write)

    @contextlib.contextmanager
    def translating(self, missing: str = "not found") -> Iterator[None]:
        """Make MLflow's, its database's and its transport's errors ours."""
        try:
            yield
        except MergelineError:
            raise
        except Exception as error:
            raise translated(error, self.uri, missing) from error

    @property
    def _file(self) -> Path | None:
        """The file of a SQLite store."""
        return Path(self.uri.removeprefix(_SQLITE)) if self.uri.startswith(_SQLITE) else None

    def _locked(self, suffix: str) -> AbstractContextManager[object]:
        return file_lock(f"{self._file}.{suffix}") if self._file else contextlib.nullcontext()

    @cached_property
    def client(self) -> Any:  # noqa: ANN401 - mlflow.MlflowClient, imported late
        """MLflow's client; the store is opened when it is first asked for."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # A store out of reach must be said within seconds, not after minutes of retries.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        import logging

        import mlflow

        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        # Registering a logged model asks the global store, whatever the client's own is.
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        _look_for_server(self.uri)
        # Several processes that open a new database at once break each other's migrations.
        with self._locked("lock"):
            _look_for_database(self.uri)
            client = mlflow.MlflowClient()
            if self._file:
                client.search_experiments(max_results=1)
            return client


def on_all_pages(search: Callable[..., Any]) -> Iterator[Any]:
    """All that one of the client's searches finds, page by page."""
    page = search(max_results=500)
    yield from page
    while page.token:
        page = search(max_results=500, page_token=page.token)
        yield from page


def _look_for_server(uri: str) -> None:
    """Ask a tracking server once, before MLflow asks again and again.

    Raises:
        TrackingError: nobody answers there.
    """
    if not uri.lower().startswith(("http:", "https:")):
        return
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=_PATIENCE)
    except requests.exceptions.SSLError:
        return  # it answers; MLflow's own settings say which certificates it trusts
    except requests.RequestException as error:
        raise TrackingError(
            "the tracking server does not answer",
            where=without_password(uri),
            next_step="Start it, or correct MLFLOW_TRACKING_URI",
        ) from error


def is_database(uri: str) -> bool:
    """Whether MLflow opens the store by SQLAlchemy, with no server between."""
    return uri.partition(":")[0].partition("+")[0] in _DATABASES


def _look_for_database(uri: str) -> None:
    """Ask a database once; MLflow asks ten times, over 100 seconds.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: it does not answer, or is not a database.
    """
    if not is_database(uri):
        return
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    try:
        sqlalchemy.inspect(engine)
    finally:
        engine.dispose()


def translated(error: Exception, uri: str, missing: str) -> MergelineError:
    """Ours for one of MLflow, its database or its transport; any other error is raised again.

    `missing` is the message if something does not exist.
    """
    import requests
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    where = without_password(uri)
    if isinstance(error, MlflowException) and error.error_code == "RESOURCE_DOES_NOT_EXIST":
        return NotFoundError(missing, where=where, next_step="Look: mergeline history")
    if isinstance(
        error, MlflowException | requests.RequestException | sqlalchemy.exc.SQLAlchemyError
    ):
        lines = str(error).strip().splitlines() or [type(error).__name__]
        next_step = "Check MLFLOW_TRACKING_URI and that the store answers, then run again"
        if isinstance(error, MlflowException) and error.error_code in _REFUSED:
            next_step = (
                "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_TOKEN, to somebody's who may do that there"
            )
        return TrackingError(
            f"the tracking store failed: {without_password(lines[0][:300])}",
            where=where,
            next_step=next_step,
        )
    if isinstance(error, ImportError):
        return TrackingError(
            f"the tracking store needs a package that is not installed: {error.name}",
            where=where,
            next_step=f"Install it: pip install {error.name}",
        )
    if isinstance(error, OSError):
        return TrackingError(
            f"the tracking store's files: {error}",
            where=where,
            next_step="Check MERGELINE_STATE and MLFLOW_TRACKING_URI, and who may write there",
        )
    raise error


def without_password(text: str) -> str:
    """A text with the passwords of its addresses left out."""
    return _PASSWORD.sub(r"\1***@", text)
