"""An address that is told what shall serve."""

from __future__ import annotations

from dataclasses import asdict

from mergeline.adapters.deploy.base import Wanted
from mergeline.core.declare.environments import Webhook
from mergeline.errors import DeployError

_TIMEOUT = 30.0  # seconds
_WORDS = 300  # characters of its own answer that are shown


class WebhookTarget:
    """Posts JSON: environment, model, version, fingerprint, model_digest and image.

    Args:
        webhook: as it is declared.
        token: that the request bears.
    """

    def __init__(self, webhook: Webhook, token: str | None) -> None:
        self._url = webhook.url
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def deploy(self, wanted: Wanted) -> None:
        """Post it; any answer below 300 is a yes.

        Raises:
            DeployError: it does not answer, or says no.
        """
        import httpx

        # The key is the same for the same wish, so a receiver can tell that it was asked twice.
        key = f"{wanted.environment}-{wanted.model}-{wanted.version}-{wanted.model_digest[:16]}"
        try:
            answer = httpx.post(
                self._url,
                json=asdict(wanted),
                headers={**self._headers, "idempotency-key": key},
                timeout=_TIMEOUT,
                trust_env=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeployError(
                f"the webhook does not answer: {error}",
                where=self._url,
                next_step="Correct the address in environments.yaml, or run the release again",
            ) from error
        if answer.status_code >= 300:
            words = " ".join(answer.text.split())[:_WORDS]
            raise DeployError(
                f"the webhook answered {answer.status_code}" + (f": {words}" if words else ""),
                where=self._url,
                next_step="Look at its log; the token that it takes is in MERGELINE_DEPLOY_TOKEN",
            )
