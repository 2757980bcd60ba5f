"""Git's own SSH signatures of tags."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mergeline.errors import GitError
from mergeline.system.git_command import run_git

_AT_ONCE = 8  # processes that mostly wait
_KEY_TEXT = "-----BEGIN "


@dataclass(frozen=True)
class Signing:
    """How pages are signed.

    Attributes:
        key: the private SSH key, or the path of its file.
        signers: whose signatures count, as git's `gpg.ssh.allowedSignersFile` has them.
    """

    key: str
    signers: bytes

    def signed(self, body: bytes) -> bytes:
        """A tag's content with its signature, as `git tag --sign` makes it.

        Raises:
            GitError: the key cannot sign.
        """
        with tempfile.TemporaryDirectory(prefix="mergeline-") as scratch:
            key = Path(self.key).expanduser()
            if self.key.lstrip().startswith(_KEY_TEXT):
                key = Path(scratch) / "key"
                key.touch(mode=0o600)
                key.write_text(f"{self.key.strip()}\n", encoding="utf-8")
            command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(key)]
            try:
                done = subprocess.run(command, input=body, capture_output=True, check=False)
            except FileNotFoundError as error:
                raise GitError(
                    "ssh-keygen is not installed", next_step="Install OpenSSH"
                ) from error
        if done.returncode != 0:
            words = " ".join(done.stderr.decode(errors="replace").split())[:200]
            raise GitError(
                f"the page cannot be signed: {words}",
                next_step="Set MERGELINE_SIGNING_KEY to an SSH key without a passphrase",
            )
        return body + done.stdout


def signed_tags(repository: Path, tags: Sequence[str], signers: bytes) -> set[str]:
    """Those of the tag objects that have a good signature by one of the signers.

    Git starts three processes to look at one.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        good = pool.map(lambda tag: is_signed(repository, tag, signers), tags)
        return {tag for tag, is_good in zip(tags, good, strict=True) if is_good}


def is_signed(repository: Path, tag: str, signers: bytes) -> bool:
    """Whether a tag object has a good signature by one of the signers."""
    with tempfile.NamedTemporaryFile(prefix="mergeline-") as file:
        file.write(signers)
        file.flush()
        options = {
            "gpg.format": "ssh",
            "gpg.ssh.allowedSignersFile": file.name,
            # git takes a good signature of nobody in the file for good, but not for trusted.
            "gpg.minTrustLevel": "fully",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        try:
            run_git([*settings, "verify-tag", tag], cwd=repository)
        except GitError:
            return False
    return True
