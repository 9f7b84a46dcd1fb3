"""Specialists behind HTTP, as OpenAI's API speaks (needs the extra ``serve``)."""
