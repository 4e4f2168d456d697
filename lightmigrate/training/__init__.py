"""From a collection, or a file of texts, to a projection and a judgement of it.

There is one path, and every caller takes it::

    data = data_from_collection(collection, 1000)   # sources: or data_from_file(path, 1000)
    request = EmbeddingRequest.of(data)             # request: what the models embed, and request.bill(target)
    training = train(data, target)                  # train: embeds, fits, judges
    training.projection, training.gate

`calibrate` is the same path within limits of money and time (`limits`). Embedding models are `Provider`s. A fit that
needs another library is handed to `train` as a `Fitter`; this package imports none.
"""
