"""Text as token shards, and the stream that training reads from them."""
