"""Released models as registered versions, for people to look at and servers to follow.

A version has the number that the ledger gives it. MLflow counts by itself and never gives a number
twice, so the number is a tag as well, and the tag decides where somebody deleted a version.
The four stages that people see (None, Staging, Production, Archived) are a version tag; Staging and
Production are aliases as well, which other tools follow, and which decide. MLflow's own stages are
deprecated.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mergeline.adapters.mlflow.embedded import read_registered, read_standing
from mergeline.adapters.mlflow.runs import COMMIT, FINGERPRINT, PULL_REQUEST, Run
from mergeline.adapters.mlflow.store import Store, on_all_pages, without_password
from mergeline.core.release.version import RegistryStage, Version
from mergeline.errors import NotFoundError

_NUMBER = "mergeline.version"
_STAGE = "mergeline.stage"
_OVERRIDE = "mergeline.override"
_DESCRIBED = "mergeline.described"
_ALIASES: Mapping[RegistryStage, str] = {"Production": "production", "Staging": "staging"}
_TAG_LIMIT = 5_000  # characters


class Registry(Store):
    """The registered versions of a store."""

    def versions(self, model: str) -> list[Version]:
        """Registered versions of a model, oldest first."""
        if self.absent():
            return []
        if embedded := read_registered(self._file, model) if self._file else None:
            holders = _holders(embedded)
            versions = [_version(version, holders) for version in embedded.versions]
        else:
            with self.translating():
                registered = self.client.search_model_versions(
                    f"name='{model}'", max_results=10_000
                )
                holders = self._holders(model)
                versions = [_version(version, holders) for version in registered]
        return sorted(versions, key=lambda version: version.number)

    def standing(self) -> list[Version]:
        """Versions of all models that mergeline registered and that are not archived.

        Two queries, whatever lies in the archive: servers ask every second or so.
        """
        if self.absent():
            return []
        embedded = read_standing(self._file, _STAGE) if self._file else None
        if embedded is not None:
            return [
                _version(version, _holders(model))
                for _, model in sorted(embedded.items())
                for version in sorted(model.versions, key=lambda version: version.version)
                if _STAGE in version.tags
            ]
        with self.translating():
            registered = self.client.search_model_versions(
                f"tags.`{_STAGE}` != 'Archived'", max_results=10_000
            )
            # MLflow reads tags after the rows, and none of a row that was archived in between.
            standing = {(v.name, int(v.version)): v for v in registered if _STAGE in v.tags}
            models = on_all_pages(self.client.search_registered_models)
            holders = {model.name: _holders(model) for model in models}
            held = {(model, n) for model, numbers in holders.items() for n in numbers.values()}
            for model, number in held - standing.keys():  # amid a promotion, or after one cut off
                standing[model, number] = self.client.get_model_version(model, str(number))
            return [
                _version(version, holders.get(model, {}))
                for (model, _), version in sorted(standing.items())
                if _STAGE in version.tags
            ]

    def champion(self, model: str) -> Version | None:
        """The version that the alias `production` names."""
        versions = self.versions(model)
        return next((version for version in versions if version.stage == "Production"), None)

    def register(self, run: Run, number: int) -> Version:
        """Register a run's model as a release's version, unless it is registered already.

        A registered version without commit or pull request gets those of the run.
        """
        for version in self.versions(run.model):
            if (version.number, version.model_digest) == (number, run.model_digest):
                with self.translating():
                    raw = self._raw(run.model, number)
                    known = self.client.get_model_version(run.model, raw).tags
                    for key, value in _origin_tags(run).items():
                        if value and not known.get(key):
                            self._tag(run.model, int(raw), key, value)
                return version
        from mlflow.exceptions import MlflowException

        with self.translating():
            with contextlib.suppress(MlflowException):
                self.client.create_registered_model(run.model)
            made, before = self._create(run, number), 0
            while before < int(made.version) < number:  # a lost server's numbers come back
                before = int(made.version)
                self.client.delete_model_version(run.model, str(before))
                made = self._create(run, number)
        # Another machine may have registered it meanwhile. All keep the first that is there.
        ours = (number, run.model_digest)
        with self.translating():
            found = self.client.search_model_versions(f"name='{run.model}'", max_results=10_000)
            same = [one for one in found if (_number(one), _version(one, {}).model_digest) == ours]
            first, *others = sorted(same, key=lambda version: int(version.version))
            for other in others:
                if other.tags.get(_STAGE) == "None":
                    with contextlib.suppress(MlflowException):  # the other machine may have done so
                        self.client.delete_model_version(run.model, str(other.version))
            return _version(first, self._holders(run.model))

    def _create(self, run: Run, number: int) -> Any:  # noqa: ANN401 - mlflow's ModelVersion
        return self.client.create_model_version(
            run.model,
            source=run.model_uri,
            run_id=run.run_id,
            model_id=run.model_uri.removeprefix("models:/"),
            tags={
                FINGERPRINT: run.fingerprint,
                "mergeline.model_digest": run.model_digest,
                **_origin_tags(run),
                _NUMBER: str(number),
                _STAGE: "None",
            },
        )

    def remember_override(self, version: Version, reason: str) -> Version:
        """Store a person's reason for an override with a version, until the ledger has it."""
        with self.translating():
            raw = int(self._raw(version.model, version.number))
            self._tag(version.model, raw, _OVERRIDE, reason[:_TAG_LIMIT])
        return replace(version, override=reason)

    def describe(self, version: Version, text: str, facts: str) -> None:
        """Write a version's description; `facts` is the digest of what it was written from."""
        with self.translating(f"no version {version.number} of {version.model}"):
            raw = self._raw(version.model, version.number)
            self.client.update_model_version(version.model, raw, text)
            self._tag(version.model, int(raw), _DESCRIBED, f"{facts} {_mark(text)}")

    def describe_model(self, model: str, text: str) -> None:
        """Write a registered model's description."""
        with self.translating(f"no model {model}"):
            self.client.update_registered_model(model, text)

    def description(self, model: str) -> str | None:
        """A registered model's description; None if it is not registered."""
        from mlflow.exceptions import MlflowException

        if self.absent():
            return None
        with self.translating():
            try:
                return self.client.get_registered_model(model).description or ""
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def move(self, model: str, number: int, stage: RegistryStage) -> None:
        """Move a version to a stage; the one that held Production or Staging is archived.

        The aliases decide who holds them, so that there is always exactly one champion. An alias
        moves last and in one write: if that does not happen, nothing has moved.
        """
        with self.translating(f"no version {number} of {model}"), self.alone():
            number = int(self._raw(model, number))
            before = self._holders(model)
            wanted = {held: n for held, n in before.items() if n != number and held != stage}
            if stage in _ALIASES:
                wanted[stage] = number
            self._write_stages(model, wanted, {number: stage})
            for held in before.keys() - wanted.keys():
                self.client.delete_registered_model_alias(model, _ALIASES[held])
            if stage in _ALIASES:
                self.retrying(
                    lambda: self.client.set_registered_model_alias(
                        model, _ALIASES[stage], str(number)
                    )
                )
            while True:  # until no other process moves an alias meanwhile
                holders = self._holders(model)
                self._write_stages(model, holders, {})
                if self._holders(model) == holders:
                    return

    def model_files(self, model: str, number: int, into: Path) -> Path:
        """Fetch the MLflow model folder of a registered version."""
        if local := self._local_files(model, number):
            with self.translating():
                return Path(shutil.copytree(local, into / local.name, dirs_exist_ok=True))
        import mlflow.artifacts

        with self.translating(f"no version {number} of {model}"):
            uri = self.client.get_model_version_download_uri(model, self._raw(model, number))
        into.mkdir(parents=True, exist_ok=True)
        with self.translating(f"the files of {model} v{number} are missing"):
            return Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=uri,
                    dst_path=str(into),
                    tracking_uri=self.uri,
                    registry_uri=self.uri,
                )
            )

    def _local_files(self, model: str, number: int) -> Path | None:
        """Where a version's files are, if that is a folder of this machine and known at once."""
        found = read_registered(self._file, model) if self._file else None
        raw = {v.version: v.place for v in found.versions if _number(v) == number} if found else {}
        if not raw:
            return None
        place = raw[max(raw)]
        folder = Path(url2pathname(urlsplit(place).path) if place.startswith("file:///") else place)
        return folder if folder.is_absolute() and folder.is_dir() else None

    def _raw(self, model: str, number: int) -> str:
        """MLflow's own number of a version; of several, of the one that was registered last."""
        registered = self.client.search_model_versions(f"name='{model}'", max_results=10_000)
        raw = [int(version.version) for version in registered if _number(version) == number]
        if raw:
            return str(max(raw))
        raise NotFoundError(
            f"no version {number} of {model}",
            where=without_password(self.uri),
            next_step="Look: mergeline history",
        )

    def _holders(self, model: str) -> dict[RegistryStage, int]:
        """Who holds Production and Staging, by the aliases of a model."""
        from mlflow.exceptions import MlflowException

        try:
            return _holders(self.client.get_registered_model(model))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise

    def _write_stages(
        self, model: str, holders: Mapping[RegistryStage, int], others: Mapping[int, RegistryStage]
    ) -> None:
        """Write each version's stage as a tag, by the aliases as they are or will be."""
        wanted = {**others, **{number: stage for stage, number in holders.items()}}
        for version in self.client.search_model_versions(f"name='{model}'", max_results=10_000):
            number, now = int(version.version), version.tags.get(_STAGE, "None")
            stage = wanted.get(number, "Archived" if now in _ALIASES else now)
            if stage != now:
                self._tag(model, number, _STAGE, stage)

    def _tag(self, model: str, number: int, key: str, value: str) -> None:
        self.retrying(lambda: self.client.set_model_version_tag(model, str(number), key, value))


def _origin_tags(run: Run) -> dict[str, str]:
    return {COMMIT: run.commit or "", PULL_REQUEST: str(run.pull_request or "")}


def _version(version: Any, holders: Mapping[RegistryStage, int]) -> Version:  # noqa: ANN401 - of mlflow
    tags = version.tags
    tagged = tags.get(_STAGE, "None")
    held = [stage for stage in _ALIASES if holders.get(stage) == int(version.version)]
    return Version(
        model=version.name,
        number=_number(version),
        stage=held[0] if held else ("None" if tagged in _ALIASES else tagged),
        fingerprint=tags.get(FINGERPRINT, ""),
        model_digest=tags.get("mergeline.model_digest", ""),
        run_id=version.run_id or "",
        override=tags.get(_OVERRIDE),
        described=_described(version),
    )


def _described(version: Any) -> str:  # noqa: ANN401 - mlflow's ModelVersion
    facts, _, mark = version.tags.get(_DESCRIBED, "").partition(" ")
    return str(facts) if mark == _mark(version.description or "") else ""


def _mark(text: str) -> str:
    """By which a text is known again."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _number(version: Any) -> int:  # noqa: ANN401 - mlflow's ModelVersion
    return int(version.tags.get(_NUMBER) or version.version)


def _holders(model: Any) -> dict[RegistryStage, int]:  # noqa: ANN401 - mlflow's RegisteredModel
    return {stage: int(model.aliases[a]) for stage, a in _ALIASES.items() if a in model.aliases}
