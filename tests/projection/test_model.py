"""What messages call a model."""

from __future__ import annotations

import pytest

from lightmigrate.projection.model import UNNAMED, Model, title_of


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
        ("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
        ("text-embedding-3-small", "text-embedding-3-small"),
        ("nomic-embed-text:v1.5", "nomic-embed-text:v1.5"),
        ("/srv/models/bge-small-en", "bge-small-en"),
        ("/srv/models/bge-small-en/", "bge-small-en"),
        ("/srv/models/bge-small-en/v3", "bge-small-en"),
        ("./bge-small-en", "bge-small-en"),
        ("~/bge-small-en/checkpoint-500", "bge-small-en"),
        ("/opt/bge-small-en/onnx/model_quantized.onnx", "bge-small-en"),
        (r"C:\models\bge-small-en", "bge-small-en"),
        (
            "/home/me/.cache/huggingface/hub/models--BAAI--bge-small-en/snapshots/5c38ec7c405ec4b44b94cc5a9bb96e73",
            "bge-small-en",
        ),
        ("/home/me/.cache/huggingface/hub/models--gpt2/snapshots/5c38ec7c405e", "gpt2"),
        ("/models", "models"),
        ("/", "/"),
    ],
)
def test_a_model_is_called_by_the_name_that_a_person_would_say(name: str, title: str) -> None:
    assert title_of(name) == title
    assert Model(name, 3).title == title


@pytest.mark.parametrize("name", [UNNAMED, "", " ", "<lambda>"])
def test_a_model_without_a_name_is_called_so(name: str) -> None:
    assert title_of(name) == "an unnamed model"
    assert Model(name, 384).title == "an unnamed model of 384 dimensions"
