"""Collections of Milvus Lite as applications have them, and what is in them."""

from __future__ import annotations

from typing import Any

from pymilvus import DataType, Function, FunctionType, MilvusClient

from tests.databases import OLD_DIM, make_vectors


def everything(client: MilvusClient, name: str = "docs", key: str = "id") -> dict[object, dict[str, Any]]:
    """All rows by id, as a client reads them."""
    rows = client.query(name, filter="", output_fields=["*"], limit=10_000)
    return {row[key]: dict(row) for row in rows}


def rich(client: MilvusClient, name: str, n: int = 40) -> None:
    """A collection with integer ids, two dense vectors, a sparse one, BM25, and fields of most types.

    Args:
        client: the application's.
        name: of the collection.
        n: number of rows.
    """
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("number", DataType.INT64, is_primary=True)
    schema.add_field("text", DataType.VARCHAR, max_length=1000, enable_analyzer=True)
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=OLD_DIM)
    schema.add_field("image", DataType.FLOAT_VECTOR, dim=3)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("price", DataType.DOUBLE, nullable=True)
    schema.add_field("small", DataType.INT8, default_value=7)
    schema.add_field("flag", DataType.BOOL, nullable=True)
    schema.add_field("tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=5, max_length=20)
    schema.add_field("meta", DataType.JSON, nullable=True)
    schema.add_function(Function("bm25", FunctionType.BM25, ["text"], ["words"]))
    client.create_collection(name, schema=schema, properties={"owner": "the application"})
    indexes = client.prepare_index_params()
    indexes.add_index("dense", index_type="HNSW", metric_type="COSINE", params={"M": 8, "efConstruction": 64})
    indexes.add_index("image", index_type="FLAT", metric_type="L2")
    indexes.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    indexes.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    client.create_index(name, indexes, sync=False)
    client.load_collection(name)
    vectors = make_vectors(n)
    client.insert(name, [rich_row(row, vectors[row].tolist()) for row in range(n)])


def rich_row(number: int, vector: list[float]) -> dict[str, Any]:
    """A row of `rich`."""
    row: dict[str, Any] = {
        "number": number * 10 - 50,
        "text": f"text number {number}",
        "dense": vector,
        "image": [float(number), 0.5, -1.0],
        "sparse": {number: 0.25, 1000: 1.5},
        "price": None if number % 3 == 0 else number / 7,
        "tags": ["a", "é"][: number % 3],
        "meta": None if number % 4 == 0 else {"deep": [1, None, {"x": 0.1}]},
        "flag": [True, False, None][number % 3],
    }
    if number % 2:
        row |= {"chapter": number, "nothing": None}
    return row
