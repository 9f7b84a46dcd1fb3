"""Text -> documents -> domains -> token shards -> a deterministic stream of training samples.

``builtin`` and ``read`` yield documents, ``build`` writes a corpus, ``shards`` opens it, ``stream`` reads it in
order. Nothing here imports torch; tokenizers, pyarrow and zstandard are imported where they are used.
"""
