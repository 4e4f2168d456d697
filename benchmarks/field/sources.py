"""The packages that the texts come from, pinned; `Package.fetched(folder)` brings them.

Debian drops old versions from its servers: then take the package from an archive, or the newer one with its checksum.
Texts are read, not changed, and nothing of them is committed.
"""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from general.fetch import Package

from lightmigrate.errors import LightmigrateError

_OFFICE, _PYTHON = "4:7.4.7-1+deb12u14", "3.11.2-6+deb12u9"


def _debian(name: str, version: str, sha256: str, architecture: str = "all") -> Package:
    file = f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"
    return Package("Debian", name, version, file, sha256)


# Python's documentation and library: PSF License.
PYTHON_DOCUMENTATION = _debian(
    "python3.11-doc", _PYTHON, "5b3594189d6ef9a6963ce0347fd307a1cc67620ad697e144db366070e2e146be"
)
PYTHON_LIBRARY = _debian(
    "libpython3.11-stdlib",
    _PYTHON,
    "10f13e000ee757f5f2d2d3569f9e30546214a0c850acd78695feae373bfa3e53",
    "amd64",
)

# The help of LibreOffice, the same pages in each language, and its messages: MPL 2.0.
OFFICE_HELP = {
    "en": _debian(
        "libreoffice-help-en-us", _OFFICE, "8faa840285734d6cfe1ed25537b48f07e74bd6412e3917bf8e5f8a653f7b3712"
    ),
    "de": _debian("libreoffice-help-de", _OFFICE, "00490b63c509ac96f7f212d6a6e40452d3e0d1f97ccf4b824dd5ec4c01e8277f"),
    "ja": _debian("libreoffice-help-ja", _OFFICE, "7799ace9bfe0845771ed2499913e7f7e521318cf3727c007672e3b020f8eb7b9"),
    "zh": _debian(
        "libreoffice-help-zh-cn", _OFFICE, "db867cdece4c2f9c7eebe65e519c6cf386fdcf49d6e061db3dffec893b3e1dee"
    ),
}
OFFICE_ARABIC = _debian(
    "libreoffice-l10n-ar", _OFFICE, "819b371d138f656673fc0dbe46fcb7ab40bc9da00aa87e4fc7733c979b5fc5f5"
)

# Messages of commits: gnulib's history, GFDL and GPL. What people say to a chat bot and it to them: BSD 3-Clause.
COMMITS = _debian("gnulib", "20230209+stable-1", "5c72af7f9fe2ad2e311ca2d98722d0d4b9852d0db109dce37734f3f2f4237d24")
CONVERSATIONS = Package(
    "PyPI",
    "chatterbot-corpus",
    "1.3.3",
    "chatterbot_corpus-1.3.3-py2.py3-none-any.whl",
    "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
)


@dataclass(frozen=True)
class Descriptions:
    """What Debian says of its packages, as `apt-get update` brings it.

    Attributes:
        release: whose packages.
        sha256: of the text.
    """

    release: str
    sha256: str
    file = "Translation-en"

    def fetched(self, folder: Path) -> Path:
        """The file in `folder`, fetched if it is not there.

        Raises:
            LightmigrateError: it cannot be had, or is not the file that is meant.
        """
        path = folder / self.file
        if not path.exists():
            lists = folder / "lists"
            (lists / "partial").mkdir(parents=True, exist_ok=True)
            places = [f"Dir::State::Lists={lists}", f"Dir::Cache={folder / 'cache'}"]
            options = [f"-o{option}" for option in ("Acquire::Languages=en", "APT::Sandbox::User=root", *places)]
            subprocess.run(["apt-get", "update", "-qq", *options], check=True)
            packed = sorted(lists.glob(f"*debian_dists_{self.release}_main_i18n_{self.file}*"))
            if not packed:
                raise LightmigrateError(f"apt-get brought no descriptions of {self.release}; put {path} there by hand")
            path.write_bytes(subprocess.check_output(["/usr/lib/apt/apt-helper", "cat-file", str(packed[0])]))
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256:
            raise LightmigrateError(f"{path} is not the file this script was written for; delete it")
        return path


# Of every package its own authors' words.
DESCRIPTIONS = Descriptions("bookworm", "62f59c3cdca9786e4f7adf9002f9f5729a684adcb4667e58e448dec9b5a46c7f")
