"""Git's own SSH signatures of tags."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mergeline.errors import GitError
from mergeline.system.atomic_writes import write_file_whole
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


def signed_tags(
    repository: Path, tags: Sequence[str], signers: bytes, remembered: Path
) -> set[str]:
    """Those of the tag objects that have a good signature by one of the signers.

    Git starts three processes to look at one. A tag object and the file of signers never say
    anything else later, so what was found good is noted in the folder `remembered`.
    """
    file = remembered / hashlib.sha256(signers).hexdigest()
    known: set[str] = set()
    with contextlib.suppress(OSError):
        known = set(file.read_text(encoding="ascii").split())
    new = [tag for tag in tags if tag not in known]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        good = pool.map(lambda tag: is_signed(repository, tag, signers), new)
        found = {tag for tag, is_good in zip(new, good, strict=True) if is_good}
    if found:
        with contextlib.suppress(OSError):  # it is asked again
            write_file_whole(file, "\n".join(sorted(known | found)).encode())
    return (known | found).intersection(tags)


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
