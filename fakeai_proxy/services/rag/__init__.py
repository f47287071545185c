"""Solido RAG: a question, the documents that are near it, and an answer made of their sentences."""

from fakeai_proxy.services.rag.service import OPERATIONS

__all__ = ["OPERATIONS"]
