"""Models on this machine: the ONNX provider, Chroma's embedding functions, and opening by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from chromadb.api.types import Documents, EmbeddingFunction, Embeddings
from onnx import TensorProto, helper

from lightmigrate.errors import ProviderError
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.providers.onnx import OnnxProvider
from lightmigrate.providers.open import PROVIDERS, open_provider
from tests.encoders import minilm, minilm_files, shared_minilm

TEXTS = ["a cat sat on the mat", "a kitten lay on the rug", "interest rates rose again", "x"]


def test_what_means_the_same_is_near() -> None:
    cat, kitten, rates, _ = shared_minilm().embed(TEXTS)
    assert cat @ kitten > 0.5
    assert cat @ rates < 0.2


def test_vectors_do_not_depend_on_what_else_is_in_the_batch() -> None:
    together = shared_minilm().embed([*TEXTS, "a much longer text " * 30])
    alone = np.vstack([shared_minilm().embed([text]) for text in TEXTS])
    # 8-bit activations are scaled by what is in the batch; the model itself is that exact and no more
    assert np.sum(together[:4] * alone, axis=1).min() > 0.98


def test_long_texts_are_cut_where_the_model_says() -> None:
    short = minilm(max_tokens=16)
    one, other = short.embed(["word " * 40, "word " * 400])
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert short.key != shared_minilm().key


def test_no_texts_give_no_vectors_of_the_right_width() -> None:
    assert shared_minilm().embed([]).shape == (0, 384)


def test_pooling_and_length_are_options() -> None:
    cls, mean = minilm(pooling="cls").embed(TEXTS), shared_minilm().embed(TEXTS)
    assert np.abs(cls - mean).max() > 0.01
    plain = minilm(normalise=False)
    assert np.linalg.norm(plain.embed(TEXTS), axis=1).std() > 0
    assert not plain.model.normalised


def test_a_model_that_pools_itself_is_taken_at_its_word(tmp_path: Path) -> None:
    """An ONNX graph with a two-dimensional output and only the inputs it wants."""
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "t"])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 1])
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["embedding"], axes=[1], keepdims=1),
    ]
    graph = helper.make_graph(nodes, "pools", [ids], [out])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, str(tmp_path / "model.onnx"))
    shutil.copy(minilm_files()[1], tmp_path / "tokenizer.json")
    found = OnnxProvider(str(tmp_path), normalise=False)
    assert found.name == tmp_path.name
    assert found.embed(["hello", "hello world"]).shape == (2, 1)


def test_files_that_are_missing_or_rubbish_are_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="no model at"):
        OnnxProvider(str(tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"rubbish")
    with pytest.raises(ProviderError, match="no tokenizer at"):
        OnnxProvider(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ProviderError, match=r"cannot load model\.onnx"):
        OnnxProvider(str(tmp_path)).embed(["x"])
    with pytest.raises(ProviderError, match="no pooling 'max'"):
        minilm(pooling="max")


@pytest.mark.parametrize(("stated", "threads"), [("3", 3), ("2,1", 2), ("", 0), ("many", 0)])
def test_threads_are_as_many_as_the_environment_says(
    stated: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", stated)
    model = minilm()
    model.embed(TEXTS[:1])
    assert model._loaded is not None
    assert model._loaded[0].get_session_options().intra_op_num_threads == threads


def test_a_folder_as_the_hub_has_them_is_understood(tmp_path: Path) -> None:
    model, tokenizer = minilm_files()
    folder = tmp_path / "all-MiniLM-L6-v2"
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "model.onnx").symlink_to(model)
    (folder / "tokenizer.json").symlink_to(tokenizer)
    found = OnnxProvider(str(folder))
    assert (found.name, found.revision) == ("all-MiniLM-L6-v2", shared_minilm().revision)
    np.testing.assert_array_equal(found.embed(TEXTS[:1]), shared_minilm().embed(TEXTS[:1]))


def test_weights_beside_the_graph_are_a_part_of_the_revision(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"a graph")
    (tmp_path / "tokenizer.json").write_text("{}")
    revisions = set()
    for weights in (b"trained", b"trained again"):
        (tmp_path / "model.onnx_data").write_bytes(weights)
        revisions.add(OnnxProvider(str(tmp_path)).revision)
    assert len(revisions) == 2


def test_a_text_of_more_tokens_than_a_model_takes_is_cut_to_what_it_takes() -> None:
    model = minilm(max_tokens=2000)
    vectors = model.embed([TEXTS[0], "secret " * 1000, TEXTS[1]])
    assert (model.shortened.cut, model.shortened.refused) == (1, 0)
    assert "secret" not in model.shortened.reason
    assert vectors[1] @ minilm(max_tokens=500).embed(["secret " * 1000])[0] > 0.9
    assert np.sum(vectors[::2] * shared_minilm().embed(TEXTS[:2]), axis=1).min() > 0.98


class MiniLM(EmbeddingFunction[Documents]):
    """A Chroma embedding function with a way of its own for queries."""

    def __init__(self, fail: bool = False) -> None:
        self.fail = fail

    def __call__(self, input: Documents) -> Embeddings:
        if self.fail:
            raise ConnectionResetError("secret text")
        return list(shared_minilm().embed(input))

    def embed_query(self, input: Documents) -> Embeddings:
        return list(shared_minilm().embed(["query: " + text for text in input]))

    @staticmethod
    def name() -> str:
        return "minilm-test"

    def get_config(self) -> dict[str, Any]:
        return {"model_name": "all-MiniLM-L6-v2"}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> MiniLM:
        return MiniLM()


def test_a_chroma_function_embeds_documents_and_queries_in_its_own_way() -> None:
    provider = ChromaProvider(MiniLM())
    assert provider.model.name == "all-MiniLM-L6-v2"
    np.testing.assert_allclose(provider.embed(TEXTS), shared_minilm().embed(TEXTS), atol=0.05)
    expected = shared_minilm().embed(["query: a cat"])
    np.testing.assert_allclose(provider.embed_queries(["a cat"]), expected, atol=1e-6)
    assert provider.key == ChromaProvider(MiniLM()).key


class Configured(MiniLM):
    """A function that records what it should not."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config = config

    def get_config(self) -> dict[str, Any]:
        return self.config


def test_what_a_chroma_function_is_told_decides_who_it_is_but_not_its_secrets() -> None:
    one, other = (ChromaProvider(Configured(model="m", api_key=key)) for key in ("sk-one", "sk-two"))
    assert one.key == other.key
    assert one.key != ChromaProvider(Configured(model="m", dimensions=64)).key
    assert "sk-one" not in one.key + repr(one)


@pytest.mark.parametrize(("config", "dollars"), [
    ({"model": "m"}, 0.0),
    ({"model": "m", "api_key_env_var": "SOME_KEY"}, None),
    ({"model_name": "text-embedding-3-small", "api_key_env_var": "OPENAI_API_KEY"}, 0.02),
])  # fmt: skip
def test_what_a_chroma_function_costs_is_known_or_said_not_to_be(config: dict[str, Any], dollars: float | None) -> None:
    assert ChromaProvider(Configured(**config)).priced(1_000_000).dollars == dollars


def test_chroma_functions_that_do_not_say_what_they_are_share_nothing() -> None:
    def plain(input: list[str]) -> Any:
        return shared_minilm().embed(input)

    one, other = ChromaProvider(plain), ChromaProvider(plain)
    assert one.embed(TEXTS).shape == (4, 384)
    assert one.name == "plain"
    assert one.key == one.key != other.key


def test_a_chroma_function_can_be_given_by_its_registered_name() -> None:
    assert open_provider("chroma", "default").name == "all-MiniLM-L6-v2"
    config = {"model_name": "m", "api_key_env_var": "NOT_SET_ANYWHERE"}
    with pytest.raises(ProviderError, match="Chroma cannot build openai"):
        open_provider("chroma", json.dumps({"name": "openai", "config": config}))
    with pytest.raises(ProviderError, match="that is not JSON"):
        open_provider("chroma", "{")
    with pytest.raises(ProviderError, match=r"knows no such embedding function; it knows: .*openai"):
        open_provider("chroma", "no such function")


def test_the_variable_that_a_recorded_function_lacks_is_named_and_never_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_OPENAI_KEY", raising=False)
    config = {"model_name": "text-embedding-3-small", "api_key_env_var": "MY_OPENAI_KEY"}
    with pytest.raises(ProviderError, match=r"read from the environment; set MY_OPENAI_KEY$"):
        ChromaProvider({"name": "openai", "config": config})
    with pytest.raises(ProviderError, match="Chroma cannot build openai") as caught:
        ChromaProvider({"name": "openai", "config": {**config, "api_key_env_var": "sk-put-here-by-mistake"}})
    assert "sk-" not in str(caught.value)


def test_a_chroma_function_that_fails_gives_nothing_away() -> None:
    with pytest.raises(ProviderError, match="all-MiniLM-L6-v2 failed with ConnectionResetError") as caught:
        ChromaProvider(MiniLM(fail=True)).embed(["secret text"])
    assert "secret" not in str(caught.value)


def test_providers_are_opened_by_name() -> None:
    model, tokenizer = minilm_files()
    opened = open_provider("onnx", str(model), tokenizer=tokenizer, prefix="p: ", query_prefix="", revision=None)
    assert (opened.prefix, opened.model.dimension) == ("p: ", 384)
    with pytest.raises(ProviderError, match="no provider 'magic'; there are: " + ", ".join(PROVIDERS)):
        open_provider("magic", "x")
    with pytest.raises(ProviderError, match="chroma has no option base_url; it has: limited"):
        open_provider("chroma", "default", base_url="http://localhost")
